#pragma once
/* The reader's inside, for layer.c, which reads ahead, and for tar_extract.c, which writes in place. */
#include "base/buf.h"
#include "image/stream.h"
#include "image/tar.h"

struct tar_reader {
	struct stream *stream; /* owned */
	char *what;
	struct tar_limits limits;
	const uint8_t *at; /* the window on the stream's chunk */
	size_t avail;
	int64_t total, entries; /* taken from the stream; headers seen */
	int64_t remaining;      /* of the current entry's data */
	size_t padding;         /* after it */
	bool ended;
	int failed; /* -errno for ever */
	struct tar_entry entry;
	struct buf scratch;
};

/* Takes the stream over. */
struct tar_reader *tar_reader_new(
	struct stream *stream, const char *what, const struct tar_limits *limits);
/* The next piece of the current entry's data where it lies; 0 at its end. */
ssize_t tar_peek(struct tar_reader *t, const uint8_t **ret, struct err *err);
void tar_consume(struct tar_reader *t, size_t n);
