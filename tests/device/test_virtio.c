/* virtio-blk as a driver sees it: negotiation, rings, requests; and as a hostile one does. */
#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/pci.h"
#include "device/virtio/blk.h"
#include "disk/disk.h"

#define BAR 0xd0000000u
#define DESC 0x10000u
#define AVAIL 0x11000u
#define USED 0x12000u
#define TABLE 0x13000u
#define BUFFERS 0x20000u
#define N 16u
#define SECTORS 64u

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct fixture {
	struct memory *m;
	struct pci_host *host;
	struct device *blk;
	struct levels levels;
	char path[64];
	uint16_t available;
	uint64_t bell_address; /* of a cpu that knows bells; 0: none */
	int bell;
};

/* What such a cpu does: it remembers. */
static void set_bell(void *data, uint64_t address, unsigned size, int fd, bool on)
{
	struct fixture *f = data;

	assert_int_equal(size, 2);
	if (!on)
		assert_int_equal(f->bell_address, address);
	f->bell_address = on ? address : 0;
	f->bell = on ? fd : -1;
}

static const struct bus_shortcuts shortcuts = { .bell = set_bell };

static void make(struct fixture *f, bool readonly, bool starts)
{
	struct disk *disk = NULL;
	int fd;

	*f = (struct fixture){ .m = board(1) };
	snprintf(f->path, sizeof(f->path), "/tmp/holm-virtio.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0 && ftruncate(fd, SECTORS * 512) == 0);
	close(fd);
	irqs_add_sink(f->m->irqs, &level_sink, &f->levels);
	f->host = pci_host_new(f->m);
	assert_int_equal(disk_open(f->path, NULL, readonly ? DISK_READONLY : 0, &disk, NULL), 0);
	assert_int_equal(virtio_blk_new(f->m, f->host, disk, &f->blk, NULL), 0);
	if (starts)
		assert_int_equal(device_start(f->blk, NULL), 0);
	put32(f->m, 0, PCI_ECAM + 0x8010, BAR);
	put32(f->m, 0, PCI_ECAM + 0x8014, 0);
	vcpu_write(&f->m->vcpus[0], PCI_ECAM + 0x8004, 6, 2);
}

static void start(struct fixture *f, bool readonly)
{
	make(f, readonly, true);
}

static void finish(struct fixture *f)
{
	device_free(f->blk);
	device_free(pci_host_device(f->host));
	memory_free(f->m);
	unlink(f->path);
}

static void put(struct fixture *f, unsigned offset, uint64_t value, unsigned size)
{
	vcpu_write(&f->m->vcpus[0], BAR + offset, value, size);
}

static uint64_t get(struct fixture *f, unsigned offset, unsigned size)
{
	return vcpu_read(&f->m->vcpus[0], BAR + offset, size);
}

static void ready(struct fixture *f, bool event_index)
{
	put(f, 0x14, 0, 1);
	put(f, 0x14, 3, 1);
	put(f, 0x08, 0, 4);
	put(f, 0x0c, 0x10000000 | (event_index ? 0x20000000 : 0) | 0x6244, 4);
	put(f, 0x08, 1, 4);
	put(f, 0x0c, 1, 4);
	put(f, 0x14, 11, 1);
	assert_int_equal(get(f, 0x14, 1), 11);
	put(f, 0x16, 0, 2);
	put(f, 0x18, N, 2);
	put(f, 0x20, DESC, 8);
	put(f, 0x28, AVAIL, 8);
	put(f, 0x30, USED, 8);
	put(f, 0x1c, 1, 2);
	put(f, 0x14, 15, 1);
	f->available = 0;
}

static void descriptor(struct fixture *f, uint64_t table, unsigned i, uint64_t gpa, uint32_t len,
	uint16_t flags, uint16_t next)
{
	memory_write(f->m, table + 16 * i, &gpa, 8);
	memory_write(f->m, table + 16 * i + 8, &len, 4);
	memory_write(f->m, table + 16 * i + 12, &flags, 2);
	memory_write(f->m, table + 16 * i + 14, &next, 2);
}

static void offer(struct fixture *f, uint16_t head)
{
	memory_write(f->m, AVAIL + 4 + 2 * (f->available % N), &head, 2);
	f->available++;
	memory_write(f->m, AVAIL + 2, &f->available, 2);
	if (f->bell_address == BAR + 0x3000)
		assert_int_equal(write(f->bell, &(uint64_t){ 1 }, 8), 8);
	else
		put(f, 0x3000, 0, 2);
}

static uint16_t used_index(struct fixture *f)
{
	uint16_t v = 0;

	memory_read(f->m, USED + 2, &v, 2);
	return v;
}

/* Waits for the disk's thread. */
static void wait_used(struct fixture *f, uint16_t index)
{
	for (unsigned i = 0; i < 5000 && used_index(f) != index; i++)
		usleep(1000);
	assert_int_equal(used_index(f), index);
}

/* The request in descriptors 0-2: header, data, status. Returns the status. */
static uint8_t request(
	struct fixture *f, uint32_t type, uint64_t sector, uint32_t len, bool indirect)
{
	uint32_t head[2] = { type, 0 };
	uint64_t table = indirect ? TABLE : DESC;
	uint8_t status = 0xff;
	bool in = type == 0 || type == 8;

	memory_write(f->m, BUFFERS, head, 8);
	memory_write(f->m, BUFFERS + 8, &sector, 8);
	memory_write(f->m, BUFFERS + 0x100, &status, 1);
	descriptor(f, table, 0, BUFFERS, 16, NEXT, 1);
	descriptor(f, table, 1, BUFFERS + 0x1000, len, NEXT | (in ? WRITE : 0), 2);
	descriptor(f, table, 2, BUFFERS + 0x100, 1, WRITE, 0);
	if (indirect)
		descriptor(f, DESC, 5, TABLE, 48, INDIRECT, 0);
	offer(f, indirect ? 5 : 0);
	wait_used(f, f->available);
	memory_read(f->m, BUFFERS + 0x100, &status, 1);
	return status;
}

static void negotiation(void **state)
{
	struct fixture f;

	start(&f, false);
	assert_int_equal(get32(f.m, 0, PCI_ECAM + 0x8000), 0x10421af4);
	assert_int_equal(get(&f, 0x2000, 4), SECTORS);
	assert_int_equal(get(&f, 0x12, 2), 1);
	put(&f, 0x00, 1, 4);
	assert_int_equal(get(&f, 0x04, 4), 1);
	put(&f, 0x00, 2, 4);
	assert_int_equal(get(&f, 0x04, 4), 0);
	/* What was not offered is not accepted, and without version 1 nothing is. */
	put(&f, 0x08, 0, 4);
	put(&f, 0x0c, UINT32_MAX, 4);
	assert_int_equal(get(&f, 0x0c, 4), 0x30006244);
	put(&f, 0x14, 8, 1);
	assert_int_equal(get(&f, 0x14, 1), 0);
	/* Sizes are powers of two up to the largest; other queues are not there. */
	assert_int_equal(get(&f, 0x18, 2), 256);
	put(&f, 0x18, 512, 2);
	put(&f, 0x18, 100, 2);
	assert_int_equal(get(&f, 0x18, 2), 256);
	put(&f, 0x16, 1, 2);
	assert_int_equal(get(&f, 0x18, 2), 0);
	ready(&f, false);
	/* An enabled queue stays where it is. */
	put(&f, 0x20, 0x5000, 4);
	assert_int_equal(get(&f, 0x20, 4), DESC);
	finish(&f);
}

static void requests(bool event_index)
{
	struct fixture f;
	char data[1024], back[1024];

	start(&f, false);
	ready(&f, event_index);
	memset(data, 'x', sizeof(data));
	memory_write(f.m, BUFFERS + 0x1000, data, sizeof(data));
	assert_int_equal(request(&f, 1, 3, 1024, false), 0);
	memset(back, 0, sizeof(back));
	memory_write(f.m, BUFFERS + 0x1000, back, sizeof(back));
	assert_int_equal(request(&f, 0, 3, 1024, true), 0);
	memory_read(f.m, BUFFERS + 0x1000, back, sizeof(back));
	assert_memory_equal(back, data, sizeof(data));
	/* The pin, until ISR is read; the length, with the status byte. */
	for (unsigned i = 0; i < 1000 && !f.levels.high[17]; i++)
		usleep(1000);
	assert_true(f.levels.high[17]);
	assert_int_equal(get(&f, 0x1000, 1), 1);
	assert_false(f.levels.high[17]);
	memory_read(f.m, USED + 4 + 8 * 1, back, 8);
	assert_int_equal(*(uint32_t *)(void *)(back + 4), 1025);
	assert_int_equal(request(&f, 4, 0, 512, false), 0);
	assert_int_equal(request(&f, 8, 0, 20, false), 0);
	memory_read(f.m, BUFFERS + 0x1000, back, 20);
	assert_memory_equal(back, "holm-holm-virtio.", 17);
	/* Beyond the end, no whole sector, no such request. */
	assert_int_equal(request(&f, 0, SECTORS - 1, 1024, false), 1);
	assert_int_equal(request(&f, 1, UINT64_MAX / 512, 512, false), 1);
	assert_int_equal(request(&f, 0, UINT64_MAX, 512, false), 1);
	assert_int_equal(request(&f, 0, 0, 100, false), 1);
	assert_int_equal(request(&f, 77, 0, 512, false), 2);
	/* Discard sectors 3 and 4: a range of 16 bytes. */
	memset(back, 0, sizeof(back));
	back[0] = 3;
	back[8] = 2;
	memory_write(f.m, BUFFERS + 0x1000, back, 16);
	assert_int_equal(request(&f, 11, 0, 16, false), 0);
	assert_int_equal(request(&f, 0, 3, 512, false), 0);
	memory_read(f.m, BUFFERS + 0x1000, back, 512);
	assert_int_equal(back[0] | back[511], 0);
	/* Reset, and all over again. */
	ready(&f, event_index);
	memory_write(f.m, USED + 2, "\0\0", 2);
	memory_write(f.m, AVAIL + 2, "\0\0", 2);
	assert_int_equal(request(&f, 0, 0, 512, false), 0);
	finish(&f);
}

static void without_event_index(void **state)
{
	requests(false);
}

static void with_event_index(void **state)
{
	requests(true);
}

static void bells(void **state)
{
	static const uint8_t zeroes[256];
	struct fixture f;

	make(&f, false, false);
	/* They are hung where the device is, and move with it. */
	bus_set_shortcuts(f.m->bus, &shortcuts, &f);
	assert_int_equal(f.bell_address, BAR + 0x3000);
	put32(f.m, 0, PCI_ECAM + 0x8010, BAR + 0x100000);
	assert_int_equal(f.bell_address, BAR + 0x103000);
	put32(f.m, 0, PCI_ECAM + 0x8010, BAR);
	assert_int_equal(f.bell_address, BAR + 0x3000);
	vcpu_write(&f.m->vcpus[0], PCI_ECAM + 0x8004, 4, 2);
	assert_int_equal(f.bell_address, 0);
	vcpu_write(&f.m->vcpus[0], PCI_ECAM + 0x8004, 6, 2);
	assert_int_equal(device_start(f.blk, NULL), 0);
	ready(&f, true);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(request(&f, i % 2, i, 512, false), 0);
	/* One that is not ready does not look; it may hear of it later, when the rings are empty. */
	put(&f, 0x14, 0, 1);
	assert_int_equal(write(f.bell, &(uint64_t){ 1 }, 8), 8);
	memory_write(f.m, AVAIL, zeroes, sizeof(zeroes));
	memory_write(f.m, USED, zeroes, sizeof(zeroes));
	ready(&f, false);
	assert_int_equal(request(&f, 0, 0, 512, true), 0);
	/* Other sizes come to the handler. */
	assert_int_equal(used_index(&f), 1);
	put(&f, 0x3000, 0, 4);
	finish(&f);
	assert_int_equal(f.bell_address, 0);
}

static void readonly(void **state)
{
	struct fixture f;

	start(&f, true);
	put(&f, 0x00, 0, 4);
	assert_int_equal(get(&f, 0x04, 4) & 0x6020, 0x20);
	ready(&f, false);
	assert_int_equal(request(&f, 1, 0, 512, false), 1);
	assert_int_equal(request(&f, 0, 0, 512, false), 0);
	finish(&f);
}

/* Each of these breaks the ring, and only a reset mends it. */
static void broken_rings(void **state)
{
	for (unsigned i = 0; i < 9; i++) {
		struct fixture f;

		start(&f, false);
		ready(&f, false);
		descriptor(&f, DESC, 0, BUFFERS, 16, NEXT, 1);
		descriptor(&f, DESC, 1, BUFFERS + 0x100, 1, WRITE, 0);
		switch (i) {
		case 0: /* a loop */
			descriptor(&f, DESC, 1, BUFFERS, 16, NEXT, 0);
			break;
		case 1: /* beyond the table */
			descriptor(&f, DESC, 0, BUFFERS, 16, NEXT, N);
			break;
		case 2: /* no RAM */
			descriptor(&f, DESC, 1, 0x80000000, 1, WRITE, 0);
			break;
		case 3: /* over RAM's end */
			descriptor(&f, DESC, 1, (1 << 20) - 4, 8, WRITE, 0);
			break;
		case 4: /* over the end of the numbers */
			descriptor(&f, DESC, 1, UINT64_MAX - 3, 8, WRITE, 0);
			break;
		case 5: /* read after written */
			descriptor(&f, DESC, 0, BUFFERS, 16, NEXT | WRITE, 1);
			descriptor(&f, DESC, 1, BUFFERS, 16, 0, 0);
			break;
		case 6: /* indirect in indirect */
			descriptor(&f, DESC, 0, TABLE, 16, INDIRECT, 0);
			descriptor(&f, TABLE, 0, TABLE, 16, INDIRECT, 0);
			break;
		case 7: /* an indirect table that is none */
			descriptor(&f, DESC, 0, TABLE, 17, INDIRECT, 0);
			break;
		default: /* more than fit */
			f.available = N;
			break;
		}
		offer(&f, 0);
		assert_int_equal(get(&f, 0x14, 1), 15 | 64);
		assert_int_equal(used_index(&f), 0);
		put(&f, 0x14, 0, 1);
		assert_int_equal(get(&f, 0x14, 1), 0);
		memory_write(f.m, AVAIL + 2, "\0\0", 2);
		ready(&f, false);
		assert_int_equal(request(&f, 0, 0, 512, false), 0);
		finish(&f);
	}
}

/* Rings, tables, registers and notifications of any kind. */
static void hostile(void **state)
{
	uint64_t seed = 88172645463325252;
	struct fixture f;

	start(&f, false);
	ready(&f, true);
	for (unsigned i = 0; i < 40000; i++) {
		uint64_t at;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		at = seed % 4 == 0   ? DESC + (seed >> 8) % (16 * N)
		     : seed % 4 == 1 ? AVAIL + (seed >> 8) % 64
		     : seed % 4 == 2 ? TABLE + (seed >> 8) % 256
				     : BUFFERS + (seed >> 8) % 64;
		memory_write(f.m, at, &i, 1 + (seed >> 30) % 4);
		if (seed >> 40 & 1)
			descriptor(&f, seed >> 41 & 1 ? DESC : TABLE, (seed >> 42) % N,
				BUFFERS + (seed >> 46) % 0x2000, (uint32_t)(seed >> 50) % 0x400,
				(uint16_t)(seed >> 20) % 8, (uint16_t)(seed >> 24) % N);
		if (seed >> 60 & 1)
			offer(&f, (uint16_t)(seed >> 33) % N);
		if (seed % 64 == 5)
			put(&f, (unsigned)(seed >> 8) % 0x4000, seed >> 22, 1u << (seed >> 20) % 3);
		if (seed % 32 == 7)
			ready(&f, seed >> 9 & 1);
	}
	device_reset(f.blk);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(negotiation),
		cmocka_unit_test(without_event_index),
		cmocka_unit_test(with_event_index),
		cmocka_unit_test(bells),
		cmocka_unit_test(readonly),
		cmocka_unit_test(broken_rings),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
