/* The limits of `run`, `create` and `update`: memory, CPU, processes, block I/O, devices, ulimits. */
#include "instance/run_options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "bundle/bundle.h"

#define MEMORY_MIN (6 << 20)

static int check_range(const char *option, int64_t v, int64_t min, int64_t max, struct err *err)
{
	if (v != 0 && (v < min || v > max))
		return err_set(err, ERANGE, "%s: %lld is not from %lld to %lld", option,
			(long long)v, (long long)min, (long long)max);
	return 0;
}

int size_option(const char *option, const char *text, int64_t *ret, struct err *err)
{
	if (strcmp(text, "-1") == 0)
		*ret = -1;
	else if (parse_size(text, ret) < 0 || *ret <= 0)
		return err_set(
			err, EINVAL, "%s: '%s' is neither a size (like 2g) nor -1", option, text);
	return 0;
}

static int resolve_memory(const struct limit_options *o, struct instance_limits *l, struct err *err)
{
	int64_t swap = 0;

	if (o->memory && o->memory < MEMORY_MIN)
		return err_set(err, ERANGE, "--memory: %s is below the least, 6m",
			format_size((uint64_t)o->memory));
	if (o->memory_reservation && o->memory_reservation < MEMORY_MIN)
		return err_set(err, ERANGE, "--memory-reservation: %s is below the least, 6m",
			format_size((uint64_t)o->memory_reservation));
	if (o->memory && o->memory_reservation > o->memory)
		return err_set(err, EINVAL, "--memory-reservation: %s is more than --memory, %s",
			format_size((uint64_t)o->memory_reservation),
			format_size((uint64_t)o->memory));
	if (o->memory_swap && size_option("--memory-swap", o->memory_swap, &swap, err) < 0)
		return -EINVAL;
	if (swap > 0 && !o->memory)
		return err_set(err, EINVAL, "--memory-swap: needs --memory too");
	if (swap > 0 && swap < o->memory)
		return err_set(err, EINVAL,
			"--memory-swap: %s is less than --memory, %s: it counts memory and swap together",
			format_size((uint64_t)swap), format_size((uint64_t)o->memory));
	l->memory = o->memory;
	l->memory_reservation = o->memory_reservation;
	l->memory_swap = swap;
	return 0;
}

/* "0-3,5" of numbers below the host's count. */
static int check_cpu_list(
	const char *option, const char *list, const char *kind, int64_t host, struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(list, ',');

	strv_foreach (part, parts) {
		char *dash = strchr(*part, '-');
		int64_t first, last;
		if (dash)
			*dash = '\0';
		if (parse_i64(*part, 0, INT_MAX, &first) < 0)
			return err_set(err, EINVAL, "%s: '%s' is not a list like 0-3 or 0,2",
				option, list);
		last = first;
		if (dash && (parse_i64(dash + 1, 0, INT_MAX, &last) < 0 || last < first))
			return err_set(err, EINVAL, "%s: '%s' is not a list like 0-3 or 0,2",
				option, list);
		if (last >= host)
			return err_set(err, EINVAL, "%s: '%s': this host's %s are 0-%lld", option,
				list, kind, (long long)host - 1);
	}
	return 0;
}

/* The highest memory node and one; 1 where the kernel tells none. */
static int64_t memory_nodes(void)
{
	char line[128];
	int64_t n = 0;

	if (file_get_line(-1, "/sys/devices/system/node/possible", line, sizeof(line)) < 0)
		return 1;
	parse_i64(strrchr(line, '-') ? strrchr(line, '-') + 1 : line, 0, 4096, &n);
	return n + 1;
}

static int resolve_cpu(const struct limit_options *o, struct instance_limits *l, struct err *err)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	if (o->cpus_given && o->cpus != 0 && (o->cpus < 0.01 || o->cpus > (double)host))
		return err_set(err, ERANGE, "--cpus: %g is not from 0.01 to %ld, the host's",
			o->cpus, host);
	if (o->cpus != 0 && (o->cpu_period || o->cpu_quota))
		return err_set(
			err, EINVAL, "--cpus and --cpu-period or --cpu-quota exclude each other");
	r = check_range("--cpu-shares", o->cpu_shares, 2, 262144, err);
	if (r == 0)
		r = check_range("--cpu-period", o->cpu_period, 1000, 1000000, err);
	if (r == 0 && o->cpu_quota != -1)
		r = check_range("--cpu-quota", o->cpu_quota, 1000, INT64_MAX / 1000, err);
	if (r == 0 && o->cpuset_cpus && *o->cpuset_cpus)
		r = check_cpu_list("--cpuset-cpus", o->cpuset_cpus, "CPUs",
			sysconf(_SC_NPROCESSORS_CONF), err);
	if (r == 0 && o->cpuset_mems && *o->cpuset_mems)
		r = check_cpu_list(
			"--cpuset-mems", o->cpuset_mems, "memory nodes", memory_nodes(), err);
	if (r < 0)
		return r;
	l->cpus = o->cpus;
	l->cpu_shares = o->cpu_shares;
	l->cpu_period = o->cpu_period;
	l->cpu_quota = o->cpu_quota;
	str_replace(&l->cpuset_cpus, o->cpuset_cpus);
	str_replace(&l->cpuset_mems, o->cpuset_mems);
	return 0;
}

int limit_options_resolve(const struct limit_options *o, struct instance_limits *l, struct err *err)
{
	int r = resolve_memory(o, l, err);

	if (r == 0)
		r = resolve_cpu(o, l, err);
	if (r == 0)
		r = check_range("--blkio-weight", o->blkio_weight, 10, 1000, err);
	if (r == 0 && o->pids != -1)
		r = check_range("--pids-limit", o->pids, 1, 4194304, err);
	if (r < 0)
		return r;
	l->blkio_weight = o->blkio_weight;
	/* 0 is "none" in Docker, which for `update` must differ from "as it was". */
	l->pids = o->pids_given && o->pids == 0 ? -1 : o->pids;
	return 0;
}

static const struct {
	const char *name, *type;
} rlimits[] = { { "as", "RLIMIT_AS" }, { "core", "RLIMIT_CORE" }, { "cpu", "RLIMIT_CPU" },
	{ "data", "RLIMIT_DATA" }, { "fsize", "RLIMIT_FSIZE" }, { "locks", "RLIMIT_LOCKS" },
	{ "memlock", "RLIMIT_MEMLOCK" }, { "msgqueue", "RLIMIT_MSGQUEUE" },
	{ "nice", "RLIMIT_NICE" }, { "nofile", "RLIMIT_NOFILE" }, { "nproc", "RLIMIT_NPROC" },
	{ "rss", "RLIMIT_RSS" }, { "rtprio", "RLIMIT_RTPRIO" }, { "rttime", "RLIMIT_RTTIME" },
	{ "sigpending", "RLIMIT_SIGPENDING" }, { "stack", "RLIMIT_STACK" } };

static int parse_rlimit_value(const char *text, uint64_t *ret)
{
	if (strcmp(text, "-1") == 0 || strcmp(text, "unlimited") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return parse_u64(text, INT64_MAX, ret);
}

static int add_ulimit(const char *text, struct record_list *list, struct err *err)
{
	cleanup(free) char *name = xstrndup(text, strcspn(text, "="));
	char *value = strchr(text, '=') ? (char *)strchr(text, '=') + 1 : NULL, *colon;
	cleanup(free) char *soft_text = value ? xstrdup(value) : NULL;
	const char *type = NULL;
	struct bundle_rlimit *rlimit;
	uint64_t soft, hard;

	for (size_t i = 0; i < ARRAY_SIZE(rlimits); i++)
		if (strcmp(rlimits[i].name, name) == 0)
			type = rlimits[i].type;
	if (!type)
		return err_set(err, EINVAL,
			"--ulimit: '%s' is not a limit (like nofile, nproc, core)", name);
	if (!value)
		return err_set(err, EINVAL, "--ulimit: '%s' is not NAME=SOFT[:HARD]", text);
	colon = strchr(soft_text, ':');
	if (colon)
		*colon = '\0';
	if (parse_rlimit_value(soft_text, &soft) < 0 ||
		parse_rlimit_value(colon ? colon + 1 : soft_text, &hard) < 0)
		return err_set(err, EINVAL, "--ulimit: '%s': a value is not a number or -1", text);
	if (soft > hard)
		return err_set(
			err, EINVAL, "--ulimit: '%s': the soft limit is above the hard one", text);
	for (size_t i = 0; i < list->n; i++) {
		rlimit = list->items[i];
		if (strcmp(rlimit->type, type) == 0) {
			rlimit->soft = soft;
			rlimit->hard = hard;
			return 0;
		}
	}
	rlimit = record_list_add(list, sizeof(*rlimit));
	rlimit->type = xstrdup(type);
	rlimit->soft = soft;
	rlimit->hard = hard;
	return 0;
}

static int check_permissions(const char *text)
{
	return *text && strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

/* HOST[:PATH][:PERMISSIONS] */
static int add_device(const char *text, struct record_list *list, struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(text, ':');
	size_t n = strv_len(parts);
	const char *path = parts[0], *permissions = "rwm";
	struct instance_device *device;
	struct stat st;

	if (n == 2 && parts[1][0] != '/')
		permissions = parts[1];
	else if (n >= 2)
		path = parts[1];
	if (n == 3)
		permissions = parts[2];
	if (n > 3 || parts[0][0] != '/' || path[0] != '/')
		return err_set(err, EINVAL,
			"--device: '%s' is not HOST[:PATH][:rwm] with absolute paths", text);
	if (!check_permissions(permissions))
		return err_set(err, EINVAL, "--device: '%s': '%s' is not made of r, w and m", text,
			permissions);
	if (stat(parts[0], &st) < 0)
		return err_errno(err, "--device: '%s'", parts[0]);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(err, ENODEV,
			"--device: '%s' is neither a device nor a directory of some", parts[0]);
	device = record_list_add(list, sizeof(*device));
	device->host_path = xstrdup(parts[0]);
	device->path = path_absolute(path);
	device->permissions = xstrdup(permissions);
	return 0;
}

static bool device_number(const char *text, size_t len)
{
	return (len == 1 && *text == '*') || (len > 0 && strspn(text, "0123456789") == len);
}

/* "c 10:200 rwm" */
static int check_device_rule(const char *text, struct err *err)
{
	size_t major = 0, minor = 0;
	const char *p = text;

	if (strchr("acb", p[0]) && p[0] && p[1] == ' ') {
		p += 2;
		major = strcspn(p, ":");
		minor = p[major] ? strcspn(p + major + 1, " ") : 0;
		if (device_number(p, major) && minor && device_number(p + major + 1, minor) &&
			p[major + 1 + minor] && check_permissions(p + major + minor + 2))
			return 0;
	}
	return err_set(err, EINVAL, "--device-cgroup-rule: '%s' is not like 'c 10:200 rwm'", text);
}

static int add_throttles(const char *option, char *const *items, bool bytes,
	struct record_list *list, struct err *err)
{
	strv_foreach (item, items) {
		const char *colon = strrchr(*item, ':');
		struct instance_throttle *t;
		int64_t rate = 0;
		int r = -EINVAL;
		if (colon && **item == '/')
			r = bytes ? parse_size(colon + 1, &rate)
				  : parse_i64(colon + 1, 1, INT64_MAX, &rate);
		if (r < 0 || rate <= 0)
			return err_set(err, EINVAL, "%s: '%s' is not /dev/NAME:%s", option, *item,
				bytes ? "RATE, like /dev/sda:1m" : "NUMBER, like /dev/sda:1000");
		t = record_list_add(list, sizeof(*t));
		t->path = xstrndup(*item, (size_t)(colon - *item));
		t->rate = (uint64_t)rate;
		struct stat st;
		if (stat(t->path, &st) < 0)
			return err_errno(err, "%s: '%s'", option, t->path);
		if (!S_ISBLK(st.st_mode))
			return err_set(
				err, ENOTBLK, "%s: '%s' is not a block device", option, t->path);
	}
	return 0;
}

static int resolve_block(const struct run_options *o, struct instance_limits *l, struct err *err)
{
	int r = add_throttles("--device-read-bps", o->read_bps, true, &l->read_bps, err);

	if (r == 0)
		r = add_throttles("--device-write-bps", o->write_bps, true, &l->write_bps, err);
	if (r == 0)
		r = add_throttles("--device-read-iops", o->read_iops, false, &l->read_iops, err);
	if (r == 0)
		r = add_throttles("--device-write-iops", o->write_iops, false, &l->write_iops, err);
	if (r == 0)
		r = add_throttles(
			"--blkio-weight-device", o->weight_devices, false, &l->weight_devices, err);
	for (size_t i = 0; r == 0 && i < l->weight_devices.n; i++) {
		const struct instance_throttle *t = l->weight_devices.items[i];
		r = check_range("--blkio-weight-device", (int64_t)t->rate, 10, 1000, err);
	}
	return r;
}

static int resolve_oom(const struct run_options *o, struct instance_limits *l, struct err *err)
{
	if (o->memory_swappiness_given && o->memory_swappiness != -1 &&
		(o->memory_swappiness < 0 || o->memory_swappiness > 100))
		return err_set(err, ERANGE, "--memory-swappiness: %lld is not from 0 to 100",
			(long long)o->memory_swappiness);
	if (o->oom_score_adj < -1000 || o->oom_score_adj > 1000)
		return err_set(err, ERANGE, "--oom-score-adj: %lld is not from -1000 to 1000",
			(long long)o->oom_score_adj);
	if (o->oom_kill_disable && !o->limits.memory)
		return err_set(err, EINVAL,
			"--oom-kill-disable: needs --memory, else the host itself runs out");
	if (o->shm_size_given && o->shm_size <= 0)
		return err_set(err, ERANGE, "--shm-size: must be above 0");
	l->memory_swappiness = o->memory_swappiness_given ? o->memory_swappiness : -1;
	l->oom_score_adj = o->oom_score_adj;
	l->oom_kill_disable = o->oom_kill_disable;
	l->shm_size = o->shm_size;
	return 0;
}

int run_limits(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = limit_options_resolve(&o->limits, &c->limits, err);

	if (r == 0)
		r = resolve_oom(o, &c->limits, err);
	if (r == 0)
		r = resolve_block(o, &c->limits, err);
	for (char **u = o->ulimits; r == 0 && u && *u; u++)
		r = add_ulimit(*u, &c->ulimits, err);
	for (char **d = o->devices; r == 0 && d && *d; d++)
		r = add_device(*d, &c->devices, err);
	for (char **rule = o->device_rules; r == 0 && rule && *rule; rule++) {
		r = check_device_rule(*rule, err);
		if (r == 0)
			strv_add(&c->limits.device_rules, *rule);
	}
	return r;
}
