#pragma once
/* Inside cmd/: an image that a command needs, from its registry, with bars on a terminal unless quiet. */
#include "base/db.h"

int pull_image(struct db *db, const char *name, const char *platform, bool quiet, struct err *err);
/* The same without bars, as a build asks for an image. data: a platform, or NULL. */
int pull_for_build(void *data, struct db *db, const char *name, struct err *err);
