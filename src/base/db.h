#pragma once
/*
 * SQLite with cleanup: one database file for the store (WAL, synchronous=NORMAL, busy timeout), in
 * which each module keeps tables of its own. One connection belongs to one thread.
 *
 *	cleanup(db_done) struct db_stmt q = db_prepare(db, "SELECT id FROM tag WHERE name = ?");
 *	db_text(&q, 1, name);
 *	while ((r = db_step(&q, err)) > 0)
 *		use(db_get_text(&q, 0));
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct db;
struct sqlite3_stmt;

struct db_stmt {
	struct db *db;
	struct sqlite3_stmt *stmt; /* NULL when the SQL did not compile: then db_step() fails */
};

/* A damaged file gives -EUCLEAN and says what to do. The directory must exist. */
int db_open(const char *path, struct db **ret, struct err *err);
/*
 * Writes a log that has grown a little back, with the syncs that this takes, by who has time for it: whoever
 * opens the store while nobody else has it open reads the whole log first, 2 ms for 1000 pages.
 */
void db_settle(struct db *db);
void db_close(struct db *db);
DEFINE_CLEANUP(db_close, struct db *);

/*
 * Brings a module's tables up to date: steps[n] is the SQL that leads from version n to n + 1,
 * NULL-terminated. A database of a newer holm is refused.
 */
int db_migrate(struct db *db, const char *module, const char *const *steps, struct err *err);

struct db_stmt db_prepare(struct db *db, const char *sql);
void db_text(struct db_stmt *s, int column, const char *text); /* from 1; NULL binds null */
void db_int(struct db_stmt *s, int column, int64_t value);
/* 1 when there is a row, 0 at the end, -errno (-EEXIST for a broken UNIQUE rule). */
int db_step(struct db_stmt *s, struct err *err);
/* For statements without rows: step once. */
int db_run(struct db_stmt *s, struct err *err);
const char *db_get_text(
	struct db_stmt *s, int column); /* from 0; good until the next step; never NULL */
int64_t db_get_int(struct db_stmt *s, int column);
bool db_is_null(struct db_stmt *s, int column);
void db_done(struct db_stmt *s);
DEFINE_CLEANUP_OBJECT(db_done, struct db_stmt);

/* Several statements without parameters or rows. */
int db_exec(struct db *db, const char *sql, struct err *err);
/* Rows changed by the last statement. */
int db_changes(struct db *db);

/*
 * A write transaction (BEGIN IMMEDIATE). Nested calls join the outer one.
 *	cleanup(db_rollback) struct db_txn txn = { 0 };
 *	r = db_begin(db, &txn, err); ... return db_commit(&txn, err);
 */
struct db_txn {
	struct db *db; /* NULL when not open, or when it is an inner one */
};
int db_begin(struct db *db, struct db_txn *txn, struct err *err);
int db_commit(struct db_txn *txn, struct err *err);
void db_rollback(struct db_txn *txn);
DEFINE_CLEANUP_OBJECT(db_rollback, struct db_txn);
