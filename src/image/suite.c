/*
 * Suites of Debian and Ubuntu by number and code name, and the mirrors that this host's apt uses for
 * them: sources.list(5), one-line and deb822 form. Of a host's sources only the distribution's own
 * archives count (their URLs end in debian, debian-security or ubuntu), and of these the free
 * components: an image should not carry what only this host chose to add.
 */
#include "image/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"

#define MAX_SOURCES_FILE (1u << 20)

enum { ARCHIVED = 1, ROLLING = 2, OLD_SECURITY = 4 };

static const struct {
	const char *distribution, *tag, *name;
	unsigned flags;
} suites[] = {
	{ "debian", "9", "stretch", ARCHIVED | OLD_SECURITY },
	{ "debian", "10", "buster", ARCHIVED | OLD_SECURITY },
	{ "debian", "11", "bullseye", 0 },
	{ "debian", "12", "bookworm", 0 },
	{ "debian", "13", "trixie", 0 },
	{ "debian", "14", "forky", 0 },
	{ "debian", "oldstable", "oldstable", 0 },
	{ "debian", "stable", "stable", 0 },
	{ "debian", "latest", "stable", 0 },
	{ "debian", "testing", "testing", 0 },
	{ "debian", "unstable", "unstable", ROLLING },
	{ "debian", "sid", "sid", ROLLING },
	{ "ubuntu", "18.04", "bionic", 0 },
	{ "ubuntu", "20.04", "focal", 0 },
	{ "ubuntu", "22.04", "jammy", 0 },
	{ "ubuntu", "24.04", "noble", 0 },
	{ "ubuntu", "24.10", "oracular", 0 },
	{ "ubuntu", "25.04", "plucky", 0 },
	{ "ubuntu", "25.10", "questing", 0 },
};

static bool word_valid(const char *s)
{
	return s[0] && s[0] != '-' && strlen(s) < sizeof(((struct suite *)0)->name) &&
	       s[strspn(
		       s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-/+_")] ==
		       '\0';
}

int suite_of_name(const char *name, struct suite *ret, struct err *err)
{
	struct suite suite = { 0 };

	if (!word_valid(name))
		return err_set(
			err, EINVAL, "'%s' is no suite: expected a name such as bookworm", name);
	snprintf(suite.name, sizeof(suite.name), "%s", name);
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (strcmp(suites[i].name, name) == 0)
			suite.distribution = suites[i].distribution;
	*ret = suite;
	return 0;
}

/* "12", "12.5", "12-slim", "bookworm", "bookworm-20250520" are all bookworm. */
static bool tag_is(const char *tag, const char *known, bool is_debian)
{
	size_t len = strlen(known);

	if (strncmp(tag, known, len) != 0)
		return false;
	return tag[len] == '\0' || tag[len] == '-' || (is_debian && tag[len] == '.');
}

int suite_of_tag(const char *image, const char *tag, struct suite *ret, struct err *err)
{
	const char *slash = strrchr(image, '/');
	const char *distribution = slash ? slash + 1 : image;

	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		bool is_debian = strcmp(suites[i].distribution, "debian") == 0;
		if (strcmp(suites[i].distribution, distribution) != 0)
			continue;
		if (tag_is(tag, suites[i].tag, is_debian) || tag_is(tag, suites[i].name, is_debian))
			return suite_of_name(suites[i].name, ret, err);
	}
	return err_set(err, EINVAL,
		"cannot tell the suite of '%s:%s' by its name: say it, such as --suite bookworm",
		distribution, tag);
}

/* One source of packages, as apt knows it. */
struct source {
	char *url, *suite;
	char **components;
	char *options; /* "signed-by=/path trusted=yes", or "" */
};

struct sources {
	struct source *items;
	size_t n;
};

static void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].url);
		free(s->items[i].suite);
		free(s->items[i].options);
		strv_free(s->items[i].components);
	}
	free(s->items);
	*s = (struct sources){ 0 };
}
DEFINE_CLEANUP_OBJECT(sources_free, struct sources);

static void add_source(struct sources *s, const char *url, const char *suite,
	char *const *components, const char *options)
{
	size_t len = strlen(url);

	while (len > 1 && url[len - 1] == '/')
		len--;
	s->items = xrealloc_array(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = (struct source){ .url = xstrndup(url, len),
		.suite = xstrdup(suite),
		.components = strv_copy(components),
		.options = xstrdup(options) };
}

static char **words_of(const char *text)
{
	char **words = NULL;
	const char *blanks = " \t\r\n";

	for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
		size_t len = strcspn(text, blanks);
		cleanup(free) char *word = xstrndup(text, len);
		strv_add(&words, word);
		text += len;
	}
	return words;
}

/* Of options only those that make the source trusted are of use elsewhere. */
static void keep_option(struct buf *options, const char *key, size_t key_len, const char *value)
{
	bool signed_by = key_len == 9 && strncasecmp(key, "signed-by", 9) == 0 && value[0] == '/';
	bool trusted = key_len == 7 && strncasecmp(key, "trusted", 7) == 0;

	if (signed_by || trusted)
		buf_addf(options, "%s%s=%s", options->len ? " " : "",
			signed_by ? "signed-by" : "trusted", value);
}

/* deb [ option=value ... ] URL suite component... */
static void parse_one_line(struct sources *s, char *line)
{
	cleanup(strv_free) char **words = NULL;
	cleanup(buf_free) struct buf options = { 0 };
	const char *rest = line + strspn(line, " \t");

	line[strcspn(line, "#")] = '\0';
	if (strncmp(rest, "deb", 3) != 0 || !strchr(" \t", rest[3]) || !rest[3])
		return;
	rest += 3 + strspn(rest + 3, " \t");
	if (*rest == '[') {
		const char *end = strchr(rest, ']');
		if (!end)
			return;
		cleanup(free) char *inside = xstrndup(rest + 1, (size_t)(end - rest - 1));
		cleanup(strv_free) char **pairs = words_of(inside);
		strv_foreach (pair, pairs) {
			size_t len = strcspn(*pair, "=");
			if ((*pair)[len])
				keep_option(&options, *pair, len, *pair + len + 1);
		}
		rest = end + 1;
	}
	words = words_of(rest);
	if (strv_len(words) < 3)
		return;
	add_source(s, words[0], words[1], words + 2, options.len ? options.data : "");
}

static void parse_list(struct sources *s, const char *text)
{
	cleanup(strv_free) char **lines = strv_split(text, '\n');

	strv_foreach (line, lines)
		parse_one_line(s, *line);
}

struct stanza {
	char *types, *uris, *suites, *components, *enabled, *signed_by, *trusted;
};

static void stanza_add(struct sources *s, struct stanza *st)
{
	cleanup(strv_free) char **types = words_of(st->types ? st->types : "");
	cleanup(strv_free) char **urls = words_of(st->uris ? st->uris : "");
	cleanup(strv_free) char **names = words_of(st->suites ? st->suites : "");
	cleanup(strv_free) char **components = words_of(st->components ? st->components : "");
	cleanup(buf_free) struct buf options = { 0 };
	cleanup(strv_free) char **keys = words_of(st->signed_by ? st->signed_by : "");
	/* Keys inside the file cannot be said in one line. */
	bool usable = !keys || (!keys[1] && keys[0][0] == '/');
	bool enabled = !st->enabled ||
		       (strcasecmp(st->enabled, "no") != 0 && strcmp(st->enabled, "0") != 0 &&
			       strcasecmp(st->enabled, "false") != 0);

	if (keys)
		keep_option(&options, "signed-by", 9, keys[0]);
	if (st->trusted)
		keep_option(&options, "trusted", 7, st->trusted);
	if (usable && enabled && components && strv_contains(types, "deb"))
		strv_foreach (url, urls)
			strv_foreach (name, names)
				add_source(s, *url, *name, components,
					options.len ? options.data : "");
	free(st->types);
	free(st->uris);
	free(st->suites);
	free(st->components);
	free(st->enabled);
	free(st->signed_by);
	free(st->trusted);
	*st = (struct stanza){ 0 };
}

static char **stanza_field(struct stanza *st, const char *line, size_t len)
{
	const struct {
		const char *name;
		char **value;
	} fields[] = { { "Types", &st->types }, { "URIs", &st->uris }, { "Suites", &st->suites },
		{ "Components", &st->components }, { "Enabled", &st->enabled },
		{ "Signed-By", &st->signed_by }, { "Trusted", &st->trusted } };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (strlen(fields[i].name) == len && strncasecmp(fields[i].name, line, len) == 0)
			return fields[i].value;
	return NULL;
}

static void parse_deb822(struct sources *s, const char *text)
{
	cleanup(strv_free) char **lines = strv_split(text, '\n');
	struct stanza st = { 0 };
	char **field = NULL;

	strv_foreach (each, lines) {
		char *line = *each;
		size_t len = strcspn(line, ":");
		line[strcspn(line, "\r")] = '\0';
		if (line[0] == '#')
			continue;
		if (!line[strspn(line, " \t")]) {
			stanza_add(s, &st);
			field = NULL;
		} else if (line[0] == ' ' || line[0] == '\t') {
			if (field && *field) {
				char *joined = xasprintf("%s %s", *field, line);
				free(*field);
				*field = joined;
			}
		} else if (len < strlen(line)) {
			field = stanza_field(&st, line, len);
			if (field)
				str_replace(field, line + len + 1 + strspn(line + len + 1, " \t"));
		}
	}
	stanza_add(s, &st);
}

static void read_one(struct sources *s, int dirfd, const char *path)
{
	cleanup(buf_free) struct buf text = { 0 };
	const char *dot = strrchr(path, '.');

	if (!dot || file_read(dirfd, path, MAX_SOURCES_FILE, &text) < 0 || !text.len)
		return;
	if (strcmp(dot, ".list") == 0)
		parse_list(s, text.data);
	else if (strcmp(dot, ".sources") == 0)
		parse_deb822(s, text.data);
}

/* A host without apt, or with files that cannot be read, has no sources: no error. */
static void read_host(struct sources *s, const char *etc_apt)
{
	cleanup(fd_close) int etc = open(etc_apt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int parts = -1;
	struct dirent **names;
	int n;

	if (etc < 0)
		return;
	read_one(s, etc, "sources.list");
	parts = openat(etc, "sources.list.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = parts < 0 ? 0 : scandirat(etc, "sources.list.d", &names, NULL, alphasort);
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++) {
		read_one(s, parts, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static bool ends_with(const char *s, const char *tail)
{
	size_t a = strlen(s), b = strlen(tail);

	return a >= b && strcmp(s + a - b, tail) == 0;
}

static bool is_security(const struct source *src)
{
	return ends_with(src->suite, "-security") || ends_with(src->suite, "/updates");
}

static bool is_archive_of(const struct source *src, const char *distribution)
{
	if (strcmp(distribution, "debian") == 0)
		return ends_with(src->url, "/debian") || ends_with(src->url, "/debian-security");
	return ends_with(src->url, "/ubuntu") || ends_with(src->url, "/ubuntu-ports");
}

static bool is_of_suite(const struct source *src, const char *name)
{
	static const char *const tails[] = { "", "-updates", "-security", "/updates" };
	size_t len = strlen(name);

	if (strncmp(src->suite, name, len) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++)
		if (strcmp(src->suite + len, tails[i]) == 0)
			return true;
	return false;
}

static void add_line(char ***lines, const char *options, const char *url, const char *suite,
	const char *components)
{
	cleanup(free) char *line = xasprintf("deb %s%s%s%s %s %s", *options ? "[" : "", options,
		*options ? "] " : "", url, suite, components);

	if (!strv_contains(*lines, line))
		strv_add(lines, line);
}

/* The host's lines for exactly this suite. */
static void add_exact(char ***lines, const struct sources *host, const struct suite *suite)
{
	static const char *const wanted[] = { "main", "universe" };
	bool has_main_suite = false;

	for (size_t i = 0; i < host->n; i++)
		if (is_archive_of(&host->items[i], suite->distribution) &&
			strcmp(host->items[i].suite, suite->name) == 0)
			has_main_suite = true;
	for (size_t i = 0; has_main_suite && i < host->n; i++) {
		const struct source *src = &host->items[i];
		cleanup(buf_free) struct buf components = { 0 };
		if (!is_archive_of(src, suite->distribution) || !is_of_suite(src, suite->name))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(wanted); k++)
			if (strv_contains(src->components, wanted[k]))
				buf_addf(&components, "%s%s", components.len ? " " : "", wanted[k]);
		if (components.len)
			add_line(lines, src->options, src->url, src->suite, components.data);
	}
}

static unsigned flags_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (strcmp(suites[i].name, name) == 0)
			return suites[i].flags;
	return 0;
}

static const char *own_server(const struct suite *suite, const char *architecture, bool security)
{
	bool main_port = !architecture || strcmp(architecture, "amd64") == 0 ||
			 strcmp(architecture, "i386") == 0;

	if (strcmp(suite->distribution, "ubuntu") == 0) {
		if (!main_port)
			return "http://ports.ubuntu.com/ubuntu-ports";
		return security ? "http://security.ubuntu.com/ubuntu"
				: "http://archive.ubuntu.com/ubuntu";
	}
	if (flags_of(suite->name) & ARCHIVED)
		return security ? "http://archive.debian.org/debian-security"
				: "http://archive.debian.org/debian";
	return security ? "http://deb.debian.org/debian-security" : "http://deb.debian.org/debian";
}

/* The host's mirror of the same distribution's other suites, which has this one too. */
static const char *host_mirror(const struct sources *host, const char *distribution, bool security)
{
	for (size_t i = 0; i < host->n; i++)
		if (is_archive_of(&host->items[i], distribution) &&
			is_security(&host->items[i]) == security)
			return host->items[i].url;
	return NULL;
}

static void add_made(char ***lines, const struct sources *host, const struct suite *suite,
	const char *architecture)
{
	const char *components =
		strcmp(suite->distribution, "ubuntu") == 0 ? "main universe" : "main";
	unsigned flags = flags_of(suite->name);
	bool own = flags & ARCHIVED;
	const char *url = own ? NULL : host_mirror(host, suite->distribution, false);
	const char *security = own ? NULL : host_mirror(host, suite->distribution, true);
	cleanup(free) char *updates = xasprintf("%s-updates", suite->name);
	cleanup(free) char *fixes =
		xasprintf("%s%s", suite->name, flags & OLD_SECURITY ? "/updates" : "-security");

	if (!url)
		url = own_server(suite, architecture, false);
	if (!security)
		security = own_server(suite, architecture, true);
	add_line(lines, "", url, suite->name, components);
	if (flags & ROLLING)
		return;
	if (!own)
		add_line(lines, "", url, updates, components);
	add_line(lines, "", security, fixes, components);
}

int suite_sources_from(const char *etc_apt, const struct suite *suite, const char *architecture,
	char ***ret, struct err *err)
{
	cleanup(sources_free) struct sources host = { 0 };
	cleanup(strv_free) char **lines = NULL;

	if (!suite->distribution)
		return err_set(err, EINVAL,
			"suite '%s' is not known here: say where it is with --mirror URL",
			suite->name);
	read_host(&host, etc_apt);
	add_exact(&lines, &host, suite);
	if (!lines)
		add_made(&lines, &host, suite, architecture);
	*ret = take(lines);
	return 0;
}

int suite_sources(const struct suite *suite, const char *architecture, char ***ret, struct err *err)
{
	return suite_sources_from("/etc/apt", suite, architecture, ret, err);
}
