/* What is in a group: processes, threads, subgroups. */
#include "container/cgroup_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define MAX_PIDS (1u << 22)
#define MAX_DEPTH 64

static int add_pids(int dir, pid_t **pids, size_t *n)
{
	cleanup(buf_free) struct buf text = { 0 };
	int r = file_read(dir, "cgroup.procs", 1u << 24, &text);

	/* A threaded subgroup lists no processes: they belong to the group above. */
	if (r == -EOPNOTSUPP || r == -ENODEV || r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	for (char *s = text.data, *end; s && *s; s = end + strspn(end, "\n")) {
		long pid = strtol(s, &end, 10);
		if (end == s || *n >= MAX_PIDS)
			break;
		if (pid <= 0) /* of a pid namespace we cannot see */
			continue;
		if ((*n & (*n - 1)) == 0)
			*pids = xrealloc_array(*pids, *n ? 2 * *n : 1, sizeof(**pids));
		(*pids)[(*n)++] = (pid_t)pid;
	}
	return 0;
}

int cgroup_subgroups(int dir, int (*fn)(void *data, int dir, const char *name), void *data)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		r = -errno;
		fd_close(fd);
		return r == -ENOENT || r == -ENODEV ? 0 : r;
	}
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
			strcmp(e->d_name, "..") != 0)
			r = fn(data, dir, e->d_name);
	closedir(d);
	return r;
}

struct pid_list {
	pid_t *v;
	size_t n;
	unsigned depth;
};

static int collect(struct pid_list *list, int dir);

static int collect_sub(void *data, int dir, const char *name)
{
	cleanup(fd_close) int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? 0 : collect(data, fd);
}

static int collect(struct pid_list *list, int dir)
{
	int r = add_pids(dir, &list->v, &list->n);

	if (r < 0 || list->depth == MAX_DEPTH)
		return r;
	list->depth++;
	r = cgroup_subgroups(dir, collect_sub, list);
	list->depth--;
	return r;
}

/* All hierarchies hold the same processes, but those that were added may just be filled; or -1. */
static int full_hierarchy(const struct cgroup_group *g)
{
	int h = -1;

	for (size_t i = 0; i < g->layout->n; i++)
		if (g->dir[i] >= 0 && (g->layout->controllers[i] & CG_BASE & ~CG_LATER))
			h = (int)i;
	for (size_t i = 0; h < 0 && i < g->layout->n; i++)
		h = g->dir[i] >= 0 ? (int)i : h;
	return h;
}

struct task_count {
	uint64_t n;
	unsigned depth;
};

static int count_tasks(void *data, int parent, const char *name)
{
	struct task_count *c = data;
	cleanup(fd_close) int dir =
		openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup(buf_free) struct buf text = { 0 };

	if (dir < 0 || file_read(dir, "tasks", 1u << 24, &text) < 0)
		return 0;
	for (const char *s = text.data; s && (s = strchr(s, '\n')); s++)
		c->n++;
	if (c->depth < MAX_DEPTH) {
		c->depth++;
		cgroup_subgroups(dir, count_tasks, c);
		c->depth--;
	}
	return 0;
}

uint64_t cgroup_count_tasks(const struct cgroup_group *g)
{
	struct task_count c = { 0 };
	int h = full_hierarchy(g);

	if (h >= 0)
		count_tasks(&c, g->dir[h], ".");
	return c.n;
}

int cgroup_pids(const char *path, pid_t **ret, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	struct pid_list list = { 0 };
	int r = cgroup_open(path, &g, err), h;

	if (r < 0)
		return r;
	h = full_hierarchy(&g);
	r = h < 0 ? 0 : collect(&list, g.dir[h]);
	if (r < 0) {
		free(list.v);
		return err_code(err, r, "list processes of cgroup '%s'", g.path);
	}
	*ret = list.v;
	return (int)list.n;
}
