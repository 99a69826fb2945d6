/* See notify.h. */
#include "oci/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"

#define DIRECTORY "notify"
#define NAME "notify.sock"
#define INSIDE "/run/notify"

static const char *host_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && (*path == '/' || *path == '@') && path[1] ? path : NULL;
}

int oci_notify_prepare(struct oci_container *c, struct err *err)
{
	struct bundle_mount *m;
	char *dir;

	if (!host_socket())
		return 0;
	dir = xasprintf("%s/" DIRECTORY, c->dir);
	m = bundle_add(&c->bundle->mounts, struct bundle_mount);
	m->source = dir;
	m->destination = xstrdup(INSIDE);
	m->type = xstrdup("bind");
	m->options = strv_split("bind,nosuid,noexec,nodev,ro", ',');
	strv_env_set(&c->bundle->process->env, "NOTIFY_SOCKET=" INSIDE "/" NAME);
	/* Whatever user the program is. */
	if (mkdir(dir, 0755) < 0 || chmod(dir, 0755) < 0)
		return err_errno(err, "NOTIFY_SOCKET: make '%s'", dir);
	return 0;
}

int oci_notify_listen(const struct oci_container *c, int *ret_fd, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(free) char *path = xasprintf("%s/" DIRECTORY, c->dir);
	cleanup(fd_close) int dir = -1, fd = -1;

	if (!host_socket())
		return 0;
	/* None: the variable was not set when the container was made. */
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" NAME, dir);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(a.sun_path, 0777) < 0)
		return err_errno(err, "NOTIFY_SOCKET: make the socket '%s/" NAME "'", path);
	*ret_fd = take_fd(fd);
	return 0;
}

static void tell(const char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *path = host_socket();
	size_t len = strlen(path);

	if (len >= sizeof(a.sun_path)) {
		log_warn("NOTIFY_SOCKET: the path '%s' is too long", path);
		return;
	}
	memcpy(a.sun_path, path, len);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("NOTIFY_SOCKET: tell '%s': %s", path, strerror(errno));
}

static bool is_ready(char *text)
{
	char *save = NULL;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strcmp(l, "READY=1") == 0)
			return true;
	return false;
}

void oci_notify_wait(const struct oci_container *c, int fd, pid_t main_pid)
{
	cleanup(fd_close) int pidfd = fd < 0 ? -1 : run_pidfd(&c->run);
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
	char text[4096];

	while (pidfd >= 0) {
		ssize_t n;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
		/* What was said before the end counts as well. */
		if (n < 0 && p[1].revents)
			return;
		if (n < 0)
			continue;
		text[n] = '\0';
		if (!is_ready(text))
			continue;
		tell("READY=1\n");
		if (main_pid > 0) {
			snprintf(text, sizeof(text), "MAINPID=%d\n", (int)main_pid);
			tell(text);
		}
		return;
	}
}

void oci_notify_fork(const struct oci_container *c, int fd)
{
	pid_t parent = getpid(), pid = fd < 0 ? -1 : fork();

	if (pid != 0) {
		if (fd >= 0 && pid < 0)
			log_warn("NOTIFY_SOCKET: make a process: %s", strerror(errno));
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		oci_notify_wait(c, fd, 0);
	_exit(0);
}
