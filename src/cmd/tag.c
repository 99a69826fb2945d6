/* `holm tag`: one more name for an image. */
#include "cmd/cmd.h"
#include "cmd/image_rows.h"

static int run(struct cmd_call *call)
{
	cleanup(image_free) struct image *image = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || image_tag(db, call->args[0], call->args[1], &err) < 0)
		return cmd_fail(&err, 1);
	if (image_find(db, call->args[1], &image, NULL) == 0)
		image_event("tag", image->id, call->args[1]);
	return 0;
}

const struct cmd cmd_tag = {
	.name = "tag",
	.alias = "image tag",
	.group = "Images",
	.args = "IMAGE NAME[:TAG]",
	.summary = "Give an image one more name",
	.description = "A name that another image has moves to this one.",
	.examples = "holm tag debian:12 base",
	.min_args = 2,
	.max_args = 2,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
