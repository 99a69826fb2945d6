/*
 * A person's end of an instance: stdio copied to and from the supervisor's stream, or a console.
 *
 * One loop over poll(2), which unlike epoll takes regular files too. Nothing but writes to our own
 * stdout and stderr blocks: input goes out as the other end takes it, so that output is never held up by it.
 * Output is written before the frame that ends the stream is looked at, hence none is lost. The
 * terminal is put back on every way out of pump_run(), the deadly signals included.
 */
#include "instance/stream.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strv.h"

#define CHUNK (32u << 10)
#define STREAM_CHUNK (128u << 10) /* whole frames at most times: a supervisor's are 64 KiB */

struct pump {
	const struct stream_attach *how;
	int peer;  /* the stream's socket, or the console */
	int pidfd; /* console: whose end ends it; else -1 */
	int signal_fd;
	sigset_t old_mask;
	struct termios saved;
	bool raw, stdin_open, detached, done;
	int deadly; /* a signal to die by once the terminal is back */
	char keys[DETACH_KEYS_MAX];
	int n_keys, n_typed; /* length of the sequence; how much of it is held back */
	struct buf in, out;  /* from the peer (frames); to the peer */
	int64_t code;
	struct err *err;
};

static bool framed(const struct pump *p)
{
	return p->pidfd < 0;
}

static int parse_key(const char *text, char *ret)
{
	if (strlen(text) == 1) {
		*ret = text[0];
		return 0;
	}
	if (strncmp(text, "ctrl-", 5) != 0 || strlen(text) != 6)
		return -EINVAL;
	if (text[5] >= 'a' && text[5] <= 'z')
		*ret = (char)(text[5] - 'a' + 1);
	else if (text[5] >= '@' && text[5] <= '_' && (text[5] < 'A' || text[5] > 'Z'))
		*ret = (char)(text[5] - '@');
	else
		return -EINVAL;
	return 0;
}

int detach_keys_parse(const char *text, char keys[DETACH_KEYS_MAX], struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(text && *text ? text : "ctrl-p,ctrl-q", ',');
	char parsed[DETACH_KEYS_MAX];
	int n = 0;

	strv_foreach (part, parts) {
		if (n == DETACH_KEYS_MAX)
			return err_set(err, EINVAL, "detach keys '%s': more than %d keys", text,
				DETACH_KEYS_MAX);
		if (parse_key(*part, &parsed[n++]) < 0)
			return err_set(err, EINVAL,
				"detach keys '%s': '%s' is neither one character nor ctrl- and one of "
				"a-z @ [ \\ ] ^ _",
				text, *part);
	}
	memcpy(keys, parsed, (size_t)n);
	return n;
}

void terminal_size(uint16_t *rows, uint16_t *columns)
{
	static const int fds[] = { STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO };
	struct winsize size;

	*rows = *columns = 0;
	for (size_t i = 0; i < 3; i++) {
		if (ioctl(fds[i], TIOCGWINSZ, &size) < 0)
			continue;
		*rows = size.ws_row;
		*columns = size.ws_col;
		return;
	}
}

static void set_raw(struct pump *p)
{
	struct termios t = p->saved;

	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) == 0)
		p->raw = true;
}

static void add_frame(struct pump *p, enum frame_type type, const void *data, size_t len)
{
	uint8_t header[FRAME_HEADER] = { (uint8_t)type };
	uint32_t length = htobe32((uint32_t)len);

	memcpy(header + 4, &length, sizeof(length));
	buf_add(&p->out, header, sizeof(header));
	if (len)
		buf_add(&p->out, data, len);
}

static void send_size(struct pump *p)
{
	uint16_t rows, columns, be[2];

	terminal_size(&rows, &columns);
	if (!rows || !columns)
		return;
	if (framed(p)) {
		be[0] = htobe16(rows);
		be[1] = htobe16(columns);
		add_frame(p, FRAME_RESIZE, be, sizeof(be));
	} else {
		struct winsize size = { .ws_row = rows, .ws_col = columns };
		ioctl(p->peer, TIOCSWINSZ, &size);
	}
}

static void send_input(struct pump *p, const char *data, size_t len)
{
	if (!len)
		return;
	if (framed(p))
		add_frame(p, FRAME_STDIN, data, len);
	else
		buf_add(&p->out, data, len);
}

/* Half of the connection ends; output goes on. */
static void close_input(struct pump *p)
{
	p->stdin_open = false;
	if (p->how->transparent)
		return;
	if (framed(p))
		add_frame(p, FRAME_STDIN, NULL, 0);
	else
		buf_addc(&p->out, 4); /* ^D, a terminal's end of input */
}

/* How much of the sequence's front the last n bytes typed are, when its first n - 1 and c were typed. */
static int prefix_after(const struct pump *p, char c)
{
	for (int n = p->n_typed + 1; n > 0; n--) {
		/* The n - 1 bytes before c must be the end of what is held back. */
		if (p->keys[n - 1] == c &&
			memcmp(p->keys, p->keys + p->n_typed - (n - 1), (size_t)(n - 1)) == 0)
			return n;
	}
	return 0;
}

/* Passes typed bytes on, holding back those that may become the detach sequence. */
static void typed(struct pump *p, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int n = prefix_after(p, data[i]);
		if (n == p->n_keys) {
			p->detached = p->done = true;
			return;
		}
		send_input(p, p->keys, (size_t)(p->n_typed + (n ? 1 : 0) - n));
		if (!n)
			send_input(p, data + i, 1);
		p->n_typed = n;
	}
}

static void read_stdin(struct pump *p)
{
	char data[CHUNK];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		close_input(p);
	else if (p->raw && !p->how->transparent)
		typed(p, data, (size_t)n);
	else
		send_input(p, data, (size_t)n);
}

static int put(struct pump *p, int fd, const char *data, size_t len)
{
	int n = fd_write_all(fd, data, len);

	return n < 0 ? err_code(p->err, n, "write to %s",
			       fd == STDOUT_FILENO ? "standard output" : "standard error")
		     : 0;
}

static int take_frame(struct pump *p, enum frame_type type, const char *data, size_t len)
{
	uint32_t code;

	if (type == FRAME_STDOUT || type == FRAME_STDERR)
		return put(p, type == FRAME_STDOUT ? STDOUT_FILENO : STDERR_FILENO, data, len);
	if (type == FRAME_EXIT && len >= sizeof(code)) {
		memcpy(&code, data, sizeof(code));
		p->code = (int32_t)be32toh(code);
		p->done = true;
	}
	return 0;
}

static int take_frames(struct pump *p)
{
	struct buf rest = p->in; /* what is taken leaves the buffer once, not by frames */
	enum frame_type type;
	const char *data;
	int len = 0, r = 0;

	while (!p->done && r == 0 && (len = frame_peek(&rest, &type, &data)) >= 0) {
		r = take_frame(p, type, data, (size_t)len);
		rest.data += FRAME_HEADER + (size_t)len;
		rest.len -= FRAME_HEADER + (size_t)len;
	}
	buf_consume(&p->in, p->in.len - rest.len);
	if (len < 0 && len != -EAGAIN)
		return err_code(p->err, len, "the supervisor's stream makes no sense");
	return r;
}

static int read_stream(struct pump *p)
{
	ssize_t n = recv(p->peer, buf_reserve(&p->in, STREAM_CHUNK), STREAM_CHUNK, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(p->err, ECONNRESET,
			"its supervisor ended without telling an exit status (it was killed?)");
	p->in.len += (size_t)n;
	return take_frames(p);
}

/* One read's worth: how much, 0 for none now. A terminal without processes reads as EIO. */
static int read_console(struct pump *p)
{
	char data[CHUNK];
	ssize_t n = read(p->peer, data, sizeof(data));
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		p->peer = -1;
		return 0;
	}
	r = put(p, STDOUT_FILENO, data, (size_t)n);
	return r < 0 ? r : (int)n;
}

/* What the process left, which a terminal bounds; others on it may go on writing for ever. */
static int drain_console(struct pump *p)
{
	int left = 1 << 20, n = 1;

	for (; p->peer >= 0 && left > 0 && n > 0; left -= n)
		n = read_console(p);
	return n;
}

static void write_peer(struct pump *p)
{
	ssize_t n;

	if (framed(p))
		n = send(p->peer, p->out.data, p->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(p->peer, p->out.data, p->out.len);
	if (n >= 0) {
		buf_consume(&p->out, (size_t)n);
	} else if (errno != EAGAIN && errno != EINTR) {
		/* It takes no more input; the end, with its output, is still to be read. */
		p->out.len = 0;
		p->stdin_open = false;
	}
}

static void take_signal(struct pump *p)
{
	struct signalfd_siginfo info;
	uint32_t be;

	if (read(p->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (p->how->tty && info.ssi_signo == SIGWINCH) {
		send_size(p);
	} else if (p->how->transparent) {
		syscall(SYS_pidfd_send_signal, p->pidfd, info.ssi_signo, NULL, 0);
	} else if (p->raw && info.ssi_signo == SIGCONT) {
		set_raw(p); /* the shell gave the terminal back in a mode of its own */
		send_size(p);
	} else if (p->raw) {
		p->deadly = (int)info.ssi_signo;
		p->done = true;
	} else {
		be = htobe32(info.ssi_signo);
		add_frame(p, FRAME_SIGNAL, &be, sizeof(be));
	}
}

/* Which signals are for us to handle; the others keep their effect. */
static void signals_wanted(const struct pump *p, sigset_t *set)
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCONT };
	static const int proxied[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
		SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGTSTP, SIGCONT };

	sigemptyset(set);
	if (p->how->tty)
		sigaddset(set, SIGWINCH);
	for (size_t i = 0; p->raw && i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaddset(set, deadly[i]);
	if (!p->how->transparent && (p->raw || !p->how->proxy_signals || !framed(p)))
		return;
	for (size_t i = 0; i < sizeof(proxied) / sizeof(proxied[0]); i++)
		sigaddset(set, proxied[i]);
}

static int pump_open(struct pump *p)
{
	sigset_t set, blocked;

	p->signal_fd = -1;
	sigprocmask(SIG_SETMASK, NULL, &p->old_mask);
	p->n_keys = detach_keys_parse(p->how->detach_keys, p->keys, p->err);
	if (p->n_keys < 0)
		return p->n_keys;
	p->stdin_open = p->how->stdin_on;
	/* Raw mode is still to come, but which signals arrive depends on it. */
	p->raw = p->how->tty && p->stdin_open && tcgetattr(STDIN_FILENO, &p->saved) == 0;
	signals_wanted(p, &set);
	blocked = set;
	sigaddset(&blocked, SIGPIPE); /* else it would leave the terminal raw */
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0) {
		p->raw = false;
		return err_errno(p->err, "make a signal descriptor");
	}
	if (p->raw)
		set_raw(p);
	if (p->how->tty)
		send_size(p);
	return 0;
}

static void pump_close(struct pump *p)
{
	if (p->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &p->saved);
	p->signal_fd = fd_close(p->signal_fd);
	if (p->deadly) {
		signal(p->deadly, SIG_DFL);
		raise(p->deadly);
	}
	sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
	buf_free(&p->in);
	buf_free(&p->out);
}

enum { AT_SIGNAL, AT_STDIN, AT_PEER, AT_PID, N_POLLED };

static void prepare_poll(struct pump *p, struct pollfd fds[N_POLLED])
{
	bool reads_stdin = p->stdin_open && p->out.len < CHUNK;

	fds[AT_SIGNAL] = (struct pollfd){ .fd = p->signal_fd, .events = POLLIN };
	fds[AT_STDIN] = (struct pollfd){ .fd = reads_stdin ? STDIN_FILENO : -1, .events = POLLIN };
	fds[AT_PEER] = (struct pollfd){ .fd = p->peer, .events = POLLIN };
	if (p->out.len)
		fds[AT_PEER].events |= POLLOUT;
	fds[AT_PID] = (struct pollfd){ .fd = p->pidfd, .events = POLLIN };
}

static int pump_step(struct pump *p)
{
	struct pollfd fds[N_POLLED];
	int r = 0;

	prepare_poll(p, fds);
	if (poll(fds, N_POLLED, -1) < 0)
		return errno == EINTR ? 0 : err_errno(p->err, "poll");
	if (fds[AT_SIGNAL].revents)
		take_signal(p);
	if (fds[AT_PEER].revents & (POLLIN | POLLHUP | POLLERR))
		r = framed(p) ? read_stream(p) : read_console(p);
	if (r < 0)
		return r;
	if (!p->done && fds[AT_PEER].revents & POLLOUT && p->peer >= 0)
		write_peer(p);
	if (!p->done && fds[AT_STDIN].revents)
		read_stdin(p);
	if (!p->done && fds[AT_PID].revents) {
		p->done = true;
		r = drain_console(p);
	}
	return r;
}

/* What was typed before the detach keys is still for the instance. */
static void flush_input(struct pump *p)
{
	struct pollfd wait = { .fd = p->peer, .events = POLLOUT };

	while (p->out.len && poll(&wait, 1, 1000) == 1)
		write_peer(p);
}

static int pump_run(struct pump *p)
{
	int r = pump_open(p);

	while (r >= 0 && !p->done)
		r = pump_step(p);
	if (p->detached)
		flush_input(p);
	pump_close(p);
	return r;
}

int stream_attach(int stream, const struct stream_attach *how, int64_t *ret_code, struct err *err)
{
	struct pump p = { .how = how, .peer = stream, .pidfd = -1, .err = err };
	int r = pump_run(&p);

	if (r < 0)
		return r;
	*ret_code = p.detached ? -1 : p.code;
	return 0;
}

int console_attach(int console, int pidfd, const struct stream_attach *how, struct err *err)
{
	struct pump p = { .how = how, .peer = console, .pidfd = pidfd, .err = err };
	int r = fd_set_nonblock(console, true);

	if (r < 0)
		return err_code(err, r, "set up the console");
	r = pump_run(&p);
	return r < 0 ? r : p.detached;
}
