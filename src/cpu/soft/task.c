/* Task switches through task state segments and task gates (SDM volume 3, chapter 7). */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"

/* Offsets in the 32-bit and the 16-bit task state. */
struct layout {
	uint8_t link, cr3, ip, flags, gpr, segments, ldt, size, bytes, n_segments;
};
static const struct layout layout32 = { 0, 0x1c, 0x20, 0x24, 0x28, 0x48, 0x60, 4, 0x67, 6 };
static const struct layout layout16 = { 0, 0, 0x0e, 0x10, 0x12, 0x22, 0x2a, 2, 0x2b, 4 };

/* The segments in the order of both layouts. */
static const uint8_t order[6] = { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS };

static const struct layout *layout_of(uint32_t access)
{
	return (access & CPU_SEG_TYPE) >= SYS_TSS ? &layout32 : &layout16;
}

static void save(struct vcpu *v, uint64_t rip, uint64_t flags)
{
	const struct cpu_segment *tr = &v->seg[CPU_TR];
	const struct layout *l = layout_of(tr->access);

	system_write(v, tr->base + l->ip, rip, l->size);
	system_write(v, tr->base + l->flags, flags, l->size);
	for (unsigned n = 0; n < 8; n++)
		system_write(v, tr->base + l->gpr + n * l->size, v->gpr[n], l->size);
	for (unsigned n = 0; n < l->n_segments; n++)
		system_write(v, tr->base + l->segments + n * l->size, v->seg[order[n]].selector, 2);
}

static uint64_t need_tss(struct vcpu *v, uint16_t selector, enum task_reason reason)
{
	int vector = reason == TASK_IRET ? VECTOR_TS : VECTOR_GP;
	uint64_t d;
	unsigned type;

	if (selector & 4)
		fault_code(v, vector, selector & 0xfffcu);
	d = descriptor_need(v, selector, vector);
	type = desc_type(d);
	if ((d & DESC_S) || (reason == TASK_IRET ? type != SYS_TSS_BUSY && type != SYS_TSS16_BUSY
						 : type != SYS_TSS && type != SYS_TSS16))
		fault_code(v, vector, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
	return d;
}

static void load_ldt(struct vcpu *v, uint16_t selector)
{
	uint64_t d;

	v->seg[CPU_LDTR] = (struct cpu_segment){ .selector = selector, .access = CPU_SEG_UNUSABLE };
	if (!(selector & 0xfffc))
		return;
	if (selector & 4)
		fault_code(v, VECTOR_TS, selector & 0xfffcu);
	d = descriptor_need(v, selector, VECTOR_TS);
	if ((d & DESC_S) || desc_type(d) != SYS_LDT || !(d & DESC_P))
		fault_code(v, VECTOR_TS, selector & 0xfffcu);
	v->seg[CPU_LDTR] = descriptor_unpack(selector, d);
}

/* Segments of the new task; its faults are the new task's. */
static void load_segments(struct vcpu *v, const uint16_t *selector)
{
	uint64_t d;

	if (v->flags & FL_VM) {
		for (unsigned n = 0; n < 6; n++)
			segment_load_vm86(v, order[n], selector[n]);
		set_cpl(v, 3);
		segment_changed_cs(v);
		return;
	}
	d = descriptor_need(v, selector[1], VECTOR_TS);
	if (!desc_is_code(d) || !(d & DESC_P))
		fault_code(v, VECTOR_TS, selector[1] & 0xfffcu);
	v->seg[CPU_CS] = descriptor_unpack(selector[1], d | DESC_ACCESSED);
	set_cpl(v, selector[1] & 3);
	segment_changed_cs(v);
	v->seg[CPU_SS] = stack_segment(v, selector[2], v->cpl);
	segment_changed_ss(v);
	for (unsigned n = 0; n < 6; n++)
		if (order[n] != CPU_CS && order[n] != CPU_SS)
			segment_load(v, order[n], selector[n]);
}

static void load(struct vcpu *v, const struct cpu_segment *tss, uint64_t *link_flags)
{
	const struct layout *l = layout_of(tss->access);
	uint16_t selector[6] = { 0 }, ldt;
	uint64_t cr3 = v->cr3;

	if (l->cr3 && (v->cr0 & CR0_PG))
		cr3 = system_read(v, tss->base + l->cr3, 4);
	v->rip = system_read(v, tss->base + l->ip, l->size);
	*link_flags = system_read(v, tss->base + l->flags, l->size);
	for (unsigned n = 0; n < 8; n++)
		v->gpr[n] = system_read(v, tss->base + l->gpr + n * l->size, l->size);
	for (unsigned n = 0; n < l->n_segments; n++)
		selector[n] = (uint16_t)system_read(v, tss->base + l->segments + n * l->size, 2);
	ldt = (uint16_t)system_read(v, tss->base + l->ldt, 2);
	if (cr3 != v->cr3)
		set_cr3(v, cr3);
	v->flags = (*link_flags & 0x37fd7) | FL_FIXED;
	load_ldt(v, ldt);
	load_segments(v, selector);
}

void task_switch(
	struct vcpu *v, uint16_t selector, enum task_reason reason, bool has_error, uint32_t error)
{
	uint64_t d = need_tss(v, selector, reason), flags = v->flags;
	struct cpu_segment tss = descriptor_unpack(selector, d);
	uint16_t old = v->seg[CPU_TR].selector;
	uint64_t new_flags = 0;

	if (tss.limit < layout_of(tss.access)->bytes)
		fault_code(v, VECTOR_TS, selector & 0xfffcu);
	if (reason == TASK_IRET)
		flags &= ~(uint64_t)FL_NT;
	save(v, v->rip, flags);
	if (reason == TASK_JUMP || reason == TASK_IRET)
		descriptor_set_busy(v, old, false);
	if (reason != TASK_IRET)
		descriptor_set_busy(v, selector, true);
	if (reason == TASK_CALL || reason == TASK_EVENT)
		system_write(v, tss.base, old, 2);
	tss.access |= 2;
	v->seg[CPU_TR] = tss;
	v->cr0 |= CR0_TS;
	load(v, &tss, &new_flags);
	if (reason == TASK_CALL || reason == TASK_EVENT)
		v->flags |= FL_NT;
	v->dr7 &= ~0x155ull;
	mmu_select(v);
	if (has_error)
		push(v, error, layout_of(tss.access)->size);
}
