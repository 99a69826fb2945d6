/* `holm images`: one row for each name of an image, as Docker. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"

struct images_options {
	bool all, quiet, no_trunc, digests;
	char **filter;
	const char *format;
};

static const struct cmd_option options[] = {
	OPTION(struct images_options, all, OPT_FLAG, 'a', "all", NULL,
		"show all images (there are no hidden ones: as Docker's)"),
	OPTION(struct images_options, digests, OPT_FLAG, 0, "digests", NULL,
		"show the manifests' digests"),
	OPTION(struct images_options, filter, OPT_STRV, 'f', "filter", "KEY=VALUE",
		"only those: reference=, dangling=, label=, before=, since="),
	OPTION(struct images_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template"),
	OPTION(struct images_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL, "whole ids"),
	OPTION(struct images_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"), OPTION_END
};

static const char *const known_filters[] = { "reference", "dangling", "label", "before", "since",
	NULL };

static const struct output_column columns[] = {
	{ "REPOSITORY", "Repository", false },
	{ "TAG", "Tag", false },
	{ "DIGEST", "Digest", true },
	{ "IMAGE ID", "ID", false },
	{ "CREATED", "CreatedSince", false },
	{ "SIZE", "Size", false },
	{ NULL, NULL, false },
};

/* What before= and since= come to. */
struct range {
	int64_t before, since; /* ns; 0: none */
};

static int find_range(struct db *db, char *const *filters, struct range *ret, struct err *err)
{
	strv_foreach (f, filters) {
		cleanup(image_free) struct image *image = NULL;
		bool before = strncmp(*f, "before=", 7) == 0;
		int r;
		if (!before && strncmp(*f, "since=", 6) != 0)
			continue;
		r = image_find(db, strchr(*f, '=') + 1, &image, err);
		if (r < 0)
			return r;
		*(before ? &ret->before : &ret->since) = image->created;
	}
	return 0;
}

static int check_dangling(char *const *filters, struct err *err)
{
	bool value;

	strv_foreach (f, filters)
		if (strncmp(*f, "dangling=", 9) == 0 && parse_bool(*f + 9, &value) < 0)
			return err_set(err, EINVAL, "--filter: '%s': expected true or false", *f);
	return 0;
}

static bool passes(const struct image *image, char *const *filters, const struct range *range)
{
	if ((range->before && image->created >= range->before) ||
		(range->since && image->created <= range->since))
		return false;
	strv_foreach (f, filters) {
		bool dangling;
		if (strncmp(*f, "dangling=", 9) == 0 && parse_bool(*f + 9, &dangling) == 0 &&
			dangling != !image->names)
			return false;
	}
	return filter_labels(filters, image->config.config.labels);
}

/* A pattern is for the repository or, with a tag in it, for both; any of several will do. */
static bool name_passes(const char *repository, const char *tag, char *const *patterns)
{
	cleanup(free) char *both = xasprintf("%s:%s", repository, tag);

	if (!patterns)
		return true;
	strv_foreach (p, patterns)
		if (fnmatch(*p, repository, FNM_PATHNAME) == 0 ||
			fnmatch(*p, both, FNM_PATHNAME) == 0)
			return true;
	return false;
}

static void add_row(json_t *rows, const struct image *image, const char *repository,
	const char *tag, const struct images_options *o)
{
	cleanup(free) char *size = image_size_text((uint64_t)image->size);
	cleanup(free) char *created = image_time_text(image->created);
	cleanup(free) char *age = image_age_text(image->created);
	bool in_table = output_is_table(o->format);
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Containers",
		"N/A", "CreatedAt", created, "CreatedSince", age, "Repository", repository,
		"SharedSize", "N/A", "Size", size, "Tag", tag, "UniqueSize", "N/A", "VirtualSize",
		size);

	json_object_set_new(row, "ID",
		o->no_trunc ? json_string(image->id)
			    : json_stringn(digest_hex(image->id), ID_SHORT));
	if (o->digests || !in_table)
		json_object_set_new(row, "Digest",
			json_string(strcmp(repository, "<none>") ? image->manifest : "<none>"));
	json_array_append_new(rows, row);
}

static void add_image(json_t *rows, const struct image *image, char *const *patterns,
	const struct images_options *o)
{
	strv_foreach (name, image->names) {
		cleanup(free) char *repository = NULL, *tag = NULL;
		image_name_parts(*name, &repository, &tag);
		if (name_passes(repository, tag, patterns))
			add_row(rows, image, repository, tag, o);
	}
	if (!image->names && !patterns)
		add_row(rows, image, "<none>", "<none>", o);
}

static char **patterns_of(const struct cmd_call *call, char *const *filters)
{
	char **patterns = NULL;

	for (size_t i = 0; i < call->n_args; i++) {
		cleanup(free) char *repository = NULL, *tag = NULL;
		/* "docker.io/library/debian" is written "debian" in the rows; a glob stays as it is. */
		image_name_parts(call->args[i], &repository, &tag);
		if (strpbrk(call->args[i], "*?["))
			strv_add(&patterns, call->args[i]);
		else if (strchr(strrchr(call->args[i], '/') ? strrchr(call->args[i], '/')
							    : call->args[i],
				 ':'))
			strv_addf(&patterns, "%s:%s", repository, tag);
		else
			strv_add(&patterns, repository);
	}
	strv_foreach (f, filters)
		if (strncmp(*f, "reference=", 10) == 0)
			strv_add(&patterns, *f + 10);
	return patterns;
}

static int run(struct cmd_call *call)
{
	const struct images_options *o = call->options;
	cleanup(strv_free) char **patterns = patterns_of(call, o->filter);
	cleanup(image_list_free) struct image_list list = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct range range = { 0 };
	struct err err = { 0 };
	struct db *db;

	if (filter_check(o->filter, known_filters, &err) < 0 || check_dangling(o->filter, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || find_range(db, o->filter, &range, &err) < 0 || image_list(db, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < list.n; i++)
		if (passes(list.items[i], o->filter, &range))
			add_image(rows, list.items[i], patterns, o);
	if (output_rows(columns, rows, o->format, "ID", o->quiet, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_images = {
	.name = "images",
	.alias = "image ls, image list",
	.group = "Images",
	.args = "[REPOSITORY[:TAG]]",
	.summary = "List images",
	.examples = "holm images\nholm images 'deb*'\nholm images --filter dangling=true -q",
	.options = options,
	.options_size = sizeof(struct images_options),
	.max_args = 1,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
