/*
 * Images going away: names first, then the image with its last name, then the content that nothing
 * refers to any more. The rows' removal is on the disk before any content goes, so that a power cut
 * cannot bring back an image without its layers.
 */
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ident.h"
#include "base/log.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "image/layer_cache.h"
#include "image/rows.h"
#include "image/store.h"
#include "image/tag_log.h"

static int names_of(struct db *db, const char *id, char ***ret, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT name FROM image_name WHERE image = ? ORDER BY name");
	int r;

	db_text(&q, 1, id);
	while ((r = db_step(&q, err)) > 0)
		strv_add(&names, db_get_text(&q, 0));
	if (r == 0)
		*ret = take(names);
	return r;
}

static int run_with(struct db *db, const char *sql, const char *value, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);

	db_text(&q, 1, value);
	return db_run(&q, err);
}

static int untag(
	struct db *db, const char *name, const char *label, char ***report, struct err *err)
{
	cleanup(free) char *familiar = familiar_name(name);

	int r = run_with(db, "DELETE FROM image_name WHERE name = ?", name, err);

	strv_addf(report, "%s: %s", label, familiar);
	return r < 0 ? r : tag_log_forget(db, name, err);
}

static int delete_image(
	struct db *db, const char *id, const char *label, char ***report, struct err *err)
{
	int r = run_with(db, "DELETE FROM image WHERE id = ?", id, err);

	if (r == 0)
		r = db_exec(db,
			"DELETE FROM layer WHERE diff_id NOT IN (SELECT diff_id FROM image_layer)",
			err);
	strv_addf(report, "%s: %s", label, id);
	return r;
}

/* What one call to image_remove() is about. */
struct removal {
	char id[DIGEST_LEN + 1];
	bool by_id;
	char *name; /* the stored one that goes, unless by_id */
	char **names, **holders;
};

static void removal_clear(struct removal *rm)
{
	free(rm->name);
	strv_free(rm->names);
	strv_free(rm->holders);
}
DEFINE_CLEANUP_OBJECT(removal_clear, struct removal);

static int check(const struct removal *rm, const char *asked, bool force, struct err *err)
{
	const char *hex = digest_hex(rm->id);
	size_t n = strv_len(rm->names);

	if (force || (!rm->by_id && n > 1))
		return 0;
	if (rm->holders)
		return err_set(err, EBUSY,
			"cannot remove image %s: image is being used by container %.*s; remove that first, or use -f to take the name away",
			asked, ID_SHORT, rm->holders[0]);
	if (rm->by_id && n > 1) {
		cleanup(free) char *one = familiar_name(rm->names[0]);
		cleanup(free) char *two = familiar_name(rm->names[1]);
		return err_set(err, EBUSY,
			"cannot remove image %.*s: it has several names (%s, %s%s): remove these, or use -f",
			ID_SHORT, hex, one, two, n > 2 ? ", ..." : "");
	}
	return 0;
}

/* An image without a name that a tag may go back to goes by force only. */
static int check_logs(
	struct db *db, const struct removal *rm, const char *asked, bool force, struct err *err)
{
	cleanup(free) char *tag = NULL;
	int r = force || rm->names ? 0 : tag_log_reaches(db, rm->id, &tag, err);

	if (r <= 0)
		return r;
	return err_set(err, EBUSY,
		"cannot remove image %s: %s pointed to it ('holm log %s') and can be reverted to it; use -f, or 'holm gc --expire now' for all such",
		asked, tag, tag);
}

/* 1 when it was asked for by its digest, which is a name like others. */
static int has_digest(struct db *db, const char *id, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT 1 FROM image_digest WHERE image = ? AND asked LIMIT 1");

	db_text(&q, 1, id);
	return db_step(&q, err);
}

/* 1 when nothing needs the image any more. */
static int is_free(struct db *db, const struct removal *rm, bool force, struct err *err)
{
	bool last = rm->by_id || strv_len(rm->names) <= 1;
	int r;

	if (!last || rm->holders)
		return 0;
	if (force && rm->by_id)
		return 1;
	r = rm->by_id ? 0 : has_digest(db, rm->id, err);
	if (r == 0)
		r = tag_log_reaches(db, rm->id, NULL, err);
	return r < 0 ? r : !r;
}

static int removal_find(struct db *db, const char *asked, struct removal *rm, struct err *err)
{
	int r = image_resolve(db, asked, &rm->by_id, rm->id, err);

	if (r == 0 && !rm->by_id && strchr(asked, '@'))
		rm->by_id = true;
	if (r == 0 && !rm->by_id)
		r = normal_name(asked, &rm->name, err);
	if (r == 0)
		r = names_of(db, rm->id, &rm->names, err);
	if (r == 0)
		r = image_holders(db, rm->id, &rm->holders, err);
	return r;
}

static int remove_rows(
	struct db *db, const char *asked, bool force, char ***report, struct err *err)
{
	cleanup(removal_clear) struct removal rm = { 0 };
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = db_begin(db, &txn, err);

	if (r == 0)
		r = removal_find(db, asked, &rm, err);
	if (r == 0)
		r = check(&rm, asked, force, err);
	if (r == 0)
		r = check_logs(db, &rm, asked, force, err);
	if (r < 0)
		return r;
	if (!rm.by_id)
		r = untag(db, rm.name, "Untagged", report, err);
	else
		strv_foreach (name, rm.names)
			if (r == 0)
				r = untag(db, *name, "Untagged", report, err);
	if (r == 0)
		r = is_free(db, &rm, force, err);
	if (r > 0)
		r = delete_image(db, rm.id, "Deleted", report, err);
	else if (r == 0 && rm.by_id && !rm.names)
		return err_set(err, EBUSY,
			"cannot remove image %.*s, even by force: image is being used by container %.*s; remove that first",
			ID_SHORT, digest_hex(rm.id), ID_SHORT, rm.holders[0]);
	return r < 0 ? r : db_commit(&txn, err);
}

/* While on, a commit is on the disk when it returns. */
static int durably(struct db *db, bool on, struct err *err)
{
	return db_exec(db, on ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
}

int image_remove(struct db *db, const char *name, bool force, char ***report, struct err *err)
{
	cleanup(strv_free) char **lines = NULL;
	int r;

	reserve_spend();
	r = durably(db, true, err);
	if (r == 0)
		r = remove_rows(db, name, force, &lines, err);
	durably(db, false, NULL);
	if (r < 0)
		return r;
	/* What is not collected now, because others add content, is the next one's. */
	store_collect(db, /* wait= */ false, NULL, NULL);
	strv_add_all(report, lines);
	return 0;
}

/* Inside a transaction: the image may have got a name or a holder since it was listed. */
static int untag_one(struct db *db, const struct image *image, char ***report, struct err *err)
{
	cleanup(strv_free) char **names = NULL, **holders = NULL;
	int r = names_of(db, image->id, &names, err);

	if (r == 0)
		r = image_holders(db, image->id, &holders, err);
	if (r < 0 || holders)
		return r;
	strv_foreach (name, names)
		if (r == 0)
			r = untag(db, *name, "untagged", report, err);
	return r;
}

static int prune_one(
	struct db *db, const struct image *image, bool all, char ***report, struct err *err)
{
	cleanup(removal_clear) struct removal rm = { .by_id = true };
	int r = names_of(db, image->id, &rm.names, err);

	memcpy(rm.id, image->id, sizeof(rm.id));
	if (r == 0 && !all) {
		r = has_digest(db, image->id, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	if (r == 0)
		r = image_holders(db, image->id, &rm.holders, err);
	if (r == 0 && !rm.names)
		r = is_free(db, &rm, /* force= */ false, err);
	return r <= 0 ? r : delete_image(db, image->id, "deleted", report, err);
}

/* What is to go. keep_log: ns, of entries in tags' logs. */
struct pruning {
	bool all;
	int64_t keep_log;
	image_want_fn *want;
	void *data;
};

static int prune_rows(struct db *db, const struct pruning *p, char ***report, struct err *err)
{
	cleanup(image_list_free) struct image_list list = { 0 };
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = db_begin(db, &txn, err);

	if (r == 0)
		r = tag_log_expire(db, p->keep_log, err);
	if (r == 0)
		r = layer_cache_forget(db, time_now() - LAYER_CACHE_KEEP, NULL, err);
	if (r == 0)
		r = image_list(db, &list, err);
	/* All names first: the log of one may reach the image of another. */
	for (size_t i = 0; p->all && r == 0 && i < list.n; i++)
		if (!p->want || p->want(p->data, list.items[i]))
			r = untag_one(db, list.items[i], report, err);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		if (!p->want || p->want(p->data, list.items[i]))
			r = prune_one(db, list.items[i], p->all, report, err);
	return r < 0 ? r : db_commit(&txn, err);
}

static int prune(struct db *db, const struct pruning *p, char ***report, uint64_t *ret_freed,
	struct err *err)
{
	cleanup(strv_free) char **lines = NULL;
	uint64_t freed = 0;
	int r;

	reserve_spend();
	r = durably(db, true, err);
	if (r == 0)
		r = prune_rows(db, p, &lines, err);
	durably(db, false, NULL);
	if (r == 0)
		r = store_collect(db, /* wait= */ true, &freed, err);
	if (r < 0)
		return r;
	if (r > 0)
		log_warn(
			"the store's space is not collected: another holm is adding an image; prune again after it");
	strv_add_all(report, lines);
	if (ret_freed)
		*ret_freed = freed;
	return 0;
}

int image_prune_matching(struct db *db, bool all, image_want_fn *want, void *data, char ***report,
	uint64_t *ret_freed, struct err *err)
{
	const struct pruning p = {
		.all = all, .keep_log = TAG_LOG_KEEP, .want = want, .data = data
	};

	return prune(db, &p, report, ret_freed, err);
}

int image_gc(struct db *db, int64_t keep_log, char ***report, uint64_t *ret_freed, struct err *err)
{
	const struct pruning p = { .keep_log = keep_log };

	return prune(db, &p, report, ret_freed, err);
}

int image_collect(struct db *db, uint64_t *ret_freed, struct err *err)
{
	int r = store_collect(db, /* wait= */ true, ret_freed, err);

	return r < 0 ? r : 0;
}
