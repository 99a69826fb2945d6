/* A tap device on a network's bridge, for a machine: as the veth pair of a container. It goes with its descriptor. */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "net/link_port.h"
#include "net/netlink.h"

static int set_up(const struct bundle_endpoint *ep, struct err *err)
{
	cleanup(netlink_done) struct netlink nl = { 0 };
	struct netlink_batch batch = { .len = 0 };
	struct netlink_link bridge;
	struct ifinfomsg *link;
	struct nlmsghdr *h;
	uint32_t mtu;
	int r = netlink_open(&nl, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	r = netlink_link_get(&nl, ep->bridge, &bridge);
	if (r < 0)
		return err_code(err, r, "find the network's bridge '%s'", ep->bridge);
	mtu = ep->mtu ? (uint32_t)ep->mtu : bridge.mtu;
	h = netlink_add(&batch, "set up tap device", RTM_SETLINK, 0, sizeof(*link), &link);
	mnl_attr_put_strz(h, IFLA_IFNAME, ep->host_link);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_MASTER, bridge.index);
	netlink_end(&batch, h);
	link_port_add(&batch, ep->host_link, mtu);
	r = netlink_send(&nl, &batch, ep->host_link, err);
	return r < 0 ? r : (int)mtu;
}

int tap_attach(const struct bundle_endpoint *ep, int *ret_fd, struct err *err)
{
	cleanup(fd_close) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int r;

	if (fd < 0)
		return err_errno(err, "open /dev/net/tun, which a machine's link needs");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ep->host_link);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return err_errno(err, "make the tap device '%s'", ep->host_link);
	r = set_up(ep, err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(fd);
	return r;
}
