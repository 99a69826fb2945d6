/* `holm diff`. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "instance/files.h"

static int run(struct cmd_call *call)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct record_list changes = { 0 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || instance_find(db, call->args[0], &i, &err) < 0 ||
		files_diff(db, i, &changes, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t n = 0; n < changes.n; n++) {
		const struct files_change *c = changes.items[n];
		printf("%s %s\n", c->kind, c->path);
	}
	while (changes.n)
		record_list_remove(&changes, changes.n - 1, files_change_fields);
	free(changes.items);
	return 0;
}

const struct cmd cmd_diff = {
	.name = "diff",
	.alias = "container diff",
	.group = "Instances",
	.args = "CONTAINER",
	.summary = "List what a container has changed in its image: A added, C changed, D deleted",
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
