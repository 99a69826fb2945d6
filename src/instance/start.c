/*
 * Starting an instance: its places on networks, its bundle, and a supervisor of its own that outlives
 * us. The lock is taken here and handed to the supervisor as a descriptor, so that there is no moment
 * in which nobody owns the instance. The supervisor becomes a program of its own while the bundle is made, and
 * waits to be told that it is there.
 */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/strv.h"
#include "image/image.h"
#include "instance/spec.h"
#include "instance/state.h"
#include "instance/stream.h"
#include "rootless/rootless.h"

extern char **environ;

int instance_reserve(struct db *db, const struct instance *i, const struct instance_network *net,
	const char *link, bool is_default, struct bundle_endpoint *ret, struct err *err)
{
	struct endpoint_request req = {
		.network = net->network,
		.instance = i->config.id,
		.name = i->config.name,
		.hostname = i->config.hostname,
		.aliases = net->aliases,
		.address4 = net->address4,
		.address6 = net->address6,
		.mac = net->mac,
		.link = link,
		.is_default = is_default,
	};
	int r = network_reserve(db, &req, ret, err);

	return r < 0 ? r : network_up(db, net->network, err);
}

static int reserve_one(struct db *db, struct instance *i, size_t n, struct err *err)
{
	cleanup(free) char *link = xasprintf("eth%zu", n);
	struct bundle_endpoint *ep = record_list_add(&i->state.endpoints, sizeof(*ep));
	int r = instance_reserve(db, i, i->config.networks.items[n], link, n == 0, ep, err);

	if (r == 0)
		instance_network_event(i, "connect", ep->network);
	return r;
}

static int reserve(struct db *db, struct instance *i, struct err *err)
{
	int r = 0;

	while (i->state.endpoints.n)
		record_list_remove(&i->state.endpoints, 0, bundle_endpoint_fields);
	for (size_t n = 0; r == 0 && n < i->config.networks.n; n++)
		r = reserve_one(db, i, n, err);
	return r;
}

/* Whether the bundle's network is one that an ordinary user's space does not own: the host's. */
static bool in_hosts_network(const struct bundle *b)
{
	for (size_t n = 0; n < b->linux_.namespaces.n; n++) {
		const struct bundle_namespace *ns = b->linux_.namespaces.items[n];
		if (strcmp(ns->type, "network") != 0)
			continue;
		if (!ns->path)
			return false;
		cleanup(fd_close) int fd = open(ns->path, O_RDONLY | O_CLOEXEC);
		cleanup(fd_close) int owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);
		return fd >= 0 && owner < 0 && errno == EPERM;
	}
	return true;
}

/*
 * Under the lock of the configuration: it is what this run is of, and who has just found a former run to be joined
 * to a network does so before this one takes its places, or not at all. What was kept since it was created has
 * neither changed nor run.
 */
static int prepare(
	struct db *db, struct instance *i, bool is_new, bool *ret_hosts_network, struct err *err)
{
	cleanup(fd_close) int config = is_new ? -1 : instance_lock_config(i, err);
	cleanup(image_free) struct image *image = NULL;
	cleanup(bundle_free) struct bundle *bundle = NULL;
	cleanup(free) char *path = xasprintf("%s/bundle.json", i->run_dir);
	int r = is_new || config >= 0 ? image_find(db, i->config.image_id, &image, err) : config;

	if (r == 0)
		r = reserve(db, i, err);
	if (r == 0)
		r = spec_build(db, i, image, &bundle, err);
	if (r == 0 && mkdir(bundle->root_path, 0755) < 0 && errno != EEXIST)
		r = err_errno(err, "make '%s'", bundle->root_path);
	if (r == 0)
		r = bundle_write(bundle, AT_FDCWD, path, err);
	if (r == 0)
		r = instance_save_state(i, err);
	if (r == 0)
		*ret_hosts_network = rootless() && in_hosts_network(bundle);
	return r;
}

/* "ioe 24x80": what the first stream carries, and the terminal's size. */
static void stream_flags(const struct instance_start *how, char flags[32])
{
	snprintf(flags, 32, "%s%s%s %ux%u", how->attach_stdin ? "i" : "",
		how->attach_stdout ? "o" : "", how->attach_stderr ? "e" : "", how->rows,
		how->columns);
}

/* dup2 onto itself would keep CLOEXEC, and low targets may be among the sources: go through high ones. */
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

/*
 * The top of a pure v2 hierarchy, or -1: systemd kills what is left in a service's or a session's group
 * at its end, and a supervisor is no part of either. Only there may processes and groups be side by side.
 */
static int open_top_group(void)
{
	struct statfs fs;
	char line[16];

	if (statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -1;
	if (file_get_line(AT_FDCWD, "/proc/self/cgroup", line, sizeof(line)) == 0 &&
		strcmp(line, "0::/") == 0)
		return -1; /* we are there */
	return open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* fork(2), where it is allowed into the top group. */
static pid_t fork_outside(void)
{
	cleanup(fd_close) int group = open_top_group();
	struct clone_args c = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group
	};
	long pid = group < 0 ? -1 : syscall(SYS_clone3, &c, sizeof(c));

	/* In a container's cgroup namespace the top is none. */
	return pid >= 0 ? (pid_t)pid : fork();
}

static _Noreturn void become_supervisor(const char *const *argv, int lock, int report, int stream)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* Standard error stays ours until the process runs, for warnings about it. */
	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
		dup2(lock, SUPERVISOR_LOCK_FD) >= 0 && dup2(report, SUPERVISOR_REPORT_FD) >= 0 &&
		(stream < 0 || dup2(stream, SUPERVISOR_STREAM_FD) >= 0))
		execve("/proc/self/exe", (char **)argv, environ);
	_exit(127);
}

/* hosts_network: of an ordinary user's container, to whose network there is no way from the space. */
static int spawn(const struct instance *i, const struct instance_start *how, int lock, int report,
	int stream, bool hosts_network, struct err *err)
{
	char flags[32];
	const char *argv[] = { "holm", "--root", paths_root(), "--run", paths_run(), "supervise",
		i->config.id, flags, NULL };
	cleanup(fd_close) int high_lock = lift(lock), high_report = lift(report),
			      high_stream = stream >= 0 ? lift(stream) : -1;
	pid_t pid;

	stream_flags(how, flags);
	if (hosts_network)
		return rootless_spawn((char *const *)argv, environ,
			(int[]){ STDERR_FILENO, lock, report, stream }, stream < 0 ? 3 : 4, err);
	pid = fork_outside();
	if (pid == 0)
		become_supervisor(argv, high_lock, high_report, high_stream);
	if (pid < 0 && errno == EAGAIN)
		return err_set(err, EAGAIN,
			"start the supervisor: the host allows no more processes (kernel.pid_max, a pids control group, ulimit -u): stop some");
	return pid < 0 ? err_errno(err, "start the supervisor") : 0;
}

/* A supervisor that was spawned: our ends of its report and of the stream. */
struct launch {
	int report, stream; /* -1 without */
};

/* It ends without having done anything, unless it was told to begin. */
static void launch_drop(struct launch *l)
{
	l->report = fd_close(l->report);
	l->stream = fd_close(l->stream);
}
DEFINE_CLEANUP_OBJECT(launch_drop, struct launch);

static int launch_begin(const struct instance *i, const struct instance_start *how, int lock,
	bool hosts_network, struct launch *l, struct err *err)
{
	bool attach = how->attach_stdin || how->attach_stdout || how->attach_stderr;
	int stream[2] = { -1, -1 }, report[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) < 0)
		return err_errno(err, "make a socket");
	if (attach && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0)
		r = err_errno(err, "make a socket");
	else
		r = spawn(i, how, lock, report[1], stream[1], hosts_network, err);
	fd_close(stream[1]);
	fd_close(report[1]);
	*l = (struct launch){ report[0], stream[0] };
	return r;
}

/* {} or {"error", "code"} once the process runs or cannot. */
static int read_report(int fd, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(json_free) json_t *report = NULL;
	const char *error;

	if (fd_read_to_end(fd, 65536, &text) < 0 || !text.len)
		return err_set(err, EIO, "the supervisor died before the container had started");
	report = json_parse(text.data, text.len, "supervisor's report", err);
	if (!report)
		return -EINVAL;
	error = json_string_value(json_object_get(report, "error"));
	if (!error)
		return 0;
	return err_set(err, (int)json_integer_value(json_object_get(report, "code")), "%s", error);
}

/* The bundle is there. */
static int launch_end(struct launch *l, const struct instance_start *how, struct err *err)
{
	int r;

	send(l->report, "", 1, MSG_NOSIGNAL); /* that it is dead is read */
	r = read_report(l->report, err);
	if (r == 0 && l->stream >= 0)
		*how->ret_stream = take_fd(l->stream);
	return r;
}

static int already_running(
	struct db *db, struct instance *i, const struct instance_start *how, struct err *err)
{
	bool attach = how->attach_stdin || how->attach_stdout || how->attach_stderr;
	int r = instance_reload_state(i, err);

	if (r < 0 || !attach)
		return r;
	return instance_attach(db, i, how->attach_stdin, how->ret_stream, err);
}

/* The lock, or -EALREADY when a supervisor has it. Somebody who only looks holds it for a moment. */
static int take_lock(const struct instance *i, struct err *err)
{
	cleanup(json_free) json_t *ping = json_pack("{s:s}", "do", "ping");

	for (int tries = 0; tries < 1000; tries++) {
		int fd = instance_lock(i, /* wait= */ false, err);
		if (fd != -EWOULDBLOCK)
			return fd;
		if (supervisor_ask(i->run_dir, ping, NULL, NULL, NULL) == 0)
			return -EALREADY;
		poll(NULL, 0, 10);
	}
	return err_set(
		err, EBUSY, "container '%s' is being worked on by another holm", i->config.name);
}

/* Whether only its bundle says in which network its supervisor has to be. */
static bool launches_late(const struct instance *i)
{
	const char *mode = i->config.network_mode;

	return rootless() && (strcmp(mode, "host") == 0 || strncmp(mode, "container:", 10) == 0);
}

int instance_start(
	struct db *db, struct instance *i, const struct instance_start *how, struct err *err)
{
	bool is_new = instance_lock_kept(i), hosts_network = false;
	cleanup(launch_drop) struct launch l = { -1, -1 };
	cleanup(fd_close) int lock = take_lock(i, err);
	bool late = launches_late(i);
	int r;

	if (lock == -EALREADY)
		return already_running(db, i, how, err);
	if (lock < 0)
		return lock;
	r = instance_take_over(db, i, err);
	if (r == 0 && !late)
		r = launch_begin(i, how, lock, false, &l, err);
	if (r == 0)
		r = prepare(db, i, is_new, &hosts_network, err);
	if (r < 0) {
		network_release(db, i->config.id, NULL, NULL);
		network_sweep(db, NULL);
		instance_unlock_remove(i, take_fd(lock));
		return r;
	}
	if (late)
		r = launch_begin(i, how, lock, hosts_network, &l, err);
	if (r == 0)
		r = launch_end(&l, how, err);
	/* The supervisor has the lock now and cleans up after its own failures; unless it died. */
	if (r < 0) {
		fd_close(take_fd(lock));
		instance_reconcile(db, i, NULL);
	}
	return r;
}
