/*
 * Linux/x86 boot protocol (Documentation/arch/x86/boot.rst), "64-bit boot protocol": the kernel is entered 0x200 after
 * its load address in long mode, paging with the first 4 GiB mapped as they are, RSI pointing to boot_params.
 * Offsets are those of boot_params ("zero page"), whose part from 0x1f1 on is the image's setup header.
 */
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "machine/boot_internal.h"

enum {
	ACPI_RSDP = 0x070,
	EXT_RAMDISK_IMAGE = 0x0c0,
	E820_ENTRIES = 0x1e8,
	SETUP_SECTS = 0x1f1,
	VID_MODE = 0x1fa,
	JUMP = 0x201, /* of the jump over the header: its length */
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	E820_TABLE = 0x2d0,
	HEADER_MAX = 0x290,
	PARAMS_BYTES = 4096
};

#define VERSION_NEEDED 0x020cu
#define XLF_KERNEL_64 1u
#define HIGH 0x100000u
#define ENTRY_64 0x200u
#define LOADER_UNKNOWN 0xffu

static void put_memory_map(const struct memory *m, uint8_t *params)
{
	struct boot_range ranges[BOOT_RANGES];
	unsigned n = boot_memory_map(m, ranges);

	params[E820_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *e = params + E820_TABLE + 20 * i;

		put_le(e, ranges[i].base, 8);
		put_le(e + 8, ranges[i].size, 8);
		put_le(e + 16, ranges[i].type, 4);
	}
}

static void put_params(struct memory *m, const struct boot_config *config, const struct buf *kernel,
	const struct boot_initrd *initrd)
{
	uint8_t params[PARAMS_BYTES] = { 0 };
	size_t end = 0x202u + (uint8_t)kernel->data[JUMP];

	if (end > HEADER_MAX)
		end = HEADER_MAX;
	memcpy(params + SETUP_SECTS, kernel->data + SETUP_SECTS, end - SETUP_SECTS);
	put_memory_map(m, params);
	put_le(params + ACPI_RSDP, config->rsdp, 8);
	put_le(params + VID_MODE, 0xffff, 2); /* normal */
	params[TYPE_OF_LOADER] = LOADER_UNKNOWN;
	params[LOADFLAGS] |= 1; /* loaded high */
	put_le(params + RAMDISK_IMAGE, initrd->gpa, 4);
	put_le(params + RAMDISK_SIZE, initrd->size, 4);
	put_le(params + EXT_RAMDISK_IMAGE, initrd->gpa >> 32, 4);
	put_le(params + CMD_LINE_PTR, BOOT_CMDLINE, 4);
	memory_write(m, BOOT_INFO, params, sizeof(params));
}

/* The first 4 GiB, by pages of 2 MiB. */
static void put_page_tables(struct memory *m)
{
	uint64_t pml4 = (BOOT_PAGES + 0x1000) | 3, entry;

	memory_write(m, BOOT_PAGES, &pml4, 8);
	for (unsigned i = 0; i < 4; i++) {
		entry = (BOOT_PAGES + 0x2000 + 0x1000 * i) | 3;
		memory_write(m, BOOT_PAGES + 0x1000 + 8 * i, &entry, 8);
	}
	for (unsigned i = 0; i < 2048; i++) {
		entry = (uint64_t)i << 21 | 0x83;
		memory_write(m, BOOT_PAGES + 0x2000 + 8 * i, &entry, 8);
	}
}

static void set_registers(struct memory *m, struct cpu_state *s, uint64_t load)
{
	boot_flat(m, s, true);
	put_page_tables(m);
	s->cr3 = BOOT_PAGES;
	s->cr4 = 0x20;       /* PAE */
	s->efer = 0x500;     /* LME, LMA */
	s->cr0 = 0x80000011; /* PG, ET, PE */
	s->rip = load + ENTRY_64;
	s->gpr[CPU_RSI] = BOOT_INFO;
}

/* Where it goes: its preferred address where RAM is large enough there. */
static int find_place(const struct memory *m, const struct boot_config *config,
	const struct buf *kernel, size_t body, uint64_t *ret_load, uint64_t *ret_end,
	struct err *err)
{
	bool relocatable = kernel->data[RELOCATABLE];
	uint64_t load = relocatable ? get_le(kernel->data + PREF_ADDRESS, 8) : HIGH;
	uint64_t need = get_le(kernel->data + INIT_SIZE, 4);

	if (need < body)
		need = body;
	if (load < HIGH || load > UINT32_MAX || !memory_host(m, load, need, true))
		return err_set(err, ENOSPC,
			"kernel '%s' needs %llu MiB from address 0x%llx on: give the machine more "
			"--memory",
			config->kernel.path, (unsigned long long)(need >> 20),
			(unsigned long long)load);
	*ret_load = load;
	*ret_end = load + need;
	return 0;
}

int boot_bzimage(struct memory *m, const struct boot_config *config, const struct buf *kernel,
	struct cpu_state *state, struct err *err)
{
	size_t setup =
		((uint8_t)kernel->data[SETUP_SECTS] ? (uint8_t)kernel->data[SETUP_SECTS] : 4) *
			512u +
		512;
	struct boot_initrd initrd;
	uint64_t load = 0, end = 0;
	int r;

	if (get_le(kernel->data + VERSION, 2) < VERSION_NEEDED ||
		!(get_le(kernel->data + XLOADFLAGS, 2) & XLF_KERNEL_64))
		return err_set(err, ENOEXEC,
			"kernel '%s' has no 64-bit entry (boot protocol %llu.%llu)",
			config->kernel.path,
			(unsigned long long)get_le(kernel->data + VERSION + 1, 1),
			(unsigned long long)get_le(kernel->data + VERSION, 1));
	if (kernel->len <= setup)
		return err_set(err, ENOEXEC, "kernel '%s' is cut off", config->kernel.path);
	r = find_place(m, config, kernel, kernel->len - setup, &load, &end, err);
	if (r == 0)
		r = boot_put_cmdline(
			m, config->append, get_le(kernel->data + CMDLINE_SIZE, 4), err);
	if (r == 0)
		r = boot_load_initrd(m, &config->initrd, end,
			get_le(kernel->data + INITRD_ADDR_MAX, 4) + 1, &initrd, err);
	if (r < 0)
		return r;
	memory_write(m, load, kernel->data + setup, kernel->len - setup);
	put_params(m, config, kernel, &initrd);
	set_registers(m, state, load);
	return 0;
}
