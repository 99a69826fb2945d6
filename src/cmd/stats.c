/* `holm stats`: use of resources, once or as a display that is renewed every second. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "instance/instance.h"

struct stats_options {
	bool all, no_stream, no_trunc;
	const char *format;
};

static const struct cmd_option stats_option_rows[] = {
	OPTION(struct stats_options, all, OPT_FLAG, 'a', "all", NULL, "stopped ones too"),
	OPTION(struct stats_options, format, OPT_STR, 0, "format", "FORMAT",
		"table, json, or a template"),
	OPTION(struct stats_options, no_stream, OPT_FLAG, 0, "no-stream", NULL,
		"show one measurement and end"),
	OPTION(struct stats_options, no_trunc, OPT_FLAG, 0, "no-trunc", NULL, "shorten nothing"),
	OPTION_END,
};

static const struct output_column columns[] = { { "CONTAINER ID", "ID", false },
	{ "NAME", "Name", false }, { "CPU %", "CPUPerc", false },
	{ "MEM USAGE / LIMIT", "MemUsage", false }, { "MEM %", "MemPerc", false },
	{ "NET I/O", "NetIO", false }, { "BLOCK I/O", "BlockIO", false }, { "PIDS", "PIDs", false },
	{ 0 } };

/* One instance's last measurement, by which the next gives rates. */
struct sample {
	char id[ID_LEN + 1];
	uint64_t cpu_ns;
	int64_t when; /* monotonic ns; 0: none yet */
};

struct samples {
	struct sample *items;
	size_t n;
};

static struct sample *sample_of(struct samples *s, const char *id)
{
	for (size_t n = 0; n < s->n; n++)
		if (strcmp(s->items[n].id, id) == 0)
			return &s->items[n];
	s->items = xrealloc_array(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n] = (struct sample){ 0 };
	snprintf(s->items[s->n].id, sizeof(s->items[s->n].id), "%s", id);
	return &s->items[s->n++];
}

/* Powers of 1000, three digits: what Docker shows of networks and disks. */
static void decimal_size(uint64_t bytes, char text[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes;
	int u = 0;

	for (; v >= 1000 && u < 5; u++)
		v /= 1000;
	snprintf(text, 16, "%.3g%s", v, units[u]);
}

static void set(json_t *row, const char *key, char *text)
{
	json_object_set_new(row, key, json_string(text));
	free(text);
}

static void set_pair(json_t *row, const char *key, uint64_t a, uint64_t b)
{
	char x[16], y[16];

	decimal_size(a, x);
	decimal_size(b, y);
	set(row, key, xasprintf("%s / %s", x, y));
}

static void set_unknown(json_t *row)
{
	set(row, "CPUPerc", xstrdup("--"));
	set(row, "MemUsage", xstrdup("-- / --"));
	set(row, "MemPerc", xstrdup("--"));
	set(row, "NetIO", xstrdup("-- / --"));
	set(row, "BlockIO", xstrdup("-- / --"));
	set(row, "PIDs", xstrdup("--"));
}

static void set_stats(json_t *row, const struct run_stats *s, struct sample *last)
{
	int64_t now = time_monotonic();
	double cpu = 0, memory = 0;

	if (last->when && now > last->when && s->cpu_ns > last->cpu_ns)
		cpu = 100.0 * (double)(s->cpu_ns - last->cpu_ns) / (double)(now - last->when);
	if (s->memory_limit_bytes)
		memory = 100.0 * (double)s->memory_bytes / (double)s->memory_limit_bytes;
	last->cpu_ns = s->cpu_ns;
	last->when = now;
	set(row, "CPUPerc", xasprintf("%.2f%%", cpu));
	set(row, "MemUsage",
		xasprintf("%s / %s", format_size(s->memory_bytes),
			format_size(s->memory_limit_bytes)));
	set(row, "MemPerc", xasprintf("%.2f%%", memory));
	set_pair(row, "NetIO", s->net_rx_bytes, s->net_tx_bytes);
	set_pair(row, "BlockIO", s->block_read_bytes, s->block_write_bytes);
	set(row, "PIDs", xasprintf("%" PRIu64, s->pids));
}

static void add_row(
	json_t *rows, struct instance *i, const struct stats_options *o, struct samples *samples)
{
	json_t *row = json_object();
	struct run_stats s = { 0 };
	struct sample *last = sample_of(samples, i->config.id);

	set(row, "ID", xstrndup(i->config.id, o->no_trunc ? ID_LEN : ID_SHORT));
	set(row, "Container", xstrndup(i->config.id, o->no_trunc ? ID_LEN : ID_SHORT));
	set(row, "Name", xstrdup(i->config.name));
	/* One that ends between our look and the measurement counts as stopped. */
	if (instance_running(i) && instance_stats(i, &s, NULL) == 0)
		set_stats(row, &s, last);
	else
		set_unknown(row);
	json_array_append_new(rows, row);
}

/* The named ones, or all that run. */
static int measure(const struct cmd_call *call, struct db *db, struct samples *samples,
	json_t *rows, struct err *err)
{
	const struct stats_options *o = call->options;
	cleanup(instance_list_free) struct instance_list list = { 0 };
	int r = 0;

	for (size_t n = 0; n < call->n_args; n++) {
		cleanup(instance_free) struct instance *i = NULL;
		r = instance_find(db, call->args[n], &i, err);
		if (r < 0)
			return r;
		add_row(rows, i, o, samples);
	}
	if (!call->n_args)
		r = instance_list(db, &list, err);
	for (size_t n = 0; r == 0 && n < list.n; n++)
		if (o->all || instance_running(list.items[n]))
			add_row(rows, list.items[n], o, samples);
	return r;
}

static int show(const struct cmd_call *call, struct db *db, struct samples *samples, bool renew,
	struct err *err)
{
	const struct stats_options *o = call->options;
	cleanup(json_free) json_t *rows = json_array();
	int r = measure(call, db, samples, rows, err);

	if (r < 0)
		return r;
	if (renew)
		fputs("\033[H\033[J", stdout);
	r = output_rows(columns, rows, o->format, "ID", /* quiet= */ false, err);
	if (fflush(stdout) == EOF)
		return err_errno(err, "write to standard output");
	return r;
}

static int run(struct cmd_call *call)
{
	const struct stats_options *o = call->options;
	cleanup(json_free) json_t *none = json_array();
	struct samples samples = { 0 };
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	bool renew = !o->no_stream && isatty(STDOUT_FILENO);
	int r = db ? measure(call, db, &samples, none, &err) : -EIO;

	/* Rates need two looks; half a second apart for one answer, a second for a display. */
	if (r == 0 && samples.n)
		poll(NULL, 0, 500);
	if (r == 0)
		r = show(call, db, &samples, renew, &err);
	while (r == 0 && !o->no_stream) {
		poll(NULL, 0, 1000);
		r = show(call, db, &samples, renew, &err);
	}
	free(samples.items);
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_stats = {
	.name = "stats",
	.alias = "container stats",
	.group = "Instances",
	.args = "[CONTAINER...]",
	.summary = "Show what containers use of CPU, memory, network and disks",
	.options = stats_option_rows,
	.options_size = sizeof(struct stats_options),
	.min_args = 0,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
