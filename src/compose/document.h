#pragma once
/*
 * YAML text to nodes, and back. Foreign bytes: bounded in size, depth, members of a map and nodes, with
 * what aliases and merge keys copy counted (an alias is copied where it stands). Tags other than YAML's
 * own, !reset and !override are refused, and so are keys that are there twice or are no scalars.
 */
#include "base/buf.h"
#include "compose/node.h"

#define YAML_MAX_BYTES (4u << 20)
#define YAML_MAX_NODES 100000u
#define YAML_MAX_DEPTH 64u
#define YAML_MAX_MEMBERS 10000u

/* A list of the documents, without those that are empty; `file` outlives it. NULL on failure. */
struct node *yaml_parse(const char *text, size_t len, const char *file, struct err *err);
/* Block style, by two spaces; strings are quoted where they would read as something else. */
int yaml_write(const struct node *n, struct buf *out, struct err *err);
/* What a plain scalar is, by the core schema (YAML 1.2, 10.3.2; octal and hexadecimal numbers too). */
enum node_kind yaml_kind(const char *text);
