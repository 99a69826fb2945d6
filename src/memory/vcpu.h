#pragma once
/*
 * One link a vCPU: where a cpu (cpu/) and a local APIC (device/lapic.c) meet without knowing each other.
 * A cpu whose interrupt controllers are the kernel's uses only VCPU_STOP and the I/O functions.
 *
 * How interrupts are taken. Events are bits that any thread sets and the vCPU's thread takes. The vCPU
 * looks at them between instructions, and at once when kicked:
 *   VCPU_INIT       take it; apic->init(), reset, then wait for SIPI (the boot processor: the reset vector)
 *   VCPU_SIPI       take it; ignored unless waiting: CS = sipi_vector << 8, base = sipi_vector << 12, IP = 0
 *   VCPU_NMI        take it unless NMIs are blocked; vector 2
 *   VCPU_NMI_NEXT   a second one, which came before the first was taken: it is VCPU_NMI once that is clear;
 *                   while NMIs are blocked only one waits, and this is taken and forgotten
 *   VCPU_INTERRUPT  leave it while IF is 0 or a shadow is on; else take it, and call apic->acknowledge():
 *                   a vector to deliver now, or -1 for none. The APIC sets the bit again when it has more,
 *                   also when an EOI or a lower TPR (CR8) lets another one through
 *   VCPU_UNHALT     take it; HLT ends, or the next one does not begin. A hypercall of another vCPU's
 *   VCPU_STOP       take it; leave run() with CPU_EXIT_KICK
 * Halted, it sleeps in vcpu_wait() for those bits that it would act on.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memory;

#define VCPU_INTERRUPT 1u
#define VCPU_NMI 2u
#define VCPU_INIT 4u
#define VCPU_SIPI 8u
#define VCPU_STOP 16u
#define VCPU_NMI_NEXT 32u
#define VCPU_UNHALT 64u

/* The local APIC's methods, called by the vCPU's thread only; all mandatory. `data` is apic_data. */
struct vcpu_apic {
	/* The vector to deliver, in service from now on (a PIC's when LINT0 passes ExtINT), or -1. */
	int (*acknowledge)(void *data);
	/* CR8: the task priority's upper four bits, 0-15. */
	uint8_t (*get_cr8)(void *data);
	void (*set_cr8)(void *data, uint8_t value);
	/* IA32_APIC_BASE (0x1b). False: #GP. */
	uint64_t (*get_base)(void *data);
	bool (*set_base)(void *data, uint64_t value);
	/* MSRs 0x800-0x8ff (x2APIC) and 0x6e0 (TSC deadline, in the clock's TSC: a cpu whose guest moved
	 * this vCPU's TSC takes that off). False: #GP. */
	bool (*read_msr)(void *data, uint32_t msr, uint64_t *ret);
	bool (*write_msr)(void *data, uint32_t msr, uint64_t value);
	/* The page at the APIC base while it answers there (xAPIC mode): offset and size 1, 2, 4, 8. */
	uint64_t (*read)(void *data, unsigned offset, unsigned size);
	void (*write)(void *data, unsigned offset, uint64_t value, unsigned size);
	/* After INIT: registers as after power-up but for the id. */
	void (*init)(void *data);
};

struct vcpu_link {
	struct memory *memory;
	unsigned index; /* 0 is the boot processor; the initial APIC id too */
	_Atomic uint32_t events;
	_Atomic uint8_t sipi_vector; /* set before VCPU_SIPI */

	/* Set by the local APIC before vCPUs run. NULL: no APIC here. apic_page is its own to change, by the
	 * vCPU's thread: the page's gpa, or UINT64_MAX while nothing answers there. */
	const struct vcpu_apic *apic;
	void *apic_data;
	uint64_t apic_page;

	/* Set by the cpu in vcpu_open: makes a vCPU that executes guest code look at its events soon.
	 * Any thread, also a signal handler. Not needed for one in vcpu_wait(). */
	void (*kick)(void *data);
	void *kick_data;
};

/* Sets events, wakes and kicks. Any thread. */
void vcpu_raise(struct vcpu_link *link, uint32_t events);
void vcpu_raise_nmi(struct vcpu_link *link);
/* A start-up IPI. */
void vcpu_raise_sipi(struct vcpu_link *link, uint8_t vector);

static inline uint32_t vcpu_events(const struct vcpu_link *link)
{
	return atomic_load_explicit(&link->events, memory_order_relaxed);
}

/* Clears these events; returns those that were set. */
uint32_t vcpu_take(struct vcpu_link *link, uint32_t events);
/* Sleeps until one of these events is set; returns those. For the vCPU's thread in HLT and wait-for-SIPI. */
uint32_t vcpu_wait(struct vcpu_link *link, uint32_t events);

/*
 * A vCPU's access to what is no RAM: its own APIC page, then the bus. size: 1, 2, 4 or 8, any alignment;
 * wider ones are made of several. Any lock of the cpu that another vCPU may want must not be held.
 */
uint64_t vcpu_read(struct vcpu_link *link, uint64_t gpa, unsigned size);
void vcpu_write(struct vcpu_link *link, uint64_t gpa, uint64_t value, unsigned size);
uint32_t vcpu_in(struct vcpu_link *link, uint16_t port, unsigned size);
void vcpu_out(struct vcpu_link *link, uint16_t port, uint32_t value, unsigned size);
