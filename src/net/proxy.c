/*
 * The port proxy (dns.h): TCP connections to published ports are relayed to the instance, each by two
 * sockets and two buffers. A side that does not read stops the other from being read (back-pressure);
 * an end of one direction is passed on and leaves the other direction open (half-close).
 *
 * Bounds: MAX_CONNECTIONS a port, BUFFER bytes a direction, held only while something is in them.
 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "net/dns.h"

#define MAX_CONNECTIONS 256
#define BUFFER 65536u
#define REST_NS INT64_C(100000000) /* after accept(2) failed for want of descriptors */

struct side {
	struct connection *connection;
	int fd;
	struct loop_source *source;
	uint32_t events;
	/* What was read here and is not yet written to the other side. */
	uint8_t *data;
	size_t start, len;
	bool read_end, write_end; /* read to its end; shut down for writing */
};

struct connection {
	struct listener *listener;
	struct connection *next;
	struct side side[2]; /* client, instance */
	bool connected;
};

struct listener {
	struct loop *loop;
	int fd;
	struct loop_source *source, *rest;
	struct sockaddr_storage target;
	socklen_t target_len;
	struct connection *connections;
	size_t n;
	struct proxy_udp *udp; /* instead of all this, for a UDP socket */
};

struct port_proxy {
	struct listener *listeners;
	size_t n;
};

static void connection_free(struct connection *c)
{
	struct listener *l = c->listener;

	for (struct connection **at = &l->connections; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		l->n--;
		break;
	}
	for (int i = 0; i < 2; i++) {
		loop_remove(c->side[i].source);
		fd_close(c->side[i].fd);
		free(c->side[i].data);
	}
	free(c);
	if (l->source && !l->rest)
		loop_set_events(l->source, EPOLLIN);
}

static struct side *other(struct side *s)
{
	return &s->connection->side[s == &s->connection->side[0]];
}

/* false when the connection is broken. */
static bool fill(struct side *s)
{
	ssize_t n;

	if (s->read_end || s->len)
		return true;
	if (!s->data)
		s->data = xcalloc(1, BUFFER);
	n = recv(s->fd, s->data, BUFFER, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	s->read_end = n == 0;
	s->start = 0;
	s->len = (size_t)n;
	return true;
}

static bool empty(struct side *s)
{
	struct side *to = other(s);

	while (s->len) {
		ssize_t n = send(to->fd, s->data + s->start, s->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		s->start += (size_t)n;
		s->len -= (size_t)n;
	}
	free(s->data);
	s->data = NULL;
	if (s->read_end && !to->write_end) {
		shutdown(to->fd, SHUT_WR);
		to->write_end = true;
	}
	return true;
}

static void want(struct side *s)
{
	uint32_t events = 0;

	if (s->read_end && s->write_end) {
		/* Its hang-up would be reported for ever. */
		loop_remove(s->source);
		s->source = NULL;
		return;
	}
	if (!s->read_end && !s->len)
		events |= EPOLLIN;
	if (other(s)->len)
		events |= EPOLLOUT;
	if (s->source && events != s->events)
		loop_set_events(s->source, events);
	s->events = events;
}

static void relay(struct connection *c)
{
	struct side *a = &c->side[0], *b = &c->side[1];
	bool good = fill(a) && empty(a) && fill(b) && empty(b);

	if (!good || (a->read_end && b->read_end && !a->len && !b->len)) {
		connection_free(c);
		return;
	}
	want(a);
	want(b);
}

static void on_side(void *data, uint32_t events)
{
	struct side *s = data;
	struct connection *c = s->connection;
	int error = 0;
	socklen_t len = sizeof(error);

	if (events & EPOLLERR) {
		connection_free(c);
		return;
	}
	if (!c->connected) {
		/* The client waits in its socket's buffer until the instance has answered. */
		if (s == &c->side[0] || !(events & EPOLLOUT)) {
			if (events & EPOLLHUP)
				connection_free(c);
			return;
		}
		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
			connection_free(c);
			return;
		}
		c->connected = true;
		s->events = EPOLLOUT;
	}
	relay(c);
}

static void set_options(int fd)
{
	const int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* client is taken over, also on failure. */
static void open_connection(struct listener *l, int client)
{
	struct connection *c = xnew(struct connection);
	int fd = socket(l->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*c = (struct connection){ .listener = l, .next = l->connections };
	c->side[0] = (struct side){ .connection = c, .fd = client };
	c->side[1] = (struct side){ .connection = c, .fd = fd };
	l->connections = c;
	l->n++;
	if (fd < 0 || (connect(fd, (struct sockaddr *)&l->target, l->target_len) < 0 &&
			      errno != EINPROGRESS)) {
		connection_free(c);
		return;
	}
	set_options(client);
	set_options(fd);
	c->side[0].source = loop_add_fd(l->loop, client, 0, on_side, &c->side[0]);
	c->side[1].source = loop_add_fd(l->loop, fd, EPOLLOUT, on_side, &c->side[1]);
	if (!c->side[0].source || !c->side[1].source)
		connection_free(c);
}

static void on_rested(void *data)
{
	struct listener *l = data;

	l->rest = NULL;
	loop_set_events(l->source, EPOLLIN);
}

static void on_listener(void *data, uint32_t events)
{
	struct listener *l = data;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		open_connection(l, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		l->rest = loop_add_timer(l->loop, REST_NS, on_rested, l);
	if (l->rest || l->n >= MAX_CONNECTIONS)
		loop_set_events(l->source, 0);
}

static int parse_target(const char *address, int port, struct listener *l, struct err *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&l->target;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&l->target;

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		l->target_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		l->target_len = sizeof(*v6);
	} else {
		return err_set(err, EINVAL, "published port: '%s' is no address", address);
	}
	return 0;
}

static int listener_start(struct listener *l, struct err *err)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(l->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_errno(err, "published port");
	fd_set_nonblock(l->fd, true);
	if (type == SOCK_DGRAM) {
		l->udp = proxy_udp_start(l->loop, l->fd, &l->target, l->target_len);
		return l->udp ? 0 : err_errno(err, "watch a published port");
	}
	if (listen(l->fd, 128) < 0)
		return err_errno(err, "listen on a published port");
	l->source = loop_add_fd(l->loop, l->fd, EPOLLIN, on_listener, l);
	return l->source ? 0 : err_errno(err, "watch a published port");
}

int port_proxy_start(struct loop *loop, const int *fds, size_t n, const char *target_address,
	const int *target_ports, struct port_proxy **ret, struct err *err)
{
	cleanup(port_proxy_free) struct port_proxy *p = xnew(struct port_proxy);
	int r;

	p->listeners = xcalloc(n + 1, sizeof(*p->listeners));
	for (size_t i = 0; i < n; i++) {
		struct listener *l = &p->listeners[p->n++];
		l->loop = loop;
		l->fd = fds[i];
		r = parse_target(target_address, target_ports[i], l, err);
		if (r == 0)
			r = listener_start(l, err);
		if (r < 0)
			return r;
	}
	*ret = take(p);
	return 0;
}

void port_proxy_free(struct port_proxy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		struct listener *l = &p->listeners[i];
		loop_remove(l->source);
		l->source = NULL;
		loop_remove(l->rest);
		while (l->connections)
			connection_free(l->connections);
		proxy_udp_free(l->udp);
	}
	free(p->listeners);
	free(p);
}
