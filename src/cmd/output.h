#pragma once
/*
 * What verbs print: tables and JSON from the same rows. A row is a JSON object with Docker's member
 * names ("ID", "Names", "Image"), so that --format json and templates match what people have scripted.
 *
 * --format: "table" (the default), "json" (one object a line), "table {{.X}}\t{{.Y}}", or a template
 * in the part of Go's language that people use: {{.A.B}}, {{json .X}}, {{index .X "k"}}, {{len .X}},
 * {{join .X ","}}, {{upper}}/{{lower}}, {{range}}...{{end}}, {{if}}/{{else}}/{{end}}, {{println}},
 * with \n and \t in text.
 */
#include <stdbool.h>

#include "base/json.h"

struct output_column {
	const char *title;  /* "CONTAINER ID"; an empty title ends the list */
	const char *member; /* "ID" */
	bool optional;      /* only printed when the rows have it (--size) */
};

/* rows: a JSON array, borrowed. quiet: only `quiet_member` of each, one a line. */
int output_rows(const struct output_column *columns, json_t *rows, const char *format,
	const char *quiet_member, bool quiet, struct err *err);
/* info, version: one object, as a line of JSON or a template. */
int output_object(json_t *object, const char *format, struct err *err);
/* Whether --format asks for the verb's own way of printing: absent, empty, or "table". */
bool output_is_table(const char *format);
/* inspect: a JSON array pretty-printed, or a template applied to each item. */
int output_inspect(json_t *items, const char *format, struct err *err);

/* A noun's `inspect`: shows each argument, printing the errors of those that are not there and going on.
 * show: the caller owns what it returns; NULL is an error. The exit status. */
struct cmd_call;
struct db;
int output_inspect_each(struct cmd_call *call, const char *format,
	json_t *(*show)(struct db *db, const char *name, struct err *err));

/* --filter KEY=VALUE arguments, against the keys that a verb knows. */
int filter_check(char *const *filters, const char *const *known, struct err *err);
/* Whether value passes every filter of this key (several of one key: any of them). "id" matches
 * by its beginning, "name" as an extended regular expression anywhere, the others as a whole. */
bool filter_match(char *const *filters, const char *key, const char *value);
/* label=k, label=k=v against a RECORD_MAP: all of them; label!=k excludes. */
bool filter_labels(char *const *filters, char *const *labels);

/* A line on a terminal that is rewritten: "unpacking debian:12  42 MiB". Nothing when stderr is no
 * terminal, nothing before a second has passed. */
void progress_show(const char *fmt, ...) printf_like(1, 2);
void progress_end(void);
/* [y/N] on the terminal: 1 for yes, 0 for no; 1 at once with force; -ENOTTY without a terminal. */
int output_confirm(bool force, const char *question, struct err *err);
