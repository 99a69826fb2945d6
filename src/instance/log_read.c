/*
 * Reading an instance's log, while its supervisor may be writing and rotating it (log.c).
 *
 * Only whole lines are consumed, by pread at an offset of our own: a line that is still being written,
 * or that the writer takes back, is simply read again; whole lines stay. All files are opened before the first line is
 * read, newest first, so that a rotation meanwhile loses nothing; a file met twice is skipped.
 */
#include "instance/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"

#define MAX_FILES 1000
/* A line of 16 KiB in which every byte is escaped takes 96 KiB: longer ones are not ours. */
#define CHUNK (256u << 10)

typedef int entry_fn(void *data, int stream, int64_t time, const char *text, size_t len);

struct reader {
	int dirfd;
	struct log_read how;
	entry_fn *fn;
	void *data;
	int *fds; /* oldest first */
	size_t n;
	int64_t offset; /* in the file that is being read: what was consumed */
	char *chunk;
	int ended; /* what fn returned */
};

static void reader_clear(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++)
		fd_close(r->fds[i]);
	free(r->fds);
	free(r->chunk);
	fd_close(r->dirfd);
}
DEFINE_CLEANUP_OBJECT(reader_clear, struct reader);

static void file_name(char name[32], int n)
{
	snprintf(name, 32, n ? "log.json.%d" : "log.json", n);
}

static int open_log(int dirfd, int n)
{
	char name[32];
	int fd;

	file_name(name, n);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static int open_all(struct reader *r, struct err *err)
{
	for (int n = 0; n <= MAX_FILES; n++) {
		int fd = open_log(r->dirfd, n);
		/* While a rotation runs, one name of the row is missing for an instant. */
		if (fd == -ENOENT)
			fd = open_log(r->dirfd, ++n);
		if (fd == -ENOENT)
			break;
		if (fd < 0)
			return err_code(err, fd, "open log file %d", n);
		if (r->n && same_file(fd, r->fds[r->n - 1])) {
			fd_close(fd);
			continue;
		}
		r->fds = xrealloc_array(r->fds, r->n + 1, sizeof(int));
		r->fds[r->n++] = fd;
	}
	for (size_t i = 0; i < r->n / 2; i++) {
		int fd = r->fds[i];
		r->fds[i] = r->fds[r->n - 1 - i];
		r->fds[r->n - 1 - i] = fd;
	}
	return 0;
}

struct entry {
	json_t *j;
	int stream;
	int64_t time;
	const char *text;
	size_t len;
};

/* false for what is no line of a log: it is passed over. */
static bool parse_entry(const char *line, size_t len, struct entry *e)
{
	json_t *text;
	const char *stream, *time;

	e->j = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	text = json_object_get(e->j, "log");
	stream = json_string_value(json_object_get(e->j, "stream"));
	time = json_string_value(json_object_get(e->j, "time"));
	if (!json_is_string(text) || !stream || !time || time_parse(time, &e->time) < 0) {
		json_decref(e->j);
		return false;
	}
	e->stream = strcmp(stream, "stderr") == 0 ? 2 : 1;
	e->text = json_string_value(text);
	e->len = json_string_length(text);
	return true;
}

static bool wanted(const struct reader *r, const struct entry *e)
{
	return (e->stream == 2 ? r->how.want_stderr : r->how.want_stdout) &&
	       e->time >= r->how.since && (!r->how.until || e->time <= r->how.until);
}

/* Hands one line on. true ends the reading. */
static bool give(struct reader *r, const char *line, size_t len)
{
	struct entry e;

	if (!parse_entry(line, len, &e))
		return false;
	if (wanted(r, &e))
		r->ended = r->fn(r->data, e.stream, e.time, e.text, e.len);
	/* Following, nothing older can come any more. */
	else if (r->how.follow && r->how.until && e.time > r->how.until)
		r->ended = 1;
	json_decref(e.j);
	return r->ended != 0;
}

/* From r->offset to the last whole line of the file. 1 when fn ended it. */
static int read_file(struct reader *r, int fd, struct err *err)
{
	for (;;) {
		ssize_t n = pread(fd, r->chunk, CHUNK, r->offset);
		char *p = r->chunk, *end, *newline;
		if (n < 0)
			return err_errno(err, "read log");
		end = r->chunk + n;
		while (p < end && (newline = memchr(p, '\n', (size_t)(end - p)))) {
			size_t len = (size_t)(newline - p);
			r->offset += (int64_t)len + 1;
			if (give(r, p, len))
				return 1;
			p = newline + 1;
		}
		if (p == r->chunk && n == CHUNK)
			r->offset += n; /* one endless line: damaged */
		else if (n < (ssize_t)CHUNK)
			return 0;
	}
}

struct tail {
	int64_t left; /* lines still to be found */
	size_t file;
	int64_t offset;
	bool done;
};

/* One line, going backwards. */
static void tail_line(
	struct reader *r, struct tail *t, const char *line, size_t len, int64_t offset)
{
	struct entry e;

	if (!parse_entry(line, len, &e))
		return;
	if (wanted(r, &e)) {
		t->offset = offset;
		t->left--;
	}
	t->done = !t->left || e.time < r->how.since;
	json_decref(e.j);
}

/* Goes backwards through one file in chunks that end at line ends. */
static int tail_file(struct reader *r, int fd, struct tail *t)
{
	struct stat st;
	int64_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (end = st.st_size; end > 0 && !t->done;) {
		int64_t start = end > (int64_t)CHUNK ? end - (int64_t)CHUNK : 0;
		ssize_t n = pread(fd, r->chunk, (size_t)(end - start), start);
		size_t stop = n < 0 ? 0 : (size_t)n;
		if (n < 0)
			return -errno;
		if (stop < (size_t)(end - start))
			end = start + (int64_t)stop;
		while (stop && !t->done) {
			char *before = stop > 1 ? memrchr(r->chunk, '\n', stop - 1) : NULL;
			size_t from = before ? (size_t)(before - r->chunk) + 1 : 0;
			if (!before && start > 0)
				break; /* begins in the chunk before */
			if (r->chunk[stop - 1] == '\n')
				tail_line(r, t, r->chunk + from, stop - 1 - from,
					start + (int64_t)from);
			stop = from;
		}
		/* Without progress, the whole chunk is one damaged line. */
		end = stop == (size_t)(end - start) ? start : start + (int64_t)stop;
	}
	return 0;
}

/* Finds where the last `tail` wanted lines begin. */
static int find_tail(struct reader *r, struct tail *t, struct err *err)
{
	for (size_t i = r->n; i-- > 0 && !t->done;) {
		int64_t left = t->left;
		int rc = tail_file(r, r->fds[i], t);
		if (rc < 0)
			return err_code(err, rc, "read log");
		if (t->left != left)
			t->file = i;
	}
	return 0;
}

static int read_past(struct reader *r, struct err *err)
{
	struct tail t = { .left = r->how.tail };
	struct stat st;
	int rc;

	if (r->how.tail >= 0 && r->n) {
		t.file = r->n - 1;
		t.offset = fstat(r->fds[t.file], &st) == 0 ? st.st_size : 0;
		t.done = r->how.tail == 0;
		rc = find_tail(r, &t, err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = t.file; i < r->n; i++) {
		r->offset = i == t.file ? t.offset : 0;
		/* Nothing in a file is younger than its last change. */
		if (i + 1 < r->n && r->how.since && fstat(r->fds[i], &st) == 0 &&
			(st.st_mtim.tv_sec + 1) * INT64_C(1000000000) < r->how.since)
			continue;
		rc = read_file(r, r->fds[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

/* The file after fd in time: the one with the next lower number. -ENOENT when fd is the newest. */
static int open_next(struct reader *r, int fd)
{
	int next = -ENOENT;

	for (int n = 0; n <= MAX_FILES; n++) {
		cleanup(fd_close) int at = open_log(r->dirfd, n);
		if (at < 0 && n)
			break; /* fd was rotated away: the oldest there is */
		if (at >= 0 && fd >= 0 && same_file(at, fd))
			break;
		if (at >= 0) {
			fd_close(next);
			next = take_fd(at);
		}
	}
	return next;
}

/* What was added since, through rotations. 1 when fn ended it. */
static int read_new(struct reader *r, int *fd, struct err *err)
{
	for (;;) {
		struct stat st;
		int rc, next;
		/* Emptied by hand: the writer never takes back a whole line. */
		if (*fd >= 0 && fstat(*fd, &st) == 0 && st.st_size < r->offset)
			r->offset = 0;
		rc = *fd >= 0 ? read_file(r, *fd, err) : 0;
		if (rc)
			return rc;
		next = open_next(r, *fd);
		if (next < 0)
			return 0;
		/* Between the read and the rotation more may have been written. */
		rc = *fd >= 0 ? read_file(r, *fd, err) : 0;
		fd_close(*fd);
		*fd = next;
		r->offset = 0;
		if (rc)
			return rc;
	}
}

/* The supervisor, for its end to be seen at once; -1 when it is gone. */
static int supervisor_pidfd(const struct instance *i)
{
	return i->state.supervisor_pid > 0
		       ? (int)syscall(SYS_pidfd_open, (pid_t)i->state.supervisor_pid, 0)
		       : -1;
}

/* By the state file as it is now: that which the caller has may be old. */
static bool still_running(struct reader *r)
{
	cleanup(json_free) json_t *j = json_read(r->dirfd, "state.json", NULL);
	const char *status = json_string_value(json_object_get(j, "status"));

	return status && (strcmp(status, "running") == 0 || strcmp(status, "paused") == 0 ||
				 strcmp(status, "restarting") == 0);
}

static int follow_timeout(const struct reader *r, bool watched)
{
	int64_t left, limit = watched ? 10000 : 200;

	if (!r->how.until)
		return (int)limit;
	left = (r->how.until - time_now()) / 1000000 + 1;
	return (int)(left < 0 ? 0 : left < limit ? left : limit);
}

static void drain_inotify(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

static int follow(struct reader *r, const struct instance *i, int watch, struct err *err)
{
	cleanup(fd_close) int pidfd = supervisor_pidfd(i);
	cleanup(fd_close) int fd = -1;
	bool over = pidfd < 0;

	if (r->n)
		fd = take_fd(r->fds[r->n - 1]);
	for (;;) {
		struct pollfd p[2] = { { .fd = watch, .events = POLLIN },
			{ .fd = pidfd, .events = POLLIN } };
		int rc;
		/* First whether it has ended, then what it wrote: in the writer's order. */
		over = over || !still_running(r) || (r->how.until && time_now() > r->how.until);
		rc = read_new(r, &fd, err);
		if (rc || over)
			return rc;
		poll(p, 2, follow_timeout(r, watch >= 0));
		if (p[0].revents)
			drain_inotify(watch);
		over = p[1].revents != 0;
	}
}

int log_read(const struct instance *i, const struct log_read *how, entry_fn *fn, void *data,
	struct err *err)
{
	cleanup(reader_clear) struct reader r = { .how = *how, .fn = fn, .data = data };
	cleanup(fd_close) int watch = -1;
	int rc;

	r.dirfd = -1;
	if (i->config.log_driver && strcmp(i->config.log_driver, "none") == 0)
		return err_set(err, ENOTSUP,
			"'%s' keeps no log: it was created with --log-driver none", i->config.name);
	r.dirfd = open(i->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.dirfd < 0)
		return err_errno(err, "open '%s'", i->dir);
	r.chunk = xcalloc(1, CHUNK);
	if (how->follow) {
		/* Before the first look, so that nothing comes unseen; without it, a slow poll. */
		watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (watch >= 0 && inotify_add_watch(watch, i->dir,
					  IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
			watch = fd_close(watch);
	}
	rc = open_all(&r, err);
	if (rc == 0)
		rc = read_past(&r, err);
	if (rc == 0 && how->follow)
		rc = follow(&r, i, watch, err);
	return rc < 0 ? rc : 0;
}
