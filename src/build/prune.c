/* What builds keep for the next: rows of the cache, and directories of RUN --mount=type=cache. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "build/build.h"
#include "image/image.h"
#include "image/layer_cache.h"

/* Unless some RUN has it mounted, or had it after `before`. */
static void remove_mount(int dir, const char *name, int64_t before, struct build_pruned *ret)
{
	cleanup(fd_close) int fd =
		openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t bytes = 0;
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
		st.st_mtim.tv_sec >= before / 1000000000)
		return;
	dir_usage(dir, name, &bytes);
	if (dir_remove(dir, name) == 0) {
		ret->entries++;
		ret->bytes += bytes;
	}
}

static void each_mount(int64_t before, struct build_pruned *ret, uint64_t *usage)
{
	cleanup(free) char *path = xasprintf("%s/build-cache", paths_root());
	DIR *d = opendir(path);
	struct dirent *e;
	uint64_t bytes;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (!usage)
			remove_mount(dirfd(d), e->d_name, before, ret);
		else if (dir_usage(dirfd(d), e->d_name, &bytes) == 0)
			*usage += bytes;
	}
	if (d)
		closedir(d);
}

int build_prune(struct db *db, int64_t before, struct build_pruned *ret, struct err *err)
{
	struct build_pruned pruned = { 0 };
	uint64_t freed = 0;
	int r = layer_cache_forget(db, before, &pruned.entries, err);

	if (r == 0)
		r = image_collect(db, &freed, err);
	if (r < 0)
		return r;
	each_mount(before, &pruned, NULL);
	pruned.bytes += freed;
	*ret = pruned;
	return 0;
}

int build_usage(struct db *db, struct layer_cache_usage *ret, struct err *err)
{
	uint64_t bytes = 0;
	int r = layer_cache_usage(db, ret, err);

	if (r < 0)
		return r;
	each_mount(0, NULL, &bytes);
	ret->bytes += bytes;
	ret->reclaimable += bytes;
	return 0;
}
