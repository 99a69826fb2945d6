#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "machine/acpi.h"
#include "memory/clock.h"
#include "skip.h"

#define PLACE 0xe0000u
#define LIMIT 0x10000u
#define SDT_MAX 8u

static uint64_t number(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len > 0)
		s = (uint8_t)(s + p[--len]);
	return s;
}

struct tables {
	struct memory *memory;
	const uint8_t *found[SDT_MAX];
	unsigned n;
};

static const uint8_t *at(const struct tables *t, uint64_t gpa)
{
	const uint8_t *p = memory_host(t->memory, gpa, 36, false);

	assert_non_null(p);
	assert_in_range(gpa, PLACE, PLACE + LIMIT - 1);
	return p;
}

/* Finds all tables as an operating system does. */
static void walk(struct tables *t, unsigned n_vcpus)
{
	struct acpi_config config = { .n_vcpus = n_vcpus, .has_panic = true };
	const uint8_t *rsdp, *xsdt;
	struct err err;

	t->memory = memory_new(1, clock_new_manual());
	assert_int_equal(memory_add(t->memory, 0, 0x100000, 0, &err), 0);
	assert_true(acpi_build(t->memory, PLACE, LIMIT, &config, &err) > 0);
	rsdp = at(t, PLACE);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	xsdt = at(t, number(rsdp + 24, 8));
	assert_memory_equal(xsdt, "XSDT", 4);
	for (unsigned i = 0; i < (number(xsdt + 4, 4) - 36) / 8; i++) {
		t->found[t->n++] = at(t, number(xsdt + 36 + 8 * i, 8));
		if (memcmp(t->found[t->n - 1], "FACP", 4) == 0)
			t->found[t->n] = at(t, number(t->found[t->n - 1] + 140, 8)), t->n++;
	}
	for (unsigned i = 0; i < t->n; i++)
		assert_int_equal(sum(t->found[i], number(t->found[i] + 4, 4)), 0);
}

static const uint8_t *find(const struct tables *t, const char *signature)
{
	for (unsigned i = 0; i < t->n; i++)
		if (memcmp(t->found[i], signature, 4) == 0)
			return t->found[i];
	fail_msg("no %s", signature);
	return NULL;
}

static void structure(void **state)
{
	struct tables t = { 0 };
	const uint8_t *fadt, *madt;
	unsigned cpus = 0, overrides = 0;

	walk(&t, 3);
	fadt = find(&t, "FACP");
	assert_int_equal(number(fadt + 4, 4), 276);
	assert_int_equal(number(fadt + 148 + 4, 8), 0x600);
	assert_int_equal(number(fadt + 116 + 4, 8), 0xcf9);
	assert_int_equal(number(fadt + 40, 4), number(fadt + 140, 8));
	assert_memory_equal(at(&t, number(fadt + 36, 4)), "FACS", 4);
	madt = find(&t, "APIC");
	for (uint64_t i = 44, n = number(madt + 4, 4); i < n; i += madt[i + 1]) {
		assert_true(madt[i + 1] > 0);
		cpus += madt[i] == 0;
		overrides += madt[i] == 2;
	}
	assert_int_equal(cpus, 3);
	assert_int_equal(overrides, 2);
	find(&t, "MCFG");
	find(&t, "HPET");
	memory_free(t.memory);
}

static void no_room(void **state)
{
	cleanup(memory_free) struct memory *m = memory_new(1, clock_new_manual());
	struct acpi_config config = { .n_vcpus = 1 };
	struct err err;

	memory_add(m, 0, 0x100000, 0, NULL);
	assert_int_equal(acpi_build(m, PLACE, 500, &config, &err), -ENOSPC);
	assert_int_equal(acpi_build(m, 0xffff0, LIMIT, &config, &err), -ENOSPC);
}

/* ACPICA's compiler takes each table apart and puts it together again without a complaint. */
static void iasl(void **state)
{
	struct tables t = { 0 };
	char dir[] = "/tmp/holm-acpi.XXXXXX";
	char command[400];

	if (system("command -v iasl > /dev/null") != 0) {
		skip_because("no iasl here (acpica-tools)");
	}
	assert_non_null(mkdtemp(dir));
	walk(&t, 2);
	for (unsigned i = 0; i < t.n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%.4s.dat", dir, (const char *)t.found[i]);
		assert_int_equal(
			file_write(AT_FDCWD, path, t.found[i], number(t.found[i] + 4, 4), 0644, 0),
			0);
	}
	/* The disassembler exits with 0 whatever it finds: its words are what counts. */
	snprintf(command, sizeof(command),
		"cd %s && for t in *.dat; do iasl -d $t > $t.log 2>&1 || exit 1; "
		"! grep -iE 'error|warning|invalid|unknown' $t.log || exit 1; "
		"iasl -p again ${t%%.dat}.dsl > $t.log 2>&1 && grep -q ' 0 Errors' $t.log || "
		"{ cat $t.log; exit 1; }; done",
		dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	memory_free(t.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structure),
		cmocka_unit_test(no_room),
		cmocka_unit_test(iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
