/*
 * PCI Express configuration: PCI Local Bus 3.0 chapter 6, PCI Express base specification chapter 7. One lock for all
 * configuration space; BARs are mapped and unmapped with it held. MSI-X has a lock a function.
 */
#include "device/pci.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

enum {
	VENDOR = 0x00,
	DEVICE = 0x02,
	COMMAND = 0x04,
	STATUS = 0x06,
	REVISION = 0x08,
	HEADER = 0x0e,
	BAR0 = 0x10,
	SUBSYSTEM = 0x2c,
	CAPABILITIES = 0x34,
	INTERRUPT_LINE = 0x3c,
	INTERRUPT_PIN = 0x3d,
	FIRST_CAPABILITY = 0x40
};

#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_INTX_OFF 0x0400u
#define STATUS_INTX 0x08u
#define STATUS_CAPABILITIES 0x10u
#define BAR_64 0x4u
#define CAPABILITY_MSIX 0x11u
#define MSIX_ENABLE 0x80u /* of the control's high byte */
#define MSIX_MASK_ALL 0x40u
#define MSIX_ENTRY_MASKED 1u
#define MSIX_PENDING 0x800u /* offset in its BAR */
#define ADDRESS_PORT 0xcf8u
#define ADDRESS_ENABLE 0x80000000u
#define LPC_SLOT 31u

struct pci_host {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	struct pci_function *functions[PCI_SLOTS];
	struct pci_function bridge, lpc;
	uint32_t address;
	struct bus_region ecam, ports;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, (uint16_t)value);
	put16(p + 2, (uint16_t)(value >> 16));
}

void pci_init(struct pci_function *f, struct memory *m, const struct pci_ids *ids)
{
	memset(f, 0, sizeof(*f));
	f->memory = m;
	put16(f->config + VENDOR, ids->vendor);
	put16(f->config + DEVICE, ids->device);
	put32(f->config + REVISION, ids->class << 8 | ids->revision);
	put16(f->config + SUBSYSTEM, ids->subsystem_vendor);
	put16(f->config + SUBSYSTEM + 2, ids->subsystem);
	put16(f->writable + COMMAND, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF);
	f->writable[INTERRUPT_LINE] = 0xff;
	f->next_capability = FIRST_CAPABILITY;
	pthread_mutex_init(&f->msix_lock, NULL);
}

void pci_add_bar(struct pci_function *f, unsigned n, bool is_64, uint64_t size, const char *name,
	const struct bus_ops *ops, void *data)
{
	uint64_t mask = ~(size - 1);

	bus_region_init(&f->bars[n], name, BUS_MMIO, size, ops, data);
	f->bar_64[n] = is_64;
	put32(f->config + BAR0 + 4 * n, is_64 ? BAR_64 : 0);
	put32(f->writable + BAR0 + 4 * n, (uint32_t)mask);
	if (is_64)
		put32(f->writable + BAR0 + 4 * (n + 1), (uint32_t)(mask >> 32));
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned len)
{
	unsigned at = f->next_capability;

	f->config[f->last_capability ? f->last_capability + 1 : CAPABILITIES] = (uint8_t)at;
	f->config[at] = id;
	f->config[STATUS] |= STATUS_CAPABILITIES;
	f->last_capability = at;
	f->next_capability = (at + len + 3) & ~3u;
	return at;
}

void pci_set_window(struct pci_function *f, unsigned at)
{
	f->window = at;
	f->writable[at + 4] = 0xff;
	memset(f->writable + at + 8, 0xff, 12);
}

static uint8_t msix_control(const struct pci_function *f)
{
	return f->msix_capability ? f->config[f->msix_capability + 3] : 0;
}

/* With the MSI-X lock held. */
static bool masked(const struct pci_function *f, unsigned vector)
{
	return msix_control(f) & MSIX_MASK_ALL || f->msix[vector].control & MSIX_ENTRY_MASKED;
}

static void send_pending(struct pci_function *f)
{
	for (unsigned i = 0; i < f->n_msix && f->msix_pending; i++) {
		if (!(f->msix_pending >> i & 1) || masked(f, i) || !(msix_control(f) & MSIX_ENABLE))
			continue;
		f->msix_pending &= ~(UINT64_C(1) << i);
		irq_msi(f->memory->irqs, f->msix[i].address, f->msix[i].value);
	}
}

static uint64_t read_msix(void *data, uint64_t offset, unsigned size)
{
	struct pci_function *f = data;
	uint64_t value = 0;

	pthread_mutex_lock(&f->msix_lock);
	if (offset + size <= f->n_msix * sizeof(f->msix[0]))
		memcpy(&value, (const uint8_t *)f->msix + offset, size);
	else if (offset >= MSIX_PENDING && offset + size <= MSIX_PENDING + 8)
		value = f->msix_pending >> 8 * (offset - MSIX_PENDING);
	pthread_mutex_unlock(&f->msix_lock);
	return value;
}

static void write_msix(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_function *f = data;

	pthread_mutex_lock(&f->msix_lock);
	if (offset + size <= f->n_msix * sizeof(f->msix[0])) {
		memcpy((uint8_t *)f->msix + offset, &value, size);
		send_pending(f);
	}
	pthread_mutex_unlock(&f->msix_lock);
}

void pci_add_msix(struct pci_function *f, unsigned bar, unsigned n)
{
	static const struct bus_ops ops = { read_msix, write_msix, 4 | 8 };
	unsigned at = pci_add_capability(f, CAPABILITY_MSIX, 12);

	f->msix_capability = at;
	f->n_msix = n < PCI_MSIX_MAX ? n : PCI_MSIX_MAX;
	put16(f->config + at + 2, (uint16_t)(f->n_msix - 1));
	f->writable[at + 3] = MSIX_ENABLE | MSIX_MASK_ALL;
	put32(f->config + at + 4, bar);
	put32(f->config + at + 8, MSIX_PENDING | bar);
	for (unsigned i = 0; i < f->n_msix; i++)
		f->msix[i].control = MSIX_ENTRY_MASKED;
	pci_add_bar(f, bar, false, 0x1000, "msix", &ops, f);
}

bool pci_msix_enabled(struct pci_function *f)
{
	return msix_control(f) & MSIX_ENABLE;
}

void pci_msix_notify(struct pci_function *f, unsigned vector)
{
	if (vector >= f->n_msix)
		return;
	pthread_mutex_lock(&f->msix_lock);
	f->msix_pending |= UINT64_C(1) << vector;
	send_pending(f);
	pthread_mutex_unlock(&f->msix_lock);
}

/* With the host's lock held, or before the function is on the bus. */
static void update_intx(struct pci_function *f)
{
	bool off = get16(f->config + COMMAND) & COMMAND_INTX_OFF;

	if (f->intx_level)
		f->config[STATUS] |= STATUS_INTX;
	else
		f->config[STATUS] &= ~STATUS_INTX;
	if (f->intx.irqs)
		irq_line_set(&f->intx, f->intx_level && !off);
}

void pci_intx_set(struct pci_function *f, bool level)
{
	if (!f->host)
		return;
	pthread_mutex_lock(&f->host->lock);
	f->intx_level = level;
	update_intx(f);
	pthread_mutex_unlock(&f->host->lock);
}

bool pci_is_master(const struct pci_function *f)
{
	return get16(f->config + COMMAND) & COMMAND_MASTER;
}

static uint64_t bar_base(const struct pci_function *f, unsigned n)
{
	const uint8_t *p = f->config + BAR0 + 4 * n;
	uint64_t base = get32(p) & ~UINT32_C(15);

	return f->bar_64[n] ? base | (uint64_t)get32(p + 4) << 32 : base;
}

/* BARs answer where they say while memory is on. 0 is nowhere, as is all that the bus cannot hold: what the guest writes
 * while it asks for a size is such a place. */
static void map_bars(struct pci_function *f)
{
	bool on = get16(f->config + COMMAND) & COMMAND_MEMORY;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct bus_region *r = &f->bars[n];
		uint64_t base = bar_base(f, n);

		if (r->size == 0 || (on && r->mapped && r->base == base))
			continue;
		if (!on || base == 0 || bus_map(f->memory->bus, r, base) < 0)
			bus_unmap(f->memory->bus, r);
	}
}

static void config_write(struct pci_function *f, unsigned offset, uint32_t value, unsigned size)
{
	bool bars = offset < BAR0 + 4 * PCI_BARS && offset + size > BAR0;
	bool command = offset < COMMAND + 2u && offset + size > COMMAND;

	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = f->writable[offset + i], byte = (uint8_t)(value >> 8 * i);

		f->config[offset + i] = (uint8_t)((f->config[offset + i] & ~mask) | (byte & mask));
	}
	if (bars || command)
		map_bars(f);
	if (command)
		update_intx(f);
	if (f->msix_capability && offset <= f->msix_capability + 3 &&
		offset + size > f->msix_capability + 2) {
		pthread_mutex_lock(&f->msix_lock);
		send_pending(f);
		pthread_mutex_unlock(&f->msix_lock);
	}
}

/* Whether an access is one to the BAR that the window shows; that place then. */
static bool shows(struct pci_host *h, const struct pci_function *f, unsigned offset, unsigned size,
	const struct bus_region **ret_bar, uint32_t *ret_at, unsigned *ret_size)
{
	const uint8_t *c = f->config + f->window;
	unsigned bar;

	if (!f->window || offset >= f->window + 20 || offset + size <= f->window + 16)
		return false;
	pthread_mutex_lock(&h->lock);
	bar = c[4];
	*ret_at = get32(c + 8);
	*ret_size = get32(c + 12);
	pthread_mutex_unlock(&h->lock);
	if (bar >= PCI_BARS || (*ret_size != 1 && *ret_size != 2 && *ret_size != 4))
		return false;
	*ret_bar = &f->bars[bar];
	return *ret_at < (*ret_bar)->size && *ret_at % *ret_size == 0 &&
	       (*ret_bar)->ops->sizes & *ret_size;
}

/* The handlers of a BAR run without the bus's lock, as they do when the guest comes by its address. */
static void read_window(struct pci_host *h, struct pci_function *f, unsigned offset, unsigned size)
{
	const struct bus_region *bar;
	uint32_t at, value;
	unsigned n;

	if (!shows(h, f, offset, size, &bar, &at, &n))
		return;
	value = (uint32_t)bar->ops->read(bar->data, at, n);
	pthread_mutex_lock(&h->lock);
	put32(f->config + f->window + 16, value);
	pthread_mutex_unlock(&h->lock);
}

static void write_window(struct pci_host *h, struct pci_function *f, unsigned offset, unsigned size)
{
	const struct bus_region *bar;
	uint32_t at, value;
	unsigned n;

	if (!shows(h, f, offset, size, &bar, &at, &n))
		return;
	pthread_mutex_lock(&h->lock);
	value = get32(f->config + f->window + 16);
	pthread_mutex_unlock(&h->lock);
	bar->ops->write(bar->data, at, n == 4 ? value : value & ((1u << 8 * n) - 1), n);
}

/* address: bus, slot, function, offset as ECAM has them. */
static uint32_t read_config(struct pci_host *h, uint32_t address, unsigned size)
{
	unsigned slot = address >> 15 & 31, offset = address & 0xfff;
	struct pci_function *f = h->functions[slot];
	uint32_t value = 0;

	/* Other buses and functions are not there; extended space is, and is empty. */
	if (address >> 20 || address >> 12 & 7 || !f)
		return UINT32_MAX;
	read_window(h, f, offset, size);
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG; i++)
		value |= (uint32_t)f->config[offset + i] << 8 * i;
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void write_config(struct pci_host *h, uint32_t address, uint32_t value, unsigned size)
{
	unsigned slot = address >> 15 & 31, offset = address & 0xfff;
	struct pci_function *f = h->functions[slot];

	if (address >> 20 || address >> 12 & 7 || !f || offset + size > PCI_CONFIG)
		return;
	pthread_mutex_lock(&h->lock);
	config_write(f, offset, value, size);
	pthread_mutex_unlock(&h->lock);
	write_window(h, f, offset, size);
}

static uint64_t read_ecam(void *data, uint64_t offset, unsigned size)
{
	return read_config(data, (uint32_t)offset, size);
}

static void write_ecam(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	write_config(data, (uint32_t)offset, (uint32_t)value, size);
}

/* Where the address register points, with the data port's offset. */
static uint32_t pointed(const struct pci_host *h, uint64_t offset)
{
	uint32_t a = h->address;

	return (a & 0xff0000) << 4 | (a & 0xff00) << 4 | (a & 0xfc) | (uint32_t)(offset & 3);
}

static uint64_t read_ports(void *data, uint64_t offset, unsigned size)
{
	struct pci_host *h = data;

	if (offset < 4)
		return offset == 0 && size == 4 ? h->address : UINT64_MAX;
	return h->address & ADDRESS_ENABLE ? read_config(h, pointed(h, offset), size) : UINT64_MAX;
}

static void write_ports(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_host *h = data;

	if (offset == 0 && size == 4)
		h->address = (uint32_t)value & (ADDRESS_ENABLE | 0xfffffc);
	else if (offset >= 4 && h->address & ADDRESS_ENABLE)
		write_config(h, pointed(h, offset), (uint32_t)value, size);
}

static void place(struct pci_host *h, struct pci_function *f, unsigned slot)
{
	f->host = h;
	f->slot = slot;
	h->functions[slot] = f;
}

int pci_add(struct pci_host *h, struct pci_function *f, struct err *err)
{
	unsigned slot = 1;

	while (slot < PCI_SLOTS && h->functions[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return err_set(err, ENOSPC, "more than %u devices", PCI_SLOTS - 2);
	f->config[INTERRUPT_PIN] = 1;
	f->config[INTERRUPT_LINE] = (uint8_t)(PCI_GSI + slot % 8);
	irq_line_init(&f->intx, f->memory->irqs, PCI_GSI + slot % 8);
	place(h, f, slot);
	return 0;
}

void pci_finish(struct pci_function *f)
{
	if (!f->memory)
		return;
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (f->bars[n].size)
			bus_unmap(f->memory->bus, &f->bars[n]);
	if (f->intx.irqs)
		irq_line_set(&f->intx, false);
	if (f->host)
		f->host->functions[f->slot] = NULL;
	pthread_mutex_destroy(&f->msix_lock);
}

void pci_reset(struct pci_function *f)
{
	put16(f->config + COMMAND, 0);
	for (unsigned i = BAR0; i < BAR0 + 4 * PCI_BARS; i++)
		f->config[i] &= ~f->writable[i];
	if (f->msix_capability)
		f->config[f->msix_capability + 3] &= ~(MSIX_ENABLE | MSIX_MASK_ALL);
	for (unsigned i = 0; i < f->n_msix; i++)
		f->msix[i] = (struct pci_msix_entry){ .control = MSIX_ENTRY_MASKED };
	f->msix_pending = 0;
	f->intx_level = false;
	map_bars(f);
	update_intx(f);
}

void pci_assign(struct pci_host *h)
{
	uint64_t next = PCI_WINDOW;

	pthread_mutex_lock(&h->lock);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_function *f = h->functions[slot];

		for (unsigned n = 0; f && n < PCI_BARS; n++) {
			uint64_t size = f->bars[n].size;

			if (size == 0)
				continue;
			next = (next + size - 1) & ~(size - 1);
			if (next + size > PCI_WINDOW_END)
				continue; /* the guest finds a place for it */
			config_write(f, BAR0 + 4 * n, (uint32_t)next, 4);
			if (f->bar_64[n])
				config_write(f, BAR0 + 4 * (n + 1), 0, 4);
			next += size;
		}
		if (f)
			config_write(f, COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
	}
	pthread_mutex_unlock(&h->lock);
}

static void reset(struct device *device)
{
	struct pci_host *h = (struct pci_host *)device;

	h->address = 0;
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		if (h->functions[slot])
			pci_reset(h->functions[slot]);
}

static void destroy(struct device *device)
{
	struct pci_host *h = (struct pci_host *)device;

	pci_finish(&h->lpc);
	pci_finish(&h->bridge);
	bus_unmap(h->memory->bus, &h->ecam);
	bus_unmap(h->memory->bus, &h->ports);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const struct device_type type = { .name = "pci", .reset = reset, .destroy = destroy };

struct pci_host *pci_host_new(struct memory *m)
{
	static const struct pci_ids bridge = { 0x8086, 0x29c0, 0x1af4, 0x1100, 0x060000, 2 };
	static const struct pci_ids lpc = { 0x8086, 0x2918, 0x1af4, 0x1100, 0x060100, 2 };
	static const struct bus_ops ecam_ops = { read_ecam, write_ecam, 1 | 2 | 4 },
				    port_ops = { read_ports, write_ports, 1 | 2 | 4 };
	struct pci_host *h = xnew(struct pci_host);

	h->device.type = &type;
	h->memory = m;
	pthread_mutex_init(&h->lock, NULL);
	pci_init(&h->bridge, m, &bridge);
	pci_init(&h->lpc, m, &lpc);
	place(h, &h->bridge, 0);
	place(h, &h->lpc, LPC_SLOT);
	bus_region_init(&h->ecam, "ecam", BUS_MMIO, PCI_ECAM_BYTES, &ecam_ops, h);
	bus_region_init(&h->ports, "pci", BUS_PORT, 8, &port_ops, h);
	bus_map(m->bus, &h->ecam, PCI_ECAM);
	bus_map(m->bus, &h->ports, ADDRESS_PORT);
	return h;
}

struct device *pci_host_device(struct pci_host *h)
{
	return &h->device;
}
