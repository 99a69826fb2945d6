/* See bundle_check.h. One function a member of the specification, in its order. */
#include "bundle/bundle_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"

#define MAX_ID_MAPS 340 /* the kernel's, since 4.15 */
#define MAX_SECCOMP_ARGS 6
#define MAX_ERRNO 4095

#define item(type, list, i) ((const type *)(list).items[i])
#define KNOWN(s, ...) known(s, (const char *const[]){ __VA_ARGS__, NULL })

static bool known(const char *s, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(s, *names) == 0)
			return true;
	return false;
}

static bool has_dotdot(const char *path)
{
	for (const char *s = path; *s; s += strcspn(s, "/")) {
		s += strspn(s, "/");
		if (s[0] == '.' && s[1] == '.' && (s[2] == '/' || s[2] == '\0'))
			return true;
	}
	return false;
}

static int check_rlimits(const struct record_list *list, const char *in, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_rlimit *l = item(struct bundle_rlimit, *list, i);
		if (!KNOWN(l->type, "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA",
			    "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE",
			    "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
			    "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"))
			return err_set(err, EINVAL, "%srlimits[%zu].type: unknown limit '%s'", in,
				i, l->type);
		for (size_t k = 0; k < i; k++)
			if (strcmp(item(struct bundle_rlimit, *list, k)->type, l->type) == 0)
				return err_set(err, EINVAL,
					"%srlimits[%zu].type: %s is given twice", in, i, l->type);
		if (l->soft > l->hard)
			return err_set(err, EINVAL, "%srlimits[%zu]: %s: soft limit above the hard",
				in, i, l->type);
	}
	return 0;
}

static int check_schedule(const struct bundle_process *p, const char *in, struct err *err)
{
	if (p->scheduler && !KNOWN(p->scheduler->policy, "SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",
				    "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"))
		return err_set(err, EINVAL, "%sscheduler.policy: unknown policy '%s'", in,
			p->scheduler->policy);
	if (p->scheduler && (p->scheduler->nice < -20 || p->scheduler->nice > 19))
		return err_set(err, EINVAL, "%sscheduler.nice: %lld is not in -20..19", in,
			(long long)p->scheduler->nice);
	if (p->io_priority && !KNOWN(p->io_priority->class, "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
				      "IOPRIO_CLASS_IDLE"))
		return err_set(err, EINVAL, "%sioPriority.class: unknown class '%s'", in,
			p->io_priority->class);
	if (p->io_priority && (p->io_priority->priority < 0 || p->io_priority->priority > 7))
		return err_set(err, EINVAL, "%sioPriority.priority: %lld is not in 0..7", in,
			(long long)p->io_priority->priority);
	return 0;
}

static bool is_cpu_list(const char *s)
{
	return !s || s[strspn(s, "0123456789,-")] == '\0';
}

int bundle_check_process(const struct bundle_process *p, const char *in, struct err *err)
{
	int r;

	if (strv_len(p->args) == 0)
		return err_set(err, EINVAL, "%sargs: empty; the program to run goes here", in);
	if (p->cwd[0] != '/')
		return err_set(err, EINVAL, "%scwd: '%s' is not absolute", in, p->cwd);
	if (p->console_size &&
		(p->console_size->height > UINT16_MAX || p->console_size->width > UINT16_MAX))
		return err_set(err, EINVAL, "%sconsoleSize: larger than %d", in, UINT16_MAX);
	if (p->user.umask && (*p->user.umask < 0 || *p->user.umask > 0777))
		return err_set(err, EINVAL, "%suser.umask: %lld is not in 0..0777", in,
			(long long)*p->user.umask);
	if (p->oom_score_adj && (*p->oom_score_adj < -1000 || *p->oom_score_adj > 1000))
		return err_set(err, EINVAL, "%soomScoreAdj: %lld is not in -1000..1000", in,
			(long long)*p->oom_score_adj);
	if (p->exec_affinity &&
		(!is_cpu_list(p->exec_affinity->initial) || !is_cpu_list(p->exec_affinity->final)))
		return err_set(err, EINVAL, "%sexecCPUAffinity: not a list like 0-3,7", in);
	r = check_rlimits(&p->rlimits, in, err);
	return r < 0 ? r : check_schedule(p, in, err);
}

static int check_id_maps(const struct record_list *list, const char *where, struct err *err)
{
	if (list->n > MAX_ID_MAPS)
		return err_set(err, EINVAL, "%s: more than %d ranges", where, MAX_ID_MAPS);
	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_id_map *m = item(struct bundle_id_map, *list, i);
		if (m->size == 0)
			return err_set(err, EINVAL, "%s[%zu].size: 0", where, i);
		/* Id 4294967295 is none: (uid_t)-1. */
		if (m->size > UINT32_MAX - m->host_id || m->size > UINT32_MAX - m->container_id)
			return err_set(err, EINVAL,
				"%s[%zu].size: %u ids from %u to %u go past the last", where, i,
				m->size, m->container_id, m->host_id);
	}
	return 0;
}

static int check_mounts(const struct bundle *b, struct err *err)
{
	char where[64];
	int r;

	for (size_t i = 0; i < b->mounts.n; i++) {
		const struct bundle_mount *m = item(struct bundle_mount, b->mounts, i);
		/* A relative destination is one from "/" since 1.2. */
		if (!*m->destination)
			return err_set(err, EINVAL, "mounts[%zu].destination: empty", i);
		if (!m->uid_mappings.n != !m->gid_mappings.n)
			return err_set(err, EINVAL,
				"mounts[%zu]: uidMappings and gidMappings go together", i);
		snprintf(where, sizeof(where), "mounts[%zu].uidMappings", i);
		r = check_id_maps(&m->uid_mappings, where, err);
		snprintf(where, sizeof(where), "mounts[%zu].gidMappings", i);
		if (r == 0)
			r = check_id_maps(&m->gid_mappings, where, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_hooks(const struct bundle_hooks *hooks, struct err *err)
{
	const struct {
		const char *name;
		const struct record_list *list;
	} kinds[] = {
		{ "prestart", &hooks->prestart },
		{ "createRuntime", &hooks->create_runtime },
		{ "createContainer", &hooks->create_container },
		{ "startContainer", &hooks->start_container },
		{ "poststart", &hooks->poststart },
		{ "poststop", &hooks->poststop },
	};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t i = 0; i < kinds[k].list->n; i++) {
			const struct bundle_hook *h = item(struct bundle_hook, *kinds[k].list, i);
			if (h->path[0] != '/')
				return err_set(err, EINVAL,
					"hooks.%s[%zu].path: '%s' is not absolute", kinds[k].name,
					i, h->path);
			if (h->timeout && *h->timeout <= 0)
				return err_set(err, EINVAL, "hooks.%s[%zu].timeout: not above 0",
					kinds[k].name, i);
		}
	return 0;
}

static int check_namespaces(const struct bundle_linux *l, struct err *err)
{
	bool user = false;

	for (size_t i = 0; i < l->namespaces.n; i++) {
		const struct bundle_namespace *n = item(struct bundle_namespace, l->namespaces, i);
		if (!KNOWN(n->type, "pid", "network", "mount", "ipc", "uts", "user", "cgroup",
			    "time"))
			return err_set(err, EINVAL,
				"linux.namespaces[%zu].type: unknown namespace '%s'", i, n->type);
		for (size_t k = 0; k < i; k++)
			if (strcmp(item(struct bundle_namespace, l->namespaces, k)->type,
				    n->type) == 0)
				return err_set(err, EINVAL,
					"linux.namespaces[%zu].type: '%s' is given twice", i,
					n->type);
		if (n->path && *n->path && n->path[0] != '/')
			return err_set(err, EINVAL,
				"linux.namespaces[%zu].path: '%s' is not absolute", i, n->path);
		user |= strcmp(n->type, "user") == 0;
	}
	if (!user && (l->uid_mappings.n || l->gid_mappings.n))
		return err_set(err, EINVAL, "linux.%sMappings: there is no user namespace to map",
			l->uid_mappings.n ? "uid" : "gid");
	return 0;
}

static int check_device(const struct bundle_device *d, size_t i, struct err *err)
{
	if (!KNOWN(d->type, "c", "b", "u", "p"))
		return err_set(err, EINVAL, "linux.devices[%zu].type: '%s' is none of c, b, u, p",
			i, d->type);
	if (d->path[0] != '/')
		return err_set(
			err, EINVAL, "linux.devices[%zu].path: '%s' is not absolute", i, d->path);
	/* 12 and 20 bits in the kernel's dev_t. */
	if (d->major < 0 || d->major > 0xfff || d->minor < 0 || d->minor > 0xfffff)
		return err_set(err, EINVAL, "linux.devices[%zu]: no device %lld:%lld can exist", i,
			(long long)d->major, (long long)d->minor);
	/* Docker puts the file type in as well. */
	if (d->file_mode && (*d->file_mode < 0 || *d->file_mode > 0177777))
		return err_set(err, EINVAL, "linux.devices[%zu].fileMode: %lld is no mode", i,
			(long long)*d->file_mode);
	if ((d->uid && *d->uid > UINT32_MAX) || (d->gid && *d->gid > UINT32_MAX))
		return err_set(err, EINVAL, "linux.devices[%zu]: owner out of range", i);
	return 0;
}

static int check_device_rules(const struct record_list *list, const char *in, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_device_rule *d = item(struct bundle_device_rule, *list, i);
		if (d->type && *d->type && !KNOWN(d->type, "a", "c", "b"))
			return err_set(err, EINVAL, "%sdevices[%zu].type: '%s' is none of a, c, b",
				in, i, d->type);
		if ((d->major && (*d->major < -1 || *d->major > UINT32_MAX)) ||
			(d->minor && (*d->minor < -1 || *d->minor > UINT32_MAX)))
			return err_set(
				err, EINVAL, "%sdevices[%zu]: device number out of range", in, i);
		if (d->access && d->access[strspn(d->access, "rwma")])
			return err_set(err, EINVAL,
				"%sdevices[%zu].access: '%s' is not made of r, w, m", in, i,
				d->access);
	}
	return 0;
}

static int check_memory(const struct bundle_memory *m, const char *in, struct err *err)
{
	const struct {
		const char *name;
		const int64_t *value;
	} sizes[] = {
		{ "limit", m->limit },
		{ "reservation", m->reservation },
		{ "swap", m->swap },
		{ "kernel", m->kernel },
		{ "kernelTCP", m->kernel_tcp },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i].value && *sizes[i].value < -1)
			return err_set(err, EINVAL,
				"%smemory.%s: %lld is negative (-1 is unlimited)", in,
				sizes[i].name, (long long)*sizes[i].value);
	if (m->swappiness && *m->swappiness > 100)
		return err_set(err, EINVAL, "%smemory.swappiness: %llu is not in 0..100", in,
			(unsigned long long)*m->swappiness);
	return 0;
}

static int check_block_io(const struct bundle_block_io *b, const char *in, struct err *err)
{
	const struct record_list *lists[] = { &b->read_bps, &b->write_bps, &b->read_iops,
		&b->write_iops };
	static const char *const names[] = { "throttleReadBpsDevice", "throttleWriteBpsDevice",
		"throttleReadIOPSDevice", "throttleWriteIOPSDevice" };

	if (b->weight && *b->weight && (*b->weight < 10 || *b->weight > 1000))
		return err_set(err, EINVAL, "%sblockIO.weight: %llu is not in 10..1000", in,
			(unsigned long long)*b->weight);
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++) {
			const struct bundle_throttle *t =
				item(struct bundle_throttle, *lists[k], i);
			if (t->major < 0 || t->major > UINT32_MAX || t->minor < 0 ||
				t->minor > UINT32_MAX)
				return err_set(err, EINVAL,
					"%sblockIO.%s[%zu]: no device %lld:%lld", in, names[k], i,
					(long long)t->major, (long long)t->minor);
		}
	for (size_t i = 0; i < b->weight_device.n; i++) {
		const struct bundle_weight_device *w =
			item(struct bundle_weight_device, b->weight_device, i);
		if (w->weight && (*w->weight < 10 || *w->weight > 1000))
			return err_set(err, EINVAL,
				"%sblockIO.weightDevice[%zu].weight: not in 10..1000", in, i);
	}
	return 0;
}

/* "64KB", "2MB", "1GB": it becomes part of a file's name. */
static bool is_page_size(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n < 8 && strchr("KMG", s[n]) && s[n] && strcmp(s + n + 1, "B") == 0;
}

int bundle_check_resources(const struct bundle_resources *r, const char *in, struct err *err)
{
	int e = check_device_rules(&r->devices, in, err);

	if (e == 0)
		e = check_memory(&r->memory, in, err);
	if (e == 0)
		e = check_block_io(&r->block_io, in, err);
	if (e < 0)
		return e;
	if (!is_cpu_list(r->cpu.cpus) || !is_cpu_list(r->cpu.mems))
		return err_set(err, EINVAL, "%scpu.%s: not a list like 0-3,7", in,
			is_cpu_list(r->cpu.cpus) ? "mems" : "cpus");
	if (r->cpu.idle && *r->cpu.idle != 0 && *r->cpu.idle != 1)
		return err_set(err, EINVAL, "%scpu.idle: neither 0 nor 1", in);
	for (size_t i = 0; i < r->hugepage_limits.n; i++) {
		const struct bundle_hugepage *h =
			item(struct bundle_hugepage, r->hugepage_limits, i);
		if (!is_page_size(h->page_size))
			return err_set(err, EINVAL,
				"%shugepageLimits[%zu].pageSize: '%s' is not a size like 2MB", in,
				i, h->page_size);
	}
	map_foreach (kv, r->unified)
		if (strchr(kv[0], '/') || !strchr(kv[0], '.') || kv[0][0] == '.')
			return err_set(
				err, EINVAL, "%sunified: '%s' is no file of a cgroup", in, kv[0]);
	return 0;
}

static int check_sysctl(char *const *sysctl, struct err *err)
{
	map_foreach (kv, sysctl) {
		bool good = kv[0][0] && kv[0][0] != '/' && kv[0][0] != '.' && !has_dotdot(kv[0]) &&
			    !strstr(kv[0], "..");
		for (const char *s = kv[0]; *s; s++)
			good &= isalnum((unsigned char)*s) || strchr("._-/:@", *s);
		if (!good)
			return err_set(
				err, EINVAL, "linux.sysctl: '%s' is no name of a setting", kv[0]);
	}
	return 0;
}

static bool is_seccomp_action(const char *s)
{
	return KNOWN(s, "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
		"SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",
		"SCMP_ACT_LOG", "SCMP_ACT_NOTIFY");
}

static bool is_errno(const int64_t *v)
{
	return !v || (*v >= 0 && *v <= MAX_ERRNO);
}

static int check_seccomp_rule(const struct bundle_seccomp_rule *s, size_t i, struct err *err)
{
	if (strv_len(s->names) == 0)
		return err_set(err, EINVAL, "linux.seccomp.syscalls[%zu].names: empty", i);
	if (!is_seccomp_action(s->action))
		return err_set(err, EINVAL,
			"linux.seccomp.syscalls[%zu].action: unknown action '%s'", i, s->action);
	if (!is_errno(s->errno_ret))
		return err_set(err, EINVAL, "linux.seccomp.syscalls[%zu].errnoRet: not in 0..%d", i,
			MAX_ERRNO);
	for (size_t k = 0; k < s->args.n; k++) {
		const struct bundle_seccomp_arg *a = item(struct bundle_seccomp_arg, s->args, k);
		if (a->index >= MAX_SECCOMP_ARGS)
			return err_set(err, EINVAL,
				"linux.seccomp.syscalls[%zu].args[%zu].index: %u is not in 0..5", i,
				k, a->index);
		if (!KNOWN(a->op, "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
			    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"))
			return err_set(err, EINVAL,
				"linux.seccomp.syscalls[%zu].args[%zu].op: unknown operator '%s'",
				i, k, a->op);
	}
	return 0;
}

static int check_seccomp(const struct bundle_seccomp *s, struct err *err)
{
	int r = 0;

	if (!is_seccomp_action(s->default_action))
		return err_set(err, EINVAL, "linux.seccomp.defaultAction: unknown action '%s'",
			s->default_action);
	if (strcmp(s->default_action, "SCMP_ACT_NOTIFY") == 0)
		return err_set(
			err, EINVAL, "linux.seccomp.defaultAction: cannot be SCMP_ACT_NOTIFY");
	if (!is_errno(s->default_errno_ret))
		return err_set(
			err, EINVAL, "linux.seccomp.defaultErrnoRet: not in 0..%d", MAX_ERRNO);
	if (s->listener_path && s->listener_path[0] && s->listener_path[0] != '/')
		return err_set(err, EINVAL, "linux.seccomp.listenerPath: '%s' is not absolute",
			s->listener_path);
	strv_foreach (a, s->architectures)
		if (strncmp(*a, "SCMP_ARCH_", 10) != 0)
			return err_set(
				err, EINVAL, "linux.seccomp.architectures: unknown '%s'", *a);
	strv_foreach (f, s->flags)
		if (!KNOWN(*f, "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
			    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
			    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"))
			return err_set(err, EINVAL, "linux.seccomp.flags: unknown flag '%s'", *f);
	for (size_t i = 0; r == 0 && i < s->syscalls.n; i++)
		r = check_seccomp_rule(item(struct bundle_seccomp_rule, s->syscalls, i), i, err);
	return r;
}

static int check_paths(char *const *paths, const char *where, struct err *err)
{
	strv_foreach (p, paths)
		if ((*p)[0] != '/')
			return err_set(err, EINVAL, "linux.%s: '%s' is not absolute", where, *p);
	return 0;
}

/* IFNAMSIZ less one; what the kernel takes as a name (dev_valid_name). */
static bool is_link_name(const char *s)
{
	return !s || (*s && strlen(s) <= 15 && !strpbrk(s, "/: \t\n") && strcmp(s, ".") != 0 &&
			     strcmp(s, "..") != 0);
}

static int check_net_devices(const struct bundle_linux *l, struct err *err)
{
	bool own = false;
	const char *name;
	json_t *device;

	if (!l->net_devices)
		return 0;
	for (size_t i = 0; i < l->namespaces.n; i++)
		own |= strcmp(item(struct bundle_namespace, l->namespaces, i)->type, "network") ==
		       0;
	if (!json_is_object(l->net_devices))
		return err_set(err, EINVAL, "linux.netDevices: expected an object");
	if (json_object_size(l->net_devices) && !own)
		return err_set(err, EINVAL,
			"linux.netDevices: unable to move network devices without a NET namespace");
	json_object_foreach (l->net_devices, name, device) {
		const json_t *inside = json_object_get(device, "name");
		const char *given = json_string_value(inside);
		if (!json_is_object(device) || (inside && !json_is_string(inside)))
			return err_set(err, EINVAL,
				"linux.netDevices.%.15s: expected an object with a name", name);
		if (!is_link_name(name) || (given && *given && !is_link_name(given)))
			return err_set(err, EINVAL,
				"linux.netDevices: invalid network device name \"%s\"",
				is_link_name(name) ? given : name);
	}
	return 0;
}

static int check_linux(const struct bundle_linux *l, struct err *err)
{
	int r = check_namespaces(l, err);

	if (r == 0)
		r = check_id_maps(&l->uid_mappings, "linux.uidMappings", err);
	if (r == 0)
		r = check_id_maps(&l->gid_mappings, "linux.gidMappings", err);
	for (size_t i = 0; r == 0 && i < l->devices.n; i++)
		r = check_device(item(struct bundle_device, l->devices, i), i, err);
	if (r == 0 && l->resources)
		r = bundle_check_resources(l->resources, "linux.resources.", err);
	if (r == 0)
		r = check_sysctl(l->sysctl, err);
	if (r == 0 && l->seccomp)
		r = check_seccomp(l->seccomp, err);
	if (r == 0)
		r = check_paths(l->masked_paths, "maskedPaths", err);
	if (r == 0)
		r = check_paths(l->readonly_paths, "readonlyPaths", err);
	if (r == 0)
		r = check_net_devices(l, err);
	if (r < 0)
		return r;
	if (l->cgroups_path && has_dotdot(l->cgroups_path))
		return err_set(
			err, EINVAL, "linux.cgroupsPath: '%s' leads upwards", l->cgroups_path);
	if (l->rootfs_propagation && *l->rootfs_propagation &&
		!KNOWN(l->rootfs_propagation, "shared", "slave", "private", "unbindable", "rshared",
			"rslave", "rprivate", "runbindable"))
		return err_set(err, EINVAL, "linux.rootfsPropagation: unknown mode '%s'",
			l->rootfs_propagation);
	return 0;
}

static int check_holm(const struct bundle_holm *h, struct err *err)
{
	if (h->id && !name_valid(h->id))
		return err_set(err, EINVAL, "holm.id: '%s' is no id", h->id);
	strv_foreach (l, h->layers)
		if ((*l)[0] != '/')
			return err_set(err, EINVAL, "holm.layers: '%s' is not absolute", *l);
	if (!h->upper != !h->work)
		return err_set(err, EINVAL, "holm.%s: missing", h->upper ? "work" : "upper");
	for (size_t i = 0; i < h->endpoints.n; i++) {
		const struct bundle_endpoint *e = item(struct bundle_endpoint, h->endpoints, i);
		if (!is_link_name(e->bridge) || !is_link_name(e->host_link) ||
			!is_link_name(e->link))
			return err_set(err, EINVAL, "holm.endpoints[%zu]: not a link's name", i);
		if (e->mtu < 0 || e->mtu > 65535)
			return err_set(
				err, EINVAL, "holm.endpoints[%zu].mtu: %lld", i, (long long)e->mtu);
	}
	if (h->seccomp_profile && !KNOWN(h->seccomp_profile, "", "default", "unconfined"))
		return err_set(err, EINVAL, "holm.seccompProfile: unknown profile '%s'",
			h->seccomp_profile);
	return 0;
}

int bundle_check(const struct bundle *b, struct err *err)
{
	const size_t name_max = sizeof(((struct utsname *)0)->nodename) - 1;
	int r;

	if (strncmp(b->oci_version, "1.", 2) != 0 || !isdigit((unsigned char)b->oci_version[2]))
		return err_set(err, EINVAL, "ociVersion: '%s' is not 1.x", b->oci_version);
	if (!*b->root_path)
		return err_set(err, EINVAL, "root.path: empty");
	if (b->hostname && strlen(b->hostname) > name_max)
		return err_set(err, EINVAL, "hostname: longer than %zu bytes", name_max);
	if (b->domainname && strlen(b->domainname) > name_max)
		return err_set(err, EINVAL, "domainname: longer than %zu bytes", name_max);
	r = b->process ? bundle_check_process(b->process, "process.", err) : 0;
	if (r == 0)
		r = check_mounts(b, err);
	if (r == 0)
		r = check_hooks(&b->hooks, err);
	if (r == 0)
		r = check_linux(&b->linux_, err);
	return r < 0 ? r : check_holm(&b->holm, err);
}
