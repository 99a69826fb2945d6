/* Two-operand arithmetic and logic, INC, DEC, NEG, NOT, TEST: a function each size and place of the operands. */
#include "cpu/soft/access.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

/* In memory the instruction works in place, with LOCK where the guest has it. */
#define ALU_EG(name, insn, T) \
	static void name##_eg_##T(struct vcpu *v, const struct cell *c) \
	{ \
		T src = REG_AT(v, c->reg, T); \
		uint32_t ax = flags_to_ax(v->flags); \
		if (c->i.memory) { \
			T *p = rw_begin(v, linear_of(v, c, sizeof(T), true), sizeof(T)); \
			if (c->lock) \
				__asm__ volatile(FLAGS_IN "lock; " insn " %2, %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : "r"(src) \
						 : "memory"); \
			else \
				__asm__ volatile(FLAGS_IN insn " %2, %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : "r"(src) \
						 : "memory"); \
			rw_end(v); \
		} else { \
			T d = REG_AT(v, c->rm, T); \
			__asm__(FLAGS_IN insn " %2, %0" FLAGS_OUT \
				: "+&r"(d), "+&a"(ax) \
				: "r"(src)); \
			reg_set(v, c->rm, d, sizeof(T)); \
		} \
		flags_from_ax(v, ax); \
	}
#define ALU_EI(name, insn, T) \
	static void name##_ei_##T(struct vcpu *v, const struct cell *c) \
	{ \
		T src = (T)c->i.imm; \
		uint32_t ax = flags_to_ax(v->flags); \
		if (c->i.memory) { \
			T *p = rw_begin(v, linear_of(v, c, sizeof(T), true), sizeof(T)); \
			if (c->lock) \
				__asm__ volatile(FLAGS_IN "lock; " insn " %2, %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : "r"(src) \
						 : "memory"); \
			else \
				__asm__ volatile(FLAGS_IN insn " %2, %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : "r"(src) \
						 : "memory"); \
			rw_end(v); \
		} else { \
			T d = REG_AT(v, c->rm, T); \
			__asm__(FLAGS_IN insn " %2, %0" FLAGS_OUT \
				: "+&r"(d), "+&a"(ax) \
				: "r"(src)); \
			reg_set(v, c->rm, d, sizeof(T)); \
		} \
		flags_from_ax(v, ax); \
	}
#define ALU_GE(name, insn, T) \
	static void name##_ge_##T(struct vcpu *v, const struct cell *c) \
	{ \
		T src = (T)rm_get(v, c, sizeof(T)), d = REG_AT(v, c->reg, T); \
		uint32_t ax = flags_to_ax(v->flags); \
		__asm__(FLAGS_IN insn " %2, %0" FLAGS_OUT : "+&r"(d), "+&a"(ax) : "r"(src)); \
		reg_set(v, c->reg, d, sizeof(T)); \
		flags_from_ax(v, ax); \
	}
/* CMP and TEST write nothing. */
#define COMPARE(name, form, insn, T, first, second) \
	static void name##_##form##_##T(struct vcpu *v, const struct cell *c) \
	{ \
		T d = (T)(first), src = (T)(second); \
		uint32_t ax; \
		__asm__(insn " %2, %1" FLAGS_OUT : "=&a"(ax) : "r"(d), "r"(src)); \
		flags_from_ax(v, ax); \
	}

#define EACH_SIZE(X, ...) \
	X(__VA_ARGS__, uint8_t) \
	X(__VA_ARGS__, uint16_t) X(__VA_ARGS__, uint32_t) X(__VA_ARGS__, uint64_t)
#define TABLE_FORM(name, form) \
	{ \
		name##_##form##_uint8_t, name##_##form##_uint16_t, name##_##form##_uint32_t, \
			name##_##form##_uint64_t \
	}
#define TABLE(name) \
	const struct alu_set alu_##name = { { TABLE_FORM(name, eg), TABLE_FORM(name, ge), \
		TABLE_FORM(name, ei) } };
#define ALU(name, insn) \
	EACH_SIZE(ALU_EG, name, insn) \
	EACH_SIZE(ALU_GE, name, insn) EACH_SIZE(ALU_EI, name, insn) TABLE(name)

ALU(add, "add")
ALU(or, "or")
ALU(adc, "adc")
ALU(sbb, "sbb")
ALU(and, "and")
ALU(sub, "sub")
ALU(xor, "xor")

#define CMP_EG(name, insn, T) \
	COMPARE(name, eg, insn, T, rm_get(v, c, sizeof(T)), REG_AT(v, c->reg, T))
#define CMP_GE(name, insn, T) \
	COMPARE(name, ge, insn, T, REG_AT(v, c->reg, T), rm_get(v, c, sizeof(T)))
#define CMP_EI(name, insn, T) COMPARE(name, ei, insn, T, rm_get(v, c, sizeof(T)), c->i.imm)
#define CMP(name, insn) \
	EACH_SIZE(CMP_EG, name, insn) \
	EACH_SIZE(CMP_GE, name, insn) EACH_SIZE(CMP_EI, name, insn) TABLE(name)

CMP(cmp, "cmp")
CMP(test, "test")

#define SUFFIX_uint8_t "b"
#define SUFFIX_uint16_t "w"
#define SUFFIX_uint32_t "l"
#define SUFFIX_uint64_t "q"
#define UNARY_OF(name, insn, T) \
	static void name##_eg_##T(struct vcpu *v, const struct cell *c) \
	{ \
		uint32_t ax = flags_to_ax(v->flags); \
		if (c->i.memory) { \
			T *p = rw_begin(v, linear_of(v, c, sizeof(T), true), sizeof(T)); \
			if (c->lock) \
				__asm__ volatile(FLAGS_IN "lock; " insn SUFFIX_##T " %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : \
						 : "memory"); \
			else \
				__asm__ volatile(FLAGS_IN insn SUFFIX_##T " %0" FLAGS_OUT \
						 : "+m"(*p), "+&a"(ax) \
						 : \
						 : "memory"); \
			rw_end(v); \
		} else { \
			T d = REG_AT(v, c->rm, T); \
			__asm__(FLAGS_IN insn " %0" FLAGS_OUT : "+&r"(d), "+&a"(ax)); \
			reg_set(v, c->rm, d, sizeof(T)); \
		} \
		flags_from_ax(v, ax); \
	}
#define UNARY(name, insn) \
	EACH_SIZE(UNARY_OF, name, insn) \
	const struct alu_set alu_##name = { { TABLE_FORM(name, eg), TABLE_FORM(name, eg), \
		TABLE_FORM(name, eg) } };

UNARY(inc, "inc")
UNARY(dec, "dec")
UNARY(neg, "neg")
UNARY(not, "not")
