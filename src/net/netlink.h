#pragma once
/*
 * Netlink by libmnl: batches of requests that are each acknowledged, dumps, and what is asked of a
 * link. A socket belongs to the network namespace in which it was opened and to one thread.
 * rtnetlink(7), netlink(7).
 */
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "net/address.h"

struct netlink {
	struct mnl_socket *socket; /* NULL when closed */
	uint32_t seq;
};

/* bus: NETLINK_ROUTE, NETLINK_NETFILTER. */
int netlink_open(struct netlink *nl, int bus, struct err *err);
/* In the network namespace of a process; the calling thread goes there for a moment. *ret_netns, when
 * asked for, is the namespace's descriptor, the caller's. */
int netlink_open_in(struct netlink *nl, int bus, pid_t pid, int *ret_netns, struct err *err);
void netlink_done(struct netlink *nl);
DEFINE_CLEANUP_OBJECT(netlink_done, struct netlink);

/* The namespace of a process; -ESRCH said in words when it is gone. */
int netlink_netns(pid_t pid, struct err *err);

#define NETLINK_BATCH_MAX 8

/* Requests sent in one go. All of them are tried; the first failure counts. */
struct netlink_batch {
	char data[4096] __attribute__((aligned(8)));
	size_t len;
	unsigned n;
	const char *what[NETLINK_BATCH_MAX]; /* "add address", for errors; static strings */
};

/* Begins a request; attributes are added to it with mnl_attr_put(). `flags` are added to NLM_F_REQUEST
 * and NLM_F_ACK. `family_header` bytes, zeroed, go after the header: *ret_header. */
struct nlmsghdr *netlink_add(struct netlink_batch *batch, const char *what, uint16_t type,
	uint16_t flags, size_t family_header, void *ret_header);
/* Ends the batch's last request. Call after its attributes. */
void netlink_end(struct netlink_batch *batch, struct nlmsghdr *h);
/* 0, or the first failure: -errno and "what 'name': reason". */
int netlink_send(
	struct netlink *nl, struct netlink_batch *batch, const char *name, struct err *err);

/* Two requests that every link needs. IPv6 addresses are usable at once. */
void netlink_add_up(struct netlink_batch *batch, unsigned index);
void netlink_add_address(
	struct netlink_batch *batch, unsigned index, const struct address *a, unsigned bits);

/* All answers to a dump request of `type`, whose own header has that many bytes and begins with the
 * family; fn gets each message. */
int netlink_dump(struct netlink *nl, uint16_t type, size_t header, uint8_t family,
	void (*fn)(void *data, const struct nlmsghdr *h), void *data, struct err *err);

/* The same for links of one kind ("bridge"), which the kernel picks: next to nothing where there are
 * thousands of others. */
int netlink_dump_links(struct netlink *nl, const char *kind,
	void (*fn)(void *data, const struct nlmsghdr *h), void *data, struct err *err);

struct netlink_link {
	unsigned index, flags, mtu;
	char name[IFNAMSIZ];
	char kind[16];   /* "bridge", "" for hardware */
	char alias[256]; /* ours: "holm:" and the network's id */
};
void netlink_link_parse(const struct nlmsghdr *h, struct netlink_link *ret);
/* By name; -ENODEV when there is none. */
int netlink_link_get(struct netlink *nl, const char *name, struct netlink_link *ret);
int netlink_link_get_index(struct netlink *nl, unsigned index, struct netlink_link *ret);
/* Takes some 40 ms. One that is not there is fine. */
int netlink_link_delete(struct netlink *nl, const char *name, struct err *err);
