/* What is asked of instances by others: through the supervisor's socket while they run, by files else. */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "image/image.h"
#include "instance/spec.h"
#include "instance/state.h"
#include "instance/stream.h"
#include "instance/volume.h"

static int not_running(const struct instance *i, struct err *err)
{
	return err_set(err, EINVAL, "container %s is not running", i->config.name);
}

/* The request is consumed. *ret_fd may be NULL. */
static int ask(struct instance *i, json_t *request, int *ret_fd, struct err *err)
{
	cleanup(json_free) json_t *own = request;
	int r = supervisor_ask(i->run_dir, own, NULL, ret_fd, err);

	return r < 0 ? err_wrap(err, "container %s", i->config.name) : 0;
}

/* What ask() says when it ended by itself between our look and our request. */
static bool has_ended(int r)
{
	return r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE;
}

/* Its supervisor takes no requests any more, or is gone: until how it ended is written down. */
static int settle(struct db *db, struct instance *i, struct err *err)
{
	int r = instance_reconcile(db, i, err);

	/* Bounded: somebody else may have started it again. */
	for (int tries = 0; r == 0 && instance_active(i) && tries < 400; tries++) {
		poll(NULL, 0, 5);
		r = instance_reconcile(db, i, err);
	}
	return r;
}

/* Signal numbers by name or number; NULL gives fallback. */
static int signal_number(const char *name, int fallback, int *ret, struct err *err)
{
	if (!name || !*name) {
		*ret = fallback;
		return 0;
	}
	*ret = signal_parse(name);
	if (*ret < 0)
		return err_set(err, EINVAL, "unknown signal '%s': see 'kill -l'", name);
	return 0;
}

int instance_stop(
	struct db *db, struct instance *i, const char *signal, int64_t timeout, struct err *err)
{
	int own = signal_parse(i->config.stop_signal);
	int signo, r = signal_number(signal, own > 0 ? own : SIGTERM, &signo, err);

	if (r < 0)
		return r;
	if (!instance_active(i))
		return 0;
	if (timeout < 0)
		timeout = instance_stop_timeout(&i->config);
	r = ask(i,
		json_pack("{s:s, s:i, s:I}", "do", "stop", "signal", signo, "timeout",
			(json_int_t)timeout),
		NULL, err);
	if (has_ended(r))
		r = 0;
	if (r < 0 || i->config.auto_remove)
		return r;
	r = settle(db, i, err);
	return r == -ENOSPC ? 0 : r; /* it is stopped, though there is no room to record it */
}

int instance_shut_down(struct db *db, struct instance *i, struct err *err)
{
	int r;

	(void)db;
	if (!instance_active(i))
		return 0;
	r = ask(i, json_pack("{s:s}", "do", "shutdown"), NULL, err);
	return has_ended(r) ? 0 : r;
}

int instance_kill(struct db *db, struct instance *i, int signo, struct err *err)
{
	int r;

	(void)db;
	if (!instance_active(i))
		return not_running(i, err);
	r = ask(i, json_pack("{s:s, s:i}", "do", "kill", "signal", signo), NULL, err);
	/* Told to die, it did. */
	return has_ended(r) ? signo == SIGKILL ? 0 : not_running(i, err) : r;
}

int instance_restart(
	struct db *db, struct instance *i, const char *signal, int64_t timeout, struct err *err)
{
	struct instance_start how = { 0 };
	int r;

	if (instance_active(i)) {
		int own = signal_parse(i->config.stop_signal), signo;
		r = signal_number(signal, own > 0 ? own : SIGTERM, &signo, err);
		if (r < 0)
			return r;
		if (timeout < 0)
			timeout = instance_stop_timeout(&i->config);
		r = ask(i,
			json_pack("{s:s, s:i, s:I}", "do", "restart", "signal", signo, "timeout",
				(json_int_t)timeout),
			NULL, err);
		if (has_ended(r))
			r = settle(db, i, err);
		else
			return r;
		if (r < 0)
			return r;
	}
	return instance_start(db, i, &how, err);
}

int instance_pause(struct db *db, struct instance *i, bool pause, struct err *err)
{
	bool paused = strcmp(i->state.status, "paused") == 0;
	int r;

	(void)db;
	if (!instance_running(i))
		return not_running(i, err);
	if (paused == pause)
		return err_set(err, EINVAL, "container %s is %s", i->config.name,
			pause ? "already paused" : "not paused");
	r = ask(i, json_pack("{s:s}", "do", pause ? "pause" : "unpause"), NULL, err);
	return has_ended(r) ? not_running(i, err) : r;
}

static int refuse_active(const struct instance *i, struct err *err)
{
	return err_set(err, EBUSY,
		"container %s is %s: stop it first ('holm stop'), or use 'holm rm -f'",
		i->config.name, i->state.status);
}

/*
 * The lock, from whoever has it. That may be a supervisor that somebody has started since we looked: waiting for
 * it could take as long as its instance lives.
 */
static int lock_to_remove(struct instance *i, bool force, struct err *err)
{
	for (;;) {
		int r, fd = instance_lock(i, /* wait= */ false, err);
		if (fd != -EWOULDBLOCK)
			return fd;
		r = instance_reload_state(i, err);
		if (r < 0 && r != -ENOENT) /* it is being removed */
			return r;
		if (r == 0 && instance_active(i) && !force) {
			cleanup(json_free) json_t *ping = json_pack("{s:s}", "do", "ping");
			if (supervisor_ask(i->run_dir, ping, NULL, NULL, NULL) == 0)
				return refuse_active(i, err);
		} else if (r == 0 && instance_active(i)) {
			r = ask(i, json_pack("{s:s, s:i}", "do", "kill", "signal", SIGKILL), NULL,
				err);
			if (r < 0 && !has_ended(r))
				return r;
		}
		poll(NULL, 0, 5);
	}
}

int instance_remove(struct db *db, struct instance *i, bool force, bool volumes, struct err *err)
{
	cleanup(fd_close) int lock = -1;
	int r;

	if (instance_active(i) && !force)
		return refuse_active(i, err);
	if (instance_active(i)) {
		r = ask(i, json_pack("{s:s, s:i}", "do", "kill", "signal", SIGKILL), NULL, err);
		if (r < 0 && !has_ended(r))
			return r;
	}
	reserve_spend();
	lock = lock_to_remove(i, force, err);
	if (lock < 0)
		return lock;
	r = access(i->dir, F_OK) < 0 ? -ENOENT : instance_reconcile_locked(db, i, err);
	if (r == 0)
		r = instance_delete(db, i, volumes, err);
	else if (r == -ENOENT) /* --rm removed it meanwhile */
		r = 0;
	instance_unlock_remove(i, take_fd(lock));
	return r;
}

/*
 * Of who changes the configuration: he does so alone, changes what it is then, and either the instance runs, or it
 * is at rest and stays so.
 */
struct change {
	struct instance *of;
	int config, rest; /* descriptors; rest: the instance's own lock, or -1 */
};

static void change_end(struct change *c)
{
	fd_close(c->config);
	if (c->rest >= 0)
		instance_unlock_remove(c->of, c->rest);
}
DEFINE_CLEANUP_OBJECT(change_end, struct change);

/* 0: somebody is just starting or ending it. */
static int try_change(struct db *db, struct change *c, struct err *err)
{
	int r;

	c->rest = instance_lock(c->of, /* wait= */ false, err);
	if (c->rest < 0 && c->rest != -EWOULDBLOCK)
		return c->rest;
	r = c->rest < 0 ? 0 : instance_take_over(db, c->of, err);
	if (r < 0)
		return r;
	c->config = instance_lock_config(c->of, err);
	if (c->config < 0 || c->rest >= 0 || instance_active(c->of))
		return c->config < 0 ? c->config : 1;
	c->config = fd_close(c->config);
	return 0;
}

static int change_begin(struct db *db, struct instance *i, struct change *c, struct err *err)
{
	int r = 0;

	*c = (struct change){ .of = i, .config = -1, .rest = -1 };
	for (int tries = 0; r == 0 && tries < 2000; tries++) {
		if (tries)
			poll(NULL, 0, 5);
		r = try_change(db, c, err);
	}
	if (r == 0)
		return err_set(err, EBUSY, "container '%s' is being worked on by another holm",
			i->config.name);
	return r < 0 ? r : 0;
}

int instance_rename(struct db *db, struct instance *i, const char *name, struct err *err)
{
	cleanup(change_end) struct change change;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(db_done) struct db_stmt q = { 0 };
	cleanup(free) char *old = xstrdup(i->config.name);
	struct err why = { 0 };
	int r = change_begin(db, i, &change, err);

	if (r < 0)
		return r;
	if (!name_valid(name) || !name[1])
		return err_set(err, EINVAL,
			"'%s' is no name for a container: two or more of [a-zA-Z0-9_.-], beginning with a letter or digit",
			name);
	if (strcmp(name, old) == 0)
		return err_set(err, EINVAL, "container %s has this name already", name);
	r = db_begin(db, &txn, err);
	if (r < 0)
		return r;
	q = db_prepare(db, "UPDATE instance SET name = ? WHERE id = ?");
	db_text(&q, 1, name);
	db_text(&q, 2, i->config.id);
	r = db_run(&q, &why);
	if (r == -EEXIST)
		return err_set(err, EEXIST, "the name '%s' is in use by another container", name);
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	str_replace(&i->config.name, name);
	r = network_rename_member(db, i->config.id, old, name, err);
	if (r == 0)
		r = instance_save_config(i, err);
	db_done(&q);
	if (r == 0)
		r = db_commit(&txn, err);
	if (r < 0)
		return r;
	if (instance_active(i))
		ask(i, json_pack("{s:s}", "do", "reload"), NULL, NULL);
	instance_event(i, "rename", "oldName", old);
	return 0;
}

static void update_limits(struct instance_limits *to, const struct instance_limits *from)
{
	int64_t *const into[] = { &to->memory, &to->memory_reservation, &to->memory_swap,
		&to->cpu_shares, &to->cpu_period, &to->cpu_quota, &to->pids, &to->blkio_weight };
	const int64_t given[] = { from->memory, from->memory_reservation, from->memory_swap,
		from->cpu_shares, from->cpu_period, from->cpu_quota, from->pids,
		from->blkio_weight };

	for (size_t n = 0; n < ARRAY_SIZE(given); n++)
		if (given[n])
			*into[n] = given[n];
	if (from->cpus > 0)
		to->cpus = from->cpus;
	if (from->cpuset_cpus)
		str_replace(&to->cpuset_cpus, from->cpuset_cpus);
	if (from->cpuset_mems)
		str_replace(&to->cpuset_mems, from->cpuset_mems);
}

int instance_update(struct db *db, struct instance *i, const struct instance_limits *limits,
	const struct instance_restart *restart, struct err *err)
{
	struct instance_config before = { 0 };
	cleanup(change_end) struct change change;
	cleanup(json_free) json_t *copy = NULL;
	int r = change_begin(db, i, &change, err);

	if (r < 0)
		return r;
	copy = record_dump(instance_config_fields, &i->config);
	if (limits)
		update_limits(&i->config.limits, limits);
	if (i->config.limits.memory && i->config.limits.memory_swap > 0 &&
		i->config.limits.memory_swap < i->config.limits.memory)
		return err_set(err, EINVAL,
			"the limit of memory and swap together is smaller than that of memory: set --memory-swap too");
	if (restart && restart->policy) {
		str_replace(&i->config.restart.policy, restart->policy);
		i->config.restart.max_retries = restart->max_retries;
		i->config.restart.on_unhealthy = restart->on_unhealthy;
	}
	r = instance_save_config(i, err);
	if (r < 0 || !instance_active(i))
		return r;
	r = ask(i, json_pack("{s:s}", "do", "update"), NULL, err);
	if (has_ended(r))
		return 0;
	if (r < 0 && record_parse(instance_config_fields, copy, &before, NULL) == 0) {
		/* The kernel refused: what is recorded must be what is in force. */
		instance_config_clear(&i->config);
		i->config = before;
		instance_save_config(i, NULL);
		ask(i, json_pack("{s:s}", "do", "reload"), NULL, NULL);
	}
	return r;
}

/* The exit code from a stream's last frame. -ECONNRESET when the supervisor died. */
static int read_exit(int stream, int64_t *ret_code)
{
	cleanup(free) uint8_t *data = xcalloc(1, FRAME_MAX);
	enum frame_type type;
	int n;

	while ((n = frame_recv(stream, &type, data)) >= 0)
		if (type == FRAME_EXIT && n >= 4) {
			*ret_code = (int32_t)((uint32_t)data[0] << 24 | data[1] << 16 |
					      data[2] << 8 | data[3]);
			return 0;
		}
	return n;
}

int instance_wait(struct db *db, struct instance *i, const char *condition, int64_t *ret_code,
	struct err *err)
{
	bool next = condition && strcmp(condition, "next-exit") == 0;
	bool removed = condition && strcmp(condition, "removed") == 0;
	cleanup(fd_close) int stream = -1;
	int r;

	while (next && !instance_active(i)) {
		poll(NULL, 0, 50);
		r = instance_reload_state(i, err);
		if (r < 0)
			return r;
	}
	*ret_code = i->state.exit_code;
	if (instance_active(i)) {
		r = ask(i, json_pack("{s:s}", "do", "wait"), &stream, err);
		if (r == 0)
			r = read_exit(stream, ret_code);
		if (r < 0) {
			r = settle(db, i, err);
			if (r < 0)
				return r;
			*ret_code = i->state.exit_code;
		}
	}
	while (removed && access(i->dir, F_OK) == 0)
		poll(NULL, 0, 20);
	return 0;
}

int instance_attach(
	struct db *db, struct instance *i, bool stdin_too, int *ret_stream, struct err *err)
{
	int r;

	(void)db;
	if (strcmp(i->state.status, "paused") == 0)
		return err_set(err, EINVAL, "container %s is paused: 'holm unpause %s' first",
			i->config.name, i->config.name);
	if (!instance_active(i))
		return not_running(i, err);
	r = ask(i, json_pack("{s:s, s:s}", "do", "attach", "streams", stdin_too ? "ioe" : "oe"),
		ret_stream, err);
	return has_ended(r) ? not_running(i, err) : r;
}

static int read_bundle(const struct instance *i, struct bundle **ret, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/bundle.json", i->run_dir);

	return bundle_read(AT_FDCWD, path, ret, err);
}

/* Whether that is why nothing could be executed: in a pid namespace whose first process is on its way out, the
 * kernel is said to have no memory (clone(2)). */
static bool is_dying(const struct run_state *run, int r)
{
	cleanup(fd_close) int pidfd = run_pidfd(run);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return r == -ESRCH || pidfd < 0 || poll(&p, 1, r == -ENOMEM ? 1000 : 0) > 0;
}

int instance_exec(struct db *db, struct instance *i, const struct instance_exec *what,
	pid_t *ret_pid, struct err *err)
{
	const struct engine *engine = engine_find(i->config.isolation);
	cleanup(image_free) struct image *image = NULL;
	cleanup(bundle_free) struct bundle *bundle = NULL;
	cleanup(bundle_process_free) struct bundle_process *process = NULL;
	struct run_exec args = { .ret_console = what->ret_console };
	int r;

	if (strcmp(i->state.status, "paused") == 0)
		return err_set(err, EBUSY, "container %s is paused: 'holm unpause %s' first",
			i->config.name, i->config.name);
	if (!instance_running(i))
		return not_running(i, err);
	r = image_find(db, i->config.image_id, &image, err);
	if (r == 0)
		r = read_bundle(i, &bundle, err);
	if (r == -ENOENT)
		return not_running(i, err);
	if (r == 0)
		r = spec_exec(i, image, bundle, what, &process, err);
	if (r < 0)
		return r;
	args.process = process;
	memcpy(args.stdio, what->stdio, sizeof(args.stdio));
	r = engine->exec(&i->state.run, bundle, &args, ret_pid, err);
	if (r < 0 && is_dying(&i->state.run, r))
		return not_running(i, err);
	if (r >= 0) {
		cleanup(free) char *line = strv_join(what->args, " ");
		cleanup(free) char *action = xasprintf("exec_start: %s", line);
		instance_event(i, action, NULL, NULL);
	}
	return r;
}

int instance_stats(struct instance *i, struct run_stats *ret, struct err *err)
{
	const struct engine *engine = engine_find(i->config.isolation);

	if (!instance_running(i))
		return not_running(i, err);
	if (!engine->stats)
		return err_set(err, ENOTSUP, "no statistics for isolation '%s'", engine->name);
	return engine->stats(&i->state.run, ret, err);
}

int instance_pids(struct instance *i, pid_t **ret, struct err *err)
{
	const struct engine *engine = engine_find(i->config.isolation);

	if (!instance_running(i))
		return not_running(i, err);
	if (!engine->pids)
		return err_set(err, ENOTSUP, "no process list for isolation '%s'", engine->name);
	return engine->pids(&i->state.run, ret, err);
}

static size_t find_network(const struct instance *i, const struct network *n)
{
	size_t at;

	for (at = 0; at < i->config.networks.n; at++) {
		const struct instance_network *own = i->config.networks.items[at];
		if (strcmp(own->network, n->name) == 0 || strcmp(own->network, n->id) == 0)
			break;
	}
	return at;
}

/* The lowest ethN that no endpoint has. */
static char *free_link(const struct instance *i)
{
	for (unsigned k = 0;; k++) {
		cleanup(free) char *name = xasprintf("eth%u", k);
		bool taken = false;
		for (size_t n = 0; n < i->state.endpoints.n; n++)
			taken |= strcmp(((struct bundle_endpoint *)i->state.endpoints.items[n])
						 ->link,
					 name) == 0;
		if (!taken)
			return take(name);
	}
}

static int connect_running(
	struct db *db, struct instance *i, const struct instance_network *net, struct err *err)
{
	cleanup(free) char *link = free_link(i);
	bool is_default = i->state.endpoints.n == 0;
	struct bundle_endpoint ep = { 0 };
	int r = instance_reserve(db, i, net, link, is_default, &ep, err);

	if (r == 0)
		r = ask(i,
			json_pack("{s:s, s:o}", "do", "connect", "endpoint",
				record_dump(bundle_endpoint_fields, &ep)),
			NULL, err);
	record_clear(bundle_endpoint_fields, &ep);
	if (r < 0 && r != -EALREADY) { /* the place is that of who was first */
		network_release(db, i->config.id, net->network, NULL);
		network_sweep(db, NULL);
	}
	return r;
}

int instance_network_connect(
	struct db *db, struct instance *i, const struct instance_network *net, struct err *err)
{
	cleanup(change_end) struct change change;
	cleanup(network_free) struct network *n = NULL;
	struct instance_network *own;
	const char *mode;
	int r = change_begin(db, i, &change, err);

	if (r == 0)
		r = network_find(db, net->network, &n, err);
	if (r < 0)
		return r;
	mode = i->config.network_mode;
	if (strcmp(mode, "host") == 0 || strncmp(mode, "container:", 10) == 0)
		return err_set(err, EINVAL,
			"container %s uses the network of %s: it cannot join another",
			i->config.name, strcmp(mode, "host") == 0 ? "the host" : mode + 10);
	if (strcmp(n->driver, "bridge") != 0)
		return err_set(err, EINVAL,
			"containers cannot be connected to '%s' while they exist", n->name);
	if (find_network(i, n) < i->config.networks.n)
		return err_set(err, EEXIST, "container %s is already on network %s", i->config.name,
			n->name);
	if (instance_active(i)) {
		r = connect_running(db, i, net, err);
		if (r < 0 && !has_ended(r)) /* then its next run joins */
			return r;
	}
	own = record_list_add(&i->config.networks, sizeof(*own));
	own->network = xstrdup(n->name);
	own->aliases = strv_copy(net->aliases);
	own->address4 = xstrdup_null(net->address4);
	own->address6 = xstrdup_null(net->address6);
	own->mac = xstrdup_null(net->mac);
	if (strcmp(mode, "none") == 0)
		str_replace(&i->config.network_mode, n->name);
	return instance_save_config(i, err);
}

int instance_network_disconnect(
	struct db *db, struct instance *i, const char *network, bool force, struct err *err)
{
	cleanup(change_end) struct change change;
	cleanup(network_free) struct network *n = NULL;
	size_t at;
	int r = change_begin(db, i, &change, err);

	if (r == 0)
		r = network_find(db, network, &n, err);
	if (r < 0)
		return r;
	at = find_network(i, n);
	if (at == i->config.networks.n && !force)
		return err_set(
			err, ENOENT, "container %s is not on network %s", i->config.name, n->name);
	if (instance_active(i)) {
		r = ask(i, json_pack("{s:s, s:s}", "do", "disconnect", "network", n->id), NULL,
			err);
		if (r < 0 && !has_ended(r))
			return r;
		r = network_release(db, i->config.id, n->id, err);
		if (r < 0)
			return r;
		network_sweep(db, NULL);
	}
	if (at < i->config.networks.n)
		record_list_remove(&i->config.networks, at, instance_network_fields);
	if (!i->config.networks.n)
		str_replace(&i->config.network_mode, "none");
	return instance_save_config(i, err);
}
