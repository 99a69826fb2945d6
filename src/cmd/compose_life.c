/* `holm compose start`, `stop`, `restart`, `kill`, `rm`, `pause`, `unpause`, and finding a service's container. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/compose.h"
#include "cmd/output.h"
#include "cmd/verbs.h"

int compose_container(const char *service, int64_t number, char **ret, struct err *err)
{
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(instance_list_free) struct instance_list list = { 0 };
	char *names[] = { (char *)service, NULL };
	int r = compose_project(names, /* dependencies= */ false, &p, err);
	struct db *db = r < 0 ? NULL : cmd_db(err);

	if (r == 0)
		r = db ? compose_containers(db, &p, service, false, &list, err) : -EIO;
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		if (number && atoll(compose_label(list.items[i], "container-number")) != number)
			continue;
		*ret = xstrdup(list.items[i]->config.id);
		return 0;
	}
	return r < 0 ? r
		     : err_set(err, ENOENT,
			       "the service %s has no such container: 'holm compose up -d' makes it",
			       service);
}

int compose_chosen(
	const struct compose_project *p, bool one_off, struct instance_list *ret, struct err *err)
{
	struct db *db = cmd_db(err);
	struct instance_list all = { 0 };
	size_t n = 0;
	int r = db ? compose_containers(db, p, NULL, one_off, &all, err) : -EIO;

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		struct instance *one = all.items[i];
		if (strv_contains(p->services, compose_label(one, "service")))
			all.items[n++] = one;
		else
			instance_free(one);
	}
	all.n = n;
	*ret = all;
	return 0;
}

#define TIMEOUT_ROW \
	OPTION_WITH(struct life_options, timeout, OPT_INT, 't', "timeout", "SECONDS", \
		"time until a container is killed; -1 waits for ever", \
		OPTION_GIVEN(struct life_options, timeout_given))

static const struct cmd_option stop_rows[] = { TIMEOUT_ROW, OPTION_END };

static const struct cmd_option restart_rows[] = {
	OPTION(struct life_options, no_deps, OPT_FLAG, 0, "no-deps", NULL,
		"without the services that want to be restarted with those named"),
	TIMEOUT_ROW,
	OPTION_END,
};

static const struct cmd_option kill_rows[] = {
	OPTION(struct life_options, signal, OPT_STR, 's', "signal", "SIGNAL",
		"send this in place of SIGKILL"),
	OPTION_END,
};

static const struct cmd_option rm_rows[] = {
	OPTION(struct life_options, force, OPT_FLAG, 'f', "force", NULL,
		"do not ask on a terminal"),
	OPTION(struct life_options, stop, OPT_FLAG, 's', "stop", NULL,
		"stop those that run before"),
	OPTION(struct life_options, volumes, OPT_FLAG, 'v', "volumes", NULL,
		"remove their anonymous volumes too"),
	OPTION_END,
};

struct act {
	const struct cmd *cmd;
	const struct life_options *o;
	int64_t timeout;
	int signo;
};

static int act_rm(
	const struct act *a, struct db *db, struct instance *i, const char **did, struct err *err)
{
	int r = 0;

	if (instance_running(i) && !a->o->stop)
		return 0;
	if (instance_running(i))
		r = instance_stop(db, i, NULL, a->timeout, err);
	if (r == 0)
		r = instance_remove(db, i, a->o->stop, a->o->volumes, err);
	*did = "Removed";
	return r;
}

static int act_pause(
	const struct act *a, struct db *db, struct instance *i, const char **did, struct err *err)
{
	bool pause = a->cmd == &cmd_compose_pause, paused = strcmp(i->state.status, "paused") == 0;

	if (!instance_running(i) || paused == pause)
		return 0;
	*did = pause ? "Paused" : "Unpaused";
	return instance_pause(db, i, pause, err);
}

static int act(void *data, struct db *db, struct instance *i, const char **did, struct err *err)
{
	const struct instance_start how = { 0 };
	const struct act *a = data;
	bool running = instance_running(i);

	if (a->cmd == &cmd_compose_rm)
		return act_rm(a, db, i, did, err);
	if (a->cmd == &cmd_compose_pause || a->cmd == &cmd_compose_unpause)
		return act_pause(a, db, i, did, err);
	if (a->cmd == &cmd_compose_kill) {
		*did = running ? "Killed" : NULL;
		return running ? instance_kill(db, i, a->signo, err) : 0;
	}
	if (a->cmd == &cmd_compose_stop) {
		*did = "Stopped";
		return running ? instance_stop(db, i, NULL, a->timeout, err) : 0;
	}
	if (!running && strv_contains(a->o->also, compose_label(i, "service")))
		return 0;
	*did = a->cmd == &cmd_compose_start ? "Started" : "Restarted";
	if (a->cmd == &cmd_compose_restart && running)
		return instance_restart(db, i, NULL, a->timeout, err);
	return running ? 0 : instance_start(db, i, &how, err);
}

int compose_act(const struct cmd *cmd, const struct compose_project *p,
	const struct life_options *o, struct err *err)
{
	struct act a = { .cmd = cmd,
		.o = o,
		.timeout = !o->timeout_given ? -1
			   : o->timeout < 0  ? INT_MAX
					     : o->timeout,
		.signo = o->signal ? signal_parse(o->signal) : SIGKILL };
	const struct compose_each each = { .backwards = cmd != &cmd_compose_start &&
							cmd != &cmd_compose_restart,
		.work = act,
		.data = &a };

	if (a.signo < 0)
		return err_set(err, EINVAL, "unknown signal '%s': see 'kill -l'", o->signal);
	return compose_each(&compose_store, p, &each, &compose_shown, err);
}

/* Services that are to be restarted, if they run, with those that are chosen, and those with them. */
static void add_restarted(struct compose_project *p, char ***also)
{
	const struct node *all = node_get(p->root, "services");

	for (size_t k = 0; k < strv_len(p->services); k++)
		for (size_t i = 0; i < all->n; i++) {
			const struct node *depends = node_get(all->items[i], "depends_on");
			if (node_bool(node_get(depends, p->services[k]), "restart") &&
				!strv_contains(p->services, all->keys[i])) {
				strv_add(&p->services, all->keys[i]);
				strv_add(also, all->keys[i]);
			}
		}
}

static int run(struct cmd_call *call)
{
	struct life_options *o = call->options;
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(strv_free) char **also = NULL;
	struct err err = { 0 };
	int r;

	if (compose_project(call->args, /* dependencies= */ call->n_args == 0, &p, &err) < 0)
		return cmd_fail(&err, 1);
	if (call->cmd == &cmd_compose_restart && !o->no_deps)
		add_restarted(&p, &also);
	o->also = also;
	if (call->cmd == &cmd_compose_rm && isatty(STDIN_FILENO)) {
		cleanup(free) char *services = strv_join(p.services, ", ");
		cleanup(free) char *question = xasprintf("Remove the containers of %s?", services);
		r = output_confirm(o->force, question, &err);
		if (r <= 0)
			return r < 0 ? cmd_fail(&err, 1) : 1;
	}
	r = compose_act(call->cmd, &p, o, &err);
	if (r == 0 && call->cmd == &cmd_compose_start)
		r = err_set(&err, ENOENT,
			"there is no container to start: 'holm compose up -d' makes them");
	return r < 0 ? cmd_fail(&err, 1) : 0;
}

#define LIFE(verb, rows, text) \
	const struct cmd cmd_compose_##verb = { \
		.name = "compose " #verb, \
		.group = "Compose", \
		.args = "[SERVICE...]", \
		.summary = text, \
		.options = rows, \
		.options_size = sizeof(struct life_options), \
		.max_args = SIZE_MAX, \
		.run = run, \
	}

LIFE(start, NULL, "Start containers that are there");
LIFE(stop, stop_rows, "Stop containers without removing them");
LIFE(restart, restart_rows, "Stop containers and start them again");
LIFE(kill, kill_rows, "Send containers that run a signal, SIGKILL unless told otherwise");
LIFE(rm, rm_rows, "Remove containers that do not run");
LIFE(pause, NULL, "Freeze all processes of containers");
LIFE(unpause, NULL, "Let frozen containers go on");
