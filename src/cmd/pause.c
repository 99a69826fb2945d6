/* `holm pause` and `holm unpause`. */
#include "cmd/verbs.h"
#include "instance/instance.h"

static int pause_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, name, &i, err);

	return r < 0 ? r : instance_pause(db, i, call->cmd == &cmd_pause, err);
}

static int run(struct cmd_call *call)
{
	return cmd_each(call, /* echo= */ true, pause_one);
}

const struct cmd cmd_pause = {
	.name = "pause",
	.alias = "container pause",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Freeze all processes of containers",
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_RUNNING,
	.run = run,
};

const struct cmd cmd_unpause = {
	.name = "unpause",
	.alias = "container unpause",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Let frozen containers go on",
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
