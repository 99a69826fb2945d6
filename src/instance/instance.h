#pragma once
/*
 * One running (or stopped) thing, whatever its isolation: life cycle, and looking it up.
 *
 * ROOT/instances/ID/  config.json  state.json  log.json[.N]  hosts hostname resolv.conf  upper/ work/
 * RUN/instances/ID/   bundle.json  ctl (socket)  lock (held by the supervisor)  start (FIFO)
 *
 * The supervisor owns state.json; while it lives (holds `lock`), others ask it through `ctl`. When it
 * is gone without having recorded an end, whoever looks next reconciles: takes down what is left
 * and records exit 137 (instance_find and instance_list do that).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "bundle/run.h"
#include "instance/config.h"

struct instance_health_result {
	int64_t start, end;
	int64_t exit_code;
	char *output;
};

struct instance_state {
	char *status; /* "created" "running" "paused" "restarting" "exited" "dead" */
	int64_t exit_code;
	bool oom_killed;
	char *error;               /* why it could not start, or NULL */
	int64_t started, finished; /* ns */
	int64_t restart_count;
	bool stopped_by_user; /* restart policies leave it alone */
	char *health;         /* NULL, "starting", "healthy", "unhealthy" */
	int64_t health_streak;
	struct record_list health_log; /* struct instance_health_result, the last 5 */
	int64_t supervisor_pid;
	char *boot_id; /* of the boot in which it ran */
	struct run_state run;
	struct record_list endpoints; /* struct bundle_endpoint while running */
	struct record_list ports;     /* struct port as published */
};
extern const struct record_field instance_state_fields[], instance_health_result_fields[];

struct instance {
	struct instance_config config;
	struct instance_state state;
	char *dir, *run_dir; /* absolute */
};

int instance_init(struct db *db, struct err *err);

/* By name, id, or unique id prefix; reconciled. -ENOENT "no such container: x". The caller frees. */
int instance_find(struct db *db, const char *name, struct instance **ret, struct err *err);
void instance_free(struct instance *i);
DEFINE_CLEANUP(instance_free, struct instance *);
struct instance_list {
	struct instance **items; /* newest first */
	size_t n;
};
int instance_list(struct db *db, struct instance_list *ret, struct err *err);
void instance_list_free(struct instance_list *list);
DEFINE_CLEANUP_OBJECT(instance_list_free, struct instance_list);
bool instance_running(const struct instance *i); /* running or paused */
bool instance_active(const struct instance *i);  /* or about to run again */

/*
 * Creates from a config whose `image` is a reference: resolves it against the image (command,
 * environment, volumes, labels, health), checks everything that can be wrong, reserves the name
 * (one is made when empty), holds the image. Fills in config->id. -EEXIST for a name in use.
 */
int instance_create(struct db *db, struct instance_config *config, struct err *err);

/* A connection to an instance's streams: the supervisor's socket; stream.h speaks on it. */
struct instance_start {
	bool attach_stdin, attach_stdout, attach_stderr; /* connect before the process runs */
	uint16_t rows, columns;                          /* of the terminal, or 0 */
	int *ret_stream; /* the caller's, when anything is attached */
};
/* Returns once the process runs. Errors carry -ENOENT/-EACCES for the program (exit 127/126). */
int instance_start(
	struct db *db, struct instance *i, const struct instance_start *how, struct err *err);
/* timeout in s; -1: the instance's own. signal NULL: its own. */
int instance_stop(
	struct db *db, struct instance *i, const char *signal, int64_t timeout, struct err *err);
/* For the host's shutdown: stops it as instance_stop() does, but its restart policy still wants it. */
int instance_shut_down(struct db *db, struct instance *i, struct err *err);
int instance_kill(struct db *db, struct instance *i, int signo, struct err *err);
int instance_restart(
	struct db *db, struct instance *i, const char *signal, int64_t timeout, struct err *err);
int instance_pause(struct db *db, struct instance *i, bool pause, struct err *err);
/* -EBUSY when running without force. volumes: its anonymous ones too. */
int instance_remove(struct db *db, struct instance *i, bool force, bool volumes, struct err *err);
/* For an instance whose files are damaged, so that instance_find() fails with -EUCLEAN: kills what may
 * run of it and removes whatever is there. */
int instance_purge(struct db *db, const char *name, struct err *err);
int instance_rename(struct db *db, struct instance *i, const char *name, struct err *err);
/* Limits and restart policy: what is set in `given` (a config with only those members). */
int instance_update(struct db *db, struct instance *i, const struct instance_limits *limits,
	const struct instance_restart *restart, struct err *err);
/* Until it is in condition "not-running" (default), "next-exit", "removed"; the exit code. */
int instance_wait(struct db *db, struct instance *i, const char *condition, int64_t *ret_code,
	struct err *err);
/* Joins the output of a running instance. */
int instance_attach(
	struct db *db, struct instance *i, bool stdin_too, int *ret_stream, struct err *err);

struct instance_exec {
	char **args, **env;
	const char *user, *working_dir;
	bool tty, privileged, detach;
	uint16_t rows, columns;
	int stdio[3];     /* when not tty */
	int *ret_console; /* when tty */
};
/* In the caller's process tree; returns the pidfd. */
int instance_exec(struct db *db, struct instance *i, const struct instance_exec *what,
	pid_t *ret_pid, struct err *err);
int instance_stats(struct instance *i, struct run_stats *ret, struct err *err);
int instance_pids(struct instance *i, pid_t **ret, struct err *err);
int instance_network_connect(
	struct db *db, struct instance *i, const struct instance_network *net, struct err *err);
int instance_network_disconnect(
	struct db *db, struct instance *i, const char *network, bool force, struct err *err);

/*
 * Its root file system: the running process's own, else an overlay mounted nowhere. Only in the former ids
 * are shifted for a user namespace, by `base` (image/shift.h). While a stopped instance's is open to be
 * written to, nobody can start or remove it.
 */
struct instance_root {
	int fd;
	uint32_t base;
	int lock; /* or -1 */
	const struct instance *of;
};
#define INSTANCE_ROOT_NONE ((struct instance_root){ .fd = -1, .lock = -1 })
#define INSTANCE_ROOT_WRITE 1u
#define INSTANCE_ROOT_MOUNTS 2u /* with its volumes and binds */
int instance_root_open(struct db *db, struct instance *i, unsigned flags, struct instance_root *ret,
	struct err *err);
void instance_root_close(struct instance_root *r);
DEFINE_CLEANUP_OBJECT(instance_root_close, struct instance_root);

/* All records of an instance as Docker's `inspect` shows it; the caller owns it. */
json_t *instance_inspect(struct db *db, struct instance *i);
