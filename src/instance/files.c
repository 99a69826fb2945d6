/*
 * Copying in and out of instances, and export (files.h). A place is a path together with the root
 * that it is resolved in: the host's, or an instance's through openat2(RESOLVE_IN_ROOT), whose owner
 * may be changing it all the while. Once a path is opened, everything goes through the descriptor.
 *
 * The rules for names are those of `docker cp`'s manual:
 *
 *	source		destination	result
 *	file		absent		that file; its directory must be there
 *	file		absent/		error
 *	file		file		replaced
 *	any		directory	destination/basename
 *	directory/.	directory	the contents, merged
 *	directory	absent		made, with the contents
 *	directory	file		error
 */
#include "instance/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/image.h"
#include "image/layer.h"
#include "image/shift.h"
#include "instance/tree.h"

struct place {
	int root; /* -1: the host */
	const char *path;
};

static int open_place(const struct place *p, int flags)
{
	int fd;

	if (p->root >= 0)
		return open_in_root(p->root, *p->path ? p->path : "/", flags, 0);
	fd = open(*p->path ? p->path : ".", flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The directory that a path's last part is in, and that part without slashes. */
static int open_parent(const struct place *p, char name[NAME_MAX + 1])
{
	size_t end = strlen(p->path), start;
	cleanup(free) char *parent = NULL;
	struct place dir = { .root = p->root };

	while (end && p->path[end - 1] == '/')
		end--;
	for (start = end; start && p->path[start - 1] != '/'; start--)
		;
	if (end == start || end - start > NAME_MAX)
		return end == start ? -EISDIR : -ENAMETOOLONG;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), p->path + start);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EISDIR;
	parent = start ? xstrndup(p->path, start) : xstrdup(p->root >= 0 ? "/" : ".");
	dir.path = parent;
	return open_place(&dir, O_RDONLY | O_DIRECTORY);
}

static bool ends_in_slash(const char *path)
{
	size_t len = strlen(path);

	return len && path[len - 1] == '/';
}

/* "x/.", ".", "..", "/": no name to give to a copy, so the contents are meant. */
static bool means_contents(const char *path)
{
	size_t len = strlen(path), end = len;

	while (end && path[end - 1] == '/')
		end--;
	if (!end)
		return true;
	if (path[end - 1] != '.')
		return false;
	if (end == 1 || path[end - 2] == '/')
		return true;
	return path[end - 2] == '.' && (end == 2 || path[end - 3] == '/');
}

struct source {
	int fd; /* O_PATH */
	struct stat st;
	bool contents;
	char name[NAME_MAX + 1]; /* unless contents */
};

static int open_source(const struct place *p, bool follow, struct source *s, struct err *err)
{
	cleanup(fd_close) int parent = -1;
	bool slash = ends_in_slash(p->path);

	s->contents = means_contents(p->path);
	s->fd = open_place(p, O_PATH | (follow || slash || s->contents ? 0 : O_NOFOLLOW));
	if (s->fd < 0)
		return err_code(err, s->fd, "copy '%s'", p->path);
	if (fstat(s->fd, &s->st) < 0)
		return err_errno(err, "look at '%s'", p->path);
	if ((slash || s->contents) && !S_ISDIR(s->st.st_mode))
		return err_set(err, ENOTDIR, "copy '%s': not a directory", p->path);
	if (!s->contents) {
		parent = open_parent(p, s->name);
		if (parent < 0)
			return err_code(err, parent, "copy '%s'", p->path);
	}
	return 0;
}

/* Into a file behind a link, which keeps its identity. */
static int overwrite(int source, int target, const char *path, struct err *err)
{
	char from[64], to[64];
	cleanup(fd_close) int in = -1, out = -1;
	struct stat st;
	int64_t n;

	if (fstat(target, &st) < 0)
		return err_errno(err, "look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%s' is neither a file nor a directory", path);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", source);
	snprintf(to, sizeof(to), "/proc/self/fd/%d", target);
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = in < 0 ? -1 : open(to, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (out < 0)
		return err_errno(err, "write '%s'", path);
	n = fd_copy(in, out, INT64_MAX);
	return n < 0 ? err_code(err, (int)n, "write '%s'", path) : 0;
}

/* Over a file that is there: `target` is what the path leads to, through links. */
static int copy_over(const struct source *s, const struct place *to, int target,
	const struct tree_copy *how, struct err *err)
{
	cleanup(fd_close) int parent = -1;
	char name[NAME_MAX + 1];
	struct stat st;

	if (S_ISDIR(s->st.st_mode))
		return err_set(err, ENOTDIR, "cannot copy a directory to the file '%s'", to->path);
	if (ends_in_slash(to->path))
		return err_set(err, ENOTDIR, "'%s' is not a directory", to->path);
	parent = open_parent(to, name);
	if (parent < 0)
		return err_code(err, parent, "open the directory of '%s'", to->path);
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
		S_ISREG(s->st.st_mode))
		return overwrite(s->fd, target, to->path, err);
	return tree_copy(s->fd, parent, name, how, err);
}

static int copy_into(const struct source *s, const struct place *to, const struct tree_copy *how,
	struct err *err)
{
	cleanup(fd_close) int dir = open_place(to, O_RDONLY | O_DIRECTORY);

	if (dir < 0)
		return err_code(err, dir, "open '%s'", to->path);
	return s->contents ? tree_copy_contents(s->fd, dir, /* self= */ false, how, err)
			   : tree_copy(s->fd, dir, s->name, how, err);
}

static int copy_new(const struct source *s, const struct place *to, const struct tree_copy *how,
	struct err *err)
{
	cleanup(fd_close) int parent = -1;
	char name[NAME_MAX + 1];

	if (!S_ISDIR(s->st.st_mode) && ends_in_slash(to->path))
		return err_set(err, ENOENT, "the destination directory '%s' must exist", to->path);
	parent = open_parent(to, name);
	if (parent < 0)
		return err_code(err, parent, "open the directory of '%s'", to->path);
	return tree_copy(s->fd, parent, name, how, err);
}

static int copy(const struct place *from, const struct place *to, bool follow,
	const struct tree_copy *how, struct err *err)
{
	struct source s = { .fd = -1 };
	cleanup(fd_close) int target = -1;
	struct stat st;
	int r = open_source(from, follow, &s, err);

	if (r == 0) {
		target = open_place(to, O_PATH);
		if (target >= 0 && fstat(target, &st) < 0)
			r = err_errno(err, "look at '%s'", to->path);
		else if (target == -ENOENT)
			r = copy_new(&s, to, how, err);
		else if (target < 0)
			r = err_code(err, target, "open '%s'", to->path);
		else if (S_ISDIR(st.st_mode))
			r = copy_into(&s, to, how, err);
		else
			r = copy_over(&s, to, target, how, err);
	}
	fd_close(s.fd);
	return r;
}

int files_copy_out(struct db *db, struct instance *i, const char *path, bool follow_link,
	const char *host_path, bool archive, struct err *err)
{
	struct tree_copy how = { .drop_privileges = !archive,
		.keep_owner = archive,
		.uid = geteuid(),
		.gid = getegid(),
		.replace = true };
	cleanup(instance_root_close) struct instance_root root = INSTANCE_ROOT_NONE;
	int r = instance_root_open(db, i, INSTANCE_ROOT_MOUNTS, &root, err);

	if (r < 0)
		return r;
	how.from_base = root.base;
	return copy(&(struct place){ root.fd, path }, &(struct place){ -1, host_path }, follow_link,
		&how, err);
}

/*
 * A running container with a user namespace has mounts in which the host's root is nobody, so nothing can
 * belong to it there. While files are put into it, what this process makes belongs to the container's
 * root, and the capabilities that setfsuid(2) would take away stay.
 */
struct guise {
	bool taken;
	int securebits;
};

static int guise_take(uint32_t base, struct guise *ret, struct err *err)
{
	int securebits = prctl(PR_GET_SECUREBITS);

	if (!base)
		return 0;
	if (securebits < 0 ||
		prctl(PR_SET_SECUREBITS, (unsigned long)securebits | SECBIT_NO_SETUID_FIXUP) < 0)
		return err_errno(err, "keep capabilities");
	*ret = (struct guise){ .taken = true, .securebits = securebits };
	setfsgid(base);
	setfsuid(base);
	return 0;
}

static void guise_drop(struct guise *g)
{
	if (!g->taken)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	prctl(PR_SET_SECUREBITS, (unsigned long)g->securebits);
}
DEFINE_CLEANUP_OBJECT(guise_drop, struct guise);

/* A stopped instance's root is writable to us, whatever it is to the instance. */
static int open_writable(
	struct db *db, struct instance *i, struct instance_root *ret, struct err *err)
{
	if (i->config.read_only && !instance_running(i))
		return err_set(
			err, EROFS, "the root file system of '%s' is read-only", i->config.name);
	return instance_root_open(db, i, INSTANCE_ROOT_WRITE | INSTANCE_ROOT_MOUNTS, ret, err);
}

int files_copy_in(struct db *db, struct instance *i, const char *host_path, const char *path,
	bool archive, bool follow_link, struct err *err)
{
	struct tree_copy how = { .keep_owner = archive, .replace = true };
	cleanup(instance_root_close) struct instance_root root = INSTANCE_ROOT_NONE;
	cleanup(guise_drop) struct guise guise = { 0 };
	int r = open_writable(db, i, &root, err);

	how.to_base = root.base;
	if (r == 0)
		r = guise_take(how.to_base, &guise, err);
	if (r < 0)
		return r;
	return copy(&(struct place){ -1, host_path }, &(struct place){ root.fd, path }, follow_link,
		&how, err);
}

int files_copy_out_tar(struct db *db, struct instance *i, const char *path, int fd, struct err *err)
{
	struct tar_tree_options options = { 0 };
	struct source s = { .fd = -1 };
	cleanup(tar_writer_close) struct tar_writer *writer = NULL;
	cleanup(instance_root_close) struct instance_root root = INSTANCE_ROOT_NONE;
	cleanup(fd_close) int parent = -1;
	struct place from = { .path = path };
	int r = instance_root_open(db, i, INSTANCE_ROOT_MOUNTS, &root, err);

	from.root = root.fd;
	options.base = root.base;
	if (r == 0)
		r = open_source(&from, /* follow= */ false, &s, err);
	if (r == 0 && !s.contents) {
		options.name = s.name;
		parent = open_parent(&from, s.name);
		if (parent < 0)
			r = err_code(err, parent, "copy '%s'", path);
	}
	if (r == 0)
		r = tar_writer_open(fd, LAYER_PLAIN, &writer, err);
	if (r == 0)
		r = s.contents ? tar_write_tree(writer, s.fd, ".", &options, err)
			       : tar_write_tree(writer, parent, s.name, &options, err);
	if (r == 0)
		r = tar_writer_finish(writer, NULL, err);
	fd_close(s.fd);
	return r;
}

int files_copy_in_tar(struct db *db, struct instance *i, int fd, const char *path, struct err *err)
{
	struct tar_extract_options options = { .no_overwrite_dir_nondir = true };
	cleanup(instance_root_close) struct instance_root root = INSTANCE_ROOT_NONE;
	cleanup(guise_drop) struct guise guise = { 0 };
	cleanup(tar_reader_close) struct tar_reader *reader = NULL;
	cleanup(fd_close) int dir = -1;
	int r = open_writable(db, i, &root, err);

	options.base = root.base;
	if (r == 0)
		r = guise_take(options.base, &guise, err);
	if (r < 0)
		return r;
	dir = open_place(&(struct place){ root.fd, path }, O_RDONLY | O_DIRECTORY);
	if (dir == -ENOTDIR)
		return err_set(err, ENOTDIR, "the destination '%s' must be a directory", path);
	if (dir < 0)
		return err_code(err, dir, "open '%s'", path);
	r = tar_reader_open(fd, "archive", NULL, &reader, err);
	return r < 0 ? r : tar_extract(dir, reader, &options, err);
}

int files_export(struct db *db, struct instance *i, int fd, struct err *err)
{
	cleanup(instance_root_close) struct instance_root root = INSTANCE_ROOT_NONE;
	int r = instance_root_open(db, i, 0, &root, err);

	return r < 0 ? r : image_export_tree(root.fd, root.base, fd, err);
}
