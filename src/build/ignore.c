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

/* What is left of a pattern against what is left of a path. Steps are counted: "*a*a*a" takes for ever. */
static bool match_here(const char *p, const char *s, bool below, unsigned *steps)
{
	if (++*steps > 1000000)
		return false;
	while (*p) {
		if (p[0] == '*' && p[1] == '*') {
			p += 2;
			if (*p == '/') {
				p++;
				if (match_here(p, s, below, steps))
					return true;
				for (; *s; s++)
					if (*s == '/' && match_here(p, s + 1, below, steps))
						return true;
				return false;
			}
			if (!*p)
				return true;
			for (;; s++) {
				if (match_here(p, s, below, steps))
					return true;
				if (!*s)
					return false;
			}
		}
		if (*p == '*') {
			for (p++;; s++) {
				if (match_here(p, s, below, steps))
					return true;
				if (!*s || *s == '/')
					return false;
			}
		}
		if (!*s)
			return false;
		if (*p == '?') {
			if (*s == '/')
				return false;
			p++;
		} else if (*p == '[') {
			p++;
			if (*s == '/' || !match_set(&p, *s))
				return false;
		} else {
			if (*p == '\\' && p[1])
				p++;
			if (*p++ != *s)
				return false;
		}
		s++;
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
