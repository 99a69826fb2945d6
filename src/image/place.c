#include "image/extract.h"

/*
 * Where an archive's entries go. A parent is opened inside the root by openat2(RESOLVE_IN_ROOT), for
 * a layer may hold a link to a directory and then names below the link; the entry itself is made in
 * that directory by its last part, never followed. So nothing is made outside of the root, whatever
 * links the archive has brought or a running container puts there meanwhile.
 *
 * Overlay's form of whiteouts: see the kernel's Documentation/filesystems/overlayfs.rst.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"

#define LATER_MAX (64u << 20)

struct later {
	int64_t mtime;
	mode_t mode;
	uint32_t path_len;
};

static bool is_whiteout(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == 0;
}

static int cannot(struct extractor *x, const char *path, struct err *err)
{
	return err_errno(err, "%s: make '%s'", x->reader->what, path);
}

/* One directory of a path that no entry has named. The path ends at `name`. */
static int make_step(
	struct extractor *x, const char *path, int up, const char *name, struct err *err)
{
	static const struct tar_entry none = { .name = (char *)"" };
	bool opaque = x->layer && is_whiteout(up, name);
	struct stat st;

	if (opaque && unlinkat(up, name, 0) < 0)
		return cannot(x, path, err);
	if (mkdirat(up, name, 0755) == 0)
		return opaque ? place_opaque(x, &none, up, name, err) : 0;
	if (errno == EEXIST && fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return err_set(err, ENOTDIR, "%s: entry '%s': '%s' is %s", x->reader->what,
			x->reader->entry.name, path,
			S_ISLNK(st.st_mode) ? "a link that leads to no directory"
					    : "not a directory");
	}
	return cannot(x, path, err);
}

/* A directory is entered from the one above; only a link is resolved from the root again. */
static int open_step(struct extractor *x, const char *path, int up, const char *name)
{
	int fd = -1;

	errno = 0;
	if (*name && strcmp(name, "..") != 0)
		fd = openat(up, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 || errno == ENOENT)
		return fd >= 0 ? fd : -ENOENT;
	return open_in_root(x->root, path, O_PATH | O_DIRECTORY, 0);
}

/* The slow way: from the top, making what is missing. */
static int make_parents(struct extractor *x, const char *path, struct err *err)
{
	char part[PATH_MAX];
	cleanup(fd_close) int up = open_in_root(x->root, ".", O_PATH | O_DIRECTORY, 0);
	size_t start = 0, end;

	if (up < 0)
		return err_code(err, up, "%s: open the root", x->reader->what);
	memcpy(part, path, strlen(path) + 1);
	for (;; part[end] = '/', start = end + 1) {
		int fd, r;
		end = start + strcspn(path + start, "/");
		part[end] = '\0';
		fd = open_step(x, part, up, part + start);
		if (fd == -ENOENT || fd == -ENOTDIR) {
			r = make_step(x, part, up, part + start, err);
			if (r < 0)
				return r;
			fd = open_step(x, part, up, part + start);
		}
		if (fd < 0)
			return err_code(err, fd, "%s: open '%s'", x->reader->what, part);
		fd_close(up);
		up = fd;
		if (path[end] == '\0')
			return take_fd(up);
	}
}

int place_parent(struct extractor *x, const char *path, const char **ret_name, struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	struct stat st;

	*ret_name = slash ? slash + 1 : path;
	if (x->parent >= 0 && !x->parent_stale && strncmp(x->parent_path, path, len) == 0 &&
		x->parent_path[len] == '\0')
		return 0;
	x->parent = fd_close(x->parent);
	x->parent_stale = false;
	memcpy(x->parent_path, path, len);
	x->parent_path[len] = '\0';
	x->parent = open_in_root(x->root, len ? x->parent_path : ".", O_PATH | O_DIRECTORY, 0);
	if (x->parent == -ENOENT || x->parent == -ENOTDIR)
		x->parent = make_parents(x, x->parent_path, err);
	else if (x->parent < 0)
		err_code(err, x->parent, "%s: open '%s'", x->reader->what, x->parent_path);
	if (x->parent < 0) {
		int r = x->parent;
		x->parent = -1;
		return r;
	}
	x->parent_setgid = fstat(x->parent, &st) == 0 && st.st_mode & S_ISGID;
	return 0;
}

int place_clear(struct extractor *x, const struct tar_entry *e, const char *name, struct err *err)
{
	struct stat st;
	int r;

	if (fstatat(x->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			       ? 0
			       : err_errno(err, "%s: look at '%s'", x->reader->what, e->name);
	if (x->options->no_overwrite_dir_nondir && S_ISDIR(st.st_mode) != (e->type == TAR_DIR))
		return err_set(err, EEXIST,
			"%s: cannot overwrite %sdirectory '%s' with %sdirectory", x->reader->what,
			S_ISDIR(st.st_mode) ? "" : "non-", e->name,
			e->type == TAR_DIR ? "a " : "a non-");
	/* A kept parent may have been reached through this. */
	x->parent_stale |= S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
	if (path_is_mount(x->parent, name))
		r = -EBUSY;
	else if (S_ISDIR(st.st_mode))
		r = dir_remove(x->parent, name);
	else
		r = unlinkat(x->parent, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	return r < 0 ? err_code(err, r, "%s: replace '%s'", x->reader->what, e->name) : 0;
}

int place_dir(struct extractor *x, const struct tar_entry *e, const char *name, bool *ret_fresh,
	struct err *err)
{
	bool opaque = false;

	for (int tries = 0; tries < 8; tries++) {
		cleanup(fd_close) int fd = -1;
		bool fresh = mkdirat(x->parent, name, 0700) == 0;
		int r;
		if (!fresh && errno != EEXIST)
			return cannot(x, e->name, err);
		fd = openat(x->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			r = opaque ? place_opaque(x, e, x->parent, name, err) : 0;
			*ret_fresh = fresh;
			return r < 0 ? r : take_fd(fd);
		}
		if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
			return err_errno(err, "%s: open '%s'", x->reader->what, e->name);
		opaque |= x->layer && is_whiteout(x->parent, name);
		r = place_clear(x, e, name, err);
		if (r < 0)
			return r;
	}
	return err_set(err, EAGAIN, "%s: '%s' keeps changing", x->reader->what, e->name);
}

int place_opaque(struct extractor *x, const struct tar_entry *e, int dirfd, const char *name,
	struct err *err)
{
	cleanup(fd_close) int fd =
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *xattr = x->unprivileged ? "user.overlay.opaque" : OPAQUE_XATTR;
	int r;

	if (fd < 0)
		return err_errno(err, "%s: open '%s'", x->reader->what, e->name);
	if (x->opaque && !x->unprivileged)
		r = x->opaque(x, fd);
	else
		r = fsetxattr(fd, xattr, "y", 1, 0) < 0 ? -errno : 0;
	return r < 0 ? err_code(err, r, "%s: entry '%s': set %s", x->reader->what, e->name, xattr)
		     : 0;
}

int place_whiteout(
	struct extractor *x, const struct tar_entry *e, const char *name, struct err *err)
{
	struct stat st;

	if (mknodat(x->parent, name, S_IFCHR | 0600, 0) == 0)
		return 0;
	if (errno != EEXIST || fstatat(x->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "%s: make the whiteout '%s'", x->reader->what, e->name);
	/* What this layer has itself stays, and hides what is below: a directory must be told to. */
	return S_ISDIR(st.st_mode) ? place_opaque(x, e, x->parent, name, err) : 0;
}

void place_later(struct extractor *x, const char *path, const struct tar_entry *e)
{
	struct later later = {
		.mtime = e->mtime, .mode = e->mode, .path_len = (uint32_t)strlen(path)
	};

	buf_add(&x->dirs, &later, sizeof(later));
	buf_add(&x->dirs, path, later.path_len + 1);
	/* A hostile number of directories must not take all memory; times may then come out wrong. */
	if (x->dirs.len > LATER_MAX)
		place_flush(x);
}

void place_times(int64_t mtime, struct timespec times[2])
{
	times[0].tv_sec = mtime / 1000000000;
	times[0].tv_nsec = mtime % 1000000000;
	if (times[0].tv_nsec < 0) {
		times[0].tv_sec--;
		times[0].tv_nsec += 1000000000;
	}
	times[1] = times[0];
}

/* A directory that is gone again, or was replaced, needs nothing. */
void place_flush(struct extractor *x)
{
	size_t at = 0;

	while (at < x->dirs.len) {
		struct later later;
		const char *path = x->dirs.data + at + sizeof(later);
		struct timespec times[2];
		memcpy(&later, x->dirs.data + at, sizeof(later));
		at += sizeof(later) + later.path_len + 1;
		cleanup(fd_close) int fd = open_in_root(x->root, later.path_len ? path : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd < 0)
			continue;
		place_times(later.mtime, times);
		futimens(fd, times);
		if (x->unprivileged)
			fchmod(fd, later.mode);
	}
	x->dirs.len = 0;
}
