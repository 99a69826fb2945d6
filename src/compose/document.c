#include "compose/document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "base/alloc.h"

struct anchor {
	char *name;
	struct node *node; /* borrowed, or a map or list still open */
	bool open;
};

struct reader {
	yaml_parser_t parser;
	const char *file;
	size_t nodes;
	struct anchor *anchors;
	size_t n_anchors;
};

static bool is_number(const char *s, bool *real)
{
	size_t digits;

	*real = false;
	s += *s == '-' || *s == '+';
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o')) {
		const char *set = s[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
		return s[2] && strspn(s + 2, set) == strlen(s + 2);
	}
	if (strcasecmp(s, ".inf") == 0 || strcasecmp(s, ".nan") == 0)
		return *real = true;
	digits = strspn(s, "0123456789");
	s += digits;
	if (*s == '.') {
		size_t more = strspn(s + 1, "0123456789");
		*real = true;
		digits += more;
		s += 1 + more;
	}
	if (digits && (*s == 'e' || *s == 'E')) {
		*real = true;
		s++;
		s += *s == '-' || *s == '+';
		if (!*s)
			return false;
		s += strspn(s, "0123456789");
	}
	return digits && !*s;
}

enum node_kind yaml_kind(const char *text)
{
	static const char *const words[] = { "true", "True", "TRUE", "false", "False", "FALSE" };
	bool real;

	if (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 ||
		strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0)
		return NODE_NULL;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0)
			return NODE_BOOL;
	if (is_number(text, &real))
		return real ? NODE_FLOAT : NODE_INT;
	return NODE_STRING;
}

static int fail(const struct reader *r, const yaml_mark_t *mark, struct err *err, const char *text)
{
	return err_set(err, EINVAL, "%s:%zu: %s", r->file, mark->line + 1, text);
}

static int count(struct reader *r, size_t n, const yaml_mark_t *mark, struct err *err)
{
	r->nodes += n;
	return r->nodes > YAML_MAX_NODES
		       ? fail(r, mark, err, "more than 100000 values, with those of aliases")
		       : 0;
}

static size_t size_of(const struct node *n)
{
	size_t size = 1;

	for (size_t i = 0; i < n->n; i++)
		size += size_of(n->items[i]);
	return size;
}

static size_t depth_of(const struct node *n)
{
	size_t depth = 0;

	for (size_t i = 0; i < n->n; i++) {
		size_t d = depth_of(n->items[i]);
		depth = d > depth ? d : depth;
	}
	return depth + 1;
}

/* A name that was there is from now on the new node's. */
static size_t set_anchor(struct reader *r, const yaml_char_t *name, struct node *n)
{
	size_t i = 0;

	while (i < r->n_anchors && strcmp(r->anchors[i].name, (const char *)name) != 0)
		i++;
	if (i == r->n_anchors) {
		r->anchors = xrealloc_array(r->anchors, i + 1, sizeof(*r->anchors));
		r->anchors[r->n_anchors++].name = xstrdup((const char *)name);
	}
	r->anchors[i].node = n;
	r->anchors[i].open = true;
	return i;
}

/* Tags: none, "!" (not plain), YAML's own, and Compose's. */
static int apply_tag(const struct reader *r, const yaml_event_t *e, const yaml_char_t *tag,
	struct node *n, struct err *err)
{
	const char *t = (const char *)tag;
	char text[160];

	if (!t || strcmp(t, "!") == 0)
		return 0;
	if (strcmp(t, "!reset") == 0) {
		n->tag = NODE_RESET;
		return 0;
	}
	if (strcmp(t, "!override") == 0) {
		n->tag = NODE_OVERRIDE;
		return 0;
	}
	if (strncmp(t, "tag:yaml.org,2002:", 18) == 0) {
		const char *kind = t + 18;
		if (n->kind == NODE_LIST ? strcmp(kind, "seq") == 0
			: n->kind == NODE_MAP
				? strcmp(kind, "map") == 0
				: strcmp(kind, "str") == 0 || strcmp(kind, "int") == 0 ||
					  strcmp(kind, "bool") == 0 || strcmp(kind, "float") == 0 ||
					  strcmp(kind, "null") == 0)
			return 0;
	}
	snprintf(text, sizeof(text), "the tag '%.64s' is not known here (!reset, !override)", t);
	return fail(r, &e->start_mark, err, text);
}

static int read_scalar(
	const struct reader *r, const yaml_event_t *e, struct node *n, struct err *err)
{
	const char *text = (const char *)e->data.scalar.value;
	const char *tag = (const char *)e->data.scalar.tag;

	if (strlen(text) != e->data.scalar.length)
		return fail(r, &e->start_mark, err, "a value with a NUL byte");
	n->kind = NODE_STRING;
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(!tag || strcmp(tag, "tag:yaml.org,2002:str") != 0))
		n->kind = yaml_kind(text);
	else if (tag && strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && strcmp(tag + 18, "str") != 0)
		n->kind = yaml_kind(text);
	if (n->kind != NODE_NULL)
		n->text = xstrdup(text);
	return apply_tag(r, e, e->data.scalar.tag, n, err);
}

static int next(struct reader *r, yaml_event_t *e, struct err *err)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, e))
		return 0;
	if (p->error == YAML_READER_ERROR)
		return err_set(err, EINVAL, "%s: not YAML: %s at byte %zu", r->file,
			p->problem ? p->problem : "unreadable", p->problem_offset);
	return err_set(err, EINVAL, "%s:%zu: not YAML: %s%s%s", r->file, p->problem_mark.line + 1,
		p->problem ? p->problem : "unreadable", p->context ? ", " : "",
		p->context ? p->context : "");
}

static int read_node(struct reader *r, const yaml_event_t *e, unsigned depth, struct node **ret,
	struct err *err);

static int read_list(struct reader *r, struct node *n, unsigned depth, struct err *err)
{
	for (;;) {
		struct node *item;
		yaml_event_t e;
		int rc = next(r, &e, err);
		bool end = rc == 0 && e.type == YAML_SEQUENCE_END_EVENT;
		if (rc < 0)
			return rc;
		if (!end)
			rc = read_node(r, &e, depth, &item, err);
		yaml_event_delete(&e);
		if (rc < 0 || end)
			return rc;
		node_add(n, item);
	}
}

/* `<<: *base` or `<<: [*a, *b]`: what the map has not itself, the first that has it winning. */
static int apply_merge_key(struct reader *r, struct node *n, const struct node *from,
	const yaml_mark_t *mark, struct err *err)
{
	int rc = 0;

	if (from->kind == NODE_NULL)
		return 0;
	if (from->kind == NODE_LIST) {
		for (size_t i = 0; rc == 0 && i < from->n; i++)
			rc = from->items[i]->kind == NODE_MAP
				     ? apply_merge_key(r, n, from->items[i], mark, err)
				     : fail(r, mark, err, "'<<' takes maps alone");
		return rc;
	}
	if (from->kind != NODE_MAP)
		return fail(r, mark, err, "'<<' takes a map, or a list of maps");
	for (size_t i = 0; rc == 0 && i < from->n; i++) {
		bool has = false;
		for (size_t k = 0; !has && k < n->n; k++)
			has = strcmp(n->keys[k], from->keys[i]) == 0;
		if (has)
			continue;
		rc = n->n < YAML_MAX_MEMBERS
			     ? count(r, size_of(from->items[i]), mark, err)
			     : fail(r, mark, err, "a map of more than 10000 members");
		if (rc == 0)
			node_set(n, from->keys[i], node_copy(from->items[i]));
	}
	return rc;
}

static int add_member(struct reader *r, struct node *n, const char *key, struct node *item,
	const yaml_mark_t *mark, struct err *err)
{
	char text[160];

	if (n->n >= YAML_MAX_MEMBERS) {
		node_free(item);
		return fail(r, mark, err, "a map of more than 10000 members");
	}
	for (size_t i = 0; i < n->n; i++) {
		if (strcmp(n->keys[i], key) != 0)
			continue;
		snprintf(text, sizeof(text), "'%.64s' is there already, in line %d", key,
			n->items[i]->line);
		node_free(item);
		return fail(r, mark, err, text);
	}
	node_set(n, key, item);
	return 0;
}

static int read_member(struct reader *r, struct node *n, const yaml_event_t *key, unsigned depth,
	struct node **merged, struct err *err)
{
	cleanup(node_free) struct node *item = NULL;
	const char *name = (const char *)key->data.scalar.value;
	yaml_event_t e;
	int rc;

	if (key->type != YAML_SCALAR_EVENT)
		return fail(r, &key->start_mark, err, "a key that is no plain value");
	if (strlen(name) != key->data.scalar.length)
		return fail(r, &key->start_mark, err, "a key with a NUL byte");
	if (key->data.scalar.anchor)
		return fail(r, &key->start_mark, err, "an anchor on a key");
	rc = next(r, &e, err);
	if (rc < 0)
		return rc;
	rc = read_node(r, &e, depth, &item, err);
	yaml_event_delete(&e);
	if (rc < 0)
		return rc;
	/* What is null in the file is as well told by the line of its key. */
	item->line = (int)key->start_mark.line + 1;
	if (strcmp(name, "<<") != 0 || key->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return add_member(r, n, name, take(item), &key->start_mark, err);
	if (*merged)
		return fail(r, &key->start_mark, err, "'<<' is there already");
	*merged = take(item);
	return 0;
}

static int read_map(struct reader *r, struct node *n, unsigned depth, struct err *err)
{
	cleanup(node_free) struct node *merged = NULL;
	yaml_mark_t mark = { 0 };

	for (;;) {
		yaml_event_t e;
		int rc = next(r, &e, err);
		bool end = rc == 0 && e.type == YAML_MAPPING_END_EVENT;
		if (rc < 0)
			return rc;
		mark = e.start_mark;
		if (!end)
			rc = read_member(r, n, &e, depth, &merged, err);
		yaml_event_delete(&e);
		if (rc < 0)
			return rc;
		if (end)
			break;
	}
	/* Last, since the map's own members win. */
	return merged ? apply_merge_key(r, n, merged, &mark, err) : 0;
}

static int read_alias(
	struct reader *r, const yaml_event_t *e, unsigned depth, struct node **ret, struct err *err)
{
	const char *name = (const char *)e->data.alias.anchor;
	char text[160];

	for (size_t i = 0; i < r->n_anchors; i++) {
		const struct anchor *a = &r->anchors[i];
		if (strcmp(a->name, name) != 0)
			continue;
		if (a->open)
			return fail(r, &e->start_mark, err, "an alias inside of what it names");
		if (depth + depth_of(a->node) > YAML_MAX_DEPTH)
			return fail(r, &e->start_mark, err, "deeper than 64 levels");
		if (count(r, size_of(a->node), &e->start_mark, err) < 0)
			return -EINVAL;
		*ret = node_copy(a->node);
		return 0;
	}
	snprintf(text, sizeof(text), "no anchor '&%.64s' before this alias", name);
	return fail(r, &e->start_mark, err, text);
}

static int read_collection(
	struct reader *r, const yaml_event_t *e, struct node *n, unsigned depth, struct err *err)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	int rc;

	if (depth >= YAML_MAX_DEPTH)
		return fail(r, &e->start_mark, err, "deeper than 64 levels");
	n->kind = map ? NODE_MAP : NODE_LIST;
	rc = apply_tag(r, e, map ? e->data.mapping_start.tag : e->data.sequence_start.tag, n, err);
	if (rc < 0)
		return rc;
	return map ? read_map(r, n, depth + 1, err) : read_list(r, n, depth + 1, err);
}

static int read_node(
	struct reader *r, const yaml_event_t *e, unsigned depth, struct node **ret, struct err *err)
{
	const yaml_char_t *anchor =
		e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
		: e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.anchor
		: e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
						       : NULL;
	cleanup(node_free) struct node *n = NULL;
	size_t index = 0;
	int rc = count(r, 1, &e->start_mark, err);

	if (rc < 0)
		return rc;
	if (e->type == YAML_ALIAS_EVENT)
		return read_alias(r, e, depth, ret, err);
	n = node_new(NODE_NULL, NULL);
	n->file = r->file;
	n->line = (int)e->start_mark.line + 1;
	/* Before what is in it, so that an alias to itself is found. */
	if (anchor)
		index = set_anchor(r, anchor, n);
	rc = e->type == YAML_SCALAR_EVENT ? read_scalar(r, e, n, err)
					  : read_collection(r, e, n, depth, err);
	if (rc < 0)
		return rc;
	if (anchor && r->anchors[index].node == n)
		r->anchors[index].open = false;
	*ret = take(n);
	return 0;
}

static void forget_anchors(struct reader *r)
{
	for (size_t i = 0; i < r->n_anchors; i++)
		free(r->anchors[i].name);
	free(r->anchors);
	r->anchors = NULL;
	r->n_anchors = 0;
}

static int read_documents(struct reader *r, struct node *docs, struct err *err)
{
	for (;;) {
		struct node *n = NULL;
		yaml_event_t e;
		int rc = next(r, &e, err);
		enum yaml_event_type_e type = rc == 0 ? e.type : YAML_NO_EVENT;
		if (rc == 0 && type >= YAML_ALIAS_EVENT && type != YAML_SEQUENCE_END_EVENT &&
			type != YAML_MAPPING_END_EVENT)
			rc = read_node(r, &e, 0, &n, err);
		if (rc == 0 || type != YAML_NO_EVENT)
			yaml_event_delete(&e);
		if (rc < 0 || type == YAML_STREAM_END_EVENT)
			return rc;
		if (type == YAML_DOCUMENT_END_EVENT)
			forget_anchors(r);
		if (n && n->kind == NODE_NULL)
			node_free(n);
		else if (n)
			node_add(docs, n);
	}
}

struct node *yaml_parse(const char *text, size_t len, const char *file, struct err *err)
{
	cleanup(node_free) struct node *docs = node_new(NODE_LIST, NULL);
	struct reader r = { .file = file };
	int rc;

	docs->file = file;
	if (len > YAML_MAX_BYTES) {
		err_set(err, EFBIG, "%s: more than 4 MiB", file);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		err_set(err, ENOMEM, "%s: no memory to read it", file);
		return NULL;
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	rc = read_documents(&r, docs, err);
	forget_anchors(&r);
	yaml_parser_delete(&r.parser);
	return rc < 0 ? NULL : take(docs);
}

static int append(void *data, unsigned char *text, size_t len)
{
	buf_add(data, text, len);
	return 1;
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *e)
{
	return yaml_emitter_emit(emitter, e);
}

static bool emit_string(yaml_emitter_t *emitter, const char *text, bool plain)
{
	bool lines = strchr(text, '\n') != NULL;
	yaml_event_t e;

	return yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)text,
		       (int)strlen(text), plain, 1,
		       plain   ? YAML_PLAIN_SCALAR_STYLE
		       : lines ? YAML_LITERAL_SCALAR_STYLE
			       : YAML_DOUBLE_QUOTED_SCALAR_STYLE) &&
	       emit(emitter, &e);
}

/* YAML 1.1 readers take more words for booleans than we do. */
static bool reads_as_string(const char *text)
{
	static const char *const words[] = { "y", "n", "yes", "no", "on", "off", "<<", "=" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(words[i], text) == 0)
			return false;
	/* 1:30 was a number once. */
	return yaml_kind(text) == NODE_STRING && strspn(text, "0123456789:_.+-") != strlen(text);
}

static bool emit_node(yaml_emitter_t *emitter, const struct node *n)
{
	yaml_event_t e;

	if (n->kind == NODE_NULL)
		return emit_string(emitter, "null", true);
	if (node_scalar(n))
		return emit_string(
			emitter, n->text, n->kind != NODE_STRING || reads_as_string(n->text));
	if (n->kind == NODE_LIST) {
		if (!yaml_sequence_start_event_initialize(&e, NULL, NULL, 1,
			    n->n ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE) ||
			!emit(emitter, &e))
			return false;
	} else if (!yaml_mapping_start_event_initialize(&e, NULL, NULL, 1,
			   n->n ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE) ||
		   !emit(emitter, &e)) {
		return false;
	}
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == NODE_MAP &&
			!emit_string(emitter, n->keys[i], reads_as_string(n->keys[i])))
			return false;
		if (!emit_node(emitter, n->items[i]))
			return false;
	}
	return (n->kind == NODE_LIST ? yaml_sequence_end_event_initialize(&e)
				     : yaml_mapping_end_event_initialize(&e)) &&
	       emit(emitter, &e);
}

int yaml_write(const struct node *n, struct buf *out, struct err *err)
{
	yaml_emitter_t emitter;
	yaml_event_t e;
	bool ok;

	if (!yaml_emitter_initialize(&emitter))
		return err_set(err, ENOMEM, "no memory to write YAML");
	yaml_emitter_set_output(&emitter, append, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	ok = yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING) && emit(&emitter, &e) &&
	     yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1) && emit(&emitter, &e) &&
	     emit_node(&emitter, n) && yaml_document_end_event_initialize(&e, 1) &&
	     emit(&emitter, &e) && yaml_stream_end_event_initialize(&e) && emit(&emitter, &e);
	if (!ok)
		err_set(err, EINVAL, "write YAML: %s",
			emitter.problem ? emitter.problem : "failed");
	yaml_emitter_delete(&emitter);
	return ok ? 0 : -EINVAL;
}
