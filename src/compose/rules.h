#pragma once
/* The table of rules behind model.h: what each member is, and how its short forms become the long one. */
#include "compose/node.h"

enum rule_type {
	ANY,    /* kept as it is */
	STR,    /* a string */
	SCALAR, /* any scalar, as text */
	BOOL,
	INT,
	NUMBER,
	SIZE, /* bytes */
	DURATION,
	LIST,    /* of scalars, as strings */
	STRINGS, /* a string, or a list of them */
	WORDS,   /* a command: a string is split as a shell does, without its expansions */
	PAIRS,   /* a map of scalars or null, or a list of NAME[=VALUE] */
	OBJECT,  /* of the members in sub */
	EACH,    /* a map of any names to objects of sub */
	OBJECTS, /* a list of objects of sub */
	REFUSED, /* with a reason */
};

#define WHOLE 1u  /* a later file's list replaces */
#define UNIQUE 2u /* items of a list that have the same text, or the same `key` members, replace */
#define PATH 4u   /* relative to the file's directory */
#define NULLABLE 8u /* members of EACH may be null: an empty object */
#define IDLE 16u    /* nothing acts on it, which is said */

struct model {
	const char *dir;
	char path[256]; /* where we are, for errors */
};

struct rule {
	const char *name;
	enum rule_type type : 8;
	unsigned flags : 24;
	const struct rule *sub;
	/* STR: "a|b|c", the choices; REFUSED: why; OBJECTS: "a,b", what makes items the same. */
	const char *text;
	/* Brings a short form into the long one, before the type is checked. */
	int (*convert)(struct model *m, struct node *n, struct err *err);
};

extern const struct rule root_rule;

/* -EINVAL, said with the place. */
int rule_bad(const struct model *m, const struct node *n, struct err *err, const char *text);
/* From the file's directory; ~ is HOME. The caller frees. */
char *rule_absolute(const struct model *m, const char *path);
