/* `holm oci events`. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ident.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"
#include "engine/engine.h"

#define DEFAULT_INTERVAL (5 * INT64_C(1000000000))

struct events_options {
	int64_t interval;
	bool stats, has_interval;
};

static const struct cmd_option events_rows[] = {
	OPTION_WITH(struct events_options, interval, OPT_DURATION, 0, "interval", "DURATION",
		"set the stats collection interval (5s)",
		OPTION_GIVEN(struct events_options, has_interval)),
	OPTION(struct events_options, stats, OPT_FLAG, 0, "stats", NULL,
		"display the container's stats then exit"),
	OPTION_END,
};

/* In this order, which those that do not parse it rely upon. Takes `data`. */
static void print_event(const char *type, const struct oci_container *c, json_t *data)
{
	json_t *j = json_pack("{s:s, s:s}", "type", type, "id", c->id);
	cleanup(free) char *text = NULL;

	if (data)
		json_object_set_new(j, "data", data);
	text = json_text(j, 0);
	json_decref(j);
	printf("%s\n", text);
	fflush(stdout);
}

static int print_stats(const struct oci_container *c, struct err *err)
{
	json_t *data = engine_container.counters(&c->run, err);

	if (data)
		print_event("stats", c, data);
	return data ? 0 : -err->code;
}

static uint64_t oom_kills(const struct oci_container *c)
{
	struct run_stats s = { 0 };

	return engine_container.stats(&c->run, &s, NULL) == 0 ? s.oom_kills : 0;
}

/* Something happened to the memory: the kernel tells before it has killed. */
static void look(const struct oci_container *c, int fd, uint64_t *kills)
{
	char waste[4096];
	uint64_t now = *kills;

	while (read(fd, waste, sizeof(waste)) > 0)
		;
	for (int i = 0; i < 20 && now <= *kills && oci_status(c) != RUN_STOPPED; i++) {
		now = oom_kills(c);
		if (now <= *kills)
			poll(NULL, 0, 10);
	}
	if (now > *kills) {
		print_event("oom", c, NULL);
		*kills = now;
	}
}

static int follow(const struct oci_container *c, int64_t interval, struct err *err)
{
	cleanup(fd_close) int fd = engine_container.watch_memory(&c->run, err);
	cleanup(fd_close) int process = run_pidfd(&c->run);
	int64_t next = time_monotonic() + interval;
	uint64_t kills = oom_kills(c);

	if (fd < 0)
		return fd;
	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
			{ .fd = process, .events = POLLIN } };
		int64_t left = (next - time_monotonic()) / 1000000;
		int n = poll(fds, 2, left > 0 ? (int)(left > 3600000 ? 3600000 : left) : 0);
		if (n < 0 && errno != EINTR)
			return err_errno(err, "poll");
		if (n > 0 && fds[0].revents)
			look(c, fd, &kills);
		if (oci_status(c) == RUN_STOPPED)
			return 0;
		if (time_monotonic() < next)
			continue;
		if (print_stats(c, err) < 0 && oci_status(c) != RUN_STOPPED)
			return -err->code;
		next += interval;
	}
}

static int events_run(struct cmd_call *call)
{
	const struct events_options *o = call->options;
	int64_t interval = o->has_interval ? o->interval : DEFAULT_INTERVAL;
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	int r = c ? 0 : -1;

	if (r == 0 && interval <= 0)
		r = err_set(&err, EINVAL, "duration interval must be greater than 0");
	if (r == 0 && oci_status(c) == RUN_STOPPED)
		r = err_set(&err, EINVAL, "container with id %s is not running", c->id);
	if (r == 0)
		r = o->stats ? print_stats(c, &err) : follow(c, interval, &err);
	return r < 0 ? oci_fail(&err, 1) : 0;
}

const struct cmd cmd_oci_events = {
	.name = "oci events",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "display container events such as OOM notifications, cpu, memory, and IO usage "
		   "statistics",
	.description = "One JSON object a line; statistics every 5 seconds.",
	.options = events_rows,
	.options_size = sizeof(struct events_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = events_run,
};
