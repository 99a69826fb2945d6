/* Interrupt lines: how many devices hold each one high, and who is told. */
#include "memory/irq.h"

#include <assert.h>
#include <pthread.h>

#include "base/alloc.h"

#define SINKS 4u
#define WATCHES 2u

struct irqs {
	pthread_mutex_t lock;
	unsigned high[IRQ_LINES]; /* how many hold it */
	const struct irq_line *owner[IRQ_LINES];
	struct {
		const struct irq_sink *sink;
		void *data;
	} sinks[SINKS];
	unsigned n_sinks;
	struct {
		void (*fn)(void *data, enum irq_event event);
		void *data;
	} watches[IRQ_LINES][WATCHES];
};

struct irqs *irqs_new(void)
{
	struct irqs *irqs = xnew(struct irqs);

	pthread_mutex_init(&irqs->lock, NULL);
	return irqs;
}

void irqs_free(struct irqs *irqs)
{
	if (!irqs)
		return;
	pthread_mutex_destroy(&irqs->lock);
	free(irqs);
}

static bool level_of(const struct irqs *irqs, unsigned gsi)
{
	return irqs->owner[gsi] ? irqs->owner[gsi]->level : irqs->high[gsi] > 0;
}

static void tell(struct irqs *irqs, unsigned gsi, bool level)
{
	for (unsigned i = 0; i < irqs->n_sinks; i++)
		if (irqs->sinks[i].sink->line)
			irqs->sinks[i].sink->line(irqs->sinks[i].data, gsi, level);
}

void irqs_add_sink(struct irqs *irqs, const struct irq_sink *sink, void *data)
{
	pthread_mutex_lock(&irqs->lock);
	assert(irqs->n_sinks < SINKS);
	irqs->sinks[irqs->n_sinks].sink = sink;
	irqs->sinks[irqs->n_sinks++].data = data;
	for (unsigned gsi = 0; gsi < IRQ_LINES && sink->line; gsi++)
		if (level_of(irqs, gsi))
			sink->line(data, gsi, true);
	pthread_mutex_unlock(&irqs->lock);
}

void irq_line_init(struct irq_line *line, struct irqs *irqs, unsigned gsi)
{
	assert(gsi < IRQ_LINES);
	*line = (struct irq_line){ .irqs = irqs, .gsi = gsi };
}

void irq_line_set(struct irq_line *line, bool level)
{
	struct irqs *irqs = line->irqs;
	bool before;

	pthread_mutex_lock(&irqs->lock);
	if (line->level != level) {
		before = level_of(irqs, line->gsi);
		line->level = level;
		irqs->high[line->gsi] += level ? 1 : -1;
		if (level_of(irqs, line->gsi) != before)
			tell(irqs, line->gsi, level);
	}
	pthread_mutex_unlock(&irqs->lock);
}

void irq_line_own(struct irq_line *line, bool own)
{
	struct irqs *irqs = line->irqs;
	bool before;

	pthread_mutex_lock(&irqs->lock);
	before = level_of(irqs, line->gsi);
	if (own)
		irqs->owner[line->gsi] = line;
	else if (irqs->owner[line->gsi] == line)
		irqs->owner[line->gsi] = NULL;
	if (level_of(irqs, line->gsi) != before)
		tell(irqs, line->gsi, !before);
	pthread_mutex_unlock(&irqs->lock);
}

void irq_line_pulse(struct irq_line *line)
{
	irq_line_set(line, true);
	irq_line_set(line, false);
}

void irq_msi(struct irqs *irqs, uint64_t address, uint32_t value)
{
	/* Sinks do not change while the machine runs: no lock, for the sake of many queues at once. */
	for (unsigned i = 0; i < irqs->n_sinks; i++)
		if (irqs->sinks[i].sink->msi)
			irqs->sinks[i].sink->msi(irqs->sinks[i].data, address, value);
}

void irqs_watch(
	struct irqs *irqs, unsigned gsi, void (*fn)(void *data, enum irq_event event), void *data)
{
	for (unsigned i = 0; i < WATCHES; i++)
		if (!irqs->watches[gsi][i].fn) {
			irqs->watches[gsi][i].fn = fn;
			irqs->watches[gsi][i].data = data;
			return;
		}
	assert(!"a line has too many watchers");
}

void irqs_unwatch(struct irqs *irqs, unsigned gsi, const void *data)
{
	for (unsigned i = 0; i < WATCHES; i++)
		if (irqs->watches[gsi][i].data == data)
			irqs->watches[gsi][i].fn = NULL;
}

void irqs_tell(struct irqs *irqs, unsigned gsi, enum irq_event event)
{
	for (unsigned i = 0; i < WATCHES; i++)
		if (irqs->watches[gsi][i].fn)
			irqs->watches[gsi][i].fn(irqs->watches[gsi][i].data, event);
}

bool irqs_is_watched(const struct irqs *irqs, unsigned gsi)
{
	return irqs->watches[gsi][0].fn || irqs->watches[gsi][1].fn;
}
