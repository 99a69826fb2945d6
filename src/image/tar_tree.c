#include "image/layer.h"

/*
 * A tree into an archive: entries in the order of their names' bytes, a directory before what is in
 * it. Nothing is followed, every step is by descriptor, and a file is read from the descriptor that
 * was looked at, so that a tree which changes meanwhile (a container's) gives some archive, never
 * something from outside. Sockets are left out, as everywhere.
 *
 * With `whiteouts` overlay's form (overlayfs.rst) turns into OCI's (image-spec, layer.md).
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/strv.h"
#include "image/shift.h"
#include "image/tar.h"

/* Files with several links: where in the archive the first one is. A hash table of open addresses. */
struct seen {
	struct seen_file {
		dev_t dev;
		ino_t ino;
		char *name;
	} * items;
	size_t n, cap;
};

struct tree {
	struct tar_writer *writer;
	const struct tar_tree_options *options;
	dev_t dev;
	struct seen seen;
	struct buf name; /* in the archive */
};

static void seen_free(struct seen *s)
{
	for (size_t i = 0; i < s->cap; i++)
		free(s->items[i].name);
	free(s->items);
}

static struct seen_file *seen_slot(struct seen *s, dev_t dev, ino_t ino)
{
	size_t i = (ino ^ dev << 20) * 11400714819323198485u % s->cap;

	while (s->items[i].name && (s->items[i].dev != dev || s->items[i].ino != ino))
		i = (i + 1) % s->cap;
	return &s->items[i];
}

/* The name under which the file went in before; or NULL, and from now on it is this one. */
static const char *seen_before(struct seen *s, const struct stat *st, const char *name)
{
	struct seen_file *f;

	if (2 * (s->n + 1) > s->cap) {
		struct seen bigger = { .cap = s->cap ? 2 * s->cap : 256, .n = s->n };
		bigger.items = xcalloc(bigger.cap, sizeof(*bigger.items));
		for (size_t i = 0; i < s->cap; i++)
			if (s->items[i].name)
				*seen_slot(&bigger, s->items[i].dev, s->items[i].ino) = s->items[i];
		free(s->items);
		*s = bigger;
	}
	f = seen_slot(s, st->st_dev, st->st_ino);
	if (f->name)
		return f->name;
	*f = (struct seen_file){ .dev = st->st_dev, .ino = st->st_ino, .name = xstrdup(name) };
	s->n++;
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

struct names {
	char **items;
	size_t n, cap;
};

static void names_free(struct names *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->items[i]);
	free(v->items);
}
DEFINE_CLEANUP_OBJECT(names_free, struct names);

static int list_names(int dirfd, struct names *v)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		fd_close(fd);
		return -errno;
	}
	for (errno = 0; (e = readdir(d)); errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (v->n == v->cap) {
			v->cap = v->cap ? 2 * v->cap : 32;
			v->items = xrealloc_array(v->items, v->cap, sizeof(*v->items));
		}
		v->items[v->n++] = xstrdup(e->d_name);
	}
	if (errno)
		return -errno;
	if (v->n)
		qsort(v->items, v->n, sizeof(*v->items), compare_names);
	return 0;
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static void add_xattr(const char *path, const char *name, uint32_t base, struct tar_entry *e)
{
	cleanup(free) char *value = NULL;
	ssize_t n = lgetxattr(path, name, NULL, 0);

	if (n < 0 || n > (ssize_t)TAR_MAX_XATTR_SIZE)
		return;
	value = xcalloc(1, (size_t)n + 1);
	n = lgetxattr(path, name, value, (size_t)n);
	if (n < 0)
		return;
	tar_xattr_add(&e->xattrs, &e->n_xattrs, name, strlen(name), value,
		shift_xattr_to_container(base, name, value, (size_t)n));
}

/* Not every file system has attributes, nor every file. */
static int add_xattrs(
	int dirfd, const char *name, uint32_t base, struct tar_entry *e, struct err *err)
{
	char path[NAME_MAX + 64], list[8192];
	cleanup(free) char *big = NULL;
	char *names = list;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	n = llistxattr(path, list, sizeof(list));
	if (n < 0 && errno == ERANGE) {
		names = big = xcalloc(1, XATTR_LIST_MAX);
		n = llistxattr(path, big, XATTR_LIST_MAX);
	}
	if (n < 0)
		return errno == ENOTSUP || errno == ENOENT || errno == EPERM || errno == EACCES
			       ? 0
			       : err_errno(err, "read the attributes of '%s'", e->name);
	for (const char *p = names; p < names + n; p += strlen(p) + 1)
		if (tar_xattr_portable(p) && e->n_xattrs < TAR_MAX_XATTRS)
			add_xattr(path, p, base, e);
	if (e->n_xattrs)
		qsort(e->xattrs, e->n_xattrs, sizeof(*e->xattrs), compare_xattrs);
	return 0;
}

static int read_link(int dirfd, const char *name, struct tar_entry *e, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_errno(err, "read the link '%s'", e->name);
	e->link = xstrndup(target, (size_t)n);
	return 0;
}

static void describe(const struct stat *st, uint32_t base, struct tar_entry *e)
{
	e->mode = st->st_mode & 07777;
	e->uid = shift_to_container(base, st->st_uid);
	e->gid = shift_to_container(base, st->st_gid);
	e->mtime = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
	e->major = major(st->st_rdev);
	e->minor = minor(st->st_rdev);
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		e->type = TAR_FILE;
		e->size = st->st_size;
		break;
	case S_IFDIR:
		e->type = TAR_DIR;
		break;
	case S_IFLNK:
		e->type = TAR_SYMLINK;
		break;
	case S_IFIFO:
		e->type = TAR_FIFO;
		break;
	default:
		e->type = S_ISCHR(st->st_mode) ? TAR_CHAR : TAR_BLOCK;
	}
}

static bool is_opaque(int dirfd)
{
	char v[2];

	return (fgetxattr(dirfd, "trusted.overlay.opaque", v, sizeof(v)) == 1 && v[0] == 'y') ||
	       (fgetxattr(dirfd, "user.overlay.opaque", v, sizeof(v)) == 1 && v[0] == 'y');
}

/* ".wh." before the last part, or an opaque directory's mark in it. When it was made says nothing. */
static int write_whiteout(
	struct tree *t, const char *dir, size_t dir_len, const char *name, struct err *err)
{
	cleanup(free) char *path = xasprintf("%.*s.wh.%s", (int)dir_len, dir, name);

	return tar_write_file(t->writer, path, NULL, 0, /* mtime= */ 0, err);
}

static int write_entry(struct tree *t, int dirfd, const char *name, const struct stat *st, int fd,
	struct err *err);

static int write_children(struct tree *t, int fd, struct err *err)
{
	cleanup(names_free) struct names names = { 0 };
	size_t len = t->name.len;
	int r = list_names(fd, &names);

	if (r < 0)
		return err_code(err, r, "read '%s'", len ? t->name.data : ".");
	if (len)
		buf_addc(&t->name, '/');
	if (t->options->whiteouts && is_opaque(fd)) {
		r = write_whiteout(
			t, t->name.data ? t->name.data : "", t->name.len, ".wh..opq", err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < names.n && r == 0; i++) {
		size_t before = t->name.len;
		struct stat st;
		if (fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return err_errno(err, "look at '%s'", names.items[i]);
		}
		buf_adds(&t->name, names.items[i]);
		r = write_entry(t, fd, names.items[i], &st, -1, err);
		t->name.len = before;
		t->name.data[before] = '\0';
	}
	t->name.len = len;
	if (t->name.data)
		t->name.data[len] = '\0';
	return r;
}

static int write_contents(struct tree *t, struct tar_entry *e, int fd, struct err *err)
{
	int r = tar_write_entry(t->writer, e, err);

	if (r == 0 && e->size)
		r = tar_write_fd(t->writer, fd, e->size, err);
	return r < 0 ? err_wrap(err, "'%s'", e->name) : 0;
}

/*
 * What was looked at may be another thing by now. A file is opened through what it was found to be:
 * opening a device that took its place would already do something.
 */
static int open_same(int dirfd, const char *name, struct stat *st)
{
	cleanup(fd_close) int fd = -1;
	char path[64];
	struct stat now;

	if (S_ISDIR(st->st_mode))
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	else
		fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &now) < 0)
		return -errno;
	if ((now.st_mode & S_IFMT) != (st->st_mode & S_IFMT))
		return -ESTALE;
	if (!S_ISDIR(st->st_mode)) {
		int file;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		file = open(path, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			return -errno;
		fd_close(fd);
		fd = file;
	}
	*st = now;
	return take_fd(fd);
}

static int write_opened(
	struct tree *t, int dirfd, const char *name, struct stat *st, struct err *err)
{
	cleanup(fd_close) int fd = open_same(dirfd, name, st);

	if (fd == -ENOENT || fd == -ESTALE || fd == -ELOOP || fd == -ENOTDIR)
		return 0; /* gone since */
	if (fd < 0)
		return err_code(err, fd, "open '%s'", t->name.data);
	return write_entry(t, dirfd, name, st, fd, err);
}

/* fd: the file or directory, opened; -1 before that, and for what is not opened. */
static int write_entry(
	struct tree *t, int dirfd, const char *name, const struct stat *st, int fd, struct err *err)
{
	cleanup(tar_entry_clear) struct tar_entry e = { 0 };
	bool is_dir = S_ISDIR(st->st_mode);
	struct stat copy = *st;
	const char *first;
	int r;

	if (S_ISSOCK(st->st_mode) ||
		(fd < 0 && t->options->leave_out &&
			t->options->leave_out(t->options->leave_out_data, t->name.data, st)))
		return 0;
	if (fd < 0 && (is_dir || S_ISREG(st->st_mode)))
		return write_opened(t, dirfd, name, &copy, err);
	if (t->options->whiteouts && S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return write_whiteout(t, t->name.data, t->name.len - strlen(name), name, err);
	e.name = xstrdup(t->name.data);
	describe(st, t->options->base, &e);
	if (!is_dir && st->st_nlink > 1 && (first = seen_before(&t->seen, st, e.name))) {
		e.type = TAR_HARDLINK;
		e.link = xstrdup(first);
		e.size = 0;
		return tar_write_entry(t->writer, &e, err);
	}
	r = S_ISLNK(st->st_mode) ? read_link(dirfd, name, &e, err) : 0;
	if (r == 0)
		r = add_xattrs(dirfd, name, t->options->base, &e, err);
	if (r == 0)
		r = write_contents(t, &e, fd, err);
	if (r < 0 || !is_dir || (t->options->one_file_system && st->st_dev != t->dev))
		return r;
	return write_children(t, fd, err);
}

static int write_top(struct tree *t, int rootfd, const char *path, struct err *err)
{
	bool is_root = path[strspn(path, "/.")] == '\0' && !strstr(path, "..");
	const char *base = ".";
	cleanup(free) char *name = NULL;
	cleanup(fd_close) int dir =
		is_root ? open_in_root(rootfd, ".", O_PATH | O_DIRECTORY, 0)
			: open_parent_in_root(rootfd, path, /* make= */ false, &base);
	cleanup(fd_close) int fd = -1;
	struct stat st;

	if (dir < 0)
		return err_code(err, dir, "open '%s'", path);
	name = xstrndup(base, strcspn(base, "/"));
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "look at '%s'", path);
	t->dev = st.st_dev;
	if (t->name.len)
		return write_entry(t, dir, name, &st, -1, err);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open '%s'", path);
	return write_children(t, fd, err);
}

int tar_write_tree(struct tar_writer *writer, int rootfd, const char *path,
	const struct tar_tree_options *options, struct err *err)
{
	struct tree t = { .writer = writer, .options = options };
	int r;

	if (options->name && *options->name)
		buf_adds(&t.name, options->name);
	r = write_top(&t, rootfd, path, err);
	seen_free(&t.seen);
	buf_free(&t.name);
	return r;
}
