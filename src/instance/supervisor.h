#pragma once
/*
 * Inside the supervisor: the one process that owns a running instance. Single-threaded around one
 * event loop.
 *
 *	supervisor.c  life: launch, exit, restart, finish
 *	client.c      the control socket: requests, attached streams, waiters
 *	endpoints.c   its networks: names, published ports, joining and leaving
 *	pump.c        the instance's stdio: to the log and to attached clients, and back
 *	health.c      health checks
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "engine/engine.h"
#include "instance/instance.h"
#include "instance/log.h"
#include "net/dns.h"

struct client;
struct health;

struct output { /* one of the instance's output descriptors */
	struct supervisor *s;
	int fd;
	int stream; /* 1 or 2 */
	struct loop_source *source;
	bool held; /* not read while a client is slow */
};

struct supervisor {
	struct instance *i;
	struct bundle *bundle;
	const struct engine *engine;
	struct loop *loop;
	struct db *(*open_db)(struct err *err);
	int lock_fd, report_fd; /* report: -1 once told */

	/* the process */
	int pidfd;
	struct loop_source *pid_source;
	bool started;
	int64_t launched; /* monotonic ns */

	/* stdio */
	struct log_writer *log;
	struct output out[2]; /* a terminal uses out[0] alone */
	int stdin_fd;         /* pipe or console; -1 closed */
	struct loop_source *stdin_source;
	struct buf stdin_pending;
	bool stdin_close; /* once pending is written */
	char *chunk;      /* for reading output, while there is any */
	bool exited;      /* only what is left in the pipes is awaited */
	int exit_status;
	struct loop_source *drain_timer;

	/* clients */
	int listen_fd;
	struct client *clients;

	/* network */
	struct dns *dns;
	struct port_proxy *proxy;
	int *port_fds;
	size_t n_port_fds;

	/* what is wanted */
	bool stopping, restart_wanted;
	bool stop_asked; /* the end to come is a stop's or a restart's */
	struct loop_source *kill_timer, *restart_timer;
	int64_t backoff; /* ns */

	struct health *health;
};

/* supervisor.c */
void supervisor_stop(struct supervisor *s, int signo, int64_t timeout_s, bool restart);
/* As the host goes down: stopped in order, but not by the user. */
void supervisor_shut_down(struct supervisor *s);
int supervisor_kill(struct supervisor *s, int signo, struct err *err);
int supervisor_pause(struct supervisor *s, bool pause, struct err *err);
int supervisor_update(struct supervisor *s, struct err *err);
int supervisor_reload(struct supervisor *s, struct err *err);
void supervisor_save(struct supervisor *s); /* failures are warned about, once */
/* All output was read after the exit. */
void supervisor_drained(struct supervisor *s);

/* client.c */
int clients_listen(struct supervisor *s, struct err *err);
/* Takes the descriptor; streams as in start.c ("ioe 24x80"). */
void clients_adopt(struct supervisor *s, int fd, const char *streams);
/* Output for those attached. True when one of them is slow and reading should pause. */
bool clients_output(struct supervisor *s, int stream, const void *data, size_t len);
bool clients_slow(struct supervisor *s);
/* The instance took of its input: those who send it are read again. */
void clients_stdin_room(struct supervisor *s);
/* Answers whoever waits for a stop or restart. */
void clients_answer_stop(struct supervisor *s, const struct err *err);
/* No further client is taken; the socket's name is gone. */
void clients_close_listener(struct supervisor *s);
/* Those whose requests were not read are not kept waiting. */
void clients_hang_up(struct supervisor *s);
/* The last word: exit code to attached and waiting clients, flushed within bounds, then closed. */
void clients_finish(struct supervisor *s);

/* endpoints.c */
int names_start(struct supervisor *s, struct err *err); /* nothing to do on the default network */
int ports_publish(struct supervisor *s, struct err *err);
void ports_unpublish(struct supervisor *s);
int supervisor_connect(struct supervisor *s, json_t *endpoint, struct err *err);
int supervisor_disconnect(struct supervisor *s, const char *network, struct err *err);

/* pump.c */
struct pump_child {
	int stdio[3]; /* for run_create; closed by pump_started() */
	int console;
};
int pump_prepare(struct supervisor *s, struct pump_child *child, struct err *err);
void pump_started(struct supervisor *s, struct pump_child *child, bool ok);
void pump_resume(struct supervisor *s); /* after a slow client caught up */
void pump_stdin(struct supervisor *s, const void *data, size_t len);
void pump_stdin_close(struct supervisor *s);
bool pump_stdin_full(const struct supervisor *s);
void pump_resize(struct supervisor *s, uint16_t rows, uint16_t columns);
void pump_close(struct supervisor *s);
void pump_rest(struct supervisor *s);       /* gives buffers back until they are needed again */
bool pump_open(const struct supervisor *s); /* some output may still come */

/* health.c */
void health_start(struct supervisor *s);
void health_stop(struct supervisor *s);
void health_pause(struct supervisor *s, bool pause); /* what has just been done to the instance */
