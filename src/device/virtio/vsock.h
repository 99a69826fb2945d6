#pragma once
/*
 * Sockets between guest and host (AF_VSOCK), on the host's side Unix sockets. A program of the host connects to PATH, says
 * "CONNECT PORT\n" and, when the guest listens there, reads "OK N\n" and is connected. A program of the guest that
 * connects to port N of CID 2 reaches who listens at PATH_N. Stream sockets only.
 */
#include "device/pci.h"

#define VSOCK_CID_MIN 3u

/* PATH is made here and removed at the end; a socket that is left there and nobody listens to is replaced. -EADDRINUSE. */
int virtio_vsock_new(struct memory *m, struct pci_host *host, uint32_t cid, const char *path,
	struct device **ret, struct err *err);
