/* Executes stubs with the guest's operands and exceptions; and the vector instructions that touch memory by elements. */
#include "cpu/soft/access.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

#define HOST_MXCSR 0x1f80u
#define FX_USED 160u
#define MXCSR_MASKS 0x1f80u
#define MXCSR_UM 0x800u
#define MXCSR_FTZ 0x8000u
#define FSW_ES 0x80u

static void check_x87(struct vcpu *v, bool wait)
{
	uint16_t status;

	if (v->cr0 & (CR0_EM | CR0_TS))
		fault(v, VECTOR_NM);
	memcpy(&status, v->frame.fx + 2, 2);
	if (wait && (status & FSW_ES))
		fault(v, VECTOR_MF);
}

static void check_mmx(struct vcpu *v)
{
	if (v->cr0 & CR0_EM)
		fault_ud(v);
	check_x87(v, true);
}

void check_vector(struct vcpu *v, bool vex)
{
	if (vex) {
		if (real_or_vm86(v) || !(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & 6) != 6)
			fault_ud(v);
	} else if ((v->cr0 & CR0_EM) || !(v->cr4 & CR4_OSFXSR)) {
		fault_ud(v);
	}
	if (v->cr0 & CR0_TS)
		fault(v, VECTOR_NM);
}

static void check_units(struct vcpu *v, const struct cell *c, const struct stub *s)
{
	if (s->is_x87)
		check_x87(v, !(c->i.form->flags & FORM_NOWAIT));
	else if (s->is_vector)
		check_vector(v, s->is_vex);
	else if (!s->is_mmx && s->is_vex && real_or_vm86(v))
		fault_ud(v);
	if (s->is_mmx)
		check_mmx(v);
}

static void load_operands(struct vcpu *v, const struct cell *c, const struct stub *s)
{
	struct frame *f = &v->frame;
	unsigned loads = s->loads;

	if (loads & LOAD_XMM0)
		memcpy(f->vec[FRAME_XMM0], v->ymm[0], 32);
	if (loads & LOAD_REG)
		memcpy(f->vec[FRAME_REG], v->ymm[c->i.reg & 15], 32);
	if (loads & LOAD_VVVV)
		memcpy(f->vec[FRAME_VVVV], v->ymm[c->i.vvvv], 32);
	if (loads & LOAD_RM)
		memcpy(f->vec[FRAME_RM], v->ymm[c->i.rm & 15], 32);
	if (loads & LOAD_IS4)
		memcpy(f->vec[FRAME_IS4], v->ymm[c->i.imm >> 4 & (v->code == DECODE_64 ? 15 : 7)],
			32);
	if (loads & LOAD_GPR_REG)
		f->gpr[FRAME_GPR_REG] = v->gpr[c->i.reg];
	if (loads & LOAD_GPR_RM)
		f->gpr[FRAME_GPR_RM] = REG_AT(v, c->rm, uint64_t);
	if (loads & LOAD_GPR_VVVV)
		f->gpr[FRAME_GPR_VVVV] = v->gpr[c->i.vvvv];
	if (loads & LOAD_GPR_FIXED) {
		f->gpr[FRAME_RAX] = v->gpr[0];
		f->gpr[FRAME_RCX] = v->gpr[1];
		f->gpr[FRAME_RDX] = v->gpr[2];
	}
	f->flags = (v->flags & FL_ARITH) | FL_FIXED;
	f->mxcsr = (v->mxcsr & ~0x3fu) | MXCSR_MASKS;
	/* Unmasked, underflow is raised for tiny results that are exact too; flushing to zero tells of those. */
	if (!(v->mxcsr & MXCSR_UM))
		f->mxcsr |= MXCSR_FTZ;
	f->host_mxcsr = HOST_MXCSR;
	f->memory = f->buffer;
}

static void store_results(struct vcpu *v, const struct cell *c, const struct stub *s)
{
	struct frame *f = &v->frame;

	switch ((enum stub_target)s->target) {
	case TARGET_VEC_REG:
		memcpy(v->ymm[c->i.reg & 15], f->vec[FRAME_REG], 32);
		break;
	case TARGET_VEC_VVVV:
		memcpy(v->ymm[c->i.vvvv], f->vec[FRAME_VVVV], 32);
		break;
	case TARGET_VEC_RM:
		memcpy(v->ymm[c->i.rm & 15], f->vec[FRAME_RM], 32);
		break;
	case TARGET_GPR_REG:
		if (c->i.op == OP_MULX)
			gpr_set(v, c->i.vvvv, f->gpr[FRAME_GPR_VVVV], c->size);
		gpr_set(v, c->i.reg, f->gpr[FRAME_GPR_REG], c->size);
		break;
	case TARGET_GPR_RM:
		reg_set(v, c->rm, f->gpr[FRAME_GPR_RM], c->size);
		break;
	case TARGET_GPR_VVVV:
		gpr_set(v, c->i.vvvv, f->gpr[FRAME_GPR_VVVV], c->size);
		break;
	case TARGET_NONE:
		break;
	}
	if (s->loads & LOAD_FLAGS)
		v->flags = (v->flags & ~(uint64_t)FL_ARITH) | (f->flags & FL_ARITH);
}

/* Results in registers that the form does not show. */
static void store_implicit(struct vcpu *v, const struct cell *c, const struct stub *s)
{
	struct frame *f = &v->frame;

	switch (c->i.op) {
	case OP_PCMPESTRI:
	case OP_VPCMPESTRI:
	case OP_PCMPISTRI:
	case OP_VPCMPISTRI:
		v->gpr[1] = (uint32_t)f->gpr[FRAME_RCX];
		break;
	case OP_PCMPESTRM:
	case OP_VPCMPESTRM:
	case OP_PCMPISTRM:
	case OP_VPCMPISTRM:
		memcpy(v->ymm[0], f->vec[FRAME_XMM0], 32);
		break;
	case OP_FNSTSW:
		if (!s->writes_memory)
			gpr_set(v, 0, f->gpr[FRAME_RAX], 2);
		break;
	}
}

/* Runs it again as the guest has it, to know exactly which flags an exception that is not masked leaves. */
static uint32_t exact_flags(struct vcpu *v, const struct cell *c, const struct stub *s)
{
	load_operands(v, c, s);
	v->frame.mxcsr = v->mxcsr & ~0x3fu;
	return trap_run(s, &v->frame);
}

/* False: one of the exceptions that the instruction raised is not masked. `fx`: the x87 unit as it was before. */
static bool simd_exception(
	struct vcpu *v, const struct cell *c, const struct stub *s, const uint8_t *fx)
{
	uint32_t raised = v->frame.mxcsr & 0x3f, unmasked = raised & ~(v->mxcsr >> 7);

	if (unmasked) {
		if (s->is_mmx)
			memcpy(v->frame.fx, fx, FX_USED);
		raised = exact_flags(v, c, s);
	}
	v->mxcsr |= raised;
	return !unmasked;
}

static noreturn void raise_simd_exception(struct vcpu *v)
{
	if (v->cr4 & CR4_OSXMMEXCPT)
		fault(v, VECTOR_XM);
	fault_ud(v);
}

/* The pointers that FNSTENV and FXSAVE give: of the last instruction that is not a control instruction. */
static void note_x87(struct vcpu *v, const struct cell *c, uint64_t linear)
{
	switch (c->i.op) {
	case OP_FNCLEX:
	case OP_FLDCW:
	case OP_FNSTCW:
	case OP_FNSTSW:
	case OP_FWAIT:
	case OP_FNINIT:
		if (c->i.op == OP_FNINIT) {
			v->fpu_ip = v->fpu_dp = 0;
			v->fpu_cs = v->fpu_ds = v->fpu_op = 0;
		}
		return;
	}
	v->fpu_ip = v->start;
	v->fpu_cs = v->seg[CPU_CS].selector;
	v->fpu_op = (uint16_t)((c->i.opcode & 7) << 8 | c->i.modrm);
	if (c->i.memory) {
		v->fpu_dp = effective(v, c);
		v->fpu_ds = v->seg[c->i.segment].selector;
	}
}

/* The operand's address, of which the lowest bits count. */
static uint64_t low_address(struct vcpu *v, const struct cell *c)
{
	return effective(v, c) + (c->flat ? 0 : v->seg[c->i.segment].base);
}

void op_stub(struct vcpu *v, const struct cell *c)
{
	const struct stub *s = c->stub;
	uint64_t linear = 0;
	uint8_t before[FX_USED];

	check_units(v, c, s);
	if (c->i.memory) {
		/* Before the segment's limit. */
		if (s->align && (low_address(v, c) & (s->align - 1u)))
			fault_gp(v);
		linear = linear_of(v, c, s->memory_size, s->writes_memory);
		/* An unmasked exception leaves an x87 store's destination as it was. */
		if (s->writes_memory && s->is_x87)
			mmu_probe_write(v, linear, s->memory_size);
		if (s->reads_memory || s->is_x87)
			mmu_read_bytes(v, linear, v->frame.buffer, s->memory_size);
		else
			mmu_probe_write(v, linear, s->memory_size);
	}
	load_operands(v, c, s);
	if (s->is_fp && s->is_mmx)
		memcpy(before, v->frame.fx, sizeof(before));
	s->run(&v->frame);
	if (s->is_fp && !simd_exception(v, c, s, before)) {
		/* The result must not be seen. */
		if (s->is_mmx) {
			memcpy(v->frame.fx, before, sizeof(before));
			mmx_used(v);
		}
		raise_simd_exception(v);
	}
	if (s->writes_memory)
		mmu_write_bytes(v, linear, v->frame.buffer, s->memory_size);
	store_results(v, c, s);
	if (s->loads & (LOAD_GPR_FIXED | LOAD_XMM0))
		store_implicit(v, c, s);
	if (s->is_x87)
		note_x87(v, c, linear);
}

/* Where the shared stubs have filled their room: generated each time. */
void op_scratch_stub(struct vcpu *v, const struct cell *c)
{
	struct cell own = *c;

	own.stub = stub_scratch(v->cpu, v->link->index, &c->i);
	op_stub(v, &own);
}

void op_vzero(struct vcpu *v, const struct cell *c)
{
	unsigned n = v->code == DECODE_64 ? 16 : 8;

	check_vector(v, true);
	for (unsigned r = 0; r < n; r++)
		memset(v->ymm[r] + (c->i.l ? 0 : 16), 0, c->i.l ? 32 : 16);
}

void op_ldmxcsr(struct vcpu *v, const struct cell *c)
{
	uint32_t value;

	check_vector(v, c->i.prefixes & PREFIX_VEX);
	value = (uint32_t)rm_get(v, c, 4);
	if (value >> 16)
		fault_gp(v);
	v->mxcsr = value;
}

void op_stmxcsr(struct vcpu *v, const struct cell *c)
{
	check_vector(v, c->i.prefixes & PREFIX_VEX);
	rm_set(v, c, v->mxcsr, 4);
}

/* MASKMOVDQU, MASKMOVQ: the bytes whose mask byte is negative, to DS:rDI. */
void op_maskmov(struct vcpu *v, const struct cell *c)
{
	bool mmx = c->i.op == OP_MASKMOVQ;
	unsigned n = mmx ? 8 : 16;
	const uint8_t *data = mmx ? v->frame.fx + 32 + 16 * (c->i.reg & 7) : v->ymm[c->i.reg & 15];
	const uint8_t *mask = mmx ? v->frame.fx + 32 + 16 * (c->i.rm & 7) : v->ymm[c->i.rm & 15];
	uint64_t ea = v->gpr[7] & size_mask(c->i.addrsize), linear;

	if (mmx) {
		check_mmx(v);
		mmx_used(v);
	} else {
		check_vector(v, c->i.prefixes & PREFIX_VEX);
	}
	linear = linear_at(v, c, ea, n, true);
	mmu_probe_write(v, linear, n);
	for (unsigned i = 0; i < n; i++)
		if (mask[i] & 0x80)
			write8(v, linear + i, data[i]);
}

/* An MMX instruction makes all registers valid and sets their top to 0. The image has them in the order from the
 * top; those of MMX are fixed. */
void mmx_used(struct vcpu *v)
{
	uint8_t *registers = v->frame.fx + 32, old[128];
	unsigned top = v->frame.fx[3] >> 3 & 7;

	memcpy(old, registers, sizeof(old));
	for (unsigned n = 0; n < 8; n++)
		memcpy(registers + 16 * n, old + 16 * ((n - top) & 7), 16);
	v->frame.fx[3] &= (uint8_t)~0x38;
	v->frame.fx[4] = 0xff;
}

static bool mask_bit(const uint8_t *mask, unsigned n, unsigned size)
{
	return mask[n * size + size - 1] & 0x80;
}

void op_vmaskmov(struct vcpu *v, const struct cell *c)
{
	bool quad = c->i.op == OP_VMASKMOVPD || c->i.op == OP_VPMASKMOVQ,
	     store = c->i.opcode == 0x2e || c->i.opcode == 0x2f || c->i.opcode == 0x8e;
	unsigned size = quad ? 8 : 4, bytes = c->i.l ? 32 : 16;
	const uint8_t *mask = v->ymm[c->i.vvvv];
	uint8_t result[32] = { 0 };
	uint64_t ea;

	check_vector(v, true);
	ea = effective(v, c);
	for (unsigned n = 0; n < bytes / size; n++) {
		uint64_t value, linear;

		if (!mask_bit(mask, n, size))
			continue;
		/* Each element's address wraps by itself. */
		linear = linear_at(v, c, (ea + n * size) & size_mask(c->i.addrsize), size, store);
		if (store) {
			memcpy(&value, v->ymm[c->i.reg] + n * size, size);
			write_size(v, linear, value, size);
		} else {
			value = read_size(v, linear, size);
			memcpy(result + n * size, &value, size);
		}
	}
	if (!store)
		memcpy(v->ymm[c->i.reg], result, 32);
}

/* Gathers: an element that is through is no more in the mask, so that a fault can be returned from. */
void op_gather(struct vcpu *v, const struct cell *c)
{
	bool wide_index = c->i.opcode & 1;
	unsigned size = c->i.w ? 8 : 4, index_size = wide_index ? 8 : 4, bytes = c->i.l ? 32 : 16;
	unsigned n = bytes / (size > index_size ? size : index_size);
	uint64_t base = REG_AT(v, c->base, uint64_t) + (uint64_t)(int64_t)c->i.disp;
	uint8_t *mask = v->ymm[c->i.vvvv], *dest = v->ymm[c->i.reg], indexes[32];

	check_vector(v, true);
	memcpy(indexes, v->ymm[c->i.index], 32);
	for (unsigned i = 0; i < n; i++) {
		int64_t index = 0;
		uint64_t value;

		if (mask_bit(mask, i, size)) {
			memcpy(&index, indexes + i * index_size, index_size);
			index = wide_index ? index : (int32_t)index;
			value = (base + ((uint64_t)index << c->i.scale)) & size_mask(c->i.addrsize);
			value = read_size(v, linear_at(v, c, value, size, false), size);
			memcpy(dest + i * size, &value, size);
		}
		memset(mask + i * size, 0, size);
	}
	memset(mask, 0, 32);
	memset(dest + n * size, 0, 32 - n * size);
}
