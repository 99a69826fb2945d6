/* `holm import`: a root filesystem's tar as an image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"

struct import_options {
	char **change;
	const char *message, *platform;
};

static const struct cmd_option options[] = {
	OPTION(struct import_options, change, OPT_STRV, 'c', "change", "INSTRUCTION",
		"apply this Dockerfile instruction: CMD, ENV, EXPOSE, ..."),
	OPTION(struct import_options, message, OPT_STR, 'm', "message", "TEXT",
		"what the history says of it"),
	OPTION(struct import_options, platform, OPT_STR, 0, "platform", "OS/ARCH",
		"what it runs on, such as linux/arm64"),
	OPTION_END
};

static int run(struct cmd_call *call)
{
	const struct import_options *o = call->options;
	const struct image_import what = { .name = call->args[1],
		.changes = o->change,
		.message = o->message,
		.platform = o->platform };
	const char *file = call->args[0];
	cleanup(fd_close) int fd = -1;
	char id[DIGEST_LEN + 1];
	struct err err = { 0 };
	struct db *db;
	int r;

	if (strstr(file, "://"))
		return cmd_usage(call,
			"'%s': fetch it first, then import the file: curl -L URL | holm import -",
			file);
	if (strcmp(file, "-") == 0 && isatty(STDIN_FILENO))
		return cmd_usage(call, "standard input is a terminal: name a file, or redirect it");
	db = cmd_db(&err);
	if (!db)
		return cmd_fail(&err, 1);
	fd = strcmp(file, "-") == 0 ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err_errno(&err, "open '%s'", file);
		return cmd_fail(&err, 1);
	}
	r = image_import(db, fd, &what, image_progress, (void *)(what.name ? what.name : "import"),
		id, &err);
	progress_end();
	if (r < 0) {
		err_wrap(&err, "import '%s'", file);
		return cmd_fail(&err, 1);
	}
	image_event("import", id, what.name ? what.name : id);
	puts(id);
	return 0;
}

const struct cmd cmd_import = {
	.name = "import",
	.alias = "image import",
	.group = "Images",
	.args = "FILE|- [NAME[:TAG]]",
	.summary = "Make an image from the tar of a root filesystem",
	.description =
		"The tar may be compressed with gzip or zstd. Known instructions of --change: CMD "
		"ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR.",
	.examples =
		"holm import rootfs.tar.gz mine:1\nholm export web | holm import -c 'CMD [\"nginx\"]' - web:copy",
	.options = options,
	.options_size = sizeof(struct import_options),
	.min_args = 1,
	.max_args = 2,
	.complete = COMPLETE_FILE,
	.run = run,
};
