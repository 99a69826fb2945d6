#pragma once
/*
 * An archive's plain bytes in chunks, decompressed and hashed ahead of the one who asks. What fits
 * in one chunk costs no thread; for more there is one, which works at most STREAM_CHUNKS ahead.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "image/layer.h"

struct stream;

/* ahead: with hashes and a thread. Else bytes are read only when asked for, and nothing is hashed. */
int stream_open(int fd, int tee_fd, bool ahead, struct stream **ret, struct err *err);
void stream_close(struct stream *s);
DEFINE_CLEANUP(stream_close, struct stream *);

/* The next chunk, good until the next call. 0 at the end, for ever. */
ssize_t stream_next(struct stream *s, const uint8_t **ret, struct err *err);
int64_t stream_taken(const struct stream *s);
/* After the end of a stream read ahead: digests, compressed size and compression. */
void stream_result(struct stream *s, struct layer_result *ret);
