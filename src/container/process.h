#pragma once
/*
 * From a prepared child to the user's program, the same for a container's first process and for exec:
 * identity, rights, filter, working directory, program. runtime-spec config.md, "Process".
 */
#include <stdbool.h>
#include <sys/types.h>

#include "bundle/bundle.h"
#include "container/capability.h"
#include "container/memory_policy.h"
#include "container/seccomp.h"

struct process_setup {
	const struct bundle_process *process;
	struct capability_sets caps;
	struct seccomp_filter filter;
	bool has_caps, has_filter;
	bool reaper;          /* our own init stays as the first process */
	int init;             /* its program (init.h) */
	int parent;           /* pidfd: the process dies with that one; or -1 */
	int listener;         /* where a filter's notification descriptor goes; or -1 */
	char *listener_state; /* and what is said with it */
	int64_t personality;  /* or -1 */
	struct memory_policy memory;
	int keep_fds; /* from 3 on, for the program */
	char **env;   /* of process_find() */
	char *program;
	/* Called last before execve, with all rights gone and the filter set; or NULL. */
	int (*last)(void *data, char *const *env, struct err *err);
	void *data;
};

/* In the parent: all that takes long, opens files of the host or can be wrong. `first`: not exec. */
int process_prepare(const struct bundle *b, const struct bundle_process *p, bool first,
	const char *id, struct process_setup *ret, struct err *err);
void process_setup_free(struct process_setup *s);
DEFINE_CLEANUP_OBJECT(process_setup_free, struct process_setup);

/* In the parent, for a child that waits: rlimits, OOM score, scheduling. What the host forbids is clamped,
 * with a warning (process_limits.c). */
int process_limit(
	const struct bundle *b, const struct bundle_process *p, pid_t pid, struct err *err);

/* In the child: the processors of a list like "0-3,7" ("" or NULL: all that its group has). 0 or -errno. */
int process_set_affinity(const char *list);
/* In the child: the number of open files, which is lowered last. 0 or -errno. */
int process_limit_files(const struct bundle_process *p);

/* In the child, first of all: a session of its own, default signals, nothing inherited, death with the
 * parent. */
void process_detach(const struct process_setup *s);
/*
 * In the child, inside its root, while it is root still: looks for the program as its user will, so that
 * whoever makes the container hears of one that is not there or cannot be executed. -ENOENT or -EACCES
 * with "exec 'PROGRAM'". Changes nothing else.
 */
int process_find(struct process_setup *s, struct err *err);
/* In the child, inside its root, its standard descriptors set: becomes the program. `conn`, a socket, is
 * closed by success, and hears from the init program (report.h) when that fails. Returns on failure. */
int process_run(struct process_setup *s, int conn, struct err *err);
