/* `holm attach`. */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/foreground.h"

struct attach_options {
	bool no_stdin, sig_proxy, sig_proxy_given;
	const char *detach_keys;
};

static const struct cmd_option attach_option_rows[] = {
	OPTION(struct attach_options, detach_keys, OPT_STR, 0, "detach-keys", "KEYS",
		"keys that detach the terminal (ctrl-p,ctrl-q)"),
	OPTION(struct attach_options, no_stdin, OPT_FLAG, 0, "no-stdin", NULL,
		"follow the output alone"),
	OPTION_WITH(struct attach_options, sig_proxy, OPT_FLAG, 0, "sig-proxy", NULL,
		"pass signals on to the process (true)",
		OPTION_GIVEN(struct attach_options, sig_proxy_given)),
	OPTION_END,
};

static int check(const struct instance *i, struct err *err)
{
	if (strcmp(i->state.status, "paused") == 0)
		return err_set(err, EBUSY, "container %s is paused: 'holm unpause %s' first",
			i->config.name, i->config.name);
	if (!instance_running(i))
		return err_set(err, EINVAL,
			"container %s is not running: 'holm start -ai %s' starts and attaches",
			i->config.name, i->config.name);
	return 0;
}

static int run(struct cmd_call *call)
{
	const struct attach_options *o = call->options;
	cleanup(instance_free) struct instance *i = NULL;
	struct stream_attach how = { .detach_keys = o->detach_keys,
		.proxy_signals = !o->sig_proxy_given || o->sig_proxy };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int stream = -1;

	if (!db || instance_find(db, call->args[0], &i, &err) < 0 || check(i, &err) < 0)
		return cmd_fail(&err, 1);
	how.tty = i->config.tty;
	/* On a terminal that is not raw a ctrl-c is for us, as Docker has it. */
	how.proxy_signals = how.proxy_signals && !how.tty;
	how.stdin_on = i->config.open_stdin && !o->no_stdin;
	if (foreground_check(how.tty, how.stdin_on, o->detach_keys, &err) < 0 ||
		instance_attach(db, i, how.stdin_on, &stream, &err) < 0)
		return cmd_fail(&err, 1);
	return foreground_follow(stream, &how);
}

const struct cmd cmd_attach = {
	.name = "attach",
	.alias = "container attach",
	.group = "Instances",
	.args = "CONTAINER",
	.summary = "Join the input and output of a running container",
	.description =
		"The exit status is the container's. ctrl-p ctrl-q detaches again where it has a "
		"terminal and its input is open (run -it).",
	.options = attach_option_rows,
	.options_size = sizeof(struct attach_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
