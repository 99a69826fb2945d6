#pragma once
/* The two 8259A interrupt controllers of a PC, cascaded at line 2: lines 0-15 of memory's irqs. */
#include <stdbool.h>

#include "device/device.h"
#include "memory/memory.h"

struct pic;

/* output: whether the first one asks for an interrupt, told at every change and again after each acknowledgement;
 * called without the PIC's lock. */
struct pic *pic_new(struct memory *m, void (*output)(void *data, bool level), void *data);
struct device *pic_device(struct pic *pic);
/* The vector (the spurious one when nothing asks any more), as INTA would give. Any thread. */
int pic_acknowledge(struct pic *pic);
