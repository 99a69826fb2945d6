#pragma once
/*
 * Split virtqueues (virtio 1.2, 2.7) with indirect descriptors and event indices, for all virtio devices. The ring is the
 * guest's to change at any time: each descriptor is read once and checked; a ring that breaks the rules is broken until
 * the device is reset, and nothing of it is used any more.
 *
 * Threads: the caller locks.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "memory/memory.h"

#define VIRTQ_MAX 256u   /* descriptors of a queue */
#define VIRTQ_PARTS 260u /* pieces of host memory of one chain */

struct virtq {
	struct memory *memory;
	uint16_t size;
	bool enabled, event_index, broken;
	uint64_t descriptors, available, used; /* gpa */
	uint16_t next_available, next_used;
	uint16_t filled;    /* used elements that the driver does not know of yet */
	uint16_t signalled; /* next_used when the guest was notified last */
	uint16_t vector;
};

/* One request: what the device reads, then what it writes, as pieces of guest memory. */
struct virtq_chain {
	uint16_t head;
	unsigned n_read, n_write;
	uint64_t read_bytes, write_bytes;
	struct iovec iov[VIRTQ_PARTS];   /* n_read, then n_write */
	uint64_t write_gpa[VIRTQ_PARTS]; /* of the latter, for the dirty log */
};

/* After reset; the driver's fields are filled in by the transport. */
void virtq_reset(struct virtq *q);
/* 1 and the next chain; 0: there is none; -EINVAL: the ring is broken. */
int virtq_pop(struct virtq *q, struct virtq_chain *chain);
/* Done with it: this many bytes were written. */
void virtq_push(struct virtq *q, const struct virtq_chain *chain, uint32_t written);
/* The same in two steps, for what the driver must see at once: several chains, then all of them told. */
void virtq_fill(struct virtq *q, const struct virtq_chain *chain, uint32_t written);
void virtq_publish(struct virtq *q);
/* The last n chains popped, none of them pushed or filled, are in the queue again; what was filled is not. */
void virtq_unpop(struct virtq *q, unsigned n);
/* Whether the driver wants to be notified of what was pushed since the last call. */
bool virtq_must_notify(struct virtq *q);
/* With event indices the driver tells of new chains only when asked; false when some came meanwhile. */
bool virtq_arm(struct virtq *q);

/* Copies from the start of what the device reads and takes it off. False: too short. */
bool virtq_take(struct virtq_chain *chain, void *data, uint64_t len);
/* Copies to what the device writes, from its byte `at` on; how much there was room for. */
uint64_t virtq_give(
	struct virtq *q, struct virtq_chain *chain, uint64_t at, const void *data, uint64_t len);
