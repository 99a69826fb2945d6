/* Segment registers, descriptors, limits (SDM volume 3, chapters 3 and 5), and the stack. */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"

struct cpu_segment descriptor_unpack(uint16_t selector, uint64_t d)
{
	struct cpu_segment s = { .selector = selector };

	s.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	s.limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
	s.access = d >> 40 & 0xf0ff;
	if (s.access & CPU_SEG_G)
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

/* Where the selector's descriptor is; false outside the table. */
static bool descriptor_at(struct vcpu *v, uint16_t selector, unsigned size, uint64_t *ret)
{
	uint32_t offset = selector & ~7u;
	uint64_t base = v->gdtr.base;
	uint32_t limit = v->gdtr.limit;

	if (selector & 4) {
		if ((v->seg[CPU_LDTR].access & CPU_SEG_UNUSABLE) ||
			!(v->seg[CPU_LDTR].access & CPU_SEG_P))
			return false;
		base = v->seg[CPU_LDTR].base;
		limit = v->seg[CPU_LDTR].limit;
	}
	if (offset + size - 1 > limit)
		return false;
	*ret = base + offset;
	return true;
}

bool descriptor_read(struct vcpu *v, uint16_t selector, uint64_t *ret)
{
	uint64_t at;

	if (!descriptor_at(v, selector, 8, &at))
		return false;
	*ret = system_read(v, at, 8);
	return true;
}

uint64_t descriptor_need(struct vcpu *v, uint16_t selector, int vector)
{
	uint64_t d;

	if (!descriptor_read(v, selector, &d))
		fault_code(v, vector, selector & 0xfffcu);
	return d;
}

uint64_t descriptor_high(struct vcpu *v, uint16_t selector, int vector)
{
	uint64_t at;

	if (!descriptor_at(v, selector, 16, &at))
		fault_code(v, vector, selector & 0xfffcu);
	return system_read(v, at + 8, 8);
}

void descriptor_set_accessed(struct vcpu *v, uint16_t selector, uint64_t descriptor)
{
	uint64_t at;

	if (!(descriptor & DESC_ACCESSED) && descriptor_at(v, selector, 8, &at))
		system_write(v, at + 5, (descriptor >> 40 & 0xff) | 1, 1);
}

void descriptor_set_busy(struct vcpu *v, uint16_t selector, bool busy)
{
	uint64_t at;
	uint8_t access;

	if (!descriptor_at(v, selector, 8, &at))
		return;
	access = (uint8_t)system_read(v, at + 5, 1);
	system_write(v, at + 5, busy ? access | 2 : access & ~2u, 1);
}

void set_cpl(struct vcpu *v, unsigned cpl)
{
	v->cpl = (uint8_t)cpl;
	mmu_select(v);
}

void segment_changed_cs(struct vcpu *v)
{
	uint32_t access = v->seg[CPU_CS].access;

	if (v->long_mode && (access & CPU_SEG_L))
		v->code = DECODE_64;
	else
		v->code = access & CPU_SEG_DB ? DECODE_32 : DECODE_16;
	v->fetch_page = TLB_NONE;
	segment_changed_ss(v);
}

void segment_changed_ss(struct vcpu *v)
{
	if (v->code == DECODE_64)
		v->stack_mask = UINT64_MAX;
	else
		v->stack_mask = v->seg[CPU_SS].access & CPU_SEG_DB ? UINT32_MAX : UINT16_MAX;
}

static void check_stack_segment(struct vcpu *v, uint16_t selector, uint64_t d)
{
	unsigned rpl = selector & 3;

	if (rpl != v->cpl || !desc_is_data_writable(d) || desc_dpl(d) != v->cpl)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_SS, selector & 0xfffcu);
}

static void check_data_segment(struct vcpu *v, uint16_t selector, uint64_t d)
{
	unsigned rpl = selector & 3, needed = rpl > v->cpl ? rpl : v->cpl;
	bool readable = !(d & DESC_CODE) || (d & DESC_WRITABLE);

	if (!(d & DESC_S) || !readable)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!desc_is_conforming(d) && desc_dpl(d) < needed)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
}

static void load_null(struct vcpu *v, unsigned seg, uint16_t selector)
{
	if (seg == CPU_SS && (v->code != DECODE_64 || v->cpl == 3 || (selector & 3) != v->cpl))
		fault_gp(v);
	v->seg[seg] = (struct cpu_segment){ .selector = selector, .access = CPU_SEG_UNUSABLE };
	if (seg == CPU_SS)
		v->seg[seg].access |= (uint32_t)v->cpl << 5 | CPU_SEG_DB;
}

void segment_load_real(struct vcpu *v, unsigned seg, uint16_t selector)
{
	/* Limits and rights stay: that is what "unreal mode" lives on. */
	v->seg[seg].selector = selector;
	v->seg[seg].base = (uint64_t)selector << 4;
	if (v->seg[seg].access & CPU_SEG_UNUSABLE)
		v->seg[seg].access = 0x93;
}

void segment_load_vm86(struct vcpu *v, unsigned seg, uint16_t selector)
{
	v->seg[seg] = (struct cpu_segment){ (uint64_t)selector << 4, 0xffff, 0xf3, selector };
}

void segment_load(struct vcpu *v, unsigned seg, uint16_t selector)
{
	uint64_t d;

	if (!(v->cr0 & CR0_PE)) {
		segment_load_real(v, seg, selector);
	} else if (v->flags & FL_VM) {
		segment_load_vm86(v, seg, selector);
	} else if (!(selector & 0xfffc)) {
		load_null(v, seg, selector);
	} else {
		d = descriptor_need(v, selector, VECTOR_GP);
		if (seg == CPU_SS)
			check_stack_segment(v, selector, d);
		else
			check_data_segment(v, selector, d);
		descriptor_set_accessed(v, selector, d);
		v->seg[seg] = descriptor_unpack(selector, d | DESC_ACCESSED);
	}
	if (seg == CPU_SS)
		segment_changed_ss(v);
}

static bool within_limit(const struct cpu_segment *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + (size ? size - 1 : 0);

	/* Expand-down data. */
	if ((s->access & 0x1c) == 0x14) {
		uint64_t top = s->access & CPU_SEG_DB ? UINT32_MAX : UINT16_MAX;

		return offset > s->limit && last <= top;
	}
	return last <= s->limit;
}

static bool may_access(const struct cpu_segment *s, bool write)
{
	if (s->access & CPU_SEG_UNUSABLE)
		return false;
	if (s->access & 8)
		return !write && (s->access & 2);
	return !write || (s->access & 2);
}

uint64_t segment_linear(struct vcpu *v, unsigned seg, uint64_t offset, unsigned size, bool write)
{
	const struct cpu_segment *s = &v->seg[seg];

	if (v->code == DECODE_64)
		return seg >= CPU_FS ? s->base + offset : offset;
	if ((!real_or_vm86(v) && !may_access(s, write)) || !within_limit(s, offset, size))
		fault_code(v, seg == CPU_SS ? VECTOR_SS : VECTOR_GP, 0);
	return (uint32_t)(s->base + offset);
}

static uint64_t stack_linear(struct vcpu *v, uint64_t sp, unsigned size, bool write)
{
	if (v->code != DECODE_64)
		return segment_linear(v, CPU_SS, sp, size, write);
	if (!canonical(sp) || !canonical(sp + size - 1))
		fault_code(v, VECTOR_SS, 0);
	return sp;
}

void push(struct vcpu *v, uint64_t value, unsigned size)
{
	uint64_t sp = (v->gpr[4] - size) & v->stack_mask;

	write_size(v, stack_linear(v, sp, size, true), value, size);
	v->gpr[4] = (v->gpr[4] & ~v->stack_mask) | sp;
}

uint64_t stack_peek(struct vcpu *v, uint64_t sp, unsigned size)
{
	return read_size(v, stack_linear(v, sp & v->stack_mask, size, false), size);
}

void stack_poke(struct vcpu *v, uint64_t sp, uint64_t value, unsigned size)
{
	write_size(v, stack_linear(v, sp & v->stack_mask, size, true), value, size);
}

void stack_set(struct vcpu *v, uint64_t sp)
{
	v->gpr[4] = (v->gpr[4] & ~v->stack_mask) | (sp & v->stack_mask);
}

uint64_t pop(struct vcpu *v, unsigned size)
{
	uint64_t value = stack_peek(v, v->gpr[4], size);

	stack_set(v, v->gpr[4] + size);
	return value;
}
