#pragma once
/*
 * What COPY and ADD take: files of a tree (the context, a stage, an image) by patterns, the digest of all that is
 * copied of them, and the copying into an image's root. No link leads out of either tree.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "base/db.h"
#include "base/hash.h"
#include "build/ignore.h"

struct file_entry {
	char *from; /* in the source's root; "" is the root itself */
	char *to;   /* below the destination; "" is the destination itself */
	struct stat st;
	bool top; /* it was named itself: a directory is merged into what is there */
};

struct file_set {
	int root; /* borrowed */
	struct file_entry *items;
	size_t n;
	bool below; /* the destination must be a directory: several sources, or a directory */
};

struct file_options {
	const struct ignore *ignore;  /* of the context; or NULL */
	const struct ignore *exclude; /* --exclude; or NULL */
	bool parents;                 /* --parents */
};

/* Opens what an entry is, a link only where it was named itself. */
int files_open(const struct file_set *set, const struct file_entry *e, int flags);
/* Adds what a pattern names. -ENOENT when that is nothing. */
int files_add(
	struct file_set *set, const char *pattern, const struct file_options *how, struct err *err);
void files_clear(struct file_set *set);
DEFINE_CLEANUP_OBJECT(files_clear, struct file_set);

/* Digests of contents are kept in the database, for files that do not change; mutex: of the connection. */
struct digest_store {
	struct db *db;
	pthread_mutex_t *mutex;
};
/* Adds all that a copy would bring: places, types, modes, owners (with `owner`), contents, attributes; no times. */
int files_digest(const struct file_set *set, bool owner, const struct digest_store *store,
	struct hash *h, struct err *err);

struct file_copy {
	bool keep_owner;
	uid_t uid, gid; /* else */
	bool set_mode;
	mode_t mode; /* of files and directories */
};
/* destination: an absolute path in root, or with "/" at its end a directory. */
int files_copy(const struct file_set *set, int root, const char *destination,
	const struct file_copy *how, struct err *err);
/* Makes a directory and its parents in a root, without following a link out of it. Its descriptor. *ret_made (may be
 * NULL): whether anything was made. */
int files_make_dir(
	int root, const char *path, uid_t uid, gid_t gid, bool *ret_made, struct err *err);
