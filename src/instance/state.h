#pragma once
/*
 * Inside instance/: an instance's directories, files and locks. Who holds RUN/instances/ID/lock may
 * change what is there: the supervisor while it lives, else whoever starts, removes, reconciles, or changes
 * the configuration of what is at rest. Of what runs it is changed under the lock of ROOT/instances/ID.
 */
#include "instance/instance.h"

/* From the files, as they are. -ENOENT when there is no such directory; -EUCLEAN for damaged ones. */
int instance_load(const char *id, struct instance **ret, struct err *err);
/* A new one, nothing on disk yet; takes over the config. */
struct instance *instance_new(struct instance_config *config);
int instance_save_config(const struct instance *i, struct err *err);
int instance_save_state(const struct instance *i, struct err *err);
/* Reads state.json again, after the supervisor wrote it. */
int instance_reload_state(struct instance *i, struct err *err);

/* Makes the run directory. The descriptor holds the lock; -EWOULDBLOCK when held and not waiting. */
int instance_lock(const struct instance *i, bool wait, struct err *err);
/* For who creates and then starts: the lock stays with this process until instance_lock() of the same
 * instance hands it on. Found free later, its owner died in between. */
void instance_lock_keep(const struct instance *i, int lock_fd);
bool instance_lock_kept(const struct instance *i);
/* -ENOENT: what was found is gone by now. */
int instance_just_removed(const struct instance *i, struct err *err);

/* Removes the run directory with the lock in it; the lock must be held. */
void instance_unlock_remove(const struct instance *i, int lock_fd);

/*
 * The lock of the instance's configuration, as a descriptor: of who changes it, makes a run of it or removes it.
 * Whoever takes both takes the instance's first. While it is held a supervisor may be asked, for a supervisor
 * that needs it itself hangs up on those whose answers are owed. -ENOENT: there is no such directory any more.
 */
int instance_lock_dir(const struct instance *i, struct err *err);
/* The same, and what i is then, from its files. */
int instance_lock_config(struct instance *i, struct err *err);

/*
 * For instances whose owner died: with the lock free and a run directory there, takes down what is
 * left and records the end. i is gone (-ENOENT) when it was to be removed with its process. 0 when
 * there was nothing to do.
 */
int instance_reconcile(struct db *db, struct instance *i, struct err *err);
/* The same with the lock already held. */
int instance_reconcile_locked(struct db *db, struct instance *i, struct err *err);
/* By who has just taken the lock to work on it: its state now, reconciled when an owner had died. */
int instance_take_over(struct db *db, struct instance *i, struct err *err);

/* Rows, files, holds; the lock must be held, that of the configuration must not. */
int instance_delete(struct db *db, struct instance *i, bool volumes, struct err *err);
/* What has no row: left by a killed create or rm, unless somebody is at work on it just now. */
void instance_sweep(struct db *db, const char *id);

/* An event of this instance with Docker's attributes (image, name, labels), and one more pair or NULL. */
void instance_event(
	const struct instance *i, const char *action, const char *key, const char *value);

/* A place on a network, whose bridge is there afterwards. Fills in ret also when only that failed. */
int instance_reserve(struct db *db, const struct instance *i, const struct instance_network *net,
	const char *link, bool is_default, struct bundle_endpoint *ret, struct err *err);
/* "connect" or "disconnect" of a network, by its id. */
void instance_network_event(const struct instance *i, const char *action, const char *network);

/* The program's entry as a supervisor: `holm supervise ID STREAMS`, with the lock, the starter's socket
 * and perhaps a stream as descriptors 3, 4, 5. On the socket comes a byte when the bundle is there, and the report
 * goes back. The exit status. */
int supervisor_main(const char *id, const char *streams, struct db *(*open_db)(struct err *err));
#define SUPERVISOR_LOCK_FD 3
#define SUPERVISOR_REPORT_FD 4
#define SUPERVISOR_STREAM_FD 5
