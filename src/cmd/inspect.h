#pragma once
/* What inspect shows of each noun, as Docker's objects. The caller owns the result; NULL with an error,
 * ENOENT when there is none of the name. */
#include "base/db.h"
#include "base/json.h"

typedef json_t *inspect_fn(struct db *db, const char *name, struct err *err);

inspect_fn inspect_container, inspect_image, inspect_network, inspect_volume;
