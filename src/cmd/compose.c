/* `holm compose`: the options in front of its verbs, and the verbs, which print; src/compose does the work. */
#include "cmd/compose.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/strv.h"
#include "cmd/image_rows.h"
#include "cmd/output.h"
#include "cmd/ps_row.h"
#include "cmd/table.h"
#include "cmd/verbs.h"
#include "compose/document.h"
#include "image/image.h"

static struct compose_options global;

static const struct cmd_option compose_rows[] = {
	OPTION_WITH(struct compose_options, env_files, OPT_STRV, 0, "env-file", "FILE",
		"variables for the files, in place of .env", .complete = COMPLETE_FILE),
	OPTION_WITH(struct compose_options, files, OPT_STRV, 'f', "file", "FILE",
		"a Compose file, or - ; later ones are merged over earlier ones",
		.complete = COMPLETE_FILE),
	OPTION(struct compose_options, profiles, OPT_STRV, 0, "profile", "NAME",
		"with the services of this profile"),
	OPTION_WITH(struct compose_options, project_directory, OPT_STR, 0, "project-directory",
		"DIR", "what relative paths start from: the first file's directory",
		.complete = COMPLETE_FILE),
	OPTION(struct compose_options, project_name, OPT_STR, 'p', "project-name", "NAME",
		"name of the project: the directory's"),
	OPTION_END,
};

/* What is left for the row itself: words that are none of its verbs. */
static int run_none(struct cmd_call *call)
{
	fprintf(stderr, "holm compose: unknown command '%s' (see 'holm compose --help')\n",
		call->args[0] ?: "");
	return 1;
}

const struct cmd cmd_compose = {
	.name = "compose",
	.group = "Compose",
	.args = "COMMAND",
	.summary = "Run the services of a Compose file",
	.description =
		"The file is compose.yaml here or in a directory above. docs/compose.md says what of "
		"the Compose specification is supported. Commands: build, config, cp, create, down, exec, images, "
		"kill, logs, ls, pause, port, ps, pull, restart, rm, run, start, stop, top, unpause, up.",
	.examples = "holm compose up -d\nholm compose -f compose.yaml -f test.yaml config\n"
		    "holm compose down -v",
	.options = compose_rows,
	.options_size = sizeof(struct compose_options),
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST | CMD_NO_STORE,
	.run = run_none,
};

char **compose_words(char **words, int *ret_status)
{
	struct err err = { 0 };
	size_t n;
	int r = options_parse(&cmd_compose, words, &global, &n, &err);

	*ret_status = r < 0 ? 125 : 0;
	if (r < 0) {
		fprintf(stderr, "holm compose: %s\n", err.text);
		return NULL;
	}
	if (r > 0 || n == 0) {
		if (r > 0)
			help_verb(stdout, &cmd_compose);
		else
			help_noun(stdout, "compose");
		return NULL;
	}
	/* The arguments are at the front now, "compose" gone. */
	memmove(words + 1, words, (n + 1) * sizeof(*words));
	words[0] = (char *)"compose";
	return words;
}

int compose_project(
	char *const *services, bool dependencies, struct compose_project *ret, struct err *err)
{
	cleanup(compose_free) struct compose_project p = { 0 };
	int r = compose_load(&global, &p, err);

	if (r == 0)
		r = compose_select(&p, services, dependencies, err);
	if (r < 0)
		return r;
	*ret = p;
	p = (struct compose_project){ 0 };
	return 0;
}

static void report(void *data, const char *what, const char *did)
{
	(void)data;
	fprintf(stderr, " %s  %s\n", what, did);
}

const struct compose_report compose_shown = { .fn = report };
const struct compose_store compose_store = { cmd_db, cmd_db_close };

struct up_options {
	bool build, no_build, detach, force_recreate, no_recreate, no_start, remove_orphans, wait,
		no_deps, abort;
	int64_t timeout;
	bool timeout_given;
	const char *exit_code_from;
	char **scale;
};

#define UP(member, name, letter, help) \
	OPTION(struct up_options, member, OPT_FLAG, letter, name, NULL, help)
#define SCALE_ROW \
	OPTION(struct up_options, scale, OPT_STRV, 0, "scale", "SERVICE=NUMBER", \
		"so many containers of a service, whatever the files say")
static const struct cmd_option up_rows[] = {
	UP(abort, "abort-on-container-exit", 0,
		"stop all when one container has ended, unless another waited for it to end well"),
	UP(build, "build", 0, "build images first, though they are there"),
	UP(detach, "detach", 'd', "run in the background"),
	OPTION(struct up_options, exit_code_from, OPT_STR, 0, "exit-code-from", "SERVICE",
		"end as this service's container does; implies --abort-on-container-exit"),
	UP(force_recreate, "force-recreate", 0, "make containers anew that have not changed"),
	UP(no_build, "no-build", 0, "build no image, though it is missing"),
	UP(no_deps, "no-deps", 0, "without the services that those named depend on"),
	UP(no_recreate, "no-recreate", 0, "leave containers as they are, though the file changed"),
	UP(no_start, "no-start", 0, "create, but do not start"),
	UP(remove_orphans, "remove-orphans", 0, "remove containers of services that are gone"),
	SCALE_ROW,
	OPTION_WITH(struct up_options, timeout, OPT_INT, 't', "timeout", "SECONDS",
		"when a container is replaced or stopped: time until it is killed",
		OPTION_GIVEN(struct up_options, timeout_given)),
	UP(wait, "wait", 0, "until the services are healthy; implies --detach"),
	OPTION_END,
};

struct bring_up {
	struct cmd_call *call;
	struct compose_project *p;
	pid_t follower; /* who shows what the containers write, or 0 */
};

static void report_up(void *data, const char *what, const char *did)
{
	const struct bring_up *b = data;

	report(NULL, what, did);
	if (b->follower && strcmp(did, "Started") == 0)
		kill(b->follower, COMPOSE_STARTED);
}

/* The exit status. */
static int bring_up(void *data)
{
	struct bring_up *b = data;
	const struct compose_report shown = { report_up, b };
	const struct up_options *o = b->call->options;
	const struct compose_up how = { o->force_recreate, o->no_recreate, o->no_start,
		o->remove_orphans, o->wait, o->no_deps, o->timeout_given ? o->timeout : -1 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || compose_pull(db, b->p, &err) < 0 ||
		(!o->no_build && compose_build(db, b->p, !o->build, false, &err) < 0) ||
		compose_up(&compose_store, b->p, &how, &shown, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

static int scale(struct compose_project *p, const struct up_options *o, struct err *err)
{
	int r = 0;

	for (char **item = o->scale; r == 0 && item && *item; item++)
		r = compose_set_scale(p, *item, err);
	return r;
}

static int run_up(struct cmd_call *call)
{
	const struct up_options *o = call->options;
	const struct compose_foreground how = { { .timeout = o->timeout,
							.timeout_given = o->timeout_given },
		o->abort || o->exit_code_from, o->exit_code_from };
	cleanup(compose_free) struct compose_project p = { 0 };
	struct bring_up b = { call, &p, 0 };
	struct err err = { 0 };

	if (o->build && o->no_build)
		return cmd_usage(call, "--build and --no-build exclude each other");
	if (o->force_recreate && o->no_recreate)
		return cmd_usage(call, "--force-recreate and --no-recreate exclude each other");
	if (how.abort && (o->detach || o->wait || o->no_start))
		return cmd_usage(call,
			"--abort-on-container-exit and --exit-code-from are for the foreground: without --detach, --wait and --no-start");
	if (compose_project(call->args, !o->no_deps, &p, &err) < 0 || scale(&p, o, &err) < 0)
		return cmd_fail(&err, 1);
	if (o->exit_code_from && !strv_contains(p.services, o->exit_code_from))
		return cmd_usage(call, "--exit-code-from: '%s' is not among the services",
			o->exit_code_from);
	if (o->detach || o->wait || o->no_start)
		return bring_up(&b);
	b.follower = getpid();
	return compose_foreground(&p, &how, bring_up, &b);
}

const struct cmd cmd_compose_up = {
	.name = "compose up",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Create and start services, and replace containers whose file has changed",
	.description =
		"Without --detach it shows what the containers write until all have ended. Ctrl-C stops "
		"them, a second one kills them; the exit status is 130 then, and 143 after SIGTERM.",
	.options = up_rows,
	.options_size = sizeof(struct up_options),
	.max_args = SIZE_MAX,
	.run = run_up,
};

static const struct cmd_option create_rows[] = {
	UP(build, "build", 0, "build images first, though they are there"),
	UP(force_recreate, "force-recreate", 0, "make containers anew that have not changed"),
	UP(no_build, "no-build", 0, "build no image, though it is missing"),
	UP(no_recreate, "no-recreate", 0, "leave containers as they are, though the file changed"),
	UP(remove_orphans, "remove-orphans", 0, "remove containers of services that are gone"),
	SCALE_ROW,
	OPTION_END,
};

static int run_create(struct cmd_call *call)
{
	struct up_options *o = call->options;

	o->no_start = true;
	return run_up(call);
}

const struct cmd cmd_compose_create = {
	.name = "compose create",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Create the containers of services without starting them",
	.options = create_rows,
	.options_size = sizeof(struct up_options),
	.max_args = SIZE_MAX,
	.run = run_create,
};

struct down_options {
	bool volumes, remove_orphans, timeout_given;
	int64_t timeout;
	const char *images;
};

static const char *const image_choices[] = { "local", "all", NULL };

static const struct cmd_option down_rows[] = {
	OPTION(struct down_options, remove_orphans, OPT_FLAG, 0, "remove-orphans", NULL,
		"remove containers of services that are gone"),
	OPTION_WITH(struct down_options, images, OPT_STR, 0, "rmi", "WHICH",
		"remove images of services: local, those without a name in the file, or all",
		.choices = image_choices),
	OPTION_WITH(struct down_options, timeout, OPT_INT, 't', "timeout", "SECONDS",
		"time until a container is killed",
		OPTION_GIVEN(struct down_options, timeout_given)),
	OPTION(struct down_options, volumes, OPT_FLAG, 'v', "volumes", NULL,
		"remove the project's volumes, too"),
	OPTION_END,
};

/* What is in use by others stays, which is said. */
static int remove_images(const struct compose_project *p, bool all, struct err *err)
{
	struct db *db = cmd_db(err);

	if (!db)
		return -EIO;
	strv_foreach (service, p->services) {
		cleanup(free) char *name = compose_image(p, *service);
		cleanup(strv_free) char **report = NULL;
		struct err why = { 0 };
		int r;
		if (!all && node_get(compose_service(p, *service), "image"))
			continue;
		r = image_remove(db, name, /* force= */ false, &report, &why);
		image_removed(report);
		if (r == 0)
			compose_tell(&compose_shown, "Removed", "Image %s", name);
		else if (r != -ENOENT)
			log_warn("%s", why.text);
	}
	return 0;
}

static int run_down(struct cmd_call *call)
{
	const struct down_options *o = call->options;
	const struct compose_down how = { o->volumes, o->remove_orphans, call->n_args > 0,
		o->timeout_given ? o->timeout : -1 };
	cleanup(compose_free) struct compose_project p = { 0 };
	struct err err = { 0 };

	/* Of all profiles: what was started with one is taken down without naming it. */
	strv_add(&global.profiles, "*");
	if (compose_project(call->args, call->n_args == 0, &p, &err) < 0 ||
		compose_down(&compose_store, &p, &how, &compose_shown, &err) < 0 ||
		(o->images && remove_images(&p, strcmp(o->images, "all") == 0, &err) < 0))
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_compose_down = {
	.name = "compose down",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Stop and remove the project's containers and networks",
	.description =
		"Of services that are named, only the containers. Containers of `compose run` go, too.",
	.options = down_rows,
	.options_size = sizeof(struct down_options),
	.max_args = SIZE_MAX,
	.run = run_down,
};

struct config_options {
	bool services, volumes, networks, profiles, images, quiet, hash;
	const char *format;
};

static const char *const config_formats[] = { "yaml", "json", NULL };
#define CONFIG(member, name, letter, help) \
	OPTION(struct config_options, member, OPT_FLAG, letter, name, NULL, help)
static const struct cmd_option config_rows[] = {
	OPTION_WITH(struct config_options, format, OPT_STR, 0, "format", "FORMAT", "yaml or json",
		.choices = config_formats),
	CONFIG(hash, "hash", 0, "each service with what its containers are compared by"),
	CONFIG(images, "images", 0, "only the images"),
	CONFIG(networks, "networks", 0, "only the names of networks"),
	CONFIG(profiles, "profiles", 0, "only the names of profiles"),
	CONFIG(quiet, "quiet", 'q', "print nothing: check alone"),
	CONFIG(services, "services", 0, "only the names of services"),
	CONFIG(volumes, "volumes", 0, "only the names of volumes"),
	OPTION_END,
};

static void print_keys(const struct node *map)
{
	for (size_t i = 0; map && i < map->n; i++)
		puts(map->keys[i]);
}

/* Those of services that are not chosen, or the profiles of all. */
static int print_lists(
	const struct compose_project *p, const struct config_options *o, struct err *err)
{
	const struct node *all = node_get(p->root, "services");
	cleanup(strv_free) char **seen = NULL;

	for (size_t i = 0; o->profiles && i < all->n; i++) {
		cleanup(strv_free) char **profiles = node_strv(node_get(all->items[i], "profiles"));
		strv_foreach (profile, profiles)
			if (!strv_contains(seen, *profile)) {
				strv_add(&seen, *profile);
				puts(*profile);
			}
	}
	strv_foreach (name, p->services) {
		cleanup(free) char *image = compose_image(p, *name);
		char hash[65];
		if (o->services)
			puts(*name);
		if (o->images)
			puts(image);
		if (o->hash && compose_hash(p, *name, hash, err) < 0)
			return -EINVAL;
		if (o->hash)
			printf("%s %s\n", *name, hash);
	}
	if (o->networks)
		print_keys(node_get(p->root, "networks"));
	if (o->volumes)
		print_keys(node_get(p->root, "volumes"));
	return 0;
}

/* What is printed can be read again: a $ is $$ in a file. */
static void escape(struct node *n)
{
	for (size_t i = 0; i < n->n; i++)
		escape(n->items[i]);
	if (n->text && strchr(n->text, '$')) {
		cleanup(strv_free) char **parts = strv_split(n->text, '$');
		cleanup(free) char *text = strv_join(parts, "$$");
		node_set_text(n, n->kind, text);
	}
}

static int print_whole(struct compose_project *p, const char *format, struct err *err)
{
	struct node *services = node_get(p->root, "services");
	cleanup(buf_free) struct buf text = { 0 };

	for (size_t i = services->n; i-- > 0;)
		if (!strv_contains(p->services, services->keys[i]))
			node_remove(services, i);
	node_set_string(p->root, "name", p->name, NULL);
	escape(p->root);
	if (format && strcmp(format, "json") == 0) {
		cleanup(json_free) json_t *j = node_json(p->root);
		cleanup(free) char *json = json_text(j, 2);
		puts(json);
		return 0;
	}
	if (yaml_write(p->root, &text, err) < 0)
		return -EINVAL;
	fputs(text.data, stdout);
	return 0;
}

static int run_config(struct cmd_call *call)
{
	const struct config_options *o = call->options;
	cleanup(compose_free) struct compose_project p = { 0 };
	struct err err = { 0 };
	int r = 0;

	if (compose_project(call->args, true, &p, &err) < 0)
		return cmd_fail(&err, 1);
	if (o->services || o->volumes || o->networks || o->profiles || o->images || o->hash)
		r = print_lists(&p, o, &err);
	else if (!o->quiet)
		r = print_whole(&p, o->format, &err);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_compose_config = {
	.name = "compose config",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Check the files and print what they come to",
	.options = config_rows,
	.options_size = sizeof(struct config_options),
	.max_args = SIZE_MAX,
	.flags = CMD_NO_STORE,
	.run = run_config,
};

struct ps_options {
	bool all, quiet, services;
	const char *format;
};

static const struct cmd_option ps_rows[] = {
	OPTION(struct ps_options, all, OPT_FLAG, 'a', "all", NULL, "stopped ones, too"),
	OPTION(struct ps_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template like '{{.Name}}'"),
	OPTION(struct ps_options, quiet, OPT_FLAG, 'q', "quiet", NULL, "only ids"),
	OPTION(struct ps_options, services, OPT_FLAG, 0, "services", NULL, "only services' names"),
	OPTION_END,
};

static const struct output_column ps_columns[] = { { "NAME", "Name", false },
	{ "IMAGE", "Image", false }, { "COMMAND", "Command", false },
	{ "SERVICE", "Service", false }, { "CREATED", "RunningFor", false },
	{ "STATUS", "Status", false }, { "PORTS", "Ports", false }, { "", NULL, false } };

static int run_ps(struct cmd_call *call)
{
	const struct ps_options *o = call->options;
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(instance_list_free) struct instance_list list = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	struct err err = { 0 };
	struct db *db;

	if (compose_project(call->args, false, &p, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || compose_containers(db, &p, NULL, o->all, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < list.n; i++) {
		const struct instance *one = list.items[i];
		const char *service = compose_label(one, "service");
		json_t *row;
		if ((!o->all && !instance_running(one)) ||
			(call->n_args && !strv_contains(p.services, service)))
			continue;
		row = ps_row(db, one, o->quiet ? false : true, false);
		json_object_set_new(row, "Name", json_string(one->config.name));
		json_object_set_new(row, "Service", json_shown(service));
		json_object_set_new(row, "Project", json_string(p.name));
		json_object_set_new(row, "ExitCode", json_integer(one->state.exit_code));
		json_object_set_new(row, "Health", json_string(one->state.health ?: ""));
		json_array_append_new(rows, row);
	}
	if (output_rows(ps_columns, rows, o->format, o->services ? "Service" : "ID",
		    o->quiet || o->services, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_compose_ps = {
	.name = "compose ps",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "List the project's containers",
	.options = ps_rows,
	.options_size = sizeof(struct ps_options),
	.max_args = SIZE_MAX,
	.run = run_ps,
};
