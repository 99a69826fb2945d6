/*
 * virtio-net (virtio 1.2, 5.1): one pair of queues and a control queue. What the guest sends goes to the backend in the vCPU's
 * thread that notifies; a thread of the device's waits for frames, and for the backend where it takes no more. A frame that
 * the guest has no room for waits here, and the backend with it.
 */
#include "device/virtio/net.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/le.h"
#include "device/virtio/bell.h"

#define NET_ID 1u
#define CLASS_NETWORK 0x020000u
#define BUDGET 512u /* frames in a row, each way */

#define BIT(n) (UINT64_C(1) << (n))
#define F_CSUM BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_GUEST_OFFLOADS BIT(2)
#define F_MTU BIT(3)
#define F_MAC BIT(5)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_TSO6 BIT(8)
#define F_GUEST_ECN BIT(9)
#define F_HOST_TSO4 BIT(11)
#define F_HOST_TSO6 BIT(12)
#define F_HOST_ECN BIT(13)
#define F_MRG_RXBUF BIT(15)
#define F_STATUS BIT(16)
#define F_CTRL_VQ BIT(17)
#define F_CTRL_RX BIT(18)
#define F_CTRL_MAC BIT(23)

#define CONFIG_STATUS 6
#define CONFIG_MTU 10
#define LINK_UP 1u

enum { RX, TX, CONTROL, QUEUES };
enum { CTRL_RX = 0, CTRL_MAC = 1, CTRL_OFFLOADS = 5 };
enum { MAC_TABLE = 0, MAC_ADDRESS = 1 };
enum { ACK_OK = 0, ACK_ERROR = 1 };

struct net {
	struct virtio virtio;
	struct net_backend *backend;
	uint8_t mac[6]; /* as after power-up */
	pthread_t thread;
	bool has_thread, stop;
	int wake;        /* eventfd: for the thread to look again */
	bool rx_blocked; /* the guest has no room for `frame` */
	bool tx_blocked; /* the backend takes no more */
	bool tx_more;    /* the budget was spent */
	bool closed;     /* the backend is gone */

	/* The frame that waits for room; len 0: none. */
	struct net_header header;
	uint8_t *frame;
	size_t len;
	struct virtq_chain first, next; /* of the one that is being delivered */
	struct virtq_chain sent;
};

static void wake(struct net *n)
{
	uint64_t one = 1;

	if (write(n->wake, &one, sizeof(one)) < 0)
		return; /* it counts to 2^64 */
}

/* Sending. */

static void send_chain(struct net *n, struct virtq *q, bool *ret_again)
{
	struct virtq_chain *c = &n->sent;
	struct net_header header;
	uint64_t len = c->read_bytes;
	int r = -EINVAL;

	*ret_again = false;
	if (len >= sizeof(header) && len - sizeof(header) <= NET_FRAME_MAX &&
		virtq_take(c, &header, sizeof(header)))
		r = n->closed ? -EPIPE
			      : n->backend->type->send(n->backend, &header, c->iov, (int)c->n_read);
	if (r == -EAGAIN) {
		virtq_unpop(q, 1);
		*ret_again = true;
		return;
	}
	virtq_push(q, c, 0);
}

static void pump_tx(struct net *n)
{
	struct virtq *q = &n->virtio.queues[TX];
	unsigned budget = BUDGET;
	bool again = false;

	n->tx_blocked = n->tx_more = false;
	do
		while (budget > 0 && !again && virtq_pop(q, &n->sent) > 0) {
			send_chain(n, q, &again);
			budget--;
		}
	while (budget > 0 && !again && !virtq_arm(q));
	n->tx_blocked = again;
	n->tx_more = !again && budget == 0;
	virtio_notify(&n->virtio, TX);
}

/* Receiving. */

/* Puts `frame` into the guest's buffers, several where it may. False: no room; it is all as before. */
static bool deliver(struct net *n, struct virtq *q)
{
	bool merge = n->virtio.features & F_MRG_RXBUF;
	struct virtq_chain *c = &n->first;
	uint64_t done = 0, at = sizeof(n->header);
	uint16_t count = 0;

	do {
		uint64_t given;
		int r = virtq_pop(q, c);

		if (r == 0)
			virtq_unpop(q, count);
		/* What is broken takes it all. */
		if (r <= 0)
			return r < 0;
		if (c->write_bytes <= at) {
			q->broken = true;
			return true;
		}
		given = virtq_give(q, c, at, n->frame + done, n->len - done);
		virtq_fill(q, c, (uint32_t)(at + given));
		done += given;
		at = 0;
		c = &n->next;
		count++;
	} while (done < n->len && merge && count < q->size);
	if (done < n->len) {
		/* Too long for what there is: it is lost. */
		virtq_unpop(q, count);
		return true;
	}
	n->header.n_buffers = count;
	virtq_give(q, &n->first, 0, &n->header, sizeof(n->header));
	virtq_publish(q);
	return true;
}

static void lose_link(struct net *n)
{
	n->closed = true;
	n->virtio.config[CONFIG_STATUS] = 0;
	virtio_config_changed(&n->virtio);
}

/* Fetches a frame if none waits. False: there is none. */
static bool fetch(struct net *n)
{
	ssize_t r;

	if (n->len > 0)
		return true;
	if (n->closed)
		return false;
	r = n->backend->type->receive(n->backend, &n->header, n->frame, NET_FRAME_MAX);
	if (r < 0 && r != -EAGAIN)
		lose_link(n);
	n->len = r > 0 ? (size_t)r : 0;
	return r > 0;
}

/* True: there may be more. */
static bool pump_rx(struct net *n)
{
	struct virtq *q = &n->virtio.queues[RX];
	unsigned budget = BUDGET;

	n->rx_blocked = false;
	while (budget > 0 && q->enabled && !q->broken && !n->rx_blocked && fetch(n)) {
		budget--;
		if (deliver(n, q))
			n->len = 0;
		else
			n->rx_blocked = virtq_arm(q);
	}
	virtio_notify(&n->virtio, RX);
	return budget == 0;
}

static void *thread(void *data)
{
	struct net *n = data;
	struct virtio *v = &n->virtio;
	struct pollfd fds[3] = { { .fd = n->wake, .events = POLLIN }, { .events = POLLIN },
		{ .events = POLLOUT } };
	uint64_t count;

	virtio_lock(v);
	while (!n->stop) {
		bool live = virtio_is_live(v) && v->queues[RX].enabled, more = false;

		if (live && !n->rx_blocked)
			more = pump_rx(n);
		if (virtio_is_live(v) && (n->tx_blocked || n->tx_more))
			pump_tx(n);
		fds[1].fd = live && !n->rx_blocked && !n->closed ? n->backend->fd : -1;
		fds[2].fd = n->tx_blocked && !n->closed ? n->backend->out : -1;
		virtio_unlock(v);
		if (poll(fds, 3, more ? 0 : -1) > 0 && fds[0].revents &&
			read(n->wake, &count, sizeof(count)) < 0)
			count = 0;
		virtio_lock(v);
	}
	virtio_unlock(v);
	return NULL;
}

/* Control. */

static unsigned offloads_of(uint64_t features)
{
	return (features & F_GUEST_CSUM ? NET_CHECKSUM : 0) |
	       (features & F_GUEST_TSO4 ? NET_TSO4 : 0) | (features & F_GUEST_TSO6 ? NET_TSO6 : 0) |
	       (features & F_GUEST_ECN ? NET_TSO_ECN : 0);
}

static void set_offloads(struct net *n, uint64_t features)
{
	if (n->backend->type->set_offloads)
		n->backend->type->set_offloads(n->backend, offloads_of(features));
}

static uint8_t control(struct net *n, struct virtq_chain *c)
{
	uint8_t command[2], mac[6];
	uint64_t offloads;

	if (!virtq_take(c, command, sizeof(command)))
		return ACK_ERROR;
	switch (command[0]) {
	case CTRL_RX:
		/* The card hears everything anyway. */
		return ACK_OK;
	case CTRL_MAC:
		if (command[1] == MAC_TABLE)
			return ACK_OK;
		if (command[1] != MAC_ADDRESS || !virtq_take(c, mac, sizeof(mac)))
			return ACK_ERROR;
		memcpy(n->virtio.config, mac, sizeof(mac));
		return ACK_OK;
	case CTRL_OFFLOADS:
		if (command[1] != 0 || !virtq_take(c, &offloads, sizeof(offloads)) ||
			offloads & ~n->virtio.features)
			return ACK_ERROR;
		set_offloads(n, offloads);
		return ACK_OK;
	default:
		return ACK_ERROR;
	}
}

static void pump_control(struct net *n)
{
	struct virtq *q = &n->virtio.queues[CONTROL];
	struct virtq_chain *c = &n->sent;
	unsigned budget = BUDGET;

	do
		while (budget > 0 && virtq_pop(q, c) > 0) {
			uint8_t ack = control(n, c);

			budget--;
			virtq_push(q, c, (uint32_t)virtq_give(q, c, 0, &ack, 1));
		}
	while (budget > 0 && !virtq_arm(q));
	if (budget == 0)
		q->broken = true; /* nothing that a driver does */
	virtio_notify(&n->virtio, CONTROL);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct net *n = (struct net *)v;

	if (queue == TX) {
		if (!n->tx_blocked)
			pump_tx(n);
		if (n->tx_blocked || n->tx_more)
			wake(n);
	} else if (queue == CONTROL) {
		pump_control(n);
	} else {
		n->rx_blocked = false;
		wake(n);
	}
}

static void start(struct virtio *v)
{
	struct net *n = (struct net *)v;

	set_offloads(n, v->features);
	wake(n);
}

static void stop(struct virtio *v)
{
	struct net *n = (struct net *)v;

	memcpy(v->config, n->mac, sizeof(n->mac));
	n->len = 0;
	n->rx_blocked = n->tx_blocked = n->tx_more = false;
	wake(n);
}

static int start_thread(struct device *device, struct err *err)
{
	struct net *n = (struct net *)device;
	int r = virtio_thread(&n->thread, thread, n, err);

	n->has_thread = r == 0;
	return r < 0 ? r : bell_start(&n->virtio, err);
}

static void destroy(struct device *device)
{
	struct net *n = (struct net *)device;

	bell_free(&n->virtio);
	if (n->has_thread) {
		virtio_lock(&n->virtio);
		n->stop = true;
		virtio_unlock(&n->virtio);
		wake(n);
		pthread_join(n->thread, NULL);
	}
	virtio_finish(&n->virtio);
	net_backend_free(n->backend);
	fd_close(n->wake);
	free(n->frame);
	free(n);
}

static uint64_t features_of(const struct net_backend *b)
{
	uint64_t f = F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC;

	if (b->offloads & NET_CHECKSUM)
		f |= F_CSUM | F_GUEST_CSUM | F_GUEST_OFFLOADS;
	if (b->offloads & NET_TSO4)
		f |= F_HOST_TSO4 | F_GUEST_TSO4;
	if (b->offloads & NET_TSO6)
		f |= F_HOST_TSO6 | F_GUEST_TSO6;
	if (b->offloads & NET_TSO_ECN)
		f |= F_HOST_ECN | F_GUEST_ECN;
	return b->mtu ? f | F_MTU : f;
}

int virtio_net_new(struct memory *m, struct pci_host *host, struct net_backend *backend,
	const uint8_t mac[6], struct device **ret, struct err *err)
{
	static const struct device_type type = { .name = "virtio-net",
		.start = start_thread,
		.reset = virtio_reset,
		.destroy = destroy };
	static const struct virtio_type virtio = { .id = NET_ID,
		.class = CLASS_NETWORK,
		.n_queues = QUEUES,
		.notify = notify,
		.start = start,
		.stop = stop };
	struct net *n = xnew(struct net);
	int r;

	n->virtio.device.type = &type;
	n->backend = backend;
	n->frame = xcalloc(1, NET_FRAME_MAX);
	memcpy(n->mac, mac, sizeof(n->mac));
	memcpy(n->virtio.config, mac, sizeof(n->mac));
	n->virtio.config[CONFIG_STATUS] = LINK_UP;
	put_le(n->virtio.config + CONFIG_MTU, backend->mtu, 2);
	n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = virtio_init(&n->virtio, m, host, &virtio, features_of(backend), err);
	if (r == 0 && n->wake < 0)
		r = err_errno(err, "make an event descriptor");
	if (r == 0)
		r = bell_new(&n->virtio, err);
	if (r < 0) {
		destroy(&n->virtio.device);
		return r;
	}
	*ret = &n->virtio.device;
	return 0;
}
