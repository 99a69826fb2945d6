/*
 * Making an instance. Everything that can be wrong with what was asked is found here, before anything
 * is kept. Order: files under the instance's lock, then one transaction for name, image and volumes;
 * a death in between leaves a directory without a row, which instance_sweep() removes.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "image/shift.h"
#include "instance/log.h"
#include "instance/root.h"
#include "instance/spec.h"
#include "instance/state.h"
#include "instance/volume.h"
#include "rootless/rootless.h"

#define USERNS_BASE 0x80000000u

static void inherit(char **own, const char *from)
{
	if (!*own && from && *from)
		*own = xstrdup(from);
}

static void inherit_command(struct instance_config *c, const struct image_process *from)
{
	bool reset = c->entrypoint && !*c->entrypoint[0] && !c->entrypoint[1];

	if (reset) { /* --entrypoint "" */
		strv_free(c->entrypoint);
		c->entrypoint = NULL;
		return;
	}
	if (c->entrypoint) /* one's own entrypoint drops the image's command */
		return;
	strv_add_all(&c->entrypoint, from->entrypoint);
	if (!c->cmd)
		strv_add_all(&c->cmd, from->cmd);
}

static void inherit_env(struct instance_config *c, char *const *from)
{
	char **env = strv_copy(from);

	strv_foreach (e, c->env)
		strv_env_set(&env, *e);
	strv_free(c->env);
	c->env = env;
}

static void inherit_labels(struct instance_config *c, char *const *from)
{
	char **labels = NULL;

	map_foreach (kv, from)
		map_set(&labels, kv[0], kv[1]);
	map_foreach (kv, c->labels)
		map_set(&labels, kv[0], kv[1]);
	strv_free(c->labels);
	c->labels = labels;
}

/* What the person set wins, member by member; --no-healthcheck is a test of "NONE". */
static void inherit_health(struct instance_config *c, const struct image_health *from)
{
	struct image_health *h;

	if (!from || !from->test)
		return;
	if (!c->health)
		c->health = xnew(struct image_health);
	h = c->health;
	if (!h->test)
		strv_add_all(&h->test, from->test);
	h->interval = h->interval ? h->interval : from->interval;
	h->timeout = h->timeout ? h->timeout : from->timeout;
	h->start_period = h->start_period ? h->start_period : from->start_period;
	h->start_interval = h->start_interval ? h->start_interval : from->start_interval;
	h->retries = h->retries ? h->retries : from->retries;
}

static bool has_mount(const struct instance_config *c, const char *target)
{
	for (size_t n = 0; n < c->mounts.n; n++)
		if (strcmp(((struct instance_mount *)c->mounts.items[n])->target, target) == 0)
			return true;
	return false;
}

static void inherit_image(struct instance_config *c, const struct image_process *from)
{
	inherit_command(c, from);
	inherit_env(c, from->env);
	inherit_labels(c, from->labels);
	inherit_health(c, from->health);
	inherit(&c->working_dir, from->working_dir);
	inherit(&c->user, from->user);
	inherit(&c->stop_signal, from->stop_signal);
	strv_foreach (port, from->exposed)
		if (!strv_contains(c->exposed, *port))
			strv_add(&c->exposed, *port);
	strv_foreach (path, from->volumes) {
		struct instance_mount *m;
		if (has_mount(c, *path))
			continue;
		m = record_list_add(&c->mounts, sizeof(*m));
		m->type = xstrdup("volume");
		m->source = xstrdup("");
		m->target = xstrdup(*path);
	}
}

static void defaults(struct instance_config *c)
{
	const char *net;
	bool host_uts;

	id_random(c->id = xcalloc(1, ID_LEN + 1));
	c->created = time_now();
	inherit(&c->isolation, "container");
	inherit(&c->stop_signal, "SIGTERM");
	inherit(&c->network_mode, "bridge");
	inherit(&c->log_driver, "json-file");
	inherit(&c->restart.policy, "no");
	net = c->network_mode;
	host_uts = strcmp(net, "host") == 0 || strncmp(net, "container:", 10) == 0 ||
		   (c->uts_mode && strcmp(c->uts_mode, "host") == 0);
	if (!c->hostname && !host_uts)
		c->hostname = xstrndup(c->id, ID_SHORT);
	if (!c->networks.n && strcmp(net, "host") != 0 && strcmp(net, "none") != 0 &&
		strncmp(net, "container:", 10) != 0) {
		struct instance_network *n = record_list_add(&c->networks, sizeof(*n));
		n->network = xstrdup(net);
	}
}

static int check_publish_all(struct instance_config *c, struct err *err)
{
	if (!c->publish_all)
		return 0;
	strv_foreach (e, c->exposed) {
		uint64_t port;
		cleanup(free) char *text = xstrndup(*e, strcspn(*e, "/"));
		const char *protocol = strchr(*e, '/');
		struct port *p;
		if (parse_u64(text, 65535, &port) < 0)
			return err_set(err, EINVAL, "exposed port '%s': not a port", *e);
		p = record_list_add(&c->ports, sizeof(*p));
		p->port = (int64_t)port;
		p->protocol = xstrdup(protocol ? protocol + 1 : "tcp");
	}
	return 0;
}

static int check(
	struct db *db, const struct instance_config *c, const struct image *image, struct err *err)
{
	cleanup(strv_free) char **caps = NULL;
	struct bundle_user user = { 0 };
	int r = 0;

	if (c->name && *c->name && !name_valid(c->name))
		return err_set(err, EINVAL,
			"invalid container name '%s': only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed",
			c->name);
	if (!engine_find(c->isolation))
		return err_set(err, ENOTSUP,
			"isolation '%s' is not in this version: known is 'container'",
			c->isolation);
	if (!c->entrypoint && !c->cmd)
		return err_set(
			err, EINVAL, "no command specified: the image '%s' has none", c->image);
	r = log_options_check(c, err);
	if (r == 0)
		r = spec_capabilities(c, &caps, err);
	for (size_t n = 0; r == 0 && n < c->networks.n; n++) {
		cleanup(network_free) struct network *net = NULL;
		r = network_find(
			db, ((struct instance_network *)c->networks.items[n])->network, &net, err);
	}
	for (size_t n = 0; r == 0 && n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		if (strcmp(m->type, "bind") == 0 && !m->create_source &&
			access(m->source, F_OK) < 0)
			r = err_errno(err, "bind source path '%s'", m->source);
	}
	if (r == 0)
		r = spec_user(image, NULL, c->user, c->group_add, &user, NULL, err);
	free(user.additional_gids.v);
	return r;
}

static int make_volumes(struct db *db, struct instance_config *c, struct err *err)
{
	for (size_t n = 0; n < c->mounts.n; n++) {
		struct instance_mount *m = c->mounts.items[n];
		struct volume v = { 0 };
		int r;
		if (strcmp(m->type, "volume") != 0)
			continue;
		v.anonymous = !*m->source;
		v.name = xstrdup(m->source);
		r = volume_create(db, &v, err);
		if (r == 0 && v.anonymous) {
			str_replace(&m->source, v.name);
			strv_add(&c->anonymous_volumes, v.name);
		}
		record_clear(volume_fields, &v);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_empty_dir(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && n < 3 && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d && n <= 2;
}

static int fill_volumes(
	struct db *db, const struct instance_config *c, const struct image *image, struct err *err)
{
	cleanup(fd_close) int root = -1;
	int r = 0;

	for (size_t n = 0; r == 0 && n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		cleanup(volume_free) struct volume *v = NULL;
		if (strcmp(m->type, "volume") != 0 || m->no_copy)
			continue;
		r = volume_find(db, m->source, &v, err);
		if (r < 0 || map_get(v->options, "device") || map_get(v->options, "type") ||
			!is_empty_dir(v->mountpoint))
			continue;
		if (root < 0)
			root = root_mount(image->layer_dirs, NULL, NULL, err);
		r = root < 0 ? root : volume_fill(v, root, m->target, err);
	}
	return r;
}

static int userns_slot(struct db *db, struct instance_config *c, int64_t *slot, struct err *err)
{
	cleanup(db_done) struct db_stmt q = { 0 };
	int r;

	*slot = -1;
	if (!c->userns || strcmp(c->userns, "auto") != 0)
		return 0;
	q = db_prepare(db,
		"SELECT min(s) FROM (SELECT 0 AS s UNION SELECT userns_slot + 1 FROM instance "
		"WHERE userns_slot IS NOT NULL) WHERE s NOT IN "
		"(SELECT userns_slot FROM instance WHERE userns_slot IS NOT NULL)");
	r = db_step(&q, err);
	if (r < 0)
		return r;
	*slot = db_get_int(&q, 0);
	if (*slot >= 0x7fff)
		return err_set(err, ENOSPC, "all ranges of user ids are taken");
	free(c->userns);
	c->userns = xasprintf("%u", (unsigned)(USERNS_BASE + SHIFT_IDS * (uint32_t)*slot));
	return 0;
}

/* A name that nobody has, when none was given. Within the transaction, so that it stays so. */
static int choose_name(struct db *db, struct instance_config *c, struct err *err)
{
	int r = c->name && *c->name ? 0 : 1;

	while (r > 0) {
		cleanup(db_done) struct db_stmt q =
			db_prepare(db, "SELECT 1 FROM instance WHERE name = ?");
		free(c->name);
		name_random(c->name = xcalloc(1, 64), 64);
		db_text(&q, 1, c->name);
		r = db_step(&q, err);
	}
	return r;
}

/* The layers' ids are mapped by their mounts, for which it takes rights over their file system. */
static int check_userns(const struct instance_config *c, struct err *err)
{
	if (!rootless() || !instance_userns_base(c))
		return 0;
	return err_set(err, EPERM,
		"--userns needs root, who may map the ids of a file system: leave it out, for containers of "
		"an ordinary user are in a user namespace anyway");
}

static int insert_row(struct db *db, const struct instance_config *c, int64_t slot, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(
		db, "INSERT INTO instance (id, name, created, userns_slot) VALUES (?, ?, ?, ?)");
	struct err why = { 0 };
	int r;

	db_text(&q, 1, c->id);
	db_text(&q, 2, c->name);
	db_int(&q, 3, c->created);
	if (slot >= 0)
		db_int(&q, 4, slot);
	r = db_run(&q, &why);
	if (r == -EEXIST)
		return err_set(err, EEXIST,
			"the name '%s' is in use by another container: remove ('holm rm') or rename it, or choose another name",
			c->name);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int register_instance(struct db *db, struct instance *i, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int64_t slot;
	int r = db_begin(db, &txn, err);

	if (r == 0)
		r = userns_slot(db, &i->config, &slot, err);
	if (r == 0)
		r = choose_name(db, &i->config, err);
	if (r == 0)
		r = check_userns(&i->config, err);
	if (r == 0)
		r = insert_row(db, &i->config, slot, err);
	if (r == 0)
		r = image_hold(db, i->config.image_id, i->config.id, err);
	if (r == 0)
		r = make_volumes(db, &i->config, err);
	for (size_t n = 0; r == 0 && n < i->config.mounts.n; n++) {
		const struct instance_mount *m = i->config.mounts.items[n];
		if (strcmp(m->type, "volume") == 0)
			r = volume_hold(db, m->source, i->config.id, err);
	}
	/* Within the transaction: the row must never be seen before its files. */
	if (r == 0)
		r = instance_save_config(i, err);
	if (r == 0)
		r = instance_save_state(i, err);
	return r < 0 ? r : db_commit(&txn, err);
}

static int make_dirs(const struct instance *i, struct err *err)
{
	static const char *const names[] = { "upper", "work" };
	int r = dir_make(i->dir, 0711);

	/* The upper directory's own mode is what "/" shows; umask must not change it. */
	for (size_t n = 0; r == 0 && n < ARRAY_SIZE(names); n++) {
		cleanup(free) char *path = xasprintf("%s/%s", i->dir, names[n]);
		r = mkdir(path, 0755) < 0 || chmod(path, 0755) < 0 ? -errno : 0;
	}
	return r < 0 ? err_code(err, r, "make directory '%s'", i->dir) : 0;
}

static int make(struct db *db, struct instance *i, const struct image *image, struct err *err)
{
	int lock = instance_lock(i, /* wait= */ true, err);
	int r;

	if (lock < 0)
		return lock;
	r = make_dirs(i, err);
	if (r == 0)
		r = register_instance(db, i, err);
	if (r == 0) {
		r = fill_volumes(db, &i->config, image, err);
		if (r < 0)
			instance_delete(db, i, /* volumes= */ true, NULL);
	} else {
		dir_remove(AT_FDCWD, i->dir);
	}
	if (r == 0 && i->config.run)
		instance_lock_keep(i, lock);
	else
		instance_unlock_remove(i, lock);
	return r;
}

int instance_create(struct db *db, struct instance_config *config, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(instance_free) struct instance *i = NULL;
	int r = image_find(db, config->image, &image, err);

	if (r < 0)
		return r;
	str_replace(&config->image_id, image->id);
	inherit_image(config, &image->config.config);
	defaults(config);
	r = check_publish_all(config, err);
	if (r == 0)
		r = check(db, config, image, err);
	if (r < 0)
		return r;
	i = instance_new(config);
	r = make(db, i, image, err);
	/* The caller's config is filled in, and its own again. */
	*config = i->config;
	i->config = (struct instance_config){ 0 };
	if (r < 0)
		return r;
	i->config = *config;
	instance_event(i, "create", NULL, NULL);
	i->config = (struct instance_config){ 0 };
	return 0;
}
