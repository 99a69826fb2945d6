#pragma once
/* image_import() for those who make the tar themselves. Only src/image includes this. */
#include "image/image.h"
#include "image/store.h"

/*
 * Within a session. When the tar has been read to its end and before anything gets a name,
 * `finished` (may be NULL) says by 0 whether its maker finished well; its error is returned.
 */
int import_stream(struct db *db, const struct store_session *session, int fd,
	const struct image_import *what, image_progress_fn *fn, void *data,
	int (*finished)(void *data, struct err *err), void *finished_data, char id[DIGEST_LEN + 1],
	struct err *err);
