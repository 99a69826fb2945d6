/* Data movement: MOV and its kin, exchanges, conversions, the stack, flags. */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

#define MOV_OF(T) \
	static void mov_eg_##T(struct vcpu *v, const struct cell *c) \
	{ \
		rm_set(v, c, REG_AT(v, c->reg, T), sizeof(T)); \
	} \
	static void mov_ge_##T(struct vcpu *v, const struct cell *c) \
	{ \
		reg_set(v, c->reg, rm_get(v, c, sizeof(T)), sizeof(T)); \
	} \
	static void mov_ei_##T(struct vcpu *v, const struct cell *c) \
	{ \
		rm_set(v, c, c->i.imm, sizeof(T)); \
	}
MOV_OF(uint8_t)
MOV_OF(uint16_t)
MOV_OF(uint32_t)
MOV_OF(uint64_t)
const struct alu_set alu_mov = { {
	{ mov_eg_uint8_t, mov_eg_uint16_t, mov_eg_uint32_t, mov_eg_uint64_t },
	{ mov_ge_uint8_t, mov_ge_uint16_t, mov_ge_uint32_t, mov_ge_uint64_t },
	{ mov_ei_uint8_t, mov_ei_uint16_t, mov_ei_uint32_t, mov_ei_uint64_t },
} };

/* Absolute addresses: the offset is the immediate. */
void op_mov_load(struct vcpu *v, const struct cell *c)
{
	uint64_t linear = linear_at(v, c, c->i.imm, c->size, false);

	gpr_set(v, 0, read_size(v, linear, c->size), c->size);
}

void op_mov_store(struct vcpu *v, const struct cell *c)
{
	write_size(v, linear_at(v, c, c->i.imm, c->size, true), v->gpr[0], c->size);
}

void op_movzx(struct vcpu *v, const struct cell *c)
{
	reg_set(v, c->reg, rm_get(v, c, c->size2), c->size);
}

void op_movsx(struct vcpu *v, const struct cell *c)
{
	unsigned shift = 64 - 8u * c->size2;

	reg_set(v, c->reg, (uint64_t)((int64_t)(rm_get(v, c, c->size2) << shift) >> shift),
		c->size);
}

void op_lea(struct vcpu *v, const struct cell *c)
{
	reg_set(v, c->reg, effective(v, c), c->size);
}

void op_movbe(struct vcpu *v, const struct cell *c)
{
	unsigned size = c->size, shift = 64 - 8 * size;

	if (c->i.opcode == 0xf0)
		reg_set(v, c->reg, __builtin_bswap64(rm_get(v, c, size)) >> shift, size);
	else
		rm_set(v, c, __builtin_bswap64(reg_get(v, c->reg, size)) >> shift, size);
}

void op_movnti(struct vcpu *v, const struct cell *c)
{
	rm_set(v, c, reg_get(v, c->reg, c->size), c->size);
}

static uint64_t exchange(void *p, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_exchange_n((uint8_t *)p, (uint8_t)value, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_exchange_n((uint16_t *)p, (uint16_t)value, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_exchange_n((uint32_t *)p, (uint32_t)value, __ATOMIC_SEQ_CST);
	default:
		return __atomic_exchange_n((uint64_t *)p, value, __ATOMIC_SEQ_CST);
	}
}

void op_xchg(struct vcpu *v, const struct cell *c)
{
	uint64_t mine = reg_get(v, c->reg, c->size), theirs;

	if (!c->i.memory) {
		theirs = reg_get(v, c->rm, c->size);
		reg_set(v, c->rm, mine, c->size);
	} else {
		theirs = exchange(
			rw_begin(v, linear_of(v, c, c->size, true), c->size), mine, c->size);
		rw_end(v);
	}
	reg_set(v, c->reg, theirs, c->size);
}

#define ADD_FLAGS(T) __asm__("add %2, %1" FLAGS_OUT : "=&a"(ax), "+&r"(*(T *)&a) : "r"((T)b))
static uint32_t add_flags(uint64_t a, uint64_t b, unsigned size)
{
	uint32_t ax;

	if (size == 1)
		ADD_FLAGS(uint8_t);
	else if (size == 2)
		ADD_FLAGS(uint16_t);
	else if (size == 4)
		ADD_FLAGS(uint32_t);
	else
		ADD_FLAGS(uint64_t);
	return ax;
}

void op_xadd(struct vcpu *v, const struct cell *c)
{
	uint64_t add = reg_get(v, c->reg, c->size), old;

	if (!c->i.memory) {
		old = reg_get(v, c->rm, c->size);
		reg_set(v, c->reg, old, c->size);
		reg_set(v, c->rm, old + add, c->size);
	} else {
		void *p = rw_begin(v, linear_of(v, c, c->size, true), c->size);

		if (c->size == 1)
			old = __atomic_fetch_add((uint8_t *)p, (uint8_t)add, __ATOMIC_SEQ_CST);
		else if (c->size == 2)
			old = __atomic_fetch_add((uint16_t *)p, (uint16_t)add, __ATOMIC_SEQ_CST);
		else if (c->size == 4)
			old = __atomic_fetch_add((uint32_t *)p, (uint32_t)add, __ATOMIC_SEQ_CST);
		else
			old = __atomic_fetch_add((uint64_t *)p, add, __ATOMIC_SEQ_CST);
		rw_end(v);
		reg_set(v, c->reg, old, c->size);
	}
	flags_from_ax(v, add_flags(old, add, c->size));
}

#define CMPXCHG_OF(T) \
	static bool cmpxchg_##T(void *p, uint64_t *rax, uint64_t src, uint32_t *flags, bool lock) \
	{ \
		T old = (T)*rax, s = (T)src; \
		uint64_t fl; \
		if (lock) \
			__asm__ volatile("lock; cmpxchg %3, %1; pushfq; popq %2" \
					 : "+a"(old), "+m"(*(T *)p), "=&r"(fl) \
					 : "r"(s) \
					 : "memory"); \
		else \
			__asm__ volatile("cmpxchg %3, %1; pushfq; popq %2" \
					 : "+a"(old), "+m"(*(T *)p), "=&r"(fl) \
					 : "r"(s) \
					 : "memory"); \
		*rax = old; \
		*flags = flags_to_ax(fl); \
		return fl & FL_ZF; \
	}
CMPXCHG_OF(uint8_t)
CMPXCHG_OF(uint16_t)
CMPXCHG_OF(uint32_t)
CMPXCHG_OF(uint64_t)

void op_cmpxchg(struct vcpu *v, const struct cell *c)
{
	uint64_t rax = v->gpr[0], src = reg_get(v, c->reg, c->size);
	void *p = c->i.memory ? rw_begin(v, linear_of(v, c, c->size, true), c->size)
			      : (char *)v + c->rm;
	uint32_t ax;
	bool equal;

	if (c->size == 1)
		equal = cmpxchg_uint8_t(p, &rax, src, &ax, c->lock);
	else if (c->size == 2)
		equal = cmpxchg_uint16_t(p, &rax, src, &ax, c->lock);
	else if (c->size == 4)
		equal = cmpxchg_uint32_t(p, &rax, src, &ax, c->lock);
	else
		equal = cmpxchg_uint64_t(p, &rax, src, &ax, c->lock);
	rw_end(v);
	if (!equal)
		gpr_set(v, 0, rax, c->size);
	else if (!c->i.memory && c->size == 4)
		*(uint64_t *)p &= UINT32_MAX;
	flags_from_ax(v, ax);
}

void op_cmpxchg8b(struct vcpu *v, const struct cell *c)
{
	uint64_t *p = rw_begin(v, linear_of(v, c, 8, true), 8);
	uint64_t old = (v->gpr[2] & UINT32_MAX) << 32 | (v->gpr[0] & UINT32_MAX);
	uint64_t new = (v->gpr[1] & UINT32_MAX) << 32 | (v->gpr[3] & UINT32_MAX);
	bool equal = __atomic_compare_exchange_n(
		p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

	rw_end(v);
	v->flags &= ~(uint64_t)FL_ZF;
	if (equal) {
		v->flags |= FL_ZF;
		return;
	}
	v->gpr[0] = old & UINT32_MAX;
	v->gpr[2] = old >> 32;
}

void op_cmpxchg16b(struct vcpu *v, const struct cell *c)
{
	uint64_t linear = linear_of(v, c, 16, true), low = v->gpr[0], high = v->gpr[2];
	uint8_t equal;
	void *p;

	if (linear & 15)
		fault_gp(v);
	p = rw_begin(v, linear, 16);
	__asm__ volatile("lock; cmpxchg16b %1; sete %0"
			 : "=q"(equal), "+m"(*(unsigned __int128 *)p), "+a"(low), "+d"(high)
			 : "b"(v->gpr[3]), "c"(v->gpr[1])
			 : "memory", "cc");
	rw_end(v);
	v->flags = (v->flags & ~(uint64_t)FL_ZF) | (equal ? FL_ZF : 0);
	v->gpr[0] = low;
	v->gpr[2] = high;
}

void op_bswap(struct vcpu *v, const struct cell *c)
{
	if (c->i.opsize == 8)
		REG_AT(v, c->rm, uint64_t) = __builtin_bswap64(REG_AT(v, c->rm, uint64_t));
	else if (c->i.opsize == 4)
		REG_AT(v, c->rm, uint64_t) = __builtin_bswap32(REG_AT(v, c->rm, uint32_t));
	else
		/* Undefined by the manuals; processors clear it. */
		REG_AT(v, c->rm, uint16_t) = 0;
}

void op_cmovcc(struct vcpu *v, const struct cell *c)
{
	uint64_t value = rm_get(v, c, c->size);

	if (condition(v->flags, insn_condition(&c->i)))
		reg_set(v, c->reg, value, c->size);
	else if (c->size == 4)
		REG_AT(v, c->reg, uint64_t) &= UINT32_MAX;
}

void op_setcc(struct vcpu *v, const struct cell *c)
{
	rm_set(v, c, condition(v->flags, insn_condition(&c->i)), 1);
}

void op_cbw(struct vcpu *v, const struct cell *c)
{
	uint64_t rax = v->gpr[0];

	gpr_set(v, 0,
		c->i.opsize == 2   ? (uint64_t)(int8_t)rax
		: c->i.opsize == 4 ? (uint64_t)(int16_t)rax
				   : (uint64_t)(int32_t)rax,
		c->i.opsize);
}

void op_cwd(struct vcpu *v, const struct cell *c)
{
	bool negative = v->gpr[0] >> (8 * c->i.opsize - 1) & 1;

	gpr_set(v, 2, negative ? UINT64_MAX : 0, c->i.opsize);
}

void op_xlat(struct vcpu *v, const struct cell *c)
{
	uint64_t ea = (v->gpr[3] + (v->gpr[0] & 0xff)) & size_mask(c->i.addrsize);

	gpr_set(v, 0, read8(v, linear_at(v, c, ea, 1, false)), 1);
}

void op_lahf(struct vcpu *v, const struct cell *c)
{
	gpr_set(v, 0, (v->gpr[0] & 0xff) | ((v->flags & 0xd5) | 2) << 8, 2);
}

void op_sahf(struct vcpu *v, const struct cell *c)
{
	v->flags = (v->flags & ~0xd5ull) | (v->gpr[0] >> 8 & 0xd5);
}

void op_salc(struct vcpu *v, const struct cell *c)
{
	gpr_set(v, 0, v->flags & FL_CF ? 0xff : 0, 1);
}

void op_cmc(struct vcpu *v, const struct cell *c)
{
	v->flags ^= FL_CF;
}

void op_clc(struct vcpu *v, const struct cell *c)
{
	v->flags &= ~(uint64_t)FL_CF;
}

void op_stc(struct vcpu *v, const struct cell *c)
{
	v->flags |= FL_CF;
}

void op_cld(struct vcpu *v, const struct cell *c)
{
	v->flags &= ~(uint64_t)FL_DF;
}

void op_std(struct vcpu *v, const struct cell *c)
{
	v->flags |= FL_DF;
}

void op_push(struct vcpu *v, const struct cell *c)
{
	uint8_t size = c->i.opsize;
	struct operand o;

	insn_operand(&c->i, 0, &o);
	if (o.kind == OPERAND_IMM)
		push(v, c->i.imm, size);
	else if (o.kind == OPERAND_REG && o.class == CLASS_SEG)
		push_selector(v, v->seg[o.reg].selector, size);
	else
		push(v, rm_get(v, c, size), size);
}

void op_push_reg(struct vcpu *v, const struct cell *c)
{
	push(v, reg_get(v, c->rm, c->i.opsize), c->i.opsize);
}

void push_selector(struct vcpu *v, uint16_t selector, unsigned size)
{
	uint64_t sp = (v->gpr[4] - size) & v->stack_mask;

	/* Of a 4-byte slot Intel's processors write the selector alone. */
	stack_poke(v, sp, selector, size == 4 && !v->cpu->is_amd ? 2 : size);
	stack_set(v, sp);
}

void op_pop_reg(struct vcpu *v, const struct cell *c)
{
	uint64_t value = pop(v, c->i.opsize);

	reg_set(v, c->rm, value, c->i.opsize);
}

/* To memory: an address that uses RSP is computed after RSP was raised. */
void op_pop(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4], value = stack_peek(v, sp, c->i.opsize), linear;

	if (!c->i.memory) {
		stack_set(v, sp + c->i.opsize);
		reg_set(v, c->rm, value, c->i.opsize);
		return;
	}
	stack_set(v, sp + c->i.opsize);
	linear = effective(v, c);
	v->gpr[4] = sp;
	write_size(v, linear_at(v, c, linear, c->i.opsize, true), value, c->i.opsize);
	stack_set(v, sp + c->i.opsize);
}

void op_pop_seg(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4], value = stack_peek(v, sp, c->i.opsize);
	struct operand o;

	insn_operand(&c->i, 0, &o);
	segment_load(v, o.reg, (uint16_t)value);
	stack_set(v, sp + c->i.opsize);
	if (o.reg == CPU_SS)
		v->shadow = v->mov_ss = true;
}

void op_pusha(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4];
	unsigned size = c->i.opsize;

	for (unsigned n = 0; n < 8; n++)
		stack_poke(v, sp - size * (n + 1), v->gpr[n], size);
	stack_set(v, sp - 8 * size);
}

void op_popa(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4], value[8];
	unsigned size = c->i.opsize;

	for (unsigned n = 0; n < 8; n++)
		value[7 - n] = stack_peek(v, sp + size * n, size);
	for (unsigned n = 0; n < 8; n++)
		if (n != 4)
			gpr_set(v, n, value[n], size);
	stack_set(v, sp + 8 * size);
}

void op_pushf(struct vcpu *v, const struct cell *c)
{
	if ((v->flags & FL_VM) && (v->flags & FL_IOPL) != FL_IOPL)
		fault_gp(v);
	push(v, v->flags & ~(uint64_t)(FL_RF | FL_VM), c->i.opsize);
}

void op_popf(struct vcpu *v, const struct cell *c)
{
	uint64_t sp = v->gpr[4];

	if ((v->flags & FL_VM) && (v->flags & FL_IOPL) != FL_IOPL)
		fault_gp(v);
	set_flags_checked(v, stack_peek(v, sp, c->i.opsize), c->i.opsize);
	stack_set(v, sp + c->i.opsize);
}

void op_enter(struct vcpu *v, const struct cell *c)
{
	unsigned size = c->i.opsize, level = c->i.imm2 & 31;
	uint64_t sp = v->gpr[4] - size, bp = v->gpr[5], frame = sp;

	stack_poke(v, sp, bp, size);
	for (unsigned n = 1; n < level; n++) {
		bp -= size;
		sp -= size;
		stack_poke(v, sp, stack_peek(v, bp, size), size);
	}
	if (level) {
		sp -= size;
		stack_poke(v, sp, frame & v->stack_mask, size);
	}
	sp -= c->i.imm;
	/* The new top of the stack must be writable. */
	mmu_probe_write(v,
		v->code == DECODE_64 ? sp : (uint32_t)(v->seg[CPU_SS].base + (sp & v->stack_mask)),
		1);
	gpr_set(v, 5, (v->gpr[4] & ~v->stack_mask) | (frame & v->stack_mask), size);
	stack_set(v, sp);
}

void op_leave(struct vcpu *v, const struct cell *c)
{
	uint64_t bp = v->gpr[5], value = stack_peek(v, bp, c->i.opsize);

	stack_set(v, bp + c->i.opsize);
	gpr_set(v, 5, value, c->i.opsize);
}

void op_nop(struct vcpu *v, const struct cell *c)
{
}
