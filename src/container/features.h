#pragma once
/* What bundles may ask of this engine, as runtime-spec features.md has it. */
#include "base/json.h"

/* "mountOptions", "linux" and "annotations" of the document; the caller owns it. */
json_t *container_features(void);
