/* Delivery of interrupts and exceptions (SDM volume 3, chapter 6): real mode, 16- and 32-bit gates, vm86, long mode. */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"

/* Bits of error codes about an IDT entry. */
#define ERROR_IDT 2u

static uint32_t idt_error(const struct vcpu *v)
{
	return (uint32_t)v->event.vector * 8 + ERROR_IDT;
}

void frame_push(struct vcpu *v, struct frame_writer *f, uint64_t value, unsigned size)
{
	uint64_t sp = (f->sp - size) & f->mask;

	if (f->ss) {
		const struct cpu_segment *s = f->ss;
		bool down = (s->access & 0x1c) == 0x14;

		if (down ? sp <= s->limit : sp + size - 1 > s->limit)
			fault_code(v, VECTOR_SS, v->event.vector >= 0 ? 0 : 0);
		mmu_write_slow(v, (uint32_t)(f->base + sp), value, size, f->table);
	} else {
		if (!canonical(sp))
			fault_code(v, VECTOR_SS, 0);
		mmu_write_slow(v, sp, value, size, f->table);
	}
	f->sp = (f->sp & ~f->mask) | sp;
}

struct new_stack stack_of_level(struct vcpu *v, unsigned cpl, unsigned ist)
{
	const struct cpu_segment *tr = &v->seg[CPU_TR];
	struct new_stack s = { 0, 0 };
	unsigned offset;
	uint32_t error = tr->selector & 0xfffcu;

	if (v->long_mode) {
		offset = ist ? 0x24 + 8 * (ist - 1) : 4 + 8 * cpl;
		if (offset + 7 > tr->limit)
			fault_code(v, VECTOR_TS, error);
		s.selector = (uint16_t)cpl;
		s.sp = system_read(v, tr->base + offset, 8);
		if (!canonical(s.sp))
			fault_code(v, VECTOR_SS, 0);
	} else if ((tr->access & CPU_SEG_TYPE) >= SYS_TSS) {
		offset = 4 + 8 * cpl;
		if (offset + 5 > tr->limit)
			fault_code(v, VECTOR_TS, error);
		s.sp = system_read(v, tr->base + offset, 4);
		s.selector = (uint16_t)system_read(v, tr->base + offset + 4, 2);
	} else {
		offset = 2 + 4 * cpl;
		if (offset + 3 > tr->limit)
			fault_code(v, VECTOR_TS, error);
		s.sp = system_read(v, tr->base + offset, 2);
		s.selector = (uint16_t)system_read(v, tr->base + offset + 2, 2);
	}
	return s;
}

struct cpu_segment stack_segment(struct vcpu *v, uint16_t selector, unsigned cpl)
{
	uint64_t d;

	if (!(selector & 0xfffc))
		fault_code(v, VECTOR_TS, 0);
	d = descriptor_need(v, selector, VECTOR_TS);
	if ((selector & 3) != cpl || desc_dpl(d) != cpl || !desc_is_data_writable(d))
		fault_code(v, VECTOR_TS, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_SS, selector & 0xfffcu);
	descriptor_set_accessed(v, selector, d);
	return descriptor_unpack(selector, d | DESC_ACCESSED);
}

static void real_mode(struct vcpu *v)
{
	uint32_t entry, offset = (uint32_t)v->event.vector * 4;
	uint64_t sp = v->gpr[4], flags = v->flags;

	if (offset + 3 > v->idtr.limit)
		fault_code(v, VECTOR_GP, idt_error(v));
	entry = (uint32_t)system_read(v, v->idtr.base + offset, 4);
	stack_poke(v, sp - 2, flags, 2);
	stack_poke(v, sp - 4, v->seg[CPU_CS].selector, 2);
	stack_poke(v, sp - 6, v->rip, 2);
	stack_set(v, sp - 6);
	v->flags &= ~(uint64_t)(FL_IF | FL_TF | FL_AC | FL_RF);
	segment_load_real(v, CPU_CS, (uint16_t)(entry >> 16));
	v->rip = entry & 0xffff;
	mmu_select(v);
}

/* The flags as the handler's IRET will bring them back. */
static uint64_t flags_to_push(const struct vcpu *v)
{
	static const uint32_t faults = 1u << VECTOR_DE | 1u << VECTOR_BR | 1u << VECTOR_UD |
				       1u << VECTOR_NM | 1u << VECTOR_TS | 1u << VECTOR_NP |
				       1u << VECTOR_SS | 1u << VECTOR_GP | 1u << VECTOR_PF |
				       1u << VECTOR_MF | 1u << VECTOR_AC | 1u << VECTOR_XM;

	if (v->event.vector < 32 && !v->event.is_soft && !v->event.is_interrupt &&
		(faults >> v->event.vector & 1))
		return v->flags | FL_RF;
	return v->flags;
}

static void check_gate(struct vcpu *v, uint64_t gate)
{
	if (v->event.is_soft && desc_dpl(gate) < v->cpl)
		fault_code(v, VECTOR_GP, idt_error(v));
	if (!(gate & DESC_P))
		fault_code(v, VECTOR_NP, idt_error(v));
}

/* The handler's code segment; *cpl: the level that it runs at. */
static uint64_t handler_code(struct vcpu *v, uint16_t selector, unsigned *cpl)
{
	uint64_t d;

	if (!(selector & 0xfffc))
		fault_gp(v);
	d = descriptor_need(v, selector, VECTOR_GP);
	if (!desc_is_code(d) || desc_dpl(d) > v->cpl)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (v->long_mode && (d & (DESC_L | DESC_DB)) != DESC_L)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
	*cpl = desc_is_conforming(d) ? v->cpl : desc_dpl(d);
	if ((v->flags & FL_VM) && *cpl != 0)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	return d;
}

static void enter_handler(
	struct vcpu *v, uint16_t selector, uint64_t d, uint64_t rip, unsigned type, unsigned cpl)
{
	descriptor_set_accessed(v, selector, d);
	v->seg[CPU_CS] = descriptor_unpack((uint16_t)((selector & ~3u) | cpl), d | DESC_ACCESSED);
	v->rip = rip;
	v->flags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM);
	if (!(type & 1))
		v->flags &= ~(uint64_t)FL_IF;
	v->cpl = (uint8_t)cpl;
	segment_changed_cs(v);
	mmu_select(v);
}

static void long_mode(struct vcpu *v)
{
	uint64_t gate, high, d, flags = flags_to_push(v);
	uint32_t offset = (uint32_t)v->event.vector * 16;
	struct frame_writer f = { .mask = UINT64_MAX };
	unsigned type, cpl, ist;
	uint16_t selector;

	if (offset + 15 > v->idtr.limit)
		fault_code(v, VECTOR_GP, idt_error(v));
	gate = system_read(v, v->idtr.base + offset, 8);
	high = system_read(v, v->idtr.base + offset + 8, 8);
	type = gate >> 40 & 31;
	if (type != SYS_INT && type != SYS_TRAP)
		fault_code(v, VECTOR_GP, idt_error(v));
	check_gate(v, gate);
	selector = (uint16_t)(gate >> 16);
	ist = gate >> 32 & 7;
	d = handler_code(v, selector, &cpl);
	f.sp = ist || cpl < v->cpl ? stack_of_level(v, cpl, ist).sp : v->gpr[4];
	f.sp &= ~15ull;
	f.table = cpl == 3 ? TLB_USER : TLB_KERNEL;
	frame_push(v, &f, v->seg[CPU_SS].selector, 8);
	frame_push(v, &f, v->gpr[4], 8);
	frame_push(v, &f, flags, 8);
	frame_push(v, &f, v->seg[CPU_CS].selector, 8);
	frame_push(v, &f, v->rip, 8);
	if (v->event.has_error)
		frame_push(v, &f, v->event.error, 8);
	if (cpl < v->cpl)
		v->seg[CPU_SS] = (struct cpu_segment){ .selector = (uint16_t)cpl,
			.access = CPU_SEG_UNUSABLE | CPU_SEG_DB | cpl << 5 };
	v->gpr[4] = f.sp;
	enter_handler(v, selector, d, (gate & 0xffff) | (gate >> 32 & 0xffff0000) | high << 32,
		type, cpl);
}

/* Out of vm86 the data segments are saved too, and come back null. */
static void push_vm86_segments(struct vcpu *v, struct frame_writer *f, unsigned size)
{
	static const uint8_t order[4] = { CPU_GS, CPU_FS, CPU_DS, CPU_ES };

	for (unsigned n = 0; n < 4; n++)
		frame_push(v, f, v->seg[order[n]].selector, size);
}

static void clear_vm86_segments(struct vcpu *v)
{
	static const uint8_t order[4] = { CPU_GS, CPU_FS, CPU_DS, CPU_ES };

	for (unsigned n = 0; n < 4; n++)
		v->seg[order[n]] = (struct cpu_segment){ .access = CPU_SEG_UNUSABLE };
}

static void protected_gate(struct vcpu *v, uint64_t gate, unsigned type)
{
	unsigned cpl, size = type >= SYS_INT ? 4 : 2;
	uint16_t selector = (uint16_t)(gate >> 16);
	uint64_t flags = flags_to_push(v), d = handler_code(v, selector, &cpl);
	bool vm86 = v->flags & FL_VM, inner = cpl < v->cpl;
	struct cpu_segment ss = v->seg[CPU_SS];
	struct frame_writer f = { .sp = v->gpr[4], .ss = &ss };
	uint64_t rip = (gate & 0xffff) | (size == 4 ? gate >> 32 & 0xffff0000 : 0);

	if (inner) {
		struct new_stack s = stack_of_level(v, cpl, 0);

		ss = stack_segment(v, s.selector, cpl);
		f.sp = s.sp;
	}
	f.base = ss.base;
	f.mask = ss.access & CPU_SEG_DB ? UINT32_MAX : UINT16_MAX;
	f.table = cpl == 3 ? TLB_USER : TLB_KERNEL;
	if (vm86)
		push_vm86_segments(v, &f, size);
	if (inner) {
		frame_push(v, &f, v->seg[CPU_SS].selector, size);
		frame_push(v, &f, v->gpr[4], size);
	}
	frame_push(v, &f, flags, size);
	frame_push(v, &f, v->seg[CPU_CS].selector, size);
	frame_push(v, &f, v->rip, size);
	if (v->event.has_error)
		frame_push(v, &f, v->event.error, size);
	if (vm86)
		clear_vm86_segments(v);
	v->seg[CPU_SS] = ss;
	v->gpr[4] = f.sp;
	enter_handler(v, selector, d, rip, type, cpl);
}

static void protected_mode(struct vcpu *v)
{
	uint32_t offset = (uint32_t)v->event.vector * 8;
	uint64_t gate;
	unsigned type;

	if (offset + 7 > v->idtr.limit)
		fault_code(v, VECTOR_GP, idt_error(v));
	gate = system_read(v, v->idtr.base + offset, 8);
	type = gate >> 40 & 31;
	if (type != SYS_TASK && type != SYS_INT16 && type != SYS_TRAP16 && type != SYS_INT &&
		type != SYS_TRAP)
		fault_code(v, VECTOR_GP, idt_error(v));
	check_gate(v, gate);
	if (type == SYS_TASK)
		task_switch(
			v, (uint16_t)(gate >> 16), TASK_EVENT, v->event.has_error, v->event.error);
	else
		protected_gate(v, gate, type);
}

void interrupt_deliver(struct vcpu *v)
{
	v->activity = CPU_RUN;
	if (v->event.is_nmi)
		v->nmi_blocked = true;
	if (v->event.vector == VECTOR_DB && !v->event.is_soft)
		v->dr7 &= ~0x2000ull;
	if (!(v->cr0 & CR0_PE))
		real_mode(v);
	else if (v->long_mode)
		long_mode(v);
	else
		protected_mode(v);
	v->event.vector = -1;
	v->event.is_interrupt = v->event.is_soft = v->event.is_nmi = v->event.has_error = false;
}

void interrupt_software(struct vcpu *v, int vector, bool is_int_n)
{
	/* INT n in vm86 with IOPL < 3 is the monitor's business. */
	if (is_int_n && (v->flags & FL_VM) && (v->flags & FL_IOPL) != FL_IOPL)
		fault_gp(v);
	v->event.vector = vector;
	v->event.is_soft = true;
	v->event.has_error = false;
}
