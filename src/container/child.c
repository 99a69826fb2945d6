/*
 * See child.h. What needs the parent is asked of it late, so that both work at the same time: the child
 * mounts while the parent enters it into the cgroups and connects its network.
 */
#include "container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "container/cgroup.h"
#include "container/console.h"
#include "container/device.h"
#include "container/report.h"
#include "container/rootfs.h"
#include "container/sysctl.h"

static int wait_go(const struct container_setup *s, struct err *err)
{
	return report_wait_go(s->child_end) < 0
		       ? err_set(err, EPIPE, "whoever makes the container is gone")
		       : 0;
}

static int set_names(const struct bundle *b, struct err *err)
{
	if (b->hostname && *b->hostname && sethostname(b->hostname, strlen(b->hostname)) < 0)
		return err_errno(err, "hostname: set '%s'", b->hostname);
	if (b->domainname && *b->domainname &&
		setdomainname(b->domainname, strlen(b->domainname)) < 0)
		return err_errno(err, "domainname: set '%s'", b->domainname);
	return 0;
}

/* In v2 the child was born in its group. */
static bool born_in_cgroup(const struct container_setup *s)
{
	return s->cgroup_dir >= 0 && cgroup_mode() == CGROUP_V2;
}

static int enter_namespaces(const struct container_setup *s, struct err *err)
{
	const struct bundle *b = s->args->bundle;
	int r = 0;

	/* First, while we are still the host's root; by ourselves, see cgroup_join(). */
	if (s->cgroup && !born_in_cgroup(s))
		r = cgroup_join(s->cgroup, 0, err);
	if (r == 0 && s->ns.created & CLONE_NEWUSER)
		r = wait_go(s, err); /* for the maps */
	if (r == 0 && (s->ns.created | s->ns.joined) & CLONE_NEWUSER)
		r = namespaces_become_root(err);
	if (r == 0)
		r = namespaces_enter(&s->ns, b->linux_.time_offsets, err);
	if (r == 0 && (s->ns.joined || namespaces_offsets_by_parent(&s->ns)))
		r = report_send(s->child_end, REPORT_JOINED, NULL, -1);
	if (r == 0)
		r = namespaces_enter_cgroup(&s->ns, err);
	return r < 0 ? r : set_names(b, err);
}

static int mount_all(const struct container_setup *s, struct console *console, struct err *err)
{
	const struct bundle *b = s->args->bundle;
	struct mount_place place = { .cgroup = s->cgroup, .label = b->linux_.mount_label };
	cleanup(fd_close) int root = root_attach(b, s->args->bundle_dir, s->root_tree, err);
	int r;

	if (root < 0)
		return root;
	place.root = root;
	r = mounts_make(&s->mounts, &place, err);
	if (r == 0)
		r = devices_make(b, root, err);
	if (r == 0 && b->process->terminal)
		r = console_open(b->process, root, /* bind= */ true, console, err);
	if (r == 0 && b->process->terminal && s->args->plain_lines)
		console_plain_lines(console);
	if (r == 0)
		r = mounts_finish(&s->mounts, &place, err);
	return r < 0 ? r : take_fd(root);
}

/* The working directory is made if the image lacks it. */
static int make_cwd(const struct bundle *b, int root, struct err *err)
{
	cleanup(fd_close) int fd = mount_point_open(root, b->process->cwd, /* is_dir= */ true);

	/* Read-only and the like: entering it will say what is wrong. */
	if (fd == -EROFS || fd == -EACCES)
		return 0;
	return fd < 0 ? err_code(err, fd, "process.cwd: make '%s'", b->process->cwd) : 0;
}

static int finish_root(const struct container_setup *s, int root, struct err *err)
{
	const struct bundle *b = s->args->bundle;
	const struct bundle_hooks *h = &b->hooks;
	int r;

	if (h->prestart.n || h->create_runtime.n) {
		r = report_send(s->child_end, REPORT_MOUNTED, NULL, -1);
		if (r < 0)
			return err_code(err, r, "report to the parent");
	}
	r = wait_go(s, err);
	/* Now that the network's links are there, which some settings are for. */
	if (r == 0)
		r = sysctls_write(b, root, err);
	/* Hooks expect to be in the root directory that they are to add to. */
	if (r == 0 && h->create_container.n && fchdir(root) < 0)
		r = err_errno(err, "enter the root");
	if (r == 0)
		r = hooks_run(&h->create_container, "createContainer", &s->hook_state, "creating",
			getpid(), err);
	if (r == 0)
		r = make_cwd(b, root, err);
	if (r == 0)
		r = root_restrict(b, root, err);
	if (r < 0)
		return r;
	return root_enter(b, root,
		s->ns.joined & CLONE_NEWNS ? ROOT_CHROOT
		: s->args->no_pivot        ? ROOT_MOVE
					   : ROOT_PIVOT,
		err);
}

/* Keys of whoever makes the container are none of its business. */
static void leave_keyring(const struct container_setup *s)
{
	cleanup(free) char *name = xasprintf("_ses.%s", s->args->id ? s->args->id : "");

	if (!s->args->no_new_keyring && syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0)
		log_debug("container", "no session keyring of its own: %s", strerror(errno));
}

static void leave(int signo)
{
	_exit(128 + signo);
}

/* The first process of a pid namespace hears only what it has a handler for, and there is no program
 * yet that could have one. execve takes these away. */
static void hear_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], leave);
}

static int create(struct container_setup *s, struct err *err)
{
	const struct bundle_process *p = s->args->bundle->process;
	struct console console = { -1, -1 };
	cleanup(fd_close) int root = -1;
	int r;

	umask(0);
	r = enter_namespaces(s, err);
	if (r < 0)
		return r;
	/* Whoever makes the container may be bound to a few processors; its group says how many it has. */
	process_set_affinity(NULL);
	log_debug("container", "child process in init(): all namespaces are entered");
	leave_keyring(s);
	root = mount_all(s, &console, err);
	if (root < 0)
		return root;
	r = finish_root(s, root, err);
	if (r < 0)
		return r;
	r = p->terminal ? console_use(console.terminal, err) : stdio_use(s->args->stdio, err);
	if (r == 0)
		r = process_find(&s->process, err);
	if (r < 0)
		return r;
	/* Before anybody knows of it. */
	hear_signals();
	r = report_send(s->child_end, REPORT_READY, NULL, console.master);
	fd_close(console.master);
	fd_close(console.terminal);
	return r < 0 ? err_code(err, r, "report to the parent") : 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * It may be long until somebody starts it, and whoever waits for the end of a pipe that the caller had does not
 * wait for us. What stays is the program's and what process_run() needs.
 */
static void close_others(const struct container_setup *s)
{
	const struct process_setup *p = &s->process;
	int keep[] = { STDERR_FILENO + p->keep_fds, s->start, p->init, p->parent, p->listener };
	int next = STDERR_FILENO + p->keep_fds + 1;

	/* That to the log is among them. */
	log_to(-1);
	qsort(keep, ARRAY_SIZE(keep), sizeof(*keep), compare);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] > next)
			close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
		next = keep[i] >= next ? keep[i] + 1 : next;
	}
	close_range((unsigned)next, ~0u, 0);
}

/* The connection to who starts it: to whoever made it, or to any process that comes. */
static int wait_for_start(struct container_setup *s)
{
	int conn;

	if (s->start < 0)
		return report_wait_go(s->child_end) < 0 ? -1 : take_fd(s->child_end);
	close_others(s);
	s->child_end = s->run_dir = -1;
	do
		conn = accept4(s->start, NULL, NULL, SOCK_CLOEXEC);
	while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
	s->start = fd_close(s->start);
	return conn;
}

/* Where the image's programs are run they have no more rights than the container's. */
static int run_start_hooks(void *data, char *const *env, struct err *err)
{
	const struct container_setup *s = data;
	struct hook_state state = s->hook_state;

	state.env = env;
	return hooks_run(&s->args->bundle->hooks.start_container, "startContainer", &state,
		"created", getpid(), err);
}

int child_main(void *setup)
{
	struct container_setup *s = setup;
	struct err err = { 0 };
	int conn, r;

	log_debug("container", "nsexec container setup: process %d", (int)getpid());
	process_detach(&s->process);
	fd_close(s->parent_end); /* so that its end is seen */
	r = create(s, &err);
	if (r < 0) {
		report_send(s->child_end, REPORT_ERROR, &err, -1);
		return 1;
	}
	log_debug("container", "init: closing the pipe to signal completion");
	conn = wait_for_start(s);
	if (conn < 0)
		return 1;
	if (s->args->bundle->hooks.start_container.n) {
		s->process.last = run_start_hooks;
		s->process.data = s;
	}
	r = process_run(&s->process, conn, &err);
	report_send(conn, REPORT_ERROR, &err, -1);
	return r == -ENOENT ? 127 : 126;
}
