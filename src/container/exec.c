/*
 * container_exec(): one more process in a running container, a child of the caller's. It is born in the
 * container's pid namespace, and joins the others by itself through the pidfd of the first process
 * (setns(2)); the caller stays where it is.
 */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "container/cgroup.h"
#include "container/console.h"
#include "container/namespace.h"
#include "container/process.h"
#include "container/report.h"

struct exec_setup {
	const struct run_state *state;
	const struct run_exec *args;
	struct process_setup process;
	const struct bundle_affinity *bundle_affinity; /* of the container's own process */
	uint64_t namespaces;                           /* that are not the caller's */
	int target;                                    /* pidfd of the container's first process */
	int cgroup_dir;
	int parent_end, child_end; /* report.h */
};

static void setup_free(struct exec_setup *s)
{
	process_setup_free(&s->process);
	fd_close(s->target);
	fd_close(s->cgroup_dir);
	fd_close(s->parent_end);
	fd_close(s->child_end);
}
DEFINE_CLEANUP_OBJECT(setup_free, struct exec_setup);

/* ---- the child */

static int join(const struct exec_setup *s, struct err *err)
{
	uint64_t user = s->namespaces & CLONE_NEWUSER;
	const struct bundle_affinity *cpus = s->args->process->exec_affinity
						     ? s->args->process->exec_affinity
						     : s->bundle_affinity;
	uint64_t others = s->namespaces & ~(uint64_t)(CLONE_NEWUSER | CLONE_NEWPID);
	int r = 0;

	if (cpus && cpus->initial && *cpus->initial)
		r = process_set_affinity(cpus->initial);
	if (r < 0)
		return err_code(err, r, "process.execCPUAffinity: set '%s'", cpus->initial);
	/* While we still see the host's mounts; by ourselves, see cgroup_join(). */
	if (s->state->cgroup && s->args->cgroups)
		r = cgroup_join_below(s->state->cgroup, s->args->cgroups, err);
	else if (s->state->cgroup && cgroup_mode() != CGROUP_V2)
		r = cgroup_join(s->state->cgroup, 0, err);
	if (r < 0)
		return r;
	/* Without a final one, what is initial stays, or what the group has. */
	if (cpus && cpus->final && *cpus->final)
		r = process_set_affinity(cpus->final);
	else if (!cpus || !cpus->initial || !*cpus->initial)
		process_set_affinity(NULL);
	if (r < 0)
		return err_code(err, r, "process.execCPUAffinity: set '%s'", cpus->final);
	/* The user namespace last: it takes the rights over those that belong to others. */
	if (others && setns(s->target, (int)others) < 0)
		return err_errno(err, "join the container's namespaces");
	if (!user)
		return 0;
	if (setns(s->target, CLONE_NEWUSER) < 0)
		return err_errno(err, "join the container's user namespace");
	return namespaces_become_root(err);
}

static int enter(const struct exec_setup *s, struct err *err)
{
	const struct bundle_process *p = s->args->process;
	struct console console = { -1, -1 };
	int r = join(s, err);

	if (r < 0)
		return r;
	if (p->terminal) {
		r = console_open(p, -1, /* bind= */ false, &console, err);
		if (r == 0 && s->args->plain_lines)
			console_plain_lines(&console);
		if (r == 0)
			r = console_use(console.terminal, err);
	} else {
		r = stdio_use(s->args->stdio, err);
	}
	if (r == 0)
		r = report_send(s->child_end, REPORT_READY, NULL, console.master);
	fd_close(console.master);
	fd_close(console.terminal);
	if (r == 0 && report_wait_go(s->child_end) < 0)
		r = err_set(err, EPIPE, "the parent is gone");
	return r;
}

static int child(void *data)
{
	struct exec_setup *s = data;
	struct err err = { 0 };
	int r;

	log_debug("container", "nsexec container setup: process %d", (int)getpid());
	process_detach(&s->process);
	fd_close(s->parent_end);
	s->parent_end = -1;
	r = enter(s, &err);
	/* Nothing of the host's stays open while the container's paths are walked. */
	s->target = fd_close(s->target);
	s->cgroup_dir = fd_close(s->cgroup_dir);
	log_debug("container", "child process in init(): all namespaces are entered");
	if (r == 0) {
		log_debug("container", "setns_init: about to exec");
		r = process_run(&s->process, s->child_end, &err);
	}
	report_send(s->child_end, REPORT_ERROR, &err, -1);
	return r == -ENOENT ? 127 : 126;
}

/* ---- the parent */

static uint64_t own_namespaces(const struct bundle *b)
{
	uint64_t set = 0;

	for (size_t i = 0; i < b->linux_.namespaces.n; i++) {
		const struct bundle_namespace *n = b->linux_.namespaces.items[i];
		set |= namespace_flag(n->type);
	}
	return set;
}

static int open_cgroup(const struct exec_setup *s)
{
	int fd = s->state->cgroup && !s->args->cgroups ? cgroup_fd(s->state->cgroup) : -1;

	return fd < 0 ? -1 : fd;
}

/* With the group's own children holding controllers, processes can only be where the first one is. */
static int open_first_cgroup(const struct exec_setup *s)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *path = xasprintf("/proc/%lld/cgroup", (long long)s->state->pid);
	const struct cgroup_hierarchy *list;
	char *line;
	size_t n;

	list = cgroup_hierarchies(&n);
	if (!n || file_read(AT_FDCWD, path, 1 << 16, &text) < 0 || !text.data)
		return -1;
	line = strstr(text.data, "0::/");
	if (!line)
		return -1;
	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, ".."))
		return -1;
	cleanup(free) char *dir = xasprintf("%s%s", list[0].mount, line + 3);
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int prepare(struct exec_setup *s, const struct bundle *b, struct err *err)
{
	int pair[2], r;

	s->target = run_pidfd(s->state);
	if (s->target < 0)
		return err_set(err, ESRCH, "the container is not running");
	s->bundle_affinity = b->process ? b->process->exec_affinity : NULL;
	s->namespaces = own_namespaces(b);
	r = cgroup_check_below(s->args->cgroups, err);
	if (r < 0)
		return r;
	if (!s->args->process->terminal)
		stdio_give(s->args->stdio, b, s->args->process);
	s->cgroup_dir = open_cgroup(s);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	s->parent_end = pair[0];
	s->child_end = pair[1];
	r = process_prepare(b, s->args->process, /* first= */ false, NULL, &s->process, err);
	s->process.keep_fds = s->args->keep_fds;
	return r;
}

static pid_t make_child(struct exec_setup *s, struct err *err)
{
	struct child_args args = { .cgroup = s->cgroup_dir, .run = child, .data = s };
	pid_t pid;

	pid = namespaces_clone_beside(s->target, s->namespaces, &args, err);
	if (pid != -EBUSY || s->cgroup_dir < 0)
		return pid;
	fd_close(s->cgroup_dir);
	s->cgroup_dir = args.cgroup = open_first_cgroup(s);
	return s->cgroup_dir < 0 ? pid
				 : namespaces_clone_beside(s->target, s->namespaces, &args, err);
}

static int serve_child(const struct exec_setup *s, const struct bundle *bundle, pid_t pid,
	int *ret_console, struct err *err)
{
	int r = report_wait(s->parent_end, REPORT_READY, ret_console, err);

	if (r == 0)
		r = process_limit(bundle, s->args->process, pid, err);
	if (r == 0 && report_go(s->parent_end) < 0)
		r = err_set(err, ESRCH, "the process died while it was made");
	return r < 0 ? r : report_wait_exec(s->parent_end, err);
}

int container_exec(const struct run_state *state, const struct bundle *bundle,
	const struct run_exec *args, pid_t *ret_pid, struct err *err)
{
	cleanup(setup_free) struct exec_setup s = { .state = state,
		.args = args,
		.target = -1,
		.cgroup_dir = -1,
		.parent_end = -1,
		.child_end = -1,
		.process = { .init = -1, .parent = -1, .listener = -1 } };
	cleanup(fd_close) int console = -1, pidfd = -1;
	int r = prepare(&s, bundle, err);
	pid_t pid;

	if (r < 0)
		return r;
	pid = make_child(&s, err);
	if (pid < 0)
		return pid;
	s.child_end = fd_close(s.child_end);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r = pidfd < 0 ? err_errno(err, "open the process")
		      : serve_child(&s, bundle, pid, &console, err);
	if (r < 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	if (args->process->terminal && args->ret_console)
		*args->ret_console = take_fd(console);
	*ret_pid = pid;
	return take_fd(pidfd);
}
