/*
 * The link of an endpoint: a veth pair with one end on the network's bridge and the other in the
 * instance's network namespace, made there in one request; then addresses and routes in a second
 * one. rtnetlink(7), veth(4).
 *
 * A pair is never deleted when an instance ends: it goes with the namespace, in the kernel's own time.
 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/address.h"
#include "net/link_port.h"
#include "net/netlink.h"

#define IPV6_MIN_MTU 1280 /* RFC 8200, section 5 */

struct link_address {
	struct address address, gateway;
	unsigned bits;
	bool has_gateway;
};

static int parse_addresses(
	const char *address, const char *gateway, struct link_address *ret, struct err *err)
{
	struct link_address a = { 0 };
	char text[ADDRESS_TEXT];
	const char *slash = strchr(address, '/');
	size_t len = slash ? (size_t)(slash - address) : 0;

	if (!len || len >= sizeof(text))
		return err_set(err, EINVAL, "endpoint address '%s' has no prefix length", address);
	memcpy(text, address, len);
	text[len] = '\0';
	a.bits = (unsigned)strtoul(slash + 1, NULL, 10);
	if (address_parse(text, &a.address) < 0 || a.bits > address_width(a.address.family))
		return err_set(err, EINVAL, "endpoint address '%s' is not an address", address);
	a.has_gateway = gateway != NULL;
	if (gateway &&
		(address_parse(gateway, &a.gateway) < 0 || a.gateway.family != a.address.family))
		return err_set(err, EINVAL, "endpoint gateway '%s' is not an address", gateway);
	*ret = a;
	return 0;
}

/*
 * With br_netfilter, packets are translated while they are being bridged. One from an instance to its own
 * published port then leaves by the port it came from, which bridges refuse unless told otherwise.
 */
static bool needs_hairpin(void)
{
	char value[8];

	return file_get_line(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", value,
		       sizeof(value)) == 0 &&
	       strcmp(value, "0") != 0;
}

static void add_hairpin(struct netlink_batch *batch, const char *name)
{
	struct ifinfomsg *msg;
	struct nlmsghdr *h =
		netlink_add(batch, "configure bridge port", RTM_NEWLINK, 0, sizeof(*msg), &msg);
	struct nlattr *info, *data;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(h, IFLA_BRPORT_MODE, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	netlink_end(batch, h);
}

/*
 * No IPv6 address by itself for a link that is to have none: looking for duplicates of it, for routers and
 * for groups, each new link would send packets to all others on its bridge, which at a thousand is most of
 * what starting one costs. A kernel without IPv6, and a link too small for it, know no such mode.
 */
static void add_quiet(struct netlink_batch *batch, const char *name, uint32_t mtu)
{
	struct nlattr *families, *family;
	struct ifinfomsg *msg;
	struct nlmsghdr *h;

	if (mtu < IPV6_MIN_MTU || access("/proc/sys/net/ipv6", F_OK) < 0)
		return;
	h = netlink_add(batch, "configure link", RTM_NEWLINK, 0, sizeof(*msg), &msg);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	family = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, family);
	mnl_attr_nest_end(h, families);
	netlink_end(batch, h);
}

static void add_port_up(struct netlink_batch *batch, const char *name)
{
	struct ifinfomsg *msg;
	struct nlmsghdr *h = netlink_add(batch, "set up link", RTM_NEWLINK, 0, sizeof(*msg), &msg);

	msg->ifi_flags = msg->ifi_change = IFF_UP;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	netlink_end(batch, h);
}

void link_port_add(struct netlink_batch *batch, const char *name, uint32_t mtu)
{
	if (needs_hairpin())
		add_hairpin(batch, name);
	add_quiet(batch, name, mtu);
	add_port_up(batch, name);
}

static int make_pair(struct netlink *nl, const struct bundle_endpoint *ep,
	const struct netlink_link *bridge, int netns, struct err *err)
{
	struct netlink_batch batch = { .len = 0 };
	uint32_t mtu = ep->mtu ? (uint32_t)ep->mtu : bridge->mtu;
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *link;
	struct nlmsghdr *h;
	uint8_t mac[6];
	int r;

	if (ep->mac && mac_parse(ep->mac, mac) < 0)
		return err_set(err, EINVAL, "'%s' is not a link's address", ep->mac);
	h = netlink_add(
		&batch, "make link", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*link), &link);
	mnl_attr_put_strz(h, IFLA_IFNAME, ep->host_link);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_MASTER, bridge->index);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, ep->link);
	if (ep->mac)
		mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	netlink_end(&batch, h);
	link_port_add(&batch, ep->host_link, mtu);
	r = netlink_send(nl, &batch, ep->host_link, err);
	if (r == -EXFULL)
		return err_set(err, EXFULL,
			"the network's bridge '%s' is full: Linux gives a bridge 1023 ports: use another network ('holm network create --subnet')",
			ep->bridge);
	return r;
}

static void add_default_route(
	struct netlink_batch *batch, unsigned index, const struct link_address *a)
{
	struct rtmsg *msg;
	struct nlmsghdr *h = netlink_add(batch, "add the default route by link", RTM_NEWROUTE,
		NLM_F_CREATE | NLM_F_REPLACE, sizeof(*msg), &msg);

	msg->rtm_family = (uint8_t)a->gateway.family;
	msg->rtm_table = RT_TABLE_MAIN;
	msg->rtm_protocol = RTPROT_STATIC;
	msg->rtm_scope = RT_SCOPE_UNIVERSE;
	msg->rtm_type = RTN_UNICAST;
	mnl_attr_put(h, RTA_GATEWAY, address_width(a->gateway.family) / 8, a->gateway.byte);
	mnl_attr_put_u32(h, RTA_OIF, index);
	netlink_end(batch, h);
}

static int configure(struct netlink *inside, const struct bundle_endpoint *ep,
	const struct link_address *address, size_t n, struct err *err)
{
	struct netlink_batch batch = { .len = 0 };
	struct netlink_link link;
	int r = netlink_link_get(inside, ep->link, &link);

	if (r < 0)
		return err_code(err, r, "find the new link '%s'", ep->link);
	if (!ep->address6)
		add_quiet(&batch, ep->link, link.mtu);
	netlink_add_up(&batch, link.index);
	for (size_t i = 0; i < n; i++)
		netlink_add_address(&batch, link.index, &address[i].address, address[i].bits);
	for (size_t i = 0; i < n; i++) {
		if (ep->is_default && !ep->internal && address[i].has_gateway)
			add_default_route(&batch, link.index, &address[i]);
	}
	return netlink_send(inside, &batch, ep->link, err);
}

static int parse_endpoint(const struct bundle_endpoint *ep, struct link_address address[2],
	size_t *n, struct err *err)
{
	int r = 0;

	*n = 0;
	if (ep->address4)
		r = parse_addresses(ep->address4, ep->gateway4, &address[(*n)++], err);
	if (r == 0 && ep->address6)
		r = parse_addresses(ep->address6, ep->gateway6, &address[(*n)++], err);
	return r;
}

int link_make_default(const struct bundle_endpoint *ep, pid_t pid, struct err *err)
{
	cleanup(netlink_done) struct netlink inside = { 0 };
	cleanup(fd_close) int netns = -1;
	struct netlink_batch batch = { .len = 0 };
	struct link_address address[2];
	struct netlink_link link;
	size_t n;
	int r = parse_endpoint(ep, address, &n, err);

	if (r == 0)
		r = netlink_open_in(&inside, NETLINK_ROUTE, pid, &netns, err);
	if (r < 0 || ep->internal)
		return r;
	r = netlink_link_get(&inside, ep->link, &link);
	if (r < 0)
		return err_code(err, r, "find the link '%s'", ep->link);
	for (size_t i = 0; i < n; i++)
		if (address[i].has_gateway)
			add_default_route(&batch, link.index, &address[i]);
	return netlink_send(&inside, &batch, ep->link, err);
}

int link_attach(const struct bundle_endpoint *ep, pid_t pid, struct err *err)
{
	cleanup(netlink_done) struct netlink host = { 0 }, inside = { 0 };
	cleanup(fd_close) int netns = -1;
	struct link_address address[2];
	struct netlink_link bridge;
	size_t n = 0;
	int r;

	if (!ep->bridge || !ep->host_link || !ep->link || strlen(ep->link) >= IFNAMSIZ ||
		strlen(ep->host_link) >= IFNAMSIZ)
		return err_set(err, EINVAL, "the endpoint lacks a bridge or link names");
	r = parse_endpoint(ep, address, &n, err);
	if (r == 0)
		r = netlink_open(&host, NETLINK_ROUTE, err);
	if (r == 0)
		r = netlink_open_in(&inside, NETLINK_ROUTE, pid, &netns, err);
	if (r < 0)
		return r;
	r = netlink_link_get(&host, ep->bridge, &bridge);
	if (r < 0)
		return err_code(err, r, "find the network's bridge '%s'", ep->bridge);
	r = make_pair(&host, ep, &bridge, netns, err);
	/* That of the run before this one: a kernel that has many namespaces to take down is behind. */
	if (r == -EEXIST && netlink_link_delete(&host, ep->host_link, NULL) == 0)
		r = make_pair(&host, ep, &bridge, netns, err);
	if (r == 0)
		r = configure(&inside, ep, address, n, err);
	if (r < 0 && r != -EEXIST)
		netlink_link_delete(&host, ep->host_link, NULL);
	return r;
}

int link_detach(const struct bundle_endpoint *ep, pid_t pid, struct err *err)
{
	cleanup(netlink_done) struct netlink host = { 0 };
	int r = netlink_open(&host, NETLINK_ROUTE, err);

	(void)pid; /* both ends go together, and ours has the unmistakable name */
	return r < 0 ? r : netlink_link_delete(&host, ep->host_link, err);
}

int link_loopback_up(pid_t pid, struct err *err)
{
	cleanup(netlink_done) struct netlink inside = { 0 };
	struct netlink_batch batch = { .len = 0 };
	int r = netlink_open_in(&inside, NETLINK_ROUTE, pid, NULL, err);

	if (r < 0)
		return r;
	netlink_add_up(&batch, /* the first link of every namespace */ 1);
	return netlink_send(&inside, &batch, "lo", err);
}

static void sum_link(void *data, const struct nlmsghdr *h)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	struct rtnl_link_stats64 *sum = data, one;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWLINK || info->ifi_flags & IFF_LOOPBACK)
		return;
	mnl_attr_for_each(a, h, sizeof(*info))
	{
		size_t len = mnl_attr_get_payload_len(a);
		if (mnl_attr_get_type(a) != IFLA_STATS64)
			continue;
		memset(&one, 0, sizeof(one));
		memcpy(&one, mnl_attr_get_payload(a), len < sizeof(one) ? len : sizeof(one));
		sum->rx_bytes += one.rx_bytes;
		sum->tx_bytes += one.tx_bytes;
		sum->rx_packets += one.rx_packets;
		sum->tx_packets += one.tx_packets;
		sum->rx_errors += one.rx_errors;
		sum->tx_errors += one.tx_errors;
		sum->rx_dropped += one.rx_dropped;
		sum->tx_dropped += one.tx_dropped;
	}
}

int link_stats(pid_t pid, uint64_t *rx_bytes, uint64_t *tx_bytes, uint64_t *rx_packets,
	uint64_t *tx_packets, uint64_t *rx_errors, uint64_t *tx_errors, uint64_t *rx_dropped,
	uint64_t *tx_dropped)
{
	cleanup(netlink_done) struct netlink inside = { 0 };
	struct rtnl_link_stats64 sum = { 0 };
	int r = netlink_open_in(&inside, NETLINK_ROUTE, pid, NULL, NULL);

	if (r == 0)
		r = netlink_dump(&inside, RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC,
			sum_link, &sum, NULL);
	if (r < 0)
		return r;
	*rx_bytes = sum.rx_bytes;
	*tx_bytes = sum.tx_bytes;
	*rx_packets = sum.rx_packets;
	*tx_packets = sum.tx_packets;
	*rx_errors = sum.rx_errors;
	*tx_errors = sum.tx_errors;
	*rx_dropped = sum.rx_dropped;
	*tx_dropped = sum.tx_dropped;
	return 0;
}
