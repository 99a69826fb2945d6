/*
 * Pulling. Each of a few threads takes the next layer that is missing: a second thread receives it into
 * ROOT/partial/HEX and into a pipe, from which it is unpacked at the same time. A layer that is whole moves from
 * there into the session, and with all others into its place.
 *
 * Who pulls a layer holds the lock on its partial file until the image has its rows. All locks are taken before the
 * first byte is asked for, in the order of the digests: nobody waits for one who waits for him.
 */
#include "image/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/strv.h"
#include "base/thread.h"
#include "image/content.h"
#include "image/oci.h"
#include "image/platform.h"
#include "image/registry_client.h"
#include "image/registry_hosts.h"
#include "image/rows.h"

#define MAX_THREADS 3 /* as Docker */
#define MAX_DEPTH 3   /* of indexes in indexes */
#define RESUMES 5     /* of one layer, without PROGRESS in between */
#define PROGRESS (64 << 10)
#define CHUNK (256u << 10)
#define CONFIG_MAX (4u << 20)
/* A tar that inflates to more than this is no layer but an attack. */
#define INFLATED_MAX(compressed) ((4LL << 30) + 200 * (compressed))

struct pull {
	struct db *db;
	const struct image_pull *how;
	const struct store_session *session;
	struct registry *registry;
	struct platform platform;
	struct oci_manifest manifest;
	struct image_config config;
	struct image_new image;
	struct layer_pull *layers;
	struct parallel transfers;
	pthread_mutex_t mutex; /* of the progress */
};

struct layer_pull {
	struct pull *pull;
	size_t n;
	const struct oci_descriptor *what;
	const char *diff_id;
	struct image_layer have; /* diff_id: "" while it is missing */
	struct content content;
	size_t same_as; /* an earlier layer that is the same one, or n */
	/* On the way. */
	int file; /* ROOT/partial/HEX, locked; -1: nothing is to be done */
	int pipe; /* the writing end */
	int64_t done;
	int64_t asked; /* from this byte on */
	int64_t skip;  /* bytes of an answer that we have */
	struct http *http;
	int failure;
	struct err err;
};

static void pull_clear(struct pull *p)
{
	for (size_t i = 0; p->layers && i < p->manifest.layers.n; i++) {
		content_clear(&p->layers[i].content);
		free(p->layers[i].have.media_type);
		fd_close(p->layers[i].file);
	}
	free(p->layers);
	oci_manifest_clear(&p->manifest);
	image_config_clear(&p->config);
	image_new_clear(&p->image);
	pthread_mutex_destroy(&p->mutex);
}
DEFINE_CLEANUP_OBJECT(pull_clear, struct pull);

void image_pulled_clear(struct image_pulled *pulled)
{
	free(pulled->name);
	*pulled = (struct image_pulled){ 0 };
}

static void tell(struct layer_pull *l, enum transfer_phase phase)
{
	struct pull *p = l->pull;

	if (!p->how->progress)
		return;
	pthread_mutex_lock(&p->mutex);
	p->how->progress(p->how->data, l->n, l->what->digest, phase, (uint64_t)l->done,
		(uint64_t)l->what->size);
	pthread_mutex_unlock(&p->mutex);
}

/* Receiving. */

static int pass_on(struct layer_pull *l, const void *bytes, size_t len)
{
	int r = fd_write_all(l->pipe, bytes, len);

	l->done += r == 0 ? (int64_t)len : 0;
	tell(l, TRANSFER_MOVING);
	return r;
}

/* "Content-Range: bytes FIRST-LAST/SIZE" of a 206 is what was asked for (RFC 9110, 14.4). */
static int check_range(
	const struct layer_pull *l, const struct http_response *response, struct err *err)
{
	cleanup(free) char *text = http_header(response, "Content-Range");
	long long first = -1, last, size = l->what->size;
	int n = text ? sscanf(text, "bytes %lld-%lld/%lld", &first, &last, &size) : 0;

	if (n < 2 || first != l->asked || size != l->what->size)
		return err_set(err, EBADMSG,
			"%s gives another part of the layer than was asked for: '%.100s'",
			registry_host(l->pull->registry), text ? text : "");
	return 0;
}

static int receive(void *data, const struct http_response *response, const void *bytes, size_t len,
	struct err *err)
{
	struct layer_pull *l = data;
	size_t skipped = 0;
	int r = response->status == 206 ? check_range(l, response, err) : 0;

	if (r < 0)
		return r;
	if (parallel_stopped(&l->pull->transfers))
		return err_set(err, ECANCELED, "another layer failed");
	/* The whole of it, though only a part was asked for. */
	if (response->status == 200 && l->skip) {
		skipped = (int64_t)len < l->skip ? len : (size_t)l->skip;
		l->skip -= (int64_t)skipped;
	}
	bytes = (const char *)bytes + skipped;
	len -= skipped;
	if ((int64_t)len > l->what->size - l->done)
		return err_set(err, EFBIG, "%s sends more than the %lld bytes of the layer",
			registry_host(l->pull->registry), (long long)l->what->size);
	if (len == 0)
		return 0;
	r = fd_write_all(l->file, bytes, len);
	if (r < 0)
		return err_code(err, r, "write '%s/partial'", paths_root());
	r = pass_on(l, bytes, len);
	return r < 0 ? err_code(err, r, "unpack a layer") : 0;
}

/* The rest of the layer, in one answer or a part of it. */
static int receive_once(struct layer_pull *l, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest = xasprintf("blobs/%s", l->what->digest);
	cleanup(strv_free) char **headers = NULL;
	struct http_request q = HTTP_REQUEST("GET", NULL);

	if (l->done > 0)
		strv_addf(&headers, "Range: bytes=%lld-", (long long)l->done);
	l->asked = l->skip = l->done;
	q.headers = headers;
	q.sink = receive;
	q.data = l;
	return registry_request(l->pull->registry, l->http, rest, &q, &response, err);
}

/* Broken off: what is missing is asked for once more. */
static int receive_all(struct layer_pull *l, struct err *err)
{
	int tries = 0;

	while (l->done < l->what->size) {
		int64_t before = l->done;
		int r = receive_once(l, err);
		bool broken = r == -ECONNRESET || r == -ETIMEDOUT || r == -ECONNREFUSED;
		if (r < 0 && !broken)
			return r;
		tries = l->done - before >= PROGRESS ? 0 : tries + 1;
		if (l->done < l->what->size && tries >= RESUMES)
			return r < 0 ? r
				     : err_set(err, EPROTO,
					       "%s sends %lld bytes of a layer of %lld",
					       registry_host(l->pull->registry), (long long)l->done,
					       (long long)l->what->size);
		if (broken)
			log_debug("image", "%s: resumed at %lld", l->what->digest,
				(long long)l->done);
		if (tries > 1)
			usleep(100000u << tries);
	}
	return 0;
}

/* What an earlier pull has got. */
static int pass_on_partial(struct layer_pull *l, struct err *err)
{
	cleanup(free) uint8_t *bytes = xcalloc(1, CHUNK);
	struct stat st;

	if (fstat(l->file, &st) < 0)
		return err_errno(err, "look at '%s/partial'", paths_root());
	if (st.st_size > l->what->size && ftruncate(l->file, 0) < 0)
		return err_errno(err, "write '%s/partial'", paths_root());
	for (;;) {
		ssize_t n = fd_read_full(l->file, bytes, CHUNK);
		int r;
		if (n <= 0)
			return n < 0 ? err_code(err, (int)n, "read '%s/partial'", paths_root()) : 0;
		r = pass_on(l, bytes, (size_t)n);
		if (r < 0)
			return err_code(err, r, "unpack a layer");
	}
}

static void *receiver(void *data)
{
	struct layer_pull *l = data;

	l->failure = pass_on_partial(l, &l->err);
	if (l->failure == 0)
		l->failure = receive_all(l, &l->err);
	l->pipe = fd_close(l->pipe);
	return NULL;
}

/* One layer. */

static int open_partial(struct layer_pull *l, struct err *err)
{
	cleanup(free) char *name = xasprintf("partial/%s", digest_hex(l->what->digest));
	int root = l->pull->session->root;

	for (;;) {
		cleanup(fd_close) int fd =
			openat(root, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat is, at;
		if (fd < 0)
			return err_errno(err, "open '%s/%s'", paths_root(), name);
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_errno(err, "lock '%s/%s'", paths_root(), name);
		/* The other one has finished it, or begun anew. */
		if (fstat(fd, &is) == 0 && fstatat(root, name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
			is.st_ino == at.st_ino && is.st_dev == at.st_dev) {
			l->file = take_fd(fd);
			return 0;
		}
	}
}

static int unpack_and_receive(struct layer_pull *l, struct layer_result *result, struct err *err)
{
	const struct layer_options options = { .limits.bytes = INFLATED_MAX(l->what->size) };
	cleanup(fd_close) int reading = -1;
	pthread_t thread;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	reading = ends[0];
	l->pipe = ends[1];
	fcntl(reading, F_SETPIPE_SZ, 1 << 20);
	l->failure = 0;
	l->done = 0;
	/* With signals blocked: when unpacking fails, the pipe breaks. */
	r = thread_start(&thread, receiver, l);
	if (r < 0) {
		l->pipe = fd_close(l->pipe);
		return err_code(err, r, "start a thread");
	}
	r = content_take_tree(l->pull->session, reading, &options, &l->content, result, err);
	reading = fd_close(reading);
	pthread_join(thread, NULL);
	/* What was received badly does not unpack: the cause comes first. */
	if (l->failure < 0 && (r == 0 || l->failure != -EPIPE)) {
		if (err)
			*err = l->err;
		return l->failure;
	}
	return r;
}

static int check_digests(
	const struct layer_pull *l, const struct layer_result *result, struct err *err)
{
	if (strcmp(result->digest, l->what->digest) != 0)
		return err_set(err, EBADMSG, "%s gives another layer: expected %s, got %s",
			registry_host(l->pull->registry), l->what->digest, result->digest);
	if (strcmp(result->diff_id, l->diff_id) != 0)
		return err_set(err, EBADMSG,
			"the image is damaged: layer %zu unpacks to %s, its configuration says %s",
			l->n + 1, result->diff_id, l->diff_id);
	return 0;
}

/* The partial file is whole: it becomes the session's, and the content's blob. */
static int adopt(struct layer_pull *l, const struct layer_result *result, struct err *err)
{
	cleanup(free) char *from = xasprintf("partial/%s", digest_hex(l->what->digest));
	struct content *c = &l->content;
	char id[ID_LEN + 1];
	cleanup(fd_close) int copy = -1; /* the lock outlives the blob's descriptor */

	if (fsync(l->file) < 0)
		return err_errno(err, "write a blob in '%s'", paths_root());
	copy = fcntl(l->file, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return err_errno(err, "keep a descriptor");
	id_random(id);
	snprintf(c->blob.name, sizeof(c->blob.name), "%.16s", id);
	if (renameat(l->pull->session->root, from, l->pull->session->tmp, c->blob.name) < 0)
		return err_errno(err, "keep a blob in '%s'", paths_root());
	c->blob.session = l->pull->session;
	c->blob.fd = take_fd(copy);
	snprintf(c->layer.diff_id, sizeof(c->layer.diff_id), "%s", result->diff_id);
	snprintf(c->layer.blob, sizeof(c->layer.blob), "%s", result->digest);
	c->layer.media_type = xstrdup(layer_media_type(result->compression));
	c->layer.blob_size = l->what->size;
	c->layer.size = result->size;
	return 0;
}

static int pull_layer_once(struct layer_pull *l, bool *ret_resumed, bool *ret_bad, struct err *err)
{
	struct layer_result result = { 0 };
	struct stat st;
	int r;

	if (lseek(l->file, 0, SEEK_SET) < 0)
		return err_errno(err, "read '%s/partial'", paths_root());
	*ret_resumed = fstat(l->file, &st) == 0 && st.st_size > 0;
	r = unpack_and_receive(l, &result, err);
	if (r == 0)
		r = check_digests(l, &result, err);
	if (r == 0)
		r = adopt(l, &result, err);
	if (r == 0)
		return 0;
	content_clear(&l->content);
	/* Whatever came is kept only when it is the coming that failed. */
	*ret_bad = l->failure == 0 || l->failure == -EPIPE || l->failure == -EFBIG ||
		   l->failure == -EBADMSG;
	if (*ret_bad)
		(void)!ftruncate(l->file, 0);
	return r;
}

static int pull_layer(struct layer_pull *l, struct err *err)
{
	bool resumed = false, bad = false;
	int r = pull_layer_once(l, &resumed, &bad, err);

	/* The part that was there may be what is wrong, or a server that cannot go on from it. */
	if (r < 0 && bad && (resumed || l->failure == -EBADMSG))
		r = pull_layer_once(l, &resumed, &bad, err);
	if (r == 0)
		tell(l, TRANSFER_DONE);
	return r < 0 ? err_wrap(err, "layer %zu of %zu", l->n + 1, l->pull->manifest.layers.n) : 0;
}

static int pull_item(void *data, size_t i, void **own, struct err *err)
{
	struct pull *p = data;
	struct layer_pull *l = &p->layers[i];
	struct http *http = *own;
	int r = 0;

	if (l->file < 0)
		return 0;
	if (!http)
		r = http_open(&http, err);
	*own = http;
	l->http = http;
	return r < 0 ? r : pull_layer(l, err);
}

static void close_http(void *own)
{
	http_close(own);
}

static int by_digest(const void *a, const void *b)
{
	const struct layer_pull *const *x = a, *const *y = b;

	return strcmp((*x)->what->digest, (*y)->what->digest);
}

/* Another pull may have got it while we waited. */
static int look_again(struct layer_pull *l, struct err *err)
{
	cleanup(free) char *name = xasprintf("partial/%s", digest_hex(l->what->digest));
	struct stat st;
	int r = l->pull->how->again
			? 0
			: content_find(l->pull->db, l->diff_id, l->what->digest, &l->have, err);

	if (r <= 0)
		return r;
	if (fstat(l->file, &st) == 0 && st.st_size == 0)
		unlinkat(l->pull->session->root, name, 0);
	l->file = fd_close(l->file);
	tell(l, TRANSFER_EXISTS);
	return 0;
}

static int lock_layers(struct pull *p, struct err *err)
{
	size_t n = p->manifest.layers.n, missing = 0;
	cleanup(free) struct layer_pull **order = xcalloc(n ? n : 1, sizeof(struct layer_pull *));
	int r = 0;

	if (mkdirat(p->session->root, "partial", 0700) < 0 && errno != EEXIST)
		return err_errno(err, "make '%s/partial'", paths_root());
	for (size_t i = 0; i < n; i++)
		if (!p->layers[i].have.diff_id[0] && p->layers[i].same_as == i)
			order[missing++] = &p->layers[i];
	qsort(order, missing, sizeof(*order), by_digest);
	for (size_t i = 0; r == 0 && i < missing; i++)
		r = open_partial(order[i], err);
	for (size_t i = 0; r == 0 && i < missing; i++)
		r = look_again(order[i], err);
	return r;
}

static int pull_layers(struct pull *p, struct err *err)
{
	int r = lock_layers(p, err);

	p->transfers = (struct parallel){ .n = p->manifest.layers.n,
		.threads = MAX_THREADS,
		.work = pull_item,
		.done = close_http,
		.data = p };
	return r < 0 ? r : parallel_run(&p->transfers, err);
}

/* The image. */

static bool fits(const struct platform *p, const struct oci_descriptor *d)
{
	return d->platform && d->platform->os && d->platform->architecture &&
	       strcmp(d->platform->os, p->os) == 0 &&
	       strcmp(d->platform->architecture, p->architecture) == 0 && !oci_is_attestation(d);
}

static bool same_variant(const struct platform *p, const struct oci_descriptor *d)
{
	return p->variant[0] && d->platform->variant &&
	       strcmp(d->platform->variant, p->variant) == 0;
}

static const struct oci_descriptor *choose(
	const struct oci_index *index, const struct platform *platform)
{
	const struct oci_descriptor *found = NULL;

	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = index->manifests.items[i];
		if (fits(platform, d) && (!found || same_variant(platform, d)))
			found = d;
	}
	return found;
}

static int no_platform(const struct pull *p, const struct oci_index *index, struct err *err)
{
	cleanup(strv_free) char **there = NULL;
	cleanup(free) char *list = NULL;

	for (size_t i = 0; i < index->manifests.n && strv_len(there) < 8; i++) {
		const struct oci_descriptor *d = index->manifests.items[i];
		if (d->platform && d->platform->os && d->platform->architecture &&
			!oci_is_attestation(d))
			strv_addf(
				&there, "%.32s/%.32s", d->platform->os, d->platform->architecture);
	}
	list = strv_join(there, ", ");
	return err_set(err, ENOENT, "the image is not there for %s/%s, only for: %s",
		p->platform.os, p->platform.architecture, list ? list : "");
}

static bool is_index(const char *media_type, json_t *j)
{
	const char *own = json_string_value(json_object_get(j, "mediaType"));
	struct oci_descriptor d = { .media_type = (char *)(own ? own : media_type) };

	return oci_is_index(&d) ||
	       (json_is_array(json_object_get(j, "manifests")) && !json_object_get(j, "layers"));
}

/* From a tag or a digest down to the manifest for the platform. */
static int get_manifest(struct pull *p, struct http *h, const char *reference,
	char digest[DIGEST_LEN + 1], struct err *err)
{
	cleanup(free) char *at = xstrdup(reference);

	for (int depth = 0; depth <= MAX_DEPTH; depth++) {
		cleanup(buf_free) struct buf text = { 0 };
		cleanup(free) char *media_type = NULL;
		cleanup(json_free) json_t *j = NULL;
		cleanup(oci_index_clear) struct oci_index index = { 0 };
		const struct oci_descriptor *chosen;
		char is[DIGEST_LEN + 1];
		int r = registry_manifest(p->registry, h, at, &text, is, &media_type, err);
		if (r < 0)
			return r;
		if (depth == 0)
			memcpy(digest, is, sizeof(is));
		j = json_parse(text.data, text.len, "the manifest", err);
		if (!j)
			return -EINVAL;
		if (!is_index(media_type, j)) {
			if (json_integer_value(json_object_get(j, "schemaVersion")) == 1)
				return err_set(err, ENOTSUP,
					"the image is in Docker's first format, which nobody makes any more: push it anew");
			p->image.manifest = buf_detach(&text);
			return oci_manifest_parse(j, "the manifest", &p->manifest, err);
		}
		r = oci_index_parse(j, "the index", &index, err);
		if (r < 0)
			return r;
		chosen = choose(&index, &p->platform);
		if (!chosen)
			return no_platform(p, &index, err);
		free(at);
		at = xstrdup(chosen->digest);
	}
	return err_set(err, ELOOP, "indexes are nested more than %d deep", MAX_DEPTH);
}

static int get_config(struct pull *p, struct http *h, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	const struct oci_descriptor *d = &p->manifest.config;
	int r;

	if (d->size < 0 || d->size > CONFIG_MAX)
		return err_set(err, EFBIG, "the configuration has %lld bytes", (long long)d->size);
	r = registry_blob_text(p->registry, h, d->digest, d->size, &text, err);
	if (r == 0 && (text.len == 0 || memchr(text.data, '\0', text.len)))
		r = err_set(err, EINVAL, "the configuration is no text");
	if (r == 0)
		r = image_config_parse(text.data, text.len, &p->config, err);
	if (r < 0)
		return r;
	if (p->how->platform && p->config.os && p->config.architecture &&
		(strcmp(p->config.os, p->platform.os) != 0 ||
			strcmp(p->config.architecture, p->platform.architecture) != 0))
		return err_set(err, ENOENT, "the image is there only for %.32s/%.32s, not for %s",
			p->config.os, p->config.architecture, p->how->platform);
	if (strv_len(p->config.diff_ids) != p->manifest.layers.n)
		return err_set(err, EINVAL,
			"this is no image to run: %zu layers, of which its configuration knows %zu",
			p->manifest.layers.n, strv_len(p->config.diff_ids));
	p->image.config = buf_detach(&text);
	return 0;
}

static int find_layers(struct pull *p, struct err *err)
{
	size_t n = p->manifest.layers.n;

	p->layers = xcalloc(n ? n : 1, sizeof(*p->layers));
	for (size_t i = 0; i < n; i++)
		p->layers[i] = (struct layer_pull){ .pull = p,
			.n = i,
			.same_as = i,
			.what = p->manifest.layers.items[i],
			.diff_id = p->config.diff_ids[i],
			.content = CONTENT_NONE,
			.file = -1,
			.pipe = -1 };
	for (size_t i = 0; i < n; i++) {
		struct layer_pull *l = &p->layers[i];
		int r = 0;
		if (l->what->size < 0)
			return err_set(err, EINVAL, "layer %zu has %lld bytes", i + 1,
				(long long)l->what->size);
		for (size_t k = 0; k < i && l->same_as == i; k++)
			if (strcmp(p->layers[k].what->digest, l->what->digest) == 0)
				l->same_as = k;
		if (!p->how->again)
			r = content_find(p->db, l->diff_id, l->what->digest, &l->have, err);
		if (r < 0)
			return r;
		tell(l, l->have.diff_id[0] ? TRANSFER_EXISTS : TRANSFER_WAITING);
	}
	return 0;
}

/* A layer that was damaged gives way. */
static int keep_layer(struct layer_pull *l, struct err *err)
{
	struct content *c = &l->content;
	int r = blob_keep(&c->blob, c->layer.blob, err);

	if (r < 0)
		return r;
	return l->pull->how->again ? store_replace_layer(c->session, c->dir, c->layer.diff_id, err)
				   : store_keep_layer(c->session, c->dir, c->layer.diff_id, err);
}

static int keep_image(struct pull *p, struct err *err)
{
	size_t n = p->manifest.layers.n;
	int r = store_sync(p->session, err);

	p->image.layers = xcalloc(n ? n : 1, sizeof(*p->image.layers));
	p->image.n_layers = n;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct layer_pull *l = &p->layers[p->layers[i].same_as];
		const struct image_layer *from = l->have.diff_id[0] ? &l->have : &l->content.layer;
		if (!l->have.diff_id[0] && l->n == i)
			r = keep_layer(l, err);
		p->image.layers[i] = *from;
		p->image.layers[i].media_type = xstrdup_null(from->media_type);
	}
	return r < 0 ? r : image_add(p->db, &p->image, err);
}

static int pull_from(struct db *db, const struct reference *ref, const char *host,
	const struct image_pull *how, struct image_pulled *ret, struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(registry_close) struct registry *registry = NULL;
	cleanup(http_close) struct http *h = NULL;
	cleanup(free) char *why = xasprintf("pulled from %s", host);
	cleanup(free) char *before = NULL;
	cleanup(pull_clear) struct pull p = {
		.db = db, .how = how, .session = &session, .mutex = PTHREAD_MUTEX_INITIALIZER
	};
	int r;

	platform_host(&p.platform);
	r = how->platform ? platform_parse(how->platform, &p.platform, err) : 0;
	if (r == 0)
		r = store_begin(&session, err);
	if (r == 0)
		r = http_open(&h, err);
	if (r == 0)
		r = registry_open(host, ref->path, 0, &registry, err);
	if (r < 0)
		return r;
	p.registry = registry;
	r = get_manifest(&p, h, ref->digest[0] ? ref->digest : ref->tag, ret->digest, err);
	if (r == -ENOENT && !p.image.manifest)
		err_wrap(err, "no such image");
	if (r == 0)
		r = get_config(&p, h, err);
	if (r == 0)
		r = find_layers(&p, err);
	if (r == 0)
		r = pull_layers(&p, err);
	if (r < 0)
		return r;
	if (!ref->digest[0])
		strv_add(&p.image.names, ret->name);
	p.image.why = why;
	before = image_id_of_name(db, ret->name);
	r = keep_image(&p, err);
	if (r == 0)
		r = digest_set(
			db, ref, ret->digest, p.image.id, ref->digest[0] && !how->again, err);
	if (r < 0)
		return r;
	memcpy(ret->id, p.image.id, sizeof(ret->id));
	ret->is_new = !before || strcmp(before, p.image.id) != 0;
	return 0;
}

int image_pull(struct db *db, const char *reference, const struct image_pull *how,
	struct image_pulled *ret, struct err *err)
{
	cleanup(image_pulled_clear) struct image_pulled pulled = { 0 };
	cleanup(strv_free) char **hosts = NULL;
	struct reference ref;
	int r = reference_parse(reference, &ref, err);

	if (r == 0)
		r = registry_hosts(ref.domain, &hosts, err);
	if (r < 0)
		return r;
	if (ref.digest[0])
		ref.tag[0] = '\0';
	pulled.name = reference_text(&ref);
	r = -ENOENT;
	strv_foreach (host, hosts) {
		struct err why = { 0 };
		r = pull_from(db, &ref, *host, how, &pulled, &why);
		if (r == 0)
			break;
		if (host[1])
			log_warn("%s: %s; asking %s", *host, why.text, host[1]);
		else if (err)
			*err = why;
	}
	if (r < 0)
		return r;
	*ret = pulled;
	pulled = (struct image_pulled){ 0 };
	return 0;
}

int image_fetch_url(const char *url, int fd, int64_t max, const char *checksum, struct err *err)
{
	cleanup(free) uint8_t *bytes = xcalloc(1, CHUNK);
	char is[DIGEST_LEN + 1];
	struct hash hash;
	int r = registry_fetch_url(url, fd, max, err);
	off_t at = 0;
	ssize_t n = 0;

	hash_init(&hash);
	while (r == 0 && checksum && (n = pread(fd, bytes, CHUNK, at)) > 0) {
		hash_add(&hash, bytes, (size_t)n);
		at += n;
	}
	if (r < 0 || !checksum)
		return r;
	if (n < 0)
		return err_errno(err, "read what came from '%s'", url);
	hash_end(&hash, is);
	if (strcmp(is, checksum) != 0)
		return err_set(err, EBADMSG, "'%.200s' is another file: expected %s, got %s", url,
			checksum, is);
	return 0;
}

int image_login(
	const char *host, const char *user, const char *password, bool *ret_plain, struct err *err)
{
	const struct credentials c = { .user = (char *)user, .password = (char *)password };
	int r = registry_check(host, &c, err);

	return r < 0 ? r : credentials_put(host, &c, ret_plain, err);
}

int image_logout(const char *host, struct err *err)
{
	return credentials_forget(host, err);
}

char *image_login_user(const char *host)
{
	cleanup(credentials_clear) struct credentials c = { 0 };

	if (credentials_get(host, &c, NULL) < 0)
		return NULL;
	return take(c.user);
}
