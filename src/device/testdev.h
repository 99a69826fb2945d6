#pragma once
/*
 * What test kernels expect of a machine made for them (kvm-unit-tests' x86/README and lib/x86): isa-debug-exit at 0xf4,
 * which ends with (value << 1) | 1, the debug console at 0xe9, and the testdev: RAM size at 0xd1, a port that keeps its
 * value at 0xe0, interrupt lines at 0x2000-0x2017, memory that keeps its bytes at 0xff000000.
 */
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

struct testdev_config {
	void (*exit)(void *data, int code);
	void (*debug)(void *data, uint8_t byte);
	void *data;
};

struct device *testdev_new(struct memory *m, const struct testdev_config *config);
