/*
 * What a guest may ask of the hypervisor instead of a processor, by the interface that KVM has made common
 * (Linux, Documentation/virt/kvm/x86: cpuid, msr, hypercalls): a clock of known rate, so that it need not measure one
 * on a busy host; waking a processor that sleeps on a lock; interrupts to many at once.
 *
 * The clock is the TSC in nanoseconds, from 0 on: the same on every vCPU, and standing still with it.
 */
#include "cpu/soft/access.h"
#include "cpu/soft/ops_fn.h"
#include "memory/clock.h"
#include "memory/irq.h"

#include <errno.h>
#include <time.h>

#define FIRST_LEAF 0x40000000u
#define FEATURES_LEAF 0x40000001u
enum {
	NOP_IO_DELAY = 1 << 1,
	CLOCKSOURCE2 = 1 << 3,
	PV_UNHALT = 1 << 7,
	PV_SEND_IPI = 1 << 11,
	CLOCKSOURCE_STABLE = 1 << 24
};
#define CLOCK_ENABLED 1u
#define CLOCK_FLAG_STABLE 1u

enum { CALL_POLL_IRQ = 1, CALL_KICK_CPU = 5, CALL_SEND_IPI = 10 };
#define CALL_UNKNOWN (-1000) /* KVM's own number */

/* Of ICR: what SEND_IPI takes, a vector and a delivery mode. */
#define ICR_TAKEN UINT64_C(0x7ff)
#define ICR_REFUSED UINT64_C(0xc0800) /* shorthands, logical destinations */
#define MSI_ADDRESS UINT64_C(0xfee00000)

struct clock_page {
	uint32_t version, unused;
	uint64_t tsc, ns; /* ns is the time at which the TSC was tsc */
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, unused2[2];
};

struct wall_clock {
	uint32_t version, seconds, ns; /* when the clock was 0 */
};

void paravirt_cpuid(struct cpuid_table *t)
{
	cpuid_add(t, FIRST_LEAF, 0, false)->regs =
		(struct cpuid_regs){ FEATURES_LEAF, 0x4b4d564b, 0x564b4d56, 0x4d }; /* KVMKVMKVM */
	cpuid_add(t, FEATURES_LEAF, 0, false)->regs.eax =
		NOP_IO_DELAY | CLOCKSOURCE2 | PV_UNHALT | PV_SEND_IPI | CLOCKSOURCE_STABLE;
}

/* Nanoseconds are (ticks << shift) * multiplier >> 32. */
static void set_scale(struct clock_page *p, uint64_t khz)
{
	uint64_t multiplier = (UINT64_C(1000000) << 32) / (khz ? khz : 1);

	for (; multiplier > UINT32_MAX; multiplier >>= 1)
		p->shift++;
	p->multiplier = (uint32_t)multiplier;
}

/* The version is odd while the rest changes, and not the one that was there before. */
static void publish(struct vcpu *v, uint64_t gpa, uint32_t *record, size_t bytes)
{
	struct memory *m = v->cpu->memory;
	uint32_t version = 0;

	if (!memory_read(m, gpa, &version, sizeof(version)))
		return;
	version = (version + 1) | 1;
	memory_write(m, gpa, &version, sizeof(version));
	atomic_thread_fence(memory_order_release);
	memory_write(m, gpa + sizeof(version), record + 1, bytes - sizeof(version));
	atomic_thread_fence(memory_order_release);
	version++;
	memory_write(m, gpa, &version, sizeof(version));
}

void paravirt_tell_time(struct vcpu *v)
{
	struct clock_page p = { .tsc = v->tsc_adjust, .flags = CLOCK_FLAG_STABLE };

	if (!(v->kvm_clock & CLOCK_ENABLED))
		return;
	set_scale(&p, clock_settle_tsc_khz(v->cpu->memory->clock));
	publish(v, v->kvm_clock & ~(uint64_t)CLOCK_ENABLED, &p.version, sizeof(p));
}

static void tell_wall_clock(struct vcpu *v)
{
	struct clock_page p = { 0 };
	struct wall_clock w = { 0 };
	struct timespec now;
	uint64_t tsc, since, at;

	set_scale(&p, clock_settle_tsc_khz(v->cpu->memory->clock));
	tsc = clock_tsc(v->cpu->memory->clock);
	clock_gettime(CLOCK_REALTIME, &now);
	since = (uint64_t)((unsigned __int128)(tsc << p.shift) * p.multiplier >> 32);
	at = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec - since;
	w.seconds = (uint32_t)(at / NS_PER_S);
	w.ns = (uint32_t)(at % NS_PER_S);
	publish(v, v->kvm_wall_clock, &w.version, sizeof(w));
}

void paravirt_set_clock(struct vcpu *v, uint64_t value)
{
	v->kvm_clock = value;
	paravirt_tell_time(v);
}

void paravirt_set_wall_clock(struct vcpu *v, uint64_t value)
{
	v->kvm_wall_clock = value;
	tell_wall_clock(v);
}

/* It may not have gone to sleep yet: then it will not. */
static void kick_cpu(struct vcpu *v, uint64_t id)
{
	if (id < v->cpu->memory->n_vcpus)
		vcpu_raise(&v->cpu->memory->vcpus[id], VCPU_UNHALT);
}

/* To those of a bitmap that begins at an id; how many there are. */
static int64_t send_ipis(struct vcpu *v, const uint64_t bitmap[2], uint64_t first, uint64_t icr)
{
	unsigned bits = v->code == DECODE_64 ? 64 : 32;
	struct memory *m = v->cpu->memory;
	int64_t n = 0;

	if (icr & ICR_REFUSED)
		return -EINVAL;
	for (unsigned i = 0; i < 2 * bits && first < m->n_vcpus; i++, first++)
		if (bitmap[i / bits] >> i % bits & 1) {
			irq_msi(m->irqs, MSI_ADDRESS | first << 12, (uint32_t)(icr & ICR_TAKEN));
			n++;
		}
	return n;
}

void op_hypercall(struct vcpu *v, const struct cell *c)
{
	unsigned size = v->code == DECODE_64 ? 8 : 4;
	uint64_t mask = size_mask(size), bitmap[2] = { v->gpr[3] & mask, v->gpr[1] & mask };
	int64_t r = CALL_UNKNOWN;

	if (v->cpl)
		r = -EPERM;
	else if ((v->gpr[0] & mask) == CALL_POLL_IRQ)
		r = 0;
	else if ((v->gpr[0] & mask) == CALL_KICK_CPU)
		kick_cpu(v, bitmap[1]), r = 0;
	else if ((v->gpr[0] & mask) == CALL_SEND_IPI)
		r = send_ipis(v, bitmap, v->gpr[2] & mask, v->gpr[6] & mask);
	gpr_set(v, 0, (uint64_t)r, size);
}
