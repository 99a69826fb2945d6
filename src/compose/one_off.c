/*
 * `compose run`: a container of a service for one command. What is asked for on the command line is one more
 * file that is merged over the others, so that it is checked and means what it would in a file.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"
#include "compose/compose.h"
#include "compose/model.h"
#include "instance/run_options.h"

static struct node *list_of(char *const *items)
{
	struct node *list = node_new(NODE_LIST, NULL);

	strv_foreach (item, items)
		node_add(list, node_string(*item, NULL));
	return list;
}

static void add_list(struct node *s, const char *member, char *const *items, enum node_tag tag)
{
	struct node *list;

	if (!items)
		return;
	list = list_of(items);
	list->tag = tag;
	node_set(s, member, list);
}

static void add_text(struct node *s, const char *member, const char *text)
{
	if (text)
		node_set_string(s, member, text, NULL);
}

static void reset(struct node *s, const char *member)
{
	struct node *n = node_new(NODE_NULL, NULL);

	n->tag = NODE_RESET;
	node_set(s, member, n);
}

/* The service's part of the further file. */
static struct node *overlay(const struct compose_run *how, const char *name)
{
	struct node *s = node_new(NODE_MAP, NULL);

	add_text(s, "container_name", name);
	add_text(s, "entrypoint", how->entrypoint);
	add_text(s, "user", how->user);
	add_text(s, "working_dir", how->workdir);
	add_text(s, "restart", "no");
	add_text(s, "tty", how->tty ? "true" : "false");
	add_text(s, "stdin_open", how->interactive ? "true" : "false");
	add_list(s, "environment", how->env, NODE_MERGE);
	add_list(s, "labels", how->labels, NODE_MERGE);
	add_list(s, "volumes", how->volumes, NODE_MERGE);
	if (*how->command)
		add_list(s, "command", how->command, NODE_OVERRIDE);
	else if (how->entrypoint)
		reset(s, "command");
	if (how->publish)
		add_list(s, "ports", how->publish, how->service_ports ? NODE_MERGE : NODE_OVERRIDE);
	else if (!how->service_ports)
		reset(s, "ports");
	return s;
}

static int merge_overlay(struct compose_project *p, const char *service,
	const struct compose_run *how, struct err *err)
{
	cleanup(node_free) struct node *doc = node_new(NODE_MAP, NULL);
	cleanup(free) char *dir = path_absolute(".");
	struct node *services = node_new(NODE_MAP, NULL);
	char id[ID_LEN + 1];
	cleanup(free) char *name = NULL;
	int r;

	id_random(id);
	name = how->name ? xstrdup(how->name)
			 : xasprintf("%s-%s-run-%.*s", p->name, service, ID_SHORT, id);
	node_set(services, service, overlay(how, name));
	node_set(doc, "services", services);
	r = model_normalize(doc, dir ?: "/", err);
	if (r == 0)
		model_merge(p->root, take(doc));
	return r;
}

/* What the service needs: networks, volumes, and what it depends on. */
static int prepare(const struct compose_store *store, struct compose_project *p,
	const char *service, const struct compose_run *how, const struct compose_report *report,
	struct err *err)
{
	const struct compose_up up = { .timeout = -1, .no_recreate = true };
	char *own[] = { (char *)service, NULL }, **all = p->services;
	cleanup(strv_free) char **others = NULL;
	int r = 0;

	strv_foreach (other, all)
		if (strcmp(*other, service) != 0)
			strv_add(&others, *other);
	p->services = others;
	if (others && !how->no_deps)
		r = compose_up(store, p, &up, report, err);
	p->services = own;
	if (r == 0)
		r = compose_prepare(store, p, !how->no_deps, report, err);
	p->services = all;
	return r;
}

int compose_run(const struct compose_store *store, struct compose_project *p, const char *service,
	const struct compose_run *how, const struct compose_report *report,
	struct instance_config *ret, struct err *err)
{
	struct db *db;
	int r = prepare(store, p, service, how, report, err);

	if (r == 0)
		r = merge_overlay(p, service, how, err);
	db = r < 0 ? NULL : store->open(err);
	if (!db)
		return r < 0 ? r : -EIO;
	r = compose_configure(db, p, service, 0, ret, err);
	if (r < 0)
		return r;
	ret->auto_remove = how->remove;
	ret->run = true;
	return instance_create(db, ret, err);
}
