#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/smbios.h"
#include "memory/clock.h"

#define PLACE 0xf0000u

/* Walks the structures; what each kind's formatted part is, or NULL. Checks that strings are there that are numbered. */
static void walk(const uint8_t *p, const uint8_t *end, const uint8_t *found[128])
{
	uint16_t handles[32], n = 0;

	while (p < end) {
		uint8_t kind = p[0], len = p[1];
		const uint8_t *s = p + len;

		assert_in_range(len, 4, end - p - 2);
		assert_in_range(kind, 0, 127);
		found[kind] = p;
		memcpy(&handles[n], p + 2, 2);
		for (unsigned i = 0; i < n; i++)
			assert_int_not_equal(handles[i], handles[n]);
		n++;
		if (!*s)
			s++;
		while (*s)
			s += strlen((const char *)s) + 1;
		p = s + 1;
		if (kind == 127)
			break;
	}
	assert_ptr_equal(p, end);
}

static const char *string(const uint8_t *p, unsigned n)
{
	const char *s = (const char *)p + p[1];

	while (--n > 0)
		s += strlen(s) + 1;
	return s;
}

static void tables(void **state)
{
	struct smbios_config config = { .n_vcpus = 3, .memory = 5ull << 30 };
	cleanup(memory_free) struct memory *m = memory_new(1, clock_new_manual());
	const uint8_t *found[128] = { 0 }, *anchor;
	uint32_t len, number;
	uint8_t sum = 0;
	uint64_t at;

	assert_int_equal(memory_add(m, 0, 1 << 20, 0, NULL), 0);
	assert_int_equal(smbios_place(m, PLACE, 0x8000, &config, NULL), 0);
	assert_true(smbios_place(m, PLACE, 64, &config, NULL) < 0);
	anchor = memory_host(m, PLACE, 24, false);
	assert_memory_equal(anchor, "_SM3_", 5);
	for (unsigned i = 0; i < 24; i++)
		sum = (uint8_t)(sum + anchor[i]);
	assert_int_equal(sum, 0);
	memcpy(&len, anchor + 12, 4);
	memcpy(&at, anchor + 16, 8);
	walk(memory_host(m, at, len, false), (uint8_t *)memory_host(m, at, len, false) + len,
		found);
	/* What the specification demands. */
	static const uint8_t kinds[] = { 0, 1, 3, 4, 16, 17, 19, 32, 127 };
	for (size_t i = 0; i < sizeof(kinds); i++)
		assert_non_null(found[kinds[i]]);
	assert_string_equal(string(found[1], found[1][4]), "holm");
	assert_int_equal(found[4][0x23], 3);
	memcpy(&number, found[17] + 0x0c, 2);
	assert_int_equal(number & 0xffff, 5 << 10);
	memcpy(&at, found[19] + 0x17, 8);
	assert_int_equal(at, (5ull << 30) - 1);
	/* Lengths of version 3.3. */
	assert_int_equal(found[1][1], 0x1b);
	assert_int_equal(found[4][1], 0x30);
	assert_int_equal(found[16][1], 0x17);
	assert_int_equal(found[19][1], 0x1f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(tables) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
