#pragma once
/* A virtio driver for tests: finds the device in slot 1, negotiates, and has rings for its queues. Included once a test. */
#include "board.h"

#include <string.h>
#include <unistd.h>

#include "device/pci.h"

#define DRIVER_BAR 0xd0000000u
#define DRIVER_CONFIG (PCI_ECAM + 0x8000)
#define DRIVER_N 16u
#define DRIVER_QUEUES 5u
#define DRIVER_BUFFERS 0x40000u

enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

struct driver {
	struct memory *m;
	struct pci_host *host;
	struct device *device;
	struct levels levels;
	uint16_t available[DRIVER_QUEUES], seen[DRIVER_QUEUES];
};

static inline uint64_t ring_at(unsigned queue)
{
	return 0x10000 + 0x4000 * queue;
}

static void d_put(struct driver *d, unsigned offset, uint64_t value, unsigned size)
{
	vcpu_write(&d->m->vcpus[0], DRIVER_BAR + offset, value, size);
}

static uint64_t d_get(struct driver *d, unsigned offset, unsigned size)
{
	return vcpu_read(&d->m->vcpus[0], DRIVER_BAR + offset, size);
}

/* Then the device is made with d->m and d->host, and driver_map() called. */
static void driver_board(struct driver *d)
{
	*d = (struct driver){ .m = board(1) };
	irqs_add_sink(d->m->irqs, &level_sink, &d->levels);
	d->host = pci_host_new(d->m);
}

static void driver_map(struct driver *d)
{
	put32(d->m, 0, DRIVER_CONFIG + 0x10, DRIVER_BAR);
	put32(d->m, 0, DRIVER_CONFIG + 0x14, 0);
	vcpu_write(&d->m->vcpus[0], DRIVER_CONFIG + 4, 6, 2);
	assert_int_equal(device_start(d->device, NULL), 0);
}

static void driver_end(struct driver *d)
{
	device_free(d->device);
	device_free(pci_host_device(d->host));
	memory_free(d->m);
}

/* Resets it and negotiates: the low 32 feature bits. */
static void driver_ready(struct driver *d, uint32_t features)
{
	d_put(d, 0x14, 0, 1);
	d_put(d, 0x14, 3, 1);
	d_put(d, 0x08, 0, 4);
	d_put(d, 0x0c, features, 4);
	d_put(d, 0x08, 1, 4);
	d_put(d, 0x0c, 1, 4);
	d_put(d, 0x14, 11, 1);
	for (unsigned q = 0; q < d_get(d, 0x12, 2); q++) {
		static const uint8_t zeroes[0x4000];

		memory_write(d->m, ring_at(q), zeroes, sizeof(zeroes));
		d_put(d, 0x16, q, 2);
		d_put(d, 0x18, DRIVER_N, 2);
		d_put(d, 0x20, ring_at(q), 8);
		d_put(d, 0x28, ring_at(q) + 0x1000, 8);
		d_put(d, 0x30, ring_at(q) + 0x2000, 8);
		d_put(d, 0x1c, 1, 2);
		d->available[q] = d->seen[q] = 0;
	}
	d_put(d, 0x14, 15, 1);
}

static void d_descriptor(struct driver *d, unsigned queue, unsigned i, uint64_t gpa, uint32_t len,
	uint16_t flags, uint16_t next)
{
	uint64_t at = ring_at(queue) + 16 * i;

	memory_write(d->m, at, &gpa, 8);
	memory_write(d->m, at + 8, &len, 4);
	memory_write(d->m, at + 12, &flags, 2);
	memory_write(d->m, at + 14, &next, 2);
}

/* Without telling the device. */
__attribute__((unused)) static void d_add(struct driver *d, unsigned queue, uint16_t head)
{
	uint64_t at = ring_at(queue) + 0x1000;

	memory_write(d->m, at + 4 + 2 * (d->available[queue] % DRIVER_N), &head, 2);
	d->available[queue]++;
	memory_write(d->m, at + 2, &d->available[queue], 2);
}

__attribute__((unused)) static void d_kick(struct driver *d, unsigned queue)
{
	d_put(d, 0x3000 + 4 * queue, queue, 2);
}

/* One descriptor as a chain of its own. */
__attribute__((unused)) static void d_offer(
	struct driver *d, unsigned queue, uint16_t i, uint64_t gpa, uint32_t len, bool write)
{
	d_descriptor(d, queue, i, gpa, len, write ? D_WRITE : 0, 0);
	d_add(d, queue, i);
	d_kick(d, queue);
}

__attribute__((unused)) static uint16_t d_used(struct driver *d, unsigned queue)
{
	uint16_t v = 0;

	memory_read(d->m, ring_at(queue) + 0x2002, &v, 2);
	return v;
}

/* Waits for the next used element: its head; its length. */
__attribute__((unused)) static uint32_t d_wait(struct driver *d, unsigned queue, uint32_t *ret_len)
{
	uint32_t element[2];

	for (unsigned i = 0; i < 30000 && d_used(d, queue) == d->seen[queue]; i++)
		usleep(1000);
	assert_int_not_equal(d_used(d, queue), d->seen[queue]);
	memory_read(d->m, ring_at(queue) + 0x2004 + 8 * (d->seen[queue] % DRIVER_N), element, 8);
	d->seen[queue]++;
	*ret_len = element[1];
	return element[0];
}

/* Anything: rings, tables, registers, notifications; `seed` goes on. */
__attribute__((unused)) static void driver_hostile(
	struct driver *d, unsigned queues, uint64_t *state, void (*between)(void *data), void *data)
{
	uint64_t seed = *state;

	for (unsigned i = 0; i < 20000; i++) {
		unsigned q;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		q = (unsigned)(seed >> 3) % queues;
		if (seed % 4 == 0)
			memory_write(d->m, ring_at(q) + (seed >> 8) % 0x3000, &seed,
				1 + (seed >> 30) % 4);
		if (seed % 4 == 1)
			memory_write(d->m, DRIVER_BUFFERS + (seed >> 8) % 64, &seed,
				1 + (seed >> 30) % 8);
		if (seed >> 40 & 1)
			d_descriptor(d, q, (seed >> 42) % DRIVER_N,
				DRIVER_BUFFERS + (seed >> 46) % 0x2000,
				(uint32_t)(seed >> 50) % 0x400, (uint16_t)(seed >> 20) % 8,
				(uint16_t)(seed >> 24) % DRIVER_N);
		if (seed >> 60 & 1) {
			d_add(d, q, (uint16_t)(seed >> 33) % DRIVER_N);
			d_kick(d, q);
		}
		if (seed % 64 == 5)
			d_put(d, (unsigned)(seed >> 8) % 0x4000, seed >> 22,
				1u << (seed >> 20) % 3);
		if (seed % 32 == 7)
			driver_ready(d, (uint32_t)(seed >> 9));
		if (seed % 16 == 3 && between)
			between(data);
	}
	*state = seed;
	device_reset(d->device);
}
