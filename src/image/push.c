/*
 * Pushing: first the blobs that the registry does not have, several at a time, then the manifest that names them. A
 * blob that the registry has in another repository, as far as the store's names tell, is mounted from there.
 */
#include "image/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "image/oci.h"
#include "image/registry_client.h"
#include "image/rows.h"
#include "image/store.h"

#define MAX_THREADS 3

struct blob_push {
	struct push *push;
	size_t n;
	char digest[DIGEST_LEN + 1];
	int64_t size, done;
	const char *text; /* the configuration's; else a blob of the store */
};

struct push {
	const struct image_push *how;
	struct registry *registry;
	char *manifest, *config;
	char media_type[128];
	char **from; /* paths of repositories of this registry that may have our blobs */
	struct blob_push *blobs;
	size_t n;
	pthread_mutex_t mutex; /* of the progress */
};

static void push_clear(struct push *p)
{
	free(p->manifest);
	free(p->config);
	strv_free(p->from);
	free(p->blobs);
	pthread_mutex_destroy(&p->mutex);
}
DEFINE_CLEANUP_OBJECT(push_clear, struct push);

static void tell(struct blob_push *b, enum transfer_phase phase)
{
	struct push *p = b->push;

	if (!p->how->progress || b->text)
		return;
	pthread_mutex_lock(&p->mutex);
	p->how->progress(
		p->how->data, b->n, b->digest, phase, (uint64_t)b->done, (uint64_t)b->size);
	pthread_mutex_unlock(&p->mutex);
}

static void sent(void *data, int64_t bytes)
{
	struct blob_push *b = data;

	b->done = bytes;
	tell(b, TRANSFER_MOVING);
}

/* 1 when the registry has the blob in our repository. */
static int has_blob(struct blob_push *b, struct http *h, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest = xasprintf("blobs/%s", b->digest);
	struct http_request q = HTTP_REQUEST("HEAD", NULL);
	int r = registry_request(b->push->registry, h, rest, &q, &response, err);

	return r == -ENOENT ? 0 : r < 0 ? r : response.status == 200;
}

/* Begins an upload. 1 when the blob was mounted instead; else *ret_location. */
static int begin(
	struct blob_push *b, struct http *h, const char *from, char **ret_location, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest =
		from ? xasprintf("blobs/uploads/?mount=%s&from=%s", b->digest, from)
		     : xstrdup("blobs/uploads/");
	struct http_request q = HTTP_REQUEST("POST", NULL);
	int r = registry_request(b->push->registry, h, rest, &q, &response, err);

	if (r < 0)
		return r;
	if (response.status == 201)
		return 1;
	*ret_location = http_header(&response, "Location");
	if (response.status != 202 || !*ret_location)
		return err_set(err, EPROTO, "%s takes no upload: status %ld",
			registry_host(b->push->registry), response.status);
	return 0;
}

/* Where an upload goes on may be on another host, but then without who we are. */
static int upload(struct blob_push *b, struct http *h, const char *location, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(fd_close) int fd = b->text ? -1 : store_open_blob(b->digest, err);
	cleanup(free) char *url =
		xasprintf("%s%sdigest=%s", location, strchr(location, '?') ? "&" : "?", b->digest);
	char *headers[] = { (char *)"Content-Type: application/octet-stream", NULL };
	struct http_request q = HTTP_REQUEST("PUT", NULL);
	int r;

	if (!b->text && fd < 0)
		return fd;
	if (!strstr(url, "://") && url[0] != '/')
		return err_set(err, EPROTO, "%s names no place for an upload: '%.100s'",
			registry_host(b->push->registry), location);
	q.headers = headers;
	q.body = b->text;
	q.body_len = b->text ? strlen(b->text) : 0;
	q.body_fd = fd;
	q.body_size = b->size;
	q.sent = sent;
	q.data = b;
	r = registry_request(b->push->registry, h, url, &q, &response, err);
	if (r == 0 && response.status != 201 && response.status != 204)
		return err_set(err, EPROTO, "%s does not take the blob: status %ld",
			registry_host(b->push->registry), response.status);
	return r;
}

static int push_blob(struct blob_push *b, struct http *h, struct err *err)
{
	cleanup(free) char *location = NULL;
	int r = has_blob(b, h, err);

	if (r != 0) {
		if (r > 0)
			tell(b, TRANSFER_EXISTS);
		return r < 0 ? r : 0;
	}
	strv_foreach (from, b->push->from) {
		free(take(location));
		r = begin(b, h, *from, &location, NULL);
		if (r > 0) {
			tell(b, TRANSFER_MOUNTED);
			return 0;
		}
		/* Not to be had there; what was begun does for the upload. */
		if (r == 0)
			break;
	}
	if (!location)
		r = begin(b, h, NULL, &location, err);
	if (r == 0)
		r = upload(b, h, location, err);
	if (r < 0)
		return r;
	tell(b, TRANSFER_DONE);
	return 0;
}

static int push_item(void *data, size_t i, void **own, struct err *err)
{
	struct push *p = data;
	struct http *http = *own;
	int r = http ? 0 : http_open(&http, err);

	*own = http;
	if (r == 0)
		r = push_blob(&p->blobs[i], http, err);
	if (r == 0)
		return 0;
	return p->blobs[i].text ? err_wrap(err, "the configuration")
				: err_wrap(err, "layer %zu of %zu", i + 1, p->n - 1);
}

static void close_http(void *own)
{
	http_close(own);
}

static int push_blobs(struct push *p, struct err *err)
{
	struct parallel transfers = {
		.n = p->n, .threads = MAX_THREADS, .work = push_item, .done = close_http, .data = p
	};

	return parallel_run(&transfers, err);
}

static int push_manifest(struct push *p, struct http *h, const char *tag,
	char digest[DIGEST_LEN + 1], struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest = xasprintf("manifests/%s", tag);
	cleanup(free) char *type = xasprintf("Content-Type: %s", p->media_type);
	char *headers[] = { type, NULL };
	struct http_request q = HTTP_REQUEST("PUT", NULL);
	int r;

	q.headers = headers;
	q.body = p->manifest;
	q.body_len = strlen(p->manifest);
	r = registry_request(p->registry, h, rest, &q, &response, err);
	if (r < 0)
		return err_wrap(err, "the manifest");
	if (response.status != 201 && response.status != 200)
		return err_set(err, EPROTO, "%s does not take the manifest: status %ld",
			registry_host(p->registry), response.status);
	hash_of(p->manifest, strlen(p->manifest), digest);
	return 0;
}

/* What the store has of the image. */
static int read_rows(struct db *db, struct push *p, const char *id, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT manifest_text, config FROM image WHERE id = ?");
	cleanup(oci_manifest_clear) struct oci_manifest manifest = { 0 };
	cleanup(json_free) json_t *j = NULL;
	const char *type;
	int r;

	db_text(&q, 1, id);
	r = db_step(&q, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, ENOENT, "the image was removed just now");
	p->manifest = xstrdup(db_get_text(&q, 0));
	p->config = xstrdup(db_get_text(&q, 1));
	j = json_parse(p->manifest, strlen(p->manifest), "the manifest", err);
	if (!j)
		return -EUCLEAN;
	type = json_string_value(json_object_get(j, "mediaType"));
	snprintf(p->media_type, sizeof(p->media_type), "%s",
		type ? type : "application/vnd.oci.image.manifest.v1+json");
	r = oci_manifest_parse(j, "the manifest", &manifest, err);
	if (r < 0)
		return r;
	p->n = manifest.layers.n + 1;
	p->blobs = xcalloc(p->n, sizeof(*p->blobs));
	for (size_t i = 0; i < p->n; i++) {
		bool last = i == manifest.layers.n;
		const struct oci_descriptor *d = last ? &manifest.config : manifest.layers.items[i];
		struct blob_push *b = &p->blobs[i];
		*b = (struct blob_push){
			.push = p, .n = i, .size = d->size, .text = last ? p->config : NULL
		};
		snprintf(b->digest, sizeof(b->digest), "%s", d->digest);
		tell(b, TRANSFER_WAITING);
	}
	return 0;
}

/* Other repositories of the registry that names of the store, also earlier ones, give to images with one of the
 * layers. */
static int find_others(
	struct db *db, struct push *p, const struct reference *ref, const char *id, struct err *err)
{
	cleanup(free) char *prefix = xasprintf("%s/", ref->domain);
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT DISTINCT d.name FROM image_digest d JOIN image_layer i ON i.image = d.image"
		" WHERE substr(d.name, 1, length(?1)) = ?1"
		" AND i.blob IN (SELECT blob FROM image_layer WHERE image = ?2) LIMIT 8");
	int r;

	db_text(&q, 1, prefix);
	db_text(&q, 2, id);
	while ((r = db_step(&q, err)) > 0) {
		struct reference other;
		if (reference_parse(db_get_text(&q, 0), &other, NULL) == 0 &&
			strcmp(other.path, ref->path) != 0 && !strv_contains(p->from, other.path))
			strv_add(&p->from, other.path);
	}
	return r;
}

int image_push(struct db *db, const char *reference, const struct image_push *how,
	char digest[DIGEST_LEN + 1], struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(registry_close) struct registry *registry = NULL;
	cleanup(http_close) struct http *h = NULL;
	cleanup(push_clear) struct push p = { .how = how, .mutex = PTHREAD_MUTEX_INITIALIZER };
	cleanup(free) char *name = NULL;
	struct reference ref;
	char id[DIGEST_LEN + 1];
	int r = reference_parse(reference, &ref, err);

	if (r == 0)
		r = normal_name(reference, &name, err);
	if (r == 0)
		r = image_resolve(db, reference, NULL, id, err);
	/* What is being sent is not collected. */
	if (r == 0)
		r = store_begin(&session, err);
	if (r == 0)
		r = read_rows(db, &p, id, err);
	if (r == 0)
		r = find_others(db, &p, &ref, id, err);
	if (r == 0)
		r = http_open(&h, err);
	if (r == 0)
		r = registry_open(ref.domain, ref.path, REGISTRY_PUSH, &registry, err);
	if (r < 0)
		return r;
	p.registry = registry;
	strv_foreach (from, p.from)
		registry_also(registry, *from);
	r = push_blobs(&p, err);
	if (r == 0)
		r = push_manifest(&p, h, ref.tag, digest, err);
	return r < 0 ? r : digest_set(db, &ref, digest, id, false, err);
}
