#pragma once
/* Layers on their way into the store. Only src/image includes this. */
#include "image/layer.h"
#include "image/rows.h"
#include "image/store.h"

/*
 * One layer being taken in: unpacked below the session's tmp, its blob beside it, until
 * content_keep() gives both their names. Several may be worked on by several threads.
 */
struct content {
	const struct store_session *session;
	char dir[24]; /* tmp/NAME/dir */
	struct blob_writer blob;
	struct image_layer layer;
};
#define CONTENT_NONE \
	{ \
		.blob = BLOB_WRITER_NONE \
	}

/* From a stream to its end, compressed or not. options may be NULL. */
int content_take_stream(const struct store_session *s, int fd, const struct layer_options *options,
	struct content *ret, struct err *err);
/* From tmp/`name`, a file of the session: one that is compressed becomes the blob itself. */
int content_take_file(const struct store_session *s, const char *name,
	const struct layer_options *options, struct content *ret, struct err *err);
/* Only the files, below the session's tmp: for a layer whose blob there is. */
int content_take_tree(const struct store_session *s, int fd, const struct layer_options *options,
	struct content *ret, struct layer_result *result, struct err *err);
/* A layer that the store has, whole, with this blob (NULL: any). 1, or 0 when it has not. */
int content_find(struct db *db, const char *diff_id, const char *blob, struct image_layer *ret,
	struct err *err);
/* After store_sync(). */
int content_keep(struct content *c, struct err *err);
void content_clear(struct content *c);
DEFINE_CLEANUP_OBJECT(content_clear, struct content);
