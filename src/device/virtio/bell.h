#pragma once
/*
 * Notifications of a virtio device by a thread of the device's, where the cpu can leave them to one (bus.h, bells): the
 * guest's processor does not wait for the device then. Only for devices whose work is long enough.
 *
 * bell_new() in the constructor, after virtio_init(); bell_start() with the device; bell_free() before anything that its
 * notify method uses goes.
 */
#include "device/virtio/virtio.h"

/* Sets v->bell. */
int bell_new(struct virtio *v, struct err *err);
/* Nothing where the cpu has no bells. */
int bell_start(struct virtio *v, struct err *err);
/* Also one that was never made. */
void bell_free(struct virtio *v);
