/* See container.h: the parts that work from the state alone. */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "container/cgroup.h"
#include "container/hook.h"
#include "container/report.h"
#include "container/start.h"
#include "rootless/rootless.h"

#define EXIT_WAIT_MS 10000

int start_listen(int run_dir, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, "make a socket");
	/* Whatever the directory's path is, this is short enough for a socket's address. */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" START_NAME, run_dir);
	unlinkat(run_dir, START_NAME, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return err_errno(
			err, "make the socket '" START_NAME "' in the container's directory");
	return take_fd(fd);
}

static int start_connect(int run_dir, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, "make a socket");
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" START_NAME, run_dir);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return take_fd(fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(err, EINVAL, "the container was started before or has ended");
	return err_errno(err, "reach the container's first process");
}

static int open_run_dir(const struct run_state *state, struct err *err)
{
	int fd = state->run_dir ? open(state->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!state->run_dir)
		return err_set(err, EINVAL, "the state names no directory");
	return fd < 0 ? err_errno(err, "open '%s'", state->run_dir) : fd;
}

static int go(int made, struct err *err)
{
	return report_go(made) < 0
		       ? err_set(err, ESRCH, "the process died before its program was executed")
		       : report_wait_exec(made, err);
}

int container_start(const struct run_state *state, int made, struct err *err)
{
	cleanup(fd_close) int run_dir = open_run_dir(state, err), conn = -1;
	int r;

	if (run_dir < 0)
		return run_dir;
	if (made >= 0) {
		r = go(made, err);
	} else {
		conn = start_connect(run_dir, err);
		if (conn < 0)
			return conn;
		r = report_wait_exec(conn, err);
		/* Its absence is what tells "running" from "created". */
		unlinkat(run_dir, START_NAME, 0);
	}
	return r < 0 ? r : hooks_run_poststart(run_dir, (pid_t)state->pid, err);
}

/* Without a group: whoever starts a process meanwhile, by a signal that it survives, may miss it. */
static int kill_found(const struct run_state *state, int signo, struct err *err)
{
	cleanup(free) pid_t *pids = NULL;
	int n = container_pids(state, &pids, err);

	if (n == -ESRCH)
		return 0;
	for (int i = 0; i < n; i++)
		if (kill(pids[i], signo) < 0 && errno != ESRCH)
			return err_errno(err, "send signal %d to process %d", signo, (int)pids[i]);
	return n < 0 ? n : 0;
}

int container_kill(const struct run_state *state, int signo, bool all, struct err *err)
{
	cleanup(fd_close) int fd = -1;

	if (all && state->cgroup)
		return cgroup_kill(state->cgroup, signo, err);
	if (all)
		return kill_found(state, signo, err);
	fd = run_pidfd(state);
	if (fd == -ESRCH)
		return 0;
	if (fd < 0)
		return err_code(err, fd, "open process %lld", (long long)state->pid);
	if (syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) < 0 && errno != ESRCH)
		return err_errno(
			err, "send signal %d to process %lld", signo, (long long)state->pid);
	return 0;
}

enum run_status container_status(const struct run_state *state)
{
	cleanup(free) char *start = NULL;

	if (!run_alive(state))
		return RUN_STOPPED;
	if (state->cgroup && cgroup_is_frozen(state->cgroup))
		return RUN_PAUSED;
	start = xasprintf("%s/" START_NAME, state->run_dir ? state->run_dir : "");
	return access(start, F_OK) == 0 ? RUN_CREATED : RUN_RUNNING;
}

static int wait_for_exit(int pidfd, struct err *err)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, EXIT_WAIT_MS);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : err_set(err, EBUSY, "the container's first process does not die");
}

int container_destroy(const struct run_state *state, struct err *err)
{
	cleanup(fd_close) int pidfd = run_pidfd(state), run_dir = -1;
	int r = 0;

	if (pidfd >= 0)
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* Before waiting: a frozen group is thawed here, which dying takes. */
	if (state->cgroup)
		r = cgroup_remove(state->cgroup, err);
	if (pidfd >= 0 && r == 0)
		r = wait_for_exit(pidfd, err);
	run_dir = state->run_dir ? open(state->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (run_dir >= 0 && r == 0) {
		unlinkat(run_dir, START_NAME, 0);
		hooks_run_poststop(run_dir);
	}
	return r; /* mounts and links went with their namespaces */
}

/* ---- what the host offers */

static bool has_overlay(void)
{
	/* Loads the module where it is one. */
	int fd = fsopen("overlay", FSOPEN_CLOEXEC);

	fd_close(fd);
	return fd >= 0;
}

int container_available(struct err *err)
{
	/* Of Linux 5.12, and the newest of what is needed: EBADF where it is known. */
	if (mount_setattr(-1, "", AT_EMPTY_PATH, &(struct mount_attr){ 0 },
		    sizeof(struct mount_attr)) < 0 &&
		errno == ENOSYS)
		return err_set(err, ENOSYS,
			"containers need Linux 5.12 or later; this is older: install a newer kernel");
	if (access("/proc/self/ns/pid_for_children", F_OK) < 0)
		return err_errno(err, "'/proc' shows no namespaces: mount -t proc proc /proc");
	if (!has_overlay())
		return err_set(
			err, ENODEV, "the kernel has no overlay file system: modprobe overlay");
	if (cgroup_mode() == CGROUP_NONE && !rootless())
		return err_set(err, ENODEV,
			"no cgroup file system: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	return 0;
}
