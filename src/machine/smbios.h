#pragma once
/*
 * SMBIOS 3.3 tables: who made the machine, its processors and memory. They are put into guest memory where systems look for
 * them without firmware, and returned for firmware that places them itself.
 */
#include <stdint.h>

#include "base/buf.h"
#include "memory/memory.h"

#define SMBIOS_ANCHOR_BYTES 24u

struct smbios_config {
	unsigned n_vcpus;
	uint64_t memory; /* bytes */
};

/* The structures, one after the other. */
void smbios_tables(struct buf *b, const struct smbios_config *config);
/* The anchor of `len` bytes of structures at gpa (0: firmware fills that in). */
void smbios_anchor(uint8_t anchor[SMBIOS_ANCHOR_BYTES], uint64_t gpa, uint32_t len);
/* Anchor and structures from gpa on, which is in 0xf0000-0xfffff and a multiple of 16. -ENOSPC beyond limit. */
int smbios_place(struct memory *m, uint64_t gpa, uint32_t limit, const struct smbios_config *config,
	struct err *err);
