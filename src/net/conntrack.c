/* ctnetlink: linux/netfilter/nfnetlink_conntrack.h. */
#include "net/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "net/address.h"
#include "net/netlink.h"

#define CT(message) (NFNL_SUBSYS_CTNETLINK << 8 | (message))

struct target { /* of a published UDP port */
	uint16_t host_port;
	struct address address;
};

struct tuple {
	struct address from, to;
	uint16_t from_port, to_port;
	uint8_t protocol;
};

struct flow {
	uint8_t data[128]; /* its CTA_TUPLE_ORIG */
	uint16_t len;
	uint8_t family;
};

struct search {
	const struct target *targets;
	size_t n_targets;
	struct flow *found;
	size_t n_found;
};

static void parse_tuple(const struct nlattr *nest, struct tuple *t)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, nest)
	{
		mnl_attr_for_each_nested(b, a)
		{
			unsigned type = mnl_attr_get_type(a) << 8 | mnl_attr_get_type(b);
			size_t len = mnl_attr_get_payload_len(b);
			const void *p = mnl_attr_get_payload(b);
			struct address *address =
				mnl_attr_get_type(b) == CTA_IP_V4_SRC ||
						mnl_attr_get_type(b) == CTA_IP_V6_SRC
					? &t->from
					: &t->to;
			if (mnl_attr_get_type(a) == CTA_TUPLE_IP && (len == 4 || len == 16)) {
				address->family = len == 4 ? AF_INET : AF_INET6;
				memcpy(address->byte, p, len);
			} else if (type == (CTA_TUPLE_PROTO << 8 | CTA_PROTO_NUM) && len >= 1) {
				t->protocol = *(const uint8_t *)p;
			} else if (type == (CTA_TUPLE_PROTO << 8 | CTA_PROTO_SRC_PORT) &&
				   len >= 2) {
				t->from_port = ntohs(mnl_attr_get_u16(b));
			} else if (type == (CTA_TUPLE_PROTO << 8 | CTA_PROTO_DST_PORT) &&
				   len >= 2) {
				t->to_port = ntohs(mnl_attr_get_u16(b));
			}
		}
	}
}

/* Only flows to a target, and those without any translation, which do not miss their entry: a
 * client's flow to somewhere else that happens to go to the same port must keep its own. */
static bool concerns(const struct search *s, const struct tuple *there, const struct tuple *back)
{
	bool plain = address_equal(&there->to, &back->from) &&
		     address_equal(&there->from, &back->to) && there->from_port == back->to_port;

	if (there->protocol != IPPROTO_UDP)
		return false;
	for (size_t i = 0; i < s->n_targets; i++) {
		if (s->targets[i].host_port == there->to_port &&
			(plain || address_equal(&s->targets[i].address, &back->from)))
			return true;
	}
	return false;
}

static void on_flow(void *data, const struct nlmsghdr *h)
{
	const struct nfgenmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *orig = NULL;
	struct tuple there = { 0 }, back = { 0 };
	struct search *s = data;
	struct flow *f;

	mnl_attr_for_each(a, h, sizeof(*msg))
	{
		if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
			parse_tuple(orig = a, &there);
		else if (mnl_attr_get_type(a) == CTA_TUPLE_REPLY)
			parse_tuple(a, &back);
	}
	if (!orig || !concerns(s, &there, &back) ||
		mnl_attr_get_payload_len(orig) > sizeof(f->data))
		return;
	s->found = xrealloc_array(s->found, s->n_found + 1, sizeof(*s->found));
	f = &s->found[s->n_found++];
	f->family = msg->nfgen_family;
	f->len = mnl_attr_get_payload_len(orig);
	memcpy(f->data, mnl_attr_get_payload(orig), f->len);
}

static void delete_flow(struct netlink *nl, const struct flow *f)
{
	struct netlink_batch batch = { .len = 0 };
	struct nfgenmsg *msg;
	struct nlmsghdr *h =
		netlink_add(&batch, "forget flow", CT(IPCTNL_MSG_CT_DELETE), 0, sizeof(*msg), &msg);

	msg->nfgen_family = f->family;
	mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, f->len, f->data);
	netlink_end(&batch, h);
	netlink_send(nl, &batch, "", NULL);
}

/* "MAP [ADDRESS . ]PROTOCOL . PORT : TARGET . PORT" */
static bool parse_element(const char *element, struct target *ret)
{
	const char *udp = strstr(element, "udp . "), *colon = strstr(element, " : ");
	const char *space = colon ? strchr(colon + 3, ' ') : NULL;
	cleanup(free) char *target = NULL;

	if (!udp || !space)
		return false;
	target = xstrndup(colon + 3, (size_t)(space - colon - 3));
	ret->host_port = (uint16_t)strtoul(udp + strlen("udp . "), NULL, 10);
	return address_parse(target, &ret->address) == 0;
}

void conntrack_forget(char *const *elements)
{
	cleanup(netlink_done) struct netlink nl = { 0 };
	struct target *targets = xcalloc(strv_len(elements) + 1, sizeof(*targets));
	struct search s = { .targets = targets };

	strv_foreach (e, elements) {
		if (parse_element(*e, &targets[s.n_targets]))
			s.n_targets++;
	}
	if (s.n_targets && netlink_open(&nl, NETLINK_NETFILTER, NULL) == 0 &&
		netlink_dump(&nl, CT(IPCTNL_MSG_CT_GET), sizeof(struct nfgenmsg), AF_UNSPEC,
			on_flow, &s, NULL) == 0) {
		for (size_t i = 0; i < s.n_found; i++)
			delete_flow(&nl, &s.found[i]);
	}
	free(s.found);
	free(targets);
}
