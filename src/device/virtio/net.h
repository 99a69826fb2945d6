#pragma once
/* A virtio network card, plugged into a backend. */
#include "device/pci.h"
#include "net/backend.h"

/* The backend becomes the device's, also on failure. */
int virtio_net_new(struct memory *m, struct pci_host *host, struct net_backend *backend,
	const uint8_t mac[6], struct device **ret, struct err *err);
