#pragma once
/*
 * Sockets between guest and host (AF_VSOCK), on the host's side Unix sockets. A program of the host connects to PATH, says
 * "CONNECT PORT\n" and, when the guest listens there, reads "OK N\n" and is connected. A program of the guest that
 * connects to port N of CID 2 reaches who listens at PATH_N. Stream sockets only.
 */
#include "device/pci.h"

#define VSOCK_CID_MIN 3u

/* The host's end, for a device that cannot look for paths itself. */
struct vsock_host {
	int listener; /* stays the caller's */
	/* To who listens for the guest at this port: a descriptor that does not block, or -errno. A vCPU's thread, which
	 * waits for it. */
	int (*connect)(void *data, uint32_t port);
	void *data;
};

/* Makes PATH, which is the caller's to remove; a socket that is left there and nobody listens to is replaced. -EADDRINUSE. */
int vsock_listen(const char *path, int *ret, struct err *err);
/* To PATH_N: a descriptor, or -errno. */
int vsock_connect(const char *path, uint32_t port);

int virtio_vsock_new(struct memory *m, struct pci_host *host, uint32_t cid,
	const struct vsock_host *end, struct device **ret, struct err *err);
