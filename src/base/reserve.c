#include "base/reserve.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/paths.h"

#define RESERVE (1u << 20)
#define PLENTY (64u << 20)

static uint64_t space_left(void)
{
	struct statvfs v;

	return statvfs(paths_root(), &v) < 0 ? UINT64_MAX : (uint64_t)v.f_bavail * v.f_frsize;
}

void reserve_keep(void)
{
	cleanup(free) char *path = xasprintf("%s/reserve", paths_root());
	cleanup(fd_close) int fd = -1;

	if (access(path, F_OK) == 0 || space_left() < PLENTY)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && posix_fallocate(fd, 0, RESERVE) != 0)
		unlink(path);
}

bool reserve_spend(void)
{
	cleanup(free) char *path = NULL;

	if (space_left() >= RESERVE)
		return false;
	path = xasprintf("%s/reserve", paths_root());
	return unlink(path) == 0;
}
