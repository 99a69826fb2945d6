/* `holm cp`. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "cmd/verbs.h"
#include "instance/files.h"

struct cp_options {
	bool archive, follow_link, quiet;
	/* compose cp's */
	int64_t index;
};

static const struct cmd_option cp_option_rows[] = {
	OPTION(struct cp_options, archive, OPT_FLAG, 'a', "archive", NULL,
		"keep owners and set-id bits"),
	OPTION(struct cp_options, follow_link, OPT_FLAG, 'L', "follow-link", NULL,
		"copy what a link SOURCE leads to"),
	OPTION(struct cp_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "accepted as in Docker"),
	OPTION_END,
};

/* CONTAINER:PATH. What begins with / or . is a path of the host, also with a colon in it. */
static const char *split(const char *arg, char **ret_container)
{
	const char *colon = strchr(arg, ':');

	if (arg[0] == '/' || arg[0] == '.' || !colon || colon == arg)
		return arg;
	*ret_container = xstrndup(arg, (size_t)(colon - arg));
	return colon + 1;
}

static int copy_out(const struct cp_options *o, struct db *db, struct instance *i, const char *from,
	const char *to, struct err *err)
{
	if (strcmp(to, "-") != 0)
		return files_copy_out(db, i, from, o->follow_link, to, o->archive, err);
	if (isatty(STDOUT_FILENO))
		return err_set(err, EINVAL, "not writing an archive to a terminal: redirect it");
	return files_copy_out_tar(db, i, from, STDOUT_FILENO, err);
}

static int copy_in(const struct cp_options *o, struct db *db, struct instance *i, const char *from,
	const char *to, struct err *err)
{
	if (strcmp(from, "-") != 0)
		return files_copy_in(db, i, from, to, o->archive, o->follow_link, err);
	return files_copy_in_tar(db, i, STDIN_FILENO, to, err);
}

/* In place of a service's name the id of its container. */
static int find_service(const struct cp_options *o, char **name, struct err *err)
{
	cleanup(free) char *service = *name;

	*name = NULL;
	return compose_container(service, o->index, name, err);
}

static int run(struct cmd_call *call)
{
	cleanup(free) char *source = NULL, *target = NULL;
	const char *from = split(call->args[0], &source), *to = split(call->args[1], &target);
	cleanup(instance_free) struct instance *i = NULL;
	bool compose = call->cmd == &cmd_compose_cp;
	struct err err = { 0 };
	struct db *db;
	int r;

	if (source && target)
		return cmd_usage(call, "copying between containers is not supported");
	if (!source && !target)
		return cmd_usage(
			call, "one of the two must be %s:PATH", compose ? "SERVICE" : "CONTAINER");
	if (!*from || !*to)
		return cmd_usage(call, "the path is empty: write CONTAINER:/ for the whole root");
	if (compose && find_service(call->options, source ? &source : &target, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || instance_find(db, source ? source : target, &i, &err) < 0)
		return cmd_fail(&err, 1);
	r = source ? copy_out(call->options, db, i, from, to, &err)
		   : copy_in(call->options, db, i, from, to, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_cp = {
	.name = "cp",
	.alias = "container cp",
	.group = "Instances",
	.args = "SOURCE DESTINATION",
	.summary = "Copy files between a container and the host",
	.description =
		"One of the two is CONTAINER:PATH, running or not. A directory's contents are meant by "
		"DIRECTORY/. and a destination that exists as a directory is copied into. With - for the "
		"host's side, a tar archive is written or read.\n"
		"Without --archive, files belong to root inside and to the caller outside, where they "
		"also lose set-id bits; devices stay inside.",
	.examples = "holm cp web:/etc/nginx/nginx.conf .\n"
		    "holm cp ./site/. web:/usr/share/nginx/html\n"
		    "holm cp web:/var/log - | tar -t",
	.options = cp_option_rows,
	.options_size = sizeof(struct cp_options),
	.min_args = 2,
	.max_args = 2,
	.complete = COMPLETE_INSTANCE,
	.complete_more = COMPLETE_FILE,
	.run = run,
};

static const struct cmd_option compose_cp_rows[] = {
	OPTION(struct cp_options, archive, OPT_FLAG, 'a', "archive", NULL,
		"keep owners and set-id bits"),
	OPTION(struct cp_options, follow_link, OPT_FLAG, 'L', "follow-link", NULL,
		"copy what a link SOURCE leads to"),
	OPTION(struct cp_options, index, OPT_INT, 0, "index", "NUMBER",
		"which of the service's containers (the first)"),
	OPTION_END,
};

const struct cmd cmd_compose_cp = {
	.name = "compose cp",
	.group = "Compose",
	.args = "SOURCE DESTINATION",
	.summary = "Copy files between a service's container and the host",
	.description = "One of the two is SERVICE:PATH. Otherwise it is `holm cp`.",
	.options = compose_cp_rows,
	.options_size = sizeof(struct cp_options),
	.min_args = 2,
	.max_args = 2,
	.complete_more = COMPLETE_FILE,
	.run = run,
};
