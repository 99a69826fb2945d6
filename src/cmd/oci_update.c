/* `holm oci update`. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"
#include "engine/engine.h"

struct update_options {
	const char *resources, *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share;
	const char *cpu_rt_period, *cpu_rt_runtime, *cpuset_cpus, *cpuset_mems, *cpu_idle;
	const char *kernel_memory, *kernel_memory_tcp, *memory, *memory_reservation, *memory_swap;
	const char *pids_limit, *l3_cache_schema, *mem_bw_schema;
};

#define UPDATE(member_, name_, metavar_, help_) \
	OPTION(struct update_options, member_, OPT_STR, 0, name_, metavar_, help_)

static const struct cmd_option update_rows[] = {
	OPTION_WITH(struct update_options, resources, OPT_STR, 'r', "resources", "FILE",
		"file with the resources to update (linux.resources of a bundle), or '-' for standard "
		"input; all other options are ignored then",
		.complete = COMPLETE_FILE),
	UPDATE(blkio_weight, "blkio-weight", "N", "weight of block I/O, range is from 10 to 1000"),
	UPDATE(cpu_period, "cpu-period", "US", "CPU CFS period"),
	UPDATE(cpu_quota, "cpu-quota", "US", "allowed CPU time in a period, -1 for all"),
	UPDATE(cpu_burst, "cpu-burst", "US", "CPU time that may be saved up"),
	UPDATE(cpu_share, "cpu-share", "N", "CPU shares (relative weight vs. other containers)"),
	UPDATE(cpu_rt_period, "cpu-rt-period", "US", "period of realtime scheduling"),
	UPDATE(cpu_rt_runtime, "cpu-rt-runtime", "US", "realtime CPU time in a period"),
	UPDATE(cpuset_cpus, "cpuset-cpus", "LIST", "CPU(s) to use"),
	UPDATE(cpuset_mems, "cpuset-mems", "LIST", "memory node(s) to use"),
	UPDATE(cpu_idle, "cpu-idle", "0|1", "set it to the idle scheduling class"),
	UPDATE(kernel_memory, "kernel-memory", "BYTES", "(obsoleted; ignored)"),
	UPDATE(kernel_memory_tcp, "kernel-memory-tcp", "BYTES", "(obsoleted; ignored)"),
	UPDATE(memory, "memory", "BYTES", "memory limit, -1 for none"),
	UPDATE(memory_reservation, "memory-reservation", "BYTES",
		"memory reservation (soft limit)"),
	UPDATE(memory_swap, "memory-swap", "BYTES",
		"memory and swap together, -1 for unlimited swap"),
	UPDATE(pids_limit, "pids-limit", "N", "maximum number of pids, -1 for any"),
	UPDATE(l3_cache_schema, "l3-cache-schema", "TEXT", "not supported here"),
	UPDATE(mem_bw_schema, "mem-bw-schema", "TEXT", "not supported here"),
	OPTION_END,
};

static int put_number(
	json_t *to, const char *member, const char *option, const char *text, struct err *err)
{
	int64_t v;

	if (!text || !*text)
		return 0;
	if (parse_i64(text, INT64_MIN, INT64_MAX, &v) < 0)
		return err_set(err, EINVAL, "invalid value for %s: \"%s\"", option, text);
	json_object_set_new(to, member, json_integer(v));
	return 0;
}

static int put_size(
	json_t *to, const char *member, const char *option, const char *text, struct err *err)
{
	int64_t v = -1;

	if (!text || !*text)
		return 0;
	if (strcmp(text, "-1") != 0 && parse_size(text, &v) < 0)
		return err_set(err, EINVAL, "invalid value for %s: \"%s\"", option, text);
	json_object_set_new(to, member, json_integer(v));
	return 0;
}

static void put_text(json_t *to, const char *member, const char *text)
{
	if (text && *text)
		json_object_set_new(to, member, json_string(text));
}

static int from_options(const struct update_options *o, json_t *j, struct err *err)
{
	json_t *memory = json_object(), *cpu = json_object(), *io = json_object();
	json_t *pids = json_object();
	int r;

	json_object_set_new(j, "memory", memory);
	json_object_set_new(j, "cpu", cpu);
	json_object_set_new(j, "blockIO", io);
	json_object_set_new(j, "pids", pids);
	put_text(cpu, "cpus", o->cpuset_cpus);
	put_text(cpu, "mems", o->cpuset_mems);
	r = put_number(io, "weight", "blkio-weight", o->blkio_weight, err);
	r = r < 0 ? r : put_number(cpu, "period", "cpu-period", o->cpu_period, err);
	r = r < 0 ? r : put_number(cpu, "quota", "cpu-quota", o->cpu_quota, err);
	r = r < 0 ? r : put_number(cpu, "burst", "cpu-burst", o->cpu_burst, err);
	r = r < 0 ? r : put_number(cpu, "shares", "cpu-share", o->cpu_share, err);
	r = r < 0 ? r : put_number(cpu, "idle", "cpu-idle", o->cpu_idle, err);
	r = r < 0 ? r : put_number(cpu, "realtimePeriod", "cpu-rt-period", o->cpu_rt_period, err);
	r = r < 0 ? r
		  : put_number(cpu, "realtimeRuntime", "cpu-rt-runtime", o->cpu_rt_runtime, err);
	r = r < 0 ? r : put_size(memory, "limit", "memory", o->memory, err);
	r = r < 0 ? r : put_size(memory, "swap", "memory-swap", o->memory_swap, err);
	r = r < 0 ? r
		  : put_size(memory, "reservation", "memory-reservation", o->memory_reservation,
			    err);
	return r < 0 ? r : put_number(pids, "limit", "pids-limit", o->pids_limit, err);
}

/* 0 means unchanged, in the options and in a file, except where it is a limit like others. */
static void drop_zeros(json_t *j)
{
	static const char *const keep[] = { "burst", "idle", NULL };
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(j, next, name, v)
	{
		if (json_is_object(v) && strcmp(name, "pids") != 0)
			drop_zeros(v);
		else if (json_is_integer(v) && json_integer_value(v) == 0 &&
			 !strv_contains((char *const *)keep, name))
			json_object_del(j, name);
	}
}

static int from_file(const char *path, json_t **ret, struct err *err)
{
	bool standard = strcmp(path, "-") == 0;
	cleanup(fd_close) int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	cleanup(buf_free) struct buf text = { 0 };
	int r;

	if (fd < 0)
		return err_errno(err, "open %s", path);
	r = fd_read_to_end(fd, JSON_MAX_BYTES, &text);
	if (r < 0)
		return err_code(err, r, "read %s", path);
	*ret = json_parse(text.data ? text.data : "", text.len, path, err);
	return *ret ? 0 : -EINVAL;
}

static int update(const struct update_options *o, struct oci_container *c, struct err *err)
{
	cleanup(json_free) json_t *j = NULL;
	cleanup(bundle_resources_free) struct bundle_resources *resources = NULL;
	int r;

	if ((o->l3_cache_schema && *o->l3_cache_schema))
		return err_set(err, ENOTSUP, "Intel RDT/CAT: l3 cache schema is not enabled");
	if (o->mem_bw_schema && *o->mem_bw_schema)
		return err_set(
			err, ENOTSUP, "Intel RDT/MBA: memory bandwidth schema is not enabled");
	if (o->resources && *o->resources) {
		r = from_file(o->resources, &j, err);
	} else {
		j = json_object();
		r = from_options(o, j, err);
	}
	if (r < 0)
		return r;
	drop_zeros(j);
	/* Which devices there are is settled when the container is made. */
	json_object_del(j, "devices");
	r = bundle_resources_parse(j, &resources, err);
	return r < 0 ? r : engine_container.update(&c->run, resources, err);
}

static int update_run(struct cmd_call *call)
{
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);

	if (!c || update(call->options, c, &err) < 0)
		return oci_fail(&err, 1);
	return 0;
}

const struct cmd cmd_oci_update = {
	.name = "oci update",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "update container resource constraints",
	.options = update_rows,
	.options_size = sizeof(struct update_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = update_run,
};
