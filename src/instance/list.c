/*
 * All instances at once, and directories that no row knows.
 *
 * What there is comes from three lists: of RUN, of ROOT and of rows, in this order. So a directory whose row is not
 * in the last of them is looked at again under its lock, and one that came into being meanwhile is no orphan. Where
 * an owner holds the lock there is nothing to set right; most instances need no more than their two files read,
 * which several threads do, since a disk that has to fetch them is asked for many at a time.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "instance/state.h"

#define PER_THREAD 64 /* instances; fewer are read faster than a thread starts */

struct ids {
	char (*items)[ID_LEN + 1];
	size_t n, room;
};

static void ids_free(struct ids *ids)
{
	free(ids->items);
}
DEFINE_CLEANUP_OBJECT(ids_free, struct ids);

static void ids_add(struct ids *ids, const char *id)
{
	if (ids->n == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->items = xrealloc_array(ids->items, ids->room, sizeof(*ids->items));
	}
	snprintf(ids->items[ids->n++], sizeof(*ids->items), "%s", id);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, ID_LEN);
}

static void ids_sort(struct ids *ids)
{
	if (ids->n)
		qsort(ids->items, ids->n, sizeof(*ids->items), compare);
}

static bool ids_have(const struct ids *sorted, const char *id)
{
	return sorted->n && bsearch(id, sorted->items, sorted->n, sizeof(*sorted->items), compare);
}

static void read_dir(const char *parent, struct ids *ret)
{
	cleanup(free) char *path = xasprintf("%s/instances", parent);
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strlen(e->d_name) == ID_LEN)
			ids_add(ret, e->d_name);
	if (d)
		closedir(d);
	ids_sort(ret);
}

static int read_rows(struct db *db, struct ids *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT id FROM instance ORDER BY created DESC");
	int r;

	while ((r = db_step(&q, err)) > 0)
		ids_add(ret, db_get_text(&q, 0));
	return r;
}

static void sweep(struct db *db, const struct ids *found, const struct ids *rows)
{
	for (size_t n = 0; n < found->n; n++)
		if (!ids_have(rows, found->items[n]))
			instance_sweep(db, found->items[n]);
}

/* Somebody is at work on it, who leaves it in order. */
static bool is_held(const char *id)
{
	cleanup(free) char *path = xasprintf("%s/instances/%s/lock", paths_run(), id);
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

struct loader {
	const struct ids *rows, *busy; /* busy: that have a directory in RUN */
	struct instance **items; /* by the row's number; NULL: not read, or to be reconciled */
};

static int load_one(void *data, size_t n, void **own, struct err *err)
{
	const struct loader *l = data;
	const char *id = l->rows->items[n];
	bool busy = ids_have(l->busy, id), held = busy && is_held(id);
	cleanup(instance_free) struct instance *i = NULL;

	(void)own;
	(void)err;
	if (busy && !held)
		return 0;
	/* One that runs and was not busy came up meanwhile, or did not survive the host. */
	if (instance_load(id, &i, NULL) == 0 && (held || !instance_active(i)))
		l->items[n] = take(i);
	return 0;
}

/* NULL when there is none any more, or when it is too damaged to be shown. */
static struct instance *load_reconciled(struct db *db, const char *id)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	int r = instance_load(id, &i, &err);

	if (r == 0)
		r = instance_reconcile(db, i, &err);
	if (r == -ENOSPC && i) /* it is as it was recorded, until there is room for more */
		r = 0;
	if (r < 0 && r != -ENOENT) /* one damaged file must not hide the rest */
		log_warn("container %.12s: %s", id, err.text);
	return r < 0 ? NULL : take(i);
}

int instance_list(struct db *db, struct instance_list *ret, struct err *err)
{
	cleanup(ids_free) struct ids busy = { 0 }, stored = { 0 }, rows = { 0 }, sorted = { 0 };
	struct loader loader = { .rows = &rows, .busy = &busy };
	struct parallel p = { .threads = 1, .work = load_one, .data = &loader };
	struct instance_list list = { 0 };
	int r;

	read_dir(paths_run(), &busy);
	read_dir(paths_root(), &stored);
	r = read_rows(db, &rows, err);
	if (r < 0)
		return r;
	for (size_t n = 0; n < rows.n; n++)
		ids_add(&sorted, rows.items[n]);
	ids_sort(&sorted);
	sweep(db, &busy, &sorted);
	sweep(db, &stored, &sorted);

	loader.items = list.items = xcalloc(rows.n + 1, sizeof(*list.items));
	p.n = rows.n;
	p.threads += rows.n / PER_THREAD;
	parallel_run(&p, NULL);
	for (size_t n = 0; n < rows.n; n++) {
		struct instance *i = list.items[n];
		if (i || (i = load_reconciled(db, rows.items[n])))
			list.items[list.n++] = i;
	}
	*ret = list;
	return 0;
}

void instance_list_free(struct instance_list *list)
{
	for (size_t n = 0; n < list->n; n++)
		instance_free(list->items[n]);
	free(list->items);
	*list = (struct instance_list){ 0 };
}
