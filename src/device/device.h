#pragma once
/*
 * The seam of devices. One file a device: a constructor that takes the memory and the device's own
 * configuration and maps what it answers to, and a struct device_type. Devices see neither a cpu nor the
 * machine: they meet others in memory/ only, or by what their constructor is handed.
 *
 * Contract. A guest writes anything, anywhere, at any time: no value, offset or order of accesses may
 * crash, hang or allocate without a limit; what no rule defines reads as 0 or is ignored. Lengths and
 * addresses from the guest are checked before use. Lines that a guest can cause to be logged are said once.
 *
 * Threads: bus handlers run in any vCPU's thread, timers in the clock's; a device locks itself. A device's
 * lock may be held while calling irq_line_set(), clock_timer_set(), memory_read(); not while calling into
 * another device, with the exceptions that their headers name.
 */
#include "base/cleanup.h"
#include "base/err.h"

struct device;

struct device_type {
	const char *name; /* "serial" */

	/* Once, before the vCPUs run: begins what goes on beside them. Threads and rings are made here and not by the
	 * constructor, which opens files: between the two, the machine's process goes to its jail. 0 or -errno.
	 * Optional. */
	int (*start)(struct device *device, struct err *err);

	/* As after power-up, all lines low, timers unset. No vCPU runs. Optional. */
	void (*reset)(struct device *device);

	/* Unmaps, waits for its timers and threads, frees, also when it was never started. No vCPU runs.
	 * Mandatory. */
	void (*destroy)(struct device *device);
};

/* First member of every device's structure. */
struct device {
	const struct device_type *type;
};

static inline int device_start(struct device *device, struct err *err)
{
	return device->type->start ? device->type->start(device, err) : 0;
}

static inline void device_reset(struct device *device)
{
	if (device->type->reset)
		device->type->reset(device);
}

/* NULL is allowed. */
static inline void device_free(struct device *device)
{
	if (device)
		device->type->destroy(device);
}
DEFINE_CLEANUP(device_free, struct device *);
