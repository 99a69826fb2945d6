/* `holm commit`: what a container has changed, as an image. */
#include "image/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "instance/files.h"
#include "instance/instance.h"

struct commit_options {
	const char *author, *message;
	char **change;
	bool pause, pause_given;
};

static const struct cmd_option options[] = {
	OPTION(struct commit_options, author, OPT_STR, 'a', "author", "NAME",
		"who made it, such as \"A. Name <a@example.org>\""),
	OPTION(struct commit_options, change, OPT_STRV, 'c', "change", "INSTRUCTION",
		"apply this Dockerfile instruction: CMD, ENV, EXPOSE, ..."),
	OPTION(struct commit_options, message, OPT_STR, 'm', "message", "TEXT",
		"what the history says of it"),
	OPTION_WITH(struct commit_options, pause, OPT_FLAG, 'p', "pause", NULL,
		"freeze a running container meanwhile, as is done unless --pause=false",
		OPTION_GIVEN(struct commit_options, pause_given)),
	OPTION_END
};

/* The container's program, as the history has it. */
static char *command_of(const struct instance_config *c)
{
	cleanup(strv_free) char **words = NULL;

	strv_add_all(&words, c->entrypoint);
	strv_add_all(&words, c->cmd);
	return strv_join(words, " ");
}

static int commit(struct db *db, struct instance *i, const struct image_commit *what,
	char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(image_maker_close) struct image_maker *maker = NULL;
	cleanup(image_free) struct image *base = NULL;
	struct made_layer layer = { 0 };
	int r = image_find(db, i->config.image_id, &base, err);

	if (r == 0)
		r = image_maker_open(&maker, err);
	if (r == 0)
		r = files_layer(db, i, maker, &layer, err);
	return r < 0 ? r : image_commit(db, maker, base, &layer, what, id, err);
}

/* By the state that freezing it has left. */
static int thaw(struct db *db, const char *id, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, id, &i, err);

	return r < 0 ? r : instance_pause(db, i, false, err);
}

static int run(struct cmd_call *call)
{
	const struct commit_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	cleanup(free) char *command = NULL;
	struct err err = { 0 }, late = { 0 };
	char id[DIGEST_LEN + 1];
	struct db *db = cmd_db(&err);
	bool frozen = false;
	int r;

	if (!db || instance_find(db, call->args[0], &i, &err) < 0)
		return cmd_fail(&err, 1);
	command = command_of(&i->config);
	const struct image_commit what = { .author = o->author,
		.message = o->message,
		.name = call->args[1],
		.changes = o->change,
		.created_by = command };
	if ((!o->pause_given || o->pause) && strcmp(i->state.status, "running") == 0) {
		r = instance_pause(db, i, true, &err);
		frozen = r == 0;
		/* An ordinary user's may have no control group, by which processes are frozen. */
		if (r < 0 && (r != -ENOTSUP || o->pause_given))
			return cmd_fail(&err, 1);
		if (r < 0)
			log_warn("it is not frozen meanwhile: %s", err.text);
	}
	r = commit(db, i, &what, id, &err);
	if (frozen && thaw(db, i->config.id, &late) < 0 && r == 0)
		return cmd_fail(&late, 1);
	if (r < 0)
		return cmd_fail(&err, 1);
	image_event("commit", id, what.name ? what.name : id);
	puts(id);
	return 0;
}

const struct cmd cmd_commit = {
	.name = "commit",
	.alias = "container commit",
	.group = "Images",
	.args = "CONTAINER [NAME[:TAG]]",
	.summary = "Make an image from what a container has changed",
	.description =
		"The image is the container's, with one more layer. Files of volumes and mounts are not in it. "
		"The container may run: then it is frozen meanwhile.",
	.examples = "holm commit -m 'with vim' web web:vim\n"
		    "holm commit -c 'CMD [\"nginx\"]' web web:2",
	.options = options,
	.options_size = sizeof(struct commit_options),
	.min_args = 1,
	.max_args = 2,
	.complete = COMPLETE_INSTANCE,
	.complete_more = COMPLETE_IMAGE,
	.run = run,
};
