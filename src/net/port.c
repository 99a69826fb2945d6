/*
 * Published ports. A socket bound on the host reserves each of them, which is how a port in use is
 * found out, by us and by others; nftables hands what arrives to the instance before it gets to the
 * socket. What is added to the rules is written to RUN/networks/ports/INSTANCE before, so that it can
 * be taken out again by anybody, knowing the instance's id alone.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"
#include "net/address.h"
#include "net/conntrack.h"
#include "net/nft.h"
#include "rootless/rootless.h"

#define MAX_PORTS 16384
#define STATE_MAX (4u << 20)
#define BACKLOG 128

struct socket_address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static struct socket_address socket_address_of(const struct address *a, uint16_t port)
{
	struct socket_address s = { 0 };

	if (a->family == AF_INET) {
		s.in.sin_family = AF_INET;
		s.in.sin_port = htons(port);
		memcpy(&s.in.sin_addr, a->byte, 4);
		s.len = sizeof(s.in);
	} else {
		s.in6.sin6_family = AF_INET6;
		s.in6.sin6_port = htons(port);
		memcpy(&s.in6.sin6_addr, a->byte, 16);
		s.len = sizeof(s.in6);
	}
	return s;
}

/* Returns the bound socket or -errno. both: an IPv6 socket that takes IPv4 as well. */
static int bind_one(const struct address *a, bool both, const char *protocol, uint16_t port)
{
	bool tcp = strcmp(protocol, "tcp") == 0;
	struct socket_address s = socket_address_of(a, port);
	struct rootless_socket what = { .family = a->family,
		.type = tcp ? SOCK_STREAM : SOCK_DGRAM,
		/* Past connections in TIME_WAIT are no users. In UDP the option would allow to share. */
		.reuse = tcp,
		.only6 = !both,
		.backlog = tcp ? BACKLOG : 0,
		.len = s.len };

	memcpy(&what.address, &s.any, s.len);
	return rootless_socket(&what);
}

static int bind_port(const struct port *p, uint16_t port)
{
	struct address a = { .family = AF_INET6 };
	int fd;

	if (p->host_ip) {
		address_parse(p->host_ip, &a);
		return bind_one(&a, /* both= */ false, p->protocol, port);
	}
	fd = bind_one(&a, /* both= */ true, p->protocol, port);
	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	a.family = AF_INET; /* a host without IPv6 */
	return bind_one(&a, /* both= */ false, p->protocol, port);
}

static int bound_port(int fd)
{
	struct socket_address s = { .len = sizeof(s.in6) };

	if (getsockname(fd, &s.any, &s.len) < 0)
		return -errno;
	return ntohs(s.any.sa_family == AF_INET ? s.in.sin_port : s.in6.sin6_port);
}

static int bind_error(const struct port *p, int r, struct err *err)
{
	const char *where = p->host_ip ? p->host_ip : "0.0.0.0";
	int port = (int)p->host_port;

	if (r == -EADDRINUSE && p->host_port_end)
		return err_set(err, EADDRINUSE,
			"all ports from %d to %d/%s are in use on %s: choose others", port,
			(int)p->host_port_end, p->protocol, where);
	if (r == -EADDRINUSE)
		return err_set(err, EADDRINUSE,
			"port %d/%s is already in use on %s: choose another or stop what uses it",
			port, p->protocol, where);
	if (r == -EADDRNOTAVAIL)
		return err_set(err, EADDRNOTAVAIL,
			"port %d/%s: the host has no address %s to publish it on", port,
			p->protocol, where);
	if (r == -EACCES)
		return err_set(err, EACCES,
			"port %d/%s: only root may publish ports below net.ipv4.ip_unprivileged_port_start",
			port, p->protocol);
	return err_code(err, r, "reserve port %d/%s on %s", port, p->protocol, where);
}

/* The socket; *ret_port is what it got. */
static int reserve_port(const struct port *p, int64_t *ret_port, struct err *err)
{
	struct address a;
	int64_t last = p->host_port_end > p->host_port ? p->host_port_end : p->host_port;
	int fd = -EADDRINUSE, port;

	if (p->host_ip && address_parse(p->host_ip, &a) < 0)
		return err_set(err, EINVAL, "'%s' is not an address to publish on", p->host_ip);
	if (!p->protocol || (strcmp(p->protocol, "tcp") != 0 && strcmp(p->protocol, "udp") != 0))
		return err_set(err, EINVAL, "protocol '%s': tcp and udp can be published",
			p->protocol ? p->protocol : "");
	if (p->host_port < 0 || last > 65535 || p->port < 1 || p->port > 65535)
		return err_set(err, EINVAL, "a port is out of range 1-65535");
	for (int64_t i = p->host_port; i <= last && fd == -EADDRINUSE; i++)
		fd = bind_port(p, (uint16_t)i);
	if (fd < 0)
		return bind_error(p, fd, err);
	port = bound_port(fd);
	if (port < 0) {
		fd_close(fd);
		return err_code(err, port, "learn the port chosen");
	}
	*ret_port = port;
	return fd;
}

/* Elements. */

static bool is_any(const struct address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->byte, zero, sizeof(zero)) == 0;
}

/* "10.210.0.2/16" without the prefix. */
static char *bare_address(const char *with_prefix)
{
	return with_prefix ? xstrndup(with_prefix, strcspn(with_prefix, "/")) : NULL;
}

static void add_elements(
	char ***elements, const struct port *p, int64_t host_port, const struct bundle_endpoint *ep)
{
	cleanup(free) char *to4 = bare_address(ep->address4), *to6 = bare_address(ep->address6);
	struct address a = { 0 };
	bool any;

	if (p->host_ip && address_parse(p->host_ip, &a) < 0)
		return;
	any = is_any(&a);
	if (to4 && (!p->host_ip || a.family == AF_INET)) {
		if (any)
			strv_addf(elements, NFT_ANY4 " %s . %d : %s . %d", p->protocol,
				(int)host_port, to4, (int)p->port);
		else
			strv_addf(elements, NFT_ADDR4 " %s . %s . %d : %s . %d", p->host_ip,
				p->protocol, (int)host_port, to4, (int)p->port);
	}
	if (to6 && (!p->host_ip || a.family == AF_INET6)) {
		if (any)
			strv_addf(elements, NFT_ANY6 " %s . %d : %s . %d", p->protocol,
				(int)host_port, to6, (int)p->port);
		else
			strv_addf(elements, NFT_ADDR6 " %s . %s . %d : %s . %d", p->host_ip,
				p->protocol, (int)host_port, to6, (int)p->port);
	}
}

static bool instance_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= 128 && name_valid(id);
}

static char *state_path(const char *instance)
{
	return xasprintf("ports/%s", instance);
}

/* Ports of one instance may be published in several calls: the file grows. */
static int write_state(int dir, const char *instance, char *const *elements, struct err *err)
{
	cleanup(free) char *path = state_path(instance), *more = strv_join(elements, "\n");
	cleanup(buf_free) struct buf text = { 0 };
	int r = file_read(dir, path, STATE_MAX, &text);

	if (r < 0 && r != -ENOENT)
		return err_code(err, r, "read '%s/networks/%s'", paths_run(), path);
	buf_addf(&text, NFT_SINCE "%lld\n%s\n", (long long)time_monotonic(), more);
	r = file_write(dir, path, text.data, text.len, 0600, 0);
	return r < 0 ? err_code(err, r, "write '%s/networks/%s'", paths_run(), path) : 0;
}

static int add_rules(const char *instance, char *const *elements, struct err *err)
{
	cleanup(fd_close) int dir = -1, lock = -1;
	int r;

	if (!elements)
		return 0;
	dir = networks_dir(err);
	if (dir < 0)
		return dir;
	lock = networks_lock(dir, err);
	if (lock < 0)
		return lock;
	r = write_state(dir, instance, elements, err);
	if (r == 0)
		r = nft_ports_add(dir, elements, err);
	if (r == 0)
		conntrack_forget(elements);
	return r;
}

struct reserved {
	int *fds;
	int64_t *ports;
	size_t n;
};

static void reserved_done(struct reserved *s)
{
	for (size_t i = 0; i < s->n; i++)
		fd_close(s->fds[i]);
	free(s->fds);
	free(s->ports);
}
DEFINE_CLEANUP_OBJECT(reserved_done, struct reserved);

int port_publish(const char *instance, struct record_list *ports, const struct bundle_endpoint *ep,
	int **ret_fds, size_t *ret_n, struct err *err)
{
	cleanup(reserved_done) struct reserved s = { 0 };
	cleanup(strv_free) char **elements = NULL;
	int r;

	*ret_fds = NULL;
	*ret_n = 0;
	if (!ports->n)
		return 0;
	if (ports->n > MAX_PORTS)
		return err_set(err, E2BIG, "more than %d published ports", MAX_PORTS);
	if (!instance_valid(instance))
		return err_set(err, EINVAL, "'%s' is not an instance's id", instance);
	if (ep->internal) {
		log_warn("ports are not published: the network is internal");
		return 0;
	}
	s.fds = xcalloc(ports->n, sizeof(*s.fds));
	s.ports = xcalloc(ports->n, sizeof(*s.ports));
	for (; s.n < ports->n; s.n++) {
		const struct port *p = ports->items[s.n];
		int fd = reserve_port(p, &s.ports[s.n], err);
		if (fd < 0)
			return fd;
		s.fds[s.n] = fd;
		add_elements(&elements, p, s.ports[s.n], ep);
	}
	r = add_rules(instance, elements, err);
	if (r < 0) {
		port_unpublish(instance, NULL);
		return r;
	}
	for (size_t i = 0; i < ports->n; i++) {
		struct port *p = ports->items[i];
		p->host_port = s.ports[i];
		p->host_port_end = 0;
	}
	*ret_n = s.n;
	*ret_fds = take(s.fds);
	s.n = 0;
	return 0;
}

int port_unpublish(const char *instance, struct err *err)
{
	cleanup(fd_close) int dir = -1, lock = -1;
	cleanup(free) char *path = NULL;
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(strv_free) char **elements = NULL;
	int r;

	if (!instance_valid(instance))
		return err_set(err, EINVAL, "'%s' is not an instance's id", instance);
	path = state_path(instance);
	dir = networks_dir(err);
	if (dir < 0)
		return dir;
	if (faccessat(dir, path, F_OK, 0) < 0 && errno == ENOENT)
		return 0;
	lock = networks_lock(dir, err);
	if (lock < 0)
		return lock;
	r = file_read(dir, path, STATE_MAX, &text);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_code(err, r, "read '%s/networks/%s'", paths_run(), path);
	elements = strv_split(text.data ? text.data : "", '\n');
	r = nft_ports_remove(dir, instance, elements, err);
	if (r < 0)
		return r;
	conntrack_forget(elements);
	if (unlinkat(dir, path, 0) < 0 && errno != ENOENT)
		return err_errno(err, "remove '%s/networks/%s'", paths_run(), path);
	return 0;
}
