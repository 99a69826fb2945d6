#pragma once
/* Port 0x80, to which firmware writes how far it has come, and kernels to lose a moment. Nobody looks. */
#include "device/device.h"
#include "memory/memory.h"

struct device *post_new(struct memory *m);
