/*
 * A machine's devices against its guest: the input is a list of accesses, of twelve bytes each, to registers, rings and
 * memory, with time passing. A new device is to be made here, too, and its place added to the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/panic.h"
#include "device/pci.h"
#include "device/pit.h"
#include "device/pm.h"
#include "device/rtc.h"
#include "device/serial.h"
#include "device/testdev.h"
#include "device/virtio/balloon.h"
#include "device/virtio/blk.h"
#include "device/virtio/console.h"
#include "device/virtio/net.h"
#include "device/virtio/rng.h"
#include "disk/disk.h"
#include "memory/clock.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

#define PANIC_PORT 0x505
#define RAM (1u << 20)
#define BAR 0xd0000000u
#define BAR_BYTES 0x10000u
#define RINGS 0x10000u /* each queue's at a page of its own */
#define OPS 2000u
#define N_VCPUS 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct op {
	uint8_t kind, place;
	uint16_t offset;
	uint64_t value;
} __attribute__((packed));

struct board {
	struct memory *m;
	struct pci_host *pci;
	struct device *devices[16];
	unsigned n;
};

static const struct {
	uint64_t base;
	uint32_t span;
	bool port;
} places[] = {
	{ 0x20, 2, true },
	{ 0xa0, 2, true },
	{ 0x4d0, 2, true },
	{ 0x40, 4, true },
	{ 0x61, 1, true },
	{ 0x70, 2, true },
	{ 0x3f8, 8, true },
	{ 0x600, 128, true },
	{ 0xcf8, 8, true },
	{ PANIC_PORT, 1, true },
	{ 0, 0x10000, true },
	{ 0xfee00000, 0x1000, false },
	{ IOAPIC_BASE, 0x50, false },
	{ PCI_ECAM, 0x10000, false },
	{ PCI_ECAM + 0x8000, 0x100, false },
	{ BAR, 0x40, false },
	{ BAR, BAR_BYTES, false },
	{ BAR + BAR_BYTES, BAR_BYTES, false },
	{ BAR + 2 * BAR_BYTES, BAR_BYTES, false },
	{ BAR + 3 * BAR_BYTES, BAR_BYTES, false },
	{ BAR + 4 * BAR_BYTES, BAR_BYTES, false },
	{ RAM - 8, 16, false },
};

static void on_power(void *data, enum pm_request what)
{
}

static void on_nothing(void *data)
{
}

static void on_exit_code(void *data, int code)
{
}

static void on_byte(void *data, uint8_t byte)
{
}

static void on_bytes(void *data, const void *bytes, size_t n)
{
}

static void add(struct board *b, struct device *device)
{
	b->devices[b->n++] = device;
}

static void must(int r)
{
	if (r < 0)
		abort();
}

static void add_virtio(struct board *b)
{
	const struct virtio_console_config console = { .output = on_bytes };
	static int image = -1;
	const uint8_t mac[6] = { 2 };
	char path[32];
	struct device *d = NULL;
	struct disk *disk = NULL;

	if (image < 0) {
		image = memfd_create("disk", MFD_CLOEXEC);
		must(ftruncate(image, 1 << 20));
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	must(disk_open(path, "null", DISK_NO_LOCK, &disk, NULL));
	must(virtio_blk_new(b->m, b->pci, disk, &d, NULL));
	add(b, d);
	must(virtio_net_new(b->m, b->pci, net_backend_null(-1, NET_OFFLOADS), mac, &d, NULL));
	add(b, d);
	must(virtio_console_new(b->m, b->pci, &console, &d, NULL));
	add(b, d);
	must(virtio_rng_new(b->m, b->pci, &d, NULL));
	add(b, d);
	must(virtio_balloon_new(b->m, b->pci, 4096, &d, NULL));
	add(b, d);
}

static void start(struct board *b)
{
	const struct serial_config serial = { .port = 0x3f8, .line = 4, .output = on_byte };
	const struct testdev_config test = { .exit = on_exit_code, .debug = on_byte };

	b->m = memory_new(N_VCPUS, clock_new_manual());
	must(memory_add(b->m, 0, RAM, 0, NULL));
	add(b, lapics_new(b->m));
	b->pci = pci_host_new(b->m);
	add(b, pci_host_device(b->pci));
	add(b, pit_new(b->m));
	add(b, rtc_new(b->m, RAM, 0, 0));
	add(b, serial_new(b->m, &serial));
	add(b, pm_new(b->m, on_power, NULL));
	add(b, panic_new(b->m, PANIC_PORT, on_nothing, NULL));
	add(b, testdev_new(b->m, &test));
	add_virtio(b);
	for (unsigned i = 0; i < b->n; i++)
		must(device_start(b->devices[i], NULL));
	/* Where the table has them, and answering. */
	for (uint32_t slot = 1; slot <= 5; slot++) {
		uint64_t config = PCI_ECAM + (slot << 15);

		vcpu_write(&b->m->vcpus[0], config + 0x10, BAR + (slot - 1) * BAR_BYTES, 4);
		vcpu_write(&b->m->vcpus[0], config + 0x14, 0, 4);
		vcpu_write(&b->m->vcpus[0], config + 4, 6, 2);
	}
}

/* What a driver does first, which chance would not hit on: a queue with rings, and the device running. */
static void set_up(struct vcpu_link *link, const struct op *op)
{
	uint64_t bar = BAR + op->place % 5 * BAR_BYTES, ring = RINGS + (op->offset % 4) * 0x4000u;

	vcpu_write(link, bar + 0x14, 3, 1);
	vcpu_write(link, bar + 0x08, 0, 4);
	vcpu_write(link, bar + 0x0c, (uint32_t)op->value, 4);
	vcpu_write(link, bar + 0x08, 1, 4);
	vcpu_write(link, bar + 0x0c, 1, 4);
	vcpu_write(link, bar + 0x14, 11, 1);
	vcpu_write(link, bar + 0x16, op->offset % 4, 2);
	vcpu_write(link, bar + 0x18, 16, 2);
	vcpu_write(link, bar + 0x20, ring, 8);
	vcpu_write(link, bar + 0x28, ring + 0x1000, 8);
	vcpu_write(link, bar + 0x30, ring + 0x2000, 8);
	vcpu_write(link, bar + 0x1c, 1, 2);
	vcpu_write(link, bar + 0x14, 15, 1);
}

static void access_place(struct vcpu_link *link, const struct op *op)
{
	unsigned place = op->place % ARRAY_SIZE(places), size = 1u << (op->kind >> 4) % 4;
	uint64_t at = places[place].base + op->offset % places[place].span;
	bool write = op->kind & 0x40;

	if (places[place].port && write)
		vcpu_out(link, (uint16_t)at, (uint32_t)op->value, size > 4 ? 4 : size);
	else if (places[place].port)
		vcpu_in(link, (uint16_t)at, size > 4 ? 4 : size);
	else if (write)
		vcpu_write(link, at, op->value, size);
	else
		vcpu_read(link, at, size);
}

static void do_op(struct board *b, const struct op *op)
{
	struct vcpu_link *link = &b->m->vcpus[op->kind >> 7];

	switch (op->kind % 8) {
	case 0:
		set_up(link, op);
		break;
	case 1: /* a descriptor, or a ring's entry */
		memory_write(b->m, RINGS + op->offset, &op->value, 8);
		break;
	case 2:
		memory_write(b->m, (op->offset * 16u + op->place) % (RAM - 8), &op->value, 8);
		break;
	case 3: /* a notification */
		vcpu_write(link, BAR + op->place % 5 * BAR_BYTES + 0x3000 + op->offset % 4 * 4,
			op->offset % 4, 2);
		break;
	case 4:
		clock_advance(b->m->clock, (int64_t)(op->value % 10000000));
		break;
	case 5:
		link->apic->write_msr(link->apic_data, 0x800u + op->place, op->value);
		if (vcpu_take(link, VCPU_INTERRUPT | VCPU_INIT) & VCPU_INTERRUPT &&
			link->apic->acknowledge(link->apic_data) > 255)
			abort();
		break;
	default:
		access_place(link, op);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct board b = { 0 };
	struct op op;

	start(&b);
	for (unsigned i = 0; i < OPS && len >= sizeof(op); i++) {
		memcpy(&op, data, sizeof(op));
		data += sizeof(op);
		len -= sizeof(op);
		do_op(&b, &op);
	}
	for (unsigned i = 0; i < b.n; i++)
		device_reset(b.devices[i]);
	while (b.n > 0)
		device_free(b.devices[--b.n]);
	memory_free(b.m);
	return 0;
}
