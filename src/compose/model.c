/* Checking a document by the rules, and merging one over another. */
#include "compose/model.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/parse.h"
#include "base/strv.h"
#include "compose/rules.h"

static const struct rule *find_rule(const struct rule *rules, const char *name)
{
	for (; rules->name; rules++)
		if (strcmp(rules->name, name) == 0)
			return rules;
	return NULL;
}

static int unknown(const struct model *m, const struct node *n, const char *name,
	const struct rule *rules, struct err *err)
{
	unsigned best = strlen(name) < 4 ? 2 : 3;
	const char *near = NULL;

	for (; rules->name; rules++) {
		unsigned d = str_distance(rules->name, name);
		if (d < best) {
			best = d;
			near = rules->name;
		}
	}
	return near ? node_err(n, err, EINVAL, m->path, "unknown member: did you mean '%s'?", near)
		    : node_err(n, err, EINVAL, m->path, "unknown member");
}

static int normalize(struct model *m, const struct rule *rule, struct node *n, struct err *err);

/* One below, with its name in the path. */
static int below(
	struct model *m, const struct rule *rule, struct node *n, const char *name, struct err *err)
{
	size_t len = strlen(m->path);
	int r;

	snprintf(
		m->path + len, sizeof(m->path) - len, "%s%s", len && *name != '[' ? "." : "", name);
	r = normalize(m, rule, n, err);
	m->path[len] = '\0';
	return r;
}

static int check_object(struct model *m, const struct rule *rules, struct node *n, struct err *err)
{
	if (n->kind != NODE_MAP)
		return rule_bad(m, n, err, "expected a map");
	for (size_t i = 0; i < n->n; i++) {
		const struct rule *rule = find_rule(rules, n->keys[i]);
		size_t len = strlen(m->path);
		int r = 0;
		if (strncmp(n->keys[i], "x-", 2) == 0)
			continue;
		if (!rule) {
			snprintf(m->path + len, sizeof(m->path) - len, "%s%s", len ? "." : "",
				n->keys[i]);
			r = unknown(m, n->items[i], n->keys[i], rules, err);
			m->path[len] = '\0';
		} else {
			r = below(m, rule, n->items[i], n->keys[i], err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_each(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	const struct rule object = { "", OBJECT, 0, rule->sub };

	if (n->kind != NODE_MAP)
		return rule_bad(m, n, err, "expected a map");
	for (size_t i = 0; i < n->n; i++) {
		struct node *item = n->items[i];
		int r;
		if (item->kind == NODE_NULL && (rule->flags & NULLABLE))
			node_become(item, NODE_MAP);
		r = item->kind == NODE_NULL && item->tag != NODE_RESET
			    ? node_err(item, err, EINVAL, n->keys[i], "expected a map")
			    : below(m, &object, item, n->keys[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_items(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	const struct rule object = { "", OBJECT, 0, rule->sub };
	char index[24];

	if (n->kind != NODE_LIST)
		return rule_bad(m, n, err, "expected a list");
	for (size_t i = 0; i < n->n; i++) {
		int r;
		snprintf(index, sizeof(index), "[%zu]", i);
		r = below(m, &object, n->items[i], index, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_list(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == STRINGS && node_scalar(n)) {
		struct node *one = node_string(n->text, n);
		node_become(n, NODE_LIST);
		node_add(n, one);
	}
	if (n->kind != NODE_LIST)
		return rule_bad(m, n, err,
			rule->type == STRINGS ? "expected a string or a list" : "expected a list");
	for (size_t i = 0; i < n->n; i++) {
		if (!node_scalar(n->items[i]))
			return rule_bad(m, n->items[i], err, "expected a list of strings");
		n->items[i]->kind = NODE_STRING;
	}
	return 0;
}

/* Words by white space, with quotes and backslashes as the shell has them. */
static int split_words(const struct model *m, struct node *n, struct err *err)
{
	cleanup(free) char *text = xstrdup(n->text);
	cleanup(buf_free) struct buf word = { 0 };
	bool in = false;
	char quote = 0;

	node_become(n, NODE_LIST);
	for (const char *p = text;; p++) {
		if (!*p || (!quote && isspace((unsigned char)*p))) {
			if (in && !quote)
				node_add(n, node_string(word.data ? word.data : "", n));
			if (!*p)
				break;
			buf_free(&word);
			in = false;
		} else if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? 0 : *p;
			in = true;
		} else {
			if (*p == '\\' && quote != '\'' && p[1] &&
				(!quote || strchr("\"\\$`", p[1])))
				p++;
			buf_addc(&word, *p);
			in = true;
		}
	}
	return quote ? rule_bad(m, n, err, "a quote without an end") : 0;
}

static int check_pairs(struct model *m, struct node *n, struct err *err)
{
	if (n->kind == NODE_LIST) {
		cleanup(node_free) struct node *map = node_new(NODE_MAP, n);
		for (size_t i = 0; i < n->n; i++) {
			const char *text = n->items[i]->text;
			cleanup(free) char *key = text ? xstrndup(text, strcspn(text, "=")) : NULL;
			if (!text || !*key)
				return rule_bad(m, n->items[i], err, "expected NAME=VALUE");
			node_set(map, key,
				text[strlen(key)] ? node_string(text + strlen(key) + 1, n->items[i])
						  : node_new(NODE_NULL, n->items[i]));
		}
		node_replace(n, take(map));
	}
	if (n->kind != NODE_MAP)
		return rule_bad(m, n, err, "expected a map, or a list of NAME=VALUE");
	for (size_t i = 0; i < n->n; i++) {
		if (node_scalar(n->items[i]))
			n->items[i]->kind = NODE_STRING;
		else if (n->items[i]->kind != NODE_NULL)
			return node_err(n->items[i], err, EINVAL, m->path,
				"'%s': expected a string or a number", n->keys[i]);
	}
	return 0;
}

static int check_string(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == STR && n->kind != NODE_STRING)
		return rule_bad(m, n, err, "expected a string");
	n->kind = NODE_STRING;
	if (rule->flags & PATH) {
		bool url = strstr(n->text, "://") != NULL;
		cleanup(free) char *full = url ? xstrdup(n->text) : rule_absolute(m, n->text);
		node_set_text(n, NODE_STRING, full);
	}
	if (rule->text) {
		cleanup(strv_free) char **choices = strv_split(rule->text, '|');
		cleanup(free) char *list = strv_join(choices, ", ");
		if (!strv_contains(choices, n->text))
			return node_err(
				n, err, EINVAL, m->path, "'%s' is not one of %s", n->text, list);
	}
	return 0;
}

static int check_scalar(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	char text[32];
	int64_t i;
	double d;
	bool b;

	if (rule->type == BOOL && parse_bool(n->text, &b) == 0) {
		node_set_text(n, NODE_BOOL, b ? "true" : "false");
	} else if (rule->type == INT && parse_i64(n->text, INT64_MIN, INT64_MAX, &i) == 0) {
		n->kind = NODE_INT;
	} else if (rule->type == NUMBER && parse_double(n->text, &d) == 0) {
		n->kind = NODE_FLOAT;
	} else if (rule->type == SIZE &&
		   (strcmp(n->text, "-1") == 0 || parse_size(n->text, &i) == 0)) {
		snprintf(text, sizeof(text), "%lld",
			strcmp(n->text, "-1") == 0 ? -1LL : (long long)i);
		node_set_text(n, NODE_STRING, text);
	} else if (rule->type == DURATION && parse_duration(n->text, &i) == 0) {
		node_set_text(n, NODE_STRING, format_duration(i));
	} else if (rule->type == DURATION && parse_i64(n->text, 0, INT64_MAX, &i) == 0) {
		n->kind = NODE_STRING; /* cpu_period: microseconds */
	} else {
		return node_err(n, err, EINVAL, m->path, "'%s' is not %s", n->text,
			rule->type == BOOL     ? "true or false"
			: rule->type == INT    ? "a whole number"
			: rule->type == NUMBER ? "a number"
			: rule->type == SIZE   ? "a size, like 512m"
					       : "a duration, like 1m30s");
	}
	return 0;
}

static int check_type(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == ANY)
		return 0;
	if (rule->convert && rule->convert(m, n, err) < 0)
		return -EINVAL;
	switch (rule->type) {
	case OBJECT:
		return check_object(m, rule->sub, n, err);
	case EACH:
		return check_each(m, rule, n, err);
	case OBJECTS:
		return check_items(m, rule, n, err);
	case PAIRS:
		return check_pairs(m, n, err);
	case WORDS:
		return node_scalar(n) ? split_words(m, n, err) : check_list(m, rule, n, err);
	case LIST:
	case STRINGS:
		return check_list(m, rule, n, err);
	default:
		break;
	}
	if (!node_scalar(n))
		return rule_bad(m, n, err, "expected a single value");
	return rule->type == STR || rule->type == SCALAR ? check_string(m, rule, n, err)
							 : check_scalar(m, rule, n, err);
}

static int normalize(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	int r;

	if (rule->type == REFUSED)
		return node_err(n, err, ENOTSUP, m->path, "not supported: %s", rule->text);
	if (n->kind == NODE_NULL || n->tag == NODE_RESET)
		return 0;
	r = check_type(m, rule, n, err);
	/* What is off already needs nothing that turns it off. */
	if (r == 0 && (rule->flags & IDLE) && (rule->type != BOOL || strcmp(n->text, "true") == 0))
		node_warn(n, m->path, "holm does nothing about it");
	return r;
}

int model_normalize(struct node *doc, const char *dir, struct err *err)
{
	struct model m = { .dir = dir };

	return normalize(&m, &root_rule, doc, err);
}

static bool same_item(const struct rule *rule, const struct node *a, const struct node *b)
{
	cleanup(strv_free) char **keys = NULL;

	if (rule->type != OBJECTS)
		return a->text && b->text && strcmp(a->text, b->text) == 0;
	keys = strv_split(rule->text, ',');
	strv_foreach (key, keys)
		if (strcmp(node_text(a, *key) ?: "", node_text(b, *key) ?: "") != 0)
			return false;
	return true;
}

static void merge_lists(const struct rule *rule, struct node *base, struct node *over)
{
	while (over->n) {
		struct node *item = node_copy(over->items[0]);
		node_remove(over, 0);
		for (size_t i = 0; (rule->flags & UNIQUE) && i < base->n; i++)
			if (same_item(rule, base->items[i], item)) {
				node_replace(base->items[i], take(item));
				break;
			}
		if (item)
			node_add(base, item);
	}
}

static void merge(const struct rule *rule, struct node *base, struct node *over);

static void merge_maps(const struct rule *rule, struct node *base, struct node *over)
{
	const struct rule object = { "", OBJECT, 0, rule->sub }, any = { "", ANY };

	for (size_t i = 0; i < over->n; i++) {
		struct node *there = node_get(base, over->keys[i]);
		const struct rule *sub = rule->type == EACH ? &object
					 : rule->type == OBJECT
						 ? find_rule(rule->sub, over->keys[i])
						 : &any;
		if (over->items[i]->tag == NODE_RESET)
			node_set(base, over->keys[i], NULL);
		else if (there)
			merge(sub ? sub : &any, there, node_copy(over->items[i]));
		else
			node_set(base, over->keys[i], node_copy(over->items[i]));
	}
}

/* Takes `over` over. */
static void merge(const struct rule *rule, struct node *base, struct node *over)
{
	bool whole = (rule->flags & WHOLE) || over->tag == NODE_OVERRIDE;

	if (over->kind == NODE_MAP && base->kind == NODE_MAP && !whole)
		merge_maps(rule, base, over);
	else if (over->kind == NODE_LIST && base->kind == NODE_LIST && !whole)
		merge_lists(rule, base, over);
	else {
		if (over->kind != NODE_NULL)
			node_replace(base, take(over));
		base->tag = NODE_MERGE;
	}
	node_free(over);
}

/* What is reset and was not there before: never checked, hence nothing that may stay. */
static void drop_reset(struct node *n)
{
	for (size_t i = n->n; i-- > 0;) {
		if (n->items[i]->tag == NODE_RESET)
			node_remove(n, i);
		else
			drop_reset(n->items[i]);
	}
}

void model_merge(struct node *base, struct node *over)
{
	merge(&root_rule, base, over);
	drop_reset(base);
}

static int check_names(const struct node *root, const struct node *used, const char *section,
	const char *what, struct err *err)
{
	for (size_t i = 0; used && i < used->n; i++) {
		const char *name = used->kind == NODE_MAP ? used->keys[i]
							  : node_text(used->items[i], "source");
		const struct node *all = node_get(root, section);
		if (!name)
			continue;
		if (strcmp(section, "volumes") == 0 &&
			strcmp(node_text(used->items[i], "type") ?: "", "volume") != 0)
			continue;
		if (strcmp(section, "networks") == 0 && strcmp(name, "default") == 0)
			continue;
		if (!node_get(all, name))
			return node_err(used->items[i], err, EINVAL, what,
				"'%s' is not among the file's %s", name, section);
	}
	return 0;
}

void model_imply(struct node *root)
{
	static const char *const members[] = { "network_mode", "pid", "ipc" };
	struct node *services = node_get(root, "services");

	for (size_t i = 0; services && i < services->n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(members); k++) {
			struct node *s = services->items[i], *mode = node_get(s, members[k]), *on;
			const char *text = node_text(s, members[k]);
			if (!text || strncmp(text, "service:", 8) != 0)
				continue;
			if (!node_get(s, "depends_on"))
				node_set(s, "depends_on", node_new(NODE_MAP, mode));
			if (node_get(node_get(s, "depends_on"), text + 8))
				continue;
			on = node_new(NODE_MAP, mode);
			node_set_string(on, "condition", "service_started", mode);
			node_set_string(on, "required", "true", mode);
			node_set_text(node_get(on, "required"), NODE_BOOL, "true");
			node_set(node_get(s, "depends_on"), text + 8, on);
		}
	}
}

int model_check_scale(const struct node *service, const char *what, struct err *err)
{
	int64_t scale = node_int(service, "scale", -1),
		replicas = node_int(service, "deploy.replicas", -1);
	int64_t n = scale >= 0 ? scale : replicas;

	if (scale >= 0 && replicas >= 0 && scale != replicas)
		return node_err(node_get(service, "scale"), err, EINVAL, what,
			"'scale' and 'deploy.replicas' are different numbers: leave one out");
	if (n > MODEL_MAX_SCALE)
		return node_err(
			service, err, EINVAL, what, "more than %d containers", MODEL_MAX_SCALE);
	if (n > 1 && node_get(service, "container_name"))
		return node_err(node_get(service, "container_name"), err, EINVAL, what,
			"several containers cannot have one 'container_name'");
	return 0;
}

int model_check(const struct node *root, struct err *err)
{
	static const char *const sections[] = { "networks", "volumes", "configs", "secrets" };
	const struct node *services = node_get(root, "services");

	if (!services || !services->n)
		return node_err(root, err, EINVAL, NULL, "no services");
	for (size_t i = 0; i < services->n; i++) {
		const struct node *s = services->items[i];
		cleanup(free) char *what = xasprintf("services.%s", services->keys[i]);
		if (!node_get(s, "image") && !node_get(s, "build"))
			return node_err(s, err, EINVAL, what, "neither 'image' nor 'build'");
		if (node_get(s, "build") &&
			strcmp(node_text(s, "pull_policy") ?: "", "always") == 0)
			node_warn(node_get(s, "pull_policy"), what,
				"'pull_policy: always': holm does nothing about it beside 'build'");
		if (node_get(s, "network_mode") && node_get(s, "networks"))
			return node_err(s, err, EINVAL, what,
				"'network_mode' and 'networks' exclude each other");
		if (model_check_scale(s, what, err) < 0)
			return -EINVAL;
		for (size_t k = 0; k < ARRAY_SIZE(sections); k++)
			if (check_names(root, node_get(s, sections[k]), sections[k], what, err) < 0)
				return -EINVAL;
		if (check_names(root, node_get(s, "depends_on"), "services", what, err) < 0)
			return -EINVAL;
	}
	return 0;
}
