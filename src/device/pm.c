/*
 * ACPI 6.4, chapter 4.8 "ACPI register model". ACPI mode is always on (SCI_EN reads 1): there is no SMI. Offsets
 * from PM_BASE: status 0, enable 2, control 4, timer 8; the block is 128 bytes as ICH9's. Port 0x92 is the fast reset.
 */
#include "device/pm.h"

#include <pthread.h>

#include "base/alloc.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"

#define STATUS 0u
#define ENABLE 2u
#define CONTROL 4u
#define TIMER 8u
#define BLOCK 128u
#define POWER_BUTTON 0x0100u
#define SCI_EN 0x0001u
#define SLP_EN 0x2000u
#define TIMER_HZ 3579545

struct pm {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	uint16_t status, enable, control;
	uint8_t reset_control, fast;
	void (*request)(void *data, enum pm_request what);
	void *data;
	struct irq_line line;
	struct bus_region block, reset_port, fast_port;
};

static uint32_t timer(struct pm *pm)
{
	return (uint32_t)((__int128)clock_now(pm->memory->clock) * TIMER_HZ / NS_PER_S);
}

static void update(struct pm *pm)
{
	irq_line_set(&pm->line, pm->status & pm->enable & POWER_BUTTON);
}

static uint64_t read_block(void *data, uint64_t offset, unsigned size)
{
	struct pm *pm = data;
	uint64_t value = 0;

	/* All registers as one value of 16 bytes, of which these are the first and the third word pair. */
	pthread_mutex_lock(&pm->lock);
	if (offset < CONTROL)
		value = (pm->status | (uint64_t)pm->enable << 16) >> 8 * offset;
	else if (offset < TIMER)
		value = (uint64_t)(pm->control | SCI_EN) >> 8 * (offset - CONTROL);
	else if (offset < TIMER + 4)
		value = timer(pm) >> 8 * (offset - TIMER);
	pthread_mutex_unlock(&pm->lock);
	return value;
}

/* One byte of a register, which is what the guest's wider writes are made of. */
static bool write_byte(struct pm *pm, uint64_t offset, uint8_t value)
{
	unsigned shift = offset % 2 ? 8 : 0;
	uint16_t mask = (uint16_t)(0xff << shift), bits = (uint16_t)(value << shift);

	switch (offset & ~UINT64_C(1)) {
	case STATUS:
		pm->status &= ~bits; /* written ones clear */
		break;
	case ENABLE:
		pm->enable = (uint16_t)((pm->enable & ~mask) | (bits & (POWER_BUTTON | 0x621)));
		break;
	case CONTROL:
		pm->control = (uint16_t)(((pm->control & ~mask) | bits) & ~(SLP_EN | SCI_EN));
		return shift == 8 && bits & SLP_EN && (pm->control >> 10 & 7) == PM_SLEEP_OFF;
	default:
		break;
	}
	return false;
}

static void write_block(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = data;
	bool off = false;

	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < size; i++)
		off |= write_byte(pm, offset + i, (uint8_t)(value >> 8 * i));
	update(pm);
	pthread_mutex_unlock(&pm->lock);
	if (off)
		pm->request(pm->data, PM_POWER_OFF);
}

static uint64_t read_reset(void *data, uint64_t offset, unsigned size)
{
	return ((struct pm *)data)->reset_control;
}

static void write_reset(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = data;

	pm->reset_control = value & 0x0a;
	if (value & 4)
		pm->request(pm->data, PM_RESET);
}

/* Bit 1 is the A20 gate, which is always open. */
static uint64_t read_fast(void *data, uint64_t offset, unsigned size)
{
	return ((struct pm *)data)->fast | 2;
}

static void write_fast(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pm *pm = data;
	bool reset = value & ~(uint64_t)pm->fast & 1;

	pm->fast = (uint8_t)value & 0xfe;
	if (reset)
		pm->request(pm->data, PM_RESET);
}

static const struct bus_ops block_ops = { read_block, write_block, 1 | 2 | 4 },
			    reset_ops = { read_reset, write_reset, 1 },
			    fast_ops = { read_fast, write_fast, 1 };

void pm_power_button(struct device *device)
{
	struct pm *pm = (struct pm *)device;

	pthread_mutex_lock(&pm->lock);
	pm->status |= POWER_BUTTON;
	update(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void reset(struct device *device)
{
	struct pm *pm = (struct pm *)device;

	pm->status = pm->enable = pm->control = 0;
	pm->reset_control = pm->fast = 0;
	update(pm);
}

static void destroy(struct device *device)
{
	struct pm *pm = (struct pm *)device;

	bus_unmap(pm->memory->bus, &pm->block);
	bus_unmap(pm->memory->bus, &pm->reset_port);
	bus_unmap(pm->memory->bus, &pm->fast_port);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct device_type type = { .name = "pm", .reset = reset, .destroy = destroy };

struct device *pm_new(
	struct memory *m, void (*request)(void *data, enum pm_request what), void *data)
{
	struct pm *pm = xnew(struct pm);

	pm->device.type = &type;
	pm->memory = m;
	pm->request = request;
	pm->data = data;
	pthread_mutex_init(&pm->lock, NULL);
	irq_line_init(&pm->line, m->irqs, PM_LINE);
	bus_region_init(&pm->block, "pm", BUS_PORT, BLOCK, &block_ops, pm);
	bus_region_init(&pm->reset_port, "reset", BUS_PORT, 1, &reset_ops, pm);
	bus_region_init(&pm->fast_port, "fast-reset", BUS_PORT, 1, &fast_ops, pm);
	bus_map(m->bus, &pm->block, PM_BASE);
	bus_map(m->bus, &pm->reset_port, PM_RESET_PORT);
	bus_map(m->bus, &pm->fast_port, 0x92);
	return &pm->device;
}
