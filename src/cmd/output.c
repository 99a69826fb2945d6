/* Tables, JSON lines and templates from the same rows; see output.h. */
#include "cmd/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/template.h"

#define PADDING 3    /* spaces between columns, as Docker */
#define MIN_WIDTH 10 /* of a column with its padding */

static bool is_last(const struct output_column *c)
{
	return !c->title || !*c->title;
}

bool output_is_table(const char *format)
{
	return !format || !*format || strcmp(format, "table") == 0;
}

static void print_json_line(json_t *j)
{
	cleanup(free) char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	puts(text ? text : "null");
}

/* Columns on a terminal: UTF-8 characters, taken as one column each. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Rows hold text from images: nothing of it may move a terminal's cursor. */
static void add_plain(struct buf *b, const char *s, size_t len)
{
	for (; len; s++, len--)
		buf_addc(b, (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
}

static char *cell_text(json_t *value)
{
	cleanup(buf_free) struct buf raw = { 0 };
	struct buf b = { 0 };
	json_t *item;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach (value, i, item) {
			buf_adds(&raw, i ? "," : "");
			template_text(item, &raw);
		}
	} else if (value && !json_is_null(value)) {
		template_text(value, &raw);
	}
	add_plain(&b, raw.data ? raw.data : "", raw.len);
	return buf_detach(&b);
}

/* lines: one string vector a line. */
static void print_aligned(char ***lines, size_t n_lines)
{
	size_t n_columns = 0, *widths;

	for (size_t i = 0; i < n_lines; i++)
		if (strv_len(lines[i]) > n_columns)
			n_columns = strv_len(lines[i]);
	widths = xcalloc(n_columns + 1, sizeof(*widths));
	for (size_t i = 0; i < n_lines; i++) {
		for (size_t c = 0; lines[i] && lines[i][c]; c++) {
			size_t w = text_width(lines[i][c]) + PADDING;
			w = w < MIN_WIDTH ? MIN_WIDTH : w;
			widths[c] = w > widths[c] ? w : widths[c];
		}
	}
	for (size_t i = 0; i < n_lines; i++) {
		for (size_t c = 0; lines[i] && lines[i][c]; c++) {
			const char *s = lines[i][c];
			fputs(s, stdout);
			if (lines[i][c + 1])
				printf("%*s", (int)(widths[c] - text_width(s)), "");
		}
		putchar('\n');
	}
	free(widths);
}

static void free_lines(char ***lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strv_free(lines[i]);
	free(lines);
}

static bool is_shown(const struct output_column *c, json_t *rows)
{
	return !c->optional || json_object_get(json_array_get(rows, 0), c->member);
}

static void print_table(const struct output_column *columns, json_t *rows)
{
	size_t n = json_array_size(rows) + 1;
	char ***lines = xcalloc(n, sizeof(*lines));

	for (const struct output_column *c = columns; !is_last(c); c++) {
		if (!is_shown(c, rows))
			continue;
		strv_add(&lines[0], c->title);
		for (size_t i = 1; i < n; i++) {
			json_t *row = json_array_get(rows, i - 1);
			cleanup(free) char *text = cell_text(json_object_get(row, c->member));
			strv_add(&lines[i], text);
		}
	}
	print_aligned(lines, n);
	free_lines(lines, n);
}

/* \t and \n as people write them between single quotes. */
static char *unescape(const char *s)
{
	struct buf b = { 0 };

	for (; *s; s++) {
		if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n'))
			buf_addc(&b, *++s == 't' ? '\t' : '\n');
		else
			buf_addc(&b, *s);
	}
	return buf_detach(&b);
}

static int compile(const char *format, struct template **ret, struct err *err)
{
	cleanup(free) char *text = unescape(format);

	return template_parse(text, ret, err);
}

/* The row with "" for what the table knows and this row has not. */
static json_t *complete_row(const struct output_column *columns, json_t *row)
{
	json_t *full = json_copy(row);

	for (const struct output_column *c = columns; !is_last(c); c++)
		if (!json_object_get(full, c->member))
			json_object_set_new(full, c->member, json_string(""));
	return full;
}

/* A row that holds the titles: what "table TEMPLATE" prints above. */
static json_t *title_row(const struct output_column *columns, json_t *rows)
{
	json_t *titles = json_object();
	const char *key;
	json_t *value;

	json_object_foreach (json_array_get(rows, 0), key, value) {
		cleanup(free) char *title = xstrdup(key);
		for (char *p = title; *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
		json_object_set_new(titles, key, json_string(title));
	}
	for (const struct output_column *c = columns; !is_last(c); c++)
		json_object_set_new(titles, c->member, json_string(c->title));
	return titles;
}

static int add_line(const struct template *t, json_t *row, char ***ret, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	cleanup(strv_free) char **cells = NULL;
	int r = template_run(t, row, &b, err);

	if (r < 0)
		return r;
	cells = strv_split(b.data ? b.data : "", '\t');
	strv_foreach (cell, cells) {
		struct buf plain = { 0 };
		cleanup(free) char *text = NULL;
		add_plain(&plain, *cell, strlen(*cell));
		text = buf_detach(&plain);
		strv_add(ret, text);
	}
	return 0;
}

static int print_template_table(
	const struct output_column *columns, json_t *rows, const char *format, struct err *err)
{
	cleanup(template_free) struct template *t = NULL;
	cleanup(json_free) json_t *titles = title_row(columns, rows);
	size_t n = json_array_size(rows) + 1;
	char ***lines;
	int r = compile(format, &t, err);

	if (r < 0)
		return r;
	lines = xcalloc(n, sizeof(*lines));
	r = add_line(t, titles, &lines[0], err);
	for (size_t i = 1; i < n && r == 0; i++) {
		cleanup(json_free) json_t *row = complete_row(columns, json_array_get(rows, i - 1));
		r = add_line(t, row, &lines[i], err);
	}
	if (r == 0)
		print_aligned(lines, n);
	free_lines(lines, n);
	return r;
}

/* All or nothing: a template that fails at the third row prints nothing. */
static int print_template(
	const struct output_column *columns, json_t *rows, const char *format, struct err *err)
{
	cleanup(template_free) struct template *t = NULL;
	cleanup(buf_free) struct buf b = { 0 };
	json_t *item;
	size_t i;
	int r = compile(format, &t, err);

	if (r < 0)
		return r;
	json_array_foreach (rows, i, item) {
		cleanup(json_free) json_t *row =
			columns ? complete_row(columns, item) : json_incref(item);
		r = template_run(t, row, &b, err);
		if (r < 0)
			return r;
		buf_addc(&b, '\n');
	}
	if (b.len)
		fwrite(b.data, 1, b.len, stdout);
	return 0;
}

int output_rows(const struct output_column *columns, json_t *rows, const char *format,
	const char *quiet_member, bool quiet, struct err *err)
{
	json_t *row;
	size_t i;

	if (quiet && quiet_member && output_is_table(format)) {
		json_array_foreach (rows, i, row) {
			cleanup(free) char *text = cell_text(json_object_get(row, quiet_member));
			puts(text);
		}
		return 0;
	}
	if (output_is_table(format)) {
		print_table(columns, rows);
		return 0;
	}
	if (strcmp(format, "json") == 0) {
		json_array_foreach (rows, i, row)
			print_json_line(row);
		return 0;
	}
	if (strncmp(format, "table", 5) == 0 && (format[5] == ' ' || format[5] == '\t'))
		return print_template_table(
			columns, rows, format + 6 + strspn(format + 6, " "), err);
	return print_template(columns, rows, format, err);
}

int output_object(json_t *object, const char *format, struct err *err)
{
	cleanup(json_free) json_t *one = NULL;

	if (strcmp(format, "json") == 0) {
		print_json_line(object);
		return 0;
	}
	one = json_array();
	json_array_append(one, object);
	return print_template(NULL, one, format, err);
}

int output_inspect(json_t *items, const char *format, struct err *err)
{
	cleanup(free) char *text = NULL;

	if (output_is_table(format)) {
		text = json_dumps(items, JSON_INDENT(4));
		puts(text ? text : "[]");
		return 0;
	}
	if (strcmp(format, "json") == 0) {
		print_json_line(items);
		return 0;
	}
	return print_template(NULL, items, format, err);
}

int output_inspect_each(struct cmd_call *call, const char *format,
	json_t *(*show)(struct db *db, const char *name, struct err *err))
{
	cleanup(json_free) json_t *items = json_array();
	struct err err = { 0 };
	struct db *db = cmd_db(&err);
	int status = 0;

	if (!db)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < call->n_args; i++) {
		json_t *item = show(db, call->args[i], &err);
		if (item)
			json_array_append_new(items, item);
		else
			status = cmd_fail(&err, 1);
	}
	/* Docker prints the list also when it is empty. */
	if (output_inspect(items, format, &err) < 0)
		return cmd_fail(&err, 1);
	return status;
}
