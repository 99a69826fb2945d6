#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* U+FDD0 is a noncharacter: no text for interchange contains it (Unicode 23.7). The member's value is
 * an integer, which keeps it apart from maps of strings that foreigners fill. */
#define BIG "\xef\xb7\x90u64"

json_t *json_u64(uint64_t v)
{
	json_t *o;

	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	o = json_object();
	json_object_set_new(o, BIG, json_integer((json_int_t)v));
	return o;
}

bool json_get_u64(const json_t *j, uint64_t *ret)
{
	bool big = json_is_object(j) && json_object_size(j) == 1;
	json_t *v = big ? json_object_get(j, BIG) : (json_t *)j;

	if (!json_is_integer(v) || (!big && json_integer_value(v) < 0))
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

/* The length of the integer at s, which does not start inside a string or a number, when it is
 * above INT64_MAX and fits 64 bits; else 0. Other numbers are left for jansson to judge. */
static size_t big_integer(const char *s, size_t len, uint64_t *ret)
{
	size_t n = 0;
	uint64_t v = 0;

	for (; n < len && s[n] >= '0' && s[n] <= '9'; n++)
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s[n] - '0'), &v))
			return 0;
	if (n == 0 || s[0] == '0' || v <= INT64_MAX || (n < len && strchr(".eE", s[n])))
		return 0;
	*ret = v;
	return n;
}

static bool in_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void encode_big(const char *text, size_t len, struct buf *out)
{
	bool in_string = false;
	size_t done = 0, n;
	uint64_t v;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else
				in_string = text[i] != '"';
			continue;
		}
		in_string = text[i] == '"';
		if (i > 0 && in_number(text[i - 1]))
			continue;
		n = big_integer(text + i, len - i, &v);
		if (n == 0)
			continue;
		buf_add(out, text + done, i - done);
		buf_addf(out, "{\"" BIG "\":%lld}", (long long)v);
		done = i + n;
		i = done - 1;
	}
	buf_add(out, text + done, len - done);
}

/* Nodes of json_u64() back to plain numbers. What looks like one inside a string is none: there the
 * quotes would be escaped. */
static char *decode_big(char *text)
{
	static const char name[] = "\"" BIG "\":";
	struct buf out = { 0 };
	char *from = text, *at = text;

	while ((at = strstr(at, name))) {
		char *open = at, *value = at + sizeof(name) - 1, *end;
		long long v = strtoll(value, &end, 10);
		bool number = end > value;
		while (open > from && isspace((unsigned char)open[-1]))
			open--;
		while (isspace((unsigned char)*end))
			end++;
		at = value;
		if (!number || *end != '}' || open == from || open[-1] != '{')
			continue;
		buf_add(&out, from, (size_t)(open - 1 - from));
		buf_addf(&out, "%llu", (unsigned long long)v);
		from = at = end + 1;
	}
	buf_adds(&out, from);
	free(text);
	return buf_detach(&out);
}

json_t *json_parse(const char *text, size_t len, const char *what, struct err *err)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	json_error_t e;
	json_t *j;

	if (len > JSON_MAX_BYTES) {
		err_set(err, EFBIG, "%s: larger than %u MiB", what, JSON_MAX_BYTES >> 20);
		return NULL;
	}
	j = json_loadb(text, len, flags, &e);
	if (!j && json_error_code(&e) == json_error_numeric_overflow) {
		cleanup(buf_free) struct buf b = { 0 };
		encode_big(text, len, &b);
		j = json_loadb(b.data, b.len, flags, &e);
	}
	if (!j)
		err_set(err, EINVAL, "%s: line %d: not JSON: %s", what, e.line, e.text);
	return j;
}

json_t *json_read(int dirfd, const char *path, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	int r = file_read(dirfd, path, JSON_MAX_BYTES, &b);

	if (r < 0) {
		err_code(err, r, "read '%s'", path);
		return NULL;
	}
	return json_parse(b.data, b.len, path, err);
}

char *json_text(json_t *j, unsigned indent)
{
	char *s = json_dumps(j, JSON_ENCODE_ANY | (indent ? JSON_INDENT(indent) : JSON_COMPACT));

	if (!s)
		abort(); /* only out of memory, or a value that we built wrong */
	return strstr(s, BIG) ? decode_big(s) : s;
}

int json_write(int dirfd, const char *path, json_t *j, unsigned flags, struct err *err)
{
	cleanup(free) char *text = json_text(j, 0);
	size_t len = strlen(text);
	int r;

	text[len] = '\n';
	r = file_write(dirfd, path, text, len + 1, 0600, flags);
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

/* Length of the UTF-8 character at s, or 0. RFC 3629. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char low, high, second_low, second_high;
		size_t len;
	} forms[] = { { 0x01, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 } };

	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		if (s[0] < forms[f].low || s[0] > forms[f].high)
			continue;
		for (size_t n = 1; n < forms[f].len; n++)
			if (s[n] < (n == 1 ? forms[f].second_low : 0x80) ||
				s[n] > (n == 1 ? forms[f].second_high : 0xbf))
				return 0;
		return forms[f].len;
	}
	return 0;
}

/* One of the characters that stand for a byte. */
static bool stands_for_byte(const unsigned char *s)
{
	return s[0] == 0xf4 && s[1] == 0x8f && s[2] >= 0x9c && s[2] <= 0x9f && s[3] >= 0x80;
}

static json_t *convert(const char *text, bool lossless)
{
	cleanup(buf_free) struct buf out = { 0 };
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t len = utf8_len(s);
		if (len && !(lossless && stands_for_byte(s))) {
			buf_add(&out, s, len);
			s += len;
		} else if (lossless) {
			buf_addf(&out, "\xf4\x8f%c%c", 0x9c + (*s >> 6), 0x80 + (*s & 0x3f));
			s++;
		} else {
			buf_adds(&out, "\xef\xbf\xbd");
			s++;
		}
	}
	return json_stringn(out.data ? out.data : "", out.len);
}

json_t *json_from_bytes(const char *s)
{
	json_t *j = strstr(s, "\xf4\x8f") ? NULL : json_string(s);

	return j ? j : convert(s, /* lossless= */ true);
}

json_t *json_shown(const char *s)
{
	const char *text = s ? s : "";
	json_t *j = json_string(text);

	return j ? j : convert(text, /* lossless= */ false);
}

char *json_to_bytes(const char *text)
{
	struct buf out = { 0 };

	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		/* 0 would end the string early, and is never written. */
		if (stands_for_byte(s) && ((s[2] - 0x9c) << 6 | (s[3] & 0x3f))) {
			buf_addc(&out, (char)((s[2] - 0x9c) << 6 | (s[3] & 0x3f)));
			s += 3;
		} else {
			buf_addc(&out, (char)*s);
		}
	}
	return buf_detach(&out);
}
