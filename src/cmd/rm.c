/* `holm rm`. */
#include <errno.h>

#include "cmd/cmd.h"
#include "instance/instance.h"

struct rm_options {
	bool force, volumes;
};

static const struct cmd_option rm_option_rows[] = {
	OPTION(struct rm_options, force, OPT_FLAG, 'f', "force", NULL,
		"kill running ones; missing ones are no failure"),
	OPTION(struct rm_options, volumes, OPT_FLAG, 'v', "volumes", NULL,
		"remove their anonymous volumes too"),
	OPTION_END,
};

static int rm_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	const struct rm_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, name, &i, err);

	if (r == -ENOENT && o->force)
		return 1;
	if (r == -EUCLEAN && o->force)
		r = instance_purge(db, name, err);
	else if (r == 0)
		r = instance_remove(db, i, o->force, o->volumes, err);
	return r;
}

static int run(struct cmd_call *call)
{
	return cmd_each_at_once(call, /* echo= */ true, rm_one);
}

const struct cmd cmd_rm = {
	.name = "rm",
	.alias = "container rm, container remove",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Remove containers",
	.examples = "holm rm web\nholm rm -fv $(holm ps -aq)",
	.options = rm_option_rows,
	.options_size = sizeof(struct rm_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
