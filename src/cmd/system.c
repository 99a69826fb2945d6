/* `holm system df` and `holm system prune`: over all nouns at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "build/build.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "image/image.h"
#include "image/layer_cache.h"
#include "image/reference.h"
#include "image/tag_log.h"
#include "instance/instance.h"
#include "instance/volume.h"
#include "net/net.h"

struct df_options {
	const char *format;
	bool verbose;
};

static const struct cmd_option df_option_rows[] = { OPTION(struct df_options, format, OPT_STR, 0,
							    "format", "FORMAT",
							    "table, json, or a template"),
	OPTION(struct df_options, verbose, OPT_FLAG, 'v', "verbose", NULL,
		"show each image, container and volume"),
	OPTION_END };

static const struct output_column df_columns[] = { { "TYPE", "Type" }, { "TOTAL", "TotalCount" },
	{ "ACTIVE", "Active" }, { "SIZE", "Size" }, { "RECLAIMABLE", "Reclaimable" }, { NULL } };

static const struct output_column image_columns[] = { { "REPOSITORY:TAG", "Name" },
	{ "IMAGE ID", "ID" }, { "SIZE", "Size" }, { "CONTAINERS", "Containers" }, { NULL } };

static const struct output_column instance_columns[] = { { "CONTAINER ID", "ID" },
	{ "IMAGE", "Image" }, { "SIZE", "Size" }, { "STATUS", "Status" }, { "NAMES", "Names" },
	{ NULL } };

static const struct output_column volume_columns[] = { { "VOLUME NAME", "Name" },
	{ "LINKS", "Links" }, { "SIZE", "Size" }, { NULL } };

struct usage {
	uint64_t total, active, bytes, reclaimable;
};

static json_t *usage_row(const char *type, const struct usage *u)
{
	char reclaimable[64];

	snprintf(reclaimable, sizeof(reclaimable), "%s (%d%%)", format_size_decimal(u->reclaimable),
		u->bytes ? (int)(100.0 * (double)u->reclaimable / (double)u->bytes) : 0);
	return json_pack("{s:s, s:I, s:I, s:s, s:s}", "Type", type, "TotalCount",
		(json_int_t)u->total, "Active", (json_int_t)u->active, "Size",
		format_size_decimal(u->bytes), "Reclaimable", reclaimable);
}

static int image_rows(struct db *db, json_t *rows, struct usage *ret, struct err *err)
{
	cleanup(image_list_free) struct image_list list = { 0 };
	struct image_usage usage = { 0 };
	int r = image_usage(db, &usage, err);

	if (r == 0)
		r = image_list(db, &list, err);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct image *image = list.items[i];
		cleanup(strv_free) char **holders = NULL;
		cleanup(free) char *name = NULL;
		struct reference ref;
		r = image_holders(db, image->id, &holders, err);
		if (image->names && reference_parse(image->names[0], &ref, NULL) == 0)
			name = reference_familiar(&ref);
		json_array_append_new(
			rows, json_pack("{s:s, s:s%, s:s, s:I}", "Name", name ? name : "<none>",
				      "ID", digest_hex(image->id), (size_t)ID_SHORT, "Size",
				      format_size_decimal((uint64_t)image->size), "Containers",
				      (json_int_t)strv_len(holders)));
	}
	*ret = (struct usage){ usage.images, usage.active, usage.bytes, usage.reclaimable };
	return r;
}

static uint64_t instance_bytes(const struct instance *i)
{
	cleanup(fd_close) int dirfd = open(i->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bytes = 0;

	if (dirfd < 0 || dir_usage(dirfd, "upper", &bytes) < 0)
		return 0;
	return bytes;
}

static int instance_rows(struct db *db, json_t *rows, struct usage *ret, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	int r = instance_list(db, &list, err);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct instance *one = list.items[i];
		uint64_t bytes = instance_bytes(one);
		ret->total++;
		ret->bytes += bytes;
		ret->active += instance_running(one);
		ret->reclaimable += instance_running(one) ? 0 : bytes;
		json_array_append_new(rows, json_pack("{s:s%, s:s, s:s, s:s, s:s}", "ID",
						    one->config.id, (size_t)ID_SHORT, "Image",
						    one->config.image ? one->config.image : "",
						    "Size", format_size_decimal(bytes), "Status",
						    one->state.status, "Names", one->config.name));
	}
	return r;
}

static int volume_rows(struct db *db, json_t *rows, struct usage *ret, struct err *err)
{
	struct record_list list = { 0 };
	int r = volume_list(db, &list, err);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct volume *v = list.items[i];
		cleanup(strv_free) char **users = NULL;
		uint64_t bytes = 0;
		r = volume_users(db, v->name, &users, err);
		dir_usage(AT_FDCWD, v->mountpoint, &bytes);
		ret->total++;
		ret->bytes += bytes;
		ret->active += users != NULL;
		ret->reclaimable += users ? 0 : bytes;
		json_array_append_new(rows,
			json_pack("{s:s, s:I, s:s}", "Name", v->name, "Links",
				(json_int_t)strv_len(users), "Size", format_size_decimal(bytes)));
	}
	while (list.n)
		record_list_remove(&list, list.n - 1, volume_fields);
	free(list.items);
	return r;
}

static int print_verbose(
	const char *format, json_t *images, json_t *instances, json_t *volumes, struct err *err)
{
	cleanup(json_free) json_t *all = NULL;
	int r;

	if (!output_is_table(format)) {
		all = json_pack("{s:O, s:O, s:O}", "Images", images, "Containers", instances,
			"Volumes", volumes);
		return output_object(all, format, err);
	}
	puts("Images space usage:\n");
	r = output_rows(image_columns, images, NULL, NULL, false, err);
	puts("\nContainers space usage:\n");
	if (r == 0)
		r = output_rows(instance_columns, instances, NULL, NULL, false, err);
	puts("\nLocal Volumes space usage:\n");
	return r < 0 ? r : output_rows(volume_columns, volumes, NULL, NULL, false, err);
}

static int run_df(struct cmd_call *call)
{
	const struct df_options *o = call->options;
	cleanup(json_free) json_t *images = json_array(), *instances = json_array();
	cleanup(json_free) json_t *volumes = json_array(), *rows = json_array();
	struct usage image = { 0 }, instance = { 0 }, volume = { 0 };
	struct layer_cache_usage cache = { 0 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int r;

	if (!db || image_rows(db, images, &image, &err) < 0 ||
		instance_rows(db, instances, &instance, &err) < 0 ||
		volume_rows(db, volumes, &volume, &err) < 0 || build_usage(db, &cache, &err) < 0)
		return cmd_fail(&err, 1);
	if (o->verbose) {
		r = print_verbose(o->format, images, instances, volumes, &err);
		return r < 0 ? cmd_fail(&err, 1) : 0;
	}
	json_array_append_new(rows, usage_row("Images", &image));
	json_array_append_new(rows, usage_row("Containers", &instance));
	json_array_append_new(rows, usage_row("Local Volumes", &volume));
	json_array_append_new(
		rows, usage_row("Build Cache",
			      &(struct usage){ cache.entries, 0, cache.bytes, cache.reclaimable }));
	r = output_rows(df_columns, rows, o->format, NULL, false, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_system_df = {
	.name = "system df",
	.group = "System",
	.args = "",
	.summary = "Show how much space images, containers and volumes take",
	.options = df_option_rows,
	.options_size = sizeof(struct df_options),
	.run = run_df,
};

struct prune_options {
	bool all, volumes, force;
	char **filter;
};

static const struct cmd_option prune_option_rows[] = {
	OPTION(struct prune_options, all, OPT_FLAG, 'a', "all", NULL,
		"remove all images that no container uses, not only those without a name"),
	OPTION(struct prune_options, volumes, OPT_FLAG, 0, "volumes", NULL,
		"remove anonymous volumes that no container uses"),
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"),
	OPTION(struct prune_options, filter, OPT_STRV, 0, "filter", "FILTER",
		"only what matches: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]"),
	OPTION_END
};

struct pruning {
	const struct prune_options *options;
	int64_t until; /* ns; INT64_MAX: no bound */
	uint64_t freed;
};

static bool chosen(const struct pruning *p, int64_t created, char *const *labels)
{
	return created < p->until && filter_labels(p->options->filter, labels);
}

/* Prints a heading before the first line. */
static void report(bool *any, const char *heading, const char *line)
{
	if (!*any)
		printf("%s\n", heading);
	*any = true;
	puts(line);
}

static int prune_instances(struct db *db, struct pruning *p, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	bool any = false;
	int r = instance_list(db, &list, err);

	for (size_t n = 0; n < list.n && r == 0; n++) {
		struct instance *i = list.items[n];
		uint64_t bytes;
		if (instance_active(i) || !chosen(p, i->config.created, i->config.labels))
			continue;
		bytes = instance_bytes(i);
		r = instance_remove(db, i, /* force= */ false, /* volumes= */ false, err);
		if (r == -ENOENT || r == -EBUSY) {
			r = 0; /* somebody else removed or started it meanwhile */
			continue;
		}
		p->freed += bytes;
		report(&any, "Deleted Containers:", i->config.id);
	}
	if (any)
		putchar('\n');
	return r;
}

static int prune_networks(struct db *db, struct pruning *p, struct err *err)
{
	struct record_list list = { 0 };
	bool any = false;
	int r = network_list(db, &list, err);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct network *n = list.items[i];
		if (n->builtin || !chosen(p, n->created, n->labels))
			continue;
		/* Removing says itself when a network is in use. */
		if (network_remove(db, n->name, NULL) == 0)
			report(&any, "Deleted Networks:", n->name);
	}
	while (list.n)
		record_list_remove(&list, list.n - 1, network_fields);
	free(list.items);
	if (any)
		putchar('\n');
	return r;
}

static int prune_volumes(struct db *db, struct pruning *p, struct err *err)
{
	struct record_list list = { 0 };
	bool any = false;
	int r = volume_list(db, &list, err);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct volume *v = list.items[i];
		uint64_t bytes = 0;
		if (!v->anonymous || !filter_labels(p->options->filter, v->labels))
			continue;
		dir_usage(AT_FDCWD, v->mountpoint, &bytes);
		if (volume_remove(db, v->name, /* force= */ false, NULL) < 0)
			continue;
		p->freed += bytes;
		report(&any, "Deleted Volumes:", v->name);
	}
	while (list.n)
		record_list_remove(&list, list.n - 1, volume_fields);
	free(list.items);
	if (any)
		putchar('\n');
	return r;
}

/* The cache has no labels. */
static int prune_builds(struct db *db, struct pruning *p, struct err *err)
{
	struct build_pruned pruned = { 0 };
	int r = filter_labels(p->options->filter, NULL) ? build_prune(db, p->until, &pruned, err)
							: 0;

	p->freed += pruned.bytes;
	if (pruned.entries)
		printf("Deleted build cache objects: %llu\n\n", (unsigned long long)pruned.entries);
	return r;
}

static bool wanted(void *data, const struct image *image)
{
	return chosen(data, image->created, image->config.config.labels);
}

static int prune_images(struct db *db, struct pruning *p, struct err *err)
{
	cleanup(strv_free) char **lines = NULL;
	bool any = false;
	uint64_t freed = 0, kept = 0;
	int r = image_prune_matching(db, p->options->all, wanted, p, &lines, &freed, err);

	if (r == 0)
		r = tag_log_kept(db, &kept, err);
	p->freed += freed;
	strv_foreach (line, lines)
		report(&any, "Deleted Images:", *line);
	if (any)
		putchar('\n');
	image_print_kept(kept);
	return r;
}

static int parse_filters(struct cmd_call *call, struct pruning *p, struct err *err)
{
	static const char *const known[] = { "label", "until", NULL };
	int r = filter_check(p->options->filter, known, err);

	strv_foreach (f, p->options->filter) {
		if (r == 0 && strncmp(*f, "until=", 6) == 0 && time_parse(*f + 6, &p->until) < 0)
			r = err_set(err, EINVAL,
				"--filter: '%s' is neither a time nor a duration (like 24h)",
				*f + 6);
	}
	return r;
}

static int ask(const struct prune_options *o, struct err *err)
{
	if (!o->force)
		fprintf(stderr,
			"This removes all stopped containers, networks that none uses%s, what builds keep for the next, and %s.\n",
			o->volumes ? ", anonymous volumes that none uses" : "",
			o->all ? "images that none uses" : "images without a name");
	return output_confirm(o->force, "Go on?", err);
}

static int run_prune(struct cmd_call *call)
{
	const struct prune_options *o = call->options;
	struct pruning p = { .options = o, .until = INT64_MAX };
	struct err err = { 0 };
	struct db *db;
	int r;

	if (parse_filters(call, &p, &err) < 0)
		return cmd_fail(&err, 1);
	r = ask(o, &err);
	if (r <= 0)
		return r < 0 ? cmd_fail(&err, 1) : 0;
	db = cmd_db(&err);
	if (!db || prune_instances(db, &p, &err) < 0 || prune_networks(db, &p, &err) < 0 ||
		(o->volumes && prune_volumes(db, &p, &err) < 0) || prune_builds(db, &p, &err) < 0 ||
		prune_images(db, &p, &err) < 0)
		return cmd_fail(&err, 1);
	printf("Total reclaimed space: %s\n", format_size_decimal(p.freed));
	return 0;
}

const struct cmd cmd_system_prune = {
	.name = "system prune",
	.group = "System",
	.args = "",
	.summary = "Remove what nothing uses: stopped containers, networks, images",
	.examples = "holm system prune -a --volumes -f\nholm system prune --filter until=24h",
	.options = prune_option_rows,
	.options_size = sizeof(struct prune_options),
	.run = run_prune,
};
