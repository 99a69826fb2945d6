#pragma once
/*
 * The software CPU's insides: one vCPU's state, and what the files of cpu/soft/ call of each other.
 *
 * Guest faults. fault_*() do not return: they jump to run()'s loop, which takes back RIP and delivers the
 * exception. So an operation changes no register before the last access that can fault, and no frame that
 * a fault crosses holds a lock or anything to clean up.
 *
 * Code. Guest code is decoded into blocks of cells (cache.c), each cell an operation's function and its
 * decoded instruction; a block lies in one physical page, whose version it remembers. A write to bytes
 * that were decoded raises the page's version; a block of another version is decoded again. So that
 * such writes are seen, pages with code never have write permission in a TLB.
 *
 * Threads. A vCPU belongs to its thread, but for `stop` and `flush_writes`, which any may set.
 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "cpu/cpu.h"
#include "cpu/soft/decode.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Of what is rare, so that the frequent path beside it needs no frame. */
#define noinline __attribute__((noinline))

/* RFLAGS. */
#define FL_CF 0x1u
#define FL_PF 0x4u
#define FL_AF 0x10u
#define FL_ZF 0x40u
#define FL_SF 0x80u
#define FL_TF 0x100u
#define FL_IF 0x200u
#define FL_DF 0x400u
#define FL_OF 0x800u
#define FL_IOPL 0x3000u
#define FL_NT 0x4000u
#define FL_RF 0x10000u
#define FL_VM 0x20000u
#define FL_AC 0x40000u
#define FL_VIF 0x80000u
#define FL_VIP 0x100000u
#define FL_ID 0x200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define FL_FIXED 0x2u

/* DR6: breakpoints 0-3, single step. */
#define DR6_HITS 0xfull
#define DR6_STEP 0x4000u

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_MCE 0x40u
#define CR4_PGE 0x80u
#define CR4_PCE 0x100u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define CR4_PKE 0x400000u
#define CR4_PKS 0x1000000u

#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

enum {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_XM = 19,
};

/* Page fault error code, also the kind of an access. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16, PF_KEY = 32 };

/* One page of a translation. A tag is the page's linear address, or tlb_none(); the host's address of a byte
 * is its linear address + addend. */
struct tlb_entry {
	uint64_t read, write;
	uint64_t addend;
	uint64_t unused;
};
#define TLB_ENTRIES 512u
/* No page is at UINT64_MAX: it is none for what is compared with whole page addresses. */
#define TLB_NONE UINT64_MAX
/* A tag that no address which looks into this slot fits: that of its neighbour's. */
static inline uint64_t tlb_none(uint64_t slot)
{
	return ((slot + 1) & (TLB_ENTRIES - 1)) << PAGE_BITS;
}
/* Whose accesses: CPL 3; supervisor; supervisor that may access user pages under SMAP (AC = 1);
 * and one that is never filled, for when each access is to be checked. */
enum { TLB_USER, TLB_KERNEL, TLB_KERNEL_AC, TLB_CHECKED, TLB_TABLES };

struct vcpu;
struct cell;
struct stub;
typedef void op_fn(struct vcpu *v, const struct cell *c);

/* Offsets into struct vcpu: so registers need no test for which kind. */
struct cell {
	op_fn *fn;
	const struct stub
		*stub; /* of instructions that run on the host's own vector and x87 units */
	struct insn i;
	uint16_t reg, rm; /* of the operands' registers, AH to BH too */
	uint16_t base, index;
	bool flat; /* the memory operand's segment has base 0 and no limit: 64-bit mode, not FS or GS */
	bool lock;
	uint8_t size, size2; /* of the first and second operand, bytes */
};

struct block {
	uint64_t key; /* physical address, and the code's size in bits 62-63 */
	_Atomic uint32_t *version;
	uint32_t seen; /* the version that was decoded */
	uint16_t n;
	uint16_t bytes;
	struct cell cells[];
};

/* What of a page of RAM was decoded: a bit each 64 bytes; 0: none, the page may be writable in TLBs. */
struct code_page {
	_Atomic uint64_t granules;
	_Atomic uint32_t version;
};

/* Where the stubs of host instructions (stub.c) load from and store to. Offsets are known to stub.c. */
struct frame {
	alignas(64) uint8_t vec[5][32]; /* implicit xmm0, ModRM.reg, vvvv, ModRM.rm, is4 */
	uint64_t gpr[8];                /* rax, rcx, rdx, ModRM.reg, ModRM.rm, vvvv */
	uint64_t flags;
	void *memory;
	uint32_t mxcsr, host_mxcsr;
	alignas(64) uint8_t buffer[128];
	alignas(64) uint8_t fx[512]; /* x87 and MMX, as FXSAVE stores them */
};

struct cpu {
	struct memory *memory;
	const struct cpuid_table *cpuid;
	struct vcpu *vcpus[MEMORY_VCPUS];
	struct code_page *code[MEMORY_REGIONS];
	struct stubs *stubs;
	uint64_t physical_mask;    /* address bits of page table entries */
	uint32_t features[F_LAST]; /* whether the guest has them */
	uint64_t xcr0_allowed;
	bool is_amd; /* the processor that the guest sees */
};

enum rw_kind { RW_DIRECT, RW_CODE, RW_BOUNCE };

struct vcpu {
	uint64_t gpr[17]; /* the last is always 0 */
	uint64_t rip;     /* of the next instruction while one executes */
	uint64_t flags;
	struct tlb_entry *tlb; /* for data accesses of the program */
	atomic_int stop;       /* leave the block after this instruction */
	uint8_t code;          /* enum decode_mode of CS */
	uint8_t cpl;
	bool long_mode; /* EFER.LMA */
	uint8_t rw_kind;
	const struct cell *cell;
	uint64_t start; /* RIP of the instruction that executes */
	uint64_t stack_mask;

	struct cpu_segment seg[CPU_SEGMENTS];
	struct cpu_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t cr8; /* where there is no APIC */
	uint64_t dr[4], dr6, dr7;
	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, misc_enable, spec_ctrl, tsc_adjust;
	uint64_t kvm_clock, kvm_wall_clock; /* where the guest wants to read them */
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[CPU_MTRR_VARIABLE],
		mtrr_mask[CPU_MTRR_VARIABLE];
	uint64_t xcr0;
	uint32_t pkru, pkrs; /* protection keys: rights to user and supervisor pages */
	uint64_t pdpte[4];   /* PAE: read when CR3 was loaded */
	uint8_t ymm[16][32];
	uint32_t mxcsr;
	uint64_t fpu_ip, fpu_dp; /* of the last x87 instruction, with the selectors and opcode */
	uint16_t fpu_cs, fpu_ds, fpu_op;
	struct frame frame;

	/* The last write access that needs something after it. */
	uint64_t rw_linear, rw_physical;
	uint32_t rw_size;
	alignas(32) uint8_t bounce[64];

	/* Fetch: the page that RIP is in. */
	uint64_t fetch_page, fetch_physical;
	const uint8_t *fetch_host;
	uint64_t large_low, large_high; /* linear range that large pages were used in */

	bool shadow, mov_ss; /* no interrupt before the next instruction is through */
	bool nmi_blocked, nmi_pending;
	enum cpu_activity activity;
	bool unhalted; /* the next HLT ends at once */
	atomic_bool in_guest;
	atomic_bool
		flush_writes; /* write permissions of the TLB must go; the flag is cleared when they have */
	uint64_t pending_db; /* bits of DR6 for a #DB after this instruction */
	uint64_t instructions;
	uint32_t pauses;

	struct {
		int vector; /* -1: none */
		bool has_error, is_interrupt, is_soft, is_nmi;
		uint32_t error;
	} event;
	jmp_buf escape;
	bool shutdown;
	const char *fatal;

	struct cpu *cpu;
	struct vcpu_link *link;
	struct cache *cache;
	struct tlb_entry tables[TLB_TABLES][TLB_ENTRIES];
};

/* fault.c: ends the instruction with an exception. */
noreturn void fault(struct vcpu *v, int vector);
noreturn void fault_code(struct vcpu *v, int vector, uint32_t error);
#define fault_gp(v) fault_code(v, VECTOR_GP, 0)
#define fault_ud(v) fault(v, VECTOR_UD)
/* Ends run() with CPU_EXIT_FATAL. */
noreturn void fault_fatal(struct vcpu *v, const char *why);

/* interrupt.c: delivers v->event; may fault in turn. */
void interrupt_deliver(struct vcpu *v);
/* A software interrupt; `int3` for INT3, INTO, INT1, which IOPL does not stop in vm86. */
void interrupt_software(struct vcpu *v, int vector, bool is_int_n);
/* Makes v->event out of a fault that came while an event was delivered; false: shutdown. */
bool interrupt_combine(struct vcpu *v, int vector, bool has_error, uint32_t error);

/* mmu.c */
struct mapping {
	uint64_t physical;
	bool user, writable, executable, dirty, large;
};
void mmu_flush(struct vcpu *v);
void mmu_flush_writes(struct vcpu *v);
void mmu_invalidate(struct vcpu *v, uint64_t linear);
/* After a change of CPL, AC, CR0, CR4, EFER: which TLB. */
void mmu_select(struct vcpu *v);
/* Translates for an access of this kind or faults. */
uint64_t mmu_translate(struct vcpu *v, uint64_t linear, unsigned access, unsigned table);
/* Loads the PAE page directory pointers; faults. */
void mmu_load_pdptes(struct vcpu *v, uint64_t cr3);
uint64_t mmu_read_slow(struct vcpu *v, uint64_t linear, unsigned size, unsigned table);
void mmu_write_slow(struct vcpu *v, uint64_t linear, uint64_t value, unsigned size, unsigned table);
void *mmu_rw_slow(struct vcpu *v, uint64_t linear, unsigned size, unsigned table);
void mmu_rw_finish(struct vcpu *v);
/* Blocks of bytes: faults before anything is written. size at most 4096. */
void mmu_read_bytes(struct vcpu *v, uint64_t linear, void *data, unsigned size);
void mmu_write_bytes(struct vcpu *v, uint64_t linear, const void *data, unsigned size);
/* Faults unless all the bytes may be written. */
void mmu_probe_write(struct vcpu *v, uint64_t linear, unsigned size);
/* Host address of a page's byte for string operations, or NULL where that is not plain RAM. */
void *mmu_direct(struct vcpu *v, uint64_t linear, bool write);
/* The page's code record; NULL where there is no RAM. *host: the page's first byte. */
struct code_page *mmu_code_page(struct cpu *cpu, uint64_t physical, uint8_t **host, bool *readonly);

/* The table that system data (descriptors, task states) is accessed by. */
static inline struct tlb_entry *system_tlb(struct vcpu *v)
{
	return v->tables[TLB_KERNEL];
}

/* segment.c */
/* Linear address of a memory operand, with the checks that the mode has. */
uint64_t segment_linear(struct vcpu *v, unsigned seg, uint64_t offset, unsigned size, bool write);
/* Loads a data segment register, SS included. */
void segment_load(struct vcpu *v, unsigned seg, uint16_t selector);
void segment_load_real(struct vcpu *v, unsigned seg, uint16_t selector);
void segment_load_vm86(struct vcpu *v, unsigned seg, uint16_t selector);
bool descriptor_read(struct vcpu *v, uint16_t selector, uint64_t *ret);
/* As descriptor_read(), #GP(selector) outside the table. */
uint64_t descriptor_need(struct vcpu *v, uint16_t selector, int vector);
void descriptor_set_accessed(struct vcpu *v, uint16_t selector, uint64_t descriptor);
struct cpu_segment descriptor_unpack(uint16_t selector, uint64_t descriptor);
void segment_changed_cs(struct vcpu *v);
void segment_changed_ss(struct vcpu *v);
void set_cpl(struct vcpu *v, unsigned cpl);

static inline bool real_or_vm86(const struct vcpu *v)
{
	return !(v->cr0 & CR0_PE) || (v->flags & FL_VM);
}

/* stack.c: with the stack segment's size and checks; nothing is committed by the raw ones. */
void push(struct vcpu *v, uint64_t value, unsigned size);
uint64_t pop(struct vcpu *v, unsigned size);
/* Stack frames by other parts: read or write at `sp` of a stack that may not be the current one. */
uint64_t stack_peek(struct vcpu *v, uint64_t sp, unsigned size);

/* control.c */
void jump_to(struct vcpu *v, uint64_t rip, unsigned opsize);
void far_return(struct vcpu *v, unsigned opsize, unsigned pop_bytes, bool is_iret);
/* task.c */
enum task_reason { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT };
void task_switch(
	struct vcpu *v, uint16_t selector, enum task_reason reason, bool has_error, uint32_t error);

/* system.c */
void set_pkru(struct vcpu *v, uint32_t value);
void set_cr0(struct vcpu *v, uint64_t value);
void set_cr3(struct vcpu *v, uint64_t value);
void set_cr4(struct vcpu *v, uint64_t value);
void set_flags_checked(struct vcpu *v, uint64_t value, unsigned opsize);
uint64_t read_tsc(struct vcpu *v);
bool io_allowed(struct vcpu *v, uint16_t port, unsigned size);
void check_io(struct vcpu *v, uint16_t port, unsigned size);
/* msr.c; false: #GP */
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *ret);
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value);

/* paravirt.c: what is KVM's by its CPUID leaves, which this adds. */
void paravirt_cpuid(struct cpuid_table *t);
void paravirt_set_clock(struct vcpu *v, uint64_t value);
void paravirt_set_wall_clock(struct vcpu *v, uint64_t value);
/* After a change of tsc_adjust. */
void paravirt_tell_time(struct vcpu *v);

/* fpu.c */
void fpu_xsave_image(const struct vcpu *v, uint8_t *image);
void fpu_xrstor_image(struct vcpu *v, const uint8_t *image);
void fpu_reset(struct vcpu *v);

/* soft.c: executes a block, or one instruction where more must be watched for. Faults go to v->escape. */
void soft_step(struct vcpu *v);
/* A debug exception after this instruction, for these bits of DR6. */
void soft_debug(struct vcpu *v, uint64_t why);

/* cache.c */
struct cache *cache_new(void);
void cache_free(struct cache *cache);
/* Forgets translations of code addresses. */
void cache_flush_fetches(struct cache *cache);
/* The block at RIP, decoded if need be; may fault. */
const struct block *cache_block(struct vcpu *v);

/* bind.c: which function executes an instruction; fills in its stub. op_undefined for what the guest has not. */
op_fn *bind_op(struct cpu *cpu, struct cell *c);
/* Nothing after it may be executed without a look at the vCPU's state first. */
bool bind_ends_block(const struct cell *c);
/* Which features the guest's CPUID has. */
void bind_features(struct cpu *cpu);
op_fn op_undefined, op_too_long;

/* stub.c: host instructions as functions of a frame. */
enum {
	LOAD_XMM0 = 1, /* implicit */
	LOAD_REG = 2,
	LOAD_VVVV = 4,
	LOAD_RM = 8,
	LOAD_IS4 = 16,
	LOAD_GPR_REG = 32,
	LOAD_GPR_RM = 64,
	LOAD_GPR_VVVV = 128,
	LOAD_GPR_FIXED = 256, /* rax, rcx, rdx */
	LOAD_FLAGS = 512,
};
enum { FRAME_XMM0, FRAME_REG, FRAME_VVVV, FRAME_RM, FRAME_IS4 };
enum { FRAME_RAX, FRAME_RCX, FRAME_RDX, FRAME_GPR_REG, FRAME_GPR_RM, FRAME_GPR_VVVV };

struct stub {
	void (*run)(struct frame *f);
	const struct form *form;
	uint64_t key;
	uint16_t loads; /* LOAD_ */
	uint16_t memory_size;
	uint8_t align;  /* of the memory operand, or 0 */
	uint8_t target; /* enum stub_target: where the first operand's result is */
	bool is_fp, is_x87, is_mmx, is_vector, is_vex, reads_memory, writes_memory;
	struct stub *next;
};
enum stub_target {
	TARGET_NONE,
	TARGET_VEC_REG,
	TARGET_VEC_VVVV,
	TARGET_VEC_RM,
	TARGET_GPR_REG,
	TARGET_GPR_RM,
	TARGET_GPR_VVVV
};
/* The host is without an instruction set that the guest has not either. */
struct stubs *stubs_new(void);
void stubs_free(struct stubs *stubs);
const struct stub *stub_for(struct cpu *cpu, const struct insn *i);
/* One that is good until the same vCPU asks again. */
const struct stub *stub_scratch(struct cpu *cpu, unsigned vcpu, const struct insn *i);
op_fn op_stub, op_scratch_stub;

/* trap.c: runs a stub with exceptions that are not masked; the flags that it raised up to the first of those. */
uint32_t trap_run(const struct stub *s, struct frame *f);
