/* `holm network create`: Docker's options to the record of a network. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/verbs.h"
#include "instance/event.h"
#include "net/net.h"

struct create_options {
	char **subnet, **gateway, **ip_range, **aux, **label, **opt;
	const char *driver, *ipam_driver;
	bool attachable, internal, ipv6;
};

static const char *const ipam_drivers[] = { "default", NULL };

static const struct cmd_option create_option_rows[] = {
	OPTION(struct create_options, attachable, OPT_FLAG, 0, "attachable", NULL,
		"accepted as Docker's: every network here is"),
	OPTION(struct create_options, aux, OPT_STRV, 0, "aux-address", "NAME=ADDRESS",
		"an address that is never given to a container"),
	OPTION(struct create_options, driver, OPT_STR, 'd', "driver", "DRIVER", "bridge"),
	OPTION(struct create_options, gateway, OPT_STRV, 0, "gateway", "ADDRESS",
		"the bridge's address (the subnet's first)"),
	OPTION(struct create_options, internal, OPT_FLAG, 0, "internal", NULL,
		"no way to other networks or the world"),
	OPTION(struct create_options, ip_range, OPT_STRV, 0, "ip-range", "SUBNET",
		"give out addresses of this part of the subnet only"),
	OPTION_WITH(struct create_options, ipam_driver, OPT_STR, 0, "ipam-driver", "DRIVER",
		"default: there is no other", .choices = ipam_drivers),
	OPTION(struct create_options, ipv6, OPT_FLAG, 0, "ipv6", NULL,
		"IPv6 too, in a private prefix unless --subnet gives one"),
	OPTION(struct create_options, label, OPT_STRV, 0, "label", "NAME[=VALUE]", "a label"),
	OPTION(struct create_options, opt, OPT_STRV, 'o', "opt", "KEY=VALUE",
		"mtu, com.docker.network.bridge.name, and others of Docker's bridge"),
	OPTION(struct create_options, subnet, OPT_STRV, 0, "subnet", "SUBNET",
		"10.9.0.0/24; one of IPv4 and one of IPv6 (a free one of IPv4)"),
	OPTION_END,
};

/* One text of each family. */
static int sort_families(
	char *const *given, const char *option, char **ret4, char **ret6, struct err *err)
{
	strv_foreach (s, given) {
		char **to = strchr(*s, ':') ? ret6 : ret4;
		if (*to)
			return err_set(err, EINVAL,
				"%s: %s and %s: a network has one of IPv4 and one of IPv6", option,
				*to, *s);
		*to = xstrdup(*s);
	}
	return 0;
}

static int sort_pairs(
	char *const *given, const char *option, bool value_needed, char ***ret, struct err *err)
{
	strv_foreach (s, given) {
		const char *equals = strchr(*s, '=');
		cleanup(free) char *key = xstrndup(*s, strcspn(*s, "="));
		if (!*key || (value_needed && !equals))
			return err_set(err, EINVAL, "%s: '%s' is not KEY=VALUE", option, *s);
		map_set(ret, key, equals ? equals + 1 : "");
	}
	return 0;
}

static int to_network(
	const struct create_options *o, const char *name, struct network *n, struct err *err)
{
	int r = sort_families(o->subnet, "--subnet", &n->subnet4, &n->subnet6, err);

	if (r == 0)
		r = sort_families(o->gateway, "--gateway", &n->gateway4, &n->gateway6, err);
	if (r == 0)
		r = sort_families(o->ip_range, "--ip-range", &n->range4, &n->range6, err);
	if (r == 0)
		r = sort_pairs(o->aux, "--aux-address", /* value_needed= */ true, &n->aux, err);
	if (r == 0)
		r = sort_pairs(o->opt, "--opt", /* value_needed= */ true, &n->options, err);
	if (r == 0)
		r = sort_pairs(o->label, "--label", /* value_needed= */ false, &n->labels, err);
	n->name = xstrdup(name);
	n->driver = xstrdup_null(o->driver);
	n->ipv6 = o->ipv6;
	n->internal = o->internal;
	n->attachable = o->attachable;
	return r;
}

static int run(struct cmd_call *call)
{
	cleanup(network_free) struct network *n = xnew(struct network);
	struct err err = { 0 };
	struct db *db;

	if (to_network(call->options, call->args[0], n, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	db = cmd_db(&err);
	if (!db || network_create(db, n, &err) < 0)
		return cmd_fail(&err, 1);
	event_emit("network", "create", n->id,
		(char *[]){ (char *)"name", n->name, (char *)"type", n->driver, NULL });
	puts(n->id);
	return 0;
}

const struct cmd cmd_network_create = {
	.name = "network create",
	.group = "Networks",
	.args = "NETWORK",
	.summary = "Create a network",
	.description =
		"A network is a bridge of its own, apart from all others. Containers on it find each "
		"other by name. The bridge is on the host while a container is on the network.",
	.examples =
		"holm network create backend\n"
		"holm network create --subnet 10.9.0.0/24 --subnet fd09::/64 --gateway 10.9.0.254 lab\n"
		"holm network create --internal db",
	.options = create_option_rows,
	.options_size = sizeof(struct create_options),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
