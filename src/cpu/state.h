#pragma once
/*
 * The architectural state of one x86-64 logical processor, the same for every cpu: what a snapshot holds and
 * what tests compare. Names and bits are those of Intel's manual. A plain value: nothing to free.
 */
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

enum { CPU_RAX, CPU_RCX, CPU_RDX, CPU_RBX, CPU_RSP, CPU_RBP, CPU_RSI, CPU_RDI, CPU_R8 };
enum { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_LDTR, CPU_TR, CPU_SEGMENTS };

/* Access rights as in the second word of a descriptor, bits 8-23 moved to 0-15, limit bits left out. */
#define CPU_SEG_TYPE 0x000fu
#define CPU_SEG_S 0x0010u
#define CPU_SEG_DPL 0x0060u
#define CPU_SEG_P 0x0080u
#define CPU_SEG_AVL 0x1000u
#define CPU_SEG_L 0x2000u
#define CPU_SEG_DB 0x4000u
#define CPU_SEG_G 0x8000u
#define CPU_SEG_UNUSABLE 0x10000u /* loaded with a null selector */

/* With its hidden part; limit in bytes, already scaled by G. */
struct cpu_segment {
	uint64_t base;
	uint32_t limit;
	uint32_t access; /* CPU_SEG_... */
	uint16_t selector;
};

struct cpu_table {
	uint64_t base;
	uint16_t limit;
};

enum cpu_activity { CPU_RUN, CPU_HLT, CPU_WAIT_FOR_SIPI };

#define CPU_MTRR_VARIABLE 8
#define CPU_XSAVE_BYTES 4096u

struct cpu_state {
	uint64_t gpr[16]; /* in the order of their encoding */
	uint64_t rip, rflags;
	struct cpu_segment segment[CPU_SEGMENTS];
	struct cpu_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t dr[4], dr6, dr7;

	/* Model-specific registers. FS.base and GS.base are in the segments. */
	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, misc_enable, spec_ctrl;
	uint64_t tsc, tsc_adjust; /* tsc: when the state was read */
	uint64_t apic_base, tsc_deadline;
	uint64_t kvm_clock, kvm_wall_clock; /* 0x4b564d01 and 00, where CPUID has them */
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[CPU_MTRR_VARIABLE],
		mtrr_mask[CPU_MTRR_VARIABLE];

	uint64_t xcr0;
	/* The standard (not compacted) form of XSAVE with all that xcr0 allows: x87, SSE, AVX, AVX-512. */
	alignas(64) uint8_t xsave[CPU_XSAVE_BYTES];

	/* Shadows of one instruction, and blocking of NMIs until IRET. */
	bool sti_shadow, mov_ss_shadow, nmi_blocked;
	bool nmi_pending;
	/* An exception or interrupt that was to be delivered when the state was read; vector -1: none. */
	struct {
		int vector;
		bool is_exception, is_soft, has_error;
		uint32_t error;
		uint8_t instruction_length; /* of INT n, INT3, INTO */
	} event;
	enum cpu_activity activity;
	bool unhalted; /* by a hypercall, before it was in HLT */
};

/* As after power-up: reset vector 0xfffffff0, waiting for SIPI unless it is the boot processor. */
void cpu_state_reset(struct cpu_state *s, bool boot_processor);
