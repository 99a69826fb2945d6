#pragma once
/* Where packages of a Debian or Ubuntu suite come from. */
#include "base/err.h"

struct suite {
	const char *distribution; /* "debian", "ubuntu", or NULL when the suite is not known here */
	char name[64];            /* "bookworm" */
};

/* From an image's name and tag ("debian", "12"); -EINVAL says to give --suite. */
int suite_of_tag(const char *image, const char *tag, struct suite *ret, struct err *err);
/* From a name given by a person: known ones get their distribution. -EINVAL for what is no word. */
int suite_of_name(const char *name, struct suite *ret, struct err *err);

/*
 * Lines "deb [options] URL suite components" for sources.list: from what this host's apt uses for
 * the suite or its distribution, else from the distribution's own servers. Never empty for a known
 * distribution; -EINVAL otherwise, saying to give --mirror. The caller frees.
 */
int suite_sources(
	const struct suite *suite, const char *architecture, char ***ret, struct err *err);
/* The same from apt's directory `etc_apt`, for tests. */
int suite_sources_from(const char *etc_apt, const struct suite *suite, const char *architecture,
	char ***ret, struct err *err);
