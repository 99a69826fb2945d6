#pragma once
/* What the machine says of itself where systems and firmware look: ACPI and SMBIOS tables in low memory, and the items of
 * the firmware configuration device. */
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

struct describe_config {
	unsigned n_vcpus;
	uint64_t memory; /* bytes */
};

int describe_machine(struct memory *m, struct device *fwcfg, const struct describe_config *config,
	struct err *err);
