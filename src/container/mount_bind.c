/*
 * Bind mounts: what their sources are, and which options they get. See mount.h; mount_setattr(2),
 * mount_namespaces(7), "Restrictions on mount namespaces".
 *
 * Options are as runc has them. Nothing asked for: the source's are kept. Else the mount has those that are
 * asked for and no others, but keeps how it deals with access times unless that is among them.
 */
#include "container/mount_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "container/namespace.h"

#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif

/* What the kernel does not let a less privileged namespace take away. */
#define RESTRICTIONS ((unsigned long)(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))
#define ACCESS_TIMES ((unsigned long)(MS_NOATIME | MS_RELATIME | MS_STRICTATIME | MS_NODIRATIME))

static int source_flags(int tree, unsigned long *ret)
{
	static const struct {
		unsigned long st, ms;
	} table[] = { { ST_RDONLY, MS_RDONLY }, { ST_NOSUID, MS_NOSUID }, { ST_NODEV, MS_NODEV },
		{ ST_NOEXEC, MS_NOEXEC }, { ST_NOATIME, MS_NOATIME },
		{ ST_NODIRATIME, MS_NODIRATIME }, { ST_RELATIME, MS_RELATIME },
		{ ST_NOSYMFOLLOW, MS_NOSYMFOLLOW } };
	unsigned long flags = 0;
	struct statfs fs;

	if (fstatfs(tree, &fs) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if ((unsigned long)fs.f_flags & table[i].st)
			flags |= table[i].ms;
	*ret = flags;
	return 0;
}

/* Made comparable: one mode, and the two for directories. */
static unsigned long access_times(unsigned long flags, unsigned long otherwise)
{
	unsigned long mode = flags & MS_STRICTATIME ? MS_STRICTATIME
			     : flags & MS_NOATIME   ? MS_NOATIME
			     : flags & MS_RELATIME  ? MS_RELATIME
						    : otherwise;

	return mode | (flags & MS_NODIRATIME);
}

/*
 * For a container in a user namespace: what its source's mount restricts stays, as it would if the container's
 * root made the mount. To ask for the contrary is an error, for the mount would not be what was asked for.
 */
static int keep_locked(
	const struct mount_options *o, int tree, unsigned long *flags, struct err *err)
{
	unsigned long source = 0, times;
	int r = source_flags(tree, &source);

	if (r < 0)
		return err_code(err, r, "look at the source's options");
	times = access_times(source, MS_STRICTATIME);
	if (*flags & ACCESS_TIMES && access_times(*flags, MS_RELATIME) != times)
		return err_set(err, EPERM,
			"cannot change the access times of its source in a user namespace: operation not permitted");
	if (!(source & RESTRICTIONS & ~*flags))
		return 0;
	if (source & RESTRICTIONS & o->cleared)
		return err_set(err, EPERM,
			"cannot clear options that its source has in a user namespace: operation not permitted");
	*flags |= (source & RESTRICTIONS) | times;
	return 0;
}

static int set_options(const struct mount_item *item, struct err *err)
{
	const struct mount_options *o = &item->options;
	/* Nothing comes from or goes to the host's mounts unless that was asked for. */
	unsigned long propagation = o->propagation ? o->propagation : MS_PRIVATE | MS_REC;
	unsigned long flags = o->flags;
	uint64_t set, clear;
	int r = 0;

	if (flags || o->cleared) {
		if (item->locked) {
			r = keep_locked(o, item->tree, &flags, err);
			if (r < 0)
				return r;
		}
		mount_options_attributes(flags, &set, &clear);
		r = tree_set(item->tree, set, clear, 0, false);
	}
	if (r == 0)
		r = tree_set(item->tree, o->below_set, o->below_clear,
			propagation & ~(unsigned long)MS_REC,
			o->recursive && (propagation & MS_REC || o->below_clear));
	return r < 0 ? err_code(err, r, "set the options") : 0;
}

/* ---- ids */

static int open_joined(const struct bundle *b, struct err *err)
{
	for (size_t i = 0; i < b->linux_.namespaces.n; i++) {
		const struct bundle_namespace *n = b->linux_.namespaces.items[i];
		int fd;
		if (strcmp(n->type, "user") != 0 || !n->path || !*n->path)
			continue;
		fd = open(n->path, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? err_errno(err, "idmap: open '%s'", n->path) : fd;
	}
	return err_set(err, EINVAL, "idmap: there is no mapping, neither here nor in linux");
}

static int open_idmap(const struct bundle *b, const struct bundle_mount *m, struct err *err)
{
	bool own = m->uid_mappings.n > 0;
	const struct record_list *uids = own ? &m->uid_mappings : &b->linux_.uid_mappings;
	const struct record_list *gids = own ? &m->gid_mappings : &b->linux_.gid_mappings;

	return uids->n && gids->n ? user_map_open(uids, gids, err) : open_joined(b, err);
}

static int set_idmap(const struct mount_item *item, struct err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
		.userns_fd = (uint64_t)item->userns };
	unsigned flags = AT_EMPTY_PATH | (item->options.idmap_below ? AT_RECURSIVE : 0);

	if (mount_setattr(item->tree, "", flags, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno == EINVAL || errno == EOPNOTSUPP)
		return err_set(err, EOPNOTSUPP,
			"map the ids of '%s': its file system has no idmapped mounts (ext4, xfs and btrfs have)",
			item->mount->source);
	return err_errno(err, "map the ids of '%s'", item->mount->source);
}

/* ---- sources */

static int finish(struct mount_item *item, struct err *err)
{
	struct stat st;
	int r = 0;

	if (fstat(item->tree, &st) < 0)
		return err_errno(err, "source '%s'", item->mount->source);
	item->is_dir = S_ISDIR(st.st_mode);
	if (item->userns >= 0)
		r = set_idmap(item, err);
	return r < 0 ? r : set_options(item, err);
}

/* In a child: links on the way lead where they lead in that namespace, not on the host. */
static int tree_open_there(const void *data)
{
	const struct mount_item *item = data;
	int ns = open(item->mount->source_namespace, O_RDONLY | O_CLOEXEC);

	if (ns < 0 || setns(ns, CLONE_NEWNS) < 0)
		return -errno;
	return tree_open(AT_FDCWD, item->mount->source, item->options.recursive);
}

int bind_prepare(const struct bundle *b, int bundle_dir, struct mount_item *item, struct err *err)
{
	const struct bundle_mount *m = item->mount;

	if (!m->source || !*m->source)
		return err_set(err, EINVAL, "a bind mount needs a source");
	if (item->options.idmap || m->uid_mappings.n) {
		item->userns = open_idmap(b, m, err);
		if (item->userns < 0)
			return item->userns;
	}
	if (item->inside)
		return 0;
	item->tree = m->source_namespace
			     ? fd_from_child(tree_open_there, item)
			     : tree_open(bundle_dir, m->source, item->options.recursive);
	if (item->tree < 0)
		return err_code(err, item->tree, "source '%s'", m->source);
	return finish(item, err);
}

int bind_open_inside(struct mount_item *item, int root, struct err *err)
{
	cleanup(fd_close) int fd = open_in_root(root, item->inside, O_PATH, 0);

	item->tree = fd < 0 ? fd : tree_open(fd, "", item->options.recursive);
	if (item->tree < 0)
		return err_code(err, item->tree, "source '%s'", item->mount->source);
	return finish(item, err);
}
