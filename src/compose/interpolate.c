#include "compose/interpolate.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"

#define MAX_DEPTH 16
#define MAX_TEXT (1u << 20) /* of one value: defaults in defaults may not grow without end */

static size_t name_len(const char *s)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*s) && *s != '_')
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

static const char *lookup(struct variables *v, const char *name)
{
	const char *value = strv_env_get(v->env, name);

	if (!value && !strv_contains(v->missing, name))
		strv_add(&v->missing, name);
	return value;
}

/* The brace that ends what begins at s, with those of ${...} inside left out. */
static const char *closing(const char *s)
{
	int depth = 1;

	for (; *s; s++) {
		if (s[0] == '$' && s[1] == '$')
			s++;
		else if (s[0] == '$' && s[1] == '{')
			depth++, s++;
		else if (*s == '}' && --depth == 0)
			return s;
	}
	return NULL;
}

static int expand(
	struct variables *v, const char *text, unsigned depth, struct buf *out, struct err *err);

static int expand_operator(struct variables *v, const char *name, const char *op, const char *word,
	unsigned depth, struct buf *out, struct err *err)
{
	const char *value = strv_env_get(v->env, name);
	bool there = value && (op[0] != ':' || *value);
	cleanup(buf_free) struct buf message = { 0 };
	char kind = op[0] == ':' ? op[1] : op[0];

	if (kind == '+')
		return there ? expand(v, word, depth + 1, out, err) : 0;
	if (there) {
		buf_adds(out, value);
		return 0;
	}
	if (kind == '-')
		return expand(v, word, depth + 1, out, err);
	if (expand(v, word, depth + 1, &message, err) < 0)
		return -EINVAL;
	return err_set(err, EINVAL, "the variable %s is required: %s", name,
		message.len ? message.data : "it is not set");
}

/* What stands between the braces. */
static int expand_braces(
	struct variables *v, const char *inside, unsigned depth, struct buf *out, struct err *err)
{
	size_t n = name_len(inside);
	cleanup(free) char *name = xstrndup(inside, n);
	const char *op = inside + n, *value;
	size_t op_len = op[0] == ':' ? 2 : 1;

	if (!n)
		return err_set(err, EINVAL, "invalid '${%s}': no variable's name; a $ itself is $$",
			inside);
	if (!*op) {
		value = lookup(v, name);
		buf_adds(out, value ? value : "");
		return 0;
	}
	if (!strchr("-?+", op[op_len - 1]) || !op[op_len - 1])
		return err_set(err, EINVAL,
			"invalid '${%s}': after the name only }, :-, -, :?, ?, :+ or +", inside);
	return expand_operator(v, name, op, op + op_len, depth, out, err);
}

static int expand(
	struct variables *v, const char *text, unsigned depth, struct buf *out, struct err *err)
{
	if (depth > MAX_DEPTH)
		return err_set(err, EINVAL, "variables in defaults, deeper than 16 levels");
	while (*text) {
		size_t plain = strcspn(text, "$"), n;
		buf_add(out, text, plain);
		text += plain;
		if (out->len > MAX_TEXT)
			return err_set(err, EINVAL, "a value of more than 1 MiB");
		if (!*text)
			break;
		text++;
		n = name_len(text);
		if (*text == '$') {
			buf_addc(out, '$');
			text++;
		} else if (*text == '{') {
			const char *end = closing(text + 1);
			cleanup(free) char *inside =
				end ? xstrndup(text + 1, (size_t)(end - text - 1)) : NULL;
			if (!end)
				return err_set(
					err, EINVAL, "invalid '$%s': the } is missing", text);
			if (expand_braces(v, inside, depth, out, err) < 0)
				return -EINVAL;
			text = end + 1;
		} else if (n) {
			cleanup(free) char *name = xstrndup(text, n);
			const char *value = lookup(v, name);
			buf_adds(out, value ? value : "");
			text += n;
		} else {
			return err_set(err, EINVAL,
				"invalid '$%.20s': no variable's name; a $ itself is $$", text);
		}
	}
	return 0;
}

int interpolate(struct variables *v, const char *text, struct buf *out, struct err *err)
{
	return expand(v, text, 0, out, err);
}

int interpolate_node(struct variables *v, struct node *n, struct err *err)
{
	for (size_t i = 0; i < n->n; i++) {
		int r = interpolate_node(v, n->items[i], err);
		if (r < 0)
			return r;
	}
	if (node_scalar(n) && strchr(n->text, '$')) {
		cleanup(buf_free) struct buf out = { 0 };
		struct err why = { 0 };
		if (interpolate(v, n->text, &out, &why) < 0)
			return node_err(n, err, EINVAL, NULL, "%s", why.text);
		node_set_text(n, NODE_STRING, out.data ? out.data : "");
	}
	return 0;
}

struct lines {
	const char *p, *end, *file;
	int number;
	bool raw; /* nothing is replaced, quotes are kept */
};

static int bad_line(const struct lines *l, struct err *err, const char *text)
{
	return err_set(err, EINVAL, "%s:%d: %s", l->file, l->number, text);
}

/* A value in quotes; l->p is behind the first. */
static int read_quoted(struct lines *l, char quote, struct buf *out, struct err *err)
{
	int first = l->number;

	for (; l->p < l->end; l->p++) {
		char c = *l->p, next = l->p + 1 < l->end ? l->p[1] : '\0';
		if (c == quote) {
			l->p++;
			return 0;
		}
		l->number += c == '\n';
		if (quote == '"' && c == '\\' && next) {
			l->p++;
			if (next == '$') /* not to be replaced */
				buf_adds(out, "$$");
			else if (next == 'n' || next == 't' || next == 'r')
				buf_addc(out, next == 'n' ? '\n' : next == 't' ? '\t' : '\r');
			else if (next == '"' || next == '\\')
				buf_addc(out, next);
			else
				buf_add(out, l->p - 1, 2);
		} else if (quote == '\'' && c == '\\' && next == '\'') {
			l->p++;
			buf_addc(out, '\'');
		} else {
			buf_addc(out, c);
		}
	}
	l->number = first;
	return bad_line(l, err, "the quote that begins here has no end");
}

/* Up to the end of the line, or a comment after white space. */
static void read_plain(struct lines *l, struct buf *out)
{
	const char *start = l->p, *end;

	while (l->p < l->end && *l->p != '\n' &&
		!(*l->p == '#' && !l->raw && l->p > start && isblank((unsigned char)l->p[-1])))
		l->p++;
	end = l->p;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	buf_add(out, start, (size_t)(end - start));
	if (!out->data)
		buf_adds(out, "");
}

static void skip_line(struct lines *l)
{
	while (l->p < l->end && *l->p != '\n')
		l->p++;
	if (l->p < l->end)
		l->p++;
	l->number++;
}

static int read_value(
	struct lines *l, struct variables *v, const char *name, char ***ret, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 }, value = { 0 };
	char quote = l->p < l->end && !l->raw && (*l->p == '"' || *l->p == '\'') ? *l->p : '\0';
	struct variables both = { 0 };
	cleanup(free) char *item = NULL;
	struct err why = { 0 };
	int r = 0, number = l->number;

	if (quote) {
		l->p++;
		r = read_quoted(l, quote, &text, err);
	} else {
		read_plain(l, &text);
	}
	if (r < 0)
		return r;
	/* The caller's own win over what lines before have set. */
	if (quote == '\'' || l->raw || !memchr(text.data ? text.data : "", '$', text.len)) {
		buf_add(&value, text.data, text.len);
	} else {
		both.env = strv_copy(*ret);
		strv_foreach (e, v->env)
			strv_env_set(&both.env, *e);
		r = interpolate(&both, text.data, &value, &why);
		strv_foreach (m, both.missing)
			if (!strv_contains(v->missing, *m))
				strv_add(&v->missing, *m);
		strv_free(both.env);
		strv_free(both.missing);
		if (r < 0)
			return err_set(err, EINVAL, "%s:%d: %s", l->file, number, why.text);
	}
	item = xasprintf("%s=%s", name, value.data ? value.data : "");
	strv_env_set(ret, item);
	return 0;
}

static int read_line(struct lines *l, struct variables *v, char ***ret, struct err *err)
{
	const char *start;
	cleanup(free) char *name = NULL;

	while (l->p < l->end && isblank((unsigned char)*l->p))
		l->p++;
	if (l->p == l->end || *l->p == '\n' || *l->p == '\r' || *l->p == '#')
		return 0;
	if (l->end - l->p > 7 && strncmp(l->p, "export", 6) == 0 && isblank((unsigned char)l->p[6]))
		for (l->p += 7; l->p < l->end && isblank((unsigned char)*l->p);)
			l->p++;
	for (start = l->p; l->p < l->end && !strchr("=:\n\r \t", *l->p);)
		l->p++;
	name = xstrndup(start, (size_t)(l->p - start));
	while (l->p < l->end && isblank((unsigned char)*l->p))
		l->p++;
	if (!*name)
		return bad_line(l, err, "no name before the =");
	if (l->p == l->end || *l->p == '\n' || *l->p == '\r') {
		const char *value = strv_env_get(v->env, name);
		cleanup(free) char *item = value ? xasprintf("%s=%s", name, value) : NULL;
		if (item)
			strv_env_set(ret, item);
		return 0;
	}
	if (*l->p != '=' && *l->p != ':')
		return bad_line(l, err, "white space in a name");
	for (l->p++; l->p < l->end && isblank((unsigned char)*l->p);)
		l->p++;
	return read_value(l, v, name, ret, err);
}

int dotenv_parse(struct variables *v, const char *text, size_t len, const char *file, bool raw,
	char ***ret, struct err *err)
{
	struct lines l = { .p = text, .end = text + len, .file = file, .number = 1, .raw = raw };

	if (len && memchr(text, '\0', len))
		return err_set(err, EINVAL, "%s: not a text file", file);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		l.p += 3;
	while (l.p < l.end) {
		int r = read_line(&l, v, ret, err);
		if (r < 0)
			return r;
		skip_line(&l);
	}
	return 0;
}
