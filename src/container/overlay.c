/* See overlay.h. Kernel Documentation/filesystems/overlayfs.rst, mount_setattr(2). */
#include "container/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/mount.h"
#include "container/namespace.h"
#include "container/report.h"
#include "rootless/rootless.h"

/* What is left in the upper directory is plain files and whiteouts, which diff and commit read, whatever
 * the kernel's defaults are; and an image's own redirects lead nowhere. */
#define OVERLAY_OPTIONS "redirect_dir=nofollow,index=off,metacopy=off"
#define PAGE 4096 /* mount(2) takes no more */

struct opened {
	int *fds;
	size_t n;
};

static void opened_free(struct opened *o)
{
	for (size_t i = 0; i < o->n; i++)
		fd_close(o->fds[i]);
	free(o->fds);
}
DEFINE_CLEANUP_OBJECT(opened_free, struct opened);

static int open_layer(struct opened *o, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		o->fds[o->n++] = fd;
	return fd < 0 ? -errno : fd;
}

/* Without "volatile" (Linux 5.10) the unmounting at a container's end syncs the whole file system that
 * upper is on. It leaves work/incompat/volatile: what was ephemeral is not mounted a second time. */
static void add_options(const struct bundle_holm *h, struct buf *data)
{
	/* In a user namespace overlay's own attributes are user.*, and no redirects can be asked for. */
	buf_adds(data, rootless() ? "userxattr,index=off,metacopy=off" : OVERLAY_OPTIONS);
	if (h->ephemeral && h->upper)
		buf_adds(data, ",volatile");
	buf_adds(data, ",lowerdir=");
}

/* By name: what mount(8) then shows. Not when a name has one of the option syntax's own characters. */
static bool named_data(const struct bundle_holm *h, struct buf *data)
{
	bool plain = true;

	add_options(h, data);
	for (size_t i = strv_len(h->layers); i-- > 0;) {
		plain &= !strpbrk(h->layers[i], ",:\\");
		buf_addf(data, "%s%s", h->layers[i], i ? ":" : "");
	}
	if (h->upper) {
		plain &= !strpbrk(h->upper, ",\\") && !strpbrk(h->work, ",\\");
		buf_addf(data, ",upperdir=%s,workdir=%s", h->upper, h->work);
	}
	return plain && data->len < PAGE;
}

/* By descriptor: short whatever the paths are. */
static int numbered_data(
	const struct bundle_holm *h, struct opened *o, struct buf *data, struct err *err)
{
	const char *above[] = { h->upper, h->work };
	static const char *const options[] = { ",upperdir=", ",workdir=" };

	o->fds = xcalloc(strv_len(h->layers) + 2, sizeof(int));
	data->len = 0;
	add_options(h, data);
	for (size_t i = strv_len(h->layers); i-- > 0;) {
		int fd = open_layer(o, h->layers[i]);
		if (fd < 0)
			return err_code(err, fd, "layer '%s'", h->layers[i]);
		buf_addf(data, "/proc/self/fd/%d%s", fd, i ? ":" : "");
	}
	for (size_t i = 0; h->upper && i < ARRAY_SIZE(above); i++) {
		int fd = open_layer(o, above[i]);
		if (fd < 0)
			return err_code(err, fd, "overlay: '%s'", above[i]);
		buf_addf(data, "%s/proc/self/fd/%d", options[i], fd);
	}
	if (data->len >= PAGE)
		return err_set(err, E2BIG, "overlay: %zu layers are too many", strv_len(h->layers));
	return 0;
}

/* mount(2) says no more than EINVAL or ENOENT: find out which directory is meant. */
static int explain(const struct bundle *b, int code, struct err *err)
{
	const struct bundle_holm *h = &b->holm;
	const char *others[] = { h->upper, h->work, b->root_path };

	if (code != -ENOENT && code != -ENOTDIR && code != -EACCES)
		return err_code(err, code, "root '%s': mount the overlay", b->root_path);
	strv_foreach (l, h->layers)
		if (access(*l, F_OK) < 0)
			return err_errno(err, "layer '%s'", *l);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i] && access(others[i], F_OK) < 0)
			return err_errno(err, "overlay: '%s'", others[i]);
	return err_code(err, code, "root '%s': mount the overlay", b->root_path);
}

int overlay_mount(const struct bundle *b, int bundle_dir, struct err *err)
{
	cleanup(buf_free) struct buf data = { 0 };
	cleanup(opened_free) struct opened opened = { 0 };
	const char *label = b->linux_.mount_label;
	int r, fd;

	/* root.path may be relative to the bundle, and mount(2) knows no directory descriptors. */
	if (b->root_path[0] != '/' && fchdir(bundle_dir) < 0)
		return err_errno(err, "enter the bundle's directory");
	if (!named_data(&b->holm, &data)) {
		r = numbered_data(&b->holm, &opened, &data, err);
		if (r < 0)
			return r;
	}
	if (label && *label)
		buf_addf(&data, ",context=\"%s\"", label);
	if (mount("overlay", b->root_path, "overlay", b->holm.upper ? 0 : MS_RDONLY, data.data) < 0)
		return explain(b, -errno, err);
	fd = open(b->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "root '%s'", b->root_path) : fd;
}

/* ---- with other ids */

/* Covers a directory with an idmapped copy of itself. */
static int shift(const char *path, int userns, struct err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	cleanup(fd_close) int tree = tree_open(AT_FDCWD, path, false), dest = -1;
	int r;

	if (tree < 0)
		return err_code(err, tree, "layer '%s'", path);
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_errno(err,
			"layer '%s': map its ids (needs a file system with idmapped mounts)", path);
	dest = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = dest < 0 ? -errno : tree_attach(tree, dest);
	return r < 0 ? err_code(err, r, "layer '%s': map its ids", path) : 0;
}

/* The kernel wants upper and work on one mount: the directory that both are in. */
static char *common_parent(const char *a, const char *b)
{
	size_t slash = 0;

	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '/')
			slash = i;
	return slash ? xstrndup(a, slash) : xstrdup("/");
}

static int shift_all(const struct bundle *b, struct err *err)
{
	const struct bundle_linux *l = &b->linux_;
	cleanup(fd_close) int userns = user_map_open(&l->uid_mappings, &l->gid_mappings, err);
	int r;

	if (userns < 0)
		return userns;
	strv_foreach (layer, b->holm.layers) {
		r = shift(*layer, userns, err);
		if (r < 0)
			return r;
	}
	if (!b->holm.upper)
		return 0;
	cleanup(free) char *above = common_parent(b->holm.upper, b->holm.work);
	return shift(above, userns, err);
}

/* The overlay makes its own files with the ids of who mounted it, and these must exist in the mapping:
 * those of the container's root, with the host's capabilities kept. */
static int take_ids(const struct bundle *b, struct err *err)
{
	uint32_t uid = user_map_host(&b->linux_.uid_mappings, 0);
	uint32_t gid = user_map_host(&b->linux_.gid_mappings, 0);

	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return err_set(err, EINVAL, "linux.uidMappings: id 0 is not mapped");
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return err_errno(err, "keep capabilities");
	setfsgid(gid);
	setfsuid(uid);
	return 0;
}

static int make_mapped(const struct bundle *b, int bundle_dir, struct err *err)
{
	cleanup(fd_close) int root = -1;
	int r, tree;

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(err, "make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(err, "separate the mounts from the host's");
	r = shift_all(b, err);
	if (r == 0)
		r = take_ids(b, err);
	if (r < 0)
		return r;
	root = overlay_mount(b, bundle_dir, err);
	if (root < 0)
		return root;
	tree = tree_open(root, "", false);
	return tree < 0 ? err_code(err, tree, "root '%s'", b->root_path) : tree;
}

int overlay_open_mapped(const struct bundle *b, int bundle_dir, struct err *err)
{
	struct err why = { 0 };
	int pair[2], tree = -1, r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	pid = fork();
	if (pid == 0) {
		tree = make_mapped(b, bundle_dir, &why);
		_exit(report_send(pair[1], tree < 0 ? REPORT_ERROR : REPORT_READY, &why, tree) < 0);
	}
	fd_close(pair[1]);
	r = pid < 0 ? err_errno(err, "make a process")
		    : report_wait(pair[0], REPORT_READY, &tree, err);
	fd_close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : tree;
}
