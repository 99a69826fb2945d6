/*
 * stdio of a process inside that has no terminal, through pipes: descriptors of ours, a terminal's above
 * all, are not for handing into a container (ioctl TIOCSTI, /proc/self/fd).
 */
#include "instance/stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#define CHUNK (64u << 10)

struct relay {
	int pidfd, signal_fd;
	int in, out[2];      /* pipes; -1 once closed */
	char pending[CHUNK]; /* from stdin, on its way */
	size_t begin, end;
	bool stdin_open, exited;
	struct err *err;
};

static int put(struct relay *r, int fd, const char *data, size_t len)
{
	int n = fd_write_all(fd, data, len);

	return n < 0 ? err_code(r->err, n, "write to %s",
			       fd == STDOUT_FILENO ? "standard output" : "standard error")
		     : 0;
}

/* One read's worth. How much it was, 0 when there is none now. */
static int copy_out(struct relay *r, int which)
{
	char data[CHUNK];
	ssize_t n = read(r->out[which], data, sizeof(data));
	int e;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		r->out[which] = fd_close(r->out[which]);
		return 0;
	}
	e = put(r, which == 0 ? STDOUT_FILENO : STDERR_FILENO, data, (size_t)n);
	return e < 0 ? e : (int)n;
}

/* What the process left in the pipes and no more: children of its may go on writing for ever. */
static int drain(struct relay *r)
{
	for (int which = 0; which < 2; which++) {
		int left = 0, n = 1;
		if (r->out[which] >= 0)
			ioctl(r->out[which], FIONREAD, &left);
		for (; left > 0 && n > 0; left -= n)
			n = copy_out(r, which);
		if (n < 0)
			return n;
	}
	return 0;
}

static void close_stdin(struct relay *r)
{
	r->stdin_open = false;
	r->in = fd_close(r->in);
	r->begin = r->end = 0;
}

static void read_stdin(struct relay *r)
{
	ssize_t n = read(STDIN_FILENO, r->pending, sizeof(r->pending));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_stdin(r);
		return;
	}
	r->begin = 0;
	r->end = (size_t)n;
}

static void write_in(struct relay *r)
{
	ssize_t n = write(r->in, r->pending + r->begin, r->end - r->begin);

	if (n > 0) {
		r->begin += (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		close_stdin(r);
	}
}

static void pass_signal(struct relay *r)
{
	struct signalfd_siginfo info;

	if (read(r->signal_fd, &info, sizeof(info)) == sizeof(info))
		syscall(SYS_pidfd_send_signal, r->pidfd, (int)info.ssi_signo, NULL, 0);
}

static int step(struct relay *r)
{
	bool have = r->end > r->begin;
	struct pollfd fds[] = {
		{ .fd = r->signal_fd, .events = POLLIN },
		{ .fd = r->pidfd, .events = POLLIN },
		{ .fd = r->out[0], .events = POLLIN },
		{ .fd = r->out[1], .events = POLLIN },
		{ .fd = r->stdin_open && !have ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = r->in, .events = have ? POLLOUT : 0 },
	};
	int e = 0;

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
		return errno == EINTR ? 0 : err_errno(r->err, "poll");
	if (fds[0].revents)
		pass_signal(r);
	for (int which = 0; e >= 0 && which < 2; which++)
		if (fds[2 + which].revents)
			e = copy_out(r, which);
	if (e >= 0 && fds[4].revents)
		read_stdin(r);
	if (e >= 0 && r->in >= 0 && have && fds[5].revents)
		write_in(r);
	else if (e >= 0 && r->in >= 0 && fds[5].revents & POLLERR) /* it closed its stdin */
		close_stdin(r);
	if (e >= 0 && fds[1].revents) {
		r->exited = true;
		e = drain(r);
	}
	return e < 0 ? e : 0;
}

int pipes_attach(int pidfd, int in, int out, int errors, struct err *err)
{
	struct relay r = {
		.pidfd = pidfd, .in = in, .out = { out, errors }, .stdin_open = in >= 0, .err = err
	};
	sigset_t set, pipe_too, old;
	int e = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	pipe_too = set;
	sigaddset(&pipe_too, SIGPIPE); /* of `in`; one of our stdout takes effect at the end */
	sigprocmask(SIG_BLOCK, &pipe_too, &old);
	r.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in >= 0)
		fd_set_nonblock(in, true);
	fd_set_nonblock(out, true);
	fd_set_nonblock(errors, true);
	while (e >= 0 && !r.exited)
		e = step(&r);
	fd_close(r.in);
	fd_close(r.out[0]);
	fd_close(r.out[1]);
	fd_close(r.signal_fd);
	if (e != -EPIPE) { /* a reader inside that went away is nothing to die of */
		struct timespec now = { 0 };
		sigemptyset(&set);
		sigaddset(&set, SIGPIPE);
		sigtimedwait(&set, NULL, &now);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return e;
}
