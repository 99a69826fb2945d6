/* `holm rmi`: names go, and with the last one the image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"

struct rmi_options {
	bool force, no_prune;
};

static const struct cmd_option options[] = {
	OPTION(struct rmi_options, force, OPT_FLAG, 'f', "force", NULL,
		"take all names away, also of an image that a container uses; missing ones are no failure"),
	OPTION(struct rmi_options, no_prune, OPT_FLAG, 0, "no-prune", NULL,
		"accepted as Docker's: there are no unnamed parents here"),
	OPTION_END
};

static int remove_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	const struct rmi_options *o = call->options;
	cleanup(strv_free) char **report = NULL;
	int r = image_remove(db, name, o->force, &report, err);

	if (r == -ENOENT && o->force) { /* gone is what was asked for, as Docker */
		cmd_fail(err, 0);
		return 0;
	}
	if (r < 0)
		return r;
	print_lines(report);
	image_removed(report);
	return 0;
}

static int run(struct cmd_call *call)
{
	return cmd_each(call, /* echo= */ false, remove_one);
}

const struct cmd cmd_rmi = {
	.name = "rmi",
	.alias = "image rm, image remove",
	.group = "Images",
	.args = "IMAGE...",
	.summary = "Remove images",
	.description =
		"By a name: takes the name away, and removes the image with its last one. By an id: "
		"removes the image, which must have one name only unless --force is given.",
	.examples = "holm rmi debian:11\nholm rmi -f 5d2b0d3a4e1c",
	.options = options,
	.options_size = sizeof(struct rmi_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
