/* Attaching: keys, streams, consoles and pipes, with this test as the supervisor and the person. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "instance/stream.h"

static void test_keys(void **state)
{
	static const struct {
		const char *text;
		int n;
		const char *keys;
	} good[] = { { NULL, 2, "\x10\x11" }, { "", 2, "\x10\x11" }, { "a", 1, "a" },
		{ "ctrl-a,x", 2, "\x01x" }, { "ctrl-@", 1, "\0" },
		{ "ctrl-[,ctrl-_", 2, "\x1b\x1f" },
		{ "ctrl-\\,ctrl-],ctrl-^", 3, "\x1c\x1d\x1e" } };
	static const char *const bad[] = { "ctrl-", "ctrl-A", "ctrl-1", "ctrl-p,", ",", "xy",
		"ctrl-pp", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a" };
	char keys[DETACH_KEYS_MAX];
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(detach_keys_parse(good[i].text, keys, NULL), good[i].n);
		assert_memory_equal(keys, good[i].keys, (size_t)good[i].n);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(detach_keys_parse(bad[i], keys, &err), -EINVAL);
}

/* A process that is attached: its stdio, and the other end of its stream. */
struct person {
	pid_t pid;
	int terminal;        /* master of its terminal, or -1 */
	int in, out, errors; /* pipes, when there is no terminal */
	int stream;
};

static void be_person(const struct stream_attach *how, int stream)
{
	struct err err = { 0 };
	int64_t code = -2;
	int r = stream_attach(stream, how, &code, &err);

	_exit(r < 0 ? 100 : code < 0 ? 101 : (int)code);
}

static struct person start_piped(const struct stream_attach *how)
{
	int in[2], out[2], errors[2], stream[2];
	struct person p;

	assert_int_equal(
		pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	p = (struct person){ fork(), -1, in[1], out[0], errors[0], stream[0] };
	if (p.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(errors[1], 2);
		close(in[1]);
		close(out[0]);
		close(stream[0]);
		be_person(how, stream[1]);
	}
	close(in[0]);
	close(out[1]);
	close(errors[1]);
	close(stream[1]);
	return p;
}

static struct person start_terminal(const struct stream_attach *how)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct person p = { .in = -1, .out = -1, .errors = -1 };
	int stream[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	p.stream = stream[0];
	p.pid = forkpty(&p.terminal, NULL, NULL, &size);
	if (p.pid == 0) {
		close(stream[0]);
		be_person(how, stream[1]);
	}
	close(stream[1]);
	return p;
}

static int end(struct person *p)
{
	int status;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	fd_close(p->terminal);
	fd_close(p->in);
	fd_close(p->out);
	fd_close(p->errors);
	fd_close(p->stream);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void send_exit(struct person *p, uint32_t code)
{
	uint8_t payload[5] = { 0 };
	uint32_t be = htobe32(code);

	memcpy(payload, &be, 4);
	assert_int_equal(frame_send(p->stream, FRAME_EXIT, payload, sizeof(payload)), 0);
}

/* The next frame from the person, within two seconds. */
static int next(struct person *p, enum frame_type *type, char data[FRAME_MAX])
{
	struct pollfd wait = { .fd = p->stream, .events = POLLIN };

	assert_int_equal(poll(&wait, 1, 2000), 1);
	return frame_recv(p->stream, type, data);
}

static void expect(struct person *p, enum frame_type type, const char *text, size_t len)
{
	static char data[FRAME_MAX];
	enum frame_type got;
	size_t seen = 0;

	do {
		int n = next(p, &got, data);
		assert_true(n >= 0);
		assert_int_equal(got, type);
		assert_true(seen + (size_t)n <= len);
		assert_memory_equal(data, text + seen, (size_t)n);
		seen += (size_t)n;
	} while (seen < len);
}

static void test_pipes_and_half_close(void **state)
{
	struct stream_attach how = { .stdin_on = true };
	struct person p = start_piped(&how);
	char text[16];

	(void)state;
	assert_int_equal(write(p.in, "hello", 5), 5);
	expect(&p, FRAME_STDIN, "hello", 5);
	p.in = fd_close(p.in);
	expect(&p, FRAME_STDIN, "", 0);
	assert_int_equal(frame_send(p.stream, FRAME_STDOUT, "out", 3), 0);
	assert_int_equal(frame_send(p.stream, FRAME_STDERR, "err", 3), 0);
	send_exit(&p, 7);
	assert_int_equal(fd_read_full(p.out, text, sizeof(text)), 3);
	assert_memory_equal(text, "out", 3);
	assert_int_equal(fd_read_full(p.errors, text, sizeof(text)), 3);
	assert_memory_equal(text, "err", 3);
	assert_int_equal(end(&p), 7);
}

/* Megabytes both ways at once: neither direction waits for the other, and the end is not lost. */
static void test_volume(void **state)
{
	static char chunk[FRAME_MAX], back[FRAME_MAX];
	struct stream_attach how = { .stdin_on = true };
	struct person p = start_piped(&how);
	size_t total = 64 * sizeof(chunk), in = 0, got = 0;
	pid_t writer, reader;
	enum frame_type type;
	int status;

	(void)state;
	writer = fork();
	if (writer == 0) {
		for (int i = 0; i < 64; i++)
			if (fd_write_all(p.in, chunk, sizeof(chunk)) < 0)
				_exit(1);
		_exit(0);
	}
	p.in = fd_close(p.in);
	reader = fork();
	if (reader == 0) {
		usleep(100000); /* let it back up first */
		while (got < total) {
			ssize_t n = read(p.out, back, sizeof(back));
			if (n <= 0)
				_exit(1);
			got += (size_t)n;
		}
		_exit(read(p.out, back, 1) == 0 ? 0 : 1);
	}
	for (int i = 0; i < 64; i++)
		assert_int_equal(frame_send(p.stream, FRAME_STDOUT, chunk, sizeof(chunk)), 0);
	while (in < total) {
		int n = next(&p, &type, back);
		assert_int_equal(type, FRAME_STDIN);
		assert_true(n > 0);
		in += (size_t)n;
	}
	send_exit(&p, 0);
	assert_int_equal(end(&p), 0);
	waitpid(writer, &status, 0);
	assert_int_equal(status, 0);
	waitpid(reader, &status, 0);
	assert_int_equal(status, 0);
}

static void test_supervisor_dies(void **state)
{
	struct stream_attach how = { .stdin_on = true };
	struct person p = start_piped(&how);

	(void)state;
	p.stream = fd_close(p.stream);
	assert_int_equal(end(&p), 100);
}

static void test_signals(void **state)
{
	struct stream_attach how = { .proxy_signals = true };
	struct person p = start_piped(&how);
	char byte;

	(void)state;
	/* Once it has written, its signals are set up. */
	assert_int_equal(frame_send(p.stream, FRAME_STDOUT, "x", 1), 0);
	assert_int_equal(read(p.out, &byte, 1), 1);
	kill(p.pid, SIGTERM);
	expect(&p, FRAME_SIGNAL, "\0\0\0\x0f", 4);
	kill(p.pid, SIGUSR1);
	expect(&p, FRAME_SIGNAL, "\0\0\0\x0a", 4);
	send_exit(&p, 3);
	assert_int_equal(end(&p), 3);
	how.proxy_signals = false;
	p = start_piped(&how);
	assert_int_equal(frame_send(p.stream, FRAME_STDOUT, "x", 1), 0);
	assert_int_equal(read(p.out, &byte, 1), 1);
	kill(p.pid, SIGTERM);
	assert_int_equal(end(&p), 1000 + SIGTERM);
}

static void test_closed_stdout(void **state)
{
	struct stream_attach how = { 0 };
	struct person p = start_piped(&how);

	(void)state;
	p.out = fd_close(p.out);
	frame_send(p.stream, FRAME_STDOUT, "x", 1);
	assert_int_equal(end(&p), 1000 + SIGPIPE);
}

static bool is_raw(int terminal)
{
	struct termios t;

	assert_int_equal(tcgetattr(terminal, &t), 0);
	return !(t.c_lflag & ICANON);
}

static void test_terminal(void **state)
{
	struct stream_attach how = { .tty = true, .stdin_on = true, .proxy_signals = true };
	struct winsize size = { .ws_row = 50, .ws_col = 132 };
	struct person p = start_terminal(&how);

	(void)state;
	expect(&p, FRAME_RESIZE, "\0\x18\0\x50", 4);
	assert_true(is_raw(p.terminal));
	assert_int_equal(write(p.terminal, "ls\r\x03", 4), 4);
	expect(&p, FRAME_STDIN, "ls\r\x03", 4);
	assert_int_equal(ioctl(p.terminal, TIOCSWINSZ, &size), 0);
	expect(&p, FRAME_RESIZE, "\0\x32\0\x84", 4);
	/* Part of the sequence and something else goes through whole. */
	assert_int_equal(write(p.terminal, "\x10x\x10\x10y", 5), 5);
	expect(&p, FRAME_STDIN, "\x10x\x10\x10y", 5);
	assert_int_equal(write(p.terminal, "z\x10\x10\x11", 4), 4);
	expect(&p, FRAME_STDIN, "z\x10", 2);
	assert_int_equal(end(&p), 101);
}

static void test_terminal_is_put_back(void **state)
{
	static const int signals[] = { 0, SIGTERM, SIGHUP, SIGINT, SIGQUIT };
	struct stream_attach how = { .tty = true, .stdin_on = true, .proxy_signals = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct person p = start_terminal(&how);
		char name[64];
		int slave;
		assert_int_equal(ptsname_r(p.terminal, name, sizeof(name)), 0);
		slave = open(name, O_RDWR | O_NOCTTY);
		expect(&p, FRAME_RESIZE, "\0\x18\0\x50", 4);
		assert_true(is_raw(slave));
		if (signals[i])
			kill(p.pid, signals[i]);
		else
			send_exit(&p, 9);
		waitid(P_PID, (id_t)p.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
		assert_false(is_raw(slave));
		close(slave);
		assert_int_equal(end(&p), signals[i] ? 1000 + signals[i] : 9);
	}
}

/* exec -t: a console whose process writes and ends, in one go. */
static void test_console(void **state)
{
	struct stream_attach how = { .tty = true, .stdin_on = true };
	int terminal, r, status;
	char text[64] = "";
	pid_t person;

	(void)state;
	person = forkpty(&terminal, NULL, NULL, NULL);
	if (person == 0) {
		int console;
		pid_t child = forkpty(&console, NULL, NULL, NULL);
		if (child == 0) {
			r = (int)read(0, text, sizeof(text));
			dprintf(1, "got %d", r);
			_exit(5);
		}
		r = console_attach(console, (int)syscall(SYS_pidfd_open, child, 0), &how, NULL);
		waitpid(child, &status, 0);
		_exit(r == 0 ? WEXITSTATUS(status) : 99);
	}
	/* Its echo, then its answer. */
	usleep(100000);
	assert_int_equal(write(terminal, "hey\n", 4), 4);
	for (size_t n = 0; !strstr(text, "got 4") && n < sizeof(text) - 1;) {
		ssize_t k = read(terminal, text + n, sizeof(text) - 1 - n);
		assert_true(k > 0);
		n += (size_t)k;
	}
	waitpid(person, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 5);
	close(terminal);
}

/* exec without a terminal: what a child of the process keeps open does not hold us. */
static void test_pipes_attach(void **state)
{
	int in[2], out[2], errors[2], ours[2], status;
	char text[64];
	pid_t person;

	(void)state;
	assert_int_equal(pipe(ours), 0);
	person = fork();
	if (person == 0) {
		pid_t child;
		int feed[2];
		if (pipe(in) | pipe(out) | pipe(errors) | pipe(feed))
			_exit(98);
		if (write(feed[1], "abc", 3) != 3)
			_exit(98);
		close(feed[1]);
		dup2(feed[0], 0);
		dup2(ours[1], 1);
		child = fork();
		if (child == 0) {
			dup2(in[0], 0);
			dup2(out[1], 1);
			close(in[1]);
			if (read(0, text, sizeof(text)) == 3 && read(0, text, 1) == 0)
				dprintf(1, "done");
			if (fork() == 0)
				sleep(5);
			_exit(6);
		}
		close(in[0]);
		close(out[1]);
		if (pipes_attach(
			    (int)syscall(SYS_pidfd_open, child, 0), in[1], out[0], errors[0], NULL))
			_exit(97);
		waitpid(child, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	close(ours[1]);
	assert_int_equal(read(ours[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "done", 4);
	waitpid(person, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 6);
	close(ours[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_pipes_and_half_close),
		cmocka_unit_test(test_volume),
		cmocka_unit_test(test_supervisor_dies),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_closed_stdout),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_is_put_back),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_pipes_attach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
