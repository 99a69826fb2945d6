#pragma once
/* A virtio balloon: memory that the guest gives back, what it frees by itself among it. */
#include "device/pci.h"

/* bytes: what the guest is asked for at first. */
int virtio_balloon_new(struct memory *m, struct pci_host *host, uint64_t bytes, struct device **ret,
	struct err *err);
/* Asks the guest for so much, instead. Any thread. */
void virtio_balloon_set(struct device *device, uint64_t bytes);
/* What it has given, in bytes; free pages are not counted. Any thread. */
uint64_t virtio_balloon_given(struct device *device);
