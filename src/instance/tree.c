/*
 * Copying trees (tree.h). Every object is opened once with O_PATH|O_NOFOLLOW, looked at, and then
 * reached through that descriptor alone (/proc/self/fd): whoever owns the source may change it
 * meanwhile and gains nothing by it. New files are made without a name (O_TMPFILE) and get one when
 * they are complete.
 */
#include "instance/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/shift.h"

#define MAX_DEPTH 200 /* two descriptors each */
#define XATTR_LIST_MAX_BYTES 65536

/* Where a file with several links was copied to: the next of its names becomes a link to it. */
struct link_seen {
	dev_t dev;
	ino_t ino, copy; /* of the original, of the copy */
	char *path;      /* below struct copy's `to`; NULL: a free slot */
};

struct copy {
	const struct tree_copy *how;
	struct err *err;
	int to;                  /* where it began */
	struct buf path;         /* of the object in hand, below `to` */
	struct link_seen *links; /* a hash table, cap a power of two */
	size_t n, cap;
	int depth;
};

static void copy_clear(struct copy *c)
{
	for (size_t i = 0; i < c->cap; i++)
		free(c->links[i].path);
	free(c->links);
	buf_free(&c->path);
}
DEFINE_CLEANUP_OBJECT(copy_clear, struct copy);

static int copy_object(struct copy *c, int from, int to_dir, const char *name);

static int fail(struct copy *c, const char *doing)
{
	return err_errno(c->err, "%s '%s'", doing, c->path.data);
}

static void self_path(char path[64], int fd)
{
	snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static int reopen(int fd, int flags)
{
	char path[64];

	self_path(path, fd);
	return open(path, flags | O_CLOEXEC);
}

static struct link_seen *find_link(struct copy *c, const struct stat *st)
{
	size_t i = st->st_ino * UINT64_C(11400714819323198485) & (c->cap - 1);

	while (c->links[i].path && (c->links[i].ino != st->st_ino || c->links[i].dev != st->st_dev))
		i = (i + 1) & (c->cap - 1);
	return &c->links[i];
}

static void remember_link(struct copy *c, const struct stat *st, int copy)
{
	struct stat made;

	if (fstat(copy, &made) < 0)
		return;
	if (2 * c->n >= c->cap) {
		struct link_seen *old = c->links;
		size_t old_cap = c->cap;
		c->cap = old_cap ? 2 * old_cap : 64;
		c->links = xcalloc(c->cap, sizeof(*c->links));
		for (size_t i = 0; i < old_cap; i++) {
			struct stat key = { .st_dev = old[i].dev, .st_ino = old[i].ino };
			if (old[i].path)
				*find_link(c, &key) = old[i];
		}
		free(old);
	}
	*find_link(c, st) =
		(struct link_seen){ st->st_dev, st->st_ino, made.st_ino, xstrdup(c->path.data) };
	c->n++;
}

/* The earlier copy, checked to be that very file; -1 when there is none (any more). */
static int open_linked(struct copy *c, const struct stat *st)
{
	cleanup(fd_close) int fd = -1;
	struct link_seen *l;
	struct stat now;

	if (st->st_nlink < 2 || !c->cap)
		return -1;
	l = find_link(c, st);
	if (!l->path)
		return -1;
	fd = open_in_root(c->to, l->path, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &now) < 0 || now.st_ino != l->copy)
		return -1;
	return take_fd(fd);
}

static int copy_bytes(int from, int to, int64_t size)
{
	char data[65536];
	ssize_t n;
	int r;

	while (size > 0) {
		size_t want = size < (1 << 30) ? (size_t)size : 1 << 30;
		n = copy_file_range(from, NULL, to, NULL, want, 0);
		if (n <= 0)
			n = read(from, data, want < sizeof(data) ? want : sizeof(data));
		else
			want = 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (want) {
			r = fd_write_all(to, data, (size_t)n);
			if (r < 0)
				return r;
		}
		size -= n;
	}
	return 0;
}

/* As much as the file had when it was looked at: it may be growing. Holes stay holes. */
static int copy_data(int from, int to, int64_t size)
{
	int64_t data = 0, hole = size;
	int r;

	if (size == 0) /* procfs does not tell */
		return copy_bytes(from, to, 1 << 24);
	while (data < size) {
		int64_t at = lseek(from, data, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			break;
		if (at >= size)
			break;
		if (at >= 0) {
			data = at;
			hole = lseek(from, data, SEEK_HOLE);
			if (hole < 0 || hole > size)
				hole = size;
		} else {
			hole = size;
		}
		if (lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
			return -errno;
		r = copy_bytes(from, to, hole - data);
		if (r < 0)
			return r;
		data = hole;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

/* What a file may carry from one world into the other, as in archives. */
static bool xattr_allowed(const struct copy *c, const char *name)
{
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0;
	if (strcmp(name, "security.capability") == 0)
		return !c->how->drop_privileges;
	return strncmp(name, "system.posix_acl_", 17) == 0;
}

/* Best effort: the destination's file system may have none, or not these. */
static void copy_xattrs(const struct copy *c, int from, int to)
{
	char from_path[64], to_path[64], value[XATTR_SIZE_MAX + SHIFT_XATTR_GROWTH];
	const struct tree_copy *how = c->how;
	cleanup(free) char *names = xcalloc(1, XATTR_LIST_MAX_BYTES);
	ssize_t n, len;
	size_t size;

	self_path(from_path, from);
	self_path(to_path, to);
	len = listxattr(from_path, names, XATTR_LIST_MAX_BYTES - 1);
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		if (!xattr_allowed(c, names + i))
			continue;
		n = getxattr(from_path, names + i, value, XATTR_SIZE_MAX);
		if (n < 0)
			continue;
		size = shift_xattr_to_container(how->from_base, names + i, value, (size_t)n);
		size = shift_xattr_to_host(how->to_base, names + i, value, size);
		setxattr(to_path, names + i, value, size, 0);
	}
}

static int copy_owner(struct copy *c, const struct stat *st, int to)
{
	const struct tree_copy *how = c->how;
	uid_t uid = how->keep_owner ? shift_to_container(how->from_base, st->st_uid) : how->uid;
	gid_t gid = how->keep_owner ? shift_to_container(how->from_base, st->st_gid) : how->gid;
	uid_t host_uid = shift_to_host(how->to_base, uid);
	gid_t host_gid = shift_to_host(how->to_base, gid);

	if (host_uid == SHIFT_NONE || host_gid == SHIFT_NONE)
		return err_set(c->err, ERANGE,
			"'%s' belongs to %u:%u, and the container has no ids above %u",
			c->path.data, uid, gid, SHIFT_IDS - 1);
	if (fchownat(to, "", host_uid, host_gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "set the owner of");
	return 0;
}

/* Owner before mode before attributes: chown drops set-id bits and file capabilities. `to` may be
 * an O_PATH descriptor. */
static int copy_metadata(struct copy *c, const struct stat *st, int from, int to)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	mode_t mode =
		st->st_mode & (c->how->drop_privileges && !S_ISDIR(st->st_mode) ? 01777 : 07777);
	char path[64];
	int r = copy_owner(c, st, to);

	if (r < 0)
		return r;
	self_path(path, to);
	if (!S_ISLNK(st->st_mode)) {
		if (chmod(path, mode) < 0)
			return fail(c, "set the mode of");
		if (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode))
			copy_xattrs(c, from, to);
		utimensat(AT_FDCWD, path, times, 0);
	}
	return 0;
}

/* Gives a nameless or named object its final name. */
static int put_in_place(struct copy *c, int fd, int dir, const char *name)
{
	char from[64], temporary[64];
	struct stat st;

	self_path(from, fd);
	if (linkat(AT_FDCWD, from, dir, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST || !c->how->replace)
		return errno == EEXIST ? 0 : fail(c, "make");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return fail(c, "replace");
	}
	snprintf(temporary, sizeof(temporary), ".holm-%d-%d", (int)getpid(), fd);
	if (linkat(AT_FDCWD, from, dir, temporary, AT_SYMLINK_FOLLOW) < 0)
		return fail(c, "make");
	if (renameat(dir, temporary, dir, name) < 0) {
		int saved = errno;
		unlinkat(dir, temporary, 0);
		errno = saved;
		return fail(c, "replace");
	}
	/* rename(2) does nothing when both names are the same file. */
	unlinkat(dir, temporary, 0);
	return 0;
}

static int copy_file(struct copy *c, const struct stat *st, int from, int dir, const char *name)
{
	cleanup(fd_close) int in = reopen(from, O_RDONLY | O_NONBLOCK);
	cleanup(fd_close) int out = -1;
	bool named = false;
	int r;

	if (in < 0)
		return fail(c, "read");
	out = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (out < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
		named = true;
		if (c->how->replace)
			unlinkat(dir, name, 0);
		out = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (out < 0 && errno == EEXIST && !c->how->replace)
			return 0;
	}
	if (out < 0)
		return fail(c, "make");
	r = copy_data(in, out, st->st_size);
	if (r < 0)
		r = err_code(c->err, r, "copy '%s'", c->path.data);
	else
		r = copy_metadata(c, st, in, out);
	if (r < 0 && named)
		unlinkat(dir, name, 0);
	if (r == 0 && !named)
		r = put_in_place(c, out, dir, name);
	if (r == 0 && st->st_nlink > 1)
		remember_link(c, st, out);
	return r;
}

/* Links, devices, FIFOs, sockets: made at once, so what is in the way goes first. */
static int copy_special(struct copy *c, const struct stat *st, int from, int dir, const char *name)
{
	cleanup(fd_close) int made = -1;
	char target[PATH_MAX];
	ssize_t n;
	int r;

	if (c->how->replace && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return fail(c, "replace");
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(from, "", target, sizeof(target) - 1);
		if (n < 0)
			return fail(c, "read link");
		target[n] = '\0';
		r = symlinkat(target, dir, name);
	} else {
		r = mknodat(dir, name, st->st_mode, st->st_rdev);
	}
	if (r < 0)
		return errno == EEXIST ? 0 : fail(c, "make");
	made = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0)
		return fail(c, "open");
	r = copy_metadata(c, st, from, made);
	if (r == 0 && st->st_nlink > 1)
		remember_link(c, st, made);
	return r;
}

static int copy_entries(struct copy *c, int from, int to)
{
	int fd = reopen(from, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t len = c->path.len;
	struct dirent *e;
	int r = 0;

	if (!d) {
		fd_close(fd);
		return fail(c, "read directory");
	}
	while (r == 0 && (e = readdir(d))) {
		cleanup(fd_close) int entry = -1;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		entry = openat(fd, e->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (entry < 0)
			continue; /* it went away meanwhile */
		buf_addf(&c->path, "%s%s", len ? "/" : "", e->d_name);
		r = copy_object(c, entry, to, e->d_name);
		c->path.len = len;
		c->path.data[len] = '\0';
	}
	closedir(d);
	return r;
}

/* A file system of the kernel's own making, met on the way: its files are no files to keep. */
static bool is_pseudo(int dirfd)
{
	static const long types[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(dirfd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (fs.f_type == types[i])
			return true;
	return false;
}

static int copy_directory(
	struct copy *c, const struct stat *st, int from, int dir, const char *name)
{
	cleanup(fd_close) int to = -1;
	bool made = mkdirat(dir, name, 0700) == 0;
	int r = 0;

	if (!made && errno != EEXIST)
		return fail(c, "make directory");
	to = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return fail(c, "enter directory");
	if (++c->depth > MAX_DEPTH)
		return err_set(c->err, ELOOP, "'%s' is more than %d directories deep", c->path.data,
			MAX_DEPTH);
	if (!is_pseudo(from))
		r = copy_entries(c, from, to);
	c->depth--;
	if (r == 0 && (made || c->how->replace))
		r = copy_metadata(c, st, from, to);
	return r;
}

/* Into a mounted file (/etc/hosts), which stays what it is. */
static int overwrite(struct copy *c, const struct stat *st, int from, int dir, const char *name)
{
	cleanup(fd_close) int in = -1, out = -1;
	int r;

	if (!S_ISREG(st->st_mode)) {
		errno = EBUSY;
		return fail(c, "replace");
	}
	in = reopen(from, O_RDONLY | O_NONBLOCK);
	if (in < 0)
		return fail(c, "read");
	out = openat(
		dir, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (out < 0)
		return fail(c, "write");
	r = copy_data(in, out, st->st_size);
	return r < 0 ? err_code(c->err, r, "write '%s'", c->path.data) : 0;
}

static int copy_object(struct copy *c, int from, int to_dir, const char *name)
{
	cleanup(fd_close) int linked = -1;
	struct stat st;

	if (fstat(from, &st) < 0)
		return fail(c, "look at");
	if (S_ISDIR(st.st_mode))
		return copy_directory(c, &st, from, to_dir, name);
	/* 0/0 is overlay's mark of a file that is not there. */
	if ((S_ISCHR(st.st_mode) && st.st_rdev == 0) ||
		((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && c->how->drop_privileges))
		return 0;
	if (c->how->replace && path_is_mount(to_dir, name))
		return overwrite(c, &st, from, to_dir, name);
	linked = open_linked(c, &st);
	if (linked >= 0)
		return put_in_place(c, linked, to_dir, name);
	return S_ISREG(st.st_mode) ? copy_file(c, &st, from, to_dir, name)
				   : copy_special(c, &st, from, to_dir, name);
}

int tree_copy(int from, int to_dir, const char *name, const struct tree_copy *how, struct err *err)
{
	cleanup(copy_clear) struct copy c = { .how = how, .err = err, .to = to_dir };

	buf_adds(&c.path, name);
	return copy_object(&c, from, to_dir, name);
}

int tree_copy_contents(int from, int to, bool self, const struct tree_copy *how, struct err *err)
{
	cleanup(copy_clear) struct copy c = { .how = how, .err = err, .to = to };
	struct stat st;
	int r;

	buf_adds(&c.path, "");
	r = copy_entries(&c, from, to);
	if (r == 0 && self && fstat(from, &st) == 0)
		r = copy_metadata(&c, &st, from, to);
	return r;
}
