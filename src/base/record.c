#include "base/record.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"

#define MAX_ITEMS 65536

static int parse_value(const struct record_field *f, json_t *j, void *at, struct err *err);

static int wrong(const struct record_field *f, const char *expected, json_t *got, struct err *err)
{
	static const char *const names[] = { "an object", "an array", "a string", "an integer",
		"a real number", "true", "false", "null" };

	return err_set(
		err, EINVAL, "%s: expected %s, not %s", f->name, expected, names[json_typeof(got)]);
}

/* Puts the place before what is there: "user" + "uid: missing" is "user.uid: missing". */
static int within(struct err *err, const char *fmt, ...) printf_like(2, 3);
static int within(struct err *err, const char *fmt, ...)
{
	char place[128];
	struct err inner;
	va_list ap;

	if (!err)
		return -EINVAL;
	inner = *err;
	va_start(ap, fmt);
	vsnprintf(place, sizeof(place), fmt, ap);
	va_end(ap);
	return err_set(err, inner.code, "%s.%s", place, inner.text);
}

static int parse_integer(const struct record_field *f, json_t *j, void *at, struct err *err)
{
	bool is_u64 = f->type == RECORD_U64 || f->type == RECORD_U64P;
	bool is_unsigned = is_u64 || f->type == RECORD_U32;
	bool fits = json_is_integer(j); /* in int64_t */
	uint64_t big = 0;
	int64_t v;

	if (!fits && !json_get_u64(j, &big))
		return wrong(f, is_unsigned ? "an unsigned integer" : "an integer", j, err);
	v = fits ? json_integer_value(j) : (int64_t)big;
	if (fits && is_unsigned && v < 0)
		return err_set(err, EINVAL, "%s: %lld is negative", f->name, (long long)v);
	if ((!fits && !is_u64) || (f->type == RECORD_U32 && v > UINT32_MAX))
		return err_set(
			err, EINVAL, "%s: %llu is too large", f->name, (unsigned long long)v);
	if (f->type == RECORD_U32) {
		*(uint32_t *)at = (uint32_t)v;
	} else if (f->type == RECORD_I64 || f->type == RECORD_U64) {
		*(int64_t *)at = v;
	} else {
		*(int64_t **)at = xnew(int64_t);
		**(int64_t **)at = v;
	}
	return 0;
}

static int parse_time(const struct record_field *f, json_t *j, int64_t *at, struct err *err)
{
	if (!json_is_string(j))
		return wrong(f, "a time", j, err);
	if (strncmp(json_string_value(j), "0001-", 5) == 0)
		*at = 0;
	else if (time_parse(json_string_value(j), at) < 0)
		return err_set(err, EINVAL, "%s: '%s' is not an RFC 3339 time", f->name,
			json_string_value(j));
	return 0;
}

static void add_bytes(char ***v, const char *text)
{
	cleanup(free) char *s = json_to_bytes(text);

	strv_add(v, s);
}

static int parse_strv(const struct record_field *f, json_t *j, char ***at, struct err *err)
{
	cleanup(strv_free) char **v = NULL;
	size_t i;
	json_t *item;

	if (!json_is_array(j))
		return wrong(f, "an array of strings", j, err);
	if (json_array_size(j) > MAX_ITEMS)
		return err_set(err, E2BIG, "%s: more than %d items", f->name, MAX_ITEMS);
	json_array_foreach (j, i, item) {
		if (!json_is_string(item))
			return wrong(f, "an array of strings", item, err);
		add_bytes(&v, json_string_value(item));
	}
	*at = take(v);
	return 0;
}

static int parse_u32v(const struct record_field *f, json_t *j, struct u32v *at, struct err *err)
{
	size_t n = json_array_size(j), i;
	json_t *item;

	if (!json_is_array(j) || n > MAX_ITEMS)
		return wrong(f, "an array of unsigned integers", j, err);
	json_array_foreach (j, i, item)
		if (!json_is_integer(item) || json_integer_value(item) < 0 ||
			json_integer_value(item) > UINT32_MAX)
			return wrong(f, "an array of unsigned 32-bit integers", item, err);
	at->v = xcalloc(n, sizeof(*at->v));
	at->n = n;
	json_array_foreach (j, i, item)
		at->v[i] = (uint32_t)json_integer_value(item);
	return 0;
}

static int parse_map(const struct record_field *f, json_t *j, char ***at, struct err *err)
{
	cleanup(strv_free) char **v = NULL;
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return wrong(f, "an object of strings", j, err);
	if (json_object_size(j) > MAX_ITEMS)
		return err_set(err, E2BIG, "%s: more than %d items", f->name, MAX_ITEMS);
	json_object_foreach (j, key, item) {
		if (!json_is_string(item))
			return wrong(f, "an object of strings", item, err);
		strv_add(&v, key);
		add_bytes(&v, json_string_value(item));
	}
	*at = take(v);
	return 0;
}

static int parse_set(const struct record_field *f, json_t *j, char ***at, struct err *err)
{
	cleanup(strv_free) char **v = NULL;
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return wrong(f, "an object of empty objects", j, err);
	if (json_object_size(j) > MAX_ITEMS)
		return err_set(err, E2BIG, "%s: more than %d items", f->name, MAX_ITEMS);
	json_object_foreach (j, key, item) {
		if (!json_is_object(item) && !json_is_null(item))
			return wrong(f, "an object of empty objects", item, err);
		strv_add(&v, key);
	}
	*at = take(v);
	return 0;
}

static int parse_list(
	const struct record_field *f, json_t *j, struct record_list *at, struct err *err)
{
	size_t i;
	json_t *item;

	if (!json_is_array(j))
		return wrong(f, "an array", j, err);
	if (json_array_size(j) > MAX_ITEMS)
		return err_set(err, E2BIG, "%s: more than %d items", f->name, MAX_ITEMS);
	json_array_foreach (j, i, item) {
		if (!json_is_object(item))
			return err_set(err, EINVAL, "%s[%zu]: expected an object", f->name, i);
		if (record_parse(f->sub, item, record_list_add(at, f->sub_size), err) < 0)
			return within(err, "%s[%zu]", f->name, i);
	}
	return 0;
}

static int parse_nested(const struct record_field *f, json_t *j, void *at, struct err *err)
{
	if (f->type == RECORD_PTR) {
		*(void **)at = xcalloc(1, f->sub_size);
		at = *(void **)at;
	}
	if (!json_is_object(j))
		return wrong(f, "an object", j, err);
	return record_parse(f->sub, j, at, err) < 0 ? within(err, "%s", f->name) : 0;
}

static int parse_value(const struct record_field *f, json_t *j, void *at, struct err *err)
{
	switch (f->type) {
	case RECORD_STR:
		if (!json_is_string(j))
			return wrong(f, "a string", j, err);
		*(char **)at = json_to_bytes(json_string_value(j));
		return 0;
	case RECORD_BOOL:
	case RECORD_BOOLP:
		if (!json_is_boolean(j))
			return wrong(f, "true or false", j, err);
		if (f->type == RECORD_BOOLP)
			at = *(bool **)at = xnew(bool);
		*(bool *)at = json_is_true(j);
		return 0;
	case RECORD_DBL:
		if (!json_is_number(j))
			return wrong(f, "a number", j, err);
		*(double *)at = json_number_value(j);
		return 0;
	case RECORD_TIME:
		return parse_time(f, j, at, err);
	case RECORD_STRV:
		return parse_strv(f, j, at, err);
	case RECORD_U32V:
		return parse_u32v(f, j, at, err);
	case RECORD_SET:
		return parse_set(f, j, at, err);
	case RECORD_MAP:
		return parse_map(f, j, at, err);
	case RECORD_LIST:
		return parse_list(f, j, at, err);
	case RECORD_ONE:
	case RECORD_PTR:
		return parse_nested(f, j, at, err);
	case RECORD_JSON:
		*(json_t **)at = json_incref(j);
		return 0;
	default:
		return parse_integer(f, j, at, err);
	}
}

/* Most of those who read and write such documents are in Go, which passes over case. Not worth a search for
 * what may be absent. */
static json_t *find_required(json_t *j, const char *name)
{
	const char *key;
	json_t *v;

	json_object_foreach (j, key, v)
		if (strcasecmp(key, name) == 0 && !json_is_null(v))
			return v;
	return NULL;
}

int record_parse(const struct record_field *fields, json_t *j, void *obj, struct err *err)
{
	if (!json_is_object(j))
		return err_set(err, EINVAL, "expected an object");
	for (const struct record_field *f = fields; f->type; f++) {
		json_t *member = json_object_get(j, f->name);
		int r = 0;
		if ((!member || json_is_null(member)) && f->flags & RECORD_REQUIRED)
			member = find_required(j, f->name);
		if (member && !json_is_null(member))
			r = parse_value(f, member, (char *)obj + f->offset, err);
		else if (f->flags & RECORD_REQUIRED)
			r = err_set(err, EINVAL, "%s: missing", f->name);
		if (r < 0) {
			record_clear(fields, obj);
			return r;
		}
	}
	return 0;
}

static json_t *dump_strv(char *const *v)
{
	json_t *a = json_array();

	strv_foreach (s, v)
		json_array_append_new(a, json_from_bytes(*s));
	return a;
}

static json_t *dump_set(char *const *v)
{
	json_t *o = json_object();

	strv_foreach (s, v)
		json_object_set_new(o, *s, json_object());
	return o;
}

static json_t *dump_map(char *const *map)
{
	json_t *o = json_object();

	map_foreach (kv, map)
		json_object_set_new(o, kv[0], json_from_bytes(kv[1]));
	return o;
}

static json_t *dump_list(const struct record_field *f, const struct record_list *list)
{
	json_t *a = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(a, record_dump(f->sub, list->items[i]));
	return a;
}

static json_t *dump_u32v(const struct u32v *v)
{
	json_t *a = json_array();

	for (size_t i = 0; i < v->n; i++)
		json_array_append_new(a, json_integer(v->v[i]));
	return a;
}

static json_t *dump_time(int64_t ns)
{
	char text[TIME_LEN];

	time_format(ns, text);
	return json_string(text);
}

/* NULL when the value is absent. */
static json_t *dump_value(const struct record_field *f, const void *at, bool always)
{
	bool is_pointer = f->type != RECORD_BOOL && f->type != RECORD_U32;
	const void *p = is_pointer ? *(void *const *)at : NULL;

	switch (f->type) {
	case RECORD_STR:
		return p || always ? json_from_bytes(p ? p : "") : NULL;
	case RECORD_BOOL:
		return *(const bool *)at || always ? json_boolean(*(const bool *)at) : NULL;
	case RECORD_BOOLP:
		return p ? json_boolean(*(const bool *)p) : NULL;
	case RECORD_I64:
		return *(const int64_t *)at || always ? json_integer(*(const int64_t *)at) : NULL;
	case RECORD_U64:
		return *(const uint64_t *)at || always ? json_u64(*(const uint64_t *)at) : NULL;
	case RECORD_U32:
		return *(const uint32_t *)at || always ? json_integer(*(const uint32_t *)at) : NULL;
	case RECORD_U64P:
		return p ? json_u64(*(const uint64_t *)p) : NULL;
	case RECORD_I64P:
		return p ? json_integer(*(const int64_t *)p) : NULL;
	case RECORD_DBL:
		return *(const double *)at != 0 || always ? json_real(*(const double *)at) : NULL;
	case RECORD_TIME:
		return *(const int64_t *)at || always ? dump_time(*(const int64_t *)at) : NULL;
	case RECORD_STRV:
		return p || always ? dump_strv(p) : NULL;
	case RECORD_U32V:
		return p || always ? dump_u32v(at) : NULL;
	case RECORD_SET:
		return p || always ? dump_set(p) : NULL;
	case RECORD_MAP:
		return p || always ? dump_map(p) : NULL;
	case RECORD_ONE:
		return record_dump(f->sub, at);
	case RECORD_PTR:
		return p ? record_dump(f->sub, p) : NULL;
	case RECORD_LIST:
		return ((const struct record_list *)at)->n || always ? dump_list(f, at) : NULL;
	case RECORD_JSON:
		return p ? json_incref((json_t *)p) : NULL;
	case RECORD_STOP:
		break;
	}
	return NULL;
}

json_t *record_dump(const struct record_field *fields, const void *obj)
{
	json_t *j = json_object();

	for (const struct record_field *f = fields; f->type; f++) {
		bool always = f->flags & RECORD_ALWAYS;
		json_t *v = dump_value(f, (const char *)obj + f->offset, always);
		if (v && f->type == RECORD_ONE && !always && json_object_size(v) == 0)
			json_decref(v);
		else if (v)
			json_object_set_new(j, f->name, v);
	}
	return j;
}

static void list_clear(struct record_list *list, const struct record_field *sub)
{
	for (size_t i = 0; i < list->n; i++) {
		record_clear(sub, list->items[i]);
		free(list->items[i]);
	}
	free(list->items);
	*list = (struct record_list){ 0 };
}

static void clear_pointer(const struct record_field *f, void **at)
{
	switch (f->type) {
	case RECORD_STRV:
	case RECORD_SET:
	case RECORD_MAP:
		strv_free(*at);
		break;
	case RECORD_PTR:
		if (*at)
			record_clear(f->sub, *at);
		free(*at);
		break;
	case RECORD_JSON:
		json_decref(*at);
		break;
	default:
		free(*at);
	}
	*at = NULL;
}

void record_clear(const struct record_field *fields, void *obj)
{
	for (const struct record_field *f = fields; f->type; f++) {
		void *at = (char *)obj + f->offset;
		switch (f->type) {
		case RECORD_BOOL:
			*(bool *)at = false;
			break;
		case RECORD_U32:
			*(uint32_t *)at = 0;
			break;
		case RECORD_I64:
		case RECORD_U64:
		case RECORD_TIME:
		case RECORD_DBL:
			memset(at, 0, sizeof(int64_t));
			break;
		case RECORD_ONE:
			record_clear(f->sub, at);
			break;
		case RECORD_LIST:
			list_clear(at, f->sub);
			break;
		case RECORD_U32V:
			free(((struct u32v *)at)->v);
			*(struct u32v *)at = (struct u32v){ 0 };
			break;
		default:
			clear_pointer(f, at);
		}
	}
}

void *record_list_add(struct record_list *list, size_t item_size)
{
	if ((list->n & (list->n - 1)) == 0)
		list->items =
			xrealloc_array(list->items, list->n ? 2 * list->n : 1, sizeof(void *));
	return list->items[list->n++] = xcalloc(1, item_size);
}

void record_list_remove(struct record_list *list, size_t i, const struct record_field *item_fields)
{
	record_clear(item_fields, list->items[i]);
	free(list->items[i]);
	memmove(list->items + i, list->items + i + 1, (list->n - i - 1) * sizeof(void *));
	list->n--;
}

const char *map_get(char *const *map, const char *key)
{
	map_foreach (kv, map)
		if (strcmp(kv[0], key) == 0)
			return kv[1];
	return NULL;
}

void map_set(char ***map, const char *key, const char *value)
{
	char **at = NULL;

	for (char **kv = *map; kv && kv[0] && !at; kv += 2)
		if (strcmp(kv[0], key) == 0)
			at = kv;
	if (at && value) {
		str_replace(&at[1], value);
	} else if (at) {
		free(at[0]);
		free(at[1]);
		/* Pairs, and then the end: two places down. */
		do
			at[0] = at[2];
		while (*at++);
	} else if (value) {
		strv_add(map, key);
		strv_add(map, value);
	}
}
