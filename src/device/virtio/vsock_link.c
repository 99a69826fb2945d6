#include "device/virtio/vsock_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

#define TELL_AFTER (VSOCK_BUFFER / 4) /* the guest hears of room when there is so much more of it */

static void count_taken(struct vsock_link *l, uint32_t n)
{
	l->taken += n;
	if (l->taken - l->told >= TELL_AFTER)
		l->owed |= 1u << VSOCK_CREDIT;
}

static void keep(struct vsock_link *l, const uint8_t *data, uint32_t len)
{
	uint32_t kept = vsock_link_kept(l);

	if (!l->buffer)
		l->buffer = xcalloc(1, VSOCK_BUFFER);
	for (uint32_t i = 0; i < len; i++)
		l->buffer[(l->first + kept + i) % VSOCK_BUFFER] = data[i];
	l->got += len;
}

bool vsock_link_take(struct vsock_link *l, const struct iovec *iov, unsigned n_iov, uint32_t len)
{
	if (len > VSOCK_BUFFER - vsock_link_kept(l))
		return false;
	for (unsigned i = 0; i < n_iov && len > 0; i++) {
		const uint8_t *data = iov[i].iov_base;
		uint32_t n = iov[i].iov_len < len ? (uint32_t)iov[i].iov_len : len;
		ssize_t r = 0;

		if (vsock_link_kept(l) == 0)
			r = send(l->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (r > 0) {
			l->got += (uint32_t)r;
			count_taken(l, (uint32_t)r);
		}
		keep(l, data + (r > 0 ? r : 0), n - (uint32_t)(r > 0 ? r : 0));
		len -= n;
	}
	return true;
}

bool vsock_link_flush(struct vsock_link *l)
{
	while (vsock_link_kept(l) > 0) {
		uint32_t n = vsock_link_kept(l), end = VSOCK_BUFFER - l->first;
		ssize_t r = send(l->fd, l->buffer + l->first, n < end ? n : end,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0)
			return errno == EAGAIN || errno == EINTR;
		l->first = (l->first + (uint32_t)r) % VSOCK_BUFFER;
		count_taken(l, (uint32_t)r);
	}
	free(l->buffer);
	l->buffer = NULL;
	l->first = 0;
	return true;
}

uint32_t vsock_link_credit(const struct vsock_link *l)
{
	uint32_t under_way = l->sent - l->guest_taken;

	/* A guest that is through with more than it was sent gets nothing. */
	return under_way > l->guest_room ? 0 : l->guest_room - under_way;
}

int vsock_link_read_line(struct vsock_link *l)
{
	uint64_t port;

	/* A byte at a time: what follows the line is the guest's. */
	for (;;) {
		char c;
		ssize_t r = recv(l->fd, &c, 1, MSG_DONTWAIT);

		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (r <= 0 || l->line_len == VSOCK_LINE - 1)
			return -EPIPE;
		if (c == '\n')
			break;
		l->line[l->line_len++] = c;
	}
	l->line[l->line_len] = '\0';
	if (strncasecmp(l->line, "connect ", 8) != 0 ||
		parse_u64(l->line + 8, UINT32_MAX - 1, &port) < 0)
		return -EINVAL;
	l->guest_port = (uint32_t)port;
	return 1;
}

void vsock_link_finish(struct vsock_link *l)
{
	fd_close(l->fd);
	free(l->buffer);
	*l = (struct vsock_link){ .fd = -1 };
}
