/*
 * The root file system of an instance as a descriptor. A running one's is its first process' own; a
 * stopped one's is an overlay of its layers, mounted detached (fsmount(2)): it has no place in any
 * mount namespace and goes away with the descriptor, so nothing is left whatever dies. For `cp` its
 * volumes and binds are laid over it. The upper and work directories of an overlay are one mount's at a
 * time: who writes holds the instance's lock, and who reads does without them.
 */
#include "instance/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/mount_tree.h"
#include "base/paths.h"
#include "base/strv.h"
#include "instance/spec.h"
#include "instance/state.h"
#include "instance/volume.h"
#include "rootless/rootless.h"

/* For who works on the instance: as long as a start waits for others. */
#define WAIT_MS 10
#define WAIT_TRIES 1000

static int configure(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* Linux 6.7 and later: one layer a call, so that neither count nor length matters. */
static int mount_by_fsconfig(
	char *const *layers, const char *upper, const char *work, bool ephemeral)
{
	cleanup(fd_close) int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	if (rootless() && syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
		return -errno;
	if (ephemeral && syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
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

	buf_adds(&options, rootless() ? "userxattr,lowerdir=" : "lowerdir=");
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
		fd = mount_by_fsconfig(layers, upper, work, /* ephemeral= */ false);
	if (fd == -EINVAL || fd == -ENOSYS)
		fd = fd_from_child(mount_in_child, &(struct overlay){ layers, upper, work });
	return fd < 0 ? err_code(err, fd, "mount the root file system") : fd;
}

int root_mount_ephemeral(char *const *layers, const char *upper, const char *work, struct err *err)
{
	int fd = mount_by_fsconfig(layers, upper, work, /* ephemeral= */ true);

	/* Only slower: its unmounting syncs. */
	return fd < 0 ? root_mount(layers, upper, work, err) : fd;
}

/* A stopped instance's volumes and binds, laid over its root in a mount namespace of a child's: mounts
 * that are nowhere take others upon them only since Linux 6.15. */
struct laid {
	const struct instance_config *config;
	struct mount_source {
		int tree; /* a detached copy of what is to be mounted */
		const char *target;
	} * sources;
	size_t n;
	int root;
	const char *place; /* a directory of ours to mount upon */
};

static void laid_done(struct laid *l)
{
	for (size_t i = 0; i < l->n; i++)
		fd_close(l->sources[i].tree);
	free(l->sources);
	fd_close(l->root);
}
DEFINE_CLEANUP_OBJECT(laid_done, struct laid);

static int lay(int root, const struct mount_source *m)
{
	cleanup(fd_close) int dest = -1;
	struct stat st;

	if (fstat(m->tree, &st) < 0)
		return -errno;
	dest = mount_point_open(root, m->target, S_ISDIR(st.st_mode));
	return dest < 0 ? dest : tree_attach(m->tree, dest);
}

static int lay_in_child(const void *data)
{
	const struct laid *l = data;
	cleanup(fd_close) int place = -1, root = -1;
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	umask(022);
	place = open(l->place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0)
		return -errno;
	r = tree_attach(l->root, place);
	root = open(l->place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = lay(root, &l->sources[i]);
	return r < 0 ? r : tree_open(root, "", /* recursive= */ true);
}

static int open_volume(struct db *db, const char *name, struct err *err)
{
	cleanup(volume_free) struct volume *v = NULL;
	int r = volume_find(db, name, &v, err);

	if (r < 0)
		return r;
	if (map_get(v->options, "device") || map_get(v->options, "type"))
		return err_set(err, ENOTSUP,
			"volume '%s' is mounted only while the container runs: start it first",
			name);
	r = tree_open(AT_FDCWD, v->mountpoint, /* recursive= */ false);
	return r < 0 ? err_code(err, r, "open volume '%s'", name) : r;
}

static int open_mount(struct db *db, const struct instance_mount *m, struct err *err)
{
	bool volume = strcmp(m->type, "volume") == 0;
	cleanup(fd_close) int tree = volume ? open_volume(db, m->source, err)
					    : tree_open(AT_FDCWD, m->source, !m->non_recursive);

	if (tree < 0)
		return volume ? tree : err_code(err, tree, "bind source '%s'", m->source);
	int r = m->read_only ? tree_set(tree, MOUNT_ATTR_RDONLY, 0, 0, /* recursive= */ true) : 0;
	if (r < 0)
		return err_code(err, r, "make '%s' read-only", m->target);
	return take_fd(tree);
}

static int open_mounts(struct db *db, struct laid *l, struct err *err)
{
	cleanup(free) struct instance_mount **sorted = mounts_by_depth(l->config);

	l->sources = xcalloc(l->config->mounts.n, sizeof(*l->sources));
	for (size_t i = 0; i < l->config->mounts.n; i++) {
		int tree;
		if (strcmp(sorted[i]->type, "tmpfs") == 0)
			continue;
		tree = open_mount(db, sorted[i], err);
		if (tree < 0)
			return tree;
		l->sources[l->n++] = (struct mount_source){ tree, sorted[i]->target };
	}
	return 0;
}

/* Takes over `root`. -EROFS: the place of one is missing where nothing can be made. */
static int lay_mounts(struct db *db, const struct instance *i, int root, struct err *err)
{
	cleanup(laid_done) struct laid l = { .config = &i->config, .root = root, .place = i->dir };
	int r = open_mounts(db, &l, err);

	if (r < 0)
		return r;
	r = fd_from_child(lay_in_child, &l);
	return r < 0 ? err_code(err, r, "mount the volumes of '%s'", i->config.name) : r;
}

/* The running process's own; -ESRCH when there is none. */
static int open_running(const struct instance *i)
{
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;

	if (!instance_running(i) || !run_alive(&i->state.run))
		return -ESRCH;
	path = xasprintf("/proc/%lld/root", (long long)i->state.run.pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && run_alive(&i->state.run) ? take_fd(fd) : -ESRCH;
}

/*
 * To be read, what the instance has written is one more layer: nobody's upper and work directories are
 * touched, so it may be started, restarted and removed meanwhile. To be written to, it must stay at rest.
 */
static int open_stopped(struct db *db, const struct instance *i, unsigned flags, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(strv_free) char **layers = NULL;
	cleanup(free) char *upper = xasprintf("%s/upper", i->dir),
			   *work = xasprintf("%s/work", i->dir);
	bool write = flags & INSTANCE_ROOT_WRITE;
	int fd, r = image_find(db, i->config.image_id, &image, err);

	if (r < 0)
		return r;
	strv_add_all(&layers, image->layer_dirs);
	if (!write)
		strv_add(&layers, upper);
	fd = root_mount(layers, write ? upper : NULL, write ? work : NULL, err);
	if (fd == -ENOENT && access(upper, F_OK) < 0) /* what it is in goes later */
		return instance_just_removed(i, err);
	if (fd >= 0 && flags & INSTANCE_ROOT_MOUNTS && i->config.mounts.n)
		fd = lay_mounts(db, i, fd, err);
	return fd;
}

/* Under the lock, with what an owner that died has left taken down. */
static int open_at_rest(struct db *db, struct instance *i, unsigned flags,
	struct instance_root *ret, struct err *err)
{
	int lock = instance_lock(i, /* wait= */ false, err), r;

	if (lock < 0)
		return lock;
	r = access(i->dir, F_OK) < 0 ? instance_just_removed(i, err)
				     : instance_take_over(db, i, err);
	if (r == 0)
		r = open_stopped(db, i, flags | INSTANCE_ROOT_WRITE, err);
	if (r < 0) {
		instance_unlock_remove(i, lock);
		return r;
	}
	*ret = (struct instance_root){ .fd = r, .lock = lock, .of = i };
	return 0;
}

/* While others start, stop or write to it, it is waited for; a container that is starting runs soon. */
static int open_to_write(struct db *db, struct instance *i, unsigned flags,
	struct instance_root *ret, struct err *err)
{
	for (int tries = 0; tries < WAIT_TRIES; tries++) {
		int r = open_at_rest(db, i, flags, ret, err);
		if (r != -EWOULDBLOCK)
			return r;
		r = instance_reload_state(i, err);
		if (r < 0)
			return r;
		r = open_running(i);
		if (r >= 0) {
			*ret = (struct instance_root){ .fd = r,
				.lock = -1,
				.base = instance_userns_base(&i->config),
				.of = i };
			return 0;
		}
		poll(NULL, 0, WAIT_MS);
	}
	return err_set(err, EBUSY,
		"container %s is being started, restarted or written to: try again",
		i->config.name);
}

int instance_root_open(struct db *db, struct instance *i, unsigned flags, struct instance_root *ret,
	struct err *err)
{
	int fd = open_running(i);

	if (fd >= 0) {
		*ret = (struct instance_root){
			.fd = fd, .lock = -1, .base = instance_userns_base(&i->config), .of = i
		};
		return 0;
	}
	if (flags & INSTANCE_ROOT_WRITE)
		return open_to_write(db, i, flags, ret, err);
	fd = open_stopped(db, i, flags, err);
	/* Never started: the places of its mounts are made now. */
	if (fd == -EROFS)
		return open_to_write(db, i, flags, ret, err);
	if (fd < 0)
		return fd;
	*ret = (struct instance_root){ .fd = fd, .lock = -1, .of = i };
	return 0;
}

void instance_root_close(struct instance_root *r)
{
	r->fd = fd_close(r->fd);
	if (r->lock >= 0)
		instance_unlock_remove(r->of, r->lock);
	r->lock = -1;
}
