#pragma once
/*
 * QEMU's firmware configuration device (docs/specs/fw_cfg.rst), which firmware and guests know: numbered items and named
 * files, read by bytes through ports 0x510 and 0x511 or by DMA through 0x514.
 */
#include "device/device.h"
#include "memory/memory.h"

#define FWCFG_PORT 0x510u
#define FWCFG_PORTS 12u

/* Numbered items. */
enum {
	FWCFG_SIGNATURE = 0,
	FWCFG_ID = 1,
	FWCFG_RAM_BYTES = 3,
	FWCFG_CPUS = 5,
	FWCFG_NUMA = 0xd,
	FWCFG_BOOT_MENU = 0xe,
	FWCFG_CPUS_MAX = 0xf,
	FWCFG_DIRECTORY = 0x19,
	FWCFG_FILES = 0x20, /* the first file's */
};

struct device *fwcfg_new(struct memory *m);
/* Before the machine runs. The data is copied. -ENOSPC for too many, -EEXIST for a name or number that is taken. */
int fwcfg_add(struct device *fwcfg, uint16_t key, const void *data, size_t len, struct err *err);
/* An integer of `size` bytes, little-endian. */
int fwcfg_add_number(
	struct device *fwcfg, uint16_t key, uint64_t value, unsigned size, struct err *err);
/* "etc/e820"; up to 55 characters. */
int fwcfg_add_file(
	struct device *fwcfg, const char *name, const void *data, size_t len, struct err *err);
