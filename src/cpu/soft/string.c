/* String instructions. REP is interruptible between elements; runs within a page go by the host's copies. */
#include "cpu/soft/access.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/ops_fn.h"

#define RCX 1
#define RSI 6
#define RDI 7

struct string {
	struct vcpu *v;
	const struct cell *c;
	unsigned size, addrsize;
	bool rep;
	int64_t step;
};

static struct string start(struct vcpu *v, const struct cell *c, unsigned size)
{
	int64_t step = v->flags & FL_DF ? -(int64_t)size : (int64_t)size;

	return (struct string){ v, c, size, c->i.addrsize,
		c->i.prefixes & (PREFIX_REP | PREFIX_REPNE), step };
}

static uint64_t address(const struct string *s, unsigned reg)
{
	return s->v->gpr[reg] & size_mask(s->addrsize);
}

static uint64_t count(const struct string *s)
{
	return s->rep ? s->v->gpr[RCX] & size_mask(s->addrsize) : 1;
}

static void advance(const struct string *s, unsigned reg, uint64_t n)
{
	gpr_set(s->v, reg, s->v->gpr[reg] + (uint64_t)s->step * n, s->addrsize);
}

static uint64_t source(const struct string *s)
{
	return linear_at(s->v, s->c, address(s, RSI), s->size, false);
}

static uint64_t destination(const struct string *s, bool write)
{
	uint64_t ea = address(s, RDI);

	return s->v->code == DECODE_64 ? ea : segment_linear(s->v, CPU_ES, ea, s->size, write);
}

/* Takes n elements off the count. True: go on; false: done, or an event is to be looked at first, and the
 * instruction starts again then. */
static bool more(const struct string *s, uint64_t n)
{
	struct vcpu *v = s->v;

	if (!s->rep)
		return false;
	gpr_set(v, RCX, v->gpr[RCX] - n, s->addrsize);
	if (!count(s))
		return false;
	if (unlikely(atomic_load_explicit(&v->stop, memory_order_relaxed))) {
		v->rip = v->start;
		return false;
	}
	return true;
}

/* How many elements lie before the page's end. */
static uint64_t run_length(const struct string *s, uint64_t linear, uint64_t n)
{
	uint64_t fits = (PAGE_BYTES - linear % PAGE_BYTES) / s->size;

	return n < fits ? n : fits;
}

static bool can_run(const struct string *s)
{
	return s->rep && s->step > 0 && s->c->flat;
}

/* Elements forward, as many as both pages hold; 0: do one the slow way. */
static uint64_t move_run(const struct string *s, uint64_t from, uint64_t to, uint64_t n)
{
	const uint8_t *src;
	uint8_t *dst;

	n = run_length(s, to, run_length(s, from, n));
	if (n < 2)
		return 0;
	src = mmu_direct(s->v, from, false);
	dst = mmu_direct(s->v, to, true);
	if (!src || !dst)
		return 0;
	/* Overlapping forward copies repeat a pattern, element by element. */
	if (dst > src && dst < src + n * s->size) {
		for (uint64_t i = 0; i < n; i++)
			memmove(dst + i * s->size, src + i * s->size, s->size);
	} else {
		memmove(dst, src, n * s->size);
	}
	return n;
}

void op_movs(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size);
	uint64_t n = count(&s), done;

	if (!n)
		return;
	do {
		uint64_t from = source(&s);

		done = can_run(&s) ? move_run(&s, from, destination(&s, true), count(&s)) : 0;
		if (!done) {
			/* All that is wrong with the source comes first. */
			uint64_t value = read_size(v, from, s.size);

			write_size(v, destination(&s, true), value, s.size);
			done = 1;
		}
		advance(&s, RSI, done);
		advance(&s, RDI, done);
	} while (more(&s, done));
}

static uint64_t store_run(const struct string *s, uint64_t to, uint64_t value, uint64_t n)
{
	uint8_t *dst;

	n = run_length(s, to, n);
	dst = n > 1 ? mmu_direct(s->v, to, true) : NULL;
	if (!dst)
		return 0;
	if (s->size == 1 || value == 0) {
		memset(dst, (int)(value & 0xff), n * s->size);
		return n;
	}
	for (uint64_t i = 0; i < n; i++)
		memcpy(dst + i * s->size, &value, s->size);
	return n;
}

void op_stos(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size);
	uint64_t value = v->gpr[0] & size_mask(c->size), done;

	if (!count(&s))
		return;
	do {
		uint64_t to = destination(&s, true);

		done = can_run(&s) ? store_run(&s, to, value, count(&s)) : 0;
		if (!done) {
			write_size(v, to, value, s.size);
			done = 1;
		}
		advance(&s, RDI, done);
	} while (more(&s, done));
}

void op_lods(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size);

	if (!count(&s))
		return;
	do {
		gpr_set(v, 0, read_size(v, source(&s), s.size), s.size);
		advance(&s, RSI, 1);
	} while (more(&s, 1));
}

#define COMPARE_SIZE(T) __asm__("cmp %2, %1" FLAGS_OUT : "=&a"(ax) : "r"((T)a), "r"((T)b))

static void compare(struct vcpu *v, uint64_t a, uint64_t b, unsigned size)
{
	uint32_t ax;

	if (size == 1)
		COMPARE_SIZE(uint8_t);
	else if (size == 2)
		COMPARE_SIZE(uint16_t);
	else if (size == 4)
		COMPARE_SIZE(uint32_t);
	else
		COMPARE_SIZE(uint64_t);
	flags_from_ax(v, ax);
}

/* REPE and REPNE end when ZF is not, or is, set. */
static bool ended(const struct string *s)
{
	bool equal = s->v->flags & FL_ZF;

	return s->rep && equal == !!(s->c->i.prefixes & PREFIX_REPNE);
}

static bool more_compares(const struct string *s)
{
	if (ended(s)) {
		gpr_set(s->v, RCX, s->v->gpr[RCX] - 1, s->addrsize);
		return false;
	}
	return more(s, 1);
}

void op_cmps(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size);
	uint64_t a, b;

	if (!count(&s))
		return;
	do {
		b = read_size(v, destination(&s, false), s.size);
		a = read_size(v, source(&s), s.size);
		compare(v, a, b, s.size);
		advance(&s, RSI, 1);
		advance(&s, RDI, 1);
	} while (more_compares(&s));
}

void op_scas(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size2);

	if (!count(&s))
		return;
	do {
		compare(v, v->gpr[0], read_size(v, destination(&s, false), s.size), s.size);
		advance(&s, RDI, 1);
	} while (more_compares(&s));
}

void op_ins(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size);
	uint16_t port = (uint16_t)v->gpr[2];

	check_io(v, port, s.size);
	if (!count(&s))
		return;
	do {
		uint64_t to = destination(&s, true);

		/* What the device gives up must not be lost in a fault. */
		mmu_probe_write(v, to, s.size);
		write_size(v, to, vcpu_in(v->link, port, s.size), s.size);
		advance(&s, RDI, 1);
	} while (more(&s, 1));
}

void op_outs(struct vcpu *v, const struct cell *c)
{
	struct string s = start(v, c, c->size2);
	uint16_t port = (uint16_t)v->gpr[2];

	check_io(v, port, s.size);
	if (!count(&s))
		return;
	do {
		vcpu_out(v->link, port, (uint32_t)read_size(v, source(&s), s.size), s.size);
		advance(&s, RSI, 1);
	} while (more(&s, 1));
}
