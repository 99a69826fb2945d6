/* The host's end of a machine's sockets: Unix sockets, by their paths. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "device/virtio/vsock.h"

int vsock_listen(const char *path, int *ret, struct err *err)
{
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cleanup(fd_close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	int r;

	if (fd < 0 || probe < 0)
		return err_errno(err, "make a socket");
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= (int)sizeof(a.sun_path))
		return err_set(err, ENAMETOOLONG, "'%s' is too long for a socket's path", path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (connect(probe, (struct sockaddr *)&a, sizeof(a)) == 0)
			return err_set(err, EADDRINUSE, "somebody listens at '%s' already", path);
		if (errno == ECONNREFUSED)
			unlink(path);
	} else if (lstat(path, &st) == 0) {
		return err_set(err, EEXIST, "'%s' is there, and is no socket", path);
	}
	r = bind(fd, (struct sockaddr *)&a, sizeof(a));
	if (r == 0)
		r = listen(fd, 64);
	if (r < 0)
		return err_errno(err, "listen at '%s'", path);
	*ret = take_fd(fd);
	return 0;
}

int vsock_connect(const char *path, uint32_t port)
{
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s_%u", path, port) >=
		(int)sizeof(a.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return take_fd(fd);
}
