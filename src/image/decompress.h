#pragma once
/* Compressed bytes from a descriptor into plain ones: gzip (RFC 1952), zstd (RFC 8878) or neither. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "image/layer.h"

struct decompressor;

/*
 * The format is told by the first bytes, which are read here. tee_fd gets the bytes as they come,
 * or is -1; cancel_fd, when readable, ends a wait with -ECANCELED, or is -1. With `hash` a digest of
 * the input is kept, except for plain input, where it would be that of the output.
 */
int decompressor_open(
	int fd, int tee_fd, int cancel_fd, bool hash, struct decompressor **ret, struct err *err);
void decompressor_close(struct decompressor *d);
DEFINE_CLEANUP(decompressor_close, struct decompressor *);

/* At most size bytes; as soon as there are some. 0 at the end, having checked that it is one. */
ssize_t decompressor_read(struct decompressor *d, uint8_t *to, size_t size, struct err *err);

enum layer_compression decompressor_kind(const struct decompressor *d);
/* Bytes taken in so far; any thread. */
int64_t decompressor_taken(const struct decompressor *d);
/* Once, at the end. False for plain input or without `hash`. */
bool decompressor_digest(struct decompressor *d, char digest[DIGEST_LEN + 1]);
