/*
 * `image verify`. A layer's blob is what the rest is checked against, by its own digest; files that differ are
 * mended from it, and a blob that differs is fetched again, with its image.
 */
#include "image/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/strv.h"
#include "image/compare.h"
#include "image/content.h"
#include "image/reference.h"
#include "image/rows.h"

struct verify {
	struct db *db;
	const struct image_verify *how;
	struct store_session *session;
	struct image_verified count;
	char **checked;   /* "DIFF_ID BLOB": layers that several images share are looked at once */
	char **bad_blobs; /* digests */
};

static void verify_clear(struct verify *v)
{
	strv_free(v->checked);
	strv_free(v->bad_blobs);
}
DEFINE_CLEANUP_OBJECT(verify_clear, struct verify);

/* What one image's rows say. */
struct verify_image {
	char id[DIGEST_LEN + 1], manifest[DIGEST_LEN + 1];
	char **names; /* stored form */
	char *shown;  /* "debian:12 (5d2b0d3a4e1c)" */
};

static void verify_image_clear(struct verify_image *i)
{
	strv_free(i->names);
	free(i->shown);
}
DEFINE_CLEANUP_OBJECT(verify_image_clear, struct verify_image);

static void say(struct verify *v, const struct verify_image *image, const char *fmt, ...)
	printf_like(3, 4);

static void say(struct verify *v, const struct verify_image *image, const char *fmt, ...)
{
	cleanup(free) char *line = NULL;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line = xasprintf("%s: %s", image->shown, text);
	v->how->say(v->how->data, line);
}

static void say_damage(struct verify *v, const struct verify_image *image, const char *what,
	const char *digest, const char *how)
{
	v->count.damaged++;
	say(v, image, "%s %.*s: %s", what, ID_SHORT, digest_hex(digest), how);
}

/* Whether something runs from an image that has a layer in common with this one. */
static bool in_use(struct verify *v, const char *image_id)
{
	cleanup(db_done) struct db_stmt q = db_prepare(v->db,
		"SELECT DISTINCT other.image FROM image_layer own JOIN image_layer other USING (diff_id)"
		" WHERE own.image = ?");

	db_text(&q, 1, image_id);
	while (db_step(&q, NULL) > 0)
		if (v->how->in_use(v->how->data, db_get_text(&q, 0)))
			return true;
	return false;
}

static bool may_mend(struct verify *v, const struct verify_image *image)
{
	if (!v->how->repair)
		return false;
	if (!in_use(v, image->id))
		return true;
	say(v, image, "not mended while a container runs from it: stop that, then verify again");
	return false;
}

/* The files of a layer are not what its blob holds: `fresh` is. */
static int mend_tree(struct verify *v, const struct verify_image *image, const char *diff_id,
	struct content *fresh, struct err *err)
{
	int r;

	if (!may_mend(v, image))
		return 0;
	r = store_sync(v->session, err);
	if (r == 0)
		r = store_replace_layer(v->session, fresh->dir, diff_id, err);
	if (r < 0)
		return r;
	v->count.mended++;
	say(v, image, "mended from the layer's blob");
	return 0;
}

static int check_tree(struct verify *v, const struct verify_image *image, const char *diff_id,
	struct content *fresh, struct err *err)
{
	cleanup(tree_changes_clear) struct tree_changes changes = { 0 };
	cleanup(free) char *path = store_layer_path(diff_id);
	cleanup(fd_close) int is = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup(fd_close) int should =
		openat(v->session->tmp, fresh->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char how[512];
	int r;

	if (should < 0 || (is < 0 && errno != ENOENT))
		return err_errno(err, "open layer %s", diff_id);
	if (is < 0) {
		snprintf(how, sizeof(how), "its files are missing");
	} else {
		r = tree_compare(should, is, TREE_TIMES, &changes, err);
		if (r < 0 || changes.n == 0)
			return r;
		snprintf(how, sizeof(how), "its files are not what they were: %c %.200s%s",
			changes.items[0].kind, changes.items[0].path,
			changes.n > 1 ? " and more" : "");
	}
	say_damage(v, image, "layer", diff_id, how);
	return mend_tree(v, image, diff_id, fresh, err);
}

static void say_bad_blob(
	struct verify *v, const struct verify_image *image, const char *blob, const char *how)
{
	say_damage(v, image, "blob", blob, how);
	strv_add(&v->bad_blobs, blob);
}

static int check_layer(struct verify *v, const struct verify_image *image, const char *diff_id,
	const char *blob, struct err *err)
{
	const struct layer_options options = {
		.progress = v->how->progress, .progress_data = v->how->data, .what = "verifying"
	};
	cleanup(content_clear) struct content fresh = CONTENT_NONE;
	cleanup(fd_close) int fd = -1;
	struct layer_result result = { 0 };
	struct err damage = { 0 };
	int r;

	v->count.layers++;
	if (!store_has_blob(blob)) {
		say_bad_blob(v, image, blob, "it is missing");
		return 0;
	}
	fd = store_open_blob(blob, err);
	if (fd < 0)
		return fd;
	r = content_take_tree(v->session, fd, &options, &fresh, &result, &damage);
	if (r == -ENOSPC || r == -EDQUOT || r == -ENOMEM || r == -EMFILE) {
		if (err)
			*err = damage;
		return r;
	}
	if (r < 0) {
		say_bad_blob(v, image, blob, damage.text);
		return 0;
	}
	if (strcmp(result.digest, blob) != 0 || strcmp(result.diff_id, diff_id) != 0) {
		say_bad_blob(v, image, blob, "its digest is another one");
		return 0;
	}
	return check_tree(v, image, diff_id, &fresh, err);
}

static int check_layers(struct verify *v, const struct verify_image *image, struct err *err)
{
	cleanup(strv_free) char **pairs = NULL;
	cleanup(db_done) struct db_stmt q = db_prepare(
		v->db, "SELECT diff_id, blob FROM image_layer WHERE image = ? ORDER BY n");
	int r;

	db_text(&q, 1, image->id);
	while ((r = db_step(&q, err)) > 0)
		strv_addf(&pairs, "%s %s", db_get_text(&q, 0), db_get_text(&q, 1));
	strv_foreach (pair, pairs) {
		char *blob = strchr(*pair, ' ') + 1;
		if (r < 0)
			return r;
		if (strv_contains(v->checked, *pair)) {
			if (strv_contains(v->bad_blobs, blob))
				say(v, image, "has the same damaged blob %.*s", ID_SHORT,
					digest_hex(blob));
			continue;
		}
		strv_add(&v->checked, *pair);
		blob[-1] = '\0';
		if (!digest_valid(*pair) || !digest_valid(blob))
			say_damage(v, image, "row", image->id, "it names no digest");
		else
			r = check_layer(v, image, *pair, blob, err);
	}
	return r;
}

/* Whether a text of a row has the digest that it should have. */
static void check_text(struct verify *v, const struct verify_image *image, const char *what,
	const char *text, const char *digest)
{
	char is[DIGEST_LEN + 1];

	hash_of(text, strlen(text), is);
	if (strcmp(is, digest) != 0)
		say_damage(v, image, what, digest, "its digest is another one");
}

/* From the registry that a name says, by the manifest's digest. */
static int fetch(struct verify *v, const struct verify_image *image, struct err *err)
{
	strv_foreach (name, image->names) {
		cleanup(free) char *from = NULL;
		struct reference ref;
		struct err why = { 0 };
		if (reference_parse(*name, &ref, NULL) < 0)
			continue;
		from = xasprintf("%s/%s@%s", ref.domain, ref.path, image->manifest);
		if (v->how->fetch(v->how->data, from, &why) == 0)
			return 0;
		say(v, image, "not fetched again: %s", why.text);
	}
	return -ENOENT;
}

static int mend_image(
	struct verify *v, const struct verify_image *image, uint64_t damaged, struct err *err)
{
	if (damaged == 0 || !v->how->fetch || !may_mend(v, image))
		return 0;
	if (fetch(v, image, err) < 0) {
		say(v, image, "it cannot be mended from here: load, build or pull it again");
		return 0;
	}
	v->count.mended += damaged;
	say(v, image, "fetched again");
	return 0;
}

static int read_image(struct verify *v, const char *id, struct verify_image *ret, char **ret_texts,
	struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(v->db,
		"SELECT i.manifest, i.config, i.manifest_text,"
		" (SELECT group_concat(n.name, char(10)) FROM image_name n WHERE n.image = i.id)"
		" FROM image i WHERE i.id = ?");
	cleanup(free) char *name = NULL;
	int r;

	db_text(&q, 1, id);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r : -ENOENT; /* removed since it was listed */
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->manifest, sizeof(ret->manifest), "%s", db_get_text(&q, 0));
	ret_texts[0] = xstrdup(db_get_text(&q, 1));
	ret_texts[1] = xstrdup(db_get_text(&q, 2));
	if (!db_is_null(&q, 3))
		ret->names = strv_split(db_get_text(&q, 3), '\n');
	name = familiar_name(ret->names ? ret->names[0] : "<none>");
	ret->shown = xasprintf("%s (%.*s)", name, ID_SHORT, digest_hex(id));
	return 0;
}

static int verify_one(struct verify *v, const char *id, struct err *err)
{
	cleanup(verify_image_clear) struct verify_image image = { 0 };
	char *texts[2] = { NULL, NULL };
	uint64_t damaged = v->count.damaged, mended = v->count.mended;
	int r = read_image(v, id, &image, texts, err);

	if (r == 0) {
		v->count.images++;
		check_text(v, &image, "configuration", texts[0], image.id);
		check_text(v, &image, "manifest", texts[1], image.manifest);
		r = check_layers(v, &image, err);
	}
	free(texts[0]);
	free(texts[1]);
	if (r < 0)
		return r == -ENOENT && !image.shown ? 0 : r;
	damaged = v->count.damaged - damaged;
	mended = v->count.mended - mended;
	return mend_image(v, &image, damaged - mended, err);
}

static int wanted_ids(struct verify *v, char ***ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(v->db, "SELECT id FROM image ORDER BY id");
	char id[DIGEST_LEN + 1];
	int r = 0;

	strv_foreach (name, v->how->names) {
		r = image_resolve(v->db, *name, NULL, id, err);
		if (r < 0)
			return r;
		if (!strv_contains(*ret, id))
			strv_add(ret, id);
	}
	while (!v->how->names && (r = db_step(&q, err)) > 0)
		strv_add(ret, db_get_text(&q, 0));
	return r;
}

int image_verify(
	struct db *db, const struct image_verify *how, struct image_verified *ret, struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(verify_clear) struct verify v = { .db = db, .how = how, .session = &session };
	cleanup(strv_free) char **ids = NULL;
	int r = store_begin(&session, err);

	if (r == 0)
		r = wanted_ids(&v, &ids, err);
	strv_foreach (id, ids) {
		if (r < 0)
			break;
		r = verify_one(&v, *id, err);
	}
	if (r == 0)
		*ret = v.count;
	return r;
}
