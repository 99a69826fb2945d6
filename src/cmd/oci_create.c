/* `holm oci create, start, run`. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"
#include "instance/stream.h"
#include "oci/notify.h"

struct create_options {
	const char *bundle, *console_socket, *pid_file, *pidfd_socket;
	bool no_pivot, no_new_keyring;
	int64_t preserve_fds;
	bool detach, keep, no_subreaper; /* run */
};

#define CREATE_OPTIONS \
	OPTION_WITH(struct create_options, bundle, OPT_STR, 'b', "bundle", "DIR", \
		"path to the root of the bundle directory, defaults to the current directory", \
		.complete = COMPLETE_FILE), \
		OPTION_WITH(struct create_options, console_socket, OPT_STR, 0, "console-socket", \
			"PATH", \
			"path to an AF_UNIX socket which will receive the master end of the console's " \
			"pseudoterminal", \
			.complete = COMPLETE_FILE), \
		OPTION_WITH(struct create_options, pidfd_socket, OPT_STR, 0, "pidfd-socket", \
			"PATH", \
			"path to an AF_UNIX socket which will receive a descriptor of the process", \
			.complete = COMPLETE_FILE), \
		OPTION_WITH(struct create_options, pid_file, OPT_STR, 0, "pid-file", "FILE", \
			"specify the file to write the process id to", .complete = COMPLETE_FILE), \
		OPTION(struct create_options, no_pivot, OPT_FLAG, 0, "no-pivot", NULL, \
			"do not pivot to the root: for one on the initial ramdisk"), \
		OPTION(struct create_options, no_new_keyring, OPT_FLAG, 0, "no-new-keyring", NULL, \
			"do not create a new session keyring for the container"), \
		OPTION(struct create_options, preserve_fds, OPT_INT, 0, "preserve-fds", "N", \
			"pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N " \
			"in total)")

static const struct cmd_option create_rows[] = { CREATE_OPTIONS, OPTION_END };

static const struct cmd_option run_rows[] = { CREATE_OPTIONS,
	OPTION(struct create_options, detach, OPT_FLAG, 'd', "detach", NULL,
		"detach from the container's process"),
	OPTION(struct create_options, keep, OPT_FLAG, 0, "keep", NULL,
		"do not delete the container after it exits"),
	OPTION(struct create_options, no_subreaper, OPT_FLAG, 0, "no-subreaper", NULL,
		"do not reap processes that the container leaves"),
	OPTION_END };

int oci_console_connect(const char *path, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = -1, at = -1;

	if (!path || !*path)
		return -1;
	/* Paths of sockets may be longer than an address. */
	at = open(path, O_PATH | O_CLOEXEC);
	if (at < 0)
		return err_errno(err, "console socket '%s'", path);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d", at);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(err, "console socket '%s'", path);
	return take_fd(fd);
}

/* Reaps what came to us; the status of `pid` when that was among it, else -1. */
static int reap(pid_t pid)
{
	int status, found = -1;
	pid_t p;

	while ((p = waitpid(-1, &status, WNOHANG)) > 0)
		if (p == pid)
			found = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return found;
}

static int wait_for(pid_t pid)
{
	sigset_t all;
	int status, signo;

	sigfillset(&all);
	while ((status = reap(pid)) < 0) {
		if (sigwait(&all, &signo) != 0 || signo == SIGCHLD)
			continue;
		/* Those are about ourselves. */
		if (signo != SIGPIPE && signo != SIGURG)
			kill(pid, signo);
	}
	return status;
}

int oci_follow(pid_t pid, int pidfd, int console)
{
	struct stream_attach how = { .tty = true, .stdin_on = true, .transparent = true };
	struct err err = { 0 };
	int status;

	if (console < 0)
		return wait_for(pid);
	if (console_attach(console, pidfd, &how, &err) < 0)
		oci_fail(&err, 1);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 255;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int check_cgroup_driver(struct err *err)
{
	if (!oci_options()->systemd_cgroup)
		return 0;
	if (access("/run/systemd/system", F_OK) < 0)
		return err_set(err, ENOTSUP,
			"systemd cgroup flag passed, but systemd support for managing cgroups is not available");
	return err_set(err, ENOTSUP,
		"systemd cgroup flag passed, but cgroups are made without systemd here: leave out --systemd-cgroup");
}

/* Paths are the caller's, and the bundle becomes the working directory. */
static int enter_bundle(const struct create_options *o, char **ret_pid_file, struct err *err)
{
	char cwd[PATH_MAX];

	if (o->pid_file && *o->pid_file) {
		if (*o->pid_file != '/' && !getcwd(cwd, sizeof(cwd)))
			return err_errno(err, "find the working directory");
		*ret_pid_file = *o->pid_file == '/' ? xstrdup(o->pid_file)
						    : xasprintf("%s/%s", cwd, o->pid_file);
	}
	if (o->bundle && *o->bundle && chdir(o->bundle) < 0)
		return err_errno(err, "chdir %s", o->bundle);
	return 0;
}

static int listen_fds(void)
{
	const char *text = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	return text && (!pid || atoi(pid) == getpid()) && atoi(text) > 0 ? atoi(text) : 0;
}

static int create(const struct cmd_call *call, bool start, int *ret_console,
	struct oci_container **ret, struct err *err)
{
	const struct create_options *o = call->options;
	cleanup(fd_close) int socket = -1, pidfd_socket = -1;
	cleanup(free) char *pid_file = NULL;
	struct oci_create args = { .root = oci_options()->root,
		.id = call->args[0],
		.no_pivot = o->no_pivot,
		.no_new_keyring = o->no_new_keyring,
		.start = start,
		.process = { .console_socket = -1, .ret_console = ret_console } };
	int r = check_cgroup_driver(err);

	if (r < 0)
		return r;
	if (o->preserve_fds < 0 || o->preserve_fds > 65536)
		return err_set(err, EINVAL, "--preserve-fds: not in 0..65536");
	args.process.keep_fds = (int)o->preserve_fds + listen_fds();
	if (o->console_socket && *o->console_socket) {
		socket = oci_console_connect(o->console_socket, err);
		if (socket < 0)
			return socket;
	}
	args.process.console_socket = socket;
	if (o->pidfd_socket && *o->pidfd_socket) {
		pidfd_socket = oci_console_connect(o->pidfd_socket, err);
		if (pidfd_socket < 0)
			return pidfd_socket;
		args.process.pidfd_socket = pidfd_socket;
	}
	r = enter_bundle(o, &pid_file, err);
	if (r < 0)
		return r;
	args.process.pid_file = pid_file;
	return oci_create(&args, ret, err);
}

static int create_run(struct cmd_call *call)
{
	cleanup(oci_container_free) struct oci_container *c = NULL;
	struct err err = { 0 };

	if (create(call, /* start= */ false, NULL, &c, &err) < 0) {
		err_wrap(&err, "runc create failed");
		return oci_fail(&err, 1);
	}
	return 0;
}

static int start_run(struct cmd_call *call)
{
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	cleanup(fd_close) int notify = -1;

	if (!c)
		return oci_fail(&err, 1);
	if (oci_notify_listen(c, &notify, &err) < 0 || oci_start(c, &err) < 0)
		return oci_fail(&err, 1);
	oci_notify_wait(c, notify, (pid_t)c->run.pid);
	return 0;
}

static int run_failed(struct oci_container *c, struct err *err)
{
	if (c)
		oci_destroy(c, NULL);
	err_wrap(err, "runc run failed");
	return oci_fail(err, 1);
}

static int run_run(struct cmd_call *call)
{
	const struct create_options *o = call->options;
	cleanup(oci_container_free) struct oci_container *c = NULL;
	cleanup(fd_close) int console = -1, pidfd = -1, notify = -1;
	struct err err = { 0 };
	sigset_t all;
	int status;

	if (!o->detach) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		if (!o->no_subreaper)
			prctl(PR_SET_CHILD_SUBREAPER, 1);
	}
	if (create(call, /* start= */ true, o->detach ? NULL : &console, &c, &err) < 0)
		return run_failed(NULL, &err);
	if (!o->detach && console >= 0) {
		pidfd = run_pidfd(&c->run);
		if (pidfd < 0) {
			err_code(&err, pidfd, "open the container's first process");
			return run_failed(c, &err);
		}
	}
	if (oci_notify_listen(c, &notify, &err) < 0 || oci_start(c, &err) < 0)
		return run_failed(c, &err);
	if (o->detach) {
		oci_notify_wait(c, notify, (pid_t)c->run.pid);
		return 0;
	}
	oci_notify_fork(c, notify);
	status = oci_follow((pid_t)c->run.pid, pidfd, console);
	if (!o->keep && oci_destroy(c, &err) < 0)
		oci_fail(&err, status);
	return status;
}

const struct cmd cmd_oci_create = {
	.name = "oci create",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "create a container",
	.description = "Makes everything up to the bundle's process, which 'start' executes.",
	.options = create_rows,
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = create_run,
};

const struct cmd cmd_oci_start = {
	.name = "oci start",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "executes the user defined process in a created container",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = start_run,
};

const struct cmd cmd_oci_run = {
	.name = "oci run",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "create and run a container",
	.description = "Creates it, starts it, waits for its end, and deletes it.",
	.options = run_rows,
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = run_run,
};
