/*
 * The resolver's sockets (dns.h): listening in the instance's network namespace, asking the host's
 * resolvers from the host's. What is known of names and messages is in dns_message.c.
 *
 * The container is hostile and may send as much as it likes: queries that are being forwarded,
 * connections, message sizes and queries a second are bounded; nothing waits. A forwarded query has
 * an identifier and a socket (so a port) of its own, and its response must come from where it went
 * (the socket is connected) with the same identifier and question.
 */
#include "net/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"
#include "net/dns_message.h"
#include "net/dns_socket.h"
#include "rootless/rootless.h"

#define MAX_PENDING 128
#define MAX_CLIENTS 32
#define QUERY_MAX 4096u
#define ATTEMPT_NS INT64_C(1500000000)
#define IDLE_NS INT64_C(10000000000)
/* Queries in one window before the sockets rest until its end: 5,000 a second. */
#define WINDOW_NS INT64_C(100000000)
#define WINDOW_QUERIES 500
#define ROUND_QUERIES 16 /* before other sources have their turn */

/* A connection from the container: one query at a time, read, answered, then the next. */
struct client {
	struct dns *dns;
	struct client *next;
	int fd;
	struct loop_source *source, *idle;
	struct buf in, out;
	struct pending *pending; /* its query that is being forwarded, or NULL */
};

/* A query that an upstream was asked. */
struct pending {
	struct dns *dns;
	struct pending *next;
	uint8_t id[2];  /* the client's */
	uint8_t *query; /* with two bytes of length before it, for TCP; `id` replaced by ours */
	size_t len;
	struct sockaddr_storage from;
	socklen_t from_len;
	struct client *client; /* or NULL: UDP */
	size_t upstream, attempts;
	int fd;
	struct loop_source *source, *timer;
	struct buf in; /* TCP */
	bool sent;
};

struct dns {
	struct loop *loop;
	int udp, tcp;
	struct loop_source *udp_source, *tcp_source, *window;
	struct dns_names *names;
	struct dns_upstreams upstreams;
	struct client *clients;
	struct pending *pending;
	size_t n_clients, n_pending;
	unsigned in_window;
	uint8_t *out; /* DNS_MAX bytes, of which next to none are ever touched: not from the heap */
};

static void client_work(struct client *c);

static void pending_free(struct pending *p)
{
	for (struct pending **at = &p->dns->pending; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		p->dns->n_pending--;
		break;
	}
	if (p->client)
		p->client->pending = NULL;
	loop_remove(p->source);
	loop_remove(p->timer);
	fd_close(p->fd);
	buf_free(&p->in);
	free(p->query);
	free(p);
}

static void client_free(struct client *c)
{
	for (struct client **at = &c->dns->clients; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		c->dns->n_clients--;
		break;
	}
	if (c->pending)
		pending_free(c->pending);
	loop_remove(c->source);
	loop_remove(c->idle);
	fd_close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* A message to a connection: as much as fits now, the rest when it can be written. */
static void client_send(struct client *c, const uint8_t *msg, size_t len)
{
	const uint8_t prefix[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	buf_add(&c->out, prefix, 2);
	buf_add(&c->out, msg, len);
}

static void answer_pending(struct pending *p, const uint8_t *msg, size_t len)
{
	struct client *c = p->client;

	if (c) {
		client_send(c, msg, len);
	} else if (sendto(p->dns->udp, msg, len, MSG_DONTWAIT, (struct sockaddr *)&p->from,
			   p->from_len) < 0) {
		log_debug("dns", "answer a query: %s", strerror(errno));
	}
	pending_free(p);
	if (c)
		client_work(c);
}

static void give_up(struct pending *p)
{
	int n;

	memcpy(p->query + 2, p->id, 2);
	n = dns_refuse(p->query + 2, p->len, DNS_SERVFAIL, p->dns->out, DNS_MAX);
	if (n > 0)
		answer_pending(p, p->dns->out, (size_t)n);
	else
		pending_free(p);
}

static void end_attempt(struct pending *p)
{
	loop_remove(p->source);
	loop_remove(p->timer);
	p->source = p->timer = NULL;
	p->fd = fd_close(p->fd);
	p->in.len = 0;
	p->sent = false;
}

static void next_upstream(struct pending *p);

static void on_timeout(void *data)
{
	struct pending *p = data;

	p->timer = NULL;
	next_upstream(p);
}

/* One message from the upstream. */
static void take_response(struct pending *p, uint8_t *msg, size_t len)
{
	unsigned rcode;

	if (!dns_is_response(p->query + 2, p->len, msg, len))
		return; /* forged, or late: the right one may follow */
	rcode = msg[3] & 15;
	if ((rcode == DNS_SERVFAIL || rcode == DNS_REFUSED) &&
		p->attempts + 1 < p->dns->upstreams.n) {
		next_upstream(p);
		return;
	}
	memcpy(msg, p->id, 2);
	answer_pending(p, msg, len);
}

static void on_upstream_udp(void *data, uint32_t events)
{
	struct pending *p = data;
	ssize_t n = recv(p->fd, p->dns->out, DNS_MAX, MSG_DONTWAIT);

	if (n >= 0)
		take_response(p, p->dns->out, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		next_upstream(p); /* refused, unreachable */
}

static void on_upstream_tcp(void *data, uint32_t events)
{
	struct pending *p = data;
	ssize_t n;
	size_t want;

	if (!p->sent) {
		n = send(p->fd, p->query, p->len + 2, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n != (ssize_t)p->len + 2) {
			next_upstream(p);
			return;
		}
		p->sent = true;
		loop_set_events(p->source, EPOLLIN);
		return;
	}
	n = recv(p->fd, buf_reserve(&p->in, 4096), 4096, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		p->in.len += (size_t)n;
	want = p->in.len < 2 ? 2
			     : 2 + ((size_t)(uint8_t)p->in.data[0] << 8 | (uint8_t)p->in.data[1]);
	if (p->in.len >= 2 && p->in.len >= want) {
		size_t len = want - 2;
		memcpy(p->dns->out, p->in.data + 2, len);
		p->in.len = 0;
		take_response(p, p->dns->out, len);
	} else if (n <= 0) {
		next_upstream(p);
	}
}

/* false when it could not even be sent. */
static bool ask(struct pending *p)
{
	const struct dns_upstream *u = &p->dns->upstreams.items[p->upstream];
	bool tcp = p->client != NULL;
	/* The host's resolvers may listen on its loopback addresses. */
	struct rootless_socket what = { .family = u->address.ss_family,
		.type = tcp ? SOCK_STREAM : SOCK_DGRAM };

	if (p->upstream >= p->dns->upstreams.n)
		return false;
	p->fd = rootless_socket(&what);
	if (p->fd < 0)
		p->fd = -1;
	/* An identifier of its own for every attempt: a late answer of the one before is no answer. */
	if (p->fd < 0 || getrandom(p->query + 2, 2, 0) != 2 ||
		(connect(p->fd, (const struct sockaddr *)&u->address, u->len) < 0 &&
			errno != EINPROGRESS) ||
		(!tcp && send(p->fd, p->query + 2, p->len, MSG_NOSIGNAL) < 0))
		return false;
	p->timer = loop_add_timer(p->dns->loop, ATTEMPT_NS, on_timeout, p);
	p->source = loop_add_fd(p->dns->loop, p->fd, tcp ? EPOLLOUT : EPOLLIN,
		tcp ? on_upstream_tcp : on_upstream_udp, p);
	return p->source != NULL;
}

static void next_upstream(struct pending *p)
{
	size_t n, limit;

	do {
		n = p->dns->upstreams.n;
		limit = 2 * n < 6 ? 2 * n : 6;
		end_attempt(p);
		p->upstream = n ? (p->upstream + 1) % n : 0;
		if (++p->attempts >= limit) {
			give_up(p);
			return;
		}
	} while (!ask(p));
}

/* Whether a client has repeated a query, for want of patience, whose answer is on its way. */
static bool is_repeated(const struct dns *dns, const uint8_t *query, size_t len,
	const struct sockaddr_storage *from, socklen_t from_len)
{
	for (const struct pending *p = dns->pending; p; p = p->next)
		if (!p->client && p->len == len && p->from_len == from_len &&
			memcmp(p->id, query, 2) == 0 &&
			memcmp(p->query + 4, query + 2, len - 2) == 0 &&
			memcmp(&p->from, from, from_len) == 0)
			return true;
	return false;
}

/* Passes a query on. false when there is no room or nobody to ask. */
static bool forward(struct dns *dns, const uint8_t *query, size_t len, struct client *client,
	const struct sockaddr_storage *from, socklen_t from_len)
{
	struct pending *p;

	if (from && is_repeated(dns, query, len, from, from_len))
		return true;
	dns_upstreams_refresh(&dns->upstreams);
	if (!dns->upstreams.n || dns->n_pending >= MAX_PENDING)
		return false;
	p = xnew(struct pending);
	*p = (struct pending){
		.dns = dns, .next = dns->pending, .fd = -1, .client = client, .len = len
	};
	memcpy(p->id, query, 2);
	p->query = xcalloc(1, len + 2);
	p->query[0] = (uint8_t)(len >> 8);
	p->query[1] = (uint8_t)len;
	memcpy(p->query + 2, query, len);
	if (from) {
		p->from = *from;
		p->from_len = from_len;
	}
	if (client)
		client->pending = p;
	dns->pending = p;
	dns->n_pending++;
	if (!ask(p)) {
		/* Not from here: the caller is at work on the client. */
		end_attempt(p);
		p->timer = loop_add_timer(dns->loop, 0, on_timeout, p);
	}
	return true;
}

/* The answer's length in dns->out, 0: it was forwarded, or -EBADMSG: no answer. */
static int answer(struct dns *dns, const uint8_t *query, size_t len, struct client *client,
	const struct sockaddr_storage *from, socklen_t from_len)
{
	int n;

	dns_names_refresh(dns->names);
	n = dns_answer(dns->names, query, len, client != NULL, dns->out, DNS_MAX);
	if (n != 0)
		return n;
	if (forward(dns, query, len, client, from, from_len))
		return 0;
	return dns_refuse(query, len, DNS_SERVFAIL, dns->out, DNS_MAX);
}

static void on_window(void *data)
{
	struct dns *dns = data;

	dns->window = NULL;
	dns->in_window = 0;
	loop_set_events(dns->udp_source, EPOLLIN);
	loop_set_events(dns->tcp_source, EPOLLIN);
	for (struct client *c = dns->clients, *next; c; c = next) {
		next = c->next;
		client_work(c);
	}
}

/* Counts a query. false when this window has had its share: then the sockets rest. */
static bool admit(struct dns *dns)
{
	if (!dns->window)
		dns->window = loop_add_timer(dns->loop, WINDOW_NS, on_window, dns);
	if (dns->in_window < WINDOW_QUERIES) {
		dns->in_window++;
		return true;
	}
	loop_set_events(dns->udp_source, 0);
	loop_set_events(dns->tcp_source, 0);
	return false;
}

static void on_udp(void *data, uint32_t events)
{
	struct dns *dns = data;
	uint8_t query[QUERY_MAX];
	struct sockaddr_storage from;

	for (int i = 0; i < ROUND_QUERIES && admit(dns); i++) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(dns->udp, query, sizeof(query), MSG_DONTWAIT | MSG_TRUNC,
			(struct sockaddr *)&from, &from_len);
		if (n < 0)
			return;
		if ((size_t)n > sizeof(query))
			continue;
		n = answer(dns, query, (size_t)n, NULL, &from, from_len);
		if (n > 0 && sendto(dns->udp, dns->out, (size_t)n, MSG_DONTWAIT,
				     (struct sockaddr *)&from, from_len) < 0)
			log_debug("dns", "answer a query: %s", strerror(errno));
	}
}

static void on_idle(void *data)
{
	struct client *c = data;

	c->idle = NULL;
	client_free(c);
}

static void touch(struct client *c)
{
	loop_remove(c->idle);
	c->idle = loop_add_timer(c->dns->loop, IDLE_NS, on_idle, c);
}

/* 1 when all is written, 0 when the rest has to wait, -1 when the connection is no more. */
static int client_flush(struct client *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return -1;
		buf_consume(&c->out, (size_t)n);
	}
	return 1;
}

/* The next whole query of what was read: its length, 0 when there is none yet, or -1. */
static int client_query(struct client *c)
{
	size_t len;

	if (c->in.len < 2)
		return 0;
	len = (size_t)(uint8_t)c->in.data[0] << 8 | (uint8_t)c->in.data[1];
	if (len < DNS_HEADER || len > QUERY_MAX)
		return -1;
	return c->in.len < len + 2 ? 0 : (int)len;
}

/* Writes, and takes up queries, until something has to be waited for. Frees a broken connection. */
static void client_work(struct client *c)
{
	int flushed, len = 0;

	while ((flushed = client_flush(c)) > 0 && !c->pending && (len = client_query(c)) > 0) {
		cleanup(free) uint8_t *query = NULL;
		int n;
		if (!admit(c->dns)) {
			loop_set_events(c->source, 0);
			return;
		}
		query = xcalloc(1, (size_t)len);
		memcpy(query, c->in.data + 2, (size_t)len);
		buf_consume(&c->in, (size_t)len + 2);
		n = answer(c->dns, query, (size_t)len, c, NULL, 0);
		if (n > 0)
			client_send(c, c->dns->out, (size_t)n);
		else if (n < 0)
			len = -1;
		if (len < 0)
			break;
	}
	if (flushed < 0 || len < 0) {
		client_free(c);
		return;
	}
	/* Nothing more is read while an answer is out: the peer waits in its own buffers. */
	loop_set_events(c->source, flushed == 0 ? EPOLLOUT : c->pending ? 0 : EPOLLIN);
}

static void on_client(void *data, uint32_t events)
{
	struct client *c = data;
	ssize_t n;

	touch(c);
	if (events & EPOLLIN) {
		n = recv(c->fd, buf_reserve(&c->in, QUERY_MAX), QUERY_MAX, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_free(c);
			return;
		}
		if (n > 0)
			c->in.len += (size_t)n;
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		client_free(c);
		return;
	}
	client_work(c);
}

/* A connection more than are allowed takes the place of the one that has been there longest. */
static void make_room(struct dns *dns)
{
	struct client *last = dns->clients;

	while (last && last->next)
		last = last->next;
	if (last && dns->n_clients >= MAX_CLIENTS)
		client_free(last);
}

static void on_tcp(void *data, uint32_t events)
{
	struct dns *dns = data;
	struct client *c;
	int fd;

	if (!admit(dns))
		return;
	fd = accept4(dns->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	make_room(dns);
	c = xnew(struct client);
	*c = (struct client){ .dns = dns, .fd = fd, .next = dns->clients };
	dns->clients = c;
	dns->n_clients++;
	c->source = loop_add_fd(dns->loop, fd, EPOLLIN, on_client, c);
	if (!c->source)
		client_free(c);
	else
		touch(c);
}

/* Without sockets yet. */
static int make(struct loop *loop, char *const *networks, char *const *upstreams, struct dns **ret,
	struct err *err)
{
	cleanup(dns_free) struct dns *dns = xnew(struct dns);
	int r;

	dns->loop = loop;
	dns->udp = dns->tcp = -1;
	dns->out = mmap(NULL, DNS_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (dns->out == MAP_FAILED) {
		dns->out = NULL;
		return err_errno(err, "get memory for the resolver");
	}
	dns->names = dns_names_new();
	r = dns_upstreams_set(&dns->upstreams, upstreams, err);
	if (r < 0)
		return r;
	dns_set_networks(dns, networks);
	*ret = take(dns);
	return 0;
}

int dns_start(struct loop *loop, pid_t netns_pid, char *const *networks, char *const *upstreams,
	struct dns **ret, struct err *err)
{
	cleanup(dns_free) struct dns *dns = NULL;
	int r = make(loop, networks, upstreams, &dns, err);

	if (r == 0)
		r = dns_listen(netns_pid, &dns->udp, &dns->tcp, err);
	if (r < 0)
		return r;
	dns->udp_source = loop_add_fd(loop, dns->udp, EPOLLIN, on_udp, dns);
	dns->tcp_source = loop_add_fd(loop, dns->tcp, EPOLLIN, on_tcp, dns);
	if (!dns->udp_source || !dns->tcp_source)
		return err_errno(err, "watch the resolver's sockets");
	*ret = take(dns);
	return 0;
}

int dns_serve(struct loop *loop, int sock, char *const *networks, char *const *upstreams,
	struct dns **ret, struct err *err)
{
	cleanup(dns_free) struct dns *dns = NULL;
	int r = make(loop, networks, upstreams, &dns, err);

	if (r < 0) {
		fd_close(sock);
		return r;
	}
	dns->udp = sock;
	dns->udp_source = loop_add_fd(loop, sock, EPOLLIN, on_udp, dns);
	if (!dns->udp_source)
		return err_errno(err, "watch the resolver's socket");
	*ret = take(dns);
	return 0;
}

void dns_set_networks(struct dns *dns, char *const *networks)
{
	cleanup(strv_free) char **paths = NULL;

	strv_foreach (id, networks)
		strv_addf(&paths, "%s/networks/%s.names", paths_run(), *id);
	dns_names_set_files(dns->names, paths);
}

void dns_free(struct dns *dns)
{
	if (!dns)
		return;
	while (dns->clients)
		client_free(dns->clients);
	while (dns->pending)
		pending_free(dns->pending);
	loop_remove(dns->udp_source);
	loop_remove(dns->tcp_source);
	loop_remove(dns->window);
	fd_close(dns->udp);
	fd_close(dns->tcp);
	dns_names_free(dns->names);
	dns_upstreams_clear(&dns->upstreams);
	if (dns->out)
		munmap(dns->out, DNS_MAX);
	free(dns);
}
