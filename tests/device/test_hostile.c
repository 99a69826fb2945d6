/*
 * Every device against a guest that writes anything anywhere in any width, with time passing: nothing crashes or
 * hangs, and all can be taken down. Run under sanitizers by `make asan`.
 */
#include "board.h"

#include "device/fwcfg.h"
#include "device/hpet.h"
#include "device/i8042.h"
#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/pit.h"
#include "device/pm.h"
#include "device/rtc.h"
#include "device/serial.h"

#define ROUNDS 200000u

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void ignore(void *data, enum pm_request what)
{
	(*(unsigned *)data)++;
}

static void on_reset(void *data)
{
	(*(unsigned *)data)++;
}

static void one_access(struct memory *m)
{
	static const struct {
		uint64_t base;
		uint32_t span;
		bool port;
	} places[] = { { 0x20, 2, true }, { 0xa0, 2, true }, { 0x4d0, 2, true }, { 0x40, 4, true },
		{ 0x61, 1, true }, { 0x70, 2, true }, { 0x3f8, 8, true }, { 0x600, 128, true },
		{ 0, 0x10000, true }, { 0x60, 5, true }, { 0x510, 12, true },
		{ HPET_BASE, HPET_BYTES, false }, { HPET_BASE + 0x100, 0x60, false },
		{ 0xfee00000, 0x1000, false }, { IOAPIC_BASE, 0x50, false } };
	uint64_t r = next(), value = next();
	unsigned place = r % ARRAY_SIZE(places), size = 1u << (r >> 8) % 4;
	uint64_t at = places[place].base + (r >> 16) % places[place].span;
	struct vcpu_link *link = &m->vcpus[(r >> 40) % m->n_vcpus];

	/* Small values reach more states. */
	if (r >> 41 & 1)
		value &= 0xff;
	if (places[place].port && r >> 42 & 1)
		vcpu_out(link, (uint16_t)at, (uint32_t)value, size > 4 ? 4 : size);
	else if (places[place].port)
		vcpu_in(link, (uint16_t)at, size > 4 ? 4 : size);
	else if (r >> 42 & 1)
		vcpu_write(link, at, value, size);
	else
		vcpu_read(link, at, size);
}

static void anything(void **state)
{
	cleanup(memory_free) struct memory *m = board(3);
	struct serial_config config = { .port = 0x3f8, .line = 4 };
	unsigned requests = 0, vectors = 0;
	struct device *devices[] = { lapics_new(m), pit_new(m), serial_new(m, &config),
		rtc_new(m, 1 << 20, 0, 0), pm_new(m, ignore, &requests), hpet_new(m),
		i8042_new(m, on_reset, &requests), fwcfg_new(m) };

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct vcpu_link *link = &m->vcpus[i % 3];
		uint64_t r = next();

		one_access(m);
		if (r % 16 == 0)
			clock_advance(m->clock, (int64_t)(r >> 8) % 300000);
		if (r % 16 == 1)
			link->apic->write_msr(
				link->apic_data, (uint32_t)(0x800 + (r >> 8) % 0x100), r >> 32);
		if (r % 64 == 2)
			link->apic->set_base(link->apic_data, 0xfee00000 | ((r >> 8) % 4 << 10));
		if (vcpu_take(link, VCPU_INTERRUPT | VCPU_INIT) & VCPU_INTERRUPT) {
			int vector = link->apic->acknowledge(link->apic_data);

			assert_in_range(vector + 1, 0, 256);
			vectors += vector >= 0;
		}
	}
	/* It reached something. */
	assert_true(requests > 0);
	assert_true(vectors > 100);
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		device_reset(devices[i]);
	for (unsigned i = ARRAY_SIZE(devices); i-- > 0;)
		device_free(devices[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(anything) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
