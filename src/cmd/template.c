/*
 * Templates are parsed into a tree. Grammar: Go's text/template package
 * documentation, without define, block, template and break; methods do not exist here.
 */
#include "cmd/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/template_tree.h"

#define MAX_DEPTH 32 /* of nested blocks and parentheses */

static void pipeline_free(struct pipeline *p)
{
	for (size_t i = 0; p && i < p->n; i++) {
		for (size_t j = 0; j < p->commands[i].n; j++) {
			struct operand *o = &p->commands[i].operands[j];
			free(o->name);
			json_decref(o->literal);
			pipeline_free(o->nested);
			strv_free(o->path);
		}
	}
	if (p)
		free(p->commands);
	free(p);
}
DEFINE_CLEANUP(pipeline_free, struct pipeline *);

static void node_free(struct node *n)
{
	while (n) {
		struct node *next = n->next;
		free(n->text);
		free(n->key_variable);
		free(n->variable);
		pipeline_free(n->value);
		node_free(n->body);
		node_free(n->otherwise);
		free(n);
		n = next;
	}
}
DEFINE_CLEANUP(node_free, struct node *);

void template_free(struct template *t)
{
	if (!t)
		return;
	node_free(t->nodes);
	free(t);
}

struct parser {
	const char *p;
	unsigned depth;
	bool trim_next; /* the last action ended in -}} */
	struct err *err;
};

static int bad(struct parser *ps, const char *what)
{
	size_t len = strcspn(ps->p, "\n");

	if (!*ps->p)
		return err_set(ps->err, EINVAL, "template: %s at its end", what);
	return err_set(
		ps->err, EINVAL, "template: %s at '%.*s'", what, (int)(len < 24 ? len : 24), ps->p);
}

static void skip_spaces(struct parser *ps)
{
	ps->p += strspn(ps->p, " \t\r\n");
}

static size_t word_len(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

/* "-}}" or "}}" without taking it. */
static bool at_close(const struct parser *ps)
{
	return strncmp(ps->p, "}}", 2) == 0 || strncmp(ps->p, "-}}", 3) == 0;
}

static int parse_close(struct parser *ps)
{
	skip_spaces(ps);
	if (!at_close(ps))
		return bad(ps, *ps->p ? "unexpected text" : "missing '}}'");
	ps->trim_next = *ps->p == '-';
	ps->p += ps->trim_next ? 3 : 2;
	return 0;
}

static int parse_string(struct parser *ps, struct operand *o)
{
	cleanup(buf_free) struct buf b = { 0 };
	char quote = *ps->p;
	const char *p = ps->p + 1;

	for (; *p && *p != quote; p++) {
		if (quote == '"' && *p == '\\' && p[1]) {
			p++;
			buf_addc(&b, *p == 'n' ? '\n' : *p == 't' ? '\t' : *p);
		} else {
			buf_addc(&b, *p);
		}
	}
	if (!*p)
		return bad(ps, "string without end");
	o->kind = OPERAND_LITERAL;
	o->literal = json_string(b.data ? b.data : "");
	if (!o->literal)
		return bad(ps, "string is not UTF-8");
	ps->p = p + 1;
	return 0;
}

static int parse_number(struct parser *ps, struct operand *o)
{
	char *end;
	double d = strtod(ps->p, &end);

	if (end == ps->p)
		return bad(ps, "unexpected text");
	o->kind = OPERAND_LITERAL;
	if (memchr(ps->p, '.', (size_t)(end - ps->p)))
		o->literal = json_real(d);
	else
		o->literal = json_integer(strtoll(ps->p, NULL, 10));
	ps->p = end;
	return 0;
}

static int parse_word(struct parser *ps, struct operand *o)
{
	size_t len = word_len(ps->p);
	cleanup(free) char *word = xstrndup(ps->p, len);

	o->kind = OPERAND_LITERAL;
	if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
		o->literal = json_boolean(word[0] == 't');
	} else if (strcmp(word, "nil") == 0) {
		o->literal = json_null();
	} else if (template_function_known(word)) {
		o->kind = OPERAND_CALL;
		o->name = take(word);
	} else {
		return err_set(ps->err, EINVAL, "template: unknown function '%s'", word);
	}
	ps->p += len;
	return 0;
}

static int parse_pipeline(struct parser *ps, struct pipeline **ret);

static int parse_nested(struct parser *ps, struct operand *o)
{
	int r;

	if (++ps->depth > MAX_DEPTH)
		return bad(ps, "nested too deeply");
	ps->p++;
	r = parse_pipeline(ps, &o->nested);
	if (r < 0)
		return r;
	o->kind = OPERAND_NESTED;
	ps->depth--;
	skip_spaces(ps);
	if (*ps->p != ')')
		return bad(ps, "missing ')'");
	ps->p++;
	return 0;
}

/* .A.B; a dot alone counts only as an operand of its own. */
static int parse_path(struct parser *ps, struct operand *o)
{
	while (*ps->p == '.') {
		size_t len = word_len(ps->p + 1);
		if (!len)
			return bad(ps, "missing name after '.'");
		strv_addf(&o->path, "%.*s", (int)len, ps->p + 1);
		ps->p += len + 1;
	}
	return 0;
}

static int parse_operand(struct parser *ps, struct operand *o)
{
	char c = *ps->p;
	int r = 0;

	if (c == '.' && !word_len(ps->p + 1)) {
		ps->p++;
		o->kind = OPERAND_DOT;
		return 0;
	}
	if (c == '.') {
		o->kind = OPERAND_DOT;
	} else if (c == '$') {
		size_t len = word_len(ps->p + 1);
		o->kind = OPERAND_VARIABLE;
		o->name = xstrndup(ps->p + 1, len);
		ps->p += len + 1;
	} else if (c == '(') {
		r = parse_nested(ps, o);
	} else if (c == '"' || c == '`') {
		return parse_string(ps, o);
	} else if (isalpha((unsigned char)c)) {
		return parse_word(ps, o);
	} else {
		return parse_number(ps, o);
	}
	return r < 0 ? r : parse_path(ps, o);
}

/* Docker's rows have one method, .Label "key"; here it is a function of the row. */
static void make_label_call(struct command *c)
{
	struct operand *o = c->operands;

	if (c->n != 2 || o[0].kind != OPERAND_DOT || strv_len(o[0].path) != 1 ||
		strcmp(o[0].path[0], "Label") != 0)
		return;
	strv_free(o[0].path);
	o[2] = o[1];
	o[1] = (struct operand){ .kind = OPERAND_DOT };
	o[0] = (struct operand){ .kind = OPERAND_CALL, .name = xstrdup("label") };
	c->n = 3;
}

static int parse_command(struct parser *ps, struct command *c)
{
	for (;;) {
		int r;
		skip_spaces(ps);
		if (!*ps->p || *ps->p == '|' || *ps->p == ')' || at_close(ps))
			break;
		if (c->n == MAX_ARGS)
			return bad(ps, "too many arguments");
		r = parse_operand(ps, &c->operands[c->n++]);
		if (r < 0)
			return r;
	}
	if (c->n == 0)
		return bad(ps, "missing value");
	make_label_call(c);
	if (c->n > 1 && c->operands[0].kind != OPERAND_CALL)
		return bad(ps, "only functions take arguments: unexpected value before");
	return 0;
}

static int parse_pipeline(struct parser *ps, struct pipeline **ret)
{
	cleanup(pipeline_free) struct pipeline *pl = xnew(struct pipeline);

	for (;;) {
		struct command *c;
		int r;
		pl->commands = xrealloc_array(pl->commands, pl->n + 1, sizeof(*pl->commands));
		c = &pl->commands[pl->n++];
		memset(c, 0, sizeof(*c));
		r = parse_command(ps, c);
		if (r < 0)
			return r;
		if (pl->n > 1 && c->operands[0].kind != OPERAND_CALL)
			return bad(ps, "only functions may follow '|': unexpected value before");
		if (*ps->p != '|')
			break;
		ps->p++;
	}
	*ret = take(pl);
	return 0;
}

/* "$k, $v :=" or "$v :=" in front of a pipeline, if it is there. */
static void parse_assignment(struct parser *ps, struct node *n)
{
	const char *p = ps->p, *names[2];
	size_t lens[2], count = 0;

	while (*p == '$' && count < 2) {
		names[count] = p + 1;
		lens[count] = word_len(p + 1);
		p += lens[count++] + 1;
		p += strspn(p, " ");
		if (*p != ',')
			break;
		p++;
		p += strspn(p, " ");
	}
	if (!count || strncmp(p, ":=", 2) != 0)
		return;
	ps->p = p + 2;
	n->variable = xstrndup(names[count - 1], lens[count - 1]);
	if (count == 2)
		n->key_variable = xstrndup(names[0], lens[0]);
}

static bool take_keyword(struct parser *ps, const char *keyword)
{
	size_t len = strlen(keyword);

	if (word_len(ps->p) != len || memcmp(ps->p, keyword, len) != 0)
		return false;
	ps->p += len;
	skip_spaces(ps);
	return true;
}

enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE };

static int parse_list(struct parser *ps, struct node **ret, enum ending *ending);

static int parse_block(struct parser *ps, struct node *n);

/* What follows "else": another condition, or the block's other body. */
static int parse_else(struct parser *ps, struct node *n)
{
	enum ending ending;
	int r;

	if (take_keyword(ps, "if")) {
		n->otherwise = xnew(struct node);
		n->otherwise->kind = NODE_IF;
		return parse_block(ps, n->otherwise);
	}
	r = parse_close(ps);
	if (r == 0)
		r = parse_list(ps, &n->otherwise, &ending);
	if (r == 0 && ending != ENDING_END)
		r = bad(ps, ending == ENDING_ELSE ? "second {{else}}" : "missing {{end}}");
	return r;
}

/* Behind "if", "with" or "range", up to and with its end. */
static int parse_block(struct parser *ps, struct node *n)
{
	enum ending ending;
	int r;

	if (++ps->depth > MAX_DEPTH)
		return bad(ps, "nested too deeply");
	parse_assignment(ps, n);
	r = parse_pipeline(ps, &n->value);
	if (r == 0)
		r = parse_close(ps);
	if (r == 0)
		r = parse_list(ps, &n->body, &ending);
	if (r == 0 && ending == ENDING_TEXT)
		r = bad(ps, "missing {{end}}");
	if (r == 0 && ending == ENDING_ELSE)
		r = parse_else(ps, n);
	ps->depth--;
	return r;
}

/* Text up to the next action. NULL when there is none. */
static struct node *parse_text(struct parser *ps)
{
	const char *end = strstr(ps->p, "{{");
	struct node *n;
	size_t len;

	if (ps->trim_next)
		skip_spaces(ps);
	ps->trim_next = false;
	len = end && end >= ps->p ? (size_t)(end - ps->p) : strlen(ps->p);
	if (!len)
		return NULL;
	n = xnew(struct node);
	n->text = xstrndup(ps->p, len);
	ps->p += len;
	if (strncmp(ps->p, "{{- ", 4) == 0)
		while (len && isspace((unsigned char)n->text[len - 1]))
			n->text[--len] = '\0';
	return n;
}

/* An action behind its "{{". 1 when it ended the list. */
static int parse_action(struct parser *ps, struct node **ret, enum ending *ending)
{
	cleanup(node_free) struct node *n = xnew(struct node);
	int r;

	if (strncmp(ps->p, "- ", 2) == 0)
		ps->p++;
	skip_spaces(ps);
	if (strncmp(ps->p, "/*", 2) == 0) {
		const char *end = strstr(ps->p, "*/");
		if (!end)
			return bad(ps, "comment without end");
		ps->p = end + 2;
		return parse_close(ps);
	}
	if (take_keyword(ps, "end")) {
		*ending = ENDING_END;
		r = parse_close(ps);
		return r < 0 ? r : 1;
	}
	if (take_keyword(ps, "else")) {
		*ending = ENDING_ELSE;
		return 1;
	}
	n->kind = take_keyword(ps, "if")      ? NODE_IF
		  : take_keyword(ps, "with")  ? NODE_WITH
		  : take_keyword(ps, "range") ? NODE_RANGE
					      : NODE_VALUE;
	if (n->kind != NODE_VALUE) {
		r = parse_block(ps, n);
	} else {
		parse_assignment(ps, n);
		r = parse_pipeline(ps, &n->value);
		if (r == 0)
			r = parse_close(ps);
	}
	if (r == 0)
		*ret = take(n);
	return r;
}

static int parse_list(struct parser *ps, struct node **ret, enum ending *ending)
{
	cleanup(node_free) struct node *first = NULL;
	struct node **last = &first;
	int r = 0;

	*ending = ENDING_TEXT;
	while (*ps->p && r == 0) {
		*last = parse_text(ps);
		if (*last)
			last = &(*last)->next;
		if (!*ps->p)
			break;
		ps->p += 2;
		r = parse_action(ps, last, ending);
		if (*last)
			last = &(*last)->next;
	}
	if (r < 0)
		return r;
	*ret = take(first);
	return 0;
}

int template_parse(const char *text, struct template **ret, struct err *err)
{
	cleanup(template_free) struct template *t = xnew(struct template);
	struct parser ps = { .p = text, .err = err };
	enum ending ending;
	int r = parse_list(&ps, &t->nodes, &ending);

	if (r < 0)
		return r;
	if (ending != ENDING_TEXT)
		return err_set(err, EINVAL,
			"template: {{%s}} without {{if}}, {{with}} or {{range}}",
			ending == ENDING_END ? "end" : "else");
	*ret = take(t);
	return 0;
}
