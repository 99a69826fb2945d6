/* `holm diff`: of a container and its image, or of any two trees. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "image/compare.h"
#include "instance/files.h"

struct diff_options {
	bool stat;
	const char *format;
};

static const struct cmd_option options[] = { OPTION(struct diff_options, format, OPT_STR, 0,
						     "format", "FORMAT",
						     "table, json, or a template"),
	OPTION(struct diff_options, stat, OPT_FLAG, 0, "stat", NULL,
		"sizes before and after, and a summary"),
	OPTION_END };

static const struct output_column columns[] = { { "CHANGE", "Kind" }, { "BEFORE", "BeforeText" },
	{ "AFTER", "AfterText" }, { "PATH", "Path" }, { NULL } };

/* What a container has changed, from what it has written: quick, and as Docker lists it. */
static int diff_written(struct db *db, struct instance *i, struct err *err)
{
	struct record_list changes = { 0 };
	int r = files_diff(db, i, &changes, err);

	for (size_t n = 0; n < changes.n; n++) {
		const struct files_change *c = changes.items[n];
		printf("%s %s\n", c->kind, c->path);
	}
	while (changes.n)
		record_list_remove(&changes, changes.n - 1, files_change_fields);
	free(changes.items);
	return r;
}

static json_t *row_of(const struct tree_change *c)
{
	return json_pack("{s:s%, s:s, s:I, s:I, s:s, s:s}", "Kind", &c->kind, (size_t)1, "Path",
		c->path, "Before", (json_int_t)c->before, "After", (json_int_t)c->after,
		"BeforeText", c->kind == 'A' ? "" : format_size_decimal((uint64_t)c->before),
		"AfterText", c->kind == 'D' ? "" : format_size_decimal((uint64_t)c->after));
}

static void print_summary(const struct tree_changes *changes)
{
	uint64_t n[3] = { 0 }, more = 0, less = 0;

	for (size_t i = 0; i < changes->n; i++) {
		const struct tree_change *c = &changes->items[i];
		n[c->kind == 'A' ? 0 : c->kind == 'C' ? 1 : 2]++;
		more += c->after > c->before ? (uint64_t)(c->after - c->before) : 0;
		less += c->before > c->after ? (uint64_t)(c->before - c->after) : 0;
	}
	printf("%llu added, %llu changed, %llu removed; +%s", (unsigned long long)n[0],
		(unsigned long long)n[1], (unsigned long long)n[2], format_size_decimal(more));
	printf(" -%s\n", format_size_decimal(less));
}

static int print(const struct tree_changes *changes, const struct diff_options *o, struct err *err)
{
	cleanup(json_free) json_t *rows = NULL;
	int r;

	if (!o->format && !o->stat) {
		for (size_t i = 0; i < changes->n; i++)
			printf("%c %s\n", changes->items[i].kind, changes->items[i].path);
		return 0;
	}
	rows = json_array();
	for (size_t i = 0; i < changes->n; i++)
		json_array_append_new(rows, row_of(&changes->items[i]));
	r = changes->n || !output_is_table(o->format)
		    ? output_rows(columns, rows, o->format, NULL, false, err)
		    : 0;
	if (r == 0 && output_is_table(o->format))
		print_summary(changes);
	return r;
}

static int diff_trees(struct db *db, const char *before, const char *after,
	const struct diff_options *o, struct err *err)
{
	cleanup(tree_changes_clear) struct tree_changes changes = { 0 };
	cleanup(fd_close) int a = -1, b = -1;
	int r = files_tree(db, before, &a, err);

	if (r == 0)
		r = files_tree(db, after, &b, err);
	if (r == 0)
		r = tree_compare(a, b, 0, &changes, err);
	return r < 0 ? r : print(&changes, o, err);
}

static int diff_instance(
	struct db *db, const char *name, const struct diff_options *o, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, name, &i, err);

	if (r < 0)
		return r;
	if (!o->stat && !o->format)
		return diff_written(db, i, err);
	return diff_trees(db, i->config.image_id, i->config.id, o, err);
}

static int run(struct cmd_call *call)
{
	const struct diff_options *o = call->options;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int r;

	if (!db)
		return cmd_fail(&err, 1);
	r = call->n_args == 1 ? diff_instance(db, call->args[0], o, &err)
			      : diff_trees(db, call->args[0], call->args[1], o, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_diff = {
	.name = "diff",
	.alias = "container diff, image diff",
	.group = "Instances",
	.args = "CONTAINER|IMAGE [CONTAINER|IMAGE]",
	.summary =
		"List what a container has changed in its image, or what differs between two trees",
	.description =
		"A: added, C: changed, D: deleted. With one argument: what a container has written over its "
		"image. With two, containers or images: what leads from the first to the second, by type, "
		"mode, owner, attributes and contents; times and volumes do not count.",
	.examples =
		"holm diff web\nholm diff debian:11 debian:12 --stat\nholm diff web:1 web-container",
	.options = options,
	.options_size = sizeof(struct diff_options),
	.min_args = 1,
	.max_args = 2,
	.complete = COMPLETE_INSTANCE,
	.complete_more = COMPLETE_IMAGE,
	.run = run,
};
