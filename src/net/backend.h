#pragma once
/*
 * The seam of what a machine's network card is plugged into. One file a backend, made by a function of its own below;
 * backend_null.c is the template and the test double.
 *
 * Frames are Ethernet's, without checksum, after a header as virtio has it (virtio 1.2, 5.1.6). Nothing here waits: who
 * calls waits for `fd` to be readable, and after -EAGAIN for `out` to be writable.
 *
 * Threads: send by one at a time, receive by one at a time; both may be at work at once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NET_FRAME_MAX 65550u /* 64 KiB of IP after an Ethernet header */
#define NET_PARTS 260
#define NET_OTHERS 3u

/* struct virtio_net_hdr_v1, little-endian. */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t header_len, gso_size, csum_start, csum_offset;
	uint16_t n_buffers; /* the card's */
};

/* What the other end takes (sent) and gives (received): frames without checksum, and larger ones than the link's. */
#define NET_CHECKSUM 1u
#define NET_TSO4 2u
#define NET_TSO6 4u
#define NET_TSO_ECN 8u
#define NET_OFFLOADS (NET_CHECKSUM | NET_TSO4 | NET_TSO6 | NET_TSO_ECN)

struct net_backend;

struct net_backend_type {
	const char *name; /* "tap" */
	/* Sends one frame, whole: 0; -EAGAIN: not now; another -errno: it is lost. Mandatory. */
	int (*send)(struct net_backend *b, const struct net_header *header, const struct iovec *iov,
		int n_iov);
	/* The next frame's length (and header); -EAGAIN: there is none now; -EPIPE: never again. Mandatory. */
	ssize_t (*receive)(
		struct net_backend *b, struct net_header *header, void *frame, size_t size);
	/* The guest takes these from now on, a part of `offloads`. Optional. */
	void (*set_offloads)(struct net_backend *b, unsigned offloads);
	/* Mandatory. */
	void (*close)(struct net_backend *b);
};

/* First in a backend's structure. */
struct net_backend {
	const struct net_backend_type *type;
	int fd, out; /* -1: never */
	int others
		[NET_OTHERS]; /* more descriptors that it needs, n_others of them: whoever takes it to another process
				   keeps these too */
	unsigned n_others;
	unsigned offloads; /* those that it has */
	unsigned mtu;      /* 0: the guest's own choice */
};

/* NULL is allowed. */
static inline void net_backend_free(struct net_backend *b)
{
	if (b)
		b->type->close(b);
}
DEFINE_CLEANUP(net_backend_free, struct net_backend *);

/* Frames come back never, and go nowhere; `fd` may be given for tests, whose datagrams are frames both ways. It
 * becomes the backend's. */
struct net_backend *net_backend_null(int fd, unsigned offloads);

/*
 * User mode: passt(1) turns the guest's connections into the host's, without privileges. It gives the guest an address by
 * DHCP, and dies with us. `forwards` are ports of the host for it, as "8080:80" or "8080:80/udp"; NULL: none. `host`: the gateway's
 * address is the host's loopback to the guest.
 * -ENOENT: passt is not installed.
 */
int net_backend_user(char *const *forwards, bool host, struct net_backend **ret, struct err *err);

/* A tap device by its descriptor, which becomes the backend's also on failure. */
int net_backend_tap(int fd, struct net_backend **ret, struct err *err);

/* What DHCP tells the guest; all of it IPv4. Borrowed for as long as the backend is there. */
struct net_lease {
	uint8_t address[4], gateway[4]; /* the gateway answers for us, and for names */
	bool has_route;                 /* the gateway leads on */
	unsigned bits;                  /* of the subnet's prefix */
	unsigned mtu;                   /* 0: not told */
	const char *hostname;           /* or NULL */
	int resolver;                   /* queries go there, answers come from there (dns_serve());
					   -1: names are not resolved */
};

/* The same with a backend around it that answers the guest's DHCP, and DNS queries to the gateway. `inner` becomes its
 * own, also on failure; the resolver's socket stays the caller's. */
int net_backend_lease(struct net_backend *inner, const struct net_lease *lease,
	struct net_backend **ret, struct err *err);
