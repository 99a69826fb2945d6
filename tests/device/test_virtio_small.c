/* Entropy, console and balloon as a driver sees them. */
#include "driver.h"

#include <sys/stat.h>

#include "device/virtio/balloon.h"
#include "device/virtio/console.h"
#include "device/virtio/rng.h"

static void rng(void **state)
{
	static const uint8_t zeroes[64];
	struct driver d;
	uint8_t got[64];
	uint32_t len;

	driver_board(&d);
	assert_int_equal(virtio_rng_new(d.m, d.host, &d.device, NULL), 0);
	driver_map(&d);
	assert_int_equal(get32(d.m, 0, DRIVER_CONFIG), 0x10441af4);
	driver_ready(&d, 0);
	d_offer(&d, 0, 0, DRIVER_BUFFERS, 64, true);
	assert_int_equal(d_wait(&d, 0, &len), 0);
	assert_int_equal(len, 64);
	memory_read(d.m, DRIVER_BUFFERS, got, 64);
	assert_memory_not_equal(got, zeroes, 64);
	/* Not all of a large one, and nothing of one to be read. */
	d_offer(&d, 0, 1, DRIVER_BUFFERS, 0x10000, true);
	assert_int_equal(d_wait(&d, 0, &len), 1);
	assert_in_range(len, 1, 0x10000 - 1);
	d_offer(&d, 0, 2, DRIVER_BUFFERS, 64, false);
	assert_int_equal(d_wait(&d, 0, &len), 2);
	assert_int_equal(len, 0);
	driver_end(&d);
}

struct text {
	char bytes[256];
	size_t n;
};

static void on_output(void *data, const void *bytes, size_t n)
{
	struct text *t = data;

	n = n < sizeof(t->bytes) - t->n ? n : sizeof(t->bytes) - t->n;
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
}

static void console(void **state)
{
	struct text text = { .n = 0 };
	struct virtio_console_config config = {
		.output = on_output, .data = &text, .columns = 80, .rows = 25
	};
	struct driver d;
	char got[8];
	uint32_t len;

	driver_board(&d);
	assert_int_equal(virtio_console_new(d.m, d.host, &config, &d.device, NULL), 0);
	driver_map(&d);
	assert_int_equal(d_get(&d, 0x2000, 4), 25 << 16 | 80);
	/* Before a driver is there. */
	assert_int_equal(virtio_console_input(d.device, (const uint8_t *)"abc", 3), 0);
	d_put(&d, 0x2008, 'E', 4);
	driver_ready(&d, 1);
	memory_write(d.m, DRIVER_BUFFERS, "hello", 5);
	d_descriptor(&d, 1, 0, DRIVER_BUFFERS, 2, D_NEXT, 1);
	d_descriptor(&d, 1, 1, DRIVER_BUFFERS + 2, 3, 0, 0);
	d_add(&d, 1, 0);
	d_kick(&d, 1);
	assert_int_equal(d_wait(&d, 1, &len), 0);
	assert_int_equal(text.n, 6);
	assert_memory_equal(text.bytes, "Ehello", 6);
	/* As much as there is room for. */
	d_offer(&d, 0, 0, DRIVER_BUFFERS, 2, true);
	assert_int_equal(virtio_console_input(d.device, (const uint8_t *)"abc", 3), 2);
	assert_int_equal(d_wait(&d, 0, &len), 0);
	assert_int_equal(len, 2);
	memory_read(d.m, DRIVER_BUFFERS, got, 2);
	assert_memory_equal(got, "ab", 2);
	/* Another size is told. */
	d_get(&d, 0x1000, 1);
	len = (uint32_t)d_get(&d, 0x15, 1);
	virtio_console_resize(d.device, 100, 40);
	assert_int_equal(d_get(&d, 0x2000, 4), 40 << 16 | 100);
	assert_int_not_equal(d_get(&d, 0x15, 1), len);
	assert_int_equal(d_get(&d, 0x1000, 1), 2);
	driver_end(&d);
}

static uint8_t byte_at(struct driver *d, uint64_t gpa)
{
	uint8_t byte = 0;

	memory_read(d->m, gpa, &byte, 1);
	return byte;
}

static void balloon(void **state)
{
	static const uint32_t pages[] = { 0x80, 0x81, 0x83, 0x82, 0x85, UINT32_MAX, 0x12345 };
	struct driver d;
	uint32_t len;

	driver_board(&d);
	assert_int_equal(virtio_balloon_new(d.m, d.host, 5 * 4096, &d.device, NULL), 0);
	driver_map(&d);
	assert_int_equal(d_get(&d, 0x2000, 4), 5);
	driver_ready(&d, 1 << 5 | 1 << 2);
	for (unsigned i = 0x80; i < 0x90; i++)
		memory_write(d.m, i * 4096 + 5, "x", 1);
	/* Some that are no RAM among them. */
	memory_write(d.m, DRIVER_BUFFERS, pages, sizeof(pages));
	d_offer(&d, 0, 0, DRIVER_BUFFERS, sizeof(pages), false);
	assert_int_equal(d_wait(&d, 0, &len), 0);
	for (unsigned i = 0x80; i < 0x90; i++)
		assert_int_equal(byte_at(&d, i * 4096 + 5), i < 0x84 || i == 0x85 ? 0 : 'x');
	d_put(&d, 0x2004, 5, 4);
	assert_int_equal(d_get(&d, 0x2004, 4), 5);
	d_put(&d, 0x2000, 77, 4);
	assert_int_equal(d_get(&d, 0x2000, 4), 5);
	/* A report of free pages: whole ones only, the dirty log knows. */
	memory_dirty_start(d.m);
	d_offer(&d, 2, 0, 0x88 * 4096 - 1, 2 * 4096, true);
	assert_int_equal(d_wait(&d, 2, &len), 0);
	assert_int_equal(byte_at(&d, 0x87 * 4096 + 5), 'x');
	assert_int_equal(byte_at(&d, 0x88 * 4096 + 5), 0);
	assert_int_equal(byte_at(&d, 0x89 * 4096 + 5), 'x');
	memory_dirty_stop(d.m);
	driver_end(&d);
}

/* The host has the memory back. */
static void balloon_frees(void **state)
{
	cleanup(memory_free) struct memory *m = memory_new(1, clock_new_manual());
	struct stat st;

	assert_int_equal(memory_add(m, 0, 16 << 20, 0, NULL), 0);
	memset(m->regions[0].host, 1, 16 << 20);
	memory_discard(m, 1 << 20, 8 << 20);
	memory_discard(m, 15 << 20, UINT64_MAX);
	memory_discard(m, 15 << 20, 64 << 20);
	assert_int_equal(fstat(m->regions[0].fd, &st), 0);
	assert_int_equal(st.st_blocks, (7 << 20) / 512);
	assert_int_equal(m->regions[0].host[1 << 20], 0);
	assert_int_equal(m->regions[0].host[(1 << 20) - 1], 1);
}

static void hostile(void **state)
{
	struct text text = { .n = 0 };
	struct virtio_console_config config = { .output = on_output, .data = &text };
	uint64_t seed = 88172645463325252;

	for (unsigned i = 0; i < 3; i++) {
		struct driver d;

		driver_board(&d);
		if (i == 0)
			assert_int_equal(virtio_rng_new(d.m, d.host, &d.device, NULL), 0);
		else if (i == 1)
			assert_int_equal(
				virtio_console_new(d.m, d.host, &config, &d.device, NULL), 0);
		else
			assert_int_equal(
				virtio_balloon_new(d.m, d.host, 1 << 20, &d.device, NULL), 0);
		driver_map(&d);
		driver_hostile(&d, i == 2 ? 5 : i + 1, &seed, NULL, NULL);
		if (i == 1)
			virtio_console_input(d.device, (const uint8_t *)"abc", 3);
		driver_end(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rng),
		cmocka_unit_test(console),
		cmocka_unit_test(balloon),
		cmocka_unit_test(balloon_frees),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
