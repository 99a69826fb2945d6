#pragma once
/*
 * The seam of what executes a machine's code. One directory or file a cpu, one row in cpu.c's table; null.c
 * is the template and the test double.
 *
 * Contract. A cpu is given a struct memory (its RAM, bus and one link a vCPU; memory/) and a configuration,
 * both of which outlive it. Port and memory-mapped I/O goes to memory/vcpu.h's functions inside run(), and
 * HLT is waited for there too, so run() ends only for what the machine has to decide. What a guest does is
 * no error: its faults become exceptions, a fault that cannot be delivered becomes CPU_EXIT_SHUTDOWN.
 *
 * Threads: open, vcpu_open, and the closing functions are called by the machine's main thread. Each vCPU has
 * one thread, which calls run(). get_state and set_state are called by that thread, or by another while it
 * is not in run(). vCPUs are stopped by vcpu_raise(link, VCPU_STOP).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cpu/cpuid.h"
#include "cpu/state.h"

struct memory;
struct cpu;
struct vcpu;

struct cpu_config {
	/* The guest's CPUID, by cpuid_build(); the vCPU's own values (APIC id, OSXSAVE, XSAVE sizes) are filled
	 * in by the cpu with cpuid_query(). */
	const struct cpuid_table *cpuid;
};

enum cpu_exit {
	CPU_EXIT_KICK,     /* VCPU_STOP was raised, and is taken */
	CPU_EXIT_SHUTDOWN, /* triple fault */
	CPU_EXIT_FATAL, /* the cpu cannot go on; `why` says it. Also what it does not implement */
};

struct cpu_type {
	const char *name; /* "kvm" */

	/* 0, or -errno with why not and what to do. May be slow the first time in a boot (kvm measures). Mandatory. */
	int (*available)(struct err *err);

	/* All CPUID features that it can give a guest here, for cpuid_build() to choose from. Mandatory. */
	int (*cpuid_supported)(struct cpuid_table *ret, struct err *err);

	/* After all RAM was added. Mandatory. A cpu with interrupt controllers of its own (irqchip) adds them
	 * to memory->irqs; then the machine makes no PIC, IOAPIC and LAPICs. */
	int (*open)(struct memory *memory, const struct cpu_config *config, struct cpu **ret,
		struct err *err);
	bool irqchip;

	/* In the order of their indices; each begins as after power-up: the boot processor (0) at the reset vector,
	 * the others waiting for SIPI. Sets the link's kick. Mandatory. */
	int (*vcpu_open)(struct cpu *cpu, unsigned index, struct vcpu **ret, struct err *err);

	/* Executes until one of the exits. `why` is filled in for CPU_EXIT_FATAL. Mandatory. */
	enum cpu_exit (*run)(struct vcpu *vcpu, struct err *why);

	/* The whole architectural state; out of run() it is complete, between two instructions. Mandatory.
	 * set_state: -EINVAL for what no processor can be in. */
	int (*get_state)(struct vcpu *vcpu, struct cpu_state *ret, struct err *err);
	int (*set_state)(struct vcpu *vcpu, const struct cpu_state *state, struct err *err);

	/* The machine switches memory's dirty log on or off while no vCPU runs, then calls this: from now on what
	 * vCPUs write to is logged (or not). Mandatory. */
	int (*dirty_log)(struct cpu *cpu, bool on, struct err *err);
	/* Adds what the cpu logged by itself to memory's log. Optional: a cpu without it calls memory_dirty(). */
	int (*dirty_sync)(struct cpu *cpu, struct err *err);

	/* NULL is allowed. All vCPUs before the cpu, and devices before it too: they let their lines go.
	 * Mandatory. */
	void (*vcpu_close)(struct vcpu *vcpu);
	void (*close)(struct cpu *cpu);
};

extern const struct cpu_type cpu_kvm, cpu_soft, cpu_null;

/* The table, NULL-terminated, best first; and one by name, NULL when unknown. */
extern const struct cpu_type *const cpu_types[];
const struct cpu_type *cpu_find(const char *name);
