#include "image/decompress.h"

/*
 * A gzip file may be several members, a zstd file several frames: their contents follow each other.
 * Zeros after the last gzip member are padding; anything else there is damage and is refused, so
 * that no bytes under a digest go unread.
 */

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define INPUT_SIZE (128u << 10)
/* A window beyond this is not needed by any layer, and costs that much memory. */
#define ZSTD_WINDOW_LOG 27

/* Loaded when there is something to inflate: only few of holm's processes ever do, and for all of them its
 * relocations would cost time at the start and six pages for as long as they run. */
struct inflater {
	void *library;
	__typeof__(isal_inflate_init) *init;
	__typeof__(isal_inflate_reset) *reset;
	__typeof__(isal_inflate) *inflate;
	struct inflate_state state;
};

struct decompressor {
	int fd, tee_fd, cancel_fd;
	bool is_file;
	bool hashing;
	bool ended;     /* the descriptor has no more */
	bool in_member; /* inside a gzip member or zstd frame */
	enum layer_compression kind;
	_Atomic int64_t taken;
	size_t pos, len; /* of input */
	struct hash hash;
	struct inflater *gzip;
	ZSTD_DStream *zstd;
	uint8_t input[INPUT_SIZE];
};

static int wait_readable(struct decompressor *d, struct err *err)
{
	struct pollfd p[2] = {
		{ .fd = d->fd, .events = POLLIN },
		{ .fd = d->cancel_fd, .events = POLLIN },
	};

	if (d->is_file || d->cancel_fd < 0)
		return 0;
	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_errno(err, "poll");
	return p[1].revents ? err_set(err, ECANCELED, "cancelled") : 0;
}

static int account(struct decompressor *d, const uint8_t *data, size_t len, struct err *err)
{
	int r;

	atomic_fetch_add_explicit(&d->taken, (int64_t)len, memory_order_relaxed);
	if (d->hashing && d->kind != LAYER_PLAIN)
		hash_add(&d->hash, data, len);
	if (d->tee_fd < 0)
		return 0;
	r = fd_write_all(d->tee_fd, data, len);
	return r < 0 ? err_code(err, r, "write") : 0;
}

static ssize_t read_some(struct decompressor *d, uint8_t *to, size_t size, struct err *err)
{
	ssize_t n;
	int r = wait_readable(d, err);

	if (r < 0)
		return r;
	do
		n = read(d->fd, to, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, "read");
	d->ended = n == 0;
	return n;
}

/* After it there is input, or the end was reached. */
static int refill(struct decompressor *d, struct err *err)
{
	ssize_t n;

	if (d->pos < d->len || d->ended)
		return 0;
	n = read_some(d, d->input, sizeof(d->input), err);
	if (n < 0)
		return (int)n;
	d->pos = 0;
	d->len = (size_t)n;
	return account(d, d->input, d->len, err);
}

static ssize_t read_plain(struct decompressor *d, uint8_t *to, size_t size, struct err *err)
{
	size_t n = d->len - d->pos;
	ssize_t got;
	int r;

	if (n) { /* what was read to tell the format */
		n = n < size ? n : size;
		memcpy(to, d->input + d->pos, n);
		d->pos += n;
		return (ssize_t)n;
	}
	got = d->ended ? 0 : read_some(d, to, size, err);
	if (got <= 0)
		return got;
	r = account(d, to, (size_t)got, err);
	return r < 0 ? r : got;
}

static const char *gzip_error(int r)
{
	switch (r) {
	case ISAL_INCORRECT_CHECKSUM:
		return "the checksum does not match";
	case ISAL_INVALID_WRAPPER:
	case ISAL_UNSUPPORTED_METHOD:
		return "not a gzip header";
	default:
		return "the data is not deflate";
	}
}

static int inflate_step(
	struct decompressor *d, uint8_t *to, size_t size, size_t *made, struct err *err)
{
	struct inflate_state *z = &d->gzip->state;
	int r;

	z->next_in = d->input + d->pos;
	z->avail_in = (uint32_t)(d->len - d->pos);
	z->next_out = to + *made;
	z->avail_out = (uint32_t)(size - *made);
	r = d->gzip->inflate(z);
	if (r < 0)
		return err_set(err, EUCLEAN, "damaged gzip stream: %s", gzip_error(r));
	if (r == ISAL_NEED_DICT)
		return err_set(err, EUCLEAN, "damaged gzip stream: it asks for a dictionary");
	d->pos = d->len - z->avail_in;
	*made = size - z->avail_out;
	d->in_member = z->block_state != ISAL_BLOCK_FINISH;
	return 0;
}

/* Between members: 1 when another one begins, 0 at the end or when the input is used up. */
static int next_member(struct decompressor *d, struct err *err)
{
	while (d->pos < d->len && d->input[d->pos] == 0)
		d->pos++;
	if (d->pos == d->len)
		return 0;
	if (d->input[d->pos] != 0x1f)
		return err_set(err, EUCLEAN, "damaged gzip stream: garbage after its end");
	d->gzip->reset(&d->gzip->state);
	d->gzip->state.crc_flag = ISAL_GZIP;
	d->in_member = true;
	return 1;
}

static ssize_t read_gzip(struct decompressor *d, uint8_t *to, size_t size, struct err *err)
{
	size_t made = 0;
	int r;

	for (;;) {
		r = refill(d, err);
		if (r < 0)
			return r;
		if (!d->in_member) {
			r = next_member(d, err);
			if (r < 0)
				return r;
			if (r == 0 && (made || d->ended))
				return (ssize_t)made;
			if (r == 0)
				continue;
		}
		size_t before = made, pos = d->pos;
		r = inflate_step(d, to, size, &made, err);
		if (r < 0)
			return r;
		if (made == size || (made && d->pos == d->len))
			return (ssize_t)made;
		if (d->ended && d->in_member && made == before && pos == d->pos)
			return err_set(err, EUCLEAN, "the gzip stream ends too early");
	}
}

static ssize_t read_zstd(struct decompressor *d, uint8_t *to, size_t size, struct err *err)
{
	ZSTD_outBuffer out = { .dst = to, .size = size };

	for (;;) {
		int r = refill(d, err);
		if (r < 0)
			return r;
		if (d->pos == d->len && d->ended && !d->in_member)
			return (ssize_t)out.pos;
		ZSTD_inBuffer in = { .src = d->input, .size = d->len, .pos = d->pos };
		size_t before = out.pos, left = ZSTD_decompressStream(d->zstd, &out, &in);
		if (ZSTD_isError(left))
			return err_set(
				err, EUCLEAN, "damaged zstd stream: %s", ZSTD_getErrorName(left));
		bool stuck = out.pos == before && in.pos == d->pos;
		d->pos = in.pos;
		d->in_member = left != 0;
		if (out.pos == size || (out.pos && d->pos == d->len))
			return (ssize_t)out.pos;
		if (stuck && d->ended && d->in_member)
			return err_set(err, EUCLEAN, "the zstd stream ends too early");
	}
}

ssize_t decompressor_read(struct decompressor *d, uint8_t *to, size_t size, struct err *err)
{
	switch (d->kind) {
	case LAYER_GZIP:
		return read_gzip(d, to, size, err);
	case LAYER_ZSTD:
		return read_zstd(d, to, size, err);
	default:
		return read_plain(d, to, size, err);
	}
}

static void inflater_free(struct inflater *i)
{
	if (i && i->library)
		dlclose(i->library);
	free(i);
}

static int inflater_open(struct inflater **ret, struct err *err)
{
	struct inflater *i = xnew(struct inflater);

	*ret = i;
	i->library = dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!i->library)
		return err_set(
			err, ENOPKG, "gzip needs libisal: install it (apt-get install libisal2)");
	*(void **)&i->init = dlsym(i->library, "isal_inflate_init");
	*(void **)&i->reset = dlsym(i->library, "isal_inflate_reset");
	*(void **)&i->inflate = dlsym(i->library, "isal_inflate");
	if (!i->init || !i->reset || !i->inflate)
		return err_set(err, ENOPKG, "libisal.so.2 is not the library that is meant");
	i->init(&i->state);
	i->state.crc_flag = ISAL_GZIP;
	return 0;
}

static int init_format(struct decompressor *d, struct err *err)
{
	static const uint8_t gzip_magic[] = { 0x1f, 0x8b },
			     zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (d->len >= 2 && memcmp(d->input, gzip_magic, 2) == 0) {
		d->kind = LAYER_GZIP;
		d->in_member = true;
		return inflater_open(&d->gzip, err);
	} else if (d->len >= 4 &&
		   (memcmp(d->input, zstd_magic, 4) == 0 ||
			   /* a skippable frame: estargz and zstd:chunked may begin so */
			   ((d->input[0] & 0xf0) == 0x50 &&
				   memcmp(d->input + 1, "\x2a\x4d\x18", 3) == 0))) {
		d->kind = LAYER_ZSTD;
		d->zstd = ZSTD_createDStream();
		if (!d->zstd)
			return err_set(err, ENOMEM, "zstd: out of memory");
		ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	}
	return 0;
}

int decompressor_open(
	int fd, int tee_fd, int cancel_fd, bool hash, struct decompressor **ret, struct err *err)
{
	cleanup(decompressor_close) struct decompressor *d = xnew(struct decompressor);
	struct stat st;
	int r;

	d->fd = fd;
	d->tee_fd = tee_fd;
	d->cancel_fd = cancel_fd;
	d->hashing = hash;
	d->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	hash_init(&d->hash);
	while (d->len < 4 && !d->ended) { /* a pipe may give them one by one */
		ssize_t n = read_some(d, d->input + d->len, sizeof(d->input) - d->len, err);
		if (n < 0)
			return (int)n;
		d->len += (size_t)n;
	}
	r = init_format(d, err);
	if (r == 0)
		r = account(d, d->input, d->len, err);
	if (r < 0)
		return r;
	*ret = take(d);
	return 0;
}

void decompressor_close(struct decompressor *d)
{
	if (!d)
		return;
	inflater_free(d->gzip);
	ZSTD_freeDStream(d->zstd);
	free(d);
}

enum layer_compression decompressor_kind(const struct decompressor *d)
{
	return d->kind;
}

int64_t decompressor_taken(const struct decompressor *d)
{
	return atomic_load_explicit(&d->taken, memory_order_relaxed);
}

bool decompressor_digest(struct decompressor *d, char digest[DIGEST_LEN + 1])
{
	if (!d->hashing || d->kind == LAYER_PLAIN)
		return false;
	hash_end(&d->hash, digest);
	return true;
}
