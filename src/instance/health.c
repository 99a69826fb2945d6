/*
 * Health checks (Docker's HEALTHCHECK): a command run in the instance every interval; `retries`
 * failures in a row make it unhealthy, one success healthy. Failures in the start period do not count.
 * With restart-on-unhealthy the instance is then stopped and started again. A probe takes along all that
 * it started (its process group). While the instance is paused there are no probes, for they would freeze
 * half-made, and the time of one that runs stands still.
 */
#include "instance/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "instance/state.h"

#define SECOND INT64_C(1000000000)
#define OUTPUT_MAX 4096
#define LOG_ENTRIES 5

struct health {
	struct supervisor *s;
	const struct image_health *config;
	struct loop_source *timer, *timeout, *pid_source, *output_source;
	int pidfd, output_fd;
	pid_t pid;
	int64_t begun, probe_begun;
	bool timed_out;
	struct buf output;
};

static void schedule(struct health *h);

static int64_t or_default(int64_t value, int64_t fallback)
{
	return value > 0 ? value : fallback;
}

static bool starting(const struct health *h)
{
	return strcmp(h->s->i->state.health ?: "", "starting") == 0 &&
	       time_monotonic() - h->begun < h->config->start_period;
}

static void set_health(struct health *h, const char *health)
{
	cleanup(free) char *action = xasprintf("health_status: %s", health);
	struct supervisor *s = h->s;

	if (s->i->state.health && strcmp(s->i->state.health, health) == 0)
		return;
	str_replace(&s->i->state.health, health);
	if (strcmp(health, "starting") != 0) /* that is a beginning, not a change */
		instance_event(s->i, action, NULL, NULL);
}

/* With all that it has started: it is the leader of a session, and not reaped yet. */
static void kill_probe(const struct health *h)
{
	kill(-h->pid, SIGKILL);
	kill(h->pid, SIGKILL); /* it might not have made its group yet */
}

static void close_probe(struct health *h)
{
	loop_remove(h->timeout);
	loop_remove(h->pid_source);
	loop_remove(h->output_source);
	h->timeout = h->pid_source = h->output_source = NULL;
	h->pidfd = fd_close(h->pidfd);
	h->output_fd = fd_close(h->output_fd);
	buf_free(&h->output);
}

static void keep_result(struct health *h, int64_t code)
{
	struct record_list *log = &h->s->i->state.health_log;
	struct instance_health_result *r;

	while (log->n >= LOG_ENTRIES)
		record_list_remove(log, 0, instance_health_result_fields);
	r = record_list_add(log, sizeof(*r));
	r->start = h->probe_begun;
	r->end = time_now();
	r->exit_code = code;
	r->output = h->timed_out
			    ? xasprintf("Health check exceeded timeout (%s)",
				      format_duration(or_default(h->config->timeout, 30 * SECOND)))
			    : xstrndup(h->output.data ? h->output.data : "", h->output.len);
}

static void finish_probe(struct health *h, int64_t code)
{
	struct supervisor *s = h->s;
	bool was_unhealthy = strcmp(s->i->state.health ?: "", "unhealthy") == 0;
	bool restart = s->i->config.restart.on_unhealthy ||
		       strcmp(s->i->config.restart.policy, "on-unhealthy") == 0;

	keep_result(h, code);
	close_probe(h);
	if (code == 0) {
		s->i->state.health_streak = 0;
		set_health(h, "healthy");
	} else if (!starting(h)) {
		s->i->state.health_streak++;
		if (s->i->state.health_streak >= or_default(h->config->retries, 3))
			set_health(h, "unhealthy");
	}
	supervisor_save(s);
	if (restart && !was_unhealthy && strcmp(s->i->state.health ?: "", "unhealthy") == 0 &&
		!s->stopping) {
		int64_t timeout = instance_stop_timeout(&s->i->config);
		s->i->state.restart_count++;
		supervisor_stop(
			s, signal_parse(s->i->config.stop_signal), timeout, /* restart= */ true);
		return;
	}
	schedule(h);
}

static void read_output(struct health *h)
{
	char chunk[4096];
	ssize_t n = 0;

	/* Bounded: somebody who writes faster than we read would have us read for ever. */
	for (int i = 0; i < 16 && (n = read(h->output_fd, chunk, sizeof(chunk))) > 0; i++)
		if (h->output.len < OUTPUT_MAX)
			buf_add(&h->output, chunk,
				h->output.len + (size_t)n > OUTPUT_MAX ? OUTPUT_MAX - h->output.len
								       : (size_t)n);
	if (n == 0) {
		loop_remove(h->output_source);
		h->output_source = NULL;
	}
}

static void on_output(void *data, uint32_t events)
{
	(void)events;
	read_output(data);
}

static void on_probe_exit(void *data, uint32_t events)
{
	struct health *h = data;
	siginfo_t info = { 0 };
	int status = 0;

	(void)events;
	if (waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid == 0)
		return;
	kill_probe(h);
	waitpid(h->pid, &status, 0);
	read_output(h);
	finish_probe(h, h->timed_out        ? -1
			: WIFEXITED(status) ? WEXITSTATUS(status)
					    : 128 + WTERMSIG(status));
}

static void on_timeout(void *data)
{
	struct health *h = data;

	h->timeout = NULL;
	h->timed_out = true;
	kill_probe(h);
}

static void start_timeout(struct health *h)
{
	h->timeout = loop_add_timer(
		h->s->loop, or_default(h->config->timeout, 30 * SECOND), on_timeout, h);
}

static struct bundle_process *probe_process(struct health *h)
{
	cleanup(json_free) json_t *j = bundle_process_dump(h->s->bundle->process);
	struct bundle_process *p = NULL;
	char *const *test = h->config->test;

	if (bundle_process_parse(j, &p, NULL) < 0)
		return NULL;
	strv_free(p->args);
	p->args = NULL;
	p->terminal = false;
	if (strcmp(test[0], "CMD-SHELL") == 0) {
		strv_add(&p->args, "/bin/sh");
		strv_add(&p->args, "-c");
	}
	strv_add_all(&p->args, test + 1);
	return p;
}

static void probe(void *data)
{
	struct health *h = data;
	cleanup(bundle_process_free) struct bundle_process *p = probe_process(h);
	struct run_exec args = { .process = p };
	struct err err = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[2] = { -1, -1 };

	h->timer = NULL;
	h->probe_begun = time_now();
	h->timed_out = false;
	if (!p || null < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_set(&err, EIO, "cannot prepare the health check");
		h->pidfd = -1;
	} else {
		fd_set_nonblock(fds[1], false);
		args.stdio[0] = null;
		args.stdio[1] = args.stdio[2] = fds[1];
		h->pidfd =
			h->s->engine->exec(&h->s->i->state.run, h->s->bundle, &args, &h->pid, &err);
	}
	fd_close(null);
	fd_close(fds[1]);
	h->output_fd = fds[0];
	if (h->pidfd < 0) {
		h->pidfd = -1;
		buf_adds(&h->output, err.text);
		finish_probe(h, -1);
		return;
	}
	h->output_source = loop_add_fd(h->s->loop, h->output_fd, EPOLLIN, on_output, h);
	h->pid_source = loop_add_fd(h->s->loop, h->pidfd, EPOLLIN, on_probe_exit, h);
	start_timeout(h);
}

static void schedule(struct health *h)
{
	int64_t interval = or_default(h->config->interval, 30 * SECOND);

	if (strcmp(h->s->i->state.status, "paused") == 0)
		return;
	if (starting(h))
		interval = or_default(h->config->start_interval, 5 * SECOND);
	h->timer = loop_add_timer(h->s->loop, interval, probe, h);
}

void health_start(struct supervisor *s)
{
	const struct image_health *config = s->i->config.health;
	struct health *h;

	if (!config || !config->test || !config->test[0] || !config->test[1] ||
		strcmp(config->test[0], "NONE") == 0)
		return;
	h = s->health = xnew(struct health);
	*h = (struct health){
		.s = s, .config = config, .pidfd = -1, .output_fd = -1, .begun = time_monotonic()
	};
	s->i->state.health_streak = 0;
	set_health(h, "starting");
	supervisor_save(s);
	schedule(h);
}

void health_pause(struct supervisor *s, bool pause)
{
	struct health *h = s->health;

	if (!h)
		return;
	loop_remove(h->timer);
	loop_remove(h->timeout);
	h->timer = h->timeout = NULL;
	if (pause)
		return;
	if (h->pidfd >= 0)
		start_timeout(h);
	else
		schedule(h);
}

/* Waits for what was killed, but not for what the kernel keeps. */
static void reap_probe(const struct health *h)
{
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };

	if (poll(&p, 1, 1000) > 0)
		waitpid(h->pid, NULL, WNOHANG);
}

void health_stop(struct supervisor *s)
{
	struct health *h = s->health;

	if (!h)
		return;
	loop_remove(h->timer);
	if (h->pidfd >= 0) {
		kill_probe(h);
		reap_probe(h);
	}
	close_probe(h);
	free(h);
	s->health = NULL;
}
