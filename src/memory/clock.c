/*
 * The clock: CLOCK_MONOTONIC less what was spent paused, the TSC, and a thread for timers.
 *
 * Timers are a list sorted by their times. The thread sleeps on a condition until the first is due, unsets
 * it and calls it without the lock. `running` is that timer, for those who must wait for its end.
 *
 * Guests read the TSC all the time: clock_poll() and the offset take no lock. `poll_at` is about when the first timer is
 * overdue, by the host's TSC; who finds it past looks again with the lock.
 */
#include "memory/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <x86intrin.h>

#include "base/alloc.h"
#include "base/thread.h"

#define POLL_LATE 200000 /* ns: before that the clock's thread is given its chance */
#define POLL_TIMERS 16u
#define CALIBRATION_NS 2000000 /* 2 ms: the two clocks are read within 50 ns of each other */
#define TRIES 8                /* one of them is not interrupted */

/* Both of the host's clocks at a time. */
struct instant {
	int64_t ns;
	uint64_t tsc;
};

struct clock {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool manual, started, stop, paused;
	int64_t origin;  /* CLOCK_MONOTONIC at 0 of this clock */
	int64_t at;      /* this clock, while manual or paused */
	uint64_t tsc_at; /* the TSC while paused */
	_Atomic uint64_t tsc_offset;
	_Atomic uint64_t tsc_khz;
	bool settled;
	struct instant made;
	_Atomic uint64_t poll_at;
	struct clock_timer *first;
	struct clock_timer *running;
};

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static struct instant read_both(void)
{
	struct instant best = { 0 };
	uint64_t width = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc();
		int64_t ns = monotonic();
		uint64_t after = __rdtsc();

		if (after - before >= width)
			continue;
		width = after - before;
		best = (struct instant){ ns, before + width / 2 };
	}
	return best;
}

static uint64_t khz_between(const struct instant *a, const struct instant *b)
{
	return (uint64_t)((unsigned __int128)(b->tsc - a->tsc) * 1000000 /
			  (uint64_t)(b->ns - a->ns));
}

/* The host's TSC rate, against CLOCK_MONOTONIC. Hypervisors may not say it in CPUID. */
static uint64_t measure_tsc_khz(void)
{
	struct instant from = read_both(), to;

	do
		to = read_both();
	while (to.ns - from.ns < CALIBRATION_NS);
	return khz_between(&from, &to);
}

static int64_t now_locked(const struct clock *c)
{
	return c->manual || c->paused ? c->at : monotonic() - c->origin;
}

static uint64_t tsc_locked(const struct clock *c)
{
	if (c->manual)
		return (uint64_t)c->at;
	return c->paused ? c->tsc_at : __rdtsc() + c->tsc_offset;
}

/* After a change of what is first or of how time goes; the lock is held. */
static void plan_poll(struct clock *c)
{
	uint64_t at = UINT64_MAX;

	if (!c->manual && !c->paused && c->first) {
		int64_t left = c->first->due - now_locked(c);

		/* The two clocks differ a little: for what is far away it is looked again. */
		left = left > NS_PER_S ? NS_PER_S : left + POLL_LATE;
		at = __rdtsc() + (left > 0 ? (uint64_t)left * c->tsc_khz / 1000000 : 0);
	}
	atomic_store_explicit(&c->poll_at, at, memory_order_relaxed);
}

static void unlink_timer(struct clock *c, struct clock_timer *timer)
{
	struct clock_timer **at = &c->first;
	bool was_first = c->first == timer;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	timer->due = CLOCK_NEVER;
	timer->next = NULL;
	if (was_first)
		plan_poll(c);
}

/* Calls the first timer; the lock is free meanwhile. */
static void fire(struct clock *c)
{
	struct clock_timer *timer = c->first;

	unlink_timer(c, timer);
	c->running = timer;
	pthread_mutex_unlock(&c->lock);
	timer->fn(timer->data);
	pthread_mutex_lock(&c->lock);
	c->running = NULL;
	pthread_cond_broadcast(&c->changed);
}

static void *timer_thread(void *data)
{
	struct clock *c = data;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		int64_t due = c->first && !c->paused ? c->first->due : CLOCK_NEVER;
		struct timespec t;

		if (due == CLOCK_NEVER || c->running) {
			pthread_cond_wait(&c->changed, &c->lock);
		} else if (due <= now_locked(c)) {
			fire(c);
		} else {
			due += c->origin;
			t = (struct timespec){ due / NS_PER_S, due % NS_PER_S };
			pthread_cond_timedwait(&c->changed, &c->lock, &t);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct clock *clock_new_manual(void)
{
	struct clock *c = xnew(struct clock);
	pthread_condattr_t attr;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->manual = true;
	c->tsc_khz = 1000000;
	c->poll_at = UINT64_MAX;
	return c;
}

struct clock *clock_new(void)
{
	struct clock *c = clock_new_manual();

	c->manual = false;
	c->tsc_khz = measure_tsc_khz();
	c->made = read_both();
	c->tsc_offset = -c->made.tsc;
	c->origin = c->made.ns;
	return c;
}

int clock_start(struct clock *c)
{
	int r = c->manual ? 0 : thread_start(&c->thread, timer_thread, c);

	c->started = !c->manual && r == 0;
	return r;
}

void clock_free(struct clock *c)
{
	if (!c)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int64_t clock_now(struct clock *c)
{
	int64_t now;

	pthread_mutex_lock(&c->lock);
	now = now_locked(c);
	pthread_mutex_unlock(&c->lock);
	return now;
}

void clock_advance(struct clock *c, int64_t ns)
{
	int64_t until;

	pthread_mutex_lock(&c->lock);
	assert(c->manual && ns >= 0);
	until = c->at + ns;
	while (c->first && c->first->due <= until) {
		if (c->first->due > c->at)
			c->at = c->first->due;
		fire(c);
	}
	c->at = until;
	pthread_mutex_unlock(&c->lock);
}

void clock_pause(struct clock *c, bool pause)
{
	pthread_mutex_lock(&c->lock);
	if (c->manual || c->paused == pause) {
		pthread_mutex_unlock(&c->lock);
		return;
	}
	if (pause) {
		c->at = now_locked(c);
		c->tsc_at = tsc_locked(c);
	} else {
		c->origin = monotonic() - c->at;
		c->tsc_offset = c->tsc_at - __rdtsc();
	}
	c->paused = pause;
	plan_poll(c);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void clock_poll(struct clock *c)
{
	if (__rdtsc() < atomic_load_explicit(&c->poll_at, memory_order_relaxed))
		return;
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < POLL_TIMERS && c->first && !c->running && !c->paused &&
			     !c->manual && c->first->due + POLL_LATE <= now_locked(c);
		i++)
		fire(c);
	plan_poll(c);
	pthread_mutex_unlock(&c->lock);
}

uint64_t clock_tsc_khz(struct clock *c)
{
	return c->tsc_khz;
}

uint64_t clock_settle_tsc_khz(struct clock *c)
{
	struct instant now = read_both();
	uint64_t khz, off;

	pthread_mutex_lock(&c->lock);
	if (!c->manual && !c->settled && now.ns - c->made.ns > CALIBRATION_NS) {
		khz = khz_between(&c->made, &now);
		/* A larger one is no error of measurement: the host slept. */
		off = khz > c->tsc_khz ? khz - c->tsc_khz : c->tsc_khz - khz;
		if (off <= c->tsc_khz / 1000)
			c->tsc_khz = khz;
		c->settled = true;
	}
	pthread_mutex_unlock(&c->lock);
	return c->tsc_khz;
}

uint64_t clock_tsc(struct clock *c)
{
	uint64_t tsc;

	pthread_mutex_lock(&c->lock);
	tsc = tsc_locked(c);
	pthread_mutex_unlock(&c->lock);
	return tsc;
}

uint64_t clock_tsc_offset(struct clock *c)
{
	return atomic_load_explicit(&c->tsc_offset, memory_order_relaxed);
}

int64_t clock_of_tsc(struct clock *c, uint64_t tsc)
{
	unsigned __int128 ns;
	int64_t now;
	uint64_t ticks;

	pthread_mutex_lock(&c->lock);
	now = now_locked(c);
	ticks = tsc - tsc_locked(c);
	pthread_mutex_unlock(&c->lock);
	/* The past, by less than half of the range. */
	if ((int64_t)ticks <= 0)
		return now;
	ns = (unsigned __int128)ticks * 1000000 / c->tsc_khz;
	return ns > (uint64_t)(CLOCK_NEVER - 1 - now) ? CLOCK_NEVER - 1 : now + (int64_t)ns;
}

void clock_timer_init(
	struct clock_timer *timer, struct clock *clock, void (*fn)(void *data), void *data)
{
	*timer = (struct clock_timer){ .clock = clock, .fn = fn, .data = data, .due = CLOCK_NEVER };
}

void clock_timer_set(struct clock_timer *timer, int64_t due)
{
	struct clock *c = timer->clock;
	struct clock_timer **at = &c->first;
	bool wake;

	pthread_mutex_lock(&c->lock);
	wake = c->first == timer;
	unlink_timer(c, timer);
	if (due != CLOCK_NEVER) {
		while (*at && (*at)->due <= due)
			at = &(*at)->next;
		timer->due = due;
		timer->next = *at;
		*at = timer;
		if (c->first == timer)
			plan_poll(c);
	}
	/* A thread that wakes too early finds that out by itself; too late it must not. */
	if (c->first == timer || (wake && !c->first))
		pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void clock_timer_finish(struct clock_timer *timer)
{
	struct clock *c = timer->clock;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	unlink_timer(c, timer);
	while (c->running == timer)
		pthread_cond_wait(&c->changed, &c->lock);
	/* Its function may have set it again. */
	unlink_timer(c, timer);
	pthread_mutex_unlock(&c->lock);
}
