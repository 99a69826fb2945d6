/* `holm compose images` and `holm compose ls`. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"
#include "cmd/compose.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "cmd/verbs.h"
#include "image/image.h"

struct images_options {
	bool quiet;
	const char *format;
};

static const struct cmd_option images_rows[] = {
	OPTION(struct images_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template like '{{.Repository}}'"),
	OPTION(struct images_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"),
	OPTION_END,
};

static const struct output_column images_columns[] = { { "CONTAINER", "ContainerName", false },
	{ "REPOSITORY", "Repository", false }, { "TAG", "Tag", false }, { "IMAGE ID", "ID", false },
	{ "SIZE", "Size", false }, { "", NULL, false } };

static int run_images(struct cmd_call *call)
{
	const struct images_options *o = call->options;
	cleanup(instance_list_free) struct instance_list list = { 0 };
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct err err = { 0 };

	if (compose_project(call->args, false, &p, &err) < 0 ||
		compose_chosen(&p, /* one_off= */ true, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < list.n; i++) {
		const struct instance_config *c = &list.items[i]->config;
		cleanup(image_free) struct image *image = NULL;
		cleanup(free) char *repository = NULL, *tag = NULL, *size = NULL;
		if (image_find(cmd_db(&err), c->image_id, &image, &err) < 0)
			return cmd_fail(&err, 1);
		image_name_parts(c->image, &repository, &tag);
		size = image_size_text((uint64_t)image->size);
		json_array_append_new(
			rows, json_pack("{s:s, s:s, s:s, s:s, s:s#}", "ContainerName", c->name,
				      "Repository", repository, "Tag", tag, "Size", size, "ID",
				      digest_hex(image->id), ID_SHORT));
	}
	return output_rows(images_columns, rows, o->format, "ID", o->quiet, &err) < 0
		       ? cmd_fail(&err, 1)
		       : 0;
}

const struct cmd cmd_compose_images = {
	.name = "compose images",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "List the images of the project's containers",
	.options = images_rows,
	.options_size = sizeof(struct images_options),
	.max_args = SIZE_MAX,
	.run = run_images,
};

struct ls_options {
	bool all, quiet;
	char **filter;
	const char *format;
};

static const char *const ls_filters[] = { "name", NULL };
static const struct cmd_option ls_rows[] = {
	OPTION(struct ls_options, all, OPT_FLAG, 'a', "all", NULL,
		"those of which nothing runs, too"),
	OPTION(struct ls_options, filter, OPT_STRV, 0, "filter", "KEY=VALUE", "only those: name="),
	OPTION(struct ls_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template like '{{.Name}}'"),
	OPTION(struct ls_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only names"),
	OPTION_END,
};

static const struct output_column ls_columns[] = { { "NAME", "Name", false },
	{ "STATUS", "Status", false }, { "CONFIG FILES", "ConfigFiles", false },
	{ "", NULL, false } };

static int by_project(const void *a, const void *b)
{
	const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
	int r = strcmp(compose_label(x, "project"), compose_label(y, "project"));

	return r ?: strcmp(x->state.status, y->state.status);
}

/* "exited(1), running(2)" of one project's containers, which are sorted by status. */
static char *status_text(struct instance *const *items, size_t n, bool *running)
{
	cleanup(strv_free) char **parts = NULL;

	*running = false;
	for (size_t i = 0, same; i < n; i += same) {
		const char *status = items[i]->state.status;
		for (same = 1; i + same < n && !strcmp(items[i + same]->state.status, status);)
			same++;
		*running |= instance_running(items[i]);
		strv_addf(&parts, "%s(%zu)", status, same);
	}
	return strv_join(parts, ", ");
}

static int run_ls(struct cmd_call *call)
{
	const struct ls_options *o = call->options;
	cleanup(instance_list_free) struct instance_list list = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct err err = { 0 };
	struct db *db = NULL;

	if (filter_check(o->filter, ls_filters, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	db = cmd_db(&err);
	if (!db || instance_list(db, &list, &err) < 0)
		return cmd_fail(&err, 1);
	if (list.n)
		qsort(list.items, list.n, sizeof(*list.items), by_project);
	for (size_t i = 0, n; i < list.n; i += n) {
		struct instance **first = list.items + i;
		const char *name = compose_label(*first, "project");
		cleanup(free) char *status = NULL;
		bool running;
		for (n = 1; i + n < list.n && !strcmp(compose_label(first[n], "project"), name);)
			n++;
		status = status_text(first, n, &running);
		if (!*name || (!running && !o->all) || !filter_match(o->filter, "name", name))
			continue;
		json_array_append_new(
			rows, json_pack("{s:o, s:s, s:o}", "Name", json_shown(name), "Status",
				      status, "ConfigFiles",
				      json_shown(compose_label(*first, "project.config_files"))));
	}
	return output_rows(ls_columns, rows, o->format, "Name", o->quiet, &err) < 0
		       ? cmd_fail(&err, 1)
		       : 0;
}

const struct cmd cmd_compose_ls = {
	.name = "compose ls",
	.group = "Compose",
	.args = "",
	.summary = "List the projects that have containers",
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
	.run = run_ls,
};
