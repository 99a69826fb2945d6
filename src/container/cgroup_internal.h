#pragma once
/*
 * Inside the cgroup files only. A layout is what the host offers: hierarchies, and which controllers
 * each of them has. A group is one path opened in the hierarchies that have it.
 *
 * Nothing here keeps a descriptor open between calls: the first process of a container is a fork of
 * ours, and a directory of the host's that leaked into it would be a way out.
 */
#include <stdbool.h>

#include "container/cgroup.h"

/* v2's io is CG_BLKIO. Three need no enabling on v2: cpuacct (cpu.stat), freezer (cgroup.freeze) and
 * devices (an eBPF program). */
enum cgroup_controller {
	CG_MEMORY,
	CG_CPU,
	CG_CPUACCT,
	CG_CPUSET,
	CG_PIDS,
	CG_BLKIO,
	CG_DEVICES,
	CG_FREEZER,
	CG_HUGETLB,
	CG_RDMA,
	CG_MISC,
	CG_NET_CLS,
	CG_NET_PRIO,
	CG_PERF_EVENT,
	CG_COUNT,
};
#define CG_BIT(controller) (1u << (controller))
#define CG_V2_ALWAYS (CG_BIT(CG_CPUACCT) | CG_BIT(CG_FREEZER) | CG_BIT(CG_DEVICES))
/* What statistics, freezing and killing need. The others are made for who asks for a limit. */
#define CG_BASE \
	(CG_BIT(CG_MEMORY) | CG_BIT(CG_CPUACCT) | CG_BIT(CG_PIDS) | CG_BIT(CG_BLKIO) | \
		CG_BIT(CG_FREEZER))
/* Of these, what v1 has a hierarchy for that few containers use: it is made for who freezes (cgroup_add()),
 * and processes can be counted without. */
#define CG_LATER (CG_BIT(CG_PIDS) | CG_BIT(CG_FREEZER))

#define CGROUP_MAX_HIERARCHIES 16

struct cgroup_layout {
	enum cgroup_mode mode;
	size_t n;
	struct cgroup_hierarchy list[CGROUP_MAX_HIERARCHIES]; /* v2: name "unified" or "" */
	unsigned controllers[CGROUP_MAX_HIERARCHIES];         /* CG_BIT */
	int open_flags; /* O_CREAT in tests, where the directories are plain ones */
};

struct cgroup_group {
	const struct cgroup_layout *layout;
	char *path;                      /* absolute, from each mount */
	int dir[CGROUP_MAX_HIERARCHIES]; /* O_PATH; -1 where there is none */
	unsigned missing;                /* v2 controllers that could not be enabled */
	bool fresh;                      /* just made: every limit still has its default */
};

/* The host's, found at the first call; or the one that a test put in its place. */
const struct cgroup_layout *cgroup_layout(void);
void cgroup_layout_override(const struct cgroup_layout *layout);
/* From the text of a mountinfo file (proc(5)). Owns copies. */
void cgroup_layout_parse(char *mountinfo, struct cgroup_layout *ret);
/* For a v2 hierarchy, from what its cgroup.controllers says. */
unsigned cgroup_controllers_of(const char *text);
const char *cgroup_controller_name(int controller, bool v2);
static inline bool cgroup_is_v2(const struct cgroup_layout *l, size_t h)
{
	return !l->list[h].controllers;
}
/* The hierarchy that has the controller, or -1. */
int cgroup_find(const struct cgroup_layout *l, int controller);

/* "/holm/ID" from either form of path. The caller frees. -EINVAL for one that leads upwards. */
int cgroup_path(const char *path, char **ret, struct err *err);
/* Opens what exists; with nothing there all of dir[] is -1. */
int cgroup_open(const char *path, struct cgroup_group *ret, struct err *err);
void cgroup_close(struct cgroup_group *g);
DEFINE_CLEANUP_OBJECT(cgroup_close, struct cgroup_group);

/* The group's directory in hierarchy h. The caller frees. */
char *cgroup_full_path(const struct cgroup_layout *l, size_t h, const char *path);
/* Makes an open group's directories in those hierarchies of `need` that lack them, with all its processes; -ESRCH
 * when it has none. */
int cgroup_add(struct cgroup_group *g, unsigned need, struct err *err);
/* Threads in the group and below it, as pids.current. */
uint64_t cgroup_count_tasks(const struct cgroup_group *g);
/* Calls fn for each directory in `dir` until it returns other than 0. */
int cgroup_subgroups(int dir, int (*fn)(void *data, int dir, const char *name), void *data);
/* When `path` lies in holm's own group and that has become empty. */
void cgroup_remove_parent(const struct cgroup_layout *l, size_t h, const char *path);

/* One write(2) into a file of the group. -errno. */
int cgroup_put(const struct cgroup_group *g, int h, const char *file, const char *value);
/* Opened for reading: a descriptor or -errno. */
int cgroup_file(const struct cgroup_group *g, int h, const char *file);
/* The whole file, NUL-terminated and cut at `size`; the length or -errno. */
int cgroup_get(const struct cgroup_group *g, int h, const char *file, char *text, size_t size);
/* One number; "max" is UINT64_MAX. */
int cgroup_get_u64(const struct cgroup_group *g, int h, const char *file, uint64_t *ret);
/* The number after `key ` at the start of a line, as in memory.stat. */
bool cgroup_stat_value(const char *text, const char *key, uint64_t *ret);
/* Sleeps *us and doubles it, up to 20 ms. */
void cgroup_pause(unsigned *us);

/* cgroup_limits.c */
unsigned cgroup_limits_need(const struct bundle_resources *res);
int cgroup_limits_apply(
	const struct cgroup_group *g, const struct bundle_resources *res, struct err *err);
/* config-linux.md's conversions for v2. */
uint64_t cgroup_weight_of_shares(uint64_t shares);
uint64_t cgroup_io_weight(uint64_t blkio_weight);

/* cgroup_devices.c */
struct bpf_insn;
struct cgroup_device {        /* an exception from the default */
	char type;            /* b c */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* BPF_DEVCG_ACC_* */
};
struct cgroup_devices {
	bool allow; /* what holds for devices without an exception */
	struct cgroup_device *list;
	size_t n;
};
/* The effect of the rules one after the other, as v1's devices controller would have it. */
void cgroup_devices_fold(const struct record_list *rules, struct cgroup_devices *ret);
void cgroup_devices_free(struct cgroup_devices *d);
DEFINE_CLEANUP_OBJECT(cgroup_devices_free, struct cgroup_devices);
/* The program of type BPF_PROG_TYPE_CGROUP_DEVICE; the caller frees. */
struct bpf_insn *cgroup_devices_program(const struct cgroup_devices *d, size_t *ret_n);
int cgroup_devices_apply(
	const struct cgroup_group *g, const struct record_list *rules, struct err *err);
