#pragma once
/*
 * The part of Go's text/template that people use with --format, over JSON values: fields and
 * variables, pipelines, parentheses, if, with, range, else, and functions (see template.c's table).
 * A template comes from the user's own command line, the values from anywhere.
 */
#include <stdbool.h>

#include "base/json.h"

struct template;

/* One line that says what is wrong with it. The caller frees. */
int template_parse(const char *text, struct template **ret, struct err *err);
void template_free(struct template *t);
DEFINE_CLEANUP(template_free, struct template *);

/* Adds the result to out. A missing member that is spelled like one of ours ("Foo") is an error which
 * names those that are there; missing keys of maps give "<no value>". */
int template_run(const struct template *t, json_t *value, struct buf *out, struct err *err);

/* A value as Go's %v shows it, with "<no value>" for null. */
void template_text(json_t *value, struct buf *out);
