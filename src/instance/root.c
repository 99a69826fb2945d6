/*
 * The root file system of an instance as a descriptor. A running one's is its first process' own; a
 * stopped one's is an overlay of its layers, mounted detached (fsmount(2)): it has no place in any
 * mount namespace and goes away with the descriptor, so nothing is left whatever dies.
 */
#include "instance/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"

static int configure(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* Linux 6.7 and later: one layer a call, so that neither count nor length matters. */
static int mount_by_fsconfig(char *const *layers, const char *upper, const char *work)
{
	cleanup(fd_close) int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	for (size_t n = strv_len(layers); n-- > 0;)
		if (configure(fs, "lowerdir+", layers[n]) < 0)
			return -errno;
	if (upper && (configure(fs, "upperdir", upper) < 0 || configure(fs, "workdir", work) < 0))
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* The name below `base` when it is there: mount(2) takes one page of options in all. */
static const char *shorten(const char *path, const char *base)
{
	size_t len = strlen(base);

	return strncmp(path, base, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

struct overlay {
	char *const *layers;
	const char *upper, *work;
};

static int mount_in_child(const void *data)
{
	const struct overlay *o = data;
	cleanup(buf_free) struct buf options = { 0 };
	cleanup(free) char *base = xasprintf("%s/layers", paths_root());

	buf_adds(&options, "lowerdir=");
	for (size_t n = strv_len(o->layers); n-- > 0;)
		buf_addf(&options, "%s%s", shorten(o->layers[n], base), n ? ":" : "");
	if (o->upper)
		buf_addf(&options, ",upperdir=%s,workdir=%s", o->upper, o->work);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		chdir(base) < 0 || mount("overlay", "/mnt", "overlay", 0, options.data) < 0)
		return -errno;
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/mnt", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int root_mount(char *const *layers, const char *upper, const char *work, struct err *err)
{
	int fd;

	/* A single layer that nobody writes to needs no overlay. */
	if (!upper && strv_len(layers) == 1)
		fd = open(layers[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	else
		fd = mount_by_fsconfig(layers, upper, work);
	if (fd == -EINVAL || fd == -ENOSYS)
		fd = fd_from_child(mount_in_child, &(struct overlay){ layers, upper, work });
	return fd < 0 ? err_code(err, fd, "mount the root file system") : fd;
}

int instance_root(
	struct db *db, struct instance *i, int *ret_fd, uint32_t *ret_base, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *upper = xasprintf("%s/upper", i->dir),
			   *work = xasprintf("%s/work", i->dir);
	int fd, r;

	if (instance_running(i) && run_alive(&i->state.run)) {
		cleanup(free) char *path =
			xasprintf("/proc/%lld/root", (long long)i->state.run.pid);
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && run_alive(&i->state.run)) {
			*ret_fd = fd;
			*ret_base = instance_userns_base(&i->config);
			return 0;
		}
		fd_close(fd);
	}
	r = image_find(db, i->config.image_id, &image, err);
	if (r < 0)
		return r;
	fd = root_mount(image->layer_dirs, upper, work, err);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	*ret_base = 0;
	return 0;
}
