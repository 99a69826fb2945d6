#include "build/build.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"
#include "build/internal.h"
#include "engine/engine.h"
#include "net/net.h"

#define MAX_THREADS 16

int build_check(struct build *b, struct err *err)
{
	bool failed;

	if (b->stop && *b->stop)
		return err_set(err, EINTR, "interrupted");
	pthread_mutex_lock(&b->mutex);
	failed = b->failed;
	pthread_mutex_unlock(&b->mutex);
	return failed ? err_set(err, EINTR, "another stage has failed") : 0;
}

void build_tell(struct build *b, const struct build_event *event)
{
	if (!b->watch)
		return;
	pthread_mutex_lock(&b->mutex);
	b->watch(b->watch_data, event);
	pthread_mutex_unlock(&b->mutex);
}

char *build_name(struct build *b, const char *what)
{
	return xasprintf("%s%u", what, atomic_fetch_add(&b->counter, 1));
}

/* Containers and places on networks of builds that were killed: whose lock is free. */
static void sweep_one(struct db *db, const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup(free) char *file = xasprintf("%s/%s/state.json", path, e->d_name);
		cleanup(json_free) json_t *j = NULL;
		struct run_state state = { 0 };
		if (e->d_name[0] == '.' || strcmp(e->d_name, "lock") == 0)
			continue;
		j = access(file, F_OK) == 0 ? json_read(AT_FDCWD, file, NULL) : NULL;
		if (j && record_parse(run_state_fields, j, &state, NULL) == 0) {
			engine_find("container")->destroy(&state, NULL);
			record_clear(run_state_fields, &state);
		}
		network_release(db, e->d_name, NULL, NULL);
	}
	if (d)
		closedir(d);
	dir_remove(AT_FDCWD, path);
}

static void sweep(struct db *db)
{
	cleanup(free) char *dir = xasprintf("%s/builds", paths_run());
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup(free) char *path = xasprintf("%s/%s", dir, e->d_name);
		cleanup(free) char *lock = xasprintf("%s/lock", path);
		cleanup(fd_close) int fd = -1;
		if (e->d_name[0] == '.')
			continue;
		fd = lock_file(AT_FDCWD, lock, /* wait= */ false);
		if (fd >= 0)
			sweep_one(db, path);
	}
	if (d)
		closedir(d);
}

static int open_run_dir(struct build *b, struct err *err)
{
	char id[ID_LEN + 1];
	cleanup(free) char *lock = NULL;
	int r;

	sweep(b->db);
	id_random(id);
	b->run_dir = xasprintf("%s/builds/%.16s", paths_run(), id);
	lock = xasprintf("%s/lock", b->run_dir);
	r = dir_make(b->run_dir, 0711);
	if (r == 0)
		b->run_lock = r = lock_file(AT_FDCWD, lock, /* wait= */ true);
	return r < 0 ? err_code(err, r, "make '%s'", b->run_dir) : 0;
}

static void build_clear(struct build *b)
{
	stages_clear(b);
	contexts_clear(b);
	dockerfile_clear(&b->file);
	image_maker_close(b->maker);
	if (b->run_dir)
		dir_remove(AT_FDCWD, b->run_dir);
	fd_close(b->run_lock);
	free(b->run_dir);
	pthread_mutex_destroy(&b->mutex);
	pthread_cond_destroy(&b->changed);
}
DEFINE_CLEANUP_OBJECT(build_clear, struct build);

/* Content is kept: now the cache may know of it. With the mutex. */
static int remember(struct stage *stage, struct err *err)
{
	struct build *b = stage->build;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = db_begin(b->db, &txn, err);

	for (size_t i = 0; r == 0 && i < stage->n_made; i++)
		r = layer_cache_add(b->db, stage->made[i].key, &stage->made[i].what, err);
	if (r == 0)
		r = layer_cache_forget(b->db, time_now() - LAYER_CACHE_KEEP, NULL, err);
	return r < 0 ? r : db_commit(&txn, err);
}

int build_keep(struct stage *stage, struct err *err)
{
	struct build *b = stage->build;
	int r = 0;

	if (stage->n_made)
		r = image_maker_keep(b->maker, stage->layers, stage->n_layers, err);
	if (r == 0 && stage->n_made) {
		pthread_mutex_lock(&b->mutex);
		r = remember(stage, err);
		pthread_mutex_unlock(&b->mutex);
	}
	if (r == 0)
		stage->n_made = 0;
	stage->kept = time_monotonic();
	return r;
}

/* A stage that can begin, under the mutex; NULL when there is none now. *ret_more: there may be later. */
static struct stage *next_stage(struct build *b, bool *ret_more)
{
	*ret_more = false;
	for (size_t i = 0; i < b->n_stages && !b->failed; i++) {
		struct stage *stage = &b->stages[i];
		bool ready = true;
		if (!stage->needed || stage->started)
			continue;
		for (size_t k = 0; k < i; k++)
			ready &= !stage->needs[k] || b->stages[k].done;
		if (ready)
			return stage;
		*ret_more = true;
	}
	return NULL;
}

/* What was made is kept also when the stage has failed: the next build begins there. */
static int run_and_keep(struct stage *stage, struct err *err)
{
	struct err own = { 0 };
	int r = stage_run(stage, err), kept = build_keep(stage, &own);

	if (r == 0 && kept < 0) {
		*err = own;
		return kept;
	}
	return r;
}

static void *work(void *data)
{
	struct build *b = data;
	bool more = true;

	pthread_mutex_lock(&b->mutex);
	while (more) {
		struct stage *stage = next_stage(b, &more);
		struct err err = { 0 };
		int r;
		if (!stage && more) {
			pthread_cond_wait(&b->changed, &b->mutex);
			continue;
		}
		if (!stage)
			break;
		stage->started = true;
		more = true;
		pthread_mutex_unlock(&b->mutex);
		r = run_and_keep(stage, &err);
		pthread_mutex_lock(&b->mutex);
		stage->done = r == 0;
		if (r < 0 && !b->failed) {
			b->failed = true;
			b->r = r;
			b->err = err;
		}
		pthread_cond_broadcast(&b->changed);
	}
	pthread_mutex_unlock(&b->mutex);
	return NULL;
}

static int run_stages(struct build *b, struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[MAX_THREADS];
	size_t wanted = 0, n = 0;

	for (size_t i = 0; i < b->n_stages; i++)
		wanted += b->stages[i].needed;
	if (wanted > (size_t)(cpus < 1 ? 1 : cpus))
		wanted = (size_t)cpus;
	if (wanted > MAX_THREADS)
		wanted = MAX_THREADS;
	/* This thread works, too. */
	while (n + 1 < wanted && pthread_create(&threads[n], NULL, work, b) == 0)
		n++;
	work(b);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (b->failed && err)
		*err = b->err;
	return b->failed ? b->r : 0;
}

/* When this configuration was first made: a build that changes nothing gives the same image. */
static int set_created(struct build *b, struct image_config *c, struct err *err)
{
	cleanup(free) char *text = NULL;
	struct layer_cached cached = { 0 };
	char key[DIGEST_LEN + 1];
	int r;

	c->created = 0;
	text = image_config_text(c);
	hash_of(text, strlen(text), key);
	cached.created = b->has_epoch ? b->epoch : time_now();
	if (!b->has_epoch) {
		r = b->config->no_cache ? 0 : layer_cache_find(b->db, key, &cached, err);
		if (r == 0) {
			cached = (struct layer_cached){ .created = time_now() };
			r = layer_cache_add(b->db, key, &cached, err);
		}
		if (r < 0)
			return r;
	}
	c->created = cached.created;
	for (size_t i = 0; i < c->history.n; i++) {
		struct image_history *h = c->history.items[i];
		if (!h->created)
			h->created = cached.created;
	}
	return 0;
}

static int make_image(
	struct build *b, struct stage *stage, char id[DIGEST_LEN + 1], struct err *err)
{
	struct image_config *c = &stage->config;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = db_begin(b->db, &txn, err);

	map_foreach (kv, b->config->labels)
		map_set(&c->config.labels, kv[0], kv[1]);
	strv_free(c->diff_ids);
	c->diff_ids = NULL;
	for (size_t i = 0; i < stage->n_layers; i++)
		strv_add(&c->diff_ids, stage->layers[i].diff_id);
	if (r == 0)
		r = set_created(b, c, err);
	if (r == 0)
		r = image_maker_image(b->db, c, stage->layers, stage->n_layers, b->config->tags,
			"built", id, err);
	return r < 0 ? r : db_commit(&txn, err);
}

static int finish(struct build *b, char id[DIGEST_LEN + 1], struct err *err)
{
	int r = 0;

	if (export_wants_image(b))
		r = make_image(b, &b->stages[b->target], id, err);
	return r < 0 ? r : export_all(b, &b->stages[b->target], id, err);
}

static int read_epoch(struct build *b, struct err *err)
{
	int r = image_epoch(build_arg(b, "SOURCE_DATE_EPOCH"), &b->epoch, err);

	b->has_epoch = r > 0;
	return r < 0 ? r : 0;
}

/* All that can be wrong is found before anything runs. */
static int prepare(struct build *b, struct err *err)
{
	cleanup(free) char *empty = NULL, *name = NULL;
	cleanup(buf_free) struct buf text = { 0 };
	int r = read_epoch(b, err);

	platform_host(&b->platform);
	if (r == 0 && b->config->platform)
		r = platform_parse(b->config->platform, &b->platform, err);
	if (r == 0)
		r = export_check(b, err);
	if (r == 0)
		r = image_maker_open(&b->maker, err);
	if (r < 0)
		return r;
	empty = xasprintf("%s/empty", image_maker_path(b->maker));
	if (mkdir(empty, 0755) < 0)
		return err_errno(err, "make '%s'", empty);
	r = context_dockerfile(b, &text, &name, err);
	if (r == 0)
		r = dockerfile_parse(name, text.data, text.len, &b->file, err);
	if (r == 0)
		r = stages_make(b, err);
	return r < 0 ? r : open_run_dir(b, err);
}

int build_run(struct db *db, const struct build_config *config, const volatile bool *stop,
	build_watch_fn *watch, void *data, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(build_clear) struct build b = { .config = config,
		.db = db,
		.stop = stop,
		.watch = watch,
		.watch_data = data,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.run_lock = -1 };
	struct build_event plan = { .kind = BUILD_PLAN };
	char made[DIGEST_LEN + 1] = "";
	int r = prepare(&b, err);

	if (r < 0)
		return r;
	plan.count = b.n_steps;
	build_tell(&b, &plan);
	r = run_stages(&b, err);
	if (r == 0)
		r = finish(&b, made, err);
	network_sweep(db, NULL);
	if (r == 0)
		memcpy(id, made, sizeof(made));
	return r;
}
