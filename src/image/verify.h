#pragma once
/* The store's contents against their digests. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/db.h"
#include "image/image.h"

struct image_verify {
	char *const *names; /* NULL: every image */
	bool repair;
	/* Whether something runs that uses this image: its layers are not replaced under it. */
	bool (*in_use)(void *data, const char *image_id);
	/* Gets `reference` ("docker.io/library/debian@sha256:...") into the store again, or NULL. */
	int (*fetch)(void *data, const char *reference, struct err *err);
	/* One line of what was found or mended. */
	void (*say)(void *data, const char *line);
	image_progress_fn *progress; /* or NULL */
	void *data;
};

struct image_verified {
	uint64_t images, layers; /* looked at */
	uint64_t damaged;        /* findings */
	uint64_t mended;         /* of these */
};

/*
 * Configurations and manifests are hashed; every blob is hashed and unpacked once more, and the files of its
 * layer are compared with what comes out. Takes as much time as unpacking the images, and the space of the
 * largest layer. Damage is no error: ret counts it.
 */
int image_verify(
	struct db *db, const struct image_verify *how, struct image_verified *ret, struct err *err);
