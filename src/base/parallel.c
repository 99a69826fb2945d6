#include "base/parallel.h"

#include "base/thread.h"

static void fail(struct parallel *p, int r, const struct err *err)
{
	pthread_mutex_lock(&p->mutex);
	if (p->failure == 0) {
		p->failure = r;
		p->err = *err;
	}
	pthread_mutex_unlock(&p->mutex);
	atomic_store(&p->stop, true);
}

static void *work(void *data)
{
	struct parallel *p = data;
	void *own = NULL;

	while (!atomic_load(&p->stop)) {
		size_t i = atomic_fetch_add(&p->next, 1);
		struct err err = { 0 };
		int r;
		if (i >= p->n)
			break;
		r = p->work(p->data, i, &own, &err);
		if (r < 0)
			fail(p, r, &err);
	}
	if (own && p->done)
		p->done(own);
	return NULL;
}

int parallel_run(struct parallel *p, struct err *err)
{
	pthread_t threads[PARALLEL_MAX];
	size_t started = 0;

	pthread_mutex_init(&p->mutex, NULL);
	while (started < PARALLEL_MAX && started + 1 < p->threads && started + 1 < p->n &&
		thread_start(&threads[started], work, p) == 0)
		started++;
	work(p);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&p->mutex);
	if (p->failure < 0 && err)
		*err = p->err;
	return p->failure;
}
