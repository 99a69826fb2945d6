/* `holm port`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "cmd/verbs.h"
#include "instance/instance.h"

/* "80" or "80/udp". */
static int parse(const char *text, int64_t *port, const char **protocol, struct err *err)
{
	cleanup(free) char *number = xstrndup(text, strcspn(text, "/"));

	*protocol = text[strlen(number)] ? text + strlen(number) + 1 : "tcp";
	if (parse_i64(number, 1, 65535, port) < 0 ||
		(strcmp(*protocol, "tcp") != 0 && strcmp(*protocol, "udp") != 0))
		return err_set(err, EINVAL, "'%s' is not PORT[/PROTOCOL]", text);
	return 0;
}

static void print_one(const struct port *p, const char *address, bool all)
{
	bool six = strchr(address, ':');

	if (all)
		printf("%lld/%s -> ", (long long)p->port, p->protocol);
	printf("%s%s%s:%lld\n", six ? "[" : "", address, six ? "]" : "", (long long)p->host_port);
}

static int run(struct cmd_call *call)
{
	cleanup(instance_free) struct instance *i = NULL;
	bool all = call->n_args == 1, found = all;
	const char *protocol = NULL;
	struct err err = { 0 };
	int64_t port = 0;
	struct db *db;

	if (!all && parse(call->args[1], &port, &protocol, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || instance_find(db, call->args[0], &i, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t n = 0; n < i->state.ports.n; n++) {
		const struct port *p = i->state.ports.items[n];
		if (!all && (p->port != port || strcmp(p->protocol, protocol) != 0))
			continue;
		found = true;
		print_one(p, p->host_ip && *p->host_ip ? p->host_ip : "0.0.0.0", all);
		if (!p->host_ip || !*p->host_ip)
			print_one(p, "::", all);
	}
	if (found)
		return 0;
	err_set(&err, ENOENT, "container %s publishes no port %lld/%s", i->config.name,
		(long long)port, protocol);
	return cmd_fail(&err, 1);
}

const struct cmd cmd_port = {
	.name = "port",
	.alias = "container port",
	.group = "Instances",
	.args = "CONTAINER [PORT[/PROTOCOL]]",
	.summary = "Show where a container's ports are published",
	.min_args = 1,
	.max_args = 2,
	.complete = COMPLETE_INSTANCE,
	.complete_more = COMPLETE_NONE,
	.run = run,
};

struct compose_port_options {
	const char *protocol;
	int64_t index;
};

static const char *const protocols[] = { "tcp", "udp", NULL };
static const struct cmd_option compose_port_rows[] = {
	OPTION(struct compose_port_options, index, OPT_INT, 0, "index", "NUMBER",
		"which of the service's containers (the first)"),
	OPTION_WITH(struct compose_port_options, protocol, OPT_STR, 0, "protocol", "PROTOCOL",
		"tcp (the default) or udp", .choices = protocols),
	OPTION_END,
};

static int run_compose(struct cmd_call *call)
{
	const struct compose_port_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	cleanup(free) char *container = NULL;
	struct err err = { 0 };
	const char *protocol;
	int64_t port = 0;
	struct db *db;

	if (parse(call->args[1], &port, &protocol, &err) < 0 ||
		compose_container(call->args[0], o->index, &container, &err) < 0)
		return cmd_fail(&err, 1);
	protocol = o->protocol ?: protocol;
	db = cmd_db(&err);
	if (!db || instance_find(db, container, &i, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t n = 0; n < i->state.ports.n; n++) {
		const struct port *p = i->state.ports.items[n];
		if (p->port != port || strcmp(p->protocol, protocol) != 0)
			continue;
		print_one(p, p->host_ip && *p->host_ip ? p->host_ip : "0.0.0.0", false);
		return 0;
	}
	err_set(&err, ENOENT, "container %s publishes no port %lld/%s", i->config.name,
		(long long)port, protocol);
	return cmd_fail(&err, 1);
}

const struct cmd cmd_compose_port = {
	.name = "compose port",
	.group = "Compose",
	.args = "SERVICE PORT[/PROTOCOL]",
	.summary = "Show where a service's port is published",
	.options = compose_port_rows,
	.options_size = sizeof(struct compose_port_options),
	.min_args = 2,
	.max_args = 2,
	.run = run_compose,
};
