/* See mount.h. */
#include "container/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/mount_bind.h"
#include "rootless/rootless.h"

/* ---- leaves */

int mount_on(int dest, const char *type, const char *source, unsigned long flags, const char *data)
{
	/* By way of /proc/self/fd a tenth of the time would go into finding the place. */
	if (fchdir(dest) < 0)
		return -errno;
	return mount(source, ".", type, flags, data) < 0 ? -errno : 0;
}

/* ---- in the parent */

static bool in_user_namespace(const struct bundle *b)
{
	for (size_t i = 0; i < b->linux_.namespaces.n; i++) {
		const struct bundle_namespace *n = b->linux_.namespaces.items[i];
		if (strcmp(n->type, "user") == 0)
			return true;
	}
	return rootless();
}

/* The bundle's root as those write it who name places in it by their paths on the host; NULL: it has no such
 * place. The caller frees. */
static char *root_on_host(const struct bundle *b, int bundle_dir)
{
	char link[32], dir[PATH_MAX];
	ssize_t n;

	if (b->holm.layers || b->root_path[0] == '/')
		return b->holm.layers ? NULL : xstrdup(b->root_path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", bundle_dir);
	n = readlink(bundle_dir == AT_FDCWD ? "/proc/self/cwd" : link, dir, sizeof(dir) - 1);
	return n < 0 ? NULL : xasprintf("%.*s/%s", (int)n, dir, b->root_path);
}

/* The rest of a path below root, beginning with its slash; else NULL. */
static const char *below(const char *path, const char *root)
{
	size_t len = root ? strlen(root) : 0;

	while (len && root[len - 1] == '/')
		len--;
	return len && strncmp(path, root, len) == 0 && path[len] == '/' ? path + len : NULL;
}

static int prepare_item(const struct bundle *b, int bundle_dir, const char *root,
	struct mount_item *item, struct err *err)
{
	const struct bundle_mount *m = item->mount;
	int r = mount_options_parse(m->options, &item->options, err);

	if (r < 0)
		return r;
	item->destination = below(m->destination, root);
	if (!item->destination)
		item->destination = m->destination;
	if (m->type && strcmp(m->type, "bind") == 0)
		item->options.bind = true;
	if (item->options.bind) {
		item->inside = m->source && !m->source_namespace ? below(m->source, root) : NULL;
		return bind_prepare(b, bundle_dir, item, err);
	}
	if (!m->type || !*m->type)
		return err_set(err, EINVAL, "neither a type nor the option bind is given");
	if (item->options.idmap || m->uid_mappings.n)
		return err_set(err, ENOTSUP, "only bind mounts can be idmapped");
	item->is_dir = true;
	return 0;
}

static int mount_failed(const struct mount_item *item, struct err *err)
{
	const struct bundle_mount *m = item->mount;

	return err_wrap(err, "error mounting \"%s\" to rootfs at \"%s\"",
		m->source && *m->source ? m->source
		: m->type               ? m->type
					: "",
		m->destination);
}

int mounts_prepare(const struct bundle *b, int bundle_dir, struct mount_list *ret, struct err *err)
{
	cleanup(mount_list_free) struct mount_list list = { 0 };
	cleanup(free) char *root = root_on_host(b, bundle_dir);
	bool locked = in_user_namespace(b);

	list.items = xcalloc(b->mounts.n + 1, sizeof(*list.items));
	for (size_t i = 0; i < b->mounts.n; i++) {
		struct mount_item *item = &list.items[i];
		item->mount = b->mounts.items[i];
		item->tree = item->userns = -1;
		item->locked = locked;
		list.n++;
		if (prepare_item(b, bundle_dir, root, item, err) < 0)
			return mount_failed(item, err);
	}
	*ret = list;
	list = (struct mount_list){ 0 };
	return 0;
}

void mount_list_free(struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		fd_close(list->items[i].tree);
		fd_close(list->items[i].userns);
		mount_options_free(&list->items[i].options);
	}
	free(list->items);
	*list = (struct mount_list){ 0 };
}

/* ---- in the child */

/* Files of procfs that may be replaced (lxcfs does); all others would let a mount lie to the runtime
 * or lift what is masked. */
static bool may_cover_proc(const char *path)
{
	static const char *const allowed[] = { "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",
		"/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
		"/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled", NULL };

	for (const char *const *a = allowed; *a; a++)
		if (strcmp(*a, path) == 0)
			return true;
	return false;
}

static bool is_kind(const struct mount_item *item, const char *type)
{
	return !item->options.bind && strcmp(item->mount->type, type) == 0;
}

static int check_destination(const struct mount_item *item, int dest, struct err *err)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(dest, &fs) < 0)
		return err_errno(err, "check the destination");
	if (fs.f_type != PROC_SUPER_MAGIC || may_cover_proc(item->destination))
		return 0;
	/* Its root has inode 1 (PROC_ROOT_INO). */
	if (fstat(dest, &st) == 0 && st.st_ino == 1 && is_kind(item, "proc"))
		return 0;
	return err_set(err, EPERM, "mounts inside /proc are refused");
}

static int open_destination(const struct mount_item *item, int root, struct err *err)
{
	const char *path = item->destination;
	cleanup(fd_close) int dest = -1;
	struct stat st;
	int r;

	/* A link here would put the kernel's files where a volume's owner can rename them away from
	 * under the masked paths. */
	if (is_kind(item, "proc") || is_kind(item, "sysfs")) {
		const char *name;
		cleanup(fd_close) int parent = open_parent_in_root(root, path, true, &name);
		if (parent >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!S_ISDIR(st.st_mode))
			return err_set(err, ENOTDIR,
				"filesystem %s must be mounted on ordinary directory",
				item->mount->type);
	}
	dest = mount_point_open(root, path, item->is_dir);
	if (dest < 0)
		return err_code(err, dest, "make the mount point");
	r = check_destination(item, dest, err);
	return r < 0 ? r : take_fd(dest);
}

/* Of a file system just mounted on dest; the descriptor still shows what is beneath. */
static int reopen(int root, const char *path, int flags)
{
	return open_in_root(root, path, flags, 0);
}

/* The kernel's file systems need the owner's rights over the namespace that they show; else the host's
 * are shown, as the bundle asked to share that namespace. */
static int bind_from_host(const struct mount_item *item, int dest)
{
	static const char *const sources[][2] = { { "proc", "/proc" }, { "sysfs", "/sys" },
		{ "mqueue", "/dev/mqueue" } };
	const struct mount_options *o = &item->options;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (!is_kind(item, sources[i][0]))
			continue;
		/* Whole, for parts are locked together in a user namespace. */
		cleanup(fd_close) int tree = tree_open(AT_FDCWD, sources[i][1], true);
		if (tree < 0)
			return tree;
		int r = o->set ? tree_set(tree, o->set & ~(uint64_t)MOUNT_ATTR__ATIME, 0, 0, true)
			       : 0;
		return r < 0 ? r : tree_attach(tree, dest);
	}
	return -EPERM;
}

static bool has_mode(const char *data)
{
	return strncmp(data, "mode=", 5) == 0 || strstr(data, ",mode=");
}

/* Of the directory that a tmpfs is to cover, whose look it takes on unless a mode is given; -1: none. */
static int covered_mode(const struct mount_item *item, int root)
{
	const char *data = item->options.data.data;
	cleanup(fd_close) int fd = -1;
	struct stat st;

	if (!is_kind(item, "tmpfs") || has_mode(data ? data : ""))
		return -1;
	fd = open_in_root(root, item->destination, O_PATH, 0);
	return fd >= 0 && fstat(fd, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static char *mount_data(const struct mount_item *item, const char *label, int mode)
{
	cleanup(free) char *given = xstrdup(item->options.data.data ? item->options.data.data : "");
	cleanup(free) char *data =
		mode < 0 ? xstrdup(given)
			 : xasprintf("%s%smode=%o", given, *given ? "," : "", mode);

	if (label && *label && is_kind(item, "tmpfs"))
		return xasprintf("%s%scontext=\"%s\"", data, *data ? "," : "", label);
	return xstrdup(data);
}

/* One that others are to be mounted in is read-only only when they are. */
static bool is_deferred(const struct mount_item *item)
{
	return item->options.flags & MS_RDONLY && !item->options.copy_up && is_kind(item, "tmpfs");
}

static int finish_file_system(
	const struct mount_item *item, const struct mount_place *place, int below)
{
	const struct mount_options *o = &item->options;
	cleanup(fd_close) int top = -1;
	int r = 0;

	if (!o->copy_up && !o->propagation && !o->below_clear)
		return 0;
	top = reopen(place->root, item->destination, O_RDONLY | O_DIRECTORY);
	if (top < 0)
		return top;
	if (o->copy_up)
		r = copy_up(below, top);
	if (r == 0 && o->below_clear)
		r = tree_set(top, o->below_set, o->below_clear, 0, true);
	if (r == 0 && o->propagation)
		r = tree_set(top, 0, 0, o->propagation & ~(unsigned long)MS_REC,
			o->propagation & MS_REC);
	/* Read-only only now that it is filled. */
	if (r == 0 && o->copy_up && o->flags & MS_RDONLY)
		r = tree_set(top, MOUNT_ATTR_RDONLY, 0, 0, false);
	return r;
}

static int mount_file_system(const struct mount_item *item, const struct mount_place *place,
	int dest, int mode, struct err *err)
{
	const struct mount_options *o = &item->options;
	const struct bundle_mount *m = item->mount;
	cleanup(free) char *data = mount_data(item, place->label, mode);
	cleanup(fd_close) int below = -1;
	unsigned long flags = o->flags;
	int r;

	if (o->copy_up) {
		below = reopen(place->root, item->destination, O_RDONLY | O_DIRECTORY);
		if (below < 0)
			return err_code(err, below, "open the directory to copy");
		flags &= ~(unsigned long)MS_RDONLY;
	}
	if (is_deferred(item))
		flags &= ~(unsigned long)MS_RDONLY;
	r = mount_on(dest, m->type, m->source && *m->source ? m->source : m->type, flags, data);
	if (r == -EPERM || r == -EBUSY)
		r = bind_from_host(item, dest) < 0 ? r : 0;
	if (r == -ENODEV)
		return err_set(err, ENODEV, "this kernel has no file system '%s'", m->type);
	if (r < 0)
		return err_code(
			err, r, "mount %s%s%s", m->type, *data ? " with options " : "", data);
	r = finish_file_system(item, place, below);
	return r < 0 ? err_code(err, r, "fill and set up the %s", m->type) : 0;
}

static int make_item(struct mount_item *item, const struct mount_place *place, struct err *err)
{
	int mode = covered_mode(item, place->root);
	cleanup(fd_close) int dest = -1;
	int r;

	if (item->inside) {
		r = bind_open_inside(item, place->root, err);
		if (r < 0)
			return r;
	}
	dest = open_destination(item, place->root, err);
	if (dest < 0)
		return dest;
	if (item->options.bind) {
		r = tree_attach(item->tree, dest);
		if (r == -ENOTDIR)
			return err_set(err, ENOTDIR,
				"source '%s' is a %s and the destination is not: not a directory",
				item->mount->source, item->is_dir ? "directory" : "file");
		return r < 0 ? err_code(err, r, "attach '%s'", item->mount->source) : 0;
	}
	if (is_kind(item, "cgroup") || is_kind(item, "cgroup2"))
		return mount_cgroups(item, place, dest, err);
	return mount_file_system(item, place, dest, mode, err);
}

int mounts_make(const struct mount_list *list, const struct mount_place *place, struct err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (make_item(&list->items[i], place, err) < 0)
			return mount_failed(&list->items[i], err);
	return 0;
}

int mounts_finish(const struct mount_list *list, const struct mount_place *place, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *path = list->items[i].destination;
		if (!is_deferred(&list->items[i]))
			continue;
		cleanup(fd_close) int top =
			open_in_root(place->root, path, O_PATH | O_DIRECTORY, 0);
		int r = top < 0 ? top : tree_set(top, MOUNT_ATTR_RDONLY, 0, 0, false);
		/* What was mounted upon it since is not ours to change. */
		if (r < 0 && r != -EINVAL)
			return err_code(err, r,
				"error mounting \"tmpfs\" to rootfs at \"%s\": make it read-only",
				path);
	}
	return 0;
}
