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

/* The project's containers of the chosen services, and how wide their names are. */
static int choose(
	struct compose_project *p, struct instance_list *ret, int *ret_width, struct err *err)
{
	struct db *db = cmd_db(err);
	struct instance_list all = { 0 };
	size_t n = 0;
	int r = db ? compose_containers(db, p, NULL, &all, err) : -EIO;

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		struct instance *one = all.items[i];
		int len = (int)strlen(one->config.name);
		if (!strv_contains(p->services, compose_label(one, "service"))) {
			instance_free(one);
			continue;
		}
		*ret_width = len > *ret_width ? len : *ret_width;
		all.items[n++] = one;
	}
	all.n = n;
	*ret = all;
	return 0;
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

/* pids: as many as there are containers; those that could not be started are missing: -errno. */
static int follow_all(const struct instance_list *list, const struct log_read *how,
	struct printer *printer, bool tell_end, pid_t *pids, struct err *err)
{
	cmd_db_close();
	for (size_t i = 0; i < list->n; i++) {
		pids[i] = fork_with_us();
		if (pids[i] == 0)
			follow(list->items[i], how, printer, tell_end);
		if (pids[i] < 0)
			return err_errno(err, "start a process");
	}
	return 0;
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
	cleanup(free) pid_t *pids = NULL;
	struct printer printer = { .o = o };
	struct err err = { 0 };
	int status = 0, one;

	if (compose_project(call->args, false, &p, &err) < 0 ||
		choose(&p, &list, &printer.width, &err) < 0)
		return cmd_fail(&err, 1);
	if (o->follow) {
		pids = xcalloc(list.n + 1, sizeof(*pids));
		if (follow_all(&list, &how, &printer, /* tell_end= */ false, pids, &err) < 0)
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

enum phase { COMING_UP, FOLLOWING, STOPPING, KILLING };

struct foreground {
	struct compose_project *p;
	const struct compose_foreground *how;
	enum phase phase;
	pid_t worker; /* that does what the phase says, or 0 */
	int64_t since;
	struct instance_list list;
	pid_t *followers; /* of list; 0: it has ended */
	size_t following;
	int status;
};

static void work(struct foreground *f, enum phase phase)
{
	const struct cmd *cmd = phase == KILLING ? &cmd_compose_kill : &cmd_compose_stop;
	struct err err = { 0 };
	struct db *db;
	int r;

	f->phase = phase;
	f->worker = fork_with_us();
	if (f->worker != 0)
		return;
	db = cmd_db(&err);
	r = db ? compose_each(cmd, db, f->p, f->how->timeout, &err) : -EIO;
	if (r < 0)
		cmd_fail(&err, 1);
	cmd_db_close();
	_exit(r < 0);
}

static void on_signal(struct foreground *f, int signo)
{
	f->status = 128 + signo;
	if (f->phase == KILLING)
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

static void start_following(struct foreground *f)
{
	static const struct logs_options options = { .follow = true };
	const struct log_read how = { .tail = -1,
		.since = f->since,
		.follow = true,
		.want_stdout = true,
		.want_stderr = true };
	struct printer printer = { .o = &options };
	struct err err = { 0 };

	f->phase = FOLLOWING;
	if (choose(f->p, &f->list, &printer.width, &err) == 0) {
		f->followers = xcalloc(f->list.n + 1, sizeof(*f->followers));
		follow_all(&f->list, &how, &printer, /* tell_end= */ true, f->followers, &err);
		for (size_t i = 0; i < f->list.n; i++)
			f->following += f->followers[i] > 0;
	}
	if (err.code)
		f->status = cmd_fail(&err, 1);
}

static void follower_ended(struct foreground *f, size_t i, int status)
{
	const char *from = f->how->exit_code_from;
	bool first = f->phase == FOLLOWING;

	f->followers[i] = 0;
	f->following--;
	if (!f->how->abort)
		return;
	if (from ? strcmp(compose_label(f->list.items[i], "service"), from) == 0 && f->status < 128
		 : first)
		f->status = status;
	if (first)
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
			if (f->phase == COMING_UP && code == 0)
				start_following(f);
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
		else if (signo > 0)
			on_signal(&f, signo);
	}
	instance_list_free(&f.list);
	free(f.followers);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return f.worker < 0 ? 1 : f.status;
}
