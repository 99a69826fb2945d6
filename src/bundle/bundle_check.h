#pragma once
/*
 * What a bundle's record tables cannot say: values that the runtime-spec's config.md and
 * config-linux.md forbid, and those that could not be used safely (a resource name with a slash in
 * it is a path elsewhere). Errors name the member: "linux.namespaces[3].type: unknown ...". -EINVAL.
 */
#include "bundle/bundle.h"

int bundle_check(const struct bundle *b, struct err *err);
/* `in` is what the place in errors starts with: "process." or "". */
int bundle_check_process(const struct bundle_process *p, const char *in, struct err *err);
int bundle_check_resources(const struct bundle_resources *r, const char *in, struct err *err);
