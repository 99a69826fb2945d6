#pragma once
/* jansson, with cleanup and with limits for foreign text. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define JSON_MAX_BYTES (8u << 20)

static inline void json_free(json_t *j)
{
	json_decref(j);
}
DEFINE_CLEANUP(json_free, json_t *);

/* The caller owns the result. `what` names the text in errors: "config.json". Duplicate keys and
 * text beyond JSON_MAX_BYTES are refused; jansson bounds the depth. NULL on failure. */
json_t *json_parse(const char *text, size_t len, const char *what, struct err *err);
json_t *json_read(int dirfd, const char *path, struct err *err);
/* Compact, with a newline at the end; flags of file_write(). */
int json_write(int dirfd, const char *path, json_t *j, unsigned flags, struct err *err);
/* Owned by the caller. `indent` 0 is compact. */
char *json_text(json_t *j, unsigned indent);

/*
 * Integers above INT64_MAX (RLIM_INFINITY and seccomp values in real config.json files), which
 * jansson's json_int_t cannot hold: json_parse() and json_text() turn them into and out of a node of
 * our own, an object whose one member has a name no text uses. Nothing is lost between the two.
 */
json_t *json_u64(uint64_t v);
/* False when j is neither such a node nor a plain integer >= 0. */
bool json_get_u64(const json_t *j, uint64_t *ret);

/*
 * Strings of any bytes, which JSON has not: those that are no UTF-8 go in as U+10F700 plus the byte (and
 * so do those of a genuine such character, so that nothing is lost). For what must come back as it was:
 * arguments, paths. The caller owns the results.
 */
json_t *json_from_bytes(const char *s);
char *json_to_bytes(const char *text);
/* For showing: what is no UTF-8 becomes U+FFFD. NULL is "". */
json_t *json_shown(const char *s);
