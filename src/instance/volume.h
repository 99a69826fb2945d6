#pragma once
/* Named volumes: ROOT/volumes/NAME/_data and a row. */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/record.h"

struct volume {
	char *name, *driver; /* "local" */
	char **labels,
		**options; /* maps; options type, device, o as mount(8): mounted where used */
	int64_t created;
	char *mountpoint; /* absolute, of _data */
	bool anonymous;
};
extern const struct record_field volume_fields[];

int volume_init(struct db *db, struct err *err);
/* Name empty: made (64 hex digits, anonymous). An existing one with the same driver and options is
 * fine, as in Docker. Fills in the rest. */
int volume_create(struct db *db, struct volume *v, struct err *err);
int volume_find(struct db *db, const char *name, struct volume **ret, struct err *err);
void volume_free(struct volume *v);
DEFINE_CLEANUP(volume_free, struct volume *);
int volume_list(struct db *db, struct record_list *ret, struct err *err);
/* -EBUSY while an instance uses it, and says which. force: a missing one is fine. */
int volume_remove(struct db *db, const char *name, bool force, struct err *err);
/* Removes directories that no row knows: what a crash left. For prune. */
int volume_sweep(struct db *db, struct err *err);
/* Instances' use, kept by instance_create and instance_remove. */
int volume_hold(struct db *db, const char *name, const char *instance, struct err *err);
int volume_release(struct db *db, const char *instance, struct err *err);
int volume_users(struct db *db, const char *name, char ***ret, struct err *err);
/* An empty volume mounted over a directory of the image is filled from it, ownership kept. */
int volume_fill(const struct volume *v, int rootfd, const char *path, struct err *err);
