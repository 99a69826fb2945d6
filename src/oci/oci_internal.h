#pragma once
/* Shared by the files of oci/ only. */
#include "base/buf.h"
#include "oci/oci.h"

#define OCI_CONFIG "config.json"
#define OCI_STATE "state.json"

extern const struct record_field oci_container_fields[];

/* runc's rule; it becomes a directory's name. */
int oci_id_check(const char *id, struct err *err);
/* Checks all that can be wrong, reads the bundle that is the working directory, and makes the container's
 * directory. `config`: its text. */
int oci_prepare(const struct oci_create *args, struct oci_container **ret, struct buf *config,
	struct err *err);
int oci_save(const struct oci_container *c, const struct buf *config, struct err *err);
/* Before anything else: the descriptors to be kept must be there and be the caller's. */
int oci_check_fds(int n, struct err *err);
/* `terminal` and who shall have it go together. */
int oci_check_console(const struct oci_process *how, bool terminal, struct err *err);
/* What is left to do once the process is there. */
int oci_hand_over(const struct oci_process *how, int console, pid_t pid, struct err *err);
/* Errors of programs that cannot be executed in runc's words, from which callers make exit codes. */
int oci_exec_error(const struct oci_container *c, struct err *err);
