#include "base/ident.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/parse.h"

static void random_bytes(void *to, size_t len)
{
	/* Up to 256 bytes are never cut short once the pool is ready (getrandom(2)). */
	if (getrandom(to, len, 0) != (ssize_t)len)
		abort();
}

void id_random(char id[ID_LEN + 1])
{
	uint8_t raw[ID_LEN / 2];

	random_bytes(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(id + 2 * i, 3, "%02x", raw[i]);
}

bool name_valid(const char *name)
{
	size_t n = 0;

	if (!isalnum((unsigned char)name[0]))
		return false;
	for (; name[n]; n++)
		if (!isalnum((unsigned char)name[n]) && !strchr("_.-", name[n]))
			return false;
	return n <= 128;
}

void name_random(char *name, unsigned size)
{
	static const char *const first[] = { "amber", "autumn", "brave", "bright", "calm", "clear",
		"coastal", "crisp", "dapper", "eager", "early", "fair", "fleet", "gentle", "glad",
		"golden", "hardy", "keen", "kind", "lively", "lucid", "mellow", "merry", "mild",
		"nimble", "north", "patient", "plain", "quiet", "rapid", "ready", "robust",
		"serene", "sharp", "silver", "sober", "solid", "spry", "steady", "sunny", "swift",
		"tidy", "trusty", "upbeat", "vivid", "warm", "wise", "witty" };
	static const char *const second[] = { "aspen", "bay", "beacon", "birch", "brook", "cape",
		"cedar", "cove", "delta", "dune", "elm", "fen", "field", "fjord", "ford", "glade",
		"grove", "harbor", "haven", "heath", "hill", "holm", "inlet", "isle", "key",
		"lagoon", "lake", "larch", "ledge", "marsh", "meadow", "mere", "oak", "pine",
		"pond", "reef", "ridge", "river", "rowan", "shoal", "shore", "skerry", "spring",
		"strand", "tarn", "vale", "wharf", "willow" };
	uint16_t r[3];

	random_bytes(r, sizeof(r));
	snprintf(name, size, "%s_%s%u", first[r[0] % ARRAY_SIZE(first)],
		second[r[1] % ARRAY_SIZE(second)], r[2] % 1000u);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t time_now(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t time_monotonic(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static unsigned days_of_year(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 366 : 365;
}

/* gmtime() and strftime() read the local time zone's file first, whatever they are asked for. */
int time_format_seconds(int64_t s, char text[TIME_LEN])
{
	static const unsigned char days_of_month[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30 };
	unsigned day = (unsigned)(s / 86400), second = (unsigned)(s % 86400), year = 1970,
		 month = 0;

	for (; day >= days_of_year(year); year++)
		day -= days_of_year(year);
	for (; month < ARRAY_SIZE(days_of_month); month++) {
		unsigned n = days_of_month[month] + (month == 1 && days_of_year(year) == 366);
		if (day < n)
			break;
		day -= n;
	}
	return snprintf(text, TIME_LEN, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month + 1, day + 1,
		second / 3600, second / 60 % 60, second % 60);
}

void time_format(int64_t ns, char text[TIME_LEN])
{
	int n;

	if (ns <= 0) {
		memcpy(text, "0001-01-01T00:00:00Z", 21);
		return;
	}
	n = time_format_seconds(ns / 1000000000, text) - 1;
	snprintf(text + n, TIME_LEN - (size_t)n, ".%09uZ", (unsigned)(ns % 1000000000));
}

static int parse_fraction(const char **p, int64_t *ns)
{
	int64_t unit = 100000000;

	*ns = 0;
	if (**p != '.')
		return 0;
	if (!isdigit((unsigned char)*++*p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); ++*p, unit /= 10)
		*ns += (**p - '0') * unit;
	return 0;
}

static int parse_zone(const char *p, int64_t *seconds)
{
	unsigned h, m;
	int n = 0;

	*seconds = 0;
	if (strcmp(p, "Z") == 0 || !*p)
		return 0;
	if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2u:%2u%n", &h, &m, &n) != 2 || p[1 + n])
		return -EINVAL;
	*seconds = (int64_t)(h * 3600 + m * 60) * (*p == '-' ? -1 : 1);
	return 0;
}

int time_parse(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	int64_t ns = 0, zone = 0, value;
	double seconds;
	const char *p;

	if (parse_duration(text, &value) == 0 && strcmp(text, "0") != 0) {
		*ret_ns = time_now() - value;
		return 0;
	}
	if (parse_double(text, &seconds) == 0) {
		if (seconds > 9.2e9)
			return -ERANGE;
		*ret_ns = (int64_t)(seconds * 1e9);
		return 0;
	}
	p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p) {
		p = strptime(text, "%Y-%m-%d", &tm);
		if (!p || *p)
			return -EINVAL;
	}
	if (parse_fraction(&p, &ns) < 0 || parse_zone(p, &zone) < 0)
		return -EINVAL;
	/* 64 bits of nanoseconds end in 2262. */
	if (__builtin_mul_overflow(timegm(&tm) - zone, INT64_C(1000000000), &value) ||
		__builtin_add_overflow(value, ns, &value))
		return -ERANGE;
	*ret_ns = value;
	return 0;
}
