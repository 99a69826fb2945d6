/* Making a project's containers what its files say, several at a time, and taking them down. */
#include "compose/compose.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/strv.h"
#include "compose/order.h"
#include "compose/resources.h"
#include "image/image.h"

#define POLL_NS 100000000

void compose_tell(const struct compose_report *report, const char *did, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	report->fn(report->data, what, did);
}

const char *compose_label(const struct instance *i, const char *name)
{
	cleanup(free) char *key = xasprintf(COMPOSE_LABEL "%s", name);

	return map_get(i->config.labels, key) ?: "";
}

bool compose_one_off(const struct instance *i)
{
	return strcmp(compose_label(i, "oneoff"), "True") == 0;
}

static int64_t number_of(const struct instance *i)
{
	return atoll(compose_label(i, "container-number"));
}

static int compare(const void *a, const void *b)
{
	const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
	int r = strcmp(compose_label(x, "service"), compose_label(y, "service"));

	return r ? r : (number_of(x) > number_of(y)) - (number_of(x) < number_of(y));
}

int compose_containers(struct db *db, const struct compose_project *p, const char *service,
	bool one_off, struct instance_list *ret, struct err *err)
{
	struct instance_list all = { 0 };
	size_t n = 0;
	int r = instance_list(db, &all, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		struct instance *one = all.items[i];
		if (strcmp(compose_label(one, "project"), p->name) == 0 &&
			(!service || strcmp(compose_label(one, "service"), service) == 0) &&
			(one_off || !compose_one_off(one)))
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

static void tell(const struct compose_report *report, const struct instance *i, const char *did)
{
	compose_tell(report, did, "Container %s", i->config.name);
}

static int take_down(struct db *db, struct instance *i, int64_t timeout, bool volumes,
	const struct compose_report *report, struct err *err)
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
		int r = compose_containers(db, p, depends->keys[d], false, &list, &why);
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
	int64_t number, const struct compose_report *report, struct instance **ret, struct err *err)
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

/* 1 when a service that it depends on with `restart` has a container that was made after it had started; or 0. */
static int wants_restart(struct db *db, const struct compose_project *p, const char *service,
	const struct instance *i, struct err *err)
{
	const struct node *depends = node_get(compose_service(p, service), "depends_on");
	bool wanted = false;
	int r = 0;

	for (size_t d = 0; r == 0 && depends && d < depends->n; d++) {
		cleanup(instance_list_free) struct instance_list list = { 0 };
		if (!node_bool(depends->items[d], "restart"))
			continue;
		r = compose_containers(db, p, depends->keys[d], false, &list, err);
		for (size_t k = 0; r == 0 && k < list.n; k++)
			wanted |= list.items[k]->config.created > i->state.started;
	}
	return r < 0 ? r : wanted;
}

/* A container as the place that it has: what is there, or what is to be. */
struct place {
	const char *service; /* "": of none that the files have */
	int64_t number;
	struct instance *there; /* owned, or NULL */
};

struct plan {
	const struct compose_project *p;
	const struct compose_report *report;
	const struct compose_up *how;    /* NULL: only what is there counts */
	const struct compose_each *each; /* what is done to it, or NULL */
	int64_t timeout;
	bool volumes; /* anonymous ones go with their containers */
	bool one_off;
	struct place *places;
	size_t n;
};

static void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		instance_free(plan->places[i].there);
	free(plan->places);
	plan->places = NULL;
	plan->n = 0;
}
DEFINE_CLEANUP_OBJECT(plan_clear, struct plan);

static void add_place(struct plan *plan, const char *service, int64_t number, struct instance *i)
{
	plan->places = xrealloc_array(plan->places, plan->n + 1, sizeof(*plan->places));
	plan->places[plan->n++] = (struct place){ service, number, i };
}

/* What is there of a service, and what its scale asks for beyond that. */
static int add_service(struct db *db, struct plan *plan, const char *service, struct err *err)
{
	int64_t scale = plan->how ? compose_scale(compose_service(plan->p, service)) : 0;
	struct instance_list list = { 0 };
	int r = compose_containers(db, plan->p, service, plan->one_off, &list, err);

	if (r < 0)
		return r;
	for (int64_t number = 1; number <= scale; number++) {
		bool there = false;
		for (size_t i = 0; !there && i < list.n; i++)
			there = number_of(list.items[i]) == number;
		if (!there)
			add_place(plan, service, number, NULL);
	}
	for (size_t i = 0; i < list.n; i++)
		add_place(plan, service, number_of(list.items[i]), list.items[i]);
	free(list.items);
	return 0;
}

static int add_services(struct db *db, struct plan *plan, struct err *err)
{
	int r = 0;

	for (char **service = plan->p->services; r == 0 && *service; service++)
		r = add_service(db, plan, *service, err);
	return r;
}

/* Containers of services that the files do not have any more; without `remove` they are told of. */
static int add_orphans(struct db *db, struct plan *plan, bool remove, struct err *err)
{
	struct instance_list list = { 0 };
	int r = compose_containers(db, plan->p, NULL, true, &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct instance *one = list.items[i];
		bool orphan = !compose_service(plan->p, compose_label(one, "service"));
		if (orphan && remove) {
			add_place(plan, "", 0, one);
			continue;
		}
		if (orphan)
			log_warn("%s is of no service of the files: --remove-orphans removes it",
				one->config.name);
		instance_free(one);
	}
	free(list.items);
	return r;
}

static char *place_name(void *data, size_t n)
{
	const struct plan *plan = data;
	const struct place *at = &plan->places[n];
	cleanup(free) char *name =
		at->there ? xstrdup(at->there->config.name)
			  : compose_container_name(plan->p, at->service, at->number);

	return xasprintf("Container %s", name);
}

static bool depended_first(void *data, size_t first, size_t second)
{
	const struct plan *plan = data;
	const struct node *s = compose_service(plan->p, plan->places[second].service);

	return node_get(node_get(s, "depends_on"), plan->places[first].service) != NULL;
}

static bool dependants_first(void *data, size_t first, size_t second)
{
	return depended_first(data, second, first);
}

/* Done wholly, though a signal wants to end us: half started, it would come up when nobody waits for it. */
static int start_whole(struct db *db, struct instance *i, struct err *err)
{
	const struct instance_start how = { 0 };
	sigset_t set, before;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	r = instance_start(db, i, &how, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int run_place(struct db *db, const struct plan *plan, struct instance *i, struct err *err)
{
	const char *did = "Running";
	int r = 0;

	if (!instance_running(i)) {
		did = "Started";
		r = start_whole(db, i, err);
	} else if (!plan->how->no_deps) {
		r = wants_restart(db, plan->p, compose_label(i, "service"), i, err);
		if (r > 0) {
			did = "Restarted";
			r = instance_restart(db, i, NULL, plan->timeout, err);
		}
	}
	if (r == 0)
		tell(plan->report, i, did);
	/* Among others that come up at the same time. */
	return r < 0 && err && !strstr(err->text, i->config.name)
		       ? err_wrap(err, "container %s", i->config.name)
		       : r;
}

static int raise_place(void *data, size_t n, struct db *db, struct err *err)
{
	const struct plan *plan = data;
	const struct place *at = &plan->places[n];
	cleanup(instance_free) struct instance *made = NULL;
	struct instance *i = at->there;
	int r;

	if (at->number > compose_scale(compose_service(plan->p, at->service)))
		return take_down(db, i, plan->timeout, false, plan->report, err);
	r = plan->how->no_deps ? 0 : wait_dependencies(db, plan->p, at->service, err);
	if (r == 0 && i)
		r = outdated(db, plan->p, at->service, i, plan->how, err);
	if (r > 0) {
		r = take_down(db, i, plan->timeout, false, plan->report, err);
		i = NULL;
	}
	if (r == 0 && !i) {
		r = create_one(db, plan->p, at->service, at->number, plan->report, &made, err);
		i = made;
	}
	return r < 0 || plan->how->no_start ? r : run_place(db, plan, i, err);
}

static int remove_place(void *data, size_t n, struct db *db, struct err *err)
{
	const struct plan *plan = data;

	return take_down(
		db, plan->places[n].there, plan->timeout, plan->volumes, plan->report, err);
}

static int each_place(void *data, size_t n, struct db *db, struct err *err)
{
	const struct plan *plan = data;
	struct instance *i = plan->places[n].there;
	const char *did = NULL;
	int r = plan->each->work(plan->each->data, db, i, &did, err);

	if (r == 0 && did)
		tell(plan->report, i, did);
	return r;
}

/* Against the order of dependencies, or in it. */
static int run_plan(struct plan *plan, bool backwards,
	int (*work)(void *data, size_t n, struct db *db, struct err *err),
	const struct compose_store *store, struct err *err)
{
	const struct order order = { .n = plan->n,
		.before = backwards ? dependants_first : depended_first,
		.work = work,
		.name = place_name,
		.data = plan };
	int r = order_run(&order, store, plan->report, err);

	plan_clear(plan);
	return r;
}

static int wait_all(struct db *db, const struct compose_project *p, struct err *err)
{
	strv_foreach (service, p->services) {
		cleanup(instance_list_free) struct instance_list list = { 0 };
		int r = compose_containers(db, p, *service, false, &list, err);
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

int compose_up(const struct compose_store *store, struct compose_project *p,
	const struct compose_up *how, const struct compose_report *report, struct err *err)
{
	cleanup(plan_clear) struct plan plan = {
		.p = p, .report = report, .how = how, .timeout = how->timeout
	};
	struct db *db = store->open(err);
	int r = db ? add_orphans(db, &plan, how->remove_orphans, err) : -EIO;

	if (r == 0)
		r = run_plan(&plan, /* backwards= */ true, remove_place, store, err);
	db = r < 0 ? NULL : store->open(err);
	if (!db)
		return r < 0 ? r : -EIO;
	r = resources_make(db, p, report, err);
	if (r == 0)
		r = add_services(db, &plan, err);
	if (r == 0)
		r = run_plan(&plan, /* backwards= */ false, raise_place, store, err);
	if (r < 0 || !how->wait)
		return r;
	db = store->open(err);
	return db ? wait_all(db, p, err) : -EIO;
}

int compose_prepare(const struct compose_store *store, const struct compose_project *p, bool wait,
	const struct compose_report *report, struct err *err)
{
	struct db *db = store->open(err);
	int r = db ? resources_make(db, p, report, err) : -EIO;

	for (char **service = p->services; r == 0 && wait && *service; service++)
		r = wait_dependencies(db, p, *service, err);
	return r;
}

int compose_down(const struct compose_store *store, struct compose_project *p,
	const struct compose_down *how, const struct compose_report *report, struct err *err)
{
	cleanup(plan_clear) struct plan plan = {
		.p = p, .report = report, .timeout = how->timeout, .volumes = true, .one_off = true
	};
	cleanup(instance_list_free) struct instance_list left = { 0 };
	struct db *db = store->open(err);
	int r = db ? add_services(db, &plan, err) : -EIO;

	if (r == 0 && !how->part)
		r = add_orphans(db, &plan, how->remove_orphans, err);
	if (r == 0)
		r = run_plan(&plan, /* backwards= */ true, remove_place, store, err);
	if (r < 0 || how->part)
		return r;
	db = store->open(err);
	if (!db)
		return -EIO;
	r = compose_containers(db, p, NULL, true, &left, err);
	/* What orphans use stays with them. */
	return r == 0 && !left.n ? resources_remove(db, p, how->volumes, report, err) : r;
}

int compose_each(const struct compose_store *store, const struct compose_project *p,
	const struct compose_each *each, const struct compose_report *report, struct err *err)
{
	cleanup(plan_clear) struct plan plan = { .p = p, .report = report, .each = each };
	struct db *db = store->open(err);
	int n, r = db ? add_services(db, &plan, err) : -EIO;

	if (r < 0)
		return r;
	n = (int)plan.n;
	r = run_plan(&plan, each->backwards, each_place, store, err);
	return r < 0 ? r : n;
}
