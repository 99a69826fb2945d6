#include "compose/node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/record.h"
#include "base/strv.h"

struct node *node_new(enum node_kind kind, const struct node *at)
{
	struct node *n = xnew(struct node);

	n->kind = kind;
	if (at) {
		n->file = at->file;
		n->line = at->line;
	}
	return n;
}

struct node *node_string(const char *text, const struct node *at)
{
	struct node *n = node_new(NODE_STRING, at);

	n->text = xstrdup(text);
	return n;
}

static void clear(struct node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		node_free(n->items[i]);
		if (n->keys)
			free(n->keys[i]);
	}
	free(n->items);
	free(n->keys);
	free(n->text);
	n->items = NULL;
	n->keys = NULL;
	n->text = NULL;
	n->n = 0;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	clear(n);
	free(n);
}

static void append(struct node *n, const char *key, struct node *item)
{
	/* By doubling: files of a hundred thousand members are read in good time. */
	if ((n->n & (n->n - 1)) == 0) {
		size_t cap = n->n ? 2 * n->n : 1;
		n->items = xrealloc_array(n->items, cap, sizeof(struct node *));
		if (key)
			n->keys = xrealloc_array(n->keys, cap, sizeof(char *));
	}
	if (key)
		n->keys[n->n] = xstrdup(key);
	n->items[n->n++] = item;
}

struct node *node_copy(const struct node *n)
{
	struct node *copy = node_new(n->kind, n);

	copy->tag = n->tag;
	copy->text = xstrdup_null(n->text);
	for (size_t i = 0; i < n->n; i++)
		append(copy, n->keys ? n->keys[i] : NULL, node_copy(n->items[i]));
	return copy;
}

void node_become(struct node *n, enum node_kind kind)
{
	clear(n);
	n->kind = kind;
}

void node_set_text(struct node *n, enum node_kind kind, const char *text)
{
	char *copy = xstrdup(text); /* it may be n's own */

	node_become(n, kind);
	n->text = copy;
}

void node_replace(struct node *n, struct node *from)
{
	enum node_tag tag = n->tag;

	clear(n);
	*n = *from;
	n->tag = tag;
	free(from);
}

bool node_scalar(const struct node *n)
{
	return n->kind > NODE_NULL && n->kind <= NODE_STRING;
}

void node_add(struct node *list, struct node *item)
{
	append(list, NULL, item);
}

static ssize_t find(const struct node *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->keys[i], key) == 0)
			return (ssize_t)i;
	return -1;
}

void node_remove(struct node *n, size_t i)
{
	node_free(n->items[i]);
	memmove(n->items + i, n->items + i + 1, (n->n - i - 1) * sizeof(*n->items));
	if (n->keys) {
		free(n->keys[i]);
		memmove(n->keys + i, n->keys + i + 1, (n->n - i - 1) * sizeof(*n->keys));
	}
	n->n--;
	/* append() grows at powers of two, for which there must be room up to the next. */
	if (n->n == 0) {
		free(n->items);
		free(n->keys);
		n->items = NULL;
		n->keys = NULL;
	}
}

void node_set(struct node *map, const char *key, struct node *item)
{
	ssize_t i = find(map, key);

	if (i >= 0 && item) {
		node_free(map->items[i]);
		map->items[i] = item;
	} else if (i >= 0) {
		node_remove(map, (size_t)i);
	} else if (item) {
		append(map, key, item);
	}
}

void node_set_string(struct node *map, const char *key, const char *text, const struct node *at)
{
	node_set(map, key, node_string(text, at));
}

struct node *node_get(const struct node *n, const char *key)
{
	ssize_t i = n && n->kind == NODE_MAP ? find(n, key) : -1;

	return i >= 0 && n->items[i]->kind != NODE_NULL ? n->items[i] : NULL;
}

struct node *node_at(const struct node *n, const char *path)
{
	cleanup(strv_free) char **parts = strv_split(path, '.');
	const struct node *at = n;

	for (char **part = parts; at && *part; part++)
		at = node_get(at, *part);
	return (struct node *)at;
}

const char *node_text(const struct node *n, const char *path)
{
	const struct node *at = node_at(n, path);

	return at ? at->text : NULL;
}

int64_t node_int(const struct node *n, const char *path, int64_t absent)
{
	const char *text = node_text(n, path);
	int64_t v = absent;

	if (text)
		parse_i64(text, INT64_MIN, INT64_MAX, &v);
	return v;
}

bool node_bool(const struct node *n, const char *path)
{
	const char *text = node_text(n, path);
	bool v = false;

	if (text)
		parse_bool(text, &v);
	return v;
}

void node_to_map(const struct node *n, char ***map)
{
	for (size_t i = 0; n && i < n->n; i++)
		map_set(map, n->keys[i], n->items[i]->text ?: "");
}

char **node_strv(const struct node *n)
{
	char **v = NULL;

	if (n && node_scalar(n))
		strv_add(&v, n->text);
	for (size_t i = 0; n && i < n->n; i++) {
		const struct node *item = n->items[i];
		if (n->kind == NODE_LIST && item->text)
			strv_add(&v, item->text);
		else if (n->kind == NODE_MAP && item->text)
			strv_addf(&v, "%s=%s", n->keys[i], item->text);
		else if (n->kind == NODE_MAP && item->kind == NODE_NULL)
			strv_add(&v, n->keys[i]);
	}
	return v;
}

int node_err(
	const struct node *n, struct err *err, int code, const char *what, const char *fmt, ...)
{
	char text[384], where[128] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n && n->file)
		snprintf(where, sizeof(where), "%s:%d: ", n->file, n->line);
	return err_set(err, code, "%s%s%s%s", where, what ? what : "", what ? ": " : "", text);
}

static json_t *scalar_json(const struct node *n)
{
	int64_t i;
	double d;
	bool b;

	if (n->kind == NODE_BOOL && parse_bool(n->text, &b) == 0)
		return json_boolean(b);
	if (n->kind == NODE_INT && parse_i64(n->text, INT64_MIN, INT64_MAX, &i) == 0)
		return json_integer(i);
	if (n->kind == NODE_FLOAT && parse_double(n->text, &d) == 0)
		return json_real(d);
	return json_shown(n->text);
}

json_t *node_json(const struct node *n)
{
	json_t *j;

	if (n->kind == NODE_NULL)
		return json_null();
	if (node_scalar(n))
		return scalar_json(n);
	j = n->kind == NODE_MAP ? json_object() : json_array();
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == NODE_MAP)
			json_object_set_new(j, n->keys[i], node_json(n->items[i]));
		else
			json_array_append_new(j, node_json(n->items[i]));
	}
	return j;
}

void node_warn(const struct node *n, const char *what, const char *text)
{
	struct err err = { 0 };

	node_err(n, &err, EINVAL, what, "%s", text);
	log_warn("%s", err.text);
}
