/*
 * The record of a running instance. A pid may be given to another process once ours was reaped; the
 * start time tells them apart (proc(5), /proc/PID/stat field 22).
 */
#include "bundle/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

const struct record_field run_state_fields[] = {
	RECORD_F(struct run_state, pid, "pid", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(struct run_state, pid_start, "pidStart", RECORD_I64, RECORD_ALWAYS),
	RECORD(struct run_state, cgroup, "cgroup", RECORD_STR),
	RECORD(struct run_state, run_dir, "runDir", RECORD_STR),
	RECORD_END,
};

int run_pid_start(pid_t pid, int64_t *ret)
{
	char path[48], line[1024], *field;
	cleanup(fd_close) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, line, sizeof(line) - 1);
	if (n < 0)
		return -errno;
	line[n] = '\0';
	/* Field 2 is the command in parentheses and may itself contain any of these. */
	field = strrchr(line, ')');
	for (int i = 2; field && i < 22; i++) {
		field = strchr(field, ' ');
		field = field ? field + 1 : NULL;
	}
	if (!field)
		return -EBADMSG;
	field[strcspn(field, " \n")] = '\0';
	return parse_i64(field, 0, INT64_MAX, ret);
}

int run_pidfd(const struct run_state *state)
{
	cleanup(fd_close) int fd = -1;
	int64_t start = 0;
	int r;

	if (state->pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)state->pid, 0);
	if (fd < 0)
		return -errno;
	/* Only now: the descriptor already stands for one process, whichever it is. */
	r = state->pid_start ? run_pid_start((pid_t)state->pid, &start) : 0;
	if (r < 0)
		return r;
	if (state->pid_start && start != state->pid_start)
		return -ESRCH;
	return take_fd(fd);
}

bool run_alive(const struct run_state *state)
{
	cleanup(fd_close) int fd = run_pidfd(state);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	/* Readable once all its threads are dead, reaped or not. */
	return fd >= 0 && poll(&p, 1, 0) == 0;
}
