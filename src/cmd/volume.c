/* `holm volume create|ls|inspect|rm|prune`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/inspect.h"
#include "cmd/output.h"
#include "instance/event.h"
#include "instance/volume.h"

struct volume_list {
	struct record_list list;
};

static void volume_list_clear(struct volume_list *l)
{
	while (l->list.n)
		record_list_remove(&l->list, l->list.n - 1, volume_fields);
	free(l->list.items);
}
DEFINE_CLEANUP_OBJECT(volume_list_clear, struct volume_list);

static void emit(const char *action, const char *name)
{
	char *attributes[] = { (char *)"driver", (char *)"local", NULL };

	event_emit("volume", action, name, attributes);
}

struct create_options {
	const char *driver, *name;
	char **labels, **options;
};

static const struct cmd_option create_option_rows[] = {
	OPTION_WITH(struct create_options, driver, OPT_STR, 'd', "driver", "DRIVER",
		"how it is kept; there is local",
		.choices = (const char *const[]){ "local", NULL }),
	OPTION(struct create_options, labels, OPT_STRV, 0, "label", "KEY=VALUE", "attach a label"),
	OPTION(struct create_options, name, OPT_STR, 0, "name", "NAME", "the same as the argument"),
	OPTION(struct create_options, options, OPT_STRV, 'o', "opt", "KEY=VALUE",
		"what to mount, as mount(8): type=, device=, o="),
	OPTION_END,
};

/* KEY=VALUE or KEY, into a map. */
static void add_pairs(char ***map, char *const *pairs)
{
	strv_foreach (p, pairs) {
		cleanup(free) char *key = xstrndup(*p, strcspn(*p, "="));
		const char *value = strchr(*p, '=');
		map_set(map, key, value ? value + 1 : "");
	}
}

static int run_create(struct cmd_call *call)
{
	const struct create_options *o = call->options;
	const char *name = call->n_args ? call->args[0] : o->name;
	struct volume v = { .name = xstrdup_null(name), .driver = xstrdup_null(o->driver) };
	cleanup(volume_free) struct volume *old = NULL;
	struct err err = { 0 };
	struct db *db;
	int r;

	if (call->n_args && o->name && strcmp(o->name, call->args[0]) != 0) {
		record_clear(volume_fields, &v);
		return cmd_usage(
			call, "two different names: '%s' and '%s'", call->args[0], o->name);
	}
	add_pairs(&v.labels, o->labels);
	add_pairs(&v.options, o->options);
	db = cmd_db(&err);
	r = db ? 0 : -err.code;
	if (r == 0 && name)
		volume_find(db, name, &old, NULL);
	if (r == 0)
		r = volume_create(db, &v, &err);
	if (r == 0) {
		puts(v.name);
		if (!old)
			emit("create", v.name);
	}
	record_clear(volume_fields, &v);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_volume_create = {
	.name = "volume create",
	.group = "Volumes",
	.args = "[VOLUME]",
	.summary = "Create a volume",
	.description =
		"A volume is a directory that outlives containers. One with options is a mount: "
		"it is mounted where a container uses it.",
	.examples =
		"holm volume create data\n"
		"holm volume create -o type=nfs -o device=:/export -o o=addr=192.0.2.1,ro share",
	.options = create_option_rows,
	.options_size = sizeof(struct create_options),
	.max_args = 1,
	.run = run_create,
};

struct ls_options {
	char **filters;
	const char *format;
	bool quiet;
};

static const struct cmd_option ls_option_rows[] = {
	OPTION(struct ls_options, filters, OPT_STRV, 'f', "filter", "KEY=VALUE",
		"only those with: dangling, driver, label, name"),
	OPTION(struct ls_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template such as '{{.Name}}'"),
	OPTION(struct ls_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only names"),
	OPTION_END,
};

static const struct output_column ls_columns[] = { { "DRIVER", "Driver", false },
	{ "VOLUME NAME", "Name", false }, { "", NULL, false } };

static char *joined_labels(char *const *labels)
{
	cleanup(buf_free) struct buf b = { 0 };

	map_foreach (kv, labels)
		buf_addf(&b, "%s%s=%s", b.len ? "," : "", kv[0], kv[1]);
	return buf_detach(&b);
}

static json_t *ls_row(const struct volume *v, size_t users)
{
	cleanup(free) char *labels = joined_labels(v->labels);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "Availability", "N/A",
		"Driver", v->driver, "Group", "N/A", "Labels", labels, "Mountpoint", v->mountpoint,
		"Name", v->name, "Scope", "local", "Links", json_sprintf("%zu", users), "Status",
		"N/A");
}

/* dangling=true: that no instance uses. 1: passes. */
static int ls_passes(
	struct db *db, const struct volume *v, char *const *filters, size_t *users, struct err *err)
{
	cleanup(strv_free) char **instances = NULL;
	int r = volume_users(db, v->name, &instances, err);

	if (r < 0)
		return r;
	*users = strv_len(instances);
	strv_foreach (f, filters) {
		bool wanted;
		if (strncmp(*f, "dangling=", 9) != 0)
			continue;
		if (parse_bool(*f + 9, &wanted) < 0)
			return err_set(err, EINVAL, "--filter: dangling is true or false");
		if (wanted != !instances)
			return 0;
	}
	return filter_match(filters, "driver", v->driver) &&
	       filter_match(filters, "name", v->name) && filter_labels(filters, v->labels);
}

static int ls(const struct ls_options *o, struct err *err)
{
	static const char *const known[] = { "dangling", "driver", "label", "name", NULL };
	cleanup(volume_list_clear) struct volume_list volumes = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct db *db;
	int r = filter_check(o->filters, known, err);

	if (r < 0)
		return r;
	db = cmd_db(err);
	r = db ? volume_list(db, &volumes.list, err) : -1;
	for (size_t i = 0; r >= 0 && i < volumes.list.n; i++) {
		const struct volume *v = volumes.list.items[i];
		size_t users = 0;
		r = ls_passes(db, v, o->filters, &users, err);
		if (r > 0)
			json_array_append_new(rows, ls_row(v, users));
	}
	return r < 0 ? r : output_rows(ls_columns, rows, o->format, "Name", o->quiet, err);
}

static int run_ls(struct cmd_call *call)
{
	struct err err = { 0 };

	return ls(call->options, &err) < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_volume_ls = {
	.name = "volume ls",
	.alias = "volume list",
	.group = "Volumes",
	.args = "",
	.summary = "List volumes",
	.examples = "holm volume ls -f dangling=true",
	.options = ls_option_rows,
	.options_size = sizeof(struct ls_options),
	.run = run_ls,
};

struct inspect_options {
	const char *format;
};

static const struct cmd_option inspect_option_rows[] = {
	OPTION(struct inspect_options, format, OPT_STR, 'f', "format", "FORMAT",
		"json, or a template such as '{{.Mountpoint}}'"),
	OPTION_END,
};

/* In Docker's order. */
static json_t *inspect_item(const struct volume *v)
{
	cleanup(json_free) json_t *all = record_dump(volume_fields, v);
	static const char *const members[] = { "CreatedAt", "Driver", "Labels", "Mountpoint",
		"Name", "Options" };
	json_t *j = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		json_object_set_new(j, members[i],
			json_incref(json_object_get(all, members[i])) ?: json_null());
	json_object_set_new(j, "Scope", json_string("local"));
	return j;
}

json_t *inspect_volume(struct db *db, const char *name, struct err *err)
{
	cleanup(volume_free) struct volume *v = NULL;

	return volume_find(db, name, &v, err) < 0 ? NULL : inspect_item(v);
}

static int run_inspect(struct cmd_call *call)
{
	return output_inspect_each(
		call, ((struct inspect_options *)call->options)->format, inspect_volume);
}

const struct cmd cmd_volume_inspect = {
	.name = "volume inspect",
	.group = "Volumes",
	.args = "VOLUME...",
	.summary = "Show all that is known of volumes",
	.options = inspect_option_rows,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_VOLUME,
	.run = run_inspect,
};

struct rm_options {
	bool force;
};

static const struct cmd_option rm_option_rows[] = {
	OPTION(struct rm_options, force, OPT_FLAG, 'f', "force", NULL,
		"a missing one is no failure"),
	OPTION_END,
};

static int rm_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	const struct rm_options *o = call->options;
	cleanup(volume_free) struct volume *v = NULL;
	int r = volume_find(db, name, &v, err);

	if (r == -ENOENT && o->force)
		return 0;
	if (r == 0)
		r = volume_remove(db, name, o->force, err);
	if (r == 0)
		emit("destroy", name);
	return r;
}

static int run_rm(struct cmd_call *call)
{
	return cmd_each(call, /* echo= */ true, rm_one);
}

const struct cmd cmd_volume_rm = {
	.name = "volume rm",
	.alias = "volume remove",
	.group = "Volumes",
	.args = "VOLUME...",
	.summary = "Remove volumes and what is in them",
	.options = rm_option_rows,
	.options_size = sizeof(struct rm_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_VOLUME,
	.run = run_rm,
};

struct prune_options {
	bool all, force;
	char **filters;
};

static const struct cmd_option prune_option_rows[] = {
	OPTION(struct prune_options, all, OPT_FLAG, 'a', "all", NULL, "those with a name too"),
	OPTION(struct prune_options, filters, OPT_STRV, 0, "filter", "KEY=VALUE",
		"only those with: label, label!"),
	OPTION(struct prune_options, force, OPT_FLAG, 'f', "force", NULL, "do not ask"),
	OPTION_END,
};

/* Removes one unless it is in use. 1 when it did. */
static int prune_one(struct db *db, const struct volume *v, uint64_t *freed, struct err *err)
{
	uint64_t bytes = 0;
	int r;

	dir_usage(AT_FDCWD, v->mountpoint, &bytes);
	r = volume_remove(db, v->name, /* force= */ true, err);
	if (r == -EBUSY)
		return 0;
	if (r < 0)
		return r;
	emit("destroy", v->name);
	*freed += bytes;
	return 1;
}

static int prune(const struct prune_options *o, struct err *err)
{
	cleanup(volume_list_clear) struct volume_list volumes = { 0 };
	struct db *db = cmd_db(err);
	uint64_t freed = 0;
	size_t n = 0;
	int r;

	if (!db)
		return -err->code;
	r = volume_list(db, &volumes.list, err);
	for (size_t i = 0; r >= 0 && i < volumes.list.n; i++) {
		const struct volume *v = volumes.list.items[i];
		if ((!o->all && !v->anonymous) || !filter_labels(o->filters, v->labels))
			continue;
		r = prune_one(db, v, &freed, err);
		if (r > 0)
			printf("%s%s\n", n++ ? "" : "Deleted Volumes:\n", v->name);
	}
	if (r >= 0)
		r = volume_sweep(db, err);
	if (r < 0)
		return r;
	printf("%sTotal reclaimed space: %s\n", n ? "\n" : "", format_size_decimal(freed));
	return 0;
}

static int run_prune(struct cmd_call *call)
{
	static const char *const known[] = { "label", NULL };
	const struct prune_options *o = call->options;
	struct err err = { 0 };
	int r = filter_check(o->filters, known, &err);

	if (r == 0)
		r = output_confirm(o->force,
			o->all ? "Remove all volumes that no container uses?"
			       : "Remove anonymous volumes that no container uses?",
			&err);
	if (r > 0)
		r = prune(o, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_volume_prune = {
	.name = "volume prune",
	.group = "Volumes",
	.args = "",
	.summary = "Remove volumes that no container uses",
	.options = prune_option_rows,
	.options_size = sizeof(struct prune_options),
	.run = run_prune,
};
