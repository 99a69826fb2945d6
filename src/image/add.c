/* The rows of a new image, and the manifest of one that came without. image-spec manifest.md. */
#include "image/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strv.h"

void image_new_clear(struct image_new *image)
{
	for (size_t i = 0; i < image->n_layers; i++)
		free(image->layers[i].media_type);
	free(image->layers);
	free(image->config);
	free(image->manifest);
	strv_free(image->names);
	*image = (struct image_new){ 0 };
}

static json_t *descriptor(const char *media_type, const char *digest, int64_t size)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size",
		(json_int_t)size);
}

char *image_manifest_text(const struct image_new *image)
{
	cleanup(json_free) json_t *layers = json_array();
	cleanup(json_free) json_t *manifest = NULL;
	char id[DIGEST_LEN + 1];
	size_t len = strlen(image->config);

	hash_of(image->config, len, id);
	for (size_t i = 0; i < image->n_layers; i++) {
		const struct image_layer *l = &image->layers[i];
		json_array_append_new(layers, descriptor(l->media_type, l->blob, l->blob_size));
	}
	manifest = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType",
		"application/vnd.oci.image.manifest.v1+json", "config",
		descriptor("application/vnd.oci.image.config.v1+json", id, (int64_t)len), "layers",
		layers);
	return json_text(manifest, 0);
}

static int add_layer(struct db *db, const struct image_new *image, size_t n, struct err *err)
{
	const struct image_layer *l = &image->layers[n];
	cleanup(db_done) struct db_stmt layer =
		db_prepare(db, "INSERT OR IGNORE INTO layer (diff_id, size) VALUES (?, ?)");
	cleanup(db_done) struct db_stmt link = db_prepare(
		db, "INSERT INTO image_layer (image, n, diff_id, blob) VALUES (?, ?, ?, ?)");
	int r;

	db_text(&layer, 1, l->diff_id);
	db_int(&layer, 2, l->size);
	r = db_run(&layer, err);
	if (r < 0)
		return r;
	db_text(&link, 1, image->id);
	db_int(&link, 2, (int64_t)n);
	db_text(&link, 3, l->diff_id);
	db_text(&link, 4, l->blob);
	return db_run(&link, err);
}

/* The same image may come again, in other blobs: then these count. */
static int add_image(struct db *db, const struct image_new *image, int64_t created, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT INTO image (id, manifest, manifest_text, config, size, created)"
		" VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
		" manifest = excluded.manifest, manifest_text = excluded.manifest_text, config = excluded.config");
	cleanup(db_done) struct db_stmt clear =
		db_prepare(db, "DELETE FROM image_layer WHERE image = ?");
	char manifest[DIGEST_LEN + 1];
	int64_t size = 0;
	int r;

	for (size_t i = 0; i < image->n_layers; i++)
		size += image->layers[i].size;
	hash_of(image->manifest, strlen(image->manifest), manifest);
	db_text(&q, 1, image->id);
	db_text(&q, 2, manifest);
	db_text(&q, 3, image->manifest);
	db_text(&q, 4, image->config);
	db_int(&q, 5, size);
	db_int(&q, 6, created);
	r = db_run(&q, err);
	if (r < 0)
		return r;
	db_text(&clear, 1, image->id);
	return db_run(&clear, err);
}

static int check_layers(
	const struct image_config *config, const struct image_new *image, struct err *err)
{
	if (strv_len(config->diff_ids) != image->n_layers)
		return err_set(err, EINVAL, "the configuration names %zu layers, the manifest %zu",
			strv_len(config->diff_ids), image->n_layers);
	for (size_t i = 0; i < image->n_layers; i++)
		if (strcmp(config->diff_ids[i], image->layers[i].diff_id) != 0)
			return err_set(err, EBADMSG, "layer %zu: expected %s, got %s", i + 1,
				config->diff_ids[i], image->layers[i].diff_id);
	return 0;
}

int image_add(struct db *db, struct image_new *image, struct err *err)
{
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = image_config_parse(image->config, strlen(image->config), &config, err);

	if (r == 0)
		r = check_layers(&config, image, err);
	if (r == 0)
		r = db_begin(db, &txn, err);
	if (r < 0)
		return r;
	if (!image->manifest)
		image->manifest = image_manifest_text(image);
	hash_of(image->config, strlen(image->config), image->id);
	r = add_image(db, image, config.created, err);
	for (size_t i = 0; r == 0 && i < image->n_layers; i++)
		r = add_layer(db, image, i, err);
	strv_foreach (name, image->names) {
		if (r == 0)
			r = name_set(db, *name, image->id, image->why ? image->why : "made", err);
	}
	return r < 0 ? r : db_commit(&txn, err);
}
