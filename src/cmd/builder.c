/* `holm builder prune`: what builds keep for the next. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "build/build.h"
#include "cmd/cmd.h"
#include "cmd/output.h"

struct prune_options {
	bool all, force;
	char **filter;
};

static const struct cmd_option options[] = {
	OPTION(struct prune_options, all, OPT_FLAG, 'a', "all", NULL,
		"for scripts made for Docker: everything is removed in any case"),
	OPTION(struct prune_options, filter, OPT_STRV, 0, "filter", "FILTER",
		"until=TIME: only what was last used before that"),
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"), OPTION_END
};

static int parse_filters(char *const *filters, int64_t *before, struct err *err)
{
	static const char *const known[] = { "until", NULL };
	int r = filter_check(filters, known, err);

	strv_foreach (f, filters)
		if (r == 0 && time_parse(*f + 6, before) < 0)
			r = err_set(err, EINVAL,
				"--filter: '%s' is neither a time nor a duration (like 24h)",
				*f + 6);
	return r;
}

static int run(struct cmd_call *call)
{
	const struct prune_options *o = call->options;
	struct build_pruned pruned = { 0 };
	int64_t before = INT64_MAX;
	struct err err = { 0 };
	struct db *db;
	int r = parse_filters(o->filter, &before, &err);

	if (r == 0)
		r = output_confirm(
			o->force, "This removes what builds keep for the next. Go on?", &err);
	if (r <= 0)
		return r < 0 ? cmd_fail(&err, 1) : 0;
	db = cmd_db(&err);
	if (!db || build_prune(db, before, &pruned, &err) < 0)
		return cmd_fail(&err, 1);
	printf("Deleted build cache objects: %llu\nTotal reclaimed space: %s\n",
		(unsigned long long)pruned.entries, format_size_decimal(pruned.bytes));
	return 0;
}

const struct cmd cmd_builder_prune = {
	.name = "builder prune",
	.alias = "buildx prune",
	.group = "Images",
	.args = "",
	.summary = "Remove what builds keep for the next: layers, caches of RUN --mount",
	.description =
		"Images that were built stay. A build that comes after runs all of its steps.",
	.examples = "holm builder prune -f --filter until=24h",
	.options = options,
	.options_size = sizeof(struct prune_options),
	.run = run,
};
