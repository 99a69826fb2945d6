/* Far transfers: JMP, CALL, RET, IRET between segments and levels, through call gates and tasks (SDM volume 3, 5.8; volume 2). */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"
#include "cpu/soft/ops_fn.h"

static void enter_code(struct vcpu *v, uint16_t selector, uint64_t d, uint64_t rip, unsigned cpl)
{
	struct cpu_segment s =
		descriptor_unpack((uint16_t)((selector & ~3u) | cpl), d | DESC_ACCESSED);

	if (v->long_mode && (d & DESC_L)) {
		if (!canonical(rip))
			fault_gp(v);
	} else if ((rip &= UINT32_MAX) > s.limit) {
		fault_gp(v);
	}
	descriptor_set_accessed(v, selector, d);
	v->seg[CPU_CS] = s;
	v->rip = rip;
	v->cpl = (uint8_t)cpl;
	segment_changed_cs(v);
	mmu_select(v);
}

/* A code segment as the target of JMP, CALL or a return, but for its level. */
static void check_code(struct vcpu *v, uint16_t selector, uint64_t d)
{
	if (!desc_is_code(d) || (v->long_mode && (d & DESC_L) && (d & DESC_DB)))
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
}

static void check_present(struct vcpu *v, uint16_t selector, uint64_t d)
{
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
}

static void real_far(struct vcpu *v, uint16_t selector, uint64_t rip, unsigned opsize, bool is_call)
{
	uint64_t sp = v->gpr[4];

	rip &= size_mask(opsize);
	if (rip > v->seg[CPU_CS].limit)
		fault_gp(v);
	if (is_call) {
		stack_poke(v, sp - opsize, v->seg[CPU_CS].selector, opsize);
		stack_poke(v, sp - 2 * opsize, v->rip, opsize);
		stack_set(v, sp - 2 * opsize);
	}
	if (v->flags & FL_VM)
		segment_load_vm86(v, CPU_CS, selector);
	else
		segment_load_real(v, CPU_CS, selector);
	v->rip = rip;
	v->fetch_page = TLB_NONE;
}

/* Within the level: the return address goes onto the current stack. */
static void far_same(
	struct vcpu *v, uint16_t selector, uint64_t d, uint64_t rip, unsigned opsize, bool is_call)
{
	uint64_t sp = v->gpr[4], next = v->rip;
	uint16_t old = v->seg[CPU_CS].selector;

	if (is_call) {
		stack_poke(v, sp - opsize, old, opsize);
		stack_poke(v, sp - 2 * opsize, next, opsize);
	}
	enter_code(v, selector, d, rip, v->cpl);
	if (is_call)
		v->gpr[4] = v->code == DECODE_64
				    ? sp - 2 * opsize
				    : (sp & ~v->stack_mask) | ((sp - 2 * opsize) & v->stack_mask);
}

static void far_segment(
	struct vcpu *v, uint16_t selector, uint64_t d, uint64_t rip, unsigned opsize, bool is_call)
{
	unsigned rpl = selector & 3;

	check_code(v, selector, d);
	if (desc_is_conforming(d) ? desc_dpl(d) > v->cpl : rpl > v->cpl || desc_dpl(d) != v->cpl)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	check_present(v, selector, d);
	far_same(v, selector, d, rip & size_mask(opsize), opsize, is_call);
}

struct gate {
	uint16_t selector;
	uint64_t rip;
	unsigned count, size;
};

static struct gate read_gate(struct vcpu *v, uint16_t selector, uint64_t d)
{
	struct gate g = { (uint16_t)(d >> 16), d & 0xffff, d >> 32 & 31, 2 };

	if (desc_type(d) == SYS_CALL) {
		g.rip |= d >> 32 & 0xffff0000;
		g.size = 4;
	}
	if (v->long_mode) {
		uint64_t high = descriptor_high(v, selector, VECTOR_GP);

		/* The type field of the second half must be 0. */
		if (high & 0x1f0000000000ull)
			fault_code(v, VECTOR_GP, selector & 0xfffcu);
		g.rip |= high << 32;
		g.size = 8;
		g.count = 0;
	}
	return g;
}

/* To a more privileged level: onto its stack, with the parameters. */
static void call_inner(struct vcpu *v, const struct gate *g, uint64_t d)
{
	unsigned cpl = desc_dpl(d), size = g->size;
	struct new_stack s = stack_of_level(v, cpl, 0);
	struct cpu_segment ss = { 0 };
	struct frame_writer f = { .sp = s.sp, .mask = UINT64_MAX, .table = TLB_KERNEL };

	if (v->long_mode) {
		ss = (struct cpu_segment){ .selector = (uint16_t)cpl,
			.access = CPU_SEG_UNUSABLE | CPU_SEG_DB | cpl << 5 };
	} else {
		ss = stack_segment(v, s.selector, cpl);
		f.ss = &ss;
		f.base = ss.base;
		f.mask = ss.access & CPU_SEG_DB ? UINT32_MAX : UINT16_MAX;
	}
	frame_push(v, &f, v->seg[CPU_SS].selector, size);
	frame_push(v, &f, v->gpr[4], size);
	for (unsigned n = g->count; n > 0; n--)
		frame_push(v, &f, stack_peek(v, v->gpr[4] + (n - 1) * size, size), size);
	frame_push(v, &f, v->seg[CPU_CS].selector, size);
	frame_push(v, &f, v->rip, size);
	enter_code(v, g->selector, d, g->rip, cpl);
	v->seg[CPU_SS] = ss;
	v->gpr[4] = f.sp;
	segment_changed_ss(v);
}

static void far_gate(struct vcpu *v, uint16_t selector, uint64_t gate, bool is_call)
{
	struct gate g;
	uint64_t d;

	if (desc_dpl(gate) < v->cpl || (selector & 3u) > desc_dpl(gate))
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	check_present(v, selector, gate);
	g = read_gate(v, selector, gate);
	if (!(g.selector & 0xfffc))
		fault_gp(v);
	d = descriptor_need(v, g.selector, VECTOR_GP);
	if (!desc_is_code(d) || desc_dpl(d) > v->cpl ||
		(v->long_mode && (d & (DESC_L | DESC_DB)) != DESC_L))
		fault_code(v, VECTOR_GP, g.selector & 0xfffcu);
	if (!is_call && !desc_is_conforming(d) && desc_dpl(d) != v->cpl)
		fault_code(v, VECTOR_GP, g.selector & 0xfffcu);
	check_present(v, g.selector, d);
	if (is_call && !desc_is_conforming(d) && desc_dpl(d) < v->cpl)
		call_inner(v, &g, d);
	else
		far_same(v, g.selector, d, g.rip, g.size, is_call);
}

static void far_transfer(
	struct vcpu *v, uint16_t selector, uint64_t rip, unsigned opsize, bool is_call)
{
	uint64_t d;
	unsigned type;

	if (real_or_vm86(v)) {
		real_far(v, selector, rip, opsize, is_call);
		return;
	}
	if (!(selector & 0xfffc))
		fault_gp(v);
	d = descriptor_need(v, selector, VECTOR_GP);
	type = desc_type(d);
	if (d & DESC_S) {
		far_segment(v, selector, d, rip, opsize, is_call);
	} else if (type == SYS_CALL || (type == SYS_CALL16 && !v->long_mode)) {
		far_gate(v, selector, d, is_call);
	} else if (!v->long_mode && (type == SYS_TSS || type == SYS_TSS16 || type == SYS_TASK)) {
		if (desc_dpl(d) < v->cpl || desc_dpl(d) < (selector & 3u))
			fault_code(v, VECTOR_GP, selector & 0xfffcu);
		if (type == SYS_TASK)
			check_present(v, selector, d);
		task_switch(v, type == SYS_TASK ? (uint16_t)(d >> 16) : selector,
			is_call ? TASK_CALL : TASK_JUMP, false, 0);
	} else {
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	}
}

static void far_indirect(struct vcpu *v, const struct cell *c, bool is_call)
{
	uint64_t linear = linear_of(v, c, c->i.opsize + 2u, false),
		 rip = read_size(v, linear, c->i.opsize);

	far_transfer(v, read16(v, linear + c->i.opsize), rip, c->i.opsize, is_call);
}

void op_jmp_far(struct vcpu *v, const struct cell *c)
{
	far_transfer(v, c->i.imm2, c->i.imm, c->i.opsize, false);
}

void op_call_far(struct vcpu *v, const struct cell *c)
{
	far_transfer(v, c->i.imm2, c->i.imm, c->i.opsize, true);
}

void op_jmp_far_ind(struct vcpu *v, const struct cell *c)
{
	far_indirect(v, c, false);
}

void op_call_far_ind(struct vcpu *v, const struct cell *c)
{
	far_indirect(v, c, true);
}

/* A segment that the outer level may not see becomes null; its base stays, which 64-bit code can see. */
static void drop_inner_segments(struct vcpu *v, unsigned cpl)
{
	static const uint8_t data[4] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };

	for (unsigned n = 0; n < 4; n++) {
		struct cpu_segment *s = &v->seg[data[n]];
		bool conforming = (s->access & 0x1c) == 0x1c;

		if (!(s->access & CPU_SEG_UNUSABLE) && !conforming && (s->access >> 5 & 3) < cpl)
			*s = (struct cpu_segment){ .base = s->base, .access = CPU_SEG_UNUSABLE };
	}
}

static void return_real(struct vcpu *v, unsigned opsize, unsigned pop_bytes, bool is_iret)
{
	uint64_t sp = v->gpr[4], rip = stack_peek(v, sp, opsize), flags = 0;
	uint16_t selector = (uint16_t)stack_peek(v, sp + opsize, opsize);

	if (is_iret) {
		if ((v->flags & FL_VM) && (v->flags & FL_IOPL) != FL_IOPL)
			fault_gp(v);
		flags = stack_peek(v, sp + 2 * opsize, opsize);
	}
	if (rip > v->seg[CPU_CS].limit)
		fault_gp(v);
	if (is_iret)
		set_flags_checked(v, flags, opsize);
	if (v->flags & FL_VM)
		segment_load_vm86(v, CPU_CS, selector);
	else
		segment_load_real(v, CPU_CS, selector);
	v->rip = rip;
	stack_set(v, sp + (is_iret ? 3 : 2) * opsize + pop_bytes);
	mmu_select(v);
}

static void return_to_vm86(struct vcpu *v, uint64_t rip, uint16_t cs, uint64_t flags)
{
	static const uint8_t order[5] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	uint64_t sp = v->gpr[4] + 12, esp = stack_peek(v, sp, 4);
	uint16_t selector[5];

	for (unsigned n = 0; n < 5; n++)
		selector[n] = (uint16_t)stack_peek(v, sp + 4 + 4 * n, 4);
	v->flags = (flags & 0x3f7fd7) | FL_FIXED;
	for (unsigned n = 0; n < 5; n++)
		segment_load_vm86(v, order[n], selector[n]);
	segment_load_vm86(v, CPU_CS, cs);
	v->gpr[4] = esp;
	v->rip = rip & 0xffff;
	v->cpl = 3;
	segment_changed_cs(v);
	mmu_select(v);
}

static void return_flags(struct vcpu *v, uint64_t flags, unsigned opsize, unsigned old_cpl)
{
	uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (opsize > 2)
		mask |= FL_RF | FL_AC | FL_ID;
	if (old_cpl <= (v->flags & FL_IOPL) >> 12)
		mask |= FL_IF;
	if (!old_cpl)
		mask |= FL_IOPL | (opsize > 2 ? FL_VIF | FL_VIP : 0);
	v->flags = (v->flags & ~mask) | (flags & mask) | FL_FIXED;
}

/* The stack to return to, checked; null is fine for 64-bit code but at level 3. */
static struct cpu_segment outer_stack(struct vcpu *v, uint16_t selector, unsigned cpl, bool to_64)
{
	uint64_t d;

	if (!(selector & 0xfffc)) {
		if (!to_64 || cpl == 3)
			fault_gp(v);
		return (struct cpu_segment){ .selector = selector,
			.access = CPU_SEG_UNUSABLE | CPU_SEG_DB | cpl << 5 };
	}
	d = descriptor_need(v, selector, VECTOR_GP);
	if ((selector & 3) != cpl || !desc_is_data_writable(d) || desc_dpl(d) != cpl)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_SS, selector & 0xfffcu);
	descriptor_set_accessed(v, selector, d);
	return descriptor_unpack(selector, d | DESC_ACCESSED);
}

static uint64_t return_code(struct vcpu *v, uint16_t cs)
{
	uint64_t d;

	if (!(cs & 0xfffc))
		fault_gp(v);
	d = descriptor_need(v, cs, VECTOR_GP);
	check_code(v, cs, d);
	if ((cs & 3) < v->cpl ||
		(desc_is_conforming(d) ? desc_dpl(d) > (cs & 3u) : desc_dpl(d) != (cs & 3u)))
		fault_code(v, VECTOR_GP, cs & 0xfffcu);
	check_present(v, cs, d);
	return d;
}

static void return_protected(struct vcpu *v, unsigned opsize, unsigned pop_bytes, bool is_iret)
{
	uint64_t sp = v->gpr[4], rip = stack_peek(v, sp, opsize), flags = 0, new_sp, d;
	uint16_t cs = (uint16_t)stack_peek(v, sp + opsize, opsize);
	unsigned old = v->cpl, items = is_iret ? 3 : 2, cpl = cs & 3;
	struct cpu_segment ss;
	bool with_stack, to_64;

	if (is_iret) {
		flags = stack_peek(v, sp + 2 * opsize, opsize);
		if ((flags & FL_VM) && opsize == 4 && !v->cpl && !v->long_mode) {
			return_to_vm86(v, rip, cs, flags);
			return;
		}
	}
	d = return_code(v, cs);
	/* In 64-bit mode IRET always brings a stack back. */
	with_stack = cpl > old || (is_iret && v->code == DECODE_64);
	to_64 = v->long_mode && (d & DESC_L);
	sp += items * opsize + pop_bytes;
	if (!with_stack) {
		enter_code(v, cs, d, rip, cpl);
		stack_set(v, sp);
	} else {
		new_sp = stack_peek(v, sp, opsize);
		ss = outer_stack(v, (uint16_t)stack_peek(v, sp + opsize, opsize), cpl, to_64);
		enter_code(v, cs, d, rip, cpl);
		v->seg[CPU_SS] = ss;
		segment_changed_ss(v);
		stack_set(v, new_sp + pop_bytes);
		if (cpl > old)
			drop_inner_segments(v, cpl);
	}
	if (is_iret)
		return_flags(v, flags, opsize, old);
	mmu_select(v);
}

void far_return(struct vcpu *v, unsigned opsize, unsigned pop_bytes, bool is_iret)
{
	if (real_or_vm86(v))
		return_real(v, opsize, pop_bytes, is_iret);
	else
		return_protected(v, opsize, pop_bytes, is_iret);
}

void op_retf(struct vcpu *v, const struct cell *c)
{
	far_return(v, c->i.opsize, c->i.opcode == 0xca ? (unsigned)c->i.imm : 0, false);
}

void op_iret(struct vcpu *v, const struct cell *c)
{
	if (!real_or_vm86(v) && (v->flags & FL_NT)) {
		if (v->long_mode)
			fault_gp(v);
		v->nmi_blocked = false;
		task_switch(
			v, (uint16_t)system_read(v, v->seg[CPU_TR].base, 2), TASK_IRET, false, 0);
		return;
	}
	far_return(v, c->i.opsize, 0, true);
	v->nmi_blocked = false;
}

static void load_far_pointer(struct vcpu *v, const struct cell *c, unsigned seg)
{
	uint64_t linear = linear_of(v, c, c->i.opsize + 2u, false),
		 offset = read_size(v, linear, c->i.opsize);

	segment_load(v, seg, read16(v, linear + c->i.opsize));
	reg_set(v, c->reg, offset, c->i.opsize);
}

#define LOAD_FAR(name, seg) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		load_far_pointer(v, c, seg); \
	}
LOAD_FAR(les, CPU_ES)
LOAD_FAR(lds, CPU_DS)
LOAD_FAR(lss, CPU_SS)
LOAD_FAR(lfs, CPU_FS)
LOAD_FAR(lgs, CPU_GS)
