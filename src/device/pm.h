#pragma once
/*
 * Power management as ICH9 has it: ACPI's fixed registers at PM_BASE with the PM timer and the power button, the
 * reset register 0xcf9, and the fast reset 0x92.
 */
#include "device/device.h"
#include "memory/memory.h"

#define PM_BASE 0x600u
#define PM_LINE 9u      /* SCI */
#define PM_SLEEP_OFF 5u /* SLP_TYP of S5 */
#define PM_RESET_PORT 0xcf9u
#define PM_RESET_VALUE 0x06u

enum pm_request { PM_POWER_OFF, PM_RESET };

/* request: in a vCPU's thread, without a lock. */
struct device *pm_new(
	struct memory *m, void (*request)(void *data, enum pm_request what), void *data);
/* Presses the power button. Any thread. */
void pm_power_button(struct device *device);
