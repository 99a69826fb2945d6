/* The functions of --format's templates, and how values become text and truth. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/template_tree.h"

#define PAD_MAX 1024 /* columns that pad and printf may ask for */

static json_t *fail(struct err *err, const char *function, const char *what)
{
	err_set(err, EINVAL, "template: %s: %s", function, what);
	return NULL;
}

bool template_true(json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return json_object_size(v) > 0;
	case JSON_ARRAY:
		return json_array_size(v) > 0;
	case JSON_STRING:
		return json_string_length(v) > 0;
	case JSON_INTEGER:
		return json_integer_value(v) != 0;
	case JSON_REAL:
		return json_real_value(v) != 0;
	default:
		return json_is_true(v);
	}
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **template_keys(json_t *object)
{
	size_t n = json_object_size(object), i = 0;
	char **keys = xcalloc(n + 1, sizeof(*keys));
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value)
		keys[i++] = (char *)key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	return keys;
}

static void object_text(json_t *v, struct buf *out)
{
	cleanup(free) char **keys = template_keys(v);
	size_t n = json_object_size(v);

	buf_adds(out, "map[");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "%s%s:", i ? " " : "", keys[i]);
		template_text(json_object_get(v, keys[i]), out);
	}
	buf_addc(out, ']');
}

void template_text(json_t *v, struct buf *out)
{
	size_t i;
	json_t *item;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		object_text(v, out);
		break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		json_array_foreach (v, i, item) {
			buf_adds(out, i ? " " : "");
			template_text(item, out);
		}
		buf_addc(out, ']');
		break;
	case JSON_STRING:
		buf_add(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		buf_addf(out, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		buf_addf(out, "%g", json_real_value(v));
		break;
	case JSON_NULL:
		buf_adds(out, "<no value>");
		break;
	default:
		buf_adds(out, json_is_true(v) ? "true" : "false");
	}
}

static char *text_of(json_t *v)
{
	struct buf b = { 0 };

	template_text(v, &b);
	return buf_detach(&b);
}

static json_t *call_json(json_t *const *args, size_t n, struct err *err)
{
	cleanup(free) char *text = json_dumps(args[0], JSON_COMPACT | JSON_ENCODE_ANY);

	return text ? json_string(text) : fail(err, "json", "value cannot be shown");
}

/* Where an absent key's value is the empty string (Go's zero value), not nothing. */
static bool is_map_of_strings(json_t *map)
{
	json_t *any = json_object_iter_value(json_object_iter(map));

	return !any || json_is_string(any);
}

static json_t *call_index(json_t *const *args, size_t n, struct err *err)
{
	json_t *v = args[0];

	for (size_t i = 1; i < n && v && !json_is_null(v); i++) {
		json_int_t at = json_integer_value(args[i]);
		if (json_is_object(v)) {
			if (!json_is_string(args[i]))
				return fail(err, "index", "the key must be a string");
			if (i == n - 1 && is_map_of_strings(v) &&
				!json_object_get(v, json_string_value(args[i])))
				return json_string("");
			v = json_object_get(v, json_string_value(args[i]));
		} else if (json_is_array(v)) {
			if (!json_is_integer(args[i]))
				return fail(err, "index", "the index of a list must be a number");
			if (at < 0 || (size_t)at >= json_array_size(v))
				return fail(err, "index", "the list is shorter than that");
			v = json_array_get(v, (size_t)at);
		} else {
			return fail(err, "index", "neither a list nor a map");
		}
	}
	return v ? json_incref(v) : json_null();
}

/* Of "a=b,c=d", the text that rows show. */
static json_t *call_label(json_t *const *args, size_t n, struct err *err)
{
	const char *key = json_string_value(args[1]);
	const char *text = json_string_value(json_object_get(args[0], "Labels"));
	size_t len = key ? strlen(key) : 0;

	(void)n;
	if (!key)
		return fail(err, "Label", "the key must be a string");
	while (text && *text) {
		size_t item = strcspn(text, ",");
		if (item > len && strncmp(text, key, len) == 0 && text[len] == '=')
			return json_stringn(text + len + 1, item - len - 1);
		text += item + (text[item] == ',');
	}
	return json_string("");
}

static json_t *call_len(json_t *const *args, size_t n, struct err *err)
{
	switch (json_typeof(args[0])) {
	case JSON_OBJECT:
		return json_integer((json_int_t)json_object_size(args[0]));
	case JSON_ARRAY:
		return json_integer((json_int_t)json_array_size(args[0]));
	case JSON_STRING:
		return json_integer((json_int_t)json_string_length(args[0]));
	case JSON_NULL:
		return json_integer(0);
	default:
		return fail(err, "len", "the value has no length");
	}
}

/* slice X [FROM [TO]]: of a string or a list. */
static json_t *call_slice(json_t *const *args, size_t n, struct err *err)
{
	json_t *v = args[0], *list;
	size_t len = json_is_string(v) ? json_string_length(v) : json_array_size(v);
	json_int_t from = n > 1 ? json_integer_value(args[1]) : 0;
	json_int_t to = n > 2 ? json_integer_value(args[2]) : (json_int_t)len;

	if (!json_is_string(v) && !json_is_array(v))
		return fail(err, "slice", "neither a string nor a list");
	if (from < 0 || to < from || (size_t)to > len)
		return fail(err, "slice", "it is shorter than that");
	if (json_is_string(v))
		return json_stringn_nocheck(json_string_value(v) + from, (size_t)(to - from));
	list = json_array();
	for (json_int_t i = from; i < to; i++)
		json_array_append(list, json_array_get(v, (size_t)i));
	return list;
}

static json_t *call_join(json_t *const *args, size_t n, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	json_t *item;
	size_t i;

	if (!json_is_array(args[0]) || !json_is_string(args[1]))
		return fail(err, "join", "takes a list and a string");
	json_array_foreach (args[0], i, item) {
		if (i)
			buf_adds(&b, json_string_value(args[1]));
		template_text(item, &b);
	}
	return json_string(b.data ? b.data : "");
}

static json_t *call_split(json_t *const *args, size_t n, struct err *err)
{
	const char *s = json_string_value(args[0]), *sep = json_string_value(args[1]), *p;
	json_t *list;

	if (!s || !sep || !*sep)
		return fail(err, "split", "takes a string and a separator");
	list = json_array();
	for (; (p = strstr(s, sep)); s = p + strlen(sep))
		json_array_append_new(list, json_stringn_nocheck(s, (size_t)(p - s)));
	json_array_append_new(list, json_string_nocheck(s));
	return list;
}

static json_t *map_letters(json_t *v, int (*fn)(int))
{
	cleanup(free) char *s = text_of(v);

	for (char *p = s; *p; p++)
		if ((unsigned char)*p < 0x80)
			*p = (char)fn((unsigned char)*p);
	return json_string_nocheck(s);
}

static json_t *call_upper(json_t *const *args, size_t n, struct err *err)
{
	return map_letters(args[0], toupper);
}

static json_t *call_lower(json_t *const *args, size_t n, struct err *err)
{
	return map_letters(args[0], tolower);
}

static json_t *call_title(json_t *const *args, size_t n, struct err *err)
{
	cleanup(free) char *s = text_of(args[0]);

	for (char *p = s; *p; p++)
		if (p == s || p[-1] == ' ')
			*p = (char)toupper((unsigned char)*p);
	return json_string_nocheck(s);
}

static json_t *call_truncate(json_t *const *args, size_t n, struct err *err)
{
	cleanup(free) char *s = text_of(args[0]);
	json_int_t max = json_integer_value(args[1]);

	if (!json_is_integer(args[1]) || max < 0)
		return fail(err, "truncate", "takes a string and a length");
	if ((size_t)max < strlen(s)) {
		/* Not in the middle of a character. */
		while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
			max--;
		s[max] = '\0';
	}
	return json_string_nocheck(s);
}

static json_t *call_pad(json_t *const *args, size_t n, struct err *err)
{
	cleanup(free) char *s = text_of(args[0]), *padded = NULL;
	json_int_t before = json_integer_value(args[1]), after = json_integer_value(args[2]);

	if (before < 0 || after < 0 || before > PAD_MAX || after > PAD_MAX)
		return fail(err, "pad", "takes a string and two counts of spaces");
	padded = xasprintf("%*s%s%*s", (int)before, "", s, (int)after, "");
	return json_string_nocheck(padded);
}

static json_t *call_print(json_t *const *args, size_t n, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		/* Go's rule: a space between two values of which neither is a string. */
		if (i && !json_is_string(args[i]) && !json_is_string(args[i - 1]))
			buf_addc(&b, ' ');
		template_text(args[i], &b);
	}
	return json_string_nocheck(b.data ? b.data : "");
}

static json_t *call_println(json_t *const *args, size_t n, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? " " : "");
		template_text(args[i], &b);
	}
	buf_addc(&b, '\n');
	return json_string_nocheck(b.data);
}

/* One %-12.5s of printf; *p is behind the percent sign. */
static int format_one(const char **p, json_t *arg, struct buf *out)
{
	bool left = **p == '-', quoted;
	cleanup(free) char *text = NULL;
	long width, precision = -1;
	char *end;

	*p += strspn(*p, "-+ ");
	width = strtol(*p, &end, 10);
	if (*end == '.')
		precision = strtol(end + 1, &end, 10);
	*p = end + 1;
	if (!*end || !strchr("svdqt", *end) || !arg || width > PAD_MAX || width < 0)
		return -EINVAL;
	quoted = *end == 'q';
	text = quoted ? json_dumps(arg, JSON_ENCODE_ANY | JSON_COMPACT) : text_of(arg);
	if (precision < 0 || precision > PAD_MAX)
		precision = INT32_MAX;
	buf_addf(out, left ? "%-*.*s" : "%*.*s", (int)width, (int)precision, text ? text : "");
	return 0;
}

static json_t *call_printf(json_t *const *args, size_t n, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	const char *p = json_string_value(args[0]);
	size_t used = 1;

	if (!p)
		return fail(err, "printf", "the format must be a string");
	while (*p) {
		char c = *p++;
		if (c != '%' || *p == '%') {
			buf_addc(&b, c);
			p += c == '%';
			continue;
		}
		if (format_one(&p, used < n ? args[used] : NULL, &b) < 0)
			return fail(err, "printf",
				"the format and the values do not match (%s %v %d %q are known)");
		used++;
	}
	return used == n ? json_string_nocheck(b.data ? b.data : "")
			 : fail(err, "printf", "more values than the format takes");
}

static json_t *call_eq(json_t *const *args, size_t n, struct err *err)
{
	for (size_t i = 1; i < n; i++)
		if (json_equal(args[0], args[i]))
			return json_true();
	return json_false();
}

static json_t *call_ne(json_t *const *args, size_t n, struct err *err)
{
	return json_boolean(!json_equal(args[0], args[1]));
}

/* -1, 0, 1; 2 when they cannot be compared. */
static int compare(json_t *a, json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) {
		double x = json_number_value(a), y = json_number_value(b);
		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b)) {
		int c = strcmp(json_string_value(a), json_string_value(b));
		return (c > 0) - (c < 0);
	}
	return 2;
}

#define COMPARISON(name_, condition_) \
	static json_t *call_##name_(json_t *const *args, size_t n, struct err *err) \
	{ \
		int c = compare(args[0], args[1]); \
		return c == 2 ? fail(err, #name_, "takes two numbers or two strings") \
			      : json_boolean(condition_); \
	}
COMPARISON(lt, c < 0)
COMPARISON(le, c <= 0)
COMPARISON(gt, c > 0)
COMPARISON(ge, c >= 0)

static json_t *call_and(json_t *const *args, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!template_true(args[i]))
			return json_incref(args[i]);
	return json_incref(args[n - 1]);
}

static json_t *call_or(json_t *const *args, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (template_true(args[i]))
			return json_incref(args[i]);
	return json_incref(args[n - 1]);
}

static json_t *call_not(json_t *const *args, size_t n, struct err *err)
{
	return json_boolean(!template_true(args[0]));
}

static const struct function {
	const char *name;
	size_t min, max;
	json_t *(*fn)(json_t *const *args, size_t n, struct err *err);
} functions[] = {
	{ "and", 1, 16, call_and },
	{ "eq", 2, 16, call_eq },
	{ "ge", 2, 2, call_ge },
	{ "gt", 2, 2, call_gt },
	{ "index", 1, 16, call_index },
	{ "join", 2, 2, call_join },
	{ "json", 1, 1, call_json },
	{ "label", 2, 2, call_label },
	{ "le", 2, 2, call_le },
	{ "len", 1, 1, call_len },
	{ "lower", 1, 1, call_lower },
	{ "lt", 2, 2, call_lt },
	{ "ne", 2, 2, call_ne },
	{ "not", 1, 1, call_not },
	{ "or", 1, 16, call_or },
	{ "pad", 3, 3, call_pad },
	{ "print", 0, 16, call_print },
	{ "printf", 1, 16, call_printf },
	{ "println", 0, 16, call_println },
	{ "slice", 1, 3, call_slice },
	{ "split", 2, 2, call_split },
	{ "title", 1, 1, call_title },
	{ "truncate", 2, 2, call_truncate },
	{ "upper", 1, 1, call_upper },
};

static const struct function *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (strcmp(functions[i].name, name) == 0)
			return &functions[i];
	return NULL;
}

bool template_function_known(const char *name)
{
	return find(name) != NULL;
}

json_t *template_call(const char *name, json_t *const *args, size_t n, struct err *err)
{
	const struct function *f = find(name);

	if (n < f->min)
		return fail(err, name, "too few arguments");
	if (n > f->max)
		return fail(err, name, "too many arguments");
	return f->fn(args, n, err);
}
