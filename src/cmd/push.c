/* `holm push`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strv.h"
#include "cmd/bars.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "image/image.h"
#include "image/reference.h"

struct push_options {
	const char *progress;
	bool quiet, all;
};

static const struct cmd_option options[] = { OPTION(struct push_options, all, OPT_FLAG, 'a',
						     "all-tags", NULL,
						     "all tags of the repository that are here"),
	OPTION_WITH(struct push_options, progress, OPT_STR, 0, "progress", "HOW",
		"auto, plain or json", .choices = bars_modes),
	OPTION(struct push_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only print the name"),
	OPTION_END };

static int push_one(struct db *db, const char *name, const struct push_options *o, struct err *err)
{
	cleanup(bars_clear) struct bars bars = { .mode = bars_mode(o->progress, o->quiet),
		.moving = "sending" };
	const struct image_push how = { .progress = bars_update, .data = &bars };
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *full = NULL;
	struct reference ref;
	char digest[DIGEST_LEN + 1];
	int r = reference_parse(name, &ref, err);

	if (r == 0)
		r = image_push(db, name, &how, digest, err);
	bars_clear(&bars);
	if (r < 0)
		return err_wrap(err, "push '%s'", name);
	full = reference_text(&ref);
	if (image_find(db, name, &image, NULL) == 0)
		image_event("push", image->id, name);
	if (o->quiet)
		puts(full);
	else
		printf("%s: digest: %s\n", ref.tag, digest);
	return 0;
}

/* The names that are here of a repository. */
static int names_of(struct db *db, const char *repository, char ***ret, struct err *err)
{
	cleanup(image_list_free) struct image_list list = { 0 };
	struct reference want, is;
	int r = reference_parse(repository, &want, err);

	if (r == 0)
		r = image_list(db, &list, err);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		strv_foreach (name, list.items[i]->names)
			if (reference_parse(*name, &is, NULL) == 0 &&
				strcmp(is.domain, want.domain) == 0 &&
				strcmp(is.path, want.path) == 0)
				strv_add(ret, *name);
	if (r == 0 && !*ret)
		return err_set(err, ENOENT, "no image here is of the repository '%s'", repository);
	return r;
}

static int run(struct cmd_call *call)
{
	const struct push_options *o = call->options;
	cleanup(strv_free) char **names = NULL;
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db)
		return cmd_fail(&err, 1);
	if (!o->all)
		strv_add(&names, call->args[0]);
	else if (names_of(db, call->args[0], &names, &err) < 0)
		return cmd_fail(&err, 1);
	strv_foreach (name, names)
		if (push_one(db, *name, o, &err) < 0)
			return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_push = {
	.name = "push",
	.alias = "image push",
	.group = "Images",
	.args = "NAME[:TAG]",
	.summary = "Send an image to a registry",
	.description =
		"The name says where to: 'holm tag' gives an image a name of the registry's. What the registry "
		"has already, also in another repository that is known here, is not sent. 'holm login' says "
		"who you are.",
	.examples = "holm tag app localhost:5000/app:1\nholm push localhost:5000/app:1",
	.options = options,
	.options_size = sizeof(struct push_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
