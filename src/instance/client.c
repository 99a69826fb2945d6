/*
 * The control socket (stream.h): each client sends one line of JSON and gets one back; then it is
 * done, or it stays as an attached stream or as a waiter. Clients are the instance's owner's, but
 * they may be slow, broken or gone: nothing here blocks, and what is kept for one is bounded.
 */
#include "instance/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "instance/stream.h"

#define REQUEST_MAX (64u << 10)
#define SLOW_ABOVE (256u << 10) /* bytes waiting for a client before the instance is slowed */
#define FLUSH_NS INT64_C(5000000000)

enum client_kind { CLIENT_ASKING, CLIENT_ATTACHED, CLIENT_WAITING, CLIENT_STOPPING };

struct client {
	struct supervisor *s;
	struct client *next;
	enum client_kind kind;
	int fd;
	struct loop_source *source;
	struct buf in, out;
	bool want_stdin, want_stdout, want_stderr;
	bool closing; /* once `out` is written */
};

static void client_free(struct client *c)
{
	struct client **at = &c->s->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_remove(c->source);
	fd_close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	/* Docker: stdin ends with the client that fed it. */
	if (c->kind == CLIENT_ATTACHED && c->want_stdin)
		pump_stdin_close(c->s);
	free(c);
}

static void set_events(struct client *c)
{
	bool read = !(c->want_stdin && pump_stdin_full(c->s));

	loop_set_events(c->source, (read ? EPOLLIN : 0u) | (c->out.len ? EPOLLOUT : 0u));
}

/* False when the client is gone. */
static bool flush_client(struct client *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			client_free(c);
			return false;
		}
		buf_consume(&c->out, (size_t)n);
	}
	if (!c->out.len && c->closing) {
		client_free(c);
		return false;
	}
	set_events(c);
	return true;
}

static void add_frame(struct client *c, enum frame_type type, const void *data, size_t len)
{
	uint8_t header[8] = { (uint8_t)type, 0, 0, 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
		(uint8_t)(len >> 8), (uint8_t)len };

	buf_add(&c->out, header, sizeof(header));
	buf_add(&c->out, data, len);
}

void clients_stdin_room(struct supervisor *s)
{
	for (struct client *c = s->clients; c; c = c->next)
		set_events(c);
}

bool clients_slow(struct supervisor *s)
{
	for (struct client *c = s->clients; c; c = c->next)
		if (c->kind == CLIENT_ATTACHED && c->out.len > SLOW_ABOVE)
			return true;
	return false;
}

bool clients_output(struct supervisor *s, int stream, const void *data, size_t len)
{
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (c->kind != CLIENT_ATTACHED || c->closing ||
			!(stream == 1 ? c->want_stdout : c->want_stderr))
			continue;
		add_frame(c, stream == 1 ? FRAME_STDOUT : FRAME_STDERR, data, len);
		flush_client(c);
	}
	return clients_slow(s);
}

static void answer(struct client *c, int r, const struct err *err)
{
	json_t *j = r < 0 ? json_pack("{s:s, s:i}", "error", err->text, "code", err->code)
			  : json_object();
	char *text = json_text(j ? j : json_null(), 0);

	buf_adds(&c->out, text);
	buf_addc(&c->out, '\n');
	free(text);
	json_decref(j);
}

static void exit_frame(struct client *c)
{
	uint32_t code = (uint32_t)c->s->i->state.exit_code;
	uint8_t data[5] = { (uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8),
		(uint8_t)code, c->s->i->state.oom_killed };

	add_frame(c, FRAME_EXIT, data, sizeof(data));
}

static void set_streams(struct client *c, const char *streams)
{
	size_t n = strcspn(streams, " ");

	c->kind = CLIENT_ATTACHED;
	c->want_stdin = memchr(streams, 'i', n);
	c->want_stdout = memchr(streams, 'o', n);
	c->want_stderr = memchr(streams, 'e', n);
}

static int signal_in(json_t *request)
{
	json_int_t n = json_integer_value(json_object_get(request, "signal"));

	return n > 0 && n < 65 ? (int)n : 15;
}

/* What asks for no more than one answer. 1: not one of these. */
static int do_simple(struct client *c, const char *verb, json_t *request, struct err *err)
{
	struct supervisor *s = c->s;

	if (strcmp(verb, "ping") == 0)
		return 0;
	if (strcmp(verb, "pause") == 0 || strcmp(verb, "unpause") == 0)
		return supervisor_pause(s, *verb == 'p', err);
	if (strcmp(verb, "update") == 0)
		return supervisor_update(s, err);
	if (strcmp(verb, "reload") == 0)
		return supervisor_reload(s, err);
	if (strcmp(verb, "connect") == 0)
		return supervisor_connect(s, json_object_get(request, "endpoint"), err);
	if (strcmp(verb, "disconnect") == 0)
		return supervisor_disconnect(
			s, json_string_value(json_object_get(request, "network")) ?: "", err);
	return 1;
}

static void dispatch(struct client *c, json_t *request)
{
	const char *verb = json_string_value(json_object_get(request, "do"));
	const char *streams = json_string_value(json_object_get(request, "streams"));
	json_int_t timeout = json_integer_value(json_object_get(request, "timeout"));
	struct err err = { 0 };
	int r = do_simple(c, verb ? verb : "", request, &err);

	if (verb && strcmp(verb, "attach") == 0) {
		answer(c, 0, NULL);
		set_streams(c, streams ? streams : "oe");
	} else if (verb && strcmp(verb, "wait") == 0) {
		answer(c, 0, NULL);
		c->kind = CLIENT_WAITING;
	} else if (verb && (strcmp(verb, "stop") == 0 || strcmp(verb, "restart") == 0)) {
		c->kind = CLIENT_STOPPING;
		supervisor_stop(c->s, signal_in(request), timeout, *verb == 'r');
	} else if (verb && strcmp(verb, "shutdown") == 0) {
		c->kind = CLIENT_STOPPING;
		supervisor_shut_down(c->s);
	} else if (verb && strcmp(verb, "kill") == 0) {
		int signo = signal_in(request);
		r = supervisor_kill(c->s, signo, &err);
		if (r == 0 && signo == SIGKILL)
			c->kind = CLIENT_STOPPING; /* told when it is over */
		else
			answer(c, r, &err);
	} else {
		if (r > 0)
			r = err_set(&err, ENOTSUP, "unknown request");
		answer(c, r, &err);
	}
}

static void take_request(struct client *c)
{
	char *newline = memchr(c->in.data, '\n', c->in.len);
	cleanup(json_free) json_t *request = NULL;
	struct err err = { 0 };
	size_t len;

	if (!newline) {
		if (c->in.len > REQUEST_MAX)
			c->closing = true;
		return;
	}
	len = (size_t)(newline - c->in.data);
	request = json_parse(c->in.data, len, "request", &err);
	buf_consume(&c->in, len + 1);
	if (request)
		dispatch(c, request);
	else
		answer(c, -EINVAL, &err);
	if (c->kind == CLIENT_ASKING)
		c->closing = true;
}

static void take_frame(struct client *c, enum frame_type type, const uint8_t *data, size_t len)
{
	struct err err;

	if (type == FRAME_STDIN && c->want_stdin) {
		if (len)
			pump_stdin(c->s, data, len);
		else
			pump_stdin_close(c->s);
	} else if (type == FRAME_RESIZE && len == 4) {
		pump_resize(c->s, (uint16_t)(data[0] << 8 | data[1]),
			(uint16_t)(data[2] << 8 | data[3]));
	} else if (type == FRAME_SIGNAL && len == 4 && data[3] > 0 && data[3] < 65) {
		supervisor_kill(c->s, data[3], &err);
	}
}

static void take_frames(struct client *c)
{
	size_t at = 0;

	while (c->in.len - at >= 8) {
		const uint8_t *h = (const uint8_t *)c->in.data + at;
		size_t len = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];
		if (len > FRAME_MAX) {
			c->closing = true;
			break;
		}
		if (c->in.len - at < 8 + len)
			break;
		take_frame(c, h[0], h + 8, len);
		at += 8 + len;
	}
	buf_consume(&c->in, at);
}

static void on_client(void *data, uint32_t events)
{
	struct client *c = data;
	ssize_t n = -1;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		char *to = buf_reserve(&c->in, 65536);
		n = recv(c->fd, to, 65536, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_free(c);
			return;
		}
	}
	if (n > 0) {
		c->in.len += (size_t)n;
		c->in.data[c->in.len] = '\0';
		if (c->kind == CLIENT_ASKING)
			take_request(c);
		if (c->kind == CLIENT_ATTACHED)
			take_frames(c);
	}
	if (flush_client(c))
		pump_resume(c->s);
}

static struct client *add_client(struct supervisor *s, int fd)
{
	struct client *c = xnew(struct client);

	*c = (struct client){ .s = s, .fd = fd, .next = s->clients };
	s->clients = c;
	c->source = loop_add_fd(s->loop, fd, EPOLLIN, on_client, c);
	return c;
}

void clients_adopt(struct supervisor *s, int fd, const char *streams)
{
	set_streams(add_client(s, fd), streams);
}

static void on_listen(void *data, uint32_t events)
{
	struct supervisor *s = data;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		add_client(s, fd);
}

int clients_listen(struct supervisor *s, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int dir = open(s->i->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (dir < 0 || fd < 0)
		return err_errno(err, "make the control socket");
	/* By descriptor: the path may be longer than an address. Mode 0600 from the start. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/ctl", dir);
	unlinkat(dir, "ctl", 0);
	fchmod(fd, 0600);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
		return err_errno(err, "make the control socket in '%s'", s->i->run_dir);
	s->listen_fd = take_fd(fd);
	loop_add_fd(s->loop, s->listen_fd, EPOLLIN, on_listen, s);
	return 0;
}

void clients_close_listener(struct supervisor *s)
{
	/* Its source is never run again: the loop has stopped. */
	s->listen_fd = fd_close(s->listen_fd);
}

void clients_hang_up(struct supervisor *s)
{
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (c->kind == CLIENT_ASKING)
			client_free(c);
	}
}

void clients_answer_stop(struct supervisor *s, const struct err *err)
{
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (c->kind != CLIENT_STOPPING || c->closing)
			continue;
		answer(c, err ? -EIO : 0, err);
		c->closing = true;
		flush_client(c);
	}
}

void clients_finish(struct supervisor *s)
{
	int64_t deadline = time_monotonic() + FLUSH_NS;

	clients_answer_stop(s, NULL);
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (c->kind == CLIENT_ATTACHED || c->kind == CLIENT_WAITING)
			exit_frame(c);
		c->closing = true;
		flush_client(c);
	}
	while (s->clients && time_monotonic() < deadline) {
		struct pollfd p = { .fd = s->clients->fd, .events = POLLOUT };
		if (poll(&p, 1, 100) > 0)
			flush_client(s->clients);
	}
	while (s->clients)
		client_free(s->clients);
}
