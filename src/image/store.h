#pragma once
/*
 * The store's directories and who may touch them when. Only src/image includes this.
 *
 *	ROOT/store.lock		flock: shared by whoever adds content or keeps temporary files,
 *				exclusive for whoever collects what nothing refers to
 *	ROOT/tmp/NAME/		one session's temporary files, removed with it; what a killed process
 *				left is removed by the next that gets the lock alone
 *	ROOT/partial/HEX	what came of a layer whose pull broke off: for a day, or until one
 *				collects with `wait`
 *	ROOT/blobs/sha256/HEX	compressed layers, as they came (or zstd when they came plain)
 *	ROOT/layers/HEX/	unpacked layers, HEX: diff id
 *
 * Content is complete, checked and synced before it gets its name; rows come after it, in one
 * transaction; when something goes, the rows go first. Whatever is killed in between leaves content
 * that nothing refers to, which the next collection removes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/hash.h"

struct store_session {
	int root; /* ROOT */
	int lock; /* ROOT/store.lock, held shared; children that write below tmp inherit a copy */
	int tmp;  /* ROOT/tmp/NAME */
	char name[17];
};
#define STORE_SESSION_NONE \
	{ \
		.root = -1, .lock = -1, .tmp = -1 \
	}

int store_begin(struct store_session *ret, struct err *err);
void store_end(struct store_session *s);
DEFINE_CLEANUP_OBJECT(store_end, struct store_session);
/* "ROOT/tmp/NAME"; the caller frees. */
char *store_tmp_path(const struct store_session *s);
/* Writes back everything that the session made, before it gets a name. */
int store_sync(const struct store_session *s, struct err *err);

/* Whether an unpacked layer, a blob is there. */
bool store_has_layer(const char *diff_id);
bool store_has_blob(const char *digest);
/* The absolute path; the caller frees. */
char *store_layer_path(const char *diff_id);
int store_open_blob(const char *digest, struct err *err);
/* Gives tmp/`name`, a directory, its place as an unpacked layer. One that is already there stays:
 * same name, same content. */
int store_keep_layer(
	const struct store_session *s, const char *name, const char *diff_id, struct err *err);

/* The same, but it takes the place of one that is there, which becomes tmp/`name`. */
int store_replace_layer(
	const struct store_session *s, const char *name, const char *diff_id, struct err *err);

/*
 * Removes blobs and layers that no row refers to. With `wait` waits a few seconds for those who add
 * content; otherwise, and when they do not end, leaves it for the next time and says so by 1.
 */
int store_collect(struct db *db, bool wait, uint64_t *ret_freed, struct err *err);

/* A blob being written: bytes to a temporary file, hashed on the way. */
struct blob_writer {
	const struct store_session *session;
	int fd;
	uint64_t size;
	struct hash hash;
	char name[17];
};
#define BLOB_WRITER_NONE \
	{ \
		.fd = -1 \
	}

int blob_create(const struct store_session *s, struct blob_writer *ret, struct err *err);
int blob_write(struct blob_writer *w, const void *data, size_t len, struct err *err);
/* Everything is written and synced: the digest by which blob_keep() will name it. */
int blob_finish(struct blob_writer *w, char digest[DIGEST_LEN + 1], struct err *err);
int blob_keep(struct blob_writer *w, const char *digest, struct err *err);
void blob_abort(struct blob_writer *w);
DEFINE_CLEANUP_OBJECT(blob_abort, struct blob_writer);
