/* System Management BIOS 3.3.0 (DSP0134): structures of a formatted part and the strings that it numbers. */
#include "machine/smbios.h"

#include <errno.h>
#include <string.h>

#define VERSION_MAJOR 3
#define VERSION_MINOR 3
#define MIB UINT64_C(0x100000)
#define NONE 0xffffu /* a handle: not there */

/* Handles. */
enum {
	FIRMWARE = 0x000,
	SYSTEM = 0x100,
	CHASSIS = 0x300,
	PROCESSOR = 0x400,
	ARRAY = 0x1000,
	MODULE = 0x1100,
	MAPPED = 0x1300,
	BOOT = 0x2000,
	END = 0x7f00,
};

/* Its header, the formatted part's bytes and the strings, each with its end; two ends when there is none. */
static void structure(
	struct buf *b, uint8_t kind, uint16_t handle, struct buf *body, const char *const *strings)
{
	buf_add_le(b, kind, 1);
	buf_add_le(b, 4 + body->len, 1);
	buf_add_le(b, handle, 2);
	buf_add(b, body->data, body->len);
	if (!strings)
		buf_add_le(b, 0, 1);
	for (; strings && *strings; strings++)
		buf_add(b, *strings, strlen(*strings) + 1);
	buf_add_le(b, 0, 1);
	buf_free(body);
}

static void add_firmware(struct buf *b)
{
	static const char *const strings[] = { "holm", "1", "01/01/2026", NULL };
	struct buf s = { 0 };

	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 0xe000, 2);
	buf_add_le(&s, 3, 1);
	buf_add_le(&s, 0, 1);          /* 64 KiB */
	buf_add_le(&s, 8, 8);          /* no characteristics are told */
	buf_add_le(&s, 1, 1);          /* ACPI */
	buf_add_le(&s, 0x10, 1);       /* a virtual machine */
	buf_add_le(&s, 0xffffffff, 4); /* releases: not told */
	buf_add_le(&s, 0, 2);
	structure(b, 0, FIRMWARE, &s, strings);
}

static void add_system(struct buf *b)
{
	static const char *const strings[] = { "holm", "Standard PC", "1", NULL };
	struct buf s = { 0 };

	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 3, 1);
	buf_add_le(&s, 0, 1);
	buf_add_le(&s, 0, 8); /* no UUID */
	buf_add_le(&s, 0, 8);
	buf_add_le(&s, 6, 1); /* woken by the power switch */
	buf_add_le(&s, 0, 2);
	structure(b, 1, SYSTEM, &s, strings);
}

static void add_chassis(struct buf *b)
{
	static const char *const strings[] = { "holm", NULL };
	struct buf s = { 0 };

	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 1, 1); /* other */
	buf_add_le(&s, 0, 3);
	buf_add_le(&s, 0x020303, 3); /* states: safe, safe, and security unknown */
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 0, 8);
	buf_add_le(&s, 0, 1);
	structure(b, 3, CHASSIS, &s, strings);
}

/* One package for all processors. */
static void add_processor(struct buf *b, unsigned n)
{
	static const char *const strings[] = { "CPU 0", "holm", NULL };
	struct buf s = { 0 };

	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 3, 1); /* central processor */
	buf_add_le(&s, 1, 1); /* family: other */
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 0, 8); /* CPUID tells */
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 0, 1);
	buf_add_le(&s, 0, 6);    /* clocks: not known */
	buf_add_le(&s, 0x41, 1); /* there and enabled */
	buf_add_le(&s, 1, 1);
	buf_add_le(&s, NONE, 2);
	buf_add_le(&s, NONE, 2);
	buf_add_le(&s, NONE, 2);
	buf_add_le(&s, 0, 3);
	buf_add_le(&s, n > 255 ? 255 : n, 1);
	buf_add_le(&s, n > 255 ? 255 : n, 1);
	buf_add_le(&s, n > 255 ? 255 : n, 1);
	buf_add_le(&s, 0x4c, 2); /* 64 bits, several cores, NX */
	buf_add_le(&s, 1, 2);
	buf_add_le(&s, n, 2);
	buf_add_le(&s, n, 2);
	buf_add_le(&s, n, 2);
	structure(b, 4, PROCESSOR, &s, strings);
}

static void add_array(struct buf *b, uint64_t memory)
{
	bool large = memory >> 10 >= 0x80000000u;
	struct buf s = { 0 };

	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 3, 1); /* system memory */
	buf_add_le(&s, 3, 1); /* without error correction */
	buf_add_le(&s, large ? 0x80000000u : memory >> 10, 4);
	buf_add_le(&s, 0xfffe, 2);
	buf_add_le(&s, 1, 2);
	buf_add_le(&s, large ? memory : 0, 8);
	structure(b, 16, ARRAY, &s, NULL);
}

static void add_module(struct buf *b, uint64_t memory)
{
	static const char *const strings[] = { "DIMM 0", "holm", NULL };
	bool large = memory / MIB >= 0x7fff;
	struct buf s = { 0 };

	buf_add_le(&s, ARRAY, 2);
	buf_add_le(&s, 0xfffe, 2);
	buf_add_le(&s, 0xffff, 2); /* widths: unknown */
	buf_add_le(&s, 0xffff, 2);
	buf_add_le(&s, large ? 0x7fff : memory / MIB, 2);
	buf_add_le(&s, 9, 1); /* a DIMM */
	buf_add_le(&s, 0, 1);
	buf_add_le(&s, 1, 1);
	buf_add_le(&s, 0, 1);
	buf_add_le(&s, 7, 1); /* RAM */
	buf_add_le(&s, 2, 2);
	buf_add_le(&s, 0, 2);
	buf_add_le(&s, 2, 1);
	buf_add_le(&s, 0, 4);
	buf_add_le(&s, large ? memory / MIB : 0, 4);
	buf_add_le(&s, 0, 2);
	buf_add_le(&s, 0, 6);
	structure(b, 17, MODULE, &s, strings);
}

static void add_mapped(struct buf *b, uint64_t first, uint64_t last, uint16_t handle)
{
	struct buf s = { 0 };

	buf_add_le(&s, 0xffffffff, 4); /* the wide fields have it */
	buf_add_le(&s, 0xffffffff, 4);
	buf_add_le(&s, ARRAY, 2);
	buf_add_le(&s, 1, 1);
	buf_add_le(&s, first, 8);
	buf_add_le(&s, last, 8);
	structure(b, 19, handle, &s, NULL);
}

void smbios_tables(struct buf *b, const struct smbios_config *config)
{
	struct buf s = { 0 };

	add_firmware(b);
	add_system(b);
	add_chassis(b);
	add_processor(b, config->n_vcpus);
	add_array(b, config->memory);
	add_module(b, config->memory);
	add_mapped(b, 0, config->memory - 1, MAPPED);
	buf_add_le(&s, 0, 7); /* booted without an error */
	structure(b, 32, BOOT, &s, NULL);
	structure(b, 127, END, &s, NULL);
}

void smbios_anchor(uint8_t anchor[SMBIOS_ANCHOR_BYTES], uint64_t gpa, uint32_t len)
{
	uint8_t sum = 0;

	memset(anchor, 0, SMBIOS_ANCHOR_BYTES);
	memcpy(anchor, "_SM3_", 5);
	anchor[6] = SMBIOS_ANCHOR_BYTES;
	anchor[7] = VERSION_MAJOR;
	anchor[8] = VERSION_MINOR;
	anchor[10] = 1;
	memcpy(anchor + 12, &len, sizeof(len));
	memcpy(anchor + 16, &gpa, sizeof(gpa));
	for (unsigned i = 0; i < SMBIOS_ANCHOR_BYTES; i++)
		sum = (uint8_t)(sum + anchor[i]);
	anchor[5] = (uint8_t)-sum;
}

int smbios_place(struct memory *m, uint64_t gpa, uint32_t limit, const struct smbios_config *config,
	struct err *err)
{
	cleanup(buf_free) struct buf tables = { 0 };
	uint8_t anchor[SMBIOS_ANCHOR_BYTES];
	uint64_t at = gpa + 32;

	smbios_tables(&tables, config);
	smbios_anchor(anchor, at, (uint32_t)tables.len);
	if (32 + tables.len > limit || !memory_write(m, gpa, anchor, sizeof(anchor)) ||
		!memory_write(m, at, tables.data, tables.len))
		return err_set(err, ENOSPC, "no room for %zu bytes of SMBIOS tables", tables.len);
	return 0;
}
