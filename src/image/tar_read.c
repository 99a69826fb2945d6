#include "image/tar_reader.h"

/*
 * An archive from a stream, entry by entry. The reader holds a window on the stream's current chunk:
 * data goes from there to where it belongs without another copy. After each entry's data stand zeros
 * up to the next block. The archive ends with two blocks of zeros, or with the stream where a header
 * could be; what follows the zeros is nobody's.
 */

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

#define DEFAULT_BYTES (INT64_C(1) << 40)
#define DEFAULT_ENTRIES 10000000

/* Puts the archive's name before the error. */
static int named(struct tar_reader *t, struct err *err)
{
	return err_wrap(err, "%s", t->what);
}

/* Makes the window non-empty, or leaves it empty at the end of the stream. */
static int fill(struct tar_reader *t, struct err *err)
{
	const uint8_t *chunk;
	struct err e = { 0 };
	ssize_t n;

	if (t->avail)
		return 0;
	n = stream_next(t->stream, &chunk, &e);
	if (n > 0 && t->limits.bytes - t->total < n)
		n = err_set(&e, EFBIG, "larger than the limit of %s when unpacked",
			format_size((uint64_t)t->limits.bytes));
	if (n < 0) {
		err_wrap(&e, "%s", t->what);
		if (err)
			*err = e;
		t->failed = (int)n;
		return (int)n;
	}
	t->total += n;
	t->at = chunk;
	t->avail = (size_t)n;
	return 0;
}

static void advance(struct tar_reader *t, size_t n)
{
	t->at += n;
	t->avail -= n;
}

/* Returns less than len only at the end of the stream. */
static ssize_t read_full(struct tar_reader *t, void *to, size_t len, struct err *err)
{
	size_t got = 0;

	while (got < len) {
		int r = fill(t, err);
		size_t n = len - got < t->avail ? len - got : t->avail;
		if (r < 0)
			return r;
		if (n == 0)
			break;
		memcpy((char *)to + got, t->at, n);
		advance(t, n);
		got += n;
	}
	return (ssize_t)got;
}

static int ends_early(struct tar_reader *t, struct err *err)
{
	return err_set(err, EUCLEAN, "%s: ends in the middle of entry '%s'", t->what,
		t->entry.name ? t->entry.name : "");
}

/* The next piece of the current entry's data, in place. 0 at its end. */
ssize_t tar_peek(struct tar_reader *t, const uint8_t **ret, struct err *err)
{
	int r;

	if (t->remaining == 0)
		return 0;
	r = fill(t, err);
	if (r < 0)
		return r;
	if (t->avail == 0)
		return ends_early(t, err);
	*ret = t->at;
	return t->remaining < (int64_t)t->avail ? (ssize_t)t->remaining : (ssize_t)t->avail;
}

void tar_consume(struct tar_reader *t, size_t n)
{
	advance(t, n);
	t->remaining -= (int64_t)n;
}

static int skip_data(struct tar_reader *t, struct err *err)
{
	const uint8_t *p;
	uint8_t pad[TAR_BLOCK];
	ssize_t n;

	while ((n = tar_peek(t, &p, err)) > 0)
		tar_consume(t, (size_t)n);
	if (n < 0)
		return (int)n;
	n = read_full(t, pad, t->padding, err);
	if (n < 0)
		return (int)n;
	/* The last entry's padding may be missing, as some writers leave it out. */
	t->padding = 0;
	return 0;
}

static void expect_data(struct tar_reader *t, int64_t size)
{
	t->remaining = size;
	t->padding = (size_t)(-(uint64_t)size % TAR_BLOCK);
}

/* 1 with a block, 0 at the archive's end. */
static int next_block(struct tar_reader *t, struct tar_block *b, struct err *err)
{
	ssize_t n = read_full(t, b, sizeof(*b), err);
	bool lone = false;

	if (n == sizeof(*b) && tar_block_is_zero(b)) {
		lone = true;
		n = read_full(t, b, sizeof(*b), err);
	}
	if (n < 0)
		return (int)n;
	if (n == 0 || (lone && n == sizeof(*b) && tar_block_is_zero(b)))
		return 0;
	if (n < (ssize_t)sizeof(*b))
		return err_set(err, EUCLEAN, "%s: ends in the middle of a header", t->what);
	if (lone)
		return err_set(err, EUCLEAN, "%s: something follows a block of zeros", t->what);
	if (!tar_block_checksum_ok(b))
		return err_set(err, EUCLEAN, "%s: %s", t->what,
			t->entries ? "damaged: a header's checksum does not match"
				   : "not a tar archive");
	return 1;
}

/* The data of a header that describes the next entry. */
static int read_extension(
	struct tar_reader *t, const struct tar_block *b, struct buf *out, struct err *err)
{
	int64_t size;
	ssize_t n;

	if (tar_number(b->size, sizeof(b->size), &size) < 0 || size < 0 || size > TAR_MAX_EXTENSION)
		return err_set(err, EINVAL, "%s: an extended header is larger than %u KiB", t->what,
			TAR_MAX_EXTENSION >> 10);
	out->len = 0;
	expect_data(t, size);
	n = read_full(t, buf_reserve(out, (size_t)size), (size_t)size, err);
	if (n < 0)
		return (int)n;
	if (n < size)
		return err_set(err, EUCLEAN, "%s: ends in the middle of a header", t->what);
	out->len = (size_t)n;
	out->data[n] = '\0';
	t->remaining = 0;
	return skip_data(t, err);
}

/* GNU's long names end with a NUL. */
static int long_name(struct tar_reader *t, const struct buf *b, char **at, struct err *err)
{
	size_t n = strnlen(b->data, b->len);

	if (n >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "%s: a name of %zu bytes: the longest has %d",
			t->what, n, PATH_MAX - 1);
	free(*at);
	*at = xstrndup(b->data, n);
	return 0;
}

/* 1 when the block was one that only describes, and is dealt with. */
static int take_extension(
	struct tar_reader *t, const struct tar_block *b, struct tar_pax *pax, struct err *err)
{
	int r;

	if (!b->type || !strchr("xgLKV", b->type))
		return 0;
	r = read_extension(t, b, &t->scratch, err);
	if (r < 0)
		return r;
	switch (b->type) {
	case 'x':
		r = tar_pax_parse(pax, t->scratch.data, t->scratch.len, err);
		if (r < 0)
			named(t, err);
		break;
	case 'L':
		r = long_name(t, &t->scratch, &pax->path, err);
		break;
	case 'K':
		r = long_name(t, &t->scratch, &pax->link, err);
		break;
	default: /* 'g': git's comment and the like; 'V': a volume's label */
		break;
	}
	return r < 0 ? r : 1;
}

static int count_entry(struct tar_reader *t, struct err *err)
{
	if (t->entries++ < t->limits.entries)
		return 0;
	return err_set(err, EFBIG, "%s: more than the limit of %lld entries", t->what,
		(long long)t->limits.entries);
}

static int read_entry(struct tar_reader *t, struct err *err)
{
	cleanup(tar_pax_clear) struct tar_pax pax = { 0 };
	struct tar_block b;
	int r = skip_data(t, err);

	if (r < 0)
		return r;
	for (;;) {
		r = next_block(t, &b, err);
		if (r <= 0)
			return r;
		r = count_entry(t, err); /* extensions too: a run of them has an end */
		if (r < 0)
			return r;
		r = take_extension(t, &b, &pax, err);
		if (r < 0)
			return r;
		if (r == 0)
			break;
	}
	tar_entry_clear(&t->entry);
	r = tar_entry_make(&b, &pax, &t->entry, err);
	if (r < 0)
		return named(t, err);
	expect_data(t, t->entry.size);
	return 1;
}

int tar_next(struct tar_reader *t, const struct tar_entry **ret, struct err *err)
{
	struct err e = { 0 };
	int r;

	if (t->failed || t->ended)
		return t->failed ? err_set(err, -t->failed, "%s: damaged", t->what) : 0;
	r = read_entry(t, &e);
	if (r > 0) {
		*ret = &t->entry;
	} else if (r == 0) {
		t->ended = true;
	} else {
		t->failed = r;
		t->remaining = 0;
		if (err)
			*err = e;
	}
	return r;
}

ssize_t tar_read(struct tar_reader *t, void *to, size_t size, struct err *err)
{
	const uint8_t *p;
	ssize_t n = tar_peek(t, &p, err);

	if (n <= 0)
		return n;
	if ((size_t)n > size)
		n = (ssize_t)size;
	memcpy(to, p, (size_t)n);
	tar_consume(t, (size_t)n);
	return n;
}

int64_t tar_read_to_fd(struct tar_reader *t, int fd, struct err *err)
{
	const uint8_t *p;
	int64_t total = 0;
	ssize_t n;

	while ((n = tar_peek(t, &p, err)) > 0) {
		int r = fd_write_all(fd, p, (size_t)n);
		if (r < 0)
			return err_code(err, r, "%s: write '%s'", t->what, t->entry.name);
		tar_consume(t, (size_t)n);
		total += n;
	}
	return n < 0 ? n : total;
}

int tar_drain(struct tar_reader *t, struct err *err)
{
	do {
		int r = fill(t, err);
		if (r < 0)
			return r;
		if (t->avail == 0)
			break;
		advance(t, t->avail);
	} while (true);
	t->ended = true;
	t->remaining = 0;
	t->padding = 0;
	return 0;
}

struct tar_reader *tar_reader_new(
	struct stream *stream, const char *what, const struct tar_limits *limits)
{
	struct tar_reader *t = xnew(struct tar_reader);

	t->stream = stream;
	t->what = xstrdup(what);
	if (limits)
		t->limits = *limits;
	if (t->limits.bytes <= 0)
		t->limits.bytes = DEFAULT_BYTES;
	if (t->limits.entries <= 0)
		t->limits.entries = DEFAULT_ENTRIES;
	return t;
}

int tar_reader_open(int fd, const char *what, const struct tar_limits *limits,
	struct tar_reader **ret, struct err *err)
{
	struct stream *stream = NULL;
	int r = stream_open(fd, -1, /* ahead= */ false, &stream, err);

	if (r < 0)
		return err ? err_wrap(err, "%s", what) : r;
	*ret = tar_reader_new(stream, what, limits);
	return 0;
}

void tar_reader_close(struct tar_reader *t)
{
	if (!t)
		return;
	tar_entry_clear(&t->entry);
	buf_free(&t->scratch);
	stream_close(t->stream);
	free(t->what);
	free(t);
}
