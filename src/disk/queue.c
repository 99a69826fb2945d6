#include "disk/queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/alloc.h"

struct disk_queue {
	struct disk *disk;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct disk_request *first, **last;
	unsigned busy; /* waiting or under way */
	bool stop;
	pthread_t *threads;
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
		r->done(r, execute(q->disk, r));
		pthread_mutex_lock(&q->lock);
		if (--q->busy == 0)
			pthread_cond_broadcast(&q->idle);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int disk_queue_new(struct disk *disk, unsigned n_threads, struct disk_queue **ret, struct err *err)
{
	struct disk_queue *q = xnew(struct disk_queue);
	sigset_t all, before;
	int r = 0;

	q->disk = disk;
	q->last = &q->first;
	q->threads = xcalloc(n_threads, sizeof(*q->threads));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->work, NULL);
	pthread_cond_init(&q->idle, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (q->n_threads < n_threads && r == 0) {
		r = pthread_create(&q->threads[q->n_threads], NULL, worker, q);
		q->n_threads += r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		disk_queue_free(q);
		return err_code(err, -r, "start a thread for disk '%s'", disk->path);
	}
	*ret = q;
	return 0;
}

void disk_queue_free(struct disk_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_broadcast(&q->work);
	pthread_mutex_unlock(&q->lock);
	for (unsigned i = 0; i < q->n_threads; i++)
		pthread_join(q->threads[i], NULL);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->idle);
	pthread_mutex_destroy(&q->lock);
	free(q->threads);
	free(q);
}

void disk_queue_submit(struct disk_queue *q, struct disk_request *r)
{
	pthread_mutex_lock(&q->lock);
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
	q->busy++;
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
}

void disk_queue_drain(struct disk_queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->busy > 0)
		pthread_cond_wait(&q->idle, &q->lock);
	pthread_mutex_unlock(&q->lock);
}
