/*
 * A link of the host's that goes to an instance, and what it keeps of itself there: runtime-spec
 * config-linux.md, "Network Devices". rtnetlink(7).
 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/fd.h"
#include "net/address.h"
#include "net/netlink.h"

#define MAX_ADDRESSES 256

struct kept {
	unsigned index; /* of the link whose addresses they are */
	size_t n;
	struct {
		struct address address;
		unsigned bits;
	} list[MAX_ADDRESSES];
};

/* What was given to the link for good and means the same everywhere. */
static void keep_address(void *data, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(h);
	struct kept *k = data;
	const struct nlattr *a, *found = NULL;
	uint32_t flags = info->ifa_flags;

	if (h->nlmsg_type != RTM_NEWADDR || info->ifa_index != k->index ||
		info->ifa_scope != RT_SCOPE_UNIVERSE || k->n == MAX_ADDRESSES ||
		(info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return;
	mnl_attr_for_each(a, h, sizeof(*info))
	{
		uint16_t type = mnl_attr_get_type(a);
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !found))
			found = a;
		else if (type == IFA_FLAGS)
			flags = mnl_attr_get_u32(a);
	}
	if (!(flags & IFA_F_PERMANENT) || !found ||
		mnl_attr_get_payload_len(found) != address_width(info->ifa_family) / 8)
		return;
	k->list[k->n].address.family = info->ifa_family;
	memcpy(k->list[k->n].address.byte, mnl_attr_get_payload(found),
		mnl_attr_get_payload_len(found));
	k->list[k->n++].bits = info->ifa_prefixlen;
}

/* Name and namespace change in one request: at no time is there a link of that name where it is not meant
 * to be. */
static int move(struct netlink *host, unsigned index, const char *name, const char *new_name,
	int netns, struct err *err)
{
	struct netlink_batch down = { .len = 0 }, batch = { .len = 0 };
	struct ifinfomsg *msg;
	struct nlmsghdr *h =
		netlink_add(&down, "set down link", RTM_NEWLINK, 0, sizeof(*msg), &msg);
	int r;

	msg->ifi_index = (int)index;
	msg->ifi_change = IFF_UP;
	netlink_end(&down, h);
	r = netlink_send(host, &down, name, err);
	if (r < 0)
		return r;
	h = netlink_add(&batch, "fail to move network device", RTM_NEWLINK, 0, sizeof(*msg), &msg);
	msg->ifi_index = (int)index;
	mnl_attr_put_strz(h, IFLA_IFNAME, new_name);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns);
	netlink_end(&batch, h);
	return netlink_send(host, &batch, name, err);
}

static int restore(
	struct netlink *inside, const char *name, const struct kept *kept, struct err *err)
{
	struct netlink_link link;
	int r = netlink_link_get(inside, name, &link);

	if (r < 0)
		return err_code(err, r, "link not found for interface %s on namespace", name);
	for (size_t i = 0; r == 0 && i < kept->n;) {
		struct netlink_batch batch = { .len = 0 };
		for (; i < kept->n && batch.n < NETLINK_BATCH_MAX; i++)
			netlink_add_address(
				&batch, link.index, &kept->list[i].address, kept->list[i].bits);
		r = netlink_send(inside, &batch, name, err);
	}
	if (r == 0) {
		struct netlink_batch batch = { .len = 0 };
		netlink_add_up(&batch, link.index);
		r = netlink_send(inside, &batch, name, err);
	}
	return r;
}

int link_move(const char *name, const char *new_name, pid_t pid, struct err *err)
{
	cleanup(netlink_done) struct netlink host = { 0 }, inside = { 0 };
	cleanup(fd_close) int netns = -1;
	struct netlink_link link;
	struct kept kept = { 0 };
	int r = netlink_open(&host, NETLINK_ROUTE, err);

	if (r == 0)
		r = netlink_open_in(&inside, NETLINK_ROUTE, pid, &netns, err);
	if (r < 0)
		return r;
	r = netlink_link_get(&host, name, &link);
	if (r < 0)
		return err_code(
			err, r, "link not found for interface %s on runtime namespace", name);
	kept.index = link.index;
	/* Before it is set down, for IPv6 addresses go then. */
	r = netlink_dump(
		&host, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_UNSPEC, keep_address, &kept, err);
	if (r == 0)
		r = move(&host, link.index, name, new_name, netns, err);
	return r < 0 ? r : restore(&inside, new_name, &kept, err);
}
