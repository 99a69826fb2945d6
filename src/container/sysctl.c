/* See sysctl.h. sysctl.d(5) for the two ways of writing a name. */
#include "container/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/alloc.h"
#include "base/fd.h"

static const struct {
	const char *name; /* a whole one, or up to a dot */
	uint64_t namespace;
} known[] = {
	{ "fs.mqueue.", CLONE_NEWIPC },
	{ "kernel.domainname", CLONE_NEWUTS },
	{ "kernel.hostname", CLONE_NEWUTS },
	{ "kernel.msgmax", CLONE_NEWIPC },
	{ "kernel.msgmnb", CLONE_NEWIPC },
	{ "kernel.msgmni", CLONE_NEWIPC },
	{ "kernel.sem", CLONE_NEWIPC },
	{ "kernel.shm_rmid_forced", CLONE_NEWIPC },
	{ "kernel.shmall", CLONE_NEWIPC },
	{ "kernel.shmmax", CLONE_NEWIPC },
	{ "kernel.shmmni", CLONE_NEWIPC },
	{ "net.", CLONE_NEWNET },
	{ "user.", CLONE_NEWUSER },
};

/* "net.ipv4.conf.eth0/1.x" and "net/ipv4/conf/eth0.1/x": the first separator says which is which. */
static char *swap_separators(const char *name, bool to_path)
{
	char *s = xstrdup(name);
	bool slashes = s[strcspn(s, "./")] == '/';

	if (slashes == to_path)
		return s;
	for (char *c = s; *c; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	return s;
}

static bool is_known(const char *name, uint64_t own)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].name);
		bool prefix = known[i].name[n - 1] == '.';
		if (strncmp(name, known[i].name, n) == 0 && (prefix || !name[n]))
			return own & known[i].namespace;
	}
	return false;
}

int sysctls_check(const struct bundle *b, const struct namespaces *ns, struct err *err)
{
	map_foreach (kv, b->linux_.sysctl) {
		cleanup(free) char *name = swap_separators(kv[0], /* to_path= */ false);
		cleanup(free) char *path = swap_separators(kv[0], /* to_path= */ true);
		if (strstr(path, "..") || path[0] == '/')
			return err_set(
				err, EINVAL, "linux.sysctl: '%s' is no name of a setting", kv[0]);
		if (!is_known(name, ns->created | ns->joined))
			return err_set(err, EINVAL,
				"linux.sysctl: '%s' would change the host's: it has no namespace of the container's own",
				kv[0]);
	}
	return 0;
}

/*
 * The container's own /proc, where it has one. The host's would do as well, but keeps an entry of the same name
 * for each network namespace in one chain: with a thousand containers a start would pass a thousand.
 */
static int settings_dir(int root)
{
	cleanup(fd_close) int fd = open_in_root(root, "/proc/sys", O_PATH | O_DIRECTORY, 0);
	struct statfs fs;

	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return take_fd(fd);
	return open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int sysctls_write(const struct bundle *b, int root, struct err *err)
{
	cleanup(fd_close) int dir = -1;

	map_foreach (kv, b->linux_.sysctl) {
		cleanup(free) char *name = swap_separators(kv[0], /* to_path= */ true);
		cleanup(free) char *path = xasprintf("/proc/sys/%s", name);
		int r;
		if (dir < 0)
			dir = settings_dir(root);
		r = file_put(dir, name, kv[1]);
		if (r == -EROFS) /* its /proc was asked to be read-only */
			r = file_put(AT_FDCWD, path, kv[1]);
		if (r < 0)
			return err_code(err, r, "linux.sysctl: set '%s' to '%s'", kv[0], kv[1]);
	}
	return 0;
}
