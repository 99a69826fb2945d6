/*
 * `holm compose logs`, and `up` in the foreground. A process of its own follows each container; the database is
 * opened in them, never before, since a connection must not be carried through fork(2).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"
#include "cmd/compose.h"
#include "cmd/table.h"
#include "cmd/verbs.h"
#include "instance/log.h"

#define LINE_MAX_BYTES (1 << 16) /* more than the longest line of a log with its name */

struct logs_options {
	bool follow, no_prefix, timestamps;
	int64_t tail;
	bool tail_given;
};

static const struct cmd_option logs_rows[] = {
	OPTION(struct logs_options, follow, OPT_FLAG, 'f', "follow", NULL,
		"go on until the containers stop"),
	OPTION(struct logs_options, no_prefix, OPT_FLAG, 0, "no-log-prefix", NULL,
		"without the container's name in front of each line"),
	OPTION_WITH(struct logs_options, tail, OPT_INT, 'n', "tail", "LINES",
		"only the last ones of each container",
		OPTION_GIVEN(struct logs_options, tail_given)),
	OPTION(struct logs_options, timestamps, OPT_FLAG, 't', "timestamps", NULL, "with times"),
	OPTION_END,
};

struct printer {
	const struct logs_options *o;
	const char *name;
	int width;
};

static int print_line(void *data, int stream, int64_t time, const char *text, size_t len)
{
	const struct printer *p = data;
	char when[TIME_LEN];

	(void)stream;
	if (!p->o->no_prefix)
		printf("%-*s  | ", p->width, p->name);
	if (p->o->timestamps) {
		time_format(time, when);
		printf("%s ", when);
	}
	fwrite(text, 1, len, stdout);
	if (!len || text[len - 1] != '\n')
		putchar('\n');
	if (p->o->follow)
		fflush(stdout);
	return ferror(stdout) ? 1 : 0;
}

/* Its exit status is the container's, when it has ended and was not removed. */
static _Noreturn void follow(const struct instance *i, const struct log_read *how,
	struct printer *printer, bool tell_end)
{
	cleanup(instance_free) struct instance *now = NULL;
	struct err err = { 0 };
	struct db *db;
	int status = 0;

	/* A line is one write, so that those of several containers do not mix. */
	setvbuf(stdout, NULL, _IOFBF, LINE_MAX_BYTES);
	printer->name = i->config.name;
	if (log_read(i, how, print_line, printer, &err) < 0)
		status = cmd_fail(&err, 1);
	db = tell_end ? cmd_db(&err) : NULL;
	if (db && instance_find(db, i->config.id, &now, NULL) == 0) {
		status = (int)(now->state.exit_code & 0xff);
		printf("%s exited with code %" PRId64 "\n", now->config.name, now->state.exit_code);
	}
	fflush(stdout);
	cmd_db_close();
	_exit(status);
}

/* A child that does not outlive us. */
static pid_t fork_with_us(void)
{
	pid_t us = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != us)
			_exit(1);
	}
	return pid;
}

/* Its process's id, or -errno. The database is closed before. */
static pid_t start_follower(const struct instance *i, const struct log_read *how,
	struct printer *printer, bool tell_end, struct err *err)
{
	pid_t pid = fork_with_us();

	if (pid == 0)
		follow(i, how, printer, tell_end);
	return pid < 0 ? err_errno(err, "start a process") : pid;
}

static int run_logs(struct cmd_call *call)
{
	const struct logs_options *o = call->options;
	const struct log_read how = { .tail = o->tail_given ? o->tail : -1,
		.follow = o->follow,
		.want_stdout = true,
		.want_stderr = true };
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(instance_list_free) struct instance_list list = { 0 };
	struct printer printer = { .o = o };
	struct err err = { 0 };
	int status = 0, one;

	if (compose_project(call->args, false, &p, &err) < 0 ||
		compose_chosen(&p, false, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < list.n; i++) {
		int len = (int)strlen(list.items[i]->config.name);
		printer.width = len > printer.width ? len : printer.width;
	}
	if (o->follow) {
		cmd_db_close();
		for (size_t i = 0; i < list.n; i++)
			if (start_follower(
				    list.items[i], &how, &printer, /* tell_end= */ false, &err) < 0)
				return cmd_fail(&err, 1);
		while (wait(&one) > 0 || errno == EINTR)
			status |= one != 0;
		return status;
	}
	for (size_t i = 0; i < list.n; i++) {
		printer.name = list.items[i]->config.name;
		if (log_read(list.items[i], &how, print_line, &printer, &err) < 0)
			return cmd_fail(&err, 1);
	}
	return 0;
}

const struct cmd cmd_compose_logs = {
	.name = "compose logs",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Show what the project's containers have written",
	.options = logs_rows,
	.options_size = sizeof(struct logs_options),
	.max_args = SIZE_MAX,
	.run = run_logs,
};

/* LEAVING: coming up failed; what runs goes on, without us. */
enum phase { COMING_UP, FOLLOWING, STOPPING, KILLING, LEAVING };

struct foreground {
	struct compose_project *p;
	const struct compose_foreground *how;
	enum phase phase;
	pid_t worker; /* that does what the phase says, or 0 */
	int64_t since;
	int width;                 /* of containers' names */
	struct instance_list list; /* of those that are followed, or were */
	pid_t *followers;          /* of list; 0: it has ended */
	size_t following;
	bool ended; /* one whose end stops all */
	int status;
};

static void work(struct foreground *f, enum phase phase)
{
	const struct cmd *cmd = phase == KILLING ? &cmd_compose_kill : &cmd_compose_stop;
	struct err err = { 0 };
	int r;

	f->phase = phase;
	f->worker = fork_with_us();
	if (f->worker != 0)
		return;
	r = compose_act(cmd, f->p, &f->how->life, &err);
	if (r < 0)
		cmd_fail(&err, 1);
	cmd_db_close();
	_exit(r < 0);
}

static void on_signal(struct foreground *f, int signo)
{
	f->status = 128 + signo;
	if (f->phase >= KILLING)
		return;
	if (f->worker > 0) {
		/* It may keep SIGTERM back, and what it does is asked of a supervisor, who goes on. */
		kill(f->worker, f->phase == COMING_UP ? SIGTERM : SIGKILL);
		while (waitpid(f->worker, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (f->phase < STOPPING)
		fputs("Stopping: once more kills\n", stderr);
	work(f, f->phase < STOPPING ? STOPPING : KILLING);
}

static bool is_followed(const struct foreground *f, const struct instance *one)
{
	for (size_t i = 0; i < f->list.n; i++)
		if (strcmp(f->list.items[i]->config.id, one->config.id) == 0)
			return true;
	return false;
}

/* Takes the container over. */
static void follow_one(struct foreground *f, struct instance *one, struct err *err)
{
	static const struct logs_options options = { .follow = true };
	const struct node *s = compose_service(f->p, compose_label(one, "service"));
	const bool shown = !node_get(s, "attach") || node_bool(s, "attach");
	const struct log_read how = { .tail = -1,
		.since = f->since,
		.follow = true,
		.want_stdout = shown,
		.want_stderr = shown };
	struct printer printer = { .o = &options, .width = f->width };
	pid_t pid = start_follower(one, &how, &printer, /* tell_end= */ true, err);

	if (pid < 0) {
		instance_free(one);
		return;
	}
	f->list.items = xrealloc_array(f->list.items, f->list.n + 1, sizeof(*f->list.items));
	f->followers = xrealloc_array(f->followers, f->list.n + 1, sizeof(*f->followers));
	f->list.items[f->list.n] = one;
	f->followers[f->list.n++] = pid;
	f->following++;
}

/* Those that are not followed yet: while others come up those that came up now, as older ones may be
 * replaced; then all. */
static void follow_more(struct foreground *f)
{
	struct instance_list list = { 0 };
	struct err err = { 0 };
	int r = compose_chosen(f->p, false, &list, &err);

	cmd_db_close();
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct instance *one = list.items[i];
		if (is_followed(f, one) || (f->phase != FOLLOWING && one->state.started < f->since))
			instance_free(one);
		else
			follow_one(f, one, &err);
	}
	free(list.items);
	if (err.code)
		f->status = cmd_fail(&err, 1);
}

/* Those whose containers run would not end; the others show the rest of what was written. */
static void leave(struct foreground *f)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };

	f->phase = LEAVING;
	follow_more(f);
	compose_chosen(f->p, false, &list, NULL);
	cmd_db_close();
	for (size_t i = 0; i < f->list.n; i++)
		for (size_t k = 0; f->followers[i] && k < list.n; k++)
			if (instance_running(list.items[k]) &&
				strcmp(list.items[k]->config.id, f->list.items[i]->config.id) == 0)
				kill(f->followers[i], SIGKILL);
}

/* What others wait for to end well does not stop them by ending well. */
static bool is_awaited(const struct compose_project *p, const char *service)
{
	strv_foreach (other, p->services) {
		const struct node *depends = node_get(compose_service(p, *other), "depends_on");
		const char *condition = node_text(node_get(depends, service), "condition");
		if (condition && strcmp(condition, "service_completed_successfully") == 0)
			return true;
	}
	return false;
}

static void follower_ended(struct foreground *f, size_t i, int status)
{
	const char *service = compose_label(f->list.items[i], "service");
	const char *from = f->how->exit_code_from;
	bool asked = from && strcmp(service, from) == 0, first = !f->ended && f->phase < STOPPING;

	f->followers[i] = 0;
	f->following--;
	if (!f->how->abort || f->phase == LEAVING ||
		(status == 0 && !asked && is_awaited(f->p, service)))
		return;
	f->ended = true;
	if (from ? asked && f->status < 128 : first)
		f->status = status;
	if (first && f->phase == FOLLOWING)
		work(f, STOPPING);
}

static void came_up(struct foreground *f, int status)
{
	if (status) {
		f->status = status;
		leave(f);
		return;
	}
	f->phase = FOLLOWING;
	follow_more(f);
	if (f->ended)
		work(f, STOPPING);
}

static void reap(struct foreground *f)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid == f->worker) {
			f->worker = 0;
			if (f->phase == COMING_UP)
				came_up(f, code);
			else if (code)
				f->status = code;
			continue;
		}
		for (size_t i = 0; i < f->list.n; i++)
			if (f->followers[i] == pid)
				follower_ended(f, i, code);
	}
}

int compose_foreground(struct compose_project *p, const struct compose_foreground *how,
	int (*up)(void *data), void *data)
{
	struct foreground f = { .p = p, .how = how, .since = time_now() };
	sigset_t set, before;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, COMPOSE_STARTED);
	strv_foreach (service, p->services) {
		cleanup(free) char *name = compose_container_name(
			p, *service, compose_scale(compose_service(p, *service)));
		int len = (int)strlen(name);
		f.width = len > f.width ? len : f.width;
	}
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &before);
	cmd_db_close();
	f.worker = fork_with_us();
	if (f.worker == 0) {
		int status;
		sigprocmask(SIG_SETMASK, &before, NULL);
		status = up(data);
		fflush(stdout);
		cmd_db_close();
		_exit(status);
	}
	while (f.worker > 0 || f.following > 0) {
		signo = sigwaitinfo(&set, NULL);
		if (signo == SIGCHLD)
			reap(&f);
		else if (signo == COMPOSE_STARTED && f.phase == COMING_UP)
			follow_more(&f);
		else if (signo == SIGINT || signo == SIGTERM)
			on_signal(&f, signo);
	}
	instance_list_free(&f.list);
	free(f.followers);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return f.worker < 0 ? 1 : f.status;
}
