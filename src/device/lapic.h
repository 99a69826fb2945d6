#pragma once
/*
 * The local APICs of all vCPUs, for cpus that have none of their own, and with them the PICs and the
 * IOAPIC: all that a PC has for interrupts. Timers count nanoseconds (1 GHz before the divider). Each
 * is the vcpu_apic of its link in memory->vcpus.
 */
#include "device/device.h"
#include "memory/memory.h"

struct device *lapics_new(struct memory *m);
