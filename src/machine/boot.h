#pragma once
/*
 * Booting a kernel without firmware: puts it, its initial RAM disk, its command line and what firmware would tell
 * it into guest memory, and says in which state the boot processor begins. Kernels: Linux bzImage by the 64-bit
 * boot protocol, ELF with a PVH note, ELF with a multiboot header.
 *
 * Files are foreign: every size in them is checked against the file and guest memory.
 */
#include <stdint.h>

#include "base/err.h"
#include "cpu/state.h"
#include "memory/memory.h"

/* An open file: it is read where the file system is out of reach. */
struct boot_file {
	char *path; /* for messages; NULL: none */
	int fd;
	uint64_t size; /* bytes, when it was opened */
};

struct boot_config {
	struct boot_file kernel, initrd;
	const char *append; /* command line; NULL: "" */
	uint64_t rsdp;      /* gpa of the ACPI tables' root */
};

/* The low memory that boots use; free again for the guest. A bzImage is above BOOT_LOW_END; an ELF kernel may lie
 * anywhere but on what is handed to it. */
#define BOOT_TABLES 0x1000u
#define BOOT_LOW_END 0x9fc00u
#define BOOT_ROM 0xe0000u /* firmware's tables: not the guest's */
#define BOOT_ACPI_BYTES 0x10000u
#define BOOT_SMBIOS 0xf0000u
#define BOOT_SMBIOS_BYTES 0x8000u
#define BOOT_FIRMWARE 0xfe000u /* code */

/* `what`: "kernel", "initrd". path NULL opens nothing. */
int boot_file_open(const char *what, const char *path, struct boot_file *ret, struct err *err);
/* What was never opened is all zeroes. */
void boot_file_close(struct boot_file *file);

/* Sets the registers in *state, which is as after power-up. */
int boot_load(struct memory *m, const struct boot_config *config, struct cpu_state *state,
	struct err *err);
