#pragma once
/*
 * OCI containers: what the verbs of `holm oci` mean, for the engine "container" (runtime-spec runtime.md;
 * where that is silent, runc). A container is a directory below the root that --root names:
 *
 *	ROOT/ID/state.json   what is needed to find it again, and its bundle's configuration as it was at
 *	                     creation; there once it is created
 *	ROOT/ID/...          the engine's (its run_dir)
 *
 * There is no supervisor: the container's first process is a child of whoever created it, and what a
 * container is doing is asked of the kernel each time. Texts that callers look for are runc's.
 */
#include <stdbool.h>

#include "bundle/run.h"

struct oci_container {
	char *id, *bundle_path, *rootfs;
	int64_t created; /* ns since the epoch */
	struct run_state run;
	struct bundle *bundle; /* oci_config() */
	json_t *config;        /* what that is made of, of one that was loaded */
	char *dir;             /* ROOT/ID */
	bool fresh; /* just created by ourselves, and not started: by `start`, engine.h's `made` */
	int start;
};
void oci_container_free(struct oci_container *c);
DEFINE_CLEANUP(oci_container_free, struct oci_container *);

/* $XDG_RUNTIME_DIR/holm-oci for ordinary users that have one, else /run/holm-oci. The caller frees. */
char *oci_default_root(void);

/* -ENOENT: "container does not exist". */
int oci_load(const char *root, const char *id, struct oci_container **ret, struct err *err);
/* Reads the configuration into c->bundle, unless it is there. */
int oci_config(struct oci_container *c, struct err *err);
/* Names of what may be containers, in order. The caller frees. */
int oci_list(const char *root, char ***ret, struct err *err);

enum run_status oci_status(const struct oci_container *c);
const char *oci_status_name(enum run_status status);
/* runtime-spec's state with runc's members: "rootfs", "created". The caller owns it. */
json_t *oci_state(struct oci_container *c);
/* The user who owns the container's directory; the caller frees. */
char *oci_owner(const struct oci_container *c);

struct oci_process {
	int pidfd_socket;   /* where a descriptor of the process is sent to; 0: nowhere */
	int console_socket; /* where the terminal's master is sent to; -1: none */
	int *ret_console;   /* or who takes it */
	int keep_fds;
	const char *pid_file;
};
struct oci_create {
	const char *root, *id;
	bool no_pivot, no_new_keyring;
	bool start; /* the caller will start it; nobody else can */
	struct oci_process process;
};
/* From the bundle that is the working directory. On failure nothing is left. */
int oci_create(const struct oci_create *args, struct oci_container **ret, struct err *err);
/* -EINVAL when it is not in the state "created". */
int oci_start(struct oci_container *c, struct err *err);

/* `process` replaces the bundle's in what is to be run beside it. *ret_pid, a child; its pidfd, the
 * caller's, is returned. */
struct oci_exec {
	const struct bundle_process *process;
	char **cgroups; /* run_exec */
	struct oci_process how;
};
int oci_exec(struct oci_container *c, const struct oci_exec *args, pid_t *ret_pid, struct err *err);
/* What -e, -u and so on say, applied to the bundle's process. `[<controller>:]<cgroup>` arguments as
 * alternating controller and path. */
int oci_parse_cgroups(char *const *args, char ***ret, struct err *err);

int oci_kill(struct oci_container *c, int signo, bool all, struct err *err);
int oci_pause(struct oci_container *c, bool pause, struct err *err);
/* Takes it down, whatever it does, and forgets it. */
int oci_destroy(struct oci_container *c, struct err *err);
/* `delete`: -EBUSY when it runs and force is false. force also forgives what is not there. */
int oci_delete(const char *root, const char *id, bool force, struct err *err);

/* What criu(8) is to do; paths are absolute. */
struct oci_checkpoint {
	const char *criu, *image_path, *work_path, *parent_path, *page_server, *cgroups_mode;
	char **empty_ns;
	bool leave_running, pre_dump, tcp_established, ext_unix_sk, shell_job, file_locks,
		auto_dedup;
};
/* -ENOTSUP, with the reason, where criu does not work. The container is gone afterwards unless it is left
 * running. */
int oci_checkpoint(struct oci_container *c, const struct oci_checkpoint *args, struct err *err);
/* As oci_create(), but running already. */
int oci_restore(const struct oci_create *args, const struct oci_checkpoint *how,
	struct oci_container **ret, struct err *err);

/* runtime-spec features.md. The caller owns it. */
json_t *oci_features(void);
/* A configuration to start from, as `runc spec` writes one. The caller owns it. */
json_t *oci_spec(bool rootless);
