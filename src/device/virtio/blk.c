/*
 * virtio-blk (virtio 1.2, 5.2): one queue, whose requests are done by the disk's queue. A request is a header of 16 bytes,
 * data, and a status byte, which is the last that the device may write.
 */
#include "device/virtio/blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/le.h"
#include "device/virtio/bell.h"
#include "disk/queue.h"

#define BLOCK_ID 2u
#define CLASS_STORAGE 0x010000u
#define BUDGET 4096u /* requests begun by one notification */
#define F_SEG_MAX (UINT64_C(1) << 2)
#define F_RO (UINT64_C(1) << 5)
#define F_BLK_SIZE (UINT64_C(1) << 6)
#define F_FLUSH (UINT64_C(1) << 9)
#define F_DISCARD (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)
#define SEG_MAX 254u
#define DISCARD_SECTORS_MAX (UINT32_C(1) << 22)
#define ID_BYTES 20u

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IO_ERROR = 1, UNSUPPORTED = 2 };

struct blk {
	struct virtio virtio;
	struct disk *disk;
	struct disk_queue *queue;
	unsigned in_flight; /* requests; no more than the queue has descriptors */
	bool more;          /* the queue was left with more in it: see serve() */
};

struct request {
	struct disk_request disk;
	struct blk *blk;
	struct virtq_chain chain;
	uint8_t *status;
	uint64_t status_gpa;
	uint32_t written; /* data for the guest, when all goes well */
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct range {
	uint64_t sector;
	uint32_t n, flags;
};

/* With the device's lock held. */
static void finish(struct request *r, uint8_t status)
{
	struct virtq *q = &r->blk->virtio.queues[0];

	*r->status = status;
	memory_dirty(q->memory, r->status_gpa, 1);
	virtq_push(q, &r->chain, (status == OK ? r->written : 0) + 1);
	r->blk->in_flight--;
	free(r);
}

static void on_done(struct disk_request *request, int result);

/* Takes the status byte off the end of what the device writes. */
static bool take_status(struct request *r)
{
	struct virtq_chain *c = &r->chain;
	struct iovec *last;

	if (c->n_write == 0 || c->write_bytes == 0)
		return false;
	last = &c->iov[c->n_read + c->n_write - 1];
	r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	r->status_gpa = c->write_gpa[c->n_write - 1] + last->iov_len - 1;
	last->iov_len--;
	c->write_bytes--;
	return true;
}

static void submit(
	struct request *r, enum disk_op op, uint64_t sector, const struct iovec *iov, unsigned n)
{
	r->disk = (struct disk_request){ .op = op,
		.offset = sector > UINT64_MAX / DISK_SECTOR ? UINT64_MAX : sector * DISK_SECTOR,
		.len = r->disk.len,
		.iov = iov,
		.n_iov = (int)n,
		.done = on_done };
	disk_queue_submit(r->blk->queue, &r->disk);
}

/* Both leave zeroes, one as a favour and one as a duty. */
static void start_discard(struct request *r)
{
	struct range range;

	if (!virtq_take(&r->chain, &range, sizeof(range)) || r->chain.read_bytes > 0 ||
		range.n > DISCARD_SECTORS_MAX) {
		finish(r, IO_ERROR);
		return;
	}
	r->disk.len = (uint64_t)range.n * DISK_SECTOR;
	submit(r, DISK_DISCARD, range.sector, NULL, 0);
}

static void send_id(struct request *r)
{
	char id[ID_BYTES + 1] = "";
	struct iovec *first = &r->chain.iov[r->chain.n_read];
	const char *name = strrchr(r->blk->disk->path, '/');

	snprintf(id, sizeof(id), "holm-%.15s", name ? name + 1 : r->blk->disk->path);
	if (first->iov_len < ID_BYTES) {
		finish(r, IO_ERROR);
		return;
	}
	memcpy(first->iov_base, id, ID_BYTES);
	r->written = ID_BYTES;
	finish(r, OK);
}

static void start(struct request *r)
{
	struct virtq_chain *c = &r->chain;
	struct header h;

	if (!virtq_take(c, &h, sizeof(h))) {
		finish(r, IO_ERROR);
		return;
	}
	switch (h.type) {
	case IN:
		r->written = (uint32_t)c->write_bytes;
		submit(r, DISK_READ, h.sector, c->iov + c->n_read, c->n_write);
		break;
	case OUT:
		submit(r, DISK_WRITE, h.sector, c->iov, c->n_read);
		break;
	case FLUSH:
		submit(r, DISK_FLUSH, 0, NULL, 0);
		break;
	case DISCARD:
	case WRITE_ZEROES:
		start_discard(r);
		break;
	case GET_ID:
		send_id(r);
		break;
	default:
		finish(r, UNSUPPORTED);
		break;
	}
}

/* Begins one request. False: there is none (any more), or the ring is broken. */
static bool begin(struct blk *b, struct virtq *q)
{
	struct request *r;

	/* Who has all descriptors in requests has none to make another with. */
	if (b->in_flight >= q->size) {
		if (!virtq_arm(q))
			q->broken = true;
		return false;
	}
	r = xnew(struct request);
	r->blk = b;
	if (virtq_pop(q, &r->chain) <= 0) {
		free(r);
		return false;
	}
	if (!take_status(r)) {
		q->broken = true; /* no way to say anything */
		free(r);
		return false;
	}
	b->in_flight++;
	start(r);
	return true;
}

/*
 * Begins what is in the queue. A guest whose other processors go on putting requests there does not keep this one for ever:
 * after a while the rest is left to the end of the next request that is under way. If there is none, all were of the kind
 * that takes no time, thousands of them: nothing that a driver does.
 */
static void serve(struct blk *b)
{
	struct virtq *q = &b->virtio.queues[0];
	unsigned budget = BUDGET;

	b->more = false;
	do
		while (budget > 0 && begin(b, q))
			budget--;
	while (budget > 0 && !q->broken && b->in_flight < q->size && !virtq_arm(q));
	if (budget == 0)
		*(b->in_flight > 0 ? &b->more : &q->broken) = true;
	disk_queue_go(b->queue);
	virtio_notify(&b->virtio, 0);
}

static void notify(struct virtio *v, unsigned queue)
{
	(void)queue;
	serve((struct blk *)v);
}

/* In one of the disk's threads. */
static void on_done(struct disk_request *request, int result)
{
	struct request *r = (struct request *)request;
	struct blk *b = r->blk;

	virtio_lock(&b->virtio);
	finish(r, result == 0 ? OK : result == -EOPNOTSUPP ? UNSUPPORTED : IO_ERROR);
	if (b->more)
		serve(b);
	else
		virtio_notify(&b->virtio, 0);
	virtio_unlock(&b->virtio);
}

static void drain(struct virtio *v)
{
	disk_queue_drain(((struct blk *)v)->queue);
}

static void fill_config(struct blk *b)
{
	uint8_t *c = b->virtio.config;

	put_le(c, b->disk->size / DISK_SECTOR, 8);
	put_le(c + 12, SEG_MAX, 4);
	put_le(c + 20, DISK_SECTOR, 4);
	put_le(c + 36, DISCARD_SECTORS_MAX, 4);
	put_le(c + 40, 1, 4); /* segments of a discard */
	put_le(c + 44, 8, 4); /* its alignment */
	put_le(c + 48, DISCARD_SECTORS_MAX, 4);
	put_le(c + 52, 1, 4);
	c[56] = 1; /* zeroing may give space back */
}

static int start_queue(struct device *device, struct err *err)
{
	struct blk *b = (struct blk *)device;

	int r = disk_queue_start(b->queue, err);

	return r < 0 ? r : bell_start(&b->virtio, err);
}

static void destroy(struct device *device)
{
	struct blk *b = (struct blk *)device;

	bell_free(&b->virtio);
	disk_queue_free(b->queue);
	virtio_finish(&b->virtio);
	disk_flush(b->disk);
	disk_free(b->disk);
	free(b);
}

int virtio_blk_new(struct memory *m, struct pci_host *host, struct disk *disk, struct device **ret,
	struct err *err)
{
	static const struct device_type type = { .name = "virtio-blk",
		.start = start_queue,
		.reset = virtio_reset,
		.destroy = destroy };
	static const struct virtio_type virtio = { .id = BLOCK_ID,
		.class = CLASS_STORAGE,
		.n_queues = 1,
		.notify = notify,
		.drain = drain };
	struct blk *b = xnew(struct blk);
	uint64_t features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH;
	int r;

	b->virtio.device.type = &type;
	b->disk = disk;
	b->queue = disk_queue_new(disk);
	features |= disk->readonly ? F_RO : disk->format->discard ? F_DISCARD | F_WRITE_ZEROES : 0;
	fill_config(b);
	r = virtio_init(&b->virtio, m, host, &virtio, features, err);
	if (r == 0)
		r = bell_new(&b->virtio, err);
	if (r < 0) {
		destroy(&b->virtio.device);
		return r;
	}
	*ret = &b->virtio.device;
	return 0;
}
