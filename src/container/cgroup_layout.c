/*
 * What the host offers. Pure v2 is told by the file system type of /sys/fs/cgroup alone; else
 * /proc/self/mountinfo (proc(5)) says what is mounted where. In a container the mounts show a part of
 * the hierarchies (mountinfo's root field): its top is as far as we can reach, so paths count from
 * the mount points, never from the host's root.
 */
#include "container/cgroup_internal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "rootless/rootless.h"

#define STANDARD "/sys/fs/cgroup"
#define MAX_MOUNTINFO (16u << 20)

static const struct {
	const char *v1, *v2;
} names[CG_COUNT] = {
	[CG_MEMORY] = { "memory", "memory" },
	[CG_CPU] = { "cpu", "cpu" },
	[CG_CPUACCT] = { "cpuacct", NULL },
	[CG_CPUSET] = { "cpuset", "cpuset" },
	[CG_PIDS] = { "pids", "pids" },
	[CG_BLKIO] = { "blkio", "io" },
	[CG_DEVICES] = { "devices", NULL },
	[CG_FREEZER] = { "freezer", NULL },
	[CG_HUGETLB] = { "hugetlb", "hugetlb" },
	[CG_RDMA] = { "rdma", "rdma" },
	[CG_MISC] = { "misc", "misc" },
	[CG_NET_CLS] = { "net_cls", NULL },
	[CG_NET_PRIO] = { "net_prio", NULL },
	[CG_PERF_EVENT] = { "perf_event", NULL },
};

const char *cgroup_controller_name(int controller, bool v2)
{
	return v2 && names[controller].v2 ? names[controller].v2 : names[controller].v1;
}

/* Bits of the names in a list separated by any of `separators`. */
static unsigned bits_of(const char *list, const char *separators, bool v2)
{
	unsigned bits = 0;

	while (*list) {
		size_t n = strcspn(list, separators);
		for (int c = 0; c < CG_COUNT; c++) {
			const char *name = v2 ? names[c].v2 : names[c].v1;
			if (name && strlen(name) == n && strncmp(name, list, n) == 0)
				bits |= CG_BIT(c);
		}
		list += n;
		list += strspn(list, separators);
	}
	return bits;
}

unsigned cgroup_controllers_of(const char *text)
{
	return bits_of(text, " \n", true);
}

/* Undoes mountinfo's \040 and the like, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static void add(struct cgroup_layout *l, const char *name, const char *mount,
	const char *controllers, unsigned bits)
{
	if (l->n == CGROUP_MAX_HIERARCHIES)
		return;
	l->list[l->n] = (struct cgroup_hierarchy){
		.name = xstrdup(name),
		.mount = xstrdup(mount),
		.controllers = xstrdup_null(controllers),
	};
	l->controllers[l->n++] = bits;
}

/* The first mount that shows a controller counts; others are copies for containers. */
static void add_v1(struct cgroup_layout *l, const char *mount, char *options)
{
	char list[128] = "", *name = NULL;
	unsigned bits = 0, seen = 0;

	for (size_t h = 0; h < l->n; h++) {
		seen |= l->controllers[h];
		if (strcmp(l->list[h].mount, mount) == 0)
			return;
	}
	for (char *o = strtok(options, ","); o; o = strtok(NULL, ",")) {
		unsigned bit = bits_of(o, ",", false);
		if (strncmp(o, "name=", 5) == 0)
			name = o;
		if (!bit)
			continue;
		bits |= bit;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", *list ? "," : "",
			o);
	}
	if (bits && !(bits & seen))
		add(l, list, mount, list, bits);
	/* systemd's own: without controllers, joined by who is to be everywhere. */
	else if (!bits && name)
		add(l, name + 5, mount, name, 0);
}

static void add_v2(struct cgroup_layout *l, const char *mount, const char *name)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *path = xasprintf("%s/cgroup.controllers", mount);

	for (size_t h = 0; h < l->n; h++)
		if (cgroup_is_v2(l, h))
			return;
	if (file_read(AT_FDCWD, path, 4096, &text) < 0)
		return;
	add(l, name, mount, NULL, cgroup_controllers_of(text.data ?: ""));
}

/* ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE SUPEROPTIONS */
static void parse_line(char *line, struct cgroup_layout *l)
{
	char *dash = strstr(line, " - cgroup"), *mount = NULL, *options = NULL, *save = NULL;
	char *rest = dash ? dash + 3 : NULL;
	bool v2;

	if (!dash)
		return;
	*dash = '\0';
	strtok_r(line, " ", &save);
	for (int i = 0; i < 4; i++)
		mount = strtok_r(NULL, " ", &save);
	save = NULL;
	v2 = strcmp(strtok_r(rest, " ", &save), "cgroup2") == 0;
	strtok_r(NULL, " ", &save);
	options = strtok_r(NULL, " ", &save);
	if (!mount || !options)
		return;
	unescape(mount);
	if (v2)
		add_v2(l, mount, "unified");
	else
		add_v1(l, mount, options);
}

/* Needs all of `l->list`: what no v1 hierarchy has, v2 gives without being asked. */
static void complete(struct cgroup_layout *l)
{
	unsigned v1 = 0;
	int unified = -1;

	for (size_t h = 0; h < l->n; h++) {
		if (cgroup_is_v2(l, h))
			unified = (int)h;
		else
			v1 |= l->controllers[h];
	}
	l->mode = l->n == 0     ? CGROUP_NONE
		  : unified < 0 ? CGROUP_V1
		  : v1          ? CGROUP_HYBRID
				: CGROUP_V2;
	if (unified < 0)
		return;
	l->controllers[unified] |= CG_V2_ALWAYS & ~v1;
	if (l->mode == CGROUP_V2) {
		free((char *)l->list[unified].name);
		l->list[unified].name = xstrdup("");
	}
}

void cgroup_layout_parse(char *mountinfo, struct cgroup_layout *ret)
{
	char *save = NULL;

	for (char *line = strtok_r(mountinfo, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		parse_line(line, ret);
	complete(ret);
}

static void find(struct cgroup_layout *l)
{
	cleanup(buf_free) struct buf text = { 0 };
	struct statfs fs;

	if (statfs(STANDARD, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		add_v2(l, STANDARD, "");
		complete(l);
		return;
	}
	if (file_read(AT_FDCWD, "/proc/self/mountinfo", MAX_MOUNTINFO, &text) == 0 && text.data)
		cgroup_layout_parse(text.data, l);
}

static void forget(struct cgroup_layout *l)
{
	for (size_t h = 0; h < l->n; h++) {
		free((char *)l->list[h].name);
		free((char *)l->list[h].mount);
		free((char *)l->list[h].controllers);
	}
	*l = (struct cgroup_layout){ .mode = CGROUP_NONE };
}

static bool is_delegated(const char *dir)
{
	static const char *const files[] = { "", "/cgroup.procs", "/cgroup.subtree_control" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		cleanup(free) char *path = xasprintf("%s%s", dir, files[i]);
		/* Root of a user namespace is not overruling here: these belong to the host's users. */
		if (access(path, W_OK) < 0)
			return false;
	}
	return true;
}

/* This process's in v2, or NULL when it is out of sight. The caller frees. */
static char *own_group(void)
{
	cleanup(buf_free) struct buf text = { 0 };
	const char *line;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", 1 << 16, &text) < 0 || !text.data)
		return NULL;
	line = strncmp(text.data, "0::/", 4) == 0 ? text.data : strstr(text.data, "\n0::/");
	if (!line)
		return NULL;
	line = strchr(line, '/');
	return strstr(line, "/..") ? NULL : xstrndup(line, strcspn(line, "\n"));
}

/* Takes over `dir`. */
static void start_from(struct cgroup_layout *l, char *dir)
{
	cleanup(free) char *file = xasprintf("%s/cgroup.controllers", dir);
	cleanup(buf_free) struct buf text = { 0 };

	file_read(AT_FDCWD, file, 4096, &text);
	free((char *)l->list[0].mount);
	l->list[0].mount = dir;
	l->controllers[0] = cgroup_controllers_of(text.data ?: "") | CG_V2_ALWAYS;
}

/*
 * An ordinary user has what was delegated (kernel cgroup-v2.rst, "Delegation"): of v2 the group that
 * this process is in, or the topmost above it that still is the user's, where systemd keeps processes
 * away from groups. All paths start from there.
 */
static void keep_delegated(struct cgroup_layout *l)
{
	cleanup(free) char *own = NULL, *dir = NULL, *best = NULL;
	size_t top;

	if (l->mode == CGROUP_V2)
		own = own_group();
	top = own ? strlen(l->list[0].mount) : 0;
	dir = own ? xasprintf("%s%s", l->list[0].mount, own) : xstrdup("");
	while (strlen(dir) > top + 1 && is_delegated(dir)) {
		str_replace(&best, dir);
		*strrchr(dir, '/') = '\0';
	}
	if (best)
		start_from(l, take(best));
	else
		forget(l);
}

static const struct cgroup_layout *current;

void cgroup_layout_override(const struct cgroup_layout *layout)
{
	current = layout;
}

const struct cgroup_layout *cgroup_layout(void)
{
	static struct cgroup_layout host;
	static bool found;

	if (current)
		return current;
	if (!found) {
		find(&host);
		if (rootless())
			keep_delegated(&host);
	}
	found = true;
	return &host;
}

int cgroup_find(const struct cgroup_layout *l, int controller)
{
	for (size_t h = 0; h < l->n; h++)
		if (l->controllers[h] & CG_BIT(controller))
			return (int)h;
	return -1;
}

enum cgroup_mode cgroup_mode(void)
{
	return cgroup_layout()->mode;
}

const char *cgroup_controllers(void)
{
	static char text[256];
	const struct cgroup_layout *l = cgroup_layout();
	size_t len = 0;

	text[0] = '\0';
	for (int c = 0; c < CG_COUNT; c++) {
		int h = cgroup_find(l, c);
		if (h >= 0)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
				len ? "," : "",
				cgroup_controller_name(c, cgroup_is_v2(l, (size_t)h)));
	}
	return text;
}

const struct cgroup_hierarchy *cgroup_hierarchies(size_t *n)
{
	*n = cgroup_layout()->n;
	return cgroup_layout()->list;
}
