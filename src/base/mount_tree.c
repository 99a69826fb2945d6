/* See mount_tree.h. */
#include "base/mount_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define MAX_LINKS 40

int tree_open(int dirfd, const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) |
			 (*path ? 0 : AT_EMPTY_PATH);
	int fd = open_tree(dirfd, path, flags);

	return fd < 0 ? -errno : fd;
}

int tree_attach(int tree, int dest)
{
	const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

	return move_mount(tree, "", dest, "", flags) < 0 ? -errno : 0;
}

int tree_set(int tree, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear, .propagation = propagation };
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	return mount_setattr(tree, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int open_point(int root, const char *path, bool is_dir, unsigned links);

/* Where a link that leads to nothing points, as a path from the root. */
static char *dangling_target(int parent, const char *name, const char *parent_path)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return target[0] == '/' ? xstrdup(target) : xasprintf("%s/%s", parent_path, target);
}

static int make_point(int root, const char *path, bool is_dir, unsigned links)
{
	cleanup(free) char *parent_path = xstrdup(path), *target = NULL;
	cleanup(fd_close) int parent = -1, fd = -1;
	size_t len = strlen(path);
	char *slash;

	while (len && parent_path[len - 1] == '/')
		parent_path[--len] = '\0';
	slash = strrchr(parent_path, '/');
	cleanup(free) char *name = xstrdup(slash ? slash + 1 : parent_path);
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -ENOENT;
	*(slash ? slash : parent_path) = '\0';
	parent = open_point(root, *parent_path ? parent_path : "/", /* is_dir= */ true, links);
	if (parent < 0)
		return parent;
	if (is_dir && mkdirat(parent, name, 0755) == 0)
		return open_in_root(parent, name, O_PATH | O_NOFOLLOW, 0);
	if (!is_dir)
		fd = openat(parent, name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd >= 0)
		return open_in_root(parent, name, O_PATH | O_NOFOLLOW, 0);
	if (errno != EEXIST)
		return -errno;
	target = dangling_target(parent, name, parent_path);
	if (!target || !links)
		return target ? -ELOOP : -EEXIST;
	return open_point(root, target, is_dir, links - 1);
}

static int open_point(int root, const char *path, bool is_dir, unsigned links)
{
	int fd = open_in_root(root, path, O_PATH, 0);

	return fd == -ENOENT ? make_point(root, path, is_dir, links) : fd;
}

int mount_point_open(int root, const char *path, bool is_dir)
{
	return open_point(root, path, is_dir, MAX_LINKS);
}
