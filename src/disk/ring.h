#pragma once
/*
 * Inside the queue: requests done by the kernel, through an io_uring(7) that can do nothing else than reading, writing,
 * flushing and punching holes in the one file that it was made for, whoever has its descriptor.
 *
 * Threads: put, go and stop by one at a time; wait by one.
 */
#include "disk/queue.h"

struct ring;

/* NULL: the format is not for it, or the kernel does not let us. */
struct ring *ring_new(struct disk *disk);
void ring_free(struct ring *ring);

/* Any number may be under way. */
void ring_put(struct ring *ring, struct disk_request *request);
void ring_go(struct ring *ring);
/* The next that is done; -EAGAIN: not, or not all of it, it has to be done otherwise. NULL after ring_stop(). */
struct disk_request *ring_wait(struct ring *ring, int *ret_result);
void ring_stop(struct ring *ring);
