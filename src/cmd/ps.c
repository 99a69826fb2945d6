/* `holm ps`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/ps_row.h"
#include "image/image.h"

struct ps_options {
	bool all, latest, no_trunc, quiet, size, last_given;
	int64_t last;
	char **filter;
	const char *format;
};

static const struct cmd_option ps_option_rows[] = {
	OPTION(struct ps_options, all, OPT_FLAG, 'a', "all", NULL, "stopped ones too"),
	OPTION(struct ps_options, filter, OPT_STRV, 'f', "filter", "KEY=VALUE",
		"only those with id, name, label, status, exited, ancestor, before, since, volume, "
		"network, publish, expose, health"),
	OPTION(struct ps_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template"),
	OPTION_WITH(struct ps_options, last, OPT_INT, 'n', "last", "NUMBER",
		"the last NUMBER created, stopped ones too",
		OPTION_GIVEN(struct ps_options, last_given)),
	OPTION(struct ps_options, latest, OPT_FLAG, 'l', "latest", NULL,
		"the last one created, stopped or not"),
	OPTION(struct ps_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL, "shorten nothing"),
	OPTION(struct ps_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "print ids alone"),
	OPTION(struct ps_options, size, OPT_FLAG, 's', "size", NULL,
		"show how much each has written"),
	OPTION_END,
};

static const char *const filter_keys[] = { "id", "name", "label", "status", "exited", "ancestor",
	"before", "since", "volume", "network", "publish", "expose", "health", "is-task", NULL };

static const struct output_column columns[] = { { "CONTAINER ID", "ID", false },
	{ "IMAGE", "Image", false }, { "COMMAND", "Command", false },
	{ "CREATED", "RunningFor", false }, { "STATUS", "Status", false },
	{ "PORTS", "Ports", false }, { "NAMES", "Names", false }, { "SIZE", "Size", true }, { 0 } };

/* The filters, with what they name looked up once. */
struct filters {
	char *const *given;
	int64_t before, since;        /* creation times; 0: none */
	struct record_list ancestors; /* struct image * as items */
	bool by_status;
};

static const char *filter_value(const char *filter, const char *key)
{
	size_t len = strlen(key);

	return strncmp(filter, key, len) == 0 && filter[len] == '=' ? filter + len + 1 : NULL;
}

static int check_value(const char *filter, struct err *err)
{
	static const struct {
		const char *key;
		const char *values[8];
	} enums[] = { { "status", { "created", "restarting", "running", "removing", "paused",
					  "exited", "dead" } },
		{ "health", { "starting", "healthy", "unhealthy", "none" } },
		{ "is-task", { "true", "false" } } };
	const char *value = filter_value(filter, "exited");
	int64_t code;

	if (value && parse_i64(value, -1, 255, &code) < 0)
		return err_set(err, EINVAL, "--filter: exited: '%s' is not an exit code", value);
	for (size_t i = 0; i < ARRAY_SIZE(enums); i++) {
		bool found = false;
		value = filter_value(filter, enums[i].key);
		for (size_t n = 0; value && n < 8 && enums[i].values[n]; n++)
			found |= strcmp(value, enums[i].values[n]) == 0;
		if (value && !found)
			return err_set(err, EINVAL, "--filter: %s: '%s' is not one of its values",
				enums[i].key, value);
	}
	return 0;
}

static int created_of(struct db *db, const char *name, int64_t *ret, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, name, &i, err);

	if (r == 0)
		*ret = i->config.created;
	return r;
}

static int add_ancestor(struct db *db, const char *name, struct record_list *list)
{
	struct image *image;

	/* An image that is gone has no descendants. */
	if (image_find(db, name, &image, NULL) < 0)
		return 0;
	*(struct image **)record_list_add(list, sizeof(image)) = image;
	return 0;
}

static int prepare(struct db *db, struct filters *f, struct err *err)
{
	strv_foreach (filter, f->given) {
		const char *value;
		int r = check_value(*filter, err);
		if (r == 0 && (value = filter_value(*filter, "before")))
			r = created_of(db, value, &f->before, err);
		if (r == 0 && (value = filter_value(*filter, "since")))
			r = created_of(db, value, &f->since, err);
		if (r == 0 && (value = filter_value(*filter, "ancestor")))
			r = add_ancestor(db, value, &f->ancestors);
		if (r < 0)
			return r;
		f->by_status |= filter_value(*filter, "status") != NULL;
	}
	return 0;
}

static void filters_free(struct filters *f)
{
	for (size_t n = 0; n < f->ancestors.n; n++) {
		image_free(*(struct image **)f->ancestors.items[n]);
		free(f->ancestors.items[n]);
	}
	free(f->ancestors.items);
}
DEFINE_CLEANUP_OBJECT(filters_free, struct filters);

/* Whether the image is the ancestor, or begins with all of its layers. */
static bool descends(struct db *db, const char *image_id, const struct image *ancestor)
{
	cleanup(image_free) struct image *own = NULL;
	size_t n = strv_len(ancestor->diff_ids);

	if (strcmp(image_id, ancestor->id) == 0)
		return true;
	if (!n || image_find(db, image_id, &own, NULL) < 0 || strv_len(own->diff_ids) < n)
		return false;
	for (size_t k = 0; k < n; k++)
		if (strcmp(own->diff_ids[k], ancestor->diff_ids[k]) != 0)
			return false;
	return true;
}

static bool has_filter(const struct filters *f, const char *key)
{
	strv_foreach (filter, f->given)
		if (filter_value(*filter, key))
			return true;
	return false;
}

static bool match_ancestor(struct db *db, const struct filters *f, const struct instance *i)
{
	if (!has_filter(f, "ancestor"))
		return true;
	for (size_t n = 0; n < f->ancestors.n; n++)
		if (descends(db, i->config.image_id, *(struct image **)f->ancestors.items[n]))
			return true;
	return false;
}

/* volume=NAME or volume=PATH, of any mount. */
static bool match_volume(const struct filters *f, const struct instance *i)
{
	if (!has_filter(f, "volume"))
		return true;
	for (size_t n = 0; n < i->config.mounts.n; n++) {
		const struct instance_mount *m = i->config.mounts.items[n];
		if (filter_match(f->given, "volume", m->target) ||
			(m->source && filter_match(f->given, "volume", m->source)))
			return true;
	}
	return false;
}

static bool match_network(const struct filters *f, const struct instance *i)
{
	if (!has_filter(f, "network") || filter_match(f->given, "network", i->config.network_mode))
		return true;
	for (size_t n = 0; n < i->config.networks.n; n++) {
		const struct instance_network *net = i->config.networks.items[n];
		if (filter_match(f->given, "network", net->network))
			return true;
	}
	for (size_t n = 0; n < i->state.endpoints.n; n++) {
		const struct bundle_endpoint *ep = i->state.endpoints.items[n];
		if (filter_match(f->given, "network", ep->network))
			return true;
	}
	return false;
}

/* "80", "80/udp", "8000-8010/tcp" against a port. */
static bool port_in(const char *text, int64_t port, const char *protocol)
{
	cleanup(free) char *range = xstrndup(text, strcspn(text, "/"));
	const char *wanted = text[strlen(range)] ? text + strlen(range) + 1 : "tcp";
	char *dash = strchr(range, '-');
	int64_t first, last;

	if (dash)
		*dash++ = '\0';
	return parse_i64(range, 0, 65535, &first) == 0 &&
	       parse_i64(dash ? dash : range, 0, 65535, &last) == 0 && port >= first &&
	       port <= last && strcmp(wanted, protocol) == 0;
}

static bool match_ports(const struct filters *f, const struct instance *i, const char *key)
{
	bool published = strcmp(key, "publish") == 0;

	if (!has_filter(f, key))
		return true;
	strv_foreach (filter, f->given) {
		const char *value = filter_value(*filter, key);
		if (!value)
			continue;
		for (size_t n = 0; published && n < i->state.ports.n; n++) {
			const struct port *p = i->state.ports.items[n];
			if (port_in(value, p->host_port, p->protocol))
				return true;
		}
		for (char **e = published ? NULL : i->config.exposed; e && *e; e++) {
			int64_t port = strtol(*e, NULL, 10);
			const char *slash = strchr(*e, '/');
			if (port_in(value, port, slash ? slash + 1 : "tcp"))
				return true;
		}
	}
	return false;
}

static bool match(struct db *db, const struct filters *f, const struct instance *i)
{
	cleanup(free) char *code = xasprintf("%" PRId64, i->state.exit_code);
	bool ended = strcmp(i->state.status, "exited") == 0;
	const char *health = i->state.health ? i->state.health : "none";

	return filter_match(f->given, "id", i->config.id) &&
	       filter_match(f->given, "name", i->config.name) &&
	       filter_labels(f->given, i->config.labels) &&
	       filter_match(f->given, "status", i->state.status) &&
	       filter_match(f->given, "health", health) &&
	       filter_match(f->given, "is-task", "false") &&
	       (!has_filter(f, "exited") || (ended && filter_match(f->given, "exited", code))) &&
	       (!f->before || i->config.created < f->before) &&
	       (!f->since || i->config.created > f->since) && match_volume(f, i) &&
	       match_network(f, i) && match_ports(f, i, "publish") && match_ports(f, i, "expose") &&
	       match_ancestor(db, f, i);
}

static int list(const struct ps_options *o, struct err *err)
{
	cleanup(instance_list_free) struct instance_list instances = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	cleanup(filters_free) struct filters f = { .given = o->filter };
	int64_t most = o->latest ? 1 : o->last_given && o->last >= 0 ? o->last : INT64_MAX;
	bool all = o->all || most != INT64_MAX;
	struct db *db = cmd_db(err);
	int r = db ? prepare(db, &f, err) : -EIO;

	if (r == 0)
		r = instance_list(db, &instances, err);
	if (r < 0)
		return r;
	for (size_t n = 0; n < instances.n && most > 0; n++) {
		const struct instance *i = instances.items[n];
		bool shown = all || f.by_status || instance_active(i);
		if (!shown || !match(db, &f, i))
			continue;
		json_array_append_new(rows, ps_row(db, i, !o->no_trunc, o->size));
		most--;
	}
	return output_rows(columns, rows, o->format, "ID", o->quiet, err);
}

static int run(struct cmd_call *call)
{
	const struct ps_options *o = call->options;
	struct err err = { 0 };

	if (filter_check(o->filter, filter_keys, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	return list(o, &err) < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_ps = {
	.name = "ps",
	.alias = "container ls, container ps, container list",
	.group = "Instances",
	.args = "",
	.summary = "List containers",
	.description =
		"Running ones, unless --all, --last, --latest or a filter by status asks for more.",
	.examples =
		"holm ps -a\nholm ps -q --filter label=app=web\nholm ps --format '{{.Names}}: {{.Status}}'",
	.options = ps_option_rows,
	.options_size = sizeof(struct ps_options),
	.run = run,
};
