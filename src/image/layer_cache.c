#include "image/layer_cache.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ident.h"
#include "image/store.h"

#define SECOND INT64_C(1000000000)
/* The kernel's clock for files is this coarse: a file changed twice within may look the same. */
#define SETTLED (SECOND / 10)

static const char *const steps[] = {
	"CREATE TABLE layer_cache ("
	"  key TEXT PRIMARY KEY,"
	"  diff_id TEXT NOT NULL," /* '': none */
	"  blob TEXT NOT NULL,"
	"  media_type TEXT NOT NULL,"
	"  blob_size INT NOT NULL,"
	"  size INT NOT NULL,"
	"  created INT NOT NULL,"
	"  same_as TEXT NOT NULL," /* another key, or '' */
	"  used INT NOT NULL"
	") WITHOUT ROWID;"
	"CREATE INDEX layer_cache_diff_id ON layer_cache (diff_id);"
	"CREATE INDEX layer_cache_blob ON layer_cache (blob);"
	"CREATE TABLE file_digest ("
	"  dev INT, ino INT, size INT, mtime INT, ctime INT, digest TEXT NOT NULL, used INT NOT NULL,"
	"  PRIMARY KEY (dev, ino)"
	") WITHOUT ROWID;",
	NULL,
};

int layer_cache_init(struct db *db, struct err *err)
{
	return db_migrate(db, "layer_cache", steps, err);
}

static void get(struct db_stmt *q, int column, char *to, size_t size)
{
	snprintf(to, size, "%s", db_get_text(q, column));
}

/* In use now. Once an hour is exact enough, and needs no write in between. */
static void touch(struct db *db, const char *key, int64_t used)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "UPDATE layer_cache SET used = ? WHERE key = ?");
	int64_t now = time_now();

	if (used > now - 3600 * SECOND)
		return;
	db_int(&q, 1, now);
	db_text(&q, 2, key);
	(void)db_run(&q, NULL); /* it can be found all the same */
}

int layer_cache_find(struct db *db, const char *key, struct layer_cached *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT diff_id, blob, media_type, blob_size, size, created, same_as, used FROM layer_cache WHERE key = ?");
	struct layer_cached c = { 0 };
	int r;

	db_text(&q, 1, key);
	r = db_step(&q, err);
	if (r <= 0)
		return r;
	get(&q, 0, c.layer.diff_id, sizeof(c.layer.diff_id));
	get(&q, 1, c.layer.blob, sizeof(c.layer.blob));
	get(&q, 2, c.layer.media_type, sizeof(c.layer.media_type));
	c.layer.blob_size = db_get_int(&q, 3);
	c.layer.size = db_get_int(&q, 4);
	c.created = db_get_int(&q, 5);
	get(&q, 6, c.same_as, sizeof(c.same_as));
	if (c.layer.diff_id[0] &&
		(!digest_valid(c.layer.diff_id) || !digest_valid(c.layer.blob) ||
			!store_has_layer(c.layer.diff_id) || !store_has_blob(c.layer.blob)))
		return 0;
	touch(db, key, db_get_int(&q, 7));
	*ret = c;
	return 1;
}

int layer_cache_add(
	struct db *db, const char *key, const struct layer_cached *what, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT OR REPLACE INTO layer_cache"
		" (key, diff_id, blob, media_type, blob_size, size, created, used, same_as)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_text(&q, 1, key);
	db_text(&q, 2, what->layer.diff_id);
	db_text(&q, 3, what->layer.blob);
	db_text(&q, 4, what->layer.media_type);
	db_int(&q, 5, what->layer.blob_size);
	db_int(&q, 6, what->layer.size);
	db_int(&q, 7, what->created);
	db_int(&q, 8, time_now());
	db_text(&q, 9, what->same_as);
	return db_run(&q, err);
}

int layer_cache_forget(struct db *db, int64_t before, uint64_t *ret_entries, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "DELETE FROM layer_cache WHERE used <= ?");
	cleanup(db_done) struct db_stmt files =
		db_prepare(db, "DELETE FROM file_digest WHERE used <= ?");
	int entries = 0, r = db_begin(db, &txn, err);

	db_int(&q, 1, before);
	db_int(&files, 1, before);
	if (r == 0)
		r = db_run(&q, err);
	if (r == 0) {
		entries = db_changes(db);
		r = db_run(&files, err);
	}
	if (r == 0)
		r = db_commit(&txn, err);
	if (r == 0 && ret_entries)
		*ret_entries = (uint64_t)entries;
	return r;
}

int layer_cache_usage(struct db *db, struct layer_cache_usage *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT (SELECT count(*) FROM layer_cache),"
		" coalesce(sum(size), 0),"
		" coalesce(sum(CASE WHEN diff_id IN (SELECT diff_id FROM image_layer) THEN 0 ELSE size END), 0)"
		" FROM (SELECT diff_id, max(size) AS size FROM layer_cache WHERE diff_id != '' GROUP BY diff_id)");
	int r = db_step(&q, err);

	if (r < 0)
		return r;
	*ret = (struct layer_cache_usage){
		.entries = (uint64_t)db_get_int(&q, 0),
		.bytes = (uint64_t)db_get_int(&q, 1),
		.reclaimable = (uint64_t)db_get_int(&q, 2),
	};
	return 0;
}

static int64_t ns(const struct timespec *t)
{
	return t->tv_sec * SECOND + t->tv_nsec;
}

int file_digest_find(
	struct db *db, const struct stat *st, char digest[DIGEST_LEN + 1], struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT digest FROM file_digest WHERE dev = ? AND ino = ? AND size = ? AND mtime = ? AND ctime = ?");
	int r;

	db_int(&q, 1, (int64_t)st->st_dev);
	db_int(&q, 2, (int64_t)st->st_ino);
	db_int(&q, 3, st->st_size);
	db_int(&q, 4, ns(&st->st_mtim));
	db_int(&q, 5, ns(&st->st_ctim));
	r = db_step(&q, err);
	if (r > 0)
		get(&q, 0, digest, DIGEST_LEN + 1);
	return r;
}

int file_digest_add(struct db *db, const struct stat *st, const char *digest, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT OR REPLACE INTO file_digest (dev, ino, size, mtime, ctime, digest, used)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)");
	int64_t now = time_now();

	if (ns(&st->st_ctim) > now - SETTLED || ns(&st->st_mtim) > now - SETTLED)
		return 0;
	db_int(&q, 1, (int64_t)st->st_dev);
	db_int(&q, 2, (int64_t)st->st_ino);
	db_int(&q, 3, st->st_size);
	db_int(&q, 4, ns(&st->st_mtim));
	db_int(&q, 5, ns(&st->st_ctim));
	db_text(&q, 6, digest);
	db_int(&q, 7, now);
	return db_run(&q, err);
}
