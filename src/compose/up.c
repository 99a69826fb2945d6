/* Making a project's networks, volumes and containers what its files say, and taking them down. */
#include "compose/compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/image.h"
#include "instance/event.h"
#include "instance/volume.h"
#include "net/net.h"

#define LABEL "com.docker.compose."
#define POLL_NS 100000000

const char *compose_label(const struct instance *i, const char *name)
{
	cleanup(free) char *key = xasprintf(LABEL "%s", name);

	return map_get(i->config.labels, key) ?: "";
}

static int number_of(const struct instance *i)
{
	return atoi(compose_label(i, "container-number"));
}

static int compare(const void *a, const void *b)
{
	const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
	int r = strcmp(compose_label(x, "service"), compose_label(y, "service"));

	return r ? r : number_of(x) - number_of(y);
}

int compose_containers(struct db *db, const struct compose_project *p, const char *service,
	struct instance_list *ret, struct err *err)
{
	struct instance_list all = { 0 };
	size_t n = 0;
	int r = instance_list(db, &all, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		struct instance *one = all.items[i];
		if (strcmp(compose_label(one, "project"), p->name) == 0 &&
			(!service || strcmp(compose_label(one, "service"), service) == 0))
			all.items[n++] = one;
		else
			instance_free(one);
	}
	all.n = n;
	if (n)
		qsort(all.items, n, sizeof(*all.items), compare);
	*ret = all;
	return 0;
}

static void set_labels(const struct compose_project *p, const char *kind, const char *name,
	const struct node *n, char ***labels)
{
	cleanup(free) char *key = xasprintf(LABEL "%s", kind);

	node_to_map(node_get(n, "labels"), labels);
	map_set(labels, LABEL "project", p->name);
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
	compose_report_fn *report, struct err *err)
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
	cleanup(free) char *what = xasprintf("Network %s", full);
	report(what, "Created");
	return 0;
}

static int make_volume(struct db *db, const struct compose_project *p, const char *name,
	compose_report_fn *report, struct err *err)
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
	cleanup(free) char *what = xasprintf("Volume %s", full);
	report(what, "Created");
	return 0;
}

/* Those that the chosen services use. */
static int make_resources(
	struct db *db, const struct compose_project *p, compose_report_fn *report, struct err *err)
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

static void tell(compose_report_fn *report, const struct instance *i, const char *did)
{
	cleanup(free) char *what = xasprintf("Container %s", i->config.name);

	report(what, did);
}

static int take_down(struct db *db, struct instance *i, int64_t timeout, bool volumes,
	compose_report_fn *report, struct err *err)
{
	int r = instance_running(i) ? instance_stop(db, i, NULL, timeout, err) : 0;

	if (r == 0)
		r = instance_remove(db, i, /* force= */ true, volumes, err);
	if (r == 0)
		tell(report, i, "Removed");
	return r;
}

/* 1 when what a container shares with another service is of a container that was replaced; or 0. */
static int shares_old(struct db *db, const struct compose_project *p, const char *service,
	const struct instance_config *c, struct err *err)
{
	const struct {
		const char *member, *is;
	} shared[] = { { "network_mode", c->network_mode }, { "pid", c->pid_mode },
		{ "ipc", c->ipc_mode } };

	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		const char *mode = node_text(compose_service(p, service), shared[i].member);
		cleanup(free) char *now = NULL;
		int r;
		if (!mode || strncmp(mode, "service:", 8) != 0)
			continue;
		r = compose_shared(db, p, mode, &now, err);
		if (r < 0 || strcmp(now, shared[i].is ?: "") != 0)
			return r < 0 ? r : 1;
	}
	return 0;
}

/* 1 when a container is to be made anew: it is not what the files say, or not of the image that its name means
 * today, or shares with one that is gone; or 0. */
static int outdated(struct db *db, const struct compose_project *p, const char *service,
	const struct instance *i, const struct compose_up *how, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	char hash[65];
	int r;

	if (how->no_recreate || how->force_recreate)
		return how->force_recreate;
	r = compose_hash(p, service, hash, err);
	if (r < 0)
		return r;
	if (strcmp(hash, compose_label(i, "config-hash")) != 0 ||
		image_find(db, i->config.image, &image, NULL) < 0 ||
		strcmp(image->id, i->config.image_id) != 0)
		return 1;
	return shares_old(db, p, service, &i->config, err);
}

/* Until a container is in the state that a condition asks for. */
static int wait_for(struct db *db, const char *id, const char *condition, struct err *err)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	bool healthy = strcmp(condition, "service_healthy") == 0;

	for (;;) {
		cleanup(instance_free) struct instance *i = NULL;
		int r = instance_find(db, id, &i, err);
		const char *health = r == 0 ? i->state.health : NULL;
		if (r < 0)
			return r;
		if (strcmp(condition, "service_started") == 0)
			return 0;
		if (healthy && !i->config.health)
			return err_set(
				err, EINVAL, "%s has no health check to wait for", i->config.name);
		if (healthy && health && strcmp(health, "healthy") == 0)
			return 0;
		if (healthy && health && strcmp(health, "unhealthy") == 0)
			return err_set(err, EIO, "%s is unhealthy", i->config.name);
		if (strcmp(i->state.status, "exited") == 0 ||
			strcmp(i->state.status, "dead") == 0) {
			if (!healthy && i->state.exit_code == 0)
				return 0;
			return err_set(err, EIO, "%s has ended with status %lld", i->config.name,
				(long long)i->state.exit_code);
		}
		nanosleep(&pause, NULL);
	}
}

static int wait_dependencies(
	struct db *db, const struct compose_project *p, const char *service, struct err *err)
{
	const struct node *depends = node_get(compose_service(p, service), "depends_on");

	for (size_t d = 0; depends && d < depends->n; d++) {
		cleanup(instance_list_free) struct instance_list list = { 0 };
		const char *condition = node_text(depends->items[d], "condition");
		struct err why = { 0 };
		int r = compose_containers(db, p, depends->keys[d], &list, &why);
		for (size_t i = 0; r == 0 && i < list.n; i++)
			r = wait_for(db, list.items[i]->config.id, condition, &why);
		if (r < 0 && !node_bool(depends->items[d], "required"))
			log_warn("%s goes on without %s: %s", service, depends->keys[d], why.text);
		else if (r < 0)
			return err_set(err, why.code, "%s waits for %s: %s", service,
				depends->keys[d], why.text);
	}
	return 0;
}

static int create_one(struct db *db, const struct compose_project *p, const char *service,
	int64_t number, compose_report_fn *report, struct instance **ret, struct err *err)
{
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	int r = compose_configure(db, p, service, number, &c, err);

	if (r == 0)
		r = instance_create(db, &c, err);
	if (r == 0)
		r = instance_find(db, c.id, ret, err);
	if (r == 0)
		tell(report, *ret, "Created");
	return r;
}

static int converge(struct db *db, const struct compose_project *p, const char *service,
	const struct compose_up *how, compose_report_fn *report, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	int64_t scale = compose_scale(compose_service(p, service));
	struct instance_start start = { 0 };
	int r = compose_containers(db, p, service, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		if (number_of(list.items[i]) > scale)
			r = take_down(db, list.items[i], how->timeout, false, report, err);
	if (r == 0)
		r = how->no_deps ? 0 : wait_dependencies(db, p, service, err);
	for (int64_t number = 1; r == 0 && number <= scale; number++) {
		cleanup(instance_free) struct instance *made = NULL;
		struct instance *one = NULL;
		for (size_t i = 0; !one && i < list.n; i++)
			if (number_of(list.items[i]) == number)
				one = list.items[i];
		r = one ? outdated(db, p, service, one, how, err) : 0;
		if (r > 0) {
			r = take_down(db, one, how->timeout, false, report, err);
			one = NULL;
		}
		if (r == 0 && !one) {
			r = create_one(db, p, service, number, report, &made, err);
			one = made;
		}
		if (r < 0 || how->no_start)
			continue;
		if (instance_running(one)) {
			tell(report, one, "Running");
			continue;
		}
		r = instance_start(db, one, &start, err);
		if (r == 0)
			tell(report, one, "Started");
	}
	return r;
}

/* Containers of services that the files do not have any more. */
static int orphans(struct db *db, const struct compose_project *p, bool remove, int64_t timeout,
	compose_report_fn *report, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	int r = compose_containers(db, p, NULL, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct instance *one = list.items[i];
		if (compose_service(p, compose_label(one, "service")))
			continue;
		if (remove)
			r = take_down(db, one, timeout, false, report, err);
		else
			log_warn("%s is of no service of the files: --remove-orphans removes it",
				one->config.name);
	}
	return r;
}

static int wait_all(struct db *db, const struct compose_project *p, struct err *err)
{
	strv_foreach (service, p->services) {
		cleanup(instance_list_free) struct instance_list list = { 0 };
		int r = compose_containers(db, p, *service, &list, err);
		for (size_t i = 0; r == 0 && i < list.n; i++)
			r = wait_for(db, list.items[i]->config.id,
				list.items[i]->config.health ? "service_healthy"
							     : "service_started",
				err);
		if (r < 0)
			return r;
	}
	return 0;
}

int compose_up(struct db *db, struct compose_project *p, const struct compose_up *how,
	compose_report_fn *report, struct err *err)
{
	int r = orphans(db, p, how->remove_orphans, how->timeout, report, err);

	if (r == 0)
		r = make_resources(db, p, report, err);
	for (char **service = p->services; r == 0 && *service; service++)
		r = converge(db, p, *service, how, report, err);
	return r == 0 && how->wait ? wait_all(db, p, err) : r;
}

static int remove_resources(struct db *db, const struct compose_project *p, bool volumes,
	compose_report_fn *report, struct err *err)
{
	struct record_list networks = { 0 }, vols = { 0 };
	int r = network_list(db, &networks, err);

	while (r == 0 && networks.n) {
		const struct network *n = networks.items[0];
		if (strcmp(map_get(n->labels, LABEL "project") ?: "", p->name) == 0) {
			cleanup(free) char *what = xasprintf("Network %s", n->name);
			cleanup(free) char *id = xstrdup(n->id);
			r = network_remove(db, id, err);
			if (r == 0)
				report(what, "Removed");
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
		if (r == 0 && strcmp(map_get(v->labels, LABEL "project") ?: "", p->name) == 0) {
			cleanup(free) char *what = xasprintf("Volume %s", v->name);
			r = volume_remove(db, v->name, false, err);
			if (r == 0)
				report(what, "Removed");
		}
		record_list_remove(&vols, 0, volume_fields);
	}
	free(vols.items);
	return r;
}

int compose_down(struct db *db, struct compose_project *p, const struct compose_down *how,
	compose_report_fn *report, struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	size_t n = strv_len(p->services);
	int r = 0;

	/* Those that others depend on go last. */
	while (r == 0 && n > 0) {
		cleanup(instance_list_free) struct instance_list some = { 0 };
		r = compose_containers(db, p, p->services[--n], &some, err);
		for (size_t i = 0; r == 0 && i < some.n; i++)
			r = take_down(db, some.items[i], how->timeout, true, report, err);
	}
	if (r == 0)
		r = orphans(db, p, how->remove_orphans, how->timeout, report, err);
	if (r == 0)
		r = compose_containers(db, p, NULL, &list, err);
	/* What orphans use stays with them. */
	return r == 0 && !list.n ? remove_resources(db, p, how->volumes, report, err) : r;
}
