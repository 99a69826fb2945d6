#pragma once
/* The five capability sets of a process. capabilities(7). */
#include <stddef.h>
#include <stdint.h>

#include "bundle/bundle.h"

struct capability_sets {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

/* Names ("CAP_CHOWN") to bits. Unknown ones, and those this kernel or we ourselves do not have, are warned
 * of and left out (runtime-spec config.md, "Linux Process"). */
void capabilities_parse(const struct bundle_capabilities *c, struct capability_sets *ret);

/* All that are known here, in the kernel's order; NULL after the last. */
const char *capability_name(size_t i);

/* In the child, in this order; 0 or -errno. `extra`: kept permitted and effective for now. */
int capabilities_limit(
	const struct capability_sets *sets); /* the bounding set; before the ids change */
int capabilities_set(const struct capability_sets *sets, uint64_t extra);
int capabilities_raise_ambient(const struct capability_sets *sets);
