/* PICs, IOAPIC and local APICs, by the registers that a guest sees. */
#include "board.h"

#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/pit.h"

#define APIC 0xfee00000u
#define ON 0x1ffu

/* Takes what a vCPU would take now: the vector, or -1. */
static int take_vector(struct memory *m, unsigned cpu)
{
	struct vcpu_link *link = &m->vcpus[cpu];

	if (!vcpu_take(link, VCPU_INTERRUPT))
		return -1;
	return link->apic->acknowledge(link->apic_data);
}

static void init_pics(struct memory *m)
{
	out8(m, 0x20, 0x11);
	out8(m, 0xa0, 0x11);
	out8(m, 0x21, 0x20);
	out8(m, 0xa1, 0x28);
	out8(m, 0x21, 4);
	out8(m, 0xa1, 2);
	out8(m, 0x21, 1);
	out8(m, 0xa1, 1);
}

static void pic_priorities(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = lapics_new(m);
	struct irq_line four, one, twelve;

	irq_line_init(&four, m->irqs, 4);
	irq_line_init(&one, m->irqs, 1);
	irq_line_init(&twelve, m->irqs, 12);
	init_pics(m);
	out8(m, 0x21, 0x10);
	irq_line_set(&four, true);
	assert_int_equal(take_vector(m, 0), -1);
	out8(m, 0x21, 0);
	assert_int_equal(take_vector(m, 0), 0x24);
	/* Lower ones wait, higher ones do not: 12 comes in at the cascade, line 2. */
	irq_line_set(&twelve, true);
	irq_line_set(&one, true);
	assert_int_equal(take_vector(m, 0), 0x21);
	assert_int_equal(take_vector(m, 0), -1);
	out8(m, 0x20, 0x0b);
	assert_int_equal(in8(m, 0x20), 0x12);
	out8(m, 0x20, 0x20);
	assert_int_equal(take_vector(m, 0), 0x2c);
	out8(m, 0xa0, 0x20);
	out8(m, 0x20, 0x62);
	out8(m, 0x20, 0x20);
	assert_int_equal(in8(m, 0x20), 0);
	/* An edge: staying high is no second one. */
	assert_int_equal(take_vector(m, 0), -1);
	/* It went before it was acknowledged. */
	irq_line_set(&four, false);
	irq_line_set(&four, true);
	irq_line_set(&four, false);
	assert_int_equal(take_vector(m, 0), -1);
	device_free(d);
}

static void pic_levels(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = lapics_new(m);
	struct irq_line five;

	irq_line_init(&five, m->irqs, 5);
	init_pics(m);
	out8(m, 0x4d0, 0xff);
	assert_int_equal(in8(m, 0x4d0), 0xf8);
	irq_line_set(&five, true);
	assert_int_equal(take_vector(m, 0), 0x25);
	out8(m, 0x20, 0x20);
	assert_int_equal(take_vector(m, 0), 0x25);
	irq_line_set(&five, false);
	out8(m, 0x20, 0x20);
	assert_int_equal(take_vector(m, 0), -1);
	device_free(d);
}

static void entry(struct memory *m, unsigned pin, uint32_t low, uint32_t high)
{
	put32(m, 0, IOAPIC_BASE, 0x10 + 2 * pin + 1);
	put32(m, 0, IOAPIC_BASE + 0x10, high);
	put32(m, 0, IOAPIC_BASE, 0x10 + 2 * pin);
	put32(m, 0, IOAPIC_BASE + 0x10, low);
}

static void ioapic_levels(void **state)
{
	cleanup(memory_free) struct memory *m = board(2);
	struct device *d = lapics_new(m);
	struct irq_line timer, pci;

	irq_line_init(&timer, m->irqs, 0);
	irq_line_init(&pci, m->irqs, 17);
	out8(m, 0x21, 0xff);
	put32(m, 0, APIC + 0xf0, ON);
	put32(m, 1, APIC + 0xf0, ON);
	put32(m, 0, IOAPIC_BASE, 1);
	assert_int_equal(get32(m, 0, IOAPIC_BASE + 0x10), 0x170020);
	/* The timer is pin 2, here an edge to processor 1. */
	entry(m, 2, 0x31, 1u << 24);
	irq_line_set(&timer, true);
	assert_int_equal(take_vector(m, 0), -1);
	assert_int_equal(take_vector(m, 1), 0x31);
	put32(m, 1, APIC + 0xb0, 0);
	assert_int_equal(take_vector(m, 1), -1);
	/* A level is sent again at its EOI while it is high. */
	entry(m, 17, 0x8041, 0);
	irq_line_set(&pci, true);
	assert_int_equal(take_vector(m, 0), 0x41);
	put32(m, 0, IOAPIC_BASE, 0x10 + 34);
	assert_int_equal(get32(m, 0, IOAPIC_BASE + 0x10), 0xc041);
	assert_int_equal(take_vector(m, 0), -1);
	put32(m, 0, APIC + 0xb0, 0);
	assert_int_equal(take_vector(m, 0), 0x41);
	irq_line_set(&pci, false);
	put32(m, 0, APIC + 0xb0, 0);
	assert_int_equal(take_vector(m, 0), -1);
	assert_int_equal(get32(m, 0, IOAPIC_BASE + 0x10), 0x8041);
	/* Masked it waits. */
	entry(m, 17, 0x18041, 0);
	irq_line_set(&pci, true);
	assert_int_equal(take_vector(m, 0), -1);
	entry(m, 17, 0x8041, 0);
	assert_int_equal(take_vector(m, 0), 0x41);
	device_free(d);
}

static void lapic_priorities(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = lapics_new(m);
	const struct vcpu_link *l = &m->vcpus[0];

	/* Nothing while it is off; nothing below vector 16. */
	irq_msi(m->irqs, APIC, 0x50);
	assert_int_equal(take_vector(m, 0), -1);
	put32(m, 0, APIC + 0xf0, ON);
	irq_msi(m->irqs, APIC, 0x0f);
	assert_int_equal(take_vector(m, 0), -1);
	put32(m, 0, APIC + 0x280, 0);
	assert_int_equal(get32(m, 0, APIC + 0x280), 0x40);

	irq_msi(m->irqs, APIC, 0x50);
	irq_msi(m->irqs, APIC, 0x61);
	irq_msi(m->irqs, APIC, 0x55);
	assert_int_equal(take_vector(m, 0), 0x61);
	assert_int_equal(get32(m, 0, APIC + 0xa0), 0x60);
	assert_int_equal(take_vector(m, 0), -1);
	/* CR8 holds back what is not above it. */
	l->apic->set_cr8(l->apic_data, 5);
	put32(m, 0, APIC + 0xb0, 0);
	assert_int_equal(take_vector(m, 0), -1);
	assert_int_equal(get32(m, 0, APIC + 0x80), 0x50);
	l->apic->set_cr8(l->apic_data, 4);
	assert_int_equal(take_vector(m, 0), 0x55);
	put32(m, 0, APIC + 0xb0, 0);
	assert_int_equal(take_vector(m, 0), 0x50);
	put32(m, 0, APIC + 0xb0, 0);
	assert_int_equal(get32(m, 0, APIC + 0x120), 0);
	device_free(d);
}

static void commands(void **state)
{
	cleanup(memory_free) struct memory *m = board(3);
	struct device *d = lapics_new(m);

	for (unsigned i = 0; i < 3; i++)
		put32(m, i, APIC + 0xf0, ON);
	assert_int_equal(get32(m, 2, APIC + 0x20), 2u << 24);
	put32(m, 0, APIC + 0x310, 2u << 24);
	put32(m, 0, APIC + 0x300, 0x4500);
	assert_int_equal(vcpu_events(&m->vcpus[2]), VCPU_INIT);
	put32(m, 0, APIC + 0x300, 0x8500); /* its level's end */
	put32(m, 0, APIC + 0x300, 0x4699);
	assert_int_equal(vcpu_events(&m->vcpus[2]), VCPU_INIT | VCPU_SIPI);
	assert_int_equal(m->vcpus[2].sipi_vector, 0x99);
	/* All but itself, itself. */
	put32(m, 0, APIC + 0x300, 0xc40f0);
	assert_int_equal(take_vector(m, 0), -1);
	assert_int_equal(take_vector(m, 1), 0xf0);
	assert_int_equal(take_vector(m, 2), 0xf0);
	put32(m, 0, APIC + 0x300, 0x440f0);
	assert_int_equal(take_vector(m, 0), 0xf0);
	put32(m, 0, APIC + 0x310, 1u << 24);
	put32(m, 0, APIC + 0x300, 0x4400);
	assert_int_equal(vcpu_events(&m->vcpus[1]), VCPU_NMI);
	/* Logical, flat: processors 0 and 2. */
	for (unsigned i = 0; i < 3; i++)
		put32(m, i, APIC + 0xb0, 0);
	put32(m, 0, APIC + 0xd0, 1u << 24);
	put32(m, 2, APIC + 0xd0, 4u << 24);
	irq_msi(m->irqs, APIC | 5 << 12 | 4, 0xf1);
	assert_int_equal(take_vector(m, 0), 0xf1);
	assert_int_equal(take_vector(m, 2), 0xf1);
	/* Lowest priority: one of the two. */
	put32(m, 0, APIC + 0xb0, 0);
	put32(m, 2, APIC + 0xb0, 0);
	irq_msi(m->irqs, APIC | 5 << 12 | 4, 0x1f2);
	assert_int_equal((take_vector(m, 0) == 0xf2) + (take_vector(m, 2) == 0xf2), 1);
	device_free(d);
}

static void x2apic(void **state)
{
	cleanup(memory_free) struct memory *m = board(2);
	struct device *d = lapics_new(m);
	struct vcpu_link *l = &m->vcpus[1];
	const struct vcpu_apic *apic = l->apic;
	void *data = l->apic_data;
	uint64_t v;

	assert_int_equal(apic->get_base(data), 0xfee00800);
	assert_false(apic->read_msr(data, 0x802, &v));
	assert_false(apic->set_base(data, 0xfee00400));
	assert_false(apic->set_base(data, 0xfee00801));
	assert_true(apic->set_base(data, 0xfee00c00));
	assert_int_equal(get32(m, 1, APIC + 0x20), 0xffffffff);
	assert_true(apic->read_msr(data, 0x802, &v));
	assert_int_equal(v, 1);
	assert_true(apic->read_msr(data, 0x80d, &v));
	assert_int_equal(v, 2);
	assert_false(apic->write_msr(data, 0x802, 1));
	assert_false(apic->write_msr(data, 0x80b, 1));
	assert_false(apic->read_msr(data, 0x80e, &v));
	assert_true(apic->write_msr(data, 0x80f, ON));
	assert_true(apic->write_msr(data, 0x83f, 0x71));
	assert_int_equal(take_vector(m, 1), 0x71);
	assert_true(apic->write_msr(data, 0x80b, 0));
	/* The command register is one of 64 bits here. */
	put32(m, 0, APIC + 0xf0, ON);
	assert_true(apic->write_msr(data, 0x830, 0x4072));
	assert_int_equal(take_vector(m, 0), 0x72);
	/* Not straight back. */
	assert_false(apic->set_base(data, 0xfee00800));
	assert_true(apic->set_base(data, 0xfee00000));
	assert_true(apic->set_base(data, 0xfee00800));
	assert_int_equal(get32(m, 1, APIC + 0x20), 1u << 24);
	device_free(d);
}

/* One NMI waits while another is handled; two that come before either is taken are both delivered. */
static void nmis(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = lapics_new(m);

	put32(m, 0, APIC + 0xf0, ON);
	put32(m, 0, APIC + 0x300, 0x40400);
	assert_int_equal(vcpu_events(&m->vcpus[0]), VCPU_NMI);
	put32(m, 0, APIC + 0x300, 0x40400);
	assert_int_equal(vcpu_take(&m->vcpus[0], UINT32_MAX), VCPU_NMI | VCPU_NMI_NEXT);
	device_free(d);
}

static void timers(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = lapics_new(m);
	const struct vcpu_link *l = &m->vcpus[0];
	uint64_t deadline = 0;

	put32(m, 0, APIC + 0xf0, ON);
	put32(m, 0, APIC + 0x3e0, 0x3); /* by 16 */
	put32(m, 0, APIC + 0x320, 0x40);
	put32(m, 0, APIC + 0x380, 1000);
	clock_advance(m->clock, 8000);
	assert_int_equal(get32(m, 0, APIC + 0x390), 500);
	assert_int_equal(take_vector(m, 0), -1);
	clock_advance(m->clock, 8000);
	assert_int_equal(take_vector(m, 0), 0x40);
	assert_int_equal(get32(m, 0, APIC + 0x390), 0);
	put32(m, 0, APIC + 0xb0, 0);
	clock_advance(m->clock, 100000);
	assert_int_equal(take_vector(m, 0), -1);
	/* A one-shot that is over does not begin again as another mode. */
	put32(m, 0, APIC + 0x320, 0x20040);
	clock_advance(m->clock, 5000);
	assert_int_equal(get32(m, 0, APIC + 0x390), 0);
	/* Periodic, and masked for a while. */
	put32(m, 0, APIC + 0x3e0, 0xb);
	put32(m, 0, APIC + 0x320, 0x20041);
	put32(m, 0, APIC + 0x380, 1000000);
	for (unsigned i = 0; i < 3; i++) {
		clock_advance(m->clock, 1000000);
		assert_int_equal(take_vector(m, 0), 0x41);
		put32(m, 0, APIC + 0xb0, 0);
	}
	put32(m, 0, APIC + 0x320, 0x30041);
	clock_advance(m->clock, 1000000);
	assert_int_equal(take_vector(m, 0), -1);
	/* By the TSC, which is the manual clock's nanosecond. */
	put32(m, 0, APIC + 0x320, 0x40042);
	put32(m, 0, APIC + 0x380, 5);
	assert_true(l->apic->write_msr(l->apic_data, 0x6e0, (uint64_t)clock_now(m->clock) + 77));
	clock_advance(m->clock, 76);
	assert_int_equal(take_vector(m, 0), -1);
	clock_advance(m->clock, 1);
	assert_int_equal(take_vector(m, 0), 0x42);
	put32(m, 0, APIC + 0xb0, 0);
	/* One that is past does not wait for the clock, and is over; one that was masked is lost. */
	assert_true(l->apic->write_msr(l->apic_data, 0x6e0, (uint64_t)clock_now(m->clock)));
	assert_int_equal(take_vector(m, 0), 0x42);
	put32(m, 0, APIC + 0xb0, 0);
	assert_true(l->apic->read_msr(l->apic_data, 0x6e0, &deadline));
	assert_int_equal(deadline, 0);
	put32(m, 0, APIC + 0x320, 0x50042);
	assert_true(l->apic->write_msr(l->apic_data, 0x6e0, 1));
	put32(m, 0, APIC + 0x320, 0x40042);
	clock_advance(m->clock, 1000);
	assert_int_equal(take_vector(m, 0), -1);
	device_free(d);
}

/* Ten ticks of the interval timer while the processor stands still: it takes ten interrupts then, by either way. */
static void owed_ticks(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		cleanup(memory_free) struct memory *m = board(1);
		struct device *d = lapics_new(m), *pit = pit_new(m);
		unsigned n = 0;

		put32(m, 0, APIC + 0xf0, ON);
		if (i == 0) {
			out8(m, 0x21, 0xff);
			put32(m, 0, IOAPIC_BASE, 0x14);
			put32(m, 0, IOAPIC_BASE + 0x10, 0x30);
		} else {
			static const uint8_t words[] = { 0x30, 4, 1, 0xfe };

			out8(m, 0x20, 0x11);
			for (unsigned k = 0; k < sizeof(words); k++)
				out8(m, 0x21, words[k]);
			put32(m, 0, APIC + 0x350, 0x700);
		}
		out8(m, 0x43, 0x34);
		out8(m, 0x40, 0x9c);
		out8(m, 0x40, 0x2e); /* 100 Hz */
		while (take_vector(m, 0) >= 0) {
			put32(m, 0, APIC + 0xb0, 0);
			out8(m, 0x20, 0x20);
		}
		clock_advance(m->clock, 101000000);
		while (n < 50 && take_vector(m, 0) == 0x30) {
			if (i == 0)
				put32(m, 0, APIC + 0xb0, 0);
			else
				out8(m, 0x20, 0x20);
			n++;
		}
		assert_int_equal(n, 10);
		device_free(pit);
		device_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pic_priorities),
		cmocka_unit_test(pic_levels),
		cmocka_unit_test(ioapic_levels),
		cmocka_unit_test(lapic_priorities),
		cmocka_unit_test(commands),
		cmocka_unit_test(x2apic),
		cmocka_unit_test(nmis),
		cmocka_unit_test(timers),
		cmocka_unit_test(owed_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
