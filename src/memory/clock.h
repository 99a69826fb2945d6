#pragma once
/*
 * Time as the machine has it. clock_now() is nanoseconds since the machine was made, monotonic, standing
 * still while the machine is paused; all devices count from it. The guest's TSC runs beside it: the
 * host's TSC plus an offset, so that a cpu may let the guest read the host's.
 *
 * Timers are called in the clock's own thread (or by clock_poll()), one after the other, without any lock held: keep them
 * short. A manual clock has no thread and moves only by clock_advance(), which is for tests of devices.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define NS_PER_S INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

struct clock;

/* In its owner's structure. */
struct clock_timer {
	struct clock *clock;
	void (*fn)(void *data);
	void *data;
	int64_t due; /* ns, CLOCK_NEVER when not set; the clock's */
	struct clock_timer *next;
};

struct clock *clock_new(void);
struct clock *clock_new_manual(void);
/* Starts the thread: timers that are due fire from now on, those of a manual clock have none. 0 or -errno. */
int clock_start(struct clock *clock);
/* No timer may be set any more. */
void clock_free(struct clock *clock);
DEFINE_CLEANUP(clock_free, struct clock *);

int64_t clock_now(struct clock *clock);
/* Manual clocks: moves on, calling timers at their times; a TSC tick is a nanosecond there. */
void clock_advance(struct clock *clock, int64_t ns);
/* While paused, neither the clock nor the TSC moves, and no timer fires. */
void clock_pause(struct clock *clock, bool pause);

/* Calls timers that are overdue, in the caller's thread, which holds no lock; cheap when there is none: for a vCPU that looks at the time. A host that lets
 * the vCPU run and not the clock's thread would else show it a time at which there should have been ticks. */
void clock_poll(struct clock *clock);

/* The guest's TSC: ticks a millisecond; its value now is the host's TSC + the offset (wrapping). */
uint64_t clock_tsc_khz(struct clock *clock);
/* The same for who tells a guest that it need not measure: at the first call measured over the time since the clock was
 * made, and so from then on. */
uint64_t clock_settle_tsc_khz(struct clock *clock);
uint64_t clock_tsc(struct clock *clock);
uint64_t clock_tsc_offset(struct clock *clock);
/* When the guest's TSC reaches a value, as clock_now() counts; not before now. */
int64_t clock_of_tsc(struct clock *clock, uint64_t tsc);

/* Not set yet. fn may set the timer again. */
void clock_timer_init(
	struct clock_timer *timer, struct clock *clock, void (*fn)(void *data), void *data);
/* Fires once at `due` (at once when that is past), instead of when it was set for; CLOCK_NEVER unsets it.
 * Any thread, any lock but one that fn takes is free to be held; a call under way is not waited for. */
void clock_timer_set(struct clock_timer *timer, int64_t due);
/* Unsets it and waits for a call under way (not from fn itself). Before its owner goes away. */
void clock_timer_finish(struct clock_timer *timer);
