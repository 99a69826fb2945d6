/*
 * image_save(): one tar that is docker save's archive (manifest.json) and an OCI layout (index.json),
 * as dockerd writes since 25. Layers are written plain, under their diff ids: every reader, old ones
 * too, takes them, and the same images give the same bytes. Each blob is unpacked and checked whole
 * before the first byte of it goes out.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/strv.h"
#include "image/decompress.h"
#include "image/layer.h"
#include "image/reference.h"
#include "image/rows.h"
#include "image/store.h"

#define CHUNK (256u << 10)

struct save_image {
	struct image_new image; /* layers: plain ones, as the archive has them */
	char manifest[DIGEST_LEN + 1];
	int64_t created;
};

struct save {
	struct db *db;
	const struct store_session *session;
	struct save_image *images;
	size_t n;
	struct tar_writer *writer;
	char **written; /* digests of blobs that the archive has */
};

static void save_clear(struct save *s)
{
	for (size_t i = 0; i < s->n; i++)
		image_new_clear(&s->images[i].image);
	free(s->images);
	tar_writer_close(s->writer);
	strv_free(s->written);
}
DEFINE_CLEANUP_OBJECT(save_clear, struct save);

/* The row's parts that the configuration does not tell. */
static int read_row(struct db *db, const char *id, struct save_image *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT config, created FROM image WHERE id = ?");
	cleanup(db_done) struct db_stmt layers =
		db_prepare(db, "SELECT diff_id, blob FROM image_layer WHERE image = ? ORDER BY n");
	struct image_new *image = &ret->image;
	int r;

	db_text(&q, 1, id);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r
			     : err_set(err, ENOENT, "no such image: %s (it was removed just now)",
				       id);
	image->config = xstrdup(db_get_text(&q, 0));
	ret->created = db_get_int(&q, 1);
	snprintf(image->id, sizeof(image->id), "%s", id);
	db_text(&layers, 1, id);
	while ((r = db_step(&layers, err)) > 0) {
		image->layers =
			xrealloc_array(image->layers, image->n_layers + 1, sizeof(*image->layers));
		struct image_layer *layer = &image->layers[image->n_layers++];
		*layer = (struct image_layer){ .media_type =
						       xstrdup(layer_media_type(LAYER_PLAIN)) };
		snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", db_get_text(&layers, 0));
		snprintf(layer->blob, sizeof(layer->blob), "%s", db_get_text(&layers, 1));
	}
	return r;
}

static int add_image(struct save *s, const char *name, struct err *err)
{
	cleanup(free) char *normal = NULL;
	struct save_image *image = NULL;
	char id[DIGEST_LEN + 1];
	bool by_id;
	int r = image_resolve(s->db, name, &by_id, id, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->images[i].image.id, id) == 0)
			image = &s->images[i];
	if (!image) {
		s->images = xrealloc_array(s->images, s->n + 1, sizeof(*s->images));
		image = &s->images[s->n++];
		memset(image, 0, sizeof(*image));
		r = read_row(s->db, id, image, err);
		if (r < 0)
			return r;
	}
	/* By id the image is saved without a name, as Docker does. */
	if (!by_id && normal_name(name, &normal, NULL) == 0 &&
		!strv_contains(image->image.names, normal))
		strv_add(&image->image.names, normal);
	return 0;
}

static int add_dir(struct save *s, const char *name, int64_t mtime, struct err *err)
{
	const struct tar_entry e = { .type = TAR_DIR,
		.name = (char *)name,
		.link = (char *)"",
		.mode = 0755,
		.mtime = mtime };

	return tar_write_entry(s->writer, &e, err);
}

static int damaged(
	const struct save_image *image, const char *blob, const char *cause, struct err *err)
{
	return err_set(err, EUCLEAN,
		"the store is damaged: blob %s of image %.*s: %s; load the image again", blob,
		ID_SHORT, digest_hex(image->image.id), cause);
}

/* A blob's plain bytes into an unnamed file of the session, checked. */
static int spool_plain(struct save *s, const struct save_image *image,
	const struct image_layer *layer, int64_t *ret_size, struct err *err)
{
	cleanup(fd_close) int blob = store_open_blob(layer->blob, err);
	cleanup(fd_close) int fd = -1;
	cleanup(decompressor_close) struct decompressor *d = NULL;
	cleanup(free) uint8_t *chunk = xcalloc(1, CHUNK);
	char got[DIGEST_LEN + 1];
	struct err cause = { 0 };
	int64_t size = 0;
	struct hash hash;
	ssize_t n;

	if (blob < 0)
		return blob;
	fd = openat(s->session->tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "make a file in '%s/tmp'", paths_root());
	if (decompressor_open(blob, -1, -1, false, &d, &cause) < 0)
		return damaged(image, layer->blob, cause.text, err);
	hash_init(&hash);
	while ((n = decompressor_read(d, chunk, CHUNK, &cause)) > 0) {
		int r = fd_write_all(fd, chunk, (size_t)n);
		if (r < 0)
			return err_code(err, r, "write in '%s/tmp'", paths_root());
		hash_add(&hash, chunk, (size_t)n);
		size += n;
	}
	hash_end(&hash, got);
	if (n < 0)
		return damaged(image, layer->blob, cause.text, err);
	if (strcmp(got, layer->diff_id) != 0)
		return damaged(image, layer->blob, "it does not hold what it should", err);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, "read in '%s/tmp'", paths_root());
	*ret_size = size;
	return take_fd(fd);
}

static int write_layer(
	struct save *s, const struct save_image *image, struct image_layer *layer, struct err *err)
{
	cleanup(free) char *name = xasprintf("blobs/sha256/%s", digest_hex(layer->diff_id));
	struct tar_entry e = { .type = TAR_FILE, .name = name, .link = (char *)"", .mode = 0644 };
	cleanup(fd_close) int fd = -1;
	int r;

	fd = spool_plain(s, image, layer, &layer->blob_size, err);
	if (fd < 0)
		return fd;
	memcpy(layer->blob, layer->diff_id, sizeof(layer->blob));
	if (strv_contains(s->written, layer->diff_id))
		return 0;
	strv_add(&s->written, layer->diff_id);
	e.size = layer->blob_size;
	r = tar_write_entry(s->writer, &e, err);
	return r < 0 ? r : tar_write_fd(s->writer, fd, e.size, err);
}

static int write_blob(
	struct save *s, const char *digest, const char *text, int64_t mtime, struct err *err)
{
	cleanup(free) char *name = xasprintf("blobs/sha256/%s", digest_hex(digest));

	if (strv_contains(s->written, digest))
		return 0;
	strv_add(&s->written, digest);
	return tar_write_file(s->writer, name, text, strlen(text), mtime, err);
}

static int write_image(struct save *s, struct save_image *image, struct err *err)
{
	int r = write_blob(s, image->image.id, image->image.config, image->created, err);

	for (size_t i = 0; r == 0 && i < image->image.n_layers; i++)
		r = write_layer(s, image, &image->image.layers[i], err);
	if (r < 0)
		return r;
	image->image.manifest = image_manifest_text(&image->image);
	hash_of(image->image.manifest, strlen(image->image.manifest), image->manifest);
	return write_blob(s, image->manifest, image->image.manifest, image->created, err);
}

static json_t *index_entry(const struct save_image *image, const char *name)
{
	json_t *entry = json_pack("{s:s, s:s, s:I}", "mediaType",
		"application/vnd.oci.image.manifest.v1+json", "digest", image->manifest, "size",
		(json_int_t)strlen(image->image.manifest));
	struct reference ref;

	if (name && reference_parse(name, &ref, NULL) == 0)
		json_object_set_new(entry, "annotations",
			json_pack("{s:s, s:s}", "io.containerd.image.name", name,
				"org.opencontainers.image.ref.name", ref.tag));
	return entry;
}

static json_t *docker_entry(const struct save_image *image)
{
	json_t *layers = json_array(), *tags = image->image.names ? json_array() : json_null();

	strv_foreach (name, image->image.names) {
		cleanup(free) char *familiar = familiar_name(*name);
		json_array_append_new(tags, json_string(familiar));
	}
	for (size_t i = 0; i < image->image.n_layers; i++)
		json_array_append_new(layers, json_sprintf("blobs/sha256/%s",
						      digest_hex(image->image.layers[i].diff_id)));
	return json_pack("{s:o, s:o, s:o}", "Config",
		json_sprintf("blobs/sha256/%s", digest_hex(image->image.id)), "RepoTags", tags,
		"Layers", layers);
}

static int write_json(struct save *s, const char *name, json_t *j, struct err *err)
{
	cleanup(free) char *text = json_text(j, 0);

	return tar_write_file(s->writer, name, text, strlen(text), 0, err);
}

static int write_indexes(struct save *s, struct err *err)
{
	cleanup(json_free) json_t *manifests = json_array();
	cleanup(json_free) json_t *docker = json_array();
	cleanup(json_free) json_t *index = NULL;
	cleanup(json_free) json_t *layout = json_pack("{s:s}", "imageLayoutVersion", "1.0.0");
	int r;

	for (size_t i = 0; i < s->n; i++) {
		strv_foreach (name, s->images[i].image.names)
			json_array_append_new(manifests, index_entry(&s->images[i], *name));
		if (!s->images[i].image.names)
			json_array_append_new(manifests, index_entry(&s->images[i], NULL));
		json_array_append_new(docker, docker_entry(&s->images[i]));
	}
	index = json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType",
		"application/vnd.oci.image.index.v1+json", "manifests", manifests);
	r = write_json(s, "index.json", index, err);
	if (r == 0)
		r = write_json(s, "manifest.json", docker, err);
	return r < 0 ? r : write_json(s, "oci-layout", layout, err);
}

int image_save(struct db *db, char *const *names, int fd, struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(save_clear) struct save s = { .db = db, .session = &session };
	int r = store_begin(&session, err);

	strv_foreach (name, names)
		if (r == 0)
			r = add_image(&s, *name, err);
	if (r == 0)
		r = tar_writer_open(fd, LAYER_PLAIN, &s.writer, err);
	if (r == 0)
		r = add_dir(&s, "blobs/", 0, err);
	if (r == 0)
		r = add_dir(&s, "blobs/sha256/", 0, err);
	for (size_t i = 0; r == 0 && i < s.n; i++)
		r = write_image(&s, &s.images[i], err);
	if (r == 0)
		r = write_indexes(&s, err);
	return r < 0 ? r : tar_writer_finish(s.writer, NULL, err);
}
