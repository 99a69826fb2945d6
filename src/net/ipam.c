/*
 * Address management. Members of a network get addresses in turn (next-fit), so that one just given
 * back rests for as long as possible: others may still have it in their neighbour tables. Networks
 * get subnets that neither the host nor another network uses.
 *
 * RFC 1918 (the pools), RFC 4193 (unique local IPv6 prefixes), RFC 4291.
 */
#include "net/ipam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "net/netlink.h"

#define MAX_HOST_NETS 100000

/* What the host uses already: its addresses and routes. */
struct host_net {
	struct cidr cidr;
	unsigned link;
	bool on_link; /* directly reachable, not by a gateway */
};

struct host_nets {
	struct host_net *v;
	size_t n;
};

static void host_nets_free(struct host_nets *h)
{
	free(h->v);
}
DEFINE_CLEANUP_OBJECT(host_nets_free, struct host_nets);

static void add_host_net(struct host_nets *nets, int family, const struct nlattr *a, unsigned bits,
	unsigned link, bool on_link)
{
	struct host_net net = { .link = link, .on_link = on_link };
	struct address address = { .family = family };
	size_t len = address_width(family) / 8;

	/* Default routes, also those cut in halves, overlap everything. */
	if (!a || mnl_attr_get_payload_len(a) < len || bits <= 1 || nets->n >= MAX_HOST_NETS)
		return;
	memcpy(address.byte, mnl_attr_get_payload(a), len);
	if (family == AF_INET6 && (address.byte[0] == 0xff || address.byte[0] == 0xfe))
		return; /* multicast, link-local */
	net.cidr = cidr_of(&address, bits);
	nets->v = xrealloc_array(nets->v, nets->n + 1, sizeof(*nets->v));
	nets->v[nets->n++] = net;
}

static void on_address(void *data, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWADDR ||
		(msg->ifa_family != AF_INET && msg->ifa_family != AF_INET6))
		return;
	mnl_attr_for_each(a, h, sizeof(*msg))
	{
		if (mnl_attr_get_type(a) == IFA_ADDRESS)
			add_host_net(data, msg->ifa_family, a, msg->ifa_prefixlen, msg->ifa_index,
				/* on_link= */ true);
	}
}

static void on_route(void *data, const struct nlmsghdr *h)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *to = NULL;
	bool gateway = false;
	unsigned link = 0;

	if (h->nlmsg_type != RTM_NEWROUTE || msg->rtm_type != RTN_UNICAST ||
		msg->rtm_flags & RTM_F_CLONED ||
		(msg->rtm_family != AF_INET && msg->rtm_family != AF_INET6))
		return;
	mnl_attr_for_each(a, h, sizeof(*msg))
	{
		if (mnl_attr_get_type(a) == RTA_DST)
			to = a;
		else if (mnl_attr_get_type(a) == RTA_OIF)
			link = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == RTA_GATEWAY)
			gateway = true;
	}
	add_host_net(data, msg->rtm_family, to, msg->rtm_dst_len, link, !gateway);
}

/* Without what belongs to the link named `except`. */
static int host_nets_read(struct host_nets *ret, const char *except, struct err *err)
{
	cleanup(host_nets_free) struct host_nets nets = { 0 };
	cleanup(netlink_done) struct netlink nl = { 0 };
	struct netlink_link own = { 0 };
	size_t kept = 0;
	int r = netlink_open(&nl, NETLINK_ROUTE, err);

	if (r == 0)
		r = netlink_dump(&nl, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_UNSPEC, on_address,
			&nets, err);
	if (r == 0)
		r = netlink_dump(
			&nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_UNSPEC, on_route, &nets, err);
	if (r < 0)
		return r;
	if (except && netlink_link_get(&nl, except, &own) == 0) {
		for (size_t i = 0; i < nets.n; i++) {
			if (nets.v[i].link != own.index)
				nets.v[kept++] = nets.v[i];
		}
		nets.n = kept;
	}
	*ret = nets;
	nets = (struct host_nets){ 0 };
	return 0;
}

/* The subnet's overlap with one of the host's, or NULL. */
static const struct cidr *host_overlap(
	const struct host_nets *nets, const struct cidr *c, bool only_on_link)
{
	for (size_t i = 0; i < nets->n; i++) {
		if ((nets->v[i].on_link || !only_on_link) && cidr_overlaps(&nets->v[i].cidr, c))
			return &nets->v[i].cidr;
	}
	return NULL;
}

static const struct network *network_overlap(
	const struct record_list *networks, const struct cidr *c, const char *except_id)
{
	for (size_t i = 0; i < networks->n; i++) {
		const struct network *n = networks->items[i];
		const char *text = c->base.family == AF_INET ? n->subnet4 : n->subnet6;
		struct cidr other;
		if (text && (!except_id || strcmp(n->id, except_id) != 0) &&
			cidr_parse(text, &other, NULL) == 0 && cidr_overlaps(&other, c))
			return n;
	}
	return NULL;
}

static void networks_clear(struct record_list *list)
{
	while (list->n)
		record_list_remove(list, list->n - 1, network_fields);
	free(list->items);
	list->items = NULL;
}
DEFINE_CLEANUP_OBJECT(networks_clear, struct record_list);

struct pool {
	uint32_t first, last; /* of the subnets' addresses */
	unsigned bits;
};

static const struct pool default_pools[] = {
	{ 0x0ad20000, 0x0adb0000, 16 }, /* 10.210.0.0/16 to 10.219.0.0/16 */
	{ 0xac140000, 0xac1f0000, 16 }, /* 172.20.0.0/16 to 172.31.0.0/16 */
	{ 0, 0, 0 },
};

static const struct pool user_pools[] = {
	{ 0x0adc0000, 0x0aefff00, 24 }, /* 10.220.0.0/24 to 10.239.255.0/24 */
	{ 0xac140000, 0xac1fff00, 24 }, /* 172.20.0.0/24 to 172.31.255.0/24 */
	{ 0xc0a80000, 0xc0a8ff00, 24 }, /* 192.168.0.0/24 to 192.168.255.0/24 */
	{ 0, 0, 0 },
};

static int free_subnet(const struct pool *pools, const struct host_nets *nets,
	const struct record_list *networks, const char *except_id, struct cidr *ret,
	struct err *err)
{
	for (const struct pool *p = pools; p->bits; p++) {
		uint32_t step = UINT32_C(1) << (32 - p->bits);
		for (uint32_t at = p->first; at <= p->last; at += step) {
			struct cidr c = { .base.family = AF_INET, .bits = p->bits };
			uint32_t be = htonl(at);
			memcpy(c.base.byte, &be, sizeof(be));
			if (host_overlap(nets, &c, /* only_on_link= */ false) ||
				network_overlap(networks, &c, except_id))
				continue;
			*ret = c;
			return 0;
		}
	}
	return err_set(err, ENOSPC,
		"every private subnet overlaps with a route of the host or with a network: choose one with --subnet, or remove networks (holm network prune)");
}

static void random_local_prefix(struct cidr *ret)
{
	struct cidr c = { .base.family = AF_INET6, .bits = 64 };

	c.base.byte[0] = 0xfd;
	if (getrandom(c.base.byte + 1, 5, 0) != 5)
		abort(); /* getrandom(2): at most 256 bytes never come short */
	*ret = c;
}

/* A given subnet: it may lie inside a route by a gateway, which it then hides. */
static int check_subnet(const struct host_nets *nets, const struct record_list *networks,
	const struct cidr *c, struct err *err)
{
	const struct network *other = network_overlap(networks, c, NULL);
	const struct cidr *host = host_overlap(nets, c, /* only_on_link= */ true);
	char text[ADDRESS_TEXT], host_text[ADDRESS_TEXT];
	unsigned most = address_width(c->base.family) - 2;

	cidr_format(c, text);
	if (c->bits > most || c->bits < 8)
		return err_set(err, EINVAL, "subnet %s: a prefix length from 8 to %u is possible",
			text, most);
	if (other)
		return err_set(err, EEXIST,
			"subnet %s overlaps with network '%s' (%s): choose another", text,
			other->name, c->base.family == AF_INET ? other->subnet4 : other->subnet6);
	if (host) {
		cidr_format(host, host_text);
		return err_set(err, EEXIST,
			"subnet %s overlaps with %s, which the host uses: choose another", text,
			host_text);
	}
	return 0;
}

static int check_inside(
	const struct cidr *c, const char *text, const char *what, bool host_only, struct err *err)
{
	char subnet[ADDRESS_TEXT];
	struct address a;
	uint64_t place;

	cidr_format(c, subnet);
	if (address_parse(text, &a) < 0)
		return err_set(err, EINVAL, "%s '%s' is not an IP address", what, text);
	if (a.family != c->base.family || cidr_place(c, &a, &place) < 0)
		return err_set(err, EINVAL, "%s %s is not in the subnet %s", what, text, subnet);
	if (host_only && (place == 0 || (a.family == AF_INET && place == cidr_last(c))))
		return err_set(err, EINVAL, "%s %s is the %s address of the subnet %s", what, text,
			place ? "broadcast" : "network's own", subnet);
	return 0;
}

/* Gateway and range of one family, once its subnet is known. */
static int complete_family(const struct cidr *c, char **gateway, const char *range, struct err *err)
{
	char text[ADDRESS_TEXT];
	struct address first;
	struct cidr part;
	int r;

	if (*gateway) {
		r = check_inside(c, *gateway, "gateway", /* host_only= */ true, err);
	} else {
		cidr_at(c, 1, &first);
		address_format(&first, text);
		*gateway = xstrdup(text);
		r = 0;
	}
	if (r < 0 || !range)
		return r;
	r = cidr_parse(range, &part, err);
	if (r < 0)
		return r;
	if (part.base.family != c->base.family || part.bits < c->bits ||
		!cidr_contains(c, &part.base)) {
		cidr_format(c, text);
		return err_set(err, EINVAL, "range %s is not in the subnet %s", range, text);
	}
	return 0;
}

static int subnet_of(char **text, const struct cidr *picked, const struct host_nets *nets,
	const struct record_list *networks, struct cidr *ret, struct err *err)
{
	char picked_text[ADDRESS_TEXT];
	int r;

	if (!*text) {
		cidr_format(picked, picked_text);
		*text = xstrdup(picked_text);
		*ret = *picked;
		return 0;
	}
	r = cidr_parse(*text, ret, err);
	return r < 0 ? r : check_subnet(nets, networks, ret, err);
}

static int check_aux(const struct network *n, struct err *err)
{
	struct cidr c4, c6;
	bool has4 = n->subnet4 && cidr_parse(n->subnet4, &c4, NULL) == 0;
	bool has6 = n->subnet6 && cidr_parse(n->subnet6, &c6, NULL) == 0;
	int r = 0;

	map_foreach (kv, n->aux) {
		bool is6 = strchr(kv[1], ':') != NULL;
		if (is6 ? !has6 : !has4)
			return err_set(err, EINVAL, "auxiliary address %s is in no subnet", kv[1]);
		r = check_inside(is6 ? &c6 : &c4, kv[1], "auxiliary address", false, err);
		if (r < 0)
			return r;
	}
	return r;
}

int ipam_network(struct db *db, struct network *n, struct err *err)
{
	cleanup(networks_clear) struct record_list networks = { 0 };
	cleanup(host_nets_free) struct host_nets nets = { 0 };
	struct cidr picked = { 0 }, c;
	int r = network_list(db, &networks, err);

	if (r == 0)
		r = host_nets_read(&nets, NULL, err);
	if (r < 0)
		return r;
	if (!n->subnet4 && (n->gateway4 || n->range4))
		return err_set(err, EINVAL, "a gateway or a range needs its --subnet");
	if (!n->subnet6 && (n->gateway6 || n->range6))
		return err_set(err, EINVAL, "an IPv6 gateway or range needs its --subnet");
	if (!n->subnet4)
		r = free_subnet(user_pools, &nets, &networks, NULL, &picked, err);
	if (r == 0)
		r = subnet_of(&n->subnet4, &picked, &nets, &networks, &c, err);
	if (r == 0)
		r = complete_family(&c, &n->gateway4, n->range4, err);
	if (r == 0 && (n->ipv6 || n->subnet6)) {
		n->ipv6 = true;
		random_local_prefix(&picked);
		r = subnet_of(&n->subnet6, &picked, &nets, &networks, &c, err);
		if (r == 0)
			r = complete_family(&c, &n->gateway6, n->range6, err);
	}
	return r < 0 ? r : check_aux(n, err);
}

int ipam_move_if_taken(struct db *db, struct network *n, struct err *err)
{
	cleanup(networks_clear) struct record_list networks = { 0 };
	cleanup(host_nets_free) struct host_nets nets = { 0 };
	char text[ADDRESS_TEXT];
	struct cidr c;
	int r = host_nets_read(&nets, n->bridge, err);

	if (r == 0)
		r = cidr_parse(n->subnet4, &c, err);
	if (r < 0 || !host_overlap(&nets, &c, /* only_on_link= */ false))
		return r;
	r = network_list(db, &networks, err);
	if (r == 0)
		r = free_subnet(default_pools, &nets, &networks, n->id, &c, err);
	if (r < 0)
		return r;
	cidr_format(&c, text);
	str_replace(&n->subnet4, text);
	str_replace(&n->gateway4, NULL);
	r = complete_family(&c, &n->gateway4, NULL, err);
	return r < 0 ? r : 1;
}

/* Members. */

struct picker {
	struct cidr subnet;
	uint64_t first, last; /* what is given out */
	uint64_t *reserved;
	size_t n_reserved;
	const char *column, *last_column; /* of the tables */
};

static void picker_done(struct picker *p)
{
	free(p->reserved);
}
DEFINE_CLEANUP_OBJECT(picker_done, struct picker);

static void reserve_place(struct picker *p, const char *text)
{
	struct address a;
	uint64_t place;

	if (!text || address_parse(text, &a) < 0 || cidr_place(&p->subnet, &a, &place) < 0)
		return;
	p->reserved = xrealloc_array(p->reserved, p->n_reserved + 1, sizeof(*p->reserved));
	p->reserved[p->n_reserved++] = place;
}

static bool is_reserved(const struct picker *p, uint64_t place)
{
	for (size_t i = 0; i < p->n_reserved; i++) {
		if (p->reserved[i] == place)
			return true;
	}
	return false;
}

static int picker_init(struct picker *p, const struct network *n, int family, struct err *err)
{
	const char *subnet = family == AF_INET ? n->subnet4 : n->subnet6;
	const char *range = family == AF_INET ? n->range4 : n->range6;
	uint64_t top;
	struct cidr part;
	int r = cidr_parse(subnet, &p->subnet, err);

	if (r < 0)
		return r;
	p->column = family == AF_INET ? "address4" : "address6";
	p->last_column = family == AF_INET ? "last4" : "last6";
	/* The database counts with a sign. */
	top = cidr_last(&p->subnet) & INT64_MAX;
	p->first = 1;
	p->last = family == AF_INET ? top - 1 : top;
	if (range && cidr_parse(range, &part, NULL) == 0 &&
		cidr_place(&p->subnet, &part.base, &p->first) == 0) {
		uint64_t end = p->first + cidr_last(&part);
		p->first = p->first ? p->first : 1;
		p->last = end < p->last ? end : p->last;
	}
	reserve_place(p, family == AF_INET ? n->gateway4 : n->gateway6);
	map_foreach (kv, n->aux)
		reserve_place(p, kv[1]);
	return 0;
}

/* The first free place from `from` to `to`; 1 when there is one. */
static int free_place(struct db *db, const struct network *n, const struct picker *p, uint64_t from,
	uint64_t to, uint64_t *ret, struct err *err)
{
	cleanup(free) char *sql = xasprintf(
		"SELECT %s FROM endpoint WHERE network = ? AND %s BETWEEN ? AND ? ORDER BY 1",
		p->column, p->column);
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	uint64_t at = from;
	int r = 1;

	if (from > to)
		return 0;
	db_text(&q, 1, n->id);
	db_int(&q, 2, (int64_t)from);
	db_int(&q, 3, (int64_t)to);
	while (r > 0 && at <= to) {
		r = db_step(&q, err);
		uint64_t used = r > 0 ? (uint64_t)db_get_int(&q, 0) : to + 1;
		for (; at < used; at++) {
			if (is_reserved(p, at))
				continue;
			*ret = at;
			return r < 0 ? r : 1;
		}
		at = used + 1;
	}
	return r < 0 ? r : 0;
}

static int place_holder(struct db *db, const struct network *n, const struct picker *p,
	uint64_t place, struct err *err, const char *text)
{
	cleanup(free) char *sql =
		xasprintf("SELECT name FROM endpoint WHERE network = ? AND %s = ?", p->column);
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	int r;

	db_text(&q, 1, n->id);
	db_int(&q, 2, (int64_t)place);
	r = db_step(&q, err);
	if (r > 0)
		return err_set(err, EADDRINUSE, "address %s is in use by '%s' on network '%s'",
			text, db_get_text(&q, 0), n->name);
	return r;
}

static int pick_wanted(struct db *db, const struct network *n, const struct picker *p,
	const char *wanted, uint64_t *ret, struct err *err)
{
	const char *gateway = p->subnet.base.family == AF_INET ? n->gateway4 : n->gateway6;
	struct address a;
	uint64_t place;
	int r = check_inside(&p->subnet, wanted, "address", /* host_only= */ true, err);

	if (r < 0)
		return r;
	address_parse(wanted, &a);
	cidr_place(&p->subnet, &a, &place);
	if (place > INT64_MAX)
		return err_set(err, EINVAL,
			"address %s: only the lower half of a /64 can be given out", wanted);
	if (is_reserved(p, place)) {
		struct picker only_gateway = { .subnet = p->subnet };
		bool is_gateway;
		reserve_place(&only_gateway, gateway);
		is_gateway = is_reserved(&only_gateway, place);
		picker_done(&only_gateway);
		return err_set(err, EADDRINUSE, "address %s is %s of network '%s'", wanted,
			is_gateway ? "the gateway" : "an auxiliary address", n->name);
	}
	r = place_holder(db, n, p, place, err, wanted);
	if (r == 0)
		*ret = place;
	return r;
}

static int remember_last(struct db *db, const struct network *n, const struct picker *p,
	uint64_t place, struct err *err)
{
	cleanup(free) char *sql =
		xasprintf("UPDATE network SET %s = ? WHERE id = ?", p->last_column);
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);

	db_int(&q, 1, (int64_t)place);
	db_text(&q, 2, n->id);
	return db_run(&q, err);
}

static int last_given(struct db *db, const struct network *n, const struct picker *p, uint64_t *ret,
	struct err *err)
{
	cleanup(free) char *sql = xasprintf("SELECT %s FROM network WHERE id = ?", p->last_column);
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	int r;

	db_text(&q, 1, n->id);
	r = db_step(&q, err);
	*ret = r > 0 ? (uint64_t)db_get_int(&q, 0) : 0;
	return r < 0 ? r : 0;
}

static int pick_next(struct db *db, const struct network *n, const struct picker *p, uint64_t *ret,
	struct err *err)
{
	uint64_t last = 0, from;
	int r = last_given(db, n, p, &last, err);

	if (r < 0)
		return r;
	from = last < p->first || last >= p->last ? p->first : last + 1;
	r = free_place(db, n, p, from, p->last, ret, err);
	if (r == 0)
		r = free_place(db, n, p, p->first, from - 1, ret, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, ENOSPC,
			"network '%s' has no free address left in %s: stop instances, or make a larger network with --subnet",
			n->name,
			p->subnet.base.family == AF_INET ? n->range4 ? n->range4 : n->subnet4
			: n->range6                      ? n->range6
							 : n->subnet6);
	return remember_last(db, n, p, *ret, err);
}

int ipam_pick(struct db *db, const struct network *n, int family, const char *wanted,
	struct address *ret, uint64_t *ret_place, struct err *err)
{
	cleanup(picker_done) struct picker p = { 0 };
	uint64_t place;
	int r = picker_init(&p, n, family, err);

	if (r < 0)
		return r;
	r = wanted ? pick_wanted(db, n, &p, wanted, &place, err)
		   : pick_next(db, n, &p, &place, err);
	if (r < 0)
		return r;
	cidr_at(&p.subnet, place, ret);
	*ret_place = place;
	return 0;
}
