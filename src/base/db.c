#include "base/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BUSY_MS 60000
#define LOG_MOST 1000  /* pages of the log before any writer writes it back */
#define LOG_LITTLE 100 /* and before one does who has time */

struct db {
	sqlite3 *handle;
	char *path;
	int log_pages; /* in the log after our last commit */
};

static int fail(struct db *db, int rc, const char *doing, struct err *err)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, EUCLEAN,
			"the store's database '%s' is damaged (%s): restore it from a copy, or move it away to start empty",
			db->path, sqlite3_errmsg(db->handle));
	case SQLITE_FULL:
		return err_set(err, ENOSPC, "%s: no space left for '%s'", doing, db->path);
	case SQLITE_CONSTRAINT:
		return err_set(err, EEXIST, "%s: %s", doing, sqlite3_errmsg(db->handle));
	case SQLITE_BUSY:
		return err_set(
			err, EBUSY, "%s: the store's database is locked by another holm", doing);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return err_set(err, EACCES, "%s: no permission to use '%s'", doing, db->path);
	default:
		return err_set(
			err, EIO, "%s: '%s': %s", doing, db->path, sqlite3_errmsg(db->handle));
	}
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc, "write the store", err);
}

/* In the place of SQLite's own, which does the same at 1000 pages. */
static int on_commit(void *data, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = data;

	(void)name;
	db->log_pages = pages;
	if (pages >= LOG_MOST)
		sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

void db_settle(struct db *db)
{
	if (db->log_pages < LOG_LITTLE)
		return;
	/* The first does the work, in nobody's way. The second, with nothing left to do, shortens the log; that
	 * all of it is written back is else forgotten with the last one out. It waits for nobody. */
	sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	sqlite3_busy_timeout(db->handle, 0);
	sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	db->log_pages = 0;
}

int db_open(const char *path, struct db **ret, struct err *err)
{
	cleanup(db_close) struct db *db = xnew(struct db);
	int rc, r;

	db->path = xstrdup(path);
	rc = sqlite3_open_v2(path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
		NULL);
	if (rc != SQLITE_OK)
		return fail(db, rc, "open the store", err);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	/* The last one out would else write the log back and sync, which takes longer than a short
	 * container's life; it is written back when it has grown, see db_settle(). */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	r = db_exec(db,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
		"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON",
		err);
	if (r < 0)
		return r;
	sqlite3_wal_hook(db->handle, on_commit, db);
	*ret = take(db);
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

static int module_version(struct db *db, const char *module, int64_t *version, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT version FROM module_version WHERE module = ?");
	int r;

	db_text(&q, 1, module);
	r = db_step(&q, err);
	if (r < 0)
		return r;
	*version = r ? db_get_int(&q, 0) : 0;
	return 0;
}

static int set_module_version(struct db *db, const char *module, int64_t version, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "INSERT OR REPLACE INTO module_version VALUES (?, ?)");

	db_text(&q, 1, module);
	db_int(&q, 2, version);
	return db_run(&q, err);
}

int db_migrate(struct db *db, const char *module, const char *const *steps, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int64_t have = 0, want = 0;
	int r;

	while (steps[want])
		want++;
	/* The common case first, without a write lock; fails when the table is not there yet. */
	if (module_version(db, module, &have, NULL) == 0 && have == want)
		return 0;
	r = db_begin(db, &txn, err);
	if (r == 0)
		r = db_exec(db,
			"CREATE TABLE IF NOT EXISTS module_version (module TEXT PRIMARY KEY, version INT)",
			err);
	if (r == 0)
		r = module_version(db, module, &have, err);
	if (r < 0)
		return r;
	if (have > want)
		return err_set(err, ENOTSUP,
			"the store '%s' was written by a newer holm: use that one", db->path);
	for (; have < want; have++) {
		r = db_exec(db, steps[have], err);
		if (r < 0)
			return r;
	}
	r = set_module_version(db, module, want, err);
	return r < 0 ? r : db_commit(&txn, err);
}

struct db_stmt db_prepare(struct db *db, const char *sql)
{
	struct db_stmt s = { .db = db };

	if (sqlite3_prepare_v2(db->handle, sql, -1, &s.stmt, NULL) != SQLITE_OK)
		s.stmt = NULL;
	return s;
}

void db_text(struct db_stmt *s, int column, const char *text)
{
	if (s->stmt)
		sqlite3_bind_text(s->stmt, column, text, -1, SQLITE_TRANSIENT);
}

void db_int(struct db_stmt *s, int column, int64_t value)
{
	if (s->stmt)
		sqlite3_bind_int64(s->stmt, column, value);
}

int db_step(struct db_stmt *s, struct err *err)
{
	int rc;

	if (!s->stmt)
		return fail(s->db, sqlite3_errcode(s->db->handle), "query the store", err);
	rc = sqlite3_step(s->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : fail(s->db, rc, "use the store", err);
}

int db_run(struct db_stmt *s, struct err *err)
{
	int r = db_step(s, err);

	return r < 0 ? r : 0;
}

const char *db_get_text(struct db_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s->stmt, column);

	return text ? text : "";
}

int64_t db_get_int(struct db_stmt *s, int column)
{
	return sqlite3_column_int64(s->stmt, column);
}

bool db_is_null(struct db_stmt *s, int column)
{
	return sqlite3_column_type(s->stmt, column) == SQLITE_NULL;
}

void db_done(struct db_stmt *s)
{
	sqlite3_finalize(s->stmt);
	s->stmt = NULL;
}

int db_changes(struct db *db)
{
	return sqlite3_changes(db->handle);
}

int db_begin(struct db *db, struct db_txn *txn, struct err *err)
{
	int r;

	if (!sqlite3_get_autocommit(db->handle))
		return 0;
	r = db_exec(db, "BEGIN IMMEDIATE", err);
	if (r == 0)
		txn->db = db;
	return r;
}

int db_commit(struct db_txn *txn, struct err *err)
{
	int r = 0;

	if (txn->db)
		r = db_exec(txn->db, "COMMIT", err);
	if (r == 0)
		txn->db = NULL;
	return r;
}

void db_rollback(struct db_txn *txn)
{
	if (txn->db)
		db_exec(txn->db, "ROLLBACK", NULL);
	txn->db = NULL;
}
