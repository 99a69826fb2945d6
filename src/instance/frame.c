/*
 * The wire to a supervisor: frames, and one request with its answer. stream.h is the contract.
 *
 * A frame goes out whole or the connection is of no more use. Lengths and types that come in are
 * checked before they are believed, on both ends: either side may be a stranger's program.
 */
#include "instance/stream.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"

#define ANSWER_MAX (1u << 20)

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, -1);
}

/* Skips what a partial write took. */
static void advance(struct msghdr *msg, size_t n)
{
	while (n > 0 && n >= msg->msg_iov->iov_len) {
		n -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (n > 0) {
		msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + n;
		msg->msg_iov->iov_len -= n;
	}
}

static int send_all(int fd, struct iovec *iov, size_t n_iov)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n_iov };
	size_t left = 0;

	for (size_t i = 0; i < n_iov; i++)
		left += iov[i].iov_len;
	while (left > 0) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			wait_for(fd, POLLOUT);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			left -= (size_t)n;
			if (left > 0)
				advance(&msg, (size_t)n);
		}
	}
	return 0;
}

int frame_send(int fd, enum frame_type type, const void *data, size_t len)
{
	uint8_t header[FRAME_HEADER] = { (uint8_t)type };
	uint32_t length = htobe32((uint32_t)len);
	struct iovec iov[2] = { { header, sizeof(header) }, { (void *)data, len } };

	if (len > FRAME_MAX)
		return -EMSGSIZE;
	memcpy(header + 4, &length, sizeof(length));
	return send_all(fd, iov, len ? 2 : 1);
}

/* The whole of it; -ECONNRESET when the stream ends before. */
static int recv_all(int fd, void *data, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)data + got, len - got);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			got += (size_t)n;
		else if (errno == EAGAIN)
			wait_for(fd, POLLIN);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* The payload's length. */
static int parse_header(const void *header, enum frame_type *type)
{
	const uint8_t *h = header;
	uint32_t length;

	memcpy(&length, h + 4, sizeof(length));
	length = be32toh(length);
	if (h[0] > FRAME_SIGNAL || h[1] || h[2] || h[3])
		return -EPROTO;
	if (length > FRAME_MAX)
		return -EMSGSIZE;
	*type = (enum frame_type)h[0];
	return (int)length;
}

int frame_recv(int fd, enum frame_type *type, void *data)
{
	uint8_t header[FRAME_HEADER];
	enum frame_type t;
	int length, r = recv_all(fd, header, sizeof(header));

	if (r < 0)
		return r;
	length = parse_header(header, &t);
	if (length < 0)
		return length;
	r = recv_all(fd, data, (size_t)length);
	if (r < 0)
		return r;
	*type = t;
	return length;
}

int frame_peek(const struct buf *in, enum frame_type *type, const char **data)
{
	enum frame_type t;
	int length;

	if (in->len < FRAME_HEADER)
		return -EAGAIN;
	length = parse_header(in->data, &t);
	if (length < 0)
		return length;
	if (in->len - FRAME_HEADER < (size_t)length)
		return -EAGAIN;
	*type = t;
	*data = in->data + FRAME_HEADER;
	return length;
}

static int connect_ctl(const char *run_dir, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return err_errno(err, "make a socket");
	/* By descriptor, since a path may be longer than an address can be (unix(7)). */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/ctl", dir);
	if (dir >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0)
		return take_fd(sock);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(err, ECONNREFUSED, "it has no supervisor: it does not run any more");
	return err_errno(err, "connect to '%s/ctl'", run_dir);
}

/* Up to the newline and not a byte further, since frames may follow it. */
static int recv_line(int fd, struct buf *line, struct err *err)
{
	while (line->len < ANSWER_MAX) {
		char *to = buf_reserve(line, 4096), *newline;
		ssize_t n = recv(fd, to, 4096, MSG_PEEK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "read the supervisor's answer");
		if (n == 0)
			return err_set(err, ECONNRESET, "the supervisor ended without an answer");
		newline = memchr(to, '\n', (size_t)n);
		if (newline)
			n = newline + 1 - to;
		if (recv_all(fd, to, (size_t)n) < 0)
			return err_set(err, ECONNRESET, "the supervisor ended without an answer");
		line->len += (size_t)n;
		if (newline)
			return 0;
	}
	return err_set(err, EMSGSIZE, "the supervisor's answer is too long");
}

/* What the supervisor says went wrong becomes the caller's error. */
static int check_answer(json_t *answer, struct err *err)
{
	const char *text = json_string_value(json_object_get(answer, "error"));
	json_int_t code = json_integer_value(json_object_get(answer, "code"));

	if (!text)
		return 0;
	return err_set(err, code > 0 && code < 4096 ? (int)code : EIO, "%s", text);
}

int supervisor_ask(
	const char *run_dir, json_t *request, json_t **ret_answer, int *ret_fd, struct err *err)
{
	cleanup(fd_close) int fd = connect_ctl(run_dir, err);
	cleanup(free) char *text = NULL;
	cleanup(buf_free) struct buf line = { 0 };
	cleanup(json_free) json_t *answer = NULL;
	struct iovec iov[2];
	int r;

	if (fd < 0)
		return fd;
	text = json_text(request, 0);
	iov[0] = (struct iovec){ text, strlen(text) };
	iov[1] = (struct iovec){ (char[]){ '\n' }, 1 };
	r = send_all(fd, iov, 2);
	if (r < 0)
		return err_code(err, r, "ask the supervisor");
	r = recv_line(fd, &line, err);
	if (r < 0)
		return r;
	answer = json_parse(line.data, line.len, "the supervisor's answer", err);
	if (!answer)
		return err ? -err->code : -EPROTO;
	r = check_answer(answer, err);
	if (r < 0)
		return r;
	if (ret_answer)
		*ret_answer = take(answer);
	if (ret_fd)
		*ret_fd = take_fd(fd);
	return 0;
}
