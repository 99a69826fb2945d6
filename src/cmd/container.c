/* `holm container prune`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "instance/instance.h"

struct prune_options {
	bool force;
	char **filter;
};

static const struct cmd_option prune_option_rows[] = {
	OPTION(struct prune_options, filter, OPT_STRV, 0, "filter", "KEY=VALUE",
		"only those with until=TIME (created before), label=KEY[=VALUE]"),
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"),
	OPTION_END,
};

static const char *const filter_keys[] = { "until", "label", "label!", NULL };

/* The earliest `until`; INT64_MAX without one. */
static int parse_until(char *const *filters, int64_t *ret, struct err *err)
{
	int64_t until = INT64_MAX, t;

	strv_foreach (f, filters) {
		if (strncmp(*f, "until=", 6) != 0)
			continue;
		if (time_parse(*f + 6, &t) < 0)
			return err_set(err, EINVAL,
				"--filter: until: '%s' is neither a time nor a "
				"duration (like 24h)",
				*f + 6);
		until = t < until ? t : until;
	}
	*ret = until;
	return 0;
}

/* Errors of single containers, which may be started or removed meanwhile, stop nothing. */
static int prune(const struct prune_options *o, int64_t until, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	struct db *db = cmd_db(err);
	uint64_t freed = 0, bytes;
	bool any = false;
	int r = db ? instance_list(db, &list, err) : -EIO;

	if (r < 0)
		return r;
	for (size_t n = 0; n < list.n; n++) {
		struct instance *i = list.items[n];
		cleanup(free) char *upper = xasprintf("%s/upper", i->dir);
		if (instance_active(i) || i->config.created >= until ||
			!filter_labels(o->filter, i->config.labels))
			continue;
		bytes = 0;
		dir_usage(AT_FDCWD, upper, &bytes);
		if (instance_remove(db, i, /* force= */ false, /* volumes= */ false, NULL) < 0)
			continue;
		if (!any)
			puts("Deleted Containers:");
		any = true;
		puts(i->config.id);
		freed += bytes;
	}
	printf("%sTotal reclaimed space: %s\n", any ? "\n" : "", format_size_decimal(freed));
	return 0;
}

static int run(struct cmd_call *call)
{
	const struct prune_options *o = call->options;
	struct err err = { 0 };
	int64_t until = INT64_MAX;
	int r;

	if (filter_check(o->filter, filter_keys, &err) < 0 ||
		parse_until(o->filter, &until, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	r = output_confirm(o->force, "This removes all stopped containers. Go on?", &err);
	if (r > 0)
		r = prune(o, until, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_container_prune = {
	.name = "container prune",
	.group = "Instances",
	.args = "",
	.summary = "Remove all stopped containers",
	.options = prune_option_rows,
	.options_size = sizeof(struct prune_options),
	.run = run,
};
