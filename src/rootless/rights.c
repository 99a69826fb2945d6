/*
 * Rights for one process: a user namespace in which every id of the user's is what it is outside, so that what
 * names the host's ids (an OCI bundle's mappings) means the same, and in which the process has all
 * capabilities without being another user. It ends with who is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/fd.h"

/* In a child, which stays outside: 0 or the error. */
static _Noreturn void map_parent(int fd, pid_t parent)
{
	struct answer a = { 0 };
	struct err err = { 0 };
	char c;

	if (fd_read_full(fd, &c, 1) != 1)
		_exit(1);
	ids_map_same(parent, &err);
	a.code = err.code;
	snprintf(a.text, sizeof(a.text), "%.*s", (int)sizeof(a.text) - 1, err.text);
	_exit(fd_write_all(fd, &a, sizeof(a)) < 0);
}

static int be_mapped(int fd, struct err *err)
{
	struct answer a;

	if (unshare(CLONE_NEWUSER) < 0)
		return space_refused(errno, err);
	if (fd_write_all(fd, "", 1) < 0 || fd_read_full(fd, &a, sizeof(a)) != sizeof(a))
		return err_set(err, EIO, "the process that maps our ids died");
	return a.code ? err_set(err, a.code, "%.*s", (int)sizeof(a.text) - 1, a.text) : 0;
}

static int make(struct err *err)
{
	pid_t self = getpid(), pid;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	pid = fork();
	if (pid == 0) {
		fd_close(pair[0]);
		map_parent(pair[1], self);
	}
	fd_close(pair[1]);
	r = pid < 0 ? err_errno(err, "make a process") : be_mapped(pair[0], err);
	fd_close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

int rootless_take_rights(struct err *err)
{
	uid_t uid = geteuid();
	int r;

	if (uid == 0)
		return 0;
	r = make(err);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0)
		return space_refused(errno, err);
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(err, "separate our mounts from the host's");
	rootless_has_rights(uid);
	return 0;
}

static int open_user_namespace(pid_t pid, struct err *err)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open '%s'", path) : fd;
}

int rootless_share_rights(pid_t pid, struct err *err)
{
	uid_t uid = geteuid();
	cleanup(fd_close) int fd = -1, own = -1, above = -1;

	if (uid == 0)
		return 0;
	fd = open_user_namespace(pid, err);
	own = fd < 0 ? -1 : open_user_namespace(getpid(), err);
	if (fd < 0 || own < 0)
		return fd < 0 ? fd : own;
	/* Upwards to the one that is right below ours. */
	while ((above = ioctl(fd, NS_GET_PARENT)) >= 0 &&
		namespace_inode(above) != namespace_inode(own)) {
		fd_close(fd);
		fd = take_fd(above);
	}
	if (above < 0)
		return err_set(err, EPERM, "process %d is in no user namespace of yours", (int)pid);
	if (setns(fd, CLONE_NEWUSER) < 0)
		return err_errno(err, "join the user namespace that the container was made in");
	rootless_has_rights(uid);
	return 0;
}
