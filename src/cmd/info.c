/* `holm info`: what is in the store, and what the host gives. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/paths.h"
#include "cmd/cmd.h"
#include "cmd/host.h"
#include "cmd/output.h"
#include "container/cgroup.h"
#include "engine/engine.h"
#include "image/image.h"
#include "instance/instance.h"
#include "instance/volume.h"
#include "rootless/rootless.h"

struct info_options {
	const char *format;
};

static const struct cmd_option options[] = { OPTION(struct info_options, format, OPT_STR, 'f',
						     "format", "FORMAT",
						     "table, json, or a template"),
	OPTION_END };

static void add_int(json_t *j, const char *name, uint64_t value)
{
	json_object_set_new(j, name, json_integer((json_int_t)value));
}

static void add_str(json_t *j, const char *name, const char *value)
{
	json_object_set_new(j, name, json_string(value ? value : ""));
}

static int add_counts(json_t *j, struct db *db, struct err *err)
{
	cleanup(instance_list_free) struct instance_list instances = { 0 };
	struct record_list volumes = { 0 }, networks = { 0 };
	struct image_usage usage = { 0 };
	size_t running = 0, paused = 0;
	int r = instance_list(db, &instances, err);

	if (r == 0)
		r = image_usage(db, &usage, err);
	if (r == 0)
		r = volume_list(db, &volumes, err);
	if (r == 0)
		r = network_list(db, &networks, err);
	if (r == 0) {
		for (size_t i = 0; i < instances.n; i++) {
			const char *status = instances.items[i]->state.status;
			running += !strcmp(status, "running") || !strcmp(status, "restarting");
			paused += !strcmp(status, "paused");
		}
		add_int(j, "Containers", instances.n);
		add_int(j, "ContainersRunning", running);
		add_int(j, "ContainersPaused", paused);
		add_int(j, "ContainersStopped", instances.n - running - paused);
		add_int(j, "Images", usage.images);
		add_int(j, "Volumes", volumes.n);
		add_int(j, "Networks", networks.n);
	}
	while (volumes.n)
		record_list_remove(&volumes, volumes.n - 1, volume_fields);
	while (networks.n)
		record_list_remove(&networks, networks.n - 1, network_fields);
	free(volumes.items);
	free(networks.items);
	return r;
}

/* PRETTY_NAME of os-release(5). */
static char *os_name(void)
{
	cleanup(buf_free) struct buf b = { 0 };
	const char *p;

	if (file_read(AT_FDCWD, "/etc/os-release", 64 << 10, &b) < 0 || !b.data)
		return xstrdup("Linux");
	p = strstr(b.data, "PRETTY_NAME=");
	if (!p)
		return xstrdup("Linux");
	p += strlen("PRETTY_NAME=");
	p += *p == '"';
	return xstrndup(p, strcspn(p, "\"\n"));
}

static void add_host(json_t *j)
{
	static const char *const versions[] = {
		[CGROUP_NONE] = "0", [CGROUP_V1] = "1", [CGROUP_HYBRID] = "1", [CGROUP_V2] = "2"
	};
	static const char *const modes[] = { [CGROUP_NONE] = "none",
		[CGROUP_V1] = "v1",
		[CGROUP_HYBRID] = "hybrid",
		[CGROUP_V2] = "v2" };
	cleanup(free) char *os = os_name();
	json_t *isolations = json_object();
	struct sysinfo si = { 0 };
	struct utsname u;

	uname(&u);
	sysinfo(&si);
	for (const struct engine *const *e = engines; *e; e++) {
		struct err why = { 0 };
		if (strcmp((*e)->name, "fake") != 0)
			json_object_set_new(isolations, (*e)->name,
				json_string((*e)->available(&why) == 0 ? "available" : why.text));
	}
	add_str(j, "ServerVersion", HOLM_VERSION);
	add_str(j, "Driver", "overlay");
	add_str(j, "HolmRootDir", paths_root());
	add_str(j, "HolmRunDir", paths_run());
	add_str(j, "BackingFilesystem", host_file_system(paths_root()));
	json_object_set_new(j, "Isolations", isolations);
	add_str(j, "CgroupVersion", versions[cgroup_mode()]);
	add_str(j, "CgroupMode", modes[cgroup_mode()]);
	add_str(j, "CgroupControllers", cgroup_controllers());
	add_str(j, "CgroupDriver", "cgroupfs");
	json_object_set_new(j, "Rootless", json_boolean(rootless()));
	if (rootless()) {
		const char *mend, *missing = rootless_network_missing(&mend);
		add_int(j, "User", rootless_user());
		add_int(j, "Ids", rootless_last_id() + 1ull);
		add_str(j, "NetworkOutside", missing ? missing : "pasta");
	}
	add_str(j, "KernelVersion", u.release);
	add_str(j, "OperatingSystem", os);
	add_str(j, "OSType", "linux");
	add_str(j, "Architecture", u.machine);
	add_str(j, "Name", u.nodename);
	add_int(j, "NCPU", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	add_int(j, "MemTotal", (uint64_t)si.totalram * si.mem_unit);
}

static long long number(json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

static const char *text(json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

static void print(json_t *j)
{
	const char *name;
	json_t *state;

	printf("Containers:   %lld (%lld running, %lld paused, %lld stopped)\n",
		number(j, "Containers"), number(j, "ContainersRunning"),
		number(j, "ContainersPaused"), number(j, "ContainersStopped"));
	printf("Images:       %lld\nVolumes:      %lld\nNetworks:     %lld\n", number(j, "Images"),
		number(j, "Volumes"), number(j, "Networks"));
	printf("Version:      %s\nRoot:         %s (%s)\nRun:          %s\n",
		text(j, "ServerVersion"), text(j, "HolmRootDir"), text(j, "BackingFilesystem"),
		text(j, "HolmRunDir"));
	json_object_foreach (json_object_get(j, "Isolations"), name, state)
		printf("Isolation:    %s: %s\n", name, json_string_value(state));
	if (json_is_true(json_object_get(j, "Rootless")))
		printf("User:         %lld, root of a user namespace with %lld id%s\nOutside:      %s\n",
			number(j, "User"), number(j, "Ids"), number(j, "Ids") == 1 ? "" : "s",
			text(j, "NetworkOutside"));
	printf("Cgroups:      %s: %s\n", text(j, "CgroupMode"), text(j, "CgroupControllers"));
	printf("Kernel:       %s\nSystem:       %s (%s)\nName:         %s\nCPUs:         %lld\n",
		text(j, "KernelVersion"), text(j, "OperatingSystem"), text(j, "Architecture"),
		text(j, "Name"), number(j, "NCPU"));
	printf("Memory:       %s\n", format_size((uint64_t)number(j, "MemTotal")));
}

static int run(struct cmd_call *call)
{
	const struct info_options *o = call->options;
	cleanup(json_free) json_t *j = json_object();
	struct err err = { 0 };
	struct db *db = cmd_db(&err);

	if (!db || add_counts(j, db, &err) < 0)
		return cmd_fail(&err, 1);
	add_host(j);
	if (output_is_table(o->format))
		print(j);
	else if (output_object(j, o->format, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_info = {
	.name = "info",
	.alias = "system info",
	.group = "System",
	.args = "",
	.summary = "Show what is in the store and what the host gives",
	.examples = "holm info --format '{{.CgroupVersion}}'",
	.options = options,
	.options_size = sizeof(struct info_options),
	.run = run,
};
