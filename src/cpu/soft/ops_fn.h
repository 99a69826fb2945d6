#pragma once
/* The operations' functions, and the sets of those that have one a size and place of operands. */
#include "cpu/soft/soft.h"

/* By where the operands are (E,G; G,E; E,immediate) and size (1, 2, 4, 8). */
struct alu_set {
	op_fn *fn[3][4];
};
extern const struct alu_set alu_add, alu_or, alu_adc, alu_sbb, alu_and, alu_sub, alu_xor, alu_cmp,
	alu_test;
extern const struct alu_set alu_inc, alu_dec, alu_neg, alu_not, alu_mov;

/* simd.c */
void check_vector(struct vcpu *v, bool vex);
void mmx_used(struct vcpu *v);
/* move.c */
void push_selector(struct vcpu *v, uint16_t selector, unsigned size);

/* clang-format off */
op_fn op_aaa, op_aad, op_aam, op_aas, op_arpl, op_bound, op_bsf, op_bsr, op_bswap, op_bt, op_btc,
	op_btr, op_bts, op_call, op_call_far, op_call_far_ind, op_call_ind, op_cbw, op_clac, op_clc,
	op_cld, op_clflush, op_cli, op_clts, op_cmc, op_cmovcc, op_cmps, op_cmpxchg, op_cmpxchg16b,
	op_cmpxchg8b, op_cpuid, op_cwd, op_daa, op_das, op_div, op_enter, op_fence, op_fldenv,
	op_fnsave, op_fnstenv, op_frstor, op_fwait, op_fxrstor, op_fxsave, op_gather, op_hlt, op_hypercall, op_idiv,
	op_imul, op_imul1, op_in, op_ins, op_int, op_int1, op_int3, op_into, op_invlpg, op_invpcid,
	op_iret, op_jcc, op_jcxz, op_jmp, op_jmp_far, op_jmp_far_ind, op_jmp_ind, op_lahf, op_lar,
	op_ldmxcsr, op_lds, op_lea, op_leave, op_les, op_lfs, op_lgdt, op_lgs, op_lidt, op_lldt,
	op_lmsw, op_lods, op_loop, op_loope, op_loopne, op_lsl, op_lss, op_ltr, op_lzcnt, op_maskmov,
	op_mov_from_cr, op_mov_from_dr, op_mov_from_seg, op_mov_load, op_mov_store, op_mov_to_cr,
	op_mov_to_dr, op_mov_to_seg, op_movbe, op_movnti, op_movs, op_movsx, op_movzx, op_mul, op_nop,
	op_out, op_outs, op_pause, op_pop, op_pop_reg, op_pop_seg, op_popa, op_popcnt, op_popf,
	op_push, op_push_reg, op_pusha, op_pushf, op_rcl, op_rcr, op_rdfsbase, op_rdgsbase, op_rdmsr,
	op_rdpid, op_rdpkru, op_rdpmc, op_rdrand, op_rdseed, op_rdtsc, op_rdtscp, op_ret, op_retf, op_rol,
	op_ror, op_sahf, op_salc, op_sar, op_scas, op_setcc, op_sgdt, op_shl, op_shld, op_shr,
	op_shrd, op_sidt, op_sldt, op_smsw, op_stac, op_stc, op_std, op_sti, op_stmxcsr, op_stos,
	op_str, op_swapgs, op_syscall, op_sysenter, op_sysexit, op_sysret, op_tzcnt, op_verr, op_verw,
	op_vmaskmov, op_vzero, op_wbinvd, op_wrfsbase, op_wrgsbase, op_wrmsr, op_wrpkru, op_xadd, op_xchg,
	op_xgetbv, op_xlat, op_xrstor, op_xsave, op_xsetbv;
/* clang-format on */
