#pragma once
/* A growing byte string. Always NUL-terminated past len once anything was added. */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct buf {
	char *data;
	size_t len, cap;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
/* A number, the lowest byte first. */
void buf_add_le(struct buf *b, uint64_t value, unsigned bytes);
void buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);

/* Makes room for n more bytes and returns where they go; the caller adds to len what it wrote. */
char *buf_reserve(struct buf *b, size_t n);

/* Removes n bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* The string, owned by the caller; the buffer is empty afterwards. Never NULL. */
char *buf_detach(struct buf *b);

void buf_free(struct buf *b);
DEFINE_CLEANUP_OBJECT(buf_free, struct buf);
