#pragma once
/*
 * The high precision event timers (IA-PC HPET specification 1.0a) at HPET_BASE: a counter of 10 ns, three comparators,
 * of which the first can be periodic, interrupts on lines 20-23 or as messages, and the legacy replacement route,
 * in which timers 0 and 1 take the lines of the 8254 and of the real-time clock.
 */
#include "device/device.h"
#include "memory/memory.h"

#define HPET_BASE 0xfed00000u
#define HPET_BYTES 0x400u
#define HPET_ID 0x8086a201u /* the low half of its capabilities, which ACPI's table repeats */

struct device *hpet_new(struct memory *m);
