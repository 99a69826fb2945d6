/* `holm oci kill, delete, pause, resume`. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"

struct kill_options {
	bool all;
};

static const struct cmd_option kill_rows[] = {
	OPTION(struct kill_options, all, OPT_FLAG, 'a', "all", NULL,
		"send the signal to all processes inside the container"),
	OPTION_END,
};

static int parse_signal(const char *text, struct err *err)
{
	uint64_t number;
	int signo;

	/* 0 too: it asks whether there is a process. */
	if (parse_u64(text, NSIG - 1, &number) == 0)
		return (int)number;
	cleanup(free) char *upper = xstrdup(text);
	for (char *p = upper; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	signo = signal_parse(upper);
	return signo < 0 ? err_set(err, EINVAL, "unknown signal \"%s\"", text) : signo;
}

static int kill_run(struct cmd_call *call)
{
	const struct kill_options *o = call->options;
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	int signo = c ? parse_signal(call->n_args > 1 ? call->args[1] : "TERM", &err) : -1;

	if (signo < 0 || oci_kill(c, signo, o->all, &err) < 0)
		return oci_fail(&err, 1);
	return 0;
}

struct delete_options {
	bool force;
};

static const struct cmd_option delete_rows[] = {
	OPTION(struct delete_options, force, OPT_FLAG, 'f', "force", NULL,
		"forcibly delete the container if it is still running (uses SIGKILL)"),
	OPTION_END,
};

static int delete_run(struct cmd_call *call)
{
	const struct delete_options *o = call->options;
	struct err err = { 0 };

	if (oci_delete(oci_options()->root, call->args[0], o->force, &err) < 0)
		return oci_fail(&err, 1);
	return 0;
}

static int set_paused(const char *id, bool pause)
{
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(id, &err);

	if (!c || oci_pause(c, pause, &err) < 0)
		return oci_fail(&err, 1);
	return 0;
}

static int pause_run(struct cmd_call *call)
{
	return set_paused(call->args[0], true);
}

static int resume_run(struct cmd_call *call)
{
	return set_paused(call->args[0], false);
}

const struct cmd cmd_oci_kill = {
	.name = "oci kill",
	.group = "OCI runtime",
	.args = "<container-id> [signal]",
	.summary = "send the specified signal (default: SIGTERM) to the container's init process",
	.options = kill_rows,
	.options_size = sizeof(struct kill_options),
	.min_args = 1,
	.max_args = 2,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = kill_run,
};

const struct cmd cmd_oci_delete = {
	.name = "oci delete",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "delete any resources held by the container often used with detached container",
	.options = delete_rows,
	.options_size = sizeof(struct delete_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = delete_run,
};

const struct cmd cmd_oci_pause = {
	.name = "oci pause",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "suspend all processes inside the container",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = pause_run,
};

const struct cmd cmd_oci_resume = {
	.name = "oci resume",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "resume all processes that have been previously paused",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = resume_run,
};
