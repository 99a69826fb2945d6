#include "image/reference.h"

/*
 * The grammar is that of the distribution project's reference package: the first part of a name is a
 * registry when it could be no part of a path on Docker Hub, that is when it has a dot, a colon or
 * upper case in it, or is "localhost".
 */

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"

#define DEFAULT_DOMAIN "docker.io"
#define OLD_DEFAULT_DOMAIN "index.docker.io"
#define OFFICIAL "library/"
#define NAME_MAX_LEN 255

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool has_upper(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return true;
	return false;
}

static bool is_hex64(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* One part of a path: [a-z0-9]+ with ".", "_", "__" or any number of "-" between. */
static bool path_part_ok(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t start = i;
		while (i < len && (is_lower(s[i]) || is_digit(s[i])))
			i++;
		if (i == start)
			return false;
		if (i == len)
			return true;
		start = i;
		if (s[i] == '-')
			while (i < len && s[i] == '-')
				i++;
		else if (s[i] == '_')
			i += i + 1 < len && s[i + 1] == '_' ? 2 : 1;
		else if (s[i] == '.')
			i++;
		if (i == start)
			return false;
	}
	return false; /* empty, or a separator at the end */
}

static bool path_ok(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");
		if (!path_part_ok(s, n))
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

static bool host_ok(const char *s, size_t len)
{
	size_t start = 0;

	if (len > 2 && s[0] == '[' && s[len - 1] == ']') {
		for (size_t i = 1; i < len - 1; i++)
			if (!isxdigit((unsigned char)s[i]) && s[i] != ':')
				return false;
		return true;
	}
	for (size_t i = 0; i <= len; i++) {
		if (i < len && (is_alnum(s[i]) || s[i] == '-'))
			continue;
		if ((i < len && s[i] != '.') || i == start || s[start] == '-' || s[i - 1] == '-')
			return false;
		start = i + 1;
	}
	return true;
}

static bool domain_ok(const char *s)
{
	const char *end = *s == '[' ? strchr(s, ']') : s;
	const char *colon = end ? strchr(end, ':') : NULL;
	size_t host = colon ? (size_t)(colon - s) : strlen(s);

	if (colon && (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1)))
		return false;
	return host_ok(s, host);
}

static bool tag_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 128 || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && !strchr("_.-", s[i]))
			return false;
	return true;
}

static int set_digest(struct reference *ref, const char *text, const char *digest, struct err *err)
{
	if (digest_valid(digest)) {
		memcpy(ref->digest, digest, DIGEST_LEN + 1);
		return 0;
	}
	if (strncmp(digest, "sha256:", 7) == 0 || !strchr(digest, ':'))
		return err_set(err, EINVAL,
			"invalid reference format: '%s': a digest is sha256: and 64 hexadecimal digits",
			text);
	return err_set(err, EINVAL, "'%s': digests other than sha256 are not supported", text);
}

/* The registry's name is left in ref; returns where the path begins. NULL when it does not fit. */
static const char *split_domain(struct reference *ref, const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;
	bool is_domain =
		slash && (memchr(name, '.', n) || memchr(name, ':', n) || has_upper(name, n) ||
				 (n == 9 && memcmp(name, "localhost", 9) == 0));

	if (!is_domain) {
		strcpy(ref->domain, DEFAULT_DOMAIN);
		return name;
	}
	if (n >= sizeof(ref->domain))
		return NULL;
	memcpy(ref->domain, name, n);
	ref->domain[n] = '\0';
	if (strcmp(ref->domain, OLD_DEFAULT_DOMAIN) == 0)
		strcpy(ref->domain, DEFAULT_DOMAIN);
	return slash + 1;
}

static int too_long(struct err *err)
{
	return err_set(err, EINVAL,
		"invalid reference format: repository name must not be more than %d characters",
		NAME_MAX_LEN);
}

static int set_name(struct reference *ref, const char *text, const char *name, struct err *err)
{
	const char *path, *prefix = "";
	size_t len;

	if (is_hex64(name))
		return err_set(err, EINVAL,
			"invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			name);
	path = split_domain(ref, name);
	if (!path)
		return too_long(err);
	if (strcmp(ref->domain, DEFAULT_DOMAIN) == 0 && !strchr(path, '/'))
		prefix = OFFICIAL;
	len = strlen(prefix) + strlen(path);
	if (strlen(ref->domain) + 1 + len > NAME_MAX_LEN)
		return too_long(err);
	memcpy(ref->path, prefix, strlen(prefix));
	memcpy(ref->path + strlen(prefix), path, strlen(path) + 1);
	if (has_upper(ref->path, len))
		return err_set(err, EINVAL,
			"invalid reference format: repository name (%s) must be lowercase",
			ref->path);
	if (!domain_ok(ref->domain) || !path_ok(ref->path))
		return err_set(err, EINVAL,
			"invalid reference format: '%s' is not [REGISTRY/]NAME[:TAG][@DIGEST]",
			text);
	return 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
	struct reference ref = { 0 };
	size_t len = strlen(text);
	cleanup(free) char *name = NULL;
	char *at, *colon, *slash;
	int r;

	if (len == 0)
		return err_set(err, EINVAL, "invalid reference format: an image's name is empty");
	if (len > 1024)
		return too_long(err);
	name = xstrdup(text);
	at = strchr(name, '@');
	if (at) {
		*at = '\0';
		r = set_digest(&ref, text, at + 1, err);
		if (r < 0)
			return r;
	}
	slash = strrchr(name, '/');
	colon = strrchr(name, ':');
	if (colon && (!slash || colon > slash)) {
		*colon = '\0';
		if (!tag_ok(colon + 1))
			return err_set(err, EINVAL,
				"invalid reference format: '%.128s' is not a tag: at most 128 of letters, "
				"digits, '_', '.' and '-', the first of them not '.' or '-'",
				colon + 1);
		memcpy(ref.tag, colon + 1, strlen(colon + 1) + 1);
	} else if (!at) {
		strcpy(ref.tag, "latest");
	}
	r = set_name(&ref, text, name, err);
	if (r < 0)
		return r;
	*ret = ref;
	return 0;
}

static char *join(const char *domain, const char *path, const struct reference *ref)
{
	return xasprintf("%s%s%s%s%s%s%s", domain, *domain ? "/" : "", path, ref->tag[0] ? ":" : "",
		ref->tag, ref->digest[0] ? "@" : "", ref->digest);
}

char *reference_text(const struct reference *ref)
{
	return join(ref->domain, ref->path, ref);
}

char *reference_familiar(const struct reference *ref)
{
	const char *path = ref->path;
	size_t n = strlen(OFFICIAL);

	if (strcmp(ref->domain, DEFAULT_DOMAIN) != 0)
		return reference_text(ref);
	/* "library/a/b" keeps its first part, without which it would mean something else. */
	if (strncmp(path, OFFICIAL, n) == 0 && !strchr(path + n, '/'))
		path += n;
	return join("", path, ref);
}
