/*
 * Around another backend: DHCP and DNS for its guest. Frames from the guest that are a DHCP message or a DNS query to the
 * gateway (UDP over IPv4, RFC 768, 791) go no further; what answers them comes in between those of the inner backend.
 * Queries go to a resolver in another process, which may open what it needs, under an id of ours.
 *
 * `fd` is an epoll descriptor of all that may have a frame.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "net/backend.h"
#include "net/dhcp.h"
#include "net/dns_message.h"

#define ETHERNET 14u
#define IP 20u
#define UDP 8u
#define HEADERS (ETHERNET + IP + UDP)
#define FRAME 1514u
#define REPLIES 16u
#define QUERIES 32u
#define DNS_PORT 53u
#define DHCP_SERVER 67u
#define DHCP_CLIENT 68u

struct reply {
	size_t len;
	uint8_t frame[FRAME];
};

/* A query that the resolver has, by its id modulo QUERIES. The oldest makes room. */
struct query {
	bool used;
	uint8_t id[2], guest_id[2], mac[6];
	uint16_t port;
};

struct lease {
	struct net_backend backend;
	struct net_backend *inner;
	const struct net_lease *config;
	int wake;

	pthread_mutex_t lock; /* around what follows */
	struct reply replies[REPLIES];
	unsigned first, n;
	struct query queries[QUERIES];
	uint16_t next_id;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint64_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += get16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The guest's next frame: UDP from the gateway. Without room it is lost, as on any network. With the lock held. */
static void reply(struct lease *l, const uint8_t mac[6], const uint8_t address[4], uint16_t from,
	uint16_t to, const uint8_t *data, size_t len)
{
	uint64_t one = 1;
	struct reply *r = &l->replies[(l->first + l->n) % REPLIES];
	uint8_t *ip = r->frame + ETHERNET, *udp = ip + IP;

	if (l->n == REPLIES || HEADERS + len > FRAME)
		return;
	l->n++;
	r->len = HEADERS + len;
	memset(r->frame, 0, HEADERS);
	memcpy(r->frame, mac, 6);
	/* A bridge of holm's has this address. */
	r->frame[6] = 0x02;
	r->frame[7] = 0x42;
	memcpy(r->frame + 8, l->config->gateway, 4);
	put16(r->frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, IP + UDP + len);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, l->config->gateway, 4);
	memcpy(ip + 16, address, 4);
	put16(ip + 10, checksum(ip, IP));
	put16(udp, from);
	put16(udp + 2, to);
	put16(udp + 4, UDP + len);
	memcpy(udp + UDP, data, len);
	if (write(l->wake, &one, sizeof(one)) < 0)
		return; /* it counts to 2^64 */
}

static void answer_dhcp(struct lease *l, const uint8_t *frame, const uint8_t *msg, size_t len)
{
	static const uint8_t everybody[4] = { 255, 255, 255, 255 };
	uint8_t out[DHCP_REPLY_MAX];
	size_t n = dhcp_answer(l->config, msg, len, out);

	if (n > 0)
		reply(l, frame + 6, everybody, DHCP_SERVER, DHCP_CLIENT, out, n);
}

static void ask(
	struct lease *l, const uint8_t *frame, uint16_t port, const uint8_t *msg, size_t len)
{
	uint8_t out[DNS_UDP_MAX];
	uint16_t id = l->next_id++;
	struct query *q = &l->queries[id % QUERIES];

	if (l->config->resolver < 0 || len < DNS_HEADER || len > sizeof(out))
		return;
	*q = (struct query){ .used = true, .port = port };
	put16(q->id, id);
	memcpy(q->guest_id, msg, 2);
	memcpy(q->mac, frame + 6, 6);
	memcpy(out, msg, len);
	put16(out, id);
	/* Who has too much to do drops it. */
	if (send(l->config->resolver, out, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		q->used = false;
}

/* Whether a frame is for us; it is answered then. */
static bool intercept(struct lease *l, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETHERNET, *udp;
	size_t header, n;
	uint16_t to;

	if (len < HEADERS || get16(frame + 12) != 0x0800 || ip[0] >> 4 != 4 ||
		ip[9] != IPPROTO_UDP || get16(ip + 6) & 0x3fff)
		return false;
	header = (ip[0] & 15) * 4u;
	if (header < IP || ETHERNET + header + UDP > len)
		return false;
	udp = ip + header;
	to = get16(udp + 2);
	n = get16(udp + 4);
	if (to != DHCP_SERVER && (to != DNS_PORT || memcmp(ip + 16, l->config->gateway, 4) != 0))
		return false;
	if (n < UDP || (size_t)(udp - frame) + n > len)
		return true;
	pthread_mutex_lock(&l->lock);
	if (to == DHCP_SERVER)
		answer_dhcp(l, frame, udp + UDP, n - UDP);
	else
		ask(l, frame, get16(udp), udp + UDP, n - UDP);
	pthread_mutex_unlock(&l->lock);
	return true;
}

static int send_frame(
	struct net_backend *b, const struct net_header *header, const struct iovec *iov, int n_iov)
{
	struct lease *l = (struct lease *)b;
	uint8_t frame[FRAME];
	size_t len = 0;

	/* None of ours is larger, or left to be cut. */
	for (int i = 0; i < n_iov && len < FRAME && !header->gso_type; i++) {
		size_t n = iov[i].iov_len < FRAME - len ? iov[i].iov_len : FRAME - len;

		memcpy(frame + len, iov[i].iov_base, n);
		len += n;
	}
	if (intercept(l, frame, len))
		return 0;
	return l->inner->type->send(l->inner, header, iov, n_iov);
}

/* The resolver's answers become replies, while there is room. */
static void read_answers(struct lease *l)
{
	uint8_t msg[FRAME - HEADERS];

	while (l->n < REPLIES) {
		ssize_t n = recv(l->config->resolver, msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);
		struct query *q;

		if (n < 0)
			return;
		if (n < (ssize_t)DNS_HEADER || n > (ssize_t)sizeof(msg))
			continue;
		q = &l->queries[get16(msg) % QUERIES];
		if (!q->used || memcmp(q->id, msg, 2) != 0)
			continue;
		q->used = false;
		memcpy(msg, q->guest_id, 2);
		reply(l, q->mac, l->config->address, DNS_PORT, q->port, msg, (size_t)n);
	}
}

static ssize_t receive(struct net_backend *b, struct net_header *header, void *frame, size_t size)
{
	struct lease *l = (struct lease *)b;
	uint64_t count;
	ssize_t len = 0;

	pthread_mutex_lock(&l->lock);
	if (l->config->resolver >= 0)
		read_answers(l);
	if (l->n > 0) {
		const struct reply *r = &l->replies[l->first];

		len = (ssize_t)(r->len < size ? r->len : size);
		memset(header, 0, sizeof(*header));
		memcpy(frame, r->frame, (size_t)len);
		l->first = (l->first + 1) % REPLIES;
		if (--l->n == 0 && read(l->wake, &count, sizeof(count)) < 0)
			count = 0;
	}
	pthread_mutex_unlock(&l->lock);
	return len > 0 ? len : l->inner->type->receive(l->inner, header, frame, size);
}

static void set_offloads(struct net_backend *b, unsigned offloads)
{
	struct lease *l = (struct lease *)b;

	if (l->inner->type->set_offloads)
		l->inner->type->set_offloads(l->inner, offloads);
}

static void close_lease(struct net_backend *b)
{
	struct lease *l = (struct lease *)b;

	fd_close(b->fd);
	fd_close(l->wake);
	net_backend_free(l->inner);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static int watch(struct lease *l)
{
	const int fds[NET_OTHERS] = { l->inner->fd, l->wake, l->config->resolver };

	for (unsigned i = 0; i < NET_OTHERS; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (fds[i] < 0)
			continue;
		if (epoll_ctl(l->backend.fd, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return -errno;
		l->backend.others[l->backend.n_others++] = fds[i];
	}
	return 0;
}

int net_backend_lease(struct net_backend *inner, const struct net_lease *config,
	struct net_backend **ret, struct err *err)
{
	static const struct net_backend_type type = { .name = "lease",
		.send = send_frame,
		.receive = receive,
		.set_offloads = set_offloads,
		.close = close_lease };
	cleanup(net_backend_free) struct net_backend *b = NULL;
	struct lease *l = xnew(struct lease);

	b = &l->backend;
	*b = (struct net_backend){ .type = &type,
		.fd = epoll_create1(EPOLL_CLOEXEC),
		.out = inner->out,
		.offloads = inner->offloads,
		.mtu = inner->mtu };
	l->inner = inner;
	l->config = config;
	pthread_mutex_init(&l->lock, NULL);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0 || l->wake < 0 || watch(l) < 0)
		return err_errno(err, "make the descriptors of a network card");
	*ret = take(b);
	return 0;
}
