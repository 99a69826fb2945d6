#pragma once
/*
 * What passes between those who run bundles (engine/, container/, machine/) and those who ask them
 * to: the arguments of create and exec, the state that a running instance leaves behind, statistics.
 */
#include <signal.h>
#include <sys/types.h>

#include "bundle/bundle.h"

/* All that must be remembered of a running instance: any process of the same user may exec in it,
 * kill, pause, measure or take it down by this record. Kept in the supervisor's state file. */
struct run_state {
	int64_t pid;       /* first process, in the caller's pid namespace; 0: none */
	int64_t pid_start; /* /proc/PID/stat field 22, clock ticks since boot: guards against reuse */
	char *cgroup;  /* the path that was made, relative to each hierarchy's mount; NULL: none */
	char *run_dir; /* the instance's directory under paths_run() */
};
extern const struct record_field run_state_fields[];

enum run_status { RUN_STOPPED, RUN_CREATED, RUN_RUNNING, RUN_PAUSED };

/* Whether the first process is the same one and alive: a zombie is not. */
bool run_alive(const struct run_state *state);
/* Its pidfd, checked against pid_start unless that is 0; -ESRCH when it is gone (a zombie is still
 * there). The caller owns it. */
int run_pidfd(const struct run_state *state);
/* What goes into pid_start. -ESRCH when there is no such process. */
int run_pid_start(pid_t pid, int64_t *ret);

struct run_create {
	const char *id;
	const struct bundle *bundle;
	int bundle_dir;      /* descriptor; relative paths of the bundle start here */
	const char *run_dir; /* made by the caller; sockets and FIFOs of the engine go here */
	int stdio[3];        /* for process.terminal == false; stay the caller's */
	int *ret_console;    /* for process.terminal: the pty's master, the caller's afterwards */
	bool plain_lines;    /* the terminal does not put a carriage return before each line feed */
	int keep_fds;        /* so many descriptors from 3 on stay open for the program */
	bool no_pivot;       /* chroot instead, for a root on the initial ramdisk */
	bool no_new_keyring; /* the caller's session keyring stays the container's */
	bool share_cgroup;   /* in a group that others are in, with a warning */
	/* Not NULL: whoever makes it is who starts it, by this descriptor, the caller's, and by no other
	 * way; closed before that, it ends what was made. */
	int *ret_start;
	/* Called in the parent once the namespaces exist, while the child goes on with its mounts;
	 * `pid` is the first process. May be NULL. */
	int (*on_namespaces)(void *data, pid_t pid, struct err *err);
	void *data;
};

struct run_exec {
	const struct bundle_process *process;
	int stdio[3];
	int *ret_console;
	bool plain_lines;
	int keep_fds; /* as in run_create */
	/* Groups below the container's own, as alternating controller ("" for all) and path, the end
	 * being NULL; or NULL. */
	char *const *cgroups;
};

struct run_stats { /* since the start; 0 where the host does not say */
	uint64_t cpu_ns, cpu_user_ns, cpu_system_ns, cpu_periods, cpu_throttled_periods,
		cpu_throttled_ns;
	uint64_t memory_bytes; /* in use without inactive page cache, as Docker counts */
	uint64_t memory_peak_bytes, memory_limit_bytes; /* the host's memory when unlimited */
	uint64_t memory_swap_bytes, memory_cache_bytes, memory_rss_bytes, memory_failcnt;
	uint64_t oom_kills;
	uint64_t pids, pids_limit; /* limit 0: none */
	uint64_t block_read_bytes, block_write_bytes, block_read_ops, block_write_ops;
	uint64_t net_rx_bytes, net_tx_bytes, net_rx_packets, net_tx_packets, net_rx_dropped,
		net_tx_dropped, net_rx_errors, net_tx_errors;
};
