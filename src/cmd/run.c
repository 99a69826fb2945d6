/* `holm run`: creates, starts and follows an instance. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/foreground.h"
#include "cmd/run_options.h"

/* Which streams are ours: what --attach says, else all, stdin only with -i. */
static void choose_streams(const struct run_options *o, struct instance_start *how)
{
	if (o->detach)
		return;
	how->attach_stdin = o->attach ? strv_contains(o->attach, "stdin") : o->interactive;
	how->attach_stdout = !o->attach || strv_contains(o->attach, "stdout");
	how->attach_stderr = !o->attach || strv_contains(o->attach, "stderr");
	foreground_size(o->tty, how);
}

/* Looked up anew, since the configuration belongs to the record. */
static int start(struct db *db, const struct instance_config *c, const struct instance_start *how,
	struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	int r = instance_find(db, c->id, &i, err);

	if (r == 0) {
		r = instance_start(db, i, how, err);
		if (r < 0 && c->auto_remove)
			instance_remove(db, i, /* force= */ true, /* volumes= */ true, NULL);
	}
	return r;
}

static int run(struct cmd_call *call)
{
	const struct run_options *o = call->options;
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	int stream = -1;
	struct instance_start how = { .ret_stream = &stream };
	struct stream_attach attach = { .tty = o->tty, .detach_keys = o->detach_keys };
	struct err err = { 0 };
	int r;

	if (o->detach && o->attach)
		return cmd_usage(call, "--detach and --attach exclude each other");
	choose_streams(o, &how);
	r = foreground_check(o->tty, how.attach_stdin, o->detach_keys, &err);
	if (r < 0)
		return cmd_fail(&err, r == -ENOTTY ? 1 : 125);
	c.run = true;
	if (run_create(o, call->args, &c, &err) < 0)
		return cmd_fail(&err, 125);
	r = start(cmd_db(&err), &c, &how, &err);
	if (r < 0)
		return cmd_fail(&err, foreground_status(&err, 125));
	if (o->detach) {
		puts(c.id);
		return 0;
	}
	attach.stdin_on = how.attach_stdin;
	attach.proxy_signals = !o->sig_proxy_given || o->sig_proxy;
	return foreground_follow(stream, &attach);
}

const struct cmd cmd_run = {
	.name = "run",
	.alias = "container run",
	.group = "Instances",
	.args = "IMAGE [COMMAND] [ARG...]",
	.summary = "Create a container from an image and run a command in it",
	.description =
		"Without a command the image's own is run. Options end at IMAGE: what follows is the "
		"command's.\n\n"
		"The exit status is that of the command; 125 when holm itself failed, 126 when the command "
		"cannot be executed, 127 when it was not found, 128 and the signal's number when a signal "
		"ended it.\n\n"
		"With -it, ctrl-p ctrl-q leaves the container running and gives the terminal back.",
	.examples =
		"holm run --rm -it debian:12 bash\n"
		"holm run -d --name web -p 8080:80 --restart unless-stopped IMAGE\n"
		"holm run --rm -v \"$PWD\":/src -w /src --memory 512m --cpus 1.5 debian:12 make",
	.options = run_option_rows,
	.options_size = sizeof(struct run_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
