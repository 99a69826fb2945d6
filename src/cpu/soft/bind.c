/* From a decoded instruction to the function that executes it, and which features of CPUID stand for which forms. */
#include "cpu/soft/forms.h"
#include "cpu/soft/ops_fn.h"

/* clang-format off */
/* One function whatever the operands. What is neither here nor in sets[] runs as a stub, or is undefined. */
static op_fn *const functions[OP_COUNT] = {
	[OP_AAA] = op_aaa, [OP_AAD] = op_aad, [OP_AAM] = op_aam, [OP_AAS] = op_aas,
	[OP_ARPL] = op_arpl, [OP_BOUND] = op_bound, [OP_BSF] = op_bsf, [OP_BSR] = op_bsr,
	[OP_BSWAP] = op_bswap, [OP_BT] = op_bt, [OP_BTC] = op_btc, [OP_BTR] = op_btr,
	[OP_BTS] = op_bts, [OP_CALL] = op_call, [OP_CALL_FAR] = op_call_far,
	[OP_CALL_FAR_IND] = op_call_far_ind, [OP_CALL_IND] = op_call_ind, [OP_CBW] = op_cbw,
	[OP_CLAC] = op_clac, [OP_CLC] = op_clc, [OP_CLD] = op_cld, [OP_CLFLUSH] = op_clflush,
	[OP_CLFLUSHOPT] = op_clflush, [OP_CLI] = op_cli, [OP_CLTS] = op_clts, [OP_CLWB] = op_clflush,
	[OP_CMC] = op_cmc, [OP_CMOVCC] = op_cmovcc, [OP_CMPS] = op_cmps, [OP_CMPXCHG] = op_cmpxchg,
	[OP_CMPXCHG16B] = op_cmpxchg16b, [OP_CMPXCHG8B] = op_cmpxchg8b, [OP_CPUID] = op_cpuid,
	[OP_CWD] = op_cwd, [OP_DAA] = op_daa, [OP_DAS] = op_das, [OP_DIV] = op_div,
	[OP_ENTER] = op_enter, [OP_FLDENV] = op_fldenv, [OP_FNSAVE] = op_fnsave,
	[OP_FNSTENV] = op_fnstenv, [OP_FRSTOR] = op_frstor, [OP_FWAIT] = op_fwait,
	[OP_FXRSTOR] = op_fxrstor, [OP_FXSAVE] = op_fxsave, [OP_HLT] = op_hlt, [OP_IDIV] = op_idiv,
	[OP_IMUL] = op_imul, [OP_IMUL1] = op_imul1, [OP_IN] = op_in, [OP_INS] = op_ins,
	[OP_INT] = op_int, [OP_INT1] = op_int1, [OP_INT3] = op_int3, [OP_INTO] = op_into,
	[OP_INVD] = op_wbinvd, [OP_INVLPG] = op_invlpg, [OP_INVPCID] = op_invpcid,
	[OP_IRET] = op_iret, [OP_JCC] = op_jcc, [OP_JCXZ] = op_jcxz, [OP_JMP] = op_jmp,
	[OP_JMP_FAR] = op_jmp_far, [OP_JMP_FAR_IND] = op_jmp_far_ind, [OP_JMP_IND] = op_jmp_ind,
	[OP_LAHF] = op_lahf, [OP_LAR] = op_lar, [OP_LDMXCSR] = op_ldmxcsr, [OP_LDS] = op_lds,
	[OP_LEA] = op_lea, [OP_LEAVE] = op_leave, [OP_LES] = op_les, [OP_LFENCE] = op_fence,
	[OP_LFS] = op_lfs, [OP_LGDT] = op_lgdt, [OP_LGS] = op_lgs, [OP_LIDT] = op_lidt,
	[OP_LLDT] = op_lldt, [OP_LMSW] = op_lmsw, [OP_LODS] = op_lods, [OP_LOOP] = op_loop,
	[OP_LOOPE] = op_loope, [OP_LOOPNE] = op_loopne, [OP_LSL] = op_lsl, [OP_LSS] = op_lss,
	[OP_LTR] = op_ltr, [OP_LZCNT] = op_lzcnt, [OP_MASKMOVDQU] = op_maskmov,
	[OP_MASKMOVQ] = op_maskmov, [OP_MFENCE] = op_fence, [OP_MOVBE] = op_movbe,
	[OP_MOVNTI] = op_movnti, [OP_MOVS] = op_movs, [OP_MOVSX] = op_movsx, [OP_MOVSXD] = op_movsx,
	[OP_MOVZX] = op_movzx, [OP_MOV_FROM_CR] = op_mov_from_cr, [OP_MOV_FROM_DR] = op_mov_from_dr,
	[OP_MOV_FROM_SEG] = op_mov_from_seg, [OP_MOV_TO_CR] = op_mov_to_cr,
	[OP_MOV_TO_DR] = op_mov_to_dr, [OP_MOV_TO_SEG] = op_mov_to_seg, [OP_MUL] = op_mul,
	[OP_NOP] = op_nop, [OP_OUT] = op_out, [OP_OUTS] = op_outs, [OP_PAUSE] = op_pause,
	[OP_POPA] = op_popa, [OP_POPCNT] = op_popcnt, [OP_POPF] = op_popf, [OP_PREFETCH] = op_nop,
	[OP_PREFETCHW] = op_nop, [OP_PUSHA] = op_pusha, [OP_PUSHF] = op_pushf, [OP_RCL] = op_rcl,
	[OP_RCR] = op_rcr, [OP_RDFSBASE] = op_rdfsbase, [OP_RDGSBASE] = op_rdgsbase,
	[OP_RDMSR] = op_rdmsr, [OP_RDPID] = op_rdpid, [OP_RDPKRU] = op_rdpkru, [OP_RDPMC] = op_rdpmc, [OP_RDRAND] = op_rdrand,
	[OP_RDSEED] = op_rdseed, [OP_RDTSC] = op_rdtsc, [OP_RDTSCP] = op_rdtscp, [OP_RET] = op_ret,
	[OP_RETF] = op_retf, [OP_ROL] = op_rol, [OP_ROR] = op_ror, [OP_SAHF] = op_sahf,
	[OP_SALC] = op_salc, [OP_SAR] = op_sar, [OP_SCAS] = op_scas, [OP_SETCC] = op_setcc,
	[OP_SFENCE] = op_fence, [OP_SGDT] = op_sgdt, [OP_SHL] = op_shl, [OP_SHLD] = op_shld,
	[OP_SHR] = op_shr, [OP_SHRD] = op_shrd, [OP_SIDT] = op_sidt, [OP_SLDT] = op_sldt,
	[OP_SMSW] = op_smsw, [OP_STAC] = op_stac, [OP_STC] = op_stc, [OP_STD] = op_std,
	[OP_STI] = op_sti, [OP_STMXCSR] = op_stmxcsr, [OP_STOS] = op_stos, [OP_STR] = op_str,
	[OP_SWAPGS] = op_swapgs, [OP_SYSCALL] = op_syscall, [OP_SYSENTER] = op_sysenter,
	[OP_SYSEXIT] = op_sysexit, [OP_SYSRET] = op_sysret, [OP_TZCNT] = op_tzcnt,
	[OP_VERR] = op_verr, [OP_VERW] = op_verw, [OP_VGATHERDPD] = op_gather,
	[OP_VGATHERDPS] = op_gather, [OP_VGATHERQPD] = op_gather, [OP_VGATHERQPS] = op_gather,
	[OP_VLDMXCSR] = op_ldmxcsr, [OP_VMASKMOVDQU] = op_maskmov, [OP_VMASKMOVPD] = op_vmaskmov,
	[OP_VMASKMOVPS] = op_vmaskmov, [OP_VMCALL] = op_hypercall, [OP_VMMCALL] = op_hypercall, [OP_VPGATHERDD] = op_gather, [OP_VPGATHERDQ] = op_gather,
	[OP_VPGATHERQD] = op_gather, [OP_VPGATHERQQ] = op_gather, [OP_VPMASKMOVD] = op_vmaskmov,
	[OP_VPMASKMOVQ] = op_vmaskmov, [OP_VSTMXCSR] = op_stmxcsr, [OP_VZEROALL] = op_vzero,
	[OP_VZEROUPPER] = op_vzero, [OP_WBINVD] = op_wbinvd, [OP_WRFSBASE] = op_wrfsbase,
	[OP_WRGSBASE] = op_wrgsbase, [OP_WRMSR] = op_wrmsr, [OP_WRPKRU] = op_wrpkru, [OP_XADD] = op_xadd, [OP_XCHG] = op_xchg,
	[OP_XGETBV] = op_xgetbv, [OP_XLAT] = op_xlat, [OP_XRSTOR] = op_xrstor, [OP_XSAVE] = op_xsave,
	[OP_XSAVEC] = op_xsave, [OP_XSAVEOPT] = op_xsave, [OP_XSETBV] = op_xsetbv,
};
/* clang-format on */

static const struct alu_set *const sets[OP_COUNT] = {
	[OP_ADD] = &alu_add,
	[OP_OR] = &alu_or,
	[OP_ADC] = &alu_adc,
	[OP_SBB] = &alu_sbb,
	[OP_AND] = &alu_and,
	[OP_SUB] = &alu_sub,
	[OP_XOR] = &alu_xor,
	[OP_CMP] = &alu_cmp,
	[OP_TEST] = &alu_test,
	[OP_INC] = &alu_inc,
	[OP_DEC] = &alu_dec,
	[OP_NEG] = &alu_neg,
	[OP_NOT] = &alu_not,
	[OP_MOV] = &alu_mov,
};

/* Where CPUID says that a feature is there: leaf, subleaf, register (0-3: eax to edx), bit. */
static const struct {
	uint32_t leaf;
	uint8_t feature, subleaf, reg, bit;
} features[] = {
	{ 1, F_X87, 0, 3, 0 },
	{ 1, F_MMX, 0, 3, 23 },
	{ 1, F_SSE, 0, 3, 25 },
	{ 1, F_SSE2, 0, 3, 26 },
	{ 1, F_FXSR, 0, 3, 24 },
	{ 1, F_SSE3, 0, 2, 0 },
	{ 1, F_PCLMUL, 0, 2, 1 },
	{ 1, F_SSSE3, 0, 2, 9 },
	{ 1, F_FMA, 0, 2, 12 },
	{ 1, F_CX16, 0, 2, 13 },
	{ 1, F_SSE41, 0, 2, 19 },
	{ 1, F_SSE42, 0, 2, 20 },
	{ 1, F_CRC32, 0, 2, 20 },
	{ 1, F_MOVBE, 0, 2, 22 },
	{ 1, F_POPCNT, 0, 2, 23 },
	{ 1, F_AES, 0, 2, 25 },
	{ 1, F_XSAVE, 0, 2, 26 },
	{ 1, F_AVX, 0, 2, 28 },
	{ 1, F_F16C, 0, 2, 29 },
	{ 1, F_RDRAND, 0, 2, 30 },
	{ 7, F_FSGSBASE, 0, 1, 0 },
	{ 7, F_BMI1, 0, 1, 3 },
	{ 7, F_AVX2, 0, 1, 5 },
	{ 7, F_BMI2, 0, 1, 8 },
	{ 7, F_INVPCID, 0, 1, 10 },
	{ 7, F_RDSEED, 0, 1, 18 },
	{ 7, F_ADX, 0, 1, 19 },
	{ 7, F_SMAP, 0, 1, 20 },
	{ 7, F_CLFLUSHOPT, 0, 1, 23 },
	{ 7, F_CLWB, 0, 1, 24 },
	{ 7, F_SHA, 0, 1, 29 },
	{ 7, F_PKU, 0, 2, 3 },
	{ 7, F_VAES, 0, 2, 9 },
	{ 7, F_VPCLMUL, 0, 2, 10 },
	{ 7, F_RDPID, 0, 2, 22 },
	{ 7, F_PKS, 0, 2, 31 },
	{ 7, F_SMEP, 0, 1, 7 },
	{ 7, F_UMIP, 0, 2, 2 },
	{ 1, F_PCID, 0, 2, 17 },
	{ 0xd, F_XSAVEOPT, 1, 0, 0 },
	{ 0xd, F_XSAVEC, 1, 0, 1 },
	{ 0x40000001, F_HYPERCALL, 0, 0, 11 },
	{ 0x80000001, F_LZCNT, 0, 2, 5 },
	{ 0x80000001, F_RDTSCP, 0, 3, 27 },
};

void bind_features(struct cpu *cpu)
{
	cpu->features[F_BASE] = 1;
	for (size_t n = 0; n < sizeof(features) / sizeof(features[0]); n++)
		cpu->features[features[n].feature] = cpuid_has(cpu->cpuid, features[n].leaf,
			features[n].subleaf, features[n].reg, features[n].bit);
}

static bool available(const struct cpu *cpu, const struct insn *i)
{
	uint32_t flags = i->form->flags, feature = flags & FORM_FEATURE;

	if (!cpu->features[feature])
		return false;
	if (!(i->prefixes & PREFIX_VEX))
		return true;
	/* VPINSRQ and VPEXTRQ outside 64-bit code: Intel's processors do not look at W there. */
	if ((i->op == OP_VPINSRD || i->op == OP_VPEXTRD) && i->w && cpu->is_amd)
		return false;
	if ((flags & FORM_L1_AVX2) && i->l && !cpu->features[F_AVX2])
		return false;
	if (feature == F_AES || feature == F_PCLMUL)
		return cpu->features[F_AVX] &&
		       (!i->l || cpu->features[feature == F_AES ? F_VAES : F_VPCLMUL]);
	return true;
}

static unsigned size_index(unsigned size)
{
	return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}

static op_fn *bind_set(const struct alu_set *set, const struct cell *c)
{
	uint8_t first = soft_specs[c->i.form->operand[0]].source,
		second = soft_specs[c->i.form->operand[1]].source;
	unsigned form = first == FROM_REG ? 1 : 0;

	if (second == FROM_IMM || second == FROM_SIMM)
		form = 2;
	if (first == FROM_MOFFS)
		return op_mov_store;
	if (second == FROM_MOFFS)
		return op_mov_load;
	return set->fn[form][size_index(c->size)];
}

static op_fn *bind_stack(const struct cell *c)
{
	const struct spec_info *spec = &soft_specs[c->i.form->operand[0]];

	if (c->i.op == OP_PUSH)
		return spec->source == FROM_OPCODE ? op_push_reg : op_push;
	if (spec->class == CLASS_SEG)
		return op_pop_seg;
	return spec->source == FROM_OPCODE ? op_pop_reg : op_pop;
}

/* Counts of zeros that the guest does not have are scans with a prefix without effect. */
static op_fn *without_counts(const struct cpu *cpu, const struct cell *c)
{
	if (c->i.op == OP_LZCNT && !cpu->features[F_LZCNT])
		return op_bsr;
	if (c->i.op == OP_TZCNT && !cpu->features[F_BMI1])
		return op_bsf;
	return NULL;
}

op_fn *bind_op(struct cpu *cpu, struct cell *c)
{
	op_fn *counts = without_counts(cpu, c);

	if (counts)
		return counts;
	if (!available(cpu, &c->i))
		return op_undefined;
	if (functions[c->i.op])
		return functions[c->i.op];
	if (sets[c->i.op])
		return bind_set(sets[c->i.op], c);
	if (c->i.op == OP_PUSH || c->i.op == OP_POP)
		return bind_stack(c);
	if ((c->i.form->flags & FORM_FEATURE) == F_BASE)
		return op_undefined;
	c->stub = stub_for(cpu, &c->i);
	return c->stub ? op_stub : op_scratch_stub;
}

bool bind_ends_block(const struct cell *c)
{
	static const enum op ends[] = {
		OP_JMP,
		OP_JCC,
		OP_JMP_IND,
		OP_CALL,
		OP_CALL_IND,
		OP_RET,
		OP_LOOP,
		OP_LOOPE,
		OP_LOOPNE,
		OP_JCXZ,
		OP_INT,
		OP_INT3,
		OP_INTO,
		OP_INT1,
		OP_SYSCALL,
		OP_SYSRET,
		OP_SYSENTER,
		OP_SYSEXIT,
		OP_JMP_FAR,
		OP_CALL_FAR,
		OP_JMP_FAR_IND,
		OP_CALL_FAR_IND,
		OP_RETF,
		OP_IRET,
		OP_HLT,
		OP_MOV_TO_CR,
		OP_MOV_TO_DR,
		OP_LMSW,
		OP_MOV_TO_SEG,
		OP_LSS,
		OP_LES,
		OP_LDS,
		OP_LFS,
		OP_LGS,
		OP_STI,
		OP_POPF,
		OP_WRMSR,
		OP_INVLPG,
		OP_INVPCID,
		OP_CLAC,
		OP_STAC,
		OP_PAUSE,
		OP_MOVS,
		OP_STOS,
		OP_LODS,
		OP_CMPS,
		OP_SCAS,
		OP_INS,
		OP_OUTS,
		OP_OUT,
	};

	if (c->fn == op_pop_seg || c->fn == op_undefined)
		return true;
	for (size_t n = 0; n < sizeof(ends) / sizeof(ends[0]); n++)
		if (ends[n] == c->i.op)
			return true;
	return false;
}
