#include "device/virtio/queue.h"

#include <errno.h>
#include <string.h>

#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u
#define NO_INTERRUPT 1u
#define DESCRIPTOR_BYTES 16u

struct descriptor {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

/* Where descriptors are: the ring's own table or an indirect one. */
struct table {
	uint64_t gpa;
	uint32_t n;
};

void virtq_reset(struct virtq *q)
{
	struct memory *m = q->memory;

	*q = (struct virtq){ .memory = m, .size = VIRTQ_MAX, .vector = 0xffff };
}

static bool get16(struct virtq *q, uint64_t gpa, uint16_t *ret)
{
	if (memory_read(q->memory, gpa, ret, sizeof(*ret)))
		return true;
	q->broken = true;
	return false;
}

/* Adds a piece of guest memory, which may be in several regions. */
static bool add_part(struct virtq *q, struct virtq_chain *c, const struct descriptor *d)
{
	uint64_t gpa = d->gpa, left = d->len, n;
	bool write = d->flags & WRITE;

	/* What is read comes before what is written. */
	if (!write && c->n_write > 0)
		return false;
	for (; left > 0; gpa += n, left -= n) {
		const struct memory_region *r = memory_find(q->memory, gpa);
		unsigned at = c->n_read + c->n_write;

		if (!r || (write && r->readonly) || at == VIRTQ_PARTS)
			return false;
		n = r->size - (gpa - r->gpa);
		n = n < left ? n : left;
		c->iov[at] = (struct iovec){ r->host + (gpa - r->gpa), n };
		if (write)
			c->write_gpa[c->n_write] = gpa;
		*(write ? &c->n_write : &c->n_read) += 1;
		*(write ? &c->write_bytes : &c->read_bytes) += n;
	}
	return true;
}

/* Follows a chain in one table; an indirect descriptor is its last, and leads to one table more. */
static bool walk(struct virtq *q, struct table t, uint16_t head, struct virtq_chain *c)
{
	uint16_t at = head;
	bool indirect = false;
	uint32_t steps = 0;

	for (;;) {
		struct descriptor d;

		if (at >= t.n || steps++ == t.n ||
			!memory_read(
				q->memory, t.gpa + (uint64_t)at * DESCRIPTOR_BYTES, &d, sizeof(d)))
			return false;
		if (d.flags & INDIRECT) {
			if (indirect || d.flags & NEXT || d.len == 0 || d.len % DESCRIPTOR_BYTES ||
				d.len / DESCRIPTOR_BYTES > 65536)
				return false;
			t = (struct table){ d.gpa, d.len / DESCRIPTOR_BYTES };
			indirect = true;
			at = 0;
			steps = 0;
			continue;
		}
		if (!add_part(q, c, &d))
			return false;
		if (!(d.flags & NEXT))
			return true;
		at = d.next;
	}
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t index, head;

	if (q->broken)
		return -EINVAL;
	if (!q->enabled)
		return 0;
	if (!get16(q, q->available + 2, &index))
		return -EINVAL;
	if (index == q->next_available)
		return 0;
	/* The entry was written before the index. */
	atomic_thread_fence(memory_order_acquire);
	c->n_read = c->n_write = 0;
	c->read_bytes = c->write_bytes = 0;
	if ((uint16_t)(index - q->next_available) > q->size ||
		!get16(q, q->available + 4 + 2u * (q->next_available % q->size), &head) ||
		!walk(q, (struct table){ q->descriptors, q->size }, head, c)) {
		q->broken = true;
		return -EINVAL;
	}
	c->head = head;
	q->next_available++;
	return 1;
}

void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	uint32_t element[2] = { c->head, written };
	uint64_t left = written;

	for (unsigned i = 0; i < c->n_write && left > 0; i++) {
		uint64_t n = c->iov[c->n_read + i].iov_len;

		n = n < left ? n : left;
		memory_dirty(q->memory, c->write_gpa[i], n);
		left -= n;
	}
	if (!q->enabled || q->broken)
		return;
	if (!memory_write(q->memory,
		    q->used + 4 + 8u * ((uint16_t)(q->next_used + q->filled) % q->size), element,
		    sizeof(element)))
		q->broken = true;
	q->filled++;
}

void virtq_publish(struct virtq *q)
{
	uint16_t n = q->filled;

	q->filled = 0;
	if (!q->enabled || q->broken || n == 0)
		return;
	/* The elements were written before the index. */
	atomic_thread_fence(memory_order_release);
	q->next_used = (uint16_t)(q->next_used + n);
	memory_write(q->memory, q->used + 2, &q->next_used, 2);
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	virtq_fill(q, c, written);
	virtq_publish(q);
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	q->next_available = (uint16_t)(q->next_available - n);
	q->filled = 0;
}

bool virtq_must_notify(struct virtq *q)
{
	uint16_t from = q->signalled, value;

	if (!q->enabled || q->broken || from == q->next_used)
		return false;
	/* The driver writes what it wants, then looks at the index; we the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!get16(q, q->event_index ? q->available + 4 + 2u * q->size : q->available, &value))
		return false;
	q->signalled = q->next_used;
	if (!q->event_index)
		return !(value & NO_INTERRUPT);
	return (uint16_t)(q->next_used - value - 1) < (uint16_t)(q->next_used - from);
}

bool virtq_arm(struct virtq *q)
{
	uint16_t index;

	if (!q->enabled || q->broken)
		return true;
	if (q->event_index)
		memory_write(q->memory, q->used + 4 + 8u * q->size, &q->next_available, 2);
	atomic_thread_fence(memory_order_seq_cst);
	return !get16(q, q->available + 2, &index) || index == q->next_available;
}

bool virtq_take(struct virtq_chain *c, void *data, uint64_t len)
{
	unsigned i = 0;

	if (c->read_bytes < len)
		return false;
	c->read_bytes -= len;
	while (len > 0) {
		struct iovec *v = &c->iov[i];
		size_t n = v->iov_len < len ? v->iov_len : len;

		memcpy(data, v->iov_base, n);
		data = (char *)data + n;
		v->iov_base = (char *)v->iov_base + n;
		v->iov_len -= n;
		len -= n;
		i += v->iov_len == 0;
	}
	return true;
}

uint64_t virtq_give(
	struct virtq *q, struct virtq_chain *c, uint64_t at, const void *data, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned i = c->n_read; i < c->n_read + c->n_write && done < len; i++) {
		const struct iovec *v = &c->iov[i];
		uint64_t n;

		if (at >= v->iov_len) {
			at -= v->iov_len;
			continue;
		}
		n = v->iov_len - at;
		n = n < len - done ? n : len - done;
		memcpy((char *)v->iov_base + at, (const char *)data + done, n);
		memory_dirty(q->memory, c->write_gpa[i - c->n_read] + at, n);
		done += n;
		at = 0;
	}
	return done;
}
