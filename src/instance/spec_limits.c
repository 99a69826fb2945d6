/*
 * Limits, devices, capabilities and system-call filters of an instance. Docker's defaults: fourteen
 * capabilities, nine devices, everything else denied.
 */
#include "instance/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"

static const char *const all_capabilities[] = { "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
	"FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT",
	"SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE" };

static const char *const default_capabilities[] = { "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER",
	"MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
	"SYS_CHROOT", "KILL", "AUDIT_WRITE" };

static int capability_index(const char *name)
{
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(all_capabilities); i++)
		if (strcasecmp(name, all_capabilities[i]) == 0)
			return (int)i;
	return -1;
}

static int change_set(char *const *names, bool add, bool set[], struct err *err)
{
	strv_foreach (n, names) {
		int index = capability_index(*n);
		if (strcasecmp(*n, "ALL") == 0) {
			for (size_t i = 0; i < ARRAY_SIZE(all_capabilities); i++)
				set[i] = add;
		} else if (index < 0) {
			return err_set(
				err, EINVAL, "unknown capability '%s': see capabilities(7)", *n);
		} else {
			set[index] = add;
		}
	}
	return 0;
}

int spec_capabilities(const struct instance_config *c, char ***ret, struct err *err)
{
	bool set[ARRAY_SIZE(all_capabilities)] = { 0 };
	char **names = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(default_capabilities); i++)
		set[capability_index(default_capabilities[i])] = true;
	if (c->privileged)
		memset(set, 1, sizeof(set));
	/* "ALL" first, so that --cap-drop ALL --cap-add X and --cap-add ALL --cap-drop X both
	 * mean what they say, whatever their order. */
	if (strv_contains(c->cap_drop, "ALL") || strv_contains(c->cap_drop, "all"))
		memset(set, 0, sizeof(set));
	r = change_set(c->cap_add, true, set, err);
	if (r < 0)
		return r;
	strv_foreach (n, c->cap_drop) {
		int index = capability_index(*n);
		if (index < 0 && strcasecmp(*n, "ALL") != 0)
			return err_set(
				err, EINVAL, "unknown capability '%s': see capabilities(7)", *n);
		if (index >= 0)
			set[index] = false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(all_capabilities); i++)
		if (set[i])
			strv_addf(&names, "CAP_%s", all_capabilities[i]);
	*ret = names;
	return 0;
}

static void add_rule(struct bundle_resources *r, bool allow, const char *type, int64_t major,
	int64_t minor, const char *access)
{
	struct bundle_device_rule *rule = bundle_add(&r->devices, struct bundle_device_rule);

	rule->allow = allow;
	rule->type = xstrdup(type);
	rule->major = major >= 0 ? new_i64(major) : NULL;
	rule->minor = minor >= 0 ? new_i64(minor) : NULL;
	rule->access = xstrdup(access);
}

/* --device-cgroup-rule "c 10:200 rwm" */
static int add_text_rule(struct bundle_resources *r, const char *text, struct err *err)
{
	char type, major[12], minor[12], access[4];
	uint64_t v[2] = { 0 };
	int end = 0;

	if (sscanf(text, "%c %11[0-9*]:%11[0-9*] %3[rwm]%n", &type, major, minor, access, &end) !=
			4 ||
		text[end] || !strchr("abc", type) ||
		(strcmp(major, "*") != 0 && parse_u64(major, UINT32_MAX, &v[0]) < 0) ||
		(strcmp(minor, "*") != 0 && parse_u64(minor, UINT32_MAX, &v[1]) < 0))
		return err_set(err, EINVAL,
			"device rule '%s': expected TYPE MAJOR:MINOR ACCESS, like 'c 10:200 rwm'",
			text);
	add_rule(r, true, (char[]){ type, 0 }, *major == '*' ? -1 : (int64_t)v[0],
		*minor == '*' ? -1 : (int64_t)v[1], access);
	return 0;
}

static int device_rules(
	const struct instance_config *c, struct bundle_resources *r, struct err *err)
{
	static const struct {
		char type;
		int major, minor;
	} defaults[] = { { 'c', 1, 3 }, { 'c', 1, 5 }, { 'c', 1, 7 }, { 'c', 1, 8 }, { 'c', 1, 9 },
		{ 'c', 5, 0 }, { 'c', 5, 1 }, { 'c', 5, 2 }, { 'c', 136, -1 } };

	if (c->privileged) {
		add_rule(r, true, "a", -1, -1, "rwm");
		return 0;
	}
	add_rule(r, false, "a", -1, -1, "rwm");
	add_rule(r, true, "c", -1, -1, "m"); /* nodes may be made, not opened */
	add_rule(r, true, "b", -1, -1, "m");
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		add_rule(r, true, (char[]){ defaults[i].type, 0 }, defaults[i].major,
			defaults[i].minor, "rwm");
	for (size_t i = 0; i < c->devices.n; i++) {
		const struct instance_device *d = c->devices.items[i];
		struct stat st;
		if (stat(d->host_path, &st) < 0)
			return err_errno(err, "device '%s'", d->host_path);
		if (S_ISDIR(st.st_mode))
			continue; /* its nodes come with spec_devices() */
		add_rule(r, true, S_ISBLK(st.st_mode) ? "b" : "c", major(st.st_rdev),
			minor(st.st_rdev), d->permissions ? d->permissions : "rwm");
	}
	strv_foreach (rule, c->limits.device_rules) {
		int e = add_text_rule(r, *rule, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int throttles(const struct record_list *from, struct record_list *to, struct err *err)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct instance_throttle *t = from->items[i];
		struct bundle_throttle *b;
		struct stat st;
		if (stat(t->path, &st) < 0)
			return err_errno(err, "device '%s'", t->path);
		if (!S_ISBLK(st.st_mode))
			return err_set(err, ENOTBLK, "device '%s': not a block device", t->path);
		b = bundle_add(to, struct bundle_throttle);
		*b = (struct bundle_throttle){ major(st.st_rdev), minor(st.st_rdev), t->rate };
	}
	return 0;
}

static int weights(const struct record_list *from, struct record_list *to, struct err *err)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct instance_throttle *t = from->items[i];
		struct bundle_weight_device *b;
		struct stat st;
		if (stat(t->path, &st) < 0)
			return err_errno(err, "device '%s'", t->path);
		b = bundle_add(to, struct bundle_weight_device);
		*b = (struct bundle_weight_device){ major(st.st_rdev), minor(st.st_rdev),
			new_u64(t->rate), NULL };
	}
	return 0;
}

static void memory_limits(const struct instance_limits *l, struct bundle_memory *m)
{
	if (l->memory)
		m->limit = new_i64(l->memory);
	if (l->memory_reservation)
		m->reservation = new_i64(l->memory_reservation);
	/* Docker: with a memory limit and no swap limit, as much swap again. */
	if (l->memory_swap)
		m->swap = new_i64(l->memory_swap);
	else if (l->memory > 0)
		m->swap = new_i64(2 * l->memory);
	if (l->memory_swappiness >= 0)
		m->swappiness = new_u64((uint64_t)l->memory_swappiness);
	if (l->oom_kill_disable) {
		m->disable_oom_killer = xnew(bool);
		*m->disable_oom_killer = true;
	}
}

static void cpu_limits(const struct instance_limits *l, struct bundle_cpu *cpu)
{
	if (l->cpus > 0) {
		cpu->period = new_u64(100000);
		cpu->quota = new_i64((int64_t)(l->cpus * 100000 + 0.5));
	}
	if (l->cpu_period)
		cpu->period = cpu->period ? cpu->period : new_u64((uint64_t)l->cpu_period);
	if (l->cpu_quota)
		cpu->quota = cpu->quota ? cpu->quota : new_i64(l->cpu_quota);
	if (l->cpu_shares)
		cpu->shares = new_u64((uint64_t)l->cpu_shares);
	if (l->cpuset_cpus && *l->cpuset_cpus)
		cpu->cpus = xstrdup(l->cpuset_cpus);
	if (l->cpuset_mems && *l->cpuset_mems)
		cpu->mems = xstrdup(l->cpuset_mems);
}

int spec_resources(const struct instance_config *c, struct bundle_resources *r, struct err *err)
{
	const struct instance_limits *l = &c->limits;
	int e;

	memory_limits(l, &r->memory);
	cpu_limits(l, &r->cpu);
	/* -1 is none: an update takes a limit away. */
	if (l->pids)
		r->pids.limit = new_i64(l->pids);
	if (l->blkio_weight)
		r->block_io.weight = new_u64((uint64_t)l->blkio_weight);
	e = weights(&l->weight_devices, &r->block_io.weight_device, err);
	if (e == 0)
		e = throttles(&l->read_bps, &r->block_io.read_bps, err);
	if (e == 0)
		e = throttles(&l->write_bps, &r->block_io.write_bps, err);
	if (e == 0)
		e = throttles(&l->read_iops, &r->block_io.read_iops, err);
	if (e == 0)
		e = throttles(&l->write_iops, &r->block_io.write_iops, err);
	return e < 0 ? e : device_rules(c, r, err);
}

static void add_device(struct bundle *b, const char *path, const struct stat *st)
{
	struct bundle_device *d = bundle_add(&b->linux_.devices, struct bundle_device);

	d->type = xstrdup(S_ISBLK(st->st_mode) ? "b" : "c");
	d->path = xstrdup(path);
	d->major = major(st->st_rdev);
	d->minor = minor(st->st_rdev);
	d->file_mode = new_i64(st->st_mode & 07777);
	d->uid = new_u64(st->st_uid);
	d->gid = new_u64(st->st_gid);
}

/* A directory's device nodes one level deep: --device /dev/snd, and /dev itself when privileged. */
static int add_directory(struct bundle *b, const char *host, const char *inside,
	const char *permissions, struct err *err)
{
	DIR *dir = opendir(host);
	struct dirent *e;

	if (!dir)
		return err_errno(err, "device '%s'", host);
	while ((e = readdir(dir)) && b->linux_.devices.n < 4096) {
		cleanup(free) char *path = xasprintf("%s/%s", inside, e->d_name);
		struct stat st;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			(!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
			continue;
		if (strcmp(path, "/dev/console") == 0 || strcmp(path, "/dev/ptmx") == 0)
			continue; /* the instance's own */
		add_device(b, path, &st);
		if (permissions && b->linux_.resources)
			add_rule(b->linux_.resources, true, S_ISBLK(st.st_mode) ? "b" : "c",
				major(st.st_rdev), minor(st.st_rdev), permissions);
	}
	closedir(dir);
	return 0;
}

int spec_devices(const struct instance_config *c, struct bundle *b, struct err *err)
{
	int r = 0;

	if (c->privileged)
		r = add_directory(b, "/dev", "/dev", NULL, err);
	for (size_t i = 0; r == 0 && i < c->devices.n; i++) {
		const struct instance_device *d = c->devices.items[i];
		struct stat st;
		if (stat(d->host_path, &st) < 0)
			return err_errno(err, "device '%s'", d->host_path);
		if (S_ISDIR(st.st_mode))
			r = add_directory(b, d->host_path, d->path,
				d->permissions ? d->permissions : "rwm", err);
		else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			add_device(b, d->path, &st);
		else
			r = err_set(err, ENODEV, "device '%s': not a device node", d->host_path);
	}
	return r;
}

static const char *const masked_paths[] = { "/proc/asound", "/proc/acpi", "/proc/interrupts",
	"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap" };
static const char *const readonly_paths[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
	"/proc/sysrq-trigger" };

static int security_option(const struct instance_config *c, const char *option, struct bundle *b,
	bool *systempaths, struct err *err)
{
	const char *value = strpbrk(option, "=:");
	size_t key = value ? (size_t)(value - option) : strlen(option);

	value = value ? value + 1 : "";
	if (strncmp(option, "no-new-privileges", key) == 0 && key == 17) {
		bool on = true;
		if (*value && parse_bool(value, &on) < 0)
			return err_set(err, EINVAL, "security option '%s': expected true or false",
				option);
		b->process->no_new_privileges = on;
	} else if (key == 7 && strncmp(option, "seccomp", key) == 0) {
		if (strcmp(value, "unconfined") == 0 || strcmp(value, "builtin") == 0)
			str_replace(&b->holm.seccomp_profile,
				strcmp(value, "builtin") == 0 ? "default" : value);
		else
			return spec_seccomp_file(c, value, b, err);
	} else if (key == 8 && strncmp(option, "apparmor", key) == 0) {
		if (strcmp(value, "unconfined") != 0)
			str_replace(&b->process->apparmor_profile, value);
	} else if (key == 5 && strncmp(option, "label", key) == 0) {
		return 0; /* SELinux labels: nothing to do where SELinux is off */
	} else if (strcmp(option, "systempaths=unconfined") == 0) {
		*systempaths = true;
	} else {
		return err_set(err, EINVAL,
			"unknown security option '%s': known are no-new-privileges, seccomp=, apparmor=, label=, systempaths=unconfined",
			option);
	}
	return 0;
}

int spec_security(const struct instance_config *c, struct bundle *b, struct err *err)
{
	bool systempaths = c->privileged;

	b->holm.privileged = c->privileged;
	b->holm.seccomp_profile = xstrdup(c->privileged ? "unconfined" : "default");
	strv_foreach (option, c->security_opt) {
		int r = security_option(c, *option, b, &systempaths, err);
		if (r < 0)
			return r;
	}
	if (systempaths)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(masked_paths); i++)
		strv_add(&b->linux_.masked_paths, masked_paths[i]);
	for (size_t i = 0; i < ARRAY_SIZE(readonly_paths); i++)
		strv_add(&b->linux_.readonly_paths, readonly_paths[i]);
	return 0;
}
