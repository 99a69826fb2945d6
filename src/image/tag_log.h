#pragma once
/*
 * What each tag has pointed to, since when, and why: written by whatever moves a name, read by `log`, undone by
 * `revert`. An image that a log reaches stays in the store until that entry expires; a tag that is removed
 * takes its log with it, as a branch does in git.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/hash.h"

#define TAG_LOG_KEEP (14 * 24 * 3600 * INT64_C(1000000000)) /* ns after a tag has left an image */
#define TAG_LOG_ENTRIES 1000                                /* of one tag; the oldest go first */

struct tag_state {
	char name[512];             /* stored form */
	char image[DIGEST_LEN + 1]; /* its id */
	int64_t since, until;       /* ns; until 0: it still points there */
	int64_t n;                  /* 0: now, 1: before that, ... */
	char *why;
};

struct tag_log {
	struct tag_state *items; /* newest first */
	size_t n;
};
/* name: a reference, or NULL for all tags. -ENOENT when there is no such tag. */
int tag_log_read(struct db *db, const char *name, struct tag_log *ret, struct err *err);
void tag_log_clear(struct tag_log *log);
DEFINE_CLEANUP_OBJECT(tag_log_clear, struct tag_log);

/* Points a tag at an earlier state's image again: "2" counts as in tag_state.n, "5d2b0d3a" is an image's id;
 * NULL: "1". *ret (may be NULL): the state that was chosen, without its `why`. */
int tag_log_revert(
	struct db *db, const char *name, const char *state, struct tag_state *ret, struct err *err);

/* How many images are there only because a log reaches them. */
int tag_log_kept(struct db *db, uint64_t *ret, struct err *err);

/* Inside src/image, in the caller's transaction. */
int tag_log_init(struct db *db, struct err *err);
int tag_log_add(
	struct db *db, const char *name, const char *image_id, const char *why, struct err *err);
int tag_log_forget(struct db *db, const char *name, struct err *err);
/* Entries go that ended `keep` ns ago or earlier. */
int tag_log_expire(struct db *db, int64_t keep, struct err *err);
/* 1, and by which tag, when an entry that is in the past reaches the image; 0 when none does. */
int tag_log_reaches(struct db *db, const char *image_id, char **ret_name, struct err *err);
