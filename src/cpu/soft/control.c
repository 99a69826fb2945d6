/* Near control transfers, software interrupts, SYSCALL and SYSENTER. */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"
#include "cpu/soft/ops_fn.h"

void jump_to(struct vcpu *v, uint64_t rip, unsigned opsize)
{
	rip &= size_mask(opsize);
	if (v->code == DECODE_64) {
		if (!canonical(rip))
			fault_gp(v);
	} else if (rip > v->seg[CPU_CS].limit) {
		fault_gp(v);
	}
	v->rip = rip;
}

void op_jmp(struct vcpu *v, const struct cell *c)
{
	jump_to(v, v->rip + c->i.imm, c->i.opsize);
}

void op_jcc(struct vcpu *v, const struct cell *c)
{
	if (condition(v->flags, insn_condition(&c->i)))
		jump_to(v, v->rip + c->i.imm, c->i.opsize);
}

void op_jmp_ind(struct vcpu *v, const struct cell *c)
{
	jump_to(v, rm_get(v, c, c->i.opsize), c->i.opsize);
}

/* The target is checked before the push, so that a bad one leaves the stack as it was. */
static void call(struct vcpu *v, uint64_t target, unsigned opsize)
{
	uint64_t next = v->rip;

	jump_to(v, target, opsize);
	push(v, next, opsize);
}

void op_call(struct vcpu *v, const struct cell *c)
{
	call(v, v->rip + c->i.imm, c->i.opsize);
}

void op_call_ind(struct vcpu *v, const struct cell *c)
{
	call(v, rm_get(v, c, c->i.opsize), c->i.opsize);
}

void op_ret(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4];

	jump_to(v, stack_peek(v, sp, c->i.opsize), c->i.opsize);
	stack_set(v, sp + c->i.opsize + (c->i.opcode == 0xc2 ? c->i.imm : 0));
}

static bool count_down(struct vcpu *v, const struct cell *c, uint64_t *left)
{
	*left = (v->gpr[1] - 1) & size_mask(c->i.addrsize);
	return *left != 0;
}

static void loop(struct vcpu *v, const struct cell *c, bool also)
{
	uint64_t left;

	if (count_down(v, c, &left) && also)
		jump_to(v, v->rip + c->i.imm, c->i.opsize);
	gpr_set(v, 1, left, c->i.addrsize);
}

void op_loop(struct vcpu *v, const struct cell *c)
{
	loop(v, c, true);
}

void op_loope(struct vcpu *v, const struct cell *c)
{
	loop(v, c, v->flags & FL_ZF);
}

void op_loopne(struct vcpu *v, const struct cell *c)
{
	loop(v, c, !(v->flags & FL_ZF));
}

void op_jcxz(struct vcpu *v, const struct cell *c)
{
	if (!(v->gpr[1] & size_mask(c->i.addrsize)))
		jump_to(v, v->rip + c->i.imm, c->i.opsize);
}

void op_int(struct vcpu *v, const struct cell *c)
{
	interrupt_software(v, (int)c->i.imm, true);
}

void op_int3(struct vcpu *v, const struct cell *c)
{
	interrupt_software(v, VECTOR_BP, false);
}

void op_into(struct vcpu *v, const struct cell *c)
{
	if (v->flags & FL_OF)
		interrupt_software(v, VECTOR_OF, false);
}

/* Like a hardware event: the gate's DPL does not matter. */
void op_int1(struct vcpu *v, const struct cell *c)
{
	v->event.vector = VECTOR_DB;
	v->event.has_error = false;
}

void op_bound(struct vcpu *v, const struct cell *c)
{
	unsigned size = c->i.opsize;
	/* Whether the upper bound is in the segment matters after the lower one was read. */
	uint64_t low = read_size(v, linear_of(v, c, size, false), size),
		 high = read_size(v, linear_of(v, c, 2 * size, false) + size, size),
		 index = reg_get(v, c->reg, size);
	bool out = size == 2 ? (int16_t)index < (int16_t)low || (int16_t)index > (int16_t)high
			     : (int32_t)index < (int32_t)low || (int32_t)index > (int32_t)high;

	if (out)
		fault(v, VECTOR_BR);
}

void op_undefined(struct vcpu *v, const struct cell *c)
{
	fault_ud(v);
}

/* More than 15 bytes. */
void op_too_long(struct vcpu *v, const struct cell *c)
{
	fault_gp(v);
}

/* Flat segments as SYSCALL and SYSENTER make them; no descriptor is read. */
static void flat_code(struct vcpu *v, uint16_t selector, unsigned cpl, bool is_64)
{
	v->seg[CPU_CS] = (struct cpu_segment){ 0, UINT32_MAX,
		CPU_SEG_G | CPU_SEG_P | CPU_SEG_S | 0xb | cpl << 5 |
			(is_64 ? CPU_SEG_L : CPU_SEG_DB),
		(uint16_t)((selector & ~3u) | cpl) };
	v->cpl = (uint8_t)cpl;
}

static void flat_stack(struct vcpu *v, uint16_t selector, unsigned cpl)
{
	v->seg[CPU_SS] = (struct cpu_segment){ 0, UINT32_MAX,
		CPU_SEG_G | CPU_SEG_DB | CPU_SEG_P | CPU_SEG_S | 3 | cpl << 5,
		(uint16_t)((selector & ~3u) | cpl) };
}

static void transferred(struct vcpu *v)
{
	segment_changed_cs(v);
	mmu_select(v);
}

/* SYSCALL and SYSRET step by the TF that they leave, not by the one that they found. */
static void step_after(struct vcpu *v)
{
	if (v->flags & FL_TF)
		soft_debug(v, DR6_STEP);
}

void op_syscall(struct vcpu *v, const struct cell *c)
{
	uint16_t selector = (uint16_t)(v->star >> 32);

	if (!(v->efer & EFER_SCE) || !(v->cr0 & CR0_PE))
		fault_ud(v);
	v->gpr[1] = v->rip;
	if (v->long_mode) {
		v->gpr[11] = v->flags & ~(uint64_t)FL_RF;
		v->rip = v->code == DECODE_64 ? v->lstar : v->cstar;
		v->flags &= ~(v->sfmask | FL_RF);
		v->flags |= FL_FIXED;
	} else {
		v->rip = v->star & UINT32_MAX;
		v->flags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
	}
	flat_code(v, selector, 0, v->long_mode);
	flat_stack(v, (uint16_t)(selector + 8), 0);
	transferred(v);
	step_after(v);
}

void op_sysret(struct vcpu *v, const struct cell *c)
{
	uint16_t selector = (uint16_t)(v->star >> 48);
	bool to_64 = c->i.opsize == 8;

	if (!(v->efer & EFER_SCE))
		fault_ud(v);
	if (!(v->cr0 & CR0_PE) || v->cpl)
		fault_gp(v);
	if (to_64 && !canonical(v->gpr[1]))
		fault_gp(v);
	if (v->long_mode)
		v->flags = (v->gpr[11] & 0x3c7fd7) | FL_FIXED;
	else
		v->flags |= FL_IF;
	v->rip = to_64 ? v->gpr[1] : (uint32_t)v->gpr[1];
	flat_code(v, (uint16_t)(selector + (to_64 ? 16 : 0)), 3, to_64);
	flat_stack(v, (uint16_t)(selector + 8), 3);
	transferred(v);
	step_after(v);
}

void op_sysenter(struct vcpu *v, const struct cell *c)
{
	uint16_t selector = (uint16_t)(v->sysenter_cs & 0xfffc);

	if (!(v->cr0 & CR0_PE) || !selector)
		fault_gp(v);
	v->flags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
	flat_code(v, selector, 0, v->long_mode);
	flat_stack(v, (uint16_t)(selector + 8), 0);
	v->rip = v->long_mode ? v->sysenter_eip : (uint32_t)v->sysenter_eip;
	v->gpr[4] = v->long_mode ? v->sysenter_esp : (uint32_t)v->sysenter_esp;
	transferred(v);
}

void op_sysexit(struct vcpu *v, const struct cell *c)
{
	uint16_t selector = (uint16_t)(v->sysenter_cs & 0xfffc);
	bool to_64 = c->i.opsize == 8;

	if (!(v->cr0 & CR0_PE) || !selector || v->cpl)
		fault_gp(v);
	if (to_64 && (!canonical(v->gpr[1]) || !canonical(v->gpr[2])))
		fault_gp(v);
	flat_code(v, (uint16_t)(selector + (to_64 ? 32 : 16)), 3, to_64);
	flat_stack(v, (uint16_t)(selector + (to_64 ? 40 : 24)), 3);
	v->rip = to_64 ? v->gpr[2] : (uint32_t)v->gpr[2];
	v->gpr[4] = to_64 ? v->gpr[1] : (uint32_t)v->gpr[1];
	transferred(v);
}
