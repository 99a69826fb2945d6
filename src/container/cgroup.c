/*
 * Groups: making, joining, finding and removing them. One path in every hierarchy that is needed;
 * limits are set in cgroup_limits.c, read in cgroup_stats.c.
 *
 * Each hierarchy costs a container a good 100 us (mkdir, joining, rmdir), so v1 groups are made only
 * in those that measure and in those a limit was asked of. cgroup_add() makes the missing ones later
 * and moves the processes in.
 */
#include "container/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "container/cgroup_internal.h"

#define MOVE_PASSES 60u /* about a second */
#define MAX_PATH 1024

char *cgroup_full_path(const struct cgroup_layout *l, size_t h, const char *path)
{
	return xasprintf("%s%s", l->list[h].mount, path);
}

int cgroup_path(const char *path, char **ret, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };

	if (!path || !*path)
		return err_set(err, EINVAL, "cgroup path: empty");
	if (path[0] != '/')
		buf_addf(&b, "/holm%s", paths_suffix());
	for (const char *s = path; *s;) {
		size_t n;
		s += strspn(s, "/");
		n = strcspn(s, "/");
		if (n == 2 && strncmp(s, "..", 2) == 0)
			return err_set(err, EINVAL, "cgroup path '%s' leads upwards", path);
		if (n > NAME_MAX || b.len + n + 1 > MAX_PATH)
			return err_set(
				err, ENAMETOOLONG, "cgroup path '%.64s...' is too long", path);
		if (n && !(n == 1 && *s == '.')) {
			buf_addc(&b, '/');
			buf_add(&b, s, n);
		}
		s += n;
	}
	if (!b.len)
		return err_set(err, EINVAL, "cgroup path '%s' is the root", path);
	*ret = buf_detach(&b);
	return 0;
}

static void group_init(struct cgroup_group *g, const struct cgroup_layout *l, char *path)
{
	*g = (struct cgroup_group){ .layout = l, .path = path };
	for (size_t h = 0; h < CGROUP_MAX_HIERARCHIES; h++)
		g->dir[h] = -1;
}

void cgroup_close(struct cgroup_group *g)
{
	for (size_t h = 0; g->layout && h < g->layout->n; h++)
		g->dir[h] = fd_close(g->dir[h]);
	free(g->path);
	g->path = NULL;
}

static int open_dir(const struct cgroup_layout *l, size_t h, const char *path)
{
	cleanup(free) char *name = cgroup_full_path(l, h, path);
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cgroup_open(const char *path, struct cgroup_group *ret, struct err *err)
{
	const struct cgroup_layout *l = cgroup_layout();
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	char *absolute;
	int r = cgroup_path(path, &absolute, err);

	if (r < 0)
		return r;
	group_init(&g, l, absolute);
	for (size_t h = 0; h < l->n; h++) {
		r = open_dir(l, h, absolute);
		if (r < 0 && r != -ENOENT)
			return err_code(err, r, "open cgroup '%s%s'", l->list[h].mount, absolute);
		g.dir[h] = r < 0 ? -1 : r;
	}
	*ret = g;
	group_init(&g, l, NULL);
	return 0;
}

static int put_at(int dir, const char *file, const char *value, int open_flags)
{
	cleanup(fd_close) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | open_flags, 0600);
	size_t len = strlen(value);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, value, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int cgroup_put(const struct cgroup_group *g, int h, const char *file, const char *value)
{
	if (h < 0 || g->dir[h] < 0)
		return -ENOENT;
	return put_at(g->dir[h], file, value, g->layout->open_flags);
}

int cgroup_file(const struct cgroup_group *g, int h, const char *file)
{
	int fd = h < 0 || g->dir[h] < 0 ? -1 : openat(g->dir[h], file, O_RDONLY | O_CLOEXEC);

	return fd >= 0 ? fd : h < 0 || g->dir[h] < 0 ? -ENOENT : -errno;
}

int cgroup_get(const struct cgroup_group *g, int h, const char *file, char *text, size_t size)
{
	cleanup(fd_close) int fd = cgroup_file(g, h, file);
	ssize_t n = fd < 0 ? fd : fd_read_full(fd, text, size - 1);

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return (int)n;
}

int cgroup_get_u64(const struct cgroup_group *g, int h, const char *file, uint64_t *ret)
{
	char text[32];
	int n = cgroup_get(g, h, file, text, sizeof(text));

	if (n < 0)
		return n;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return parse_u64(text, UINT64_MAX, ret);
}

bool cgroup_stat_value(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *s = text; s && *s; s = strchr(s, '\n'), s += s ? 1 : 0)
		if (strncmp(s, key, n) == 0 && s[n] == ' ') {
			*ret = strtoull(s + n + 1, NULL, 10);
			return true;
		}
	return false;
}

void cgroup_pause(unsigned *us)
{
	struct timespec t = { .tv_nsec = (long)*us * 1000 };

	nanosleep(&t, NULL);
	if (*us < 10000)
		*us *= 2;
}

/* v1's cpuset starts with no processor and no memory node, and takes nobody in that state. */
static int init_cpuset(int parent, int child, int flags)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[4096];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		r = file_get_line(child, files[i], text, sizeof(text));
		if (r < 0 && !flags)
			return r;
		if (r == 0 && *text)
			continue;
		r = file_get_line(parent, files[i], text, sizeof(text));
		if (r < 0)
			return flags ? 0 : r;
		r = put_at(child, files[i], text, flags);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Lets the children of a v2 group have the controllers. Together, for speed; one by one when that
 * fails, so that one that is in the way does not hide the rest. The bits that failed.
 */
static unsigned enable(int dir, unsigned bits, int open_flags)
{
	char text[256] = "", words[256];
	size_t len = 0;
	unsigned failed = 0;

	if (file_get_line(dir, "cgroup.subtree_control", text, sizeof(text)) < 0 && !open_flags)
		return bits;
	bits &= ~cgroup_controllers_of(text);
	if (!bits)
		return 0;
	for (int c = 0; c < CG_COUNT; c++)
		if (bits & CG_BIT(c))
			len += (size_t)snprintf(words + len, sizeof(words) - len, "%s+%s",
				len ? " " : "", cgroup_controller_name(c, true));
	if (put_at(dir, "cgroup.subtree_control", words, open_flags) == 0)
		return 0;
	for (int c = 0; c < CG_COUNT; c++) {
		if (!(bits & CG_BIT(c)))
			continue;
		snprintf(words, sizeof(words), "+%s", cgroup_controller_name(c, true));
		if (file_put(dir, "cgroup.subtree_control", words) < 0)
			failed |= CG_BIT(c);
	}
	return failed;
}

static int step(struct cgroup_group *g, size_t h, int parent, const char *name, bool *ret_made)
{
	cleanup(fd_close) int fd = -1;
	bool made = mkdirat(parent, name, 0755) == 0;
	int r;

	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = (g->layout->controllers[h] & CG_BIT(CG_CPUSET)) && !cgroup_is_v2(g->layout, h)
		    ? init_cpuset(parent, fd, g->layout->open_flags)
		    : 0;
	if (r < 0) {
		unlinkat(parent, name, AT_REMOVEDIR);
		return r;
	}
	*ret_made = made;
	return take_fd(fd);
}

/* Makes g->path in hierarchy h and leaves it in g->dir[h]. *ret_made: the last part is new. */
static int make_in(struct cgroup_group *g, size_t h, unsigned need, bool *ret_made)
{
	const struct cgroup_layout *l = g->layout;
	cleanup(fd_close) int dir = open_dir(l, h, "");
	unsigned bits = cgroup_is_v2(l, h) ? need & l->controllers[h] & ~CG_V2_ALWAYS : 0;
	char name[NAME_MAX + 1];
	bool made = false;

	if (dir < 0)
		return dir;
	for (const char *s = g->path; *s;) {
		size_t n = strcspn(++s, "/");
		int next;
		if (bits)
			g->missing |= enable(dir, bits & ~g->missing, l->open_flags);
		snprintf(name, sizeof(name), "%.*s", (int)n, s);
		next = step(g, h, dir, name, &made);
		if (next < 0)
			return next;
		fd_close(dir);
		dir = next;
		s += n;
	}
	*ret_made = made;
	g->dir[h] = take_fd(dir);
	return 0;
}

void cgroup_remove_parent(const struct cgroup_layout *l, size_t h, const char *path)
{
	cleanup(free) char *own = xasprintf("/holm%s", paths_suffix());
	size_t n = strlen(own);

	if (strncmp(path, own, n) == 0 && path[n] == '/') {
		cleanup(free) char *name = cgroup_full_path(l, h, own);
		rmdir(name);
	}
}

static bool occupied(const struct cgroup_group *g, int h)
{
	char text[32];

	return cgroup_get(g, h, "cgroup.procs", text, sizeof(text)) > 0;
}

static int check_frozen(const struct cgroup_group *g, int h, struct err *err)
{
	bool v2 = cgroup_is_v2(g->layout, (size_t)h);
	char text[32];

	if (!(g->layout->controllers[h] & CG_BIT(CG_FREEZER)) ||
		cgroup_get(g, h, v2 ? "cgroup.freeze" : "freezer.state", text, sizeof(text)) < 0 ||
		strcmp(text, v2 ? "1\n" : "FROZEN\n") != 0)
		return 0;
	/* Callers look for these words. */
	return err_set(err, EBUSY, "container's cgroup unexpectedly frozen: '%s%s'",
		g->layout->list[h].mount, g->path);
}

/* A group that was there before. */
static int check_found(struct cgroup_group *g, int h, unsigned flags, struct err *err)
{
	g->fresh = false;
	if (!occupied(g, h))
		return check_frozen(g, h, err);
	if (!(flags & CGROUP_SHARED))
		return err_set(err, EBUSY, "cgroup '%s%s' has processes in it",
			g->layout->list[h].mount, g->path);
	/* Of one hierarchy, to say it once. */
	if (g->layout->controllers[h] & CG_BIT(CG_FREEZER))
		log_warn("container's cgroup is not empty: '%s' has processes of others in it",
			g->path);
	return check_frozen(g, h, err);
}

/* What a group is made with, whatever is asked of it. On v2 more costs nothing. */
static unsigned base_of(const struct cgroup_layout *l, size_t h)
{
	unsigned v1 = 0;

	for (size_t i = 0; i < l->n; i++)
		v1 |= cgroup_is_v2(l, i) ? 0 : l->controllers[i];
	/* Somewhere it has to be. */
	return cgroup_is_v2(l, h) || !(v1 & CG_BASE & ~CG_LATER) ? CG_BASE : CG_BASE & ~CG_LATER;
}

static int make(
	struct cgroup_group *g, unsigned asked, unsigned flags, unsigned *ret_made, struct err *err)
{
	const struct cgroup_layout *l = g->layout;

	for (size_t h = 0; h < l->n; h++) {
		unsigned need = asked | base_of(l, h);
		bool made = false;
		int r;
		if (!(l->controllers[h] & need) && !(flags & CGROUP_EVERYWHERE))
			continue;
		/* Another container's end may take the parent away between our two steps. */
		for (int tries = 0; (r = make_in(g, h, need, &made)) == -ENOENT && tries < 10;
			tries++)
			;
		if (made)
			*ret_made |= 1u << h;
		if (r < 0)
			return err_code(err, r, "make cgroup '%s%s'", l->list[h].mount, g->path);
		r = made ? 0 : check_found(g, (int)h, flags, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void unmake(const struct cgroup_group *g, unsigned made)
{
	for (size_t h = 0; h < g->layout->n; h++) {
		cleanup(free) char *name = cgroup_full_path(g->layout, h, g->path);
		if (made & 1u << h)
			rmdir(name);
		cgroup_remove_parent(g->layout, h, g->path);
	}
}

int cgroup_create(const char *path, const struct bundle_resources *resources, unsigned flags,
	char **ret_path, int *ret_fd, struct err *err)
{
	const struct cgroup_layout *l = cgroup_layout();
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	unsigned need = resources ? cgroup_limits_need(resources) : 0, made = 0;
	char *absolute;
	int r = cgroup_path(path, &absolute, err);

	if (r < 0)
		return r;
	group_init(&g, l, absolute);
	g.fresh = true;
	if (l->mode == CGROUP_NONE)
		return err_set(err, ENOTSUP,
			"no cgroup hierarchy is mounted; "
			"mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	r = make(&g, need, flags, &made, err);
	if (r == 0 && resources)
		r = cgroup_limits_apply(&g, resources, err);
	if (r < 0) {
		unmake(&g, made);
		return r;
	}
	*ret_fd = -1;
	for (size_t h = 0; h < l->n; h++)
		if (cgroup_is_v2(l, h))
			*ret_fd = take_fd(g.dir[h]);
	*ret_path = take(g.path);
	return 0;
}

/* Into hierarchy h; -ESRCH is not an error worth a text to all callers. */
static int move_in(const struct cgroup_group *g, size_t h, pid_t pid, struct err *err)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", (int)pid);
	r = cgroup_put(g, (int)h, "cgroup.procs", text);
	if (r == -ESRCH)
		return r;
	return r < 0 ? err_code(err, r, "move process %d into cgroup '%s%s'", (int)pid,
			       g->layout->list[h].mount, g->path)
		     : 0;
}

/* By path: opening the directories as well would be most of it. */
static int join_v1(const char *path, struct err *err)
{
	const struct cgroup_layout *l = cgroup_layout();
	cleanup(free) char *absolute = NULL;
	int r = cgroup_path(path, &absolute, err), found = 0;

	for (size_t h = 0; r == 0 && h < l->n; h++) {
		/* "tasks" takes a thread, "cgroup.procs" a process under the lock: see cgroup.h. */
		cleanup(free) char *tasks = xasprintf("%s%s/tasks", l->list[h].mount, absolute);
		if (cgroup_is_v2(l, h))
			continue;
		r = file_put(AT_FDCWD, tasks, "0");
		if (r < 0 && r != -ENOENT)
			return err_code(err, r, "join cgroup '%s%s'", l->list[h].mount, absolute);
		found += r == 0;
		r = 0;
	}
	if (r == 0 && !found && l->mode == CGROUP_V1)
		return err_set(err, ENOENT, "cgroup '%s' does not exist", absolute);
	return r;
}

int cgroup_join(const char *path, pid_t pid, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int r, found = 0;

	if (pid == 0)
		return join_v1(path, err);
	r = cgroup_open(path, &g, err);
	for (size_t h = 0; r == 0 && h < g.layout->n; h++) {
		if (g.dir[h] < 0)
			continue;
		found++;
		r = move_in(&g, h, pid, err);
		if (r == -ESRCH)
			return err_code(
				err, r, "move process %d into cgroup '%s'", (int)pid, g.path);
	}
	if (r == 0 && !found)
		return err_set(err, ENOENT, "cgroup '%s' does not exist", g.path);
	return r;
}

static bool has_controller(const struct cgroup_layout *l, size_t h, const char *name)
{
	cleanup(strv_free) char **names = strv_split(l->list[h].controllers ?: "", ',');

	return !*name || strv_contains(names, name);
}

int cgroup_check_below(char *const *below, struct err *err)
{
	const struct cgroup_layout *l = cgroup_layout();

	map_foreach (kv, below) {
		cleanup(strv_free) char **parts = strv_split(kv[1], '/');
		bool known = false;
		if (strv_contains(parts, ".."))
			return err_set(err, EINVAL,
				"bad sub cgroup path: %s is not a sub cgroup path", kv[1]);
		for (size_t h = 0; h < l->n; h++)
			known |= has_controller(l, h, kv[0]);
		if (!known)
			return err_set(err, EINVAL, "unknown controller %s in --cgroup", kv[0]);
	}
	return 0;
}

/* Callers look for these words. */
static int join_failed(const char *file, int r, struct err *err)
{
	char *why = strerror(-r);

	return err_set(err, -r, "error adding pid %d to cgroups: open %s: %c%s", (int)getpid(),
		file, tolower((unsigned char)*why), why + 1);
}

int cgroup_join_below(const char *path, char *const *below, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int r = cgroup_open(path, &g, err);

	for (size_t h = 0; r == 0 && h < g.layout->n; h++) {
		const char *sub = "";
		if (g.dir[h] < 0)
			continue;
		map_foreach (kv, below)
			if (has_controller(g.layout, h, kv[0]))
				sub = kv[1];
		cleanup(free) char *dir = cgroup_full_path(g.layout, h, g.path);
		cleanup(free) char *file = xasprintf("%s/%s/cgroup.procs", dir, sub);
		r = file_put(AT_FDCWD, file, "0");
		if (r < 0)
			r = join_failed(file, r, err);
	}
	return r;
}

int cgroup_fd(const char *path)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int r = cgroup_open(path, &g, NULL);

	for (size_t h = 0; r == 0 && h < g.layout->n; h++)
		if (cgroup_is_v2(g.layout, h) && g.dir[h] >= 0)
			return take_fd(g.dir[h]);
	return r < 0 ? r : -ENOENT;
}

/* A hierarchy made for a running container takes its processes in, also those that they start
 * meanwhile: they all come from processes that are not in yet. */
static int move_all(const struct cgroup_group *g, size_t h, struct err *err)
{
	for (useconds_t pass = 0; pass < MOVE_PASSES; pass++) {
		cleanup(free) pid_t *pids = NULL;
		int n = cgroup_pids(g->path, &pids, err), moved = 0;
		cleanup(buf_free) struct buf inside = { 0 };
		if (n < 0)
			return n;
		file_read(g->dir[h], "cgroup.procs", 1u << 24, &inside);
		for (int i = 0; i < n; i++) {
			char line[16];
			size_t len = (size_t)snprintf(line, sizeof(line), "%d\n", (int)pids[i]);
			const char *at = inside.data ? strstr(inside.data, line) : NULL;
			while (at && at != inside.data && at[-1] != '\n')
				at = strstr(at + len, line);
			if (at)
				continue;
			int r = move_in(g, h, pids[i], err);
			if (r < 0 && r != -ESRCH)
				return r;
			moved++;
		}
		if (!moved)
			return 0;
		/* Those that are ending are still listed for a moment, and cannot be moved any more. */
		usleep(pass * 500);
	}
	return err_set(err, EAGAIN, "cgroup '%s%s': processes start faster than they can be moved",
		g->layout->list[h].mount, g->path);
}

/* Without the processes. *ret_made: where it is new. */
static int make_missing(struct cgroup_group *g, unsigned need, unsigned *ret_made, struct err *err)
{
	for (size_t h = 0; h < g->layout->n; h++) {
		bool fresh = false;
		if (g->dir[h] >= 0 || !(g->layout->controllers[h] & need))
			continue;
		int r = make_in(g, h, need, &fresh);
		if (r < 0)
			return err_code(
				err, r, "make cgroup '%s%s'", g->layout->list[h].mount, g->path);
		*ret_made |= fresh ? 1u << h : 0;
	}
	return 0;
}

static int fill(const struct cgroup_group *g, unsigned made, struct err *err)
{
	int r = 0;

	for (size_t h = 0; r == 0 && h < g->layout->n; h++)
		if (made & 1u << h)
			r = move_all(g, h, err);
	return r;
}

int cgroup_add(struct cgroup_group *g, unsigned need, struct err *err)
{
	cleanup(free) pid_t *pids = NULL;
	unsigned made = 0;
	int r = make_missing(g, need, &made, err);

	/* Ended, and taken down it may be just now: nobody would come for what is new. */
	if (r == 0 && made) {
		r = cgroup_pids(g->path, &pids, err);
		if (r == 0)
			r = err_set(err, ESRCH,
				"the container is not running (cgroup '%s' has no processes)",
				g->path);
	}
	if (r >= 0)
		r = fill(g, made, err);
	if (r < 0)
		unmake(g, made);
	return r;
}

int cgroup_update(const char *path, const struct bundle_resources *resources, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	unsigned made = 0, need = cgroup_limits_need(resources);
	bool exists = false;
	int r = cgroup_open(path, &g, err);

	if (r < 0)
		return r;
	for (size_t h = 0; h < g.layout->n; h++) {
		exists |= g.dir[h] >= 0;
		/* On v2 the group is there; its ancestors may have to hand more controllers down. */
		if (g.dir[h] >= 0 && cgroup_is_v2(g.layout, h) && (need & g.layout->controllers[h]))
			g.dir[h] = fd_close(g.dir[h]);
	}
	if (!exists)
		return err_set(err, ENOENT, "cgroup '%s' does not exist", g.path);
	r = make_missing(&g, need, &made, err);
	if (r == 0)
		r = cgroup_limits_apply(&g, resources, err);
	return r < 0 ? r : fill(&g, made, err);
}
