#pragma once
/*
 * The I/O bus: memory-mapped (BUS_MMIO) and port (BUS_PORT) addresses, and who answers there. RAM is
 * not on it: a cpu looks for RAM first. vCPUs do not call it directly but through vcpu.h, because a
 * local APIC's page is each vCPU's own.
 *
 * Threads: any thread accesses, registers and moves at any time, a handler among them (a write to a
 * PCI BAR moves regions). Handlers run without the bus's lock and lock their own device; after a
 * region was moved or removed by one thread, a call that another had begun may still be under way,
 * so a device is destroyed only while no vCPU runs.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum bus_space { BUS_MMIO, BUS_PORT };

struct bus;

/*
 * What a device answers with. `offset` is from the region's base; offset + size is inside it. Values are
 * zero-extended, little-endian. `sizes` has the bits 1, 2, 4, 8 for the access sizes that the handlers
 * take, always aligned to their size. Other accesses of the guest are made of several smaller ones,
 * from the lowest address on; where no smaller size is taken, reads give all ones and writes are dropped.
 */
struct bus_ops {
	uint64_t (*read)(void *data, uint64_t offset, unsigned size);
	void (*write)(void *data, uint64_t offset, uint64_t value, unsigned size);
	unsigned sizes;
};

/*
 * A place in a region to which a write of this size says only that somebody is to look: a cpu that can adds 1 to the
 * eventfd instead, and the guest goes on at once. Where it cannot, and for other sizes, the write comes to the handler.
 */
struct bus_bell {
	uint64_t offset;
	unsigned size;
	int fd; /* an eventfd; stays the device's */
};

/* In the device's structure; filled in by bus_region_init(). Members are the bus's. */
struct bus_region {
	const char *name;
	enum bus_space space;
	uint64_t base, size;
	const struct bus_ops *ops;
	void *data;
	bool mapped;
	const struct bus_bell *bells;
	unsigned n_bells;
	uint64_t lazy, lazy_bytes;
};

struct bus *bus_new(void);
void bus_free(struct bus *bus);
DEFINE_CLEANUP(bus_free, struct bus *);

void bus_region_init(struct bus_region *region, const char *name, enum bus_space space,
	uint64_t size, const struct bus_ops *ops, void *data);
/* Before it is mapped; MMIO only. The array stays the device's, and lives as long as the region. */
void bus_region_set_bells(struct bus_region *region, const struct bus_bell *bells, unsigned n);

/* Before it is mapped: writes to these bytes show nothing until the device is asked for something, so a cpu may keep them
 * for a while. They come in their order, and before whatever any vCPU reads or writes elsewhere on the bus after them. */
void bus_region_set_lazy(struct bus_region *region, uint64_t offset, uint64_t bytes);

/* How a cpu spares its guest the way to the bus. Each method is optional, and leaves what it cannot do; it must not call
 * the bus. */
struct bus_shortcuts {
	void (*bell)(void *data, uint64_t address, unsigned size, int fd, bool on);
	void (*lazy)(void *data, enum bus_space space, uint64_t address, uint64_t bytes, bool on);
};
/* By such a cpu: called for each place as it appears and goes, those that are there already at once. NULL: the cpu goes. */
void bus_set_shortcuts(struct bus *bus, const struct bus_shortcuts *shortcuts, void *data);
/* Whether bells ring here: then who has some must listen to them. */
bool bus_has_bells(struct bus *bus);

/*
 * Makes it answer at base, or moves it there. Of overlapping regions the one mapped last answers, and what
 * it covers answers again when it is gone. An aligned access goes to who answers at its first byte, whole
 * (as PCI's port 0xcf8, of 4 bytes, lies around the reset register 0xcf9). -ERANGE beyond the space's end (ports: 0xffff), -ENOSPC for
 * more than 512 regions; then it is where it was.
 */
int bus_map(struct bus *bus, struct bus_region *region, uint64_t base);
/* No error when it is not mapped. */
void bus_unmap(struct bus *bus, struct bus_region *region);

/* size: 1, 2, 4 or 8, any alignment, also across regions. Addresses without a region read all ones. */
uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t address, unsigned size);
void bus_write(
	struct bus *bus, enum bus_space space, uint64_t address, uint64_t value, unsigned size);
