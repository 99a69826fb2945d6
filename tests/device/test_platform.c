/* What firmware and systems probe: event timers, keyboard controller, firmware configuration. */
#include "board.h"

#include <endian.h>
#include <string.h>

#include "device/fwcfg.h"
#include "device/hpet.h"
#include "device/i8042.h"

#define T0 (HPET_BASE + 0x100)
#define T1 (HPET_BASE + 0x120)
#define T2 (HPET_BASE + 0x140)
#define US 1000

static uint64_t get64(struct memory *m, uint64_t gpa)
{
	return vcpu_read(&m->vcpus[0], gpa, 8);
}

static void put64(struct memory *m, uint64_t gpa, uint64_t value)
{
	vcpu_write(&m->vcpus[0], gpa, value, 8);
}

static void counter(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = hpet_new(m);

	assert_int_equal(get64(m, HPET_BASE), 10000000ull << 32 | HPET_ID);
	clock_advance(m->clock, 100 * US);
	assert_int_equal(get64(m, HPET_BASE + 0xf0), 0);
	put64(m, HPET_BASE + 0xf0, 0xfffffff0);
	put32(m, 0, HPET_BASE + 0x10, 1);
	clock_advance(m->clock, US);
	assert_int_equal(get64(m, HPET_BASE + 0xf0), 0xfffffff0 + 100ull);
	assert_int_equal(get32(m, 0, HPET_BASE + 0xf4), 1);
	/* It runs: writes are dropped. Then it stands still. */
	put64(m, HPET_BASE + 0xf0, 5);
	put32(m, 0, HPET_BASE + 0x10, 0);
	clock_advance(m->clock, US);
	assert_int_equal(get64(m, HPET_BASE + 0xf0), 0xfffffff0 + 100ull);
	device_reset(d);
	assert_int_equal(get64(m, HPET_BASE + 0xf0), 0);
	device_free(d);
}

static void comparators(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	struct device *d = hpet_new(m);

	irqs_add_sink(m->irqs, &level_sink, &l);
	put32(m, 0, HPET_BASE + 0x10, 1);
	/* Line 21, an edge, once. */
	put32(m, 0, T2, 21 << 9 | 4);
	put32(m, 0, T2 + 8, 200);
	put32(m, 0, T2 + 12, 0);
	clock_advance(m->clock, 1990);
	assert_int_equal(l.rises[21], 0);
	clock_advance(m->clock, 20);
	assert_int_equal(l.rises[21], 1);
	clock_advance(m->clock, 5000 * US);
	assert_int_equal(l.rises[21], 1);
	assert_int_equal(get32(m, 0, HPET_BASE + 0x20), 0);
	/* Line 20, a level, until its status is cleared. */
	put32(m, 0, T1, 20 << 9 | 4 | 2);
	put64(m, T1 + 8, get64(m, HPET_BASE + 0xf0) + 100);
	clock_advance(m->clock, 2 * US);
	assert_true(l.high[20]);
	assert_int_equal(get32(m, 0, HPET_BASE + 0x20), 2);
	put32(m, 0, HPET_BASE + 0x20, 2);
	assert_false(l.high[20]);
	/* A line that it cannot have. */
	put32(m, 0, T1, 3 << 9 | 4);
	put64(m, T1 + 8, get64(m, HPET_BASE + 0xf0) + 100);
	clock_advance(m->clock, 2 * US);
	assert_int_equal(l.rises[3], 0);
	/* A count of 32 bits comes round. */
	put32(m, 0, T2, 21 << 9 | 4 | 0x100);
	put32(m, 0, T2 + 8, get32(m, 0, HPET_BASE + 0xf0) - 10);
	clock_advance(m->clock, (1ll << 32) * 10 - 10 * US);
	assert_int_equal(l.rises[21], 1);
	clock_advance(m->clock, 20 * US);
	assert_int_equal(l.rises[21], 2);
	device_free(d);
}

static void periodic(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	struct device *d = hpet_new(m);
	struct irq_line other;

	irqs_add_sink(m->irqs, &level_sink, &l);
	irq_line_init(&other, m->irqs, 0);
	irq_line_set(&other, true);
	assert_true(l.high[0]);
	/* Legacy replacement: line 0 is timer 0's alone. First when, then how often. */
	put32(m, 0, HPET_BASE + 0x10, 3);
	assert_false(l.high[0]);
	put32(m, 0, T0, 0x14c);
	put32(m, 0, T0 + 8, 100000);
	put32(m, 0, T0 + 8, 50000);
	l.rises[0] = 0;
	clock_advance(m->clock, 999 * US);
	assert_int_equal(l.rises[0], 0);
	clock_advance(m->clock, 2 * US);
	assert_int_equal(l.rises[0], 1);
	for (unsigned i = 0; i < 6; i++)
		clock_advance(m->clock, 500 * US);
	assert_int_equal(l.rises[0], 7);
	/* None was ended: six merged with the first, and are made up for. */
	for (unsigned i = 0; i < 8; i++)
		irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 13);
	clock_advance(m->clock, 500 * US);
	assert_int_equal(l.rises[0], 14);
	/* Masked for long: they were not wanted. */
	for (unsigned i = 0; i < 200; i++)
		clock_advance(m->clock, 500 * US);
	irqs_tell(m->irqs, 0, IRQ_UNMASKED);
	l.rises[0] = 7;
	irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 7);
	irq_line_set(&other, false);
	irq_line_set(&other, true);
	assert_int_equal(l.rises[0], 7);
	/* And back. */
	put32(m, 0, HPET_BASE + 0x10, 1);
	assert_true(l.high[0]);
	irq_line_set(&other, false);
	assert_false(l.high[0]);
	device_free(d);
}

static void on_reset(void *data)
{
	++*(unsigned *)data;
}

static void keyboard(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	unsigned resets = 0;
	struct device *d = i8042_new(m, on_reset, &resets);

	irqs_add_sink(m->irqs, &level_sink, &l);
	out8(m, 0x64, 0xaa);
	assert_int_equal(in8(m, 0x64) & 1, 1);
	assert_true(l.high[1]);
	assert_int_equal(in8(m, 0x60), 0x55);
	assert_false(l.high[1]);
	assert_int_equal(in8(m, 0x64), 0x1c);
	/* The command byte, and an interrupt that is off. */
	out8(m, 0x64, 0x60);
	out8(m, 0x60, 0x24);
	out8(m, 0x64, 0x20);
	assert_false(l.high[1]);
	assert_int_equal(in8(m, 0x60), 0x24);
	/* The keyboard says who it is, as the controller translates it or not. */
	out8(m, 0x60, 0xf2);
	assert_int_equal(in8(m, 0x60), 0xfa);
	assert_int_equal(in8(m, 0x60), 0xab);
	assert_int_equal(in8(m, 0x60), 0x83);
	out8(m, 0x60, 0xed);
	assert_int_equal(in8(m, 0x60), 0xfa);
	out8(m, 0x60, 7);
	assert_int_equal(in8(m, 0x60), 0xfa);
	assert_int_equal(in8(m, 0x64) & 1, 0);
	/* The A20 gate is kept, the other line of the port is reset. */
	out8(m, 0x64, 0xd1);
	out8(m, 0x60, 0xdd);
	out8(m, 0x64, 0xd0);
	assert_int_equal(in8(m, 0x60) & 2, 0);
	out8(m, 0x64, 0xdf);
	out8(m, 0x64, 0xd0);
	assert_int_equal(in8(m, 0x60) & 2, 2);
	assert_int_equal(resets, 0);
	out8(m, 0x64, 0xd1);
	out8(m, 0x60, 0xde);
	assert_int_equal(resets, 1);
	out8(m, 0x64, 0xff);
	assert_int_equal(resets, 1);
	out8(m, 0x64, 0xfe);
	assert_int_equal(resets, 2);
	/* Nobody reads: no more than the queue holds. */
	for (unsigned i = 0; i < 100; i++)
		out8(m, 0x60, 0xee);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in8(m, 0x60), 0xee);
	assert_int_equal(in8(m, 0x64) & 1, 0);
	device_free(d);
}

static void select_key(struct memory *m, uint16_t key)
{
	vcpu_out(&m->vcpus[0], 0x510, key, 2);
}

static void firmware_configuration(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = fwcfg_new(m);
	char text[65] = { 0 };

	assert_int_equal(fwcfg_add_number(d, FWCFG_CPUS, 3, 2, NULL), 0);
	assert_int_equal(fwcfg_add_file(d, "etc/one", "first", 5, NULL), 0);
	assert_int_equal(fwcfg_add_file(d, "etc/two", "", 0, NULL), 0);
	assert_true(fwcfg_add_file(d, "etc/one", "again", 5, NULL) < 0);
	assert_true(fwcfg_add_number(d, FWCFG_CPUS, 3, 2, NULL) < 0);
	select_key(m, FWCFG_SIGNATURE);
	for (unsigned i = 0; i < 6; i++)
		text[i] = (char)in8(m, 0x511);
	assert_memory_equal(text, "QEMU\0", 6);
	select_key(m, FWCFG_CPUS);
	assert_int_equal(in8(m, 0x511), 3);
	assert_int_equal(in8(m, 0x511), 0);
	select_key(m, FWCFG_DIRECTORY);
	assert_int_equal(in8(m, 0x511) | in8(m, 0x511) | in8(m, 0x511), 0);
	assert_int_equal(in8(m, 0x511), 2);
	for (unsigned i = 0; i < 64; i++)
		text[i] = (char)in8(m, 0x511);
	assert_memory_equal(text, "\0\0\0\5\0\x20\0\0etc/one\0", 16);
	select_key(m, FWCFG_FILES);
	assert_int_equal(in8(m, 0x511), 'f');
	select_key(m, 0x7777);
	assert_int_equal(in8(m, 0x511), 0);
	device_free(d);
}

/* A request at `at`; returns its control afterwards. */
static uint32_t request(
	struct memory *m, uint64_t at, uint32_t control, uint32_t length, uint64_t address)
{
	uint32_t r[4] = { htobe32(control), htobe32(length), htobe32((uint32_t)(address >> 32)),
		htobe32((uint32_t)address) };

	memory_write(m, at, r, sizeof(r));
	vcpu_out(&m->vcpus[0], 0x514, htobe32((uint32_t)(at >> 32)), 4);
	vcpu_out(&m->vcpus[0], 0x518, htobe32((uint32_t)at), 4);
	r[0] = 0xffffffff;
	memory_read(m, at, r, 4);
	return be32toh(r[0]);
}

static void configuration_by_dma(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct device *d = fwcfg_new(m);
	char text[9];

	assert_int_equal(vcpu_in(&m->vcpus[0], 0x514, 4), htobe32(0x51454d55));
	assert_int_equal(vcpu_in(&m->vcpus[0], 0x518, 4), htobe32(0x20434647));
	assert_int_equal(fwcfg_add_file(d, "etc/one", "first", 5, NULL), 0);
	memset(memory_host(m, 0x5000, 16, true), 'x', 16);
	assert_int_equal(request(m, 0x4000, FWCFG_FILES << 16 | 8 | 2, 3, 0x5000), 0);
	assert_int_equal(request(m, 0x4000, 4, 1, 0), 0);
	assert_int_equal(request(m, 0x4000, 2, 4, 0x5003), 0);
	memory_read(m, 0x5000, text, 9);
	assert_memory_equal(text, "firt\0\0\0xx", 9);
	/* No writing; nothing beyond RAM; over its own request; a request that is nowhere. */
	assert_int_equal(request(m, 0x4000, FWCFG_FILES << 16 | 8 | 16, 3, 0x5000), 1);
	assert_int_equal(request(m, 0x4000, FWCFG_FILES << 16 | 8 | 2, 0xffffffff, 0xff000), 1);
	assert_int_equal(request(m, 0x4000, FWCFG_FILES << 16 | 8 | 2, 8, UINT64_MAX - 3), 1);
	assert_int_equal(request(m, 0x4000, FWCFG_FILES << 16 | 8 | 2, 16, 0x4000), 0);
	request(m, 0xffff8, 2, 8, 0x5000);
	request(m, UINT64_MAX - 4, 2, 8, 0x5000);
	device_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counter),
		cmocka_unit_test(comparators),
		cmocka_unit_test(periodic),
		cmocka_unit_test(keyboard),
		cmocka_unit_test(firmware_configuration),
		cmocka_unit_test(configuration_by_dma),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
