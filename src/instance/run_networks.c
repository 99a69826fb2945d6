/* The network options of `run` and `create`: networks joined, ports, names, resolver. */
#include "instance/run_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "net/net.h"

static bool address_valid(int family, const char *text)
{
	unsigned char raw[16];

	return inet_pton(family, text, raw) == 1;
}

static int check_address(const char *option, const char *text, int family, struct err *err)
{
	if (address_valid(family, text))
		return 0;
	return err_set(err, EINVAL, "%s: '%s' is not an %s address", option, text,
		family == AF_INET ? "IPv4" : "IPv6");
}

static int check_mac(const char *option, const char *text, struct err *err)
{
	unsigned b[6];
	int used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		    &used) == 6 &&
		used == 17 && !text[17] && !(b[0] & 1))
		return 0;
	return err_set(err, EINVAL, "%s: '%s' is not an Ethernet address like 02:42:ac:11:00:02",
		option, text);
}

/* One pair of "name=NET,alias=NAME,ip=ADDRESS". */
static int apply_pair(const char *pair, struct instance_network *n, struct err *err)
{
	cleanup(free) char *key = xstrndup(pair, strcspn(pair, "="));
	const char *value = pair[strlen(key)] ? pair + strlen(key) + 1 : "";

	if (!*value)
		return err_set(err, EINVAL, "--network: '%s' needs a value", key);
	if (strcmp(key, "name") == 0) {
		str_replace(&n->network, value);
	} else if (strcmp(key, "alias") == 0) {
		strv_add(&n->aliases, value);
	} else if (strcmp(key, "ip") == 0) {
		str_replace(&n->address4, value);
		return check_address("--network: ip", value, AF_INET, err);
	} else if (strcmp(key, "ip6") == 0) {
		str_replace(&n->address6, value);
		return check_address("--network: ip6", value, AF_INET6, err);
	} else if (strcmp(key, "mac-address") == 0) {
		str_replace(&n->mac, value);
		return check_mac("--network: mac-address", value, err);
	} else {
		return err_set(err, EINVAL,
			"--network: unknown key '%s' (name, alias, ip, ip6, mac-address)", key);
	}
	return 0;
}

static int add_network(const char *text, struct record_list *list, struct err *err)
{
	cleanup(strv_free) char **pairs = NULL;
	struct instance_network *n = record_list_add(list, sizeof(*n));

	if (!strchr(text, '=')) {
		n->network = xstrdup(strcmp(text, "default") == 0 ? "bridge" : text);
	} else {
		pairs = strv_split(text, ',');
		strv_foreach (pair, pairs) {
			int r = apply_pair(*pair, n, err);
			if (r < 0)
				return r;
		}
	}
	if (!n->network)
		return err_set(err, EINVAL, "--network: '%s': no name=NETWORK", text);
	if (strncmp(n->network, "container:", 10) == 0 ? !n->network[10] : !name_valid(n->network))
		return err_set(err, EINVAL, "--network: '%s' is not a network's name", n->network);
	for (size_t i = 0; i + 1 < list->n; i++) {
		const struct instance_network *other = list->items[i];
		if (strcmp(other->network, n->network) == 0)
			return err_set(err, EINVAL, "--network: '%s' is given twice", n->network);
	}
	return 0;
}

static bool is_shared(const char *mode)
{
	return strncmp(mode, "container:", 10) == 0;
}

/* none, host and container:NAME are no networks to be members of. */
static bool is_mode(const char *name)
{
	return strcmp(name, "none") == 0 || strcmp(name, "host") == 0 || is_shared(name);
}

/* --ip and so on belong to the first network. */
static int apply_singles(const struct run_options *o, struct instance_network *n, struct err *err)
{
	int r = 0;

	if (o->ip)
		r = check_address("--ip", o->ip, AF_INET, err);
	if (r == 0 && o->ip6)
		r = check_address("--ip6", o->ip6, AF_INET6, err);
	if (r == 0 && o->mac_address)
		r = check_mac("--mac-address", o->mac_address, err);
	if (r < 0)
		return r;
	if ((o->ip && n->address4) || (o->ip6 && n->address6) || (o->mac_address && n->mac))
		return err_set(
			err, EINVAL, "--network: an address of '%s' is given twice", n->network);
	strv_foreach (alias, o->network_aliases)
		if (!name_valid(*alias))
			return err_set(err, EINVAL, "--network-alias: '%s' is not a name", *alias);
	if (o->ip)
		n->address4 = xstrdup(o->ip);
	if (o->ip6)
		n->address6 = xstrdup(o->ip6);
	if (o->mac_address)
		n->mac = xstrdup(o->mac_address);
	strv_add_all(&n->aliases, o->network_aliases);
	return 0;
}

/* What a mode that shares or lacks a network does not go with. */
static int check_mode(const struct run_options *o, const struct instance_config *c, struct err *err)
{
	const char *mode = c->network_mode;
	const struct {
		bool given;
		const char *option;
	} foreign[] = { { o->ip, "--ip" }, { o->ip6, "--ip6" }, { o->mac_address, "--mac-address" },
		{ o->network_aliases, "--network-alias" },
		{ is_shared(mode) && o->hostname, "--hostname" },
		{ is_shared(mode) && (o->publish || o->publish_all), "--publish" },
		{ is_shared(mode) && o->expose, "--expose" },
		{ is_shared(mode) && o->dns, "--dns" },
		{ is_shared(mode) && o->add_host, "--add-host" } };

	if (c->networks.n > 1)
		return err_set(err, EINVAL, "--network: '%s' excludes further networks", mode);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (foreign[i].given)
			return err_set(err, EINVAL, "%s does not go with --network %s",
				foreign[i].option, mode);
	return 0;
}

static int resolve_networks(const struct run_options *o, struct instance_config *c, struct err *err)
{
	struct instance_network *first;
	char **const given[] = { o->networks, o->nets };

	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		strv_foreach (item, given[i])
			if (add_network(*item, &c->networks, err) < 0)
				return -EINVAL;
	if (!c->networks.n && add_network("bridge", &c->networks, err) < 0)
		return -EINVAL;
	first = c->networks.items[0];
	c->network_mode = xstrdup(first->network);
	for (size_t i = 0; i < c->networks.n; i++) {
		struct instance_network *n = c->networks.items[i];
		if (i > 0 && is_mode(n->network))
			return err_set(err, EINVAL, "--network: '%s' excludes further networks",
				n->network);
	}
	if (is_mode(c->network_mode)) {
		if (first->address4 || first->address6 || first->mac || first->aliases)
			return err_set(err, EINVAL, "--network: '%s' takes no addresses or aliases",
				c->network_mode);
		if (check_mode(o, c, err) < 0)
			return -EINVAL;
		/* It has no place on any network then. */
		free(first->network);
		free(first);
		c->networks.n = 0;
		return 0;
	}
	return apply_singles(o, first, err);
}

/* "80", "8000-8010/udp" into one "PORT/PROTOCOL" each. */
static int add_exposed(const char *text, char ***exposed, struct err *err)
{
	cleanup(free) char *range = xstrndup(text, strcspn(text, "/"));
	const char *protocol = text[strlen(range)] ? text + strlen(range) + 1 : "tcp";
	char *dash = strchr(range, '-');
	int64_t first, last;

	if (dash)
		*dash++ = '\0';
	if (parse_i64(range, 1, 65535, &first) < 0 ||
		parse_i64(dash ? dash : range, 1, 65535, &last) < 0 || last < first)
		return err_set(err, EINVAL, "--expose: '%s' is not PORT[-END][/PROTOCOL]", text);
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return err_set(
			err, EINVAL, "--expose: '%s': the protocol is neither tcp nor udp", text);
	for (int64_t port = first; port <= last; port++) {
		cleanup(free) char *item = xasprintf("%lld/%s", (long long)port, protocol);
		if (!strv_contains(*exposed, item))
			strv_add(exposed, item);
	}
	return 0;
}

static int resolve_ports(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = 0;

	strv_foreach (item, o->expose) {
		r = add_exposed(*item, &c->exposed, err);
		if (r < 0)
			return r;
	}
	strv_foreach (item, o->publish) {
		r = port_parse(*item, &c->ports, err);
		if (r < 0)
			return err_wrap(err, "--publish");
	}
	c->publish_all = o->publish_all;
	return 0;
}

/* HOST:IP or HOST=IP; the address may be in brackets, or "host-gateway". */
static int add_host(const char *text, char ***hosts, struct err *err)
{
	size_t len = strcspn(text, strchr(text, '=') ? "=" : ":");
	const char *address = text[len] ? text + len + 1 : "";
	size_t address_len = strlen(address);
	cleanup(free) char *bare = address[0] == '[' && address[address_len - 1] == ']'
					   ? xstrndup(address + 1, address_len - 2)
					   : xstrdup(address);

	if (!len || (strcmp(bare, "host-gateway") != 0 && !address_valid(AF_INET, bare) &&
			    !address_valid(AF_INET6, bare)))
		return err_set(err, EINVAL, "--add-host: '%s' is not HOST:IP", text);
	strv_addf(hosts, "%.*s:%s", (int)len, text, bare);
	return 0;
}

static int resolve_names(const struct run_options *o, struct instance_config *c, struct err *err)
{
	strv_foreach (server, o->dns)
		if (!address_valid(AF_INET, *server) && !address_valid(AF_INET6, *server))
			return err_set(err, EINVAL, "--dns: '%s' is not an IP address", *server);
	strv_foreach (domain, o->dns_search)
		if (!**domain || strpbrk(*domain, " \t\n") || strlen(*domain) > 255)
			return err_set(err, EINVAL, "--dns-search: '%s' is not a domain", *domain);
	strv_foreach (option, o->dns_options)
		if (!**option || strpbrk(*option, " \t\n"))
			return err_set(err, EINVAL, "--dns-option: '%s' is not an option", *option);
	strv_foreach (host, o->add_host) {
		int r = add_host(*host, &c->extra_hosts, err);
		if (r < 0)
			return r;
	}
	c->dns = strv_copy(o->dns);
	c->dns_search = strv_copy(o->dns_search);
	c->dns_options = strv_copy(o->dns_options);
	return 0;
}

int run_networks(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = resolve_networks(o, c, err);

	if (r == 0)
		r = resolve_ports(o, c, err);
	if (r == 0)
		r = resolve_names(o, c, err);
	return r;
}
