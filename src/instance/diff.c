/*
 * What an instance has changed (files.h): its overlay's upper directory against the layers below.
 * Overlay's marks (overlayfs.rst): a character device 0/0 is a whiteout; a directory with the
 * attribute trusted.overlay.opaque hides what the layers have in its place.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "image/commit.h"
#include "instance/files.h"
#include "instance/root.h"

#define MAX_DEPTH 200
#define MAX_CHANGES 4000000u

const struct record_field files_change_fields[] = {
	RECORD(struct files_change, kind, "Kind", RECORD_STR),
	RECORD(struct files_change, path, "Path", RECORD_STR),
	RECORD_END,
};

struct diff {
	struct record_list list;
	char **hidden; /* what we put there ourselves: mount points */
	struct buf path;
	int depth;
};

static void diff_clear(struct diff *d)
{
	while (d->list.n)
		record_list_remove(&d->list, d->list.n - 1, files_change_fields);
	free(d->list.items);
	strv_free(d->hidden);
	buf_free(&d->path);
}
DEFINE_CLEANUP_OBJECT(diff_clear, struct diff);

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

static struct dirent *next_entry(DIR *d)
{
	struct dirent *e;

	do
		e = readdir(d);
	while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	return e;
}

static void add(struct diff *d, const char *kind)
{
	struct files_change *c = record_list_add(&d->list, sizeof(*c));

	c->kind = xstrdup(kind);
	c->path = xstrdup(d->path.data);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool is_opaque(int fd)
{
	char v[2] = { 0 };

	return (fgetxattr(fd, "trusted.overlay.opaque", v, 1) == 1 ||
		       fgetxattr(fd, "user.overlay.opaque", v, 1) == 1) &&
	       v[0] == 'y';
}

static int open_below(int dirfd, const char *name)
{
	return dirfd < 0 ? -1
			 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int walk(struct diff *d, int upper, int lower, struct err *err);

/* A directory in upper. was: what the layers have there, or NULL. */
static int walk_directory(struct diff *d, int upper, int lower, const char *name,
	const struct stat *st, const struct stat *was, struct err *err)
{
	cleanup(fd_close) int up = open_below(upper, name);
	cleanup(fd_close) int low = was && S_ISDIR(was->st_mode) ? open_below(lower, name) : -1;
	bool same = low >= 0 && was->st_mode == st->st_mode && was->st_uid == st->st_uid &&
		    was->st_gid == st->st_gid;
	size_t before = d->list.n;
	int r;

	if (up < 0)
		return err_errno(err, "open '%s'", d->path.data);
	if (++d->depth > MAX_DEPTH)
		return err_set(err, ELOOP, "'%s' is too deep", d->path.data);
	r = walk(d, up, low, err);
	d->depth--;
	if (r == 0 && !(same && d->list.n == before))
		add(d, was ? "C" : "A");
	return r;
}

static int walk_entry(struct diff *d, int upper, int lower, const char *name, struct err *err)
{
	struct stat st, was;
	bool existed = lower >= 0 && fstatat(lower, name, &was, AT_SYMLINK_NOFOLLOW) == 0;

	if (fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone since */
	if (!existed && strv_contains(d->hidden, d->path.data))
		return 0;
	if (d->list.n > MAX_CHANGES)
		return err_set(err, E2BIG, "more than %u changes", MAX_CHANGES);
	if (S_ISDIR(st.st_mode))
		return walk_directory(d, upper, lower, name, &st, existed ? &was : NULL, err);
	if (is_whiteout(&st) && existed)
		add(d, "D");
	else if (!is_whiteout(&st))
		add(d, existed ? "C" : "A");
	return 0;
}

static void enter(struct diff *d, size_t len, const char *name)
{
	d->path.len = len;
	buf_addf(&d->path, "/%s", name);
}

/* What an opaque directory hides. */
static void add_hidden(struct diff *d, int upper, int lower)
{
	cleanup(close_dir) DIR *dir = open_dir(lower);
	size_t len = d->path.len;
	struct dirent *e;

	while (dir && (e = next_entry(dir))) {
		if (faccessat(upper, e->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		enter(d, len, e->d_name);
		add(d, "D");
	}
	d->path.len = len;
}

static int walk(struct diff *d, int upper, int lower, struct err *err)
{
	cleanup(close_dir) DIR *dir = open_dir(upper);
	size_t len = d->path.len;
	struct dirent *e;
	int r = 0;

	if (!dir)
		return err_errno(err, "read directory '%s'", d->path.data);
	if (lower >= 0 && is_opaque(upper))
		add_hidden(d, upper, lower);
	while (r == 0 && (e = next_entry(dir))) {
		enter(d, len, e->d_name);
		r = walk_entry(d, upper, lower, e->d_name, err);
	}
	d->path.len = len;
	d->path.data[len] = '\0';
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct files_change *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static void hide_mount_points(struct diff *d, const struct instance_config *c)
{
	static const char *const always[] = { "/dev", "/proc", "/sys", "/etc/hosts",
		"/etc/hostname", "/etc/resolv.conf" };

	for (size_t n = 0; n < ARRAY_SIZE(always); n++)
		strv_add(&d->hidden, always[n]);
	for (size_t n = 0; n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		strv_add(&d->hidden, m->target);
	}
}

int files_diff(struct db *db, struct instance *i, struct record_list *ret, struct err *err)
{
	cleanup(diff_clear) struct diff d = { 0 };
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *path = xasprintf("%s/upper", i->dir);
	cleanup(fd_close) int upper = -1, lower = -1;
	int r = image_find(db, i->config.image_id, &image, err);

	if (r < 0)
		return r;
	upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open '%s'", path);
	lower = root_mount(image->layer_dirs, NULL, NULL, err);
	if (lower < 0)
		return lower;
	hide_mount_points(&d, &i->config);
	buf_adds(&d.path, "");
	r = walk(&d, upper, lower, err);
	if (r < 0)
		return r;
	if (d.list.n)
		qsort(d.list.items, d.list.n, sizeof(void *), by_path);
	*ret = d.list;
	d.list = (struct record_list){ 0 };
	return 0;
}

int files_tree(struct db *db, const char *name, int *ret_fd, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	cleanup(image_free) struct image *image = NULL;
	cleanup(strv_free) char **layers = NULL;
	int r = instance_find(db, name, &i, NULL);

	if (r < 0 && r != -ENOENT)
		return instance_find(db, name, &i, err);
	r = image_find(db, i ? i->config.image_id : name, &image, err);
	if (r < 0)
		return r;
	layers = strv_copy(image->layer_dirs);
	if (i) {
		cleanup(free) char *upper = xasprintf("%s/upper", i->dir);
		if (access(upper, F_OK) == 0)
			strv_add(&layers, upper);
	}
	r = layers ? root_mount(layers, NULL, NULL, err) : -1;
	if (r < 0 && layers)
		return r;
	*ret_fd = r;
	return 0;
}

struct hiding {
	const struct diff *d;
	int lower;
};

/* Places of mounts, which we made where the image has nothing. */
static bool is_hidden(void *data, const char *path, const struct stat *st)
{
	const struct hiding *h = data;
	cleanup(free) char *absolute = xasprintf("/%s", path);
	cleanup(fd_close) int was = -1;

	(void)st;
	if (!strv_contains(h->d->hidden, absolute))
		return false;
	was = open_in_root(h->lower, path, O_PATH | O_NOFOLLOW, 0);
	return was == -ENOENT || was == -ENOTDIR;
}

int files_layer(struct db *db, struct instance *i, struct image_maker *maker,
	struct made_layer *ret, struct err *err)
{
	cleanup(diff_clear) struct diff d = { 0 };
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *path = xasprintf("%s/upper", i->dir);
	cleanup(fd_close) int upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lower = -1;
	int r = image_find(db, i->config.image_id, &image, err);

	if (r < 0)
		return r;
	if (upper < 0)
		return err_errno(err, "open '%s'", path);
	lower = root_mount(image->layer_dirs, NULL, NULL, err);
	if (lower < 0)
		return lower;
	hide_mount_points(&d, &i->config);
	return image_maker_layer_copy(
		maker, upper, is_hidden, &(struct hiding){ &d, lower }, ret, err);
}
