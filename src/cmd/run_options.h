#pragma once
/*
 * The options of `run` and `create`, and their conversion into a struct instance_config. All that
 * can be checked without creating anything is checked here; every error is one line that begins
 * with the option. `update` shares the limits.
 */
#include "cmd/cmd.h"
#include "instance/config.h"

struct limit_options {
	int64_t memory, memory_reservation;
	const char *memory_swap; /* may be -1 */
	double cpus;
	bool cpus_given;
	int64_t cpu_shares, cpu_period, cpu_quota;
	const char *cpuset_cpus, *cpuset_mems;
	int64_t pids, blkio_weight;
	bool pids_given;
};

struct run_options {
	/* run alone */
	bool detach, sig_proxy, sig_proxy_given;
	const char *detach_keys;

	const char *name, *hostname, *domainname, *user, *workdir, *entrypoint, *cidfile;
	const char *isolation, *runtime, *platform, *pull;
	bool interactive, tty, rm, init, privileged, read_only, quiet, publish_all;
	char **attach, **env, **env_file, **label, **label_file, **annotation, **group_add;

	const char *stop_signal;
	int64_t stop_timeout;
	bool stop_timeout_given;
	const char *restart;
	bool restart_on_unhealthy;
	const char *health_cmd;
	int64_t health_interval, health_timeout, health_retries, health_start_period,
		health_start_interval;
	bool no_healthcheck;

	struct limit_options limits;
	int64_t memory_swappiness, oom_score_adj, shm_size;
	bool memory_swappiness_given, shm_size_given, oom_kill_disable;
	char **read_bps, **write_bps, **read_iops, **write_iops, **weight_devices;
	char **devices, **device_rules, **ulimits;

	char **volumes, **mounts, **tmpfs, **volumes_from;

	char **networks, **nets, **network_aliases, **publish, **expose;
	const char *ip, *ip6, *mac_address;
	char **dns, **dns_search, **dns_options, **add_host;

	char **cap_add, **cap_drop, **security_opt, **sysctls;
	const char *userns, *pid, *ipc, *uts, *cgroupns, *cgroup_parent;
	const char *log_driver;
	char **log_opt;
};

/* The rows of `run`; `create` has those after the first RUN_ONLY. */
#define RUN_ONLY 3
extern const struct cmd_option run_option_rows[];

/* The rows that `update` shares, as designated by TYPE's member `limits`. */
#define LIMIT_OPTION_ROWS(type) \
	OPTION(type, limits.blkio_weight, OPT_INT, 0, "blkio-weight", "WEIGHT", \
		"relative weight of block I/O, 10 to 1000"), \
		OPTION(type, limits.cpu_period, OPT_INT, 0, "cpu-period", "MICROSECONDS", \
			"period of the CPU quota, 1000 to 1000000"), \
		OPTION(type, limits.cpu_quota, OPT_INT, 0, "cpu-quota", "MICROSECONDS", \
			"CPU time a period, at least 1000"), \
		OPTION(type, limits.cpu_shares, OPT_INT, 'c', "cpu-shares", "SHARES", \
			"relative weight of CPU time, 2 to 262144; 1024 is the usual"), \
		OPTION_WITH(type, limits.cpus, OPT_DOUBLE, 0, "cpus", "NUMBER", \
			"CPUs' worth of time, like 1.5", OPTION_GIVEN(type, limits.cpus_given)), \
		OPTION(type, limits.cpuset_cpus, OPT_STR, 0, "cpuset-cpus", "LIST", \
			"CPUs to run on, like 0-3 or 0,2"), \
		OPTION(type, limits.cpuset_mems, OPT_STR, 0, "cpuset-mems", "LIST", \
			"memory nodes to use, like 0-3 or 0,2"), \
		OPTION(type, limits.memory, OPT_SIZE, 'm', "memory", "SIZE", \
			"limit of memory, at least 6m"), \
		OPTION(type, limits.memory_reservation, OPT_SIZE, 0, "memory-reservation", "SIZE", \
			"memory to keep when the host runs short"), \
		OPTION(type, limits.memory_swap, OPT_STR, 0, "memory-swap", "SIZE", \
			"limit of memory and swap together; -1 is unlimited swap"), \
		OPTION_WITH(type, limits.pids, OPT_INT, 0, "pids-limit", "NUMBER", \
			"limit of processes and threads; -1 is unlimited", \
			OPTION_GIVEN(type, limits.pids_given))

/* args: IMAGE [COMMAND] [ARG...]. On failure the config is to be cleared all the same. */
int run_options_resolve(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err);

/* The parts, in files of their own. Each fills in what is its own. */
int run_limits(const struct run_options *o, struct instance_config *c, struct err *err);
int run_mounts(const struct run_options *o, struct instance_config *c, struct err *err);
int run_networks(const struct run_options *o, struct instance_config *c, struct err *err);
int run_security(const struct run_options *o, struct instance_config *c, struct err *err);
int run_health(const struct run_options *o, struct instance_config *c, struct err *err);

int limit_options_resolve(
	const struct limit_options *o, struct instance_limits *l, struct err *err);
/* A size, or -1 for unlimited. */
int size_option(const char *option, const char *text, int64_t *ret, struct err *err);
/* "always", "on-failure:3". */
int restart_parse(const char *text, struct instance_restart *ret, struct err *err);
/* KEY[=VALUE] items into a map; `option` names them in errors. */
int pairs_parse(const char *option, char *const *items, char ***map, struct err *err);
/* -e items after the lines of --env-file files; a name alone takes the value of this process's own
 * environment, and without one asks for the variable's removal (an item without "="). */
int env_resolve(char *const *files, char *const *items, char ***ret, struct err *err);
/* A signal's name, with or without SIG, or its number; *ret_name (may be NULL): "SIGTERM", static.
 * The number or -EINVAL. */
int signal_option(const char *text, const char **ret_name, struct err *err);
/* The whole of `create`: resolves, checks, creates, writes --cidfile. config->id is set. */
int run_create(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err);
/* Textually: no "//", "/./", "/../"; relative paths from the working directory, NULL when that is gone. The
 * caller frees. */
char *path_absolute(const char *path);
