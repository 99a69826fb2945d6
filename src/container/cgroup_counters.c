/*
 * All that is counted of a group, in the form of runc's `events` (its types/events.go says the members; both
 * containerd and kubelet read them). Files that a kernel lacks leave their members zero or out.
 */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"

#define TEXT 65536

struct reader {
	const struct cgroup_group *g;
	int h;
	bool v2;
	char *text;
};

static struct reader reader(const struct cgroup_group *g, int controller, char *text)
{
	int h = cgroup_find(g->layout, controller);

	if (h >= 0 && g->dir[h] < 0)
		h = -1;
	return (struct reader){ g, h, h >= 0 && cgroup_is_v2(g->layout, (size_t)h), text };
}

static uint64_t number(const struct reader *s, const char *file)
{
	uint64_t v = 0;

	return file && cgroup_get_u64(s->g, s->h, file, &v) == 0 ? v : 0;
}

static bool load(const struct reader *s, const char *file)
{
	s->text[0] = '\0';
	return cgroup_get(s->g, s->h, file, s->text, TEXT) >= 0;
}

static uint64_t line(const struct reader *s, const char *key)
{
	uint64_t v = 0;

	cgroup_stat_value(s->text, key, &v);
	return v;
}

static void put(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, json_u64(v));
}

/* ---- processor */

/* "cpu user system\n0 12 34\n...", cpuacct.usage_all: a column each. */
static void per_cpu(const struct reader *s, json_t *usage)
{
	json_t *all = json_array(), *user = json_array(), *system = json_array();
	char *save = NULL;

	if (load(s, "cpuacct.usage_percpu"))
		for (char *w = strtok_r(s->text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
			json_array_append_new(all, json_u64(strtoull(w, NULL, 10)));
	if (load(s, "cpuacct.usage_all")) {
		save = NULL;
		strtok_r(s->text, "\n", &save);
		for (char *l = strtok_r(NULL, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
			unsigned long long u = 0, k = 0;
			if (sscanf(l, "%*u %llu %llu", &u, &k) != 2)
				break;
			json_array_append_new(user, json_u64(u));
			json_array_append_new(system, json_u64(k));
		}
	}
	json_object_set_new(usage, "percpu", all);
	json_object_set_new(usage, "percpu_kernel", system);
	json_object_set_new(usage, "percpu_user", user);
}

static json_t *cpu(const struct cgroup_group *g, char *text)
{
	struct reader time = reader(g, CG_CPUACCT, text), limit = reader(g, CG_CPU, text);
	json_t *usage = json_object(), *throttling = json_object();
	uint64_t unit = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);

	if (time.v2) {
		load(&time, "cpu.stat");
		put(usage, "total", line(&time, "usage_usec") * 1000);
		put(usage, "kernel", line(&time, "system_usec") * 1000);
		put(usage, "user", line(&time, "user_usec") * 1000);
	} else {
		put(usage, "total", number(&time, "cpuacct.usage"));
		load(&time, "cpuacct.stat");
		put(usage, "kernel", line(&time, "system") * unit);
		put(usage, "user", line(&time, "user") * unit);
		per_cpu(&time, usage);
	}
	load(&limit, "cpu.stat");
	put(throttling, "periods", line(&limit, "nr_periods"));
	put(throttling, "throttledPeriods", line(&limit, "nr_throttled"));
	put(throttling, "throttledTime",
		limit.v2 ? line(&limit, "throttled_usec") * 1000 : line(&limit, "throttled_time"));
	return json_pack("{s:o, s:o}", "usage", usage, "throttling", throttling);
}

/* "0-3,7" as numbers. */
static json_t *id_list(const char *text)
{
	json_t *j = json_array();

	while (*text >= '0' && *text <= '9') {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && json_array_size(j) < 8192; first++)
			json_array_append_new(j, json_integer((json_int_t)first));
		text = *end == ',' ? end + 1 : end;
	}
	return j;
}

static json_t *cpuset(const struct cgroup_group *g, char *text)
{
	static const char *const flags[] = { "cpu_exclusive", "mem_hardwall", "mem_exclusive",
		"memory_migrate", "memory_spread_page", "memory_spread_slab", "memory_pressure",
		"sched_load_balance", "sched_relax_domain_level" };
	struct reader s = reader(g, CG_CPUSET, text);
	json_t *j = json_object();

	if (load(&s, s.v2 ? "cpuset.cpus.effective" : "cpuset.cpus"))
		json_object_set_new(j, "cpus", id_list(text));
	if (load(&s, s.v2 ? "cpuset.mems.effective" : "cpuset.mems"))
		json_object_set_new(j, "mems", id_list(text));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char file[64];
		snprintf(file, sizeof(file), "cpuset.%s", flags[i]);
		long long v = !s.v2 && load(&s, file) ? strtoll(text, NULL, 10) : 0;
		json_object_set_new(j, flags[i], json_integer(v));
	}
	return j;
}

/* ---- memory */

static json_t *memory_entry(const struct reader *s, const char *limit, const char *usage,
	const char *max, const char *failcnt)
{
	json_t *j = json_object();

	put(j, "limit", number(s, limit));
	put(j, "usage", number(s, usage));
	put(j, "max", number(s, max));
	put(j, "failcnt", number(s, failcnt));
	return j;
}

static json_t *raw_memory(const struct reader *s)
{
	json_t *raw = json_object();
	char *save = NULL;

	load(s, "memory.stat");
	for (char *l = strtok_r(s->text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(l, ' ');
		if (!space)
			continue;
		*space = '\0';
		put(raw, l, strtoull(space + 1, NULL, 10));
	}
	return raw;
}

static json_t *memory_v1(const struct reader *s)
{
	json_t *raw = raw_memory(s), *j = json_object();
	const json_t *cache = json_object_get(raw, "cache");

	json_object_set_new(j, "cache", cache ? json_incref((json_t *)cache) : json_integer(0));
	json_object_set_new(j, "usage",
		memory_entry(s, "memory.limit_in_bytes", "memory.usage_in_bytes",
			"memory.max_usage_in_bytes", "memory.failcnt"));
	json_object_set_new(j, "swap",
		memory_entry(s, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes",
			"memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt"));
	json_object_set_new(j, "kernel",
		memory_entry(s, "memory.kmem.limit_in_bytes", "memory.kmem.usage_in_bytes",
			"memory.kmem.max_usage_in_bytes", "memory.kmem.failcnt"));
	json_object_set_new(j, "kernelTCP",
		memory_entry(s, "memory.kmem.tcp.limit_in_bytes", "memory.kmem.tcp.usage_in_bytes",
			"memory.kmem.tcp.max_usage_in_bytes", "memory.kmem.tcp.failcnt"));
	json_object_set_new(j, "raw", raw);
	return j;
}

/* runc's swap is memory and swap together on both versions. */
static json_t *memory_v2(const struct reader *s)
{
	json_t *raw = raw_memory(s), *j = json_object(), *swap = json_object();
	const json_t *cache = json_object_get(raw, "file");
	json_t *usage = memory_entry(s, "memory.max", "memory.current", "memory.peak", NULL);
	uint64_t limit = number(s, "memory.swap.max"), memory = number(s, "memory.max");

	if (load(s, "memory.events"))
		put(usage, "failcnt", line(s, "max"));
	put(swap, "limit", limit > UINT64_MAX - memory ? UINT64_MAX : limit + memory);
	put(swap, "usage", number(s, "memory.swap.current") + number(s, "memory.current"));
	put(swap, "failcnt", 0);
	json_object_set_new(j, "cache", cache ? json_incref((json_t *)cache) : json_integer(0));
	json_object_set_new(j, "usage", usage);
	json_object_set_new(j, "swap", swap);
	json_object_set_new(j, "kernel", memory_entry(s, NULL, NULL, NULL, NULL));
	json_object_set_new(j, "kernelTCP", memory_entry(s, NULL, NULL, NULL, NULL));
	json_object_set_new(j, "raw", raw);
	return j;
}

/* ---- devices */

static json_t *entry(unsigned major, unsigned minor, const char *op, uint64_t v)
{
	json_t *j =
		json_pack("{s:i, s:i, s:s}", "major", (int)major, "minor", (int)minor, "op", op);

	put(j, "value", v);
	return j;
}

/* "MAJ:MIN Read 1\n". */
static json_t *blkio_v1(const struct reader *s, const char *file)
{
	json_t *j = json_array();
	char *save = NULL;

	if (!load(s, file))
		return j;
	for (char *l = strtok_r(s->text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		unsigned major, minor;
		unsigned long long v;
		char op[16];
		if (sscanf(l, "%u:%u %15s %llu", &major, &minor, op, &v) == 4)
			json_array_append_new(j, entry(major, minor, op, v));
	}
	return j;
}

static void blkio_v2(const struct reader *s, json_t *bytes, json_t *ops)
{
	static const struct {
		const char *key, *op;
		bool is_bytes;
	} kinds[] = { { "rbytes", "Read", true }, { "wbytes", "Write", true },
		{ "rios", "Read", false }, { "wios", "Write", false } };
	char *save = NULL;

	if (!load(s, "io.stat"))
		return;
	for (char *l = strtok_r(s->text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		unsigned major, minor;
		if (sscanf(l, "%u:%u", &major, &minor) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			char key[16];
			snprintf(key, sizeof(key), " %s=", kinds[i].key);
			const char *at = strstr(l, key);
			if (at)
				json_array_append_new(kinds[i].is_bytes ? bytes : ops,
					entry(major, minor, kinds[i].op,
						strtoull(at + strlen(key), NULL, 10)));
		}
	}
}

static json_t *blkio(const struct cgroup_group *g, char *text)
{
	struct reader s = reader(g, CG_BLKIO, text);
	json_t *bytes, *ops;

	if (s.v2) {
		bytes = json_array();
		ops = json_array();
		blkio_v2(&s, bytes, ops);
	} else {
		bytes = blkio_v1(&s, "blkio.throttle.io_service_bytes_recursive");
		ops = blkio_v1(&s, "blkio.throttle.io_serviced_recursive");
	}
	return json_pack(
		"{s:o, s:o}", "ioServiceBytesRecursive", bytes, "ioServicedRecursive", ops);
}

static json_t *pids(const struct cgroup_group *g, char *text)
{
	struct reader s = reader(g, CG_PIDS, text);
	uint64_t limit = number(&s, "pids.max");
	json_t *j = json_object();

	put(j, "current", s.h < 0 ? cgroup_count_tasks(g) : number(&s, "pids.current"));
	put(j, "limit", limit == UINT64_MAX ? 0 : limit);
	return j;
}

json_t *cgroup_counters(const char *path, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	cleanup(free) char *text = xcalloc(1, TEXT);
	struct reader memory;
	bool exists = false;
	json_t *j;

	if (cgroup_open(path, &g, err) < 0)
		return NULL;
	for (size_t h = 0; h < g.layout->n; h++)
		exists |= g.dir[h] >= 0;
	if (!exists) {
		err_set(err, ENOENT, "cgroup '%s' does not exist", g.path);
		return NULL;
	}
	j = json_object();
	memory = reader(&g, CG_MEMORY, text);
	json_object_set_new(j, "cpu", cpu(&g, text));
	json_object_set_new(j, "cpuset", cpuset(&g, text));
	json_object_set_new(j, "memory", memory.v2 ? memory_v2(&memory) : memory_v1(&memory));
	json_object_set_new(j, "pids", pids(&g, text));
	json_object_set_new(j, "blkio", blkio(&g, text));
	json_object_set_new(j, "hugetlb", json_object());
	json_object_set_new(j, "intel_rdt", json_object());
	return j;
}

/* ---- memory running out */

/* cgroup-v1/memory.rst, "OOM Control". */
static int watch_v1(const struct reader *s)
{
	cleanup(fd_close) int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), control = -1;
	char text[32];
	int r;

	control = cgroup_file(s->g, s->h, "memory.oom_control");
	if (event < 0 || control < 0)
		return event < 0 ? -errno : control;
	snprintf(text, sizeof(text), "%d %d", event, control);
	r = cgroup_put(s->g, s->h, "cgroup.event_control", text);
	return r < 0 ? r : take_fd(event);
}

static int watch_v2(const struct reader *s)
{
	cleanup(fd_close) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	static const char *const files[] = { "memory.events", "cgroup.events" };

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(files); i++) {
		cleanup(free) char *full = cgroup_full_path(s->g->layout, (size_t)s->h, s->g->path);
		cleanup(free) char *path = xasprintf("%s/%s", full, files[i]);
		if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
			return -errno;
	}
	return fd < 0 ? -errno : take_fd(fd);
}

int cgroup_watch_memory(const char *path, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	struct reader s;
	int r = cgroup_open(path, &g, err);

	if (r < 0)
		return r;
	s = reader(&g, CG_MEMORY, NULL);
	if (s.h < 0)
		return err_set(err, ENOTSUP, "memory: no cgroup controller on this host");
	r = s.v2 ? watch_v2(&s) : watch_v1(&s);
	return r < 0 ? err_code(err, r, "watch the memory of cgroup '%s'", g.path) : r;
}
