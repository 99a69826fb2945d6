/* See report.h. */
#include "container/report.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

int report_send(int sock, enum report_type type, const struct err *err, int fd)
{
	struct report r = { .type = type };

	if (err)
		r.err = *err;
	return fd_send(sock, &r, sizeof(r), &fd, fd >= 0);
}

static int take_error(const struct report *r, struct err *err)
{
	struct err e = r->err;

	if (e.code <= 0)
		e.code = EIO;
	e.text[sizeof(e.text) - 1] = '\0';
	if (r->type == REPORT_EXEC)
		return err_code(err, -e.code, "%s", e.text);
	if (err)
		*err = e;
	return -e.code;
}

static int receive(int sock, struct report *r, int *ret_fd)
{
	int fd = -1;
	ssize_t n = fd_recv(sock, r, sizeof(*r), &fd, 1);

	/* Said once when the other side closed without having read all of ours; its last words come
	 * after that. */
	if (n == -ECONNRESET) {
		n = fd_recv(sock, r, sizeof(*r), &fd, 1);
		n = n == 0 ? -ECONNRESET : n;
	}
	if (ret_fd && n == sizeof(*r))
		*ret_fd = fd;
	else
		fd_close(fd);
	if (n != 0 && n != sizeof(*r))
		return n < 0 ? (int)n : -EBADMSG;
	return (int)n;
}

int report_wait(int sock, enum report_type type, int *ret_fd, struct err *err)
{
	struct report r;
	int n = receive(sock, &r, ret_fd);

	if (n < 0 && n != -ECONNRESET)
		return err_code(err, n, "hear from the container's first process");
	if (n <= 0)
		return err_set(err, ESRCH, "the container's first process died while it was made");
	if (r.type == type)
		return 0;
	if (r.type == REPORT_ERROR || r.type == REPORT_EXEC)
		return take_error(&r, err);
	return err_set(
		err, EBADMSG, "unexpected message %u from the container's first process", r.type);
}

int report_wait_exec(int sock, struct err *err)
{
	struct report r;
	int n = receive(sock, &r, NULL);

	/* Nobody has taken the connection. */
	if (n == -ECONNRESET)
		return err_set(err, ESRCH, "the process died before its program was executed");
	if (n < 0)
		return err_code(err, n, "hear from the container's process");
	return n == 0 ? 0 : take_error(&r, err);
}

int report_go(int sock)
{
	return fd_send(sock, "g", 1, NULL, 0);
}

int report_wait_go(int sock)
{
	char c;
	ssize_t n = fd_recv(sock, &c, 1, NULL, 0);

	return n == 1 ? 0 : n < 0 ? (int)n : -EPIPE;
}
