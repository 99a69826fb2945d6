#pragma once
/* An image archive spooled to the session's tmp: its members by name. Only src/image includes this. */
#include "base/json.h"
#include "image/image.h"
#include "image/store.h"

struct archive_member {
	char *name;    /* cleaned: relative, no "." and ".." */
	char *link;    /* of a link: the name of what it stands for, or NULL */
	char file[17]; /* in the session's tmp; "" for links */
	int64_t size;
};

struct archive {
	const struct store_session *session;
	struct archive_member *members; /* by name, each once */
	size_t n;
};

/* Reads all of fd: a tar, plain or gzip/zstd. */
int archive_read(const struct store_session *s, int fd, image_progress_fn *fn, void *data,
	struct archive *ret, struct err *err);
void archive_clear(struct archive *a);
DEFINE_CLEANUP_OBJECT(archive_clear, struct archive);

/* A file by the name as it stands in some JSON of the archive, links followed; NULL when absent. */
const struct archive_member *archive_find(const struct archive *a, const char *name);
/* blobs/sha256/HEX */
const struct archive_member *archive_blob(const struct archive *a, const char *digest);
/* A small member's bytes; -EFBIG beyond JSON_MAX_BYTES. */
int archive_text(
	const struct archive *a, const struct archive_member *m, struct buf *out, struct err *err);
/* A blob's bytes, checked against its digest. */
int archive_blob_text(
	const struct archive *a, const char *digest, struct buf *out, struct err *err);
/* A member as JSON, or NULL. */
json_t *archive_json(const struct archive *a, const char *name, struct err *err);
