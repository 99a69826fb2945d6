#pragma once
/*
 * The seam of the depths: what makes an instance run. One file an engine, one row in engine.c's
 * table; fake.c is the template and the test double.
 *
 * An engine is stateless between calls: what it must remember is in struct run_state.
 */
#include "bundle/run.h"

struct engine {
	const char *name; /* "container" */

	/* 0, or -errno with what is missing and the command that mends it. Cheap. Mandatory. */
	int (*available)(struct err *err);

	/*
	 * Makes everything up to, not including, the user's process (OCI "create"), as a child of
	 * the calling process, which must be single-threaded. On failure nothing is left. Mandatory.
	 */
	int (*create)(const struct run_create *args, struct run_state *ret, struct err *err);
	/* Lets it go (OCI "start"). `made`: what create gave as *ret_start, or -1. When the user's program cannot be executed: -ENOENT, -EACCES,
	 * -ENOEXEC with "exec 'PROGRAM': reason" (exit codes 127 and 126). Mandatory. */
	int (*start)(const struct run_state *state, int made, struct err *err);

	/* Any process. 0 also when it is gone. `all`: every process of the instance. Mandatory. */
	int (*kill)(const struct run_state *state, int signo, bool all, struct err *err);
	/* A further process, child of the caller. Returns its pidfd, the caller's. Mandatory. */
	int (*exec)(const struct run_state *state, const struct bundle *bundle,
		const struct run_exec *args, pid_t *ret_pid, struct err *err);

	/* The rest is optional: callers answer "not supported" for NULL. */
	int (*pause)(const struct run_state *state, bool pause, struct err *err);
	int (*stats)(const struct run_state *state, struct run_stats *ret, struct err *err);
	int (*update)(const struct run_state *state, const struct bundle_resources *resources,
		struct err *err);
	/* Which of the lifecycle's states it is in; whoever keeps records of their own needs none. */
	enum run_status (*status)(const struct run_state *state);
	/* All that is counted of it, as the object "data" of runc's `events`. The caller owns it. */
	json_t *(*counters)(const struct run_state *state, struct err *err);
	/* Waits for the next time that memory ran out: the descriptor becomes readable, and
	 * is readable for good once the instance is gone. The caller's. */
	int (*watch_memory)(const struct run_state *state, struct err *err);
	/* What bundles may ask of it: "mountOptions", "linux" and "annotations" of runtime-spec features.md.
	 * The caller owns it. */
	json_t *(*features)(void);
	/* Host pids of all processes, for `top`; the caller frees. Returns the count. */
	int (*pids)(const struct run_state *state, pid_t **ret, struct err *err);
	/* Joins or leaves a network while running. */
	int (*attach)(const struct run_state *state, const struct bundle_endpoint *endpoint,
		struct err *err);
	int (*detach)(const struct run_state *state, const struct bundle_endpoint *endpoint,
		struct err *err);
	/* The way out leads through this endpoint from now on. */
	int (*set_default)(const struct run_state *state, const struct bundle_endpoint *endpoint,
		struct err *err);

	/*
	 * Kills what is left and removes all traces (cgroup, mounts, links). From the state alone,
	 * also half-built, also after the owner died. Idempotent. Mandatory.
	 */
	int (*destroy)(const struct run_state *state, struct err *err);
};

extern const struct engine engine_container, engine_fake;

/* The table, NULL-terminated; and one by name, NULL when unknown. */
extern const struct engine *const engines[];
const struct engine *engine_find(const char *name);
