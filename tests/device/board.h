#pragma once
/* What tests of devices share: memory with a manual clock, and the guest's ways to a device. Included once a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

__attribute__((unused)) static struct memory *board(unsigned n_vcpus)
{
	struct memory *m = memory_new(n_vcpus, clock_new_manual());

	assert_int_equal(memory_add(m, 0, 1 << 20, 0, NULL), 0);
	return m;
}

__attribute__((unused)) static uint8_t in8(struct memory *m, uint16_t port)
{
	return (uint8_t)vcpu_in(&m->vcpus[0], port, 1);
}

__attribute__((unused)) static void out8(struct memory *m, uint16_t port, uint8_t value)
{
	vcpu_out(&m->vcpus[0], port, value, 1);
}

__attribute__((unused)) static uint32_t get32(struct memory *m, unsigned cpu, uint64_t gpa)
{
	return (uint32_t)vcpu_read(&m->vcpus[cpu], gpa, 4);
}

__attribute__((unused)) static void put32(
	struct memory *m, unsigned cpu, uint64_t gpa, uint32_t value)
{
	vcpu_write(&m->vcpus[cpu], gpa, value, 4);
}

/* Levels of lines, as a controller is told them. */
struct levels {
	bool high[IRQ_LINES];
	unsigned rises[IRQ_LINES];
};

__attribute__((unused)) static void on_level(void *data, unsigned gsi, bool level)
{
	struct levels *l = data;

	l->high[gsi] = level;
	l->rises[gsi] += level;
}

__attribute__((unused)) static const struct irq_sink level_sink = { on_level, NULL };
