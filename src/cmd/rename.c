/* `holm rename`. */
#include "cmd/cmd.h"
#include "instance/instance.h"

static int run(struct cmd_call *call)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || instance_find(db, call->args[0], &i, &err) < 0 ||
		instance_rename(db, i, call->args[1], &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_rename = {
	.name = "rename",
	.alias = "container rename",
	.group = "Instances",
	.args = "CONTAINER NAME",
	.summary = "Give a container another name",
	.min_args = 2,
	.max_args = 2,
	.complete = COMPLETE_INSTANCE,
	.complete_more = COMPLETE_NONE,
	.run = run,
};
