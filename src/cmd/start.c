/* `holm start`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/foreground.h"

struct start_options {
	bool attach, interactive, sig_proxy, sig_proxy_given, boot;
	const char *detach_keys;
};

static const struct cmd_option start_option_rows[] = {
	OPTION(struct start_options, attach, OPT_FLAG, 'a', "attach", NULL,
		"follow its output and pass signals on"),
	OPTION(struct start_options, boot, OPT_FLAG, 0, "boot", NULL,
		"start those whose restart policy wants it; what the host's start calls"),
	OPTION(struct start_options, detach_keys, OPT_STR, 0, "detach-keys", "KEYS",
		"keys that detach the terminal (ctrl-p,ctrl-q)"),
	OPTION(struct start_options, interactive, OPT_FLAG, 'i', "interactive", NULL,
		"follow its output and give it our input"),
	OPTION_WITH(struct start_options, sig_proxy, OPT_FLAG, 0, "sig-proxy", NULL,
		"pass signals on to the process (true)",
		OPTION_GIVEN(struct start_options, sig_proxy_given)),
	OPTION_END,
};

static int start_one(struct cmd_call *call, struct db *db, const char *name, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct instance_start how = { 0 };
	int r = instance_find(db, name, &i, err);

	(void)call;
	return r < 0 ? r : instance_start(db, i, &how, err);
}

static int start_attached(const struct start_options *o, const char *name)
{
	cleanup(instance_free) struct instance *i = NULL;
	int stream = -1, r;
	struct instance_start how = {
		.attach_stdout = true, .attach_stderr = true, .ret_stream = &stream
	};
	struct stream_attach attach = { .detach_keys = o->detach_keys,
		.proxy_signals = !o->sig_proxy_given || o->sig_proxy };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || instance_find(db, name, &i, &err) < 0)
		return cmd_fail(&err, 1);
	attach.tty = i->config.tty;
	attach.stdin_on = how.attach_stdin = o->interactive && i->config.open_stdin;
	if (foreground_check(attach.tty, attach.stdin_on, o->detach_keys, &err) < 0)
		return cmd_fail(&err, 1);
	foreground_size(attach.tty, &how);
	r = instance_start(db, i, &how, &err);
	if (r < 0)
		return cmd_fail(&err, foreground_status(&err, 1));
	return foreground_follow(stream, &attach);
}

static bool wanted_at_boot(const struct instance *i)
{
	const char *policy = i->config.restart.policy;

	if (instance_running(i))
		return false;
	return strcmp(policy, "always") == 0 ||
	       (strcmp(policy, "unless-stopped") == 0 && i->state.started &&
		       !i->state.stopped_by_user);
}

static int start_boot(void)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	struct instance_start how = { 0 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int status = 0;

	if (!db || instance_list(db, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t n = list.n; n-- > 0;) { /* oldest first: the others may need it */
		struct instance *i = list.items[n];
		if (!wanted_at_boot(i))
			continue;
		if (instance_start(db, i, &how, &err) < 0)
			status = cmd_fail(&err, 1);
		else
			puts(i->config.name);
	}
	return status;
}

static int run(struct cmd_call *call)
{
	const struct start_options *o = call->options;

	if (o->boot)
		return call->n_args ? cmd_usage(call, "--boot takes no containers: it finds them")
				    : start_boot();
	if (!call->n_args)
		return cmd_usage(call, "needs at least 1 argument");
	if (!o->attach && !o->interactive)
		return cmd_each(call, /* echo= */ true, start_one);
	if (call->n_args > 1)
		return cmd_usage(call, "only one container can be attached to at a time");
	return start_attached(o, call->args[0]);
}

const struct cmd cmd_start = {
	.name = "start",
	.alias = "container start",
	.group = "Instances",
	.args = "CONTAINER...",
	.summary = "Start containers that were created or have stopped",
	.description = "With --attach or --interactive the exit status is the container's.",
	.examples = "holm start web db\nholm start -ai shell",
	.options = start_option_rows,
	.options_size = sizeof(struct start_options),
	.max_args = SIZE_MAX,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
