/* See bell.h. One eventfd a queue, and one that ends the thread. */
#include "device/virtio/bell.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define SIZE 2u /* of the number that drivers write */

struct bell {
	struct bus_bell places[VIRTIO_QUEUES];
	int stop;
	pthread_t thread;
	bool started;
};

static void *listen_to_bells(void *data)
{
	struct virtio *v = data;
	struct bell *b = v->bell;
	unsigned n = v->type->n_queues;
	struct pollfd fds[VIRTIO_QUEUES + 1];
	uint64_t count;

	for (unsigned i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = b->places[i].fd, .events = POLLIN };
	fds[n] = (struct pollfd){ .fd = b->stop, .events = POLLIN };
	for (;;) {
		if (poll(fds, n + 1, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[n].revents)
			return NULL;
		for (unsigned i = 0; i < n; i++)
			if (fds[i].revents && read(fds[i].fd, &count, sizeof(count)) > 0)
				virtio_notified(v, i);
	}
}

int bell_new(struct virtio *v, struct err *err)
{
	struct bell *b = v->bell = xnew(struct bell);
	int r = 0;

	b->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->stop < 0)
		r = err_errno(err, "make an event descriptor");
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		b->places[i].fd = -1;
	for (unsigned i = 0; i < v->type->n_queues && r == 0; i++) {
		b->places[i] = (struct bus_bell){ .offset = VIRTIO_NOTIFY + VIRTIO_NOTIFY_BYTES * i,
			.size = SIZE,
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
		if (b->places[i].fd < 0)
			r = err_errno(err, "make an event descriptor");
	}
	if (r == 0)
		bus_region_set_bells(&v->pci.bars[0], b->places, v->type->n_queues);
	return r;
}

int bell_start(struct virtio *v, struct err *err)
{
	int r;

	if (!bus_has_bells(v->memory->bus))
		return 0;
	r = virtio_thread(&v->bell->thread, listen_to_bells, v, err);
	v->bell->started = r == 0;
	return r;
}

void bell_free(struct virtio *v)
{
	struct bell *b = v->bell;
	uint64_t one = 1;

	if (!b)
		return;
	if (b->started) {
		fd_write_all(b->stop, &one, sizeof(one));
		pthread_join(b->thread, NULL);
	}
	/* Nobody rings any more: no vCPU runs. */
	bus_unmap(v->memory->bus, &v->pci.bars[0]);
	bus_region_set_bells(&v->pci.bars[0], NULL, 0);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		fd_close(b->places[i].fd);
	fd_close(b->stop);
	free(b);
	v->bell = NULL;
}
