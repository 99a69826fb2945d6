/*
 * Stopping groups: freezing, killing, removing.
 *
 * A group can be removed once no process is in it and it has no subgroups; the kernel lets go of the
 * last process a moment after its parent has seen the exit, hence short waits that grow.
 */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ident.h"

#define FREEZE_TIMEOUT (5 * INT64_C(1000000000))
#define KILL_TIMEOUT (1 * INT64_C(1000000000))
#define REMOVE_TIMEOUT (3 * INT64_C(1000000000))
#define FIRST_PAUSE 100 /* us */
#define MAX_DEPTH 64

static bool is_frozen(const struct cgroup_group *g, int h, bool freeze)
{
	char text[256];
	uint64_t v = 0;

	if (cgroup_is_v2(g->layout, (size_t)h))
		return cgroup_get(g, h, "cgroup.events", text, sizeof(text)) >= 0 &&
		       cgroup_stat_value(text, "frozen", &v) && v == freeze;
	return cgroup_get(g, h, "freezer.state", text, sizeof(text)) >= 0 &&
	       strcmp(text, freeze ? "FROZEN\n" : "THAWED\n") == 0;
}

static int set_frozen(const struct cgroup_group *g, int h, bool freeze)
{
	if (cgroup_is_v2(g->layout, (size_t)h))
		return cgroup_put(g, h, "cgroup.freeze", freeze ? "1" : "0");
	return cgroup_put(g, h, "freezer.state", freeze ? "FROZEN" : "THAWED");
}

static int freeze_group(const struct cgroup_group *g, bool freeze, int64_t timeout)
{
	int h = cgroup_find(g->layout, CG_FREEZER), r;
	int64_t end = time_monotonic() + timeout;
	unsigned us = FIRST_PAUSE;

	if (h < 0)
		return -ENOTSUP;
	if (g->dir[h] < 0 && !freeze)
		return 0; /* it never was */
	/* v1 must be told again: a process that forks while FREEZING can stay ahead of it. */
	while ((r = set_frozen(g, h, freeze)) == 0 && !is_frozen(g, h, freeze)) {
		if (time_monotonic() > end) {
			if (freeze)
				set_frozen(g, h, false);
			return -EBUSY;
		}
		cgroup_pause(&us);
	}
	return r;
}

int cgroup_freeze(const char *path, bool freeze, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int r = cgroup_open(path, &g, err);

	if (r < 0)
		return r;
	r = freeze ? cgroup_add(&g, CG_BIT(CG_FREEZER), err) : 0;
	if (r < 0)
		return r;
	r = freeze_group(&g, freeze, FREEZE_TIMEOUT);
	if (r == -ENOTSUP)
		return err_set(err, ENOTSUP, "freezer: no cgroup controller on this host");
	return r < 0 ? err_code(err, r, "%s cgroup '%s'", freeze ? "freeze" : "thaw", g.path) : 0;
}

bool cgroup_is_frozen(const char *path)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int h = cgroup_find(cgroup_layout(), CG_FREEZER);

	return h >= 0 && cgroup_open(path, &g, NULL) == 0 && is_frozen(&g, h, true);
}

/* Signals all that is there now; the count, or -errno. */
static int signal_all(const char *path, int signo, struct err *err)
{
	cleanup(free) pid_t *pids = NULL;
	int n = cgroup_pids(path, &pids, err);

	for (int i = 0; i < n; i++)
		if (kill(pids[i], signo) < 0 && errno != ESRCH)
			return err_errno(err, "signal %d to process %d", signo, (int)pids[i]);
	return n;
}

/* Without cgroup.kill. What forks faster than we list is frozen first; a v1 process that is frozen
 * takes the signal when it thaws. */
static int kill_all(struct cgroup_group *g, struct err *err)
{
	int64_t end = time_monotonic() + KILL_TIMEOUT;
	unsigned us = FIRST_PAUSE;
	int n = signal_all(g->path, SIGKILL, err);

	for (int pass = 0; n > 0; pass++) {
		bool frozen = pass > 2 && cgroup_add(g, CG_BIT(CG_FREEZER), NULL) == 0 &&
			      freeze_group(g, true, KILL_TIMEOUT / 10) == 0;
		if (frozen)
			n = signal_all(g->path, SIGKILL, err);
		freeze_group(g, false, KILL_TIMEOUT / 10);
		if (n < 0 || time_monotonic() > end)
			break;
		cgroup_pause(&us);
		n = signal_all(g->path, SIGKILL, err);
	}
	return n < 0 ? n : 0;
}

int cgroup_kill(const char *path, int signo, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	int r = cgroup_open(path, &g, err);

	if (r < 0)
		return r;
	if (signo != SIGKILL) {
		r = signal_all(g.path, signo, err);
		return r < 0 ? r : 0;
	}
	for (size_t h = 0; h < g.layout->n; h++)
		if (cgroup_is_v2(g.layout, h) && g.layout->mode == CGROUP_V2 &&
			cgroup_put(&g, (int)h, "cgroup.kill", "1") == 0)
			return 0;
	return kill_all(&g, err);
}

struct removal {
	unsigned depth;
	int first_error;
	bool absent; /* the topmost, from the start */
};

static int remove_tree(void *data, int parent, const char *name)
{
	struct removal *r = data;
	cleanup(fd_close) int dir = -1;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOENT) {
		r->absent = r->depth == 0;
		return 0;
	}
	if (errno != EBUSY && errno != ENOTEMPTY) {
		r->first_error = r->first_error ? r->first_error : -errno;
		return 0;
	}
	dir = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0 && r->depth < MAX_DEPTH) {
		r->depth++;
		cgroup_subgroups(dir, remove_tree, r);
		r->depth--;
	}
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT && !r->first_error)
		r->first_error = -errno;
	return 0;
}

/* One attempt in all hierarchies; the first error. */
static int remove_once(const struct cgroup_layout *l, const char *path)
{
	int first = 0;

	for (size_t h = 0; h < l->n; h++) {
		cleanup(free) char *name = cgroup_full_path(l, h, path);
		struct removal r = { 0 };
		remove_tree(&r, AT_FDCWD, name);
		if (r.absent)
			continue;
		if (r.first_error == 0)
			cgroup_remove_parent(l, h, path);
		else if (!first)
			first = r.first_error;
	}
	return first;
}

static int still_there(const char *path, int r, struct err *err)
{
	cleanup(free) pid_t *pids = NULL;
	int n = cgroup_pids(path, &pids, NULL);

	if (n > 0)
		return err_set(err, EBUSY, "remove cgroup '%s': %d processes do not end, first %d",
			path, n, (int)pids[0]);
	return err_code(err, r, "remove cgroup '%s'", path);
}

int cgroup_remove(const char *path, struct err *err)
{
	const struct cgroup_layout *l = cgroup_layout();
	int64_t end = time_monotonic() + REMOVE_TIMEOUT;
	cleanup(free) char *absolute = NULL;
	unsigned us = FIRST_PAUSE;
	int r = cgroup_path(path, &absolute, err);

	if (r < 0)
		return r;
	for (int tries = 0; (r = remove_once(l, absolute)) < 0; tries++) {
		if (r != -EBUSY || time_monotonic() > end)
			return still_there(absolute, r, err);
		/* Most often its last process is just going: then there is nothing to signal. */
		if (tries > 0)
			cgroup_kill(absolute, SIGKILL, NULL);
		cgroup_pause(&us);
	}
	return 0;
}
