/* See post.h. It is here for a cpu to know that writes need not come at once. */
#include "device/post.h"

#include "base/alloc.h"
#include "memory/bus.h"

#define PORT 0x80u

struct post {
	struct device device;
	struct memory *memory;
	struct bus_region region;
};

static void destroy(struct device *device)
{
	struct post *p = (struct post *)device;

	bus_unmap(p->memory->bus, &p->region);
	free(p);
}

struct device *post_new(struct memory *m)
{
	static const struct device_type type = { .name = "post", .destroy = destroy };
	static const struct bus_ops ops = { .sizes = 1 };
	struct post *p = xnew(struct post);

	p->device.type = &type;
	p->memory = m;
	bus_region_init(&p->region, "post", BUS_PORT, 1, &ops, p);
	bus_region_set_lazy(&p->region, 0, 1);
	bus_map(m->bus, &p->region, PORT);
	return &p->device;
}
