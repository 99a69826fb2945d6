/* `holm network ls, inspect, rm, prune, connect, disconnect`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/inspect.h"
#include "cmd/machine_net.h"
#include "cmd/output.h"
#include "cmd/verbs.h"
#include "instance/event.h"
#include "instance/instance.h"
#include "net/net.h"

static void networks_free(struct record_list *list)
{
	while (list->n)
		record_list_remove(list, list->n - 1, network_fields);
	free(list->items);
	list->items = NULL;
}
DEFINE_CLEANUP_OBJECT(networks_free, struct record_list);

static void emit(const char *action, const struct network *n, const char *container)
{
	char *attributes[] = { (char *)"name", n->name, (char *)"type", n->driver,
		container ? (char *)"container" : NULL, (char *)container, NULL };

	event_emit("network", action, n->id, attributes);
}

/* Whether any instance, running or not, is to be on it. */
static bool is_used(const struct instance_list *instances, const struct network *n)
{
	for (size_t i = 0; i < instances->n; i++) {
		const struct record_list *on = &instances->items[i]->config.networks;
		for (size_t k = 0; k < on->n; k++) {
			const struct instance_network *in = on->items[k];
			if (strcmp(in->network, n->name) == 0 || strcmp(in->network, n->id) == 0)
				return true;
		}
	}
	return false;
}

/* ls */

struct ls_options {
	char **filter;
	const char *format;
	bool no_trunc, quiet;
};

static const struct cmd_option ls_option_rows[] = {
	OPTION(struct ls_options, filter, OPT_STRV, 'f', "filter", "KEY=VALUE",
		"only those: driver, id, label, name, scope, type (custom, builtin), dangling"),
	OPTION(struct ls_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json or a template"),
	OPTION(struct ls_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL, "do not cut ids"),
	OPTION(struct ls_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"),
	OPTION_END,
};

static const struct output_column ls_columns[] = {
	{ "NETWORK ID", "ID", false },
	{ "NAME", "Name", false },
	{ "DRIVER", "Driver", false },
	{ "SCOPE", "Scope", false },
	{ NULL, NULL, false },
};

/* Docker calls the driver of its network "none" so. */
static const char *shown_driver(const struct network *n)
{
	return strcmp(n->driver, "none") == 0 ? "null" : n->driver;
}

static bool ls_passes(
	const struct network *n, char *const *filter, const struct instance_list *instances)
{
	return filter_match(filter, "driver", shown_driver(n)) &&
	       filter_match(filter, "id", n->id) && filter_match(filter, "name", n->name) &&
	       filter_match(filter, "scope", "local") &&
	       filter_match(filter, "type", n->builtin ? "builtin" : "custom") &&
	       filter_match(filter, "dangling",
		       !n->builtin && !is_used(instances, n) ? "true" : "false") &&
	       filter_labels(filter, n->labels);
}

static json_t *ls_row(const struct network *n, bool whole_id)
{
	cleanup(buf_free) struct buf labels = { 0 };
	char created[TIME_LEN], id[ID_LEN + 1];

	time_format(n->created, created);
	snprintf(id, sizeof(id), "%.*s", whole_id ? ID_LEN : ID_SHORT, n->id);
	map_foreach (kv, n->labels)
		buf_addf(&labels, "%s%s=%s", labels.len ? "," : "", kv[0], kv[1]);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "Name", n->name,
		"Driver", shown_driver(n), "Scope", "local", "CreatedAt", created, "IPv4",
		n->subnet4 ? "true" : "false", "IPv6", n->ipv6 ? "true" : "false", "Internal",
		n->internal ? "true" : "false", "Labels", labels.data ? labels.data : "");
}

static int ls_run(struct cmd_call *call)
{
	static const char *const known[] = { "driver", "id", "label", "name", "scope", "type",
		"dangling", NULL };
	const struct ls_options *o = call->options;
	cleanup(networks_free) struct record_list networks = { 0 };
	cleanup(instance_list_free) struct instance_list instances = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int r;

	if (!db || filter_check(o->filter, known, &err) < 0 ||
		network_list(db, &networks, &err) < 0)
		return cmd_fail(&err, 1);
	strv_foreach (f, o->filter) {
		if (strncmp(*f, "dangling=", 9) == 0 && !instances.items &&
			instance_list(db, &instances, &err) < 0)
			return cmd_fail(&err, 1);
	}
	for (size_t i = 0; i < networks.n; i++) {
		if (ls_passes(networks.items[i], o->filter, &instances))
			json_array_append_new(rows, ls_row(networks.items[i], o->no_trunc));
	}
	r = output_rows(ls_columns, rows, o->format, "ID", o->quiet, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_network_ls = {
	.name = "network ls",
	.alias = "network list",
	.group = "Networks",
	.args = "",
	.summary = "List networks",
	.examples = "holm network ls\nholm network ls --filter type=custom -q",
	.options = ls_option_rows,
	.options_size = sizeof(struct ls_options),
	.run = ls_run,
};

/* inspect */

struct inspect_options {
	const char *format;
	bool verbose;
};

static const struct cmd_option inspect_option_rows[] = {
	OPTION(struct inspect_options, format, OPT_STR, 'f', "format", "FORMAT", "a template"),
	OPTION(struct inspect_options, verbose, OPT_FLAG, 'v', "verbose", NULL,
		"accepted as Docker's: there is no more to say"),
	OPTION_END,
};

json_t *inspect_network(struct db *db, const char *name, struct err *err)
{
	cleanup(network_free) struct network *n = NULL;

	return network_find(db, name, &n, err) < 0 ? NULL : network_inspect(db, n);
}

static int inspect_run(struct cmd_call *call)
{
	return output_inspect_each(
		call, ((struct inspect_options *)call->options)->format, inspect_network);
}

const struct cmd cmd_network_inspect = {
	.name = "network inspect",
	.group = "Networks",
	.args = "NETWORK...",
	.summary = "Show all that is known of networks, and who is on them",
	.examples = "holm network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' bridge",
	.options = inspect_option_rows,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_NETWORK,
	.run = inspect_run,
};

/* rm */

struct rm_options {
	bool force;
};

static const struct cmd_option rm_option_rows[] = {
	OPTION(struct rm_options, force, OPT_FLAG, 'f', "force", NULL,
		"a missing network is no failure"),
	OPTION_END,
};

static int rm_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	const struct rm_options *o = call->options;
	cleanup(network_free) struct network *n = NULL;
	int r = network_find(db, name, &n, err);

	if (r == -ENOENT && o->force)
		return 0;
	if (r == 0)
		r = network_remove(db, n->id, err);
	/* A machine that died is on it for as long as nobody looks. */
	if (r == -EBUSY && machine_nets_sweep(db, err) == 0)
		r = network_remove(db, n->id, err);
	if (r < 0)
		return r;
	emit("destroy", n, NULL);
	puts(name);
	return 0;
}

static int rm_run(struct cmd_call *call)
{
	return cmd_each(call, /* echo= */ false, rm_one);
}

const struct cmd cmd_network_rm = {
	.name = "network rm",
	.alias = "network remove",
	.group = "Networks",
	.args = "NETWORK...",
	.summary = "Remove networks",
	.description = "A network that running containers are on is not removed.",
	.options = rm_option_rows,
	.options_size = sizeof(struct rm_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_NETWORK,
	.run = rm_run,
};

/* prune */

struct prune_options {
	bool force;
	char **filter;
};

static const struct cmd_option prune_option_rows[] = {
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"),
	OPTION(struct prune_options, filter, OPT_STRV, 0, "filter", "KEY=VALUE",
		"only those: label, until (older than a time or duration)"),
	OPTION_END,
};

static int parse_until(char *const *filter, int64_t *ret, struct err *err)
{
	strv_foreach (f, filter) {
		if (strncmp(*f, "until=", 6) == 0 && time_parse(*f + 6, ret) < 0)
			return err_set(err, EINVAL,
				"--filter until: '%s' is neither a time nor a duration", *f + 6);
	}
	return 0;
}

static int prune(struct db *db, char *const *filter, int64_t until, struct err *err)
{
	cleanup(networks_free) struct record_list networks = { 0 };
	cleanup(instance_list_free) struct instance_list instances = { 0 };
	bool any = false;
	int r = instance_list(db, &instances, err);

	if (r == 0)
		r = network_list(db, &networks, err);
	for (size_t i = 0; r == 0 && i < networks.n; i++) {
		const struct network *n = networks.items[i];
		if (n->builtin || is_used(&instances, n) || !filter_labels(filter, n->labels) ||
			(until && n->created >= until))
			continue;
		r = network_remove(db, n->id, err);
		if (r == -EBUSY) {
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		emit("destroy", n, NULL);
		printf("%s%s\n", any ? "" : "Deleted Networks:\n", n->name);
		any = true;
	}
	return r;
}

static int prune_run(struct cmd_call *call)
{
	static const char *const known[] = { "label", "until", NULL };
	const struct prune_options *o = call->options;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int64_t until = 0;
	int r;

	if (!db || filter_check(o->filter, known, &err) < 0 ||
		parse_until(o->filter, &until, &err) < 0)
		return cmd_fail(&err, 1);
	r = output_confirm(
		o->force, "This will remove all networks that no container uses. Continue?", &err);
	if (r > 0)
		r = prune(db, o->filter, until, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_network_prune = {
	.name = "network prune",
	.group = "Networks",
	.args = "",
	.summary = "Remove all networks that no container uses",
	.description =
		"A network that a stopped container is to be on when it runs again counts as used.",
	.options = prune_option_rows,
	.options_size = sizeof(struct prune_options),
	.run = prune_run,
};

/* connect, disconnect */

struct connect_options {
	char **alias;
	const char *ip, *ip6, *mac;
};

static const struct cmd_option connect_option_rows[] = {
	OPTION(struct connect_options, alias, OPT_STRV, 0, "alias", "NAME",
		"one more name for it on this network"),
	OPTION(struct connect_options, ip, OPT_STR, 0, "ip", "ADDRESS", "its IPv4 address"),
	OPTION(struct connect_options, ip6, OPT_STR, 0, "ip6", "ADDRESS", "its IPv6 address"),
	OPTION(struct connect_options, mac, OPT_STR, 0, "mac-address", "MAC", "its link's address"),
	OPTION_END,
};

static int connect_run(struct cmd_call *call)
{
	const struct connect_options *o = call->options;
	cleanup(network_free) struct network *n = NULL;
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	struct instance_network wanted = { .network = call->args[0],
		.aliases = o->alias,
		.address4 = (char *)o->ip,
		.address6 = (char *)o->ip6,
		.mac = (char *)o->mac };

	if (!db || network_find(db, call->args[0], &n, &err) < 0 ||
		instance_find(db, call->args[1], &i, &err) < 0 ||
		instance_network_connect(db, i, &wanted, &err) < 0)
		return cmd_fail(&err, 1);
	emit("connect", n, i->config.id);
	return 0;
}

const struct cmd cmd_network_connect = {
	.name = "network connect",
	.group = "Networks",
	.args = "NETWORK CONTAINER",
	.summary = "Connect a container to a network",
	.description =
		"A running container gets one more link at once; a stopped one when it starts.",
	.examples = "holm network connect --alias db backend postgres",
	.options = connect_option_rows,
	.options_size = sizeof(struct connect_options),
	.min_args = 2,
	.max_args = 2,
	.complete = COMPLETE_NETWORK,
	.run = connect_run,
};

struct disconnect_options {
	bool force;
};

static const struct cmd_option disconnect_option_rows[] = {
	OPTION(struct disconnect_options, force, OPT_FLAG, 'f', "force", NULL,
		"not to be on the network is no failure"),
	OPTION_END,
};

static int disconnect_run(struct cmd_call *call)
{
	const struct disconnect_options *o = call->options;
	cleanup(network_free) struct network *n = NULL;
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || network_find(db, call->args[0], &n, &err) < 0 ||
		instance_find(db, call->args[1], &i, &err) < 0 ||
		instance_network_disconnect(db, i, n->id, o->force, &err) < 0)
		return cmd_fail(&err, 1);
	emit("disconnect", n, i->config.id);
	return 0;
}

const struct cmd cmd_network_disconnect = {
	.name = "network disconnect",
	.group = "Networks",
	.args = "NETWORK CONTAINER",
	.summary = "Disconnect a container from a network",
	.options = disconnect_option_rows,
	.options_size = sizeof(struct disconnect_options),
	.min_args = 2,
	.max_args = 2,
	.complete = COMPLETE_NETWORK,
	.run = disconnect_run,
};
