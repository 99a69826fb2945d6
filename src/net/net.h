#pragma once
/*
 * Networks: what is known of them (database), addresses (IPAM), and what is made of them on the host:
 * bridges, veth pairs (rtnetlink), NAT and published ports (nftables), names (dns.h).
 *
 * A network's bridge and rules are there while some running instance is on it. The order of use:
 * network_reserve() makes the instance a member, network_up() then makes the bridge (which stays for
 * as long as there is a member), link_attach() the link, port_publish() the ports; at the end
 * port_unpublish() and network_release(). Links are not deleted: they die with the instance's network
 * namespace. network_release() leaves the bridge for whoever comes next; network_sweep(), called a
 * little later, takes down what nobody uses.
 *
 * Beside the database, RUN/networks/ holds what the host was made to be, all of it rewritten whole:
 *	lock		held around changes to the host
 *	ID.up		the network has its bridge: what the rules must know of it
 *	ID.names	for the resolver: NAME<TAB>ADDRESS<TAB>INSTANCE a line, names in lower case
 *	ports/INSTANCE	the map elements of its published ports and since when, written before they are added
 * One connection of the database a thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "bundle/bundle.h"

struct network {
	char *id, *name;
	char *driver;                      /* "bridge", "host", "none" */
	char *bridge;                      /* link's name */
	char *subnet4, *gateway4, *range4; /* "10.210.0.0/16", "10.210.0.1"; NULL: none */
	char *subnet6, *gateway6, *range6;
	bool ipv6, internal;
	int64_t mtu;              /* 0: the default route's */
	char **aux;               /* map, name to an address that is never given out */
	char **labels, **options; /* maps */
	int64_t created;
	bool attachable; /* only remembered */
	bool builtin;    /* "bridge", "host", "none": cannot be removed; "bridge" gives no names */
};
extern const struct record_field network_fields[];

/* The tables, and the three built-in networks. Once per process by cmd_db(). */
int net_init(struct db *db, struct err *err);

/* By name, id or unique id prefix. The caller frees. */
int network_find(struct db *db, const char *name, struct network **ret, struct err *err);
void network_free(struct network *n);
DEFINE_CLEANUP(network_free, struct network *);
int network_list(struct db *db, struct record_list *ret /* struct network */, struct err *err);
/* Fills in what the caller left empty: a free subnet (no overlap with the host's addresses, routes
 * and other networks), gateway, bridge's name, id; takes mtu and bridge from the options that Docker
 * has for them, and refuses options that it does not know. -EEXIST for a name in use. */
int network_create(struct db *db, struct network *n, struct err *err);
/* -EBUSY while running instances are on it. */
int network_remove(struct db *db, const char *name, struct err *err);

/* One instance's place on a network, while it runs. */
struct endpoint_request {
	const char *network;  /* name or id */
	const char *instance; /* id */
	const char *name;     /* the instance's name */
	const char *hostname;
	char **aliases;
	const char *address4, *address6, *mac; /* wanted, or NULL */
	const char *link;                      /* "eth0" */
	bool is_default;
};
/* Reserves addresses. Fills in ret, whose strings the caller owns (bundle_endpoint_fields). Idempotent
 * per instance and network. -EINVAL for "host" and "none", which have no addresses. */
int network_reserve(struct db *db, const struct endpoint_request *req, struct bundle_endpoint *ret,
	struct err *err);
/* Gives back an instance's place (network NULL: all of them). Touches no link and no rule. Idempotent. */
int network_release(struct db *db, const char *instance, const char *network, struct err *err);
/* The instance is found by another name from now on, on all its networks. */
int network_rename_member(
	struct db *db, const char *instance, const char *old, const char *name, struct err *err);
/* Makes bridge, addresses, forwarding and NAT as needed; cheap when they are there. After
 * network_reserve(). */
int network_up(struct db *db, const char *network, struct err *err);
/* Takes down whatever is up without a user: the bridges of networks without members, with the last of a
 * network the ports of instances that are on none, at last the rules. Some 40 ms a bridge, next to nothing
 * and without a lock when all is in use. */
int network_sweep(struct db *db, struct err *err);
/* The same, but a bridge whose last member left less than idle_ns ago stays. A supervisor waits for so
 * long after its release and sweeps then: only the last of a series takes the bridge down. */
int network_sweep_idle(struct db *db, int64_t idle_ns, struct err *err);
/* Instances on it: ids and addresses, for inspect. */
struct network_member {
	char *instance, *name, *mac, *endpoint;
	char *address4, *address6; /* "10.210.0.2/16"; NULL: none */
	char **names;              /* all that the resolver knows it by */
};
extern const struct record_field network_member_fields[];
int network_members(struct db *db, const char *network, struct record_list *ret, struct err *err);
/* As Docker's `network inspect` shows it; the caller owns it. */
json_t *network_inspect(struct db *db, const struct network *n);

/* Makes the veth pair of an endpoint: one end on the bridge, one in the network namespace of pid, with
 * addresses and routes. No database. On failure nothing is left. */
int link_attach(const struct bundle_endpoint *ep, pid_t pid, struct err *err);
/* For an instance that lives on (some 40 ms). A link that is not there is fine. */
int link_detach(const struct bundle_endpoint *ep, pid_t pid, struct err *err);
/* Makes the gateways of an attached endpoint the default routes, in place of any others. */
int link_make_default(const struct bundle_endpoint *ep, pid_t pid, struct err *err);
/* Moves a link of the host's to the network namespace of pid, under a new name, and sets it up there; hardware
 * address, MTU and global addresses stay. It is not moved back when the instance ends: what the kernel does
 * with it depends on its kind (network_namespaces(7)). No database. */
int link_move(const char *name, const char *new_name, pid_t pid, struct err *err);
/* Sets `lo` up in a network namespace. */
int link_loopback_up(pid_t pid, struct err *err);
/* Counters of all links but lo, read inside the namespace of pid. */
int link_stats(pid_t pid, uint64_t *rx_bytes, uint64_t *tx_bytes, uint64_t *rx_packets,
	uint64_t *tx_packets, uint64_t *rx_errors, uint64_t *tx_errors, uint64_t *rx_dropped,
	uint64_t *tx_dropped);

/* Published ports. */
struct port {
	char *host_ip;         /* NULL: every address */
	char *protocol;        /* "tcp", "udp" */
	int64_t host_port;     /* 0: any free one; filled in by port_publish() */
	int64_t host_port_end; /* the last of those to choose from, or 0: only host_port */
	int64_t port;          /* inside */
};
extern const struct record_field port_fields[];
/* Docker's -p: [[ip:]host[-end]:]port[-end][/proto]; adds one item a port. IPv6 in brackets. */
int port_parse(const char *text, struct record_list *ret, struct err *err);
/*
 * Reserves the host's ports by sockets, one a port and in their order (returned in *ret_fds, the caller
 * keeps them open while the ports are published; TCP ones listen), and adds the nftables elements.
 * Port 0 is chosen here. -EADDRINUSE names the port. Connections from the host itself to 127.0.0.1 and
 * to its own addresses work too; those to ::1 and to IPv6 without an IPv6 endpoint arrive at the
 * sockets, where port_proxy (dns.h) serves them. Without host_ip a socket takes IPv6 and IPv4.
 * The ports of an endpoint on an internal network are not published, as in Docker: no descriptors.
 */
int port_publish(const char *instance, struct record_list *ports, const struct bundle_endpoint *ep,
	int **ret_fds, size_t *ret_n, struct err *err);
/* Idempotent; by instance alone. */
int port_unpublish(const char *instance, struct err *err);
