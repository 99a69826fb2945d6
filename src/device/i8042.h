#pragma once
/*
 * The keyboard controller at ports 0x60 and 0x64, line 1, with a keyboard whose keys nobody presses: what systems probe, the
 * A20 gate, which has no effect, and the reset line. There is no second port for a mouse.
 */
#include "device/device.h"
#include "memory/memory.h"

/* reset: the guest asks for one; called in a vCPU's thread, without a lock. */
struct device *i8042_new(struct memory *m, void (*reset)(void *data), void *data);
