/*
 * 8254 (Intel 231164). A channel's state follows from the time since its count was loaded: nothing runs but
 * channel 0's timer for its interrupts. Not modelled: counting in BCD (it counts in binary then), and that
 * a new count of modes 2 and 3 waits for the old period's end.
 *
 * Ticks that come while the one before them is not ended would merge in the interrupt controller, as a vCPU that the host does
 * not let run takes none: they are counted, and made up for one at a time as the guest ends each. What it does not end for
 * two seconds it does not want, nor what came while it had the line masked.
 */
#include "device/pit.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"

#define HZ INT64_C(1193182)
#define CHANNELS 3u
#define SPEAKER 0x61u
#define SHORTEST_PERIOD 20000 /* ns: a guest's faster ticks are not all delivered */
#define UNWANTED (2 * NS_PER_S)
#define MASKED (NS_PER_S / 20) /* a handler that masks the line for itself does not take so long */

enum { LATCH = 0, LOW = 1, HIGH = 2, BOTH = 3 };

struct channel {
	uint32_t count; /* 1 to 0x10000 */
	uint8_t mode, access;
	bool bcd, gate, running;
	bool second; /* BOTH: the next byte written or read is the high one */
	uint8_t low; /* of BOTH, until the high one comes */
	uint16_t latch;
	uint8_t latched; /* bytes of it still to be read */
	bool latch_low;  /* the next of them is the low one */
	uint8_t status;
	bool status_latched;
	int64_t loaded; /* clock's ns */
};

struct pit {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	struct channel channels[CHANNELS];
	bool speaker;
	int64_t next;   /* channel 0's next change, exactly */
	bool open;      /* a tick was delivered and is not ended */
	int64_t opened; /* when the first of those was that are not */
	unsigned owed;  /* ticks that merged with it */
	struct clock_timer timer;
	struct irq_line line;
	struct bus_region region, speaker_region;
};

static int64_t ticks_to_ns(int64_t ticks)
{
	return (int64_t)((__int128)ticks * NS_PER_S / HZ);
}

/* Counts since the channel was loaded. */
static int64_t passed(struct pit *p, const struct channel *c)
{
	return (int64_t)((__int128)(clock_now(p->memory->clock) - c->loaded) * HZ / NS_PER_S);
}

static bool repeats(const struct channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static uint16_t value_of(struct pit *p, const struct channel *c)
{
	int64_t t = c->running ? passed(p, c) : 0;

	if (c->mode == 3)
		/* By twos, twice a period. */
		return (uint16_t)(c->count - (2 * t) % c->count);
	if (c->mode == 2)
		return (uint16_t)(c->count - t % c->count);
	return (uint16_t)(c->count - t);
}

static bool output_of(struct pit *p, const struct channel *c)
{
	int64_t t = c->running ? passed(p, c) : 0;

	switch (c->mode) {
	case 0:
	case 1:
		return c->running && t >= c->count;
	case 2:
		return !c->running || t % c->count != c->count - 1;
	case 3:
		return !c->running || t % c->count < (c->count + 1) / 2;
	default:
		return !c->running || t != c->count;
	}
}

/* The next interrupt of channel 0, counted from its load so that no error adds up. */
static void schedule(struct pit *p)
{
	struct channel *c = &p->channels[0];
	int64_t now = clock_now(p->memory->clock), t = passed(p, c), n;

	if (!c->running || (!repeats(c) && t >= c->count)) {
		clock_timer_set(&p->timer, CLOCK_NEVER);
		return;
	}
	n = repeats(c) ? (t / c->count + 1) * c->count : c->count;
	p->next = c->loaded + ticks_to_ns(n) + 1;
	if (p->next < now + SHORTEST_PERIOD && repeats(c) &&
		ticks_to_ns(c->count) < SHORTEST_PERIOD)
		p->next = now + SHORTEST_PERIOD;
	clock_timer_set(&p->timer, p->next);
}

/* How many ticks there should have been since the one that is due, this one among them. */
static unsigned ticks_due(struct pit *p, int64_t now)
{
	int64_t period = ticks_to_ns(p->channels[0].count), late = now - p->next;

	if (!repeats(&p->channels[0]) || period < SHORTEST_PERIOD || late < period)
		return 1;
	return late < UNWANTED ? 1 + (unsigned)(late / period) : 1;
}

/* Its output rises: mode 0 stays so, the others are low for a moment. */
static void tick(struct pit *p, int64_t now)
{
	irq_line_set(&p->line, false);
	irq_line_set(&p->line, true);
	if (!p->open)
		p->opened = now;
	p->open = true;
}

static void on_timer(void *data)
{
	struct pit *p = data;
	int64_t now = clock_now(p->memory->clock);

	pthread_mutex_lock(&p->lock);
	if (p->channels[0].running) {
		p->owed += ticks_due(p, now) - !p->open;
		if (!repeats(&p->channels[0]) || (p->open && now - p->opened > UNWANTED))
			p->owed = 0;
		tick(p, now);
	} else {
		irq_line_set(&p->line, false);
	}
	schedule(p);
	pthread_mutex_unlock(&p->lock);
}

static void on_event(void *data, enum irq_event event)
{
	struct pit *p = data;
	int64_t now = clock_now(p->memory->clock);

	pthread_mutex_lock(&p->lock);
	if (event == IRQ_UNMASKED && p->open && now - p->opened > MASKED)
		p->owed = 0;
	if (event == IRQ_ENDED) {
		p->open = false;
		if (p->owed > 0) {
			p->owed--;
			tick(p, now);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

static void start(struct pit *p, struct channel *c, uint16_t count)
{
	c->count = count ? count : 0x10000;
	c->loaded = clock_now(p->memory->clock);
	c->running = c->gate;
	if (c == &p->channels[0]) {
		p->owed = 0;
		p->open = false;
		irq_line_set(&p->line, c->mode != 0 && c->mode != 1);
		schedule(p);
	}
}

static void write_count(struct pit *p, struct channel *c, uint8_t value)
{
	switch (c->access) {
	case LOW:
		start(p, c, value);
		break;
	case HIGH:
		start(p, c, (uint16_t)(value << 8));
		break;
	default:
		if (c->second)
			start(p, c, (uint16_t)(value << 8 | c->low));
		else
			c->low = value;
		c->second = !c->second;
		break;
	}
}

static void latch_count(struct pit *p, struct channel *c)
{
	if (c->latched)
		return;
	c->latch = value_of(p, c);
	c->latched = c->access == BOTH ? 2 : 1;
	c->latch_low = c->access != HIGH;
}

static void read_back(struct pit *p, uint8_t value)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct channel *c = &p->channels[i];

		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			latch_count(p, c);
		if (!(value & 0x10) && !c->status_latched) {
			c->status = (uint8_t)(output_of(p, c) << 7 | !c->running << 6 |
					      c->access << 4 | c->mode << 1 | c->bcd);
			c->status_latched = true;
		}
	}
}

static void write_control(struct pit *p, uint8_t value)
{
	unsigned which = value >> 6;
	struct channel *c;

	if (which == 3) {
		read_back(p, value);
		return;
	}
	c = &p->channels[which];
	if ((value >> 4 & 3) == LATCH) {
		latch_count(p, c);
		return;
	}
	c->access = value >> 4 & 3;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = value & 1;
	c->second = c->running = c->status_latched = false;
	c->latched = 0;
	if (which == 0) {
		irq_line_set(&p->line, c->mode != 0);
		schedule(p);
	}
}

static uint8_t read_channel(struct pit *p, struct channel *c)
{
	uint16_t value;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched) {
		value = c->latch_low ? c->latch : c->latch >> 8;
		c->latch_low = false;
		c->latched--;
		return (uint8_t)value;
	}
	value = value_of(p, c);
	if (c->access == HIGH || (c->access == BOTH && c->second))
		value >>= 8;
	if (c->access == BOTH)
		c->second = !c->second;
	return (uint8_t)value;
}

static uint64_t read_pit(void *data, uint64_t offset, unsigned size)
{
	struct pit *p = data;
	uint64_t value = 0xff;

	pthread_mutex_lock(&p->lock);
	if (offset < CHANNELS)
		value = read_channel(p, &p->channels[offset]);
	pthread_mutex_unlock(&p->lock);
	return value;
}

static void write_pit(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pit *p = data;

	pthread_mutex_lock(&p->lock);
	if (offset < CHANNELS)
		write_count(p, &p->channels[offset], (uint8_t)value);
	else
		write_control(p, (uint8_t)value);
	pthread_mutex_unlock(&p->lock);
}

/* Bits 0 gate, 1 speaker, 4 toggles with refresh (every 15 us), 5 output. */
static uint64_t read_speaker(void *data, uint64_t offset, unsigned size)
{
	struct pit *p = data;
	uint64_t value;

	pthread_mutex_lock(&p->lock);
	value = p->channels[2].gate | p->speaker << 1 |
		(uint64_t)(clock_now(p->memory->clock) / 15000 & 1) << 4 |
		(uint64_t)output_of(p, &p->channels[2]) << 5;
	pthread_mutex_unlock(&p->lock);
	return value;
}

static void write_speaker(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pit *p = data;
	struct channel *c = &p->channels[2];

	pthread_mutex_lock(&p->lock);
	p->speaker = value & 2;
	/* As it rises counting starts, from the beginning: modes 0 and 4 would go on from where they were. */
	if ((value & 1) && !c->gate) {
		c->gate = true;
		if (c->count) {
			c->loaded = clock_now(p->memory->clock);
			c->running = true;
		}
	} else if (!(value & 1)) {
		c->gate = c->running = false;
	}
	pthread_mutex_unlock(&p->lock);
}

static const struct bus_ops ops = { read_pit, write_pit, 1 },
			    speaker_ops = { read_speaker, write_speaker, 1 };

static void reset(struct device *device)
{
	struct pit *p = (struct pit *)device;

	for (unsigned i = 0; i < CHANNELS; i++)
		p->channels[i] = (struct channel){
			.count = 0x10000, .mode = 3, .access = BOTH, .gate = i != 2
		};
	p->speaker = p->open = false;
	p->owed = 0;
	clock_timer_set(&p->timer, CLOCK_NEVER);
	irq_line_set(&p->line, false);
}

static void destroy(struct device *device)
{
	struct pit *p = (struct pit *)device;

	bus_unmap(p->memory->bus, &p->region);
	bus_unmap(p->memory->bus, &p->speaker_region);
	clock_timer_finish(&p->timer);
	irqs_unwatch(p->memory->irqs, 0, p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct device_type type = { .name = "pit", .reset = reset, .destroy = destroy };

struct device *pit_new(struct memory *m)
{
	struct pit *p = xnew(struct pit);

	p->device.type = &type;
	p->memory = m;
	pthread_mutex_init(&p->lock, NULL);
	clock_timer_init(&p->timer, m->clock, on_timer, p);
	irq_line_init(&p->line, m->irqs, 0);
	irqs_watch(m->irqs, 0, on_event, p);
	reset(&p->device);
	bus_region_init(&p->region, "pit", BUS_PORT, 4, &ops, p);
	bus_region_init(&p->speaker_region, "speaker", BUS_PORT, 1, &speaker_ops, p);
	bus_map(m->bus, &p->region, 0x40);
	bus_map(m->bus, &p->speaker_region, SPEAKER);
	return &p->device;
}
