#pragma once
/* The pvpanic device: a port at which a guest says that it panicked. Linux's driver knows it by QEMU0001. */
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

/* panicked: in a vCPU's thread; once a byte with the panic bit. */
struct device *panic_new(struct memory *m, uint16_t port, void (*panicked)(void *data), void *data);
