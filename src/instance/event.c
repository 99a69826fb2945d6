/*
 * The journal of events: RUN/events, and RUN/events.1 once that has grown past MAX_BYTES.
 *
 * Many processes append, each line by one write(2) under a shared flock; who finds the file too
 * large renames it under an exclusive one. So a file that has been renamed gets no more lines, and a
 * reader that has come to its end can go on to the next.
 */
#include "instance/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/record.h"

#define MAX_BYTES (8 << 20)

static json_t *make_event(
	const char *type, const char *action, const char *id, char *const *attributes)
{
	int64_t now = time_now();
	json_t *event = json_object(), *actor = json_object(), *a = json_object();

	map_foreach (kv, attributes)
		json_object_set_new(a, kv[0], json_shown(kv[1]));
	json_object_set_new(actor, "ID", json_string(id));
	json_object_set_new(actor, "Attributes", a);
	json_object_set_new(event, "Type", json_string(type));
	json_object_set_new(event, "Action", json_string(action));
	json_object_set_new(event, "Actor", actor);
	json_object_set_new(event, "scope", json_string("local"));
	json_object_set_new(event, "time", json_integer(now / 1000000000));
	json_object_set_new(event, "timeNano", json_integer(now));
	return event;
}

static int open_journal(const char *suffix, int flags)
{
	cleanup(free) char *path = xasprintf("%s/events%s", paths_run(), suffix);

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static bool is_file(int fd, const char *suffix)
{
	cleanup(fd_close) int now = open_journal(suffix, O_PATH);
	struct stat a, b;

	return now >= 0 && fstat(fd, &a) == 0 && fstat(now, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static bool is_current(int fd)
{
	return is_file(fd, "");
}

static void rotate(int fd)
{
	cleanup(free) char *path = NULL, *old = NULL;

	/* While others write, they will find it too large as well. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_current(fd))
		return;
	path = xasprintf("%s/events", paths_run());
	old = xasprintf("%s/events.1", paths_run());
	if (rename(path, old) < 0)
		log_warn_once("rotate '%s': %s", path, strerror(errno));
}

void event_emit(const char *type, const char *action, const char *id, char *const *attributes)
{
	cleanup(json_free) json_t *event = make_event(type, action, id, attributes);
	cleanup(free) char *text = json_text(event, 0);
	cleanup(free) char *line = xasprintf("%s\n", text);
	size_t len = strlen(line);
	cleanup(fd_close) int fd = -1;
	struct stat st;

	if (!paths_run())
		return;
	for (int tries = 0; tries < 8; tries++) {
		fd_close(fd);
		fd = open_journal("", O_WRONLY | O_APPEND | O_CREAT);
		if (fd < 0)
			break;
		if (flock(fd, LOCK_SH) == 0 && is_current(fd))
			break;
	}
	if (fd < 0 || write(fd, line, len) != (ssize_t)len)
		log_warn_once("an event was lost: %s", strerror(errno));
	else if (fstat(fd, &st) == 0 && st.st_size > MAX_BYTES)
		rotate(fd);
}

struct follower {
	int64_t since, until;
	int (*fn)(void *data, json_t *event);
	void *data;
	int fd;          /* the file that is being read, or -1 */
	struct buf text; /* read, and not yet a whole line */
	int ended;
};

static void follower_clear(struct follower *f)
{
	fd_close(f->fd);
	buf_free(&f->text);
}
DEFINE_CLEANUP_OBJECT(follower_clear, struct follower);

static void give(struct follower *f, const char *line, size_t len)
{
	cleanup(json_free) json_t *event = json_loadb(line, len, 0, NULL);
	int64_t time = json_integer_value(json_object_get(event, "timeNano"));

	if (!event || time < f->since)
		return;
	if (f->until && time > f->until)
		f->ended = 1;
	else
		f->ended = f->fn(f->data, event);
}

static int read_lines(struct follower *f)
{
	size_t start = 0;
	char *newline;

	while (!f->ended) {
		ssize_t n = read(f->fd, buf_reserve(&f->text, 65536), 65536);
		if (n < 0)
			return -errno;
		f->text.len += (size_t)n;
		while (!f->ended &&
			(newline = memchr(f->text.data + start, '\n', f->text.len - start))) {
			size_t len = (size_t)(newline - f->text.data) - start;
			give(f, f->text.data + start, len);
			start += len + 1;
		}
		buf_consume(&f->text, start);
		start = 0;
		if (n == 0)
			break;
	}
	return 0;
}

/* All there is now, through a rotation. */
static int read_new(struct follower *f)
{
	while (!f->ended) {
		bool current;
		int r, next;
		if (f->fd < 0)
			f->fd = open_journal("", O_RDONLY);
		if (f->fd < 0)
			return errno == ENOENT ? 0 : -errno;
		current = is_current(f->fd);
		r = read_lines(f);
		if (r < 0 || current)
			return r;
		next = is_file(f->fd, ".1") ? -1 : open_journal(".1", O_RDONLY);
		fd_close(f->fd);
		f->fd = next; /* when two rotations have passed, the file between them */
		f->text.len = 0;
	}
	return 0;
}

static int start(struct follower *f)
{
	int r = 0;

	if (!f->since) {
		f->since = time_now();
		f->fd = open_journal("", O_RDONLY);
		if (f->fd >= 0)
			lseek(f->fd, 0, SEEK_END);
		return 0;
	}
	/* The newer one first, so that a rotation in between hides none. */
	f->fd = open_journal("", O_RDONLY);
	if (f->fd >= 0) {
		int newer = take_fd(f->fd);
		f->fd = open_journal(".1", O_RDONLY);
		if (f->fd >= 0 && is_current(newer))
			r = read_lines(f);
		fd_close(f->fd);
		f->fd = newer;
		f->text.len = 0;
	} else {
		f->fd = open_journal(".1", O_RDONLY);
	}
	return r;
}

static int watch_journal(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd >= 0 &&
		inotify_add_watch(fd, paths_run(), IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
		fd = fd_close(fd);
	return fd;
}

static int timeout_of(const struct follower *f, bool watched)
{
	int64_t limit = watched ? 60000 : 200, left = limit;

	if (f->until)
		left = (f->until - time_now()) / 1000000 + 1;
	return (int)(left < 0 ? 0 : left < limit ? left : limit);
}

int event_follow(int64_t since, int64_t until, int (*fn)(void *data, json_t *event), void *data,
	struct err *err)
{
	cleanup(follower_clear) struct follower f = {
		.since = since, .until = until, .fn = fn, .data = data, .fd = -1
	};
	cleanup(fd_close) int watch = watch_journal();
	char events[4096];
	int r = start(&f);

	for (;;) {
		struct pollfd p = { .fd = watch, .events = POLLIN };
		bool over = until && time_now() > until;
		if (r == 0)
			r = read_new(&f);
		if (r < 0)
			return err_code(err, r, "read '%s/events'", paths_run());
		if (f.ended || over)
			return 0;
		if (poll(&p, 1, timeout_of(&f, watch >= 0)) < 0 && errno != EINTR)
			return err_errno(err, "wait for events");
		while (p.revents && read(watch, events, sizeof(events)) > 0)
			;
	}
}
