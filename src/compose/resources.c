/* A project's networks and volumes. */
#include "compose/resources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "instance/event.h"
#include "instance/volume.h"
#include "net/net.h"

static void set_labels(const struct compose_project *p, const char *kind, const char *name,
	const struct node *n, char ***labels)
{
	cleanup(free) char *key = xasprintf(COMPOSE_LABEL "%s", kind);

	node_to_map(node_get(n, "labels"), labels);
	map_set(labels, COMPOSE_LABEL "project", p->name);
	map_set(labels, key, name);
}

static void set_pools(const struct node *pools, struct network *n)
{
	for (size_t i = 0; pools && i < pools->n; i++) {
		const struct node *pool = pools->items[i];
		const char *subnet = node_text(pool, "subnet");
		bool six = subnet && strchr(subnet, ':');
		str_replace(six ? &n->subnet6 : &n->subnet4, subnet);
		str_replace(six ? &n->gateway6 : &n->gateway4, node_text(pool, "gateway"));
		str_replace(six ? &n->range6 : &n->range4, node_text(pool, "ip_range"));
		node_to_map(node_get(pool, "aux_addresses"), &n->aux);
	}
}

static int make_network(struct db *db, const struct compose_project *p, const char *name,
	const struct compose_report *report, struct err *err)
{
	const struct node *node = node_get(node_get(p->root, "networks"), name);
	cleanup(free) char *full = compose_resource_name(p, "networks", name);
	cleanup(network_free) struct network *there = NULL, *n = NULL;
	int r = network_find(db, full, &there, NULL);

	if (r == 0 && strcmp(there->name, full) == 0)
		return 0;
	if (node_bool(node, "external"))
		return node_err(node, err, ENOENT, name,
			"the external network '%s' is not there: 'holm network create %s' makes it",
			full, full);
	n = xnew(struct network);
	n->name = xstrdup(full);
	n->driver = xstrdup_null(node_text(node, "driver"));
	n->ipv6 = node_bool(node, "enable_ipv6");
	n->internal = node_bool(node, "internal");
	n->attachable = node_bool(node, "attachable");
	node_to_map(node_get(node, "driver_opts"), &n->options);
	set_pools(node_at(node, "ipam.config"), n);
	set_labels(p, "network", name, node, &n->labels);
	r = network_create(db, n, err);
	if (r < 0)
		return err_wrap(err, "network %s", name);
	event_emit("network", "create", n->id,
		(char *[]){ (char *)"name", n->name, (char *)"type", n->driver, NULL });
	compose_tell(report, "Created", "Network %s", full);
	return 0;
}

static int make_volume(struct db *db, const struct compose_project *p, const char *name,
	const struct compose_report *report, struct err *err)
{
	const struct node *node = node_get(node_get(p->root, "volumes"), name);
	cleanup(free) char *full = compose_resource_name(p, "volumes", name);
	cleanup(volume_free) struct volume *there = NULL;
	struct volume v = { 0 };
	int r = volume_find(db, full, &there, NULL);

	if (r == 0)
		return 0;
	if (node_bool(node, "external"))
		return node_err(node, err, ENOENT, name,
			"the external volume '%s' is not there: 'holm volume create %s' makes it",
			full, full);
	v.name = xstrdup(full);
	v.driver = xstrdup_null(node_text(node, "driver"));
	node_to_map(node_get(node, "driver_opts"), &v.options);
	set_labels(p, "volume", name, node, &v.labels);
	r = volume_create(db, &v, err);
	record_clear(volume_fields, &v);
	if (r < 0)
		return err_wrap(err, "volume %s", name);
	compose_tell(report, "Created", "Volume %s", full);
	return 0;
}

/* Those that the chosen services use. */
int resources_make(struct db *db, const struct compose_project *p,
	const struct compose_report *report, struct err *err)
{
	int r = 0;

	strv_foreach (service, p->services) {
		const struct node *s = compose_service(p, *service);
		const struct node *networks = node_get(s, "networks");
		const struct node *volumes = node_get(s, "volumes");
		if (!networks && !node_get(s, "network_mode"))
			r = make_network(db, p, "default", report, err);
		for (size_t i = 0; r == 0 && networks && i < networks->n; i++)
			r = make_network(db, p, networks->keys[i], report, err);
		for (size_t i = 0; r == 0 && volumes && i < volumes->n; i++) {
			const struct node *v = volumes->items[i];
			if (strcmp(node_text(v, "type") ?: "", "volume") == 0 &&
				node_text(v, "source"))
				r = make_volume(db, p, node_text(v, "source"), report, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int resources_remove(struct db *db, const struct compose_project *p, bool volumes,
	const struct compose_report *report, struct err *err)
{
	struct record_list networks = { 0 }, vols = { 0 };
	int r = network_list(db, &networks, err);

	while (r == 0 && networks.n) {
		const struct network *n = networks.items[0];
		if (strcmp(map_get(n->labels, COMPOSE_LABEL "project") ?: "", p->name) == 0) {
			r = network_remove(db, n->id, err);
			if (r == 0)
				compose_tell(report, "Removed", "Network %s", n->name);
		}
		record_list_remove(&networks, 0, network_fields);
	}
	while (networks.n)
		record_list_remove(&networks, 0, network_fields);
	free(networks.items);
	if (r == 0 && volumes)
		r = volume_list(db, &vols, err);
	while (vols.n) {
		const struct volume *v = vols.items[0];
		if (r == 0 &&
			strcmp(map_get(v->labels, COMPOSE_LABEL "project") ?: "", p->name) == 0) {
			r = volume_remove(db, v->name, false, err);
			if (r == 0)
				compose_tell(report, "Removed", "Volume %s", v->name);
		}
		record_list_remove(&vols, 0, volume_fields);
	}
	free(vols.items);
	return r;
}
