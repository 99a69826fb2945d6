/* `oci spec`: the configuration that callers start from and change; its values are those of runc's. */
#include "oci/oci.h"

#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "base/alloc.h"

static json_t *process(void)
{
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	json_t *caps = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		json_object_set_new(caps, sets[i],
			json_pack("[s, s, s]", "CAP_AUDIT_WRITE", "CAP_KILL",
				"CAP_NET_BIND_SERVICE"));
	return json_pack("{s:b, s:{s:i, s:i}, s:[s], s:[s, s], s:s, s:o, s:[{s:s, s:i, s:i}], s:b}",
		"terminal", 1, "user", "uid", 0, "gid", 0, "args", "sh", "env",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
		"cwd", "/", "capabilities", caps, "rlimits", "type", "RLIMIT_NOFILE", "hard", 1024,
		"soft", 1024, "noNewPrivileges", 1);
}

struct spec_mount {
	const char *destination, *type, *source;
	const char *options[8];
};

static const struct spec_mount mounts[] = {
	{ "/proc", "proc", "proc", { NULL } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts",
		{ "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

/* A user namespace that has one user only can neither mount a sysfs of the host's network nor give files
 * to other groups. */
static const struct spec_mount host_sys = { "/sys", "none", "/sys",
	{ "rbind", "nosuid", "noexec", "nodev", "ro" } };

static json_t *mount_json(const struct spec_mount *m, bool rootless)
{
	json_t *options = json_array();
	json_t *j = json_pack("{s:s, s:s, s:s}", "destination", m->destination, "type", m->type,
		"source", m->source);

	for (const char *const *o = m->options; *o; o++)
		if (!rootless || strncmp(*o, "gid=", 4) != 0)
			json_array_append_new(options, json_string(*o));
	if (json_array_size(options))
		json_object_set(j, "options", options);
	json_decref(options);
	return j;
}

static json_t *strings(const char *const *list)
{
	json_t *j = json_array();

	for (; *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

static json_t *namespaces(bool rootless)
{
	static const char *const types[] = { "pid", "network", "ipc", "uts", "mount", NULL };
	struct statfs fs;
	json_t *j = json_array();

	for (const char *const *t = types; *t; t++)
		if (!rootless || strcmp(*t, "network") != 0)
			json_array_append_new(j, json_pack("{s:s}", "type", *t));
	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		json_array_append_new(j, json_pack("{s:s}", "type", "cgroup"));
	if (rootless)
		json_array_append_new(j, json_pack("{s:s}", "type", "user"));
	return j;
}

static json_t *linux_json(bool rootless)
{
	static const char *const masked[] = { "/proc/acpi", "/proc/asound", "/proc/interrupts",
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
		"/sys/devices/virtual/powercap", "/proc/scsi", NULL };
	static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger", NULL };
	json_t *j = json_pack("{s:o, s:o, s:o}", "namespaces", namespaces(rootless), "maskedPaths",
		strings(masked), "readonlyPaths", strings(readonly));

	if (!rootless) {
		json_object_set_new(j, "resources",
			json_pack("{s:[{s:b, s:s}]}", "devices", "allow", 0, "access", "rwm"));
		return j;
	}
	json_object_set_new(j, "uidMappings",
		json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(),
			"size", 1));
	json_object_set_new(j, "gidMappings",
		json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(),
			"size", 1));
	return j;
}

json_t *oci_spec(bool rootless)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		bool is_sys = strcmp(mounts[i].destination, "/sys") == 0;
		json_array_append_new(
			list, mount_json(rootless && is_sys ? &host_sys : &mounts[i], rootless));
	}
	return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.3.0",
		"process", process(), "root", "path", "rootfs", "readonly", 1, "hostname", "holm",
		"mounts", list, "linux", linux_json(rootless));
}
