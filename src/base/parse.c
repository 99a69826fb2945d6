#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	long long v;
	char *end;

	if (!isdigit((unsigned char)(*s == '-' ? s[1] : *s)))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int double_prefix(const char *s, double *ret, char **end)
{
	size_t span = strspn(s, "0123456789.");

	if (!span || !isdigit((unsigned char)(s[0] == '.' ? s[1] : s[0])))
		return -EINVAL;
	*ret = strtod(s, end);
	return *end == s + span ? 0 : -EINVAL;
}

int parse_double(const char *s, double *ret)
{
	double v;
	char *end;

	if (double_prefix(s, &v, &end) < 0 || *end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "true", "1", "yes", "on" };
	static const char *const no[] = { "false", "0", "no", "off" };

	for (int i = 0; i < 4; i++) {
		if (strcasecmp(s, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
		if (strcasecmp(s, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_mode(const char *s, int64_t *ret)
{
	size_t len = strspn(s, "01234567");
	long v;

	if (!len || s[len])
		return -EINVAL;
	errno = 0;
	v = strtol(s, NULL, 8);
	if (errno || v > 07777)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_size(const char *s, int64_t *ret)
{
	static const char units[] = "bkmgtp";
	double v;
	char *end;
	const char *unit;

	if (double_prefix(s, &v, &end) < 0)
		return -EINVAL;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit)
			return -EINVAL;
		v *= ldexp(1, 10 * (int)(unit - units));
		end++;
		if (unit != units && tolower((unsigned char)*end) == 'i')
			end++;
		if (unit != units && tolower((unsigned char)*end) == 'b')
			end++;
		if (*end)
			return -EINVAL;
	}
	if (v >= 9.2e18)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

static const struct {
	const char *name;
	double ns;
} time_units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
	{ "h", 3600e9 } };

int parse_duration(const char *s, int64_t *ret)
{
	double total = 0;

	if (!*s)
		return -EINVAL;
	if (strcmp(s, "0") == 0) {
		*ret = 0;
		return 0;
	}
	while (*s) {
		double v;
		char *end;
		size_t i, len;
		if (double_prefix(s, &v, &end) < 0)
			return -EINVAL;
		len = strcspn(end, "0123456789.");
		for (i = 0; i < 6; i++)
			if (len == strlen(time_units[i].name) &&
				!memcmp(end, time_units[i].name, len))
				break;
		if (i == 6)
			return -EINVAL;
		total += v * time_units[i].ns;
		s = end + len;
	}
	if (total >= 9.2e18)
		return -ERANGE;
	*ret = (int64_t)total;
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void percent_decode(const char *s, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		int high = s[i] == '%' && i + 2 < len ? hex_value(s[i + 1]) : -1;
		int low = high >= 0 ? hex_value(s[i + 2]) : -1;
		if (high >= 0 && low >= 0) {
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buf_addc(out, s[i]);
		}
	}
}

static char *ring(void)
{
	static _Thread_local char bufs[4][48];
	static _Thread_local unsigned next;

	return bufs[next++ % 4];
}

const char *format_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	char *out = ring();
	double v = (double)bytes;
	int u = 0;

	while (v >= 1024 && u < 5) {
		v /= 1024;
		u++;
	}
	if (u == 0)
		snprintf(out, 48, "%.0fB", v);
	else
		snprintf(out, 48, v < 10 ? "%.2f%s" : v < 100 ? "%.1f%s" : "%.0f%s", v, units[u]);
	return out;
}

const char *format_size_decimal(uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	char *out = ring();
	double v = (double)bytes;
	int u = 0;

	/* 999.5 would be printed as 1000 of its unit. */
	while (v >= 999.5 && u < 5) {
		v /= 1000;
		u++;
	}
	snprintf(out, 48, "%.3g%s", v, units[u]);
	return out;
}

const char *format_duration_rough(int64_t ns)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} steps[] = { { 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" },
		{ 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	char *out = ring();
	int64_t s = ns / 1000000000;

	if (s < 1) {
		snprintf(out, 48, "Less than a second");
		return out;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* From two of a unit on, as docker does: 90 minutes before 1 hour. */
		int64_t n = s / steps[i].seconds;
		if (n >= 2 || (n == 1 && (steps[i].seconds == 1 || steps[i].seconds == 60))) {
			snprintf(out, 48, "%lld %s%s", (long long)n, steps[i].name,
				n == 1 ? "" : "s");
			break;
		}
	}
	return out;
}

const char *format_duration(int64_t ns)
{
	char *out = ring();
	long long s = ns / 1000000000;

	if (ns == 0)
		snprintf(out, 48, "0s");
	else if (ns % 1000000000)
		snprintf(out, 48, ns < 1000000000 ? "%.6gms" : "%.9gs",
			(double)ns / (ns < 1000000000 ? 1e6 : 1e9));
	else if (s >= 3600)
		snprintf(out, 48, "%lldh%lldm%llds", s / 3600, s / 60 % 60, s % 60);
	else if (s >= 60)
		snprintf(out, 48, "%lldm%llds", s / 60, s % 60);
	else
		snprintf(out, 48, "%llds", s);
	return out;
}

unsigned str_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= 63 || strlen(a) >= 63)
		return 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (*a != b[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}
