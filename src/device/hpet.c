/*
 * The counter follows from the clock; one timer of the clock serves the earliest comparator. A comparator matches when
 * the counter comes to its value (of 32 or 64 bits): `seen` is the count up to which it was looked at, so that no
 * match is missed and none counts twice.
 *
 * Periods of timer 0 in the legacy route that pass while the guest has not ended the tick before them are counted, and made up
 * for one at a time as it does, as the 8254 has it: a vCPU that the host does not let run takes none.
 */
#include "device/hpet.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"

#define TICK_NS 10
#define PERIOD_FS UINT64_C(10000000)
#define TIMERS 3u
#define CONFIG 0x10u
#define STATUS 0x20u
#define COUNTER 0xf0u
#define TIMER_FIRST 0x100u
#define TIMER_STEP 0x20u
#define ENABLE 1u
#define LEGACY 2u
#define T_LEVEL 0x2u
#define T_INTERRUPT 0x4u
#define T_PERIODIC 0x8u
#define T_CAN_PERIODIC 0x10u
#define T_64 0x20u
#define T_SET 0x40u
#define T_32 0x100u
#define T_ROUTE 0x3e00u
#define T_MESSAGE 0x4000u
#define T_CAN_MESSAGE 0x8000u
#define T_WRITABLE (T_LEVEL | T_INTERRUPT | T_SET | T_32 | T_ROUTE | T_MESSAGE)
#define ROUTES UINT64_C(0x00f00000)
#define SHORTEST_PERIOD 5000u /* ticks: a guest's faster ones are not all delivered */
#define UNWANTED \
	(2 * NS_PER_S) /* what is not ended for so long, and what came while it was masked */
#define MASKED (NS_PER_S / 20)
#define FAR_AHEAD (INT64_MAX / TICK_NS / 2)

struct timer {
	uint64_t config, comparator, period, message;
	uint64_t seen;
	struct irq_line line;
};

struct hpet {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	uint64_t config, status;
	uint64_t base; /* the counter while it stands still, else less the clock's ticks */
	struct timer timers[TIMERS];
	bool open;      /* a tick of timer 0 on line 0 was delivered and is not ended */
	int64_t opened; /* when the first of those was that are not */
	uint64_t owed;  /* ticks that merged with it */
	struct clock_timer clock_timer;
	struct bus_region region;
};

static uint64_t ticks(struct hpet *h)
{
	return (uint64_t)clock_now(h->memory->clock) / TICK_NS;
}

static uint64_t counter(struct hpet *h)
{
	return h->config & ENABLE ? h->base + ticks(h) : h->base;
}

static uint64_t mask_of(const struct timer *t)
{
	return t->config & T_32 ? UINT32_MAX : UINT64_MAX;
}

/* Counts from `seen` to the next match: 0 is a whole turn ahead, which at 64 bits never comes. */
static uint64_t distance(const struct timer *t)
{
	uint64_t d = (t->comparator - t->seen) & mask_of(t);

	if (d == 0)
		return t->config & T_32 ? UINT64_C(1) << 32 : UINT64_MAX;
	return d;
}

static unsigned gsi_of(const struct hpet *h, unsigned n)
{
	unsigned route = (unsigned)(h->timers[n].config & T_ROUTE) >> 9;

	if (h->config & LEGACY && n < 2)
		return n == 0 ? 0 : 8;
	return ROUTES >> route & 1 ? route : IRQ_LINES;
}

static void let_go(struct timer *t)
{
	irq_line_set(&t->line, false);
	irq_line_own(&t->line, false);
}

/* The line that a timer has now: low, unless its status holds it high. */
static void route(struct hpet *h, unsigned n)
{
	struct timer *t = &h->timers[n];
	unsigned gsi = gsi_of(h, n);

	let_go(t);
	if (n == 0)
		h->owed = h->open = 0;
	if (gsi == IRQ_LINES)
		return;
	irq_line_init(&t->line, h->memory->irqs, gsi);
	irq_line_own(&t->line, h->config & LEGACY && n < 2);
	irq_line_set(&t->line,
		h->status >> n & 1 && t->config & T_INTERRUPT && !(t->config & T_MESSAGE));
}

/* A periodic edge on line 0, `n` of them. */
static void tick(struct hpet *h, uint64_t n)
{
	int64_t now = clock_now(h->memory->clock);

	h->owed += n - !h->open;
	if (h->open && now - h->opened > UNWANTED)
		h->owed = 0;
	if (!h->open)
		h->opened = now;
	h->open = true;
	irq_line_pulse(&h->timers[0].line);
}

static void on_event(void *data, enum irq_event event)
{
	struct hpet *h = data;
	int64_t now = clock_now(h->memory->clock);

	pthread_mutex_lock(&h->lock);
	if (event == IRQ_UNMASKED && h->open && now - h->opened > MASKED)
		h->owed = 0;
	if (event == IRQ_ENDED) {
		h->open = false;
		if (h->owed > 0 && h->config & LEGACY) {
			h->owed--;
			h->opened = now;
			h->open = true;
			irq_line_pulse(&h->timers[0].line);
		}
	}
	pthread_mutex_unlock(&h->lock);
}

/* It came to its value, `times` times when it is periodic. */
static void match(struct hpet *h, unsigned n, uint64_t times)
{
	struct timer *t = &h->timers[n];

	if (t->config & T_LEVEL)
		h->status |= 1u << n;
	if (!(t->config & T_INTERRUPT))
		return;
	if (t->config & T_MESSAGE)
		irq_msi(h->memory->irqs, t->message >> 32, (uint32_t)t->message);
	else if (gsi_of(h, n) == IRQ_LINES)
		return;
	else if (t->config & T_LEVEL)
		irq_line_set(&t->line, true);
	else if (gsi_of(h, n) == 0 && t->config & T_PERIODIC)
		tick(h, times);
	else
		irq_line_pulse(&t->line);
}

/* What has matched up to now. */
static void look(struct hpet *h, unsigned n)
{
	struct timer *t = &h->timers[n];
	uint64_t now = counter(h), passed = now - t->seen, d = distance(t);

	if (passed >= d && passed <= INT64_MAX) {
		uint64_t times =
			t->config & T_PERIODIC && t->period ? (passed - d) / t->period + 1 : 1;

		if (t->config & T_PERIODIC)
			t->comparator = (t->comparator + times * t->period) & mask_of(t);
		match(h, n, times);
	}
	t->seen = now;
}

static void schedule(struct hpet *h)
{
	uint64_t nearest = UINT64_MAX;

	for (unsigned n = 0; n < TIMERS; n++) {
		struct timer *t = &h->timers[n];
		uint64_t d = distance(t);

		if (t->config & T_INTERRUPT && d < nearest)
			nearest = d;
	}
	if (!(h->config & ENABLE) || nearest > FAR_AHEAD)
		clock_timer_set(&h->clock_timer, CLOCK_NEVER);
	else
		/* `seen` is now. The end of the last tick, not the middle. */
		clock_timer_set(&h->clock_timer, (int64_t)(ticks(h) + nearest) * TICK_NS);
}

/* Everything up to now, before registers are read or change. */
static void catch_up(struct hpet *h)
{
	if (!(h->config & ENABLE))
		return;
	for (unsigned n = 0; n < TIMERS; n++)
		look(h, n);
}

static void on_timer(void *data)
{
	struct hpet *h = data;

	pthread_mutex_lock(&h->lock);
	catch_up(h);
	schedule(h);
	pthread_mutex_unlock(&h->lock);
}

static uint64_t read_timer(const struct timer *t, unsigned n, unsigned reg)
{
	switch (reg) {
	case 0:
		return t->config | T_64 | T_CAN_MESSAGE | (n == 0 ? T_CAN_PERIODIC : 0) |
		       ROUTES << 32;
	case 8:
		return t->comparator;
	case 0x10:
		return t->message;
	default:
		return 0;
	}
}

static uint64_t read_register(struct hpet *h, unsigned reg)
{
	unsigned n = (reg - TIMER_FIRST) / TIMER_STEP;

	switch (reg) {
	case 0:
		return PERIOD_FS << 32 | HPET_ID;
	case CONFIG:
		return h->config;
	case STATUS:
		return h->status;
	case COUNTER:
		return counter(h);
	default:
		return reg >= TIMER_FIRST && n < TIMERS
			       ? read_timer(&h->timers[n], n, reg % TIMER_STEP)
			       : 0;
	}
}

static void write_config(struct hpet *h, uint64_t value)
{
	uint64_t changed = (h->config ^ value) & (ENABLE | LEGACY), now = counter(h);

	h->config ^= changed;
	h->base = h->config & ENABLE ? now - ticks(h) : now;
	for (unsigned n = 0; n < TIMERS; n++)
		h->timers[n].seen = now;
	for (unsigned n = 0; n < 2 && changed & LEGACY; n++)
		route(h, n);
}

static void write_comparator(struct timer *t, uint64_t value)
{
	value &= mask_of(t);
	if (!(t->config & T_PERIODIC) || t->config & T_SET)
		t->comparator = value;
	if (t->config & T_PERIODIC)
		t->period = value && value < SHORTEST_PERIOD ? SHORTEST_PERIOD : value;
	t->config &= ~(uint64_t)T_SET;
}

static void write_timer(struct hpet *h, unsigned n, unsigned reg, uint64_t value)
{
	struct timer *t = &h->timers[n];
	uint64_t writable = T_WRITABLE | (n == 0 ? T_PERIODIC : 0);

	switch (reg) {
	case 0:
		t->config = value & writable;
		t->comparator &= mask_of(t);
		if (!(t->config & T_LEVEL))
			h->status &= ~(UINT64_C(1) << n);
		route(h, n);
		break;
	case 8:
		/* A value that is reached at this moment counts. */
		t->seen--;
		write_comparator(t, value);
		break;
	case 0x10:
		t->message = value;
		break;
	default:
		break;
	}
}

static void write_status(struct hpet *h, uint64_t value)
{
	h->status &= ~value;
	for (unsigned n = 0; n < TIMERS; n++)
		if (value >> n & 1 && h->timers[n].config & T_LEVEL)
			irq_line_set(&h->timers[n].line, false);
}

static void write_register(struct hpet *h, unsigned reg, uint64_t value)
{
	unsigned n = (reg - TIMER_FIRST) / TIMER_STEP;

	if (reg == CONFIG)
		write_config(h, value);
	else if (reg == STATUS)
		write_status(h, value);
	else if (reg == COUNTER && !(h->config & ENABLE))
		h->base = value;
	else if (reg >= TIMER_FIRST && n < TIMERS)
		write_timer(h, n, reg % TIMER_STEP, value);
}

static uint64_t read_hpet(void *data, uint64_t offset, unsigned size)
{
	struct hpet *h = data;
	uint64_t value;

	pthread_mutex_lock(&h->lock);
	/* The counter is read often, and nothing depends on it. */
	if ((offset & ~UINT64_C(7)) != COUNTER)
		catch_up(h);
	value = read_register(h, offset & ~7u) >> 8 * (offset & 7);
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void write_hpet(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct hpet *h = data;
	unsigned reg = offset & ~7u, shift = 8 * (offset & 7);
	uint64_t mask = size == 8 ? UINT64_MAX : (uint64_t)UINT32_MAX << shift, before;

	pthread_mutex_lock(&h->lock);
	catch_up(h);
	/* Status is cleared by ones: the half that is not written has none. */
	before = reg == STATUS ? 0 : read_register(h, reg);
	write_register(h, reg, (before & ~mask) | (value << shift & mask));
	catch_up(h);
	schedule(h);
	pthread_mutex_unlock(&h->lock);
}

static void reset(struct device *device)
{
	struct hpet *h = (struct hpet *)device;

	h->config = h->status = h->base = h->owed = 0;
	h->open = false;
	for (unsigned n = 0; n < TIMERS; n++) {
		struct timer *t = &h->timers[n];

		let_go(t);
		t->config = t->period = t->message = t->seen = 0;
		t->comparator = UINT64_MAX;
	}
	clock_timer_set(&h->clock_timer, CLOCK_NEVER);
}

static void destroy(struct device *device)
{
	struct hpet *h = (struct hpet *)device;

	bus_unmap(h->memory->bus, &h->region);
	clock_timer_finish(&h->clock_timer);
	irqs_unwatch(h->memory->irqs, 0, h);
	for (unsigned n = 0; n < TIMERS; n++)
		let_go(&h->timers[n]);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const struct device_type type = { .name = "hpet", .reset = reset, .destroy = destroy };

struct device *hpet_new(struct memory *m)
{
	static const struct bus_ops ops = { read_hpet, write_hpet, 4 | 8 };
	struct hpet *h = xnew(struct hpet);

	h->device.type = &type;
	h->memory = m;
	pthread_mutex_init(&h->lock, NULL);
	clock_timer_init(&h->clock_timer, m->clock, on_timer, h);
	for (unsigned n = 0; n < TIMERS; n++)
		irq_line_init(&h->timers[n].line, m->irqs, 0);
	irqs_watch(m->irqs, 0, on_event, h);
	reset(&h->device);
	bus_region_init(&h->region, "hpet", BUS_MMIO, HPET_BYTES, &ops, h);
	bus_map(m->bus, &h->region, HPET_BASE);
	return &h->device;
}
