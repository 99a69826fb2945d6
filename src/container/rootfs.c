/* See rootfs.h. Kernel Documentation/filesystems/overlayfs.rst; pivot_root(2). */
#include "container/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/mount.h"
#include "container/overlay.h"

static bool mapped(const struct bundle *b)
{
	return b->linux_.uid_mappings.n > 0;
}

/* An overlay needs an upper directory or a second layer. */
static bool single_layer(const struct bundle *b)
{
	return b->holm.layers && strv_len(b->holm.layers) == 1 && !b->holm.upper && !mapped(b);
}

static unsigned long propagation_flag(const char *name)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} modes[] = { { "shared", MS_SHARED }, { "slave", MS_SLAVE }, { "private", MS_PRIVATE },
		{ "unbindable", MS_UNBINDABLE } };

	for (size_t i = 0; name && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(name, modes[i].name) == 0)
			return modes[i].flag;
		if (name[0] == 'r' && strcmp(name + 1, modes[i].name) == 0)
			return modes[i].flag | MS_REC;
	}
	return 0;
}

int root_prepare(const struct bundle *b, int bundle_dir, int *ret_tree, struct err *err)
{
	bool single = single_layer(b);
	const char *path = single ? b->holm.layers[0] : b->root_path;
	cleanup(fd_close) int tree = -1;
	bool slave;
	int r;

	if (b->holm.layers && !single) {
		if (mapped(b)) {
			tree = overlay_open_mapped(b, bundle_dir, err);
			if (tree < 0)
				return tree;
		}
		*ret_tree = take_fd(tree);
		return 0;
	}
	tree = tree_open(bundle_dir, path, !single);
	if (tree < 0)
		return err_code(err, tree, "root '%s'", path);
	/* A slave still sees what is mounted there on the host later, as was asked for. */
	slave = propagation_flag(b->linux_.rootfs_propagation) & MS_SLAVE;
	r = tree_set(
		tree, single ? MOUNT_ATTR_RDONLY : 0, 0, slave ? MS_SLAVE : MS_PRIVATE, !single);
	if (r < 0)
		return err_code(err, r, "root '%s': set the mount's options", path);
	*ret_tree = take_fd(tree);
	return 0;
}

/* All propagation to the host is cut here, whatever rootfsPropagation says: what binds share with it
 * was settled when the parent opened them. */
static int cut_propagation(const struct bundle *b, struct err *err)
{
	unsigned long wanted =
		propagation_flag(b->linux_.rootfs_propagation) & ~(unsigned long)MS_REC;
	unsigned long flag =
		wanted == MS_PRIVATE || wanted == MS_UNBINDABLE ? MS_PRIVATE : MS_SLAVE;

	if (mount(NULL, "/", NULL, flag | MS_REC, NULL) < 0)
		return err_errno(err, "separate the mounts from the host's");
	return 0;
}

/*
 * Where hooks and their tools look for it, if they are there; else over "/", of all places: it can be reached
 * by nobody's path, and the user of a user namespace might not be allowed to walk to root.path.
 */
static int attach_tree(const struct bundle *b, int bundle_dir, int tree, struct err *err)
{
	const struct bundle_hooks *h = &b->hooks;
	bool wanted = h->prestart.n || h->create_runtime.n || h->create_container.n;

	if (wanted && !b->holm.layers &&
		move_mount(tree, "", bundle_dir, b->root_path, MOVE_MOUNT_F_EMPTY_PATH) == 0)
		return 0;
	if (move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(err, "root '%s': attach it", b->root_path);
	return 0;
}

int root_attach(const struct bundle *b, int bundle_dir, int tree, struct err *err)
{
	int r = cut_propagation(b, err), fd;

	if (r < 0)
		return r;
	if (tree < 0)
		return overlay_mount(b, bundle_dir, err);
	r = attach_tree(b, bundle_dir, tree, err);
	if (r < 0)
		return r;
	fd = fcntl(tree, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_errno(err, "root '%s'", b->root_path) : fd;
}

/* ---- restrictions */

static int open_null(struct err *err)
{
	/* The host's, in our copy of its mounts, so that the image has no say in what it is. */
	cleanup(fd_close) int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "open the host's '/dev/null'");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(err, ENODEV, "the host's '/dev/null' is not the null device");
	return take_fd(fd);
}

/* The inode stays the host's: on a read-only mount nobody inside can change its mode or owner. */
static int mask_file(int null, int dest)
{
	cleanup(fd_close) int tree = tree_open(null, "", false);
	int r = tree < 0 ? tree
			 : tree_set(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID,
				   0, 0, false);

	return r < 0 ? r : tree_attach(tree, dest);
}

/* One empty directory serves all: the first is mounted, the others are copies of the mount. */
static int mask_directory(int root, const char *path, int dest, int *empty)
{
	int r;

	if (*empty >= 0) {
		cleanup(fd_close) int tree = tree_open(*empty, "", false);
		return tree < 0 ? tree : tree_attach(tree, dest);
	}
	r = mount_on(dest, "tmpfs", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		"size=0,nr_inodes=2");
	if (r < 0)
		return r;
	*empty = open_in_root(root, path, O_PATH | O_DIRECTORY, 0);
	return *empty < 0 ? *empty : 0;
}

static int mask_path(int root, const char *path, int null, int *empty)
{
	cleanup(fd_close) int dest = open_in_root(root, path, O_PATH, 0);
	struct stat st;

	if (dest == -ENOENT || dest == -ENOTDIR)
		return 0;
	if (dest < 0)
		return dest;
	if (fstat(dest, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return mask_directory(root, path, dest, empty);
	return mask_file(null, dest);
}

static int protect_path(int root, const char *path)
{
	cleanup(fd_close) int dest = open_in_root(root, path, O_PATH, 0), tree = -1;
	int r;

	if (dest == -ENOENT || dest == -ENOTDIR)
		return 0;
	if (dest < 0)
		return dest;
	tree = tree_open(dest, "", true);
	if (tree < 0)
		return tree;
	r = tree_set(tree, MOUNT_ATTR_RDONLY, 0, 0, true);
	return r < 0 ? r : tree_attach(tree, dest);
}

static int mask_paths(char *const *paths, int root, struct err *err)
{
	cleanup(fd_close) int null = -1, empty = -1;
	int r;

	if (!paths || !*paths)
		return 0;
	null = open_null(err);
	if (null < 0)
		return null;
	strv_foreach (p, paths) {
		/* Given twice it is masked already. */
		char *const *q = paths;
		while (q < p && strcmp(*q, *p) != 0)
			q++;
		if (q < p)
			continue;
		r = mask_path(root, *p, null, &empty);
		if (r < 0)
			return err_code(err, r, "mask '%s'", *p);
	}
	return 0;
}

int root_restrict(const struct bundle *b, int root, struct err *err)
{
	int r;

	strv_foreach (p, b->linux_.readonly_paths) {
		r = protect_path(root, *p);
		if (r < 0)
			return err_code(err, r, "make '%s' read-only", *p);
	}
	r = mask_paths(b->linux_.masked_paths, root, err);
	if (r < 0)
		return r;
	r = b->root_readonly ? tree_set(root, MOUNT_ATTR_RDONLY, 0, 0, false) : 0;
	return r < 0 ? err_code(err, r, "make the root read-only") : 0;
}

/* What of the host's kernel could be seen below the container's root, which a user namespace inside
 * would be allowed to mount anew for that. */
static int drop_kernel_mounts(struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", 16u << 20, &text);
	char *save = NULL;

	if (r < 0)
		return err_code(err, r, "read '/proc/self/mountinfo'");
	for (char *l = strtok_r(text.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char path[PATH_MAX];
		const char *type = strstr(l, " - ");
		if (!type || sscanf(l, "%*s %*s %*s %*s %4095s", path) != 1 ||
			(strncmp(type, " - proc ", 8) != 0 && strncmp(type, " - sysfs ", 9) != 0))
			continue;
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
			errno != ENOENT)
			return err_errno(err, "take '%s' of the host away", path);
	}
	return 0;
}

/* The root is upon "/" then, and the host's tree below it, where no path leads. */
static int move_root(int root, struct err *err)
{
	int r;

	/* It may be there already (attach_tree), which is ELOOP. */
	if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ELOOP)
		return err_errno(err, "move the root");
	/* Paths are still those of the host: what is mounted upon "/" itself is not walked into. */
	r = drop_kernel_mounts(err);
	if (r < 0)
		return r;
	return chroot(".") < 0 ? err_errno(err, "change the root") : 0;
}

static int pivot_root(struct err *err)
{
	/* The old root comes to lie upon the new one, and is what "." means now (pivot_root(2), NOTES). */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(
			err, "change the root (with one on the initial ramdisk: --no-pivot)");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(err, "take the host's tree away");
	return 0;
}

int root_enter(const struct bundle *b, int root, enum root_change how, struct err *err)
{
	unsigned long propagation = propagation_flag(b->linux_.rootfs_propagation);
	int r = 0;

	if (fchdir(root) < 0)
		return err_errno(err, "enter the root");
	if (how == ROOT_CHROOT && chroot(".") < 0)
		r = err_errno(err, "change the root");
	else if (how == ROOT_MOVE)
		r = move_root(root, err);
	else if (how == ROOT_PIVOT)
		r = pivot_root(err);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return err_errno(err, "enter the root");
	/* Slave and private are what it is already. */
	if (propagation & (MS_SHARED | MS_UNBINDABLE) &&
		mount(NULL, "/", NULL, propagation, NULL) < 0)
		return err_errno(
			err, "linux.rootfsPropagation: '%s'", b->linux_.rootfs_propagation);
	return 0;
}
