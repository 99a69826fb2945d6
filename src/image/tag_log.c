/* The logs of tags as rows. One of a tag's rows has no end: that is where it points now. */
#include "image/tag_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "image/rows.h"

#define STATE_DIGITS 4 /* a number that is longer is an id */

static const char *const steps[] = {
	"CREATE TABLE tag_log ("
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT NOT NULL,"
	"  image TEXT NOT NULL REFERENCES image ON DELETE CASCADE,"
	"  since INT NOT NULL,"
	"  until INT," /* null: now */
	"  why TEXT NOT NULL"
	");"
	"CREATE INDEX tag_log_name ON tag_log (name, seq);"
	"CREATE INDEX tag_log_image ON tag_log (image);"
	"INSERT INTO tag_log (name, image, since, why)"
	" SELECT n.name, n.image, i.created, 'before there were logs'"
	" FROM image_name n JOIN image i ON i.id = n.image;",
	NULL,
};

int tag_log_init(struct db *db, struct err *err)
{
	return db_migrate(db, "tag_log", steps, err);
}

static int run_with(struct db *db, const char *sql, const char *text, int64_t n, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);

	db_text(&q, 1, text);
	db_int(&q, 2, n);
	return db_run(&q, err);
}

/* 1 when the tag's last entry is of this image. */
static int points_to(struct db *db, const char *name, const char *image_id, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(
		db, "SELECT 1 FROM tag_log WHERE name = ? AND until IS NULL AND image = ?");

	db_text(&q, 1, name);
	db_text(&q, 2, image_id);
	return db_step(&q, err);
}

static int insert(struct db *db, const char *name, const char *image_id, int64_t now,
	const char *why, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "INSERT INTO tag_log (name, image, since, why) VALUES (?, ?, ?, ?)");

	db_text(&q, 1, name);
	db_text(&q, 2, image_id);
	db_int(&q, 3, now);
	db_text(&q, 4, why);
	return db_run(&q, err);
}

int tag_log_add(
	struct db *db, const char *name, const char *image_id, const char *why, struct err *err)
{
	int64_t now = time_now();
	int r = points_to(db, name, image_id, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = run_with(db, "UPDATE tag_log SET until = ?2 WHERE name = ?1 AND until IS NULL", name,
		now, err);
	if (r == 0)
		r = insert(db, name, image_id, now, why, err);
	if (r < 0)
		return r;
	return run_with(db,
		"DELETE FROM tag_log WHERE name = ?1 AND seq <="
		" (SELECT seq FROM tag_log WHERE name = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		name, TAG_LOG_ENTRIES, err);
}

int tag_log_forget(struct db *db, const char *name, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "DELETE FROM tag_log WHERE name = ?");

	db_text(&q, 1, name);
	return db_run(&q, err);
}

int tag_log_expire(struct db *db, int64_t keep, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "DELETE FROM tag_log WHERE until <= ?");

	db_int(&q, 1, time_now() - keep);
	return db_run(&q, err);
}

int tag_log_reaches(struct db *db, const char *image_id, char **ret_name, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(
		db, "SELECT name FROM tag_log WHERE image = ? AND until IS NOT NULL LIMIT 1");
	int r;

	db_text(&q, 1, image_id);
	r = db_step(&q, err);
	if (r > 0 && ret_name)
		*ret_name = familiar_name(db_get_text(&q, 0));
	return r;
}

int tag_log_kept(struct db *db, uint64_t *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT count(*) FROM image WHERE id IN (SELECT image FROM tag_log)"
			       " AND id NOT IN (SELECT image FROM image_name)"
			       " AND id NOT IN (SELECT image FROM image_hold)");
	int r = db_step(&q, err);

	if (r > 0)
		*ret = (uint64_t)db_get_int(&q, 0);
	return r < 0 ? r : 0;
}

void tag_log_clear(struct tag_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		free(log->items[i].why);
	free(log->items);
	*log = (struct tag_log){ 0 };
}

static void add_row(struct tag_log *log, struct db_stmt *q)
{
	struct tag_state *s;

	log->items = xrealloc_array(log->items, log->n + 1, sizeof(*log->items));
	s = &log->items[log->n++];
	*s = (struct tag_state){ .since = db_get_int(q, 2),
		.until = db_get_int(q, 3),
		.n = db_get_int(q, 4),
		.why = xstrdup(db_get_text(q, 5)) };
	snprintf(s->name, sizeof(s->name), "%s", db_get_text(q, 0));
	snprintf(s->image, sizeof(s->image), "%s", db_get_text(q, 1));
}

int tag_log_read(struct db *db, const char *name, struct tag_log *ret, struct err *err)
{
	cleanup(tag_log_clear) struct tag_log log = { 0 };
	cleanup(free) char *stored = NULL;
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT name, image, since, until,"
			       " row_number() OVER (PARTITION BY name ORDER BY seq DESC) - 1, why"
			       " FROM tag_log WHERE ?1 IS NULL OR name = ?1 ORDER BY seq DESC");
	int r = name ? normal_name(name, &stored, err) : 0;

	if (r < 0)
		return r;
	db_text(&q, 1, stored);
	while ((r = db_step(&q, err)) > 0)
		add_row(&log, &q);
	if (r < 0)
		return r;
	if (name && !log.n)
		return err_set(err, ENOENT,
			"no such tag: %s ('holm images' lists what is here; a tag's log goes with the tag)",
			name);
	*ret = log;
	log = (struct tag_log){ 0 };
	return 0;
}

static bool is_state(const struct tag_state *s, const char *asked)
{
	const char *hex = strncmp(asked, "sha256:", 7) == 0 ? asked + 7 : asked;
	uint64_t n;

	if (hex == asked && strlen(asked) < STATE_DIGITS)
		return parse_u64(asked, TAG_LOG_ENTRIES, &n) == 0 && (uint64_t)s->n == n;
	return strncmp(digest_hex(s->image), hex, strlen(hex)) == 0;
}

int tag_log_revert(
	struct db *db, const char *name, const char *state, struct tag_state *ret, struct err *err)
{
	cleanup(tag_log_clear) struct tag_log log = { 0 };
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(free) char *why = NULL;
	struct tag_state *s;
	size_t i = 0;
	int r = db_begin(db, &txn, err);

	if (r == 0)
		r = tag_log_read(db, name, &log, err);
	if (r < 0)
		return r;
	if (!state && log.n < 2)
		return err_set(err, ENOENT,
			"%s has pointed to one image only: there is nothing to go back to", name);
	while (i < log.n && !is_state(&log.items[i], state ? state : "1"))
		i++;
	if (i == log.n)
		return err_set(err, ENOENT,
			"the log of %s has no state '%s': 'holm log %s' lists them", name, state,
			name);
	s = &log.items[i];
	why = xasprintf("reverted to state %lld: %s", (long long)s->n, s->why);
	r = name_set(db, s->name, s->image, why, err);
	if (r == 0)
		r = db_commit(&txn, err);
	if (r == 0 && ret) {
		*ret = *s;
		ret->why = NULL;
	}
	return r;
}
