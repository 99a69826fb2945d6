/*
 * image_load(): docker save's archives, old (a directory a layer) and new, and OCI layouts in a tar.
 * Everything is read, unpacked and checked before anything gets a name, and all images of the
 * archive get their rows in one transaction.
 *
 * An archive that is both is taken as an OCI layout. Its manifests are kept as they are when their
 * layers were compressed; plain layers are kept compressed, and the manifest says so.
 */
#include "image/image.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "image/archive.h"
#include "image/content.h"
#include "image/oci.h"
#include "image/rows.h"

#define MAX_THREADS 4
#define MAX_DEPTH 3 /* of an index in an index */

struct load;

/* A layer that is to be in the store. */
struct load_layer {
	struct load *load;
	char diff_id[DIGEST_LEN + 1]; /* by the configuration */
	char digest[DIGEST_LEN + 1];  /* by the manifest; "" in docker save's */
	const struct archive_member *member;
	struct content content;  /* what became of it, */
	struct image_layer have; /* or what the store had: then diff_id is not empty */
	uint64_t told;
};

struct load_image {
	struct image_new image;
	char id[DIGEST_LEN + 1];
	bool oci;       /* image.manifest is the archive's */
	size_t *layers; /* indices into load.layers */
};

struct load {
	const struct store_session *session;
	struct archive archive;
	struct load_image **images;
	size_t n_images;
	struct load_layer **layers;
	size_t n_layers;

	/* While unpacking; the mutex guards what follows it. */
	pthread_mutex_t mutex;
	image_progress_fn *fn;
	void *data;
	uint64_t done;
};

static void load_clear(struct load *l)
{
	for (size_t i = 0; i < l->n_images; i++) {
		image_new_clear(&l->images[i]->image);
		free(l->images[i]->layers);
		free(l->images[i]);
	}
	for (size_t i = 0; i < l->n_layers; i++) {
		content_clear(&l->layers[i]->content);
		free(l->layers[i]->have.media_type);
		free(l->layers[i]);
	}
	free(l->images);
	free(l->layers);
	archive_clear(&l->archive);
	pthread_mutex_destroy(&l->mutex);
}
DEFINE_CLEANUP_OBJECT(load_clear, struct load);

static size_t add_layer(struct load *l, const char *diff_id, const char *digest,
	const struct archive_member *member)
{
	struct load_layer *layer;

	for (size_t i = 0; i < l->n_layers; i++)
		if (strcmp(l->layers[i]->diff_id, diff_id) == 0 &&
			strcmp(l->layers[i]->digest, digest) == 0)
			return i;
	layer = xnew(struct load_layer);
	*layer = (struct load_layer){ .load = l, .member = member, .content = CONTENT_NONE };
	snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_id);
	snprintf(layer->digest, sizeof(layer->digest), "%s", digest);
	l->layers = xrealloc_array(l->layers, l->n_layers + 1, sizeof(struct load_layer *));
	l->layers[l->n_layers] = layer;
	return l->n_layers++;
}

/* The image with this configuration: the one that is there, or a new one whose *ret_new is true. */
static struct load_image *add_image(struct load *l, const char *id, bool *ret_new)
{
	struct load_image *image;

	for (size_t i = 0; i < l->n_images; i++) {
		if (strcmp(l->images[i]->id, id) == 0) {
			*ret_new = false;
			return l->images[i];
		}
	}
	image = xnew(struct load_image);
	snprintf(image->id, sizeof(image->id), "%s", id);
	l->images = xrealloc_array(l->images, l->n_images + 1, sizeof(struct load_image *));
	l->images[l->n_images++] = image;
	*ret_new = true;
	return image;
}

static int add_name(struct load_image *image, const char *text, struct err *err)
{
	cleanup(free) char *name = NULL;
	int r = normal_name(text, &name, err);

	if (r < 0)
		return err_wrap(err, "a name in the archive");
	if (!strv_contains(image->image.names, name))
		strv_add(&image->image.names, name);
	return 0;
}

/* Parses a configuration and gives the image a place for each of its layers. */
static int set_config(struct load_image *image, const struct buf *text, size_t n_layers,
	struct image_config *config, struct err *err)
{
	int r = image_config_parse(text->data ? text->data : "", text->len, config, err);

	if (r < 0)
		return err_wrap(
			err, "the configuration of image %.*s", ID_SHORT, digest_hex(image->id));
	if (strv_len(config->diff_ids) != n_layers)
		return err_set(err, EINVAL,
			"image %.*s: its configuration names %zu layers, its manifest %zu",
			ID_SHORT, digest_hex(image->id), strv_len(config->diff_ids), n_layers);
	image->image.config = xstrndup(text->data, text->len);
	image->image.n_layers = n_layers;
	image->image.layers = xcalloc(n_layers + 1, sizeof(struct image_layer));
	image->layers = xcalloc(n_layers + 1, sizeof(size_t));
	return 0;
}

static int no_layer(const struct load_image *image, size_t n, const char *name, struct err *err)
{
	return err_set(err, ENOENT, "the archive lacks layer %zu of image %.*s: '%s'", n + 1,
		ID_SHORT, digest_hex(image->id), name);
}

static int load_docker_image(struct load *l, json_t *j, struct err *err)
{
	cleanup(docker_manifest_clear) struct docker_manifest manifest = { 0 };
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(buf_free) struct buf text = { 0 };
	const struct archive_member *m;
	struct load_image *image;
	char id[DIGEST_LEN + 1];
	bool is_new;
	int r = docker_manifest_parse(j, "manifest.json", &manifest, err);

	if (r < 0)
		return r;
	m = archive_find(&l->archive, manifest.config);
	if (!m)
		return err_set(
			err, ENOENT, "the archive lacks the configuration '%s'", manifest.config);
	r = archive_text(&l->archive, m, &text, err);
	if (r < 0)
		return r;
	hash_of(text.data ? text.data : "", text.len, id);
	image = add_image(l, id, &is_new);
	strv_foreach (tag, manifest.repo_tags)
		if (r == 0)
			r = add_name(image, *tag, err);
	if (r < 0 || !is_new)
		return r;
	if (strv_len(manifest.layers) > OCI_MAX_LAYERS)
		return err_set(err, EFBIG, "manifest.json: more than %d layers", OCI_MAX_LAYERS);
	r = set_config(image, &text, strv_len(manifest.layers), &config, err);
	for (size_t i = 0; r == 0 && i < image->image.n_layers; i++) {
		m = archive_find(&l->archive, manifest.layers[i]);
		if (!m)
			return no_layer(image, i, manifest.layers[i], err);
		image->layers[i] = add_layer(l, config.diff_ids[i], "", m);
	}
	return r;
}

static int load_docker(struct load *l, struct err *err)
{
	cleanup(json_free) json_t *list = archive_json(&l->archive, "manifest.json", err);
	json_t *item;
	size_t i;

	if (!list)
		return -EINVAL;
	if (!json_is_array(list) || json_array_size(list) > OCI_MAX_MANIFESTS)
		return err_set(err, EINVAL, "manifest.json: expected an array of at most %d images",
			OCI_MAX_MANIFESTS);
	json_array_foreach (list, i, item) {
		int r = load_docker_image(l, item, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static json_t *blob_json(
	const struct load *l, const char *digest, struct buf *text, struct err *err)
{
	if (archive_blob_text(&l->archive, digest, text, err) < 0)
		return NULL;
	return json_parse(text->data ? text->data : "", text->len, digest, err);
}

/* What `docker save` says about names, for layouts whose index only has the tag. */
static void add_docker_names(struct load *l, struct load_image *image)
{
	cleanup(json_free) json_t *list = archive_json(&l->archive, "manifest.json", NULL);
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		cleanup(docker_manifest_clear) struct docker_manifest manifest = { 0 };
		if (docker_manifest_parse(item, "manifest.json", &manifest, NULL) < 0 ||
			!strstr(manifest.config, digest_hex(image->id)))
			continue;
		strv_foreach (tag, manifest.repo_tags)
			add_name(image, *tag, NULL);
	}
}

/* containerd's annotation is the full name; the specification's may be that or just a tag. */
static void add_oci_names(struct load *l, struct load_image *image, char *const *annotations)
{
	const char *full = map_get(annotations, "io.containerd.image.name");
	const char *ref = map_get(annotations, "org.opencontainers.image.ref.name");

	if (full)
		add_name(image, full, NULL);
	else if (ref && (strchr(ref, ':') || strchr(ref, '/')))
		add_name(image, ref, NULL);
	if (!image->image.names)
		add_docker_names(l, image);
}

static int load_oci_manifest(
	struct load *l, const char *digest, char *const *annotations, struct err *err)
{
	cleanup(oci_manifest_clear) struct oci_manifest manifest = { 0 };
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(buf_free) struct buf text = { 0 }, config_text = { 0 };
	cleanup(json_free) json_t *j = blob_json(l, digest, &text, err);
	struct load_image *image;
	bool is_new;
	int r;

	if (!j)
		return -EINVAL;
	r = oci_manifest_parse(j, digest, &manifest, err);
	if (r < 0)
		return r;
	image = add_image(l, manifest.config.digest, &is_new);
	add_oci_names(l, image, annotations);
	if (!is_new)
		return 0;
	r = archive_blob_text(&l->archive, manifest.config.digest, &config_text, err);
	if (r == 0)
		r = set_config(image, &config_text, manifest.layers.n, &config, err);
	for (size_t i = 0; r == 0 && i < manifest.layers.n; i++) {
		const struct oci_descriptor *d = manifest.layers.items[i];
		const struct archive_member *m = archive_blob(&l->archive, d->digest);
		if (!m)
			return no_layer(image, i, d->digest, err);
		image->layers[i] = add_layer(l, config.diff_ids[i], d->digest, m);
		str_replace(&image->image.layers[i].media_type, d->media_type);
	}
	image->oci = true;
	image->image.manifest = xstrndup(text.data, text.len);
	return r;
}

static int load_descriptor(struct load *l, const struct oci_descriptor *d, char *const *annotations,
	int depth, struct err *err)
{
	cleanup(oci_index_clear) struct oci_index index = { 0 };
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(json_free) json_t *j = NULL;
	const struct oci_descriptor *chosen;
	int r;

	if (!oci_is_index(d))
		return load_oci_manifest(l, d->digest, annotations, err);
	if (depth == MAX_DEPTH)
		return err_set(
			err, EINVAL, "the archive's index is nested more than %d deep", MAX_DEPTH);
	j = blob_json(l, d->digest, &text, err);
	if (!j)
		return -EINVAL;
	r = oci_index_parse(j, d->digest, &index, err);
	if (r < 0)
		return r;
	chosen = oci_index_choose(&index);
	if (!chosen)
		return err_set(err, ENOENT, "the archive's index %s has no image", d->digest);
	return load_descriptor(l, chosen, annotations, depth + 1, err);
}

/* Of several platforms under one name only this host's is loaded, if it is there. */
static bool is_other_platform(const struct oci_index *index, const struct oci_descriptor *d)
{
	const char *key = "org.opencontainers.image.ref.name";
	const char *name = map_get(d->annotations, key);

	if (!d->platform || oci_is_host(d))
		return false;
	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *other = index->manifests.items[i];
		const char *other_name = map_get(other->annotations, key);
		if (oci_is_host(other) &&
			strcmp(name ? name : "", other_name ? other_name : "") == 0)
			return true;
	}
	return false;
}

static int load_oci(struct load *l, struct err *err)
{
	cleanup(json_free) json_t *j = archive_json(&l->archive, "index.json", err);
	cleanup(oci_index_clear) struct oci_index index = { 0 };
	int r;

	if (!j)
		return -EINVAL;
	r = oci_index_parse(j, "index.json", &index, err);
	for (size_t i = 0; r == 0 && i < index.manifests.n; i++) {
		const struct oci_descriptor *d = index.manifests.items[i];
		if (!oci_is_attestation(d) && !is_other_platform(&index, d))
			r = load_descriptor(l, d, d->annotations, 0, err);
	}
	return r;
}

static int find_images(struct load *l, struct err *err)
{
	int r;

	if (archive_find(&l->archive, "index.json") && archive_find(&l->archive, "oci-layout"))
		r = load_oci(l, err);
	else if (archive_find(&l->archive, "manifest.json"))
		r = load_docker(l, err);
	else
		return err_set(err, EINVAL,
			"this is no image archive: it has neither index.json nor manifest.json; a root filesystem is for 'holm import'");
	if (r == 0 && !l->n_images)
		return err_set(err, EINVAL, "the archive has no image");
	return r;
}

static void told(void *data, const char *what, uint64_t done)
{
	struct load_layer *layer = data;
	struct load *l = layer->load;

	pthread_mutex_lock(&l->mutex);
	l->done += done - layer->told;
	layer->told = done;
	if (l->fn)
		l->fn(l->data, "unpacking layers", l->done);
	pthread_mutex_unlock(&l->mutex);
}

static int mismatch(
	const struct load_layer *layer, const char *expected, const char *got, struct err *err)
{
	return err_set(err, EBADMSG, "the archive is damaged: layer '%s': expected %s, got %s",
		layer->member->name, expected, got);
}

static int unpack_one(struct load_layer *layer, struct err *err)
{
	const struct layer_options options = { .progress = told, .progress_data = layer };
	const struct image_layer *got = &layer->content.layer;
	int r = content_take_file(
		layer->load->session, layer->member->file, &options, &layer->content, err);

	if (r < 0)
		return err_wrap(err, "layer '%s'", layer->member->name);
	/* The manifest's digest is that of the layer as it came: compressed, or plain. */
	if (layer->digest[0] && strcmp(layer->digest, got->blob) != 0 &&
		strcmp(layer->digest, got->diff_id) != 0) {
		bool compressed = strcmp(layer->content.blob.name, layer->member->file) == 0;
		return mismatch(layer, layer->digest, compressed ? got->blob : got->diff_id, err);
	}
	if (strcmp(layer->diff_id, got->diff_id) != 0)
		return mismatch(layer, layer->diff_id, got->diff_id, err);
	return 0;
}

static int unpack_item(void *data, size_t i, void **own, struct err *err)
{
	struct load *l = data;

	return l->layers[i]->have.diff_id[0] ? 0 : unpack_one(l->layers[i], err);
}

static int unpack_layers(struct load *l, struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct parallel p = { .n = l->n_layers,
		.threads = cpus < 1             ? 1
			   : cpus > MAX_THREADS ? MAX_THREADS
						: (size_t)cpus,
		.work = unpack_item,
		.data = l };

	return parallel_run(&p, err);
}

/* Two layers of one archive may share a file, or be the same layer in two forms. */
static int separate_files(struct load *l, struct err *err)
{
	for (size_t i = 0; i < l->n_layers; i++)
		for (size_t k = 0; k < i; k++)
			if (l->layers[i]->member == l->layers[k]->member)
				return err_set(err, EBADMSG,
					"the archive is damaged: layer '%s': expected %s and %s at once",
					l->layers[i]->member->name, l->layers[i]->diff_id,
					l->layers[k]->diff_id);
	return 0;
}

static int find_present(struct load *l, struct db *db, struct err *err)
{
	for (size_t i = 0; i < l->n_layers; i++) {
		struct load_layer *layer = l->layers[i];
		/* A plain layer is kept in a form of ours, whatever that was. */
		bool plain = !layer->digest[0] || strcmp(layer->digest, layer->diff_id) == 0;
		int r = content_find(
			db, layer->diff_id, plain ? NULL : layer->digest, &layer->have, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void describe_layers(struct load *l, struct load_image *image)
{
	bool same = image->oci;

	for (size_t i = 0; i < image->image.n_layers; i++) {
		const struct load_layer *layer = l->layers[image->layers[i]];
		const struct image_layer *from =
			layer->have.diff_id[0] ? &layer->have : &layer->content.layer;
		struct image_layer *to = &image->image.layers[i];
		free(to->media_type);
		*to = *from;
		to->media_type = xstrdup_null(from->media_type);
		if (strcmp(layer->digest, from->blob) != 0)
			same = false;
	}
	if (!same) {
		free(image->image.manifest);
		image->image.manifest = NULL;
	}
}

static int keep_all(struct load *l, struct db *db, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r = store_sync(l->session, err);

	for (size_t i = 0; r == 0 && i < l->n_layers; i++)
		if (!l->layers[i]->have.diff_id[0])
			r = content_keep(&l->layers[i]->content, err);
	if (r == 0)
		r = db_begin(db, &txn, err);
	for (size_t i = 0; r == 0 && i < l->n_images; i++) {
		describe_layers(l, l->images[i]);
		l->images[i]->image.why = "loaded";
		r = image_add(db, &l->images[i]->image, err);
	}
	return r < 0 ? r : db_commit(&txn, err);
}

static void report_images(const struct load *l, char ***report)
{
	for (size_t i = 0; i < l->n_images; i++) {
		const struct load_image *image = l->images[i];
		strv_foreach (name, image->image.names) {
			cleanup(free) char *familiar = familiar_name(*name);
			strv_addf(report, "Loaded image: %s", familiar);
		}
		if (!image->image.names)
			strv_addf(report, "Loaded image ID: %s", image->id);
	}
}

int image_load(
	struct db *db, int fd, char ***report, image_progress_fn *fn, void *data, struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(load_clear) struct load l = {
		.session = &session, .mutex = PTHREAD_MUTEX_INITIALIZER, .fn = fn, .data = data
	};
	int r = store_begin(&session, err);

	if (r == 0)
		r = archive_read(&session, fd, fn, data, &l.archive, err);
	if (r == 0)
		r = find_images(&l, err);
	if (r == 0)
		r = separate_files(&l, err);
	if (r == 0)
		r = find_present(&l, db, err);
	if (r == 0)
		r = unpack_layers(&l, err);
	if (r == 0)
		r = keep_all(&l, db, err);
	if (r < 0)
		return r;
	report_images(&l, report);
	return 0;
}
