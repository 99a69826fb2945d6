#pragma once
/*
 * Requests to a disk, done by threads of its own: who submits does not wait. Requests that are under way at the same time
 * are done in any order; a flush covers what was done before it was submitted.
 */
#include "disk/disk.h"

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD };

struct disk_queue;

/* The submitter's, until done is called; that is in one of the queue's threads, and may free it. */
struct disk_request {
	enum disk_op op;
	uint64_t offset, len; /* len: of a discard */
	const struct iovec *iov;
	int n_iov;
	void (*done)(struct disk_request *request, int result); /* 0 or -errno */
	struct disk_request *next;
};

/* The disk stays the caller's, and is freed after the queue. */
int disk_queue_new(struct disk *disk, unsigned n_threads, struct disk_queue **ret, struct err *err);
/* Waits for all requests. NULL is allowed. */
void disk_queue_free(struct disk_queue *queue);
void disk_queue_submit(struct disk_queue *queue, struct disk_request *request);
/* Until nothing that was submitted before is under way. */
void disk_queue_drain(struct disk_queue *queue);
