/* `holm compose run`: a container of a service for one command, followed as `holm run` does. */
#include <stdio.h>
#include <unistd.h>

#include "base/strv.h"
#include "cmd/compose.h"
#include "cmd/foreground.h"
#include "cmd/verbs.h"

struct run_one_off {
	bool build, detach, interactive, interactive_given, no_deps, no_tty, quiet, remove,
		service_ports;
	char **env, **labels, **publish, **volumes;
	const char *entrypoint, *name, *user, *workdir;
};

#define RUN(member, kind, letter, name, metavar, help) \
	OPTION(struct run_one_off, member, kind, letter, name, metavar, help)
static const struct cmd_option rows[] = {
	RUN(build, OPT_FLAG, 0, "build", NULL, "build the image first, though it is there"),
	RUN(detach, OPT_FLAG, 'd', "detach", NULL, "run in the background and print the id"),
	RUN(entrypoint, OPT_STR, 0, "entrypoint", "COMMAND", "in place of the service's"),
	RUN(env, OPT_STRV, 'e', "env", "NAME[=VALUE]",
		"set a variable; without = take the caller's value"),
	OPTION_WITH(struct run_one_off, interactive, OPT_FLAG, 'i', "interactive", NULL,
		"give it our input (true)", OPTION_GIVEN(struct run_one_off, interactive_given)),
	RUN(labels, OPT_STRV, 'l', "label", "KEY[=VALUE]", "attach a label"),
	RUN(name, OPT_STR, 0, "name", "NAME", "name of the container"),
	RUN(no_tty, OPT_FLAG, 'T', "no-TTY", NULL, "no terminal, though ours is one"),
	RUN(no_deps, OPT_FLAG, 0, "no-deps", NULL, "without the services that it depends on"),
	RUN(publish, OPT_STRV, 'p', "publish", "[[IP:]HOST:]PORT[/PROTOCOL]",
		"publish a port, or a range, on the host"),
	RUN(remove, OPT_FLAG, 0, "rm", NULL, "remove it when it exits"),
	RUN(service_ports, OPT_FLAG, 'P', "service-ports", NULL, "publish the service's ports"),
	RUN(user, OPT_STR, 'u', "user", "USER[:GROUP]", "user, by name or number"),
	RUN(volumes, OPT_STRV, 'v', "volume", "[SOURCE:]PATH[:OPTIONS]",
		"mount a directory (/..., ./...) or a volume of the project"),
	RUN(workdir, OPT_STR, 'w', "workdir", "PATH", "working directory"),
	OPTION_END,
};

static int start(const struct instance_config *c, const struct run_one_off *o, bool tty,
	bool stdin_on, struct err *err)
{
	int stream = -1;
	struct instance_start how = { .attach_stdin = stdin_on,
		.attach_stdout = !o->detach,
		.attach_stderr = !o->detach,
		.ret_stream = &stream };
	const struct stream_attach attach = {
		.tty = tty, .stdin_on = stdin_on, .proxy_signals = true
	};
	cleanup(instance_free) struct instance *i = NULL;
	struct db *db = cmd_db(err);

	foreground_size(tty, &how);
	if (!db || instance_find(db, c->id, &i, err) < 0)
		return cmd_fail(err, 1);
	if (instance_start(db, i, &how, err) < 0) {
		if (c->auto_remove)
			instance_remove(db, i, /* force= */ true, /* volumes= */ true, NULL);
		return cmd_fail(err, foreground_status(err, 1));
	}
	if (!o->detach)
		return foreground_follow(stream, &attach);
	puts(c->id);
	return 0;
}

static int run(struct cmd_call *call)
{
	const struct run_one_off *o = call->options;
	char *const names[] = { call->args[0], NULL };
	bool tty = !o->no_tty && !o->detach && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	bool stdin_on = !o->detach && (!o->interactive_given || o->interactive);
	const struct compose_run how = { .no_deps = o->no_deps,
		.service_ports = o->service_ports,
		.remove = o->remove,
		.tty = tty,
		.interactive = stdin_on,
		.env = o->env,
		.labels = o->labels,
		.publish = o->publish,
		.volumes = o->volumes,
		.entrypoint = o->entrypoint,
		.name = o->name,
		.user = o->user,
		.workdir = o->workdir,
		.command = call->args + 1 };
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	cleanup(compose_free) struct compose_project p = { 0 };
	struct err err = { 0 };
	struct db *db;

	if (compose_project(names, !o->no_deps, &p, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || compose_pull(db, &p, &err) < 0 ||
		compose_build(db, &p, !o->build, false, &err) < 0 ||
		compose_run(&compose_store, &p, call->args[0], &how, &compose_shown, &c, &err) < 0)
		return cmd_fail(&err, 1);
	return start(&c, o, tty, stdin_on, &err);
}

const struct cmd cmd_compose_run = {
	.name = "compose run",
	.group = "Compose",
	.args = "SERVICE [COMMAND] [ARG...]",
	.summary = "Run a command in a container of its own of a service",
	.description =
		"The container is like the service's, with the command in place of the service's, and without "
		"its published ports unless --service-ports is given. What the service depends on is started. "
		"`compose down` removes it, where --rm has not. The exit status is that of the command.",
	.examples =
		"holm compose run --rm web bash\nholm compose run --rm -e DEBUG=1 -v ./src:/src web make test",
	.options = rows,
	.options_size = sizeof(struct run_one_off),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST,
	.run = run,
};
