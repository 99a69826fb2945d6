/*
 * BAR 0 has four pages: common configuration, ISR, the device's configuration, notification (queue n at 4 * n). BAR 2 is
 * MSI-X, with a vector a queue and one for configuration. Firmware that has no BARs mapped yet gets at them through a
 * window in configuration space.
 */
#include "device/virtio/virtio.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/le.h"
#include "base/thread.h"

#define PAGE 0x1000u
#define VENDOR 0x1af4u
#define FIRST_ID 0x1040u
#define CAPABILITY 0x09u
#define CAPABILITY_BYTES 16u
#define RING_INDIRECT (UINT64_C(1) << 28)
#define RING_EVENT_INDEX (UINT64_C(1) << 29)
#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

#define DRIVER_OK 4u
#define FEATURES_OK 8u
#define NEEDS_RESET 64u
#define ISR_QUEUE 1u
#define ISR_CONFIG 2u

enum { COMMON = 1, NOTIFY = 2, ISR = 3, DEVICE = 4, WINDOW = 5 };

/* Offsets in common configuration. */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESCRIPTORS = 0x20,
	QUEUE_AVAILABLE = 0x28,
	QUEUE_USED = 0x30,
	COMMON_END = 0x38
};

/* Sends MSI-X where it is on, else raises the pin with a bit in ISR. */
static void interrupt(struct virtio *v, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&v->pci)) {
		if (vector != PCI_NO_VECTOR)
			pci_msix_notify(&v->pci, vector);
		return;
	}
	v->isr |= isr;
	pci_intx_set(&v->pci, true);
}

void virtio_notify(struct virtio *v, unsigned queue)
{
	struct virtq *q = &v->queues[queue];

	if (virtq_must_notify(q))
		interrupt(v, q->vector, ISR_QUEUE);
	if (q->broken && v->status & DRIVER_OK && !(v->status & NEEDS_RESET)) {
		v->status |= NEEDS_RESET;
		interrupt(v, v->config_vector, ISR_CONFIG);
	}
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (v->status & DRIVER_OK)
		interrupt(v, v->config_vector, ISR_CONFIG);
}

bool virtio_is_live(const struct virtio *v)
{
	return v->status & DRIVER_OK && !(v->status & NEEDS_RESET) && !v->resetting &&
	       pci_is_master(&v->pci);
}

static void clear(struct virtio *v)
{
	v->features = 0;
	v->offered_select = v->driver_select = 0;
	v->queue_select = 0;
	v->config_vector = PCI_NO_VECTOR;
	v->status = v->isr = 0;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
		v->queues[i].memory = v->memory;
		virtq_reset(&v->queues[i]);
	}
	pci_intx_set(&v->pci, false);
}

/* The driver's reset. What the device has under way ends first, without the lock that it needs for that. */
static void driver_reset(struct virtio *v)
{
	if (v->resetting)
		return;
	v->resetting = true;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		v->queues[i].enabled = false;
	if (v->type->drain) {
		virtio_unlock(v);
		v->type->drain(v);
		virtio_lock(v);
	}
	clear(v);
	if (v->type->stop)
		v->type->stop(v);
	v->resetting = false;
}

void virtio_reset(struct device *device)
{
	struct virtio *v = (struct virtio *)device;

	virtio_lock(v);
	driver_reset(v);
	virtio_unlock(v);
}

static void write_status(struct virtio *v, uint8_t value)
{
	bool starts = value & DRIVER_OK && !(v->status & DRIVER_OK);

	if (value == 0) {
		driver_reset(v);
		return;
	}
	/* Without version 1 there is nothing to talk about. */
	if (value & FEATURES_OK && !(v->features & VERSION_1))
		value &= ~FEATURES_OK;
	v->status = value | (v->status & NEEDS_RESET);
	if (starts && v->type->start)
		v->type->start(v);
}

/* The queue that is selected, or NULL. */
static struct virtq *selected(struct virtio *v)
{
	return v->queue_select < v->type->n_queues ? &v->queues[v->queue_select] : NULL;
}

static uint64_t read_queue(struct virtio *v, unsigned offset)
{
	const struct virtq *q = selected(v);

	if (!q)
		return offset == QUEUE_VECTOR ? PCI_NO_VECTOR : 0;
	switch (offset) {
	case QUEUE_SIZE:
		return q->size;
	case QUEUE_VECTOR:
		return q->vector;
	case QUEUE_ENABLE:
		return q->enabled;
	case QUEUE_NOTIFY_OFF:
		return v->queue_select;
	case QUEUE_DESCRIPTORS:
		return (uint32_t)q->descriptors;
	case QUEUE_DESCRIPTORS + 4:
		return q->descriptors >> 32;
	case QUEUE_AVAILABLE:
		return (uint32_t)q->available;
	case QUEUE_AVAILABLE + 4:
		return q->available >> 32;
	case QUEUE_USED:
		return (uint32_t)q->used;
	case QUEUE_USED + 4:
		return q->used >> 32;
	default:
		return 0;
	}
}

static uint64_t read_common(struct virtio *v, unsigned offset)
{
	switch (offset) {
	case DEVICE_FEATURE_SELECT:
		return v->offered_select;
	case DEVICE_FEATURE:
		return v->offered_select < 2 ? (uint32_t)(v->offered >> 32 * v->offered_select) : 0;
	case DRIVER_FEATURE_SELECT:
		return v->driver_select;
	case DRIVER_FEATURE:
		return v->driver_select < 2 ? (uint32_t)(v->features >> 32 * v->driver_select) : 0;
	case CONFIG_VECTOR:
		return v->config_vector;
	case NUM_QUEUES:
		return v->type->n_queues;
	case STATUS:
		return v->status;
	case GENERATION:
		return v->generation;
	case QUEUE_SELECT:
		return v->queue_select;
	default:
		return offset < COMMON_END ? read_queue(v, offset) : 0;
	}
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	*address = high ? (*address & UINT32_MAX) | (uint64_t)value << 32
			: (*address & ~(uint64_t)UINT32_MAX) | value;
}

static uint16_t valid_vector(const struct virtio *v, uint64_t value)
{
	return value < v->pci.n_msix ? (uint16_t)value : PCI_NO_VECTOR;
}

static void enable_queue(struct virtio *v, struct virtq *q)
{
	/* Alignment is the specification's: 16, 2 and 4. */
	if (q->descriptors % 16 || q->available % 2 || q->used % 4)
		q->broken = true;
	q->event_index = v->features & RING_EVENT_INDEX;
	q->enabled = true;
}

static void write_queue(struct virtio *v, unsigned offset, uint64_t value)
{
	struct virtq *q = selected(v);

	if (q && offset == QUEUE_VECTOR)
		q->vector = valid_vector(v, value);
	/* An enabled queue stays as it is until reset. */
	if (!q || q->enabled || v->resetting)
		return;
	switch (offset) {
	case QUEUE_SIZE:
		if (value && value <= VIRTQ_MAX && !(value & (value - 1)))
			q->size = (uint16_t)value;
		break;
	case QUEUE_ENABLE:
		if (value == 1)
			enable_queue(v, q);
		break;
	case QUEUE_DESCRIPTORS:
	case QUEUE_DESCRIPTORS + 4:
		set_half(&q->descriptors, offset & 4, (uint32_t)value);
		break;
	case QUEUE_AVAILABLE:
	case QUEUE_AVAILABLE + 4:
		set_half(&q->available, offset & 4, (uint32_t)value);
		break;
	case QUEUE_USED:
	case QUEUE_USED + 4:
		set_half(&q->used, offset & 4, (uint32_t)value);
		break;
	default:
		break;
	}
}

static void write_common(struct virtio *v, unsigned offset, uint64_t value)
{
	switch (offset) {
	case DEVICE_FEATURE_SELECT:
		v->offered_select = (uint32_t)value;
		break;
	case DRIVER_FEATURE_SELECT:
		v->driver_select = (uint32_t)value;
		break;
	case DRIVER_FEATURE:
		if (v->driver_select < 2 && !(v->status & FEATURES_OK))
			set_half(&v->features, v->driver_select, (uint32_t)value);
		v->features &= v->offered;
		break;
	case CONFIG_VECTOR:
		v->config_vector = valid_vector(v, value);
		break;
	case STATUS:
		write_status(v, (uint8_t)value);
		break;
	case QUEUE_SELECT:
		v->queue_select = (uint16_t)value;
		break;
	default:
		write_queue(v, offset, value);
		break;
	}
}

/* Reading it lets the pin go. */
static uint8_t read_isr(struct virtio *v)
{
	uint8_t isr = v->isr;

	v->isr = 0;
	pci_intx_set(&v->pci, false);
	return isr;
}

static uint64_t read_bar(void *data, uint64_t offset, unsigned size)
{
	struct virtio *v = data;
	unsigned at = offset % PAGE;
	uint64_t value = 0;

	virtio_lock(v);
	switch (offset / PAGE) {
	case 0:
		value = read_common(v, at);
		break;
	case 1:
		value = at == 0 ? read_isr(v) : 0;
		break;
	case 2:
		if (at + size <= VIRTIO_CONFIG)
			memcpy(&value, v->config + at, size);
		break;
	default:
		break;
	}
	virtio_unlock(v);
	return value;
}

void virtio_notified(struct virtio *v, unsigned queue)
{
	virtio_lock(v);
	if (queue < v->type->n_queues && v->status & DRIVER_OK && !v->resetting &&
		pci_is_master(&v->pci))
		v->type->notify(v, queue);
	virtio_unlock(v);
}

static void write_bar(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio *v = data;
	unsigned at = offset % PAGE;

	if (offset >= VIRTIO_NOTIFY) {
		virtio_notified(v, at / VIRTIO_NOTIFY_BYTES);
		return;
	}
	virtio_lock(v);
	if (offset / PAGE == 0)
		write_common(v, at, value);
	else if (offset / PAGE == 2 && at + size <= VIRTIO_CONFIG && v->type->configure &&
		 !v->resetting)
		v->type->configure(v, at, value, size);
	virtio_unlock(v);
}

/* One of the capabilities that say where things are in BAR 0; its offset. */
static unsigned add_capability(
	struct virtio *v, uint8_t what, uint32_t offset, uint32_t len, unsigned more)
{
	unsigned at = pci_add_capability(&v->pci, CAPABILITY, CAPABILITY_BYTES + more);
	uint8_t *c = v->pci.config + at;

	c[2] = (uint8_t)(CAPABILITY_BYTES + more);
	c[3] = what;
	put_le(c + 8, offset, 4);
	put_le(c + 12, len, 4);
	if (what == NOTIFY)
		c[16] = VIRTIO_NOTIFY_BYTES;
	return at;
}

int virtio_init(struct virtio *v, struct memory *m, struct pci_host *host,
	const struct virtio_type *type, uint64_t features, struct err *err)
{
	static const struct bus_ops ops = { read_bar, write_bar, 1 | 2 | 4 };
	struct pci_ids ids = { VENDOR, (uint16_t)(FIRST_ID + type->id), VENDOR, 0x1100, type->class,
		1 };

	v->type = type;
	v->memory = m;
	v->offered = features | VERSION_1 | RING_INDIRECT | RING_EVENT_INDEX;
	pthread_mutex_init(&v->lock, NULL);
	pci_init(&v->pci, m, &ids);
	add_capability(v, COMMON, 0, COMMON_END, 0);
	add_capability(v, ISR, PAGE, 1, 0);
	add_capability(v, DEVICE, 2 * PAGE, VIRTIO_CONFIG, 0);
	add_capability(v, NOTIFY, VIRTIO_NOTIFY, VIRTIO_NOTIFY_BYTES * VIRTIO_QUEUES, 4);
	pci_set_window(&v->pci, add_capability(v, WINDOW, 0, 0, 4));
	pci_add_bar(&v->pci, 0, true, 4 * PAGE, "virtio", &ops, v);
	pci_add_msix(&v->pci, 2, type->n_queues + 1);
	clear(v);
	return pci_add(host, &v->pci, err);
}

void virtio_finish(struct virtio *v)
{
	pci_finish(&v->pci);
	pthread_mutex_destroy(&v->lock);
}

void virtio_destroy(struct device *device)
{
	virtio_finish((struct virtio *)device);
	free(device);
}

int virtio_thread(pthread_t *thread, void *(*fn)(void *data), void *data, struct err *err)
{
	int r = thread_start(thread, fn, data);

	return r < 0 ? err_code(err, r, "start a device's thread") : 0;
}
