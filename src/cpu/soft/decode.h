#pragma once
/*
 * The x86 decoder: bytes to struct insn, in 16-, 32- and 64-bit code, by tables. It knows the
 * general-purpose, x87, MMX, SSE to SSE4.2, AVX, AVX2, FMA, F16C, BMI, ADX, AES, SHA, PCLMULQDQ and
 * XSAVE instructions and the system instructions of a processor without virtualization extensions, with
 * VMCALL and VMMCALL, which are for the guests of one that has them;
 * all else is DECODE_UNDEFINED, as it is on such a processor. References: Intel SDM volume 2,
 * AMD APM volume 3. Where the two vendors differ it does as Intel's (66 before near branches in
 * 64-bit code is without effect).
 *
 * A pure function of its arguments: no allocation, no global state, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/soft/ops.h"

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

/* What insn_decode() returns instead of a length. */
enum {
	DECODE_UNDEFINED = -1, /* #UD */
	DECODE_TOO_LONG = -2,  /* more than 15 bytes: #GP(0) */
	DECODE_TRUNCATED = -3, /* `n` bytes are not enough to tell */
};

#define INSN_MAX 15

/* Registers as memory operands name them. */
enum { BASE_RIP = 16, BASE_NONE = 0xff };

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* Prefixes seen, whatever they mean to this instruction. */
enum {
	PREFIX_LOCK = 1,
	PREFIX_REPNE = 2, /* the last of F2 and F3 counts */
	PREFIX_REP = 4,
	PREFIX_OPSIZE = 8,
	PREFIX_ADDRSIZE = 16,
	PREFIX_SEGMENT = 32,
	PREFIX_REX = 64,
	PREFIX_VEX = 128,
};

/* Of what group a form is (for CPUID): the low bits of its flags. */
enum feature {
	F_BASE,
	F_X87,
	F_MMX,
	F_SSE,
	F_SSE2,
	F_SSE3,
	F_SSSE3,
	F_SSE41,
	F_SSE42,
	F_AES,
	F_PCLMUL,
	F_SHA,
	F_AVX,
	F_AVX2,
	F_FMA,
	F_F16C,
	F_BMI1,
	F_BMI2,
	F_ADX,
	F_MOVBE,
	F_POPCNT,
	F_LZCNT,
	F_CRC32,
	F_FXSR,
	F_XSAVE,
	F_XSAVEOPT,
	F_XSAVEC,
	F_XSAVES,
	F_CX16,
	F_RDRAND,
	F_RDSEED,
	F_FSGSBASE,
	F_SMAP,
	F_INVPCID,
	F_CLFLUSHOPT,
	F_CLWB,
	F_RDTSCP,
	F_RDPID,
	F_VAES,
	F_VPCLMUL,
	F_PKU,
	F_PKS,
	F_SMEP,
	F_UMIP,
	F_PCID,
	F_HYPERCALL,
	F_LAST,
};

/* The rest of a form's flags. */
enum {
	FORM_FEATURE = 0x3f,
	FORM_LOCK = 0x40,       /* takes LOCK if its first operand is memory */
	FORM_DEF64 = 0x80,      /* operand size 64 in 64-bit mode, 16 with 66 */
	FORM_FORCE64 = 0x100,   /* operand size 64 in 64-bit mode */
	FORM_FP = 0x200,        /* raises SIMD floating-point exceptions; obeys MXCSR */
	FORM_ALIGNED = 0x400,   /* its memory operand must be aligned: #GP(0) */
	FORM_UNALIGNED = 0x800, /* legacy SSE form without that rule for 16-byte operands */
	FORM_L1_AVX2 = 0x1000,  /* needs AVX2 for 256 bits */
	FORM_NOGPR = 0x2000,
	FORM_NOWAIT = 0x4000, /* x87 without a check for pending exceptions */
};

struct form {
	uint8_t opcode;
	uint16_t op;
	uint32_t when;
	uint32_t flags;
	uint8_t operand[4];
};

struct insn {
	const struct form *form;
	uint64_t imm;  /* immediate, sign-extended where the instruction does; branch displacement;
			     offset of a far pointer; absolute address of a moffs */
	int32_t disp;  /* of the memory operand */
	uint16_t imm2; /* selector of a far pointer; ENTER's level */
	uint16_t op;   /* enum op */
	uint8_t length;
	uint8_t mode; /* enum decode_mode */
	uint8_t map;  /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A */
	uint8_t opcode;
	uint8_t prefixes; /* PREFIX_ */
	uint8_t opsize;   /* 2, 4, 8 */
	uint8_t addrsize; /* 2, 4, 8 */
	uint8_t pp;       /* mandatory prefix: 0 none, 1 66, 2 F3, 3 F2 */
	uint8_t w, l;     /* REX.W or VEX.W; VEX.L */
	bool memory;      /* ModRM names memory */
	uint8_t modrm;
	uint8_t reg; /* ModRM.reg with its extension */
	uint8_t rm;  /* ModRM.rm with its extension; the opcode's register */
	uint8_t vvvv;
	uint8_t base, index, scale; /* registers or BASE_; scale is a shift count */
	uint8_t segment;            /* of the memory operand, or of DS:SI */
};

/* Decodes one instruction at most `n` bytes long. The length, or DECODE_. */
int insn_decode(struct insn *insn, enum decode_mode mode, const uint8_t *bytes, size_t n);

/* The condition of a Jcc, SETcc, CMOVcc: 0-15. */
static inline unsigned insn_condition(const struct insn *insn)
{
	return insn->opcode & 15;
}

enum operand_kind { OPERAND_NONE, OPERAND_REG, OPERAND_MEM, OPERAND_IMM, OPERAND_REL, OPERAND_FAR };
enum reg_class { CLASS_GPR, CLASS_VEC, CLASS_MMX, CLASS_SEG, CLASS_CR, CLASS_DR, CLASS_ST };

struct operand {
	uint8_t kind;
	uint8_t class;
	uint8_t reg;
	bool high; /* AH, CH, DH, BH as register 0-3 */
	bool vsib;
	bool implicit_address; /* string operand: [rSI] or ES:[rDI] */
	uint16_t size;         /* bytes; 0 where the operand has none */
	uint8_t base, index, scale, segment;
	uint64_t value; /* immediate, displacement, address */
};

/* The nth (from 0) operand; false if there are fewer. */
bool insn_operand(const struct insn *insn, unsigned n, struct operand *operand);

/* "addps"; conditions and string sizes are not part of it. */
const char *op_name(enum op op);
