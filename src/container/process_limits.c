/* What a parent sets for its child: rlimits, OOM score, scheduling. getrlimit(2), sched(7), ioprio_set(2). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container/process.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13
#define MAX_CPUS 8192 /* the kernel's NR_CPUS at most */
#define ALL_CPUS "0-8191"

/* sched_setattr(2): the kernel's struct sched_attr, whose header clashes with the C library's. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static const struct {
	const char *name;
	int resource;
} rlimits[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

static int put_rlimit(pid_t pid, int resource, const struct bundle_rlimit *l)
{
	struct rlimit now, want = { .rlim_cur = l->soft, .rlim_max = l->hard };

	/* The child itself lowers this one, once it needs no more descriptors. */
	if (resource == RLIMIT_NOFILE && prlimit(pid, RLIMIT_NOFILE, NULL, &now) == 0) {
		if (want.rlim_max <= now.rlim_max)
			return 0;
		want.rlim_cur = now.rlim_cur;
	}
	if (prlimit(pid, (__rlimit_resource_t)resource, &want, NULL) == 0)
		return 0;
	if (errno != EPERM || prlimit(pid, (__rlimit_resource_t)resource, NULL, &now) < 0)
		return -errno;
	if (want.rlim_max > now.rlim_max)
		want.rlim_max = now.rlim_max;
	if (want.rlim_cur > want.rlim_max)
		want.rlim_cur = want.rlim_max;
	log_warn_once("%s: this host does not let it be raised above %llu", l->type,
		(unsigned long long)now.rlim_max);
	return prlimit(pid, (__rlimit_resource_t)resource, &want, NULL) < 0 ? -errno : 0;
}

static int set_rlimits(const struct bundle_process *p, pid_t pid, struct err *err)
{
	for (size_t i = 0; i < p->rlimits.n; i++) {
		const struct bundle_rlimit *l = p->rlimits.items[i];
		size_t k = 0;
		while (k < ARRAY_SIZE(rlimits) && strcmp(rlimits[k].name, l->type) != 0)
			k++;
		if (k == ARRAY_SIZE(rlimits))
			return err_set(err, EINVAL, "process.rlimits: unknown limit '%s'", l->type);
		int r = put_rlimit(pid, rlimits[k].resource, l);
		if (r < 0)
			return err_code(err, r, "process.rlimits: set %s", l->type);
	}
	return 0;
}

int process_limit_files(const struct bundle_process *p)
{
	for (size_t i = 0; i < p->rlimits.n; i++) {
		const struct bundle_rlimit *l = p->rlimits.items[i];
		struct rlimit now, want = { .rlim_cur = l->soft, .rlim_max = l->hard };
		if (strcmp(l->type, "RLIMIT_NOFILE") != 0)
			continue;
		if (getrlimit(RLIMIT_NOFILE, &now) < 0)
			return -errno;
		if (want.rlim_max > now.rlim_max)
			want.rlim_max = now.rlim_max;
		if (want.rlim_cur > want.rlim_max)
			want.rlim_cur = want.rlim_max;
		return setrlimit(RLIMIT_NOFILE, &want) < 0 ? -errno : 0;
	}
	return 0;
}

static int set_oom_score(const struct bundle_process *p, pid_t pid, struct err *err)
{
	char path[48], text[24];
	int r;

	if (!p->oom_score_adj)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	snprintf(text, sizeof(text), "%lld", (long long)*p->oom_score_adj);
	r = file_put(AT_FDCWD, path, text);
	if (r == -EACCES || r == -EPERM) {
		log_warn_once(
			"process.oomScoreAdj: this host does not let it be lowered to %s", text);
		return 0;
	}
	return r < 0 ? err_code(err, r, "process.oomScoreAdj: set it to %s", text) : 0;
}

static const char *const policies[] = { [SCHED_OTHER] = "SCHED_OTHER",
	[SCHED_FIFO] = "SCHED_FIFO",
	[SCHED_RR] = "SCHED_RR",
	[SCHED_BATCH] = "SCHED_BATCH",
	[SCHED_IDLE] = "SCHED_IDLE",
	[SCHED_DEADLINE] = "SCHED_DEADLINE" };

static const struct {
	const char *name;
	uint64_t flag;
} scheduler_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },
	{ "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },
	{ "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};

static int parse_scheduler(
	const struct bundle_scheduler *s, struct scheduling *ret, struct err *err)
{
	struct scheduling a = { .size = sizeof(a),
		.nice = (int32_t)s->nice,
		.priority = (uint32_t)s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period };
	size_t i = 0;

	while (i < ARRAY_SIZE(policies) && !(policies[i] && strcmp(policies[i], s->policy) == 0))
		i++;
	if (i == ARRAY_SIZE(policies))
		return err_set(
			err, EINVAL, "process.scheduler: '%s' is not of this kernel", s->policy);
	a.policy = (uint32_t)i;
	strv_foreach (f, s->flags) {
		size_t k = 0;
		while (k < ARRAY_SIZE(scheduler_flags) && strcmp(scheduler_flags[k].name, *f) != 0)
			k++;
		if (k == ARRAY_SIZE(scheduler_flags))
			return err_set(err, EINVAL, "process.scheduler.flags: unknown '%s'", *f);
		a.flags |= scheduler_flags[k].flag;
	}
	*ret = a;
	return 0;
}

static int set_scheduling(
	const struct bundle *b, const struct bundle_process *p, pid_t pid, struct err *err)
{
	static const char *const classes[] = { "", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
		"IOPRIO_CLASS_IDLE" };
	const struct bundle_resources *res = b->linux_.resources;
	struct scheduling attr;
	size_t class = 1;

	if (p->scheduler) {
		int r = parse_scheduler(p->scheduler, &attr, err);
		if (r < 0)
			return r;
		r = syscall(SYS_sched_setattr, pid, &attr, 0) < 0 ? -errno : 0;
		/* Deadlines are only for who may use all processors (sched_setattr(2)). */
		if (r == -EPERM && res && res->cpu.cpus && *res->cpu.cpus)
			return err_set(err, EPERM,
				"process.scheduler: process scheduler can't be used together with AllowedCPUs (linux.resources.cpu.cpus)");
		if (r < 0)
			return err_code(err, r, "process.scheduler: set %s", p->scheduler->policy);
	}
	if (!p->io_priority)
		return 0;
	while (class < ARRAY_SIZE(classes) && strcmp(classes[class], p->io_priority->class) != 0)
		class ++;
	if (class == ARRAY_SIZE(classes))
		return err_set(err, EINVAL, "process.ioPriority: unknown class '%s'",
			p->io_priority->class);
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid,
		    (int)(class << IOPRIO_CLASS_SHIFT) | (int)p->io_priority->priority) < 0)
		return err_errno(err, "process.ioPriority: set %s", p->io_priority->class);
	return 0;
}

int process_set_affinity(const char *list)
{
	cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
	size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
	const char *s = list && *list ? list : ALL_CPUS;
	unsigned long mask = 0;
	int r;

	CPU_ZERO_S(size, set);
	while (*s >= '0' && *s <= '9') {
		char *end;
		unsigned long first = strtoul(s, &end, 10), last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < MAX_CPUS; first++) {
			CPU_SET_S(first, size, set);
			mask |= first < 64 ? 1ul << first : 0;
		}
		s = *end == ',' ? end + 1 : end;
	}
	if (list && *list)
		log_debug("container", "nsexec[%d]: affinity: 0x%lx", (int)getpid(), mask);
	r = sched_setaffinity(0, size, set) < 0 ? -errno : 0;
	CPU_FREE(set);
	return r;
}

int process_limit(
	const struct bundle *b, const struct bundle_process *p, pid_t pid, struct err *err)
{
	int r = set_oom_score(p, pid, err);

	if (r == 0)
		r = set_scheduling(b, p, pid, err);
	return r < 0 ? r : set_rlimits(p, pid, err);
}
