#pragma once
/*
 * Requests to a disk, done beside whoever submits them: by the kernel (io_uring(7)) where the format's bytes are the
 * file's, else by threads. Requests that are under way at the same time are done in any order; a flush covers what was
 * done before it was submitted.
 *
 * Threads: submit and go by any; the rest by one.
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
	bool here; /* the queue's: not for the kernel */
};

/* Takes from the host what it needs; the disk stays the caller's, and is freed after the queue. */
struct disk_queue *disk_queue_new(struct disk *disk);
/* Starts its threads, once, before the first request. */
int disk_queue_start(struct disk_queue *queue, struct err *err);
/* Waits for all requests. NULL is allowed. */
void disk_queue_free(struct disk_queue *queue);
/* They may wait for disk_queue_go(), for several to go at once. */
void disk_queue_submit(struct disk_queue *queue, struct disk_request *request);
void disk_queue_go(struct disk_queue *queue);
/* Until nothing that was submitted before is under way. */
void disk_queue_drain(struct disk_queue *queue);
