/*
 * I/O APIC (Intel 290566, and ICH9's datasheet for the EOI register and version 0x20). A level-triggered
 * pin is sent when it is high and its last message was ended (remote IRR); an edge when it rises unmasked.
 */
#include "device/ioapic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/irq.h"

#define VERSION 0x20u
#define SELECT 0x00u
#define WINDOW 0x10u
#define EOI 0x40u
#define REDIRECTION 0x10u /* index of the first entry's low half */

#define ENTRY_VECTOR 0xffu
#define ENTRY_MODE 0x700u
#define ENTRY_LOGICAL 0x800u
#define ENTRY_STATUS 0x1000u
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LEVEL 0x8000u
#define ENTRY_MASKED 0x10000u
#define ENTRY_WRITABLE UINT64_C(0xff0000000001afff)

struct ioapic {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	uint8_t index;
	uint32_t id;
	uint32_t high; /* lines */
	uint64_t entries[IOAPIC_PINS];
	_Atomic uint64_t watched[4]; /* bits of vectors of edges that somebody watches */
	struct bus_region region;
};

static void send(struct ioapic *a, uint64_t entry)
{
	uint64_t address = 0xfee00000 | (entry >> 56) << 12;
	uint32_t value = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE));

	if (entry & ENTRY_LOGICAL)
		address |= 4;
	if (entry & ENTRY_LEVEL)
		value |= 0xc000;
	irq_msi(a->memory->irqs, address, value);
}

/* Sends what a level-triggered pin has to send. */
static void service(struct ioapic *a, unsigned pin)
{
	uint64_t *e = &a->entries[pin];

	if (!(a->high >> pin & 1) || *e & (ENTRY_MASKED | ENTRY_REMOTE_IRR) || !(*e & ENTRY_LEVEL))
		return;
	/* Only these two are ended by an EOI. */
	if ((*e & ENTRY_MODE) <= 0x100)
		*e |= ENTRY_REMOTE_IRR;
	send(a, *e);
}

static void on_line(void *data, unsigned gsi, bool level)
{
	struct ioapic *a = data;
	unsigned pin = gsi == 0 ? 2 : gsi;
	bool rises;

	if (gsi == 2 || pin >= IOAPIC_PINS)
		return;
	pthread_mutex_lock(&a->lock);
	rises = level && !(a->high >> pin & 1);
	a->high = level ? a->high | 1u << pin : a->high & ~(1u << pin);
	if (a->entries[pin] & ENTRY_LEVEL)
		service(a, pin);
	else if (rises && !(a->entries[pin] & ENTRY_MASKED))
		send(a, a->entries[pin]);
	pthread_mutex_unlock(&a->lock);
}

static void eoi_locked(struct ioapic *a, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *e = &a->entries[pin];

		if ((*e & ENTRY_VECTOR) != vector || !(*e & ENTRY_REMOTE_IRR))
			continue;
		*e &= ~(uint64_t)ENTRY_REMOTE_IRR;
		service(a, pin);
	}
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
	pthread_mutex_lock(&a->lock);
	eoi_locked(a, vector);
	pthread_mutex_unlock(&a->lock);
}

static unsigned gsi_of(unsigned pin)
{
	return pin == 2 ? 0 : pin;
}

static bool is_watched_edge(const struct ioapic *a, unsigned pin)
{
	return pin != 0 && !(a->entries[pin] & (ENTRY_LEVEL | ENTRY_MASKED)) &&
	       irqs_is_watched(a->memory->irqs, gsi_of(pin));
}

void ioapic_edge_ended(struct ioapic *a, uint8_t vector)
{
	uint32_t ended = 0;

	/* Nearly all of them are nobody's. */
	if (!(atomic_load_explicit(&a->watched[vector / 64], memory_order_relaxed) >> vector % 64 &
		    1))
		return;
	pthread_mutex_lock(&a->lock);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if ((a->entries[pin] & ENTRY_VECTOR) == vector && is_watched_edge(a, pin))
			ended |= 1u << pin;
	pthread_mutex_unlock(&a->lock);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (ended >> pin & 1)
			irqs_tell(a->memory->irqs, gsi_of(pin), IRQ_ENDED);
}

static void note_watched(struct ioapic *a)
{
	uint64_t bits[4] = { 0 };

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		unsigned vector = a->entries[pin] & ENTRY_VECTOR;

		if (is_watched_edge(a, pin))
			bits[vector / 64] |= UINT64_C(1) << vector % 64;
	}
	for (unsigned i = 0; i < 4; i++)
		atomic_store_explicit(&a->watched[i], bits[i], memory_order_relaxed);
}

static uint32_t read_register(const struct ioapic *a)
{
	unsigned at = a->index - REDIRECTION;

	switch (a->index) {
	case 0:
	case 2: /* arbitration */
		return a->id;
	case 1:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		if (a->index < REDIRECTION || at >= 2 * IOAPIC_PINS)
			return 0;
		return (uint32_t)(a->entries[at / 2] >> (at % 2 ? 32 : 0));
	}
}

/* Returns the line that is let through now and was not, or -1. */
static int write_register(struct ioapic *a, uint32_t value)
{
	unsigned at = a->index - REDIRECTION;
	unsigned shift = at % 2 ? 32 : 0;
	uint64_t writable = ENTRY_WRITABLE & (UINT64_C(0xffffffff) << shift);
	bool masked;
	uint64_t *e;

	if (a->index == 0)
		a->id = value & 0x0f000000;
	if (a->index < REDIRECTION || at >= 2 * IOAPIC_PINS)
		return -1;
	e = &a->entries[at / 2];
	masked = *e & ENTRY_MASKED;
	*e = (*e & ~writable) | ((uint64_t)value << shift & writable);
	/* Linux ends a stuck interrupt by making it an edge for a moment. */
	if (!(*e & ENTRY_LEVEL))
		*e &= ~(uint64_t)ENTRY_REMOTE_IRR;
	note_watched(a);
	service(a, at / 2);
	return masked && is_watched_edge(a, at / 2) ? (int)gsi_of(at / 2) : -1;
}

static uint64_t read_ioapic(void *data, uint64_t offset, unsigned size)
{
	struct ioapic *a = data;
	uint64_t value = 0;

	pthread_mutex_lock(&a->lock);
	if (offset == SELECT)
		value = a->index;
	else if (offset == WINDOW)
		value = read_register(a);
	pthread_mutex_unlock(&a->lock);
	return value;
}

static void write_ioapic(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct ioapic *a = data;
	int unmasked = -1;

	pthread_mutex_lock(&a->lock);
	if (offset == SELECT)
		a->index = (uint8_t)value;
	else if (offset == WINDOW)
		unmasked = write_register(a, (uint32_t)value);
	else if (offset == EOI)
		eoi_locked(a, (uint8_t)value);
	pthread_mutex_unlock(&a->lock);
	if (unmasked >= 0)
		irqs_tell(a->memory->irqs, (unsigned)unmasked, IRQ_UNMASKED);
}

static const struct bus_ops ops = { read_ioapic, write_ioapic, 4 };

static void reset(struct device *device)
{
	struct ioapic *a = (struct ioapic *)device;

	a->index = 0;
	a->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		a->entries[pin] = ENTRY_MASKED;
}

static void destroy(struct device *device)
{
	struct ioapic *a = (struct ioapic *)device;

	bus_unmap(a->memory->bus, &a->region);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static const struct device_type type = { .name = "ioapic", .reset = reset, .destroy = destroy };

struct ioapic *ioapic_new(struct memory *m)
{
	static const struct irq_sink sink = { on_line, NULL };
	struct ioapic *a = xnew(struct ioapic);

	a->device.type = &type;
	a->memory = m;
	pthread_mutex_init(&a->lock, NULL);
	reset(&a->device);
	bus_region_init(&a->region, "ioapic", BUS_MMIO, 0x1000, &ops, a);
	bus_map(m->bus, &a->region, IOAPIC_BASE);
	irqs_add_sink(m->irqs, &sink, a);
	return a;
}

struct device *ioapic_device(struct ioapic *a)
{
	return &a->device;
}
