/* The processes of a container: its group's, or, where it has none, those found in /proc. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/container.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "container/cgroup.h"

#define MAX_NESTING 32 /* of pid namespaces (pid_namespaces(7)) */

struct pids {
	pid_t *list;
	size_t n;
};

static void add(struct pids *p, pid_t pid)
{
	if ((p->n & (p->n - 1)) == 0)
		p->list = xrealloc_array(p->list, p->n ? 2 * p->n : 1, sizeof(*p->list));
	p->list[p->n++] = pid;
}

static ino_t inode(int fd)
{
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static int open_namespace(pid_t pid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* In that namespace or in one made from within it. */
static bool is_within(pid_t pid, ino_t target)
{
	int fd = open_namespace(pid);
	bool found = false;

	for (int depth = 0; fd >= 0 && !found && depth < MAX_NESTING; depth++) {
		int above;
		found = inode(fd) == target;
		above = found ? -1 : ioctl(fd, NS_GET_PARENT);
		fd_close(fd);
		fd = above;
	}
	if (found)
		return true;
	fd_close(fd);
	return false;
}

static pid_t parent_of(pid_t pid)
{
	char path[48], line[1024], *end;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_get_line(AT_FDCWD, path, line, sizeof(line)) < 0)
		return 0;
	end = strrchr(line, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

/* In a shared pid namespace only descent tells; who lost all parents is not found. */
static bool descends_from(pid_t pid, pid_t first)
{
	for (int depth = 0; pid > 1 && pid != first && depth < 4096; depth++)
		pid = parent_of(pid);
	return pid == first;
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static int find(pid_t first, pid_t **ret, struct err *err)
{
	cleanup(fd_close) int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	cleanup(fd_close) int theirs = open_namespace(first);
	cleanup(close_dir) DIR *d = opendir("/proc");
	ino_t target = inode(theirs);
	bool shared = target == inode(own);
	struct pids found = { 0 };

	if (!d || own < 0)
		return err_errno(err, "read '/proc'");
	if (theirs < 0)
		return err_errno(err, "look at process %d", (int)first);
	for (struct dirent *e; (e = readdir(d));) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid > 0 && (shared ? descends_from(pid, first) : is_within(pid, target)))
			add(&found, pid);
	}
	*ret = found.list;
	return (int)found.n;
}

int container_pids(const struct run_state *state, pid_t **ret, struct err *err)
{
	if (state->cgroup)
		return cgroup_pids(state->cgroup, ret, err);
	if (!run_alive(state))
		return err_set(err, ESRCH, "the container does not run");
	return find((pid_t)state->pid, ret, err);
}
