#pragma once
/*
 * What people ask of an instance, as they write it (the options of `run`, the members of a Compose
 * service), and its conversion into a struct instance_config. All that can be checked without creating
 * anything is checked here; every error is one line that begins with the option, "--memory: ...".
 */
#include <stdbool.h>

#include "base/db.h"
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

/* args: IMAGE [COMMAND] [ARG...]. On failure the config is to be cleared all the same. */
int run_options_resolve(struct db *db, const struct run_options *o, char *const *args,
	struct instance_config *c, struct err *err);
/* Containers whose namespaces are to be shared: there now, though they need to run only at the start, and
 * known by id from now on, whatever names come to be. Before instance_create(). */
int run_resolve_others(struct db *db, struct instance_config *c, struct err *err);

/* The parts, in files of their own. Each fills in what is its own. */
int run_limits(const struct run_options *o, struct instance_config *c, struct err *err);
int run_mounts(
	struct db *db, const struct run_options *o, struct instance_config *c, struct err *err);
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
/* Textually: no "//", "/./", "/../"; relative paths from the working directory, NULL when that is gone. The
 * caller frees. */
char *path_absolute(const char *path);
