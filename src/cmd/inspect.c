/* `holm inspect`: any noun's records as JSON. */
#include "cmd/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "image/image.h"
#include "instance/instance.h"

struct inspect_options {
	bool size;
	const char *format, *type;
};

static const char *const types[] = { "container", "image", "network", "volume", NULL };

#define FORMAT_AND_SIZE \
	OPTION(struct inspect_options, format, OPT_STR, 'f', "format", "FORMAT", \
		"json, or a template applied to each"), \
		OPTION(struct inspect_options, size, OPT_FLAG, 's', "size", NULL, \
			"measure what containers have written")

static const struct cmd_option container_option_rows[] = { FORMAT_AND_SIZE, OPTION_END };

static const struct cmd_option inspect_option_rows[] = {
	FORMAT_AND_SIZE,
	OPTION_WITH(struct inspect_options, type, OPT_STR, 0, "type", "TYPE",
		"look only for a container, image, network or volume", .choices = types),
	OPTION_END,
};

static void add_size(struct db *db, const struct instance *i, json_t *j)
{
	cleanup(free) char *upper = xasprintf("%s/upper", i->dir);
	cleanup(image_free) struct image *image = NULL;
	uint64_t written = 0;

	dir_usage(AT_FDCWD, upper, &written);
	json_object_set_new(j, "SizeRw", json_integer((json_int_t)written));
	if (image_find(db, i->config.image_id, &image, NULL) == 0)
		written += (uint64_t)image->size;
	json_object_set_new(j, "SizeRootFs", json_integer((json_int_t)written));
}

static json_t *container(struct db *db, const char *name, bool size, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	json_t *j;

	if (instance_find(db, name, &i, err) < 0)
		return NULL;
	j = instance_inspect(db, i);
	if (size)
		add_size(db, i, j);
	return j;
}

json_t *inspect_container(struct db *db, const char *name, struct err *err)
{
	return container(db, name, /* size= */ false, err);
}

static json_t *find(const struct inspect_options *o, const char *type, struct db *db,
	const char *name, struct err *err)
{
	inspect_fn *const fns[] = { inspect_container, inspect_image, inspect_network,
		inspect_volume };

	for (size_t n = 0; types[n]; n++) {
		json_t *j;
		if (type && strcmp(type, types[n]) != 0)
			continue;
		j = n == 0 ? container(db, name, o->size, err) : fns[n](db, name, err);
		if (j || type || err->code != ENOENT)
			return j;
	}
	err_set(err, ENOENT, "no such container, image, network or volume: %s", name);
	return NULL;
}

/* What was found is shown also when a name is unknown. */
static int inspect(struct cmd_call *call, const char *type)
{
	const struct inspect_options *o = call->options;
	cleanup(json_free) json_t *items = json_array();
	struct err err = { 0 }, first = { 0 };
	struct db *db = cmd_db(&err);

	if (!db)
		return cmd_fail(&err, 1);
	for (size_t n = 0; n < call->n_args; n++) {
		json_t *item = find(o, type, db, call->args[n], &err);
		if (item)
			json_array_append_new(items, item);
		else if (!first.code)
			first = err;
	}
	if (output_inspect(items, o->format, &err) < 0)
		return cmd_fail(&err, 1);
	fflush(stdout);
	return first.code ? cmd_fail(&first, 1) : 0;
}

static int run(struct cmd_call *call)
{
	const struct inspect_options *o = call->options;

	return inspect(call, o->type);
}

static int run_container(struct cmd_call *call)
{
	return inspect(call, "container");
}

/* Strict, for `container inspect NAME || ...` in scripts. */
const struct cmd cmd_container_inspect = {
	.name = "container inspect",
	.group = "Instances",
	.args = "NAME...",
	.summary = "Show all that is known of containers",
	.examples = "holm container inspect -f '{{.State.Status}}' web",
	.options = container_option_rows,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run_container,
};

const struct cmd cmd_inspect = {
	.name = "inspect",
	.group = "Instances",
	.args = "NAME...",
	.summary = "Show all that is known of containers, images, networks and volumes",
	.description = "A name is looked for in this order: container, image, network, volume.",
	.examples =
		"holm inspect web\nholm inspect -f '{{.State.Status}}' web\nholm inspect --type volume data",
	.options = inspect_option_rows,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
