/* container_create(): the parent's side. child.c is the other. */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "container/cgroup.h"
#include "container/child.h"
#include "container/console.h"
#include "container/report.h"
#include "container/rootfs.h"
#include "container/start.h"
#include "container/sysctl.h"
#include "rootless/rootless.h"

static void setup_free(struct container_setup *s)
{
	namespaces_free(&s->ns);
	mount_list_free(&s->mounts);
	process_setup_free(&s->process);
	free(s->bundle_path);
	free(s->cgroup);
	fd_close(s->cgroup_dir);
	fd_close(s->root_tree);
	fd_close(s->run_dir);
	fd_close(s->start);
	fd_close(s->parent_end);
	fd_close(s->child_end);
}
DEFINE_CLEANUP_OBJECT(setup_free, struct container_setup);

static char *directory_path(int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(fd == AT_FDCWD ? "/proc/self/cwd" : link, path, sizeof(path) - 1);
	return n < 0 ? xstrdup("") : xstrndup(path, (size_t)n);
}

static int make_sockets(struct container_setup *s, struct err *err)
{
	int pair[2];

	s->run_dir = open(s->args->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->run_dir < 0)
		return err_errno(err, "open '%s'", s->args->run_dir);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	s->parent_end = pair[0];
	s->child_end = pair[1];
	if (s->args->ret_start)
		return 0;
	s->start = start_listen(s->run_dir, err);
	return s->start < 0 ? s->start : 0;
}

static int prepare(struct container_setup *s, struct err *err)
{
	const struct run_create *args = s->args;
	const struct bundle *b = args->bundle;
	int r;

	if (!b->process)
		return err_set(
			err, EINVAL, "process: the bundle has none, so nothing can be started");
	if (!b->process->terminal)
		stdio_give(args->stdio, b, b->process);
	r = namespaces_prepare(b, &s->ns, err);
	if (r == 0)
		r = sysctls_check(b, &s->ns, err);
	if (r == 0)
		r = process_prepare(b, b->process, /* first= */ true, args->id, &s->process, err);
	s->process.keep_fds = args->keep_fds;
	if (r == 0)
		r = mounts_prepare(b, args->bundle_dir, &s->mounts, err);
	if (r == 0)
		r = root_prepare(b, args->bundle_dir, &s->root_tree, err);
	if (r < 0)
		return r;
	s->bundle_path = directory_path(args->bundle_dir);
	s->hook_state = (struct hook_state){ .oci_version = b->oci_version,
		.id = args->id,
		.bundle = s->bundle_path,
		.annotations = b->annotations };
	r = make_sockets(s, err);
	return r < 0 ? r : hooks_keep(b, &s->hook_state, s->run_dir, err);
}

/*
 * Where the bundle leaves it to us. At the top: each level costs a directory made and removed in every
 * hierarchy. One whose name would be too long for that goes below, and so does one with limits: who asks for them
 * looks for the group by the id alone.
 */
static char *cgroup_of_id(const char *id, bool limited)
{
	return limited || strlen(id) + sizeof("holm-oci-") > NAME_MAX
		       ? xstrdup(id)
		       : xasprintf("/holm-oci-%s", id);
}

/* The container is shown the groups of v1 and no namespace of them. */
static bool shows_groups(const struct bundle *b)
{
	const struct bundle_linux *l = &b->linux_;

	for (size_t i = 0; i < l->namespaces.n; i++)
		if (strcmp(((struct bundle_namespace *)l->namespaces.items[i])->type, "cgroup") ==
			0)
			return false;
	for (size_t i = 0; i < b->mounts.n; i++) {
		const struct bundle_mount *m = b->mounts.items[i];
		if (m->type && strcmp(m->type, "cgroup") == 0)
			return true;
	}
	return false;
}

static int make_cgroup(struct container_setup *s, struct err *err)
{
	const struct bundle_linux *l = &s->args->bundle->linux_;
	bool given = l->cgroups_path && *l->cgroups_path;
	bool limited = l->resources && cgroup_limits_asked(l->resources);
	cleanup(free) char *path =
		given ? xstrdup(l->cgroups_path) : cgroup_of_id(s->args->id, limited);
	static const struct bundle_resources none;
	unsigned flags = 0;

	/* Who gives the path of a container, or has no namespace between, looks for it in every hierarchy. */
	if ((given || shows_groups(s->args->bundle)) && !s->args->bundle->holm.id)
		flags |= CGROUP_EVERYWHERE;
	if (s->args->share_cgroup)
		flags |= CGROUP_SHARED;
	if (cgroup_mode() == CGROUP_NONE) {
		if (!rootless())
			log_warn_once("this host has no cgroups: limits are not enforced");
		else if (limited)
			log_warn_once(
				"limits are not enforced: no control group is delegated to you here "
				"('holm doctor' tells what would)");
		return 0;
	}
	return cgroup_create(
		path, l->resources ? l->resources : &none, flags, &s->cgroup, &s->cgroup_dir, err);
}

static int run_runtime_hooks(const struct container_setup *s, pid_t pid, struct err *err)
{
	const struct bundle_hooks *h = &s->args->bundle->hooks;
	int r;

	if (!h->prestart.n && !h->create_runtime.n)
		return 0;
	r = report_wait(s->parent_end, REPORT_MOUNTED, NULL, err);
	if (r == 0)
		r = hooks_run(&h->prestart, "prestart", &s->hook_state, "creating", pid, err);
	if (r == 0)
		r = hooks_run(
			&h->create_runtime, "createRuntime", &s->hook_state, "creating", pid, err);
	return r;
}

static int go(const struct container_setup *s, struct err *err)
{
	return report_go(s->parent_end) < 0
		       ? err_set(err, ESRCH, "the container's first process died while it was made")
		       : 0;
}

/* All that the child waits for, while it mounts. */
static int serve_child(
	const struct container_setup *s, pid_t pid, int *ret_console, struct err *err)
{
	const struct run_create *args = s->args;
	const struct bundle_linux *l = &args->bundle->linux_;
	int r = 0;

	if (s->ns.created & CLONE_NEWUSER) {
		r = user_map_write(pid, &l->uid_mappings, &l->gid_mappings, err);
		if (r == 0)
			r = go(s, err);
	}
	if (r == 0 && (s->ns.joined || namespaces_offsets_by_parent(&s->ns)))
		r = report_wait(s->parent_end, REPORT_JOINED, NULL, err);
	if (r == 0 && namespaces_offsets_by_parent(&s->ns))
		r = namespaces_write_offsets(pid, l->time_offsets, err);
	if (r == 0 && args->on_namespaces)
		r = args->on_namespaces(args->data, pid, err);
	if (r == 0)
		r = run_runtime_hooks(s, pid, err);
	if (r == 0)
		r = go(s, err);
	if (r == 0)
		r = report_wait(s->parent_end, REPORT_READY, ret_console, err);
	return r < 0 ? r : process_limit(args->bundle, args->bundle->process, pid, err);
}

/* When both failed, the child's error is the cause: ours is that it is gone. Returns the code. */
static int prefer_child_error(const struct container_setup *s, int ours, struct err *err)
{
	struct pollfd p = { .fd = s->parent_end, .events = POLLIN };
	struct err theirs;

	/* REPORT_JOINED and the like may lie before it. */
	while (poll(&p, 1, 0) == 1 && p.revents & POLLIN) {
		int r = report_wait(s->parent_end, REPORT_READY, NULL, &theirs);
		if (r == -EBADMSG)
			continue;
		if (r == 0 || theirs.code == ESRCH)
			break;
		if (err)
			*err = theirs;
		return r;
	}
	return ours;
}

static void undo(struct container_setup *s, pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (s->cgroup)
		cgroup_remove(s->cgroup, NULL);
	if (s->run_dir >= 0) {
		unlinkat(s->run_dir, START_NAME, 0);
		hooks_run_poststop(s->run_dir);
	}
}

static pid_t make_child(struct container_setup *s, int *ret_console, struct err *err)
{
	struct child_args child = { .run = child_main, .data = s };
	int r = make_cgroup(s, err);
	pid_t pid = r;

	if (r == 0) {
		child.cgroup = s->cgroup_dir;
		pid = namespaces_clone(&s->ns, &child, err);
	}
	if (pid < 0) {
		undo(s, 0);
		return pid;
	}
	s->child_end = fd_close(s->child_end);
	r = serve_child(s, pid, ret_console, err);
	if (r == 0)
		return pid;
	r = prefer_child_error(s, r, err);
	undo(s, pid);
	return r;
}

int container_create(const struct run_create *args, struct run_state *ret, struct err *err)
{
	cleanup(setup_free) struct container_setup s = { .args = args,
		.cgroup_dir = -1,
		.root_tree = -1,
		.run_dir = -1,
		.start = -1,
		.parent_end = -1,
		.child_end = -1,
		.process = { .init = -1, .parent = -1, .listener = -1 } };
	cleanup(fd_close) int console = -1;
	int64_t start;
	pid_t pid;
	int r = prepare(&s, err);

	if (r < 0) {
		undo(&s, 0);
		return r;
	}
	pid = make_child(&s, &console, err);
	if (pid < 0)
		return pid;
	r = run_pid_start(pid, &start);
	if (r < 0) {
		undo(&s, pid);
		return err_code(err, r, "read the start time of process %d", (int)pid);
	}
	if (args->bundle->process->terminal && args->ret_console)
		*args->ret_console = take_fd(console);
	if (args->ret_start)
		*args->ret_start = take_fd(s.parent_end);
	*ret = (struct run_state){ .pid = pid,
		.pid_start = start,
		.cgroup = take(s.cgroup),
		.run_dir = xstrdup(args->run_dir) };
	return 0;
}
