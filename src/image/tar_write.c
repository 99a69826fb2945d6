#include "image/tar.h"

/*
 * An archive to a descriptor, compressed on the way and hashed on both sides of the compressor. The
 * same entries give the same bytes: no times of day, no host, no threads' order.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define BUFFER_SIZE (256u << 10)
#define GZIP_LEVEL 6
#define ZSTD_LEVEL 3

struct tar_writer {
	int fd;
	enum layer_compression kind;
	bool failed;
	int64_t expected; /* data bytes still to come for the current entry */
	size_t padding;
	struct hash plain_hash, out_hash;
	struct layer_result result;
	z_stream gzip;
	bool gzip_open;
	ZSTD_CCtx *zstd;
	size_t len; /* of plain */
	uint8_t *plain, *packed;
};

int tar_writer_open(
	int fd, enum layer_compression compression, struct tar_writer **ret, struct err *err)
{
	cleanup(tar_writer_close) struct tar_writer *w = xnew(struct tar_writer);

	w->fd = fd;
	w->kind = w->result.compression = compression;
	w->plain = xcalloc(1, BUFFER_SIZE);
	w->packed = xcalloc(1, BUFFER_SIZE);
	hash_init(&w->plain_hash);
	hash_init(&w->out_hash);
	if (compression == LAYER_GZIP) {
		/* 16: gzip's header, whose time and name zlib leaves empty. */
		if (deflateInit2(&w->gzip, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 9,
			    Z_DEFAULT_STRATEGY) != Z_OK)
			return err_set(err, ENOMEM, "gzip: out of memory");
		w->gzip_open = true;
	} else if (compression == LAYER_ZSTD) {
		w->zstd = ZSTD_createCCtx();
		if (!w->zstd)
			return err_set(err, ENOMEM, "zstd: out of memory");
		ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
	}
	*ret = take(w);
	return 0;
}

void tar_writer_close(struct tar_writer *w)
{
	if (!w)
		return;
	if (w->gzip_open)
		deflateEnd(&w->gzip);
	ZSTD_freeCCtx(w->zstd);
	free(w->plain);
	free(w->packed);
	free(w);
}

static int emit(struct tar_writer *w, const void *data, size_t len, struct err *err)
{
	int r;

	if (w->kind != LAYER_PLAIN)
		hash_add(&w->out_hash, data, len);
	w->result.compressed_size += (int64_t)len;
	r = fd_write_all(w->fd, data, len);
	return r < 0 ? err_code(err, r, "write the archive") : 0;
}

static int emit_gzip(struct tar_writer *w, bool last, struct err *err)
{
	int z, r;

	w->gzip.next_in = w->plain;
	w->gzip.avail_in = (uInt)w->len;
	do {
		w->gzip.next_out = w->packed;
		w->gzip.avail_out = BUFFER_SIZE;
		z = deflate(&w->gzip, last ? Z_FINISH : Z_NO_FLUSH);
		r = emit(w, w->packed, BUFFER_SIZE - w->gzip.avail_out, err);
		if (r < 0)
			return r;
	} while (last ? z != Z_STREAM_END : w->gzip.avail_out == 0);
	return 0;
}

static int emit_zstd(struct tar_writer *w, bool last, struct err *err)
{
	ZSTD_inBuffer in = { .src = w->plain, .size = w->len };
	size_t left;
	int r;

	do {
		ZSTD_outBuffer out = { .dst = w->packed, .size = BUFFER_SIZE };
		left = ZSTD_compressStream2(
			w->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_set(err, EIO, "zstd: %s", ZSTD_getErrorName(left));
		r = emit(w, w->packed, out.pos, err);
		if (r < 0)
			return r;
	} while (last ? left != 0 : in.pos < in.size);
	return 0;
}

static int flush(struct tar_writer *w, bool last, struct err *err)
{
	int r;

	hash_add(&w->plain_hash, w->plain, w->len);
	if (w->kind == LAYER_GZIP)
		r = emit_gzip(w, last, err);
	else if (w->kind == LAYER_ZSTD)
		r = emit_zstd(w, last, err);
	else
		r = emit(w, w->plain, w->len, err);
	w->len = 0;
	w->failed |= r < 0;
	return r;
}

static int put(struct tar_writer *w, const void *data, size_t len, struct err *err)
{
	const uint8_t *p = data;

	if (w->failed)
		return err_set(err, EIO, "the archive could not be written");
	while (len) {
		size_t n = BUFFER_SIZE - w->len < len ? BUFFER_SIZE - w->len : len;
		memcpy(w->plain + w->len, p, n);
		w->len += n;
		p += n;
		len -= n;
		if (w->len == BUFFER_SIZE) {
			int r = flush(w, /* last= */ false, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int put_zeros(struct tar_writer *w, int64_t len, struct err *err)
{
	static const uint8_t zeros[4096];
	int r = 0;

	for (; len > 0 && r == 0; len -= (int64_t)sizeof(zeros))
		r = put(w, zeros, len < (int64_t)sizeof(zeros) ? (size_t)len : sizeof(zeros), err);
	return r;
}

int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct err *err)
{
	cleanup(buf_free) struct buf head = { 0 };
	int r;

	if (w->expected)
		return err_set(err, EINVAL,
			"%lld bytes of an archive's entry are missing before '%s'",
			(long long)w->expected, e->name);
	r = tar_entry_format(e, &head, err);
	if (r == 0)
		r = put(w, head.data, head.len, err);
	if (r < 0)
		return r;
	w->expected = e->size;
	w->padding = (size_t)(-(uint64_t)e->size % TAR_BLOCK);
	w->result.entries++;
	w->result.size += e->size;
	return 0;
}

int tar_write(struct tar_writer *w, const void *data, size_t len, struct err *err)
{
	int r;

	if ((int64_t)len > w->expected)
		return err_set(err, EINVAL, "more data than an archive's entry has room for");
	r = put(w, data, len, err);
	if (r < 0)
		return r;
	w->expected -= (int64_t)len;
	return w->expected == 0 ? put_zeros(w, (int64_t)w->padding, err) : 0;
}

/* Reads straight into the buffer. */
int tar_write_fd(struct tar_writer *w, int fd, int64_t len, struct err *err)
{
	int r = 0;

	if (len > w->expected)
		return err_set(err, EINVAL, "more data than an archive's entry has room for");
	w->expected -= len;
	while (len > 0 && r == 0) {
		size_t room = BUFFER_SIZE - w->len;
		ssize_t n = read(fd, w->plain + w->len, len < (int64_t)room ? (size_t)len : room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			w->failed = true;
			return err_errno(err, "read");
		}
		if (n == 0) {
			r = put_zeros(w, len, err);
			break;
		}
		w->len += (size_t)n;
		len -= n;
		if (w->len == BUFFER_SIZE)
			r = flush(w, /* last= */ false, err);
	}
	return r == 0 && w->expected == 0 ? put_zeros(w, (int64_t)w->padding, err) : r;
}

int tar_write_file(struct tar_writer *w, const char *name, const void *data, size_t len,
	int64_t mtime, struct err *err)
{
	struct tar_entry e = {
		.type = TAR_FILE,
		.name = (char *)name,
		.mode = 0644,
		.size = (int64_t)len,
		.mtime = mtime,
	};
	int r = tar_write_entry(w, &e, err);

	return r < 0 || !len ? r : tar_write(w, data, len, err);
}

int tar_writer_finish(struct tar_writer *w, struct layer_result *ret, struct err *err)
{
	int r;

	if (w->expected)
		return err_set(err, EINVAL, "%lld bytes of an archive's last entry are missing",
			(long long)w->expected);
	r = put_zeros(w, 2 * TAR_BLOCK, err);
	if (r == 0)
		r = flush(w, /* last= */ true, err);
	if (r < 0)
		return r;
	w->failed = true; /* it is closed */
	hash_end(&w->plain_hash, w->result.diff_id);
	if (w->kind == LAYER_PLAIN)
		memcpy(w->result.digest, w->result.diff_id, sizeof(w->result.digest));
	else
		hash_end(&w->out_hash, w->result.digest);
	if (ret)
		*ret = w->result;
	return 0;
}
