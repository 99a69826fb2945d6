/* `holm build`. */
#include "build/build.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/strv.h"
#include "cmd/build_progress.h"
#include "cmd/cmd.h"
#include "cmd/pull.h"
#include "cmd/image_rows.h"
#include "cmd/run_options.h"

struct build_options {
	const char *file, *target, *platform, *network, *iidfile, *progress;
	char **tag, **args, **label, **context, **secret, **ssh, **add_host, **cache_from, **output;
	bool no_cache, pull, quiet, rm, force_rm;
	int64_t shm_size, memory;
};

static const char *const progress_modes[] = { "auto", "plain", "tty", "quiet", "json", NULL };

static const struct cmd_option options[] = { OPTION(struct build_options, add_host, OPT_STRV, 0,
						     "add-host", "NAME:IP",
						     "an entry of /etc/hosts while RUN runs"),
	OPTION(struct build_options, args, OPT_STRV, 0, "build-arg", "NAME[=VALUE]",
		"the value of an ARG; without =, the environment's"),
	OPTION(struct build_options, context, OPT_STRV, 0, "build-context", "NAME=PATH",
		"another context: a directory, or docker-image://IMAGE"),
	OPTION_WITH(struct build_options, cache_from, OPT_STRV, 0, "cache-from", "IMAGE",
		"for scripts made for Docker, and without effect: only what was built here is known",
		.complete = COMPLETE_IMAGE),
	OPTION_WITH(struct build_options, file, OPT_STR, 'f', "file", "FILE",
		"the Dockerfile; - is standard input", .complete = COMPLETE_FILE),
	OPTION(struct build_options, force_rm, OPT_FLAG, 0, "force-rm", NULL,
		"for scripts made for Docker: nothing is left in any case"),
	OPTION_WITH(struct build_options, iidfile, OPT_STR, 0, "iidfile", "FILE",
		"write the image's id to this file", .complete = COMPLETE_FILE),
	OPTION(struct build_options, label, OPT_STRV, 0, "label", "KEY[=VALUE]", "a label"),
	OPTION(struct build_options, memory, OPT_SIZE, 'm', "memory", "SIZE",
		"limit of memory of each RUN"),
	OPTION(struct build_options, network, OPT_STR, 0, "network", "NETWORK",
		"of RUN: default, none, host, or a network's name"),
	OPTION(struct build_options, no_cache, OPT_FLAG, 0, "no-cache", NULL,
		"run every step anew"),
	OPTION(struct build_options, output, OPT_STRV, 'o', "output", "WHERE",
		"instead of an image: type=local|tar|oci|docker,dest=PATH, a directory, or - for a tar"),
	OPTION(struct build_options, platform, OPT_STR, 0, "platform", "OS/ARCH",
		"what the image is for"),
	OPTION_WITH(struct build_options, progress, OPT_STR, 0, "progress", "KIND",
		"auto, plain, tty, quiet or json", .choices = progress_modes),
	OPTION(struct build_options, pull, OPT_FLAG, 0, "pull", NULL, "look for newer base images"),
	OPTION(struct build_options, quiet, OPT_FLAG, 'q', "quiet", NULL,
		"only print the image's id"),
	OPTION(struct build_options, rm, OPT_FLAG, 0, "rm", NULL,
		"for scripts made for Docker: nothing is left in any case"),
	OPTION(struct build_options, secret, OPT_STRV, 0, "secret", "SPEC",
		"for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME"),
	OPTION(struct build_options, shm_size, OPT_SIZE, 0, "shm-size", "SIZE",
		"size of /dev/shm, 64m unless given"),
	OPTION(struct build_options, ssh, OPT_STRV, 0, "ssh", "ID[=SOCKET]",
		"an SSH agent for RUN --mount=type=ssh: default is SSH_AUTH_SOCK's"),
	OPTION(struct build_options, tag, OPT_STRV, 't', "tag", "NAME[:TAG]",
		"a name for the image"),
	OPTION(struct build_options, target, OPT_STR, 0, "target", "STAGE",
		"build this stage, and what it needs"),
	OPTION_END };

static volatile bool interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = true;
}

/* The first one ends the build in good order, the second at once. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int check_hosts(char *const *hosts, struct err *err)
{
	strv_foreach (h, hosts)
		if (!strchr(*h, ':') || **h == ':')
			return err_set(err, EINVAL, "--add-host '%s': expected NAME:IP", *h);
	return 0;
}

static int check_contexts(char *const *items, char ***map, struct err *err)
{
	strv_foreach (item, items) {
		char *sign = strchr(*item, '=');
		cleanup(free) char *name = NULL;
		if (!sign || sign == *item || !sign[1])
			return err_set(
				err, EINVAL, "--build-context '%s': expected NAME=PATH", *item);
		name = strndup(*item, (size_t)(sign - *item));
		map_set(map, name, sign + 1);
	}
	return 0;
}

static int write_id(const struct build_options *o, const char *id, struct err *err)
{
	int r = o->iidfile ? file_write(-1, o->iidfile, id, strlen(id), 0644, 0) : 0;

	return r < 0 ? err_code(err, r, "write '%s'", o->iidfile) : 0;
}

static int build(const struct build_options *o, const char *context, char id[DIGEST_LEN + 1],
	struct err *err)
{
	cleanup(strv_free) char **labels = NULL, **contexts = NULL;
	struct build_config c = { .context = context,
		.dockerfile = o->file,
		.tags = o->tag,
		.args = o->args,
		.secrets = o->secret,
		.ssh = o->ssh,
		.add_hosts = o->add_host,
		.target = o->target,
		.platform = o->platform,
		.network = o->network,
		.outputs = o->output,
		.shm_size = o->shm_size,
		.memory = o->memory,
		.fetch = pull_for_build,
		.fetch_data = (void *)o->platform,
		.no_cache = o->no_cache,
		.pull = o->pull };
	struct build_progress *progress;
	struct db *db;
	int r = pairs_parse("label", o->label, &labels, err);

	if (r == 0)
		r = check_contexts(o->context, &contexts, err);
	if (r == 0)
		r = check_hosts(o->add_host, err);
	if (r < 0)
		return r;
	c.labels = labels;
	c.contexts = contexts;
	db = cmd_db(err);
	if (!db)
		return -err->code;
	catch_signals();
	progress = build_progress_new(o->quiet ? "quiet" : o->progress);
	r = build_run(db, &c, &interrupted, build_progress_event, progress, id, err);
	build_progress_free(progress, r < 0);
	return r;
}

static int run(struct cmd_call *call)
{
	const struct build_options *o = call->options;
	char id[DIGEST_LEN + 1] = "";
	struct err err = { 0 };
	int r = build(o, call->args[0], id, &err);

	if (r == 0 && *id)
		r = write_id(o, id, &err);
	if (r < 0)
		return cmd_fail(&err, interrupted ? 130 : 1);
	if (!*id)
		return 0;
	image_event("build", id, o->tag ? o->tag[0] : id);
	if (!o->output && (!o->progress || strcmp(o->progress, "json") != 0))
		puts(id);
	return 0;
}

const struct cmd cmd_build = {
	.name = "build",
	.alias = "image build, builder build, buildx build",
	.group = "Images",
	.args = "DIRECTORY|-",
	.summary = "Build an image from a Dockerfile",
	.description =
		"The directory is the context: what COPY and ADD take files from, without what its "
		".dockerignore names. With - the context is a tar on standard input, or, when that is none, an empty "
		"one with the Dockerfile that is read there.\n\n"
		"Steps whose result is known are not run again: what counts is what goes into them, such as the "
		"contents of copied files, and not when. Stages that do not need each other run at the same time, and "
		"those that the target does not need not at all.\n\n"
		"With SOURCE_DATE_EPOCH, in the environment or by --build-arg, no time is later than that, so that two "
		"builds of the same give the same digests.",
	.examples = "holm build -t mine:1 .\n"
		    "holm build -f docker/Dockerfile --target test --build-arg VERSION=3 .\n"
		    "holm build -o out --target artifacts .",
	.options = options,
	.options_size = sizeof(struct build_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_FILE,
	.run = run,
};
