/* A tap device (Linux's tuntap.rst) with virtio's header before each frame, which the kernel checks and understands. */
#include <errno.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "net/backend.h"

static int send_frame(
	struct net_backend *b, const struct net_header *header, const struct iovec *iov, int n_iov)
{
	struct iovec all[NET_PARTS + 1] = { { (void *)header, sizeof(*header) } };

	if (n_iov > NET_PARTS)
		return -EMSGSIZE;
	for (int i = 0; i < n_iov; i++)
		all[i + 1] = iov[i];
	return writev(b->fd, all, n_iov + 1) < 0 ? -errno : 0;
}

static ssize_t receive(struct net_backend *b, struct net_header *header, void *frame, size_t size)
{
	struct iovec iov[2] = { { header, sizeof(*header) }, { frame, size } };
	ssize_t n = readv(b->fd, iov, 2);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : errno == EBADFD ? -EPIPE : -errno;
	return n < (ssize_t)sizeof(*header) ? -EPIPE : n - (ssize_t)sizeof(*header);
}

static void set_offloads(struct net_backend *b, unsigned offloads)
{
	unsigned long flags = 0;

	/* The larger frames need the guest to take ones without checksum. */
	if (offloads & NET_CHECKSUM)
		flags = TUN_F_CSUM | (offloads & NET_TSO4 ? TUN_F_TSO4 : 0) |
			(offloads & NET_TSO6 ? TUN_F_TSO6 : 0) |
			(offloads & NET_TSO_ECN && offloads & (NET_TSO4 | NET_TSO6) ? TUN_F_TSO_ECN
										    : 0);
	ioctl(b->fd, TUNSETOFFLOAD, flags);
}

static void close_tap(struct net_backend *b)
{
	fd_close(b->fd);
	free(b);
}

int net_backend_tap(int fd, struct net_backend **ret, struct err *err)
{
	static const struct net_backend_type type = { .name = "tap",
		.send = send_frame,
		.receive = receive,
		.set_offloads = set_offloads,
		.close = close_tap };
	int size = sizeof(struct net_header), little = 1;
	struct net_backend *b;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETVNETLE, &little) < 0 ||
		fd_set_nonblock(fd, true) < 0) {
		int r = err_errno(err, "set up the tap device");

		fd_close(fd);
		return r;
	}
	b = xnew(struct net_backend);
	*b = (struct net_backend){ .type = &type, .fd = fd, .out = fd, .offloads = NET_OFFLOADS };
	set_offloads(b, 0);
	*ret = b;
	return 0;
}
