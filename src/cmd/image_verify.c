/* `holm image verify`. */
#include <stdio.h>

#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "image/registry.h"
#include "image/verify.h"
#include "instance/instance.h"

struct verify_options {
	bool repair, quiet;
};

static const struct cmd_option options[] = { OPTION(struct verify_options, quiet, OPT_FLAG, 'q',
						     "quiet", NULL, "only say what is damaged"),
	OPTION(struct verify_options, repair, OPT_FLAG, 0, "repair", NULL,
		"mend files from their layer, and fetch what is damaged or missing again"),
	OPTION_END };

static bool in_use(void *data, const char *image_id)
{
	cleanup(strv_free) char **holders = NULL;
	struct db *db = data;

	if (image_holders(db, image_id, &holders, NULL) < 0)
		return true;
	strv_foreach (owner, holders) {
		cleanup(instance_free) struct instance *i = NULL;
		if (instance_find(db, *owner, &i, NULL) == 0 && instance_running(i))
			return true;
	}
	return false;
}

static int fetch_again(void *data, const char *reference, struct err *err)
{
	const struct image_pull how = { .again = true };
	cleanup(image_pulled_clear) struct image_pulled pulled = { 0 };

	return image_pull(data, reference, &how, &pulled, err);
}

static void say(void *data, const char *line)
{
	progress_end();
	puts(line);
	fflush(stdout);
}

static void show_progress(void *data, const char *what, uint64_t done)
{
	image_progress((void *)"images", what, done);
}

static int run(struct cmd_call *call)
{
	const struct verify_options *o = call->options;
	struct image_verified found = { 0 };
	struct err err = { 0 };
	struct image_verify how = { .names = call->n_args ? call->args : NULL,
		.repair = o->repair,
		.in_use = in_use,
		.fetch = fetch_again,
		.say = say,
		.progress = o->quiet ? NULL : show_progress };
	int r;

	how.data = cmd_db(&err);
	if (!how.data)
		return cmd_fail(&err, 1);
	r = image_verify(how.data, &how, &found, &err);
	progress_end();
	if (r < 0)
		return cmd_fail(&err, 1);
	if (!o->quiet)
		printf("%llu images, %llu layers: %llu damaged, %llu mended\n",
			(unsigned long long)found.images, (unsigned long long)found.layers,
			(unsigned long long)found.damaged, (unsigned long long)found.mended);
	return found.damaged == found.mended ? 0 : 1;
}

const struct cmd cmd_image_verify = {
	.name = "image verify",
	.group = "Images",
	.args = "[IMAGE...]",
	.summary = "Check images against their digests, and mend what is damaged",
	.description =
		"Hashes everything: configurations, manifests and layers; each layer is unpacked once more and "
		"compared with its files in the store. The exit status is 1 when something stays damaged. "
		"--repair replaces files that differ by what their layer holds, unless a container runs from "
		"it.",
	.examples = "holm image verify\nholm image verify --repair debian:12",
	.options = options,
	.options_size = sizeof(struct verify_options),
	.max_args = SIZE_MAX,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
