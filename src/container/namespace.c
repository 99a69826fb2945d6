/* See namespace.h. */
#include "container/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "rootless/rootless.h"

static const struct {
	const char *type; /* the runtime-spec's */
	const char *file; /* below /proc/PID/ns */
	uint64_t flag;
} kinds[NAMESPACES] = {
	/* In the order of joining: a user namespace last, since rights are lost with it. */
	{ "network", "net", CLONE_NEWNET },
	{ "ipc", "ipc", CLONE_NEWIPC },
	{ "uts", "uts", CLONE_NEWUTS },
	{ "cgroup", "cgroup", CLONE_NEWCGROUP },
	{ "time", "time", CLONE_NEWTIME },
	{ "pid", "pid", CLONE_NEWPID },
	{ "mount", "mnt", CLONE_NEWNS },
	{ "user", "user", CLONE_NEWUSER },
};

static int kind_of(const char *type)
{
	for (int i = 0; i < NAMESPACES; i++)
		if (strcmp(kinds[i].type, type) == 0)
			return i;
	return -1;
}

uint64_t namespace_flag(const char *type)
{
	int i = kind_of(type);

	return i < 0 ? 0 : kinds[i].flag;
}

const char *namespace_type(size_t i)
{
	return i < NAMESPACES ? kinds[i].type : NULL;
}

static int open_namespace(const struct bundle_namespace *n, int kind, struct err *err)
{
	cleanup(fd_close) int fd = open(n->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return err_errno(err, "join %s namespace '%s'", n->type, n->path);
	if (ioctl(fd, NS_GET_NSTYPE) != (int)kinds[kind].flag)
		return err_set(
			err, EINVAL, "join %s namespace '%s': this is none", n->type, n->path);
	return take_fd(fd);
}

static bool is_own(int fd, int kind)
{
	char path[32];
	struct stat own, theirs;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[kind].file);
	return stat(path, &own) == 0 && fstat(fd, &theirs) == 0 && own.st_ino == theirs.st_ino &&
	       own.st_dev == theirs.st_dev;
}

/* What cannot be safe or cannot work without a namespace of its own. */
static int check_set(const struct bundle *b, const struct namespaces *ns, struct err *err)
{
	uint64_t own = ns->created | ns->joined;

	if (json_object_size(b->linux_.intel_rdt))
		return err_set(err, ENOTSUP,
			"linux.intelRdt: intelRdt is specified in config, but Intel RDT is not supported: remove it");
	if (!(own & CLONE_NEWNS))
		return err_set(err, EINVAL,
			"linux.namespaces: a container needs a mount namespace of its own");
	if (((b->hostname && *b->hostname) || (b->domainname && *b->domainname)) &&
		!(own & CLONE_NEWUTS))
		return err_set(err, EINVAL, "hostname: cannot be set in the host's UTS namespace");
	if (ns->created & CLONE_NEWUSER && (!b->linux_.uid_mappings.n || !b->linux_.gid_mappings.n))
		return err_set(
			err, EINVAL, "linux.uidMappings: a new user namespace needs mappings");
	if (ns->joined & CLONE_NEWUSER && b->linux_.uid_mappings.n)
		return err_set(
			err, EINVAL, "linux.uidMappings: a joined user namespace has its own");
	if (b->linux_.time_offsets && json_object_size(b->linux_.time_offsets) &&
		!(ns->created & CLONE_NEWTIME))
		return err_set(err, EINVAL, "linux.timeOffsets: without a new time namespace");
	return 0;
}

int namespaces_prepare(const struct bundle *b, struct namespaces *ret, struct err *err)
{
	cleanup(namespaces_free) struct namespaces ns = { 0 };
	const struct record_list *list = &b->linux_.namespaces;
	int r;

	for (int i = 0; i < NAMESPACES; i++)
		ns.fds[i] = -1;
	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_namespace *n = list->items[i];
		int kind = kind_of(n->type);
		if (kind < 0)
			return err_set(err, EINVAL, "linux.namespaces: unknown type '%s'", n->type);
		if (!n->path || !*n->path) {
			ns.created |= kinds[kind].flag;
			continue;
		}
		ns.fds[kind] = open_namespace(n, kind, err);
		if (ns.fds[kind] < 0)
			return ns.fds[kind];
		/* An ordinary user may not even "join" a namespace of the host's that it is in. */
		if (rootless() && is_own(ns.fds[kind], kind)) {
			ns.fds[kind] = fd_close(ns.fds[kind]);
			continue;
		}
		ns.joined |= kinds[kind].flag;
	}
	r = check_set(b, &ns, err);
	if (r < 0)
		return r;
	*ret = ns;
	for (int i = 0; i < NAMESPACES; i++)
		ns.fds[i] = -1;
	return 0;
}

void namespaces_free(struct namespaces *ns)
{
	/* All zero is valid too: then the descriptors are not. */
	for (int i = 0; ns->joined && i < NAMESPACES; i++)
		ns->fds[i] = fd_close(ns->fds[i]);
}

/* ---- birth */

static pid_t clone_child(uint64_t flags, const struct child_args *args)
{
	struct clone_args c = { .flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD };
	long pid;

	if (args->cgroup >= 0) {
		c.flags |= CLONE_INTO_CGROUP;
		c.cgroup = (uint64_t)args->cgroup;
	}
	pid = syscall(SYS_clone3, &c, sizeof(c));
	if (pid == 0)
		_exit(args->run(args->data));
	return pid < 0 ? -errno : (pid_t)pid;
}

static uint64_t flags_at_birth(const struct namespaces *ns)
{
	/* A cgroup namespace made by clone3 has the parent's group as its root, and a time namespace
	 * cannot be given offsets any more once a process is in it. */
	return ns->created & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME);
}

struct messenger {
	pid_t pid;
	struct err err;
};

/* What a messenger joins before it makes our child. */
struct errand {
	int fds[NAMESPACES]; /* in the order of the table; else -1 */
	uint64_t flags;      /* of the child */
	const struct child_args *args;
};

static void clone_from_inside(const struct errand *e, struct messenger *m)
{
	for (int i = 0; i < NAMESPACES; i++)
		if (e->fds[i] >= 0 && setns(e->fds[i], (int)kinds[i].flag) < 0) {
			err_errno(&m->err, "join the %s namespace", kinds[i].type);
			return;
		}
	m->pid = clone_child(e->flags | CLONE_PARENT, e->args);
	if (m->pid < 0)
		err_code(&m->err, m->pid, "make a process in new namespaces");
}

/* A process that joins and then makes our child. */
static pid_t run_errand(const struct errand *e, struct err *err)
{
	struct messenger m = { 0 };
	int pair[2], status;
	pid_t pid;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	pid = fork();
	if (pid == 0) {
		clone_from_inside(e, &m);
		_exit(fd_send(pair[1], &m, sizeof(m), NULL, 0) < 0);
	}
	fd_close(pair[1]);
	if (pid < 0) {
		fd_close(pair[0]);
		return err_errno(err, "make a process");
	}
	n = fd_recv(pair[0], &m, sizeof(m), NULL, 0);
	fd_close(pair[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof(m))
		return err_set(err, EIO, "join the namespaces: the helper process died");
	if (m.err.code) {
		if (err)
			*err = m.err;
		return -m.err.code;
	}
	return m.pid;
}

/* Namespaces of other owners can be joined only before a user namespace is entered, and new ones
 * belong to it only if they are made after. */
static pid_t clone_by_messenger(
	const struct namespaces *ns, const struct child_args *args, struct err *err)
{
	struct errand e = { .flags = flags_at_birth(ns), .args = args };

	memcpy(e.fds, ns->fds, sizeof(e.fds));
	return run_errand(&e, err);
}

/* From the pid namespace of a container there is no way back for who has no rights over our own. */
static pid_t clone_in_pid_namespace_of_others(
	int target, uint64_t flags, const struct child_args *args, struct err *err)
{
	struct errand e = { .flags = flags, .args = args };

	for (int i = 0; i < NAMESPACES; i++)
		e.fds[i] = -1;
	e.fds[kind_of("pid")] = target;
	return run_errand(&e, err);
}

/* New processes of ours go to another pid namespace for one call. */
static pid_t clone_in_pid_namespace(
	int target, uint64_t flags, const struct child_args *args, struct err *err)
{
	cleanup(fd_close) int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t pid;

	if (rootless())
		return clone_in_pid_namespace_of_others(target, flags, args, err);
	if (own < 0)
		return err_errno(err, "open '/proc/self/ns/pid'");
	if (setns(target, CLONE_NEWPID) < 0)
		return err_errno(err, "join the pid namespace");
	pid = clone_child(flags, args);
	if (setns(own, CLONE_NEWPID) < 0)
		return err_errno(err, "return to our own pid namespace");
	return pid < 0 ? err_code(err, pid, "make a process in the pid namespace") : pid;
}

static pid_t clone_somehow(
	const struct namespaces *ns, const struct child_args *args, struct err *err)
{
	pid_t pid;

	if ((ns->created | ns->joined) & CLONE_NEWUSER && ns->joined)
		return clone_by_messenger(ns, args, err);
	if (ns->joined & CLONE_NEWPID)
		return clone_in_pid_namespace(
			ns->fds[kind_of("pid")], flags_at_birth(ns), args, err);
	pid = clone_child(flags_at_birth(ns), args);
	if (pid == -EAGAIN)
		return err_set(err, EAGAIN,
			"make a process: the host allows no more of them (kernel.pid_max, a pids control group, ulimit -u): stop some");
	if (pid == -ENOSPC)
		return err_set(err, ENOSPC,
			"make namespaces: the host allows no more of them (/proc/sys/user/max_*_namespaces): stop some containers");
	return pid < 0 ? err_code(err, pid, "make a process in new namespaces") : pid;
}

/* Inherited: there is no moment at which the container's processes could trace the child. */
static int hide(void)
{
	int dumpable = prctl(PR_GET_DUMPABLE);

	prctl(PR_SET_DUMPABLE, 0);
	return dumpable;
}

static void unhide(int dumpable)
{
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1);
}

pid_t namespaces_clone(const struct namespaces *ns, const struct child_args *args, struct err *err)
{
	/* What is hidden belongs to the host's root in /proc, and an ordinary user could not write the
	 * maps of his own child; who could trace it there is nobody but himself. */
	bool own = rootless() && ns->created & CLONE_NEWUSER && !ns->joined;
	int dumpable = own ? 0 : hide();
	pid_t pid = clone_somehow(ns, args, err);

	unhide(dumpable);
	return pid;
}

pid_t namespaces_clone_beside(
	int pidfd, uint64_t namespaces, const struct child_args *args, struct err *err)
{
	int dumpable = hide();
	pid_t pid;

	if (namespaces & CLONE_NEWPID)
		pid = clone_in_pid_namespace(pidfd, 0, args, err);
	else
		pid = clone_child(0, args);
	unhide(dumpable);
	if (pid < 0 && !(namespaces & CLONE_NEWPID))
		return err_code(err, pid, "make a process");
	return pid;
}

/* ---- in the child */

bool namespaces_offsets_by_parent(const struct namespaces *ns)
{
	return ns->created & CLONE_NEWTIME && (ns->created | ns->joined) & CLONE_NEWUSER;
}

static int write_time_offsets(const char *path, const json_t *offsets, struct err *err)
{
	const char *clock;
	json_t *o;

	json_object_foreach ((json_t *)offsets, clock, o) {
		char line[96];
		int r;
		snprintf(line, sizeof(line), "%s %lld %lld", clock,
			(long long)json_integer_value(json_object_get(o, "secs")),
			(long long)json_integer_value(json_object_get(o, "nanosecs")));
		if (strcmp(clock, "monotonic") != 0 && strcmp(clock, "boottime") != 0)
			return err_set(err, EINVAL, "linux.timeOffsets: unknown clock '%s'", clock);
		r = file_put(AT_FDCWD, path, line);
		if (r < 0)
			return err_code(err, r, "linux.timeOffsets: set '%s'", line);
	}
	return 0;
}

int namespaces_write_offsets(pid_t pid, const json_t *time_offsets, struct err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/timens_offsets", (int)pid);
	return write_time_offsets(path, time_offsets, err);
}

int namespaces_enter(const struct namespaces *ns, const json_t *time_offsets, struct err *err)
{
	/* The messenger has joined them all. */
	uint64_t left = (ns->created | ns->joined) & CLONE_NEWUSER ? 0 : ns->joined & ~CLONE_NEWPID;

	for (int i = 0; i < NAMESPACES; i++)
		if (left & kinds[i].flag && setns(ns->fds[i], (int)kinds[i].flag) < 0)
			return err_errno(err, "join the %s namespace", kinds[i].type);
	if (!(ns->created & CLONE_NEWTIME))
		return 0;
	/* Entered by execve; until then the offsets can be set. */
	if (unshare(CLONE_NEWTIME) < 0)
		return err_errno(err, "make a time namespace");
	return namespaces_offsets_by_parent(ns)
		       ? 0
		       : write_time_offsets("/proc/self/timens_offsets", time_offsets, err);
}

int namespaces_enter_cgroup(const struct namespaces *ns, struct err *err)
{
	if (ns->created & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return err_errno(err, "make a cgroup namespace");
	return 0;
}

int namespaces_become_root(struct err *err)
{
	/* "deny" in /proc/PID/setgroups, of others' user namespaces, is no reason to fail. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_errno(err, "drop additional groups");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_errno(err, "become root of the user namespace: is id 0 mapped?");
	return 0;
}

/* ---- user namespaces */

static int write_map(pid_t pid, const char *file, const struct record_list *map, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	char path[64];
	int r;

	for (size_t i = 0; i < map->n; i++) {
		const struct bundle_id_map *m = map->items[i];
		buf_addf(&b, "%u %u %u\n", m->container_id, m->host_id, m->size);
	}
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = file_put(AT_FDCWD, path, b.len ? b.data : "");
	return r < 0 ? err_code(err, r, "linux.%.3sMappings: write '%s'", file, path) : 0;
}

int user_map_write(
	pid_t pid, const struct record_list *uids, const struct record_list *gids, struct err *err)
{
	int r = write_map(pid, "uid_map", uids, err);

	return r < 0 ? r : write_map(pid, "gid_map", gids, err);
}

static int wait_for_end(void *data)
{
	char c;

	return read(*(int *)data, &c, 1) != 0;
}

int user_map_open(const struct record_list *uids, const struct record_list *gids, struct err *err)
{
	struct child_args args = { .cgroup = -1, .run = wait_for_end };
	int pipefd[2], fd = -1, r;
	char path[64];
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	args.data = &pipefd[0];
	/* Shares our descriptors, so that closing the pipe ends the child whatever else happens. */
	pid = clone_child(CLONE_NEWUSER | CLONE_FILES, &args);
	r = pid < 0 ? err_code(err, pid, "make a user namespace")
		    : user_map_write(pid, uids, gids, err);
	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_errno(err, "open '%s'", path);
	}
	fd_close(pipefd[1]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	fd_close(pipefd[0]);
	return r < 0 ? r : fd;
}

uint32_t user_map_host(const struct record_list *map, uint32_t id)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct bundle_id_map *m = map->items[i];
		if (id >= m->container_id && id - m->container_id < m->size)
			return m->host_id + (id - m->container_id);
	}
	return UINT32_MAX;
}
