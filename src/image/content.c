/*
 * Layers on their way into the store. While a layer is unpacked, its bytes also go through a pipe to
 * a thread that writes the blob: as they came when they are compressed, else through zstd at its
 * fastest level, since the unpacked form is there for whoever needs speed. The compressed original
 * is kept because an unpacked tree does not tell in which order and form its tar was written, which
 * the diff id depends on.
 */
#include "image/content.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "rootless/rootless.h"

#define CHUNK (256u << 10)
#define MAGIC_LEN 4

static enum layer_compression compression_of(const uint8_t *magic, size_t len)
{
	if (len >= 2 && magic[0] == 0x1f && magic[1] == 0x8b)
		return LAYER_GZIP;
	if (len >= 4 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
		return LAYER_ZSTD;
	return LAYER_PLAIN;
}

/* What the blob's thread works on. */
struct blob_job {
	int fd; /* the pipe's reading end */
	struct blob_writer *blob;
	char digest[DIGEST_LEN + 1];
	enum layer_compression compression; /* of the blob */
	int r;
	struct err err;
};

static void free_cctx(ZSTD_CCtx *ctx)
{
	ZSTD_freeCCtx(ctx);
}
DEFINE_CLEANUP(free_cctx, ZSTD_CCtx *);

static int compress_into(ZSTD_CCtx *ctx, struct blob_job *job, const void *data, size_t len,
	ZSTD_EndDirective end, uint8_t *out)
{
	ZSTD_inBuffer in = { .src = data, .size = len };
	size_t left;
	int r;

	do {
		ZSTD_outBuffer to = { .dst = out, .size = CHUNK };
		left = ZSTD_compressStream2(ctx, &to, &in, end);
		if (ZSTD_isError(left))
			return err_set(
				&job->err, EIO, "compress a layer: %s", ZSTD_getErrorName(left));
		r = blob_write(job->blob, out, to.pos, &job->err);
		if (r < 0)
			return r;
	} while (end == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

static int write_compressed(struct blob_job *job, uint8_t *in, size_t have, uint8_t *out)
{
	cleanup(free_cctx) ZSTD_CCtx *ctx = ZSTD_createCCtx();
	ssize_t n = (ssize_t)have;
	int r;

	if (!ctx)
		return err_set(&job->err, ENOMEM, "compress a layer: no memory");
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	for (; n > 0; n = fd_read_full(job->fd, in, CHUNK)) {
		r = compress_into(ctx, job, in, (size_t)n, ZSTD_e_continue, out);
		if (r < 0)
			return r;
	}
	if (n < 0)
		return err_code(&job->err, (int)n, "read a layer");
	return compress_into(ctx, job, NULL, 0, ZSTD_e_end, out);
}

static int write_as_is(struct blob_job *job, uint8_t *in, size_t have)
{
	ssize_t n = (ssize_t)have;
	int r;

	for (; n > 0; n = fd_read_full(job->fd, in, CHUNK)) {
		r = blob_write(job->blob, in, (size_t)n, &job->err);
		if (r < 0)
			return r;
	}
	return n < 0 ? err_code(&job->err, (int)n, "read a layer") : 0;
}

static void *blob_thread(void *data)
{
	struct blob_job *job = data;
	cleanup(free) uint8_t *in = xcalloc(1, CHUNK);
	cleanup(free) uint8_t *out = xcalloc(1, CHUNK);
	ssize_t n = fd_read_full(job->fd, in, CHUNK);

	if (n < 0) {
		job->r = err_code(&job->err, (int)n, "read a layer");
		return NULL;
	}
	job->compression = compression_of(in, (size_t)n);
	if (job->compression != LAYER_PLAIN) {
		job->r = write_as_is(job, in, (size_t)n);
	} else {
		job->compression = LAYER_ZSTD;
		job->r = write_compressed(job, in, (size_t)n, out);
	}
	if (job->r == 0)
		job->r = blob_finish(job->blob, job->digest, &job->err);
	/* The writing end would be killed by SIGPIPE, or wait for ever: let it run out. */
	while (job->r < 0 && read(job->fd, in, CHUNK) > 0)
		;
	return NULL;
}

static int make_dir(struct content *c, char **ret_path, struct err *err)
{
	char id[ID_LEN + 1];

	id_random(id);
	snprintf(c->dir, sizeof(c->dir), "%.16s", id);
	/* The mode of a root directory that the archive does not mention, whatever the umask. */
	if (mkdirat(c->session->tmp, c->dir, 0755) < 0 ||
		fchmodat(c->session->tmp, c->dir, 0755, 0) < 0)
		return err_errno(err, "make a directory in '%s/tmp'", paths_root());
	*ret_path = xasprintf("%s/tmp/%s/%s", paths_root(), c->session->name, c->dir);
	return 0;
}

static void warn_of_one_owner(void)
{
	cleanup(free) char *command = rootless_ids_command(rootless_user());

	log_warn_once(
		"all files of images become yours, whoever owns them there (%s): for more ids: %s",
		rootless_single_why(), command);
}

static int unpack(int fd, int tee, const char *dir, const struct layer_options *options,
	struct layer_result *result, struct err *err)
{
	struct layer_options own = { 0 };
	int r;

	if (options)
		own = *options;
	own.unprivileged = geteuid() != 0 || rootless();
	own.one_owner = geteuid() != 0 || rootless_single_id();
	if (rootless_single_id())
		warn_of_one_owner();
	r = layer_unpack(fd, tee, dir, &own, result, err);
	if (r == 0 && result->lost_capabilities)
		layer_warn_of_lost_capabilities();
	return r;
}

static int unpack_and_write(struct content *c, int fd, const char *dir,
	const struct layer_options *options, struct layer_result *result, struct blob_job *job,
	struct err *err)
{
	cleanup(fd_close) int reading = -1, writing = -1;
	pthread_t thread;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	reading = ends[0];
	writing = ends[1];
	fcntl(writing, F_SETPIPE_SZ, 1 << 20); /* fewer switches; the default does as well */
	job->fd = reading;
	r = pthread_create(&thread, NULL, blob_thread, job);
	if (r)
		return err_code(err, -r, "start a thread");
	r = unpack(fd, writing, dir, options, result, err);
	writing = fd_close(writing);
	pthread_join(thread, NULL);
	if (job->r < 0) {
		if (err)
			*err = job->err;
		return job->r;
	}
	return r;
}

static void describe(struct content *c, const struct layer_result *result, const char *blob,
	enum layer_compression compression, int64_t blob_size)
{
	memcpy(c->layer.diff_id, result->diff_id, sizeof(c->layer.diff_id));
	snprintf(c->layer.blob, sizeof(c->layer.blob), "%s", blob);
	str_replace(&c->layer.media_type, layer_media_type(compression));
	c->layer.blob_size = blob_size;
	c->layer.size = result->size;
}

static void content_move(struct content *ret, struct content *c)
{
	*ret = *c;
	*c = (struct content)CONTENT_NONE;
}

int content_take_stream(const struct store_session *s, int fd, const struct layer_options *options,
	struct content *ret, struct err *err)
{
	cleanup(content_clear) struct content c = { .session = s, .blob = BLOB_WRITER_NONE };
	struct blob_job job = { .blob = &c.blob };
	struct layer_result result = { 0 };
	cleanup(free) char *dir = NULL;
	int r = make_dir(&c, &dir, err);

	if (r == 0)
		r = blob_create(s, &c.blob, err);
	if (r == 0)
		r = unpack_and_write(&c, fd, dir, options, &result, &job, err);
	if (r < 0)
		return r;
	describe(&c, &result, job.digest, job.compression, (int64_t)c.blob.size);
	content_move(ret, &c);
	return 0;
}

int content_take_tree(const struct store_session *s, int fd, const struct layer_options *options,
	struct content *ret, struct layer_result *result, struct err *err)
{
	cleanup(content_clear) struct content c = { .session = s, .blob = BLOB_WRITER_NONE };
	cleanup(free) char *dir = NULL;
	int r = make_dir(&c, &dir, err);

	if (r == 0)
		r = unpack(fd, -1, dir, options, result, err);
	if (r < 0)
		return r;
	content_move(ret, &c);
	return 0;
}

int content_take_file(const struct store_session *s, const char *name,
	const struct layer_options *options, struct content *ret, struct err *err)
{
	cleanup(content_clear) struct content c = { .session = s, .blob = BLOB_WRITER_NONE };
	cleanup(fd_close) int fd = openat(s->tmp, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct layer_result result = { 0 };
	cleanup(free) char *dir = NULL;
	uint8_t magic[MAGIC_LEN];
	ssize_t n;
	int r;

	if (fd < 0)
		return err_errno(err, "open '%s/tmp/%s/%s'", paths_root(), s->name, name);
	n = pread(fd, magic, sizeof(magic), 0);
	if (n < 0)
		return err_errno(err, "read a layer");
	if (compression_of(magic, (size_t)n) == LAYER_PLAIN)
		return content_take_stream(s, fd, options, ret, err);
	r = make_dir(&c, &dir, err);
	if (r == 0)
		r = unpack(fd, -1, dir, options, &result, err);
	if (r < 0)
		return r;
	if (fsync(fd) < 0)
		return err_errno(err, "write a blob in '%s'", paths_root());
	snprintf(c.blob.name, sizeof(c.blob.name), "%s", name);
	c.blob.session = s;
	c.blob.fd = take_fd(fd);
	describe(&c, &result, result.digest, result.compression, result.compressed_size);
	content_move(ret, &c);
	return 0;
}

static int describe_blob(struct image_layer *layer, struct err *err)
{
	cleanup(fd_close) int fd = store_open_blob(layer->blob, err);
	uint8_t magic[MAGIC_LEN];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, magic, sizeof(magic), 0);
	if (n < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "read blob %s", layer->blob);
	layer->blob_size = st.st_size;
	layer->media_type = xstrdup(layer_media_type(compression_of(magic, (size_t)n)));
	return 0;
}

int content_find(struct db *db, const char *diff_id, const char *blob, struct image_layer *ret,
	struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT l.size, i.blob FROM image_layer i JOIN layer l ON l.diff_id = i.diff_id"
		" WHERE i.diff_id = ?1 AND (?2 IS NULL OR i.blob = ?2)");
	struct image_layer layer = { 0 };
	int r;

	if (!store_has_layer(diff_id))
		return 0;
	db_text(&q, 1, diff_id);
	db_text(&q, 2, blob);
	while ((r = db_step(&q, err)) > 0) {
		if (!store_has_blob(db_get_text(&q, 1)))
			continue;
		layer.size = db_get_int(&q, 0);
		snprintf(layer.diff_id, sizeof(layer.diff_id), "%s", diff_id);
		snprintf(layer.blob, sizeof(layer.blob), "%s", db_get_text(&q, 1));
		r = describe_blob(&layer, err);
		if (r < 0)
			return r;
		*ret = layer;
		return 1;
	}
	return r;
}

int content_keep(struct content *c, struct err *err)
{
	int r = blob_keep(&c->blob, c->layer.blob, err);

	if (r == 0)
		r = store_keep_layer(c->session, c->dir, c->layer.diff_id, err);
	return r;
}

void content_clear(struct content *c)
{
	blob_abort(&c->blob);
	if (c->session && c->dir[0])
		dir_remove(c->session->tmp, c->dir);
	free(c->layer.media_type);
	*c = (struct content)CONTENT_NONE;
}
