#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

static void add_owned(char ***v, char *s)
{
	size_t n = strv_len(*v);

	/* Grow at powers of two: the length alone tells the capacity. */
	if (!*v || (n & (n + 1)) == 0)
		*v = xrealloc_array(*v, 2 * (n + 1), sizeof(**v));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

void strv_add(char ***v, const char *s)
{
	add_owned(v, xstrdup(s));
}

void strv_addf(char ***v, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	add_owned(v, s);
}

void strv_add_all(char ***v, char *const *more)
{
	strv_foreach (s, more)
		strv_add(v, *s);
}

bool strv_contains(char *const *v, const char *s)
{
	strv_foreach (p, v)
		if (strcmp(*p, s) == 0)
			return true;
	return false;
}

char **strv_copy(char *const *v)
{
	char **copy = NULL;

	strv_add_all(&copy, v);
	return copy;
}

char **strv_split(const char *s, char sep)
{
	char **v = NULL;

	for (;;) {
		const char *end = strchrnul(s, sep);
		add_owned(&v, xstrndup(s, (size_t)(end - s)));
		if (!*end)
			return v;
		s = end + 1;
	}
}

char *strv_join(char *const *v, const char *sep)
{
	struct buf b = { 0 };

	strv_foreach (s, v) {
		if (s != v)
			buf_adds(&b, sep);
		buf_adds(&b, *s);
	}
	return buf_detach(&b);
}

void strv_free(char **v)
{
	strv_foreach (s, v)
		free(*s);
	free(v);
}

static char **env_find(char **v, const char *name, size_t len)
{
	for (char **s = v; s && *s; s++)
		if (strncmp(*s, name, len) == 0 && (*s)[len] == '=')
			return s;
	return NULL;
}

const char *strv_env_get(char *const *v, const char *name)
{
	size_t len = strlen(name);
	char **s = env_find((char **)v, name, len);

	return s ? *s + len + 1 : NULL;
}

void strv_env_set(char ***v, const char *assignment)
{
	size_t len = strcspn(assignment, "=");
	char **s = env_find(*v, assignment, len);

	if (!assignment[len]) {
		if (s)
			free(*s);
		for (; s && *s; s++)
			s[0] = s[1];
	} else if (s) {
		str_replace(s, assignment);
	} else {
		strv_add(v, assignment);
	}
}
