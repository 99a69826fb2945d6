/* Shifts, rotations, bit tests and scans. */
#include "cpu/soft/access.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

#define SHIFT_OF(name, insn, T) \
	static T name##_##T(T d, uint8_t count, uint32_t *flags) \
	{ \
		uint32_t ax = *flags; \
		__asm__(FLAGS_IN insn " %%cl, %0" FLAGS_OUT : "+&r"(d), "+&a"(ax) : "c"(count)); \
		*flags = ax; \
		return d; \
	}

static uint8_t shift_count(const struct vcpu *v, const struct cell *c)
{
	return c->i.form->operand[1] && (c->i.opcode | 1) == 0xd3 ? (uint8_t)v->gpr[1]
								  : (uint8_t)c->i.imm;
}

/* Even a count of zero writes memory's page dirty, as processors do; registers of 32 bits are extended. */
#define SHIFT_OP(name, insn) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		uint32_t ax = flags_to_ax(v->flags); \
		uint8_t count = shift_count(v, c); \
		void *p = c->i.memory ? rw_begin(v, linear_of(v, c, c->size, true), c->size) \
				      : (char *)v + c->rm; \
		switch (c->size) { \
		case 1: \
			*(uint8_t *)p = name##_uint8_t(*(uint8_t *)p, count, &ax); \
			break; \
		case 2: \
			*(uint16_t *)p = name##_uint16_t(*(uint16_t *)p, count, &ax); \
			break; \
		case 4: \
			*(uint32_t *)p = name##_uint32_t(*(uint32_t *)p, count, &ax); \
			if (!c->i.memory) \
				*(uint64_t *)p &= UINT32_MAX; \
			break; \
		default: \
			*(uint64_t *)p = name##_uint64_t(*(uint64_t *)p, count, &ax); \
		} \
		rw_end(v); \
		flags_from_ax(v, ax); \
	}
#define SHIFT(name, insn) \
	SHIFT_OF(name, insn, uint8_t) \
	SHIFT_OF(name, insn, uint16_t) \
	SHIFT_OF(name, insn, uint32_t) \
	SHIFT_OF(name, insn, uint64_t) \
	SHIFT_OP(name, insn)

SHIFT(rol, "rol")
SHIFT(ror, "ror")
SHIFT(rcl, "rcl")
SHIFT(rcr, "rcr")
SHIFT(shl, "shl")
SHIFT(shr, "shr")
SHIFT(sar, "sar")

#define DOUBLE_OF(name, insn, T) \
	static T name##_##T(T d, T src, uint8_t count, uint32_t *flags) \
	{ \
		uint32_t ax = *flags; \
		__asm__(FLAGS_IN insn " %%cl, %2, %0" FLAGS_OUT \
			: "+&r"(d), "+&a"(ax) \
			: "r"(src), "c"(count)); \
		*flags = ax; \
		return d; \
	}
#define DOUBLE_OP(name, insn) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		uint32_t ax = flags_to_ax(v->flags); \
		uint8_t count = (c->i.opcode & 1) ? (uint8_t)v->gpr[1] : (uint8_t)c->i.imm; \
		uint64_t src = reg_get(v, c->reg, c->size); \
		void *p = c->i.memory ? rw_begin(v, linear_of(v, c, c->size, true), c->size) \
				      : (char *)v + c->rm; \
		switch (c->size) { \
		case 2: \
			*(uint16_t *)p = \
				name##_uint16_t(*(uint16_t *)p, (uint16_t)src, count, &ax); \
			break; \
		case 4: \
			*(uint32_t *)p = \
				name##_uint32_t(*(uint32_t *)p, (uint32_t)src, count, &ax); \
			if (!c->i.memory) \
				*(uint64_t *)p &= UINT32_MAX; \
			break; \
		default: \
			*(uint64_t *)p = name##_uint64_t(*(uint64_t *)p, src, count, &ax); \
		} \
		rw_end(v); \
		flags_from_ax(v, ax); \
	}
#define DOUBLE(name, insn) \
	DOUBLE_OF(name, insn, uint16_t) \
	DOUBLE_OF(name, insn, uint32_t) \
	DOUBLE_OF(name, insn, uint64_t) \
	DOUBLE_OP(name, insn)
DOUBLE(shld, "shld")
DOUBLE(shrd, "shrd")

/* The bit's offset from a register reaches beyond the memory operand, in units of its size. */
static uint64_t bit_linear(struct vcpu *v, const struct cell *c, uint64_t bit, bool write)
{
	int64_t offset = 0;

	if (c->i.opcode != 0xba) {
		offset = c->size == 2 ? (int16_t)bit : c->size == 4 ? (int32_t)bit : (int64_t)bit;
		offset = (offset >> (c->size == 2 ? 4 : c->size == 4 ? 5 : 6)) * c->size;
	}
	offset = (int64_t)((effective(v, c) + (uint64_t)offset) & size_mask(c->i.addrsize));
	return linear_at(v, c, (uint64_t)offset, c->size, write);
}

#define BIT_OF(name, insn, T) \
	static void name##_##T(T *p, T bit, bool lock, uint32_t *flags) \
	{ \
		uint32_t ax = *flags; \
		bit &= sizeof(T) * 8 - 1; \
		if (lock) \
			__asm__ volatile(FLAGS_IN "lock; " insn " %2, %0" FLAGS_OUT \
					 : "+m"(*p), "+&a"(ax) \
					 : "r"(bit) \
					 : "memory"); \
		else \
			__asm__ volatile(FLAGS_IN insn " %2, %0" FLAGS_OUT \
					 : "+m"(*p), "+&a"(ax) \
					 : "r"(bit) \
					 : "memory"); \
		*flags = ax; \
	}
#define BIT_OP(name, insn) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		uint64_t bit = c->i.opcode == 0xba ? c->i.imm : reg_get(v, c->reg, c->size); \
		uint32_t ax = flags_to_ax(v->flags); \
		void *p = c->i.memory ? rw_begin(v, bit_linear(v, c, bit, true), c->size) \
				      : (char *)v + c->rm; \
		if (c->size == 2) \
			name##_uint16_t(p, (uint16_t)bit, c->lock, &ax); \
		else if (c->size == 4) \
			name##_uint32_t(p, (uint32_t)bit, c->lock, &ax); \
		else \
			name##_uint64_t(p, bit, c->lock, &ax); \
		if (!c->i.memory && c->size == 4) \
			*(uint64_t *)p &= UINT32_MAX; \
		rw_end(v); \
		flags_from_ax(v, ax); \
	}
#define BIT(name, insn) \
	BIT_OF(name, insn, uint16_t) \
	BIT_OF(name, insn, uint32_t) \
	BIT_OF(name, insn, uint64_t) \
	BIT_OP(name, insn)
BIT(bts, "bts")
BIT(btr, "btr")
BIT(btc, "btc")

void op_bt(struct vcpu *v, const struct cell *c)
{
	uint64_t bit = c->i.opcode == 0xba ? c->i.imm : reg_get(v, c->reg, c->size), value;
	uint32_t ax = flags_to_ax(v->flags);

	value = c->i.memory ? read_size(v, bit_linear(v, c, bit, false), c->size)
			    : reg_get(v, c->rm, c->size);
	bit &= c->size * 8u - 1;
	__asm__(FLAGS_IN "bt %2, %1" FLAGS_OUT : "+&a"(ax) : "r"(value), "r"(bit));
	flags_from_ax(v, ax);
}

/* Scans and counts: source and destination of one size. */
#define SCAN_OF(name, insn, T) \
	static T name##_##T(T d, T src, uint32_t *flags) \
	{ \
		uint32_t ax = *flags; \
		__asm__(FLAGS_IN insn " %2, %0" FLAGS_OUT : "+&r"(d), "+&a"(ax) : "r"(src)); \
		*flags = ax; \
		return d; \
	}
#define SCAN_OP(name, insn, keeps) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		uint64_t src = rm_get(v, c, c->size), old = reg_get(v, c->reg, c->size); \
		uint32_t ax = flags_to_ax(v->flags); \
		uint64_t d; \
		if (c->size == 2) \
			d = name##_uint16_t((uint16_t)old, (uint16_t)src, &ax); \
		else if (c->size == 4) \
			d = name##_uint32_t((uint32_t)old, (uint32_t)src, &ax); \
		else \
			d = name##_uint64_t(old, src, &ax); \
		/* Of zero there is nothing to be found: the whole register stays. */ \
		if (!(keeps) || src) \
			reg_set(v, c->reg, d, c->size); \
		flags_from_ax(v, ax); \
	}
#define SCAN(name, insn, keeps) \
	SCAN_OF(name, insn, uint16_t) \
	SCAN_OF(name, insn, uint32_t) \
	SCAN_OF(name, insn, uint64_t) \
	SCAN_OP(name, insn, keeps)
SCAN(bsf, "bsf", true)
SCAN(bsr, "bsr", true)
SCAN(popcnt, "popcnt", false)
SCAN(lzcnt, "lzcnt", false)
SCAN(tzcnt, "tzcnt", false)
