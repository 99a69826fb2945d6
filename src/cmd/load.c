/* `holm load`: images from an archive of docker save, podman save, skopeo or holm save. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"

struct load_options {
	const char *input;
	bool quiet;
};

static const struct cmd_option options[] = {
	OPTION_WITH(struct load_options, input, OPT_STR, 'i', "input", "FILE",
		"read this file instead of standard input", .complete = COMPLETE_FILE),
	OPTION(struct load_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "show no progress"),
	OPTION_END
};

static void emit(struct db *db, char *const *report)
{
	strv_foreach (line, report) {
		cleanup(image_free) struct image *image = NULL;
		const char *name = strstr(*line, ": ") + 2;
		if (image_find(db, name, &image, NULL) == 0)
			image_event("load", image->id, name);
	}
}

static int run(struct cmd_call *call)
{
	const struct load_options *o = call->options;
	cleanup(strv_free) char **report = NULL;
	cleanup(fd_close) int fd = -1;
	struct err err = { 0 };
	struct db *db;
	int r;

	if (!o->input && isatty(STDIN_FILENO))
		return cmd_usage(call, "standard input is a terminal: use -i FILE, or redirect it");
	db = cmd_db(&err);
	if (!db)
		return cmd_fail(&err, 1);
	fd = o->input ? open(o->input, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (fd < 0) {
		err_errno(&err, "open '%s'", o->input ? o->input : "standard input");
		return cmd_fail(&err, 1);
	}
	r = image_load(db, fd, &report, o->quiet ? NULL : image_progress, (void *)"load", &err);
	progress_end();
	if (r < 0) {
		err_wrap(&err, "load '%s'", o->input ? o->input : "-");
		return cmd_fail(&err, 1);
	}
	print_lines(report);
	emit(db, report);
	return 0;
}

const struct cmd cmd_load = {
	.name = "load",
	.alias = "image load",
	.group = "Images",
	.args = "",
	.summary = "Load images from an archive",
	.description =
		"Takes the archives of docker save (old and new), podman save and holm save, and OCI "
		"layouts in a tar; plain, or compressed with gzip or zstd. Every digest is checked; when "
		"one is wrong, nothing is loaded.",
	.examples = "holm load -i debian.tar\nzcat images.tar.gz | holm load",
	.options = options,
	.options_size = sizeof(struct load_options),
	.run = run,
};
