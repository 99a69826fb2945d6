/* `holm kill`. */
#include <signal.h>

#include "cmd/cmd.h"
#include "cmd/run_options.h"
#include "instance/instance.h"

struct kill_options {
	const char *signal;
};

static const struct cmd_option kill_option_rows[] = {
	OPTION(struct kill_options, signal, OPT_STR, 's', "signal", "SIGNAL",
		"send this in place of SIGKILL"),
	OPTION_END,
};

static int kill_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	const struct kill_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	int signo = o->signal ? signal_option(o->signal, NULL, err) : SIGKILL;
	int r = signo < 0 ? signo : instance_find(db, name, &i, err);

	return r < 0 ? r : instance_kill(db, i, signo, err);
}

static int run(struct cmd_call *call)
{
	const struct kill_options *o = call->options;
	struct err err = { 0 };

	if (o->signal && signal_option(o->signal, NULL, &err) < 0)
		return cmd_usage(call, "--signal: %s", err.text);
	return cmd_each_at_once(call, /* echo= */ true, kill_one);
}

const struct cmd cmd_kill = {
	.name = "kill",
	.alias = "container kill",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Send running containers a signal, SIGKILL unless told otherwise",
	.examples = "holm kill web\nholm kill -s HUP web",
	.options = kill_option_rows,
	.options_size = sizeof(struct kill_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
