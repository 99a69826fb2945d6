#pragma once
/*
 * $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?message}, ${VAR?message}, ${VAR:+other}, ${VAR+other}
 * and $$ (compose-spec, 12-interpolation.md); what follows the operator may hold the same.
 */
#include "base/buf.h"
#include "compose/node.h"

/* The variables: NAME=VALUE items, and those that were asked for and are not set, each named once. */
struct variables {
	char **env;
	char **missing;
};

/* -EINVAL without a place: "invalid ...". */
int interpolate(struct variables *v, const char *text, struct buf *out, struct err *err);
/* All values below, keys aside. A plain value in which something was replaced is a string then. */
int interpolate_node(struct variables *v, struct node *n, struct err *err);

/*
 * Lines NAME=VALUE of an environment file, as Docker Compose reads them: `export ` in front, comments,
 * values in single quotes (as they are) or double quotes (\n, \t, \", \\, $ and several lines), variables of
 * lines before and of `v` replaced unless quoted singly. A NAME alone takes the value of `v`, and is left
 * out without one. Added to *ret by strv_env_set().
 */
int dotenv_parse(struct variables *v, const char *text, size_t len, const char *file, bool raw,
	char ***ret, struct err *err);
