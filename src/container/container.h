#pragma once
/*
 * Linux containers: processes fenced off by the kernel, from a bundle. Knows no images, networks or
 * supervisors: this is the OCI runtime that `run` and `oci` share.
 *
 * create: a child in new namespaces and cgroup (clone3); root from holm.layers (overlay) or root_path;
 * mounts by descriptors (open_tree, move_mount, openat2), pivot_root, devices, masked and read-only
 * paths, sysctls. Then the child waits for RUN_DIR/start, capabilities, seccomp and no_new_privs
 * still to be applied before execve. The semantics of each function are those of the engine seam
 * (engine/engine.h); errors name the part of the bundle that failed.
 */
#include "bundle/run.h"

int container_available(struct err *err);
int container_create(const struct run_create *args, struct run_state *ret, struct err *err);
int container_start(const struct run_state *state, int made, struct err *err);
int container_kill(const struct run_state *state, int signo, bool all, struct err *err);
int container_exec(const struct run_state *state, const struct bundle *bundle,
	const struct run_exec *args, pid_t *ret_pid, struct err *err);
enum run_status container_status(const struct run_state *state);
/* All its processes, as the caller sees them; the caller frees. The count. */
int container_pids(const struct run_state *state, pid_t **ret, struct err *err);
int container_destroy(const struct run_state *state, struct err *err);
