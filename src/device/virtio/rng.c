/* virtio-rng (virtio 1.2, 5.4): one queue of buffers to be filled. A buffer is filled up to a limit, as a device may. */
#include "device/virtio/rng.h"

#include <sys/random.h>

#include "base/alloc.h"
#include "device/virtio/virtio.h"

#define RNG_ID 4u
#define CLASS_OTHER 0x00ff00u
#define BUDGET 64u /* buffers in a row */
#define MOST 4096u /* bytes a buffer */

struct rng {
	struct virtio virtio;
	struct virtq_chain chain;
};

static void notify(struct virtio *v, unsigned queue)
{
	struct rng *r = (struct rng *)v;
	struct virtq *q = &v->queues[queue];
	unsigned budget = BUDGET;
	uint8_t bytes[256];

	do
		while (budget > 0 && virtq_pop(q, &r->chain) > 0) {
			uint64_t done = 0, n;

			budget--;
			do {
				n = getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes)
					    ? sizeof(bytes)
					    : 0;
				n = virtq_give(q, &r->chain, done, bytes, n);
				done += n;
			} while (n == sizeof(bytes) && done < MOST);
			virtq_push(q, &r->chain, (uint32_t)done);
		}
	while (budget > 0 && !virtq_arm(q));
	/* The rest waits for the next notification; drivers have one buffer at a time. */
	virtio_notify(v, queue);
}

int virtio_rng_new(struct memory *m, struct pci_host *host, struct device **ret, struct err *err)
{
	static const struct device_type type = {
		.name = "virtio-rng", .reset = virtio_reset, .destroy = virtio_destroy
	};
	static const struct virtio_type virtio = {
		.id = RNG_ID, .class = CLASS_OTHER, .n_queues = 1, .notify = notify
	};
	struct rng *r = xnew(struct rng);
	int e;

	r->virtio.device.type = &type;
	e = virtio_init(&r->virtio, m, host, &virtio, 0, err);
	if (e < 0) {
		virtio_destroy(&r->virtio.device);
		return e;
	}
	*ret = &r->virtio.device;
	return 0;
}
