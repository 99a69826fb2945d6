#pragma once
/*
 * Control groups on v1, hybrid and pure v2 hosts, by file system alone (no systemd). One path is used
 * in every hierarchy. Sources: kernel Documentation/admin-guide/cgroup-v1, cgroup-v2.rst; the
 * runtime-spec's config-linux.md, which gives the conversions (shares to weight, swap minus memory).
 *
 * The layout of the host is found once per process from /proc/self/mountinfo. On v1 a group is made
 * only in the hierarchies that statistics, freezing and killing need and in those whose limits are
 * asked for; cgroup_update() adds others later.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "bundle/run.h"

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };
enum cgroup_mode cgroup_mode(void);
/* Comma-separated controllers that can be used here, for doctor and info. Static. */
const char *cgroup_controllers(void);

/*
 * Makes the group in all hierarchies and sets the limits. `path` as linux.cgroupsPath: absolute from
 * the mount, or relative to holm's own parent ("holm" + paths_suffix()). *ret_path: what was made,
 * the caller frees; absolute, and good as `path` for all other functions here. *ret_fd: as
 * cgroup_fd(), or -1. Limits the host
 * cannot set are -ENOTSUP with the controller's name. On failure nothing is left. `resources` may be
 * NULL. A group that was frozen before is -EBUSY.
 */
#define CGROUP_EVERYWHERE 1u /* in all hierarchies, not only where statistics or limits need it */
#define CGROUP_SHARED 2u     /* with others in it, which is warned of; else that is -EBUSY */
int cgroup_create(const char *path, const struct bundle_resources *resources, unsigned flags,
	char **ret_path, int *ret_fd, struct err *err);
/* Whether anything is limited: what devices there are to be is not. */
bool cgroup_limits_asked(const struct bundle_resources *resources);
/* v2's directory of the group for CLONE_INTO_CGROUP, the caller's; -ENOENT when it has none. */
int cgroup_fd(const char *path);
/*
 * Moves a process into the group. -ESRCH when it is gone.
 *
 * pid 0 is the caller, single-threaded, which has entered v2 by CLONE_INTO_CGROUP: v1 only, and by
 * far the faster way, as the kernel lets a thread that moves itself do so without the lock that all
 * forks and exits take, for which another mover waits out an RCU grace period, 10 ms or more.
 */
int cgroup_join(const char *path, pid_t pid, struct err *err);
/*
 * The caller into groups below its own: `below` is alternating controller ("" for all) and path, as
 * run_exec has it; hierarchies that are not named are joined at `path`. v2 also.
 */
int cgroup_join_below(const char *path, char *const *below, struct err *err);
/* Whether that makes sense, before there is a process. */
int cgroup_check_below(char *const *below, struct err *err);
int cgroup_update(const char *path, const struct bundle_resources *resources, struct err *err);
int cgroup_freeze(const char *path, bool freeze, struct err *err);
bool cgroup_is_frozen(const char *path);
/* All but the network's numbers, which are 0. */
int cgroup_stats(const char *path, struct run_stats *ret, struct err *err);
/* Everything that is counted, as the object "data" of runc's `events`; the caller owns it. */
json_t *cgroup_counters(const char *path, struct err *err);
/* A descriptor, the caller's, that becomes readable when memory ran out or the group is gone; there may be
 * false alarms. */
int cgroup_watch_memory(const char *path, struct err *err);
/* All processes in the group and below it; the caller frees. The count. */
int cgroup_pids(const char *path, pid_t **ret, struct err *err);
/* v2's cgroup.kill, else signals until it is empty (thawing it first). */
int cgroup_kill(const char *path, int signo, struct err *err);
/* Kills, waits briefly for the exits and removes all directories below and the group. Idempotent.
 * Removes holm's parent too when it became empty. */
int cgroup_remove(const char *path, struct err *err);
/* Processes killed for lack of memory so far. */
uint64_t cgroup_oom_kills(const char *path);
/* The mounts that a container sees at /sys/fs/cgroup are made by mount.c with this: one line a
 * hierarchy, "NAME ROOT-RELATIVE-PATH-OF-THE-GROUP MOUNTPOINT". The group need not exist in each. */
struct cgroup_hierarchy {
	const char *name;        /* "memory", "cpu,cpuacct", "unified" or "" for pure v2 */
	const char *mount;       /* "/sys/fs/cgroup/memory" */
	const char *controllers; /* v1's mount option; NULL for v2 */
};
const struct cgroup_hierarchy *cgroup_hierarchies(size_t *n);
