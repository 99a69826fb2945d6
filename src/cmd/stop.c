/* `holm stop` and `holm restart`, which differ in what comes after. */
#include <errno.h>
#include <limits.h>

#include "cmd/verbs.h"
#include "cmd/run_options.h"
#include "instance/instance.h"

struct stop_options {
	int64_t time;
	bool time_given, boot;
	const char *signal;
};

static const struct cmd_option stop_option_rows[] = {
	/* The first is not restart's. */
	OPTION(struct stop_options, boot, OPT_FLAG, 0, "boot", NULL,
		"stop all, for `start --boot` to start again; what the host's shutdown calls"),
	OPTION(struct stop_options, signal, OPT_STR, 's', "signal", "SIGNAL",
		"send this in place of the container's own"),
	OPTION_WITH(struct stop_options, time, OPT_INT, 't', "time", "SECONDS",
		"wait this long before killing; -1 waits for ever",
		OPTION_GIVEN(struct stop_options, time_given)),
	OPTION_WITH(struct stop_options, time, OPT_INT, 0, "timeout", "SECONDS",
		"the same as --time", OPTION_GIVEN(struct stop_options, time_given)),
	OPTION_END,
};

typedef int stop_fn(
	struct db *db, struct instance *i, const char *signal, int64_t timeout, struct err *err);

static int apply(
	struct cmd_call *call, struct db *db, const char *name, stop_fn *fn, struct err *err)
{
	const struct stop_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	/* -1 is the instance's own time, hence for ever is a number that nobody lives to see. */
	int64_t timeout = !o->time_given ? -1 : o->time < 0 ? INT_MAX : o->time;
	int r = instance_find(db, name, &i, err);

	return r < 0 ? r : fn(db, i, o->signal, timeout, err);
}

static int stop_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	return apply(call, db, name, instance_stop, err);
}

static int restart_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	return apply(call, db, name, instance_restart, err);
}

static int stop_boot(void)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int status = 0;

	if (!db || instance_list(db, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t n = 0; n < list.n; n++) /* newest first: they may need the others */
		if (instance_shut_down(db, list.items[n], &err) < 0)
			status = cmd_fail(&err, 1);
	return status;
}

/* Wrong values are found before the first container is touched. */
static int run(struct cmd_call *call)
{
	const struct stop_options *o = call->options;
	struct err err = { 0 };

	if (o->boot)
		return call->n_args ? cmd_usage(call, "--boot takes no containers: it stops all")
				    : stop_boot();
	if (!call->n_args)
		return cmd_usage(call, "needs at least 1 argument: holm %s [OPTIONS] CONTAINER...",
			call->cmd->name);
	if (o->signal && signal_option(o->signal, NULL, &err) < 0)
		return cmd_usage(call, "--signal: %s", err.text);
	if (o->time_given && (o->time < -1 || o->time > INT_MAX))
		return cmd_usage(
			call, "--time: %lld is not a number of seconds", (long long)o->time);
	if (call->cmd == &cmd_stop)
		return cmd_each_at_once(call, /* echo= */ true, stop_one);
	/* One after the other: a container may be on the network of the one before it. */
	return cmd_each(call, /* echo= */ true, restart_one);
}

const struct cmd cmd_stop = {
	.name = "stop",
	.alias = "container stop",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Stop running containers",
	.description =
		"Each is sent its stop signal (SIGTERM unless it or its image says otherwise) and, "
		"when that has not ended it in time, killed.",
	.examples = "holm stop web\nholm stop -t 60 db",
	.options = stop_option_rows,
	.options_size = sizeof(struct stop_options),
	.max_args = SIZE_MAX,
	.complete = COMPLETE_RUNNING,
	.run = run,
};

const struct cmd cmd_restart = {
	.name = "restart",
	.alias = "container restart",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Stop containers and start them again",
	.options = stop_option_rows + 1,
	.options_size = sizeof(struct stop_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
