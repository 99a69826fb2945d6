/* Frames and the supervisor's request line, over socket pairs and a supervisor of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "instance/stream.h"

static void pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void test_round_trip(void **state)
{
	static char out[FRAME_MAX], in[FRAME_MAX];
	enum frame_type type;
	int fds[2];

	(void)state;
	pair(fds);
	memset(out, 'x', sizeof(out));
	assert_int_equal(frame_send(fds[0], FRAME_STDOUT, "hello", 5), 0);
	assert_int_equal(frame_send(fds[0], FRAME_STDIN, NULL, 0), 0);
	assert_int_equal(frame_recv(fds[1], &type, in), 5);
	assert_int_equal(type, FRAME_STDOUT);
	assert_memory_equal(in, "hello", 5);
	assert_int_equal(frame_recv(fds[1], &type, in), 0);
	assert_int_equal(type, FRAME_STDIN);
	assert_int_equal(frame_send(fds[0], FRAME_STDERR, out, FRAME_MAX), 0);
	assert_int_equal(frame_recv(fds[1], &type, in), FRAME_MAX);
	assert_memory_equal(in, out, FRAME_MAX);
	assert_int_equal(frame_send(fds[0], FRAME_STDERR, out, FRAME_MAX + 1), -EMSGSIZE);
	close(fds[0]);
	assert_int_equal(frame_recv(fds[1], &type, in), -ECONNRESET);
	assert_int_equal(frame_send(fds[1], FRAME_STDOUT, "x", 1), -EPIPE);
	close(fds[1]);
}

/* A sender that may not block still sends whole frames. */
static void test_nonblocking_sender(void **state)
{
	static char out[FRAME_MAX], in[FRAME_MAX];
	enum frame_type type;
	int fds[2], status;
	pid_t child;

	(void)state;
	pair(fds);
	child = fork();
	if (child == 0) {
		fd_set_nonblock(fds[0], true);
		for (int i = 0; i < 20; i++)
			if (frame_send(fds[0], FRAME_STDOUT, out, FRAME_MAX) < 0)
				_exit(1);
		_exit(0);
	}
	close(fds[0]);
	for (int i = 0; i < 20; i++)
		assert_int_equal(frame_recv(fds[1], &type, in), FRAME_MAX);
	assert_int_equal(frame_recv(fds[1], &type, in), -ECONNRESET);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(fds[1]);
}

static void test_hostile_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int expected;
	} cases[] = {
		{ "\x01\0\0\0\0\0\0", 7, -ECONNRESET },
		{ "\x01\0\0\0\0\0\0\x05hell", 12, -ECONNRESET },
		{ "\x01\0\0\0\xff\xff\xff\xff", 8, -EMSGSIZE },
		{ "\x01\0\0\0\0\x01\0\x01", 8, -EMSGSIZE },
		{ "\x06\0\0\0\0\0\0\0", 8, -EPROTO },
		{ "\x01\x01\0\0\0\0\0\0", 8, -EPROTO },
	};
	static char in[FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum frame_type type = FRAME_RESIZE;
		int fds[2];
		pair(fds);
		assert_int_equal(fd_write_all(fds[0], cases[i].bytes, cases[i].len), 0);
		close(fds[0]);
		assert_int_equal(frame_recv(fds[1], &type, in), cases[i].expected);
		assert_int_equal(type, FRAME_RESIZE);
		close(fds[1]);
	}
}

/* Answers one request with `answer`, then a frame. */
static pid_t supervisor(const char *dir, const char *answer)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char request[256];
	pid_t child;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/ctl", dir);
	unlink(a.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = fork();
	if (child == 0) {
		fd = accept(listener, NULL, NULL);
		if (read(fd, request, sizeof(request)) <= 0 ||
			!strstr(request, "\"verb\":\"x\"}\n"))
			_exit(1);
		fd_write_all(fd, answer, strlen(answer));
		frame_send(fd, FRAME_STDOUT, "out", 3);
		_exit(0);
	}
	close(listener);
	return child;
}

static int ask(const char *answer, json_t **ret, int *ret_fd, struct err *err)
{
	char dir[] = "/tmp/holm-test-frame-XXXXXX";
	cleanup(json_free) json_t *request = json_pack("{ss}", "verb", "x");
	int status, r;
	pid_t child;

	assert_non_null(mkdtemp(dir));
	child = supervisor(dir, answer);
	r = supervisor_ask(dir, request, ret, ret_fd, err);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	dir_remove(-1, dir);
	return r;
}

static void test_ask(void **state)
{
	cleanup(json_free) json_t *answer = NULL;
	cleanup(fd_close) int fd = -1;
	static char in[FRAME_MAX];
	enum frame_type type;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ask("{\"pid\": 7}\n", &answer, &fd, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(answer, "pid")), 7);
	assert_int_equal(frame_recv(fd, &type, in), 3);
	assert_memory_equal(in, "out", 3);
}

static void test_ask_fails(void **state)
{
	struct err err = { 0 };
	json_t *request = json_object();

	(void)state;
	assert_int_equal(ask("{\"error\": \"no\", \"code\": 2}\n", NULL, NULL, &err), -2);
	assert_string_equal(err.text, "no");
	assert_int_equal(ask("{\"error\": \"no\", \"code\": -99999}\n", NULL, NULL, &err), -EIO);
	assert_int_equal(ask("{\"error\": \n", NULL, NULL, &err), -EINVAL);
	assert_int_equal(supervisor_ask("/nonexistent", request, NULL, NULL, &err), -ECONNREFUSED);
	assert_int_equal(supervisor_ask("/tmp", request, NULL, NULL, NULL), -ECONNREFUSED);
	json_decref(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nonblocking_sender),
		cmocka_unit_test(test_hostile_frames),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
