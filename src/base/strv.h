#pragma once
/* NULL-terminated arrays of owned strings. A NULL array is an empty one. */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

size_t strv_len(char *const *v);
void strv_add(char ***v, const char *s);
void strv_addf(char ***v, const char *fmt, ...) printf_like(2, 3);
void strv_add_all(char ***v, char *const *more);
bool strv_contains(char *const *v, const char *s);
char **strv_copy(char *const *v);
/* Splits at each separator; empty parts are kept. "" gives one empty part. */
char **strv_split(const char *s, char sep);
char *strv_join(char *const *v, const char *sep);
void strv_free(char **v);
DEFINE_CLEANUP(strv_free, char **);

/* In a list of NAME=VALUE: the value of name, or NULL; and setting it, replacing in place, or, by an
 * "assignment" that is a name alone, removing it. */
const char *strv_env_get(char *const *v, const char *name);
void strv_env_set(char ***v, const char *assignment);

#define strv_foreach(s, v) for (char *const *s = (v); s && *s; s++)
