#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 &&
			errno == EAGAIN) { /* standard output may be anyone's, also non-blocking */
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t fd_read_full(int fd, void *data, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)data + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int fd_read_to_end(int fd, size_t max, struct buf *out)
{
	size_t start = out->len, chunk = 4096;

	for (;;) {
		ssize_t n = fd_read_full(fd, buf_reserve(out, chunk), chunk);
		if (n < 0)
			return (int)n;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		if (out->len - start > max)
			return -EFBIG;
		if ((size_t)n < chunk)
			return 0;
		if (chunk < 1u << 20)
			chunk *= 2;
	}
}

static ssize_t copy_some(int from, int to, size_t want, int *method)
{
	char data[65536];
	ssize_t n;
	int r;

	if (*method == 0) {
		n = copy_file_range(from, NULL, to, NULL, want, 0);
		if (n > 0 || (n < 0 && errno == EINTR))
			return n;
		*method = 1; /* also after 0: procfs and pipes report an end that is none */
	}
	if (*method == 1) {
		n = sendfile(to, from, NULL, want);
		if (n > 0 || (n < 0 && errno == EINTR))
			return n;
		*method = 2;
	}
	n = read(from, data, want < sizeof(data) ? want : sizeof(data));
	if (n <= 0)
		return n;
	r = fd_write_all(to, data, (size_t)n);
	if (r < 0) {
		errno = -r;
		return -1;
	}
	return n;
}

int64_t fd_copy(int from, int to, int64_t max)
{
	int64_t total = 0;
	int method = 0;

	for (;;) {
		ssize_t n = copy_some(from, to, 1u << 20, &method);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return total;
		total += n;
		if (total > max)
			return -EFBIG;
	}
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

#define MAX_FDS 4

int fd_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds)
{
	union {
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds > MAX_FDS)
		return -EINVAL;
	if (n_fds) {
		struct cmsghdr *c = &control.align;
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < len)
		return fd_write_all(sock, (const char *)data + n, len - (size_t)n);
	return 0;
}

static void take_received(struct msghdr *msg, int *fds, size_t n_fds)
{
	size_t have = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (have < n_fds)
				fds[have++] = fd;
			else
				close(fd);
		}
	}
}

ssize_t fd_recv(int sock, void *data, size_t len, int *fds, size_t n_fds)
{
	union {
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	ssize_t n;

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = -1;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_received(&msg, fds, n_fds);
	return n;
}

int fd_from_child(int (*open)(const void *data), const void *data)
{
	int pair[2], fd = -1, status = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		int r = open(data);
		int e = r < 0 ? -r : 0;
		_exit(fd_send(pair[1], &e, sizeof(e), &r, e ? 0 : 1) < 0);
	}
	fd_close(pair[1]);
	if (pid < 0 || fd_recv(pair[0], &status, sizeof(status), &fd, 1) <= 0)
		status = EIO;
	fd_close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd >= 0 ? fd : -(status ? status : EIO);
}

int file_read(int dirfd, const char *path, size_t max, struct buf *out)
{
	cleanup(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_read_to_end(fd, max, out);
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup(free) char *parent =
		slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	cleanup(fd_close) int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int move_into_place(int dirfd, const char *tmp, const char *path, unsigned flags)
{
	/* Not where there is no file yet, and some file systems cannot. */
	if (flags & FILE_LAZY && renameat2(dirfd, tmp, dirfd, path, RENAME_EXCHANGE) == 0)
		return unlinkat(dirfd, tmp, 0) < 0 ? -errno : 0;
	return renameat2(dirfd, tmp, dirfd, path, flags & FILE_NO_REPLACE ? RENAME_NOREPLACE : 0) <
			       0
		       ? -errno
		       : 0;
}

int file_write(
	int dirfd, const char *path, const void *data, size_t len, mode_t mode, unsigned flags)
{
	/* A pid is unique among the living; a file left by the dead is overwritten. */
	cleanup(free) char *tmp = xasprintf("%s.tmp.%d", path, (int)gettid());
	cleanup(fd_close) int fd =
		openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, len);
	if (r == 0 && flags & FILE_SYNC && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = move_into_place(dirfd, tmp, path, flags);
	if (r < 0)
		unlinkat(dirfd, tmp, 0);
	else if (flags & FILE_SYNC)
		r = sync_parent(dirfd, path);
	return r;
}

int file_put(int dirfd, const char *path, const char *text)
{
	cleanup(fd_close) int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int file_get_line(int dirfd, const char *path, char *line, size_t size)
{
	cleanup(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_read_full(fd, line, size - 1);
	if (n < 0)
		return (int)n;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

int file_get_u64(int dirfd, const char *path, uint64_t *ret)
{
	char line[64];
	int r = file_get_line(dirfd, path, line, sizeof(line));

	if (r < 0)
		return r;
	return parse_u64(line, UINT64_MAX, ret);
}

int dir_make(const char *path, mode_t mode)
{
	cleanup(free) char *p = NULL;

	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	p = xstrdup(path);
	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(p, mode) < 0 && errno != EEXIST ? -errno : 0;
}

/*
 * A tree may be deeper than there are descriptors for, and an image can make it so on purpose: what
 * lies below this depth is moved up to the top, and removed from there in the next round.
 */
#define REMOVE_DEPTH 64

struct removal {
	dev_t dev;
	int top;
	unsigned moved;
};

static int remove_below(struct removal *rm, int dirfd, unsigned depth);

static int move_to_top(struct removal *rm, int dirfd, const char *name)
{
	char fresh[32];

	for (;;) {
		snprintf(fresh, sizeof(fresh), ".deep.%u", rm->moved++);
		if (renameat2(dirfd, name, rm->top, fresh, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
}

static int remove_entry(struct removal *rm, int dirfd, const char *name, unsigned depth)
{
	cleanup(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != rm->dev)
		return -EXDEV;
	if (depth == REMOVE_DEPTH)
		return move_to_top(rm, dirfd, name);
	if (rm->top < 0)
		rm->top = fd;
	do {
		unsigned before = rm->moved;
		r = remove_below(rm, fd, depth + 1);
		if (depth > 0 || rm->moved == before)
			break;
	} while (r == 0);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static DIR *open_dir(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		fd_close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int remove_below(struct removal *rm, int dirfd, unsigned depth)
{
	cleanup(close_dir) DIR *d = open_dir(dirfd);
	struct dirent *e;
	int r;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (is_dots(e->d_name))
			continue;
		r = remove_entry(rm, dirfd, e->d_name, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

int dir_remove(int dirfd, const char *name)
{
	struct removal rm = { .top = -1 };
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	rm.dev = st.st_dev;
	return remove_entry(&rm, dirfd, name, 0);
}

struct inode_set {
	ino_t *items;
	size_t n, cap;
};

/* Files with several links are few: a linear table is enough up to here, and larger trees hash. */
static bool inode_seen(struct inode_set *s, ino_t ino)
{
	size_t i;

	if (2 * s->n >= s->cap) {
		struct inode_set bigger = { .cap = s->cap ? 2 * s->cap : 256 };
		bigger.items = xcalloc(bigger.cap, sizeof(ino_t));
		for (size_t k = 0; k < s->cap; k++)
			if (s->items[k])
				inode_seen(&bigger, s->items[k]);
		free(s->items);
		*s = bigger;
	}
	for (i = ino * 11400714819323198485u % s->cap; s->items[i]; i = (i + 1) % s->cap)
		if (s->items[i] == ino)
			return true;
	s->items[i] = ino;
	s->n++;
	return false;
}

/* No path leads deeper; a tree that goes on was made to exhaust the stack of whoever walks it. */
#define USAGE_DEPTH (PATH_MAX / 2)

static int usage_below(int dirfd, unsigned depth, struct inode_set *seen, uint64_t *bytes)
{
	cleanup(close_dir) DIR *d = open_dir(dirfd);
	struct dirent *e;
	struct stat st;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (is_dots(e->d_name) || fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			cleanup(fd_close) int fd = openat(
				dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd >= 0 && depth < USAGE_DEPTH)
				usage_below(fd, depth + 1, seen, bytes);
		} else if (st.st_nlink > 1 && inode_seen(seen, st.st_ino)) {
			continue;
		}
		*bytes += (uint64_t)st.st_blocks * 512;
	}
	return 0;
}

int dir_usage(int dirfd, const char *name, uint64_t *ret_bytes)
{
	struct inode_set seen = { 0 };
	uint64_t bytes = 0;
	cleanup(fd_close) int fd =
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : usage_below(fd, 0, &seen, &bytes);

	free(seen.items);
	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

int open_in_root(int rootfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	/* EAGAIN: a rename raced with "..", openat2(2) says to retry. */
	for (int tries = 0; tries < 32; tries++) {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

static int make_step(int rootfd, const char *path)
{
	int fd = open_in_root(rootfd, path, O_PATH | O_DIRECTORY, 0);
	cleanup(fd_close) int parent = -1;
	const char *name;

	if (fd != -ENOENT)
		return fd;
	parent = open_parent_in_root(rootfd, path, /* make= */ true, &name);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return open_in_root(rootfd, path, O_PATH | O_DIRECTORY, 0);
}

int open_parent_in_root(int rootfd, const char *path, bool make, const char **ret_name)
{
	const char *name;
	cleanup(free) char *parent = NULL;
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	if (!len || len >= PATH_MAX || path[len])
		return path[len] ? -EINVAL : -EISDIR;
	name = memrchr(path, '/', len);
	name = name ? name + 1 : path;
	if (is_dots(name))
		return -EINVAL;
	parent = name == path ? xstrdup(".") : xstrndup(path, (size_t)(name - path));
	for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
		parent[n - 1] = '\0';
	*ret_name = name;
	return make ? make_step(rootfd, parent)
		    : open_in_root(rootfd, parent, O_PATH | O_DIRECTORY, 0);
}

bool path_is_mount(int dirfd, const char *name)
{
	struct statx st;

	return statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
	       st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

int lock_file(int dirfd, const char *path, bool wait)
{
	cleanup(fd_close) int fd =
		openat(dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	do
		r = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : take_fd(fd);
}
