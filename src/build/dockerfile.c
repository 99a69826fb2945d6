#include "build/dockerfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"

#define MAX_BYTES (4u << 20)
#define MAX_STEPS 10000
#define MAX_HEREDOCS 64

#define TAKES_HEREDOC 1u
#define TAKES_EXEC 2u
#define MAY_BE_EMPTY 4u

static const struct {
	const char *name;
	unsigned flags;
} keywords[] = {
	{ "ADD", TAKES_HEREDOC | TAKES_EXEC },
	{ "ARG" },
	{ "CMD", TAKES_EXEC | MAY_BE_EMPTY },
	{ "COPY", TAKES_HEREDOC | TAKES_EXEC },
	{ "ENTRYPOINT", TAKES_EXEC | MAY_BE_EMPTY },
	{ "ENV" },
	{ "EXPOSE" },
	{ "FROM" },
	{ "HEALTHCHECK" },
	{ "LABEL" },
	{ "MAINTAINER" },
	{ "ONBUILD", TAKES_HEREDOC },
	{ "RUN", TAKES_HEREDOC | TAKES_EXEC },
	{ "SHELL", TAKES_EXEC },
	{ "STOPSIGNAL" },
	{ "USER" },
	{ "VOLUME", TAKES_EXEC },
	{ "WORKDIR" },
};

/* The text as it is read. */
struct reader {
	struct dockerfile *d;
	const char *at, *end;
	int line; /* of what next_line() gave last */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next line without its end; false when there is none. */
static bool next_line(struct reader *r, const char **ret, size_t *ret_len)
{
	const char *feed;

	if (r->at >= r->end)
		return false;
	feed = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*ret = r->at;
	*ret_len = (size_t)((feed ? feed : r->end) - r->at);
	r->at = feed ? feed + 1 : r->end;
	r->line++;
	return true;
}

static int fail(const struct reader *r, int line, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s:%d: %s", r->d->name, line, what);
}

static size_t trim_end(const char *s, size_t len)
{
	while (len && (is_blank(s[len - 1]) || s[len - 1] == '\r'))
		len--;
	return len;
}

/* "# name=value" of the first lines. False: no directive, and none follows. */
static bool directive(const char *line, size_t len, char **name, char **value)
{
	const char *end = line + trim_end(line, len), *p = line, *sign;

	while (p < end && is_blank(*p))
		p++;
	if (p == end || *p++ != '#')
		return false;
	while (p < end && is_blank(*p))
		p++;
	sign = memchr(p, '=', (size_t)(end - p));
	if (!sign)
		return false;
	*name = xstrndup(p, trim_end(p, (size_t)(sign - p)));
	for (const char *c = *name; *c; c++)
		if (!isalnum((unsigned char)*c))
			return false;
	for (p = sign + 1; p < end && is_blank(*p); p++)
		;
	*value = xstrndup(p, (size_t)(end - p));
	return **name != '\0';
}

static int read_directives(struct reader *r, struct err *err)
{
	struct reader look = *r;
	const char *line;
	size_t len;

	while (next_line(&look, &line, &len)) {
		cleanup(free) char *name = NULL, *value = NULL;
		if (!directive(line, len, &name, &value))
			break;
		if (strcasecmp(name, "escape") == 0) {
			if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
				return fail(&look, look.line, "escape must be \\ or `", err);
			r->d->escape = value[0];
		} else if (strcasecmp(name, "syntax") != 0 && strcasecmp(name, "check") != 0) {
			break;
		}
		*r = look;
	}
	return 0;
}

static bool is_comment_or_empty(const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && isspace((unsigned char)line[i]))
		i++;
	return i == len || line[i] == '#';
}

/* Whether the line goes on; then *len is without the escape. */
static bool continues(const char *line, size_t *len, char escape)
{
	size_t n = trim_end(line, *len);

	if (!n || line[n - 1] != escape || (n > 1 && line[n - 2] == escape))
		return false;
	*len = n - 1;
	return true;
}

/* One instruction's lines as one. False at the end of the file. */
static bool next_logical(struct reader *r, struct buf *text, int *ret_line)
{
	const char *line;
	size_t len;
	bool more = false;

	while (next_line(r, &line, &len)) {
		if (is_comment_or_empty(line, len))
			continue;
		if (!text->len) {
			*ret_line = r->line;
			while (len && isspace((unsigned char)*line)) {
				line++;
				len--;
			}
		}
		more = continues(line, &len, r->d->escape);
		if (!more && len && line[len - 1] == '\r')
			len--;
		buf_add(text, line, len);
		if (!more)
			return true;
	}
	return text->len > 0;
}

char *dockerfile_word(const char **text, char escape)
{
	const char *p = *text;
	char quote = 0;

	while (isspace((unsigned char)*p))
		p++;
	*text = p;
	if (!*p)
		return NULL;
	for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
		if (*p == escape && p[1] && quote != '\'')
			p++;
		else if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
	}
	char *word = xstrndup(*text, (size_t)(p - *text));
	*text = p;
	return word;
}

char **dockerfile_exec(const char *text)
{
	cleanup(json_free) json_t *j = NULL;
	cleanup(strv_free) char **words = NULL;
	json_t *item;
	size_t i;

	while (isspace((unsigned char)*text))
		text++;
	if (*text != '[')
		return NULL;
	j = json_parse(text, strlen(text), "exec form", NULL);
	if (!json_is_array(j))
		return NULL;
	json_array_foreach (j, i, item) {
		if (!json_is_string(item))
			return NULL;
		strv_add(&words, json_string_value(item));
	}
	if (!words)
		words = xcalloc(1, sizeof(char *));
	return take(words);
}

const char *dockerfile_flag(const struct dockerfile_step *step, const char *name)
{
	size_t len = strlen(name);

	strv_foreach (flag, step->flags) {
		const char *p = *flag + 2;
		if (strncmp(p, name, len) == 0 && (p[len] == '=' || p[len] == '\0'))
			return p[len] ? p + len + 1 : p + len;
	}
	return NULL;
}

/* "<<EOF", "<<-'EOF'", "3<<EOF". False for other words. */
static bool heredoc_word(const char *word, char **ret_name, bool *ret_expand, bool *ret_tabs)
{
	cleanup(buf_free) struct buf name = { 0 };
	bool quoted = false;

	while (isdigit((unsigned char)*word))
		word++;
	if (strncmp(word, "<<", 2) != 0 || word[2] == '<')
		return false;
	word += 2;
	*ret_tabs = *word == '-';
	word += *ret_tabs;
	for (; *word; word++) {
		if (*word == '\'' || *word == '"')
			quoted = true;
		else if (*word == '<' || *word == '>')
			return false;
		else
			buf_addc(&name, *word);
	}
	if (!name.len)
		return false;
	*ret_name = buf_detach(&name);
	*ret_expand = !quoted;
	return true;
}

static int read_heredoc(struct reader *r, struct dockerfile_heredoc *h, bool tabs, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *what = NULL;
	int first = r->line;
	const char *line;
	size_t len;

	while (next_line(r, &line, &len)) {
		size_t bare;
		while (tabs && len && *line == '\t') {
			line++;
			len--;
		}
		bare = len && line[len - 1] == '\r' ? len - 1 : len;
		if (bare == strlen(h->name) && memcmp(line, h->name, bare) == 0) {
			h->text = buf_detach(&text);
			return 0;
		}
		buf_add(&text, line, len);
		buf_addc(&text, '\n');
	}
	what = xasprintf("the heredoc '%s' has no end", h->name);
	return fail(r, first, what, err);
}

static int read_heredocs(struct reader *r, struct dockerfile_step *s, struct err *err)
{
	const char *p = s->text;

	for (;;) {
		cleanup(free) char *word = dockerfile_word(&p, r->d->escape);
		struct dockerfile_heredoc h = { 0 };
		bool tabs;
		int n;
		if (!word)
			return 0;
		if (!heredoc_word(word, &h.name, &h.expand, &tabs))
			continue;
		n = read_heredoc(r, &h, tabs, err);
		if (n == 0 && s->n_heredocs == MAX_HEREDOCS)
			n = fail(r, s->line, "too many heredocs", err);
		if (n < 0) {
			free(h.name);
			free(h.text);
			return n;
		}
		s->heredocs = xrealloc_array(s->heredocs, s->n_heredocs + 1, sizeof(h));
		s->heredocs[s->n_heredocs++] = h;
	}
}

static int unknown_keyword(const struct reader *r, const struct dockerfile_step *s, struct err *err)
{
	const char *best = NULL;
	unsigned least = 3;

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
		unsigned far = str_distance(keywords[i].name, s->keyword);
		if (far < least) {
			least = far;
			best = keywords[i].name;
		}
	}
	return err_set(err, EINVAL, "%s:%d: unknown instruction '%.40s' (%.120s)%s%s", r->d->name,
		s->line, s->keyword, s->source, best ? ": did you mean " : "", best ? best : "");
}

/* Flags come before the arguments: "--from=x --chown=1:1 a b". */
static const char *take_flags(struct dockerfile_step *s, const char *text, char escape)
{
	for (;;) {
		cleanup(free) char *word = NULL;
		const char *before = text;
		word = dockerfile_word(&text, escape);
		if (!word || strncmp(word, "--", 2) != 0)
			return before;
		if (!word[2]) /* "--" ends them */
			return text;
		strv_add(&s->flags, word);
	}
}

static int parse_step(struct reader *r, char *line, struct dockerfile_step *s, struct err *err)
{
	size_t len = strcspn(line, " \t\r\n"), k = 0;
	const char *rest = line + len;
	int n = 0;

	s->source = xstrndup(line, trim_end(line, strlen(line)));
	s->keyword = xstrndup(line, len);
	for (char *c = s->keyword; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	while (k < ARRAY_SIZE(keywords) && strcmp(keywords[k].name, s->keyword) != 0)
		k++;
	if (k == ARRAY_SIZE(keywords)) {
		s->text = xstrdup("");
		return unknown_keyword(r, s, err);
	}
	/* HEALTHCHECK's options are image_change()'s. */
	if (strcmp(s->keyword, "HEALTHCHECK") != 0 && strcmp(s->keyword, "ONBUILD") != 0)
		rest = take_flags(s, rest, r->d->escape);
	while (isspace((unsigned char)*rest))
		rest++;
	s->text = xstrndup(rest, trim_end(rest, strlen(rest)));
	if (!*s->text && !(keywords[k].flags & MAY_BE_EMPTY))
		return err_set(
			err, EINVAL, "%s:%d: %s needs arguments", r->d->name, s->line, s->keyword);
	if (keywords[k].flags & TAKES_HEREDOC)
		n = read_heredocs(r, s, err);
	if (n == 0 && keywords[k].flags & TAKES_EXEC)
		s->exec = dockerfile_exec(s->text);
	return n;
}

static int parse_all(struct reader *r, struct err *err)
{
	struct dockerfile *d = r->d;
	int n = read_directives(r, err);

	while (n == 0) {
		cleanup(buf_free) struct buf line = { 0 };
		int number = 0;
		if (!next_logical(r, &line, &number))
			return 0;
		if (d->n == MAX_STEPS)
			return fail(r, number, "too many instructions", err);
		d->steps = xrealloc_array(d->steps, d->n + 1, sizeof(*d->steps));
		d->steps[d->n] = (struct dockerfile_step){ .line = number };
		n = parse_step(r, line.data, &d->steps[d->n++], err);
	}
	return n;
}

int dockerfile_parse(
	const char *name, const char *text, size_t len, struct dockerfile *ret, struct err *err)
{
	cleanup(dockerfile_clear) struct dockerfile d = { .name = xstrdup(name), .escape = '\\' };
	struct reader r = { .d = &d, .at = text, .end = text + len };
	int n;

	if (len > MAX_BYTES)
		return err_set(err, EFBIG, "%s: larger than %u MiB", name, MAX_BYTES >> 20);
	if (len && memchr(text, '\0', len))
		return err_set(err, EINVAL, "%s: this is no text: it has a NUL byte", name);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	n = parse_all(&r, err);
	if (n < 0)
		return n;
	*ret = d;
	d = (struct dockerfile){ 0 };
	return 0;
}

void dockerfile_clear(struct dockerfile *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct dockerfile_step *s = &d->steps[i];
		for (size_t k = 0; k < s->n_heredocs; k++) {
			free(s->heredocs[k].name);
			free(s->heredocs[k].text);
		}
		free(s->heredocs);
		free(s->keyword);
		free(s->text);
		free(s->source);
		strv_free(s->flags);
		strv_free(s->exec);
	}
	free(d->steps);
	free(d->name);
	*d = (struct dockerfile){ 0 };
}
