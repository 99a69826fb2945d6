/* Multiplication, division, and decimal arithmetic. */
#include "cpu/soft/access.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

#define RAX v->gpr[0]
#define RDX v->gpr[2]

#define MULTIPLY_OF(name, insn, T) \
	static void name##_##T(struct vcpu *v, T src, uint32_t *flags) \
	{ \
		T low = (T)RAX, high; \
		uint64_t fl = (v->flags & FL_ARITH) | FL_FIXED; \
		__asm__("pushq %2; popfq; " insn " %3; pushfq; popq %2" \
			: "+a"(low), "=&d"(high), "+&r"(fl) \
			: "r"(src)); \
		*flags = flags_to_ax(fl); \
		gpr_set(v, 0, low, sizeof(T)); \
		gpr_set(v, 2, high, sizeof(T)); \
	}
#define MULTIPLY_8(name, insn) \
	static void name##_uint8_t(struct vcpu *v, uint8_t src, uint32_t *flags) \
	{ \
		uint16_t ax = (uint8_t)RAX; \
		uint64_t fl = (v->flags & FL_ARITH) | FL_FIXED; \
		__asm__("pushq %1; popfq; " insn " %2; pushfq; popq %1" \
			: "+a"(ax), "+&r"(fl) \
			: "q"(src)); \
		*flags = flags_to_ax(fl); \
		gpr_set(v, 0, ax, 2); \
	}
#define MULTIPLY_OP(name, insn) \
	void op_##name(struct vcpu *v, const struct cell *c) \
	{ \
		uint64_t src = rm_get(v, c, c->size); \
		uint32_t ax = 0; \
		if (c->size == 1) \
			name##_uint8_t(v, (uint8_t)src, &ax); \
		else if (c->size == 2) \
			name##_uint16_t(v, (uint16_t)src, &ax); \
		else if (c->size == 4) \
			name##_uint32_t(v, (uint32_t)src, &ax); \
		else \
			name##_uint64_t(v, src, &ax); \
		flags_from_ax(v, ax); \
	}
#define MULTIPLY(name, insn) \
	MULTIPLY_8(name, insn) \
	MULTIPLY_OF(name, insn, uint16_t) \
	MULTIPLY_OF(name, insn, uint32_t) \
	MULTIPLY_OF(name, insn, uint64_t) \
	MULTIPLY_OP(name, insn)
MULTIPLY(mul, "mul")
MULTIPLY(imul1, "imul")

#define IMUL_OF(T) \
	static T imul_##T(T d, T src, uint32_t *flags) \
	{ \
		uint32_t ax = *flags; \
		__asm__(FLAGS_IN "imul %2, %0" FLAGS_OUT : "+&r"(d), "+&a"(ax) : "r"(src)); \
		*flags = ax; \
		return d; \
	}
IMUL_OF(uint16_t)
IMUL_OF(uint32_t)
IMUL_OF(uint64_t)

void op_imul(struct vcpu *v, const struct cell *c)
{
	uint64_t a = rm_get(v, c, c->size),
		 b = c->i.form->operand[2] ? c->i.imm : reg_get(v, c->reg, c->size), d;
	uint32_t ax = flags_to_ax(v->flags);

	if (c->size == 2)
		d = imul_uint16_t((uint16_t)a, (uint16_t)b, &ax);
	else if (c->size == 4)
		d = imul_uint32_t((uint32_t)a, (uint32_t)b, &ax);
	else
		d = imul_uint64_t(a, b, &ax);
	reg_set(v, c->reg, d, c->size);
	flags_from_ax(v, ax);
}

#define DIVIDE_OF(name, insn, T) \
	static void name##_##T(struct vcpu *v, T d, uint64_t *flags) \
	{ \
		T low = (T)RAX, high = (T)RDX; \
		__asm__("pushq %2; popfq; " insn " %3; pushfq; popq %2" \
			: "+a"(low), "+d"(high), "+&r"(*flags) \
			: "r"(d)); \
		gpr_set(v, 0, low, sizeof(T)); \
		gpr_set(v, 2, high, sizeof(T)); \
	}
/* By the host's instruction, which must not trap: the quotient fits. */
#define DIVIDE_OP(name, insn) \
	static void name(struct vcpu *v, uint64_t d, unsigned size) \
	{ \
		uint64_t flags = (v->flags & FL_ARITH) | FL_FIXED; \
		if (size == 1) { \
			uint16_t ax = (uint16_t)RAX; \
			__asm__("pushq %1; popfq; " insn " %2; pushfq; popq %1" \
				: "+a"(ax), "+&r"(flags) \
				: "q"((uint8_t)d)); \
			gpr_set(v, 0, ax, 2); \
		} else if (size == 2) { \
			name##_uint16_t(v, (uint16_t)d, &flags); \
		} else if (size == 4) { \
			name##_uint32_t(v, (uint32_t)d, &flags); \
		} else { \
			name##_uint64_t(v, d, &flags); \
		} \
		v->flags = (v->flags & ~(uint64_t)FL_ARITH) | (flags & FL_ARITH); \
	}
#define DIVIDE(name, insn) \
	DIVIDE_OF(name, insn, uint16_t) \
	DIVIDE_OF(name, insn, uint32_t) \
	DIVIDE_OF(name, insn, uint64_t) \
	DIVIDE_OP(name, insn)
DIVIDE(divide_unsigned, "div")
DIVIDE(divide_signed, "idiv")

void op_div(struct vcpu *v, const struct cell *c)
{
	uint64_t d = rm_get(v, c, c->size),
		 high = c->size == 1 ? RAX >> 8 & 0xff : RDX & size_mask(c->size);

	/* So also for d == 0. */
	if (high >= d)
		fault(v, VECTOR_DE);
	divide_unsigned(v, d, c->size);
}

static int64_t extend(uint64_t value, unsigned size)
{
	return (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

void op_idiv(struct vcpu *v, const struct cell *c)
{
	uint64_t raw = rm_get(v, c, c->size);
	int64_t d = extend(raw, c->size);
	unsigned __int128 magnitude, limit;
	bool negative;
	__int128 n;

	if (c->size == 1)
		n = (int16_t)RAX;
	else
		n = (__int128)((unsigned __int128)(__int128)extend(RDX, c->size) << c->size * 8 |
			       (RAX & size_mask(c->size)));
	negative = (n < 0) != (d < 0);
	magnitude = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
	/* The quotient is at most 2^(bits-1) - 1, or 2^(bits-1) if it is negative. */
	limit = (unsigned __int128)(d < 0 ? -(uint64_t)d : (uint64_t)d) *
		((1ull << (c->size * 8 - 1)) + negative);
	if (magnitude >= limit)
		fault(v, VECTOR_DE);
	divide_signed(v, raw, c->size);
}

/* Flags of AL as AND would leave them, with these CF and AF. */
static void decimal_flags(struct vcpu *v, bool cf, bool af)
{
	uint8_t al = (uint8_t)RAX;
	uint32_t ax;

	__asm__("test %1, %1" FLAGS_OUT : "=&a"(ax) : "q"(al));
	flags_from_ax(v, ax & ~0x1100u);
	v->flags |= (cf ? FL_CF : 0) | (af ? FL_AF : 0);
}

static void adjust_packed(struct vcpu *v, int sign)
{
	uint8_t old = (uint8_t)RAX, al = old;
	bool old_cf = v->flags & FL_CF, cf = false, af = false;

	if ((al & 15) > 9 || (v->flags & FL_AF)) {
		cf = old_cf || (sign > 0 ? al > 0xf9 : al < 6);
		al = (uint8_t)(al + sign * 6);
		af = true;
	}
	if (old > 0x99 || old_cf) {
		al = (uint8_t)(al + sign * 0x60);
		cf = true;
	} else if (sign > 0) {
		cf = false;
	}
	gpr_set(v, 0, al, 1);
	decimal_flags(v, cf, af);
}

void op_daa(struct vcpu *v, const struct cell *c)
{
	adjust_packed(v, 1);
}

void op_das(struct vcpu *v, const struct cell *c)
{
	adjust_packed(v, -1);
}

static void adjust_unpacked(struct vcpu *v, int sign)
{
	uint16_t ax = (uint16_t)RAX;
	bool adjust = (ax & 15) > 9 || (v->flags & FL_AF);

	if (adjust)
		ax = (uint16_t)(ax + sign * 0x106);
	gpr_set(v, 0, ax & 0xff0f, 2);
	decimal_flags(v, adjust, adjust);
}

void op_aaa(struct vcpu *v, const struct cell *c)
{
	adjust_unpacked(v, 1);
}

void op_aas(struct vcpu *v, const struct cell *c)
{
	adjust_unpacked(v, -1);
}

void op_aam(struct vcpu *v, const struct cell *c)
{
	uint8_t al = (uint8_t)RAX, base = (uint8_t)c->i.imm;

	if (!base)
		fault(v, VECTOR_DE);
	gpr_set(v, 0, (uint64_t)(al / base) << 8 | al % base, 2);
	decimal_flags(v, false, false);
}

void op_aad(struct vcpu *v, const struct cell *c)
{
	uint8_t al = (uint8_t)(RAX + (RAX >> 8) * c->i.imm);

	gpr_set(v, 0, al, 2);
	decimal_flags(v, false, false);
}
