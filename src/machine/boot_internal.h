#pragma once
/* What the ways to boot share. */
#include "base/buf.h"
#include "machine/boot.h"

/* Guest addresses in low memory, below BOOT_LOW_END. */
#define BOOT_GDT 0x1000u
#define BOOT_INFO \
	0x2000u /* boot_params, start info or multiboot information: 4 KiB and more after it */
#define BOOT_MAP 0x4000u /* memory map, module list */
#define BOOT_INFO_END 0x5000u
#define BOOT_PAGES 0x9000u /* page tables */
#define BOOT_CMDLINE 0x20000u
#define BOOT_CMDLINE_MAX 0x10000u
#define BOOT_STACK 0x90000u

/* One range of the guest's memory map; types are e820's. */
struct boot_range {
	uint64_t base, size;
	uint32_t type;
};
#define BOOT_RAM 1u
#define BOOT_RESERVED 2u
#define BOOT_RANGES 16u

unsigned boot_memory_map(const struct memory *m, struct boot_range ranges[BOOT_RANGES]);

struct boot_initrd {
	uint64_t gpa, size; /* size 0: none */
};

/* As high as it goes, below limit and the end of low RAM, page-aligned, not below floor. */
int boot_load_initrd(struct memory *m, const struct boot_file *file, uint64_t floor, uint64_t limit,
	struct boot_initrd *ret, struct err *err);
int boot_put_cmdline(struct memory *m, const char *append, uint64_t max, struct err *err);

/* Flat segments by a table at BOOT_GDT: selectors 0x10 code, 0x18 data. */
void boot_flat(struct memory *m, struct cpu_state *s, bool is_64);

/* Puts the rest of firmware there. Where a 32-bit boot begins, which then goes on at `entry` with EAX and EBX as they were. */
uint64_t boot_firmware(struct memory *m, uint32_t entry);

int boot_bzimage(struct memory *m, const struct boot_config *config, const struct buf *kernel,
	struct cpu_state *state, struct err *err);
/* PVH and multiboot. */
int boot_elf(struct memory *m, const struct boot_config *config, const struct buf *kernel,
	struct cpu_state *state, struct err *err);
