#include "machine/aml.h"

#include <string.h>

#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_STRING 0x0d
#define OP_QWORD 0x0e
#define OP_SCOPE 0x10
#define OP_BUFFER 0x11
#define OP_PACKAGE 0x12
#define OP_EXTENDED 0x5b
#define OP_DEVICE 0x82
#define FIXED_RANGE 0x0c /* minimum and maximum are */

void aml_integer(struct buf *b, uint64_t value)
{
	unsigned bytes = value <= 1            ? 0
			 : value <= 0xff       ? 1
			 : value <= 0xffff     ? 2
			 : value <= UINT32_MAX ? 4
					       : 8;

	if (bytes == 0) {
		buf_add_le(b, value, 1);
		return;
	}
	buf_add_le(b,
		bytes == 1   ? OP_BYTE
		: bytes == 2 ? OP_WORD
		: bytes == 4 ? OP_DWORD
			     : OP_QWORD,
		1);
	buf_add_le(b, value, bytes);
}

void aml_string(struct buf *b, const char *s)
{
	buf_add_le(b, OP_STRING, 1);
	buf_add(b, s, strlen(s) + 1);
}

static unsigned hex(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa_id(struct buf *b, const char *id)
{
	uint32_t v = (uint32_t)((id[0] - '@') << 26 | (id[1] - '@') << 21 | (id[2] - '@') << 16);

	v |= hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	buf_add_le(b, OP_DWORD, 1);
	buf_add_le(b, __builtin_bswap32(v), 4);
}

void aml_name(struct buf *b, const char *name)
{
	buf_add_le(b, OP_NAME, 1);
	buf_adds(b, name);
}

void aml_name_integer(struct buf *b, const char *name, uint64_t value)
{
	aml_name(b, name);
	aml_integer(b, value);
}

void aml_name_eisa_id(struct buf *b, const char *name, const char *id)
{
	aml_name(b, name);
	aml_eisa_id(b, id);
}

/* A length, which counts itself. */
static void add_length(struct buf *b, size_t len)
{
	unsigned more = len + 1 < 0x40 ? 0 : len + 2 < 0x1000 ? 1 : len + 3 < 0x100000 ? 2 : 3;

	len += more + 1;
	if (more == 0) {
		buf_add_le(b, len, 1);
		return;
	}
	buf_add_le(b, more << 6 | (len & 15), 1);
	buf_add_le(b, len >> 4, more);
}

static void wrap(struct buf *b, const void *head, size_t n, struct buf *body)
{
	add_length(b, n + body->len);
	buf_add(b, head, n);
	buf_add(b, body->data, body->len);
	buf_free(body);
}

void aml_scope(struct buf *b, const char *path, struct buf *body)
{
	buf_add_le(b, OP_SCOPE, 1);
	wrap(b, path, strlen(path), body);
}

void aml_device(struct buf *b, const char *name, struct buf *body)
{
	buf_add_le(b, OP_EXTENDED, 1);
	buf_add_le(b, OP_DEVICE, 1);
	wrap(b, name, strlen(name), body);
}

void aml_package(struct buf *b, uint8_t n, struct buf *body)
{
	buf_add_le(b, OP_PACKAGE, 1);
	wrap(b, &n, 1, body);
}

void aml_resources(struct buf *b, struct buf *body)
{
	struct buf size = { 0 };

	buf_add_le(body, 0x79, 2); /* the end, without a checksum */
	aml_integer(&size, body->len);
	buf_add_le(b, OP_BUFFER, 1);
	wrap(b, size.data, size.len, body);
	buf_free(&size);
}

void aml_io(struct buf *b, uint16_t base, uint8_t len)
{
	buf_add_le(b, 0x0147, 2); /* 16 bits decoded */
	buf_add_le(b, base, 2);
	buf_add_le(b, base, 2);
	buf_add_le(b, 1, 1);
	buf_add_le(b, len, 1);
}

void aml_irq(struct buf *b, unsigned line)
{
	buf_add_le(b, 0x22, 1);
	buf_add_le(b, UINT64_C(1) << line, 2);
}

void aml_memory_fixed(struct buf *b, uint32_t base, uint32_t len)
{
	buf_add_le(b, 0x01000986, 4); /* read and write */
	buf_add_le(b, base, 4);
	buf_add_le(b, len, 4);
}

static void add_range(
	struct buf *b, unsigned type, unsigned flags, uint32_t first, uint32_t last, unsigned bytes)
{
	buf_add_le(b, bytes == 2 ? 0x88 : 0x87, 1);
	buf_add_le(b, 3 + 5 * bytes, 2);
	buf_add_le(b, type, 1);
	buf_add_le(b, FIXED_RANGE, 1);
	buf_add_le(b, flags, 1);
	buf_add_le(b, 0, bytes);
	buf_add_le(b, first, bytes);
	buf_add_le(b, last, bytes);
	buf_add_le(b, 0, bytes);
	buf_add_le(b, UINT64_C(1) + last - first, bytes);
}

void aml_bus_range(struct buf *b, uint16_t first, uint16_t last)
{
	add_range(b, 2, 0, first, last, 2);
}

void aml_io_range(struct buf *b, uint16_t first, uint16_t last)
{
	add_range(b, 1, 3, first, last, 2);
}

void aml_memory_range(struct buf *b, uint32_t first, uint32_t last)
{
	add_range(b, 0, 1, first, last, 4);
}
