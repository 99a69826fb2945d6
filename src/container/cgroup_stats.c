/*
 * What a group has used. Files that a kernel lacks leave their numbers zero. Sources: kernel
 * cgroup-v1/{memory,cpuacct,blkio-controller}.rst, cgroup-v2.rst "Controllers".
 */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/fd.h"

#define TEXT 16384

struct source {
	const struct cgroup_group *g;
	int h; /* hierarchy of the controller; -1: none */
	bool v2;
	char *text; /* of TEXT bytes, for whole files */
};

static uint64_t value(const struct source *s, const char *file)
{
	uint64_t v = 0;

	cgroup_get_u64(s->g, s->h, file, &v);
	return v;
}

static bool load(const struct source *s, const char *file)
{
	s->text[0] = '\0';
	return cgroup_get(s->g, s->h, file, s->text, TEXT) >= 0;
}

static uint64_t line(const struct source *s, const char *key)
{
	uint64_t v = 0;

	cgroup_stat_value(s->text, key, &v);
	return v;
}

static struct source source(const struct cgroup_group *g, int controller, char *text)
{
	int h = cgroup_find(g->layout, controller);

	if (h >= 0 && g->dir[h] < 0)
		h = -1;
	return (struct source){ g, h, h >= 0 && cgroup_is_v2(g->layout, (size_t)h), text };
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t host_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

static uint64_t oom_kills(const struct source *s)
{
	return load(s, s->v2 ? "memory.events" : "memory.oom_control") ? line(s, "oom_kill") : 0;
}

static void memory(const struct source *s, struct run_stats *r)
{
	uint64_t used = value(s, s->v2 ? "memory.current" : "memory.usage_in_bytes");
	uint64_t limit = value(s, s->v2 ? "memory.max" : "memory.limit_in_bytes");
	uint64_t host = host_memory();

	if (s->h < 0)
		return;
	load(s, "memory.stat");
	r->memory_bytes = less(used, line(s, s->v2 ? "inactive_file" : "total_inactive_file"));
	r->memory_cache_bytes = line(s, s->v2 ? "file" : "total_cache");
	r->memory_rss_bytes = line(s, s->v2 ? "anon" : "total_rss");
	r->memory_peak_bytes = value(s, s->v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	r->memory_limit_bytes = limit && (limit < host || !host) ? limit : host;
	r->memory_swap_bytes = s->v2 ? value(s, "memory.swap.current")
				     : less(value(s, "memory.memsw.usage_in_bytes"), used);
	r->oom_kills = oom_kills(s);
	if (!s->v2)
		r->memory_failcnt = value(s, "memory.failcnt");
	else if (load(s, "memory.events"))
		r->memory_failcnt = line(s, "max");
}

static void cpu_time(const struct source *s, struct run_stats *r)
{
	if (s->v2) {
		load(s, "cpu.stat");
		r->cpu_ns = line(s, "usage_usec") * 1000;
		r->cpu_user_ns = line(s, "user_usec") * 1000;
		r->cpu_system_ns = line(s, "system_usec") * 1000;
		return;
	}
	r->cpu_ns = value(s, "cpuacct.usage");
	/* In clock ticks, but split as the scheduler accounts; cpuacct.usage_user is not. */
	if (load(s, "cpuacct.stat")) {
		uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
		r->cpu_user_ns = line(s, "user") * tick;
		r->cpu_system_ns = line(s, "system") * tick;
	}
}

static void cpu_throttling(const struct source *s, struct run_stats *r)
{
	if (!load(s, "cpu.stat"))
		return;
	r->cpu_periods = line(s, "nr_periods");
	r->cpu_throttled_periods = line(s, "nr_throttled");
	r->cpu_throttled_ns = s->v2 ? line(s, "throttled_usec") * 1000 : line(s, "throttled_time");
}

static void pids(const struct source *s, struct run_stats *r)
{
	uint64_t limit = value(s, "pids.max");

	if (s->h < 0) {
		r->pids = cgroup_count_tasks(s->g);
		return;
	}
	r->pids = value(s, "pids.current");
	r->pids_limit = limit == UINT64_MAX ? 0 : limit;
}

/* "MAJ:MIN rbytes=1 wbytes=2 rios=3 wios=4 ..." a device. */
static void block_v2(char *text, struct run_stats *r)
{
	char *save = NULL;

	for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		char *eq = strchr(w, '=');
		uint64_t v = eq ? strtoull(eq + 1, NULL, 10) : 0;
		if (strncmp(w, "rbytes=", 7) == 0)
			r->block_read_bytes += v;
		else if (strncmp(w, "wbytes=", 7) == 0)
			r->block_write_bytes += v;
		else if (strncmp(w, "rios=", 5) == 0)
			r->block_read_ops += v;
		else if (strncmp(w, "wios=", 5) == 0)
			r->block_write_ops += v;
	}
}

/* "MAJ:MIN Read 1\nMAJ:MIN Write 2\n...Total 3\n" */
static void block_v1(const char *text, uint64_t *read, uint64_t *write)
{
	for (const char *s = text; s && *s; s = strchr(s, '\n'), s += s ? 1 : 0) {
		const char *word = s + strcspn(s, " \n");
		if (strncmp(word, " Read ", 6) == 0)
			*read += strtoull(word + 6, NULL, 10);
		else if (strncmp(word, " Write ", 7) == 0)
			*write += strtoull(word + 7, NULL, 10);
	}
}

static void block(const struct source *s, struct run_stats *r)
{
	if (s->v2) {
		if (load(s, "io.stat"))
			block_v2(s->text, r);
		return;
	}
	if (load(s, "blkio.throttle.io_service_bytes_recursive") ||
		load(s, "blkio.throttle.io_service_bytes"))
		block_v1(s->text, &r->block_read_bytes, &r->block_write_bytes);
	if (load(s, "blkio.throttle.io_serviced_recursive") ||
		load(s, "blkio.throttle.io_serviced"))
		block_v1(s->text, &r->block_read_ops, &r->block_write_ops);
}

int cgroup_stats(const char *path, struct run_stats *ret, struct err *err)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	struct run_stats stats = { 0 };
	char text[TEXT];
	struct source s;
	int r = cgroup_open(path, &g, err);
	bool exists = false;

	if (r < 0)
		return r;
	for (size_t h = 0; h < g.layout->n; h++)
		exists |= g.dir[h] >= 0;
	if (!exists)
		return err_set(err, ENOENT, "cgroup '%s' does not exist", g.path);
	s = source(&g, CG_MEMORY, text);
	memory(&s, &stats);
	s = source(&g, CG_CPUACCT, text);
	cpu_time(&s, &stats);
	s = source(&g, CG_CPU, text);
	cpu_throttling(&s, &stats);
	s = source(&g, CG_PIDS, text);
	pids(&s, &stats);
	s = source(&g, CG_BLKIO, text);
	block(&s, &stats);
	*ret = stats;
	return 0;
}

uint64_t cgroup_oom_kills(const char *path)
{
	cleanup(cgroup_close) struct cgroup_group g = { 0 };
	char text[TEXT];
	struct source s;

	if (cgroup_open(path, &g, NULL) < 0)
		return 0;
	s = source(&g, CG_MEMORY, text);
	return oom_kills(&s);
}
