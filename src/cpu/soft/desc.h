#pragma once
/* Descriptors as they are in memory, and what segment.c, control, interrupts and tasks share of them. */
#include "cpu/soft/soft.h"

#define DESC_ACCESSED (1ull << 40)
#define DESC_WRITABLE (1ull << 41) /* of code: readable */
#define DESC_CONFORMING (1ull << 42)
#define DESC_CODE (1ull << 43)
#define DESC_S (1ull << 44)
#define DESC_P (1ull << 47)
#define DESC_L (1ull << 53)
#define DESC_DB (1ull << 54)

/* Types of system descriptors. */
enum {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL16 = 4,
	SYS_TASK = 5,
	SYS_INT16 = 6,
	SYS_TRAP16 = 7,
	SYS_TSS = 9,
	SYS_TSS_BUSY = 11,
	SYS_CALL = 12,
	SYS_INT = 14,
	SYS_TRAP = 15,
};

static inline unsigned desc_dpl(uint64_t d)
{
	return d >> 45 & 3;
}

static inline unsigned desc_type(uint64_t d)
{
	return d >> 40 & 15;
}

static inline bool desc_is_code(uint64_t d)
{
	return (d & DESC_S) && (d & DESC_CODE);
}

static inline bool desc_is_conforming(uint64_t d)
{
	return desc_is_code(d) && (d & DESC_CONFORMING);
}

static inline bool desc_is_data_writable(uint64_t d)
{
	return (d & DESC_S) && !(d & DESC_CODE) && (d & DESC_WRITABLE);
}

/* The second half of a 16-byte descriptor. */
uint64_t descriptor_high(struct vcpu *v, uint16_t selector, int vector);
void descriptor_set_busy(struct vcpu *v, uint16_t selector, bool busy);

void stack_poke(struct vcpu *v, uint64_t sp, uint64_t value, unsigned size);
void stack_set(struct vcpu *v, uint64_t sp);

/* The stack of a more privileged level, from the task state: SS:ESP, in long mode RSP alone. */
struct new_stack {
	uint16_t selector;
	uint64_t sp;
};
struct new_stack stack_of_level(struct vcpu *v, unsigned cpl, unsigned ist);
/* Checks SS for a level; the segment as it is to be loaded. Faults with #TS (or #SS when absent). */
struct cpu_segment stack_segment(struct vcpu *v, uint16_t selector, unsigned cpl);

/* A stack that is written to before it is the current one. */
struct frame_writer {
	uint64_t base, sp, mask, limit;
	const struct cpu_segment *ss; /* NULL: flat, 64-bit */
	unsigned table;
};
void frame_push(struct vcpu *v, struct frame_writer *f, uint64_t value, unsigned size);
