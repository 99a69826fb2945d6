/*
 * MC146818A. The time is the clock's plus an offset in seconds; a guest that sets it changes the offset. Interrupts:
 * periodic, alarm and update-ended, from one timer that is set only while one of them is enabled. Not modelled:
 * square waves, daylight saving, and that time stands still while the guest sets it (SET only defers).
 *
 * Periodic interrupts that come while the guest has not read C are counted and made up for, one each time it does; those of
 * more than two seconds it does not want.
 */
#include "device/rtc.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"

enum {
	SECONDS = 0,
	SECONDS_ALARM = 1,
	MINUTES = 2,
	MINUTES_ALARM = 3,
	HOURS = 4,
	HOURS_ALARM = 5,
	WEEKDAY = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	A = 10,
	B = 11,
	C = 12,
	D = 13,
	CENTURY = 0x32,
	SIZE = 128
};

#define B_SET 0x80u
#define B_PERIODIC 0x40u
#define B_ALARM 0x20u
#define B_UPDATE 0x10u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQ 0x80u
#define A_UPDATING 0x80u
#define UPDATE_NS 244000 /* before the second ends */
#define SHORTEST_PERIOD 122000
#define UNWANTED (2 * NS_PER_S)

struct rtc {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	uint8_t index;
	uint8_t ram[SIZE];
	int64_t offset;           /* seconds: unix time less the clock's */
	int64_t periodic, second; /* when these are due, CLOCK_NEVER when not enabled */
	int64_t owed;             /* periodic interrupts that merged with one before */
	int64_t opened;           /* when that one was */
	struct clock_timer timer;
	struct irq_line line;
	struct bus_region region;
};

static uint8_t encode(const struct rtc *r, int value)
{
	return (uint8_t)(r->ram[B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *r, uint8_t value)
{
	return r->ram[B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc *r, int hour)
{
	if (r->ram[B] & B_24H)
		return encode(r, hour);
	return (uint8_t)(encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct rtc *r, uint8_t value)
{
	if (r->ram[B] & B_24H)
		return decode(r, value);
	return decode(r, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

static time_t unix_time(struct rtc *r)
{
	return (time_t)(clock_now(r->memory->clock) / NS_PER_S + r->offset);
}

/* Puts the time into the registers. */
static void show_time(struct rtc *r)
{
	time_t now = unix_time(r);
	struct tm t = { 0 };

	if (r->ram[B] & B_SET)
		return;
	gmtime_r(&now, &t);
	r->ram[SECONDS] = encode(r, t.tm_sec);
	r->ram[MINUTES] = encode(r, t.tm_min);
	r->ram[HOURS] = encode_hour(r, t.tm_hour);
	r->ram[WEEKDAY] = encode(r, t.tm_wday + 1);
	r->ram[DAY] = encode(r, t.tm_mday);
	r->ram[MONTH] = encode(r, t.tm_mon + 1);
	r->ram[YEAR] = encode(r, (t.tm_year + 1900) % 100);
	r->ram[CENTURY] = encode(r, (t.tm_year + 1900) / 100);
}

/* And takes it from there. */
static void take_time(struct rtc *r)
{
	struct tm t = { .tm_sec = decode(r, r->ram[SECONDS]),
		.tm_min = decode(r, r->ram[MINUTES]),
		.tm_hour = decode_hour(r, r->ram[HOURS]),
		.tm_mday = decode(r, r->ram[DAY]),
		.tm_mon = decode(r, r->ram[MONTH]) - 1,
		.tm_year = decode(r, r->ram[CENTURY]) * 100 + decode(r, r->ram[YEAR]) - 1900 };

	r->offset = (int64_t)timegm(&t) - clock_now(r->memory->clock) / NS_PER_S;
}

static int64_t period_ns(const struct rtc *r)
{
	unsigned rate = r->ram[A] & 15;
	int64_t ns;

	if (rate == 0 || !(r->ram[B] & B_PERIODIC))
		return 0;
	/* 1 and 2 are those of 8 and 9. */
	ns = NS_PER_S * (1 << ((rate < 3 ? rate + 7 : rate) - 1)) / 32768;
	return ns < SHORTEST_PERIOD ? SHORTEST_PERIOD : ns;
}

static void schedule(struct rtc *r)
{
	clock_timer_set(&r->timer, r->periodic < r->second ? r->periodic : r->second);
}

/* After B or A changed. */
static void enable(struct rtc *r)
{
	int64_t now = clock_now(r->memory->clock), period = period_ns(r);

	r->periodic = period ? (now / period + 1) * period : CLOCK_NEVER;
	r->owed = 0;
	r->second =
		r->ram[B] & (B_ALARM | B_UPDATE) ? (now / NS_PER_S + 1) * NS_PER_S : CLOCK_NEVER;
	schedule(r);
}

static void update_line(struct rtc *r)
{
	if (r->ram[C] & r->ram[B] & (B_PERIODIC | B_ALARM | B_UPDATE))
		r->ram[C] |= C_IRQ;
	else
		r->ram[C] &= ~C_IRQ;
	irq_line_set(&r->line, r->ram[C] & C_IRQ);
}

/* 0xc0 and above are "any". */
static bool alarm_matches(const struct rtc *r)
{
	static const uint8_t pairs[][2] = { { SECONDS_ALARM, SECONDS }, { MINUTES_ALARM, MINUTES },
		{ HOURS_ALARM, HOURS } };

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (r->ram[pairs[i][0]] < 0xc0 && r->ram[pairs[i][0]] != r->ram[pairs[i][1]])
			return false;
	return true;
}

static void on_timer(void *data)
{
	struct rtc *r = data;
	int64_t now;

	pthread_mutex_lock(&r->lock);
	now = clock_now(r->memory->clock);
	if (r->periodic <= now) {
		int64_t period = period_ns(r), next = (now / period + 1) * period;

		if (!(r->ram[C] & B_PERIODIC))
			r->opened = r->periodic;
		r->owed += (next - r->periodic) / period - !(r->ram[C] & B_PERIODIC);
		if (now - r->opened > UNWANTED)
			r->owed = 0;
		r->ram[C] |= B_PERIODIC;
		r->periodic = next;
	}
	if (r->second <= now) {
		show_time(r);
		r->ram[C] |= B_UPDATE | (alarm_matches(r) ? B_ALARM : 0);
		r->second = (now / NS_PER_S + 1) * NS_PER_S;
	}
	update_line(r);
	schedule(r);
	pthread_mutex_unlock(&r->lock);
}

static uint8_t read_locked(struct rtc *r)
{
	uint8_t value;

	switch (r->index) {
	case A:
		value = r->ram[A];
		if (!(r->ram[B] & B_SET) &&
			clock_now(r->memory->clock) % NS_PER_S > NS_PER_S - UPDATE_NS)
			value |= A_UPDATING;
		return value;
	case C:
		value = r->ram[C];
		r->ram[C] = 0;
		update_line(r);
		if (value & B_PERIODIC && r->owed > 0) {
			r->owed--;
			r->ram[C] = B_PERIODIC;
			r->opened = clock_now(r->memory->clock);
			update_line(r);
		}
		return value;
	case D:
		return 0x80; /* the battery is good */
	default:
		if (r->index <= YEAR || r->index == CENTURY)
			show_time(r);
		return r->ram[r->index];
	}
}

static void write_locked(struct rtc *r, uint8_t value)
{
	bool clock_field = (r->index <= YEAR && (r->index % 2 == 0 || r->index > WEEKDAY)) ||
			   r->index == CENTURY;

	switch (r->index) {
	case A:
		r->ram[A] = value & 0x7f;
		enable(r);
		return;
	case B:
		if (value & ~r->ram[B] & B_SET)
			show_time(r);
		if (r->ram[B] & ~value & B_SET)
			take_time(r);
		r->ram[B] = value;
		enable(r);
		update_line(r);
		return;
	case C:
	case D:
		return;
	default:
		if (clock_field)
			show_time(r);
		r->ram[r->index] = value;
		if (clock_field && !(r->ram[B] & B_SET))
			take_time(r);
		return;
	}
}

static uint64_t read_rtc(void *data, uint64_t offset, unsigned size)
{
	struct rtc *r = data;
	uint8_t value = 0xff;

	pthread_mutex_lock(&r->lock);
	if (offset == 1)
		value = read_locked(r);
	pthread_mutex_unlock(&r->lock);
	return value;
}

static void write_rtc(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct rtc *r = data;

	pthread_mutex_lock(&r->lock);
	/* Bit 7 of the index masks NMIs, of which there are none. */
	if (offset == 0)
		r->index = value & 0x7f;
	else
		write_locked(r, (uint8_t)value);
	pthread_mutex_unlock(&r->lock);
}

static const struct bus_ops ops = { read_rtc, write_rtc, 1 };

static void put16(struct rtc *r, unsigned at, uint64_t value)
{
	value = value > 0xffff ? 0xffff : value;
	r->ram[at] = (uint8_t)value;
	r->ram[at + 1] = (uint8_t)(value >> 8);
}

static void set_sizes(struct rtc *r, uint64_t below_4g, uint64_t above_4g)
{
	put16(r, 0x15, 640);
	put16(r, 0x17, below_4g > 0x100000 ? (below_4g - 0x100000) >> 10 : 0);
	put16(r, 0x30, below_4g > 0x100000 ? (below_4g - 0x100000) >> 10 : 0);
	put16(r, 0x34, below_4g > 0x1000000 ? (below_4g - 0x1000000) >> 16 : 0);
	for (unsigned i = 0; i < 3; i++)
		r->ram[0x5b + i] = (uint8_t)(above_4g >> (16 + 8 * i));
}

static void reset(struct device *device)
{
	struct rtc *r = (struct rtc *)device;

	/* The battery keeps the rest. */
	r->index = 0;
	r->ram[A] = 0x26;
	r->ram[B] = B_24H;
	r->ram[C] = 0;
	r->periodic = r->second = CLOCK_NEVER;
	r->owed = 0;
	schedule(r);
	update_line(r);
}

static void destroy(struct device *device)
{
	struct rtc *r = (struct rtc *)device;

	bus_unmap(r->memory->bus, &r->region);
	clock_timer_finish(&r->timer);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct device_type type = { .name = "rtc", .reset = reset, .destroy = destroy };

struct device *rtc_new(struct memory *m, uint64_t below_4g, uint64_t above_4g, int64_t unix_now)
{
	struct rtc *r = xnew(struct rtc);

	r->device.type = &type;
	r->memory = m;
	r->offset = unix_now;
	pthread_mutex_init(&r->lock, NULL);
	clock_timer_init(&r->timer, m->clock, on_timer, r);
	irq_line_init(&r->line, m->irqs, 8);
	set_sizes(r, below_4g, above_4g);
	reset(&r->device);
	bus_region_init(&r->region, "rtc", BUS_PORT, 2, &ops, r);
	bus_region_set_lazy(&r->region, 0, 1); /* the index */
	bus_map(m->bus, &r->region, 0x70);
	return &r->device;
}
