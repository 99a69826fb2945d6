/* A process of the space: how it gets in, and what it asks of the holder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"

#define START_MS 20000 /* newuidmap may have to ask a directory server */
#define ANSWER_MS 10000
#define RETRY_NS INT64_C(500000000)
#define TRIES 20

/* The process's own, like its effective user. */
static struct {
	bool inside;
	int fd; /* to the holder; -1 while there is none */
	struct hello hello;
	struct loop *loop; /* a supervisor's */
	struct loop_source *source;
	int network; /* the space's, not joined so far; else -1 */
} self = { .fd = -1, .network = -1 };

bool rootless(void)
{
	return self.inside;
}

bool rootless_single_id(void)
{
	return self.inside && self.hello.single;
}

uid_t rootless_user(void)
{
	return self.inside ? self.hello.uid : geteuid();
}

const char *rootless_single_why(void)
{
	return rootless_single_id() ? self.hello.why : NULL;
}

void rootless_has_rights(uid_t uid)
{
	self.inside = true;
	self.hello.uid = uid;
}

uint32_t rootless_last_id(void)
{
	cleanup(buf_free) struct buf text = { 0 };
	uint64_t last = 0, first, outside, count;

	if (file_read(AT_FDCWD, "/proc/self/gid_map", 1 << 16, &text) < 0)
		return 0;
	for (const char *line = text.data; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &first, &outside, &count) ==
				3 &&
			count && first + count - 1 > last)
			last = first + count - 1;
	}
	return last > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)last;
}

int rootless_descriptor(void)
{
	return self.fd;
}

/* ---- getting in */

static int open_run_dir(struct err *err)
{
	int fd = open(paths_run(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open '%s'", paths_run()) : fd;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* The connection; -ECONNREFUSED, -ENOENT or -EPIPE when there is no holder. */
static int meet(int dir, struct hello *hello, int fds[SPACE_NAMESPACES])
{
	cleanup(fd_close) int fd = space_socket(dir, /* listening= */ false);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (!readable(fd, ANSWER_MS))
		return -ETIMEDOUT;
	n = fd_recv(fd, hello, sizeof(*hello), fds, SPACE_NAMESPACES);
	if (n != sizeof(*hello) || hello->version != SPACE_VERSION || fds[SPACE_NETWORK] < 0)
		return n == 0 ? -EPIPE : n < 0 ? (int)n : -EPROTO;
	hello->why[sizeof(hello->why) - 1] = '\0';
	return take_fd(fd);
}

static pid_t supervisor_of(int instances, const char *id)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	if (snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s/ctl", instances, id) >=
			(int)sizeof(a.sun_path) ||
		fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return 0;
	return cred.pid;
}

/* The space of a supervisor whose holder has died. */
static int find_again(int dir, bool any_network, struct space *ret)
{
	int fd = openat(dir, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = -ENOENT;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		fd_close(fd);
		return -ENOENT;
	}
	for (struct dirent *e; r < 0 && (e = readdir(d));) {
		pid_t pid = e->d_name[0] == '.' ? 0 : supervisor_of(fd, e->d_name);
		if (pid > 0)
			r = space_of_process(pid, any_network, ret);
	}
	closedir(d);
	return r;
}

static _Noreturn void become_holder(int dir, int report)
{
	struct space space = SPACE_NONE;
	struct answer a = { 0 };
	struct err err = { 0 };

	if (find_again(dir, false, &space) < 0 && find_again(dir, true, &space) < 0 &&
		space_make(&space, &err) < 0) {
		a.code = err.code;
		snprintf(a.text, sizeof(a.text), "%.*s", (int)sizeof(a.text) - 1, err.text);
		fd_write_all(report, &a, sizeof(a));
		_exit(1);
	}
	/* A further fork: nobody is to wait for us. */
	if (fork() == 0)
		holder_main(dir, report, &space);
	_exit(0);
}

static int start_holder(int dir, struct err *err)
{
	struct answer a = { 0 };
	int ends[2], r = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid = fork();
	if (pid == 0) {
		fd_close(ends[0]);
		become_holder(dir, ends[1]);
	}
	fd_close(ends[1]);
	if (pid < 0)
		r = err_errno(err, "make a process");
	else if (!readable(ends[0], START_MS))
		r = err_set(
			err, ETIMEDOUT, "the user namespace of your containers does not get ready");
	else if (fd_read_full(ends[0], &a, sizeof(a)) != sizeof(a))
		r = err_set(err, EIO, "the process that keeps your containers' namespaces died");
	else if (a.code)
		r = err_set(err, a.code, "%.*s", (int)sizeof(a.text) - 1, a.text);
	fd_close(ends[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static bool nobody_there(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EPIPE || r == -ECONNRESET;
}

/* Under a lock, lest two are started. */
static int meet_or_start(int dir, struct hello *hello, int fds[SPACE_NAMESPACES], struct err *err)
{
	cleanup(fd_close) int lock = -1;
	int fd = meet(dir, hello, fds), r;

	if (!nobody_there(fd))
		return fd;
	if (mkdirat(dir, SPACE_DIR, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "make '%s/" SPACE_DIR "'", paths_run());
	lock = lock_file(dir, SPACE_DIR "/lock", /* wait= */ true);
	if (lock < 0)
		return err_code(err, lock, "lock '%s/" SPACE_DIR "'", paths_run());
	fd = meet(dir, hello, fds);
	if (!nobody_there(fd))
		return fd;
	r = start_holder(dir, err);
	return r < 0 ? r : meet(dir, hello, fds);
}

static int check_private(int dir, struct err *err)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return err_errno(err, "look at '%s'", paths_run());
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(err, EPERM,
			"'%s' can be written by others: choose another directory with --run or HOLM_RUN",
			paths_run());
	return 0;
}

static int move_in(int dir, bool network, struct err *err)
{
	cleanup(space_free) struct space space = SPACE_NONE;
	struct err why = { 0 };
	int fd = -EPIPE, r;

	for (int i = 0; i < TRIES && nobody_there(fd) && !why.code; i++) {
		space_free(&space);
		fd = meet_or_start(dir, &self.hello, space.fds, &why);
	}
	if (fd < 0 && why.code) {
		if (err)
			*err = why;
		return fd;
	}
	if (fd == -EPROTO)
		return err_set(err, EPROTO,
			"another version of holm runs containers here: stop them before this one is used");
	if (fd < 0)
		return err_code(
			err, fd, "reach the process that keeps your containers' namespaces");
	r = space_enter(space.fds, network, err);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	self.fd = fd;
	self.inside = true;
	if (!network)
		self.network = take_fd(space.fds[SPACE_NETWORK]);
	return 0;
}

/* Whether a process is in our network, which then is the host's. */
static bool is_beside(pid_t pid)
{
	char path[48];
	struct stat own, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return pid > 0 && stat("/proc/self/ns/net", &own) == 0 && stat(path, &theirs) == 0 &&
	       own.st_ino == theirs.st_ino;
}

int rootless_join_network(pid_t pid, struct err *err)
{
	int r;

	if (self.network < 0 || is_beside(pid))
		return 0;
	r = setns(self.network, CLONE_NEWNET) < 0
		    ? err_errno(err, "join the network of your containers")
		    : 0;
	self.network = fd_close(self.network);
	return r;
}

/* A root that has all ids is in no space. */
static bool has_all_ids(void)
{
	unsigned inside = 1, outside = 1, count = 0;
	char line[64];

	return file_get_line(AT_FDCWD, "/proc/self/uid_map", line, sizeof(line)) < 0 ||
	       (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && outside == 0 &&
		       count == UINT32_MAX);
}

/* Executed by one who is in: the supervisor. */
static void look_around(int dir)
{
	cleanup(space_free) struct space space = SPACE_NONE;
	cleanup(fd_close) int own = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	struct hello hello;
	cleanup(fd_close) int fd = own < 0 ? -1 : meet(dir, &hello, space.fds);

	if (fd < 0 || hello.user_namespace != namespace_inode(own))
		return;
	self.hello = hello;
	self.fd = take_fd(fd);
	self.inside = true;
}

int rootless_enter(bool network, struct err *err)
{
	cleanup(fd_close) int dir = -1;
	int r;

	if (self.inside || (geteuid() == 0 && has_all_ids()))
		return 0;
	dir = open_run_dir(err);
	if (dir < 0)
		return dir;
	if (geteuid() == 0) {
		look_around(dir);
		return 0;
	}
	r = check_private(dir, err);
	return r < 0 ? r : move_in(dir, network, err);
}

/* ---- staying */

static void on_holder(void *data, uint32_t events);

static int reconnect(void)
{
	cleanup(space_free) struct space space = SPACE_NONE;
	cleanup(fd_close) int dir = open_run_dir(NULL);
	struct hello hello;
	int fd = dir < 0 ? dir : meet(dir, &hello, space.fds);

	if (fd < 0)
		return fd;
	if (hello.user_namespace != self.hello.user_namespace) {
		fd_close(fd);
		return -ESTALE;
	}
	self.fd = fd;
	if (self.loop)
		self.source = loop_add_fd(self.loop, fd, 0, on_holder, NULL);
	return 0;
}

static void on_retry(void *data)
{
	(void)data;
	if (self.fd < 0 && reconnect() < 0)
		loop_add_timer(self.loop, RETRY_NS, on_retry, NULL);
}

static void lose(void)
{
	loop_remove(self.source);
	self.source = NULL;
	self.fd = fd_close(self.fd);
}

/* Anything but an answer, which is read where it is awaited, is its end. */
static void on_holder(void *data, uint32_t events)
{
	(void)data;
	(void)events;
	lose();
	on_retry(NULL);
}

void rootless_keep(struct loop *loop)
{
	if (!self.inside || self.loop)
		return;
	self.loop = loop;
	if (self.fd >= 0)
		self.source = loop_add_fd(loop, self.fd, 0, on_holder, NULL);
	else
		on_retry(NULL);
}

/* ---- asking */

static int ask_once(
	const void *request, size_t len, const int *fds, size_t n, struct answer *a, int *ret_fd)
{
	int r;

	if (self.fd < 0 && reconnect() < 0)
		return -EPIPE;
	r = fd_send(self.fd, request, len, fds, n);
	if (r < 0)
		return r;
	if (!readable(self.fd, ANSWER_MS))
		return -ETIMEDOUT;
	return fd_recv(self.fd, a, sizeof(*a), ret_fd, 1) == sizeof(*a) ? 0 : -EPIPE;
}

static int ask_alone(
	const void *request, size_t len, const int *fds, size_t n, int *ret_fd, struct err *err)
{
	struct answer a = { 0 };
	int fd = -1, r = ask_once(request, len, fds, n, &a, &fd);

	if (r == -EPIPE || r == -ECONNRESET) {
		lose();
		r = ask_once(request, len, fds, n, &a, &fd);
	}
	if (r < 0) {
		lose(); /* an answer that comes late would be taken for that of the next question */
		if (self.loop)
			loop_add_timer(self.loop, RETRY_NS, on_retry, NULL);
		return err_code(err, r,
			"ask the process that keeps your containers' namespaces ('holm ps' starts it again)");
	}
	if (a.code) {
		fd_close(fd);
		return err_set(err, a.code, "%.*s", (int)sizeof(a.text) - 1, a.text);
	}
	if (ret_fd)
		*ret_fd = fd;
	else
		fd_close(fd);
	return 0;
}

/* Threads take turns: answers come in the order of the questions. */
static int ask(
	const void *request, size_t len, const int *fds, size_t n, int *ret_fd, struct err *err)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	int r;

	pthread_mutex_lock(&turn);
	r = ask_alone(request, len, fds, n, ret_fd, err);
	pthread_mutex_unlock(&turn);
	return r;
}

static int socket_of_ours(const struct rootless_socket *what)
{
	cleanup(fd_close) int fd =
		socket(what->family, what->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1, only6 = what->only6;

	if (fd < 0)
		return -errno;
	if (what->reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (what->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
	if (what->len > sizeof(what->address))
		return -EINVAL;
	if (what->len && bind(fd, (const struct sockaddr *)&what->address, what->len) < 0)
		return -errno;
	if (what->backlog && listen(fd, what->backlog) < 0)
		return -errno;
	return take_fd(fd);
}

int rootless_socket(const struct rootless_socket *what)
{
	struct request q = { .kind = REQUEST_SOCKET, .socket = *what };
	int fd = -1, r;

	if (!self.inside)
		return socket_of_ours(what);
	r = ask(&q, sizeof(q), NULL, 0, &fd, NULL);
	return r < 0 ? r : fd;
}

int rootless_network(struct err *err)
{
	struct request q = { .kind = REQUEST_NETWORK };
	const char *mend = NULL, *missing;
	struct err why = { 0 };

	if (!self.inside)
		return 0;
	missing = rootless_network_missing(&mend);
	if (missing)
		return err_set(err, ENOTSUP, "%s: %s", missing, mend);
	if (ask(&q, sizeof(q), NULL, 0, NULL, &why) == 0)
		return 0;
	return err_set(err, ENOTSUP, "%s", why.text);
}

static void add_strings(struct buf *b, char *const *list, uint32_t *n)
{
	for (; *list; list++, ++*n)
		buf_add(b, *list, strlen(*list) + 1);
}

int rootless_spawn(char *const *argv, char *const *env, const int *fds, size_t n, struct err *err)
{
	struct request q = { .kind = REQUEST_SPAWN };
	cleanup(buf_free) struct buf strings = { 0 }, all = { 0 };

	add_strings(&strings, argv, &q.spawn.n_argv);
	add_strings(&strings, env, &q.spawn.n_env);
	if (strings.len > SPAWN_MAX)
		return err_set(err, E2BIG, "the environment is too large for this");
	buf_add(&all, &q, sizeof(q));
	buf_add(&all, strings.data, strings.len);
	return ask(all.data, all.len, fds, n, NULL, err);
}

/* ---- doctor */

const char *rootless_network_missing(const char **ret_mend)
{
	cleanup(fd_close) int tun = -1;

	if (!in_path("pasta")) {
		*ret_mend = "sudo apt-get install passt";
		return "pasta is not installed";
	}
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun >= 0)
		return NULL;
	*ret_mend = errno == EACCES ? "sudo chmod 0666 /dev/net/tun" : "sudo modprobe tun";
	return errno == EACCES ? "/dev/net/tun may not be opened by ordinary users"
			       : "there is no /dev/net/tun";
}
