#pragma once
/*
 * ACPI tables (ACPI 6.4 chapter 5) that describe the board: RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG. They are put
 * into guest memory where firmware would have put them.
 */
#include <stdint.h>

#include "base/err.h"
#include "memory/memory.h"

#define PANIC_PORT 0x505u /* the DSDT's QEMU0001: a guest that panics tells */

struct acpi_config {
	unsigned n_vcpus;
	bool has_panic; /* there is a device at PANIC_PORT */
};

/* From gpa on, at most limit bytes. The RSDP is at gpa itself. Returns how many bytes it took, or -ENOSPC. */
int acpi_build(struct memory *m, uint64_t gpa, uint32_t limit, const struct acpi_config *config,
	struct err *err);
