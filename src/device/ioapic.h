#pragma once
/* The I/O APIC of ICH9, 24 pins, at 0xfec00000. Line n of memory's irqs is pin n, but line 0 (the timer) is
 * pin 2. Sends its interrupts as messages, by irq_msi(). */
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24u

struct ioapic;

struct ioapic *ioapic_new(struct memory *m);
struct device *ioapic_device(struct ioapic *ioapic);
/* A local APIC ended a level-triggered interrupt. Any thread, without a local APIC's lock. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
/* An edge-triggered one, of which controllers are not told: for those who wait for it (irqs_watch()). */
void ioapic_edge_ended(struct ioapic *ioapic, uint8_t vector);
