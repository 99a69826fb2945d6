/* `holm pull`, and what `run` and `create` get an image with. */
#include "cmd/pull.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cmd/bars.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "image/image.h"
#include "image/reference.h"

struct pull_options {
	const char *platform, *progress;
	bool quiet;
};

static const struct cmd_option options[] = { OPTION(struct pull_options, platform, OPT_STR, 0,
						     "platform", "OS/ARCH",
						     "of an image for several platforms, that one"),
	OPTION_WITH(struct pull_options, progress, OPT_STR, 0, "progress", "HOW",
		"auto, plain or json", .choices = bars_modes),
	OPTION(struct pull_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only print the name"),
	OPTION_END };

static int pull(struct db *db, const char *name, const char *platform, enum bars_mode mode,
	struct image_pulled *ret, struct err *err)
{
	cleanup(bars_clear) struct bars bars = { .mode = mode, .moving = "downloading" };
	const struct image_pull how = {
		.platform = platform, .progress = bars_update, .data = &bars
	};
	int r = image_pull(db, name, &how, ret, err);

	bars_clear(&bars);
	if (r < 0)
		return err_wrap(err, "pull '%s'", name);
	image_event("pull", ret->id, name);
	return 0;
}

int pull_image(struct db *db, const char *name, const char *platform, bool quiet, struct err *err)
{
	cleanup(image_pulled_clear) struct image_pulled pulled = { 0 };

	return pull(db, name, platform, bars_mode(NULL, quiet), &pulled, err);
}

int pull_for_build(void *data, struct db *db, const char *name, struct err *err)
{
	return pull_image(db, name, data, /* quiet= */ true, err);
}

static void print_json(const struct image_pulled *pulled)
{
	cleanup(json_free) json_t *j = json_pack("{s:s, s:s, s:s, s:b}", "name", pulled->name,
		"digest", pulled->digest, "id", pulled->id, "new", pulled->is_new);
	cleanup(free) char *text = json_text(j, 0);

	puts(text);
}

static int run(struct cmd_call *call)
{
	const struct pull_options *o = call->options;
	cleanup(image_pulled_clear) struct image_pulled pulled = { 0 };
	cleanup(free) char *familiar = NULL;
	enum bars_mode mode = bars_mode(o->progress, o->quiet);
	struct reference ref;
	struct err err = { 0 };
	struct db *db;

	db = cmd_db(&err);
	if (!db || pull(db, call->args[0], o->platform, mode, &pulled, &err) < 0)
		return cmd_fail(&err, 1);
	if (mode == BARS_JSON) {
		print_json(&pulled);
		return 0;
	}
	if (!o->quiet && reference_parse(pulled.name, &ref, NULL) == 0) {
		familiar = reference_familiar(&ref);
		printf("Digest: %s\nStatus: %s for %s\n", pulled.digest,
			pulled.is_new ? "Downloaded newer image" : "Image is up to date", familiar);
	}
	puts(pulled.name);
	return 0;
}

const struct cmd cmd_pull = {
	.name = "pull",
	.alias = "image pull",
	.group = "Images",
	.args = "NAME[:TAG|@DIGEST]",
	.summary = "Get an image from a registry",
	.description =
		"Layers come several at a time and are unpacked while they come; those that are here already "
		"are not fetched. A pull that was interrupted goes on where it was. Registries are asked by "
		"HTTPS, those on this host, and those configured as insecure, also by HTTP: docs/registries.md.",
	.examples =
		"holm pull debian:12\nholm pull --platform linux/arm64 registry.example/app@sha256:5d2b...",
	.options = options,
	.options_size = sizeof(struct pull_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
