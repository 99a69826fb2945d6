#pragma once
/* A virtio balloon: memory that the guest gives back, what it frees by itself among it. */
#include "device/pci.h"

/* bytes: what the guest is asked for. */
int virtio_balloon_new(struct memory *m, struct pci_host *host, uint64_t bytes, struct device **ret,
	struct err *err);
