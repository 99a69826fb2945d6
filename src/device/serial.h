#pragma once
/* A 16550A serial port. Bytes go out as soon as the guest writes them. */
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

struct serial_config {
	uint16_t port; /* 0x3f8 */
	unsigned line; /* 4 */
	/* In a vCPU's thread, without the device's lock; may take its time. NULL: nowhere. */
	void (*output)(void *data, uint8_t byte);
	void *data;
};

struct device *serial_new(struct memory *m, const struct serial_config *config);
/* Bytes for the guest. Returns how many there was room for. Any thread. */
size_t serial_input(struct device *device, const uint8_t *data, size_t len);
