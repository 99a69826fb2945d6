/* `holm logs`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ident.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "instance/instance.h"
#include "instance/log.h"

struct logs_options {
	bool follow, timestamps, details;
	const char *tail, *since, *until;
};

static const struct cmd_option logs_option_rows[] = {
	OPTION(struct logs_options, details, OPT_FLAG, 0, "details", NULL,
		"accepted as in Docker: there are none"),
	OPTION(struct logs_options, follow, OPT_FLAG, 'f', "follow", NULL,
		"go on until the container stops"),
	OPTION(struct logs_options, since, OPT_STR, 0, "since", "TIME",
		"from then on: 2026-01-02T15:04:05Z, or 10m for ten minutes ago"),
	OPTION(struct logs_options, tail, OPT_STR, 'n', "tail", "LINES",
		"only the last ones, or all"),
	OPTION(struct logs_options, timestamps, OPT_FLAG, 't', "timestamps", NULL, "with times"),
	OPTION(struct logs_options, until, OPT_STR, 0, "until", "TIME", "up to then"),
	OPTION_END,
};

struct printer {
	const struct logs_options *o;
	FILE *last;
};

static int print(void *data, int stream, int64_t time, const char *text, size_t len)
{
	struct printer *p = data;
	FILE *to = stream == 2 ? stderr : stdout;
	char when[TIME_LEN];

	/* Both may be one terminal or file: the order of the lines counts. */
	if (p->last && p->last != to)
		fflush(p->last);
	p->last = to;
	if (p->o->timestamps) {
		time_format(time, when);
		fprintf(to, "%s ", when);
	}
	fwrite(text, 1, len, to);
	if (p->o->follow)
		fflush(to);
	return ferror(to) ? 1 : 0;
}

static int parse_times(const struct logs_options *o, struct log_read *how, struct err *err)
{
	if (o->tail && strcmp(o->tail, "all") != 0 &&
		parse_i64(o->tail, INT64_MIN, INT64_MAX, &how->tail) < 0)
		return err_set(err, EINVAL, "--tail: '%s' is neither a number nor 'all'", o->tail);
	if (o->since && time_parse(o->since, &how->since) < 0)
		return err_set(err, EINVAL, "--since: '%s' is not a time", o->since);
	if (o->until && time_parse(o->until, &how->until) < 0)
		return err_set(err, EINVAL, "--until: '%s' is not a time", o->until);
	return 0;
}

static int run(struct cmd_call *call)
{
	struct log_read how = { .tail = -1, .want_stdout = true, .want_stderr = true };
	struct printer printer = { .o = call->options };
	cleanup(instance_free) struct instance *i = NULL;
	struct err err = { 0 };
	struct db *db;

	if (parse_times(printer.o, &how, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db || instance_find(db, call->args[0], &i, &err) < 0)
		return cmd_fail(&err, 1);
	how.follow = printer.o->follow;
	setvbuf(stderr, NULL, _IOFBF, 1 << 16);
	if (log_read(i, &how, print, &printer, &err) < 0)
		return cmd_fail(&err, 1);
	fflush(stderr);
	return fflush(stdout) != 0 || ferror(stdout);
}

const struct cmd cmd_logs = {
	.name = "logs",
	.alias = "container logs",
	.group = "Instances",
	.args = "CONTAINER",
	.summary = "Show what a container has written",
	.description =
		"What it wrote to its standard output goes to standard output, what it wrote to "
		"its standard error to standard error.",
	.examples = "holm logs -f web\nholm logs --since 10m -n 100 web",
	.options = logs_option_rows,
	.options_size = sizeof(struct logs_options),
	.min_args = 1,
	.max_args = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
