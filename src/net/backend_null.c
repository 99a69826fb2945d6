/* No network: frames go nowhere; or, for tests of cards, each is a datagram on a socket, after its header. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "net/backend.h"

static int send_frame(
	struct net_backend *b, const struct net_header *header, const struct iovec *iov, int n_iov)
{
	struct iovec all[NET_PARTS + 1] = { { (void *)header, sizeof(*header) } };

	if (b->out < 0)
		return 0;
	if (n_iov > NET_PARTS)
		return -EMSGSIZE;
	for (int i = 0; i < n_iov; i++)
		all[i + 1] = iov[i];
	return writev(b->out, all, n_iov + 1) < 0 ? -errno : 0;
}

static ssize_t receive(struct net_backend *b, struct net_header *header, void *frame, size_t size)
{
	struct iovec iov[2] = { { header, sizeof(*header) }, { frame, size } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (b->fd < 0)
		return -EAGAIN;
	n = recvmsg(b->fd, &msg, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n < (ssize_t)sizeof(*header) ? -EPIPE : n - (ssize_t)sizeof(*header);
}

static void close_null(struct net_backend *b)
{
	fd_close(b->fd);
	free(b);
}

struct net_backend *net_backend_null(int fd, unsigned offloads)
{
	static const struct net_backend_type type = {
		.name = "null", .send = send_frame, .receive = receive, .close = close_null
	};
	struct net_backend *b = xnew(struct net_backend);

	*b = (struct net_backend){ .type = &type, .fd = fd, .out = fd, .offloads = offloads };
	if (fd >= 0)
		fd_set_nonblock(fd, true);
	return b;
}
