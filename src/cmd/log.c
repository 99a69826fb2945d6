/* `holm log`, `holm revert` and `holm gc`: what tags have pointed to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "image/tag_log.h"

struct log_options {
	const char *format;
	bool quiet, no_trunc;
};

static const struct cmd_option log_option_rows[] = { OPTION(struct log_options, format, OPT_STR, 0,
							     "format", "FORMAT",
							     "table, json, or a template"),
	OPTION(struct log_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL, "whole ids"),
	OPTION(struct log_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"), OPTION_END };

static const struct output_column columns[] = {
	{ "STATE", "State", false },
	{ "TAG", "Tag", true },
	{ "IMAGE ID", "ID", false },
	{ "SINCE", "SinceText", false },
	{ "UNTIL", "UntilText", false },
	{ "WHY", "Why", false },
	{ NULL, NULL, false },
};

static json_t *row_of(const struct tag_state *s, const struct log_options *o, bool with_tag)
{
	cleanup(free) char *since_text = image_age_text(s->since);
	cleanup(free) char *until_text = s->until ? image_age_text(s->until) : NULL;
	char since[TIME_LEN], until[TIME_LEN] = "";
	json_t *row;

	time_format(s->since, since);
	if (s->until)
		time_format(s->until, until);
	row = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "State", (json_int_t)s->n, "Since", since,
		"SinceText", since_text, "Until", until, "UntilText",
		until_text ? until_text : "now", "Why", s->why);
	json_object_set_new(row, "ID",
		o->no_trunc ? json_string(s->image) : json_stringn(digest_hex(s->image), ID_SHORT));
	if (with_tag) {
		cleanup(free) char *repository = NULL, *tag = NULL;
		image_name_parts(s->name, &repository, &tag);
		json_object_set_new(row, "Tag", json_sprintf("%s:%s", repository, tag));
	}
	return row;
}

static int run_log(struct cmd_call *call)
{
	const struct log_options *o = call->options;
	cleanup(tag_log_clear) struct tag_log log = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || tag_log_read(db, call->args[0], &log, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < log.n; i++)
		json_array_append_new(rows, row_of(&log.items[i], o, !call->args[0]));
	if (output_rows(columns, rows, o->format, "ID", o->quiet, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_log = {
	.name = "log",
	.alias = "image log",
	.group = "Images",
	.args = "[IMAGE[:TAG]]",
	.summary = "Show what a tag has pointed to, when and why; or all tags",
	.description =
		"State 0 is what the tag points to now, 1 what it pointed to before, and so on. 'holm revert' "
		"goes back to a state. Images that a log reaches stay for 14 days after the tag has left them "
		"('holm gc'). A tag that is removed takes its log with it.",
	.examples = "holm log debian:12\nholm log --format '{{.State}} {{.ID}} {{.Why}}' web",
	.options = log_option_rows,
	.options_size = sizeof(struct log_options),
	.max_args = 1,
	.complete = COMPLETE_IMAGE,
	.run = run_log,
};

static int run_revert(struct cmd_call *call)
{
	struct tag_state state;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || tag_log_revert(db, call->args[0], call->args[1], &state, &err) < 0)
		return cmd_fail(&err, 1);
	image_event("tag", state.image, call->args[0]);
	puts(state.image);
	return 0;
}

const struct cmd cmd_revert = {
	.name = "revert",
	.alias = "image revert",
	.group = "Images",
	.args = "IMAGE[:TAG] [STATE]",
	.summary = "Point a tag at what it pointed to before",
	.description =
		"STATE is a number of 'holm log', or the beginning of an image's id (at least four digits); "
		"without it: the state before the present one. Reverting is logged, too: to undo it, revert "
		"once more. Containers keep the image that they were made from.",
	.examples = "holm revert web\nholm revert web:stable 3",
	.min_args = 1,
	.max_args = 2,
	.complete = COMPLETE_IMAGE,
	.complete_more = COMPLETE_NONE,
	.run = run_revert,
};

struct gc_options {
	const char *expire;
	bool quiet;
};

static const struct cmd_option gc_option_rows[] = {
	OPTION(struct gc_options, expire, OPT_STR, 0, "expire", "DURATION",
		"keep what a tag left less than this ago: 48h; now; never (14 days unless given)"),
	OPTION(struct gc_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only say what went wrong"),
	OPTION_END
};

static int parse_expire(const char *text, int64_t *ret, struct err *err)
{
	if (!text)
		*ret = TAG_LOG_KEEP;
	else if (strcmp(text, "now") == 0)
		*ret = 0;
	else if (strcmp(text, "never") == 0)
		*ret = INT64_MAX / 2;
	else if (parse_duration(text, ret) < 0 || *ret < 0)
		return err_set(err, EINVAL,
			"--expire: '%s': expected a duration such as 48h, now or never", text);
	return 0;
}

static int run_gc(struct cmd_call *call)
{
	const struct gc_options *o = call->options;
	cleanup(strv_free) char **report = NULL;
	struct err err = { 0 };
	uint64_t freed = 0, kept = 0;
	int64_t keep;
	struct db *db;

	if (parse_expire(o->expire, &keep, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || image_gc(db, keep, &report, &freed, &err) < 0 ||
		tag_log_kept(db, &kept, &err) < 0)
		return cmd_fail(&err, 1);
	if (o->quiet)
		return 0;
	print_lines(report);
	image_print_kept(kept);
	printf("Total reclaimed space: %s\n", format_size_decimal(freed));
	return 0;
}

const struct cmd cmd_gc = {
	.name = "gc",
	.alias = "image gc",
	.group = "Images",
	.args = "",
	.summary = "Remove images that no name, container or log of a tag reaches",
	.description =
		"Removes images without a name once no tag can be reverted to them any more, and whatever "
		"interrupted commands have left in the store. Named images stay.",
	.examples = "holm gc\nholm gc --expire now",
	.options = gc_option_rows,
	.options_size = sizeof(struct gc_options),
	.run = run_gc,
};
