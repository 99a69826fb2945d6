#pragma once
/* Programs that the bundle wants run at points of the container's life: runtime-spec config.md, "POSIX-
 * platform Hooks". Each gets the container's state as JSON on its standard input. */
#include <sys/types.h>

#include "bundle/bundle.h"

struct hook_state {
	const char *oci_version, *id, *bundle; /* bundle: its directory's path */
	char *const *annotations;
	char *const *env; /* of hooks that have none of their own; NULL: empty */
};

/* `name` and `status` as the specification has them: "createRuntime", "creating". pid: as seen from the
 * namespaces in which the hooks run. */
int hooks_run(const struct record_list *hooks, const char *name, const struct hook_state *state,
	const char *status, pid_t pid, struct err *err);

/* Those that run when the bundle is no longer at hand are kept in RUN_DIR. Nothing is written when there
 * are none. */
int hooks_keep(
	const struct bundle *b, const struct hook_state *state, int run_dir, struct err *err);
/* poststart; nothing to do is no error. */
int hooks_run_poststart(int run_dir, pid_t pid, struct err *err);
/* poststop, once; failures are warned of. */
void hooks_run_poststop(int run_dir);
