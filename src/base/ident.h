#pragma once
/* Identifiers and times. */
#include <stdbool.h>
#include <stdint.h>

#define ID_LEN 64 /* hex digits of an instance, network or volume id */
#define ID_SHORT 12
#define TIME_LEN 31

void id_random(char id[ID_LEN + 1]);
/* [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 128 bytes: Docker's rule for names. */
bool name_valid(const char *name);
/* "clever_lovelace"-like, for instances without a name. 32 bytes are enough. */
void name_random(char *name, unsigned size);

int64_t time_now(void);       /* ns since the epoch */
int64_t time_monotonic(void); /* ns */
/* RFC 3339 with nanoseconds in UTC: 2006-01-02T15:04:05.000000000Z. 0 gives Docker's zero time. */
void time_format(int64_t ns, char text[TIME_LEN]);
/* Of whole seconds >= 0, without a fraction. The length. */
int time_format_seconds(int64_t s, char text[TIME_LEN]);
/* RFC 3339 with any fraction and offset, a date, seconds since the epoch, or a duration before now. */
int time_parse(const char *text, int64_t *ret_ns);
