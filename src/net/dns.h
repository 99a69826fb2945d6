#pragma once
/*
 * Names inside networks: a resolver that the supervisor runs on 127.0.0.11:53 (UDP and TCP) in the
 * network namespace of its instance, as Docker's clients expect. It answers A, AAAA and PTR for the
 * members of the instance's networks from RUN/networks/ID.names (written by network_reserve() and
 * network_release(), re-read when it changed) and forwards all else to the host's resolvers from
 * the host's namespace. RFC 1035. It opens no database.
 */
#include "base/err.h"
#include "base/loop.h"

struct dns;

/* networks: ids, NULL-terminated. upstreams: addresses, at most 8; NULL: the host's resolv.conf; an
 * empty list: nobody is asked (internal networks). Sets lo up. The calling thread is in the other
 * namespace meanwhile. */
int dns_start(struct loop *loop, pid_t netns_pid, char *const *networks, char *const *upstreams,
	struct dns **ret, struct err *err);
/* The same on one socket of datagrams, which becomes the resolver's, also on failure: for a machine's card
 * (backend.h). No namespace is entered. */
int dns_serve(struct loop *loop, int sock, char *const *networks, char *const *upstreams,
	struct dns **ret, struct err *err);
/* After connect and disconnect. */
void dns_set_networks(struct dns *dns, char *const *networks);
void dns_free(struct dns *dns);
DEFINE_CLEANUP(dns_free, struct dns *);

/* Forwards what arrives at the reserved sockets of published ports (those that nftables cannot
 * redirect) to the instance. fds: bound sockets, TCP or UDP, which stay the caller's; fds[n] leads to
 * target_ports[n]. */
struct port_proxy;
int port_proxy_start(struct loop *loop, const int *fds, size_t n, const char *target_address,
	const int *target_ports, struct port_proxy **ret, struct err *err);
void port_proxy_free(struct port_proxy *p);
DEFINE_CLEANUP(port_proxy_free, struct port_proxy *);
