/*
 * ELF kernels, of 32 or 64 bits, entered in 32-bit protected mode without paging:
 * - PVH (Xen's docs/misc/pvh.pandoc): note 18 of "Xen" is the entry, EBX points to struct hvm_start_info;
 * - multiboot 1 (GNU multiboot specification 0.6.96): a header in the first 8 KiB, EBX points to its information.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "machine/boot_internal.h"

#define NOTE_PVH_ENTRY 18u
#define START_INFO_MAGIC 0x336ec578u
#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH 8192u
#define BOOT_MAGIC 0x2badb002u
#define HAS_MEMORY 0x01u
#define HAS_CMDLINE 0x04u
#define HAS_MODULES 0x08u
#define HAS_MAP 0x40u
#define HAS_LOADER 0x200u

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t offset, gpa, file_size, memory_size;
};

struct elf {
	const struct buf *file;
	bool is_64;
	uint64_t entry, table, end; /* end: of what was loaded */
	unsigned n, entry_size;
};

static bool inside(const struct buf *b, uint64_t at, uint64_t len)
{
	return at <= b->len && len <= b->len - at;
}

static bool elf_open(struct elf *e, const struct buf *file)
{
	Elf64_Ehdr h64;
	Elf32_Ehdr h32;

	*e = (struct elf){ .file = file, .is_64 = file->data[EI_CLASS] == ELFCLASS64 };
	if (file->data[EI_DATA] != ELFDATA2LSB || !inside(file, 0, sizeof(h64)))
		return false;
	memcpy(&h64, file->data, sizeof(h64));
	memcpy(&h32, file->data, sizeof(h32));
	e->entry = e->is_64 ? h64.e_entry : h32.e_entry;
	e->table = e->is_64 ? h64.e_phoff : h32.e_phoff;
	e->n = e->is_64 ? h64.e_phnum : h32.e_phnum;
	e->entry_size = e->is_64 ? h64.e_phentsize : h32.e_phentsize;
	return e->entry_size >= (e->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) &&
	       inside(file, e->table, (uint64_t)e->n * e->entry_size);
}

static struct segment segment_at(const struct elf *e, unsigned i)
{
	const char *at = e->file->data + e->table + (size_t)i * e->entry_size;
	Elf64_Phdr p64;
	Elf32_Phdr p32;

	if (e->is_64) {
		memcpy(&p64, at, sizeof(p64));
		return (struct segment){ p64.p_type, p64.p_offset, p64.p_paddr, p64.p_filesz,
			p64.p_memsz };
	}
	memcpy(&p32, at, sizeof(p32));
	return (struct segment){ p32.p_type, p32.p_offset, p32.p_paddr, p32.p_filesz, p32.p_memsz };
}

/* Whether it would lie on what the kernel is handed in low memory. */
static bool covers_info(const struct segment *s)
{
	return s->gpa < BOOT_INFO_END ||
	       (s->gpa < BOOT_CMDLINE + BOOT_CMDLINE_MAX && s->gpa + s->memory_size > BOOT_CMDLINE);
}

static int load_segments(struct memory *m, struct elf *e, const char *path, struct err *err)
{
	for (unsigned i = 0; i < e->n; i++) {
		struct segment s = segment_at(e, i);
		uint8_t *host;

		if (s.type != PT_LOAD || s.memory_size == 0)
			continue;
		if (s.file_size > s.memory_size || !inside(e->file, s.offset, s.file_size))
			return err_set(err, ENOEXEC, "kernel '%s' is cut off", path);
		host = memory_host(m, s.gpa, s.memory_size, true);
		if (!host || covers_info(&s))
			return err_set(err, ENOSPC,
				"kernel '%s' needs memory at 0x%llx: give the machine more --memory",
				path, (unsigned long long)s.gpa);
		memcpy(host, e->file->data + s.offset, s.file_size);
		memset(host + s.file_size, 0, s.memory_size - s.file_size);
		memory_dirty(m, s.gpa, s.memory_size);
		if (s.gpa + s.memory_size > e->end)
			e->end = s.gpa + s.memory_size;
	}
	return e->end ? 0 : err_set(err, ENOEXEC, "kernel '%s' has nothing to load", path);
}

/* Looks through a segment of notes, whose parts are padded to 4 bytes. */
static bool note_entry(const struct elf *e, const struct segment *s, uint32_t *ret)
{
	uint64_t at = s->offset, end = s->offset + s->file_size;
	Elf32_Nhdr h;

	while (at + sizeof(h) <= end) {
		uint64_t name = at + sizeof(h), data;

		memcpy(&h, e->file->data + at, sizeof(h));
		data = name + ((h.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
		if (data > end || h.n_descsz > end - data)
			return false;
		if (h.n_type == NOTE_PVH_ENTRY && h.n_namesz == 4 && h.n_descsz >= 4 &&
			memcmp(e->file->data + name, "Xen", 4) == 0) {
			memcpy(ret, e->file->data + data, 4);
			return true;
		}
		at = data + ((h.n_descsz + UINT64_C(3)) & ~UINT64_C(3));
	}
	return false;
}

static bool pvh_entry(const struct elf *e, uint32_t *ret)
{
	for (unsigned i = 0; i < e->n; i++) {
		struct segment s = segment_at(e, i);

		if (s.type == PT_NOTE && inside(e->file, s.offset, s.file_size) &&
			note_entry(e, &s, ret))
			return true;
	}
	return false;
}

static bool is_multiboot(const struct buf *file)
{
	for (size_t at = 0; at + 12 <= file->len && at + 12 <= HEADER_SEARCH; at += 4) {
		uint32_t h[3];

		memcpy(h, file->data + at, sizeof(h));
		if (h[0] == HEADER_MAGIC && h[0] + h[1] + h[2] == 0)
			return true;
	}
	return false;
}

/* struct hvm_start_info, version 1, with its memory map and module list. */
static void put_start_info(
	struct memory *m, const struct boot_config *config, const struct boot_initrd *initrd)
{
	struct boot_range ranges[BOOT_RANGES];
	unsigned n = boot_memory_map(m, ranges);
	uint64_t module[4] = { initrd->gpa, initrd->size, 0, 0 };
	struct {
		uint32_t magic, version, flags, n_modules;
		uint64_t modules, cmdline, rsdp, map;
		uint32_t n_map, reserved;
	} info = { START_INFO_MAGIC, 1, 0, initrd->size ? 1 : 0, BOOT_MAP + 0x800, BOOT_CMDLINE,
		config->rsdp, BOOT_MAP, n, 0 };

	for (unsigned i = 0; i < n; i++) {
		uint64_t entry[3] = { ranges[i].base, ranges[i].size, ranges[i].type };

		memory_write(m, BOOT_MAP + sizeof(entry) * i, entry, sizeof(entry));
	}
	memory_write(m, BOOT_MAP + 0x800, module, sizeof(module));
	memory_write(m, BOOT_INFO, &info, sizeof(info));
}

static void put_multiboot_info(struct memory *m, const struct boot_initrd *initrd)
{
	struct boot_range ranges[BOOT_RANGES];
	unsigned n = boot_memory_map(m, ranges);
	uint32_t module[4] = { (uint32_t)initrd->gpa, (uint32_t)(initrd->gpa + initrd->size),
		BOOT_CMDLINE, 0 };
	uint32_t info[22] = { HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MAP | HAS_LOADER,
		BOOT_LOW_END >> 10, (uint32_t)((m->regions[0].size - 0x100000) >> 10) };
	static const char name[] = "holm";

	for (unsigned i = 0; i < n; i++) {
		uint32_t entry[6] = { 20, (uint32_t)ranges[i].base,
			(uint32_t)(ranges[i].base >> 32), (uint32_t)ranges[i].size,
			(uint32_t)(ranges[i].size >> 32), ranges[i].type };

		memory_write(m, BOOT_MAP + sizeof(entry) * i, entry, sizeof(entry));
	}
	info[4] = BOOT_CMDLINE;
	info[5] = initrd->size ? 1 : 0;
	info[6] = BOOT_MAP + 0x800;
	info[11] = n * 24;
	info[12] = BOOT_MAP;
	info[16] = BOOT_MAP + 0x900;
	memory_write(m, BOOT_MAP + 0x800, module, sizeof(module));
	memory_write(m, BOOT_MAP + 0x900, name, sizeof(name));
	memory_write(m, BOOT_INFO, info, sizeof(info));
}

int boot_elf(struct memory *m, const struct boot_config *config, const struct buf *kernel,
	struct cpu_state *state, struct err *err)
{
	struct boot_initrd initrd;
	uint32_t entry = 0;
	struct elf e;
	bool pvh;
	int r;

	if (!elf_open(&e, kernel))
		return err_set(err, ENOEXEC, "kernel '%s' is cut off", config->kernel.path);
	pvh = pvh_entry(&e, &entry);
	if (!pvh && !is_multiboot(kernel))
		return err_set(err, ENOEXEC,
			"kernel '%s' has neither a PVH note nor a multiboot header",
			config->kernel.path);
	r = load_segments(m, &e, config->kernel.path, err);
	if (r == 0)
		r = boot_put_cmdline(m, config->append, UINT64_MAX, err);
	if (r == 0)
		r = boot_load_initrd(m, &config->initrd, e.end, UINT32_MAX, &initrd, err);
	if (r < 0)
		return r;
	boot_flat(m, state, false);
	state->gpr[CPU_RBX] = BOOT_INFO;
	if (pvh) {
		put_start_info(m, config, &initrd);
		state->rip = entry;
	} else {
		put_multiboot_info(m, &initrd);
		state->rip = boot_firmware(m, (uint32_t)e.entry);
		state->gpr[CPU_RAX] = BOOT_MAGIC;
	}
	return 0;
}
