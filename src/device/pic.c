/*
 * 8259A pair (Intel 231468). Each chip has requests (irr), a mask, those in service (isr), and edge or level
 * per line (elcr, of ICH9's ports 0x4d0 and 0x4d1). Not modelled: poll mode with a request that comes between
 * command and read, buffered mode, 8080 mode.
 */
#include "device/pic.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/irq.h"

#define CASCADE 2u
#define NONE 8u
#define ICW1 0x10u
#define ICW1_NEEDS_ICW4 0x01u
#define OCW3 0x08u

struct chip {
	uint8_t irr, imr, isr, elcr, lines;
	uint8_t base;   /* vector of line 0 */
	uint8_t lowest; /* the line with the lowest priority */
	uint8_t icw;    /* the next initialization word that is due, 0: none */
	bool needs_icw4, auto_eoi, rotate_on_auto_eoi, special_mask, read_isr, poll;
};

struct pic {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	struct chip chips[2];
	bool level; /* what output was told last */
	void (*output)(void *data, bool level);
	void *output_data;
	struct bus_region regions[2], elcr;
};

/* The line of the highest priority in a set, NONE for an empty one. */
static unsigned highest(const struct chip *c, uint8_t set)
{
	for (unsigned i = 1; i <= 8; i++)
		if (set >> ((c->lowest + i) % 8) & 1)
			return (c->lowest + i) % 8;
	return NONE;
}

/* How far down a line's priority is; NONE for no line. */
static unsigned rank(const struct chip *c, unsigned line)
{
	return line == NONE ? NONE : (line - c->lowest - 1) % 8;
}

/* The line that asks for service now, or NONE. */
static unsigned asking(const struct chip *c)
{
	uint8_t service = c->special_mask ? c->isr & ~c->imr : c->isr;
	unsigned line = highest(c, c->irr & ~c->imr);

	return rank(c, line) < rank(c, highest(c, service)) ? line : NONE;
}

static void set_line(struct chip *c, unsigned line, bool level)
{
	uint8_t bit = (uint8_t)(1u << line);
	bool rises = level && !(c->lines & bit);

	c->lines = level ? c->lines | bit : c->lines & ~bit;
	if (level && (c->elcr & bit || rises))
		c->irr |= bit;
	else if (!level)
		c->irr &= ~bit;
}

/* The second's output is the first's line 2. Returns whether output must be told. */
static bool update(struct pic *pic, bool again)
{
	bool level;

	set_line(&pic->chips[0], CASCADE, asking(&pic->chips[1]) != NONE);
	level = asking(&pic->chips[0]) != NONE;
	again = level != pic->level || (again && level);
	pic->level = level;
	return again;
}

/* The vector's low bits; in service from now on. A request that went away: line 7, which is not. */
static unsigned accept(struct chip *c)
{
	unsigned line = asking(c);
	uint8_t bit;

	if (line == NONE)
		return 7;
	bit = (uint8_t)(1u << line);
	if (!(c->elcr & bit))
		c->irr &= ~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_on_auto_eoi)
		c->lowest = (uint8_t)line;
	return line;
}

int pic_acknowledge(struct pic *pic)
{
	unsigned line, vector;
	bool tell;

	pthread_mutex_lock(&pic->lock);
	line = accept(&pic->chips[0]);
	vector = pic->chips[0].base + line;
	if (line == CASCADE)
		vector = pic->chips[1].base + accept(&pic->chips[1]);
	/* The second may have more: its line rises anew. */
	set_line(&pic->chips[0], CASCADE, false);
	tell = update(pic, true);
	pthread_mutex_unlock(&pic->lock);
	if (tell)
		pic->output(pic->output_data, pic->level);
	return (int)vector;
}

static void on_line(void *data, unsigned gsi, bool level)
{
	struct pic *pic = data;
	bool tell;

	if (gsi >= 16 || gsi == CASCADE)
		return;
	pthread_mutex_lock(&pic->lock);
	set_line(&pic->chips[gsi / 8], gsi % 8, level);
	tell = update(pic, false);
	level = pic->level;
	pthread_mutex_unlock(&pic->lock);
	if (tell)
		pic->output(pic->output_data, level);
}

static void initialize(struct chip *c, uint8_t icw1)
{
	struct chip fresh = { .elcr = c->elcr, .lines = c->lines, .lowest = 7, .icw = 2 };

	fresh.needs_icw4 = icw1 & ICW1_NEEDS_ICW4;
	/* Edges that were before are forgotten. */
	fresh.irr = c->lines & c->elcr;
	*c = fresh;
}

/* OCW2: end of interrupt and rotation. */
static void end_of_interrupt(struct chip *c, uint8_t value)
{
	unsigned line = value & 7;

	switch (value >> 5) {
	case 0: /* rotate on automatic EOI: off, on */
	case 4:
		c->rotate_on_auto_eoi = value >> 7;
		return;
	case 1: /* the highest in service */
	case 5:
		line = highest(c, c->isr);
		break;
	case 6:
		c->lowest = (uint8_t)line;
		return;
	case 2:
		return;
	default: /* 3, 7: this one */
		break;
	}
	if (line == NONE)
		return;
	c->isr &= ~(1u << line);
	if (value & 0x80)
		c->lowest = (uint8_t)line;
}

static void write_command(struct chip *c, uint8_t value)
{
	if (value & ICW1) {
		initialize(c, value);
	} else if (value & OCW3) {
		if (value & 0x40)
			c->special_mask = value & 0x20;
		if (value & 4)
			c->poll = true;
		else if (value & 2)
			c->read_isr = value & 1;
	} else {
		end_of_interrupt(c, value);
	}
}

static void write_data(struct chip *c, uint8_t value)
{
	switch (c->icw) {
	case 2:
		c->base = value & 0xf8;
		c->icw = 3;
		break;
	case 3:
		c->icw = c->needs_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = value & 2;
		c->icw = 0;
		break;
	default:
		c->imr = value;
		break;
	}
}

static struct chip *chip_of(struct pic *pic, uint64_t which)
{
	return &pic->chips[which & 1];
}

/* Offsets 0-1 of the two regions; data is the chip's own pointer for neither, so there are two tables. */
static uint64_t read_chip(struct pic *pic, unsigned which, uint64_t offset)
{
	struct chip *c = chip_of(pic, which);
	uint64_t value;
	bool tell = false;

	pthread_mutex_lock(&pic->lock);
	if (c->poll) {
		unsigned line = asking(c);

		c->poll = false;
		value = line == NONE ? 0 : 0x80 | accept(c);
		tell = update(pic, false);
	} else if (offset == 1) {
		value = c->imr;
	} else {
		value = c->read_isr ? c->isr : c->irr;
	}
	pthread_mutex_unlock(&pic->lock);
	if (tell)
		pic->output(pic->output_data, pic->level);
	return value;
}

static void write_chip(struct pic *pic, unsigned which, uint64_t offset, uint64_t value)
{
	struct chip *c = chip_of(pic, which);
	uint8_t ended, unmasked;
	bool tell;

	pthread_mutex_lock(&pic->lock);
	ended = c->isr;
	unmasked = c->imr;
	if (offset == 0)
		write_command(c, (uint8_t)value);
	else
		write_data(c, (uint8_t)value);
	ended &= ~(c->isr | c->elcr);
	unmasked &= ~c->imr;
	if (which == 1)
		set_line(&pic->chips[0], CASCADE, false);
	tell = update(pic, which == 1);
	pthread_mutex_unlock(&pic->lock);
	if (tell)
		pic->output(pic->output_data, pic->level);
	for (unsigned line = 0; line < 8 && ended | unmasked; line++) {
		if (ended >> line & 1)
			irqs_tell(pic->memory->irqs, which * 8 + line, IRQ_ENDED);
		if (unmasked >> line & 1)
			irqs_tell(pic->memory->irqs, which * 8 + line, IRQ_UNMASKED);
	}
}

static uint64_t read_first(void *data, uint64_t offset, unsigned size)
{
	return read_chip(data, 0, offset);
}

static uint64_t read_second(void *data, uint64_t offset, unsigned size)
{
	return read_chip(data, 1, offset);
}

static void write_first(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	write_chip(data, 0, offset, value);
}

static void write_second(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	write_chip(data, 1, offset, value);
}

static uint64_t read_elcr(void *data, uint64_t offset, unsigned size)
{
	return chip_of(data, offset)->elcr;
}

/* Timer, keyboard, cascade, clock and FPU are always edge-triggered. */
static void write_elcr(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pic *pic = data;

	pthread_mutex_lock(&pic->lock);
	chip_of(pic, offset)->elcr = (uint8_t)(value & (offset ? 0xde : 0xf8));
	pthread_mutex_unlock(&pic->lock);
}

static const struct bus_ops first_ops = { read_first, write_first, 1 },
			    second_ops = { read_second, write_second, 1 },
			    elcr_ops = { read_elcr, write_elcr, 1 };

static void reset(struct device *device)
{
	struct pic *pic = (struct pic *)device;

	for (unsigned i = 0; i < 2; i++)
		pic->chips[i] = (struct chip){ .lines = pic->chips[i].lines, .lowest = 7 };
	pic->chips[0].lines &= ~(1u << CASCADE);
	pic->level = false;
	pic->output(pic->output_data, false);
}

static void destroy(struct device *device)
{
	struct pic *pic = (struct pic *)device;

	bus_unmap(pic->memory->bus, &pic->regions[0]);
	bus_unmap(pic->memory->bus, &pic->regions[1]);
	bus_unmap(pic->memory->bus, &pic->elcr);
	pthread_mutex_destroy(&pic->lock);
	free(pic);
}

static const struct device_type type = { .name = "pic", .reset = reset, .destroy = destroy };

struct pic *pic_new(struct memory *m, void (*output)(void *data, bool level), void *data)
{
	static const struct irq_sink sink = { on_line, NULL };
	struct pic *pic = xnew(struct pic);

	pic->device.type = &type;
	pic->memory = m;
	pic->output = output;
	pic->output_data = data;
	pic->chips[0].lowest = pic->chips[1].lowest = 7;
	pthread_mutex_init(&pic->lock, NULL);
	bus_region_init(&pic->regions[0], "pic", BUS_PORT, 2, &first_ops, pic);
	bus_region_init(&pic->regions[1], "pic", BUS_PORT, 2, &second_ops, pic);
	bus_region_init(&pic->elcr, "elcr", BUS_PORT, 2, &elcr_ops, pic);
	bus_map(m->bus, &pic->regions[0], 0x20);
	bus_map(m->bus, &pic->regions[1], 0xa0);
	bus_map(m->bus, &pic->elcr, 0x4d0);
	irqs_add_sink(m->irqs, &sink, pic);
	return pic;
}

struct device *pic_device(struct pic *pic)
{
	return &pic->device;
}
