#pragma once
/* A parsed template, for template.c (which makes it) and template_run.c (which walks it). */
#include "cmd/template.h"

#define MAX_ARGS 16

enum operand_kind { OPERAND_DOT, OPERAND_VARIABLE, OPERAND_LITERAL, OPERAND_CALL, OPERAND_NESTED };

struct pipeline;

struct operand {
	enum operand_kind kind;
	char *name; /* of the variable or function */
	json_t *literal;
	struct pipeline *nested; /* in parentheses */
	char **path;             /* .A.B behind it */
};

struct command {
	struct operand operands[MAX_ARGS];
	size_t n;
};

struct pipeline {
	struct command *commands;
	size_t n;
};

enum node_kind { NODE_TEXT, NODE_VALUE, NODE_IF, NODE_WITH, NODE_RANGE };

struct node {
	enum node_kind kind;
	char *text;
	struct pipeline *value;
	char *key_variable, *variable; /* $k, $v := */
	struct node *body, *otherwise, *next;
};

struct template
{
	struct node *nodes;
};

/* The functions of template_function.c. */

/* Calls one by name; NULL on failure. args stay the caller's. */
json_t *template_call(const char *name, json_t *const *args, size_t n, struct err *err);
bool template_function_known(const char *name);
bool template_true(json_t *value);
/* An object's keys, sorted, NULL-terminated and borrowed from it; the caller frees the array alone. */
char **template_keys(json_t *object);
