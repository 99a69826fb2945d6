#pragma once
/* The option rows of `run` and `create`, of which `update` shares the limits. */
#include "cmd/cmd.h"
#include "instance/run_options.h"

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

/* The whole of `create`: resolves, checks, creates, writes --cidfile. config->id is set. */
int run_create(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err);
