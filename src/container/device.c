/* See device.h. */
#include "container/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/mount.h"

struct node {
	const char *path;
	mode_t mode; /* with the type */
	dev_t dev;
	uid_t uid;
	gid_t gid;
};

static const struct {
	const char *name;
	unsigned major, minor;
} defaults[] = { { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 },
	{ "urandom", 1, 9 }, { "tty", 5, 0 } };

static const struct {
	const char *name, *target;
} links[] = { { "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" } };

/* A user namespace may not make devices: the host's own is shown instead. */
static int bind_node(int dir, const char *name, const struct node *n)
{
	cleanup(fd_close) int tree = tree_open(AT_FDCWD, n->path, false), dest = -1;
	struct stat st;

	if (tree < 0)
		return tree;
	if (fstat(tree, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != (n->mode & S_IFMT) || st.st_rdev != n->dev)
		return -ENODEV;
	dest = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (dest < 0 && errno != EEXIST)
		return -errno;
	fd_close(dest);
	dest = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return dest < 0 ? -errno : tree_attach(tree, dest);
}

/* -1 unless what is there is the node already. */
static int open_same(int dir, const char *name, const struct node *n)
{
	cleanup(fd_close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != (n->mode & S_IFMT) ||
		(!S_ISFIFO(n->mode) && st.st_rdev != n->dev))
		return -1;
	return take_fd(fd);
}

/* By descriptor: in a volume somebody may put a link to the host's files in its place meanwhile. */
static int set_mode(int fd, mode_t mode)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode & 07777) < 0 ? -errno : 0;
}

static int make_node(int dir, const char *name, const struct node *n)
{
	int r = mknodat(dir, name, n->mode, n->dev) < 0 ? -errno : 0; /* the umask is 0 */
	cleanup(fd_close) int there = r == -EEXIST ? open_same(dir, name, n) : -1;

	if (r == -EEXIST && there < 0) {
		if (unlinkat(dir, name, 0) < 0)
			return -errno;
		r = mknodat(dir, name, n->mode, n->dev) < 0 ? -errno : 0;
	}
	if (r == -EPERM && !S_ISFIFO(n->mode))
		return bind_node(dir, name, n);
	if (there >= 0)
		r = set_mode(there, n->mode);
	if (r < 0)
		return r;
	if (there < 0 && !n->uid && !n->gid)
		return 0;
	return fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static bool is_listed(const struct bundle *b, const char *name)
{
	for (size_t i = 0; i < b->linux_.devices.n; i++) {
		const struct bundle_device *d = b->linux_.devices.items[i];
		if (strncmp(d->path, "/dev/", 5) == 0 && strcmp(d->path + 5, name) == 0)
			return true;
	}
	return false;
}

static int make_defaults(const struct bundle *b, int dev, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		char path[16];
		struct node n = { .path = path,
			.mode = S_IFCHR | 0666,
			.dev = makedev(defaults[i].major, defaults[i].minor) };
		if (is_listed(b, defaults[i].name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", defaults[i].name);
		int r = make_node(dev, defaults[i].name, &n);
		if (r < 0)
			return err_code(err, r, "make '%s'", path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		int r = symlinkat(links[i].target, dev, links[i].name);
		/* The image's own is replaced if it can be: /dev/ptmx must be that of our devpts. */
		if (r < 0 && errno == EEXIST && unlinkat(dev, links[i].name, 0) == 0)
			r = symlinkat(links[i].target, dev, links[i].name);
		if (r < 0 && errno != EEXIST)
			return err_errno(err, "make '/dev/%s'", links[i].name);
	}
	return 0;
}

static int make_listed(const struct bundle_device *d, int root, struct err *err)
{
	mode_t type = d->type[0] == 'b' ? S_IFBLK : d->type[0] == 'p' ? S_IFIFO : S_IFCHR;
	struct node n = { .path = d->path,
		.mode = type | 0666,
		.dev = makedev((unsigned)d->major, (unsigned)d->minor),
		.uid = d->uid ? (uid_t)*d->uid : 0,
		.gid = d->gid ? (gid_t)*d->gid : 0 };
	cleanup(fd_close) int dir = -1;
	const char *name;
	int r;

	if (d->file_mode)
		n.mode = type | ((mode_t)*d->file_mode & 07777);
	dir = open_parent_in_root(root, d->path, /* make= */ true, &name);
	r = dir < 0 ? dir : make_node(dir, name, &n);
	return r < 0 ? err_code(err, r, "device '%s'", d->path) : 0;
}

static bool dev_is_bound(const struct bundle *b)
{
	for (size_t i = 0; i < b->mounts.n; i++) {
		const struct bundle_mount *m = b->mounts.items[i];
		const char *path = m->destination;
		if ((strcmp(path, "/dev") == 0 || strcmp(path, "/dev/") == 0 ||
			    strcmp(path, "dev") == 0) &&
			((m->type && strcmp(m->type, "bind") == 0) ||
				strv_contains(m->options, "bind") ||
				strv_contains(m->options, "rbind")))
			return true;
	}
	return false;
}

int devices_make(const struct bundle *b, int root, struct err *err)
{
	cleanup(fd_close) int dev = -1;
	int r;

	if (dev_is_bound(b))
		return 0;
	dev = mount_point_open(root, "/dev", /* is_dir= */ true);
	if (dev < 0)
		return err_code(err, dev, "open '/dev' of the container");
	r = make_defaults(b, dev, err);
	for (size_t i = 0; r == 0 && i < b->linux_.devices.n; i++)
		r = make_listed(b->linux_.devices.items[i], root, err);
	return r;
}
