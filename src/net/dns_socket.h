#pragma once
/* Inside the resolver: where it listens, whom it asks. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/err.h"

#define DNS_ADDRESS "127.0.0.11"
#define DNS_PORT 53

/* Sockets of 127.0.0.11:53 in the network namespace of a process, whose lo is set up. The calling
 * thread is in that namespace meanwhile. */
int dns_listen(pid_t netns_pid, int *ret_udp, int *ret_tcp, struct err *err);

#define DNS_MAX_UPSTREAMS 8

struct dns_upstream {
	struct sockaddr_storage address;
	socklen_t len;
};

struct dns_upstreams {
	struct dns_upstream items[DNS_MAX_UPSTREAMS];
	size_t n;
	bool from_host; /* read again when the host's resolv.conf changes */
	struct timespec changed;
	ino_t ino;
};

/* Given addresses ("9.9.9.9", "fe80::1%eth0", "192.0.2.1#5353"), or NULL: the host's. */
int dns_upstreams_set(struct dns_upstreams *u, char *const *addresses, struct err *err);
void dns_upstreams_refresh(struct dns_upstreams *u);
void dns_upstreams_clear(struct dns_upstreams *u);
