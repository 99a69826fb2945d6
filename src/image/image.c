/*
 * Images as rows: finding, listing, naming and holding them. The configuration's text stands in the
 * row, so that an image is found with one query; layers are directories named by diff id.
 */
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/layer_cache.h"
#include "image/reference.h"
#include "image/rows.h"
#include "image/store.h"
#include "image/tag_log.h"

static const char *const steps[] = {
	"CREATE TABLE layer ("
	"  diff_id TEXT PRIMARY KEY,"
	"  size INT NOT NULL" /* bytes of its files */
	") WITHOUT ROWID;"
	"CREATE TABLE image ("
	"  id TEXT PRIMARY KEY,"
	"  manifest TEXT NOT NULL," /* its digest */
	"  manifest_text TEXT NOT NULL,"
	"  config TEXT NOT NULL,"
	"  size INT NOT NULL,"
	"  created INT NOT NULL"
	");"
	"CREATE INDEX image_manifest ON image (manifest);"
	"CREATE TABLE image_layer ("
	"  image TEXT NOT NULL REFERENCES image ON DELETE CASCADE,"
	"  n INT NOT NULL,"
	"  diff_id TEXT NOT NULL REFERENCES layer,"
	"  blob TEXT NOT NULL,"
	"  PRIMARY KEY (image, n)"
	") WITHOUT ROWID;"
	"CREATE INDEX image_layer_diff_id ON image_layer (diff_id);"
	"CREATE INDEX image_layer_blob ON image_layer (blob);"
	"CREATE TABLE image_name ("
	"  name TEXT PRIMARY KEY,"
	"  image TEXT NOT NULL REFERENCES image ON DELETE CASCADE"
	") WITHOUT ROWID;"
	"CREATE INDEX image_name_image ON image_name (image);"
	"CREATE TABLE image_hold ("
	"  owner TEXT NOT NULL,"
	"  image TEXT NOT NULL REFERENCES image ON DELETE RESTRICT,"
	"  PRIMARY KEY (owner, image)"
	") WITHOUT ROWID;"
	"CREATE INDEX image_hold_image ON image_hold (image);",
	"CREATE TABLE image_digest ("
	"  name TEXT PRIMARY KEY," /* "docker.io/library/debian@sha256:...": as a registry has it */
	"  image TEXT NOT NULL REFERENCES image ON DELETE CASCADE,"
	"  asked INT NOT NULL" /* by a person, so that it keeps the image as a tag does */
	") WITHOUT ROWID;"
	"CREATE INDEX image_digest_image ON image_digest (image);",
	NULL,
};

int image_init(struct db *db, struct err *err)
{
	int r = db_migrate(db, "image", steps, err);

	if (r == 0)
		r = tag_log_init(db, err);
	return r < 0 ? r : layer_cache_init(db, err);
}

/* The last column that image_of_row() reads. */
#define NAMES "(SELECT group_concat(n.name, char(10)) FROM image_name n WHERE n.image = i.id)"

void image_free(struct image *image)
{
	if (!image)
		return;
	image_config_clear(&image->config);
	strv_free(image->diff_ids);
	strv_free(image->layer_dirs);
	strv_free(image->names);
	free(image);
}

void image_list_free(struct image_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		image_free(list->items[i]);
	free(list->items);
	*list = (struct image_list){ 0 };
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int image_of_row(struct db_stmt *q, struct image **ret, struct err *err)
{
	cleanup(image_free) struct image *image = xnew(struct image);
	const char *config = db_get_text(q, 2);
	struct err cause = { 0 };

	snprintf(image->id, sizeof(image->id), "%s", db_get_text(q, 0));
	snprintf(image->manifest, sizeof(image->manifest), "%s", db_get_text(q, 1));
	if (!digest_valid(image->id) ||
		image_config_parse(config, strlen(config), &image->config, &cause) < 0)
		return err_set(err, EUCLEAN,
			"the store is damaged: the configuration of image '%s': %s; remove it with 'holm rmi -f' and load it again",
			image->id, cause.text);
	image->size = db_get_int(q, 3);
	image->created = db_get_int(q, 4);
	if (!db_is_null(q, 5)) {
		image->names = strv_split(db_get_text(q, 5), '\n');
		qsort(image->names, strv_len(image->names), sizeof(char *), by_text);
	}
	image->diff_ids = strv_copy(image->config.diff_ids);
	strv_foreach (diff_id, image->diff_ids) {
		cleanup(free) char *dir = store_layer_path(*diff_id);
		strv_add(&image->layer_dirs, dir);
	}
	*ret = take(image);
	return 0;
}

static int find_by_id(struct db *db, const char *id, struct image **ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT i.id, i.manifest, i.config, i.size, i.created, " NAMES
			       " FROM image i WHERE i.id = ?");
	int r;

	db_text(&q, 1, id);
	r = db_step(&q, err);
	if (r > 0)
		return image_of_row(&q, ret, err);
	return r < 0 ? r : err_set(err, ENOENT, "no such image: %s (it was removed just now)", id);
}

/* The first column of the only row of a query with one value; -ENOENT without text for no row. */
static int get_id(
	struct db *db, const char *sql, const char *value, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	int r;

	db_text(&q, 1, value);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	snprintf(id, DIGEST_LEN + 1, "%s", db_get_text(&q, 0));
	return 0;
}

static int resolve_prefix(struct db *db, const char *hex, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(free) char *from = xasprintf("sha256:%s", hex);
	cleanup(free) char *to = xasprintf("sha256:%sg", hex);
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT id FROM image WHERE id >= ? AND id < ? LIMIT 2");
	char found[DIGEST_LEN + 1];
	int r;

	db_text(&q, 1, from);
	db_text(&q, 2, to);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	snprintf(found, sizeof(found), "%s", db_get_text(&q, 0));
	r = db_step(&q, err);
	if (r > 0)
		return err_set(err, EINVAL,
			"several images have an id that begins with '%s': give more of it", hex);
	if (r == 0)
		memcpy(id, found, sizeof(found));
	return r;
}

/* name@digest: what a registry has under it; else the digest decides, and some name of the image must be of the
 * same repository. */
static int resolve_digest(
	struct db *db, const struct reference *ref, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(free) char *full = xasprintf("%s/%s@%s", ref->domain, ref->path, ref->digest);
	cleanup(free) char *prefix = xasprintf("%s/%s:", ref->domain, ref->path);
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT id FROM image WHERE manifest = ? AND EXISTS (SELECT 1 FROM image_name"
		" WHERE image = id AND substr(name, 1, length(?2)) = ?2)");
	int r;

	r = get_id(db, "SELECT image FROM image_digest WHERE name = ?", full, id, err);
	if (r != -ENOENT)
		return r;
	db_text(&q, 1, ref->digest);
	db_text(&q, 2, prefix);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	snprintf(id, DIGEST_LEN + 1, "%s", db_get_text(&q, 0));
	return 0;
}

/* "sha256:" and 64 digits: an image's id or its manifest's digest. */
static int resolve_whole_digest(
	struct db *db, const char *digest, char id[DIGEST_LEN + 1], struct err *err)
{
	int r = get_id(db, "SELECT id FROM image WHERE id = ?", digest, id, err);

	return r == -ENOENT ? get_id(db, "SELECT id FROM image WHERE manifest = ?", digest, id, err)
			    : r;
}

static int resolve_reference(
	struct db *db, const char *text, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(free) char *full = NULL;
	struct reference ref;
	int r = reference_parse(text, &ref, err);

	if (r < 0)
		return r;
	if (ref.digest[0])
		return resolve_digest(db, &ref, id, err);
	full = reference_text(&ref);
	return get_id(db, "SELECT image FROM image_name WHERE name = ?", full, id, err);
}

static bool is_hex(const char *s)
{
	return *s && strlen(s) <= 64 && s[strspn(s, "0123456789abcdef")] == '\0';
}

/* The name nearest to what was asked for, as people write it, or NULL. The caller frees. */
static char *near_name(struct db *db, const char *asked)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT name FROM image_name LIMIT 2000");
	cleanup(free) char *best = NULL;
	unsigned best_distance = strlen(asked) < 6 ? 2 : 4;

	while (db_step(&q, NULL) > 0) {
		cleanup(free) char *name = familiar_name(db_get_text(&q, 0));
		unsigned distance = str_distance(asked, name);
		if (distance >= best_distance)
			continue;
		best_distance = distance;
		free(best);
		best = take(name);
	}
	return take(best);
}

static int not_found(struct db *db, const char *asked, struct err *err)
{
	cleanup(free) char *name = familiar_name(asked);
	cleanup(free) char *near = near_name(db, name);

	return err_set(err, ENOENT,
		"no such image: %s%s%s ('holm images' lists what is here; 'holm image bootstrap debian:12' makes a base image)",
		asked, near ? "; did you mean " : "", near ? near : "");
}

char *familiar_name(const char *name)
{
	struct reference ref;

	return reference_parse(name, &ref, NULL) < 0 ? xstrdup(name) : reference_familiar(&ref);
}

int image_resolve(
	struct db *db, const char *name, bool *ret_by_id, char id[DIGEST_LEN + 1], struct err *err)
{
	const char *hex = strncmp(name, "sha256:", 7) == 0 ? name + 7 : name;
	char found[DIGEST_LEN + 1];
	struct err e = { 0 };
	bool by_id = true;
	int r;

	if (digest_valid(name)) {
		r = resolve_whole_digest(db, name, found, &e);
	} else {
		by_id = hex != name;
		r = by_id ? -ENOENT : resolve_reference(db, name, found, &e);
		if ((r == -ENOENT || r == -EINVAL) && is_hex(hex)) {
			by_id = true;
			r = resolve_prefix(db, hex, found, &e);
		}
	}
	if (r == -ENOENT)
		return not_found(db, name, err);
	if (r < 0) {
		if (err)
			*err = e;
		return r;
	}
	memcpy(id, found, sizeof(found));
	if (ret_by_id)
		*ret_by_id = by_id;
	return 0;
}

int image_find(struct db *db, const char *name, struct image **ret, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	char id[DIGEST_LEN + 1];
	int r = image_resolve(db, name, NULL, id, err);

	if (r == 0)
		r = find_by_id(db, id, &image, err);
	if (r < 0)
		return r;
	strv_foreach (diff_id, image->diff_ids) {
		if (!store_has_layer(*diff_id))
			return err_set(err, EUCLEAN,
				"the store is damaged: image '%s' lacks its layer %s: load or bootstrap it again, or remove it with 'holm rmi'",
				name, *diff_id);
	}
	*ret = take(image);
	return 0;
}

int image_list(struct db *db, struct image_list *ret, struct err *err)
{
	cleanup(image_list_free) struct image_list list = { 0 };
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT i.id, i.manifest, i.config, i.size, i.created, " NAMES
			       " FROM image i ORDER BY i.created DESC, i.id");
	struct err damage;
	int r;

	while ((r = db_step(&q, err)) > 0) {
		struct image *image;
		if (image_of_row(&q, &image, &damage) < 0) {
			log_warn("%s", damage.text);
			continue;
		}
		list.items = xrealloc_array(list.items, list.n + 1, sizeof(*list.items));
		list.items[list.n++] = image;
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct image_list){ 0 };
	return 0;
}

int normal_name(const char *text, char **ret, struct err *err)
{
	struct reference ref;
	int r = reference_parse(text, &ref, err);

	if (r < 0)
		return r;
	if (ref.digest[0])
		return err_set(
			err, EINVAL, "'%s': a name for an image has a tag, not a digest", text);
	*ret = reference_text(&ref);
	return 0;
}

int name_set(
	struct db *db, const char *name, const char *image_id, const char *why, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "INSERT INTO image_name (name, image) VALUES (?, ?)"
			       " ON CONFLICT (name) DO UPDATE SET image = excluded.image");
	int r;

	db_text(&q, 1, name);
	db_text(&q, 2, image_id);
	r = db_run(&q, err);
	return r < 0 ? r : tag_log_add(db, name, image_id, why, err);
}

char *image_id_of_name(struct db *db, const char *name)
{
	char id[DIGEST_LEN + 1];

	return get_id(db, "SELECT image FROM image_name WHERE name = ?", name, id, NULL) == 0
		       ? xstrdup(id)
		       : NULL;
}

int digest_set(struct db *db, const struct reference *ref, const char *digest, const char *image_id,
	bool asked, struct err *err)
{
	cleanup(free) char *name = xasprintf("%s/%s@%s", ref->domain, ref->path, digest);
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "INSERT INTO image_digest (name, image, asked) VALUES (?, ?, ?)"
			       " ON CONFLICT (name) DO UPDATE SET image = excluded.image,"
			       " asked = asked OR excluded.asked");

	db_text(&q, 1, name);
	db_text(&q, 2, image_id);
	db_int(&q, 3, asked);
	return db_run(&q, err);
}

int image_tag(struct db *db, const char *image_name, const char *new_name, struct err *err)
{
	cleanup(free) char *name = NULL, *why = NULL;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	char id[DIGEST_LEN + 1];
	int r = normal_name(new_name, &name, err);

	if (r == 0)
		r = db_begin(db, &txn, err);
	if (r == 0)
		r = image_resolve(db, image_name, NULL, id, err);
	if (r < 0)
		return r;
	why = xasprintf("tagged, was %s", image_name);
	r = name_set(db, name, id, why, err);
	return r < 0 ? r : db_commit(&txn, err);
}

int image_hold(struct db *db, const char *image_id, const char *owner, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT OR REPLACE INTO image_hold (owner, image) SELECT ?, id FROM image WHERE id = ?");
	int r;

	db_text(&q, 1, owner);
	db_text(&q, 2, image_id);
	r = db_run(&q, err);
	if (r < 0)
		return r;
	return db_changes(db) ? 0
			      : err_set(err, ENOENT, "no such image: %s (it was removed just now)",
					image_id);
}

int image_release(struct db *db, const char *owner, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "DELETE FROM image_hold WHERE owner = ?");

	db_text(&q, 1, owner);
	return db_run(&q, err);
}

int image_holders(struct db *db, const char *image_id, char ***ret, struct err *err)
{
	cleanup(strv_free) char **owners = NULL;
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT owner FROM image_hold WHERE image = ? ORDER BY owner");
	int r;

	db_text(&q, 1, image_id);
	while ((r = db_step(&q, err)) > 0)
		strv_add(&owners, db_get_text(&q, 0));
	if (r == 0)
		*ret = take(owners);
	return r;
}

int image_usage(struct db *db, struct image_usage *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT (SELECT count(*) FROM image),"
		" (SELECT count(DISTINCT image) FROM image_hold),"
		" (SELECT coalesce(sum(size), 0) FROM layer),"
		" (SELECT coalesce(sum(size), 0) FROM layer WHERE diff_id IN"
		"   (SELECT diff_id FROM image_layer WHERE image IN (SELECT image FROM image_hold)))");
	int r = db_step(&q, err);

	if (r < 0)
		return r;
	*ret = (struct image_usage){
		.images = (uint64_t)db_get_int(&q, 0),
		.active = (uint64_t)db_get_int(&q, 1),
		.bytes = (uint64_t)db_get_int(&q, 2),
		.reclaimable = (uint64_t)(db_get_int(&q, 2) - db_get_int(&q, 3)),
	};
	return 0;
}
