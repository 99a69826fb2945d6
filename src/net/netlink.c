#include "net/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define REPLY_MAX 32768 /* the kernel's dumps come in pieces of at most 32 KiB */

static int open_socket(struct netlink *nl, int bus)
{
	int on = 1;

	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;
		netlink_done(nl);
		return r;
	}
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

int netlink_open(struct netlink *nl, int bus, struct err *err)
{
	int r = open_socket(nl, bus);

	return r < 0 ? err_code(err, r, "open a netlink socket") : 0;
}

int netlink_netns(pid_t pid, struct err *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ESRCH, "process %d is gone, and its network with it", (int)pid);
	return fd < 0 ? err_errno(err, "open the network namespace of process %d", (int)pid) : fd;
}

int netlink_open_in(struct netlink *nl, int bus, pid_t pid, int *ret_netns, struct err *err)
{
	cleanup(fd_close) int there = netlink_netns(pid, err);
	cleanup(fd_close) int here = -1;
	int r;

	if (there < 0)
		return there;
	here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (here < 0)
		return err_errno(err, "open the own network namespace");
	if (setns(there, CLONE_NEWNET) < 0)
		return err_errno(err, "enter the network namespace of process %d", (int)pid);
	r = open_socket(nl, bus);
	if (setns(here, CLONE_NEWNET) < 0) {
		netlink_done(nl);
		return err_errno(err, "return to the own network namespace");
	}
	if (r < 0)
		return err_code(err, r, "open a netlink socket");
	if (ret_netns)
		*ret_netns = take_fd(there);
	return 0;
}

void netlink_done(struct netlink *nl)
{
	if (nl->socket)
		mnl_socket_close(nl->socket);
	nl->socket = NULL;
}

struct nlmsghdr *netlink_add(struct netlink_batch *batch, const char *what, uint16_t type,
	uint16_t flags, size_t family_header, void *ret_header)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(batch->data + batch->len);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	*(void **)ret_header = mnl_nlmsg_put_extra_header(h, family_header);
	batch->what[batch->n] = what;
	return h;
}

void netlink_end(struct netlink_batch *batch, struct nlmsghdr *h)
{
	batch->len += NLMSG_ALIGN(h->nlmsg_len);
	batch->n++;
}

static int receive(struct netlink *nl, char *data)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(nl->socket, data, REPLY_MAX);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static int send_all(struct netlink *nl, const void *data, size_t len)
{
	ssize_t n;

	do
		n = mnl_socket_sendto(nl->socket, data, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int ack_error(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	return mnl_nlmsg_get_payload_len(h) < sizeof(e->error) ? -EBADMSG : e->error;
}

int netlink_send(struct netlink *nl, struct netlink_batch *batch, const char *name, struct err *err)
{
	uint32_t first = nl->seq + 1;
	unsigned failed = UINT32_MAX, acked = 0;
	char data[REPLY_MAX] __attribute__((aligned(8)));
	int r, error = 0;

	for (size_t at = 0; at < batch->len;) {
		struct nlmsghdr *h = (struct nlmsghdr *)(batch->data + at);
		h->nlmsg_seq = ++nl->seq;
		at += NLMSG_ALIGN(h->nlmsg_len);
	}
	r = send_all(nl, batch->data, batch->len);
	if (r < 0)
		return err_code(err, r, "send to the kernel's network configuration");
	while (acked < batch->n) {
		int n = receive(nl, data);
		if (n < 0)
			return err_code(err, n, "hear from the kernel's network configuration");
		for (const struct nlmsghdr *h = (void *)data; mnl_nlmsg_ok(h, n);
			h = mnl_nlmsg_next(h, &n)) {
			unsigned i = h->nlmsg_seq - first;
			if (h->nlmsg_type != NLMSG_ERROR || i >= batch->n)
				continue;
			acked++;
			r = ack_error(h);
			if (r < 0 && i < failed) {
				failed = i;
				error = r;
			}
		}
	}
	if (error < 0)
		return err_code(err, error, "%s '%s'", batch->what[failed], name);
	return 0;
}

void netlink_add_up(struct netlink_batch *batch, unsigned index)
{
	struct ifinfomsg *msg;
	struct nlmsghdr *h = netlink_add(batch, "set up link", RTM_NEWLINK, 0, sizeof(*msg), &msg);

	msg->ifi_index = (int)index;
	msg->ifi_flags = msg->ifi_change = IFF_UP;
	netlink_end(batch, h);
}

void netlink_add_address(
	struct netlink_batch *batch, unsigned index, const struct address *a, unsigned bits)
{
	size_t len = address_width(a->family) / 8;
	struct ifaddrmsg *msg;
	struct nlmsghdr *h = netlink_add(batch, "add the address to link", RTM_NEWADDR,
		NLM_F_CREATE | NLM_F_REPLACE, sizeof(*msg), &msg);

	msg->ifa_family = (uint8_t)a->family;
	msg->ifa_prefixlen = (uint8_t)bits;
	msg->ifa_index = index;
	mnl_attr_put(h, IFA_LOCAL, len, a->byte);
	mnl_attr_put(h, IFA_ADDRESS, len, a->byte);
	if (a->family == AF_INET6) {
		/* We alone give addresses out; a second of waiting for duplicates finds none. */
		mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD | IFA_F_PERMANENT);
	} else if (bits < 31) {
		uint32_t broadcast;
		memcpy(&broadcast, a->byte, sizeof(broadcast));
		broadcast |= htonl(UINT32_MAX >> bits);
		mnl_attr_put(h, IFA_BROADCAST, sizeof(broadcast), &broadcast);
	}
	netlink_end(batch, h);
}

static int dump(struct netlink *nl, uint16_t type, size_t header, uint8_t family, const char *kind,
	void (*fn)(void *data, const struct nlmsghdr *h), void *data, struct err *err)
{
	char room[REPLY_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(room);
	int r;

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = ++nl->seq;
	*(uint8_t *)mnl_nlmsg_put_extra_header(request, header) = family;
	if (kind) {
		struct nlattr *info;
		mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		info = mnl_attr_nest_start(request, IFLA_LINKINFO);
		mnl_attr_put_strz(request, IFLA_INFO_KIND, kind);
		mnl_attr_nest_end(request, info);
	}
	r = send_all(nl, request, request->nlmsg_len);
	while (r >= 0) {
		r = receive(nl, room);
		if (r < 0)
			break;
		for (const struct nlmsghdr *h = (void *)room; mnl_nlmsg_ok(h, r);
			h = mnl_nlmsg_next(h, &r)) {
			if (h->nlmsg_seq != nl->seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return err_code(err, ack_error(h), "list the host's network");
			fn(data, h);
		}
		r = 0;
	}
	return err_code(err, r, "list the host's network");
}

int netlink_dump(struct netlink *nl, uint16_t type, size_t header, uint8_t family,
	void (*fn)(void *data, const struct nlmsghdr *h), void *data, struct err *err)
{
	return dump(nl, type, header, family, NULL, fn, data, err);
}

int netlink_dump_links(struct netlink *nl, const char *kind,
	void (*fn)(void *data, const struct nlmsghdr *h), void *data, struct err *err)
{
	return dump(nl, RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC, kind, fn, data, err);
}

static void copy_text(char *to, size_t size, const struct nlattr *a)
{
	size_t len = mnl_attr_get_payload_len(a);

	if (len >= size)
		len = size - 1;
	memcpy(to, mnl_attr_get_payload(a), len);
	to[len] = '\0';
}

void netlink_link_parse(const struct nlmsghdr *h, struct netlink_link *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *b;

	*ret = (struct netlink_link){ .index = (unsigned)info->ifi_index,
		.flags = info->ifi_flags };
	mnl_attr_for_each(a, h, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			copy_text(ret->name, sizeof(ret->name), a);
			break;
		case IFLA_IFALIAS:
			copy_text(ret->alias, sizeof(ret->alias), a);
			break;
		case IFLA_MTU:
			ret->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested(b, a)
			{
				if (mnl_attr_get_type(b) == IFLA_INFO_KIND)
					copy_text(ret->kind, sizeof(ret->kind), b);
			}
			break;
		}
	}
}

static int link_get(struct netlink *nl, const char *name, unsigned index, struct netlink_link *ret)
{
	char data[REPLY_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);
	struct ifinfomsg *info;
	int n, r;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST;
	request->nlmsg_seq = ++nl->seq;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_index = (int)index;
	/* Statistics and the like, per link, cost most of the answer. */
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	r = send_all(nl, request, request->nlmsg_len);
	while (r >= 0) {
		n = receive(nl, data);
		if (n < 0)
			return n;
		for (const struct nlmsghdr *h = (void *)data; mnl_nlmsg_ok(h, n);
			h = mnl_nlmsg_next(h, &n)) {
			if (h->nlmsg_seq != nl->seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ack_error(h);
			if (h->nlmsg_type != RTM_NEWLINK)
				continue;
			netlink_link_parse(h, ret);
			return 0;
		}
	}
	return r;
}

int netlink_link_get(struct netlink *nl, const char *name, struct netlink_link *ret)
{
	return link_get(nl, name, 0, ret);
}

int netlink_link_get_index(struct netlink *nl, unsigned index, struct netlink_link *ret)
{
	return link_get(nl, NULL, index, ret);
}

int netlink_link_delete(struct netlink *nl, const char *name, struct err *err)
{
	struct netlink_batch batch = { .len = 0 };
	struct ifinfomsg *info;
	struct nlmsghdr *h =
		netlink_add(&batch, "delete link", RTM_DELLINK, 0, sizeof(*info), &info);
	int r;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	netlink_end(&batch, h);
	r = netlink_send(nl, &batch, name, NULL);
	if (r == -ENODEV)
		return 0;
	return r < 0 ? err_code(err, r, "delete link '%s'", name) : 0;
}
