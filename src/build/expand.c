#include "build/expand.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/strv.h"

#define MAX_DEPTH 32
#define MAX_RESULT (1u << 20)
#define MAX_PATTERN_VALUE 4096u /* matching takes its square */

struct expander {
	const char *at;
	char *const *vars;
	char escape;
	bool raw_quotes;
	int depth;
	struct err *err;
};

static int expand_until(struct expander *x, char stop, char other_stop, struct buf *out);

static int too_large(struct expander *x)
{
	return err_set(x->err, EFBIG, "the expansion of variables is larger than %u KiB",
		MAX_RESULT >> 10);
}

/* fnmatch() has brackets, which Dockerfiles have not. */
static char *glob_of(const char *pattern)
{
	cleanup(buf_free) struct buf b = { 0 };

	for (; *pattern; pattern++) {
		if (*pattern == '[')
			buf_addc(&b, '\\');
		buf_addc(&b, *pattern);
	}
	return buf_detach(&b);
}

static bool matches(const char *glob, const char *s, size_t len)
{
	cleanup(free) char *part = xstrndup(s, len);

	return fnmatch(glob, part, 0) == 0;
}

static void strip(const char *value, const char *glob, bool front, bool longest, struct buf *out)
{
	size_t len = strlen(value);

	for (size_t i = 0; i <= len; i++) {
		size_t n = longest ? len - i : i; /* of what goes */
		if (!matches(glob, front ? value : value + len - n, n))
			continue;
		buf_add(out, front ? value + n : value, len - n);
		return;
	}
	buf_adds(out, value);
}

static size_t match_at(const char *glob, const char *s)
{
	for (size_t n = strlen(s); n > 0; n--)
		if (matches(glob, s, n))
			return n;
	return 0;
}

static void replace(
	const char *value, const char *glob, const char *with, bool all, struct buf *out)
{
	bool done = false;

	while (*value) {
		size_t n = done && !all ? 0 : match_at(glob, value);
		if (n) {
			buf_adds(out, with);
			value += n;
			done = true;
		} else {
			buf_addc(out, *value++);
		}
	}
}

/* After the name, at one of #%/ : up to and with the brace. */
static int pattern_operator(struct expander *x, const char *value, struct buf *out)
{
	cleanup(buf_free) struct buf pattern = { 0 }, with = { 0 };
	cleanup(free) char *glob = NULL;
	char operator= * x->at++;
	bool twice = *x->at == operator;
	int r;

	x->at += twice;
	r = expand_until(x, '}', operator== '/' ? '/' : '}', &pattern);
	if (r == 0 && operator== '/' && * x->at == '/') {
		x->at++;
		r = expand_until(x, '}', '}', &with);
	}
	if (r < 0)
		return r;
	if (*x->at++ != '}')
		return err_set(x->err, EINVAL, "a '${' has no '}'");
	if (!value)
		return 0;
	if (strlen(value) > MAX_PATTERN_VALUE)
		return err_set(x->err, EFBIG, "a value of more than %u bytes is matched to '%s'",
			MAX_PATTERN_VALUE, pattern.data ? pattern.data : "");
	glob = glob_of(pattern.data ? pattern.data : "");
	if (operator== '/')
		replace(value, glob, with.data ? with.data : "", twice, out);
	else
		strip(value, glob, operator== '#', twice, out);
	return 0;
}

/* :- - :+ + :? ? */
static int default_operator(
	struct expander *x, const char *name, const char *value, struct buf *out)
{
	cleanup(buf_free) struct buf word = { 0 };
	bool colon = *x->at == ':', set = value && (!colon || *value);
	char operator;
	int r;

	x->at += colon;
	operator= * x->at++;
	r = expand_until(x, '}', '}', &word);
	if (r < 0)
		return r;
	if (*x->at++ != '}')
		return err_set(x->err, EINVAL, "a '${' has no '}'");
	if (operator== '+')
		buf_adds(out, set && word.data ? word.data : "");
	else if (set)
		buf_adds(out, value);
	else if (operator== '-')
		buf_adds(out, word.data ? word.data : "");
	else
		return err_set(x->err, EINVAL, "%s: %s", name,
			word.len ? word.data : "the variable is not set");
	return 0;
}

static int braced(struct expander *x, struct buf *out)
{
	size_t len = 0;
	cleanup(free) char *name = NULL;
	const char *value;

	while (isalnum((unsigned char)x->at[len]) || x->at[len] == '_')
		len++;
	if (!len)
		return err_set(x->err, EINVAL, "'${%.20s': expected a name", x->at);
	name = xstrndup(x->at, len);
	value = strv_env_get(x->vars, name);
	x->at += len;
	switch (*x->at) {
	case '}':
		x->at++;
		buf_adds(out, value ? value : "");
		return 0;
	case '#':
	case '%':
	case '/':
		return pattern_operator(x, value, out);
	case ':':
		if (!x->at[1] || !strchr("-+?", x->at[1]))
			break;
		return default_operator(x, name, value, out);
	case '-':
	case '+':
	case '?':
		return default_operator(x, name, value, out);
	case '\0':
		return err_set(x->err, EINVAL, "'${%s' has no '}'", name);
	}
	return err_set(x->err, EINVAL, "'${%s%.2s': not a modifier", name, x->at);
}

static int dollar(struct expander *x, struct buf *out)
{
	size_t len = 0;
	int r;

	if (*x->at == '{') {
		x->at++;
		if (++x->depth > MAX_DEPTH)
			return err_set(x->err, EINVAL, "variables are nested more than %d deep",
				MAX_DEPTH);
		r = braced(x, out);
		x->depth--;
		return r;
	}
	if (isdigit((unsigned char)*x->at))
		len = 1;
	else
		while (isalnum((unsigned char)x->at[len]) || x->at[len] == '_')
			len++;
	if (!len) {
		buf_addc(out, '$');
		return 0;
	}
	cleanup(free) char *name = xstrndup(x->at, len);
	const char *value = strv_env_get(x->vars, name);
	buf_adds(out, value ? value : "");
	x->at += len;
	return 0;
}

static int double_quoted(struct expander *x, struct buf *out)
{
	int r = 0;

	while (r == 0 && *x->at != '"') {
		if (!*x->at)
			return err_set(x->err, EINVAL, "a '\"' is not closed");
		if (*x->at == '$') {
			x->at++;
			r = dollar(x, out);
		} else {
			if (*x->at == x->escape &&
				(x->at[1] == '"' || x->at[1] == '$' || x->at[1] == x->escape))
				x->at++;
			buf_addc(out, *x->at++);
		}
	}
	x->at++;
	return r;
}

static int single_quoted(struct expander *x, struct buf *out)
{
	const char *end = strchr(x->at, '\'');

	if (!end)
		return err_set(x->err, EINVAL, "a \"'\" is not closed");
	buf_add(out, x->at, (size_t)(end - x->at));
	x->at = end + 1;
	return 0;
}

static void escaped(struct expander *x, struct buf *out)
{
	char c = *x->at;

	if (x->raw_quotes && c != '$' && c != x->escape)
		buf_addc(out, x->escape);
	if (c) {
		buf_addc(out, c);
		x->at++;
	}
}

/* Stops before one of the characters, and at the end. */
static int expand_until(struct expander *x, char stop, char other_stop, struct buf *out)
{
	int r = 0;

	while (r == 0 && *x->at) {
		char c = *x->at;
		if (stop && (c == stop || c == other_stop))
			return 0;
		x->at++;
		if (c == '$')
			r = dollar(x, out);
		else if (c == x->escape)
			escaped(x, out);
		else if (c == '\'' && !x->raw_quotes)
			r = single_quoted(x, out);
		else if (c == '"' && !x->raw_quotes)
			r = double_quoted(x, out);
		else
			buf_addc(out, c);
		if (r == 0 && out->len > MAX_RESULT)
			return too_large(x);
	}
	return r;
}

static int expand(struct expander *x, char **ret)
{
	cleanup(buf_free) struct buf out = { 0 };
	int r = expand_until(x, 0, 0, &out);

	if (r == 0)
		*ret = buf_detach(&out);
	return r;
}

int expand_word(const char *word, char *const *vars, char escape, char **ret, struct err *err)
{
	struct expander x = { .at = word, .vars = vars, .escape = escape, .err = err };

	return expand(&x, ret);
}

int expand_text(const char *text, char *const *vars, char **ret, struct err *err)
{
	struct expander x = {
		.at = text, .vars = vars, .escape = '\\', .raw_quotes = true, .err = err
	};

	return expand(&x, ret);
}
