/*
 * Published ports as they are written: Docker's -p,
 * [[HOST-ADDRESS:]HOST-PORT[-END]:]PORT[-END][/PROTOCOL], with IPv6 addresses in brackets.
 */
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "net/address.h"

const struct record_field port_fields[] = {
	RECORD(struct port, host_ip, "host_ip", RECORD_STR),
	RECORD(struct port, protocol, "protocol", RECORD_STR),
	RECORD(struct port, host_port, "host_port", RECORD_I64),
	RECORD(struct port, host_port_end, "host_port_end", RECORD_I64),
	RECORD(struct port, port, "port", RECORD_I64),
	RECORD_END,
};

struct range {
	uint64_t first, last;
};

static int parse_port(
	const char *whole, const char *text, bool zero, uint64_t *ret, struct err *err)
{
	int r = parse_u64(text, 65535, ret);

	if (r == -EINVAL)
		return err_set(err, EINVAL, "-p '%s': '%s' is not a port number", whole, text);
	if (r < 0 || (*ret == 0 && !zero))
		return err_set(
			err, EINVAL, "-p '%s': port %s is out of range 1-65535", whole, text);
	return 0;
}

static int parse_range(const char *whole, char *text, bool zero, struct range *ret, struct err *err)
{
	char *dash = strchr(text, '-');
	int r;

	if (!*text)
		return err_set(err, EINVAL,
			"-p '%s': the container's port is missing: write it like 8080:80", whole);
	if (dash == text || (dash && !dash[1]))
		return err_set(err, EINVAL,
			"-p '%s': '%s' is not a port number, nor a range like 8000-8010", whole,
			text);
	if (dash)
		*dash = '\0';
	r = parse_port(whole, text, zero && !dash, &ret->first, err);
	ret->last = ret->first;
	if (r == 0 && dash)
		r = parse_port(whole, dash + 1, false, &ret->last, err);
	if (r == 0 && ret->last < ret->first)
		return err_set(err, EINVAL, "-p '%s': the range %s-%s ends before it begins", whole,
			text, dash + 1);
	return r;
}

/* Cuts "/udp" off. */
static int parse_protocol(const char *whole, char *text, const char **ret, struct err *err)
{
	char *slash = strchr(text, '/');

	*ret = "tcp";
	if (!slash)
		return 0;
	*slash = '\0';
	if (strcasecmp(slash + 1, "udp") == 0)
		*ret = "udp";
	else if (strcasecmp(slash + 1, "tcp") != 0)
		return err_set(err, EINVAL, "-p '%s': protocol '%s': tcp and udp can be published",
			whole, slash + 1);
	return 0;
}

/* Cuts the address off the front; *text is left at what follows it. */
static int parse_host(const char *whole, char **text, char **ret, struct err *err)
{
	char *address = *text, *end, *rest;
	struct address a;

	if (*address == '[') {
		address++;
		end = strchr(address, ']');
		if (!end || end[1] != ':')
			return err_set(err, EINVAL, "-p '%s': write it like [::1]:8080:80", whole);
		rest = end + 2;
	} else {
		char *last = strrchr(address, ':');
		if (!last)
			return 0;
		*last = '\0';
		end = strrchr(address, ':');
		*last = ':';
		if (!end)
			return 0;
		rest = end + 1;
	}
	*end = '\0';
	if (*address && address_parse(address, &a) < 0)
		return err_set(err, EINVAL,
			"-p '%s': '%s' is not an IP address (IPv6 goes in brackets)", whole,
			address);
	*text = rest;
	if (*address) {
		char canonical[ADDRESS_TEXT];
		address_format(&a, canonical);
		*ret = xstrdup(canonical);
	}
	return 0;
}

static void add_ports(struct record_list *list, const char *host_ip, const char *protocol,
	const struct range *host, const struct range *inside)
{
	uint64_t n_inside = inside->last - inside->first + 1;

	for (uint64_t i = 0; i < n_inside; i++) {
		struct port *p = record_list_add(list, sizeof(*p));
		p->host_ip = xstrdup_null(host_ip);
		p->protocol = xstrdup(protocol);
		p->port = (int64_t)(inside->first + i);
		p->host_port = (int64_t)host->first;
		if (host->first && n_inside > 1)
			p->host_port += (int64_t)i;
		else if (host->last > host->first)
			p->host_port_end = (int64_t)host->last;
	}
}

int port_parse(const char *text, struct record_list *ret, struct err *err)
{
	cleanup(free) char *copy = xstrdup(text), *host_ip = NULL;
	struct range host = { 0 }, inside;
	const char *protocol;
	char *p = copy, *colon;
	int r = parse_protocol(text, p, &protocol, err);

	if (r == 0)
		r = parse_host(text, &p, &host_ip, err);
	if (r < 0)
		return r;
	colon = strchr(p, ':');
	if (colon) {
		*colon = '\0';
		if (*p)
			r = parse_range(text, p, /* zero= */ true, &host, err);
		p = colon + 1;
	} else if (host_ip) {
		return err_set(err, EINVAL, "-p '%s': write it like %s::%s for any free port", text,
			host_ip, p);
	}
	if (r == 0)
		r = parse_range(text, p, /* zero= */ false, &inside, err);
	if (r < 0)
		return r;
	/* One port inside may be given a range to choose from; else they go in pairs. */
	if (host.first && inside.last != inside.first &&
		host.last - host.first != inside.last - inside.first)
		return err_set(err, EINVAL, "-p '%s': the two ranges differ in length", text);
	add_ports(ret, host_ip, protocol, &host, &inside);
	return 0;
}
