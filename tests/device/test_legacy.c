/* Serial port, interval timer, real-time clock, power management. */
#include "board.h"

#include <string.h>

#include "device/pit.h"
#include "device/pm.h"
#include "device/rtc.h"
#include "device/serial.h"

#define COM1 0x3f8
#define MS 1000000

struct sent {
	char text[64];
	size_t len;
};

static void on_byte(void *data, uint8_t byte)
{
	struct sent *s = data;

	if (s->len < sizeof(s->text) - 1)
		s->text[s->len++] = (char)byte;
}

static void serial_port(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct sent sent = { 0 };
	struct levels l = { 0 };
	struct serial_config config = { .port = COM1, .line = 4, .output = on_byte, .data = &sent };
	struct device *d;

	irqs_add_sink(m->irqs, &level_sink, &l);
	d = serial_new(m, &config);
	/* The divisor hides data and interrupts. */
	out8(m, COM1 + 3, 0x83);
	out8(m, COM1, 1);
	out8(m, COM1 + 1, 2);
	assert_int_equal(in8(m, COM1), 1);
	assert_int_equal(in8(m, COM1 + 1), 2);
	out8(m, COM1 + 3, 3);
	assert_int_equal(in8(m, COM1 + 1), 0);
	out8(m, COM1, 'h');
	out8(m, COM1, 'i');
	assert_string_equal(sent.text, "hi");
	assert_int_equal(in8(m, COM1 + 5), 0x60);
	/* The empty transmitter's interrupt: once a reading of IIR. */
	out8(m, COM1 + 4, 0x0b);
	out8(m, COM1 + 2, 1);
	out8(m, COM1 + 1, 2);
	assert_true(l.high[4]);
	assert_int_equal(in8(m, COM1 + 2), 0xc2);
	assert_false(l.high[4]);
	assert_int_equal(in8(m, COM1 + 2), 0xc1);
	out8(m, COM1, '!');
	assert_true(l.high[4]);
	/* Input, which ranks above it. */
	out8(m, COM1 + 1, 3);
	assert_int_equal(serial_input(d, (const uint8_t *)"ab", 2), 2);
	assert_int_equal(in8(m, COM1 + 2), 0xc4);
	assert_int_equal(in8(m, COM1 + 5), 0x61);
	assert_int_equal(in8(m, COM1), 'a');
	assert_int_equal(in8(m, COM1), 'b');
	assert_int_equal(in8(m, COM1 + 5), 0x60);
	assert_int_equal(in8(m, COM1), 0);
	/* Loopback: sent is received, and outputs are inputs. */
	out8(m, COM1 + 4, 0x1a);
	assert_int_equal(in8(m, COM1 + 6), 0x90);
	out8(m, COM1, 'x');
	assert_int_equal(in8(m, COM1), 'x');
	assert_string_equal(sent.text, "hi!");
	out8(m, COM1 + 7, 0x5a);
	assert_int_equal(in8(m, COM1 + 7), 0x5a);
	device_free(d);
}

static void serial_is_bounded(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct serial_config config = { .port = COM1, .line = 4 };
	struct device *d = serial_new(m, &config);
	uint8_t many[5000];

	memset(many, 'z', sizeof(many));
	assert_int_equal(serial_input(d, many, sizeof(many)), 4096);
	assert_int_equal(serial_input(d, many, 1), 0);
	in8(m, COM1);
	assert_int_equal(serial_input(d, many, 5), 1);
	/* In loopback the guest fills it up by itself: overrun, read once. */
	out8(m, COM1 + 4, 0x10);
	out8(m, COM1, 'y');
	assert_int_equal(in8(m, COM1 + 5), 0x63);
	assert_int_equal(in8(m, COM1 + 5), 0x61);
	out8(m, COM1 + 2, 3);
	assert_int_equal(in8(m, COM1 + 5), 0x60);
	device_free(d);
}

static void load(struct memory *m, unsigned channel, uint8_t mode, uint16_t count)
{
	out8(m, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	out8(m, (uint16_t)(0x40 + channel), (uint8_t)count);
	out8(m, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static void interval_timer(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	struct device *d;
	unsigned value;

	irqs_add_sink(m->irqs, &level_sink, &l);
	d = pit_new(m);
	/* 1193182 / 11932 = 100 Hz, without adding up errors. */
	load(m, 0, 2, 11932);
	l.rises[0] = 0;
	clock_advance(m->clock, 10 * NS_PER_S);
	assert_int_equal(l.rises[0], 999);
	/* One shot. */
	load(m, 0, 0, 1193);
	assert_false(l.high[0]);
	l.rises[0] = 0;
	clock_advance(m->clock, MS / 2);
	assert_false(l.high[0]);
	out8(m, 0x43, 0);
	clock_advance(m->clock, 1000);
	value = in8(m, 0x40);
	value |= (unsigned)in8(m, 0x40) << 8;
	assert_int_equal(value, 1193 - 596);
	clock_advance(m->clock, MS);
	assert_int_equal(l.rises[0], 1);
	assert_true(l.high[0]);
	/* Channel 2, by which Linux measures: the gate, and the output in port 0x61. */
	out8(m, 0x61, 0);
	load(m, 2, 0, 59659);
	clock_advance(m->clock, 100 * MS);
	assert_int_equal(in8(m, 0x61) & 0x20, 0);
	out8(m, 0x61, 1);
	clock_advance(m->clock, 49 * MS);
	assert_int_equal(in8(m, 0x61) & 0x21, 1);
	clock_advance(m->clock, 2 * MS);
	assert_int_equal(in8(m, 0x61) & 0x21, 0x21);
	/* Read back: the status, then the latched count. */
	load(m, 2, 3, 1000);
	out8(m, 0x43, 0xc8);
	assert_int_equal(in8(m, 0x42), 0xb6);
	assert_int_equal(in8(m, 0x42), 1000 & 0xff);
	device_free(d);
}

/* Ticks that merge while the guest takes none are made up for as it ends each; stale ones are not. */
static void owed_ticks(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	struct device *d;

	irqs_add_sink(m->irqs, &level_sink, &l);
	d = pit_new(m);
	load(m, 0, 2, 11932);
	l.rises[0] = 0;
	/* Ten ticks, 10 ms each, of which the guest sees one edge; it ends each that it gets. */
	clock_advance(m->clock, 101 * MS);
	l.rises[0] = 1;
	for (unsigned i = 0; i < 30; i++)
		irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 10);
	/* Each in its time: no more than those. */
	for (unsigned i = 0; i < 10; i++) {
		clock_advance(m->clock, 10 * MS);
		irqs_tell(m->irqs, 0, IRQ_ENDED);
	}
	assert_int_equal(l.rises[0], 20);
	/* Masked meanwhile, and for longer than anybody is owed for. */
	clock_advance(m->clock, 500 * MS);
	irqs_tell(m->irqs, 0, IRQ_UNMASKED);
	l.rises[0] = 0;
	irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 0);
	clock_advance(m->clock, 5 * NS_PER_S);
	l.rises[0] = 0;
	irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 0);
	/* A new count owes nothing. */
	clock_advance(m->clock, 100 * MS);
	load(m, 0, 2, 11932);
	l.rises[0] = 0;
	irqs_tell(m->irqs, 0, IRQ_ENDED);
	assert_int_equal(l.rises[0], 0);
	device_free(d);
}

static uint8_t cmos(struct memory *m, uint8_t index)
{
	out8(m, 0x70, index);
	return in8(m, 0x71);
}

static void set_cmos(struct memory *m, uint8_t index, uint8_t value)
{
	out8(m, 0x70, index);
	out8(m, 0x71, value);
}

static void real_time(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	struct levels l = { 0 };
	struct device *d;

	irqs_add_sink(m->irqs, &level_sink, &l);
	/* 2024-02-29 23:59:58, a Thursday. */
	d = rtc_new(m, UINT64_C(64) << 20, UINT64_C(1) << 32, 1709251198);
	assert_int_equal(cmos(m, 0), 0x58);
	assert_int_equal(cmos(m, 4), 0x23);
	assert_int_equal(cmos(m, 6), 5);
	assert_int_equal(cmos(m, 7), 0x29);
	assert_int_equal(cmos(m, 9), 0x24);
	assert_int_equal(cmos(m, 0x32), 0x20);
	clock_advance(m->clock, 2 * NS_PER_S);
	assert_int_equal(cmos(m, 4), 0);
	assert_int_equal(cmos(m, 7), 1);
	assert_int_equal(cmos(m, 8), 3);
	/* Binary, 12 hours; set and read back. */
	set_cmos(m, 11, 0x84);
	set_cmos(m, 4, 0x81);
	set_cmos(m, 9, 30);
	set_cmos(m, 11, 0x04);
	assert_int_equal(cmos(m, 4), 0x81);
	assert_int_equal(cmos(m, 9), 30);
	set_cmos(m, 11, 0x06);
	assert_int_equal(cmos(m, 4), 13);
	/* Update-ended every second, until C is read; an alarm at second 5. */
	cmos(m, 12);
	set_cmos(m, 11, 0x16);
	clock_advance(m->clock, NS_PER_S);
	assert_true(l.high[8]);
	assert_int_equal(cmos(m, 12) & 0x90, 0x90);
	assert_false(l.high[8]);
	set_cmos(m, 1, 5);
	set_cmos(m, 3, 0xff);
	set_cmos(m, 5, 0xff);
	set_cmos(m, 0, 3);
	set_cmos(m, 11, 0x26);
	clock_advance(m->clock, NS_PER_S);
	assert_false(l.high[8]);
	clock_advance(m->clock, NS_PER_S);
	assert_true(l.high[8]);
	assert_int_equal(cmos(m, 12) & 0xa0, 0xa0);
	/* Periodic: 1024 Hz. */
	set_cmos(m, 11, 0x46);
	l.rises[8] = 0;
	for (unsigned i = 0; i < 1024; i++) {
		clock_advance(m->clock, NS_PER_S / 1024 + 1);
		cmos(m, 12);
	}
	assert_true(l.rises[8] >= 1022);
	/* A tenth of a second without a look: made up for, one a look, and no more. */
	clock_advance(m->clock, NS_PER_S / 10);
	l.rises[8] = 1;
	for (unsigned i = 0; i < 1000; i++)
		cmos(m, 12);
	assert_in_range(l.rises[8], 102, 103);
	clock_advance(m->clock, 10 * NS_PER_S);
	cmos(m, 12);
	l.rises[8] = 0;
	for (unsigned i = 0; i < 1000; i++)
		cmos(m, 12);
	assert_true(l.rises[8] < 100);
	assert_int_equal(cmos(m, 0x34) | cmos(m, 0x35) << 8, (48 << 20) >> 16);
	assert_int_equal(cmos(m, 0x5d), 1);
	assert_int_equal(cmos(m, 13), 0x80);
	device_free(d);
}

static void on_request(void *data, enum pm_request what)
{
	unsigned *counts = data;

	counts[what]++;
}

static void power(void **state)
{
	cleanup(memory_free) struct memory *m = board(1);
	unsigned counts[2] = { 0 };
	struct levels l = { 0 };
	struct vcpu_link *cpu = &m->vcpus[0];
	struct device *d;

	irqs_add_sink(m->irqs, &level_sink, &l);
	d = pm_new(m, on_request, counts);
	assert_int_equal(vcpu_in(cpu, 0x604, 2), 1);
	/* The timer: 3.579545 MHz. */
	clock_advance(m->clock, NS_PER_S);
	assert_int_equal(vcpu_in(cpu, 0x608, 4), 3579545);
	/* The button, when enabled. */
	pm_power_button(d);
	assert_false(l.high[9]);
	vcpu_out(cpu, 0x602, 0x100, 2);
	assert_true(l.high[9]);
	assert_int_equal(vcpu_in(cpu, 0x600, 2), 0x100);
	vcpu_out(cpu, 0x600, 0x100, 2);
	assert_false(l.high[9]);
	/* Other sleep types, or the type alone, do nothing. */
	vcpu_out(cpu, 0x604, 1 << 10 | 0x2000, 2);
	vcpu_out(cpu, 0x604, 5 << 10, 2);
	assert_int_equal(counts[PM_POWER_OFF], 0);
	vcpu_out(cpu, 0x604, 5 << 10 | 0x2000, 2);
	assert_int_equal(counts[PM_POWER_OFF], 1);
	out8(m, 0xcf9, 2);
	assert_int_equal(counts[PM_RESET], 0);
	out8(m, 0xcf9, 6);
	out8(m, 0x92, 1);
	assert_int_equal(counts[PM_RESET], 2);
	device_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serial_port),
		cmocka_unit_test(serial_is_bounded),
		cmocka_unit_test(interval_timer),
		cmocka_unit_test(owed_ticks),
		cmocka_unit_test(real_time),
		cmocka_unit_test(power),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
