#pragma once
/* Files of an instance: cp, diff, export. Paths inside are resolved inside its root (openat2). */
#include "instance/instance.h"

/* `cp`, with Docker's rules for names and links (follow_link). archive keeps owners; else files belong
 * to the caller outside (and lose set-id bits), to root inside. */
int files_copy_out(struct db *db, struct instance *i, const char *path, bool follow_link,
	const char *host_path, bool archive, struct err *err);
int files_copy_in(struct db *db, struct instance *i, const char *host_path, const char *path,
	bool archive, bool follow_link, struct err *err);
/* The same as a tar stream ("-"): of path, or of a directory's contents when it ends in "/."; into an
 * existing directory, owners as the archive says. */
int files_copy_out_tar(
	struct db *db, struct instance *i, const char *path, int fd, struct err *err);
int files_copy_in_tar(struct db *db, struct instance *i, int fd, const char *path, struct err *err);

struct files_change {
	char *kind; /* "A" "C" "D" */
	char *path;
};
extern const struct record_field files_change_fields[]; /* Docker's API: Kind, Path */
/* Against the image, from the overlay's upper directory, sorted. */
int files_diff(struct db *db, struct instance *i, struct record_list *ret /* struct files_change */,
	struct err *err);
/* The whole tree of a container or an image, read-only and without volumes, to be compared (image/compare.h):
 * the caller's descriptor; -1 for an image without any file. */
int files_tree(struct db *db, const char *name, int *ret_fd, struct err *err);
int files_export(struct db *db, struct instance *i, int fd, struct err *err);
/* What the instance has changed as a layer upon its image's. A running one should be frozen meanwhile. */
struct image_maker;
struct made_layer;
int files_layer(struct db *db, struct instance *i, struct image_maker *maker,
	struct made_layer *ret, struct err *err);
