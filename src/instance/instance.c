/*
 * Finding instances, and setting right what a killed supervisor or command left behind.
 *
 * Invariant: RUN/instances/ID is there exactly while somebody is at work on the instance. Found there
 * with the lock free, the owner is dead, and whoever finds it cleans up under the lock.
 */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "image/image.h"
#include "instance/state.h"
#include "instance/stream.h"
#include "instance/volume.h"
#include "rootless/rootless.h"

int instance_init(struct db *db, struct err *err)
{
	static const char *const steps[] = {
		"CREATE TABLE instance (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" created INTEGER NOT NULL, userns_slot INTEGER UNIQUE) WITHOUT ROWID;"
		"CREATE INDEX instance_by_age ON instance (created)",
		NULL,
	};

	return db_migrate(db, "instance", steps, err);
}

static int find_id(struct db *db, const char *name, char id[ID_LEN + 1], struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT id FROM instance WHERE name = ? OR id = ?");
	cleanup(db_done) struct db_stmt p = { 0 };
	size_t len = strlen(name);
	int r;

	db_text(&q, 1, *name == '/' ? name + 1 : name);
	db_text(&q, 2, name);
	r = db_step(&q, err);
	if (r < 0)
		return r;
	if (r) {
		memcpy(id, db_get_text(&q, 0), ID_LEN + 1);
		return 0;
	}
	if (len && len < ID_LEN && strspn(name, "0123456789abcdef") == len) {
		cleanup(free) char *end = xasprintf("%sg", name);
		p = db_prepare(db, "SELECT id FROM instance WHERE id > ? AND id < ? LIMIT 2");
		db_text(&p, 1, name);
		db_text(&p, 2, end);
		if ((r = db_step(&p, err)) < 0)
			return r;
		if (r) {
			memcpy(id, db_get_text(&p, 0), ID_LEN + 1);
			r = db_step(&p, err);
			if (r > 0)
				return err_set(err, ENOTUNIQ,
					"several containers' ids begin with '%s': give more digits",
					name);
			return r;
		}
	}
	return err_set(err, ENOENT, "no such container: %s ('holm ps -a' lists all)", name);
}

int instance_find(struct db *db, const char *name, struct instance **ret, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	char id[ID_LEN + 1];
	int r = find_id(db, name, id, err);

	if (r < 0)
		return r;
	r = instance_load(id, &i, err);
	if (r == -ENOENT)
		return err_set(err, EUCLEAN,
			"container '%s': its directory is gone: 'holm rm -f %s' removes the rest",
			name, name);
	if (r < 0)
		return r;
	r = instance_reconcile(db, i, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "no such container: %s ('holm ps -a' lists all)", name);
	if (r < 0)
		return r;
	*ret = take(i);
	return 0;
}

static void record_end(struct instance *i)
{
	str_replace(&i->state.status, "exited");
	i->state.exit_code = 137;
	i->state.finished = time_now();
	str_replace(&i->state.error, "its supervisor was killed");
	free(i->state.health);
	i->state.health = NULL;
	record_clear(run_state_fields, &i->state.run);
	while (i->state.endpoints.n)
		record_list_remove(&i->state.endpoints, 0, bundle_endpoint_fields);
	while (i->state.ports.n)
		record_list_remove(&i->state.ports, 0, port_fields);
	i->state.supervisor_pid = 0;
}

/* What create made is found again from the bundle when the owner died before it wrote the state. */
static void guess_run_state(struct instance *i)
{
	cleanup(bundle_free) struct bundle *b = NULL;
	cleanup(free) char *path = xasprintf("%s/bundle.json", i->run_dir);

	if (!i->state.run.run_dir)
		i->state.run.run_dir = xstrdup(i->run_dir);
	if (i->state.run.cgroup || bundle_read(AT_FDCWD, path, &b, NULL) < 0)
		return;
	i->state.run.cgroup = xstrdup_null(b->linux_.cgroups_path);
}

int instance_reconcile_locked(struct db *db, struct instance *i, struct err *err)
{
	const struct engine *engine = engine_find(i->config.isolation);
	bool was_running;
	int r;

	/* Its owner may have finished in order while we waited for the lock. */
	r = instance_reload_state(i, err);
	if (r == 0)
		r = rootless_join_network(0, err);
	if (r < 0)
		return r;
	was_running =
		strcmp(i->state.status, "created") != 0 && strcmp(i->state.status, "exited") != 0;
	guess_run_state(i);
	r = engine ? engine->destroy(&i->state.run, err) : 0;
	if (r == 0)
		r = port_unpublish(i->config.id, err);
	if (r == 0)
		r = network_release(db, i->config.id, NULL, err);
	if (r < 0)
		return r;
	network_sweep(db, NULL);
	/* `run --rm` was killed before it came to start it. */
	if (!was_running && i->config.run && i->config.auto_remove &&
		strcmp(i->state.status, "created") == 0) {
		r = instance_delete(db, i, /* volumes= */ true, err);
		return r < 0 ? r : -ENOENT;
	}
	if (!was_running)
		return 0;
	record_end(i);
	instance_event(i, "die", "exitCode", "137");
	if (i->config.auto_remove) {
		r = instance_delete(db, i, /* volumes= */ true, err);
		return r < 0 ? r : -ENOENT;
	}
	return instance_save_state(i, err);
}

/* Left by an owner that died: a bundle in the run directory, or a state that is not at rest. */
static bool is_dirty(const struct instance *i)
{
	cleanup(free) char *path = xasprintf("%s/bundle.json", i->run_dir);

	return access(path, F_OK) == 0 ||
	       (strcmp(i->state.status, "created") != 0 && strcmp(i->state.status, "exited") != 0);
}

int instance_take_over(struct db *db, struct instance *i, struct err *err)
{
	int r = instance_reload_state(i, err);

	return r == 0 && is_dirty(i) ? instance_reconcile_locked(db, i, err) : r;
}

static int reconcile(struct db *db, struct instance *i, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/lock", i->run_dir);
	int fd, r;

	if (instance_lock_kept(i))
		return 0;
	if (access(path, F_OK) < 0) {
		/* After a reboot: recorded as running, with RUN empty. */
		if (!instance_active(i))
			return 0;
	}
	fd = instance_lock(i, /* wait= */ false, err);
	if (fd == -EWOULDBLOCK)
		return instance_reload_state(i, err);
	if (fd < 0)
		return fd;
	r = instance_reconcile_locked(db, i, err);
	instance_unlock_remove(i, fd);
	return r;
}

int instance_reconcile(struct db *db, struct instance *i, struct err *err)
{
	int r = reconcile(db, i, err);

	return r == -ENOSPC && reserve_spend() ? reconcile(db, i, err) : r;
}

static int drop_rows(struct db *db, const char *id, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(db_done) struct db_stmt q = { 0 };
	int r;

	reserve_spend();
	r = db_begin(db, &txn, err);
	if (r < 0)
		return r;
	q = db_prepare(db, "DELETE FROM instance WHERE id = ?");
	db_text(&q, 1, id);
	r = db_run(&q, err);
	if (r == 0)
		r = image_release(db, id, err);
	if (r == 0)
		r = volume_release(db, id, err);
	if (r == 0)
		r = network_release(db, id, NULL, err);
	return r < 0 ? r : db_commit(&txn, err);
}

/* Somebody may be copying into it just now, and make a file where all were removed. */
static int remove_files(const struct instance *i)
{
	int r = dir_remove(AT_FDCWD, i->dir);

	for (int tries = 0; r == -ENOTEMPTY && tries < 100; tries++) {
		poll(NULL, 0, 5);
		r = dir_remove(AT_FDCWD, i->dir);
	}
	return r;
}

int instance_delete(struct db *db, struct instance *i, bool volumes, struct err *err)
{
	cleanup(fd_close) int config = instance_lock_dir(i, NULL);

	/* Rows first: a directory without a row is swept; a row without a directory would be a
	 * broken instance. */
	int r = drop_rows(db, i->config.id, err);

	if (r < 0)
		return r;
	r = remove_files(i);
	if (r < 0)
		return err_code(err, r, "remove '%s'", i->dir);
	if (volumes)
		strv_foreach (v, i->config.anonymous_volumes)
			volume_remove(db, *v, /* force= */ true, NULL);
	instance_event(i, "destroy", NULL, NULL);
	return 0;
}

/* A stand-in for an instance of which only the id is known. */
static struct instance *nameless(const char *id)
{
	struct instance_config config = { .id = xstrdup(id),
		.isolation = xstrdup("container"),
		.name = xstrdup(""),
		.image = xstrdup("") };

	return instance_new(&config);
}

static int wipe(struct db *db, struct instance *i, struct err *err)
{
	cleanup(fd_close) int config = instance_lock_dir(i, NULL);
	int r;

	guess_run_state(i);
	engine_find("container")->destroy(&i->state.run, NULL);
	port_unpublish(i->config.id, NULL);
	r = drop_rows(db, i->config.id, err);
	if (r == 0)
		r = dir_remove(AT_FDCWD, i->dir);
	network_sweep(db, NULL);
	return r;
}

int instance_purge(struct db *db, const char *name, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	cleanup(json_free) json_t *request = NULL;
	char id[ID_LEN + 1];
	int fd, r = find_id(db, name, id, err);

	if (r < 0)
		return r;
	i = nameless(id);
	/* A supervisor may live on with the state in its memory: it ends with its instance. */
	request = json_pack("{s:s, s:i}", "do", "kill", "signal", SIGKILL);
	if (supervisor_ask(i->run_dir, request, NULL, NULL, NULL) < 0)
		log_debug("instance", "%s: no supervisor to ask", id);
	fd = instance_lock(i, /* wait= */ true, err);
	if (fd < 0)
		return fd;
	r = wipe(db, i, err);
	instance_unlock_remove(i, fd);
	return r;
}

static bool has_row(struct db *db, const char *id)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "SELECT 1 FROM instance WHERE id = ?");

	db_text(&q, 1, id);
	return db_step(&q, NULL) != 0; /* an error is no reason to remove anything */
}

void instance_sweep(struct db *db, const char *id)
{
	cleanup(instance_free) struct instance *i = nameless(id);
	int fd;

	fd = instance_lock(i, /* wait= */ false, NULL);
	if (fd < 0)
		return; /* being created or removed right now */
	if (!has_row(db, id))
		wipe(db, i, NULL);
	instance_unlock_remove(i, fd);
}
