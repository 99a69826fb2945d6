/* The one-byte opcode map, and behind D8 to DF the x87 instructions (SDM volume 2, appendix A). */
#include "cpu/soft/forms.h"

/* clang-format off */
#define E(x) SPEC_##x
#define ALU(code, name, lock) \
	R(code + 0, ANY, name, lock, E(Eb), E(Gb)) R(code + 1, ANY, name, lock, E(Ev), E(Gv)) \
	R(code + 2, ANY, name, 0, E(Gb), E(Eb)) R(code + 3, ANY, name, 0, E(Gv), E(Ev)) \
	R(code + 4, ANY, name, 0, E(AL), E(Ibs)) R(code + 5, ANY, name, 0, E(rAX), E(Iz))
#define GROUP1(code, when, dst, src) \
	R(code, when D(0), ADD, FORM_LOCK, E(dst), E(src)) R(code, when D(1), OR, FORM_LOCK, E(dst), E(src)) \
	R(code, when D(2), ADC, FORM_LOCK, E(dst), E(src)) R(code, when D(3), SBB, FORM_LOCK, E(dst), E(src)) \
	R(code, when D(4), AND, FORM_LOCK, E(dst), E(src)) R(code, when D(5), SUB, FORM_LOCK, E(dst), E(src)) \
	R(code, when D(6), XOR, FORM_LOCK, E(dst), E(src)) R(code, when D(7), CMP, 0, E(dst), E(src))
#define SHIFTS(code, dst, src) \
	R(code, D(0), ROL, 0, E(dst), E(src)) R(code, D(1), ROR, 0, E(dst), E(src)) \
	R(code, D(2), RCL, 0, E(dst), E(src)) R(code, D(3), RCR, 0, E(dst), E(src)) \
	R(code, D(4), SHL, 0, E(dst), E(src)) R(code, D(5), SHR, 0, E(dst), E(src)) \
	R(code, D(6), SHL, 0, E(dst), E(src)) R(code, D(7), SAR, 0, E(dst), E(src))
#define GROUP3(code, op, imm) \
	R(code, D(0), TEST, 0, E(op), E(imm)) R(code, D(1), TEST, 0, E(op), E(imm)) \
	R(code, D(2), NOT, FORM_LOCK, E(op)) R(code, D(3), NEG, FORM_LOCK, E(op)) \
	R(code, D(4), MUL, 0, E(op)) R(code, D(5), IMUL1, 0, E(op)) R(code, D(6), DIV, 0, E(op)) R(code, D(7), IDIV, 0, E(op))
#define EIGHT(code, name, flags, ...) \
	R(code + 0, ANY, name, flags, __VA_ARGS__) R(code + 1, ANY, name, flags, __VA_ARGS__) \
	R(code + 2, ANY, name, flags, __VA_ARGS__) R(code + 3, ANY, name, flags, __VA_ARGS__) \
	R(code + 4, ANY, name, flags, __VA_ARGS__) R(code + 5, ANY, name, flags, __VA_ARGS__) \
	R(code + 6, ANY, name, flags, __VA_ARGS__) R(code + 7, ANY, name, flags, __VA_ARGS__)

/* Arithmetic of the x87 on st0 and a register or memory: eight operations in the order of ModRM.reg. */
#define FARITH(code, n, mem) \
	R(code, D(0) | MEM, F##n##ADD, F_X87, E(mem)) R(code, D(1) | MEM, F##n##MUL, F_X87, E(mem)) \
	R(code, D(2) | MEM, F##n##COM, F_X87, E(mem)) R(code, D(3) | MEM, F##n##COMP, F_X87, E(mem)) \
	R(code, D(4) | MEM, F##n##SUB, F_X87, E(mem)) R(code, D(5) | MEM, F##n##SUBR, F_X87, E(mem)) \
	R(code, D(6) | MEM, F##n##DIV, F_X87, E(mem)) R(code, D(7) | MEM, F##n##DIVR, F_X87, E(mem))
#define FM(code, n, name, mem) R(code, D(n) | MEM, name, F_X87, E(mem))
#define FR(code, n, name, ...) R(code, D(n) | REG, name, F_X87, __VA_ARGS__)
#define F0(code, n, rm, name) R(code, D(n) | RM(rm) | REG, name, F_X87, 0)

static const struct form rows[] = {
	ALU(0x00, ADD, FORM_LOCK)
	R(0x06, X32, PUSH, 0, E(ES)) R(0x07, X32, POP, 0, E(ES))
	ALU(0x08, OR, FORM_LOCK)
	R(0x0e, X32, PUSH, 0, E(CS))
	ALU(0x10, ADC, FORM_LOCK)
	R(0x16, X32, PUSH, 0, E(SS)) R(0x17, X32, POP, 0, E(SS))
	ALU(0x18, SBB, FORM_LOCK)
	R(0x1e, X32, PUSH, 0, E(DS)) R(0x1f, X32, POP, 0, E(DS))
	ALU(0x20, AND, FORM_LOCK)
	R(0x27, X32, DAA, 0, 0)
	ALU(0x28, SUB, FORM_LOCK)
	R(0x2f, X32, DAS, 0, 0)
	ALU(0x30, XOR, FORM_LOCK)
	R(0x37, X32, AAA, 0, 0)
	ALU(0x38, CMP, 0)
	R(0x3f, X32, AAS, 0, 0)
	EIGHT(0x40, INC, 0, E(Zv)) EIGHT(0x48, DEC, 0, E(Zv))
	EIGHT(0x50, PUSH, FORM_DEF64, E(Zv)) EIGHT(0x58, POP, FORM_DEF64, E(Zv))
	R(0x60, X32, PUSHA, 0, 0) R(0x61, X32, POPA, 0, 0)
	R(0x62, X32, BOUND, 0, E(Gv), E(Ma))
	R(0x63, X32, ARPL, 0, E(Ew), E(Gw)) R(0x63, X64, MOVSXD, 0, E(Gv), E(Ez))
	R(0x68, ANY, PUSH, FORM_DEF64, E(Iz)) R(0x69, ANY, IMUL, 0, E(Gv), E(Ev), E(Iz))
	R(0x6a, ANY, PUSH, FORM_DEF64, E(Ibs)) R(0x6b, ANY, IMUL, 0, E(Gv), E(Ev), E(Ibs))
	R(0x6c, ANY, INS, 0, E(Yb), E(DX)) R(0x6d, ANY, INS, 0, E(Yz), E(DX))
	R(0x6e, ANY, OUTS, 0, E(DX), E(Xb)) R(0x6f, ANY, OUTS, 0, E(DX), E(Xz))
	EIGHT(0x70, JCC, FORM_FORCE64, E(Jb)) EIGHT(0x78, JCC, FORM_FORCE64, E(Jb))
	GROUP1(0x80, , Eb, Ibs) GROUP1(0x81, , Ev, Iz) GROUP1(0x82, X32 |, Eb, Ibs) GROUP1(0x83, , Ev, Ibs)
	R(0x84, ANY, TEST, 0, E(Eb), E(Gb)) R(0x85, ANY, TEST, 0, E(Ev), E(Gv))
	R(0x86, ANY, XCHG, FORM_LOCK, E(Eb), E(Gb)) R(0x87, ANY, XCHG, FORM_LOCK, E(Ev), E(Gv))
	R(0x88, ANY, MOV, 0, E(Eb), E(Gb)) R(0x89, ANY, MOV, 0, E(Ev), E(Gv))
	R(0x8a, ANY, MOV, 0, E(Gb), E(Eb)) R(0x8b, ANY, MOV, 0, E(Gv), E(Ev))
	R(0x8c, ANY, MOV_FROM_SEG, 0, E(EvMw), E(Sw)) R(0x8d, ANY, LEA, 0, E(Gv), E(M)) R(0x8e, ANY, MOV_TO_SEG, 0, E(Sw), E(Ew))
	R(0x8f, D(0), POP, FORM_DEF64, E(Ep))
	R(0x90, PF3 | NOREXB, PAUSE, 0, 0) R(0x90, NOREXB, NOP, 0, 0) R(0x90, ANY, XCHG, 0, E(Zv), E(rAX))
#define XCHG(code) R(code, ANY, XCHG, 0, E(Zv), E(rAX))
	XCHG(0x91) XCHG(0x92) XCHG(0x93) XCHG(0x94) XCHG(0x95) XCHG(0x96) XCHG(0x97)
	R(0x98, ANY, CBW, 0, 0) R(0x99, ANY, CWD, 0, 0)
	R(0x9a, X32, CALL_FAR, 0, E(Ap)) R(0x9b, ANY, FWAIT, F_X87, 0)
	R(0x9c, ANY, PUSHF, FORM_DEF64, 0) R(0x9d, ANY, POPF, FORM_DEF64, 0)
	R(0x9e, ANY, SAHF, 0, 0) R(0x9f, ANY, LAHF, 0, 0)
	R(0xa0, ANY, MOV, 0, E(AL), E(Ob)) R(0xa1, ANY, MOV, 0, E(rAX), E(Ov))
	R(0xa2, ANY, MOV, 0, E(Ob), E(AL)) R(0xa3, ANY, MOV, 0, E(Ov), E(rAX))
	R(0xa4, ANY, MOVS, 0, E(Yb), E(Xb)) R(0xa5, ANY, MOVS, 0, E(Yv), E(Xv))
	R(0xa6, ANY, CMPS, 0, E(Xb), E(Yb)) R(0xa7, ANY, CMPS, 0, E(Xv), E(Yv))
	R(0xa8, ANY, TEST, 0, E(AL), E(Ibs)) R(0xa9, ANY, TEST, 0, E(rAX), E(Iz))
	R(0xaa, ANY, STOS, 0, E(Yb), E(AL)) R(0xab, ANY, STOS, 0, E(Yv), E(rAX))
	R(0xac, ANY, LODS, 0, E(AL), E(Xb)) R(0xad, ANY, LODS, 0, E(rAX), E(Xv))
	R(0xae, ANY, SCAS, 0, E(AL), E(Yb)) R(0xaf, ANY, SCAS, 0, E(rAX), E(Yv))
	EIGHT(0xb0, MOV, 0, E(Zb), E(Ibs)) EIGHT(0xb8, MOV, 0, E(Zv), E(Iv))
	SHIFTS(0xc0, Eb, Ib) SHIFTS(0xc1, Ev, Ib)
	R(0xc2, ANY, RET, FORM_FORCE64, E(Iw)) R(0xc3, ANY, RET, FORM_FORCE64, 0)
	R(0xc4, X32, LES, 0, E(Gv), E(Mp)) R(0xc5, X32, LDS, 0, E(Gv), E(Mp))
	R(0xc6, D(0), MOV, 0, E(Eb), E(Ibs)) R(0xc7, D(0), MOV, 0, E(Ev), E(Iz))
	R(0xc8, ANY, ENTER, FORM_DEF64, E(Iw), E(Ib2)) R(0xc9, ANY, LEAVE, FORM_DEF64, 0)
	R(0xca, ANY, RETF, 0, E(Iw)) R(0xcb, ANY, RETF, 0, 0)
	R(0xcc, ANY, INT3, 0, 0) R(0xcd, ANY, INT, 0, E(Ib)) R(0xce, X32, INTO, 0, 0) R(0xcf, ANY, IRET, 0, 0)
	SHIFTS(0xd0, Eb, One) SHIFTS(0xd1, Ev, One) SHIFTS(0xd2, Eb, CL) SHIFTS(0xd3, Ev, CL)
	R(0xd4, X32, AAM, 0, E(Ib)) R(0xd5, X32, AAD, 0, E(Ib)) R(0xd6, X32, SALC, 0, 0) R(0xd7, ANY, XLAT, 0, 0)

	FARITH(0xd8, , Md)
	FR(0xd8, 0, FADD, E(ST0), E(STi)) FR(0xd8, 1, FMUL, E(ST0), E(STi)) FR(0xd8, 2, FCOM, E(STi))
	FR(0xd8, 3, FCOMP, E(STi)) FR(0xd8, 4, FSUB, E(ST0), E(STi)) FR(0xd8, 5, FSUBR, E(ST0), E(STi))
	FR(0xd8, 6, FDIV, E(ST0), E(STi)) FR(0xd8, 7, FDIVR, E(ST0), E(STi))
	FM(0xd9, 0, FLD, Md) FM(0xd9, 2, FST, Md) FM(0xd9, 3, FSTP, Md) FM(0xd9, 4, FLDENV, Menv) FM(0xd9, 5, FLDCW, Mw)
	R(0xd9, D(6) | MEM, FNSTENV, F_X87 | FORM_NOWAIT, E(Menv)) R(0xd9, D(7) | MEM, FNSTCW, F_X87 | FORM_NOWAIT, E(Mw))
	FR(0xd9, 0, FLD, E(STi)) FR(0xd9, 1, FXCH, E(STi)) F0(0xd9, 2, 0, FNOP) FR(0xd9, 3, FSTPNCE, E(STi))
	F0(0xd9, 4, 0, FCHS) F0(0xd9, 4, 1, FABS) F0(0xd9, 4, 4, FTST) F0(0xd9, 4, 5, FXAM)
	F0(0xd9, 5, 0, FLD1) F0(0xd9, 5, 1, FLDL2T) F0(0xd9, 5, 2, FLDL2E) F0(0xd9, 5, 3, FLDPI) F0(0xd9, 5, 4, FLDLG2)
	F0(0xd9, 5, 5, FLDLN2) F0(0xd9, 5, 6, FLDZ)
	F0(0xd9, 6, 0, F2XM1) F0(0xd9, 6, 1, FYL2X) F0(0xd9, 6, 2, FPTAN) F0(0xd9, 6, 3, FPATAN) F0(0xd9, 6, 4, FXTRACT)
	F0(0xd9, 6, 5, FPREM1) F0(0xd9, 6, 6, FDECSTP) F0(0xd9, 6, 7, FINCSTP)
	F0(0xd9, 7, 0, FPREM) F0(0xd9, 7, 1, FYL2XP1) F0(0xd9, 7, 2, FSQRT) F0(0xd9, 7, 3, FSINCOS) F0(0xd9, 7, 4, FRNDINT)
	F0(0xd9, 7, 5, FSCALE) F0(0xd9, 7, 6, FSIN) F0(0xd9, 7, 7, FCOS)
	FARITH(0xda, I, Md)
	FR(0xda, 0, FCMOVB, E(ST0), E(STi)) FR(0xda, 1, FCMOVE, E(ST0), E(STi)) FR(0xda, 2, FCMOVBE, E(ST0), E(STi))
	FR(0xda, 3, FCMOVU, E(ST0), E(STi)) F0(0xda, 5, 1, FUCOMPP)
	FM(0xdb, 0, FILD, Md) FM(0xdb, 1, FISTTP, Md) FM(0xdb, 2, FIST, Md) FM(0xdb, 3, FISTP, Md) FM(0xdb, 5, FLD, Mt) FM(0xdb, 7, FSTP, Mt)
	FR(0xdb, 0, FCMOVNB, E(ST0), E(STi)) FR(0xdb, 1, FCMOVNE, E(ST0), E(STi)) FR(0xdb, 2, FCMOVNBE, E(ST0), E(STi))
	FR(0xdb, 3, FCMOVNU, E(ST0), E(STi)) F0(0xdb, 4, 0, FENI8087) F0(0xdb, 4, 1, FDISI8087)
	R(0xdb, D(4) | RM(2) | REG, FNCLEX, F_X87 | FORM_NOWAIT, 0) R(0xdb, D(4) | RM(3) | REG, FNINIT, F_X87 | FORM_NOWAIT, 0)
	F0(0xdb, 4, 4, FSETPM287) FR(0xdb, 5, FUCOMI, E(ST0), E(STi)) FR(0xdb, 6, FCOMI, E(ST0), E(STi))
	FARITH(0xdc, , Mq)
	FR(0xdc, 0, FADD, E(STi), E(ST0)) FR(0xdc, 1, FMUL, E(STi), E(ST0)) FR(0xdc, 2, FCOM, E(STi))
	FR(0xdc, 3, FCOMP, E(STi)) FR(0xdc, 4, FSUBR, E(STi), E(ST0)) FR(0xdc, 5, FSUB, E(STi), E(ST0))
	FR(0xdc, 6, FDIVR, E(STi), E(ST0)) FR(0xdc, 7, FDIV, E(STi), E(ST0))
	FM(0xdd, 0, FLD, Mq) FM(0xdd, 1, FISTTP, Mq) FM(0xdd, 2, FST, Mq) FM(0xdd, 3, FSTP, Mq) FM(0xdd, 4, FRSTOR, Msave)
	R(0xdd, D(6) | MEM, FNSAVE, F_X87 | FORM_NOWAIT, E(Msave)) R(0xdd, D(7) | MEM, FNSTSW, F_X87 | FORM_NOWAIT, E(Mw))
	FR(0xdd, 0, FFREE, E(STi)) FR(0xdd, 1, FXCH, E(STi)) FR(0xdd, 2, FST, E(STi)) FR(0xdd, 3, FSTP, E(STi))
	FR(0xdd, 4, FUCOM, E(STi)) FR(0xdd, 5, FUCOMP, E(ST0), E(STi))
	FARITH(0xde, I, Mw)
	FR(0xde, 0, FADDP, E(STi), E(ST0)) FR(0xde, 1, FMULP, E(STi), E(ST0)) FR(0xde, 2, FCOMP, E(STi)) F0(0xde, 3, 1, FCOMPP)
	FR(0xde, 4, FSUBRP, E(STi), E(ST0)) FR(0xde, 5, FSUBP, E(STi), E(ST0)) FR(0xde, 6, FDIVRP, E(STi), E(ST0)) FR(0xde, 7, FDIVP, E(STi), E(ST0))
	FM(0xdf, 0, FILD, Mw) FM(0xdf, 1, FISTTP, Mw) FM(0xdf, 2, FIST, Mw) FM(0xdf, 3, FISTP, Mw)
	FM(0xdf, 4, FBLD, Mt) FM(0xdf, 5, FILD, Mq) FM(0xdf, 6, FBSTP, Mt) FM(0xdf, 7, FISTP, Mq)
	FR(0xdf, 0, FFREEP, E(STi)) FR(0xdf, 1, FXCH, E(STi)) FR(0xdf, 2, FSTP, E(STi)) FR(0xdf, 3, FSTP, E(STi))
	R(0xdf, D(4) | RM(0) | REG, FNSTSW, F_X87 | FORM_NOWAIT, E(AX)) FR(0xdf, 5, FUCOMIP, E(ST0), E(STi)) FR(0xdf, 6, FCOMIP, E(ST0), E(STi))

	R(0xe0, ANY, LOOPNE, FORM_FORCE64, E(Jb)) R(0xe1, ANY, LOOPE, FORM_FORCE64, E(Jb))
	R(0xe2, ANY, LOOP, FORM_FORCE64, E(Jb)) R(0xe3, ANY, JCXZ, FORM_FORCE64, E(Jb))
	R(0xe4, ANY, IN, 0, E(AL), E(Ib)) R(0xe5, ANY, IN, 0, E(zAX), E(Ib))
	R(0xe6, ANY, OUT, 0, E(Ib), E(AL)) R(0xe7, ANY, OUT, 0, E(Ib), E(zAX))
	R(0xe8, ANY, CALL, FORM_FORCE64, E(Jz)) R(0xe9, ANY, JMP, FORM_FORCE64, E(Jz))
	R(0xea, X32, JMP_FAR, 0, E(Ap)) R(0xeb, ANY, JMP, FORM_FORCE64, E(Jb))
	R(0xec, ANY, IN, 0, E(AL), E(DX)) R(0xed, ANY, IN, 0, E(zAX), E(DX))
	R(0xee, ANY, OUT, 0, E(DX), E(AL)) R(0xef, ANY, OUT, 0, E(DX), E(zAX))
	R(0xf1, ANY, INT1, 0, 0) R(0xf4, ANY, HLT, 0, 0) R(0xf5, ANY, CMC, 0, 0)
	GROUP3(0xf6, Eb, Ibs) GROUP3(0xf7, Ev, Iz)
	R(0xf8, ANY, CLC, 0, 0) R(0xf9, ANY, STC, 0, 0) R(0xfa, ANY, CLI, 0, 0) R(0xfb, ANY, STI, 0, 0)
	R(0xfc, ANY, CLD, 0, 0) R(0xfd, ANY, STD, 0, 0)
	R(0xfe, D(0), INC, FORM_LOCK, E(Eb)) R(0xfe, D(1), DEC, FORM_LOCK, E(Eb))
	R(0xff, D(0), INC, FORM_LOCK, E(Ev)) R(0xff, D(1), DEC, FORM_LOCK, E(Ev))
	R(0xff, D(2), CALL_IND, FORM_FORCE64, E(Ev)) R(0xff, D(3), CALL_FAR_IND, 0, E(Mp))
	R(0xff, D(4), JMP_IND, FORM_FORCE64, E(Ev)) R(0xff, D(5), JMP_FAR_IND, 0, E(Mp))
	R(0xff, D(6), PUSH, FORM_DEF64, E(Ep))
};
/* clang-format on */

const struct form_map soft_map_one = { rows, sizeof(rows) / sizeof(rows[0]) };
