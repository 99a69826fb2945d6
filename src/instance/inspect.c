/* An instance as Docker's `inspect` shows it (Engine API, ContainerInspect), with Isolation added. */
#include "instance/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/strv.h"
#include "image/image.h"
#include "instance/state.h"
#include "instance/volume.h"

static json_t *text(const char *s)
{
	return json_shown(s);
}

/* Empty ones, too: scripts range over them, and print them as []. */
static json_t *list(char *const *v)
{
	json_t *a = json_array();

	strv_foreach (s, v)
		json_array_append_new(a, text(*s));
	return a;
}

static json_t *map(char *const *m)
{
	json_t *o = json_object();

	map_foreach (kv, m)
		json_object_set_new(o, kv[0], text(kv[1]));
	return o;
}

static json_t *moment(int64_t ns)
{
	char buffer[TIME_LEN];

	time_format(ns, buffer);
	return json_string(buffer);
}

static json_t *health(const struct instance_state *st)
{
	json_t *log = json_array();

	for (size_t n = 0; n < st->health_log.n; n++)
		json_array_append_new(
			log, record_dump(instance_health_result_fields, st->health_log.items[n]));
	return json_pack("{s:s, s:I, s:o}", "Status", st->health, "FailingStreak",
		(json_int_t)st->health_streak, "Log", log);
}

static json_t *state(const struct instance *i)
{
	const struct instance_state *st = &i->state;
	bool paused = strcmp(st->status, "paused") == 0;
	bool restarting = strcmp(st->status, "restarting") == 0;
	json_t *j = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:I, s:I, s:o, s:o, s:o}", "Status",
		st->status, "Running", instance_active(i), "Paused", paused, "Restarting",
		restarting, "OOMKilled", st->oom_killed, "Dead", strcmp(st->status, "dead") == 0,
		"Pid", (json_int_t)(instance_running(i) ? st->run.pid : 0), "ExitCode",
		(json_int_t)st->exit_code, "Error", text(st->error), "StartedAt",
		moment(st->started), "FinishedAt", moment(st->finished));

	/* Present in any case, for {{if .State.Health}}. */
	json_object_set_new(j, "Health", st->health ? health(st) : json_null());
	return j;
}

static json_t *empty_set(char *const *keys)
{
	json_t *o = json_object();

	strv_foreach (k, keys)
		json_object_set_new(o, *k, json_object());
	return o;
}

/* The targets of those that were made for it. */
static json_t *anonymous_volumes(const struct instance_config *c)
{
	json_t *o = json_object();

	for (size_t n = 0; n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		if (m->source && strv_contains(c->anonymous_volumes, m->source))
			json_object_set_new(o, m->target, json_object());
	}
	return o;
}

static json_t *health_config(const struct image_health *h)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "Test", list(h->test), "Interval",
		(json_int_t)h->interval, "Timeout", (json_int_t)h->timeout, "StartPeriod",
		(json_int_t)h->start_period, "StartInterval", (json_int_t)h->start_interval,
		"Retries", (json_int_t)h->retries);
}

static json_t *config(const struct instance_config *c)
{
	json_t *j = json_pack("{s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:I}",
		"Hostname", text(c->hostname), "Domainname", text(c->domainname), "User",
		text(c->user), "Tty", c->tty, "OpenStdin", c->open_stdin, "Env", list(c->env),
		"Cmd", list(c->cmd), "Image", c->image, "WorkingDir", text(c->working_dir),
		"Entrypoint", list(c->entrypoint), "Labels", map(c->labels), "StopSignal",
		text(c->stop_signal), "StopTimeout", (json_int_t)c->stop_timeout);

	json_object_set_new(j, "ExposedPorts", empty_set(c->exposed));
	json_object_set_new(j, "Volumes", anonymous_volumes(c));
	json_object_set_new(j, "AttachStdin", json_boolean(c->open_stdin));
	json_object_set_new(j, "AttachStdout", json_true());
	json_object_set_new(j, "AttachStderr", json_true());
	json_object_set_new(j, "StdinOnce", json_boolean(c->open_stdin));
	json_object_set_new(j, "OnBuild", json_array());
	if (c->health)
		json_object_set_new(j, "Healthcheck", health_config(c->health));
	return j;
}

static json_t *port_map(const struct record_list *ports)
{
	json_t *o = json_object();

	for (size_t n = 0; n < ports->n; n++) {
		const struct port *p = ports->items[n];
		cleanup(free) char *key = xasprintf("%lld/%s", (long long)p->port, p->protocol);
		cleanup(free) char *host =
			p->host_port ? xasprintf("%lld", (long long)p->host_port) : xstrdup("");
		json_t *at = json_object_get(o, key);
		if (!at) {
			at = json_array();
			json_object_set_new(o, key, at);
		}
		json_array_append_new(
			at, json_pack("{s:o, s:s}", "HostIp", text(p->host_ip), "HostPort", host));
	}
	return o;
}

static json_t *binds(const struct instance_config *c)
{
	json_t *a = json_array();

	for (size_t n = 0; n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		cleanup(free) char *line = NULL;
		if (strcmp(m->type, "tmpfs") == 0)
			continue;
		line = xasprintf("%s:%s%s", m->source, m->target, m->read_only ? ":ro" : "");
		json_array_append_new(a, text(line));
	}
	return a;
}

static json_t *tmpfs_mounts(const struct instance_config *c)
{
	json_t *o = json_object();

	for (size_t n = 0; n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		cleanup(strv_free) char **options = strv_copy(m->tmpfs_options);
		cleanup(free) char *joined = NULL;
		if (strcmp(m->type, "tmpfs") != 0)
			continue;
		if (m->tmpfs_size)
			strv_addf(&options, "size=%lld", (long long)m->tmpfs_size);
		if (m->tmpfs_mode)
			strv_addf(&options, "mode=%llo", (unsigned long long)m->tmpfs_mode);
		joined = strv_join(options, ",");
		json_object_set_new(o, m->target, text(joined));
	}
	return o;
}

static json_t *devices(const struct instance_config *c)
{
	json_t *a = json_array();

	for (size_t n = 0; n < c->devices.n; n++) {
		const struct instance_device *d = c->devices.items[n];
		json_array_append_new(
			a, json_pack("{s:o, s:o, s:o}", "PathOnHost", text(d->host_path),
				   "PathInContainer", text(d->path), "CgroupPermissions",
				   text(d->permissions)));
	}
	return a;
}

static json_t *ulimits(const struct instance_config *c)
{
	json_t *a = json_array();

	for (size_t n = 0; n < c->ulimits.n; n++) {
		const struct bundle_rlimit *u = c->ulimits.items[n];
		cleanup(free) char *name = xstrdup(u->type + 7);
		for (char *p = name; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
		json_array_append_new(a, json_pack("{s:s, s:I, s:I}", "Name", name, "Hard",
						 (json_int_t)u->hard, "Soft", (json_int_t)u->soft));
	}
	return a;
}

static void limits(json_t *j, const struct instance_limits *l)
{
	json_t *more = json_pack(
		"{s:I, s:I, s:I, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I}",
		"Memory", (json_int_t)l->memory, "MemoryReservation",
		(json_int_t)l->memory_reservation, "MemorySwap",
		(json_int_t)(l->memory_swap ? l->memory_swap : 2 * l->memory), "MemorySwappiness",
		l->memory_swappiness < 0 ? json_null() : json_integer(l->memory_swappiness),
		"OomKillDisable", l->oom_kill_disable, "OomScoreAdj", (json_int_t)l->oom_score_adj,
		"NanoCpus", (json_int_t)(l->cpus * 1e9 + 0.5), "CpuShares",
		(json_int_t)l->cpu_shares, "CpuPeriod", (json_int_t)l->cpu_period, "CpuQuota",
		(json_int_t)l->cpu_quota, "CpusetCpus", text(l->cpuset_cpus), "CpusetMems",
		text(l->cpuset_mems), "PidsLimit", (json_int_t)l->pids, "BlkioWeight",
		(json_int_t)l->blkio_weight, "ShmSize",
		(json_int_t)(l->shm_size ? l->shm_size : 64 << 20));

	json_object_update_new(j, more);
}

static json_t *host_config(const struct instance_config *c)
{
	json_t *j = json_pack(
		"{s:o, s:s, s:o, s:{s:s, s:I}, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b}",
		"Binds", binds(c), "NetworkMode", c->network_mode, "PortBindings",
		port_map(&c->ports), "RestartPolicy", "Name", c->restart.policy,
		"MaximumRetryCount", (json_int_t)c->restart.max_retries, "AutoRemove",
		c->auto_remove, "CapAdd", list(c->cap_add), "CapDrop", list(c->cap_drop), "Dns",
		list(c->dns), "DnsOptions", list(c->dns_options), "DnsSearch", list(c->dns_search),
		"ExtraHosts", list(c->extra_hosts), "GroupAdd", list(c->group_add), "SecurityOpt",
		list(c->security_opt), "Ulimits", ulimits(c), "Privileged", c->privileged,
		"ReadonlyRootfs", c->read_only, "PublishAllPorts", c->publish_all);

	json_object_set_new(j, "PidMode", text(c->pid_mode));
	json_object_set_new(j, "IpcMode", text(c->ipc_mode ? c->ipc_mode : "private"));
	json_object_set_new(j, "UTSMode", text(c->uts_mode));
	json_object_set_new(j, "UsernsMode", text(c->userns));
	json_object_set_new(
		j, "CgroupnsMode", text(c->cgroupns_mode ? c->cgroupns_mode : "private"));
	json_object_set_new(j, "CgroupParent", text(c->cgroup_parent));
	json_object_set_new(j, "Isolation", text(c->isolation));
	json_object_set_new(j, "Init", json_boolean(c->init));
	json_object_set_new(j, "Sysctls", map(c->sysctls));
	json_object_set_new(j, "RestartOnUnhealthy", json_boolean(c->restart.on_unhealthy));
	json_object_set_new(j, "Runtime", text(c->isolation));
	json_object_set_new(j, "Tmpfs", tmpfs_mounts(c));
	json_object_set_new(j, "Devices", devices(c));
	json_object_set_new(j, "DeviceCgroupRules", list(c->limits.device_rules));
	json_object_set_new(j, "VolumesFrom", json_array());
	json_object_set_new(j, "Links", json_array());
	json_object_set_new(j, "LogConfig",
		json_pack(
			"{s:o, s:o}", "Type", text(c->log_driver), "Config", map(c->log_options)));
	limits(j, &c->limits);
	return j;
}

static json_t *mounts(struct db *db, const struct instance_config *c)
{
	json_t *a = json_array();

	for (size_t n = 0; n < c->mounts.n; n++) {
		const struct instance_mount *m = c->mounts.items[n];
		cleanup(volume_free) struct volume *v = NULL;
		json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:b, s:o}", "Type", m->type,
			"Name", "", "Destination", text(m->target), "Source", text(m->source),
			"Driver", "", "Mode", m->read_only ? "ro" : "", "RW", !m->read_only,
			"Propagation",
			text(strcmp(m->type, "bind") == 0 && !m->propagation ? "rprivate"
									     : m->propagation));
		if (strcmp(m->type, "volume") == 0 && volume_find(db, m->source, &v, NULL) == 0) {
			json_object_set_new(j, "Name", text(m->source));
			json_object_set_new(j, "Source", text(v->mountpoint));
			json_object_set_new(j, "Driver", text(v->driver));
		}
		json_array_append_new(a, j);
	}
	return a;
}

static json_t *without_prefix(const char *address, int64_t *prefix)
{
	size_t n = address ? strcspn(address, "/") : 0;

	*prefix = address && address[n] ? strtol(address + n + 1, NULL, 10) : 0;
	return json_stringn(address ? address : "", n);
}

static json_t *endpoint(const struct bundle_endpoint *ep, const struct instance_network *net)
{
	int64_t prefix4, prefix6;
	json_t *ip4 = without_prefix(ep ? ep->address4 : NULL, &prefix4);
	json_t *ip6 = without_prefix(ep ? ep->address6 : NULL, &prefix6);

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:o}", "Aliases",
		list(net ? net->aliases : NULL), "NetworkID", text(ep ? ep->network : NULL),
		"MacAddress", text(ep ? ep->mac : NULL), "Gateway", text(ep ? ep->gateway4 : NULL),
		"IPAddress", ip4, "IPPrefixLen", (json_int_t)prefix4, "GlobalIPv6Address", ip6,
		"GlobalIPv6PrefixLen", (json_int_t)prefix6, "IPv6Gateway",
		text(ep ? ep->gateway6 : NULL));
}

/* Those published, and with null those that are only exposed. */
static json_t *all_ports(const struct instance *i)
{
	json_t *o = port_map(&i->state.ports);

	if (instance_running(i))
		strv_foreach (port, i->config.exposed)
			if (!json_object_get(o, *port))
				json_object_set_new(o, *port, json_null());
	return o;
}

static json_t *network_settings(const struct instance *i)
{
	static const char *const old[] = { "IPAddress", "Gateway", "MacAddress" };
	json_t *networks = json_object(), *j, *first = NULL;
	cleanup(free) char *sandbox = NULL;

	for (size_t n = 0; n < i->config.networks.n; n++) {
		const struct instance_network *net = i->config.networks.items[n];
		json_t *e = endpoint(
			n < i->state.endpoints.n ? i->state.endpoints.items[n] : NULL, net);
		json_object_set_new(networks, net->network, e);
		first = first ? first : e;
	}
	if (!i->config.networks.n)
		json_object_set_new(networks, i->config.network_mode, endpoint(NULL, NULL));
	sandbox = xasprintf("/proc/%lld/ns/net", (long long)i->state.run.pid);
	j = json_pack("{s:o, s:o, s:s}", "Ports", all_ports(i), "Networks", networks, "SandboxKey",
		instance_running(i) ? sandbox : "");
	/* Where Docker had them before a container could be on several networks. */
	for (size_t n = 0; n < ARRAY_SIZE(old); n++)
		json_object_set_new(j, old[n],
			first ? json_incref(json_object_get(first, old[n])) : json_string(""));
	return j;
}

static json_t *graph_driver(struct db *db, const struct instance *i)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *lower = NULL, *upper = xasprintf("%s/upper", i->dir);
	cleanup(free) char *work = xasprintf("%s/work", i->dir);
	cleanup(strv_free) char **top_first = NULL;

	if (image_find(db, i->config.image_id, &image, NULL) == 0)
		for (size_t n = strv_len(image->layer_dirs); n-- > 0;)
			strv_add(&top_first, image->layer_dirs[n]);
	lower = strv_join(top_first, ":");
	return json_pack("{s:s, s:{s:o, s:o, s:o}}", "Name", "overlay2", "Data", "LowerDir",
		text(lower), "UpperDir", text(upper), "WorkDir", text(work));
}

json_t *instance_inspect(struct db *db, struct instance *i)
{
	const struct instance_config *c = &i->config;
	cleanup(free) char *name = xasprintf("/%s", c->name);
	cleanup(strv_free) char **command = strv_copy(c->entrypoint);
	json_t *args, *j;

	strv_add_all(&command, c->cmd);
	args = list(command && *command ? command + 1 : NULL);
	j = json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:s, s:s}", "Id", c->id, "Created",
		moment(c->created), "Path", text(command ? command[0] : NULL), "Args", args,
		"State", state(i), "Image", c->image_id, "Name", name, "RestartCount",
		(json_int_t)i->state.restart_count, "Driver", "overlay2", "Platform", "linux");
	for (int n = 0; n < 4; n++) {
		static const char *const keys[] = { "ResolvConfPath", "HostnamePath", "HostsPath",
			"LogPath" };
		static const char *const files[] = { "resolv.conf", "hostname", "hosts",
			"log.json" };
		cleanup(free) char *path = xasprintf("%s/%s", i->dir, files[n]);
		json_object_set_new(j, keys[n], text(path));
	}
	json_object_set_new(j, "Config", config(c));
	json_object_set_new(j, "HostConfig", host_config(c));
	for (int n = 0; n < 3; n++) {
		static const char *const none[] = { "AppArmorProfile", "MountLabel",
			"ProcessLabel" };
		json_object_set_new(j, none[n], text(""));
	}
	json_object_set_new(j, "ExecIDs", json_array());
	json_object_set_new(j, "GraphDriver", graph_driver(db, i));
	json_object_set_new(j, "Mounts", mounts(db, c));
	json_object_set_new(j, "NetworkSettings", network_settings(i));
	return j;
}
