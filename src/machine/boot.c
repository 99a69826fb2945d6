/* What all ways to boot need, and which way it is. */
#include "machine/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "device/pci.h"
#include "machine/boot_internal.h"

#define KERNEL_MAX (512u << 20)
#define FOUR_GIB UINT64_C(0x100000000)

static void add_range(struct boot_range *r, unsigned *n, uint64_t base, uint64_t end, uint32_t type)
{
	if (base < end && *n < BOOT_RANGES)
		r[(*n)++] = (struct boot_range){ base, end - base, type };
}

/* RAM as it is, without the first MiB's upper part, which is firmware's. */
unsigned boot_memory_map(const struct memory *m, struct boot_range ranges[BOOT_RANGES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct memory_region *r = &m->regions[i];

		if (r->readonly)
			continue;
		if (r->gpa == 0) {
			add_range(ranges, &n, 0, BOOT_LOW_END, BOOT_RAM);
			add_range(ranges, &n, BOOT_LOW_END, 0xa0000, BOOT_RESERVED);
			add_range(ranges, &n, BOOT_ROM, 0x100000, BOOT_RESERVED);
			add_range(ranges, &n, 0x100000, r->size, BOOT_RAM);
		} else {
			add_range(ranges, &n, r->gpa, r->gpa + r->size, BOOT_RAM);
		}
	}
	add_range(ranges, &n, PCI_ECAM, PCI_ECAM + PCI_ECAM_BYTES, BOOT_RESERVED);
	return n;
}

/* The end of the RAM that begins at 0. */
static uint64_t low_end(const struct memory *m)
{
	const struct memory_region *r = memory_find(m, 0);

	return r ? r->size : 0;
}

int boot_file_open(const char *what, const char *path, struct boot_file *ret, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	struct stat st;

	if (!path)
		return 0;
	/* A FIFO would wait here for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "open %s '%s'", what, path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s '%s' is no file", what, path);
	*ret = (struct boot_file){ xstrdup(path), take_fd(fd), (uint64_t)st.st_size };
	return 0;
}

void boot_file_close(struct boot_file *file)
{
	if (file->path)
		fd_close(file->fd);
	free(file->path);
	*file = (struct boot_file){ 0 };
}

static int read_into(const struct boot_file *file, uint8_t *to, uint64_t size, struct err *err)
{
	ssize_t n = fd_read_full(file->fd, to, size);

	if (n < 0)
		return err_code(err, (int)n, "read '%s'", file->path);
	if ((uint64_t)n < size)
		return err_set(err, EIO, "read '%s': it became shorter", file->path);
	return 0;
}

int boot_load_initrd(struct memory *m, const struct boot_file *file, uint64_t floor, uint64_t limit,
	struct boot_initrd *ret, struct err *err)
{
	uint64_t end = low_end(m), size = file->size;
	int r;

	if (!file->path) {
		*ret = (struct boot_initrd){ 0 };
		return 0;
	}
	end = (end < limit ? end : limit) & ~UINT64_C(4095);
	if (size > end || ((end - size) & ~UINT64_C(4095)) < floor)
		return err_set(err, ENOSPC,
			"initrd '%s' of %llu MiB does not fit: give the machine more --memory",
			file->path, (unsigned long long)(size >> 20));
	*ret = (struct boot_initrd){ (end - size) & ~UINT64_C(4095), size };
	if (size == 0)
		return 0;
	r = read_into(file, memory_host(m, ret->gpa, size, true), size, err);
	memory_dirty(m, ret->gpa, size);
	return r;
}

int boot_put_cmdline(struct memory *m, const char *append, uint64_t max, struct err *err)
{
	size_t len = strlen(append ? append : "");

	if (max > BOOT_CMDLINE_MAX - 1)
		max = BOOT_CMDLINE_MAX - 1;
	if (len > max)
		return err_set(err, E2BIG,
			"the command line has %zu characters, the kernel takes %llu", len,
			(unsigned long long)max);
	memory_write(m, BOOT_CMDLINE, append ? append : "", len + 1);
	return 0;
}

void boot_flat(struct memory *m, struct cpu_state *s, bool is_64)
{
	const uint64_t gdt[] = { 0, 0, is_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		0x00cf93000000ffff };
	struct cpu_segment data = {
		.limit = UINT32_MAX, .selector = 0x18, .access = 0x93 | CPU_SEG_G | CPU_SEG_DB
	};

	memory_write(m, BOOT_GDT, gdt, sizeof(gdt));
	s->gdtr = (struct cpu_table){ BOOT_GDT, sizeof(gdt) - 1 };
	s->idtr = (struct cpu_table){ 0, 0 };
	for (unsigned i = CPU_ES; i <= CPU_GS; i++)
		s->segment[i] = data;
	s->segment[CPU_CS] = (struct cpu_segment){ .limit = UINT32_MAX,
		.selector = 0x10,
		.access = 0x9b | CPU_SEG_G | (is_64 ? CPU_SEG_L : CPU_SEG_DB) };
	s->cr0 = 0x11;            /* PE, ET: caches are on */
	s->mtrr_def_type = 0x806; /* all memory is write-back */
	s->rflags = 2;
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[CPU_RSP] = BOOT_STACK;
}

int boot_load(struct memory *m, const struct boot_config *config, struct cpu_state *state,
	struct err *err)
{
	cleanup(buf_free) struct buf kernel = { 0 };
	int r = fd_read_to_end(config->kernel.fd, KERNEL_MAX, &kernel);

	if (r < 0)
		return err_code(err, r, "read kernel '%s'", config->kernel.path);
	if (low_end(m) < 0x200000)
		return err_set(err, ENOSPC, "a kernel needs 2 MiB of --memory at least");
	if (kernel.len > 0x264 && memcmp(kernel.data + 0x202, "HdrS", 4) == 0)
		return boot_bzimage(m, config, &kernel, state, err);
	if (kernel.len > 0x40 && memcmp(kernel.data, "\177ELF", 4) == 0)
		return boot_elf(m, config, &kernel, state, err);
	return err_set(err, ENOEXEC,
		"'%s' is no kernel that can be booted: neither a bzImage nor an ELF file with a PVH "
		"note or a multiboot header",
		config->kernel.path);
}
