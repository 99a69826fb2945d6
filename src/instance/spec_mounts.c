/*
 * Mounts of an instance, in the order in which they are made: Docker's default file systems, then
 * what was asked for, shorter targets first, then the three files that name hosts.
 */
#include "instance/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"
#include "instance/volume.h"
#include "rootless/rootless.h"

#define DEFAULT_SHM (64 << 20)
#define MOUNTINFO_MAX (16u << 20)

/* Of a mode "container:ID" the id, else NULL. */
static const char *other_container(const char *mode)
{
	static const char prefix[] = "container:";

	return mode && strncmp(mode, prefix, strlen(prefix)) == 0 ? mode + strlen(prefix) : NULL;
}

static struct bundle_mount *add(struct bundle *b, const char *target, const char *type,
	const char *source, const char *options)
{
	struct bundle_mount *m = bundle_add(&b->mounts, struct bundle_mount);

	m->destination = xstrdup(target);
	m->type = xstrdup(type);
	m->source = xstrdup(source);
	m->options = strv_split(options, ',');
	return m;
}

static const struct instance_mount *mount_at(const struct instance_config *c, const char *target)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct instance_mount *m = c->mounts.items[i];
		if (strcmp(m->target, target) == 0)
			return m;
	}
	return NULL;
}

/* POSIX shared memory goes with the IPC namespace: the other container's /dev/shm. */
static int shared_memory_of(struct db *db, const char *other, struct bundle *b, struct err *err)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct bundle_mount *m;
	int r = instance_find(db, other, &i, err);

	if (r < 0)
		return r;
	m = add(b, "/dev/shm", "bind", "/dev/shm", "bind");
	m->source_namespace = xasprintf("/proc/%lld/ns/mnt", (long long)i->state.run.pid);
	return 0;
}

static int default_mounts(
	struct db *db, const struct instance_config *c, struct bundle *b, struct err *err)
{
	const char *other = other_container(c->ipc_mode);
	int64_t shm = c->limits.shm_size ? c->limits.shm_size : DEFAULT_SHM;
	cleanup(free) char *shm_options =
		xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld", (long long)shm);
	bool host_ipc = c->ipc_mode && strcmp(c->ipc_mode, "host") == 0;

	add(b, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	add(b, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
	/* 5 is "tty" everywhere; it may be an id that an ordinary user lacks. */
	add(b, "/dev/pts", "devpts", "devpts",
		rootless() && rootless_last_id() < 5
			? "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"
			: "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	add(b, "/sys", "sysfs", "sysfs",
		c->privileged ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro");
	add(b, "/sys/fs/cgroup", "cgroup", "cgroup",
		c->privileged ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro");
	if (host_ipc && access("/dev/mqueue", F_OK) == 0)
		add(b, "/dev/mqueue", "bind", "/dev/mqueue", "rbind");
	else if (!host_ipc)
		add(b, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
	if (mount_at(c, "/dev/shm"))
		return 0;
	if (other)
		return shared_memory_of(db, other, b, err);
	if (host_ipc)
		add(b, "/dev/shm", "bind", "/dev/shm", "rbind");
	else
		add(b, "/dev/shm", "tmpfs", "shm", shm_options);
	return 0;
}

/*
 * What is mounted below a shared mount comes to those who share it; one that is not shared has nobody to share
 * with, and would keep it to itself without a word. mount_namespaces(7), proc(5) for the fields of mountinfo.
 */
static int check_propagation(const char *source, const char *propagation, struct err *err)
{
	cleanup(buf_free) struct buf mounts = { 0 };
	struct statx st;
	char *save = NULL;

	if (!strstr(propagation, "shared") ||
		statx(AT_FDCWD, source, AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0 ||
		file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &mounts) < 0)
		return 0; /* its mount tells */
	for (char *line = strtok_r(mounts.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *end = strstr(line, " - ");
		if (strtoull(line, NULL, 10) != st.stx_mnt_id)
			continue;
		if (end)
			*end = '\0';
		if (strstr(line, " shared:"))
			return 0;
		return err_set(err, EINVAL,
			"'%s' is on a mount that is not shared: leave '%s' out, or share the mount (mount --make-shared)",
			source, propagation);
	}
	return 0;
}

static int add_bind(struct bundle *b, const struct instance_mount *m, const char *source,
	bool idmap, struct err *err)
{
	struct bundle_mount *made;
	int r;

	if (access(source, F_OK) < 0) {
		if (errno != ENOENT || !m->create_source)
			return err_errno(err, "bind source '%s'", source);
		if (dir_make(source, 0755) < 0)
			return err_errno(err, "make bind source '%s'", source);
	}
	r = m->propagation ? check_propagation(source, m->propagation, err) : 0;
	if (r < 0)
		return r;
	made = add(b, m->target, "bind", source, m->non_recursive ? "bind" : "rbind");
	strv_add(&made->options, m->propagation ? m->propagation : "rprivate");
	/* Docker 25: nothing below a read-only mount can be written to either, unless asked for. */
	if (m->read_only)
		strv_add(&made->options, m->writable_below || m->non_recursive ? "ro" : "rro");
	if (idmap)
		strv_add(&made->options, "idmap");
	return 0;
}

static int volume(struct db *db, const struct instance_config *c, struct bundle *b,
	const struct instance_mount *m, struct err *err)
{
	cleanup(volume_free) struct volume *v = NULL;
	const char *device, *type, *options;
	struct bundle_mount *made;
	int r = volume_find(db, m->source, &v, err);

	if (r < 0)
		return r;
	device = map_get(v->options, "device");
	type = map_get(v->options, "type");
	options = map_get(v->options, "o");
	if (!device && !type) {
		struct instance_mount plain = *m;
		plain.create_source = true; /* ours: made again if somebody removed it */
		/* Its files have the ids of inside, whichever user namespaces share it. */
		return add_bind(b, &plain, v->mountpoint, instance_userns_base(c) != 0, err);
	}
	made = add(b, m->target, type ? type : "none", device ? device : "none",
		options ? options : "rw");
	if (type && strcmp(type, "none") == 0)
		str_replace(&made->type, "bind");
	strv_add(&made->options, m->read_only ? "ro" : "rw");
	return 0;
}

static void tmpfs(struct bundle *b, const struct instance_mount *m)
{
	struct bundle_mount *made = add(b, m->target, "tmpfs", "tmpfs", "nosuid,nodev,noexec");

	strv_add_all(&made->options, m->tmpfs_options);
	if (m->tmpfs_size)
		strv_addf(&made->options, "size=%lld", (long long)m->tmpfs_size);
	if (m->tmpfs_mode)
		strv_addf(&made->options, "mode=%llo", (unsigned long long)m->tmpfs_mode);
	if (m->read_only)
		strv_add(&made->options, "ro");
}

static size_t depth(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

static int by_depth(const void *a, const void *b)
{
	const struct instance_mount *x = *(struct instance_mount *const *)a,
				    *y = *(struct instance_mount *const *)b;
	size_t dx = depth(x->target), dy = depth(y->target);

	return dx != dy ? (dx < dy ? -1 : 1) : strcmp(x->target, y->target);
}

struct instance_mount **mounts_by_depth(const struct instance_config *c)
{
	struct instance_mount **sorted = xcalloc(c->mounts.n + 1, sizeof(*sorted));

	for (size_t i = 0; i < c->mounts.n; i++)
		sorted[i] = c->mounts.items[i];
	qsort(sorted, c->mounts.n, sizeof(*sorted), by_depth);
	return sorted;
}

static int asked_mounts(
	struct db *db, const struct instance_config *c, struct bundle *b, struct err *err)
{
	cleanup(free) struct instance_mount **sorted = mounts_by_depth(c);
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->mounts.n; i++) {
		const struct instance_mount *m = sorted[i];
		if (strcmp(m->type, "bind") == 0)
			r = add_bind(b, m, m->source, /* idmap= */ false, err);
		else if (strcmp(m->type, "volume") == 0)
			r = volume(db, c, b, m, err);
		else
			tmpfs(b, m);
	}
	return r;
}

/* Of whose network it is: who shares another's has its names too (Docker). */
static char *network_files_dir(const struct instance *i)
{
	const char *other = other_container(i->config.network_mode);

	return other ? xasprintf("%s/instances/%s", paths_root(), other) : xstrdup(i->dir);
}

int spec_mounts(struct db *db, const struct instance *i, struct bundle *b, struct err *err)
{
	static const char *const files[] = { "hosts", "hostname", "resolv.conf" };
	const struct instance_config *c = &i->config;
	cleanup(free) char *dir = network_files_dir(i);
	int r = default_mounts(db, c, b, err);
	if (r < 0)
		return r;
	for (size_t n = 0; n < ARRAY_SIZE(files); n++) {
		cleanup(free) char *target = xasprintf("/etc/%s", files[n]);
		cleanup(free) char *source = xasprintf("%s/%s", dir, files[n]);
		if (!mount_at(c, target))
			add(b, target, "bind", source, "rbind,rprivate");
	}
	return asked_mounts(db, c, b, err);
}

static int write_text(const struct instance *i, const char *name, const char *text, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/%s", i->dir, name);
	uint32_t root = instance_userns_base(&i->config);
	/* Before the start only: a running instance has the file itself mounted. */
	int r = file_write(-1, path, text, strlen(text), 0644, 0);

	if (r == 0 && root && lchown(path, root, root) < 0)
		r = -errno;
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

static int write_hosts(const struct instance *i, const char *hostname, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	const struct instance_config *c = &i->config;
	const struct record_list *endpoints = &i->state.endpoints;
	const char *gateway =
		endpoints->n ? ((struct bundle_endpoint *)endpoints->items[0])->gateway4 : NULL;

	buf_adds(&b, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
		     "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
		     "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	strv_foreach (h, c->extra_hosts) {
		const char *colon = strchr(*h, ':');
		const char *address = colon + 1;
		if (strcmp(address, "host-gateway") == 0)
			address = gateway;
		if (!address)
			continue;
		buf_addf(&b, "%s\t%.*s\n", address, (int)(colon - *h), *h);
	}
	for (size_t n = 0; n < i->state.endpoints.n; n++) {
		const struct bundle_endpoint *ep = i->state.endpoints.items[n];
		const char *both[] = { ep->address4, ep->address6 };
		for (int k = 0; k < 2; k++)
			if (both[k] && c->domainname)
				buf_addf(&b, "%.*s\t%s.%s %s\n", (int)strcspn(both[k], "/"),
					both[k], hostname, c->domainname, hostname);
			else if (both[k])
				buf_addf(&b, "%.*s\t%s\n", (int)strcspn(both[k], "/"), both[k],
					hostname);
	}
	return write_text(i, "hosts", b.data, err);
}

static bool own_resolver(const struct instance *i)
{
	for (size_t n = 0; n < i->config.networks.n; n++) {
		const struct instance_network *net = i->config.networks.items[n];
		if (strcmp(net->network, "bridge") != 0)
			return true;
	}
	return false;
}

/* The host's resolvers; those on its loopback cannot be reached from another network namespace. */
static void host_resolvers(struct buf *b, bool same_netns, bool servers, bool searches)
{
	cleanup(buf_free) struct buf text = { 0 };
	bool any = false;
	char *rest, *line;

	if (file_read(-1, "/etc/resolv.conf", 1u << 20, &text) < 0)
		buf_adds(&text, "");
	rest = text.data;
	while (rest && (line = strsep(&rest, "\n"))) {
		char *value = line + strcspn(line, " \t");
		bool server = strncmp(line, "nameserver", 10) == 0;
		value += strspn(value, " \t");
		if (server && (!servers || (!same_netns && (strncmp(value, "127.", 4) == 0 ||
								   strcmp(value, "::1") == 0))))
			continue;
		if (!server && (!searches || (strncmp(line, "search", 6) != 0 &&
						     strncmp(line, "options", 7) != 0)))
			continue;
		any |= server;
		buf_addf(b, "%s\n", line);
	}
	if (servers && !any && !same_netns)
		buf_adds(b, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

static int write_resolv(const struct instance *i, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };
	const struct instance_config *c = &i->config;
	bool host = c->network_mode && strcmp(c->network_mode, "host") == 0;
	bool own = own_resolver(i);

	if (own)
		buf_adds(&b, "nameserver 127.0.0.11\n");
	else
		strv_foreach (s, c->dns)
			buf_addf(&b, "nameserver %s\n", *s);
	host_resolvers(&b, host, !own && !c->dns, !c->dns_search);
	if (c->dns_search) {
		cleanup(free) char *all = strv_join(c->dns_search, " ");
		if (strcmp(all, ".") != 0)
			buf_addf(&b, "search %s\n", all);
	}
	if (c->dns_options) {
		cleanup(free) char *all = strv_join(c->dns_options, " ");
		buf_addf(&b, "options %s\n", all);
	} else if (own) {
		buf_adds(&b, "options ndots:0\n");
	}
	return write_text(i, "resolv.conf", b.data ? b.data : "", err);
}

int spec_network_files(const struct instance *i, struct err *err)
{
	char host[256];
	const char *name = i->config.hostname;
	cleanup(free) char *line = NULL;
	int r;

	if (other_container(i->config.network_mode))
		return 0;
	if (!name && gethostname(host, sizeof(host)) == 0)
		name = host;
	line = xasprintf("%s\n", name ? name : "localhost");
	r = write_text(i, "hostname", line, err);
	if (r == 0)
		r = write_hosts(i, name ? name : "localhost", err);
	return r < 0 ? r : write_resolv(i, err);
}
