#pragma once
/* A virtio block device over a disk. */
#include "device/pci.h"
#include "disk/disk.h"

/* The disk becomes the device's, also on failure. */
int virtio_blk_new(struct memory *m, struct pci_host *host, struct disk *disk, struct device **ret,
	struct err *err);
