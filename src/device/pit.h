#pragma once
/* The 8254 interval timer at 0x40, its channel 0 on line 0, and port 0x61 (channel 2's gate and output). */
#include "device/device.h"
#include "memory/memory.h"

struct device *pit_new(struct memory *m);
