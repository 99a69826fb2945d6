/* Trees compared directory by directory: the names of both, sorted, side by side. */
#include "image/compare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/strv.h"

#define MAX_DEPTH 200
#define MAX_CHANGES 4000000u
#define CHUNK (128u << 10)
#define XATTR_MAX 65536u

struct compare {
	struct tree_changes list;
	unsigned flags;
	struct buf path;
	int depth;
	uint8_t *one, *two; /* CHUNK each */
};

static void compare_clear(struct compare *c)
{
	tree_changes_clear(&c->list);
	buf_free(&c->path);
	free(c->one);
	free(c->two);
}
DEFINE_CLEANUP_OBJECT(compare_clear, struct compare);

void tree_changes_clear(struct tree_changes *changes)
{
	for (size_t i = 0; i < changes->n; i++)
		free(changes->items[i].path);
	free(changes->items);
	*changes = (struct tree_changes){ 0 };
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted; none of fd -1. */
static int read_names(const struct compare *c, int fd, char ***ret, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	cleanup(close_dir) DIR *d = NULL;
	struct dirent *e;
	int copy;

	if (fd < 0)
		return 0;
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		fd_close(copy);
		return err_errno(err, "read directory '%s/'", c->path.data);
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			strv_add(&names, e->d_name);
	if (names)
		qsort(names, strv_len(names), sizeof(*names), by_name);
	*ret = take(names);
	return 0;
}

static int64_t bytes_of(const struct stat *st)
{
	return st && S_ISREG(st->st_mode) ? st->st_size : 0;
}

static int add(
	struct compare *c, char kind, const struct stat *a, const struct stat *b, struct err *err)
{
	struct tree_changes *l = &c->list;

	if (l->n == MAX_CHANGES)
		return err_set(err, E2BIG, "more than %u changes", MAX_CHANGES);
	/* Doubled whenever it is full. */
	if ((l->n & (l->n - 1)) == 0)
		l->items = xrealloc_array(l->items, l->n ? 2 * l->n : 1, sizeof(*l->items));
	l->items[l->n++] = (struct tree_change){ .kind = kind,
		.path = xstrdup(c->path.data),
		.before = bytes_of(a),
		.after = bytes_of(b) };
	return 0;
}

static int same_contents(struct compare *c, int a, int b, const char *name, struct err *err)
{
	cleanup(fd_close) int fa = openat(a, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup(fd_close) int fb = openat(b, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fa < 0 || fb < 0)
		return err_errno(err, "open '%s'", c->path.data);
	for (;;) {
		ssize_t na = fd_read_full(fa, c->one, CHUNK);
		ssize_t nb = fd_read_full(fb, c->two, CHUNK);
		if (na < 0 || nb < 0)
			return err_code(err, (int)(na < 0 ? na : nb), "read '%s'", c->path.data);
		if (na != nb || memcmp(c->one, c->two, (size_t)na) != 0)
			return 0;
		if (na == 0)
			return 1;
	}
}

static bool same_link(int a, int b, const char *name)
{
	char ta[PATH_MAX], tb[PATH_MAX];
	ssize_t na = readlinkat(a, name, ta, sizeof(ta));
	ssize_t nb = readlinkat(b, name, tb, sizeof(tb));

	return na >= 0 && na == nb && memcmp(ta, tb, (size_t)na) == 0;
}

/* The attributes of something that may be a link, a device or a socket: by its path. */
static char *proc_path(int dirfd, const char *name)
{
	return xasprintf("/proc/self/fd/%d/%s", dirfd, name);
}

static int list_xattrs(const char *path, char ***ret)
{
	cleanup(free) char *list = xcalloc(1, XATTR_MAX + 1);
	ssize_t n = llistxattr(path, list, XATTR_MAX);

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		strv_add(ret, list + at);
	if (*ret)
		qsort(*ret, strv_len(*ret), sizeof(**ret), by_name);
	return n < 0 && errno != ENOTSUP ? -errno : 0;
}

static bool same_xattrs(struct compare *c, int a, int b, const char *name)
{
	cleanup(free) char *pa = proc_path(a, name), *pb = proc_path(b, name);
	cleanup(strv_free) char **la = NULL, **lb = NULL;

	if (list_xattrs(pa, &la) < 0 || list_xattrs(pb, &lb) < 0 || strv_len(la) != strv_len(lb))
		return false;
	for (size_t i = 0; i < strv_len(la); i++) {
		ssize_t na = lgetxattr(pa, la[i], c->one, CHUNK);
		ssize_t nb = lgetxattr(pb, la[i], c->two, CHUNK);
		if (strcmp(la[i], lb[i]) != 0 || na < 0 || na != nb ||
			memcmp(c->one, c->two, (size_t)na) != 0)
			return false;
	}
	return true;
}

static bool same_inode(unsigned flags, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
		((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) && a->st_rdev != b->st_rdev))
		return false;
	if (S_ISREG(a->st_mode) && a->st_size != b->st_size)
		return false;
	return !(flags & TREE_TIMES) ||
	       (a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec);
}

/* 1 when what `name` is in both, apart from what a directory holds, is the same. */
static int same(struct compare *c, int a, int b, const char *name, const struct stat *sa,
	const struct stat *sb, struct err *err)
{
	/* Files of layers that both share are the very same ones, through overlay as well. */
	if (!S_ISDIR(sa->st_mode) && sa->st_ino == sb->st_ino && sa->st_dev == sb->st_dev)
		return 1;
	if (!same_inode(c->flags, sa, sb) || (S_ISLNK(sa->st_mode) && !same_link(a, b, name)) ||
		!same_xattrs(c, a, b, name))
		return 0;
	return S_ISREG(sa->st_mode) ? same_contents(c, a, b, name, err) : 1;
}

static int compare_dirs(struct compare *c, int a, int b, struct err *err);

static int open_below(int dirfd, const char *name, const struct stat *st)
{
	return st && S_ISDIR(st->st_mode)
		       ? openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
		       : -1;
}

/* What is below `name`, which is a directory in at least one of both. */
static int compare_below(struct compare *c, int a, int b, const char *name, const struct stat *sa,
	const struct stat *sb, struct err *err)
{
	cleanup(fd_close) int fa = open_below(a, name, sa), fb = open_below(b, name, sb);
	int r;

	if ((fa < 0 && sa && S_ISDIR(sa->st_mode)) || (fb < 0 && sb && S_ISDIR(sb->st_mode)))
		return err_errno(err, "open '%s'", c->path.data);
	if (++c->depth > MAX_DEPTH)
		return err_set(err, ELOOP, "'%s' is too deep", c->path.data);
	r = compare_dirs(c, fa, fb, err);
	c->depth--;
	return r;
}

static int look(int dirfd, const char *name, struct stat *st, const struct stat **ret)
{
	if (dirfd < 0 || !name)
		return 0;
	if (fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno; /* gone since */
	*ret = st;
	return 0;
}

/* `name` in a, in b (NULL: not there), or in both. */
static int compare_entry(
	struct compare *c, int a, const char *in_a, int b, const char *in_b, struct err *err)
{
	const char *name = in_a ? in_a : in_b;
	const struct stat *sa = NULL, *sb = NULL;
	struct stat one, two;
	int r = look(a, in_a, &one, &sa);

	if (r == 0)
		r = look(b, in_b, &two, &sb);
	if (r < 0)
		return err_code(err, r, "look at '%s'", c->path.data);
	if (!sa && !sb)
		return 0;
	if (sa && sb) {
		r = same(c, a, b, name, sa, sb, err);
		if (r == 0)
			r = add(c, 'C', sa, sb, err);
	} else {
		r = add(c, sa ? 'D' : 'A', sa, sb, err);
	}
	if (r >= 0 && ((sa && S_ISDIR(sa->st_mode)) || (sb && S_ISDIR(sb->st_mode))))
		r = compare_below(c, a, b, name, sa, sb, err);
	return r < 0 ? r : 0;
}

static int compare_dirs(struct compare *c, int a, int b, struct err *err)
{
	cleanup(strv_free) char **na = NULL, **nb = NULL;
	size_t len = c->path.len, i = 0, k = 0;
	int r = read_names(c, a, &na, err);

	if (r == 0)
		r = read_names(c, b, &nb, err);
	while (r == 0 && ((na && na[i]) || (nb && nb[k]))) {
		const char *in_a = na ? na[i] : NULL, *in_b = nb ? nb[k] : NULL;
		int order = !in_a ? 1 : !in_b ? -1 : strcmp(in_a, in_b);
		c->path.len = len;
		buf_addf(&c->path, "/%s", order <= 0 ? in_a : in_b);
		r = compare_entry(c, a, order <= 0 ? in_a : NULL, b, order >= 0 ? in_b : NULL, err);
		i += order <= 0;
		k += order >= 0;
	}
	c->path.len = len;
	c->path.data[len] = '\0';
	return r;
}

int tree_compare(int a, int b, unsigned flags, struct tree_changes *ret, struct err *err)
{
	cleanup(compare_clear) struct compare c = {
		.flags = flags, .one = xcalloc(1, CHUNK), .two = xcalloc(1, CHUNK)
	};
	struct stat sa, sb;
	int r;

	buf_adds(&c.path, "");
	if (a >= 0 && b >= 0) {
		if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
			return err_errno(err, "look at a root directory");
		/* The time of a root that the archive does not mention is when it was unpacked. */
		if (!same_inode(0, &sa, &sb) || !same_xattrs(&c, a, b, ".")) {
			buf_adds(&c.path, "/");
			r = add(&c, 'C', &sa, &sb, err);
			if (r < 0)
				return r;
			c.path.len = 0;
			c.path.data[0] = '\0';
		}
	}
	r = compare_dirs(&c, a, b, err);
	if (r < 0)
		return r;
	*ret = c.list;
	c.list = (struct tree_changes){ 0 };
	return 0;
}
