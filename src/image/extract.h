#pragma once
/* Entries of an archive made into files: what layers and copies into containers share. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "image/tar_reader.h"

#define OPAQUE_XATTR "trusted.overlay.opaque"

struct extractor {
	int root; /* borrowed */
	struct tar_reader *reader;
	const struct tar_extract_options *options;
	bool layer;        /* OCI whiteouts become overlay's */
	bool unprivileged; /* no devices; overlay's attributes are user.* */
	bool one_owner;    /* all is left to whom it is made by */
	bool own_process;  /* nobody else changes our directory, or these files */
	void (*progress)(struct extractor *x); /* now and then; or NULL */
	/* Makes a directory opaque where that takes more rights than we have; or NULL. 0 or -errno. */
	int (*opaque)(struct extractor *x, int fd);
	void *data; /* of these */

	/* Inside. Files of one directory follow each other: its descriptor is kept. */
	int parent; /* O_PATH, or -1 */
	bool parent_stale, parent_setgid;
	char parent_path[PATH_MAX];
	mode_t umask;
	uid_t uid; /* who owns what we make */
	gid_t gid;
	struct buf dirs; /* struct later + path: what is set when no more files come */
	int64_t size;    /* of file contents, so far */
	bool lost_capabilities;
};

void extractor_init(struct extractor *x, int root, struct tar_reader *reader,
	const struct tar_extract_options *options);
void extractor_done(struct extractor *x);
DEFINE_CLEANUP_OBJECT(extractor_done, struct extractor);
/* Every entry that is left, then the directories' times. */
int extract_all(struct extractor *x, struct err *err);

/* The inside of layer_unpack(). sock < 0: by this process; else by one of its own, which tells there what it
 * does (unpacker.h). The directory has its mode. */
int layer_unpack_into(int root, struct stream *stream, int sock,
	const struct layer_options *options, struct layer_result *ret, struct err *err);

/* place.c: directories, and room for entries. Paths are clean. */

/* x->parent becomes the directory of path, made where missing; *ret_name points into path. */
int place_parent(struct extractor *x, const char *path, const char **ret_name, struct err *err);
/* Removes what stands at name in x->parent so that `e` can be made there. */
int place_clear(struct extractor *x, const struct tar_entry *e, const char *name, struct err *err);
/* A directory in x->parent, new or there already; returns an open descriptor. */
int place_dir(struct extractor *x, const struct tar_entry *e, const char *name, bool *ret_fresh,
	struct err *err);
/* Whiteouts: `name` in x->parent hides what lower layers have; so do all names not in fd. */
int place_whiteout(
	struct extractor *x, const struct tar_entry *e, const char *name, struct err *err);
int place_opaque(struct extractor *x, const struct tar_entry *e, int dirfd, const char *name,
	struct err *err);
/* Mode (unprivileged) and time of a directory are set when it is left alone. */
void place_later(struct extractor *x, const char *path, const struct tar_entry *e);
void place_flush(struct extractor *x);
/* What utimensat(2) takes: access and change at once. */
void place_times(int64_t mtime, struct timespec times[2]);
