#include "image/extract.h"

/*
 * Makes the files that an archive describes. Later entries replace earlier ones, directories merge.
 * A file costs open, write, futimens and close; its owner and mode are touched only where making it
 * did not already get them right, and in the order that keeps set-id bits and file capabilities:
 * data, owner, mode, attributes, times.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "image/shift.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

int tar_clean_name(const char *name, char *out)
{
	size_t len = 0;

	while (*name) {
		size_t n = strcspn(name, "/");
		if (n == 2 && memcmp(name, "..", 2) == 0) {
			if (len == 0)
				return -EPERM;
			while (len && out[len - 1] != '/')
				len--;
			len -= len > 0;
		} else if (n && !(n == 1 && *name == '.')) {
			if (len + n + 2 > PATH_MAX)
				return -ENAMETOOLONG;
			if (len)
				out[len++] = '/';
			memcpy(out + len, name, n);
			len += n;
		}
		name += n + (name[n] == '/');
	}
	out[len] = '\0';
	return 0;
}

static mode_t current_umask(void)
{
	cleanup(buf_free) struct buf b = { 0 };
	unsigned mask = 0777; /* not known: every mode is set again */
	const char *line;

	if (file_read(AT_FDCWD, "/proc/self/status", 1 << 16, &b) == 0 &&
		(line = strstr(b.data, "\nUmask:")))
		sscanf(line + 7, "%o", &mask);
	return (mode_t)mask;
}

void extractor_init(struct extractor *x, int root, struct tar_reader *reader,
	const struct tar_extract_options *options)
{
	memset(x, 0, sizeof(*x));
	x->root = root;
	x->reader = reader;
	x->options = options;
	x->parent = -1;
	x->umask = current_umask();
	x->uid = options->base ? options->base : geteuid();
	x->gid = options->base ? options->base : getegid();
}

void extractor_done(struct extractor *x)
{
	x->parent = fd_close(x->parent);
	buf_free(&x->dirs);
}

/* Whose the entry shall be; false when that is left as it comes. */
static bool wanted_owner(struct extractor *x, const struct tar_entry *e, uid_t *uid, gid_t *gid)
{
	const struct tar_extract_options *o = x->options;

	*uid = shift_to_host(o->base, o->set_owner ? o->uid : e->uid);
	*gid = shift_to_host(o->base, o->set_owner ? o->gid : e->gid);
	return !x->options->keep_owner_of_caller && !x->one_owner;
}

/* `fresh`: just made by us. fd < 0: name in x->parent, not followed. */
static int set_owner(struct extractor *x, const struct tar_entry *e, int fd, const char *name,
	bool fresh, struct err *err)
{
	uid_t uid;
	gid_t gid;
	int r;

	if (!wanted_owner(x, e, &uid, &gid) ||
		(fresh && uid == x->uid && gid == x->gid && !x->parent_setgid))
		return 0;
	if (x->options->base && (uid == SHIFT_NONE || gid == SHIFT_NONE))
		return err_set(err, ERANGE,
			"%s: entry '%s' belongs to %u:%u, and the container has no ids above %u",
			x->reader->what, e->name, e->uid, e->gid, SHIFT_IDS - 1);
	if (fd >= 0)
		r = fchown(fd, uid, gid);
	else
		r = fchownat(x->parent, name, uid, gid, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? err_errno(err, "%s: entry '%s': give it to %u:%u", x->reader->what, e->name,
			       uid, gid)
		     : 0;
}

static int set_xattr(struct extractor *x, const struct tar_xattr *a, int fd, const char *name)
{
	const void *value = a->value;
	cleanup(free) char *shifted = NULL;
	size_t len = a->len;
	char path[PATH_MAX];
	int r;

	if (x->options->base && shift_has_ids(a->name)) {
		value = shifted = xcalloc(1, len + SHIFT_XATTR_GROWTH);
		memcpy(shifted, a->value, len);
		len = shift_xattr_to_host(x->options->base, a->name, shifted, len);
	}
	if (!x->own_process)
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", x->parent, name);
	else if (fd >= 0 || fchdir(x->parent) == 0)
		snprintf(path, sizeof(path), "%s", name ? name : "");
	else
		return -errno;
	r = fd >= 0 ? fsetxattr(fd, a->name, value, len, 0)
		    : lsetxattr(path, a->name, value, len, 0);
	return r < 0 ? -errno : 0;
}

void layer_warn_of_lost_capabilities(void)
{
	log_warn_once(
		"file capabilities cannot be kept here: some programs of the image will lack them");
}

static int set_xattrs(
	struct extractor *x, const struct tar_entry *e, int fd, const char *name, struct err *err)
{
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *a = &e->xattrs[i];
		int r;
		if (!tar_xattr_portable(a->name)) {
			log_debug("layer", "entry '%s': leaving out %s", e->name, a->name);
			continue;
		}
		r = set_xattr(x, a, fd, name);
		if (r == 0)
			continue;
		if (r != -ENOTSUP && r != -EPERM)
			return err_code(err, r, "%s: entry '%s': set %s", x->reader->what, e->name,
				a->name);
		if (strcmp(a->name, "security.capability") == 0 && !x->unprivileged)
			x->lost_capabilities = true;
	}
	return 0;
}

static int write_data(struct extractor *x, const struct tar_entry *e, int fd, struct err *err)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = tar_peek(x->reader, &p, err)) > 0) {
		int r = fd_write_all(fd, p, (size_t)n);
		if (r < 0)
			return err_code(err, r, "%s: write '%s'", x->reader->what, e->name);
		tar_consume(x->reader, (size_t)n);
		x->size += n;
		if (x->progress)
			x->progress(x);
	}
	return (int)n;
}

static int extract_file(
	struct extractor *x, const struct tar_entry *e, const char *name, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	struct timespec times[2];
	int r;

	for (int tries = 0; fd < 0; tries++) {
		fd = openat(x->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			e->mode & 0777);
		if (fd >= 0)
			break;
		if (errno != EEXIST || tries == 8)
			return err_errno(err, "%s: make '%s'", x->reader->what, e->name);
		r = place_clear(x, e, name, err);
		if (r < 0)
			return r;
	}
	r = write_data(x, e, fd, err);
	if (r == 0)
		r = set_owner(x, e, fd, name, /* fresh= */ true, err);
	if (r < 0)
		return r;
	if (e->mode & (07000 | x->umask) && fchmod(fd, e->mode) < 0)
		return err_errno(err, "%s: entry '%s': set its mode", x->reader->what, e->name);
	r = set_xattrs(x, e, fd, name, err);
	if (r < 0)
		return r;
	place_times(e->mtime, times);
	if (futimens(fd, times) < 0)
		return err_errno(err, "%s: entry '%s': set its time", x->reader->what, e->name);
	return 0;
}

static int extract_dir(
	struct extractor *x, const struct tar_entry *e, const char *path, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	const char *name;
	bool fresh = false;
	int r;

	if (*path == '\0') {
		fd = openat(x->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, "%s: open the root", x->reader->what);
	} else {
		r = place_parent(x, path, &name, err);
		if (r < 0)
			return r;
		fd = place_dir(x, e, name, &fresh, err);
		if (fd < 0)
			return fd;
	}
	r = set_owner(x, e, fd, NULL, fresh, err);
	if (r < 0)
		return r;
	if (fchmod(fd, x->unprivileged ? e->mode | 0700 : e->mode) < 0)
		return err_errno(err, "%s: entry '%s': set its mode", x->reader->what, e->name);
	r = set_xattrs(x, e, fd, NULL, err);
	if (r == 0)
		place_later(x, path, e);
	return r;
}

static int make_special(struct extractor *x, const struct tar_entry *e, const char *name)
{
	int r;

	switch (e->type) {
	case TAR_SYMLINK:
		r = symlinkat(e->link, x->parent, name);
		break;
	case TAR_FIFO:
		r = mknodat(x->parent, name, S_IFIFO | (e->mode & 0777), 0);
		break;
	default:
		r = mknodat(x->parent, name,
			(e->type == TAR_CHAR ? S_IFCHR : S_IFBLK) | (e->mode & 0777),
			makedev(e->major, e->minor));
	}
	return r < 0 ? -errno : 0;
}

/* fchmodat(2) follows links: the node that we made is opened by itself and changed through it. */
static int special_mode(struct extractor *x, const struct tar_entry *e, const char *name)
{
	cleanup(fd_close) int fd = -1;
	char path[64];
	struct stat st;

	/* Without /proc; the node is still the one that we made. */
	if (x->own_process)
		return fchmodat(x->parent, name, e->mode, 0);
	fd = openat(x->parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, e->mode);
}

/* Links, pipes and devices. */
static int extract_special(
	struct extractor *x, const struct tar_entry *e, const char *name, struct err *err)
{
	bool is_device = e->type == TAR_CHAR || e->type == TAR_BLOCK;
	struct timespec times[2];
	int r;

	for (int tries = 0; (r = make_special(x, e, name)) == -EEXIST && tries < 8; tries++) {
		r = place_clear(x, e, name, err);
		if (r < 0)
			return r;
	}
	if (r == -EPERM && is_device && x->unprivileged)
		return 0; /* the engine gives a container the devices that it may have */
	if (r < 0)
		return err_code(err, r, "%s: make '%s'", x->reader->what, e->name);
	r = set_owner(x, e, -1, name, /* fresh= */ true, err);
	if (r < 0)
		return r;
	if (e->type != TAR_SYMLINK && e->mode & (07000 | x->umask) && special_mode(x, e, name) < 0)
		return err_errno(err, "%s: entry '%s': set its mode", x->reader->what, e->name);
	r = set_xattrs(x, e, -1, name, err);
	if (r < 0)
		return r;
	place_times(e->mtime, times);
	if (utimensat(x->parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "%s: entry '%s': set its time", x->reader->what, e->name);
	return 0;
}

/* The path of a name in the archive: cleaned, renamed, below `into`. */
static int map_name(struct extractor *x, const char *name, char out[PATH_MAX], struct err *err)
{
	const struct tar_extract_options *o = x->options;
	const char *into = o->into ? o->into : "", *rest, *to = "";
	char clean[PATH_MAX];
	size_t from_len = o->rename_from ? strlen(o->rename_from) : 0;
	int n = tar_clean_name(name, clean);

	if (n == -EPERM)
		return err_set(
			err, EPERM, "%s: entry '%s' leads out of the root", x->reader->what, name);
	if (n < 0)
		return err_code(err, n, "%s: entry '%.200s'", x->reader->what, name);
	rest = clean;
	if (from_len && strncmp(clean, o->rename_from, from_len) == 0 &&
		(clean[from_len] == '/' || clean[from_len] == '\0')) {
		to = o->rename_to ? o->rename_to : "";
		rest = clean + from_len;
		rest += *rest == '/' && !*to;
	}
	while (*into == '/')
		into++;
	n = snprintf(out, PATH_MAX, "%s%s%s%s", into, *into && (*to || *rest) ? "/" : "", to, rest);
	if (n >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "%s: entry '%.200s': the path is too long",
			x->reader->what, name);
	while (n > 0 && out[n - 1] == '/')
		out[--n] = '\0';
	return 0;
}

static int same_file(int dir_a, const char *a, int dir_b, const char *b)
{
	struct stat sa, sb;

	return fstatat(dir_a, a, &sa, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dir_b, b, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* The target's own directory is resolved inside the root; a link there is linked, not followed. */
static int extract_hardlink(
	struct extractor *x, const struct tar_entry *e, const char *name, struct err *err)
{
	char target[PATH_MAX];
	const char *target_name = NULL;
	cleanup(fd_close) int dir = -1;
	int r = tar_clean_name(e->link, target);

	if (r == -EPERM)
		return err_set(err, EPERM, "%s: entry '%s': its target '%s' leads out of the root",
			x->reader->what, e->name, e->link);
	r = map_name(x, e->link, target, err);
	if (r < 0)
		return r;
	dir = *target ? open_parent_in_root(x->root, target, /* make= */ false, &target_name)
		      : -EISDIR;
	for (int tries = 0; dir >= 0; tries++) {
		if (linkat(dir, target_name, x->parent, name, 0) == 0)
			return 0;
		if (errno != EEXIST || tries == 8)
			break;
		if (same_file(dir, target_name, x->parent, name))
			return 0;
		if (faccessat(dir, target_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break; /* nothing to replace the entry with */
		r = place_clear(x, e, name, err);
		if (r < 0)
			return r;
	}
	if (dir < 0)
		errno = -dir;
	return err_errno(err, "%s: entry '%s': link to '%s'", x->reader->what, e->name, e->link);
}

/* 1 when the entry was a whiteout, or is to be left out; 0 when it is a file. */
static int extract_whiteout(
	struct extractor *x, const struct tar_entry *e, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *name, *dir;
	int r;

	if (strncmp(path, WHITEOUT_META, strlen(WHITEOUT_META)) == 0 &&
		strcmp(base, WHITEOUT_OPAQUE) != 0)
		return 1; /* what aufs kept for itself */
	dir = strncmp(path, WHITEOUT, strlen(WHITEOUT)) == 0 ? path : strstr(path, "/" WHITEOUT);
	if (dir && strchr(dir + 1, '/'))
		return err_set(err, EINVAL, "%s: entry '%s' lies below a whiteout", x->reader->what,
			e->name);
	if (strncmp(base, WHITEOUT, strlen(WHITEOUT)) != 0)
		return 0;
	name = base + strlen(WHITEOUT);
	if (strcmp(name, "..") == 0)
		return err_set(err, EPERM, "%s: entry '%s' leads out of the root", x->reader->what,
			e->name);
	if (strcmp(name, "") == 0 || strcmp(name, ".") == 0)
		return err_set(err, EINVAL, "%s: entry '%s' is a whiteout of nothing",
			x->reader->what, e->name);
	r = place_parent(x, path, &base, err);
	if (r < 0)
		return r;
	if (strcmp(base, WHITEOUT_OPAQUE) == 0)
		r = place_opaque(x, e, x->parent, ".", err);
	else if (strncmp(base, WHITEOUT_META, strlen(WHITEOUT_META)) != 0)
		r = place_whiteout(x, e, name, err);
	return r < 0 ? r : 1;
}

static int extract_entry(struct extractor *x, const struct tar_entry *e, struct err *err)
{
	char path[PATH_MAX];
	const char *name;
	int r = map_name(x, e->name, path, err);

	if (r < 0)
		return r;
	if (x->layer) {
		r = extract_whiteout(x, e, path, err);
		if (r)
			return r < 0 ? r : 0;
	}
	if (e->type == TAR_DIR) {
		/* A copy's "." stands for a directory that is there, and keeps what it is. */
		bool is_top = tar_clean_name(e->name, path) == 0 && *path == '\0';
		if (is_top && !x->layer)
			return 0;
		r = map_name(x, e->name, path, err);
		return r < 0 ? r : extract_dir(x, e, path, err);
	}
	if (*path == '\0')
		return err_set(err, EISDIR, "%s: entry '%s' would replace the root",
			x->reader->what, e->name);
	r = place_parent(x, path, &name, err);
	if (r < 0)
		return r;
	if (e->type == TAR_HARDLINK)
		return extract_hardlink(x, e, name, err);
	if (e->type == TAR_FILE)
		return extract_file(x, e, name, err);
	return extract_special(x, e, name, err);
}

int extract_all(struct extractor *x, struct err *err)
{
	const struct tar_entry *e;
	int r;

	while ((r = tar_next(x->reader, &e, err)) > 0) {
		r = extract_entry(x, e, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		place_flush(x);
	return r;
}

int tar_extract(int rootfd, struct tar_reader *reader, const struct tar_extract_options *options,
	struct err *err)
{
	static const struct tar_extract_options none;
	cleanup(extractor_done) struct extractor x;

	int r;

	extractor_init(&x, rootfd, reader, options ? options : &none);
	r = extract_all(&x, err);
	if (x.lost_capabilities)
		layer_warn_of_lost_capabilities();
	return r;
}
