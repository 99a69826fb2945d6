#pragma once
/*
 * Image references: [domain/]path[:tag][@digest], the grammar of the distribution project, with
 * Docker's short names: "debian" is docker.io/library/debian:latest.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"

struct reference {
	char domain[256]; /* "docker.io", "localhost:5000" */
	char path[256];   /* "library/debian" */
	char tag[129]; /* "latest" when neither tag nor digest was given; "" with only a digest */
	char digest[DIGEST_LEN + 1]; /* or "" */
};

int reference_parse(const char *text, struct reference *ret, struct err *err);
/* "docker.io/library/debian:12"; the caller frees. */
char *reference_text(const struct reference *ref);
/* As people write it: "debian:12". The caller frees. */
char *reference_familiar(const struct reference *ref);
