/* pvpanic (QEMU docs/specs/pvpanic.rst): bit 0 panicked, bit 1 a crash kernel takes over; reads say what is known. */
#include "device/panic.h"

#include "base/alloc.h"
#include "memory/bus.h"

#define PANICKED 1u
#define CRASH_LOADED 2u

struct panic {
	struct device device;
	struct memory *memory;
	void (*panicked)(void *data);
	void *data;
	struct bus_region region;
};

static uint64_t read_port(void *data, uint64_t offset, unsigned size)
{
	return PANICKED | CRASH_LOADED;
}

static void write_port(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct panic *p = data;

	if (value & PANICKED)
		p->panicked(p->data);
}

static void destroy(struct device *device)
{
	struct panic *p = (struct panic *)device;

	bus_unmap(p->memory->bus, &p->region);
	free(p);
}

static const struct device_type type = { .name = "panic", .destroy = destroy };

struct device *panic_new(struct memory *m, uint16_t port, void (*panicked)(void *data), void *data)
{
	static const struct bus_ops ops = { read_port, write_port, 1 };
	struct panic *p = xnew(struct panic);

	p->device.type = &type;
	p->memory = m;
	p->panicked = panicked;
	p->data = data;
	bus_region_init(&p->region, "panic", BUS_PORT, 1, &ops, p);
	bus_map(m->bus, &p->region, port);
	return &p->device;
}
