/* virtio-vsock as a driver sees it, with programs of the host at the other end. */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "device/virtio/vsock.h"
#include "device/virtio/vsock_link.h"

#define CID 7u
#define GUEST_PORT 1234u
#define RX_BYTES 0x1000u

enum { RX, TX };

struct fixture {
	struct driver d;
	struct vsock_host end;
	char dir[32], path[64], port_path[80];
	int listener; /* port 80 of the host */
	unsigned sent;
};

static int unix_socket(const char *path, bool listens)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (listens) {
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(fd, 4), 0);
	} else {
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	return fd;
}

/* A buffer for the guest's next packet. */
static void room(struct fixture *f)
{
	unsigned i = f->d.available[RX] % DRIVER_N;

	d_offer(&f->d, RX, (uint16_t)i, DRIVER_BUFFERS + 0x10000 + i * RX_BYTES, RX_BYTES, true);
}

static int connect_path(void *data, uint32_t port)
{
	return vsock_connect(data, port);
}

static void start(struct fixture *f)
{
	*f = (struct fixture){ .dir = "/tmp/holm-vsock.XXXXXX" };
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/v", f->dir);
	snprintf(f->port_path, sizeof(f->port_path), "%s_80", f->path);
	f->listener = unix_socket(f->port_path, true);
	driver_board(&f->d);
	assert_int_equal(vsock_listen(f->path, &f->end.listener, NULL), 0);
	f->end.connect = connect_path;
	f->end.data = f->path;
	assert_int_equal(virtio_vsock_new(f->d.m, f->d.host, CID, &f->end, &f->d.device, NULL), 0);
	driver_map(&f->d);
	driver_ready(&f->d, 0);
	for (unsigned i = 0; i < 8; i++)
		room(f);
}

static void finish(struct fixture *f)
{
	driver_end(&f->d);
	close(f->listener);
	close(f->end.listener);
	assert_int_equal(unlink(f->path), 0);
	unlink(f->port_path);
	rmdir(f->dir);
}

static void send_packet(struct fixture *f, struct vsock_header h, const void *data)
{
	uint64_t at = DRIVER_BUFFERS + 0x2000;
	uint32_t len;

	h.from_cid = h.from_cid ? h.from_cid : CID;
	h.to_cid = h.to_cid ? h.to_cid : 2;
	h.from_port = h.from_port ? h.from_port : GUEST_PORT;
	h.type = 1;
	memory_write(f->d.m, at, &h, sizeof(h));
	memory_write(f->d.m, at + sizeof(h), data, h.len);
	d_offer(&f->d, TX, (uint16_t)(f->sent++ % DRIVER_N), at, sizeof(h) + h.len, false);
	d_wait(&f->d, TX, &len);
}

/* The next packet for the guest. */
static struct vsock_header next_packet(struct fixture *f, char *data)
{
	uint64_t at = DRIVER_BUFFERS + 0x10000;
	struct vsock_header h;
	uint32_t len, head = d_wait(&f->d, RX, &len);

	assert_true(len >= sizeof(h));
	memory_read(f->d.m, at + head * RX_BYTES, &h, sizeof(h));
	assert_int_equal(len, sizeof(h) + h.len);
	if (data)
		memory_read(f->d.m, at + head * RX_BYTES + sizeof(h), data, h.len);
	assert_int_equal(h.from_cid, 2);
	assert_int_equal(h.to_cid, CID);
	room(f);
	return h;
}

static void expect_text(int fd, const char *text)
{
	char got[64] = "";
	size_t n = 0;

	while (n < strlen(text)) {
		ssize_t r = read(fd, got + n, strlen(text) - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_string_equal(got, text);
}

/* The guest connects to port 80. */
static int guest_connects(struct fixture *f, uint32_t credit)
{
	struct vsock_header h;

	send_packet(f, (struct vsock_header){ .op = VSOCK_REQUEST, .to_port = 80, .room = credit },
		NULL);
	h = next_packet(f, NULL);
	assert_int_equal(h.op, VSOCK_RESPONSE);
	assert_int_equal(h.to_port, GUEST_PORT);
	assert_int_equal(h.room, VSOCK_BUFFER);
	return accept(f->listener, NULL, NULL);
}

static void guest_to_host(void **state)
{
	struct fixture f;
	struct vsock_header h;
	char data[RX_BYTES];
	int fd;

	start(&f);
	assert_int_equal(get32(f.d.m, 0, DRIVER_CONFIG), 0x10531af4);
	assert_int_equal(d_get(&f.d, 0x2000, 4), CID);
	fd = guest_connects(&f, 100);
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_DATA, .to_port = 80, .len = 5, .room = 100 },
		"hello");
	expect_text(fd, "hello");
	/* No more than it has room for: 100 bytes, then 50. */
	memset(data, 'x', sizeof(data));
	assert_int_equal(write(fd, data, 150), 150);
	h = next_packet(&f, data);
	assert_int_equal(h.op, VSOCK_DATA);
	assert_int_equal(h.len, 100);
	assert_int_equal(h.taken, 5);
	send_packet(&f,
		(struct vsock_header){
			.op = VSOCK_CREDIT, .to_port = 80, .room = 100, .taken = 100 },
		NULL);
	h = next_packet(&f, data);
	assert_int_equal(h.len, 50);
	/* Asked for, credit is told. */
	send_packet(&f,
		(struct vsock_header){
			.op = VSOCK_ASK_CREDIT, .to_port = 80, .room = 100, .taken = 150 },
		NULL);
	h = next_packet(&f, NULL);
	assert_int_equal(h.op, VSOCK_CREDIT);
	/* Each side has said all. */
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_SHUTDOWN,
			.to_port = 80,
			.flags = VSOCK_NO_SEND,
			.room = 100,
			.taken = 150 },
		NULL);
	assert_int_equal(read(fd, data, 1), 0);
	assert_int_equal(write(fd, "y", 1), 1);
	assert_int_equal(next_packet(&f, data).len, 1);
	close(fd);
	h = next_packet(&f, NULL);
	assert_int_equal(h.op, VSOCK_SHUTDOWN);
	assert_int_equal(h.flags, VSOCK_NO_SEND);
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_SHUTDOWN,
			.to_port = 80,
			.flags = VSOCK_NO_SEND | VSOCK_NO_RECEIVE },
		NULL);
	assert_int_equal(next_packet(&f, NULL).op, VSOCK_RESET);
	finish(&f);
}

static void host_to_guest(void **state)
{
	struct fixture f;
	struct vsock_header h;
	char line[32];
	int fd;

	start(&f);
	fd = unix_socket(f.path, false);
	assert_int_equal(write(fd, "CONNECT 22\nfirst", 16), 16);
	h = next_packet(&f, NULL);
	assert_int_equal(h.op, VSOCK_REQUEST);
	assert_int_equal(h.to_port, 22);
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_RESPONSE,
			.from_port = 22,
			.to_port = h.from_port,
			.room = 1000 },
		NULL);
	snprintf(line, sizeof(line), "OK %u\n", h.from_port);
	expect_text(fd, line);
	/* What was behind the line is the guest's. */
	h = next_packet(&f, line);
	assert_int_equal(h.len, 5);
	assert_memory_equal(line, "first", 5);
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_RESET, .from_port = 22, .to_port = h.from_port },
		NULL);
	assert_int_equal(read(fd, line, 1), 0);
	close(fd);
	/* Nobody listens there; a line that is none. */
	fd = unix_socket(f.path, false);
	assert_int_equal(write(fd, "CONNECT 23\n", 11), 11);
	h = next_packet(&f, NULL);
	send_packet(&f,
		(struct vsock_header){ .op = VSOCK_RESET, .from_port = 23, .to_port = h.from_port },
		NULL);
	assert_int_equal(read(fd, line, 1), 0);
	close(fd);
	fd = unix_socket(f.path, false);
	assert_int_equal(write(fd, "HELLO\n", 6), 6);
	assert_int_equal(read(fd, line, 1), 0);
	close(fd);
	finish(&f);
}

/* The program does not read: what fits is kept, what comes beyond that is an end to it. */
static void keeps_what_it_has_room_for(void **state)
{
	static char block[32768];
	struct vsock_header h = {
		.op = VSOCK_DATA, .to_port = 80, .len = sizeof(block), .room = 100
	};
	size_t total = 0, sent = 0;
	struct fixture f;
	uint32_t taken = 0;
	int fd, small = 4096;

	start(&f);
	setsockopt(f.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fd = guest_connects(&f, 100);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)i;
	/* As a driver does: while there is credit. */
	while (sent - taken + sizeof(block) <= VSOCK_BUFFER) {
		send_packet(&f, h, block);
		sent += sizeof(block);
		for (unsigned i = 0; i < 200 && d_used(&f.d, RX) == f.d.seen[RX]; i++)
			usleep(1000);
		while (d_used(&f.d, RX) != f.d.seen[RX]) {
			struct vsock_header got = next_packet(&f, NULL);

			assert_int_equal(got.op, VSOCK_CREDIT);
			taken = got.taken;
		}
	}
	while (total < sent) {
		char got[4096];
		ssize_t n = read(fd, got, sizeof(got));

		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], (char)((total + (size_t)i) % sizeof(block)));
		total += (size_t)n;
	}
	/* It hears of the room when it asks; beyond it is against the rules. */
	while (taken != (uint32_t)sent) {
		send_packet(&f,
			(struct vsock_header){ .op = VSOCK_ASK_CREDIT, .to_port = 80, .room = 100 },
			NULL);
		taken = next_packet(&f, NULL).taken;
	}
	for (unsigned i = 0; i < 100; i++)
		send_packet(&f, h, block);
	do
		h = next_packet(&f, NULL);
	while (h.op == VSOCK_CREDIT);
	assert_int_equal(h.op, VSOCK_RESET);
	close(fd);
	finish(&f);
}

static void refuses(void **state)
{
	struct fixture f;
	struct err err = { 0 };
	int listener;

	start(&f);
	/* Nobody listens at port 81; data of no connection; another CID. */
	send_packet(&f, (struct vsock_header){ .op = VSOCK_REQUEST, .to_port = 81 }, NULL);
	assert_int_equal(next_packet(&f, NULL).op, VSOCK_RESET);
	send_packet(&f, (struct vsock_header){ .op = VSOCK_DATA, .to_port = 80, .len = 1 }, "x");
	assert_int_equal(next_packet(&f, NULL).op, VSOCK_RESET);
	send_packet(
		&f, (struct vsock_header){ .op = VSOCK_REQUEST, .to_cid = 9, .to_port = 80 }, NULL);
	assert_int_equal(next_packet(&f, NULL).op, VSOCK_RESET);
	/* A reset is not answered, nor is who says to be somebody else. */
	send_packet(&f, (struct vsock_header){ .op = VSOCK_RESET, .to_port = 80 }, NULL);
	send_packet(&f, (struct vsock_header){ .op = VSOCK_REQUEST, .from_cid = 9, .to_port = 80 },
		NULL);
	usleep(20000);
	assert_int_equal(d_used(&f.d, RX), f.d.seen[RX]);
	/* A second machine at the same path. */
	assert_int_equal(vsock_listen(f.path, &listener, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "listens at"));
	finish(&f);
}

static void between(void *data)
{
	struct fixture *f = data;
	struct vsock_header h = { .from_cid = CID,
		.to_cid = 2,
		.from_port = GUEST_PORT + f->sent++ % 300,
		.to_port = 80,
		.len = f->sent % 100,
		.type = 1,
		.op = (uint16_t)(1 + f->sent % 8),
		.room = 1000 };
	int fd = unix_socket(f->path, false);

	if (write(fd, "CONNECT 22\n", 11) < 0)
		errno = 0;
	close(fd);
	memory_write(f->d.m, DRIVER_BUFFERS, &h, sizeof(h));
	fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
}

static void hostile(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1d;
	struct fixture f;

	start(&f);
	fcntl(f.listener, F_SETFL, O_NONBLOCK);
	driver_hostile(&f.d, 3, &seed, between, &f);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_to_host),
		cmocka_unit_test(host_to_guest),
		cmocka_unit_test(keeps_what_it_has_room_for),
		cmocka_unit_test(refuses),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
