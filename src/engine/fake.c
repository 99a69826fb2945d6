/*
 * The engine "fake": plain processes without any isolation. The template for a new engine, and the double
 * in tests of those who use one. Only the mandatory methods, and pause.
 *
 * create makes the two FIFOs RUN_DIR/start and RUN_DIR/started and a child that waits for a reader's or
 * writer's other end on them, as open(2) does. start opens the first, which lets the child go, and
 * reads from the second: the errno of execve, or nothing when that closed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"

#include "base/alloc.h"
#include "base/fd.h"

#define TRIES 1000 /* of 1 ms */

static int available(struct err *err)
{
	(void)err;
	return 0;
}

static void use_stdio(const int fds[3])
{
	int high[3];

	for (int i = 0; i < 3; i++)
		high[i] = fds[i] >= 0 ? fcntl(fds[i], F_DUPFD_CLOEXEC, 3)
				      : open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(high[i], i);
}

static int open_terminal(int *ret_master, struct err *err)
{
	cleanup(fd_close) int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int fd;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return err_errno(err, "open a terminal");
	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open a terminal");
	*ret_master = take_fd(master);
	return fd;
}

/* Becomes the program; the errno when that fails. */
static int become(const struct bundle_process *p, const int stdio[3], int terminal)
{
	const int same[3] = { terminal, terminal, terminal };
	static char *const empty[] = { NULL };
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	use_stdio(terminal >= 0 ? same : stdio);
	if (terminal >= 0)
		ioctl(0, TIOCSCTTY, 0);
	if (chdir(p->cwd) < 0)
		return errno;
	execvpe(p->args[0], p->args, p->env ? p->env : empty);
	return errno;
}

static _Noreturn void wait_and_become(const struct run_create *args, int dir, int terminal)
{
	int fd = openat(dir, "start", O_RDONLY | O_CLOEXEC), code;

	close(fd);
	fd = openat(dir, "started", O_WRONLY | O_CLOEXEC);
	code = become(args->bundle->process, args->stdio, terminal);
	_exit(write(fd, &code, sizeof(code)) < 0 || code != ENOENT ? 126 : 127);
}

static int create(const struct run_create *args, struct run_state *ret, struct err *err)
{
	cleanup(fd_close) int dir = open(args->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int master = -1, terminal = -1;
	struct run_state s = { 0 };
	int r;

	if (dir < 0)
		return err_errno(err, "open '%s'", args->run_dir);
	if (!args->bundle->process)
		return err_set(err, EINVAL, "process: the bundle has none");
	if (args->bundle->process->terminal) {
		terminal = open_terminal(&master, err);
		if (terminal < 0)
			return terminal;
	}
	if (mkfifoat(dir, "start", 0600) < 0 || mkfifoat(dir, "started", 0600) < 0)
		return err_errno(err, "make FIFOs in '%s'", args->run_dir);
	s.pid = fork();
	if (s.pid == 0)
		wait_and_become(args, dir, terminal);
	r = s.pid < 0 ? err_errno(err, "make a process") : 0;
	if (r == 0)
		r = run_pid_start((pid_t)s.pid, &s.pid_start);
	if (r == 0 && args->on_namespaces)
		r = args->on_namespaces(args->data, (pid_t)s.pid, err);
	if (r < 0) {
		if (s.pid > 0) {
			kill((pid_t)s.pid, SIGKILL);
			waitpid((pid_t)s.pid, NULL, 0);
		}
		unlinkat(dir, "start", 0);
		unlinkat(dir, "started", 0);
		return r;
	}
	if (args->ret_console)
		*args->ret_console = take_fd(master);
	s.run_dir = xstrdup(args->run_dir);
	*ret = s;
	return 0;
}

/* The child may not have come to its open(2) yet. */
static int open_start(int dir, const struct run_state *state)
{
	for (int i = 0; i < TRIES && run_alive(state); i++) {
		int fd = openat(dir, "start", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		/* -ENOENT is for programs that are not there. */
		if (errno != ENXIO)
			return errno == ENOENT ? -EINVAL : -errno;
		usleep(1000);
	}
	return -ESRCH;
}

static int start(const struct run_state *state, int made, struct err *err)
{
	cleanup(fd_close) int dir = open(state->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int go = -1, result = -1;
	int code = 0;

	if (dir < 0)
		return err_errno(err, "open '%s'", state->run_dir);
	go = open_start(dir, state);
	if (go < 0)
		return err_code(err, go, "it was started before or has ended");
	result = openat(dir, "started", O_RDONLY | O_CLOEXEC);
	if (result < 0)
		return err_errno(err, "open '%s/started'", state->run_dir);
	unlinkat(dir, "start", 0);
	if (fd_read_full(result, &code, sizeof(code)) != sizeof(code))
		return 0;
	return err_code(err, -code, "exec the program");
}

static int kill_process(const struct run_state *state, int signo, bool all, struct err *err)
{
	cleanup(fd_close) int fd = run_pidfd(state);
	int r;

	if (fd < 0)
		return fd == -ESRCH ? 0 : err_code(err, fd, "open the process");
	/* It leads a session and a group. */
	r = all ? killpg((pid_t)state->pid, signo)
		: (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
	return r < 0 && errno != ESRCH ? err_errno(err, "send signal %d", signo) : 0;
}

static int exec(const struct run_state *state, const struct bundle *bundle,
	const struct run_exec *args, pid_t *ret_pid, struct err *err)
{
	cleanup(fd_close) int master = -1, terminal = -1;
	int pipefd[2], code = 0, fd;
	pid_t pid;

	(void)bundle;
	if (!run_alive(state))
		return err_set(err, ESRCH, "it is not running");
	if (args->process->terminal) {
		terminal = open_terminal(&master, err);
		if (terminal < 0)
			return terminal;
	}
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid = fork();
	if (pid == 0) {
		code = become(args->process, args->stdio, terminal);
		_exit(write(pipefd[1], &code, sizeof(code)) < 0 || code != ENOENT ? 126 : 127);
	}
	close(pipefd[1]);
	fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid > 0 && fd_read_full(pipefd[0], &code, sizeof(code)) != sizeof(code))
		code = 0;
	close(pipefd[0]);
	if (fd < 0 || code) {
		fd_close(fd);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return code ? err_code(err, -code, "exec '%s'", args->process->args[0])
			    : err_errno(err, "make a process");
	}
	if (args->ret_console)
		*args->ret_console = take_fd(master);
	*ret_pid = pid;
	return fd;
}

static int pause_processes(const struct run_state *state, bool pause, struct err *err)
{
	return kill_process(state, pause ? SIGSTOP : SIGCONT, /* all= */ true, err);
}

static int destroy(const struct run_state *state, struct err *err)
{
	cleanup(fd_close) int fd = run_pidfd(state), dir = -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd >= 0) {
		killpg((pid_t)state->pid, SIGKILL);
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		if (poll(&p, 1, TRIES) != 1)
			return err_set(
				err, EBUSY, "process %lld does not die", (long long)state->pid);
	}
	dir = state->run_dir ? open(state->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir >= 0) {
		unlinkat(dir, "start", 0);
		unlinkat(dir, "started", 0);
	}
	return 0;
}

const struct engine engine_fake = {
	.name = "fake",
	.available = available,
	.create = create,
	.start = start,
	.kill = kill_process,
	.exec = exec,
	.pause = pause_processes,
	.destroy = destroy,
};
