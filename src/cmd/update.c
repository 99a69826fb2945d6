/* `holm update`: limits and the restart policy, also while running. */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/run_options.h"
#include "instance/instance.h"

struct update_options {
	struct limit_options limits;
	const char *restart;
};

static const struct cmd_option update_option_rows[] = {
	LIMIT_OPTION_ROWS(struct update_options),
	OPTION(struct update_options, restart, OPT_STR, 0, "restart", "POLICY",
		"no, always, unless-stopped, on-failure[:TIMES] or on-unhealthy"),
	OPTION_END,
};

/* A config with only what was given. */
static int resolve(const struct update_options *o, struct instance_config *c, struct err *err)
{
	struct limit_options given = o->limits;
	bool swap_alone = given.memory_swap && !given.memory;
	int r;

	/* Memory as it is was checked against swap when it was set; instance_update() does it now. */
	if (swap_alone && strcmp(given.memory_swap, "-1") != 0)
		given.memory_swap = NULL;
	r = limit_options_resolve(&given, &c->limits, err);
	if (r == 0 && swap_alone && !given.memory_swap)
		r = size_option(
			"--memory-swap", o->limits.memory_swap, &c->limits.memory_swap, err);
	if (r == 0 && o->restart)
		r = restart_parse(o->restart, &c->restart, err);
	return r;
}

static int update_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	cleanup(instance_free) struct instance *i = NULL;
	int r = resolve(call->options, &c, err);

	if (r == 0)
		r = instance_find(db, name, &i, err);
	return r < 0 ? r
		     : instance_update(db, i, &c.limits, c.restart.policy ? &c.restart : NULL, err);
}

static int run(struct cmd_call *call)
{
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	static const struct update_options nothing;
	struct err err = { 0 };

	/* Padding too is as it was allocated: zero. */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	if (memcmp(call->options, &nothing, sizeof(nothing)) == 0)
		return cmd_usage(call, "nothing to update: give at least one option");
	if (resolve(call->options, &c, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	return cmd_each(call, /* echo= */ true, update_one);
}

const struct cmd cmd_update = {
	.name = "update",
	.alias = "container update",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Change limits and restart policy of containers, also of running ones",
	.examples =
		"holm update --memory 1g --memory-swap 2g web\nholm update --restart no $(holm ps -q)",
	.options = update_option_rows,
	.options_size = sizeof(struct update_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
