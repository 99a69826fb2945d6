/* `holm doctor`: which isolations this host offers, what is missing, and what mends it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/host.h"
#include "cmd/output.h"
#include "engine/engine.h"
#include "machine/machine.h"
#include "rootless/rootless.h"

struct doctor_options {
	const char *format;
};

static const struct cmd_option options[] = { OPTION(struct doctor_options, format, OPT_STR, 'f',
						     "format", "FORMAT",
						     "table, json, or a template"),
	OPTION_END };

static const struct output_column isolation_columns[] = { { "ISOLATION", "Isolation" },
	{ "AVAILABLE", "Available" }, { "DETAIL", "Detail" }, { NULL } };

static const struct output_column check_columns[] = { { "CHECK", "Check" }, { "STATUS", "Status" },
	{ "FOR", "For" }, { "DETAIL", "Detail" }, { NULL } };

static const char *const status_names[] = {
	[HOST_OK] = "ok", [HOST_LIMITED] = "limited", [HOST_MISSING] = "missing"
};

static json_t *check_rows(const struct host_check *checks, size_t n)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows,
			json_pack("{s:s, s:s, s:s, s:s, s:s}", "Check", checks[i].name, "Status",
				status_names[checks[i].status], "For", checks[i].what, "Detail",
				checks[i].detail, "Mend", checks[i].mend));
	return rows;
}

/* Whether containers can run, and in *why what is against it. */
static bool container_available(const struct host_check *checks, size_t n, struct err *why)
{
	const struct engine *engine = engine_find("container");

	for (size_t i = 0; i < n; i++) {
		if (checks[i].status != HOST_MISSING)
			continue;
		err_set(why, 1, "%s: %s", checks[i].name, checks[i].detail);
		return false;
	}
	return engine && engine->available(why) == 0;
}

static json_t *isolation_row(const char *name, bool available, const char *detail)
{
	return json_pack("{s:s, s:s, s:s}", "Isolation", name, "Available",
		available ? "yes" : "no", "Detail", detail);
}

static json_t *isolation_rows(bool container, const struct err *why)
{
	json_t *rows = json_array();

	json_array_append_new(
		rows, isolation_row("container", container,
			      container ? "processes fenced off by this kernel" : why->text));
	json_array_append_new(rows, isolation_row("vm", false, "not in this version"));
	json_array_append_new(rows, isolation_row("emulated", false, "not in this version"));
	return rows;
}

/* What `machine run` would execute guests with. Nothing that containers need. */
static void add_machine_row(json_t *rows)
{
	struct err reason = { 0 };
	const char *cpu = machine_pick_cpu(&reason);
	cleanup(free) char *detail =
		xasprintf("cpu %s%s%s", cpu ? cpu : "none", reason.code ? ": " : "", reason.text);

	json_array_append_new(
		rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "Check", "machine cpu", "Status",
			      status_names[!cpu          ? HOST_MISSING
					   : reason.code ? HOST_LIMITED
							 : HOST_OK],
			      "For", "machine run", "Detail", detail, "Mend", ""));
}

static void print_mends(const struct host_check *checks, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (checks[i].status == HOST_OK || !checks[i].mend[0])
			continue;
		printf("%s  %-16s %s\n", any ? "" : "\nTo mend it:\n", checks[i].name,
			checks[i].mend);
		any = true;
	}
}

static int print(const struct doctor_options *o, json_t *isolations, json_t *rows, struct err *err)
{
	cleanup(json_free) json_t *all = NULL;
	int r;

	if (output_is_table(o->format)) {
		r = output_rows(isolation_columns, isolations, NULL, NULL, false, err);
		putchar('\n');
		return r < 0 ? r : output_rows(check_columns, rows, NULL, NULL, false, err);
	}
	all = json_pack("{s:O, s:O}", "Isolations", isolations, "Checks", rows);
	return output_object(all, o->format, err);
}

static int run(struct cmd_call *call)
{
	const struct doctor_options *o = call->options;
	cleanup(free) struct host_check *checks = NULL;
	cleanup(json_free) json_t *isolations = NULL, *rows = NULL;
	struct err why = { 0 }, err = { 0 };
	bool container;
	size_t n;

	/* A store that cannot be made is one more thing to report. */
	if (cmd_paths(&err) < 0 || rootless_enter(true, &err) < 0)
		log_warn("%s", err.text);
	n = host_check_all(&checks);
	container = container_available(checks, n, &why);
	isolations = isolation_rows(container, &why);
	rows = check_rows(checks, n);
	add_machine_row(rows);
	if (print(o, isolations, rows, &err) < 0)
		return cmd_fail(&err, 1);
	if (output_is_table(o->format))
		print_mends(checks, n);
	return container ? 0 : 1;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.group = "System",
	.args = "",
	.summary = "Say what this host offers for each isolation, and what mends what is missing",
	.description =
		"Every check is made by doing it, in namespaces that end with the check. The exit "
		"status is 0 when containers can run here, else 1.",
	.options = options,
	.options_size = sizeof(struct doctor_options),
	.flags = CMD_NO_STORE,
	.run = run,
};
