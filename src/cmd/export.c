/* `holm export`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "instance/files.h"

struct export_options {
	const char *output;
};

static const struct cmd_option export_option_rows[] = {
	OPTION_WITH(struct export_options, output, OPT_STR, 'o', "output", "FILE",
		"write to this file instead of standard output", .complete = COMPLETE_FILE),
	OPTION_END,
};

/* To a temporary file first: an export that fails leaves what was there. */
static int export_to_file(struct db *db, struct instance *i, const char *path, struct err *err)
{
	cleanup(free) char *temporary = xasprintf("%s.%d.tmp", path, (int)getpid());
	cleanup(fd_close) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_errno(err, "make '%s'", temporary);
	r = files_export(db, i, fd, err);
	if (r == 0 && rename(temporary, path) < 0)
		r = err_errno(err, "write '%s'", path);
	if (r < 0)
		unlink(temporary);
	return r;
}

static int run(struct cmd_call *call)
{
	const struct export_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	struct db *db;
	int r;

	if (!o->output && isatty(STDOUT_FILENO)) {
		err_set(&err, EINVAL,
			"not writing an archive to a terminal: redirect it, or use -o FILE");
		return cmd_fail(&err, 1);
	}
	db = cmd_db(&err);
	if (!db || instance_find(db, call->args[0], &i, &err) < 0)
		return cmd_fail(&err, 1);
	r = o->output ? export_to_file(db, i, o->output, &err)
		      : files_export(db, i, STDOUT_FILENO, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_export = {
	.name = "export",
	.alias = "container export",
	.group = "Instances",
	.args = "CONTAINER",
	.summary = "Write a container's files as a tar archive",
	.description = "Without what is mounted in it: volumes, /proc, /sys, /dev.",
	.examples = "holm export -o web.tar web\nholm export web | tar -t",
	.options = export_option_rows,
	.options_size = sizeof(struct export_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
