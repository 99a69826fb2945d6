/* virtio-net as a driver sees it, plugged into a socket. */
#include "driver.h"

#include <errno.h>
#include <sys/socket.h>

#include "device/virtio/net.h"

enum { RX, TX, CONTROL };
enum { MRG_RXBUF = 1 << 15, EVENT_INDEX = 1 << 29 };

static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };

struct fixture {
	struct driver d;
	int peer; /* frames, each after a header of 12 bytes */
};

static void start(struct fixture *f, unsigned offloads)
{
	int pair[2], size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	f->peer = pair[1];
	driver_board(&f->d);
	assert_int_equal(virtio_net_new(f->d.m, f->d.host, net_backend_null(pair[0], offloads), mac,
				 &f->d.device, NULL),
		0);
	driver_map(&f->d);
}

static void finish(struct fixture *f)
{
	driver_end(&f->d);
	close(f->peer);
}

/* A frame of this length, its bytes counted from `first`, arrives. */
static void arrive(struct fixture *f, size_t len, uint8_t first)
{
	uint8_t frame[12 + 65536] = { 0 };

	for (size_t i = 0; i < len; i++)
		frame[12 + i] = (uint8_t)(first + i);
	assert_int_equal(send(f->peer, frame, 12 + len, 0), 12 + len);
}

static void identity(void **state)
{
	struct fixture f;
	uint8_t found[6];

	start(&f, 0);
	assert_int_equal(get32(f.d.m, 0, DRIVER_CONFIG), 0x10411af4);
	for (unsigned i = 0; i < 6; i++)
		found[i] = (uint8_t)d_get(&f.d, 0x2000 + i, 1);
	assert_memory_equal(found, mac, 6);
	assert_int_equal(d_get(&f.d, 0x2006, 2), 1);
	/* What the backend has not, the card does not offer. */
	d_put(&f.d, 0x00, 0, 4);
	assert_int_equal(d_get(&f.d, 0x04, 4) & 0x3fff, 1 << 5);
	finish(&f);
	start(&f, NET_OFFLOADS);
	d_put(&f.d, 0x00, 0, 4);
	assert_int_equal(d_get(&f.d, 0x04, 4) & 0x3fff, 0x3bA7);
	finish(&f);
}

static void sends(void **state)
{
	struct fixture f;
	uint8_t frame[12 + 100], got[200];
	uint32_t len;

	start(&f, 0);
	driver_ready(&f.d, EVENT_INDEX);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = i < 12 ? 0 : (uint8_t)i;
	memory_write(f.d.m, DRIVER_BUFFERS, frame, sizeof(frame));
	/* In one piece, and with the header and the frame cut anywhere. */
	d_offer(&f.d, TX, 0, DRIVER_BUFFERS, sizeof(frame), false);
	assert_int_equal(d_wait(&f.d, TX, &len), 0);
	assert_int_equal(recv(f.peer, got, sizeof(got), MSG_DONTWAIT), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	d_descriptor(&f.d, TX, 1, DRIVER_BUFFERS, 5, D_NEXT, 2);
	d_descriptor(&f.d, TX, 2, DRIVER_BUFFERS + 5, 20, D_NEXT, 3);
	d_descriptor(&f.d, TX, 3, DRIVER_BUFFERS + 25, sizeof(frame) - 25, 0, 0);
	d_add(&f.d, TX, 1);
	d_kick(&f.d, TX);
	assert_int_equal(d_wait(&f.d, TX, &len), 1);
	assert_int_equal(recv(f.peer, got, sizeof(got), MSG_DONTWAIT), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	/* Less than a header is dropped, and given back. */
	d_offer(&f.d, TX, 4, DRIVER_BUFFERS, 11, false);
	assert_int_equal(d_wait(&f.d, TX, &len), 4);
	assert_int_equal(recv(f.peer, got, sizeof(got), MSG_DONTWAIT), -1);
	finish(&f);
}

static void receives(void **state)
{
	struct fixture f;
	uint8_t got[12 + 200];
	uint32_t len;

	start(&f, 0);
	/* What comes before there is room waits. */
	arrive(&f, 60, 1);
	arrive(&f, 61, 2);
	driver_ready(&f.d, 0);
	assert_int_equal(d_used(&f.d, RX), 0);
	d_offer(&f.d, RX, 3, DRIVER_BUFFERS, 212, true);
	d_offer(&f.d, RX, 4, DRIVER_BUFFERS + 0x1000, 212, true);
	assert_int_equal(d_wait(&f.d, RX, &len), 3);
	assert_int_equal(len, 12 + 60);
	assert_int_equal(d_wait(&f.d, RX, &len), 4);
	assert_int_equal(len, 12 + 61);
	memory_read(f.d.m, DRIVER_BUFFERS + 0x1000, got, sizeof(got));
	assert_int_equal(got[10], 1); /* buffers */
	assert_int_equal(got[12], 2);
	assert_int_equal(got[12 + 60], 62);
	/* One that is too long is lost, the next is not. */
	arrive(&f, 300, 3);
	arrive(&f, 64, 4);
	d_offer(&f.d, RX, 5, DRIVER_BUFFERS, 212, true);
	assert_int_equal(d_wait(&f.d, RX, &len), 5);
	assert_int_equal(len, 12 + 64);
	finish(&f);
}

static void merges_buffers(void **state)
{
	struct fixture f;
	uint8_t byte[12];
	uint32_t len;

	start(&f, 0);
	driver_ready(&f.d, MRG_RXBUF | EVENT_INDEX);
	/* 250 bytes and a header need three of 100; with two, nothing is seen of them. */
	arrive(&f, 250, 7);
	d_offer(&f.d, RX, 0, DRIVER_BUFFERS, 100, true);
	d_offer(&f.d, RX, 1, DRIVER_BUFFERS + 0x100, 100, true);
	usleep(20000);
	assert_int_equal(d_used(&f.d, RX), 0);
	d_offer(&f.d, RX, 2, DRIVER_BUFFERS + 0x200, 100, true);
	assert_int_equal(d_wait(&f.d, RX, &len), 0);
	assert_int_equal(len, 100);
	assert_int_equal(d_used(&f.d, RX), 3);
	assert_int_equal(d_wait(&f.d, RX, &len), 1);
	assert_int_equal(len, 100);
	assert_int_equal(d_wait(&f.d, RX, &len), 2);
	assert_int_equal(len, 62);
	memory_read(f.d.m, DRIVER_BUFFERS, byte, 12);
	assert_int_equal(byte[10], 3);
	memory_read(f.d.m, DRIVER_BUFFERS + 0x200 + 61, byte, 1);
	assert_int_equal(byte[0], (uint8_t)(7 + 249));
	finish(&f);
}

static uint8_t command(struct fixture *f, const void *data, uint32_t n)
{
	uint8_t ack = 0xff;
	uint32_t len;

	memory_write(f->d.m, DRIVER_BUFFERS, data, n);
	memory_write(f->d.m, DRIVER_BUFFERS + 0x100, &ack, 1);
	d_descriptor(&f->d, CONTROL, 0, DRIVER_BUFFERS, n, D_NEXT, 1);
	d_descriptor(&f->d, CONTROL, 1, DRIVER_BUFFERS + 0x100, 1, D_WRITE, 0);
	d_add(&f->d, CONTROL, 0);
	d_kick(&f->d, CONTROL);
	assert_int_equal(d_wait(&f->d, CONTROL, &len), 0);
	assert_int_equal(len, 1);
	memory_read(f->d.m, DRIVER_BUFFERS + 0x100, &ack, 1);
	return ack;
}

static void control(void **state)
{
	struct fixture f;

	start(&f, NET_OFFLOADS);
	driver_ready(&f.d, 1 << 17 | 1 << 18 | 1 << 23 | 1 << 2 | 1 << 1);
	assert_int_equal(command(&f, "\0\0\1", 3), 0);
	assert_int_equal(command(&f, "\1\1\2\7\7\7\7\7", 8), 0);
	assert_int_equal(d_get(&f.d, 0x2001, 1), 7);
	assert_int_equal(command(&f, "\5\0\2\0\0\0\0\0\0\0", 10), 0);
	/* Offloads that were not negotiated, an address cut short, no such class. */
	assert_int_equal(command(&f, "\5\0\200\0\0\0\0\0\0\0", 10), 1);
	assert_int_equal(command(&f, "\1\1\2\7", 4), 1);
	assert_int_equal(command(&f, "\77\0", 2), 1);
	assert_int_equal(command(&f, "\1", 1), 1);
	/* Its own address is back after a reset. */
	d_put(&f.d, 0x14, 0, 1);
	assert_int_equal(d_get(&f.d, 0x2001, 1), 1);
	finish(&f);
}

/* The backend takes no more for a while; nothing is lost, and nobody waits in a vCPU. */
static void waits_for_the_backend(void **state)
{
	struct fixture f;
	uint8_t frame[12 + 4000] = { 0 }, got[5000];
	unsigned given = 0, received = 0;

	start(&f, 0);
	driver_ready(&f.d, 0);
	memory_write(f.d.m, DRIVER_BUFFERS, frame, sizeof(frame));
	for (unsigned i = 0; i < 4000 && given - d_used(&f.d, TX) < DRIVER_N; i++, given++)
		d_offer(&f.d, TX, (uint16_t)(given % DRIVER_N), DRIVER_BUFFERS, sizeof(frame),
			false);
	assert_true(given < 4000);
	for (unsigned i = 0; i < 30000 && received < given; i++) {
		if (recv(f.peer, got, sizeof(got), MSG_DONTWAIT) < 0)
			usleep(1000);
		else
			received++;
	}
	assert_int_equal(received, given);
	for (unsigned i = 0; i < 30000 && d_used(&f.d, TX) != given; i++)
		usleep(1000);
	assert_int_equal(d_used(&f.d, TX), given);
	finish(&f);
}

static void loses_its_link(void **state)
{
	struct fixture f;

	start(&f, 0);
	driver_ready(&f.d, 1 << 16);
	/* A datagram without a header is what no backend sends. */
	assert_int_equal(send(f.peer, "x", 1, 0), 1);
	for (unsigned i = 0; i < 30000 && d_get(&f.d, 0x2006, 2) == 1; i++)
		usleep(1000);
	assert_int_equal(d_get(&f.d, 0x2006, 2), 0);
	assert_int_equal(d_get(&f.d, 0x1000, 1) & 2, 2);
	finish(&f);
}

/* The same registers by the window in configuration space, as firmware without BARs comes to them. */
static void window(void **state)
{
	struct fixture f;
	uint64_t at = DRIVER_CONFIG;
	unsigned c;

	start(&f, 0);
	c = (unsigned)vcpu_read(&f.d.m->vcpus[0], at + 0x34, 1);
	while (c && vcpu_read(&f.d.m->vcpus[0], at + c + 3, 1) != 5)
		c = (unsigned)vcpu_read(&f.d.m->vcpus[0], at + c + 1, 1);
	assert_int_not_equal(c, 0);
	/* BARs are off. */
	vcpu_write(&f.d.m->vcpus[0], at + 4, 0, 2);
	assert_int_equal(d_get(&f.d, 0x2000, 4), UINT32_MAX);
	put32(f.d.m, 0, at + c + 8, 0x2002);
	put32(f.d.m, 0, at + c + 12, 2);
	assert_int_equal(vcpu_read(&f.d.m->vcpus[0], at + c + 16, 2), 0x0302);
	/* Status, written and read. */
	put32(f.d.m, 0, at + c + 8, 0x14);
	put32(f.d.m, 0, at + c + 12, 1);
	vcpu_write(&f.d.m->vcpus[0], at + c + 16, 3, 1);
	assert_int_equal(vcpu_read(&f.d.m->vcpus[0], at + c + 16, 1), 3);
	/* No such BAR, beyond its end, no such width, not aligned: nothing happens. */
	for (unsigned i = 0; i < 4; i++) {
		vcpu_write(&f.d.m->vcpus[0], at + c + 4, i == 0 ? 9 : 0, 1);
		put32(f.d.m, 0, at + c + 8, i == 1 ? 0x4000 : i == 3 ? 0x15 : 0x14);
		put32(f.d.m, 0, at + c + 12, i == 2 ? 3 : i == 3 ? 2 : 1);
		put32(f.d.m, 0, at + c + 16, 0);
		get32(f.d.m, 0, at + c + 16);
	}
	vcpu_write(&f.d.m->vcpus[0], at + c + 4, 0, 1);
	put32(f.d.m, 0, at + c + 8, 0x14);
	put32(f.d.m, 0, at + c + 12, 1);
	assert_int_equal(vcpu_read(&f.d.m->vcpus[0], at + c + 16, 1), 3);
	finish(&f);
}

static void between(void *data)
{
	struct fixture *f = data;
	uint8_t frame[200] = { 0 };

	send(f->peer, frame, 12 + 70, MSG_DONTWAIT);
	while (recv(f->peer, frame, sizeof(frame), MSG_DONTWAIT) > 0)
		;
}

static void hostile(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	struct fixture f;

	start(&f, NET_OFFLOADS);
	driver_hostile(&f.d, 3, &seed, between, &f);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(sends),
		cmocka_unit_test(receives),
		cmocka_unit_test(merges_buffers),
		cmocka_unit_test(control),
		cmocka_unit_test(waits_for_the_backend),
		cmocka_unit_test(loses_its_link),
		cmocka_unit_test(window),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
