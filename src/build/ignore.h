#pragma once
/* .dockerignore: patterns of Go's filepath.Match with **, the last that fits decides, "!" takes back. */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct ignore {
	struct ignore_rule {
		char *pattern; /* cleaned: relative, no "." parts */
		bool negated;
	} * rules;
	size_t n;
	bool any_negated; /* then what is in an ignored directory may be wanted */
};

/* Lines of the file; comments and empty ones are passed over. */
void ignore_parse(const char *text, struct ignore *ret);
void ignore_add(struct ignore *ig, const char *pattern);
void ignore_clear(struct ignore *ig);
DEFINE_CLEANUP_OBJECT(ignore_clear, struct ignore);
/* path: relative to the context. A directory's pattern fits all that is in it. */
bool ignore_match(const struct ignore *ig, const char *path);
/* One pattern against a whole path; with `below`, also a path whose parent fits. */
bool pattern_match(const char *pattern, const char *path, bool below);
