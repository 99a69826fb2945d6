/* `holm image bootstrap|inspect|prune` and `holm history`: what is only said of images. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/inspect.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "image/tag_log.h"

struct bootstrap_options {
	const char *suite, *variant, *arch, *keyring;
	char **mirror, **package;
	bool quiet;
};

static const struct cmd_option bootstrap_options[] = {
	OPTION(struct bootstrap_options, arch, OPT_STR, 0, "arch", "ARCH",
		"Debian's name of the architecture, such as arm64"),
	OPTION_WITH(struct bootstrap_options, keyring, OPT_STR, 0, "keyring", "FILE",
		"keys that sign the packages", .complete = COMPLETE_FILE),
	OPTION(struct bootstrap_options, mirror, OPT_STRV, 'm', "mirror", "URL",
		"where packages come from; or a line \"deb URL SUITE main\""),
	OPTION(struct bootstrap_options, package, OPT_STRV, 'p', "package", "LIST",
		"more packages, with commas between them"),
	OPTION(struct bootstrap_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only print the id"),
	OPTION(struct bootstrap_options, suite, OPT_STR, 's', "suite", "NAME",
		"the suite, where the image's name does not say it"),
	OPTION(struct bootstrap_options, variant, OPT_STR, 0, "variant", "NAME",
		"mmdebstrap's: minbase (the default), essential, apt, buildd, ..."),
	OPTION_END
};

static int run_bootstrap(struct cmd_call *call)
{
	const struct bootstrap_options *o = call->options;
	const struct image_bootstrap what = { .name = call->args[0],
		.suite = o->suite,
		.mirrors = o->mirror,
		.packages = o->package,
		.variant = o->variant,
		.architecture = o->arch,
		.keyring = o->keyring };
	cleanup(free) char *about = xasprintf("making %s", call->args[0]);
	char id[DIGEST_LEN + 1];
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int r;

	if (!db)
		return cmd_fail(&err, 1);
	r = image_bootstrap(db, &what, o->quiet ? NULL : image_progress, about, id, &err);
	progress_end();
	if (r < 0)
		return cmd_fail(&err, 1);
	image_event("import", id, what.name);
	puts(id);
	return 0;
}

const struct cmd cmd_image_bootstrap = {
	.name = "image bootstrap",
	.group = "Images",
	.args = "NAME[:TAG]",
	.summary = "Make a base image from packages, without a registry",
	.description =
		"Runs mmdebstrap for the suite that the name says: debian:12, debian:bookworm, ubuntu:24.04. "
		"Packages come from where this host's apt gets them, else from the distribution's servers.",
	.examples =
		"holm image bootstrap debian:12\n"
		"holm image bootstrap --package ca-certificates,curl debian:13\n"
		"holm image bootstrap --suite sid --mirror http://mirror.example/debian base:sid",
	.options = bootstrap_options,
	.options_size = sizeof(struct bootstrap_options),
	.min_args = 1,
	.max_args = 1,
	.run = run_bootstrap,
};

struct inspect_options {
	const char *format;
};

static const struct cmd_option inspect_options[] = { OPTION(struct inspect_options, format, OPT_STR,
							     'f', "format", "FORMAT",
							     "json, or a template"),
	OPTION_END };

json_t *inspect_image(struct db *db, const char *name, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;

	return image_find(db, name, &image, err) < 0 ? NULL : image_inspect_json(image);
}

static int run_inspect(struct cmd_call *call)
{
	return output_inspect_each(
		call, ((struct inspect_options *)call->options)->format, inspect_image);
}

const struct cmd cmd_image_inspect = {
	.name = "image inspect",
	.group = "Images",
	.args = "IMAGE...",
	.summary = "Show all that is known of images",
	.examples = "holm image inspect -f '{{.Config.Cmd}}' debian:12",
	.options = inspect_options,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_IMAGE,
	.run = run_inspect,
};

struct prune_options {
	bool all, force;
	char **filter;
};

static const struct cmd_option prune_options[] = {
	OPTION(struct prune_options, all, OPT_FLAG, 'a', "all", NULL,
		"all images that no container uses, not only those without a name"),
	OPTION(struct prune_options, filter, OPT_STRV, 0, "filter", "KEY=VALUE",
		"only those: label=, until="),
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"), OPTION_END
};

static const char *const prune_filters[] = { "label", "until", NULL };

struct prune_choice {
	char *const *filters;
	int64_t until; /* ns; 0: none */
};

static bool wanted(void *data, const struct image *image)
{
	const struct prune_choice *choice = data;

	return (!choice->until || image->created < choice->until) &&
	       filter_labels(choice->filters, image->config.config.labels);
}

static int parse_choice(char *const *filters, struct prune_choice *ret, struct err *err)
{
	int r = filter_check(filters, prune_filters, err);

	if (r < 0)
		return r;
	ret->filters = filters;
	strv_foreach (f, filters)
		if (strncmp(*f, "until=", 6) == 0 && time_parse(*f + 6, &ret->until) < 0)
			return err_set(err, EINVAL,
				"--filter: '%s': expected a time, or a duration such as 24h", *f);
	return 0;
}

static int run_prune(struct cmd_call *call)
{
	const struct prune_options *o = call->options;
	cleanup(strv_free) char **report = NULL;
	cleanup(free) char *size = NULL;
	struct prune_choice choice = { 0 };
	struct err err = { 0 };
	uint64_t freed, kept = 0;
	struct db *db;
	int r = parse_choice(o->filter, &choice, &err);

	if (r < 0)
		return cmd_fail(&err, 1);
	r = output_confirm(o->force,
		o->all ? "This removes all images that no container uses. Go on?"
		       : "This removes all images without a name that no container uses. Go on?",
		&err);
	if (r <= 0)
		return r < 0 ? cmd_fail(&err, 1) : 0;
	db = cmd_db(&err);
	if (!db || image_prune_matching(db, o->all, wanted, &choice, &report, &freed, &err) < 0 ||
		tag_log_kept(db, &kept, &err) < 0)
		return cmd_fail(&err, 1);
	if (report) {
		puts("Deleted Images:");
		print_lines(report);
		putchar('\n');
	}
	image_print_kept(kept);
	size = image_size_text(freed);
	printf("Total reclaimed space: %s\n", size);
	image_event("prune", "", "");
	return 0;
}

const struct cmd cmd_image_prune = {
	.name = "image prune",
	.group = "Images",
	.args = "",
	.summary = "Remove images that nothing uses",
	.examples = "holm image prune -f\nholm image prune -af --filter until=240h",
	.options = prune_options,
	.options_size = sizeof(struct prune_options),
	.run = run_prune,
};

struct history_options {
	bool quiet, no_trunc;
	const char *format;
};

static const struct cmd_option history_options[] = {
	OPTION(struct history_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template"),
	OPTION(struct history_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL,
		"whole commands and ids"),
	OPTION(struct history_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"), OPTION_END
};

static const struct output_column history_columns[] = {
	{ "IMAGE", "ID", false },
	{ "CREATED", "CreatedSince", false },
	{ "CREATED BY", "CreatedBy", false },
	{ "SIZE", "Size", false },
	{ "COMMENT", "Comment", false },
	{ NULL, NULL, false },
};

#define CREATED_BY_SHOWN 45

/* The sizes of an image's layers, bottom first, in a JSON array. */
static json_t *layer_sizes(struct db *db, const struct image *image)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT l.size FROM image_layer i JOIN layer l USING (diff_id) WHERE i.image = ? ORDER BY i.n");
	json_t *sizes = json_array();

	db_text(&q, 1, image->id);
	while (db_step(&q, NULL) > 0)
		json_array_append_new(sizes, json_integer(db_get_int(&q, 0)));
	return sizes;
}

static json_t *history_row(const struct image *image, const struct image_history *h, bool top,
	int64_t size, const struct history_options *o)
{
	cleanup(free) char *age = image_age_text(h->created);
	cleanup(free) char *size_text = image_size_text((uint64_t)size);
	const char *by = h->created_by ? h->created_by : "";
	char created[TIME_LEN];
	json_t *row;

	time_format(h->created, created);
	row = json_pack("{s:s, s:s, s:s, s:s}", "CreatedAt", created, "CreatedSince", age, "Size",
		size_text, "Comment", h->comment ? h->comment : "");
	if (!o->no_trunc && strlen(by) > CREATED_BY_SHOWN)
		json_object_set_new(
			row, "CreatedBy", json_sprintf("%.*s…", CREATED_BY_SHOWN - 1, by));
	else
		json_object_set_new(row, "CreatedBy", json_string(by));
	if (!json_object_get(row, "CreatedBy"))
		json_object_set_new(row, "CreatedBy", json_string("")); /* cut within a character */
	json_object_set_new(row, "ID",
		!top          ? json_string("<missing>")
		: o->no_trunc ? json_string(image->id)
			      : json_stringn(digest_hex(image->id), ID_SHORT));
	return row;
}

static int run_history(struct cmd_call *call)
{
	const struct history_options *o = call->options;
	cleanup(image_free) struct image *image = NULL;
	cleanup(json_free) json_t *rows = json_array();
	cleanup(json_free) json_t *sizes = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	size_t layer = 0;

	if (!db || image_find(db, call->args[0], &image, &err) < 0)
		return cmd_fail(&err, 1);
	sizes = layer_sizes(db, image);
	for (size_t i = 0; i < image->config.history.n; i++) {
		const struct image_history *h = image->config.history.items[i];
		int64_t size =
			h->empty_layer ? 0 : json_integer_value(json_array_get(sizes, layer++));
		bool top = i + 1 == image->config.history.n;
		json_array_insert_new(rows, 0, history_row(image, h, top, size, o));
	}
	if (output_rows(history_columns, rows, o->format, "ID", o->quiet, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_history = {
	.name = "history",
	.alias = "image history",
	.group = "Images",
	.args = "IMAGE",
	.summary = "Show how an image was made",
	.options = history_options,
	.options_size = sizeof(struct history_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_IMAGE,
	.run = run_history,
};
