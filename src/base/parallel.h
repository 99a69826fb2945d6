#pragma once
/* Work on numbered items by several threads at once. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PARALLEL_MAX 16 /* threads */

struct parallel {
	size_t n;       /* items 0 to n - 1 */
	size_t threads; /* at most; the caller's is one of them, and does it all when no other starts */
	/* One item; *own is NULL for a thread's first and then what it makes of it, for `done` at the thread's
	 * end (or NULL). After a failure no further item is begun. */
	int (*work)(void *data, size_t i, void **own, struct err *err);
	void (*done)(void *own);
	void *data;

	/* Inside. */
	atomic_size_t next;
	atomic_bool stop;
	pthread_mutex_t mutex; /* of what follows */
	int failure;
	struct err err;
};

/* Waits for all. The first failure's value and error. */
int parallel_run(struct parallel *p, struct err *err);
/* For items that take long: whether another one has failed. Any thread. */
static inline bool parallel_stopped(const struct parallel *p)
{
	return atomic_load(&p->stop);
}
