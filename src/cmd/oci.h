#pragma once
/*
 * What the verbs of `holm oci` share. They are called as runc is, also by the name of a link to the program
 * ("holm-oci", "runc"): `PROGRAM [GLOBAL OPTIONS] VERB [OPTIONS] ARGUMENTS`; errors go to --log as
 * well, usage is exit status 1, a failed exec 255.
 */
#include "base/strv.h"
#include "cmd/cmd.h"
#include "oci/oci.h"

struct oci_options {
	bool debug, systemd_cgroup, version;
	const char *log, *log_format, *root, *rootless, *criu;
};

/* Whether a program of that name is to be called as runc is. */
bool oci_is_name(const char *argv0);
/* The exit status; argv[0] is how the program is shown: "holm oci" or its name. */
int oci_main(const char *shown, char **argv);

/* The global options, with their defaults. */
const struct oci_options *oci_options(void);
/* How the program was called. */
const char *oci_program(void);
/* The container of that id, or NULL. */
struct oci_container *oci_find(const char *id, struct err *err);
/* Says the error where callers look for it, and returns status. */
int oci_fail(const struct err *err, int status);
/* Help in runc's form; cmd NULL: of the program. */
void oci_help(const struct cmd *cmd);

/* Opens --console-socket; -1 for none, -errno. */
int oci_console_connect(const char *path, struct err *err);
/* The first process until it ends, with its terminal (-1: none): the exit status. The caller has blocked
 * all signals before the process was made. */
int oci_follow(pid_t pid, int pidfd, int console);
