/* DHCP and names for a machine's card, as its guest sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/backend.h"
#include "net/dhcp.h"

static const struct net_lease lease = { .address = { 10, 1, 0, 7 },
	.gateway = { 10, 1, 0, 1 },
	.has_route = true,
	.bits = 24,
	.mtu = 1400,
	.hostname = "guest",
	.resolver = -1 };

/* A message with these options; its length. */
static size_t message(uint8_t msg[300], const void *options, size_t n)
{
	memset(msg, 0, 300);
	memcpy(msg, "\1\1\6\0abcd", 8);
	memcpy(msg + 28, "\2\1\2\3\4\5", 6);
	memcpy(msg + 236, "\143\202\123\143", 4);
	memcpy(msg + 240, options, n);
	return 240 + n;
}

static void answers(void **state)
{
	uint8_t msg[300], out[DHCP_REPLY_MAX];
	size_t n = message(msg, "\65\1\1\377", 4);

	n = dhcp_answer(&lease, msg, n, out);
	assert_true(n > 240);
	assert_memory_equal(out, "\2\1\6\0abcd", 8);
	assert_memory_equal(out + 16, lease.address, 4);
	assert_memory_equal(out + 28, "\2\1\2\3\4\5", 6);
	/* Offer, server, time, mask, router, names, MTU, host name. */
	assert_memory_equal(
		out + 240, "\65\1\2\66\4\12\1\0\1\63\4\0\1\121\200\1\4\377\377\377\0", 21);
	assert_memory_equal(out + 261, "\3\4\12\1\0\1\6\4\12\1\0\1\32\2\5\170\14\5guest\377", 24);
	assert_int_equal(n, 285);
	/* What was offered is wanted, by either field, then something else. */
	n = message(msg, "\65\1\3\66\4\12\1\0\1\62\4\12\1\0\7\377", 16);
	dhcp_answer(&lease, msg, n, out);
	assert_memory_equal(out + 240, "\65\1\5", 3);
	n = message(msg, "\65\1\3\377", 4);
	memcpy(msg + 12, lease.address, 4);
	dhcp_answer(&lease, msg, n, out);
	assert_memory_equal(out + 240, "\65\1\5", 3);
	n = message(msg, "\65\1\3\62\4\12\1\0\10\377", 10);
	n = dhcp_answer(&lease, msg, n, out);
	assert_memory_equal(out + 240, "\65\1\6\66\4\12\1\0\1\377", 10);
	assert_int_equal(n, 250);
	n = message(msg, "\65\1\10\377", 4);
	dhcp_answer(&lease, msg, n, out);
	assert_memory_equal(out + 240, "\65\1\5", 3);
	assert_memory_equal(out + 16, "\0\0\0\0", 4);
}

static void ignores(void **state)
{
	uint8_t msg[300], out[DHCP_REPLY_MAX];
	size_t n;

	/* Another server's offer was taken; a release; no type; a length beyond the end; too short. */
	n = message(msg, "\65\1\3\66\4\12\1\0\2\377", 10);
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
	n = message(msg, "\65\1\7\377", 4);
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
	n = message(msg, "\377", 1);
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
	n = message(msg, "\65\377\1\377", 4);
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
	n = message(msg, "\65\1", 2);
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
	n = message(msg, "\65\1\1\377", 4);
	assert_int_equal(dhcp_answer(&lease, msg, 239, out), 0);
	msg[0] = 2;
	assert_int_equal(dhcp_answer(&lease, msg, n, out), 0);
}

struct card {
	struct net_backend *backend;
	int peer, resolver;
	struct net_lease lease;
};

static void plug_in(struct card *c)
{
	int pair[2], names[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, names), 0);
	*c = (struct card){ .lease = lease, .peer = pair[1], .resolver = names[1] };
	c->lease.resolver = names[0];
	assert_int_equal(
		net_backend_lease(net_backend_null(pair[0], 0), &c->lease, &c->backend, NULL), 0);
}

static void unplug(struct card *c)
{
	net_backend_free(c->backend);
	close(c->peer);
	close(c->resolver);
	close(c->lease.resolver);
}

/* A UDP frame of the guest's, in two pieces. */
static void guest_sends(
	struct card *c, const char *to, uint16_t port, const void *data, size_t n, size_t pretend)
{
	struct net_header header = { .flags = 1 };
	uint8_t frame[600] = { 0 };
	struct iovec iov[2] = { { frame, 20 }, { frame + 20, 42 + n - 20 } };

	memcpy(frame, "\2\102\12\1\0\1\2\1\2\3\4\5\10\0\105", 15);
	frame[14 + 9] = 17;
	memcpy(frame + 14 + 16, to, 4);
	memcpy(frame + 34, "\4\322", 2);
	frame[36] = (uint8_t)(port >> 8);
	frame[37] = (uint8_t)port;
	frame[38] = (uint8_t)((8 + pretend) >> 8);
	frame[39] = (uint8_t)(8 + pretend);
	memcpy(frame + 42, data, n);
	assert_int_equal(c->backend->type->send(c->backend, &header, iov, 2), 0);
}

static ssize_t guest_receives(struct card *c, uint8_t frame[2000])
{
	struct net_header header;

	return c->backend->type->receive(c->backend, &header, frame, 2000);
}

static bool readable(struct card *c)
{
	struct pollfd p = { .fd = c->backend->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void intercepts(void **state)
{
	static const char query[] = "ab\1\0\0\1\0\0\0\0\0\0\5other\0\0\1\0\1";

	uint8_t msg[300], frame[2000];
	struct card c;
	ssize_t n;

	plug_in(&c);
	assert_false(readable(&c));
	assert_int_equal(guest_receives(&c, frame), -EAGAIN);
	guest_sends(&c, "\377\377\377\377", 67, msg, message(msg, "\65\1\1\377", 4), 244);
	assert_true(readable(&c));
	n = guest_receives(&c, frame);
	assert_int_equal(n, 42 + 285);
	assert_memory_equal(frame, "\2\1\2\3\4\5\2\102\12\1\0\1\10\0", 14);
	assert_memory_equal(frame + 34, "\0\103\0\104", 4);
	assert_false(readable(&c));
	/* The resolver gets a query under another id, and its answer goes back under the guest's own; others do not. */
	guest_sends(&c, "\12\1\0\1", 53, query, sizeof(query) - 1, sizeof(query) - 1);
	guest_sends(&c, "\12\1\0\1", 53, query, sizeof(query) - 1, sizeof(query) - 1);
	assert_int_equal(guest_receives(&c, frame), -EAGAIN);
	n = recv(c.resolver, msg, sizeof(msg), MSG_DONTWAIT);
	assert_int_equal(n, sizeof(query) - 1);
	assert_memory_equal(msg + 2, query + 2, (size_t)n - 2);
	n = recv(c.resolver, msg, sizeof(msg), MSG_DONTWAIT);
	assert_int_equal(send(c.resolver, msg, (size_t)n, 0), n);
	assert_true(readable(&c));
	assert_int_equal(guest_receives(&c, frame), 42 + n);
	assert_memory_equal(frame + 42, query, (size_t)n);
	assert_memory_equal(frame + 34, "\0\65\4\322", 4);
	assert_int_equal(send(c.resolver, msg, (size_t)n, 0), n);
	assert_int_equal(guest_receives(&c, frame), -EAGAIN);
	/* Nothing of that went further; what is for others does. */
	assert_int_equal(recv(c.peer, frame, sizeof(frame), MSG_DONTWAIT), -1);
	guest_sends(&c, "\12\1\0\2", 53, query, sizeof(query) - 1, sizeof(query) - 1);
	assert_int_equal(
		recv(c.peer, frame, sizeof(frame), MSG_DONTWAIT), 12 + 42 + sizeof(query) - 1);
	/* Lengths that lie. */
	guest_sends(&c, "\12\1\0\1", 53, query, sizeof(query) - 1, 5000);
	guest_sends(&c, "\12\1\0\1", 53, query, sizeof(query) - 1, (size_t)-8);
	assert_int_equal(guest_receives(&c, frame), -EAGAIN);
	/* Who does not take the answers loses some, not us. */
	for (unsigned i = 0; i < 100; i++)
		guest_sends(&c, "\12\1\0\1", 67, msg, message(msg, "\65\1\1\377", 4), 244);
	for (n = 0; guest_receives(&c, frame) > 0; n++)
		;
	assert_in_range(n, 1, 99);
	unplug(&c);
}

static void anything(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	uint8_t bytes[300], frame[2000];
	struct card c;

	plug_in(&c);
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = message(bytes, "\65\1\1\14\5abcde\62\4\12\1\0\7\377", 17);

		for (unsigned k = 0; k < 3; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[seed % 2 ? 236 + (seed >> 8) % 30 : (seed >> 8) % 300] =
				(uint8_t)(seed >> 32);
		}
		guest_sends(&c, "\12\1\0\1", seed >> 40 & 1 ? 53 : 67, bytes,
			(seed >> 41) % 2 ? n : (seed >> 42) % 300, (seed >> 50) % 320);
		guest_receives(&c, frame);
		recv(c.peer, frame, sizeof(frame), MSG_DONTWAIT);
		if (seed >> 60 & 1 && recv(c.resolver, frame, 400, MSG_DONTWAIT) > 0)
			send(c.resolver, frame, (seed >> 20) % 400, MSG_DONTWAIT);
	}
	unplug(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(ignores),
		cmocka_unit_test(intercepts),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
