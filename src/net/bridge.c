/*
 * The bridge of a network: made complete before it is set up, so that a bridge that is up is one that
 * can be used, whatever happened to its maker. Linux's ip-sysctl.rst for the switches.
 */
#include "net/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"
#include "net/address.h"

#define DEFAULT_MTU 1500

void bridge_alias(const char *network_id, char text[BRIDGE_ALIAS_TEXT])
{
	snprintf(text, BRIDGE_ALIAS_TEXT, "holm%s:%s", paths_suffix(), network_id);
}

int bridge_check(struct netlink *nl, const struct network *n, struct err *err)
{
	char alias[BRIDGE_ALIAS_TEXT];
	struct netlink_link link;
	int r = netlink_link_get(nl, n->bridge, &link);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return err_code(err, r, "look for bridge '%s'", n->bridge);
	bridge_alias(n->id, alias);
	if (strcmp(link.alias, alias) != 0)
		return err_set(err, EEXIST,
			"network '%s' wants to make the bridge '%s', but the host has a link of that name: rename or remove that",
			n->name, n->bridge);
	if (link.flags & IFF_UP)
		return 1;
	/* Its maker died. */
	r = netlink_link_delete(nl, n->bridge, err);
	return r < 0 ? r : 0;
}

/* Sysctls. */

static int sysctl_set(const char *path, const char *value, struct err *err)
{
	char now[64];
	int r = file_get_line(AT_FDCWD, path, now, sizeof(now));

	if (r == 0 && strcmp(now, value) == 0)
		return 0;
	r = file_put(AT_FDCWD, path, value);
	return r < 0 ? err_code(err, r, "set '%s' to %s", path, value) : 0;
}

static int bridge_sysctl(const char *bridge, const char *name, const char *value, struct err *err)
{
	cleanup(free) char *path = xasprintf("/proc/sys/net/%s", name);
	char *at = strstr(path, "BRIDGE");
	cleanup(free) char *full =
		xasprintf("%.*s%s%s", (int)(at - path), path, bridge, at + strlen("BRIDGE"));

	return sysctl_set(full, value, err);
}

/* A host that forwards IPv6 stops hearing router advertisements, and loses its default route with the
 * last one, unless accept_ra is 2. */
static void keep_router_advertisements(void)
{
	glob_t paths = { 0 };
	char value[8];

	if (glob("/proc/sys/net/ipv6/conf/*/accept_ra", 0, NULL, &paths) != 0)
		return;
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		const char *path = paths.gl_pathv[i];
		if (file_get_line(AT_FDCWD, path, value, sizeof(value)) == 0 &&
			strcmp(value, "1") == 0)
			file_put(AT_FDCWD, path, "2");
	}
	globfree(&paths);
}

static int forwarding_on(const struct network *n, struct err *err)
{
	static const char path6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	char value[8] = "";
	int r;

	if (n->internal)
		return 0;
	r = sysctl_set("/proc/sys/net/ipv4/ip_forward", "1", err);
	if (r < 0)
		return r;
	log_debug("net", "the host forwards IPv4 for network '%s'", n->name);
	if (!n->subnet6)
		return 0;
	if (file_get_line(AT_FDCWD, path6, value, sizeof(value)) == 0 && strcmp(value, "1") != 0)
		keep_router_advertisements();
	return sysctl_set(path6, "1", err);
}

static int bridge_sysctls(const struct network *n, struct err *err)
{
	int r = bridge_sysctl(n->bridge, "ipv4/conf/BRIDGE/route_localnet", "1", err);

	if (r < 0)
		return r;
	/* A host without IPv6 has no switches for it. */
	if (n->subnet6)
		r = bridge_sysctl(n->bridge, "ipv6/conf/BRIDGE/disable_ipv6", "0", err);
	else
		bridge_sysctl(n->bridge, "ipv6/conf/BRIDGE/disable_ipv6", "1", NULL);
	if (r < 0)
		return r;
	/* Until a bridge's link-local address has been looked for in vain for two seconds, the kernel
	 * asks for no neighbour on it, and what is forwarded to a new instance is lost. */
	bridge_sysctl(n->bridge, "ipv6/conf/BRIDGE/accept_dad", "0", NULL);
	/* Instances are no routers to the host, and know no better ones. */
	bridge_sysctl(n->bridge, "ipv6/conf/BRIDGE/accept_ra", "0", NULL);
	bridge_sysctl(n->bridge, "ipv6/conf/BRIDGE/accept_redirects", "0", NULL);
	bridge_sysctl(n->bridge, "ipv4/conf/BRIDGE/accept_redirects", "0", NULL);
	return 0;
}

/* The link. */

struct default_route {
	unsigned link;
	uint32_t metric;
};

static void on_route(void *data, const struct nlmsghdr *h)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	struct default_route *best = data, d = { 0 };
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE || msg->rtm_dst_len || msg->rtm_type != RTN_UNICAST ||
		msg->rtm_table != RT_TABLE_MAIN)
		return;
	mnl_attr_for_each(a, h, sizeof(*msg))
	{
		if (mnl_attr_get_type(a) == RTA_OIF)
			d.link = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == RTA_PRIORITY)
			d.metric = mnl_attr_get_u32(a);
	}
	if (d.link && (!best->link || d.metric < best->metric))
		*best = d;
}

static uint32_t default_mtu(struct netlink *nl)
{
	struct default_route route = { 0 };
	struct netlink_link link;

	if (netlink_dump(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET, on_route, &route, NULL) <
			0 ||
		!route.link || netlink_link_get_index(nl, route.link, &link) < 0)
		return DEFAULT_MTU;
	return link.mtu;
}

/* The same bridge always has the same address: instances remember it as their gateway's. */
static void bridge_mac(const struct network *n, uint8_t mac[6])
{
	struct address gateway;

	mac[0] = 0x02;
	mac[1] = 0x42;
	if (n->gateway4 && address_parse(n->gateway4, &gateway) == 0)
		memcpy(mac + 2, gateway.byte, 4);
	else
		for (int i = 0; i < 4; i++)
			mac[2 + i] = (uint8_t)n->id[i];
}

static int create_link(struct netlink *nl, const struct network *n, struct err *err)
{
	struct netlink_batch batch = { .len = 0 };
	uint32_t mtu = n->mtu ? (uint32_t)n->mtu : default_mtu(nl);
	char alias[BRIDGE_ALIAS_TEXT];
	struct ifinfomsg *msg;
	struct nlmsghdr *h;
	struct nlattr *info;
	uint8_t mac[6];

	bridge_mac(n, mac);
	bridge_alias(n->id, alias);
	h = netlink_add(
		&batch, "make bridge", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*msg), &msg);
	mnl_attr_put_strz(h, IFLA_IFNAME, n->bridge);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(h, info);
	netlink_end(&batch, h);
	/* In the same system call, so that no bridge of ours is ever without its mark; and a bridge
	 * keeps the MTU that it is given when it exists, else it follows its ports. */
	h = netlink_add(&batch, "mark bridge", RTM_SETLINK, 0, sizeof(*msg), &msg);
	mnl_attr_put_strz(h, IFLA_IFNAME, n->bridge);
	mnl_attr_put(h, IFLA_IFALIAS, strlen(alias), alias);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	netlink_end(&batch, h);
	return netlink_send(nl, &batch, n->bridge, err);
}

static int add_gateway(struct netlink_batch *batch, unsigned index, const char *subnet,
	const char *gateway, struct err *err)
{
	struct address a;
	struct cidr c;
	int r;

	if (!subnet || !gateway)
		return 0;
	r = cidr_parse(subnet, &c, err);
	if (r < 0)
		return r;
	if (address_parse(gateway, &a) < 0)
		return err_set(err, EINVAL, "gateway '%s' is not an address", gateway);
	netlink_add_address(batch, index, &a, c.bits);
	return 0;
}

static int configure(struct netlink *nl, const struct network *n, struct err *err)
{
	struct netlink_batch batch = { .len = 0 };
	struct netlink_link link;
	int r = netlink_link_get(nl, n->bridge, &link);

	if (r < 0)
		return err_code(err, r, "find the new bridge '%s'", n->bridge);
	r = bridge_sysctls(n, err);
	if (r == 0)
		r = forwarding_on(n, err);
	if (r == 0)
		r = add_gateway(&batch, link.index, n->subnet4, n->gateway4, err);
	if (r == 0)
		r = add_gateway(&batch, link.index, n->subnet6, n->gateway6, err);
	if (r < 0)
		return r;
	netlink_add_up(&batch, link.index);
	return netlink_send(nl, &batch, n->bridge, err);
}

int bridge_make(struct netlink *nl, const struct network *n, struct err *err)
{
	int r = create_link(nl, n, err);

	if (r == -EEXIST)
		return r;
	if (r == 0)
		r = configure(nl, n, err);
	if (r < 0)
		netlink_link_delete(nl, n->bridge, NULL);
	return r;
}

struct own_links {
	char prefix[BRIDGE_ALIAS_TEXT];
	bool (*keep)(void *data, const char *network_id);
	void *data;
	char **unwanted;
};

static void on_link(void *data, const struct nlmsghdr *h)
{
	struct own_links *own = data;
	struct netlink_link link;
	size_t len = strlen(own->prefix);

	if (h->nlmsg_type != RTM_NEWLINK)
		return;
	netlink_link_parse(h, &link);
	if (strncmp(link.alias, own->prefix, len) == 0 && !own->keep(own->data, link.alias + len))
		strv_add(&own->unwanted, link.name);
}

int bridge_unwanted(struct netlink *nl, bool (*keep)(void *data, const char *network_id),
	void *data, char ***ret, struct err *err)
{
	struct own_links own = { .keep = keep, .data = data };
	int r;

	bridge_alias("", own.prefix);
	r = netlink_dump_links(nl, "bridge", on_link, &own, err);
	*ret = own.unwanted;
	return r;
}

int bridge_sweep(struct netlink *nl, bool (*keep)(void *data, const char *network_id), void *data,
	struct err *err)
{
	cleanup(strv_free) char **unwanted = NULL;
	int r = bridge_unwanted(nl, keep, data, &unwanted, err), first = 0;

	strv_foreach (name, unwanted) {
		int failed = netlink_link_delete(nl, *name, first ? NULL : err);
		first = first ? first : failed;
	}
	return r < 0 ? r : first;
}
