#include "build/ignore.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "image/layer.h"

/* [a-z], [^a-z]; *p is behind the bracket. Go's: no classes, an escape is one. */
static bool match_set(const char **p, char c)
{
	bool negated = **p == '^', found = false;

	*p += negated;
	for (bool first = true; **p && (**p != ']' || first); first = false) {
		char low = **p == '\\' && (*p)[1] ? *++*p : **p, high;
		++*p;
		high = low;
		if (**p == '-' && (*p)[1] && (*p)[1] != ']') {
			++*p;
			high = **p == '\\' && (*p)[1] ? *++*p : **p;
			++*p;
		}
		found |= c >= low && c <= high;
	}
	if (**p == ']')
		++*p;
	return found != negated;
}

/* One part of a pattern that is one character of a path. */
static bool match_one(const char **p, char c)
{
	switch (**p) {
	case '?':
		++*p;
		return c != '/';
	case '[':
		++*p;
		return c != '/' && match_set(p, c);
	case '\\':
		*p += (*p)[1] != '\0';
	}
	return *(*p)++ == c;
}

static bool match_here(const char *p, const char *s, bool below, unsigned *steps);

static bool match_star(const char *p, const char *s, bool below, unsigned *steps)
{
	bool deep = p[1] == '*', dirs;

	p += deep ? 2 : 1;
	dirs = deep && *p == '/';
	p += dirs;
	if (deep && !dirs && !*p)
		return true;
	for (bool first = true;; first = false, s++) {
		if ((first || !dirs || s[-1] == '/') && match_here(p, s, below, steps))
			return true;
		if (!*s || (!deep && *s == '/'))
			return false;
	}
}

/* What is left of a pattern against what is left of a path. Steps are counted: "*a*a*a" takes for ever. */
static bool match_here(const char *p, const char *s, bool below, unsigned *steps)
{
	if (++*steps > 1000000)
		return false;
	for (; *p; s++) {
		if (*p == '*')
			return match_star(p, s, below, steps);
		if (!*s || !match_one(&p, *s))
			return false;
	}
	return !*s || (below && *s == '/');
}

bool pattern_match(const char *pattern, const char *path, bool below)
{
	unsigned steps = 0;

	return match_here(pattern, path, below, &steps);
}

void ignore_add(struct ignore *ig, const char *pattern)
{
	struct ignore_rule rule = { .negated = *pattern == '!' };
	char clean[PATH_MAX];

	pattern += rule.negated;
	while (isspace((unsigned char)*pattern))
		pattern++;
	/* One that leads out fits nothing in the context. */
	if (tar_clean_name(pattern, clean) < 0 || (!*clean && *pattern != '.' && *pattern != '/'))
		return;
	rule.pattern = xstrdup(*clean ? clean : "**");
	ig->rules = xrealloc_array(ig->rules, ig->n + 1, sizeof(rule));
	ig->rules[ig->n++] = rule;
	ig->any_negated |= rule.negated;
}

void ignore_parse(const char *text, struct ignore *ret)
{
	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	while (*text) {
		size_t len = strcspn(text, "\n"), n = len;
		const char *line = text;
		text += len + (text[len] == '\n');
		if (*line == '#')
			continue;
		while (n && isspace((unsigned char)*line)) {
			line++;
			n--;
		}
		while (n && isspace((unsigned char)line[n - 1]))
			n--;
		if (n) {
			cleanup(free) char *pattern = xstrndup(line, n);
			ignore_add(ret, pattern);
		}
	}
}

bool ignore_match(const struct ignore *ig, const char *path)
{
	bool ignored = false;

	for (size_t i = 0; i < ig->n; i++)
		if (ig->rules[i].negated == ignored &&
			pattern_match(ig->rules[i].pattern, path, /* below= */ true))
			ignored = !ignored;
	return ignored;
}

void ignore_clear(struct ignore *ig)
{
	for (size_t i = 0; i < ig->n; i++)
		free(ig->rules[i].pattern);
	free(ig->rules);
	*ig = (struct ignore){ 0 };
}
