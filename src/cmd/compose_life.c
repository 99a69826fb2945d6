/* `holm compose start`, `stop`, `restart`, `kill`, `rm`, and finding a service's container. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cmd/compose.h"
#include "cmd/verbs.h"

int compose_container(const char *service, int64_t number, char **ret, struct err *err)
{
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(instance_list_free) struct instance_list list = { 0 };
	char *names[] = { (char *)service, NULL };
	int r = compose_project(names, /* dependencies= */ false, &p, err);
	struct db *db = r < 0 ? NULL : cmd_db(err);

	if (r == 0)
		r = db ? compose_containers(db, &p, service, &list, err) : -EIO;
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

struct life_options {
	int64_t timeout;
	bool timeout_given;
};

static const struct cmd_option life_rows[] = {
	OPTION_WITH(struct life_options, timeout, OPT_INT, 't', "timeout", "SECONDS",
		"time until a container is killed; -1 waits for ever",
		OPTION_GIVEN(struct life_options, timeout_given)),
	OPTION_END,
};

/* 1: done, and *did says what; 0: there was nothing to do. */
static int act(const struct cmd *cmd, struct db *db, struct instance *i, int64_t timeout,
	const char **did, struct err *err)
{
	const struct instance_start how = { 0 };
	bool running = instance_running(i);
	int r;

	if (cmd == &cmd_compose_rm) {
		*did = "Removed";
		r = running ? 0 : instance_remove(db, i, false, /* volumes= */ false, err);
		return r < 0 ? r : !running;
	}
	if (cmd == &cmd_compose_kill) {
		*did = "Killed";
		r = running ? instance_kill(db, i, SIGKILL, err) : 0;
		return r < 0 ? r : running;
	}
	if (cmd == &cmd_compose_stop) {
		*did = "Stopped";
		r = running ? instance_stop(db, i, NULL, timeout, err) : 0;
	} else {
		*did = cmd == &cmd_compose_start ? "Started" : "Restarted";
		if (cmd == &cmd_compose_restart && running)
			r = instance_restart(db, i, NULL, timeout, err);
		else
			r = running ? 0 : instance_start(db, i, &how, err);
	}
	return r < 0 ? r : 1;
}

int compose_each(const struct cmd *cmd, struct db *db, const struct compose_project *p,
	int64_t timeout, struct err *err)
{
	bool backwards = cmd != &cmd_compose_start && cmd != &cmd_compose_restart;
	size_t n = strv_len(p->services);

	/* In the order of dependencies; what ends containers goes against it. */
	for (size_t k = 0; k < n; k++) {
		cleanup(instance_list_free) struct instance_list list = { 0 };
		int r = compose_containers(
			db, p, p->services[backwards ? n - 1 - k : k], &list, err);
		for (size_t i = 0; r >= 0 && i < list.n; i++) {
			const char *did;
			r = act(cmd, db, list.items[i], timeout, &did, err);
			if (r > 0)
				fprintf(stderr, " Container %s  %s\n", list.items[i]->config.name,
					did);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct cmd_call *call)
{
	const struct life_options *o = call->options;
	int64_t timeout = !o->timeout_given ? -1 : o->timeout < 0 ? INT_MAX : o->timeout;
	cleanup(compose_free) struct compose_project p = { 0 };
	struct err err = { 0 };
	struct db *db;

	if (compose_project(call->args, /* dependencies= */ call->n_args == 0, &p, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	return db && compose_each(call->cmd, db, &p, timeout, &err) == 0 ? 0 : cmd_fail(&err, 1);
}

const struct cmd cmd_compose_start = {
	.name = "compose start",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Start containers that are there",
	.max_args = SIZE_MAX,
	.options_size = sizeof(struct life_options),
	.run = run,
};

const struct cmd cmd_compose_stop = {
	.name = "compose stop",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Stop containers without removing them",
	.options = life_rows,
	.options_size = sizeof(struct life_options),
	.max_args = SIZE_MAX,
	.run = run,
};

const struct cmd cmd_compose_restart = {
	.name = "compose restart",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Stop containers and start them again",
	.options = life_rows,
	.options_size = sizeof(struct life_options),
	.max_args = SIZE_MAX,
	.run = run,
};

const struct cmd cmd_compose_kill = {
	.name = "compose kill",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Kill containers that run",
	.options_size = sizeof(struct life_options),
	.max_args = SIZE_MAX,
	.run = run,
};

const struct cmd cmd_compose_rm = {
	.name = "compose rm",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Remove containers that do not run",
	.options_size = sizeof(struct life_options),
	.max_args = SIZE_MAX,
	.run = run,
};
