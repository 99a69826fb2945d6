#pragma once
/*
 * Interrupts on their way from devices to the interrupt controllers, be they device models (device/) or
 * the kernel's (cpu/kvm), which neither side sees.
 *
 * A line is a GSI: 0-15 are the ISA interrupts (to the PICs and the IOAPIC, where line 0 is pin 2), 16-23
 * only the IOAPIC's.
 * Several devices may share one: it is high while any of them holds it high.
 *
 * Threads: any. A controller is told of lines with the lock of irqs held and must not call back into it
 * but for irq_msi();
 * a device may call with its own lock held.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define IRQ_LINES 24u

struct irqs;

/* A controller. Each method may be NULL. */
struct irq_sink {
	/* The line changed. */
	void (*line)(void *data, unsigned gsi, bool level);
	/* A message as PCI sends it: written to 0xfeexxxxx. */
	void (*msi)(void *data, uint64_t address, uint32_t value);
};

/* One device's end of a line, in the device's structure. */
struct irq_line {
	struct irqs *irqs;
	unsigned gsi;
	bool level;
};

struct irqs *irqs_new(void);
void irqs_free(struct irqs *irqs);
DEFINE_CLEANUP(irqs_free, struct irqs *);

/* At most 4, before the machine runs. Told at once of lines that are high. */
void irqs_add_sink(struct irqs *irqs, const struct irq_sink *sink, void *data);

/* Low. gsi < IRQ_LINES. */
void irq_line_init(struct irq_line *line, struct irqs *irqs, unsigned gsi);
/* Level-triggered, or the two edges of an edge-triggered one. Nothing happens when it does not change. */
void irq_line_set(struct irq_line *line, bool level);
/* From now on the line's level is this one's alone, or again that of all who share it. One at a time; low when it ends. */
void irq_line_own(struct irq_line *line, bool own);
/* High and low again. */
void irq_line_pulse(struct irq_line *line);

void irq_msi(struct irqs *irqs, uint64_t address, uint32_t value);

/*
 * For clocks, whose ticks merge while a vCPU does not run: `fn` is called when the guest has ended an interrupt that an edge of
 * this line caused, or lets the line through that it had masked, by a vCPU's thread without a controller's lock; it may set
 * lines. Two a line at most. Controllers that cannot tell never call. Set before the machine runs, and after.
 */
enum irq_event { IRQ_ENDED, IRQ_UNMASKED };
void irqs_watch(
	struct irqs *irqs, unsigned gsi, void (*fn)(void *data, enum irq_event event), void *data);
/* `data` tells whose. */
void irqs_unwatch(struct irqs *irqs, unsigned gsi, const void *data);
/* By controllers. */
void irqs_tell(struct irqs *irqs, unsigned gsi, enum irq_event event);
/* Whether somebody wants to hear of it. */
bool irqs_is_watched(const struct irqs *irqs, unsigned gsi);
