#pragma once
/*
 * Images in the store. Metadata in the database, blobs by digest in ROOT/blobs/sha256/HEX, layers
 * unpacked in ROOT/layers/HEX (HEX: diff id) in overlay's form.
 *
 * Every function takes the store's database and works on paths_root(). One thread a connection.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/hash.h"
#include "image/config.h"

struct image {
	char id[DIGEST_LEN + 1];       /* of the config: Docker's image id */
	char manifest[DIGEST_LEN + 1]; /* of the manifest */
	struct image_config config;
	char **diff_ids;   /* bottom first */
	char **layer_dirs; /* bottom first, absolute: what overlay stacks */
	char **names;      /* normalized references that point here */
	int64_t size;      /* bytes of all layers, unpacked */
	int64_t created;   /* ns */
};

/* Makes the tables. Called once per process by cmd_db(). */
int image_init(struct db *db, struct err *err);

/* By reference ("debian:12", with or without docker.io/library/), digest, or unique id prefix.
 * -ENOENT names what is close and how to get it. The caller frees. */
int image_find(struct db *db, const char *name, struct image **ret, struct err *err);
void image_free(struct image *image);
DEFINE_CLEANUP(image_free, struct image *);

struct image_list {
	struct image **items; /* newest first */
	size_t n;
};
int image_list(struct db *db, struct image_list *ret, struct err *err);
void image_list_free(struct image_list *list);
DEFINE_CLEANUP_OBJECT(image_list_free, struct image_list);

int image_tag(struct db *db, const char *image_name, const char *new_name, struct err *err);

/* While held by an owner (an instance's id) an image's layers stay. Idempotent. */
int image_hold(struct db *db, const char *image_id, const char *owner, struct err *err);
int image_release(struct db *db, const char *owner, struct err *err);
/* The owners that hold the image; the caller frees with strv_free(). */
int image_holders(struct db *db, const char *image_id, char ***ret, struct err *err);

/*
 * rmi: untags; removes the image with its last name. -EBUSY when held (and says by whom) unless only
 * a name goes away; `force` as Docker's. *report gets Docker's lines "Untagged: x", "Deleted: sha256:y".
 */
int image_remove(struct db *db, const char *name, bool force, char ***report, struct err *err);
/* Removes unnamed images (all: every image not held) that `want` (NULL: all) says yes to and no tag can be reverted
 * to, then blobs and layers nothing refers to. */
typedef bool image_want_fn(void *data, const struct image *image);
int image_prune_matching(struct db *db, bool all, image_want_fn *want, void *data, char ***report,
	uint64_t *ret_freed, struct err *err);

/* Unnamed images that no tag's log has reached for keep_log ns, and what nothing refers to. */
int image_gc(struct db *db, int64_t keep_log, char ***report, uint64_t *ret_freed, struct err *err);

/* Archives. `progress` may be NULL; it is told bytes done. */
typedef void image_progress_fn(void *data, const char *what, uint64_t done);
/* docker save / OCI layout, plain or gzip/zstd. *report: "Loaded image: name". */
int image_load(
	struct db *db, int fd, char ***report, image_progress_fn *fn, void *data, struct err *err);
/* Docker's archive that is also an OCI layout, as dockerd writes since 25. */
int image_save(struct db *db, char *const *names, int fd, struct err *err);
/* A root filesystem's tar, plain or gzip/zstd, as a one-layer image. */
struct image_import {
	const char *name;     /* NULL: none */
	char *const *changes; /* Dockerfile instructions (CMD, ENV, ...), in order */
	const char *message;  /* of the history; NULL: "Imported from -" */
	const char *platform; /* "linux/arm64"; NULL: this host's */
	const char *why;      /* for the tag's log; NULL: "imported" */
};
int image_import(struct db *db, int fd, const struct image_import *what, image_progress_fn *fn,
	void *data, char id[DIGEST_LEN + 1], struct err *err);
/* A tar of a directory tree that overlay shows (an instance's root), to fd; base: shift.h. */
int image_export_tree(int rootfd, uint32_t base, int fd, struct err *err);

struct image_bootstrap {
	const char *name;  /* "debian:12" */
	const char *suite; /* NULL: from the name's tag ("12" is bookworm) */
	char *const *
		mirrors; /* URLs or "deb ..." lines; NULL: what this host's apt uses, else the distribution's */
	char *const *packages;    /* more packages, each may be a list with commas */
	const char *variant;      /* mmdebstrap's; NULL: minbase */
	const char *architecture; /* Debian's name; NULL: this host's */
	const char *keyring;      /* file or directory of keys; NULL: apt's */
};
/* Runs mmdebstrap in the store's tmp directory and imports what it makes. `fn` is told the log's
 * last line with bytes 0, then the import's progress. */
int image_bootstrap(struct db *db, const struct image_bootstrap *what, image_progress_fn *fn,
	void *data, char id[DIGEST_LEN + 1], struct err *err);

/* Removes what no image and no build's cache refers to; fewer when others are adding content just now. */
int image_collect(struct db *db, uint64_t *ret_freed, struct err *err);

/* Space, for `system df`. */
struct image_usage {
	uint64_t images, active; /* counts */
	uint64_t bytes, reclaimable;
};
int image_usage(struct db *db, struct image_usage *ret, struct err *err);
