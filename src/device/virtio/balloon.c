/*
 * virtio-balloon (virtio 1.2, 5.5) with free page reporting, and deflating when the guest is out of memory. Pages that the
 * guest gives or reports are taken out of the host's memory; touched again they are zero.
 *
 * Without statistics and hints, Linux has the queue for reports at the next free number, the specification at 4: all from 2
 * on are taken for it.
 */
#include "device/virtio/balloon.h"

#include "base/alloc.h"
#include "base/le.h"
#include "device/virtio/virtio.h"

#define BALLOON_ID 5u
#define CLASS_MEMORY 0x050000u
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_REPORTING (UINT64_C(1) << 5)
#define CONFIG_WANTED 0u
#define CONFIG_ACTUAL 4u
#define BUDGET 512u     /* requests in a row */
#define PAGES_MAX 4096u /* of a request */

enum { INFLATE, DEFLATE, QUEUES = 5 };

struct balloon {
	struct virtio virtio;
	struct virtq_chain chain;
};

/* Page numbers, of which runs up and down are given back at once. */
static void inflate(struct balloon *b, struct virtq_chain *c)
{
	uint64_t first = 0, n = 0;
	uint32_t page;

	for (unsigned i = 0; i < PAGES_MAX && virtq_take(c, &page, sizeof(page)); i++) {
		if (n > 0 && page == first + n) {
			n++;
		} else if (n > 0 && (uint64_t)page + 1 == first) {
			first--;
			n++;
		} else {
			memory_discard(b->virtio.memory, first * PAGE_BYTES, n * PAGE_BYTES);
			first = page;
			n = 1;
		}
	}
	memory_discard(b->virtio.memory, first * PAGE_BYTES, n * PAGE_BYTES);
}

/* What a report is about are its buffers. */
static void report(struct balloon *b, struct virtq_chain *c)
{
	for (unsigned i = 0; i < c->n_write; i++)
		memory_discard(b->virtio.memory, c->write_gpa[i], c->iov[c->n_read + i].iov_len);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct balloon *b = (struct balloon *)v;
	struct virtq *q = &v->queues[queue];
	unsigned budget = BUDGET;

	do
		while (budget > 0 && virtq_pop(q, &b->chain) > 0) {
			budget--;
			if (queue == INFLATE)
				inflate(b, &b->chain);
			else if (queue != DEFLATE && v->features & F_REPORTING)
				report(b, &b->chain);
			virtq_push(q, &b->chain, 0);
		}
	while (budget > 0 && !virtq_arm(q));
	virtio_notify(v, queue);
}

/* `actual` is the driver's to write. */
static void configure(struct virtio *v, unsigned offset, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (offset + i >= CONFIG_ACTUAL && offset + i < CONFIG_ACTUAL + 4)
			v->config[offset + i] = (uint8_t)(value >> 8 * i);
}

static void stop(struct virtio *v)
{
	put_le(v->config + CONFIG_ACTUAL, 0, 4);
}

int virtio_balloon_new(struct memory *m, struct pci_host *host, uint64_t bytes, struct device **ret,
	struct err *err)
{
	static const struct device_type type = {
		.name = "virtio-balloon", .reset = virtio_reset, .destroy = virtio_destroy
	};
	static const struct virtio_type virtio = { .id = BALLOON_ID,
		.class = CLASS_MEMORY,
		.n_queues = QUEUES,
		.notify = notify,
		.stop = stop,
		.configure = configure };
	struct balloon *b = xnew(struct balloon);
	uint64_t pages = bytes / PAGE_BYTES;
	int r;

	b->virtio.device.type = &type;
	put_le(b->virtio.config + CONFIG_WANTED, pages > UINT32_MAX ? UINT32_MAX : pages, 4);
	r = virtio_init(&b->virtio, m, host, &virtio, F_DEFLATE_ON_OOM | F_REPORTING, err);
	if (r < 0) {
		virtio_destroy(&b->virtio.device);
		return r;
	}
	*ret = &b->virtio.device;
	return 0;
}
