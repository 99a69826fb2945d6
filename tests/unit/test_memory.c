#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

#define MIB (1u << 20)

static void regions(void **state)
{
	cleanup(memory_free) struct memory *m = memory_new(1, clock_new_manual());
	uint64_t v = 0x1122334455667788;
	struct err err;

	assert_int_equal(memory_add(m, 0x100000, MIB, 0, &err), 0);
	assert_int_equal(memory_add(m, 0, MIB, 0, &err), 0);
	assert_int_equal(memory_add(m, 0xfffc0000, 0x40000, MEMORY_READONLY, &err), 0);
	assert_int_equal(memory_add(m, 0xff000, 4096, 0, &err), -EINVAL);
	assert_int_equal(memory_add(m, 0x800800, 4096, 0, &err), -EINVAL);
	assert_int_equal(memory_add(m, UINT64_MAX - 4095, 4096, 0, &err), -EINVAL);
	assert_int_equal(m->n_regions, 3);
	assert_int_equal(m->regions[0].gpa, 0);
	assert_int_equal(memory_ram_bytes(m), 2 * MIB);

	/* Across two regions, which touch only for the guest. */
	assert_true(memory_write(m, MIB - 3, &v, sizeof(v)));
	v = 0;
	assert_true(memory_read(m, MIB - 3, &v, sizeof(v)));
	assert_int_equal(v, 0x1122334455667788);
	assert_null(memory_host(m, MIB - 3, 8, false));
	assert_ptr_equal(memory_host(m, MIB, MIB, true), m->regions[1].host);
	assert_null(memory_host(m, MIB, MIB + 1ull, true));
	assert_null(memory_host(m, MIB, UINT64_MAX, true));

	/* Nothing there, and nothing to write to. */
	assert_false(memory_read(m, 2 * MIB - 4, &v, 8));
	assert_false(memory_read(m, UINT64_MAX - 3, &v, 8));
	assert_false(memory_write(m, 0xfffc0000, &v, 8));
	assert_true(memory_read(m, 0xfffffff8, &v, 8));
}

static void dirty(void **state)
{
	cleanup(memory_free) struct memory *m = memory_new(1, clock_new_manual());
	uint64_t bits[4];
	char three[2 * PAGE_BYTES] = { 1 };

	memory_add(m, 0, MIB, 0, NULL);
	memory_write(m, 0x5000, "x", 1);
	memory_dirty_start(m);
	memory_write(m, 0x1fff, "xy", 2);
	memory_write(m, 0x40ff0, three, sizeof(three));
	memory_dirty(m, 0x7000000, 1);
	memory_dirty_take(m, 0, 0, bits, 4);
	assert_int_equal(bits[0], 6);
	assert_int_equal(bits[1], 7);
	assert_int_equal(bits[2], 0);
	memory_dirty_take(m, 0, 0, bits, 4);
	assert_int_equal(bits[0] | bits[1], 0);
	/* Beyond the region there is nothing, and 256 pages are 4 words. */
	memory_dirty_take(m, 0, 192, bits, 4);
	assert_int_equal(bits[0] | bits[1] | bits[2] | bits[3], 0);
}

struct probe {
	struct bus_region region;
	uint64_t last, offset;
	unsigned size, calls;
};

static uint64_t probe_read(void *data, uint64_t offset, unsigned size)
{
	struct probe *p = data;

	p->calls++;
	p->offset = offset;
	p->size = size;
	return 0x8877665544332211 >> 8 * (offset % 8);
}

static void probe_write(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct probe *p = data;

	p->calls++;
	p->last = value;
	p->offset = offset;
	p->size = size;
}

static const struct bus_ops bytes = { probe_read, probe_write, 1 },
			    all = { probe_read, probe_write, 1 | 2 | 4 | 8 },
			    dwords = { probe_read, probe_write, 4 };

static void dispatch(void **state)
{
	cleanup(bus_free) struct bus *bus = bus_new();
	struct probe a = { 0 }, b = { 0 };

	bus_region_init(&a.region, "a", BUS_MMIO, 0x100, &all, &a);
	bus_region_init(&b.region, "b", BUS_MMIO, 0x10, &bytes, &b);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 4), 0xffffffff);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 8), UINT64_MAX);
	assert_int_equal(bus_map(bus, &a.region, 0x1000), 0);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1008, 8), 0x8877665544332211);
	assert_int_equal(a.calls, 1);
	/* Not aligned: smaller ones. */
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1009, 2), 0x3322);
	assert_int_equal(a.calls, 3);
	/* The newest answers, and lets what it covered answer when it goes. */
	assert_int_equal(bus_map(bus, &b.region, 0x1008), 0);
	bus_write(bus, BUS_MMIO, 0x1008, 0xaabb, 2);
	assert_int_equal(b.calls, 2);
	assert_int_equal(b.last, 0xaa);
	assert_int_equal(b.offset, 1);
	/* Over the border into it and out of it. */
	a.calls = b.calls = 0;
	bus_write(bus, BUS_MMIO, 0x1006, 0x11223344, 4);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.last, 0x3344);
	assert_int_equal(b.calls, 2);
	/* Around it, beginning before it. */
	a.calls = b.calls = 0;
	bus_write(bus, BUS_MMIO, 0x1000, 1, 8);
	bus_map(bus, &b.region, 0x1001);
	bus_write(bus, BUS_MMIO, 0x1000, 1, 4);
	bus_write(bus, BUS_MMIO, 0x1001, 1, 1);
	assert_int_equal(a.calls, 2);
	assert_int_equal(b.calls, 1);
	assert_int_equal(bus_map(bus, &b.region, 0x2000), 0);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1008, 4), 0x44332211);
	bus_unmap(bus, &a.region);
	bus_unmap(bus, &a.region);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1008, 1), 0xff);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1fff, 2), 0x11ff);
}

/* Sizes that a device does not take, and the ends of the spaces. */
static void odd_accesses(void **state)
{
	cleanup(bus_free) struct bus *bus = bus_new();
	struct probe a = { 0 }, p = { 0 };

	bus_region_init(&a.region, "a", BUS_MMIO, 0x100, &dwords, &a);
	bus_map(bus, &a.region, 0x1000);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 8), 0x8877665544332211);
	assert_int_equal(a.calls, 2);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 2), 0xffff);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1002, 4), 0xffffffff);
	bus_write(bus, BUS_MMIO, 0x1001, 1, 1);
	assert_int_equal(a.calls, 2);
	assert_int_equal(bus_read(bus, BUS_MMIO, UINT64_MAX - 2, 8), UINT64_MAX);
	assert_int_equal(bus_map(bus, &a.region, UINT64_MAX - 0xff), -ERANGE);
	assert_int_equal(a.region.base, 0x1000);

	bus_region_init(&p.region, "p", BUS_PORT, 2, &bytes, &p);
	assert_int_equal(bus_map(bus, &p.region, 0xffff), -ERANGE);
	assert_int_equal(bus_map(bus, &p.region, 0xfffe), 0);
	/* The port space wraps. */
	assert_int_equal(bus_read(bus, BUS_PORT, 0xffff, 2), 0xff22);
	bus_write(bus, BUS_PORT, 0xfffe, 0x04030201, 4);
	assert_int_equal(p.calls, 3);
	assert_int_equal(p.last, 2);
}

struct lines {
	unsigned changes, gsi;
	bool level;
	uint64_t address;
	uint32_t value;
};

static void saw_line(void *data, unsigned gsi, bool level)
{
	struct lines *l = data;

	l->changes++;
	l->gsi = gsi;
	l->level = level;
}

static void saw_msi(void *data, uint64_t address, uint32_t value)
{
	struct lines *l = data;

	l->address = address;
	l->value = value;
}

static void shared_lines(void **state)
{
	static const struct irq_sink sink = { saw_line, saw_msi }, only_lines = { saw_line, NULL };
	cleanup(irqs_free) struct irqs *irqs = irqs_new();
	struct lines seen = { 0 }, late = { 0 };
	struct irq_line a, b;

	irqs_add_sink(irqs, &sink, &seen);
	irq_line_init(&a, irqs, 17);
	irq_line_init(&b, irqs, 17);
	irq_line_set(&a, true);
	irq_line_set(&a, true);
	irq_line_set(&b, true);
	assert_int_equal(seen.changes, 1);
	assert_true(seen.level);
	irqs_add_sink(irqs, &only_lines, &late);
	assert_int_equal(late.gsi, 17);
	irq_line_set(&a, false);
	assert_int_equal(seen.changes, 1);
	irq_line_set(&b, false);
	assert_int_equal(seen.changes, 2);
	assert_false(seen.level);
	irq_line_pulse(&a);
	assert_int_equal(seen.changes, 4);
	irq_msi(irqs, 0xfee00000, 0x4041);
	assert_int_equal(seen.address, 0xfee00000);
	assert_int_equal(seen.value, 0x4041);
}

static uint64_t apic_read(void *data, unsigned offset, unsigned size)
{
	return *(unsigned *)data + offset;
}

static void *waits(void *data)
{
	struct vcpu_link *link = data;

	return (void *)(uintptr_t)vcpu_wait(link, VCPU_SIPI | VCPU_STOP);
}

static void kicked(void *data)
{
	(*(unsigned *)data)++;
}

static void links(void **state)
{
	static const struct vcpu_apic apic = { .read = apic_read };
	cleanup(memory_free) struct memory *m = memory_new(2, clock_new_manual());
	unsigned ids[2] = { 0x100, 0x200 }, kicks = 0;
	pthread_t thread;
	void *woken;

	for (unsigned i = 0; i < 2; i++) {
		m->vcpus[i].apic = &apic;
		m->vcpus[i].apic_data = &ids[i];
		m->vcpus[i].apic_page = 0xfee00000;
	}
	/* The same page, but each its own. */
	assert_int_equal(vcpu_read(&m->vcpus[0], 0xfee00020, 4), 0x120);
	assert_int_equal(vcpu_read(&m->vcpus[1], 0xfee00020, 4), 0x220);
	assert_int_equal(vcpu_read(&m->vcpus[1], 0xfee00ffe, 4), 0xffffffff);
	m->vcpus[1].apic_page = UINT64_MAX;
	assert_int_equal(vcpu_read(&m->vcpus[1], 0xfee00020, 4), 0xffffffff);

	m->vcpus[1].kick = kicked;
	m->vcpus[1].kick_data = &kicks;
	pthread_create(&thread, NULL, waits, &m->vcpus[1]);
	vcpu_raise(&m->vcpus[1], VCPU_INTERRUPT);
	vcpu_raise(&m->vcpus[1], VCPU_INTERRUPT);
	assert_int_equal(kicks, 1);
	vcpu_raise_sipi(&m->vcpus[1], 0x9a);
	pthread_join(thread, &woken);
	assert_int_equal((uintptr_t)woken, VCPU_SIPI);
	assert_int_equal(m->vcpus[1].sipi_vector, 0x9a);
	assert_int_equal(vcpu_take(&m->vcpus[1], VCPU_SIPI | VCPU_NMI), VCPU_SIPI);
	assert_int_equal(vcpu_events(&m->vcpus[1]), VCPU_INTERRUPT);
}

struct ticks {
	struct clock_timer timer;
	unsigned n;
	int64_t at[8];
};

static void tick(void *data)
{
	struct ticks *t = data;

	t->at[t->n++] = clock_now(t->timer.clock);
	if (t->n < 3)
		clock_timer_set(&t->timer, t->at[t->n - 1] + 100);
}

static void manual_timers(void **state)
{
	cleanup(clock_free) struct clock *c = clock_new_manual();
	struct ticks a = { 0 }, b = { 0 };

	clock_timer_init(&a.timer, c, tick, &a);
	clock_timer_init(&b.timer, c, tick, &b);
	clock_timer_set(&a.timer, 50);
	clock_timer_set(&b.timer, 60);
	clock_timer_set(&b.timer, CLOCK_NEVER);
	clock_advance(c, 49);
	assert_int_equal(a.n, 0);
	clock_advance(c, 1000);
	assert_int_equal(a.n, 3);
	assert_int_equal(b.n, 0);
	assert_int_equal(a.at[0], 50);
	assert_int_equal(a.at[2], 250);
	assert_int_equal(clock_now(c), 1049);
	assert_int_equal(clock_of_tsc(c, 1059), 1059);
	assert_int_equal(clock_of_tsc(c, 5), 1049);
	clock_timer_finish(&a.timer);
	clock_timer_finish(&b.timer);
}

static void real_timers(void **state)
{
	cleanup(clock_free) struct clock *c = clock_new();
	struct ticks t = { 0 };
	int64_t start = clock_now(c), paused;
	uint64_t tsc, ms;

	clock_timer_init(&t.timer, c, tick, &t);
	clock_timer_set(&t.timer, start + 2000000);
	usleep(3000);
	assert_int_equal(t.n, 0);
	/* Who looks at the time calls what is overdue. */
	clock_poll(c);
	assert_true(t.n >= 1);
	assert_int_equal(clock_start(c), 0);
	for (int i = 0; i < 2000 && t.n < 3; i++)
		usleep(1000);
	assert_int_equal(t.n, 3);
	assert_true(t.at[0] >= start + 2000000);
	clock_timer_finish(&t.timer);

	/* Both stand still, and go on from where they were. */
	clock_pause(c, true);
	paused = clock_now(c);
	tsc = clock_tsc(c);
	usleep(20000);
	assert_int_equal(clock_now(c), paused);
	assert_int_equal(clock_tsc(c), tsc);
	clock_pause(c, false);
	assert_true(clock_now(c) - paused < 15000000);
	ms = (clock_tsc(c) - tsc) / clock_tsc_khz(c);
	assert_true(ms < 15);
}

/* The rate that a guest is told is that of the two clocks since they began, and stays. */
static void settled_rate(void **state)
{
	cleanup(clock_free) struct clock *c = clock_new();
	uint64_t khz, ns;
	int64_t off = INT64_MAX;

	usleep(50000);
	khz = clock_settle_tsc_khz(c);
	assert_in_range(khz, clock_tsc_khz(c), clock_tsc_khz(c));
	/* One of these is not interrupted between the two. */
	for (int i = 0; i < 1000 && (off > 20000 || off < -20000); i++) {
		ns = (uint64_t)((unsigned __int128)clock_tsc(c) * 1000000 / khz);
		off = (int64_t)ns - clock_now(c);
	}
	assert_true(off < 20000 && off > -20000);
	usleep(3000);
	assert_int_equal(clock_settle_tsc_khz(c), khz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions),
		cmocka_unit_test(dirty),
		cmocka_unit_test(dispatch),
		cmocka_unit_test(odd_accesses),
		cmocka_unit_test(shared_lines),
		cmocka_unit_test(links),
		cmocka_unit_test(manual_timers),
		cmocka_unit_test(real_timers),
		cmocka_unit_test(settled_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
