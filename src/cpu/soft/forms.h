#pragma once
/*
 * The opcode tables' row and its vocabulary; for decode.c, operand.c and the tables only.
 *
 * A map (one byte, 0F, 0F38, 0F3A, and the VEX ones) is an array of rows sorted by opcode. Among the
 * rows of one opcode the first whose `when` holds is the instruction. Operand names are those of
 * appendix A of the Intel manual (SDM volume 2) where that has one: a letter for where the operand
 * is encoded, then letters for its size.
 */
#include <stdint.h>

#include "cpu/soft/decode.h"

/* Sizes of operands: bytes where fixed, else what they depend on. */
enum size {
	S0 = 0, /* no size: lea, invlpg, xsave */
	S1 = 1,
	S2 = 2,
	S4 = 4,
	S6 = 6,
	S8 = 8,
	S10 = 10,
	S16 = 16,
	S32 = 32,
	SV = 64, /* operand size: 2, 4, 8 */
	SY,      /* 4, or 8 with W */
	SZ,      /* operand size, at most 4 */
	SX,      /* vector length */
	SXH,     /* half, quarter, eighth of it */
	SXQ,
	SXE,
	SN,    /* native word: 8 in 64-bit mode, else 4 */
	SFAR,  /* far pointer: operand size + 2 */
	SDESC, /* descriptor table register: 10 in 64-bit mode, else 6 */
	SDD,   /* xmm: 8 for 128 bits, 32 for 256: movddup's memory */
	SV2,   /* twice the operand size: bound */
	SENV,  /* x87 environment, and with the registers */
	SSAVE,
	SP, /* push and pop of the operand size */
};

/* Where an operand is encoded. */
enum source {
	FROM_NOWHERE,
	FROM_REG, /* ModRM.reg */
	FROM_RM,  /* ModRM.rm: register or memory */
	FROM_MEM, /* ModRM.rm, memory only */
	FROM_RMR, /* ModRM.rm, register only */
	FROM_VVVV,
	FROM_IS4, /* bits 7:4 of the immediate */
	FROM_OPCODE,
	FROM_FIXED,
	FROM_IMM,  /* unsigned immediate */
	FROM_SIMM, /* sign-extended immediate */
	FROM_IMM2, /* second immediate, one byte */
	FROM_REL,
	FROM_FAR,
	FROM_MOFFS,
	FROM_SI,
	FROM_DI,
	FROM_ONE,
	FROM_VSIB,   /* memory with a vector index; the register size is the index's */
	FROM_RM_ANY, /* ModRM.rm as a register whatever mod is */
};

/* name, source, class of register, size as register, size as memory or immediate, number if fixed */
/* clang-format off */
#define SPECS(X) \
	X(Eb, RM, GPR, S1, S1, 0) X(Ew, RM, GPR, S2, S2, 0) X(Ed, RM, GPR, S4, S4, 0) \
	X(Eq, RM, GPR, S8, S8, 0) X(Ev, RM, GPR, SV, SV, 0) X(Ey, RM, GPR, SY, SY, 0) \
	X(EdMb, RM, GPR, S4, S1, 0) X(EdMw, RM, GPR, S4, S2, 0) X(EvMw, RM, GPR, SV, S2, 0) \
	X(EnMb, RM, GPR, SN, S1, 0) X(EnMw, RM, GPR, SN, S2, 0) X(Ep, RM, GPR, SP, SP, 0) \
	X(Gb, REG, GPR, S1, 0, 0) X(Gw, REG, GPR, S2, 0, 0) X(Gd, REG, GPR, S4, 0, 0) \
	X(Gv, REG, GPR, SV, 0, 0) X(Gy, REG, GPR, SY, 0, 0) X(Gn, REG, GPR, SN, 0, 0) \
	X(Gz, REG, GPR, SZ, 0, 0) X(Ez, RM, GPR, SZ, S4, 0) X(EzMw, RM, GPR, SZ, S2, 0) \
	X(Mb, MEM, GPR, 0, S1, 0) X(Mw, MEM, GPR, 0, S2, 0) X(Md, MEM, GPR, 0, S4, 0) \
	X(Mq, MEM, GPR, 0, S8, 0) X(Mt, MEM, GPR, 0, S10, 0) X(Mdq, MEM, GPR, 0, S16, 0) \
	X(Mqq, MEM, GPR, 0, S32, 0) X(Mx, MEM, GPR, 0, SX, 0) X(My, MEM, GPR, 0, SY, 0) \
	X(Mv, MEM, GPR, 0, SV, 0) X(M, MEM, GPR, 0, S0, 0) X(Mp, MEM, GPR, 0, SFAR, 0) \
	X(Ms, MEM, GPR, 0, SDESC, 0) X(Ma, MEM, GPR, 0, SV2, 0) X(Menv, MEM, GPR, 0, SENV, 0) \
	X(Msave, MEM, GPR, 0, SSAVE, 0) X(Ry, RMR, GPR, SY, 0, 0) X(Rv, RMR, GPR, SV, 0, 0) \
	X(Rn, RM_ANY, GPR, SN, 0, 0) X(Rd, RMR, GPR, S4, 0, 0) X(Rq, RMR, GPR, S8, 0, 0) \
	X(Rnat, RMR, GPR, SN, 0, 0) X(Vx, REG, VEC, SX, 0, 0) X(Vdq, REG, VEC, S16, 0, 0) \
	X(Vqq, REG, VEC, S32, 0, 0) X(Hx, VVVV, VEC, SX, 0, 0) X(Hdq, VVVV, VEC, S16, 0, 0) \
	X(Hqq, VVVV, VEC, S32, 0, 0) X(Lx, IS4, VEC, SX, 0, 0) X(Wx, RM, VEC, SX, SX, 0) \
	X(Wdq, RM, VEC, S16, S16, 0) X(Wqq, RM, VEC, S32, S32, 0) X(Wb, RM, VEC, S16, S1, 0) \
	X(Ww, RM, VEC, S16, S2, 0) X(Wd, RM, VEC, S16, S4, 0) X(Wq, RM, VEC, S16, S8, 0) \
	X(Wxh, RM, VEC, SXH, SXH, 0) X(Wxq, RM, VEC, S16, SXQ, 0) X(Wxe, RM, VEC, S16, SXE, 0) \
	X(Wdd, RM, VEC, SX, SDD, 0) X(Vxh, REG, VEC, SXH, 0, 0) X(Ux, RMR, VEC, SX, 0, 0) \
	X(Udq, RMR, VEC, S16, 0, 0) X(VMdx, VSIB, VEC, SX, S4, 0) X(VMqx, VSIB, VEC, SX, S8, 0) \
	X(VMdh, VSIB, VEC, SXH, S4, 0) X(VMdq, VSIB, VEC, SXH, S8, 0) \
	X( VMqd, VSIB, VEC, SX, S4, 0) X(Pq, REG, MMX, S8, 0, 0) X(Qq, RM, MMX, S8, S8, 0) \
	X(Qd, RM, MMX, S8, S4, 0) X(Nq, RMR, MMX, S8, 0, 0) X(Cn, REG, CR, SN, 0, 0) \
	X(Dn, REG, DR, SN, 0, 0) X(Sw, REG, SEG, S2, 0, 0) X(Ib, IMM, GPR, 0, S1, 0) \
	X(Ibs, SIMM, GPR, 0, S1, 0) X(Iw, IMM, GPR, 0, S2, 0) X(Iz, SIMM, GPR, 0, SZ, 0) \
	X(Iv, IMM, GPR, 0, SV, 0) X(Ib2, IMM2, GPR, 0, S1, 0) X(One, ONE, GPR, 0, S1, 0) \
	X(Jb, REL, GPR, 0, S1, 0) X(Jz, REL, GPR, 0, SZ, 0) X(Ap, FAR, GPR, 0, SFAR, 0) \
	X(Ob, MOFFS, GPR, 0, S1, 0) X(Ov, MOFFS, GPR, 0, SV, 0) X(Xb, SI, GPR, 0, S1, 0) \
	X(Xv, SI, GPR, 0, SV, 0) X(Xz, SI, GPR, 0, SZ, 0) X(Yb, DI, GPR, 0, S1, 0) \
	X(Yv, DI, GPR, 0, SV, 0) X(Yz, DI, GPR, 0, SZ, 0) X(Zb, OPCODE, GPR, S1, 0, 0) \
	X(Zv, OPCODE, GPR, SV, 0, 0) X(Zy, OPCODE, GPR, SY, 0, 0) X(AL, FIXED, GPR, S1, 0, 0) \
	X(CL, FIXED, GPR, S1, 0, 1) X(AX, FIXED, GPR, S2, 0, 0) X(DX, FIXED, GPR, S2, 0, 2) \
	X(rAX, FIXED, GPR, SV, 0, 0) X(zAX, FIXED, GPR, SZ, 0, 0) X(ES, FIXED, SEG, S2, 0, 0) \
	X(CS, FIXED, SEG, S2, 0, 1) X(SS, FIXED, SEG, S2, 0, 2) X(DS, FIXED, SEG, S2, 0, 3) \
	X(FS, FIXED, SEG, S2, 0, 4) X(GS, FIXED, SEG, S2, 0, 5) X(XMM0, FIXED, VEC, S16, 0, 0) \
	X(ST0, FIXED, ST, S10, 0, 0) X(STi, RMR, ST, S10, 0, 0) X(By, VVVV, GPR, SY, 0, 0)
/* clang-format on */

#define SPEC_NAME(name, ...) SPEC_##name,
enum spec { SPEC_none, SPECS(SPEC_NAME) SPEC_COUNT };
#undef SPEC_NAME

struct spec_info {
	uint8_t source, class, size, memory_size, number;
};
extern const struct spec_info soft_specs[SPEC_COUNT];

/* When a row applies: all that are given must hold; several of one kind are alternatives. */
#define D(n) (0x8u | (n))        /* ModRM.reg */
#define RM(n) (0x80u | (n) << 4) /* ModRM.rm */
#define MEM 0x100u
#define REG 0x200u
#define NP 0x400u /* no mandatory prefix */
#define P66 0x800u
#define PF3 0x1000u
#define PF2 0x2000u
#define W0 0x4000u
#define W1 0x8000u
#define L0 0x10000u
#define L1 0x20000u
#define X64 0x40000u /* 64-bit mode only */
#define X32 0x80000u /* not in 64-bit mode */
#define NOREXB 0x200000u
#define ANY 0

/* One row: opcode, when, operation, flags, operands. Lower-case f_ flags are decode.h's FORM_. */
#define R(code, cond, name, flag, ...) \
	{ .opcode = (code), \
		.op = OP_##name, \
		.when = (cond), \
		.flags = (flag), \
		.operand = { __VA_ARGS__ } },

struct form_map {
	const struct form *rows;
	uint16_t count;
};

extern const struct form_map soft_map_one, soft_map_0f, soft_map_sse_0f, soft_map_0f38,
	soft_map_0f3a;
extern const struct form_map soft_map_vex_0f, soft_map_vex_0f38, soft_map_vex_0f3a;
