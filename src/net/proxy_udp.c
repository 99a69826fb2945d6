/*
 * The port proxy for UDP (proxy.h): each client address gets a socket of its own towards the instance
 * for as long as datagrams pass, so that answers find their way back. Answers leave from the address
 * that the client wrote to (IP_PKTINFO), also on a host with several.
 */
#include "net/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"

#define MAX_SESSIONS 256
#define IDLE_NS INT64_C(60000000000)
#define DATAGRAM 65536u
#define ROUND 16 /* datagrams before other sources have their turn */

union control {
	char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct cmsghdr align;
};

struct session {
	struct proxy_udp *proxy;
	struct session *next;
	struct sockaddr_storage client;
	socklen_t client_len;
	size_t local_len;
	int fd;
	struct loop_source *source;
	int64_t used; /* monotonic ns */
	union control
		local; /* as a message to send: where the client wrote to; last, for its array */
};

struct proxy_udp {
	struct loop *loop;
	int fd;
	struct loop_source *source, *sweep;
	struct sockaddr_storage target;
	socklen_t target_len;
	struct session *sessions; /* the last used first */
	size_t n;
	uint8_t datagram[DATAGRAM];
};

static void session_free(struct session *s)
{
	for (struct session **at = &s->proxy->sessions; *at; at = &(*at)->next) {
		if (*at != s)
			continue;
		*at = s->next;
		s->proxy->n--;
		break;
	}
	loop_remove(s->source);
	fd_close(s->fd);
	free(s);
}

static void on_sweep(void *data)
{
	struct proxy_udp *u = data;
	int64_t now = time_monotonic();

	u->sweep = NULL;
	for (struct session *s = u->sessions, *next; s; s = next) {
		next = s->next;
		if (now - s->used > IDLE_NS)
			session_free(s);
	}
	if (u->n)
		u->sweep = loop_add_timer(u->loop, IDLE_NS / 2, on_sweep, u);
}

static void on_answer(void *data, uint32_t events)
{
	struct session *s = data;
	struct proxy_udp *u = s->proxy;

	for (int i = 0; i < ROUND; i++) {
		ssize_t n = recv(s->fd, u->datagram, DATAGRAM, MSG_DONTWAIT);
		struct iovec iov = { .iov_base = u->datagram, .iov_len = n < 0 ? 0 : (size_t)n };
		struct msghdr msg = { .msg_name = &s->client,
			.msg_namelen = s->client_len,
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = s->local_len ? s->local.room : NULL,
			.msg_controllen = s->local_len };
		if (n < 0)
			return; /* nothing there, or the instance refused: as if it were lost */
		s->used = time_monotonic();
		sendmsg(u->fd, &msg, MSG_DONTWAIT);
	}
}

/* The packet's destination as control message of an answer. */
static void remember_local(struct session *s, struct msghdr *msg)
{
	struct cmsghdr *to = &s->local.align;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info = (struct in_pktinfo){ .ipi_spec_dst = info.ipi_spec_dst };
			s->local_len = CMSG_SPACE(sizeof(info));
			*to = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(info)),
				.cmsg_level = IPPROTO_IP,
				.cmsg_type = IP_PKTINFO };
			memcpy(CMSG_DATA(to), &info, sizeof(info));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			s->local_len = CMSG_SPACE(sizeof(info));
			*to = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(info)),
				.cmsg_level = IPPROTO_IPV6,
				.cmsg_type = IPV6_PKTINFO };
			memcpy(CMSG_DATA(to), &info, sizeof(info));
		}
	}
}

static struct session *open_session(struct proxy_udp *u, struct msghdr *msg)
{
	struct session *s = xnew(struct session), *last;

	for (last = u->sessions; last && last->next; last = last->next)
		;
	if (u->n >= MAX_SESSIONS && last)
		session_free(last);
	s->proxy = u;
	s->client_len = msg->msg_namelen;
	memcpy(&s->client, msg->msg_name, msg->msg_namelen);
	remember_local(s, msg);
	s->fd = socket(u->target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->next = u->sessions;
	u->sessions = s;
	u->n++;
	if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&u->target, u->target_len) == 0)
		s->source = loop_add_fd(u->loop, s->fd, EPOLLIN, on_answer, s);
	if (!s->source) {
		session_free(s);
		return NULL;
	}
	if (!u->sweep)
		u->sweep = loop_add_timer(u->loop, IDLE_NS / 2, on_sweep, u);
	return s;
}

/* The client's session, moved to the front. */
static struct session *find_session(struct proxy_udp *u, const struct msghdr *msg)
{
	for (struct session **at = &u->sessions; *at; at = &(*at)->next) {
		struct session *s = *at;
		if (s->client_len != msg->msg_namelen ||
			memcmp(&s->client, msg->msg_name, msg->msg_namelen) != 0)
			continue;
		*at = s->next;
		s->next = u->sessions;
		u->sessions = s;
		return s;
	}
	return NULL;
}

static void on_datagram(void *data, uint32_t events)
{
	struct proxy_udp *u = data;

	for (int i = 0; i < ROUND; i++) {
		struct sockaddr_storage from = { 0 };
		union control control;
		struct iovec iov = { .iov_base = u->datagram, .iov_len = DATAGRAM };
		struct msghdr msg = { .msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof(control.room) };
		ssize_t n = recvmsg(u->fd, &msg, MSG_DONTWAIT);
		struct session *s;
		if (n < 0)
			return;
		s = find_session(u, &msg);
		if (!s)
			s = open_session(u, &msg);
		if (!s)
			continue;
		s->used = time_monotonic();
		/* A refusal of an earlier datagram is reported once, in place of sending. */
		if (send(s->fd, u->datagram, (size_t)n, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED)
			send(s->fd, u->datagram, (size_t)n, MSG_DONTWAIT);
	}
}

struct proxy_udp *proxy_udp_start(
	struct loop *loop, int fd, const struct sockaddr_storage *target, socklen_t target_len)
{
	struct proxy_udp *u = xnew(struct proxy_udp);
	const int one = 1;

	u->loop = loop;
	u->fd = fd;
	u->target = *target;
	u->target_len = target_len;
	/* One of them fails, by the socket's family. */
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	u->source = loop_add_fd(loop, fd, EPOLLIN, on_datagram, u);
	if (!u->source) {
		free(u);
		return NULL;
	}
	return u;
}

void proxy_udp_free(struct proxy_udp *u)
{
	if (!u)
		return;
	while (u->sessions)
		session_free(u->sessions);
	loop_remove(u->source);
	loop_remove(u->sweep);
	free(u);
}
