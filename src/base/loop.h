#pragma once
/*
 * An event loop over epoll: descriptors, timers, signals. One thread. Sources are owned by the loop
 * and stay until removed; a callback may remove any source, itself among them.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

struct loop;
struct loop_source;

typedef void loop_fd_fn(void *data, uint32_t events);
typedef void loop_timer_fn(void *data);
typedef void loop_signal_fn(void *data, int signo);

struct loop *loop_new(void);
void loop_free(struct loop *loop);
DEFINE_CLEANUP(loop_free, struct loop *);

/* The descriptor stays the caller's. events: EPOLLIN, EPOLLOUT, or 0 for hang-up alone. */
struct loop_source *loop_add_fd(
	struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data);
/* NULL: nothing to do. */
void loop_set_events(struct loop_source *source, uint32_t events);
/* Once, after `ns` from now. It is gone after it fired; do not remove it then. */
struct loop_source *loop_add_timer(struct loop *loop, int64_t ns, loop_timer_fn *fn, void *data);
/* Blocks the signals for the process and reads them from a descriptor. Once per loop. */
int loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *data);
/* fn is called once when nothing has happened for `ns`, and again only after something has: what memory
 * was for work that is done can be given back. One per loop. */
void loop_set_rest(struct loop *loop, int64_t ns, loop_timer_fn *fn, void *data);
/* NULL is allowed. */
void loop_remove(struct loop_source *source);

/* Until loop_stop(), after which no callback is called any more; returns the value given there. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int value);
