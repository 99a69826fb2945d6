/*
 * Local APICs: Intel SDM volume 3, chapter "Advanced programmable interrupt controller", xAPIC and x2APIC.
 * Not modelled: SMI, lowest priority's focus processor, thermal and performance interrupts (their registers are
 * kept), error status beyond illegal vectors.
 *
 * Locks: each APIC has one, taken by its vCPU, by the clock (timer) and by whoever sends to it. With it held,
 * no other APIC's, the PIC's or the IOAPIC's is taken: messages and EOIs go out without it.
 */
#include "device/lapic.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "device/ioapic.h"
#include "device/pic.h"
#include "memory/clock.h"
#include "memory/irq.h"
#include "memory/vcpu.h"

/* Registers, by their offset / 16, which is the number of x2APIC's MSR less 0x800. */
enum {
	ID = 0x02,
	VERSION = 0x03,
	TPR = 0x08,
	APR = 0x09,
	PPR = 0x0a,
	EOI = 0x0b,
	LDR = 0x0d,
	DFR = 0x0e,
	SVR = 0x0f,
	ISR = 0x10,
	TMR = 0x18,
	IRR = 0x20,
	ESR = 0x28,
	CMCI = 0x2f,
	ICR = 0x30,
	ICR_HIGH = 0x31,
	LVT_TIMER = 0x32,
	LVT_THERMAL = 0x33,
	LVT_PERFORMANCE = 0x34,
	LVT_LINT0 = 0x35,
	LVT_LINT1 = 0x36,
	LVT_ERROR = 0x37,
	TIMER_INITIAL = 0x38,
	TIMER_CURRENT = 0x39,
	TIMER_DIVIDE = 0x3e,
	SELF_IPI = 0x3f,
	REGISTERS = 0x40
};

#define APIC_VERSION 0x00050014u /* integrated, 6 LVT entries */
#define BASE_BSP 0x100u
#define BASE_X2APIC 0x400u
#define BASE_ENABLE 0x800u
#define BASE_ADDRESS UINT64_C(0x3ffffffff000)
#define BASE_DEFAULT 0xfee00000u
#define SVR_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define MSR_X2APIC 0x800u
#define MSR_DEADLINE 0x6e0u
#define ERROR_SEND_VECTOR 0x20u
#define ERROR_RECEIVE_VECTOR 0x40u
#define FIRST_VECTOR 16u
#define ENDED_EDGE 0x100 /* with the vector that ended */

enum { FIXED = 0, LOWEST = 1, SMI = 2, NMI = 4, INIT = 5, SIPI = 6, EXTINT = 7 };
enum { ONE_SHOT = 0, PERIODIC = 1, DEADLINE = 2 };

/* A guest may ask for a tick every nanosecond. It gets this. */
#define SHORTEST_PERIOD 50000

struct lapics;

struct lapic {
	struct lapics *all;
	struct vcpu_link *link;
	pthread_mutex_t lock;
	uint64_t base; /* the MSR */
	uint32_t regs[REGISTERS];
	uint32_t icr_high;
	uint32_t errors; /* shown in ESR when that is written to */
	bool lint0;      /* the PIC asks; the boot processor's only */
	uint64_t deadline;
	int64_t started; /* the timer's count was set at this time */
	bool expired;    /* a one-shot is over: it counts no more, whatever mode comes next */
	struct clock_timer timer;
};

struct lapics {
	struct device device;
	struct memory *memory;
	struct pic *pic;
	struct ioapic *ioapic;
	_Atomic unsigned turn; /* who is looked at first for lowest priority */
	struct lapic *apics;
	unsigned n;
};

/* One interrupt message. */
struct message {
	uint32_t destination;
	bool logical, level, assert;
	unsigned mode;
	uint8_t vector;
};

static bool x2apic(const struct lapic *a)
{
	return a->base & BASE_X2APIC;
}

static bool enabled(const struct lapic *a)
{
	return a->base & BASE_ENABLE && a->regs[SVR] & SVR_ENABLE;
}

static uint32_t apic_id(const struct lapic *a)
{
	return x2apic(a) ? a->link->index : a->regs[ID] >> 24;
}

/* The highest vector in ISR, TMR or IRR; -1: none. */
static int highest(const struct lapic *a, unsigned set)
{
	for (int i = 7; i >= 0; i--)
		if (a->regs[set + i])
			return 32 * i + 31 - __builtin_clz(a->regs[set + i]);
	return -1;
}

static void set_bit(struct lapic *a, unsigned set, uint8_t vector, bool on)
{
	uint32_t bit = UINT32_C(1) << vector % 32;

	if (on)
		a->regs[set + vector / 32] |= bit;
	else
		a->regs[set + vector / 32] &= ~bit;
}

static bool get_bit(const struct lapic *a, unsigned set, uint8_t vector)
{
	return a->regs[set + vector / 32] >> vector % 32 & 1;
}

static uint32_t processor_priority(const struct lapic *a)
{
	int service = highest(a, ISR);
	uint32_t class = service < 0 ? 0 : (uint32_t)service & 0xf0;

	return (a->regs[TPR] & 0xf0) >= class ? a->regs[TPR] : class;
}

/* The vector that may be delivered now, or -1. */
static int deliverable(const struct lapic *a)
{
	int vector = highest(a, IRR);

	if (vector < 0 || !enabled(a) ||
		((uint32_t)vector & 0xf0) <= (processor_priority(a) & 0xf0))
		return -1;
	return vector;
}

/* Whether the PIC's interrupts pass through LINT0, as they do while there is no APIC. */
static bool passes_extint(const struct lapic *a)
{
	uint32_t lvt = a->regs[LVT_LINT0];

	if (!(a->base & BASE_ENABLE))
		return true;
	return !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == EXTINT;
}

/* Tells the vCPU when there is something. */
static void update(struct lapic *a)
{
	if (deliverable(a) >= 0 || (a->lint0 && passes_extint(a)))
		vcpu_raise(a->link, VCPU_INTERRUPT);
}

static void accept_vector(struct lapic *a, uint8_t vector, bool level)
{
	if (vector < FIRST_VECTOR) {
		a->errors |= ERROR_RECEIVE_VECTOR;
		return;
	}
	if (!enabled(a))
		return;
	set_bit(a, IRR, vector, true);
	set_bit(a, TMR, vector, level);
	update(a);
}

static void deliver_to(struct lapic *a, const struct message *m)
{
	switch (m->mode) {
	case FIXED:
	case LOWEST:
		pthread_mutex_lock(&a->lock);
		accept_vector(a, m->vector, m->level);
		pthread_mutex_unlock(&a->lock);
		break;
	case NMI:
		vcpu_raise_nmi(a->link);
		break;
	case INIT:
		/* The end of INIT's level is history: it only set arbitration ids. */
		if (m->assert || !m->level)
			vcpu_raise(a->link, VCPU_INIT);
		break;
	case SIPI:
		vcpu_raise_sipi(a->link, m->vector);
		break;
	default:
		break;
	}
}

static bool matches_logical(const struct lapic *a, uint32_t destination)
{
	uint32_t ldr = a->regs[LDR];

	if (x2apic(a))
		return ldr >> 16 == destination >> 16 && ldr & destination & 0xffff;
	ldr >>= 24;
	if (a->regs[DFR] >> 28 == 0xf)
		return ldr & destination;
	return (ldr & 0xf0) == (destination & 0xf0) && ldr & destination & 0x0f;
}

static bool matches(struct lapic *a, const struct message *m)
{
	bool yes;

	pthread_mutex_lock(&a->lock);
	if (!(a->base & BASE_ENABLE))
		/* It is still there for INIT and SIPI by its id. */
		yes = !m->logical && m->mode >= INIT && a->link->index == m->destination;
	else if (m->destination == UINT32_MAX || (!x2apic(a) && m->destination == 0xff))
		yes = true;
	else if (m->logical)
		yes = matches_logical(a, m->destination);
	else
		yes = apic_id(a) == m->destination;
	pthread_mutex_unlock(&a->lock);
	return yes;
}

/* One of those that match, each in its turn. */
static void deliver_lowest(struct lapics *all, const struct message *m)
{
	unsigned turn = atomic_fetch_add(&all->turn, 1);

	for (unsigned i = 0; i < all->n; i++) {
		struct lapic *a = &all->apics[(turn + i) % all->n];

		if (matches(a, m) && enabled(a)) {
			deliver_to(a, m);
			return;
		}
	}
}

static void deliver(struct lapics *all, const struct message *m)
{
	if (m->mode == LOWEST) {
		deliver_lowest(all, m);
		return;
	}
	for (unsigned i = 0; i < all->n; i++)
		if (matches(&all->apics[i], m))
			deliver_to(&all->apics[i], m);
}

/* A PCI or IOAPIC message: SDM volume 3, "Message signalled interrupts". */
static void on_msi(void *data, uint64_t address, uint32_t value)
{
	struct message m = { .destination = (uint32_t)(address >> 12) & 0xff,
		.logical = address & 4,
		.level = value & 0x8000,
		.assert = true,
		.mode = value >> 8 & 7,
		.vector = (uint8_t)value };

	if ((address & 0xfff00000) != BASE_DEFAULT || m.mode == SIPI)
		return;
	/* 0xff is everybody, however ids are counted. */
	if (m.destination == 0xff)
		m.destination = UINT32_MAX;
	deliver(data, &m);
}

/* The command register was written. No lock is held. */
static void send_command(struct lapic *from, uint32_t low, uint32_t high)
{
	struct lapics *all = from->all;
	struct message m = { .destination = x2apic(from) ? high : high >> 24,
		.logical = low & 0x800,
		.level = low & 0x8000,
		.assert = low & 0x4000,
		.mode = low >> 8 & 7,
		.vector = (uint8_t)low };
	unsigned shorthand = low >> 18 & 3;

	if (m.mode <= LOWEST && m.vector < FIRST_VECTOR) {
		from->errors |= ERROR_SEND_VECTOR;
		return;
	}
	/* Commands are edges, whatever the trigger bit says; only INIT tells the two apart. */
	if (m.mode != INIT)
		m.level = false;
	if (shorthand == 0) {
		deliver(all, &m);
		return;
	}
	for (unsigned i = 0; i < all->n; i++)
		if (shorthand == 1 ? &all->apics[i] == from
				   : shorthand == 2 || &all->apics[i] != from)
			deliver_to(&all->apics[i], &m);
}

static unsigned timer_mode(const struct lapic *a)
{
	return a->regs[LVT_TIMER] >> 17 & 3;
}

/* Nanoseconds a count. */
static int64_t timer_unit(const struct lapic *a)
{
	uint32_t bits = (a->regs[TIMER_DIVIDE] & 3) | (a->regs[TIMER_DIVIDE] >> 1 & 4);

	return bits == 7 ? 1 : INT64_C(2) << bits;
}

static int64_t timer_period(const struct lapic *a)
{
	int64_t period = (int64_t)a->regs[TIMER_INITIAL] * timer_unit(a);

	return timer_mode(a) == PERIODIC && period < SHORTEST_PERIOD ? SHORTEST_PERIOD : period;
}

static uint32_t timer_current(const struct lapic *a)
{
	int64_t period = timer_period(a), passed = clock_now(a->timer.clock) - a->started;

	if (a->regs[TIMER_INITIAL] == 0 || timer_mode(a) == DEADLINE || a->expired)
		return 0;
	if (timer_mode(a) == PERIODIC)
		passed %= period;
	return passed >= period ? 0 : (uint32_t)((period - passed) / timer_unit(a));
}

static void start_timer(struct lapic *a)
{
	a->started = clock_now(a->timer.clock);
	a->expired = false;
	clock_timer_set(&a->timer, a->regs[TIMER_INITIAL] && timer_mode(a) != DEADLINE
					   ? a->started + timer_period(a)
					   : CLOCK_NEVER);
}

static void fire_timer(struct lapic *a)
{
	if (!(a->regs[LVT_TIMER] & LVT_MASKED))
		accept_vector(a, (uint8_t)a->regs[LVT_TIMER], false);
}

static void on_timer(void *data)
{
	struct lapic *a = data;
	int64_t now, due;
	bool stale;

	pthread_mutex_lock(&a->lock);
	/* One that was overtaken by set_deadline() on its way here. */
	stale = timer_mode(a) == DEADLINE && !a->deadline;
	a->deadline = 0;
	/* Unless the count was set anew while this was on its way. */
	if (timer_mode(a) == ONE_SHOT && timer_current(a) == 0)
		a->expired = true;
	if (timer_mode(a) == PERIODIC && a->regs[TIMER_INITIAL] && !a->expired) {
		now = clock_now(a->timer.clock);
		due = a->started + timer_period(a);
		/* Behind by more than a tick: those are lost, as they are on a processor. */
		a->started = now - due < timer_period(a) ? due : now;
		clock_timer_set(&a->timer, a->started + timer_period(a));
	}
	if (!stale)
		fire_timer(a);
	pthread_mutex_unlock(&a->lock);
}

/* One that is past is there with the next instruction: the clock's thread may be a while on a busy host. */
static void set_deadline(struct lapic *a, uint64_t tsc)
{
	bool past = tsc && (int64_t)(tsc - clock_tsc(a->timer.clock)) <= 0;

	if (timer_mode(a) != DEADLINE)
		return;
	a->deadline = past ? 0 : tsc;
	clock_timer_set(&a->timer, a->deadline ? clock_of_tsc(a->timer.clock, tsc) : CLOCK_NEVER);
	if (past)
		fire_timer(a);
}

static void write_lvt(struct lapic *a, unsigned reg, uint32_t value)
{
	static const uint32_t writable[] = { [LVT_TIMER] = 0x700ff,
		[LVT_THERMAL] = 0x107ff,
		[LVT_PERFORMANCE] = 0x107ff,
		[LVT_LINT0] = 0x1a7ff,
		[LVT_LINT1] = 0x1a7ff,
		[LVT_ERROR] = 0x100ff };
	unsigned mode = timer_mode(a);

	/* Its interrupt may be still to come. */
	if (mode == ONE_SHOT && a->regs[TIMER_INITIAL] && timer_current(a) == 0)
		a->expired = true;
	value &= writable[reg];
	if (!(a->regs[SVR] & SVR_ENABLE))
		value |= LVT_MASKED;
	a->regs[reg] = value;
	/* A change to or from deadlines disarms. */
	if (reg == LVT_TIMER && (mode == DEADLINE) != (timer_mode(a) == DEADLINE)) {
		a->deadline = 0;
		a->regs[TIMER_INITIAL] = 0;
		clock_timer_set(&a->timer, CLOCK_NEVER);
	}
}

static void write_svr(struct lapic *a, uint32_t value)
{
	a->regs[SVR] = value & 0x1ff;
	if (value & SVR_ENABLE)
		return;
	for (unsigned reg = LVT_TIMER; reg <= LVT_ERROR; reg++)
		a->regs[reg] |= LVT_MASKED;
}

/* Returns the vector that ended, with ENDED_EDGE unless it was a level, for the IOAPIC; or -1. */
static int end_of_interrupt(struct lapic *a)
{
	int vector = highest(a, ISR);

	if (vector < 0)
		return -1;
	set_bit(a, ISR, (uint8_t)vector, false);
	return get_bit(a, TMR, (uint8_t)vector) ? vector : vector | ENDED_EDGE;
}

static uint32_t read_register(struct lapic *a, unsigned reg)
{
	switch (reg) {
	case ID:
		return x2apic(a) ? a->link->index : a->regs[ID];
	case VERSION:
		return APIC_VERSION;
	case PPR:
		return processor_priority(a);
	case ICR_HIGH:
		return a->icr_high;
	case TIMER_CURRENT:
		return timer_current(a);
	case EOI:
	case SELF_IPI:
		return 0;
	default:
		return reg < REGISTERS ? a->regs[reg] : 0;
	}
}

/* With the lock held. Returns the vector that ended, or -1. */
static int write_locked(struct lapic *a, unsigned reg, uint32_t value)
{
	int ended = -1;

	switch (reg) {
	case ID:
		a->regs[ID] = value & 0xff000000;
		break;
	case TPR:
		a->regs[TPR] = value & 0xff;
		break;
	case EOI:
		ended = end_of_interrupt(a);
		break;
	case LDR:
		a->regs[LDR] = value & 0xff000000;
		break;
	case DFR:
		a->regs[DFR] = value | 0x0fffffff;
		break;
	case SVR:
		write_svr(a, value);
		break;
	case ESR:
		a->regs[ESR] = a->errors;
		a->errors = 0;
		break;
	case ICR:
		a->regs[ICR] = value & 0xccfff;
		break;
	case ICR_HIGH:
		a->icr_high = value;
		break;
	case LVT_TIMER:
	case LVT_THERMAL:
	case LVT_PERFORMANCE:
	case LVT_LINT0:
	case LVT_LINT1:
	case LVT_ERROR:
		write_lvt(a, reg, value);
		break;
	case TIMER_INITIAL:
		if (timer_mode(a) == DEADLINE)
			break;
		a->regs[TIMER_INITIAL] = value;
		start_timer(a);
		break;
	case TIMER_DIVIDE:
		a->regs[TIMER_DIVIDE] = value & 0xb;
		break;
	default:
		break;
	}
	update(a);
	return ended;
}

static void write_register(struct lapic *a, unsigned reg, uint32_t value)
{
	uint32_t high;
	int ended;

	pthread_mutex_lock(&a->lock);
	ended = write_locked(a, reg, value);
	high = a->icr_high;
	pthread_mutex_unlock(&a->lock);
	if (ended >= ENDED_EDGE)
		ioapic_edge_ended(a->all->ioapic, (uint8_t)ended);
	else if (ended >= 0)
		ioapic_eoi(a->all->ioapic, (uint8_t)ended);
	if (reg == ICR)
		send_command(a, value, high);
}

static int acknowledge(void *data)
{
	struct lapic *a = data;
	bool extint;
	int vector;

	pthread_mutex_lock(&a->lock);
	extint = a->lint0 && passes_extint(a);
	vector = extint ? -1 : deliverable(a);
	if (vector >= 0) {
		set_bit(a, IRR, (uint8_t)vector, false);
		set_bit(a, ISR, (uint8_t)vector, true);
	}
	pthread_mutex_unlock(&a->lock);
	if (!extint)
		return vector;
	vector = pic_acknowledge(a->all->pic);
	pthread_mutex_lock(&a->lock);
	update(a);
	pthread_mutex_unlock(&a->lock);
	return vector;
}

static uint8_t get_cr8(void *data)
{
	struct lapic *a = data;

	return (uint8_t)(a->regs[TPR] >> 4);
}

static void set_cr8(void *data, uint8_t value)
{
	write_register(data, TPR, (uint32_t)(value & 15) << 4);
}

static uint64_t get_base(void *data)
{
	return ((struct lapic *)data)->base;
}

static void set_ldr_by_id(struct lapic *a)
{
	a->regs[LDR] = (a->link->index >> 4) << 16 | 1u << (a->link->index & 15);
}

static bool set_base(void *data, uint64_t value)
{
	struct lapic *a = data;
	uint64_t modes = BASE_ENABLE | BASE_X2APIC, before = a->base & modes, after = value & modes;

	if (value & ~(BASE_ADDRESS | modes | BASE_BSP) || after == BASE_X2APIC)
		return false;
	/* x2APIC begins from xAPIC only, and ends in neither. */
	if ((before == modes && after == BASE_ENABLE) || (before == 0 && after == modes))
		return false;
	pthread_mutex_lock(&a->lock);
	a->base = (value & ~(uint64_t)BASE_BSP) | (a->base & BASE_BSP);
	if (after == modes && before != modes)
		set_ldr_by_id(a);
	if (after == 0 && before)
		a->regs[ID] = a->link->index << 24;
	a->link->apic_page = after == BASE_ENABLE ? value & BASE_ADDRESS : UINT64_MAX;
	update(a);
	pthread_mutex_unlock(&a->lock);
	return true;
}

static bool readable(unsigned reg)
{
	return reg == ID || reg == VERSION || reg == TPR || reg == PPR || reg == LDR ||
	       reg == SVR || (reg >= ISR && reg <= ESR) ||
	       (reg >= LVT_TIMER && reg <= TIMER_CURRENT) || reg == TIMER_DIVIDE || reg == ICR;
}

static bool read_msr(void *data, uint32_t msr, uint64_t *ret)
{
	struct lapic *a = data;
	unsigned reg = msr - MSR_X2APIC;

	if (msr != MSR_DEADLINE && (!x2apic(a) || !readable(reg)))
		return false;
	pthread_mutex_lock(&a->lock);
	if (msr == MSR_DEADLINE)
		*ret = a->deadline;
	else
		*ret = read_register(a, reg);
	if (msr != MSR_DEADLINE && reg == ICR)
		*ret |= (uint64_t)a->icr_high << 32;
	pthread_mutex_unlock(&a->lock);
	return true;
}

static bool writable(unsigned reg, uint64_t value)
{
	switch (reg) {
	case ICR:
		return true;
	case EOI:
	case ESR:
		return value == 0;
	case SELF_IPI:
	case TPR:
		return value <= 0xff;
	case SVR:
	case TIMER_INITIAL:
	case TIMER_DIVIDE:
		return value <= UINT32_MAX;
	default:
		return reg >= LVT_TIMER && reg <= LVT_ERROR && value <= UINT32_MAX;
	}
}

static bool write_msr(void *data, uint32_t msr, uint64_t value)
{
	struct lapic *a = data;
	unsigned reg = msr - MSR_X2APIC;

	if (msr == MSR_DEADLINE) {
		pthread_mutex_lock(&a->lock);
		set_deadline(a, value);
		pthread_mutex_unlock(&a->lock);
		return true;
	}
	if (!x2apic(a) || !writable(reg, value))
		return false;
	if (reg == ICR) {
		pthread_mutex_lock(&a->lock);
		a->icr_high = (uint32_t)(value >> 32);
		pthread_mutex_unlock(&a->lock);
	}
	if (reg == SELF_IPI)
		send_command(a, (uint32_t)value | 1u << 18, 0);
	else
		write_register(a, reg, (uint32_t)value);
	return true;
}

/* Registers are 4 bytes, 16 apart; between them there is nothing. */
static uint64_t read_page(void *data, unsigned offset, unsigned size)
{
	struct lapic *a = data;
	uint64_t value;

	if (offset % 16 >= 4)
		return 0;
	pthread_mutex_lock(&a->lock);
	value = read_register(a, offset / 16);
	pthread_mutex_unlock(&a->lock);
	return value >> 8 * (offset % 4);
}

static void write_page(void *data, unsigned offset, uint64_t value, unsigned size)
{
	if (offset % 16 == 0 && size >= 4 && offset / 16 < REGISTERS - 1)
		write_register(data, offset / 16, (uint32_t)value);
}

static void initialize(struct lapic *a)
{
	memset(a->regs, 0, sizeof(a->regs));
	a->regs[ID] = a->link->index << 24;
	a->regs[DFR] = 0xffffffff;
	a->regs[SVR] = 0xff;
	for (unsigned reg = LVT_TIMER; reg <= LVT_ERROR; reg++)
		a->regs[reg] = LVT_MASKED;
	/* As firmware leaves it: who does not know of APICs gets the PIC's interrupts. */
	if (a->base & BASE_BSP)
		a->regs[LVT_LINT0] = EXTINT << 8;
	if (x2apic(a))
		set_ldr_by_id(a);
	a->icr_high = a->errors = 0;
	a->deadline = 0;
	clock_timer_set(&a->timer, CLOCK_NEVER);
}

static void init(void *data)
{
	struct lapic *a = data;

	pthread_mutex_lock(&a->lock);
	initialize(a);
	pthread_mutex_unlock(&a->lock);
}

static const struct vcpu_apic apic_ops = {
	.acknowledge = acknowledge,
	.get_cr8 = get_cr8,
	.set_cr8 = set_cr8,
	.get_base = get_base,
	.set_base = set_base,
	.read_msr = read_msr,
	.write_msr = write_msr,
	.read = read_page,
	.write = write_page,
	.init = init,
};

/* The PIC's output is the boot processor's LINT0. */
static void on_pic(void *data, bool level)
{
	struct lapics *all = data;
	struct lapic *a = &all->apics[0];

	pthread_mutex_lock(&a->lock);
	a->lint0 = level;
	update(a);
	pthread_mutex_unlock(&a->lock);
}

static void reset_one(struct lapic *a)
{
	pthread_mutex_lock(&a->lock);
	a->base = BASE_DEFAULT | BASE_ENABLE | (a->link->index == 0 ? BASE_BSP : 0);
	a->link->apic_page = BASE_DEFAULT;
	initialize(a);
	pthread_mutex_unlock(&a->lock);
}

static void reset(struct device *device)
{
	struct lapics *all = (struct lapics *)device;

	for (unsigned i = 0; i < all->n; i++)
		reset_one(&all->apics[i]);
	device_reset(pic_device(all->pic));
	device_reset(ioapic_device(all->ioapic));
}

static void destroy(struct device *device)
{
	struct lapics *all = (struct lapics *)device;

	device_free(ioapic_device(all->ioapic));
	device_free(pic_device(all->pic));
	for (unsigned i = 0; i < all->n; i++) {
		clock_timer_finish(&all->apics[i].timer);
		all->apics[i].link->apic = NULL;
		all->apics[i].link->apic_page = UINT64_MAX;
		pthread_mutex_destroy(&all->apics[i].lock);
	}
	free(all->apics);
	free(all);
}

static const struct device_type type = { .name = "lapic", .reset = reset, .destroy = destroy };

struct device *lapics_new(struct memory *m)
{
	static const struct irq_sink sink = { NULL, on_msi };
	struct lapics *all = xnew(struct lapics);

	all->device.type = &type;
	all->memory = m;
	all->n = m->n_vcpus;
	all->apics = xcalloc(all->n, sizeof(*all->apics));
	for (unsigned i = 0; i < all->n; i++) {
		struct lapic *a = &all->apics[i];

		a->all = all;
		a->link = &m->vcpus[i];
		pthread_mutex_init(&a->lock, NULL);
		clock_timer_init(&a->timer, m->clock, on_timer, a);
		reset_one(a);
		a->link->apic_data = a;
		a->link->apic = &apic_ops;
	}
	irqs_add_sink(m->irqs, &sink, all);
	all->pic = pic_new(m, on_pic, all);
	all->ioapic = ioapic_new(m);
	return &all->device;
}
