#pragma once
/* Inside cmd/: an image that a command needs, from its registry, with bars on a terminal unless quiet. */
#include "base/db.h"

int pull_image(struct db *db, const char *name, const char *platform, bool quiet, struct err *err);
