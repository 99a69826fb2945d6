/*
 * The supervisor's life: launch the instance, wait for its exit, restart it or finish.
 *
 * It starts with the instance's lock held (descriptor 3) and owns state.json from then on. Order at
 * the end: the state is recorded, traces are taken down, the run directory goes with the lock, and
 * only then are the clients told: what they do next finds an instance at rest.
 */
#include "instance/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "instance/spec.h"
#include "instance/state.h"
#include "rootless/rootless.h"

#define SECOND INT64_C(1000000000)
#define DRAIN_NS (SECOND / 2) /* for output of processes that outlive the first */
#define BACKOFF_FIRST (SECOND / 10)
#define BACKOFF_MAX (60 * SECOND)
#define BACKOFF_RESET (10 * SECOND) /* a run this long starts the backoff anew */
#define REST_NS (SECOND / 2)        /* without work, before memory is given back */
#define LINGER_NS SECOND            /* before a network that nobody uses is taken down */

void supervisor_save(struct supervisor *s)
{
	struct err err = { 0 };

	if (instance_save_state(s->i, &err) < 0)
		log_warn_once("%s", err.text);
}

static void set_status(struct supervisor *s, const char *status)
{
	str_replace(&s->i->state.status, status);
}

static void tell_starter(struct supervisor *s, int r, const struct err *err)
{
	json_t *j;

	if (s->report_fd < 0)
		return;
	j = r < 0 ? json_pack("{s:s, s:i}", "error", err->text, "code", err->code) : json_object();
	if (j) {
		cleanup(free) char *text = json_text(j, 0);
		fd_write_all(s->report_fd, text, strlen(text));
		json_decref(j);
	}
	s->report_fd = fd_close(s->report_fd);
}

static void take_down(struct supervisor *s)
{
	struct err err = { 0 };

	health_stop(s);
	pump_close(s);
	loop_remove(s->pid_source);
	s->pid_source = NULL;
	s->pidfd = fd_close(s->pidfd);
	dns_free(s->dns);
	s->dns = NULL;
	ports_unpublish(s);
	if (s->engine->destroy(&s->i->state.run, &err) < 0)
		log_warn("%s", err.text);
	record_clear(run_state_fields, &s->i->state.run);
	loop_remove(s->kill_timer);
	s->kill_timer = NULL;
}

static void on_process_exit(void *data, uint32_t events);

static int create(struct supervisor *s, int *ret_start, struct err *err)
{
	struct pump_child child;
	struct run_create args = {
		.id = s->i->config.id,
		.bundle = s->bundle,
		.bundle_dir = AT_FDCWD,
		.run_dir = s->i->run_dir,
		.ret_start = ret_start,
	};
	struct run_state run = { 0 };
	int r = pump_prepare(s, &child, err);

	if (r == 0) {
		memcpy(args.stdio, child.stdio, sizeof(args.stdio));
		args.ret_console = s->i->config.tty ? &child.console : NULL;
		r = s->engine->create(&args, &run, err);
	}
	pump_started(s, &child, r == 0);
	if (r == 0) {
		record_clear(run_state_fields, &s->i->state.run);
		s->i->state.run = run;
	}
	return r;
}

static int launch(struct supervisor *s, struct err *err)
{
	cleanup(fd_close) int made = -1;
	int r;

	s->exited = false;
	s->restart_wanted = false;
	s->launched = time_monotonic();
	r = create(s, &made, err);
	if (r < 0)
		return r;
	s->pidfd = run_pidfd(&s->i->state.run);
	if (s->pidfd >= 0)
		s->pid_source = loop_add_fd(s->loop, s->pidfd, EPOLLIN, on_process_exit, s);
	if (s->i->state.endpoints.n)
		r = names_start(s, err);
	if (r == 0)
		r = ports_publish(s, err);
	/* Recorded before the process runs: if we die now, what is to be taken down is known. */
	set_status(s, "running");
	s->i->state.started = time_now();
	s->i->state.finished = 0;
	s->i->state.exit_code = 0;
	s->i->state.oom_killed = false;
	str_replace(&s->i->state.error, NULL);
	if (r == 0)
		r = instance_save_state(s->i, err);
	return r < 0 ? r : s->engine->start(&s->i->state.run, made, err);
}

static void started(struct supervisor *s)
{
	instance_event(s->i, "start", NULL, NULL);
	health_start(s);
	if (s->report_fd >= 0) /* the starter's standard error, kept for warnings until now */
		dup2(STDOUT_FILENO, STDERR_FILENO);
	tell_starter(s, 0, NULL);
	s->started = true;
}

/* Exit codes of what could not be started (Docker): 127 not found, 126 not executable. */
static int64_t failure_code(int r)
{
	return r == -ENOENT                                                   ? 127
	       : r == -EACCES || r == -ENOEXEC || r == -EPERM || r == -EISDIR ? 126
									      : 128;
}

static void launch_failed(struct supervisor *s, int r, const struct err *err)
{
	s->i->state.exit_code = failure_code(r);
	s->i->state.finished = time_now();
	str_replace(&s->i->state.error, err->text);
	take_down(s);
}

static bool wants_restart(const struct supervisor *s)
{
	const struct instance_restart *p = &s->i->config.restart;

	if (access(s->i->dir, F_OK) < 0) /* somebody removed the store under us */
		return false;
	if (s->restart_wanted)
		return true;
	if (s->stopping || s->i->state.stopped_by_user)
		return false;
	if (strcmp(p->policy, "always") == 0 || strcmp(p->policy, "unless-stopped") == 0)
		return true;
	return strcmp(p->policy, "on-failure") == 0 && s->i->state.exit_code != 0 &&
	       (p->max_retries == 0 || s->i->state.restart_count < p->max_retries);
}

static void on_restart(void *data);

static void schedule_restart(struct supervisor *s)
{
	if (time_monotonic() - s->launched > BACKOFF_RESET)
		s->backoff = 0;
	s->backoff = s->backoff ? 2 * s->backoff : BACKOFF_FIRST;
	if (s->backoff > BACKOFF_MAX)
		s->backoff = BACKOFF_MAX;
	set_status(s, "restarting");
	supervisor_save(s);
	s->restart_timer =
		loop_add_timer(s->loop, s->restart_wanted ? 0 : s->backoff, on_restart, s);
}

/*
 * A volatile overlay refuses the work directory of its earlier self. Who copies files just now mounts an overlay
 * of the same directories, which makes anew what was removed.
 */
static int remake_work(struct supervisor *s, struct err *err)
{
	const char *work = s->bundle->holm.work;
	int r = -EEXIST;

	s->bundle->holm.ephemeral = false;
	for (int tries = 0; r == -EEXIST && tries < 100; tries++) {
		if (tries)
			poll(NULL, 0, 5);
		dir_remove(AT_FDCWD, work);
		r = mkdir(work, 0755) < 0 ? -errno : 0;
	}
	return r < 0 ? err_code(err, r, "make '%s'", work) : 0;
}

static void on_restart(void *data)
{
	struct supervisor *s = data;
	struct err err = { 0 };
	bool asked = s->restart_wanted;
	int r;

	s->restart_timer = NULL;
	s->restart_wanted = false;
	if (!asked)
		s->i->state.restart_count++;
	s->stopping = false;
	r = remake_work(s, &err);
	if (r == 0)
		r = launch(s, &err);
	if (r == 0) {
		started(s);
		if (asked) {
			instance_event(s->i, "restart", NULL, NULL);
			clients_answer_stop(s, NULL);
		}
		return;
	}
	launch_failed(s, r, &err);
	if (asked)
		clients_answer_stop(s, &err);
	if (wants_restart(s))
		schedule_restart(s);
	else
		loop_stop(s->loop, 0);
}

static void record_exit(struct supervisor *s)
{
	struct instance_state *st = &s->i->state;
	struct run_stats stats = { 0 };
	int status = s->exit_status;
	char code[16];

	st->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	st->finished = time_now();
	if (st->exit_code && s->engine->stats && s->engine->stats(&st->run, &stats, NULL) == 0)
		st->oom_killed = stats.oom_kills > 0;
	if (st->oom_killed)
		instance_event(s->i, "oom", NULL, NULL);
	snprintf(code, sizeof(code), "%lld", (long long)st->exit_code);
	instance_event(s->i, "die", "exitCode", code);
	if (s->stop_asked)
		instance_event(s->i, "stop", NULL, NULL);
	s->stop_asked = false;
}

void supervisor_drained(struct supervisor *s)
{
	loop_remove(s->drain_timer);
	s->drain_timer = NULL;
	record_exit(s);
	take_down(s);
	if (wants_restart(s))
		schedule_restart(s);
	else
		loop_stop(s->loop, 0);
}

static void on_drain_timeout(void *data)
{
	struct supervisor *s = data;

	s->drain_timer = NULL;
	supervisor_drained(s);
}

static void on_process_exit(void *data, uint32_t events)
{
	struct supervisor *s = data;

	(void)events;
	if (waitpid((pid_t)s->i->state.run.pid, &s->exit_status, WNOHANG) == 0)
		return;
	s->exited = true;
	loop_remove(s->pid_source);
	s->pid_source = NULL;
	if (!s->started) /* launch() is still to fail or to succeed */
		return;
	if (pump_open(s))
		s->drain_timer = loop_add_timer(s->loop, DRAIN_NS, on_drain_timeout, s);
	else
		supervisor_drained(s);
}

static void on_kill_timeout(void *data)
{
	struct supervisor *s = data;
	struct err err = { 0 };

	s->kill_timer = NULL;
	if (s->engine->kill(&s->i->state.run, SIGKILL, /* all= */ false, &err) < 0)
		log_warn("%s", err.text);
}

static void thaw(struct supervisor *s)
{
	if (strcmp(s->i->state.status, "paused") == 0)
		supervisor_pause(s, false, NULL);
}

static void tell_kill(struct supervisor *s, int signo)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", signo);
	instance_event(s->i, "kill", "signal", number);
}

void supervisor_stop(struct supervisor *s, int signo, int64_t timeout_s, bool restart)
{
	struct err err = { 0 };

	s->stopping = true;
	s->restart_wanted = restart;
	s->i->state.stopped_by_user = !restart;
	if (s->restart_timer) { /* between two runs */
		loop_remove(s->restart_timer);
		s->restart_timer = NULL;
		if (restart)
			s->restart_timer = loop_add_timer(s->loop, 0, on_restart, s);
		else
			loop_stop(s->loop, 0);
		return;
	}
	if (s->engine->kill(&s->i->state.run, signo, /* all= */ false, &err) < 0)
		log_warn("%s", err.text);
	tell_kill(s, signo);
	s->stop_asked = true;
	thaw(s);
	loop_remove(s->kill_timer);
	s->kill_timer =
		loop_add_timer(s->loop, timeout_s < 0 ? 0 : timeout_s * SECOND, on_kill_timeout, s);
}

int supervisor_kill(struct supervisor *s, int signo, struct err *err)
{
	int r;

	if (signo == SIGKILL || signo == signal_parse(s->i->config.stop_signal)) {
		s->stopping = true;
		s->restart_wanted = false; /* whoever asked for it: this is the later word */
		s->i->state.stopped_by_user = true;
	}
	if (s->restart_timer) {
		if (s->stopping)
			supervisor_stop(s, signo, 0, false);
		return 0;
	}
	r = s->engine->kill(&s->i->state.run, signo, /* all= */ false, err);
	if (r < 0)
		return r;
	if (signo == SIGKILL)
		thaw(s);
	tell_kill(s, signo);
	return 0;
}

int supervisor_pause(struct supervisor *s, bool pause, struct err *err)
{
	int r;

	if (!s->engine->pause)
		return err_set(err, ENOTSUP, "isolation '%s' cannot pause", s->engine->name);
	if (!instance_running(s->i)) /* between two runs */
		return err_set(err, EINVAL, "it is not running");
	r = s->engine->pause(&s->i->state.run, pause, err);
	if (r < 0)
		return r;
	set_status(s, pause ? "paused" : "running");
	health_pause(s, pause);
	supervisor_save(s);
	instance_event(s->i, pause ? "pause" : "unpause", NULL, NULL);
	return 0;
}

int supervisor_reload(struct supervisor *s, struct err *err)
{
	cleanup(instance_free) struct instance *fresh = NULL;
	struct instance_config old;
	int r = instance_load(s->i->config.id, &fresh, err);

	if (r < 0)
		return r;
	old = s->i->config;
	s->i->config = fresh->config;
	fresh->config = old;
	/* Nothing changes it, and checks that are on their way hold on to it. */
	fresh->config.health = s->i->config.health;
	s->i->config.health = old.health;
	return 0;
}

static bool resources_equal(const struct bundle_resources *a, const struct bundle_resources *b)
{
	cleanup(json_free) json_t *x = record_dump(bundle_resources_fields, a);
	cleanup(json_free) json_t *y = b ? record_dump(bundle_resources_fields, b) : NULL;

	return y && json_equal(x, y);
}

int supervisor_update(struct supervisor *s, struct err *err)
{
	struct bundle_resources *fresh;
	cleanup(bundle_free) struct bundle *holder = xnew(struct bundle);
	cleanup(free) char *path = xasprintf("%s/bundle.json", s->i->run_dir);
	int r = supervisor_reload(s, err);

	if (r < 0)
		return r;
	if (!s->engine->update)
		return err_set(
			err, ENOTSUP, "isolation '%s' cannot change limits", s->engine->name);
	fresh = holder->linux_.resources = xnew(struct bundle_resources);
	r = spec_resources(&s->i->config, fresh, err);
	/* Between two runs, and for a restart policy alone, there is nothing to change yet. */
	if (r == 0 && instance_running(s->i) &&
		!resources_equal(fresh, s->bundle->linux_.resources))
		r = s->engine->update(&s->i->state.run, fresh, err);
	if (r < 0)
		return r;
	/* A restart uses the new limits. */
	holder->linux_.resources = s->bundle->linux_.resources;
	s->bundle->linux_.resources = fresh;
	instance_event(s->i, "update", NULL, NULL);
	return bundle_write(s->bundle, AT_FDCWD, path, err);
}

void supervisor_shut_down(struct supervisor *s)
{
	int64_t timeout = instance_stop_timeout(&s->i->config);

	if (s->stopping)
		return;
	supervisor_stop(s, signal_parse(s->i->config.stop_signal), timeout, /* restart= */ false);
	s->i->state.stopped_by_user = false;
}

static void on_signal(void *data, int signo)
{
	if (signo == SIGTERM)
		supervisor_shut_down(data);
}

static void finish(struct supervisor *s)
{
	struct err err = { 0 };
	struct db *db = s->open_db(&err);
	bool removed = false, had_network = s->i->state.endpoints.n > 0;
	int lock = s->lock_fd;

	set_status(s, "exited");
	free(s->i->state.health);
	s->i->state.health = NULL;
	s->i->state.supervisor_pid = 0;
	while (s->i->state.endpoints.n) {
		instance_network_event(s->i, "disconnect",
			((struct bundle_endpoint *)s->i->state.endpoints.items[0])->network);
		record_list_remove(&s->i->state.endpoints, 0, bundle_endpoint_fields);
	}
	clients_close_listener(s);
	log_writer_free(s->log);
	s->log = NULL;
	if (db && s->i->config.auto_remove) {
		clients_hang_up(s); /* one of them may hold the lock of the configuration */
		removed = instance_delete(db, s->i, /* volumes= */ true, &err) == 0;
	} else if (db && had_network && network_release(db, s->i->config.id, NULL, &err) < 0) {
		log_warn("%s", err.text);
	}
	reserve_spend(); /* else a full disk would have it recorded as running */
	if (!removed)
		supervisor_save(s);
	s->lock_fd = -1;
	instance_unlock_remove(s->i, lock);
	clients_finish(s);
	if (db && had_network) {
		/* A series of short runs would make and unmake the bridge each time. */
		nanosleep(&(struct timespec){ .tv_nsec = LINGER_NS - 1 }, NULL);
		/* Not what somebody else has left only just now: that one lingers too. */
		network_sweep_idle(db, LINGER_NS * 9 / 10, NULL);
	}
	if (db)
		db_settle(db);
}

static int set_up(struct supervisor *s, const char *id, struct err *err)
{
	cleanup(free) char *path = NULL;
	sigset_t signals;
	int r = instance_load(id, &s->i, err);

	if (r < 0)
		return r;
	path = xasprintf("%s/bundle.json", s->i->run_dir);
	r = bundle_read(AT_FDCWD, path, &s->bundle, err);
	if (r < 0)
		return r;
	s->engine = engine_find(s->i->config.isolation);
	if (!s->engine)
		return err_set(err, ENOTSUP, "isolation '%s' is not in this version",
			s->i->config.isolation);
	r = log_writer_open(&s->i->config, s->i->dir, &s->log, err);
	if (r < 0)
		return r;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	loop_add_signals(s->loop, &signals, on_signal, s);
	signal(SIGPIPE, SIG_IGN);
	s->i->state.supervisor_pid = getpid();
	s->i->state.stopped_by_user = false;
	s->i->state.restart_count = 0;
	return clients_listen(s, err);
}

/* There may be a thousand of us. */
static void on_rest(void *data)
{
	struct supervisor *s = data;

	pump_rest(s);
	log_rest(s->log);
	memory_trim();
}

static void run(struct supervisor *s, struct err *err)
{
	int r = launch(s, err);

	if (r < 0) {
		launch_failed(s, r, err);
		if (s->i->config.auto_remove || s->report_fd >= 0)
			s->i->config.restart.policy[0] =
				'\0'; /* a first start that fails is final */
		return;
	}
	started(s);
	if (s->exited) { /* it was quicker than us */
		s->exited = false;
		on_process_exit(s, 0);
	}
	loop_set_rest(s->loop, REST_NS, on_rest, s);
	loop_run(s->loop);
}

static void dispose(struct supervisor *s)
{
	log_writer_free(s->log);
	free(s->chunk);
	loop_free(s->loop);
	bundle_free(s->bundle);
	instance_free(s->i);
}
DEFINE_CLEANUP_OBJECT(dispose, struct supervisor);

static void close_inherited(unsigned first)
{
	unsigned ours = (unsigned)rootless_descriptor();

	if (rootless_descriptor() < 0) {
		close_range(first, ~0u, 0);
		return;
	}
	if (ours > first)
		close_range(first, ours - 1, 0);
	close_range(ours + 1 > first ? ours + 1 : first, ~0u, 0);
}

/* The starter has made the bundle meanwhile, or could not. */
static bool told_to_begin(const struct supervisor *s)
{
	char go;

	return fd_read_full(s->report_fd, &go, 1) == 1;
}

int supervisor_main(const char *id, const char *streams, struct db *(*open_db)(struct err *err))
{
	cleanup(dispose) struct supervisor s = { .open_db = open_db,
		.lock_fd = SUPERVISOR_LOCK_FD,
		.report_fd = SUPERVISOR_REPORT_FD,
		.pidfd = -1,
		.stdin_fd = -1,
		.listen_fd = -1 };
	struct err err = { 0 };
	unsigned rows = 0, columns = 0;
	bool attached = *streams && *streams != ' ';
	int r;

	prctl(PR_SET_NAME, "holm-supervisor");
	/* Paths are whole ones; the caller's directory, and what is mounted there, are not ours to hold. */
	if (chdir("/") < 0)
		return 1;
	for (int fd = SUPERVISOR_LOCK_FD; fd <= SUPERVISOR_STREAM_FD; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* What the starter had inherited: we would keep the pipes of others open. */
	close_inherited(SUPERVISOR_STREAM_FD + (attached ? 1 : 0));
	s.out[0].fd = s.out[1].fd = -1;
	s.out[0].s = s.out[1].s = &s;
	s.loop = loop_new();
	if (s.loop)
		rootless_keep(s.loop);
	if (!told_to_begin(&s))
		return 1;
	r = s.loop ? set_up(&s, id, &err) : err_errno(&err, "make an event loop");
	if (r < 0) {
		/* Nothing runs yet. The starter cleans up when it sees the run directory left over. */
		tell_starter(&s, r, &err);
		return 1;
	}
	if (attached)
		clients_adopt(&s, SUPERVISOR_STREAM_FD, streams);
	if (sscanf(strchrnul(streams, ' '), " %ux%u", &rows, &columns) == 2 && rows &&
		s.bundle->process) {
		free(s.bundle->process->console_size);
		s.bundle->process->console_size = xnew(struct bundle_console_size);
		*s.bundle->process->console_size = (struct bundle_console_size){ rows, columns };
	}
	run(&s, &err);
	finish(&s);
	/* A start that failed is told last, when all is cleaned up. */
	tell_starter(&s, err.code ? -err.code : -EIO, &err);
	return 0;
}
