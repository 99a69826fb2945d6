#pragma once
/* Entropy for the guest, from the host's random generator. */
#include "device/pci.h"

int virtio_rng_new(struct memory *m, struct pci_host *host, struct device **ret, struct err *err);
