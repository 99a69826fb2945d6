/* Files of a set made in an image's root (files.h), which is an overlay that nobody else has mounted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "build/files.h"
#include "instance/tree.h"

/* One part of a path: the directory there, links followed inside the root, or a new one. */
static int make_part(int root, const char *path, const char *parent, const char *name, uid_t uid,
	gid_t gid, bool *made)
{
	cleanup(fd_close) int dir = -1;
	int fd = open_in_root(root, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd != -ENOENT)
		return fd;
	dir = open_in_root(root, *parent ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, 0755) < 0)
		return -errno; /* a link to nowhere */
	*made = true;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0 || ((uid || gid) && fchown(fd, uid, gid) < 0)) {
		int r = -errno;
		fd_close(fd);
		return r;
	}
	return fd;
}

int files_make_dir(
	int root, const char *path, uid_t uid, gid_t gid, bool *ret_made, struct err *err)
{
	cleanup(fd_close) int fd = open_in_root(root, ".", O_RDONLY | O_DIRECTORY, 0);
	cleanup(buf_free) struct buf so_far = { 0 };
	cleanup(free) char *parent = xstrdup("");
	cleanup(strv_free) char **parts = strv_split(path, '/');
	bool made = false;

	if (fd < 0)
		return err_code(err, fd, "open the root");
	buf_adds(&so_far, "");
	strv_foreach (part, parts) {
		int next;
		if (!**part || strcmp(*part, ".") == 0)
			continue;
		buf_addf(&so_far, "%s%s", so_far.len ? "/" : "", *part);
		next = make_part(root, so_far.data, parent, *part, uid, gid, &made);
		if (next < 0)
			return err_code(err, next, "make directory '/%s'", so_far.data);
		fd_close(fd);
		fd = next;
		str_replace(&parent, so_far.data);
	}
	if (ret_made)
		*ret_made = made;
	return take_fd(fd);
}

struct copier {
	const struct file_set *set;
	const struct file_copy *how;
	int into;   /* the destination's directory */
	int parent; /* of the entry in hand */
	char *parent_path;
	struct err *err;
};

static void copier_clear(struct copier *c)
{
	fd_close(c->into);
	fd_close(c->parent);
	free(c->parent_path);
}
DEFINE_CLEANUP_OBJECT(copier_clear, struct copier);

/* c->parent becomes the directory of `to`; what is there was made, or looked at, by us. */
static int enter_parent(struct copier *c, const char *to, const char **ret_name)
{
	const char *slash = strrchr(to, '/');
	cleanup(free) char *path = xstrndup(to, slash ? (size_t)(slash - to) : 0);

	*ret_name = slash ? slash + 1 : to;
	if (c->parent >= 0 && strcmp(path, c->parent_path) == 0)
		return 0;
	fd_close(c->parent);
	c->parent = open_in_root(c->into, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
	str_replace(&c->parent_path, path);
	return c->parent < 0 ? err_code(c->err, c->parent, "open '%s'", path) : 0;
}

static int finish_dir(struct copier *c, const struct file_entry *e, int dir)
{
	uid_t uid = c->how->keep_owner ? e->st.st_uid : c->how->uid;
	gid_t gid = c->how->keep_owner ? e->st.st_gid : c->how->gid;
	mode_t mode = (c->how->set_mode ? c->how->mode : e->st.st_mode) & 07777;

	if (fchown(dir, uid, gid) < 0 || fchmod(dir, mode) < 0)
		return err_errno(c->err, "set owner and mode of '%s'", e->to);
	return 0;
}

static int copy_dir(struct copier *c, const struct file_entry *e)
{
	cleanup(fd_close) int dir = -1;
	const char *name;
	bool made;
	int r;

	if (!*e->to) /* the destination itself: there already, or finished by files_copy() */
		return 0;
	r = enter_parent(c, e->to, &name);
	if (r < 0)
		return r;
	made = mkdirat(c->parent, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return err_errno(c->err, "make directory '%s'", e->to);
	dir = openat(c->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_set(
			c->err, ENOTDIR, "'%s' is a directory, and what is there is none", e->to);
	return made || !e->top ? finish_dir(c, e, dir) : 0;
}

static int set_mode(struct copier *c, const struct file_entry *e, const char *name)
{
	if (!c->how->set_mode || S_ISLNK(e->st.st_mode))
		return 0;
	/* It was made by us just now: no link. */
	if (fchmodat(c->parent, name, c->how->mode, 0) < 0)
		return err_errno(c->err, "set the mode of '%s'", e->to);
	return 0;
}

static int copy_file(struct copier *c, const struct file_entry *e, const char *to)
{
	const struct tree_copy how = { .keep_owner = c->how->keep_owner,
		.uid = c->how->uid,
		.gid = c->how->gid,
		.replace = true };
	cleanup(fd_close) int from = files_open(c->set, e, O_PATH);
	const char *name;
	struct stat st;
	int r;

	if (from < 0)
		return err_code(c->err, from, "open '%s'", e->from);
	r = enter_parent(c, to, &name);
	if (r < 0)
		return r;
	if (fstatat(c->parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return err_set(
			c->err, EISDIR, "'%s' is no directory, and what is there is one", to);
	r = tree_copy(from, c->parent, name, &how, c->err);
	return r < 0 ? r : set_mode(c, e, name);
}

/* Times of directories, once nothing more is made in them: the deepest first. */
static void set_times(struct copier *c)
{
	for (size_t i = c->set->n; i-- > 0;) {
		const struct file_entry *e = &c->set->items[i];
		const struct timespec times[] = { e->st.st_mtim, e->st.st_mtim };
		const char *name;
		if (S_ISDIR(e->st.st_mode) && *e->to && enter_parent(c, e->to, &name) == 0)
			utimensat(c->parent, name, times, AT_SYMLINK_NOFOLLOW);
	}
}

/* Where one file goes that may be the destination: *ret_name, in the directory that is opened. */
static int open_destination(
	struct copier *c, int root, const char *destination, const char **ret_name)
{
	size_t len = strlen(destination);
	bool directory = c->set->below || c->set->n > 1 || !len || destination[len - 1] == '/';
	uid_t uid = c->how->keep_owner ? 0 : c->how->uid;
	gid_t gid = c->how->keep_owner ? 0 : c->how->gid;
	cleanup(free) char *parent = NULL;
	bool made = false;
	int there;

	*ret_name = NULL;
	if (!directory) {
		there = open_in_root(root, destination, O_PATH | O_DIRECTORY, 0);
		directory = there >= 0;
		fd_close(there);
	}
	if (!directory) {
		const char *slash = strrchr(destination, '/');
		parent = xstrndup(destination, slash ? (size_t)(slash - destination) : 0);
		*ret_name = slash ? slash + 1 : destination;
	}
	c->into = files_make_dir(root, parent ? parent : destination, uid, gid, &made, c->err);
	if (c->into < 0)
		return c->into;
	for (size_t i = 0; made && i < c->set->n; i++)
		if (S_ISDIR(c->set->items[i].st.st_mode) && !*c->set->items[i].to)
			return finish_dir(c, &c->set->items[i], c->into);
	return 0;
}

int files_copy(const struct file_set *set, int root, const char *destination,
	const struct file_copy *how, struct err *err)
{
	cleanup(copier_clear) struct copier c = {
		.set = set, .how = how, .into = -1, .parent = -1, .err = err
	};
	const char *name = NULL;
	int r = open_destination(&c, root, destination, &name);

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		const struct file_entry *e = &set->items[i];
		r = S_ISDIR(e->st.st_mode) ? copy_dir(&c, e)
					   : copy_file(&c, e, name ? name : e->to);
	}
	if (r == 0)
		set_times(&c);
	return r;
}
