/*
 * The instance's stdio. Output is read as it comes, logged, and sent to attached clients; while a
 * client is slow nothing is read, so that the writer is slowed as by any pipe. Input is queued up to
 * a bound, above which the clients are not read.
 */
#include "instance/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define STDIN_FULL (256u << 10)
#define CHUNK ((64u << 10) - 64) /* a frame holds it */

static void close_output(struct output *o)
{
	loop_remove(o->source);
	o->source = NULL;
	if (o->fd >= 0 && o->s->stdin_fd == o->fd) /* a terminal is both */
		o->s->stdin_fd = -1;
	o->fd = fd_close(o->fd);
	if (o->s->exited && !pump_open(o->s))
		supervisor_drained(o->s);
}

static void on_output(void *data, uint32_t events)
{
	struct output *o = data;
	char *chunk = o->s->chunk;
	ssize_t n;

	(void)events;
	if (!chunk)
		chunk = o->s->chunk = xcalloc(1, CHUNK);
	n = read(o->fd, chunk, CHUNK);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) { /* EIO: the terminal's last user is gone */
		close_output(o);
		return;
	}
	log_write(o->s->log, o->stream, chunk, (size_t)n);
	if (clients_output(o->s, o->stream, chunk, (size_t)n)) {
		o->held = true;
		loop_set_events(o->source, 0);
	}
}

static void watch(struct supervisor *s, struct output *o, int fd, int stream)
{
	*o = (struct output){ .s = s, .fd = fd, .stream = stream };
	fd_set_nonblock(fd, true);
	o->source = loop_add_fd(s->loop, fd, EPOLLIN, on_output, o);
}

void pump_rest(struct supervisor *s)
{
	free(s->chunk);
	s->chunk = NULL;
	if (!s->stdin_pending.len)
		buf_free(&s->stdin_pending);
}

void pump_resume(struct supervisor *s)
{
	if (clients_slow(s))
		return;
	for (int n = 0; n < 2; n++)
		if (s->out[n].held) {
			s->out[n].held = false;
			loop_set_events(s->out[n].source, EPOLLIN);
		}
}

static int make_pipe(int ours_end, int *ours, int *theirs, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	*ours = fds[ours_end];
	*theirs = fds[!ours_end];
	return 0;
}

int pump_prepare(struct supervisor *s, struct pump_child *child, struct err *err)
{
	int fds[2] = { -1, -1 }, r = 0;

	*child = (struct pump_child){ { -1, -1, -1 }, -1 };
	s->stdin_fd = -1;
	if (s->i->config.tty)
		return 0;
	if (s->i->config.open_stdin)
		r = make_pipe(1, &s->stdin_fd, &child->stdio[0], err);
	else if ((child->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		r = err_errno(err, "open /dev/null");
	for (int n = 0; r == 0 && n < 2; n++)
		r = make_pipe(0, &fds[n], &child->stdio[1 + n], err);
	for (int n = 0; n < 2; n++)
		if (fds[n] >= 0)
			watch(s, &s->out[n], fds[n], n + 1);
	if (s->stdin_fd >= 0)
		fd_set_nonblock(s->stdin_fd, true);
	return r;
}

void pump_started(struct supervisor *s, struct pump_child *child, bool ok)
{
	for (int n = 0; n < 3; n++)
		child->stdio[n] = fd_close(child->stdio[n]);
	if (child->console < 0)
		return;
	if (!ok) {
		child->console = fd_close(child->console);
		return;
	}
	watch(s, &s->out[0], child->console, 1);
	s->stdin_fd = child->console;
}

static void flush_stdin(struct supervisor *s);

static void on_stdin_room(void *data, uint32_t events)
{
	struct supervisor *s = data;

	(void)events;
	loop_remove(s->stdin_source);
	s->stdin_source = NULL;
	flush_stdin(s);
}

static void on_retry(void *data)
{
	struct supervisor *s = data;

	s->stdin_source = NULL;
	flush_stdin(s);
}

static void await_room(struct supervisor *s)
{
	if (s->stdin_source)
		return;
	/* A terminal's descriptor is in the loop for reading already, and epoll takes it once. */
	if (s->i->config.tty)
		s->stdin_source = loop_add_timer(s->loop, 10000000, on_retry, s);
	else
		s->stdin_source = loop_add_fd(s->loop, s->stdin_fd, EPOLLOUT, on_stdin_room, s);
}

static void flush_stdin(struct supervisor *s)
{
	bool was_full = pump_stdin_full(s);

	while (s->stdin_fd >= 0 && s->stdin_pending.len) {
		ssize_t n = write(s->stdin_fd, s->stdin_pending.data, s->stdin_pending.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* EPIPE: it closed its stdin */
			buf_free(&s->stdin_pending);
			break;
		}
		buf_consume(&s->stdin_pending, (size_t)n);
	}
	if (was_full && !pump_stdin_full(s))
		clients_stdin_room(s);
	if (s->stdin_pending.len && s->stdin_fd >= 0)
		await_room(s);
	if (!s->stdin_pending.len && s->stdin_close && s->stdin_fd >= 0 && !s->i->config.tty) {
		/* Before its number becomes another's. */
		loop_remove(s->stdin_source);
		s->stdin_source = NULL;
		s->stdin_fd = fd_close(s->stdin_fd);
	}
}

void pump_stdin(struct supervisor *s, const void *data, size_t len)
{
	if (s->stdin_fd < 0 || s->stdin_close)
		return;
	buf_add(&s->stdin_pending, data, len);
	flush_stdin(s);
}

void pump_stdin_close(struct supervisor *s)
{
	if (s->i->config.tty)
		return;
	s->stdin_close = true;
	if (s->stdin_fd >= 0)
		flush_stdin(s);
}

bool pump_stdin_full(const struct supervisor *s)
{
	return s->stdin_pending.len > STDIN_FULL;
}

void pump_resize(struct supervisor *s, uint16_t rows, uint16_t columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (s->i->config.tty && s->stdin_fd >= 0)
		ioctl(s->stdin_fd, TIOCSWINSZ, &size);
}

void pump_close(struct supervisor *s)
{
	bool shared = s->stdin_fd == s->out[0].fd;

	loop_remove(s->stdin_source);
	s->stdin_source = NULL;
	for (int n = 0; n < 2; n++) {
		loop_remove(s->out[n].source);
		s->out[n].source = NULL;
		s->out[n].held = false;
		s->out[n].fd = fd_close(s->out[n].fd);
	}
	s->stdin_fd = shared ? -1 : fd_close(s->stdin_fd);
	s->stdin_close = false;
	buf_free(&s->stdin_pending);
	log_flush(s->log);
}

bool pump_open(const struct supervisor *s)
{
	return s->out[0].fd >= 0 || s->out[1].fd >= 0;
}
