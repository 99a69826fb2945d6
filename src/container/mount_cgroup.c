/*
 * What a container sees of its control groups. v2: the one hierarchy, through its cgroup namespace if it
 * has one; without, the host's own mount of it, as a new one would reset the options of both: a host's
 * nsdelegate and memory_recursiveprot would be gone (kernel cgroup-v2.rst, "Mounting"). v1 and
 * hybrid: a tmpfs with a directory for each hierarchy, bound to the container's own group there, and
 * a link for each controller of a joint one ("cpu" -> "cpu,cpuacct").
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/mount.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/cgroup.h"

static char *group_path(const struct cgroup_hierarchy *h, const char *cgroup)
{
	while (cgroup && *cgroup == '/')
		cgroup++;
	return xasprintf("%s/%s", h->mount, cgroup ? cgroup : "");
}

static int open_group(const char *path, uint64_t set)
{
	cleanup(fd_close) int tree = tree_open(AT_FDCWD, path, false);
	int r = tree < 0 ? tree : tree_set(tree, set, 0, MS_PRIVATE, false);

	return r < 0 ? r : take_fd(tree);
}

static bool in_initial_namespace(void)
{
	struct stat st;

	/* PROC_CGROUP_INIT_INO in the kernel's proc_ns.h: fixed, as programs rely on it. */
	return stat("/proc/self/ns/cgroup", &st) == 0 && st.st_ino == 0xeffffffbu;
}

static int bind_v2(const char *path, uint64_t set, int dest)
{
	cleanup(fd_close) int tree = open_group(path, set);

	return tree < 0 ? tree : tree_attach(tree, dest);
}

static int mount_v2(const struct mount_item *item, const struct mount_place *place,
	const struct cgroup_hierarchy *h, int dest, struct err *err)
{
	cleanup(free) char *path = group_path(h, place->cgroup);
	uint64_t set = item->options.set & ~(uint64_t)MOUNT_ATTR__ATIME;
	int r;

	if (in_initial_namespace())
		r = bind_v2(h->mount, set, dest);
	else
		r = mount_on(dest, "cgroup2", "cgroup", item->options.flags, NULL);
	/* Refused in a user namespace that does not own the cgroup namespace. */
	if (r == -EPERM || r == -EBUSY)
		r = bind_v2(path, set, dest);
	return r < 0 ? err_code(err, r, "mount cgroup2") : 0;
}

static int mount_v1(const struct cgroup_hierarchy *h, const struct mount_place *place, uint64_t set,
	int dir, struct err *err)
{
	cleanup(free) char *path = group_path(h, place->cgroup);
	cleanup(strv_free) char **parts = NULL;
	cleanup(fd_close) int tree = open_group(path, set);

	if (tree == -ENOENT)
		return 0; /* the container has no group of its own there */
	if (tree < 0)
		return err_code(err, tree, "open '%s'", path);
	/* In a tmpfs that nobody else has seen yet: a bare name is as good as a descriptor. */
	if (mkdirat(dir, h->name, 0755) < 0 ||
		move_mount(tree, "", dir, h->name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(err, "bind '%s'", path);
	if (!strchr(h->name, ','))
		return 0;
	parts = strv_split(h->name, ',');
	strv_foreach (p, parts)
		if (symlinkat(h->name, dir, *p) < 0 && errno != EEXIST)
			return err_errno(err, "link '%s'", *p);
	return 0;
}

int mount_cgroups(
	const struct mount_item *item, const struct mount_place *place, int dest, struct err *err)
{
	/* Ours whatever the bundle says: a group's files are no devices and no programs. */
	const uint64_t safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	uint64_t set = (item->options.set & MOUNT_ATTR_RDONLY) | safe;
	const struct cgroup_hierarchy *list;
	cleanup(fd_close) int dir = -1;
	size_t n;
	int r;

	list = cgroup_hierarchies(&n);
	if (cgroup_mode() == CGROUP_V2 && n == 1)
		return mount_v2(item, place, &list[0], dest, err);
	r = mount_on(dest, "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
	if (r < 0)
		return err_code(err, r, "mount a tmpfs");
	dir = open_in_root(place->root, item->destination, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return err_code(err, dir, "open the tmpfs");
	for (size_t i = 0; i < n; i++) {
		r = mount_v1(&list[i], place, set, dir, err);
		if (r < 0)
			return r;
	}
	r = set & MOUNT_ATTR_RDONLY ? tree_set(dir, MOUNT_ATTR_RDONLY, 0, 0, false) : 0;
	return r < 0 ? err_code(err, r, "make it read-only") : 0;
}
