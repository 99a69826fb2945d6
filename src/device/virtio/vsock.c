/*
 * virtio-vsock (virtio 1.2, 5.10), streams. What the guest sends is handled in the vCPU's thread that notifies; a thread of the
 * device's waits for programs of the host, and sends to the guest what they say and what is owed. Every connection has
 * credit both ways: no more is under way than the receiver has room for.
 */
#include "device/virtio/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/le.h"
#include "device/virtio/virtio.h"
#include "device/virtio/vsock_link.h"

#define VSOCK_ID 19u
#define CLASS_OTHER 0x078000u
#define HOST_CID 2u
#define STREAM 1u
#define LINKS 256u
#define RESETS 64u   /* owed to packets of no connection */
#define BUDGET 1024u /* packets in a row */
#define FIRST_PORT (1u << 30)
#define CHUNK 16384u /* bytes for the guest in one packet */

enum { RX, TX, EVENT, QUEUES };

struct vsock {
	struct virtio virtio;
	uint32_t cid;
	struct vsock_host end;
	int wake;
	pthread_t thread;
	bool has_thread, stop, more;
	struct vsock_link links[LINKS];
	unsigned turn; /* whose turn it is to send */
	uint32_t next_port;
	struct {
		uint32_t port, guest_port;
	} resets[RESETS];
	unsigned n_resets;
	struct virtq_chain in, out;
	uint8_t chunk[CHUNK];
};

static void wake(struct vsock *s)
{
	uint64_t one = 1;

	if (write(s->wake, &one, sizeof(one)) < 0)
		return; /* it counts to 2^64 */
}

static struct vsock_link *find(struct vsock *s, uint32_t port, uint32_t guest_port)
{
	for (unsigned i = 0; i < LINKS; i++) {
		struct vsock_link *l = &s->links[i];

		if (l->state > VSOCK_LINE_STATE && l->port == port && l->guest_port == guest_port)
			return l;
	}
	return NULL;
}

static struct vsock_link *new_link(struct vsock *s, int fd)
{
	for (unsigned i = 0; i < LINKS; i++) {
		if (s->links[i].state != VSOCK_FREE)
			continue;
		s->links[i] = (struct vsock_link){ .fd = fd };
		return &s->links[i];
	}
	return NULL;
}

/* Sends a reset, and is no more. */
static void kill_link(struct vsock_link *l)
{
	l->fd = fd_close(l->fd);
	l->state = VSOCK_DYING;
	l->owed = 1u << VSOCK_RESET;
}

/* To the guest. */

static bool send_packet(struct vsock *s, struct vsock_header *h, const void *data)
{
	struct virtq *q = &s->virtio.queues[RX];
	uint64_t n;

	h->from_cid = HOST_CID;
	h->to_cid = s->cid;
	h->type = STREAM;
	n = virtq_give(q, &s->out, 0, h, sizeof(*h));
	n += virtq_give(q, &s->out, sizeof(*h), data, h->len);
	virtq_push(q, &s->out, (uint32_t)n);
	return true;
}

/* A chain with room for a packet with so much data at least. */
static bool pop_room(struct vsock *s, uint64_t *ret_room)
{
	struct virtq *q = &s->virtio.queues[RX];

	if (virtq_pop(q, &s->out) <= 0)
		return false;
	if (s->out.write_bytes <= sizeof(struct vsock_header)) {
		q->broken = true;
		return false;
	}
	*ret_room = s->out.write_bytes - sizeof(struct vsock_header);
	return true;
}

static struct vsock_header header_of(struct vsock_link *l, enum vsock_op op)
{
	l->told = l->taken;
	l->owed &= ~(1u << VSOCK_CREDIT);
	return (struct vsock_header){ .from_port = l->port,
		.to_port = l->guest_port,
		.op = (uint16_t)op,
		.room = VSOCK_BUFFER,
		.taken = l->taken };
}

/* One of the operations that are owed. False: none, or no room for it. */
static bool send_owed(struct vsock *s, struct vsock_link *l)
{
	static const enum vsock_op order[] = { VSOCK_RESET, VSOCK_REQUEST, VSOCK_RESPONSE,
		VSOCK_SHUTDOWN, VSOCK_CREDIT };
	struct vsock_header h;
	uint64_t room;
	unsigned i = 0;

	if (l->owed == 0 || !pop_room(s, &room))
		return false;
	while (!(l->owed & 1u << order[i]))
		i++;
	l->owed &= ~(1u << order[i]);
	h = header_of(l, order[i]);
	if (order[i] == VSOCK_SHUTDOWN)
		h.flags = VSOCK_NO_SEND;
	send_packet(s, &h, NULL);
	if (l->state == VSOCK_DYING)
		vsock_link_finish(l);
	return true;
}

static bool may_read(const struct vsock_link *l)
{
	return l->state == VSOCK_OPEN && !l->host_done && !l->guest_deaf &&
	       vsock_link_credit(l) > 0;
}

/* What the program says. False: nothing now, or no room for it. */
static bool send_data(struct vsock *s, struct vsock_link *l)
{
	struct vsock_header h;
	uint64_t room;
	ssize_t n;

	if (!may_read(l) || !pop_room(s, &room))
		return false;
	room = room < CHUNK ? room : CHUNK;
	room = room < vsock_link_credit(l) ? room : vsock_link_credit(l);
	n = recv(l->fd, s->chunk, room, MSG_DONTWAIT);
	if (n <= 0) {
		virtq_unpop(&s->virtio.queues[RX], 1);
		if (n == 0) {
			l->host_done = true;
			l->owed |= 1u << VSOCK_SHUTDOWN;
		} else if (errno != EAGAIN && errno != EINTR) {
			kill_link(l);
		}
		return n == 0;
	}
	h = header_of(l, VSOCK_DATA);
	h.len = (uint32_t)n;
	l->sent += (uint32_t)n;
	return send_packet(s, &h, s->chunk);
}

static bool send_orphan(struct vsock *s)
{
	struct vsock_header h = { .op = VSOCK_RESET };
	uint64_t room;

	if (s->n_resets == 0 || !pop_room(s, &room))
		return false;
	s->n_resets--;
	h.from_port = s->resets[s->n_resets].port;
	h.to_port = s->resets[s->n_resets].guest_port;
	return send_packet(s, &h, NULL);
}

/* A packet of each connection in turn, until nothing is left or the guest has no room. */
static void pump_rx(struct vsock *s)
{
	unsigned budget = BUDGET;
	bool any = true;

	s->more = false;
	while (any && budget > 0) {
		any = send_orphan(s);
		for (unsigned i = 0; i < LINKS && budget > 0; i++) {
			struct vsock_link *l = &s->links[s->turn++ % LINKS];
			bool sent;

			if (l->state == VSOCK_FREE)
				continue;
			sent = send_owed(s, l) || send_data(s, l);
			any = any || sent;
			budget -= sent;
		}
		budget -= budget > 0;
	}
	s->more = any && budget == 0;
	virtio_notify(&s->virtio, RX);
}

/* From the guest. */

static void owe_reset(struct vsock *s, const struct vsock_header *h)
{
	/* Who floods us with nonsense need not hear of all of it. */
	if (h->op == VSOCK_RESET || s->n_resets == RESETS)
		return;
	s->resets[s->n_resets].port = h->to_port;
	s->resets[s->n_resets++].guest_port = h->from_port;
}

static void on_request(struct vsock *s, const struct vsock_header *h)
{
	int fd = s->end.connect(s->end.data, h->to_port);
	struct vsock_link *l = fd < 0 ? NULL : new_link(s, fd);

	if (!l) {
		fd_close(fd);
		owe_reset(s, h);
		return;
	}
	l->state = VSOCK_OPEN;
	l->port = h->to_port;
	l->guest_port = h->from_port;
	l->owed = 1u << VSOCK_RESPONSE;
}

static void on_response(struct vsock_link *l)
{
	char line[VSOCK_LINE];
	int n = snprintf(line, sizeof(line), "OK %u\n", l->port);

	if (l->state != VSOCK_ASKED ||
		send(l->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		kill_link(l);
	else
		l->state = VSOCK_OPEN;
}

/* Ends a connection when both have said all, and the program has taken it. */
static void end_if_done(struct vsock_link *l)
{
	if (l->state != VSOCK_OPEN || !l->guest_done || vsock_link_kept(l) > 0)
		return;
	if (l->guest_deaf)
		kill_link(l);
	else
		shutdown(l->fd, SHUT_WR);
}

static void on_shutdown(struct vsock_link *l, uint32_t flags)
{
	l->guest_deaf = l->guest_deaf || flags & VSOCK_NO_RECEIVE;
	l->guest_done = l->guest_done || flags & VSOCK_NO_SEND;
	if (l->state != VSOCK_OPEN)
		kill_link(l);
	else
		end_if_done(l);
}

static void on_link(struct vsock_link *l, const struct vsock_header *h, struct virtq_chain *c)
{
	l->guest_room = h->room;
	l->guest_taken = h->taken;
	switch (h->op) {
	case VSOCK_RESPONSE:
		on_response(l);
		break;
	case VSOCK_RESET:
		vsock_link_finish(l);
		break;
	case VSOCK_SHUTDOWN:
		on_shutdown(l, h->flags);
		break;
	case VSOCK_DATA:
		if (l->state != VSOCK_OPEN || l->guest_done || h->len > c->read_bytes ||
			!vsock_link_take(l, c->iov, c->n_read, h->len))
			kill_link(l);
		break;
	case VSOCK_CREDIT:
		break;
	case VSOCK_ASK_CREDIT:
		l->owed |= 1u << VSOCK_CREDIT;
		break;
	default:
		kill_link(l);
		break;
	}
}

static void on_packet(struct vsock *s, struct virtq_chain *c)
{
	struct vsock_header h;
	struct vsock_link *l;

	if (!virtq_take(c, &h, sizeof(h)) || h.from_cid != s->cid)
		return;
	if (h.to_cid != HOST_CID || h.type != STREAM) {
		owe_reset(s, &h);
		return;
	}
	l = find(s, h.to_port, h.from_port);
	if (l && l->state != VSOCK_DYING) {
		on_link(l, &h, c);
	} else if (!l && h.op == VSOCK_REQUEST) {
		on_request(s, &h);
		l = find(s, h.to_port, h.from_port);
		if (l) {
			l->guest_room = h.room;
			l->guest_taken = h.taken;
		}
	} else if (!l) {
		owe_reset(s, &h);
	}
}

static void pump_tx(struct vsock *s)
{
	struct virtq *q = &s->virtio.queues[TX];
	unsigned budget = BUDGET;

	do
		while (budget > 0 && virtq_pop(q, &s->in) > 0) {
			budget--;
			on_packet(s, &s->in);
			virtq_push(q, &s->in, 0);
		}
	while (budget > 0 && !virtq_arm(q));
	virtio_notify(&s->virtio, TX);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct vsock *s = (struct vsock *)v;

	if (queue == TX)
		pump_tx(s);
	if (queue != EVENT)
		wake(s);
}

/* The host's programs. */

static void accept_one(struct vsock *s)
{
	int fd = accept4(s->end.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct vsock_link *l = fd < 0 ? NULL : new_link(s, fd);

	if (l)
		l->state = VSOCK_LINE_STATE;
	else
		fd_close(fd);
}

static void read_line(struct vsock *s, struct vsock_link *l)
{
	int r = vsock_link_read_line(l);

	if (r == 0)
		return;
	/* Nobody is there, or has said yet that he is. */
	if (r < 0 || !virtio_is_live(&s->virtio)) {
		vsock_link_finish(l);
		return;
	}
	while (find(s, s->next_port, l->guest_port) || s->next_port < FIRST_PORT)
		s->next_port = s->next_port < FIRST_PORT ? FIRST_PORT : s->next_port + 1;
	l->port = s->next_port++;
	l->state = VSOCK_ASKED;
	l->owed = 1u << VSOCK_REQUEST;
}

static void serve_link(struct vsock *s, struct vsock_link *l, short events)
{
	if (l->state == VSOCK_LINE_STATE && events) {
		read_line(s, l);
	} else if (l->state == VSOCK_ASKED && events & (POLLHUP | POLLERR)) {
		kill_link(l);
	} else if (l->state == VSOCK_OPEN) {
		if (!vsock_link_flush(l))
			kill_link(l);
		else
			end_if_done(l);
	}
}

/* What there is to wait for; `room`: the guest has room for packets. */
static short wanted(const struct vsock_link *l, bool room)
{
	if (l->state == VSOCK_LINE_STATE)
		return POLLIN;
	if (l->state != VSOCK_OPEN)
		return 0;
	return (short)((may_read(l) && room ? POLLIN : 0) | (vsock_link_kept(l) ? POLLOUT : 0));
}

static void *thread(void *data)
{
	struct vsock *s = data;
	struct virtio *v = &s->virtio;
	struct pollfd fds[LINKS + 2] = { { .fd = s->wake, .events = POLLIN },
		{ .fd = s->end.listener, .events = POLLIN } };
	uint64_t count;

	virtio_lock(v);
	while (!s->stop) {
		bool room = false;

		if (virtio_is_live(v)) {
			do
				pump_rx(s);
			while (!s->more && !(room = virtq_pop(&v->queues[RX], &s->out) > 0) &&
				!virtq_arm(&v->queues[RX]));
			if (room)
				virtq_unpop(&v->queues[RX], 1);
		}
		for (unsigned i = 0; i < LINKS; i++) {
			fds[i + 2].events = wanted(&s->links[i], room);
			/* A hangup would wake us again and again while nothing can be done about it. */
			fds[i + 2].fd = fds[i + 2].events || s->links[i].state == VSOCK_ASKED
						? s->links[i].fd
						: -1;
			fds[i + 2].revents = 0;
		}
		virtio_unlock(v);
		if (poll(fds, LINKS + 2, s->more ? 0 : -1) > 0 && fds[0].revents &&
			read(s->wake, &count, sizeof(count)) < 0)
			count = 0;
		virtio_lock(v);
		if (fds[1].revents)
			accept_one(s);
		for (unsigned i = 0; i < LINKS; i++)
			if (s->links[i].fd >= 0 && s->links[i].fd == fds[i + 2].fd)
				serve_link(s, &s->links[i], fds[i + 2].revents);
	}
	virtio_unlock(v);
	return NULL;
}

static void stop(struct virtio *v)
{
	struct vsock *s = (struct vsock *)v;

	for (unsigned i = 0; i < LINKS; i++)
		if (s->links[i].state != VSOCK_FREE)
			vsock_link_finish(&s->links[i]);
	s->n_resets = 0;
	wake(s);
}

static int start_thread(struct device *device, struct err *err)
{
	struct vsock *s = (struct vsock *)device;
	int r = virtio_thread(&s->thread, thread, s, err);

	s->has_thread = r == 0;
	return r;
}

static void destroy(struct device *device)
{
	struct vsock *s = (struct vsock *)device;

	if (s->has_thread) {
		virtio_lock(&s->virtio);
		s->stop = true;
		virtio_unlock(&s->virtio);
		wake(s);
		pthread_join(s->thread, NULL);
	}
	for (unsigned i = 0; i < LINKS; i++)
		vsock_link_finish(&s->links[i]);
	fd_close(s->wake);
	virtio_finish(&s->virtio);
	free(s);
}

int virtio_vsock_new(struct memory *m, struct pci_host *host, uint32_t cid,
	const struct vsock_host *end, struct device **ret, struct err *err)
{
	static const struct device_type type = { .name = "virtio-vsock",
		.start = start_thread,
		.reset = virtio_reset,
		.destroy = destroy };
	static const struct virtio_type virtio = { .id = VSOCK_ID,
		.class = CLASS_OTHER,
		.n_queues = QUEUES,
		.notify = notify,
		.stop = stop };
	struct vsock *s = xnew(struct vsock);
	int r;

	s->virtio.device.type = &type;
	s->cid = cid;
	s->end = *end;
	s->next_port = FIRST_PORT;
	for (unsigned i = 0; i < LINKS; i++)
		s->links[i].fd = -1;
	put_le(s->virtio.config, cid, 4);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = virtio_init(&s->virtio, m, host, &virtio, 0, err);
	if (r == 0 && s->wake < 0)
		r = err_errno(err, "make an event descriptor");
	if (r < 0) {
		destroy(&s->virtio.device);
		return r;
	}
	*ret = &s->virtio.device;
	return 0;
}
