#pragma once
/*
 * A Compose file as a tree: every node knows the line that it came from, so that whatever turns out
 * wrong later can be said where it was written. Scalars keep their text as written; a kind beside it
 * says what YAML's core schema makes of it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

/* What a later file does to an earlier one's value (compose-spec, 13-merge.md). */
enum node_tag { NODE_MERGE, NODE_RESET, NODE_OVERRIDE };

struct node {
	enum node_kind kind;
	enum node_tag tag;
	int line;
	const char *file;    /* borrowed: lives as long as the project */
	char *text;          /* of scalars */
	char **keys;         /* of maps, n of them */
	struct node **items; /* of maps and lists */
	size_t n;
};

/* at: whose file and line it takes, or NULL. */
struct node *node_new(enum node_kind kind, const struct node *at);
struct node *node_string(const char *text, const struct node *at);
struct node *node_copy(const struct node *n);
void node_free(struct node *n);
DEFINE_CLEANUP(node_free, struct node *);
/* Frees what it holds and makes it another kind; file, line and tag stay. */
void node_become(struct node *n, enum node_kind kind);
void node_set_text(struct node *n, enum node_kind kind, const char *text);
/* n is `from` now, which is freed; n's tag stays. */
void node_replace(struct node *n, struct node *from);

bool node_scalar(const struct node *n); /* null is none */

/* Both take the item over. Setting replaces what the key had; NULL removes. */
void node_add(struct node *list, struct node *item);
void node_set(struct node *map, const char *key, struct node *item);
void node_set_string(struct node *map, const char *key, const char *text, const struct node *at);
void node_remove(struct node *n, size_t i);

/* NULL when there is none, when it is null, or when n is NULL or no map. */
struct node *node_get(const struct node *n, const char *key);
/* Through maps: "healthcheck.test". */
struct node *node_at(const struct node *n, const char *path);
/* The same for what a checked tree has; absent: NULL, `absent`, false, NULL. */
const char *node_text(const struct node *n, const char *path);
int64_t node_int(const struct node *n, const char *path, int64_t absent);
bool node_bool(const struct node *n, const char *path);
/* Adds a map of scalars to one of RECORD_MAP's form; null is "". */
void node_to_map(const struct node *n, char ***map);
/* A list of scalars (a scalar alone counts as one), and a map of them as NAME=VALUE, NAME alone for null;
 * the caller frees with strv_free(). */
char **node_strv(const struct node *n);

/* "compose.yaml:7: services.web: TEXT"; what may be NULL. -EINVAL, or -code. */
int node_err(const struct node *n, struct err *err, int code, const char *what, const char *fmt,
	...) printf_like(5, 6);

/* A warning with the same place. */
void node_warn(const struct node *n, const char *what, const char *text);

/* Numbers and booleans as such; the caller owns it. */
json_t *node_json(const struct node *n);
