#include "device/testdev.h"

#include <string.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/irq.h"

#define IOMEM 0xff000000u
#define IOMEM_BYTES 0x10000u

struct testdev {
	struct device device;
	struct memory *memory;
	struct testdev_config config;
	uint32_t kept;
	uint8_t bytes[IOMEM_BYTES];
	struct irq_line lines[IRQ_LINES];
	struct bus_region exit, debug, size, port, irqs, iomem;
};

static uint64_t read_debug(void *data, uint64_t offset, unsigned size)
{
	return 0xe9; /* "I am here" */
}

static void write_debug(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct testdev *t = data;

	t->config.debug(t->config.data, (uint8_t)value);
}

static void write_exit(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct testdev *t = data;

	t->config.exit(t->config.data, (int)((value & 0x7f) << 1 | 1));
}

static uint64_t read_size(void *data, uint64_t offset, unsigned size)
{
	return memory_ram_bytes(((struct testdev *)data)->memory);
}

static uint64_t read_kept(void *data, uint64_t offset, unsigned size)
{
	return ((struct testdev *)data)->kept >> 8 * offset;
}

static void write_kept(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct testdev *t = data;
	uint32_t mask = (uint32_t)((UINT64_C(1) << 8 * size) - 1) << 8 * offset;

	t->kept = (t->kept & ~mask) | ((uint32_t)value << 8 * offset & mask);
}

static void write_line(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct testdev *t = data;

	irq_line_set(&t->lines[offset], value);
}

static uint64_t read_iomem(void *data, uint64_t offset, unsigned size)
{
	struct testdev *t = data;
	uint64_t value = 0;

	memcpy(&value, t->bytes + offset, size);
	return value;
}

static void write_iomem(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct testdev *t = data;

	memcpy(t->bytes + offset, &value, size);
}

static void destroy(struct device *device)
{
	struct testdev *t = (struct testdev *)device;
	struct bus_region *regions[] = { &t->exit, &t->debug, &t->size, &t->port, &t->irqs,
		&t->iomem };

	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		bus_unmap(t->memory->bus, regions[i]);
	for (unsigned i = 0; i < IRQ_LINES; i++)
		irq_line_set(&t->lines[i], false);
	free(t);
}

static const struct device_type type = { .name = "testdev", .destroy = destroy };

struct device *testdev_new(struct memory *m, const struct testdev_config *config)
{
	static const struct bus_ops exit_ops = { NULL, write_exit, 1 | 2 | 4 },
				    debug_ops = { read_debug, write_debug, 1 },
				    size_ops = { read_size, NULL, 4 },
				    port_ops = { read_kept, write_kept, 1 | 2 | 4 },
				    irq_ops = { NULL, write_line, 1 },
				    iomem_ops = { read_iomem, write_iomem, 1 | 2 | 4 | 8 };
	struct testdev *t = xnew(struct testdev);

	t->device.type = &type;
	t->memory = m;
	t->config = *config;
	for (unsigned i = 0; i < IRQ_LINES; i++)
		irq_line_init(&t->lines[i], m->irqs, i);
	bus_region_init(&t->exit, "debug-exit", BUS_PORT, 4, &exit_ops, t);
	bus_region_init(&t->debug, "debug", BUS_PORT, 1, &debug_ops, t);
	bus_region_init(&t->size, "ram-size", BUS_PORT, 4, &size_ops, t);
	bus_region_init(&t->port, "test-port", BUS_PORT, 4, &port_ops, t);
	bus_region_init(&t->irqs, "test-lines", BUS_PORT, IRQ_LINES, &irq_ops, t);
	bus_region_init(&t->iomem, "test-memory", BUS_MMIO, IOMEM_BYTES, &iomem_ops, t);
	bus_map(m->bus, &t->exit, 0xf4);
	bus_map(m->bus, &t->debug, 0xe9);
	bus_map(m->bus, &t->size, 0xd1);
	bus_map(m->bus, &t->port, 0xe0);
	bus_map(m->bus, &t->irqs, 0x2000);
	bus_map(m->bus, &t->iomem, IOMEM);
	return &t->device;
}
