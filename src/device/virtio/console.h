#pragma once
/* A virtio console with one port: the guest's hvc0. */
#include "device/pci.h"

struct virtio_console_config {
	/* With the device's lock held, in a vCPU's thread; may take its time. */
	void (*output)(void *data, const void *bytes, size_t n);
	void *data;
	uint16_t columns, rows; /* 0: not known */
};

int virtio_console_new(struct memory *m, struct pci_host *host,
	const struct virtio_console_config *config, struct device **ret, struct err *err);
/* Bytes for the guest. Returns how many there was room for. Any thread. */
size_t virtio_console_input(struct device *device, const uint8_t *data, size_t len);
/* The terminal's size, when it was known at first. Any thread. */
void virtio_console_resize(struct device *device, uint16_t columns, uint16_t rows);
