/* `holm wait`. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "instance/instance.h"

static int wait_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int64_t code;
	int r = instance_find(db, name, &i, err);

	(void)call;
	if (r == 0)
		r = instance_wait(db, i, "not-running", &code, err);
	if (r == 0)
		printf("%" PRId64 "\n", code);
	fflush(stdout);
	return r;
}

static int run(struct cmd_call *call)
{
	return cmd_each(call, /* echo= */ false, wait_one);
}

const struct cmd cmd_wait = {
	.name = "wait",
	.alias = "container wait",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Wait until containers have stopped and print their exit codes",
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
