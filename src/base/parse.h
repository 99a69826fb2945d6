#pragma once
/* Text to values, strictly: the whole string must match. 0 or -EINVAL, -ERANGE; outputs untouched then. */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

int parse_u64(const char *s, uint64_t max, uint64_t *ret);
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
int parse_double(const char *s, double *ret);
int parse_bool(const char *s, bool *ret);    /* true false 1 0 yes no on off */
int parse_mode(const char *s, int64_t *ret); /* octal, 07777 at most */
/* Bytes: 512, 64k, 1.5m, 2g, 1t, with an optional b or ib; powers of 1024. */
int parse_size(const char *s, int64_t *ret);
/* Nanoseconds: Go's form, 300ms, 1.5s, 2h45m; a bare number only when it is 0. */
int parse_duration(const char *s, int64_t *ret);

/* Appends with every "%41" as the byte that it stands for; a percent sign that stands for none stays. */
void percent_decode(const char *s, size_t len, struct buf *out);

/* The other way, into a static thread-local buffer good until the next 4 calls: "1.5MiB", "3 minutes". */
const char *format_size(uint64_t bytes);
const char *format_size_decimal(uint64_t bytes); /* "1.57MB", as Docker shows what is on disks */
const char *format_duration_rough(int64_t ns);
const char *format_duration(int64_t ns); /* Go's form */

/* Edit distance, for suggestions. */
unsigned str_distance(const char *a, const char *b);

/* "KILL", "SIGKILL", "9", "RTMIN+3": the number, or -EINVAL. */
int signal_parse(const char *name);
/* "SIGKILL" for 9; "SIG34" for what has no name of its own. */
const char *signal_name(int signo);
