/*
 * Items are made before the machine runs and do not change: a lock is needed only for what is selected, and where the guest
 * reads in it. Beyond an item's end there are zeroes. DMA goes to RAM only; its length is bounded by what RAM there is.
 */
#include "device/fwcfg.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/bus.h"

#define ITEMS 64u
#define NAME 56u
#define KEY_MASK 0xbfffu                           /* bit 14 selects for writing */
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */
#define DMA_ERROR 1u
#define DMA_READ 2u
#define DMA_SKIP 4u
#define DMA_SELECT 8u
#define DMA_WRITE 16u
#define CHUNK 4096u

struct item {
	uint16_t key;
	uint8_t *data;
	size_t len;
	char name[NAME]; /* of a file */
};

struct fwcfg {
	struct device device;
	struct memory *memory;
	pthread_mutex_t lock;
	struct item items[ITEMS];
	unsigned n, n_files;
	const struct item *selected; /* NULL: none of that number */
	uint64_t offset;
	uint64_t dma; /* address, of which the upper half was written */
	struct bus_region ports, dma_port;
};

static struct item *find(struct fwcfg *f, uint16_t key)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->items[i].key == key)
			return &f->items[i];
	return NULL;
}

static void select_item(struct fwcfg *f, uint16_t key)
{
	f->selected = find(f, key & KEY_MASK);
	f->offset = 0;
}

/* The next bytes of what is selected. */
static void take_bytes(struct fwcfg *f, uint8_t *to, size_t n)
{
	size_t left = f->selected && f->offset < f->selected->len
			      ? f->selected->len - (size_t)f->offset
			      : 0;

	if (left > n)
		left = n;
	if (left)
		memcpy(to, f->selected->data + f->offset, left);
	memset(to + left, 0, n - left);
	f->offset += n;
}

static uint64_t read_ports(void *data, uint64_t offset, unsigned size)
{
	struct fwcfg *f = data;
	uint8_t value = 0;

	if (offset != 1)
		return 0;
	pthread_mutex_lock(&f->lock);
	take_bytes(f, &value, 1);
	pthread_mutex_unlock(&f->lock);
	return value;
}

static void write_ports(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct fwcfg *f = data;

	/* Items are read only. */
	if (offset != 0 || size != 2)
		return;
	pthread_mutex_lock(&f->lock);
	select_item(f, (uint16_t)value);
	pthread_mutex_unlock(&f->lock);
}

static bool dma_read(struct fwcfg *f, uint64_t gpa, uint64_t len)
{
	uint8_t chunk[CHUNK];

	while (len > 0) {
		size_t n = len < CHUNK ? (size_t)len : CHUNK;

		take_bytes(f, chunk, n);
		/* Ends at the end of RAM, so before long. */
		if (!memory_write(f->memory, gpa, chunk, n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

/* One request: struct { control, length, address } in big-endian, whose control is written back. */
static void dma(struct fwcfg *f, uint64_t gpa)
{
	struct {
		uint32_t control, length;
		uint64_t address;
	} request;
	uint32_t control, result = 0;

	if (!memory_read(f->memory, gpa, &request, sizeof(request)))
		return;
	control = be32toh(request.control);
	if (control & DMA_SELECT)
		select_item(f, (uint16_t)(control >> 16));
	if (control & DMA_READ) {
		if (!dma_read(f, be64toh(request.address), be32toh(request.length)))
			result = DMA_ERROR;
	} else if (control & DMA_WRITE) {
		result = DMA_ERROR;
	} else if (control & DMA_SKIP) {
		f->offset += be32toh(request.length);
	}
	result = htobe32(result);
	memory_write(f->memory, gpa, &result, sizeof(result));
}

static uint64_t read_dma(void *data, uint64_t offset, unsigned size)
{
	/* Big-endian from the first port on. */
	return be64toh(DMA_SIGNATURE) >> 8 * offset & ((UINT64_C(1) << 8 * size) - 1);
}

static void write_dma(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct fwcfg *f = data;
	uint32_t half = be32toh((uint32_t)value);

	pthread_mutex_lock(&f->lock);
	if (offset == 0) {
		f->dma = (uint64_t)half << 32;
	} else {
		uint64_t gpa = f->dma | half;

		f->dma = 0;
		dma(f, gpa);
	}
	pthread_mutex_unlock(&f->lock);
}

static int add(struct fwcfg *f, uint16_t key, const void *data, size_t len, struct err *err)
{
	struct item *item;

	if (f->n == ITEMS)
		return err_set(err, ENOSPC, "too many items of firmware configuration");
	if (find(f, key))
		return err_set(err, EEXIST, "item %u of firmware configuration is taken", key);
	item = &f->items[f->n++];
	item->key = key;
	item->len = len;
	item->data = xcalloc(len ? len : 1, 1);
	memcpy(item->data, data, len);
	return 0;
}

int fwcfg_add(struct device *device, uint16_t key, const void *data, size_t len, struct err *err)
{
	return add((struct fwcfg *)device, key, data, len, err);
}

int fwcfg_add_number(
	struct device *device, uint16_t key, uint64_t value, unsigned size, struct err *err)
{
	value = htole64(value);
	return fwcfg_add(device, key, &value, size, err);
}

/* The directory again, with the file that came: a count, then size, number and name of each, in big-endian. */
static void make_directory(struct fwcfg *f)
{
	struct item *directory = find(f, FWCFG_DIRECTORY);
	uint32_t count = htobe32(f->n_files), size;
	uint8_t *p;
	uint16_t key;

	directory->len = 4 + f->n_files * 64;
	free(directory->data);
	directory->data = xcalloc(directory->len, 1);
	memcpy(directory->data, &count, 4);
	for (unsigned i = 0; i < f->n_files; i++) {
		const struct item *file = find(f, (uint16_t)(FWCFG_FILES + i));

		p = directory->data + 4 + 64 * (size_t)i;
		size = htobe32((uint32_t)file->len);
		key = htobe16(file->key);
		memcpy(p, &size, 4);
		memcpy(p + 4, &key, 2);
		memcpy(p + 8, file->name, strlen(file->name));
	}
}

int fwcfg_add_file(
	struct device *device, const char *name, const void *data, size_t len, struct err *err)
{
	struct fwcfg *f = (struct fwcfg *)device;
	int r;

	if (strlen(name) >= NAME)
		return err_set(err, ENAMETOOLONG, "firmware file name '%s' is too long", name);
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->items[i].name, name) == 0)
			return err_set(err, EEXIST, "there are two firmware files '%s'", name);
	r = add(f, (uint16_t)(FWCFG_FILES + f->n_files), data, len, err);
	if (r < 0)
		return r;
	memcpy(f->items[f->n - 1].name, name, strlen(name));
	f->n_files++;
	make_directory(f);
	return 0;
}

static void reset(struct device *device)
{
	struct fwcfg *f = (struct fwcfg *)device;

	f->selected = NULL;
	f->offset = f->dma = 0;
}

static void destroy(struct device *device)
{
	struct fwcfg *f = (struct fwcfg *)device;

	bus_unmap(f->memory->bus, &f->ports);
	bus_unmap(f->memory->bus, &f->dma_port);
	for (unsigned i = 0; i < f->n; i++)
		free(f->items[i].data);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct device_type type = { .name = "fwcfg", .reset = reset, .destroy = destroy };

struct device *fwcfg_new(struct memory *m)
{
	static const struct bus_ops ops = { read_ports, write_ports, 1 | 2 },
				    dma_ops = { read_dma, write_dma, 4 };
	static const uint8_t none[4], id[4] = { 3 }; /* ports and DMA */
	struct fwcfg *f = xnew(struct fwcfg);

	f->device.type = &type;
	f->memory = m;
	pthread_mutex_init(&f->lock, NULL);
	add(f, FWCFG_SIGNATURE, "QEMU", 4, NULL);
	add(f, FWCFG_ID, id, sizeof(id), NULL);
	add(f, FWCFG_DIRECTORY, none, sizeof(none), NULL);
	bus_region_init(&f->ports, "fwcfg", BUS_PORT, 2, &ops, f);
	bus_region_init(&f->dma_port, "fwcfg-dma", BUS_PORT, 8, &dma_ops, f);
	bus_map(m->bus, &f->ports, FWCFG_PORT);
	bus_map(m->bus, &f->dma_port, FWCFG_PORT + 4);
	return &f->device;
}
