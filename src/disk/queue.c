#include "disk/queue.h"

#include <errno.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "disk/ring.h"

#define THREADS 2u /* without a ring; it has one, which waits for it */

struct disk_queue {
	struct disk *disk;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct disk_request *first, **last;
	unsigned busy; /* waiting or under way */
	bool stop;
	struct ring *ring; /* or NULL */
	pthread_t threads[THREADS];
	unsigned n_threads;
};

static int execute(struct disk *disk, const struct disk_request *r)
{
	switch (r->op) {
	case DISK_READ:
		return disk_read(disk, r->offset, r->iov, r->n_iov);
	case DISK_WRITE:
		return disk_write(disk, r->offset, r->iov, r->n_iov);
	case DISK_FLUSH:
		return disk_flush(disk);
	case DISK_DISCARD:
		return disk_discard(disk, r->offset, r->len);
	}
	return -EINVAL;
}

static void finish(struct disk_queue *q, struct disk_request *r, int result)
{
	r->done(r, result);
	pthread_mutex_lock(&q->lock);
	if (--q->busy == 0)
		pthread_cond_broadcast(&q->idle);
	pthread_mutex_unlock(&q->lock);
}

static void *worker(void *data)
{
	struct disk_queue *q = data;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct disk_request *r = q->first;

		if (!r && q->stop)
			break;
		if (!r) {
			pthread_cond_wait(&q->work, &q->lock);
			continue;
		}
		q->first = r->next;
		if (!q->first)
			q->last = &q->first;
		pthread_mutex_unlock(&q->lock);
		finish(q, r, execute(q->disk, r));
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static void *ring_worker(void *data)
{
	struct disk_queue *q = data;
	struct disk_request *r;
	int result = 0;

	while ((r = ring_wait(q->ring, &result)))
		finish(q, r, result == -EAGAIN ? execute(q->disk, r) : result);
	return NULL;
}

struct disk_queue *disk_queue_new(struct disk *disk)
{
	struct disk_queue *q = xnew(struct disk_queue);

	q->disk = disk;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->work, NULL);
	pthread_cond_init(&q->idle, NULL);
	q->ring = ring_new(disk);
	return q;
}

int disk_queue_start(struct disk_queue *q, struct err *err)
{
	unsigned n = q->ring ? 1 : THREADS;
	int r = 0;

	while (q->n_threads < n && r == 0) {
		r = thread_start(&q->threads[q->n_threads], q->ring ? ring_worker : worker, q);
		q->n_threads += r == 0;
	}
	return r == 0 ? 0 : err_code(err, r, "start a thread for disk '%s'", q->disk->path);
}

void disk_queue_free(struct disk_queue *q)
{
	if (!q)
		return;
	disk_queue_drain(q);
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_broadcast(&q->work);
	if (q->ring && q->n_threads > 0)
		ring_stop(q->ring);
	pthread_mutex_unlock(&q->lock);
	for (unsigned i = 0; i < q->n_threads; i++)
		pthread_join(q->threads[i], NULL);
	ring_free(q->ring);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->idle);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* What the kernel is not asked for, because it is refused or nothing at all. */
static bool is_here(const struct disk *disk, const struct disk_request *r)
{
	switch (r->op) {
	case DISK_READ:
		return disk_check(disk, r->offset, r->iov, r->n_iov, 0, false) < 0;
	case DISK_WRITE:
		return disk_check(disk, r->offset, r->iov, r->n_iov, 0, true) < 0;
	case DISK_DISCARD:
		return r->len == 0 || disk_check(disk, r->offset, NULL, 0, r->len, true) < 0;
	case DISK_FLUSH:
		return disk->readonly;
	}
	return true;
}

void disk_queue_submit(struct disk_queue *q, struct disk_request *r)
{
	r->next = NULL;
	r->here = !q->ring || is_here(q->disk, r);
	pthread_mutex_lock(&q->lock);
	q->busy++;
	if (q->ring) {
		ring_put(q->ring, r);
	} else {
		*q->last = r;
		q->last = &r->next;
		pthread_cond_signal(&q->work);
	}
	pthread_mutex_unlock(&q->lock);
}

void disk_queue_go(struct disk_queue *q)
{
	if (!q->ring)
		return;
	pthread_mutex_lock(&q->lock);
	ring_go(q->ring);
	pthread_mutex_unlock(&q->lock);
}

void disk_queue_drain(struct disk_queue *q)
{
	disk_queue_go(q);
	pthread_mutex_lock(&q->lock);
	while (q->busy > 0)
		pthread_cond_wait(&q->idle, &q->lock);
	pthread_mutex_unlock(&q->lock);
}
