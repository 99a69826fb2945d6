#pragma once
/*
 * The virtio-pci transport (virtio 1.2, 4.1), modern only: a device says what it is and handles its queues.
 *
 * Threads: methods are called with the device's lock held, by vCPU threads, but for drain. A device's own threads take
 * virtio_lock() before they touch its queues.
 */
#include <pthread.h>

#include "device/device.h"
#include "device/pci.h"
#include "device/virtio/queue.h"

#define VIRTIO_QUEUES 5u
#define VIRTIO_CONFIG 64u
#define VIRTIO_F_VERSION_1 32

/* Where in BAR 0 a driver notifies. */
#define VIRTIO_NOTIFY 0x3000u
#define VIRTIO_NOTIFY_BYTES 4u /* a queue */

struct virtio;

struct virtio_type {
	uint16_t id;    /* 2: block */
	uint32_t class; /* PCI's */
	unsigned n_queues;
	/* The driver put something into this queue. Mandatory. */
	void (*notify)(struct virtio *v, unsigned queue);
	/* Waits until the device itself uses no queue any more; called without the lock. Optional. */
	void (*drain)(struct virtio *v);
	/* The driver is ready (DRIVER_OK). Optional. */
	void (*start)(struct virtio *v);
	/* The driver was reset: forget what it said. Optional. */
	void (*stop)(struct virtio *v);
	/* The driver wrote to the device's configuration, offset + size inside it. Optional: it cannot. */
	void (*configure)(struct virtio *v, unsigned offset, uint64_t value, unsigned size);
};

/* First in a device's structure. */
struct virtio {
	struct device device;
	const struct virtio_type *type;
	struct memory *memory;
	struct pci_function pci;
	pthread_mutex_t lock;
	uint64_t offered, features;
	uint32_t offered_select, driver_select;
	uint16_t queue_select, config_vector;
	uint8_t status, isr, generation;
	bool resetting;
	struct virtq queues[VIRTIO_QUEUES];
	uint8_t config[VIRTIO_CONFIG]; /* read by the driver */
	struct bell *bell;             /* bell.h; NULL: notifications come in the vCPUs' threads */
};

/* features: the device's own; the transport's and the ring's are added. */
int virtio_init(struct virtio *v, struct memory *m, struct pci_host *host,
	const struct virtio_type *type, uint64_t features, struct err *err);
void virtio_finish(struct virtio *v);
/* A thread of the device's. */
int virtio_thread(pthread_t *thread, void *(*fn)(void *data), void *data, struct err *err);
/* A device type's methods: reset of the whole machine; and the end of a device that has nothing more to let go. */
void virtio_reset(struct device *device);
void virtio_destroy(struct device *device);

static inline void virtio_lock(struct virtio *v)
{
	pthread_mutex_lock(&v->lock);
}

static inline void virtio_unlock(struct virtio *v)
{
	pthread_mutex_unlock(&v->lock);
}

/* The driver says that it put something into a queue, which may not be there. Without the lock. */
void virtio_notified(struct virtio *v, unsigned queue);
/* With the lock held: tells the driver of what was pushed, if it wants to know; or that its ring is broken. */
void virtio_notify(struct virtio *v, unsigned queue);
/* With the lock held: `config` was changed, which the driver is told. */
void virtio_config_changed(struct virtio *v);
/* With the lock held: whether the device's own threads may use the queues now. */
bool virtio_is_live(const struct virtio *v);
