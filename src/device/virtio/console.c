/* virtio-console (virtio 1.2, 5.3), without multiple ports: what the guest sends is put out as it comes. */
#include "device/virtio/console.h"

#include "base/alloc.h"
#include "base/le.h"
#include "device/virtio/virtio.h"

#define CONSOLE_ID 3u
#define CLASS_OTHER 0x078000u
#define F_SIZE (UINT64_C(1) << 0)
#define F_EMERGENCY (UINT64_C(1) << 2)
#define CONFIG_EMERGENCY 8u

enum { INPUT, OUTPUT, QUEUES };

struct console {
	struct virtio virtio;
	struct virtio_console_config config;
	struct virtq_chain chain;
};

static void put_out(struct console *c)
{
	struct virtq *q = &c->virtio.queues[OUTPUT];
	/* As many as the queue has: a guest that goes on adding waits for the next notification. */
	unsigned budget = q->size;

	do
		while (budget > 0 && virtq_pop(q, &c->chain) > 0) {
			budget--;
			for (unsigned i = 0; i < c->chain.n_read; i++)
				c->config.output(c->config.data, c->chain.iov[i].iov_base,
					c->chain.iov[i].iov_len);
			virtq_push(q, &c->chain, 0);
		}
	while (budget > 0 && !virtq_arm(q));
	virtio_notify(&c->virtio, OUTPUT);
}

static void notify(struct virtio *v, unsigned queue)
{
	if (queue == OUTPUT)
		put_out((struct console *)v);
}

static void configure(struct virtio *v, unsigned offset, uint64_t value, unsigned size)
{
	struct console *c = (struct console *)v;
	uint8_t byte = (uint8_t)value;

	if (offset == CONFIG_EMERGENCY)
		c->config.output(c->config.data, &byte, 1);
}

static void set_size(struct console *c, uint16_t columns, uint16_t rows)
{
	put_le(c->virtio.config, columns, 2);
	put_le(c->virtio.config + 2, rows, 2);
}

void virtio_console_resize(struct device *device, uint16_t columns, uint16_t rows)
{
	struct console *c = (struct console *)device;

	virtio_lock(&c->virtio);
	set_size(c, columns, rows);
	virtio_config_changed(&c->virtio);
	virtio_unlock(&c->virtio);
}

size_t virtio_console_input(struct device *device, const uint8_t *data, size_t len)
{
	struct console *c = (struct console *)device;
	struct virtq *q = &c->virtio.queues[INPUT];
	size_t done = 0;

	virtio_lock(&c->virtio);
	while (done < len && virtio_is_live(&c->virtio) && virtq_pop(q, &c->chain) > 0) {
		uint64_t n = virtq_give(q, &c->chain, 0, data + done, len - done);

		if (n == 0)
			q->broken = true; /* a buffer of nothing would come back for ever */
		virtq_push(q, &c->chain, (uint32_t)n);
		done += n;
	}
	virtio_notify(&c->virtio, INPUT);
	virtio_unlock(&c->virtio);
	return done;
}

int virtio_console_new(struct memory *m, struct pci_host *host,
	const struct virtio_console_config *config, struct device **ret, struct err *err)
{
	static const struct device_type type = {
		.name = "virtio-console", .reset = virtio_reset, .destroy = virtio_destroy
	};
	static const struct virtio_type virtio = { .id = CONSOLE_ID,
		.class = CLASS_OTHER,
		.n_queues = QUEUES,
		.notify = notify,
		.configure = configure };
	struct console *c = xnew(struct console);
	int r;

	c->virtio.device.type = &type;
	c->config = *config;
	set_size(c, config->columns, config->rows);
	r = virtio_init(&c->virtio, m, host, &virtio,
		F_EMERGENCY | (config->columns && config->rows ? F_SIZE : 0), err);
	if (r < 0) {
		virtio_destroy(&c->virtio.device);
		return r;
	}
	*ret = &c->virtio.device;
	return 0;
}
