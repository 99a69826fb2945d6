/* The engine "container": container/ for the processes, net/ for their links. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"

#include "container/cgroup.h"
#include "container/container.h"
#include "container/features.h"
#include "net/net.h"
#include "rootless/rootless.h"

static const struct bundle_namespace *find_network(const struct bundle *b)
{
	for (size_t i = 0; i < b->linux_.namespaces.n; i++) {
		const struct bundle_namespace *n = b->linux_.namespaces.items[i];
		if (strcmp(n->type, "network") == 0)
			return n;
	}
	return NULL;
}

struct links {
	const struct run_create *args;
	size_t attached;
};

static void detach_all(struct links *l, pid_t pid)
{
	const struct record_list *list = &l->args->bundle->holm.endpoints;

	while (l->attached > 0)
		link_detach(list->items[--l->attached], pid, NULL);
}

static int move_devices(const struct bundle *b, pid_t pid, struct err *err)
{
	json_t *devices = b->linux_.net_devices, *device;
	const char *name;
	int r;

	if (json_object_size(devices) && rootless())
		return err_set(err, ENOTSUP,
			"linux.netDevices: network devices are not supported for rootless containers");
	json_object_foreach (devices, name, device) {
		const char *inside = json_string_value(json_object_get(device, "name"));
		r = link_move(name, inside && *inside ? inside : name, pid, err);
		if (r < 0)
			return err_wrap(err, "linux.netDevices");
	}
	return 0;
}

/* Before the caller's own step, which may want to see the links. */
static int connect_links(void *data, pid_t pid, struct err *err)
{
	struct links *l = data;
	const struct bundle *b = l->args->bundle;
	const struct bundle_namespace *n = find_network(b);
	int r = 0;

	/* The host's, or another container's: its links are not ours. */
	if (n && (!n->path || !*n->path)) {
		r = link_loopback_up(pid, err);
		while (r == 0 && l->attached < b->holm.endpoints.n) {
			r = link_attach(b->holm.endpoints.items[l->attached], pid, err);
			if (r == 0)
				l->attached++;
		}
	}
	if (r == 0)
		r = move_devices(b, pid, err);
	return r == 0 && l->args->on_namespaces ? l->args->on_namespaces(l->args->data, pid, err)
						: r;
}

static int create(const struct run_create *args, struct run_state *ret, struct err *err)
{
	struct links links = { .args = args };
	struct run_create with_links = *args;
	int r;

	with_links.on_namespaces = connect_links;
	with_links.data = &links;
	r = container_create(&with_links, ret, err);
	/* The namespace may outlive the process for a moment, and the host's ends with it. */
	if (r < 0)
		detach_all(&links, 0);
	return r;
}

/* On a host without cgroups there is none, and nothing that needs it. */
static const char *group_of(const struct run_state *state, struct err *err)
{
	if (!state->cgroup)
		err_set(err, ENOTSUP, "the container has no control group%s",
			rootless()
				? ": none is delegated to you here ('holm doctor' tells what would)"
				: "");
	return state->cgroup;
}

static int pause_processes(const struct run_state *state, bool pause, struct err *err)
{
	const char *group = group_of(state, err);

	return group ? cgroup_freeze(group, pause, err) : -ENOTSUP;
}

static int stats(const struct run_state *state, struct run_stats *ret, struct err *err)
{
	const char *group = group_of(state, err);
	struct run_stats s = { 0 };
	int r = group ? cgroup_stats(group, &s, err) : -ENOTSUP;

	if (r < 0)
		return r;
	/* Gone with the first process; the rest still counts. */
	if (run_alive(state))
		link_stats((pid_t)state->pid, &s.net_rx_bytes, &s.net_tx_bytes, &s.net_rx_packets,
			&s.net_tx_packets, &s.net_rx_errors, &s.net_tx_errors, &s.net_rx_dropped,
			&s.net_tx_dropped);
	*ret = s;
	return 0;
}

static json_t *counters(const struct run_state *state, struct err *err)
{
	const char *group = group_of(state, err);

	return group ? cgroup_counters(group, err) : NULL;
}

static int watch_memory(const struct run_state *state, struct err *err)
{
	const char *group = group_of(state, err);

	return group ? cgroup_watch_memory(group, err) : -ENOTSUP;
}

static int update(
	const struct run_state *state, const struct bundle_resources *resources, struct err *err)
{
	const char *group = group_of(state, err);

	return group ? cgroup_update(group, resources, err) : -ENOTSUP;
}

static int attach(const struct run_state *state, const struct bundle_endpoint *ep, struct err *err)
{
	return link_attach(ep, (pid_t)state->pid, err);
}

static int detach(const struct run_state *state, const struct bundle_endpoint *ep, struct err *err)
{
	return link_detach(ep, (pid_t)state->pid, err);
}

static int set_default(
	const struct run_state *state, const struct bundle_endpoint *ep, struct err *err)
{
	return link_make_default(ep, (pid_t)state->pid, err);
}

const struct engine engine_container = {
	.name = "container",
	.available = container_available,
	.create = create,
	.start = container_start,
	.kill = container_kill,
	.exec = container_exec,
	.pause = pause_processes,
	.stats = stats,
	.update = update,
	.counters = counters,
	.watch_memory = watch_memory,
	.features = container_features,
	.status = container_status,
	.pids = container_pids,
	.attach = attach,
	.detach = detach,
	.set_default = set_default,
	.destroy = container_destroy,
};
