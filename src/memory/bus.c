/*
 * The bus: per space an array of regions in the order in which they were mapped. Lookup goes from the
 * last to the first, so that the newest of overlapping regions answers. What is found is used after
 * the lock was let go; see bus.h for what that asks of devices.
 */
#include "memory/bus.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

#define REGIONS 512u
#define PORT_SPACE UINT64_C(0x10000)
#define MMIO_SPACE (UINT64_C(1) << 52)

struct map {
	struct bus_region *regions[REGIONS];
	unsigned n;
};

struct bus {
	pthread_rwlock_t lock;
	struct map maps[2];
	const struct bus_shortcuts *shortcuts; /* or NULL */
	void *shortcuts_data;
};

/* One access as it will be made: all of it in one region, or in none (ops NULL). */
struct target {
	const struct bus_ops *ops;
	void *data;
	uint64_t offset;
	unsigned size;
};

struct bus *bus_new(void)
{
	struct bus *bus = xnew(struct bus);

	pthread_rwlock_init(&bus->lock, NULL);
	return bus;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	pthread_rwlock_destroy(&bus->lock);
	free(bus);
}

void bus_region_init(struct bus_region *region, const char *name, enum bus_space space,
	uint64_t size, const struct bus_ops *ops, void *data)
{
	*region = (struct bus_region){
		.name = name, .space = space, .size = size, .ops = ops, .data = data
	};
}

void bus_region_set_bells(struct bus_region *region, const struct bus_bell *bells, unsigned n)
{
	region->bells = bells;
	region->n_bells = n;
}

void bus_region_set_lazy(struct bus_region *region, uint64_t offset, uint64_t bytes)
{
	region->lazy = offset;
	region->lazy_bytes = bytes;
}

/* With the lock held. */
static void tell(struct bus *bus, const struct bus_region *r, bool on)
{
	const struct bus_shortcuts *s = bus->shortcuts;

	for (unsigned i = 0; s && s->bell && i < r->n_bells; i++)
		s->bell(bus->shortcuts_data, r->base + r->bells[i].offset, r->bells[i].size,
			r->bells[i].fd, on);
	if (s && s->lazy && r->lazy_bytes)
		s->lazy(bus->shortcuts_data, r->space, r->base + r->lazy, r->lazy_bytes, on);
}

void bus_set_shortcuts(struct bus *bus, const struct bus_shortcuts *shortcuts, void *data)
{
	pthread_rwlock_wrlock(&bus->lock);
	bus->shortcuts = shortcuts;
	bus->shortcuts_data = data;
	for (unsigned space = 0; space < ARRAY_SIZE(bus->maps); space++)
		for (unsigned i = 0; i < bus->maps[space].n; i++)
			tell(bus, bus->maps[space].regions[i], true);
	pthread_rwlock_unlock(&bus->lock);
}

bool bus_has_bells(struct bus *bus)
{
	bool has;

	pthread_rwlock_rdlock(&bus->lock);
	has = bus->shortcuts && bus->shortcuts->bell;
	pthread_rwlock_unlock(&bus->lock);
	return has;
}

static void remove_region(struct map *map, struct bus_region *region)
{
	unsigned i = 0;

	while (i < map->n && map->regions[i] != region)
		i++;
	if (i == map->n)
		return;
	memmove(&map->regions[i], &map->regions[i + 1], (map->n - i - 1) * sizeof(map->regions[0]));
	map->n--;
}

int bus_map(struct bus *bus, struct bus_region *region, uint64_t base)
{
	struct map *map = &bus->maps[region->space];
	uint64_t space = region->space == BUS_PORT ? PORT_SPACE : MMIO_SPACE;
	int r = 0;

	if (region->size == 0 || region->size > space || base > space - region->size)
		return -ERANGE;
	pthread_rwlock_wrlock(&bus->lock);
	if (!region->mapped && map->n == REGIONS) {
		r = -ENOSPC;
	} else {
		if (region->mapped)
			tell(bus, region, false);
		remove_region(map, region);
		region->base = base;
		region->mapped = true;
		map->regions[map->n++] = region;
		tell(bus, region, true);
	}
	pthread_rwlock_unlock(&bus->lock);
	return r;
}

void bus_unmap(struct bus *bus, struct bus_region *region)
{
	pthread_rwlock_wrlock(&bus->lock);
	if (region->mapped)
		tell(bus, region, false);
	remove_region(&bus->maps[region->space], region);
	region->mapped = false;
	pthread_rwlock_unlock(&bus->lock);
}

/* The largest first part of an access that is in one region, aligned and of a size that it takes. A part
 * that no region takes is as large as one that some region does would be. */
static void find(
	struct bus *bus, enum bus_space space, uint64_t address, unsigned size, struct target *ret)
{
	const struct map *map = &bus->maps[space];
	const struct bus_region *found = NULL;
	uint64_t left = UINT64_MAX;

	pthread_rwlock_rdlock(&bus->lock);
	for (unsigned i = map->n; i-- > 0 && !found;) {
		const struct bus_region *r = map->regions[i];

		if (address - r->base < r->size)
			found = r;
		else if (r->base > address && r->base - address < left)
			left = r->base - address;
	}
	*ret = (struct target){ 0 };
	if (found) {
		*ret = (struct target){ found->ops, found->data, address - found->base, 0 };
		left = found->size - ret->offset;
	}
	pthread_rwlock_unlock(&bus->lock);

	for (ret->size = size > 4   ? 8
			 : size > 2 ? 4
				    : size;
		ret->size > 1 && (ret->size > size || ret->size > left || address % ret->size ||
					 (ret->ops && !(ret->ops->sizes & ret->size)));
		ret->size /= 2)
		;
	if (ret->ops && (!(ret->ops->sizes & ret->size) || ret->offset % ret->size))
		ret->ops = NULL;
}

static uint64_t ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

/* Port numbers wrap as the processor's do. */
static uint64_t wrap(enum bus_space space, uint64_t address)
{
	return space == BUS_PORT ? address % PORT_SPACE : address;
}

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t address, unsigned size)
{
	uint64_t value = 0;
	struct target t;

	for (unsigned done = 0; done < size; done += t.size) {
		uint64_t part;

		find(bus, space, wrap(space, address + done), size - done, &t);
		part = t.ops && t.ops->read ? t.ops->read(t.data, t.offset, t.size) : UINT64_MAX;
		value |= (part & ones(t.size)) << 8 * done;
	}
	return value;
}

void bus_write(
	struct bus *bus, enum bus_space space, uint64_t address, uint64_t value, unsigned size)
{
	struct target t;

	for (unsigned done = 0; done < size; done += t.size) {
		find(bus, space, wrap(space, address + done), size - done, &t);
		if (t.ops && t.ops->write)
			t.ops->write(t.data, t.offset, (value >> 8 * done) & ones(t.size), t.size);
	}
}
