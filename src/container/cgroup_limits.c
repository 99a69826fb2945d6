/*
 * linux.resources to control files. One function a controller; each asks the hierarchy that has the
 * controller, which on hybrid hosts may be either kind. Sources: runtime-spec config-linux.md,
 * "Control groups"; kernel cgroup-v1/ and cgroup-v2.rst.
 *
 * Not set: memory.kernel (the kernel stopped to account it apart, Linux 5.16) and
 * memory.useHierarchy (always on since Linux 5.11).
 */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/parse.h"
#include "rootless/rootless.h"

struct limits {
	const struct cgroup_group *g;
	struct err *err;
};

#define VALUE 64

static const char *bytes(int64_t v)
{
	return v < 0 ? "unlimited" : format_size((uint64_t)v);
}

static bool on_v2(const struct limits *l, int controller)
{
	int h = cgroup_find(l->g->layout, controller);

	return h >= 0 && cgroup_is_v2(l->g->layout, (size_t)h);
}

/*
 * Writes one value. `v1` and `v2` are the files; NULL where that version knows no such limit. `fmt`
 * is the limit in words, the start of all errors.
 */
static int set(struct limits *l, int controller, const char *v1, const char *v2, const char *value,
	const char *fmt, ...) printf_like(6, 7);
static int set(struct limits *l, int controller, const char *v1, const char *v2, const char *value,
	const char *fmt, ...)
{
	int h = cgroup_find(l->g->layout, controller), r;
	bool is_v2 = h >= 0 && cgroup_is_v2(l->g->layout, (size_t)h);
	const char *file = is_v2 ? v2 : v1, *name = cgroup_controller_name(controller, is_v2);
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (h < 0)
		return err_set(l->err, ENOTSUP, "%s: this host has no %s controller", what, name);
	if (is_v2 && (l->g->missing & CG_BIT(controller)))
		return err_set(l->err, ENOTSUP,
			"%s: the %s controller cannot be enabled below '%s'; "
			"are there processes in that very group?",
			what, name, l->g->layout->list[h].mount);
	if (!file)
		return err_set(l->err, ENOTSUP,
			"%s: the %s controller of cgroup v%d has no such limit", what, name,
			is_v2 ? 2 : 1);
	r = cgroup_put(l->g, h, file, value);
	if (r == -ENOENT)
		return err_set(l->err, ENOTSUP, "%s: this kernel has no %s", what, file);
	return r < 0 ? err_code(l->err, r, "%s", what) : 0;
}

static const char *number(char text[VALUE], int64_t v, bool v2)
{
	if (v < 0)
		snprintf(text, VALUE, "%s", v2 ? "max" : "-1");
	else
		snprintf(text, VALUE, "%" PRId64, v);
	return text;
}

static int set_u64(struct limits *l, int controller, const char *v1, const char *v2, uint64_t v,
	const char *what)
{
	char text[VALUE];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return set(l, controller, v1, v2, text, "%s %s", what, text);
}

static int memory_limit(struct limits *l, int64_t v)
{
	char text[VALUE];

	return set(l, CG_MEMORY, "memory.limit_in_bytes", "memory.max",
		number(text, v, on_v2(l, CG_MEMORY)), "memory limit %s", bytes(v));
}

static int memory_swap_v1(struct limits *l, int64_t v)
{
	char text[VALUE];
	int r = set(l, CG_MEMORY, "memory.memsw.limit_in_bytes", NULL, number(text, v, false),
		"memory and swap limit %s", bytes(v));

	/* Debian's kernels count no swap on v1 unless booted with swapaccount=1; every --memory asks. */
	if (r != -ENOTSUP)
		return r;
	log_warn_once("this kernel does not limit swap: memory alone is limited");
	return 0;
}

/* v1 keeps limit <= memory+swap at all times: up, the latter goes first; down, the former. */
static int memory_v1(struct limits *l, const struct bundle_memory *m)
{
	struct err *err = l->err, first = { 0 };
	int r = 0;

	if (m->limit && m->swap && *m->swap != 0) {
		l->err = &first;
		r = memory_limit(l, *m->limit);
		l->err = err;
		if (r == 0)
			return memory_swap_v1(l, *m->swap);
		if (r != -EINVAL) {
			if (err)
				*err = first;
			return r;
		}
		r = memory_swap_v1(l, *m->swap);
		return r < 0 ? r : memory_limit(l, *m->limit);
	}
	/* Without a limit of memory there can be none of both together. */
	if (m->limit && *m->limit == -1 && !m->swap && !l->g->fresh)
		r = memory_swap_v1(l, -1);
	if (r == 0 && m->limit)
		r = memory_limit(l, *m->limit);
	if (r == 0 && m->swap && *m->swap != 0)
		r = memory_swap_v1(l, *m->swap);
	return r;
}

/* The specification's swap is memory and swap together; v2's file is swap alone. */
static int memory_swap_v2(struct limits *l, const struct bundle_memory *m)
{
	int64_t total = m->swap ? *m->swap : 0, limit = m->limit ? *m->limit : 0;
	uint64_t now;
	char text[VALUE];

	if (total == 0 && limit != -1)
		return 0;
	if (total > 0 && limit == 0 &&
		cgroup_get_u64(l->g, cgroup_find(l->g->layout, CG_MEMORY), "memory.max", &now) ==
			0 &&
		now <= INT64_MAX)
		limit = (int64_t)now;
	if (total > 0 && limit <= 0)
		return err_set(l->err, EINVAL, "memory and swap limit %s: needs a memory limit too",
			bytes(total));
	if (total > 0 && total < limit)
		return err_set(l->err, EINVAL,
			"memory and swap limit %s: below the memory limit %s, which it includes",
			bytes(total), bytes(limit));
	return set(l, CG_MEMORY, NULL, "memory.swap.max",
		number(text, total > 0 ? total - limit : -1, true), "memory and swap limit %s",
		bytes(total > 0 ? total : -1));
}

static int memory_v2(struct limits *l, const struct bundle_memory *m)
{
	int r = memory_swap_v2(l, m);

	return r == 0 && m->limit ? memory_limit(l, *m->limit) : r;
}

static int memory_check(struct limits *l, const struct bundle_memory *m)
{
	const char *file = on_v2(l, CG_MEMORY) ? "memory.current" : "memory.usage_in_bytes";
	uint64_t used;

	if (!m->limit || *m->limit < 0 || !m->check_before_update || !*m->check_before_update)
		return 0;
	if (cgroup_get_u64(l->g, cgroup_find(l->g->layout, CG_MEMORY), file, &used) == 0 &&
		used > (uint64_t)*m->limit)
		return err_set(l->err, EBUSY, "memory limit %s: %s are in use", bytes(*m->limit),
			format_size(used));
	return 0;
}

static int apply_memory(struct limits *l, const struct bundle_memory *m)
{
	bool v2 = on_v2(l, CG_MEMORY);
	char text[VALUE];
	int r = memory_check(l, m);

	if (r == 0)
		r = v2 ? memory_v2(l, m) : memory_v1(l, m);
	if (r == 0 && m->reservation)
		r = set(l, CG_MEMORY, "memory.soft_limit_in_bytes", "memory.low",
			number(text, *m->reservation, v2), "memory reservation %s",
			bytes(*m->reservation));
	if (r == 0 && m->kernel_tcp)
		r = set(l, CG_MEMORY, "memory.kmem.tcp.limit_in_bytes", NULL,
			number(text, *m->kernel_tcp, v2), "TCP buffer memory limit %s",
			bytes(*m->kernel_tcp));
	if (r == 0 && m->swappiness)
		r = set_u64(l, CG_MEMORY, "memory.swappiness", NULL, *m->swappiness,
			"memory swappiness");
	/* Off is how groups start, and all that v2 has. */
	if (r == 0 && m->disable_oom_killer && (*m->disable_oom_killer || (!l->g->fresh && !v2)))
		r = set(l, CG_MEMORY, "memory.oom_control", NULL,
			*m->disable_oom_killer ? "1" : "0", "disabled OOM killer");
	return r;
}

/*
 * The curve that config-linux.md recommends since 2024 (runc 1.3, crun 1.23): through 2 -> 1,
 * 1024 -> 100 and 262144 -> 10000, so that the default is the default on both sides.
 */
uint64_t cgroup_weight_of_shares(uint64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int cpu_quota_v2(struct limits *l, const struct bundle_cpu *c)
{
	char now[VALUE] = "max", value[2 * VALUE], text[VALUE];
	int h = cgroup_find(l->g->layout, CG_CPU);

	/* The file has both: "QUOTA PERIOD". A quota alone leaves the period. */
	if (!c->quota && cgroup_get(l->g, h, "cpu.max", now, sizeof(now)) > 0)
		now[strcspn(now, " \n")] = '\0';
	if (c->quota)
		snprintf(
			now, sizeof(now), "%s", number(text, *c->quota > 0 ? *c->quota : -1, true));
	if (c->period && *c->period)
		snprintf(value, sizeof(value), "%s %" PRIu64, now, *c->period);
	else
		snprintf(value, sizeof(value), "%s", now);
	return set(l, CG_CPU, NULL, "cpu.max", value, "cpu quota %s", value);
}

static int cpu_quota_v1(struct limits *l, const struct bundle_cpu *c)
{
	struct limits quiet = { l->g, NULL };
	char text[VALUE];
	bool period = c->period && *c->period, quota = c->quota && *c->quota;
	bool period_first =
		!quota || !period ||
		set_u64(&quiet, CG_CPU, "cpu.cfs_period_us", NULL, *c->period, "cpu period") == 0;
	int r = 0;

	/* A shorter period alone may ask for more of the processor than the parent has. */
	if (quota)
		r = set(l, CG_CPU, "cpu.cfs_quota_us", NULL, number(text, *c->quota, false),
			"cpu quota %s", text);
	if (r == 0 && period && (!quota || !period_first))
		r = set_u64(l, CG_CPU, "cpu.cfs_period_us", NULL, *c->period, "cpu period");
	return r;
}

static int apply_cpu_share(struct limits *l, const struct bundle_cpu *c)
{
	int r = 0;
	char text[VALUE];

	if (c->shares && *c->shares) {
		uint64_t v = on_v2(l, CG_CPU) ? cgroup_weight_of_shares(*c->shares) : *c->shares;
		snprintf(text, sizeof(text), "%" PRIu64, v);
		r = set(l, CG_CPU, "cpu.shares", "cpu.weight", text, "cpu shares %" PRIu64,
			*c->shares);
	}
	if (r == 0 && c->idle && (*c->idle || !l->g->fresh))
		r = set_u64(l, CG_CPU, "cpu.idle", "cpu.idle", (uint64_t)*c->idle, "cpu idle");
	return r;
}

static int apply_cpu_realtime(struct limits *l, const struct bundle_cpu *c)
{
	uint64_t period = c->realtime_period ? *c->realtime_period : 0;
	int64_t runtime = c->realtime_runtime ? *c->realtime_runtime : 0;
	char text[VALUE];
	int r = 0, first = 0;

	if (period)
		first = set_u64(l, CG_CPU, "cpu.rt_period_us", NULL, period, "cpu realtime period");
	/* A period that is shorter than the old runtime has to wait for the new one. */
	r = first == -EINVAL && runtime ? 0 : first;
	if (r == 0 && runtime)
		r = set(l, CG_CPU, "cpu.rt_runtime_us", NULL, number(text, runtime, false),
			"cpu realtime runtime %s", text);
	if (r == 0 && first < 0)
		r = set_u64(l, CG_CPU, "cpu.rt_period_us", NULL, period, "cpu realtime period");
	return r;
}

static int apply_cpu(struct limits *l, const struct bundle_cpu *c)
{
	bool quota = (c->quota && *c->quota) || (c->period && *c->period);
	int r = apply_cpu_share(l, c);

	if (r == 0 && quota)
		r = on_v2(l, CG_CPU) ? cpu_quota_v2(l, c) : cpu_quota_v1(l, c);
	/* After the quota, which it may not exceed. */
	if (r == 0 && c->burst)
		r = set_u64(l, CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst", *c->burst, "cpu burst");
	if (r == 0)
		r = apply_cpu_realtime(l, c);
	if (r == 0 && c->cpus && *c->cpus)
		r = set(l, CG_CPUSET, "cpuset.cpus", "cpuset.cpus", c->cpus, "cpuset cpus %s",
			c->cpus);
	if (r == 0 && c->mems && *c->mems)
		r = set(l, CG_CPUSET, "cpuset.mems", "cpuset.mems", c->mems, "cpuset mems %s",
			c->mems);
	return r;
}

static int apply_pids(struct limits *l, const struct bundle_pids *p)
{
	char text[VALUE] = "max";

	if (!p->limit || (*p->limit < 0 && l->g->fresh))
		return 0;
	/* None at all is one, for there is the first process: runc's choice, since systemd knows no 0. */
	if (*p->limit >= 0)
		snprintf(text, sizeof(text), "%" PRId64, *p->limit ? *p->limit : 1);
	return set(l, CG_PIDS, "pids.max", "pids.max", text, "pids limit %s", text);
}

/* config-linux.md: 10..1000 to 1..10000. */
uint64_t cgroup_io_weight(uint64_t w)
{
	return w < 10 ? 1 : w > 1000 ? 10000 : 1 + (w - 10) * 9999 / 990;
}

/* The io scheduler that honours weights decides which files there are: bfq, else (v2) the cost model,
 * else (v1, before Linux 5.0) cfq. `device` is "" or "MAJ:MIN ". */
static int block_weight(struct limits *l, const char *device, uint64_t w)
{
	bool v2 = on_v2(l, CG_BLKIO);
	const char *bfq = v2        ? "io.bfq.weight"
			  : *device ? "blkio.bfq.weight_device"
				    : "blkio.bfq.weight";
	char text[VALUE];

	snprintf(text, sizeof(text), "%s%" PRIu64, device, w);
	if (cgroup_put(l->g, cgroup_find(l->g->layout, CG_BLKIO), bfq, text) == 0)
		return 0;
	if (v2)
		snprintf(text, sizeof(text), "%s%" PRIu64, *device ? device : "default ",
			cgroup_io_weight(w));
	return set(l, CG_BLKIO, *device ? "blkio.weight_device" : "blkio.weight", "io.weight", text,
		"block I/O weight %s%" PRIu64, device, w);
}

static int block_throttle(struct limits *l, const struct record_list *list, const char *v1,
	const char *v2, const char *what)
{
	bool is_v2 = on_v2(l, CG_BLKIO);

	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_throttle *t = list->items[i];
		char value[2 * VALUE], rate[VALUE] = "max";
		int r;
		/* 0 takes the limit away. */
		if (t->rate || !is_v2)
			snprintf(rate, sizeof(rate), "%" PRIu64, t->rate);
		snprintf(value, sizeof(value), "%" PRId64 ":%" PRId64 " %s%s%s", t->major, t->minor,
			is_v2 ? v2 : "", is_v2 ? "=" : "", rate);
		r = set(l, CG_BLKIO, v1, "io.max", value,
			"block I/O %s of device %" PRId64 ":%" PRId64 " %s", what, t->major,
			t->minor, rate);
		if (r < 0)
			return r;
	}
	return 0;
}

static int block_leaf_weight(struct limits *l, const char *device, uint64_t w)
{
	char text[VALUE];

	snprintf(text, sizeof(text), "%s%" PRIu64, device, w);
	return set(l, CG_BLKIO, *device ? "blkio.leaf_weight_device" : "blkio.leaf_weight", NULL,
		text, "block I/O leaf weight %s", text);
}

static int apply_block_io(struct limits *l, const struct bundle_block_io *b)
{
	int r = b->weight && *b->weight ? block_weight(l, "", *b->weight) : 0;

	if (r == 0 && b->leaf_weight && *b->leaf_weight)
		r = block_leaf_weight(l, "", *b->leaf_weight);
	for (size_t i = 0; r == 0 && i < b->weight_device.n; i++) {
		const struct bundle_weight_device *w = b->weight_device.items[i];
		char device[VALUE];
		snprintf(device, sizeof(device), "%" PRId64 ":%" PRId64 " ", w->major, w->minor);
		if (w->weight && *w->weight)
			r = block_weight(l, device, *w->weight);
		if (r == 0 && w->leaf_weight && *w->leaf_weight)
			r = block_leaf_weight(l, device, *w->leaf_weight);
	}
	if (r == 0)
		r = block_throttle(
			l, &b->read_bps, "blkio.throttle.read_bps_device", "rbps", "read rate");
	if (r == 0)
		r = block_throttle(
			l, &b->write_bps, "blkio.throttle.write_bps_device", "wbps", "write rate");
	if (r == 0)
		r = block_throttle(l, &b->read_iops, "blkio.throttle.read_iops_device", "riops",
			"reads per second");
	if (r == 0)
		r = block_throttle(l, &b->write_iops, "blkio.throttle.write_iops_device", "wiops",
			"writes per second");
	return r;
}

static int apply_hugepages(struct limits *l, const struct record_list *list)
{
	bool v2 = on_v2(l, CG_HUGETLB);
	int h = cgroup_find(l->g->layout, CG_HUGETLB), r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		const struct bundle_hugepage *p = list->items[i];
		char v1_file[64], v2_file[64], text[VALUE] = "max";
		if (p->limit <= INT64_MAX || !v2)
			snprintf(text, sizeof(text), "%" PRIu64,
				p->limit <= INT64_MAX ? p->limit : INT64_MAX);
		snprintf(v1_file, sizeof(v1_file), "hugetlb.%s.limit_in_bytes", p->page_size);
		snprintf(v2_file, sizeof(v2_file), "hugetlb.%s.max", p->page_size);
		r = set(l, CG_HUGETLB, v1_file, v2_file, text, "%s huge page limit %s",
			p->page_size, text);
		if (r < 0)
			return r;
		/* Reservations count apart since Linux 5.7, and are what a mapping fails on. */
		snprintf(v1_file, sizeof(v1_file), "hugetlb.%s.rsvd.%s", p->page_size,
			v2 ? "max" : "limit_in_bytes");
		r = cgroup_put(l->g, h, v1_file, text);
		if (r < 0 && r != -ENOENT)
			return err_code(l->err, r, "%s huge page limit %s", p->page_size, text);
		r = 0;
	}
	return r;
}

static int apply_network(struct limits *l, json_t *network)
{
	json_t *class_id = json_object_get(network, "classID"), *item;
	size_t i;
	int r = 0;

	if (json_is_integer(class_id))
		r = set_u64(l, CG_NET_CLS, "net_cls.classid", NULL,
			(uint64_t)json_integer_value(class_id), "network class");
	json_array_foreach (json_object_get(network, "priorities"), i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		char text[VALUE];
		if (r < 0 || !name)
			continue;
		snprintf(text, sizeof(text), "%.15s %" PRId64, name,
			(int64_t)json_integer_value(json_object_get(item, "priority")));
		r = set(l, CG_NET_PRIO, "net_prio.ifpriomap", NULL, text, "network priority of %s",
			text);
	}
	return r;
}

static int apply_rdma(struct limits *l, json_t *rdma)
{
	const char *device;
	json_t *item;

	json_object_foreach (rdma, device, item) {
		json_t *handles = json_object_get(item, "hcaHandles");
		json_t *objects = json_object_get(item, "hcaObjects");
		char text[128];
		int n = snprintf(text, sizeof(text), "%.48s", device), r;
		if (json_is_integer(handles))
			n += snprintf(text + n, sizeof(text) - (size_t)n, " hca_handle=%u",
				(unsigned)json_integer_value(handles));
		if (json_is_integer(objects))
			snprintf(text + n, sizeof(text) - (size_t)n, " hca_object=%u",
				(unsigned)json_integer_value(objects));
		r = set(l, CG_RDMA, "rdma.max", "rdma.max", text, "RDMA limit %s", text);
		if (r < 0)
			return r;
	}
	return 0;
}

static int unified_controller(const char *file)
{
	char name[32];
	unsigned bits;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(file, "."), file);
	bits = cgroup_controllers_of(name);
	return bits ? __builtin_ctz(bits) : -1;
}

/* Any file of v2, as it stands. */
static int apply_unified(struct limits *l, char *const *unified)
{
	int h = -1;

	/* Callers look for the first two words. */
	if (unified && *unified && l->g->layout->mode != CGROUP_V2)
		return err_set(l->err, ENOTSUP,
			"invalid configuration: linux.resources.unified: '%s' is of cgroup v2, and this host has v1",
			unified[0]);
	for (size_t i = 0; i < l->g->layout->n; i++)
		if (cgroup_is_v2(l->g->layout, i))
			h = (int)i;
	map_foreach (kv, unified) {
		int controller = unified_controller(kv[0]), r;
		if (h < 0)
			return err_set(
				l->err, ENOTSUP, "%s %s: this host has no cgroup v2", kv[0], kv[1]);
		if (controller >= 0 && (!(l->g->layout->controllers[h] & CG_BIT(controller)) ||
					       (l->g->missing & CG_BIT(controller))))
			return err_set(l->err, ENOTSUP,
				"%s %s: cgroup v2 does not have the %s "
				"controller here",
				kv[0], kv[1], cgroup_controller_name(controller, true));
		r = strchr(kv[0], '/') ? -EINVAL : cgroup_put(l->g, h, kv[0], kv[1]);
		if (r == -ENOENT)
			return err_set(l->err, ENOTSUP, "%s %s: this kernel has no such file",
				kv[0], kv[1]);
		if (r < 0)
			return err_code(l->err, r, "%s %s", kv[0], kv[1]);
	}
	return 0;
}

unsigned cgroup_limits_need(const struct bundle_resources *res)
{
	const struct bundle_cpu *c = &res->cpu;
	unsigned need = 0;

	if (c->shares || c->quota || c->burst || c->period || c->realtime_period ||
		c->realtime_runtime || c->idle)
		need |= CG_BIT(CG_CPU);
	if ((c->cpus && *c->cpus) || (c->mems && *c->mems))
		need |= CG_BIT(CG_CPUSET);
	if (res->devices.n)
		need |= CG_BIT(CG_DEVICES);
	if (res->pids.limit)
		need |= CG_BIT(CG_PIDS);
	if (res->hugepage_limits.n)
		need |= CG_BIT(CG_HUGETLB);
	if (json_object_get(res->network, "classID"))
		need |= CG_BIT(CG_NET_CLS);
	if (json_array_size(json_object_get(res->network, "priorities")))
		need |= CG_BIT(CG_NET_PRIO);
	if (json_object_size(res->rdma))
		need |= CG_BIT(CG_RDMA);
	map_foreach (kv, res->unified) {
		int controller = unified_controller(kv[0]);
		need |= controller >= 0 ? CG_BIT(controller) : 0;
	}
	return need;
}

bool cgroup_limits_asked(const struct bundle_resources *res)
{
	const struct bundle_memory *m = &res->memory;
	const struct bundle_block_io *io = &res->block_io;

	return m->limit || m->reservation || m->swap || res->pids.limit || io->weight ||
	       io->leaf_weight || io->weight_device.n || io->read_bps.n || io->write_bps.n ||
	       io->read_iops.n || io->write_iops.n || cgroup_limits_need(res) & ~CG_BIT(CG_DEVICES);
}

int cgroup_limits_apply(
	const struct cgroup_group *g, const struct bundle_resources *res, struct err *err)
{
	struct limits l = { g, err };
	int r = apply_memory(&l, &res->memory);

	if (r == 0)
		r = apply_cpu(&l, &res->cpu);
	if (r == 0)
		r = apply_pids(&l, &res->pids);
	if (r == 0)
		r = apply_block_io(&l, &res->block_io);
	if (r == 0)
		r = apply_hugepages(&l, &res->hugepage_limits);
	if (r == 0)
		r = apply_network(&l, res->network);
	if (r == 0)
		r = apply_rdma(&l, res->rdma);
	/* Programs are root's to load; an ordinary user can make no device, and opens what is his to open. */
	if (r == 0 && res->devices.n && !rootless())
		r = cgroup_devices_apply(g, &res->devices, err);
	/* Last: the one who writes these wants them to win. */
	if (r == 0)
		r = apply_unified(&l, res->unified);
	return r;
}
