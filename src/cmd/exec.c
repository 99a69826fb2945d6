/*
 * `holm exec`: a further process in a running instance, child of this program. No supervisor takes
 * part; a terminal that nobody watches any more (detached) is drained by a small process left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "cmd/foreground.h"
#include "cmd/run_options.h"
#include "rootless/rootless.h"

struct exec_options {
	bool detach, interactive, tty, privileged;
	const char *detach_keys, *user, *workdir;
	char **env, **env_file;
	/* compose exec's */
	bool no_tty;
	int64_t index;
};

static const struct cmd_option exec_option_rows[] = {
	OPTION(struct exec_options, detach, OPT_FLAG, 'd', "detach", NULL, "run in the background"),
	OPTION(struct exec_options, detach_keys, OPT_STR, 0, "detach-keys", "KEYS",
		"keys that detach the terminal (ctrl-p,ctrl-q)"),
	OPTION(struct exec_options, env, OPT_STRV, 'e', "env", "NAME[=VALUE]",
		"set a variable; without = take the caller's value"),
	OPTION_WITH(struct exec_options, env_file, OPT_STRV, 0, "env-file", "FILE",
		"read variables from a file", .complete = COMPLETE_FILE),
	OPTION(struct exec_options, interactive, OPT_FLAG, 'i', "interactive", NULL,
		"give it our input"),
	OPTION(struct exec_options, privileged, OPT_FLAG, 0, "privileged", NULL,
		"with all capabilities"),
	OPTION(struct exec_options, tty, OPT_FLAG, 't', "tty", NULL, "give it a terminal"),
	OPTION(struct exec_options, user, OPT_STR, 'u', "user", "USER[:GROUP]",
		"user, by name or number"),
	OPTION(struct exec_options, workdir, OPT_STR, 'w', "workdir", "PATH", "working directory"),
	OPTION_END,
};

/* Ours ([0..2]) and the process's ends of its stdio. */
struct ends {
	int ours[3], theirs[3];
};

static void close_all(int fds[3])
{
	for (int n = 0; n < 3; n++)
		fds[n] = fd_close(fds[n]);
}

/* Pipes for what we follow, /dev/null for the rest. */
static int open_ends(const struct exec_options *o, struct ends *e, struct err *err)
{
	for (int n = 0; n < 3; n++)
		e->ours[n] = e->theirs[n] = -1;
	for (int n = 0; n < 3; n++) {
		int p[2];
		bool null = o->detach || (n == 0 && !o->interactive);
		if (null) {
			e->theirs[n] = open("/dev/null", O_RDWR | O_CLOEXEC);
		} else if (pipe2(p, O_CLOEXEC) == 0) {
			e->theirs[n] = p[n != 0];
			e->ours[n] = p[n == 0];
		}
		if (e->theirs[n] < 0) {
			int r = err_errno(err, "make a pipe");
			close_all(e->ours);
			close_all(e->theirs);
			return r;
		}
	}
	return 0;
}

static int exit_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Keeps reading a terminal, which would hang up on its processes if its master were closed. */
static void leave_drain(int console, int pidfd)
{
	static char waste[4096];
	int null;

	/* Our end hangs up the terminal that we have in common, perhaps before setsid(). */
	signal(SIGHUP, SIG_IGN);
	if (fork() != 0)
		return;
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	fd_set_nonblock(console, true);
	for (;;) {
		struct pollfd fds[] = { { .fd = console, .events = POLLIN },
			{ .fd = pidfd, .events = POLLIN } };
		poll(fds, 2, -1);
		if (fds[1].revents)
			_exit(0);
		if (fds[0].revents && read(console, waste, sizeof(waste)) <= 0 && errno != EAGAIN)
			_exit(0);
	}
}

static int exec_tty(struct db *db, struct instance *i, const struct exec_options *o,
	struct instance_exec *what, struct err *err)
{
	struct stream_attach how = {
		.tty = true, .stdin_on = o->interactive, .detach_keys = o->detach_keys
	};
	cleanup(fd_close) int console = -1, pidfd = -1;
	pid_t pid = 0;
	int r;

	terminal_size(&what->rows, &what->columns);
	what->ret_console = &console;
	pidfd = instance_exec(db, i, what, &pid, err);
	what->ret_console = NULL;
	if (pidfd < 0)
		return cmd_fail(err, foreground_status(err, 126));
	r = o->detach ? 1 : console_attach(console, pidfd, &how, err);
	if (r == 1)
		leave_drain(console, pidfd);
	if (r < 0)
		return cmd_fail(err, 125);
	return r == 1 ? 0 : exit_status(pid);
}

static int exec_pipes(struct db *db, struct instance *i, const struct exec_options *o,
	struct instance_exec *what, struct err *err)
{
	cleanup(fd_close) int pidfd = -1;
	struct ends e;
	pid_t pid = 0;
	int r = open_ends(o, &e, err);

	if (r < 0)
		return cmd_fail(err, 125);
	memcpy(what->stdio, e.theirs, sizeof(what->stdio));
	pidfd = instance_exec(db, i, what, &pid, err);
	close_all(e.theirs);
	if (pidfd < 0 || o->detach) {
		close_all(e.ours);
		return pidfd < 0 ? cmd_fail(err, foreground_status(err, 126)) : 0;
	}
	r = pipes_attach(pidfd, e.ours[0], e.ours[1], e.ours[2], err);
	return r < 0 ? cmd_fail(err, 125) : exit_status(pid);
}

static int find_running(struct db *db, const char *name, struct instance **ret, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, name, &i, err);

	if (r < 0)
		return r;
	if (strcmp(i->state.status, "paused") == 0)
		return err_set(err, EBUSY, "container %s is paused: 'holm unpause %s' first",
			i->config.name, i->config.name);
	if (strcmp(i->state.status, "restarting") == 0)
		return err_set(err, EBUSY, "container %s is restarting: wait until it runs",
			i->config.name);
	if (!instance_running(i))
		return err_set(err, EINVAL, "container %s is not running: 'holm start %s' first",
			i->config.name, i->config.name);
	*ret = take(i);
	return 0;
}

static int exec_in(struct cmd_call *call, const char *container)
{
	const struct exec_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	cleanup(strv_free) char **env = NULL;
	struct err err = { 0 };
	struct db *db;
	struct instance_exec what = { .args = call->args + 1,
		.user = o->user,
		.working_dir = o->workdir,
		.tty = o->tty,
		.privileged = o->privileged,
		.detach = o->detach };

	if (o->workdir && o->workdir[0] != '/')
		return cmd_usage(call, "--workdir: '%s' is not an absolute path", o->workdir);
	if (env_resolve(o->env_file, o->env, &env, &err) < 0)
		return cmd_fail(&err, 125);
	if (foreground_check(o->tty, o->interactive && !o->detach, o->detach_keys, &err) < 0)
		return cmd_fail(&err, err.code == ENOTTY ? 1 : 125);
	db = cmd_db(&err);
	if (!db || find_running(db, container, &i, &err) < 0)
		return cmd_fail(&err, 1);
	if (rootless_join_network((pid_t)i->state.run.pid, &err) < 0)
		return cmd_fail(&err, 125);
	what.env = env;
	return o->tty ? exec_tty(db, i, o, &what, &err) : exec_pipes(db, i, o, &what, &err);
}

static int run(struct cmd_call *call)
{
	return exec_in(call, call->args[0]);
}

const struct cmd cmd_exec = {
	.name = "exec",
	.alias = "container exec",
	.group = "Instances",
	.args = "CONTAINER COMMAND [ARG...]",
	.summary = "Run a further command in a running container",
	.description =
		"The exit status is that of the command; 126 when it cannot be executed, 127 when it "
		"was not found, 1 when there is no such running container.",
	.examples =
		"holm exec -it web bash\nholm exec -u postgres -w /var/lib db pg_dump app >app.sql",
	.options = exec_option_rows,
	.options_size = sizeof(struct exec_options),
	.min_args = 2,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST | CMD_LATE_NETWORK,
	.complete = COMPLETE_RUNNING,
	.complete_more = COMPLETE_NONE,
	.run = run,
};

static const struct cmd_option compose_exec_rows[] = {
	OPTION(struct exec_options, detach, OPT_FLAG, 'd', "detach", NULL, "run in the background"),
	OPTION(struct exec_options, env, OPT_STRV, 'e', "env", "NAME[=VALUE]",
		"set a variable; without = take the caller's value"),
	OPTION(struct exec_options, index, OPT_INT, 0, "index", "NUMBER",
		"which of the service's containers (the first)"),
	OPTION(struct exec_options, no_tty, OPT_FLAG, 'T', "no-TTY", NULL,
		"no terminal, though ours is one"),
	OPTION(struct exec_options, privileged, OPT_FLAG, 0, "privileged", NULL,
		"with all capabilities"),
	OPTION(struct exec_options, user, OPT_STR, 'u', "user", "USER[:GROUP]",
		"user, by name or number"),
	OPTION(struct exec_options, workdir, OPT_STR, 'w', "workdir", "PATH", "working directory"),
	OPTION_END,
};

/* As docker compose: with our input, and a terminal when ours is one. */
static int run_compose(struct cmd_call *call)
{
	struct exec_options *o = call->options;
	cleanup(free) char *container = NULL;
	struct err err = { 0 };

	o->interactive = true;
	o->tty = !o->no_tty && !o->detach && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (compose_container(call->args[0], o->index, &container, &err) < 0)
		return cmd_fail(&err, 1);
	return exec_in(call, container);
}

const struct cmd cmd_compose_exec = {
	.name = "compose exec",
	.group = "Compose",
	.args = "SERVICE COMMAND [ARG...]",
	.summary = "Run a further command in a service's container",
	.options = compose_exec_rows,
	.options_size = sizeof(struct exec_options),
	.min_args = 2,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST | CMD_LATE_NETWORK,
	.run = run_compose,
};
