/*
 * The table of names (dns_message.h): all lines of the networks' files, sorted by name. Lines that
 * make no sense are passed over. Changes are told by the files' identity, size and time, so a query
 * costs one stat(2) a network.
 */
#include "net/dns_names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"

#define FILE_MAX_BYTES (8u << 20)

struct source {
	struct timespec changed;
	ino_t ino;
	off_t size;
};

struct dns_names {
	struct dns_name *items;
	size_t n, cap;
	char **paths;
	struct source *sources; /* one a path, as last read */
	unsigned turn;
};

struct dns_names *dns_names_new(void)
{
	return xnew(struct dns_names);
}

static void clear(struct dns_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i].name);
	names->n = 0;
}

void dns_names_free(struct dns_names *names)
{
	if (!names)
		return;
	clear(names);
	free(names->items);
	free(names->sources);
	strv_free(names->paths);
	free(names);
}

static bool parse_address(const char *text, struct dns_address *ret)
{
	*ret = (struct dns_address){ .is_v6 = strchr(text, ':') != NULL };
	return inet_pton(ret->is_v6 ? AF_INET6 : AF_INET, text, ret->bytes) == 1;
}

static void add_line(struct dns_names *names, char *line)
{
	char *address = strchr(line, '\t'), *end;
	struct dns_name item = { 0 };

	if (!address || address == line || address - line > 253)
		return;
	*address++ = '\0';
	end = strchrnul(address, '\t');
	*end = '\0';
	if (!parse_address(address, &item.address))
		return;
	for (char *p = line; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (names->n == names->cap) {
		names->cap = names->cap ? 2 * names->cap : 16;
		names->items = xrealloc_array(names->items, names->cap, sizeof(*names->items));
	}
	item.name = xstrdup(line);
	names->items[names->n++] = item;
}

static int by_name(const void *a, const void *b)
{
	const struct dns_name *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : memcmp(x->address.bytes, y->address.bytes, sizeof(x->address.bytes));
}

void dns_names_add(struct dns_names *names, const char *text, size_t len)
{
	cleanup(free) char *copy = xstrndup(text, len);
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_line(names, line);
	if (names->n)
		qsort(names->items, names->n, sizeof(*names->items), by_name);
}

void dns_names_set_files(struct dns_names *names, char *const *paths)
{
	clear(names);
	strv_free(names->paths);
	free(names->sources);
	names->paths = strv_copy(paths);
	names->sources = xcalloc(strv_len(paths) + 1, sizeof(*names->sources));
}

static bool has_changed(struct dns_names *names)
{
	bool changed = false;

	for (size_t i = 0; names->paths && names->paths[i]; i++) {
		struct source now = { 0 }, *was = &names->sources[i];
		struct stat st;
		if (stat(names->paths[i], &st) == 0)
			now = (struct source){ st.st_mtim, st.st_ino, st.st_size };
		changed |= now.ino != was->ino || now.size != was->size ||
			   now.changed.tv_sec != was->changed.tv_sec ||
			   now.changed.tv_nsec != was->changed.tv_nsec;
		*was = now;
	}
	return changed;
}

void dns_names_refresh(struct dns_names *names)
{
	if (!has_changed(names))
		return;
	clear(names);
	strv_foreach (path, names->paths) {
		cleanup(buf_free) struct buf text = { 0 };
		if (file_read(AT_FDCWD, *path, FILE_MAX_BYTES, &text) == 0)
			dns_names_add(names, text.data, text.len);
	}
}

/* The first item that is not below name. */
static size_t lower_bound(const struct dns_names *names, const char *name)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(names->items[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool dns_names_find(
	const struct dns_names *names, const char *name, const struct dns_name **ret, size_t *ret_n)
{
	size_t first = lower_bound(names, name), last = first;

	while (last < names->n && strcmp(names->items[last].name, name) == 0)
		last++;
	if (last == first)
		return false;
	*ret = names->items + first;
	*ret_n = last - first;
	return true;
}

const char *dns_names_reverse(const struct dns_names *names, const struct dns_address *address)
{
	for (size_t i = 0; i < names->n; i++) {
		const struct dns_address *a = &names->items[i].address;
		if (a->is_v6 == address->is_v6 && memcmp(a->bytes, address->bytes, 16) == 0)
			return names->items[i].name;
	}
	return NULL;
}

unsigned dns_names_turn(struct dns_names *names)
{
	return names->turn++;
}
