/* The 0F map without the MMX and SSE instructions; the general instructions of 0F38 are in forms_sse.c. */
#include "cpu/soft/forms.h"

/* clang-format off */
#define E(x) SPEC_##x
#define EIGHT(code, name, flags, ...) \
	R(code + 0, ANY, name, flags, __VA_ARGS__) R(code + 1, ANY, name, flags, __VA_ARGS__) \
	R(code + 2, ANY, name, flags, __VA_ARGS__) R(code + 3, ANY, name, flags, __VA_ARGS__) \
	R(code + 4, ANY, name, flags, __VA_ARGS__) R(code + 5, ANY, name, flags, __VA_ARGS__) \
	R(code + 6, ANY, name, flags, __VA_ARGS__) R(code + 7, ANY, name, flags, __VA_ARGS__)
#define S(n, rm, cond, name, flag) R(0x01, D(n) | RM(rm) | REG | (cond), name, flag, 0)

static const struct form rows[] = {
	R(0x00, D(0), SLDT, 0, E(EvMw)) R(0x00, D(1), STR, 0, E(EvMw)) R(0x00, D(2), LLDT, 0, E(Ew)) R(0x00, D(3), LTR, 0, E(Ew))
	R(0x00, D(4), VERR, 0, E(Ew)) R(0x00, D(5), VERW, 0, E(Ew))
	R(0x01, D(0) | MEM, SGDT, 0, E(Ms)) R(0x01, D(1) | MEM, SIDT, 0, E(Ms)) R(0x01, D(2) | MEM, LGDT, 0, E(Ms)) R(0x01, D(3) | MEM, LIDT, 0, E(Ms))
	S(0, 1, NP, VMCALL, F_HYPERCALL) S(3, 1, ANY, VMMCALL, F_HYPERCALL)
	S(1, 2, NP, CLAC, F_SMAP) S(1, 3, NP, STAC, F_SMAP) S(2, 0, NP, XGETBV, F_XSAVE) S(2, 1, NP, XSETBV, F_XSAVE)
	S(5, 6, NP, RDPKRU, F_PKU) S(5, 7, NP, WRPKRU, F_PKU)
	R(0x01, D(4), SMSW, 0, E(EvMw)) R(0x01, D(6), LMSW, 0, E(Ew)) R(0x01, D(7) | MEM, INVLPG, 0, E(Mb))
	S(7, 0, X64, SWAPGS, 0) S(7, 1, ANY, RDTSCP, F_RDTSCP)
	R(0x02, ANY, LAR, 0, E(Gv), E(EvMw)) R(0x03, ANY, LSL, 0, E(Gv), E(EzMw))
	R(0x05, ANY, SYSCALL, 0, 0) R(0x06, ANY, CLTS, 0, 0) R(0x07, ANY, SYSRET, 0, 0)
	R(0x08, ANY, INVD, 0, 0) R(0x09, ANY, WBINVD, 0, 0) R(0x0b, ANY, UD2, 0, 0)
	R(0x0d, MEM | D(1), PREFETCHW, 0, E(Mb)) R(0x0d, MEM, PREFETCH, 0, E(Mb)) R(0x0d, REG, NOP, 0, E(Ev))
	R(0x18, MEM | D(0), PREFETCH, 0, E(Mb)) R(0x18, MEM | D(1), PREFETCH, 0, E(Mb)) R(0x18, MEM | D(2), PREFETCH, 0, E(Mb))
	R(0x18, MEM | D(3), PREFETCH, 0, E(Mb)) R(0x18, ANY, NOP, 0, E(Ev))
	R(0x19, ANY, NOP, 0, E(Ev)) R(0x1a, ANY, NOP, 0, E(Ev)) R(0x1b, ANY, NOP, 0, E(Ev)) R(0x1c, ANY, NOP, 0, E(Ev))
	R(0x1d, ANY, NOP, 0, E(Ev)) R(0x1e, ANY, NOP, 0, E(Ev)) R(0x1f, ANY, NOP, 0, E(Ev))
	R(0x20, ANY, MOV_FROM_CR, 0, E(Rn), E(Cn)) R(0x21, ANY, MOV_FROM_DR, 0, E(Rn), E(Dn))
	R(0x22, ANY, MOV_TO_CR, 0, E(Cn), E(Rn)) R(0x23, ANY, MOV_TO_DR, 0, E(Dn), E(Rn))
	R(0x30, ANY, WRMSR, 0, 0) R(0x31, ANY, RDTSC, 0, 0) R(0x32, ANY, RDMSR, 0, 0) R(0x33, ANY, RDPMC, 0, 0)
	R(0x34, ANY, SYSENTER, 0, 0) R(0x35, ANY, SYSEXIT, 0, 0)
	EIGHT(0x40, CMOVCC, 0, E(Gv), E(Ev)) EIGHT(0x48, CMOVCC, 0, E(Gv), E(Ev))
	EIGHT(0x80, JCC, FORM_FORCE64, E(Jz)) EIGHT(0x88, JCC, FORM_FORCE64, E(Jz))
	EIGHT(0x90, SETCC, 0, E(Eb)) EIGHT(0x98, SETCC, 0, E(Eb))
	R(0xa0, ANY, PUSH, FORM_DEF64, E(FS)) R(0xa1, ANY, POP, FORM_DEF64, E(FS)) R(0xa2, ANY, CPUID, 0, 0)
	R(0xa3, ANY, BT, 0, E(Ev), E(Gv)) R(0xa4, ANY, SHLD, 0, E(Ev), E(Gv), E(Ib)) R(0xa5, ANY, SHLD, 0, E(Ev), E(Gv), E(CL))
	R(0xa8, ANY, PUSH, FORM_DEF64, E(GS)) R(0xa9, ANY, POP, FORM_DEF64, E(GS)) R(0xaa, ANY, RSM, 0, 0)
	R(0xab, ANY, BTS, FORM_LOCK, E(Ev), E(Gv)) R(0xac, ANY, SHRD, 0, E(Ev), E(Gv), E(Ib)) R(0xad, ANY, SHRD, 0, E(Ev), E(Gv), E(CL))
	R(0xae, D(0) | MEM | NP, FXSAVE, F_FXSR, E(M)) R(0xae, D(1) | MEM | NP, FXRSTOR, F_FXSR, E(M))
	R(0xae, D(2) | MEM | NP, LDMXCSR, F_SSE, E(Md)) R(0xae, D(3) | MEM | NP, STMXCSR, F_SSE, E(Md))
	R(0xae, D(4) | MEM | NP, XSAVE, F_XSAVE, E(M)) R(0xae, D(5) | MEM | NP, XRSTOR, F_XSAVE, E(M))
	R(0xae, D(6) | MEM | NP, XSAVEOPT, F_XSAVEOPT, E(M)) R(0xae, D(7) | MEM | NP, CLFLUSH, F_SSE2, E(M))
	R(0xae, D(6) | MEM | P66, CLWB, F_CLWB, E(M)) R(0xae, D(7) | MEM | P66, CLFLUSHOPT, F_CLFLUSHOPT, E(M))
	R(0xae, D(0) | REG | PF3 | X64, RDFSBASE, F_FSGSBASE, E(Ry)) R(0xae, D(1) | REG | PF3 | X64, RDGSBASE, F_FSGSBASE, E(Ry))
	R(0xae, D(2) | REG | PF3 | X64, WRFSBASE, F_FSGSBASE, E(Ry)) R(0xae, D(3) | REG | PF3 | X64, WRGSBASE, F_FSGSBASE, E(Ry))
	R(0xae, D(5) | REG | NP, LFENCE, F_SSE2, 0) R(0xae, D(6) | REG | NP, MFENCE, F_SSE2, 0) R(0xae, D(7) | REG | NP, SFENCE, F_SSE, 0)
	R(0xaf, ANY, IMUL, 0, E(Gv), E(Ev))
	R(0xb0, ANY, CMPXCHG, FORM_LOCK, E(Eb), E(Gb)) R(0xb1, ANY, CMPXCHG, FORM_LOCK, E(Ev), E(Gv))
	R(0xb2, ANY, LSS, 0, E(Gv), E(Mp)) R(0xb3, ANY, BTR, FORM_LOCK, E(Ev), E(Gv)) R(0xb4, ANY, LFS, 0, E(Gv), E(Mp)) R(0xb5, ANY, LGS, 0, E(Gv), E(Mp))
	R(0xb6, ANY, MOVZX, 0, E(Gv), E(Eb)) R(0xb7, ANY, MOVZX, 0, E(Gv), E(Ew))
	R(0xb8, PF3, POPCNT, F_POPCNT, E(Gv), E(Ev)) R(0xb9, ANY, UD1, 0, E(Gv), E(Ev))
	R(0xba, D(4), BT, 0, E(Ev), E(Ib)) R(0xba, D(5), BTS, FORM_LOCK, E(Ev), E(Ib)) R(0xba, D(6), BTR, FORM_LOCK, E(Ev), E(Ib)) R(0xba, D(7), BTC, FORM_LOCK, E(Ev), E(Ib))
	R(0xbb, ANY, BTC, FORM_LOCK, E(Ev), E(Gv))
	R(0xbc, PF3, TZCNT, F_BMI1, E(Gv), E(Ev)) R(0xbc, ANY, BSF, 0, E(Gv), E(Ev))
	R(0xbd, PF3, LZCNT, F_LZCNT, E(Gv), E(Ev)) R(0xbd, ANY, BSR, 0, E(Gv), E(Ev))
	R(0xbe, ANY, MOVSX, 0, E(Gv), E(Eb)) R(0xbf, ANY, MOVSX, 0, E(Gv), E(Ew))
	R(0xc0, ANY, XADD, FORM_LOCK, E(Eb), E(Gb)) R(0xc1, ANY, XADD, FORM_LOCK, E(Ev), E(Gv))
	R(0xc3, NP, MOVNTI, F_SSE2, E(My), E(Gy))
	R(0xc7, D(1) | MEM | W0, CMPXCHG8B, FORM_LOCK, E(Mq)) R(0xc7, D(1) | MEM | W1, CMPXCHG16B, F_CX16 | FORM_LOCK, E(Mdq))
	R(0xc7, D(3) | MEM | NP, XRSTORS, F_XSAVES, E(M)) R(0xc7, D(4) | MEM | NP, XSAVEC, F_XSAVEC, E(M)) R(0xc7, D(5) | MEM | NP, XSAVES, F_XSAVES, E(M))
	R(0xc7, D(6) | REG | NP | P66, RDRAND, F_RDRAND, E(Rv)) R(0xc7, D(7) | REG | PF3, RDPID, F_RDPID, E(Rnat)) R(0xc7, D(7) | REG | NP | P66, RDSEED, F_RDSEED, E(Rv))
	EIGHT(0xc8, BSWAP, 0, E(Zv))
	R(0xff, ANY, UD0, 0, E(Gv), E(Ev))
};
/* clang-format on */

const struct form_map soft_map_0f = { rows, sizeof(rows) / sizeof(rows[0]) };
