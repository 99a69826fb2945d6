#pragma once
/*
 * What a build's steps made, by a key of all that went into them; and digests of files, by what the kernel says of
 * them, so that only those that changed are read again. Entries keep their layers in the store until they go.
 */
#include "image/commit.h"

/* ns since an entry was used last. */
#define LAYER_CACHE_KEEP (30 * 24 * 3600 * INT64_C(1000000000))

struct layer_cached {
	struct made_layer layer; /* without diff id: the step made none */
	int64_t created;
	char same_as[DIGEST_LEN + 1]; /* the key is another way to this one; or "" */
};

/* Part of image_init(). */
int layer_cache_init(struct db *db, struct err *err);
/* 1, or 0 when there is none, or when what it made is gone. It is in use now. */
int layer_cache_find(struct db *db, const char *key, struct layer_cached *ret, struct err *err);
/* After the layer was kept. */
int layer_cache_add(
	struct db *db, const char *key, const struct layer_cached *what, struct err *err);
/* Removes entries that were last used before `before` (ns), and the digests of files. */
int layer_cache_forget(struct db *db, int64_t before, uint64_t *ret_entries, struct err *err);

/* Space that only the cache keeps, and its entries. */
struct layer_cache_usage {
	uint64_t entries, bytes, reclaimable;
};
int layer_cache_usage(struct db *db, struct layer_cache_usage *ret, struct err *err);

struct stat;
/* Of a file whose contents cannot have changed since. 1 or 0. */
int file_digest_find(
	struct db *db, const struct stat *st, char digest[DIGEST_LEN + 1], struct err *err);
int file_digest_add(struct db *db, const struct stat *st, const char *digest, struct err *err);
