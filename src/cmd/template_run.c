/* A parsed template walked over a JSON value. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/template_tree.h"

#define MAX_VARIABLES 32

struct variable {
	const char *name;
	json_t *value;
};

struct scope {
	json_t *dot;
	struct variable variables[MAX_VARIABLES];
	size_t n_variables;
	struct buf *out;
	struct err *err;
};

static json_t *missing_member(struct scope *s, json_t *v, const char *name)
{
	cleanup(buf_free) struct buf list = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach (v, key, value)
		if (list.len < 300)
			buf_addf(&list, "%s%s", list.len ? ", " : "", key);
	err_set(s->err, EINVAL, "template: there is no '%s' here, only %s", name,
		list.len ? list.data : "nothing");
	return NULL;
}

/* Takes over v. */
static json_t *walk_path(struct scope *s, json_t *v, char *const *path)
{
	strv_foreach (name, path) {
		cleanup(json_free) json_t *from = v;
		json_t *member = json_object_get(from, *name);
		if (!member && json_is_object(from) && isupper((unsigned char)**name))
			return missing_member(s, from, *name);
		if (!member && !json_is_object(from) && !json_is_null(from)) {
			err_set(s->err, EINVAL, "template: '.%s' of something that has no members",
				*name);
			return NULL;
		}
		v = member ? json_incref(member) : json_null();
	}
	return v;
}

static json_t *run_pipeline(struct scope *s, const struct pipeline *p);

static json_t *variable_value(struct scope *s, const char *name)
{
	for (size_t i = s->n_variables; i-- > 0;)
		if (strcmp(s->variables[i].name, name) == 0)
			return json_incref(s->variables[i].value);
	err_set(s->err, EINVAL, "template: unknown variable '$%s'", name);
	return NULL;
}

static json_t *operand_value(struct scope *s, const struct operand *o)
{
	json_t *v = NULL;

	switch (o->kind) {
	case OPERAND_DOT:
		v = json_incref(s->dot);
		break;
	case OPERAND_VARIABLE:
		v = variable_value(s, o->name);
		break;
	case OPERAND_LITERAL:
		return json_incref(o->literal);
	case OPERAND_CALL:
		return template_call(o->name, NULL, 0, s->err);
	case OPERAND_NESTED:
		v = run_pipeline(s, o->nested);
		break;
	}
	return v ? walk_path(s, v, o->path) : NULL;
}

/* `piped` is the value from the left of '|', or NULL; it stays the caller's. */
static json_t *run_command(struct scope *s, const struct command *c, json_t *piped)
{
	json_t *args[MAX_ARGS + 1], *result = NULL;
	size_t n = 0;
	bool ok = true;

	if (c->operands[0].kind != OPERAND_CALL)
		return operand_value(s, &c->operands[0]);
	for (size_t i = 1; i < c->n && ok; i++) {
		args[n] = operand_value(s, &c->operands[i]);
		ok = args[n] != NULL;
		n += ok;
	}
	if (ok && piped)
		args[n++] = json_incref(piped);
	if (ok)
		result = template_call(c->operands[0].name, args, n, s->err);
	while (n > 0)
		json_decref(args[--n]);
	return result;
}

static json_t *run_pipeline(struct scope *s, const struct pipeline *p)
{
	json_t *v = NULL;

	for (size_t i = 0; i < p->n; i++) {
		cleanup(json_free) json_t *piped = v;
		v = run_command(s, &p->commands[i], piped);
		if (!v)
			return NULL;
	}
	return v;
}

static int set_variable(struct scope *s, const char *name, json_t *value)
{
	if (!name)
		return 0;
	if (s->n_variables == MAX_VARIABLES)
		return err_set(s->err, EINVAL, "template: too many variables");
	s->variables[s->n_variables++] = (struct variable){ name, json_incref(value) };
	return 0;
}

static void drop_variables(struct scope *s, size_t down_to)
{
	while (s->n_variables > down_to)
		json_decref(s->variables[--s->n_variables].value);
}

static int run_nodes(struct scope *s, const struct node *n);

/* The body with another dot. key may be NULL. */
static int run_item(struct scope *s, const struct node *n, json_t *key, json_t *item)
{
	size_t variables = s->n_variables;
	json_t *dot = s->dot;
	int r = 0;

	s->dot = item;
	if (key)
		r = set_variable(s, n->key_variable, key);
	if (r == 0)
		r = set_variable(s, n->variable, item);
	if (r == 0)
		r = run_nodes(s, n->body);
	drop_variables(s, variables);
	s->dot = dot;
	return r;
}

static int run_range(struct scope *s, const struct node *n, json_t *v)
{
	int r = 0;

	if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v) && r == 0; i++) {
			cleanup(json_free) json_t *key = json_integer((json_int_t)i);
			r = run_item(s, n, key, json_array_get(v, i));
		}
	} else if (json_is_object(v)) {
		cleanup(free) char **keys = template_keys(v);
		for (char **k = keys; *k && r == 0; k++) {
			cleanup(json_free) json_t *key = json_string_nocheck(*k);
			r = run_item(s, n, key, json_object_get(v, *k));
		}
	} else if (!json_is_null(v)) {
		return err_set(s->err, EINVAL, "template: {{range}} needs a list or a map");
	}
	if (r == 0 && !template_true(v))
		r = run_nodes(s, n->otherwise);
	return r;
}

static int run_conditional(struct scope *s, const struct node *n, json_t *v)
{
	size_t variables = s->n_variables;
	int r;

	if (n->kind == NODE_WITH && template_true(v))
		return run_item(s, n, NULL, v);
	r = set_variable(s, n->variable, v);
	if (r == 0)
		r = run_nodes(s, template_true(v) ? n->body : n->otherwise);
	drop_variables(s, variables);
	return r;
}

static int run_node(struct scope *s, const struct node *n)
{
	cleanup(json_free) json_t *v = NULL;

	if (n->kind == NODE_TEXT) {
		buf_adds(s->out, n->text);
		return 0;
	}
	v = run_pipeline(s, n->value);
	if (!v)
		return -EINVAL;
	if (n->kind == NODE_RANGE)
		return run_range(s, n, v);
	if (n->kind != NODE_VALUE)
		return run_conditional(s, n, v);
	if (n->variable)
		return set_variable(s, n->variable, v);
	template_text(v, s->out);
	return 0;
}

static int run_nodes(struct scope *s, const struct node *n)
{
	size_t variables = s->n_variables;
	int r = 0;

	for (; n && r == 0; n = n->next)
		r = run_node(s, n);
	drop_variables(s, variables);
	return r;
}

int template_run(const struct template *t, json_t *value, struct buf *out, struct err *err)
{
	struct scope s = { .dot = value, .out = out, .err = err };
	int r = set_variable(&s, "", value);

	if (r == 0)
		r = run_nodes(&s, t->nodes);
	drop_variables(&s, 0);
	return r;
}
