#pragma once
/* Guest memory and registers as operations see them: the TLB's fast path, inline. */
#include <string.h>

#include "cpu/soft/soft.h"

#define REG_AT(v, offset, T) (*(T *)((char *)(v) + (offset)))

static inline struct tlb_entry *tlb_slot(struct tlb_entry *table, uint64_t linear)
{
	return &table[(linear >> PAGE_BITS) & (TLB_ENTRIES - 1)];
}

static inline unsigned current_table(const struct vcpu *v)
{
	if (v->cpl == 3)
		return TLB_USER;
	return v->flags & FL_AC ? TLB_KERNEL_AC : TLB_KERNEL;
}

/* One comparison for tag, permission and page crossing: the difference is the offset when the tag fits. */
static inline bool holds(uint64_t tag, uint64_t linear, unsigned size)
{
	return (linear ^ tag) <= PAGE_BYTES - size;
}

#define DEFINE_ACCESS(bits) \
	static inline uint##bits##_t read##bits(struct vcpu *v, uint64_t linear) \
	{ \
		const struct tlb_entry *e = tlb_slot(v->tlb, linear); \
		if (likely(holds(e->read, linear, bits / 8))) \
			return *(volatile uint##bits##_t *)(linear + e->addend); \
		return (uint##bits##_t)mmu_read_slow(v, linear, bits / 8, current_table(v)); \
	} \
	static inline void write##bits(struct vcpu *v, uint64_t linear, uint##bits##_t value) \
	{ \
		const struct tlb_entry *e = tlb_slot(v->tlb, linear); \
		if (likely(holds(e->write, linear, bits / 8))) \
			*(volatile uint##bits##_t *)(linear + e->addend) = value; \
		else \
			mmu_write_slow(v, linear, value, bits / 8, current_table(v)); \
	}
DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)

static inline uint64_t read_size(struct vcpu *v, uint64_t linear, unsigned size)
{
	switch (size) {
	case 1:
		return read8(v, linear);
	case 2:
		return read16(v, linear);
	case 4:
		return read32(v, linear);
	default:
		return read64(v, linear);
	}
}

static inline void write_size(struct vcpu *v, uint64_t linear, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		write8(v, linear, (uint8_t)value);
		break;
	case 2:
		write16(v, linear, (uint16_t)value);
		break;
	case 4:
		write32(v, linear, (uint32_t)value);
		break;
	default:
		write64(v, linear, value);
	}
}

/* A pointer through which to read and write in place (atomically with LOCK); rw_end() after the write. */
static inline void *rw_begin(struct vcpu *v, uint64_t linear, unsigned size)
{
	const struct tlb_entry *e = tlb_slot(v->tlb, linear);

	if (likely(holds(e->write, linear, size)))
		return (void *)(linear + e->addend);
	return mmu_rw_slow(v, linear, size, current_table(v));
}

static inline void rw_end(struct vcpu *v)
{
	if (unlikely(v->rw_kind))
		mmu_rw_finish(v);
}

/* System data: as supervisor, whatever the CPL. */
static inline uint64_t system_read(struct vcpu *v, uint64_t linear, unsigned size)
{
	return mmu_read_slow(v, linear, size, TLB_KERNEL);
}

static inline void system_write(struct vcpu *v, uint64_t linear, uint64_t value, unsigned size)
{
	mmu_write_slow(v, linear, value, size, TLB_KERNEL);
}

/* The memory operand's offset in its segment. */
static inline uint64_t effective(struct vcpu *v, const struct cell *c)
{
	uint64_t ea = REG_AT(v, c->base, uint64_t) + (REG_AT(v, c->index, uint64_t) << c->i.scale) +
		      (uint64_t)(int64_t)c->i.disp;

	if (likely(c->i.addrsize == 8))
		return ea;
	return c->i.addrsize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

static inline uint64_t linear_at(
	struct vcpu *v, const struct cell *c, uint64_t ea, unsigned size, bool write)
{
	if (likely(c->flat))
		return ea;
	return segment_linear(v, c->i.segment, ea, size, write);
}

static inline uint64_t linear_of(struct vcpu *v, const struct cell *c, unsigned size, bool write)
{
	return linear_at(v, c, effective(v, c), size, write);
}

/* A register of an operand size: writing 32 bits clears the upper half. */
static inline uint64_t reg_get(const struct vcpu *v, unsigned offset, unsigned size)
{
	const char *p = (const char *)v + offset;

	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

static inline void reg_set(struct vcpu *v, unsigned offset, uint64_t value, unsigned size)
{
	char *p = (char *)v + offset;

	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)p = (uint16_t)value;
		break;
	case 4:
		*(uint64_t *)p = (uint32_t)value;
		break;
	default:
		*(uint64_t *)p = value;
	}
}

static inline void gpr_set(struct vcpu *v, unsigned n, uint64_t value, unsigned size)
{
	reg_set(v, (unsigned)(offsetof(struct vcpu, gpr) + 8 * n), value, size);
}

/* The E operand. */
static inline uint64_t rm_get(struct vcpu *v, const struct cell *c, unsigned size)
{
	return c->i.memory ? read_size(v, linear_of(v, c, size, false), size)
			   : reg_get(v, c->rm, size);
}

static inline void rm_set(struct vcpu *v, const struct cell *c, uint64_t value, unsigned size)
{
	if (c->i.memory)
		write_size(v, linear_of(v, c, size, true), value, size);
	else
		reg_set(v, c->rm, value, size);
}

static inline bool canonical(uint64_t linear)
{
	return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

static inline uint64_t size_mask(unsigned size)
{
	return size == 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

static inline bool condition(uint64_t flags, unsigned n)
{
	bool r;

	switch (n >> 1) {
	case 0:
		r = flags & FL_OF;
		break;
	case 1:
		r = flags & FL_CF;
		break;
	case 2:
		r = flags & FL_ZF;
		break;
	case 3:
		r = flags & (FL_CF | FL_ZF);
		break;
	case 4:
		r = flags & FL_SF;
		break;
	case 5:
		r = flags & FL_PF;
		break;
	case 6:
		r = ((flags >> 7) ^ (flags >> 11)) & 1;
		break;
	default:
		r = (((flags >> 7) ^ (flags >> 11)) & 1) || (flags & FL_ZF);
	}
	return r ^ (n & 1);
}
