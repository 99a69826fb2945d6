/*
 * --net of the machine verbs: from text to network cards with a backend each.
 *
 * On a network of holm's a machine is a member as a container is, under an id of its own. Whoever runs it holds the lock on
 * RUN/machines/ID meanwhile; found with the lock free, its owner is dead, and the next machine gives its place back.
 */
#include "cmd/machine_net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "net/address.h"
#include "net/backend.h"
#include "net/dns.h"
#include "net/net.h"
#include "net/tap.h"

#define MACHINES "machines"

enum kind { USER, BRIDGE };

struct card {
	enum kind kind;
	uint8_t mac[6];
	bool has_mac;
	char **ports;       /* USER: what passt forwards */
	bool host;          /* USER: the gateway is the host's loopback */
	char *network, *ip; /* BRIDGE: NULL: the one by default, any */
	struct bundle_endpoint endpoint;
	struct net_lease lease;
	struct dns *dns; /* BRIDGE: resolves for the guest; of this life */
};

struct machine_nets {
	struct card *cards;
	struct machine_nic *nics;
	unsigned n;
	char *name, id[ID_LEN + 1]; /* as a member of networks */
	char **members;             /* networks of whose members it finds the names: ids */
	int lock;                   /* of RUN/machines/ID, once it is a member */
};

static void random_mac(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		memset(mac, 0x5a, 6);
	/* One of those that nobody is given. */
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static bool is_forward(const char *text)
{
	cleanup(free) char *copy = xstrdup(text);
	char *guest = strchr(copy, ':'), *protocol = strchr(copy, '/');
	uint64_t a, b;

	if (protocol) {
		*protocol++ = 0;
		if (strcmp(protocol, "udp") != 0 && strcmp(protocol, "tcp") != 0)
			return false;
	}
	if (!guest)
		return false;
	*guest++ = 0;
	return parse_u64(copy, UINT16_MAX, &a) == 0 && a > 0 &&
	       parse_u64(guest, UINT16_MAX, &b) == 0 && b > 0;
}

static int parse_option(struct card *c, const char *option, struct err *err)
{
	if (strncmp(option, "mac=", 4) == 0) {
		if (mac_parse(option + 4, c->mac) < 0)
			return err_set(err, EINVAL,
				"--net: '%s' is not a card's address, as 52:54:00:12:34:56",
				option + 4);
		c->has_mac = true;
		return 0;
	}
	if (strncmp(option, "ip=", 3) == 0 && c->kind == BRIDGE) {
		str_replace(&c->ip, option + 3);
		return 0;
	}
	if (strncmp(option, "port=", 5) == 0 && c->kind == USER) {
		if (!is_forward(option + 5))
			return err_set(err, EINVAL,
				"--net: '%s' is not HOST:GUEST[/udp], two ports from 1 to 65535",
				option + 5);
		strv_add(&c->ports, option + 5);
		return 0;
	}
	if (strcmp(option, "host") == 0 && c->kind == USER) {
		c->host = true;
		return 0;
	}
	return err_set(err, EINVAL, "--net: '%s' is no option of %s", option,
		c->kind == USER ? "user: those are mac=ADDRESS, port=HOST:GUEST[/udp] and host"
				: "bridge: those are mac=ADDRESS and ip=ADDRESS");
}

static int parse_card(struct card *c, const char *spec, struct err *err)
{
	cleanup(strv_free) char **words = strv_split(spec, ',');
	int r = 0;

	c->lease.resolver = -1;
	random_mac(c->mac);
	c->kind = strcmp(words[0], "user") == 0 ? USER : BRIDGE;
	if (strncmp(words[0], "bridge/", 7) == 0 && words[0][7])
		c->network = xstrdup(words[0] + 7);
	else if (c->kind == BRIDGE && strcmp(words[0], "bridge") != 0)
		return err_set(
			err, EINVAL, "--net: '%s' is none of user, bridge and none", words[0]);
	for (char **w = words + 1; *w && r == 0; w++)
		r = parse_option(c, *w, err);
	return r;
}

int machine_nets_parse(
	char *const *specs, const char *name, struct machine_nets **ret, struct err *err)
{
	cleanup(machine_nets_free) struct machine_nets *nets = xnew(struct machine_nets);

	nets->lock = -1;
	nets->cards = xcalloc(strv_len(specs) + 1, sizeof(*nets->cards));
	nets->nics = xcalloc(strv_len(specs) + 1, sizeof(*nets->nics));
	if (name && !name_valid(name))
		return err_set(err, EINVAL, "--name: '%s' is no name", name);
	id_random(nets->id);
	nets->name = name ? xstrdup(name) : xasprintf("machine-%.*s", ID_SHORT, nets->id);
	strv_foreach (spec, specs) {
		int r = strcmp(*spec, "none") == 0
				? 0
				: parse_card(&nets->cards[nets->n++], *spec, err);

		if (r < 0)
			return r;
	}
	*ret = take(nets);
	return 0;
}

static int machines_dir(struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/" MACHINES, paths_run());
	int fd, r = dir_make(path, 0700);

	if (r < 0)
		return err_code(err, r, "make '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open '%s'", path) : fd;
}

/* Gives back the places of machines whose owner is dead. */
static void sweep(struct db *db, int dir)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup(fd_close) int lock = -1;

		if (strlen(e->d_name) != ID_LEN)
			continue;
		lock = lock_file(dir, e->d_name, false);
		if (lock >= 0 && network_release(db, e->d_name, NULL, NULL) == 0)
			unlinkat(dir, e->d_name, 0);
	}
	if (d)
		closedir(d);
}

int machine_nets_sweep(struct db *db, struct err *err)
{
	cleanup(fd_close) int dir = machines_dir(err), all = -1;

	if (dir < 0)
		return dir;
	all = lock_file(dir, "lock", true);
	if (all < 0)
		return err_code(err, all, "lock '%s/" MACHINES "'", paths_run());
	sweep(db, dir);
	return 0;
}

/* Becomes somebody who is found dead when he is. */
static int become_member(struct machine_nets *nets, struct db *db, struct err *err)
{
	cleanup(fd_close) int dir = -1, all = -1;

	if (nets->lock >= 0)
		return 0;
	dir = machines_dir(err);
	if (dir < 0)
		return dir;
	all = lock_file(dir, "lock", true);
	if (all < 0)
		return err_code(err, all, "lock '%s/" MACHINES "'", paths_run());
	sweep(db, dir);
	nets->lock = lock_file(dir, nets->id, false);
	return nets->lock < 0 ? err_code(err, nets->lock, "lock '%s/" MACHINES "/%s'", paths_run(),
					nets->id)
			      : 0;
}

/* "10.210.0.2/16" into the lease. */
static int fill_lease(struct machine_nets *nets, struct card *c, struct err *err)
{
	const struct bundle_endpoint *ep = &c->endpoint;
	struct address a;
	char *slash = ep->address4 ? strchr(ep->address4, '/') : NULL;
	cleanup(free) char *text =
		slash ? xstrndup(ep->address4, (size_t)(slash - ep->address4)) : NULL;

	if (!text || address_parse(text, &a) < 0)
		return err_set(err, EINVAL,
			"network '%s' has no IPv4 addresses, which a machine needs", c->network);
	memcpy(c->lease.address, a.byte, 4);
	c->lease.bits = (unsigned)strtoul(slash + 1, NULL, 10);
	if (ep->gateway4 && address_parse(ep->gateway4, &a) == 0)
		memcpy(c->lease.gateway, a.byte, 4);
	c->lease.has_route = ep->gateway4 && ep->is_default && !ep->internal;
	c->lease.hostname = nets->name;
	return 0;
}

static int reserve(struct machine_nets *nets, unsigned i, struct err *err)
{
	struct card *c = &nets->cards[i];
	cleanup(network_free) struct network *n = NULL;
	cleanup(free) char *link = xasprintf("eth%u", i), *mac = NULL;
	struct endpoint_request req = { .instance = nets->id,
		.name = nets->name,
		.hostname = nets->name,
		.address4 = c->ip,
		.link = link,
		.is_default = i == 0 };
	struct db *db;
	int r;

	if (geteuid() != 0)
		return err_set(err, EPERM, "--net bridge is root's: --net user needs no rights");
	r = cmd_paths(err);
	if (r < 0)
		return r;
	db = cmd_db(err);
	if (!db)
		return -EIO;
	if (!c->network)
		c->network = xstrdup("bridge");
	req.network = c->network;
	mac = xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2], c->mac[3],
		c->mac[4], c->mac[5]);
	req.mac = c->has_mac ? mac : NULL;
	r = become_member(nets, db, err);
	if (r == 0)
		r = network_find(db, c->network, &n, err);
	if (r == 0)
		r = network_reserve(db, &req, &c->endpoint, err);
	if (r < 0)
		return r;
	if (!n->builtin)
		strv_add(&nets->members, n->id);
	if (c->endpoint.mac)
		mac_parse(c->endpoint.mac, c->mac);
	return network_up(db, c->network, err);
}

/* The resolver is ours: the machine's process, in its jail, has a socket to it. */
static int open_resolver(
	struct machine_nets *nets, struct card *c, struct loop *loop, struct err *err)
{
	static char *const nobody[] = { NULL };
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_errno(err, "make a socket for names");
	r = dns_serve(
		loop, pair[0], nets->members, c->endpoint.internal ? nobody : NULL, &c->dns, err);
	if (r < 0)
		fd_close(pair[1]);
	else
		c->lease.resolver = pair[1];
	return r;
}

static int open_bridge(struct machine_nets *nets, struct card *c, struct loop *loop,
	struct net_backend **ret, struct err *err)
{
	struct net_backend *tap = NULL;
	int fd = -1, mtu, r = fill_lease(nets, c, err);

	if (r == 0)
		r = open_resolver(nets, c, loop, err);
	if (r < 0)
		return r;
	mtu = tap_attach(&c->endpoint, &fd, err);
	if (mtu < 0)
		return mtu;
	r = net_backend_tap(fd, &tap, err);
	if (r < 0)
		return r;
	tap->mtu = (unsigned)mtu;
	c->lease.mtu = (unsigned)mtu;
	return net_backend_lease(tap, &c->lease, ret, err);
}

/* Takes out what the last life had. */
static void unplug(struct machine_nets *nets)
{
	for (unsigned i = 0; i < nets->n; i++) {
		struct card *c = &nets->cards[i];

		net_backend_free(take(nets->nics[i].backend));
		dns_free(take(c->dns));
		c->lease.resolver = fd_close(c->lease.resolver);
	}
}

/* Its members have each other's names: all places first, then the cards. */
int machine_nets_open(struct machine_nets *nets, struct loop *loop, struct machine_nic **ret,
	unsigned *ret_n, struct err *err)
{
	int r = 0;

	unplug(nets);

	for (unsigned i = 0; i < nets->n && r == 0; i++)
		if (nets->cards[i].kind == BRIDGE && !nets->cards[i].endpoint.network)
			r = reserve(nets, i, err);
	for (unsigned i = 0; i < nets->n && r == 0; i++) {
		struct card *c = &nets->cards[i];

		r = c->kind == USER
			    ? net_backend_user(c->ports, c->host, &nets->nics[i].backend, err)
			    : open_bridge(nets, c, loop, &nets->nics[i].backend, err);
		memcpy(nets->nics[i].mac, c->mac, sizeof(c->mac));
	}
	if (r < 0)
		return r;
	*ret = nets->nics;
	*ret_n = nets->n;
	return 0;
}

/* Gives the places back. */
static void leave(struct machine_nets *nets)
{
	cleanup(fd_close) int dir = machines_dir(NULL);
	struct db *db = cmd_db(NULL);
	struct err err = { 0 };

	if (!db || network_release(db, nets->id, NULL, &err) < 0) {
		log_warn("the machine's place on its networks is given back later: %s", err.text);
	} else {
		if (dir >= 0)
			unlinkat(dir, nets->id, 0);
		network_sweep(db, NULL);
	}
	nets->lock = fd_close(nets->lock);
}

void machine_nets_free(struct machine_nets *nets)
{
	if (!nets)
		return;
	unplug(nets);
	if (nets->lock >= 0)
		leave(nets);
	for (unsigned i = 0; i < nets->n; i++) {
		strv_free(nets->cards[i].ports);
		free(nets->cards[i].network);
		free(nets->cards[i].ip);
		record_clear(bundle_endpoint_fields, &nets->cards[i].endpoint);
	}
	strv_free(nets->members);
	free(nets->name);
	free(nets->cards);
	free(nets->nics);
	free(nets);
}
