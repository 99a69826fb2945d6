#pragma once
/*
 * What a guest sees by CPUID: a table of leaves, made of a model's features and of what the chosen cpu
 * supports. Models: "host" (all that both know and that is safe to show), "x86-64-v2" and "x86-64-v3"
 * (the psABI's levels, the same on every host of a vendor: a machine may move between them).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define CPUID_ENTRIES 80u

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid_entry {
	uint32_t leaf, subleaf;
	bool indexed; /* subleaf matters */
	struct cpuid_regs regs;
};

struct cpuid_table {
	struct cpuid_entry entries[CPUID_ENTRIES];
	unsigned n;
};

/* The entry, or NULL. */
struct cpuid_entry *cpuid_find(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf);
/* The entry, made when it is not there. NULL when the table is full. */
struct cpuid_entry *cpuid_add(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, bool indexed);

/* The host processor's own leaves, as far as cpuid_build() uses them. */
void cpuid_host(struct cpuid_table *ret);

/*
 * The guest's table for a model out of what a cpu supports, for n_vcpus one-thread cores of one package.
 * -EINVAL for an unknown model; -ENOTSUP when the model has features that the cpu lacks here, which are
 * named. tsc_khz 0: not shown.
 */
int cpuid_build(const char *model, const struct cpuid_table *supported, unsigned n_vcpus,
	uint64_t tsc_khz, struct cpuid_table *ret, struct err *err);

/* What depends on the vCPU and its registers. */
struct cpuid_dynamic {
	uint32_t apic_id;
	uint64_t cr4, xcr0;
	bool apic_enabled; /* by IA32_APIC_BASE */
};

/* CPUID as the instruction gives it, with the rules for leaves that are not there. */
struct cpuid_regs cpuid_query(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf,
	const struct cpuid_dynamic *dynamic);

/* Whether a feature of the table is on: a register of a leaf, 0-3 for eax to edx, and a bit. */
bool cpuid_has(
	const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);

/* The vendor is AMD, whose processors differ in some MSRs and instructions. */
bool cpuid_is_amd(const struct cpuid_table *t);
