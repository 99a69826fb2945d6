/*
 * The resolver and the port proxy, in network namespaces of the test's own: "host" (with a made-up
 * upstream on 127.0.0.1:5353) and "container", where the checks run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "net/dns.h"
#include "net/dns_message.h"
#include "net/dns_socket.h"
#include "skip.h"

static char dir[] = "/tmp/holm-test-dns-XXXXXX";
static const char table[] =
	"web\t10.0.0.2\ti1\nWeb\t10.0.0.3\ti2\nweb\tfd00::2\ti1\ndb.prod\t10.0.0.4\ti3\n"
	"broken line\n\t\t\nx\tnot-an-address\ti\n";

/* A query for a dotted name; its length. */
static size_t make_query(uint8_t *out, const char *name, unsigned type, bool edns)
{
	uint8_t *p = out + 12;

	memcpy(out, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
	out[11] = edns;
	while (*name) {
		size_t n = strcspn(name, ".");
		*p++ = (uint8_t)n;
		memcpy(p, name, n);
		p += n;
		name += n + (name[n] == '.');
	}
	*p++ = 0;
	memcpy(p, (uint8_t[]){ (uint8_t)(type >> 8), (uint8_t)type, 0, 1 }, 4);
	p += 4;
	if (edns) {
		memcpy(p, "\0\0\x29\x10\0\0\0\0\0\0\0", 11);
		p += 11;
	}
	return (size_t)(p - out);
}

#define RCODE(m) ((m)[3] & 15)
#define ANSWERS(m) ((m)[6] << 8 | (m)[7])

static struct dns_names *some_names(void)
{
	struct dns_names *names = dns_names_new();

	dns_names_add(names, table, strlen(table));
	return names;
}

static void answers_from_the_table(void **state)
{
	cleanup(dns_names_free) struct dns_names *names = some_names();
	uint8_t q[512], a[4096];
	size_t len = make_query(q, "wEb", DNS_A, false);
	int n = dns_answer(names, q, len, false, a, sizeof(a));
	uint8_t first;

	assert_int_equal(n, len + 2 * 16);
	assert_int_equal(ANSWERS(a), 2);
	assert_int_equal(RCODE(a), DNS_NOERROR);
	assert_memory_equal(a, "\x12\x34\x85\x80", 4);
	assert_memory_equal(a + 12, q + 12, len - 12); /* the case of the question is kept */
	first = a[n - 1];
	dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_not_equal(a[n - 1], first); /* they take turns */

	len = make_query(q, "web", DNS_AAAA, true);
	n = dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_equal(ANSWERS(a), 1);
	assert_int_equal(n, len + 28); /* with an OPT record of ours */
	len = make_query(q, "db.prod", DNS_AAAA, false);
	n = dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_equal(n, len);
	assert_int_equal(ANSWERS(a), 0);
	assert_int_equal(RCODE(a), DNS_NOERROR);
	len = make_query(q, "db", DNS_A, false);
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), 0);
	len = make_query(q, "broken line", DNS_A, false);
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), 0);
}

static void answers_backwards(void **state)
{
	cleanup(dns_names_free) struct dns_names *names = some_names();
	uint8_t q[512], a[4096];
	size_t len = make_query(q, "4.0.0.10.in-addr.arpa", DNS_PTR, false);
	int n = dns_answer(names, q, len, false, a, sizeof(a));

	assert_int_equal(ANSWERS(a), 1);
	assert_memory_equal(a + n - 9, "\2db\4prod", 8);
	len = make_query(q,
		"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", DNS_PTR,
		false);
	n = dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_equal(ANSWERS(a), 1);
	assert_memory_equal(a + n - 5, "\3web", 5);
	len = make_query(q, "9.0.0.10.in-addr.arpa", DNS_PTR, false);
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), 0);
	len = make_query(q, "4.0.0.999.in-addr.arpa", DNS_PTR, false);
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), 0);
}

static void survives_bad_messages(void **state)
{
	cleanup(dns_names_free) struct dns_names *names = some_names();
	uint8_t q[512], a[4096];
	size_t len = make_query(q, "web", DNS_A, true);

	for (size_t cut = 0; cut < 12; cut++)
		assert_int_equal(dns_answer(names, q, cut, false, a, sizeof(a)), -EBADMSG);
	for (size_t cut = 12; cut < len - 11; cut++) {
		assert_int_equal(dns_answer(names, q, cut, false, a, sizeof(a)), 12);
		assert_int_equal(RCODE(a), DNS_FORMERR);
	}
	for (size_t cut = len - 11; cut < len; cut++) /* a broken OPT counts for none */
		assert_true(dns_answer(names, q, cut, false, a, sizeof(a)) > 12);
	q[12] = 0xc0; /* compression in a question, pointing at itself */
	q[13] = 12;
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), 12);
	assert_int_equal(RCODE(a), DNS_FORMERR);
	make_query(q, "web", DNS_A, true);
	q[2] = 0x28; /* opcode 5 */
	dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_equal(RCODE(a), DNS_NOTIMP);
	q[2] = 0x81; /* a response */
	assert_int_equal(dns_answer(names, q, len, false, a, sizeof(a)), -EBADMSG);
	/* A name of 300 bytes. */
	memset(q, 0, sizeof(q));
	q[5] = 1;
	for (int i = 0; i < 6; i++)
		q[12 + i * 51] = 50;
	assert_int_equal(dns_answer(names, q, 400, false, a, sizeof(a)), 12);
	assert_int_equal(RCODE(a), DNS_FORMERR);
}

static void truncates(void **state)
{
	cleanup(dns_names_free) struct dns_names *names = dns_names_new();
	uint8_t q[512], a[4096];
	size_t len;
	char line[64];
	int n;

	for (int i = 0; i < 60; i++) {
		snprintf(line, sizeof(line), "many\t10.1.0.%d\ti%d\n", i, i);
		dns_names_add(names, line, strlen(line));
	}
	len = make_query(q, "many", DNS_A, false);
	n = dns_answer(names, q, len, false, a, sizeof(a));
	assert_in_range(n, 400, 512);
	assert_true(a[2] & 2);
	n = dns_answer(names, q, len, true, a, sizeof(a));
	assert_int_equal(ANSWERS(a), 60);
	assert_false(a[2] & 2);
	len = make_query(q, "many", DNS_A, true);
	n = dns_answer(names, q, len, false, a, sizeof(a));
	assert_int_equal(ANSWERS(a), 60);
	assert_in_range(n, 960, 1232);
}

static void knows_responses(void **state)
{
	uint8_t q[512], a[512];
	size_t len = make_query(q, "example.org", DNS_A, false);

	memcpy(a, q, len);
	assert_false(dns_is_response(q, len, a, len));
	a[2] |= 0x80;
	assert_true(dns_is_response(q, len, a, len));
	a[14] ^= 0x20; /* case */
	assert_true(dns_is_response(q, len, a, len));
	assert_false(dns_is_response(q, len, a, len - 1));
	a[15] ^= 1;
	assert_false(dns_is_response(q, len, a, len));
	a[15] ^= 1;
	a[0]++;
	assert_false(dns_is_response(q, len, a, len));
}

/* --- live --- */

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			_exit(1); \
		} \
	} while (0)

static struct sockaddr_in address_of(const char *ip, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = inet_addr(ip) };
}

static int bound(int type, const char *ip, int port)
{
	struct sockaddr_in a = address_of(ip, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	if (type == SOCK_STREAM)
		CHECK(listen(fd, 16) == 0);
	return fd;
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	cleanup(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0);
}

/* Turns a query into a response with one address, 192.0.2.7. */
static size_t respond(uint8_t *msg, size_t len)
{
	msg[2] |= 0x80;
	msg[7] = 1;
	memcpy(msg + len, "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xc0\0\2\7", 16);
	return len + 16;
}

/* Answers by the first label: "slow" never, "forged" first falsely, "big" truncated over UDP. */
static void upstream(void)
{
	int udp = bound(SOCK_DGRAM, "127.0.0.1", 5353), tcp = bound(SOCK_STREAM, "127.0.0.1", 5353);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			uint8_t m[4096] = { 0 };
			cleanup(fd_close) int fd = accept(tcp, NULL, NULL);
			ssize_t n = read(fd, m, sizeof(m));
			size_t len = n > 2 ? respond(m + 2, (size_t)n - 2) : 0;
			/* In two parts, to be put together. */
			m[0] = (uint8_t)(len >> 8);
			m[1] = (uint8_t)len;
			CHECK(write(fd, m, 5) == 5);
			usleep(20000);
			CHECK(write(fd, m + 5, len - 3) == (ssize_t)len - 3);
		}
	}
	for (;;) {
		uint8_t m[4096];
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(udp, m, sizeof(m), 0, (struct sockaddr *)&from, &from_len);
		size_t len = (size_t)n;
		if (n < 13 || memcmp(m + 13, "slow", 4) == 0)
			continue;
		if (memcmp(m + 13, "forged", 6) == 0) {
			uint8_t f[4096];
			memcpy(f, m, len);
			f[0]++;
			n = (ssize_t)respond(f, len);
			f[n - 1] = 66;
			sendto(udp, f, (size_t)n, 0, (struct sockaddr *)&from, from_len);
		}
		if (memcmp(m + 13, "big", 3) == 0)
			m[2] |= 0x82;
		else
			len = respond(m, len);
		sendto(udp, m, len, 0, (struct sockaddr *)&from, from_len);
	}
}

static int resolver_socket(int type)
{
	struct sockaddr_in a = address_of("127.0.0.11", 53);
	struct timeval limit = { .tv_sec = 8 };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static ssize_t ask_udp(const char *name, unsigned type, uint8_t *a, size_t size)
{
	cleanup(fd_close) int fd = resolver_socket(SOCK_DGRAM);
	uint8_t q[512];
	size_t len = make_query(q, name, type, false);

	CHECK(send(fd, q, len, 0) == (ssize_t)len);
	return recv(fd, a, size, 0);
}

static void check_tcp(bool upstream_answers)
{
	cleanup(fd_close) int fd = resolver_socket(SOCK_STREAM);
	uint8_t q[1024], a[1024];
	size_t len = make_query(q + 2, "web", DNS_A, false), more;

	q[0] = 0;
	q[1] = (uint8_t)len;
	more = make_query(q + 2 + len + 2, "big.example", DNS_A, false);
	q[2 + len] = 0;
	q[2 + len + 1] = (uint8_t)more;
	/* Two queries at once, byte by byte at first. */
	for (int i = 0; i < 6; i++)
		CHECK(send(fd, q + i, 1, 0) == 1);
	CHECK(send(fd, q + 6, len + more - 2, 0) == (ssize_t)(len + more - 2));
	CHECK(recv(fd, a, 2, MSG_WAITALL) == 2);
	CHECK(recv(fd, a + 2, a[1], MSG_WAITALL) == a[1]);
	CHECK(ANSWERS(a + 2) == 2);
	CHECK(recv(fd, a, 2, MSG_WAITALL) == 2);
	CHECK(recv(fd, a + 2, a[1], MSG_WAITALL) == a[1]);
	CHECK(upstream_answers ? ANSWERS(a + 2) == 1 : RCODE(a + 2) == DNS_SERVFAIL);
	CHECK(memcmp(a + 2, "\x12\x34", 2) == 0);
	/* A length beyond all bounds ends the connection. */
	CHECK(send(fd, "\xff\xff", 2, 0) == 2);
	CHECK(recv(fd, a, 1, 0) == 0);
}

static void flood(void)
{
	int fds[60];
	uint8_t q[512], a[512];
	cleanup(fd_close) int fd = resolver_socket(SOCK_DGRAM);
	size_t len = make_query(q, "slow.example", DNS_A, false);

	for (int i = 0; i < 60; i++)
		fds[i] = resolver_socket(SOCK_STREAM);
	for (int i = 0; i < 3000; i++) {
		q[0] = (uint8_t)i;
		q[1] = (uint8_t)(i >> 8);
		send(fd, q, len, MSG_DONTWAIT);
	}
	for (int i = 0; i < 1000; i++) {
		len = (size_t)(rand() % 500);
		for (size_t k = 0; k < len; k++)
			q[k] = (uint8_t)rand();
		send(fd, q, len, MSG_DONTWAIT);
	}
	usleep(300000);
	CHECK(ask_udp("web", DNS_A, a, sizeof(a)) > 0);
	CHECK(ANSWERS(a) == 2);
	for (int i = 0; i < 60; i++)
		close(fds[i]);
	check_tcp(/* upstream_answers= */ false); /* all places are taken */
}

static void in_container(void)
{
	uint8_t a[4096];
	ssize_t n;
	int64_t start;
	cleanup(free) char *path = xasprintf("%s/networks/net1.names", paths_run());

	CHECK(ask_udp("web", DNS_A, a, sizeof(a)) > 0);
	CHECK(ANSWERS(a) == 2);
	n = ask_udp("www.example.org", DNS_A, a, sizeof(a));
	CHECK(n > 16 && memcmp(a + n - 4, "\xc0\0\2\7", 4) == 0 && memcmp(a, "\x12\x34", 2) == 0);
	n = ask_udp("forged.example", DNS_A, a, sizeof(a));
	CHECK(n > 16 && a[n - 1] == 7);
	n = ask_udp("big.example", DNS_A, a, sizeof(a));
	CHECK(n > 0 && (a[2] & 2));
	check_tcp(/* upstream_answers= */ true);
	/* The table is read again when it changes. */
	CHECK(file_write(AT_FDCWD, path, "new\t10.0.0.9\ti9\n", 16, 0644, 0) == 0);
	n = ask_udp("new", DNS_A, a, sizeof(a));
	CHECK(n > 0 && a[n - 1] == 9);
	CHECK(file_write(AT_FDCWD, path, table, strlen(table), 0644, 0) == 0);
	start = time_monotonic();
	CHECK(ask_udp("slow.example", DNS_A, a, sizeof(a)) > 0);
	CHECK(RCODE(a) == DNS_SERVFAIL);
	CHECK(time_monotonic() - start < INT64_C(7000000000));
	flood();
	_exit(0);
}

static void on_child(void *data, uint32_t events)
{
	loop_stop(data, 0);
}

/* Runs the loop until the child is gone; its exit status. */
static int run_until(struct loop *loop, pid_t pid)
{
	cleanup(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct loop_source *s = loop_add_fd(loop, pidfd, EPOLLIN, on_child, loop);
	int status = -1;

	loop_run(loop);
	loop_remove(s);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A child in a network namespace of its own, which runs fn once it is told to. */
static pid_t container(void (*fn)(void), int *go)
{
	int ready[2], start[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK(unshare(CLONE_NEWNET) == 0);
		CHECK(write(ready[1], "r", 1) == 1);
		CHECK(read(start[0], &c, 1) == 1);
		fn();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(start[0]);
	*go = start[1];
	return pid;
}

static void serves_a_container(void **state)
{
	cleanup(loop_free) struct loop *loop = loop_new();
	cleanup(dns_free) struct dns *dns = NULL;
	cleanup(free) char *networks = xasprintf("%s/networks", paths_run());
	cleanup(free) char *path = xasprintf("%s/net1.names", networks);
	char *ids[] = { (char *)"net1", NULL };
	char *upstreams[] = { (char *)"127.0.0.1#5354", (char *)"127.0.0.1#5353", NULL };
	struct err err = { 0 };
	pid_t up, pid;
	int go;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		skip_because("a network namespace needs root");
	loopback_up();
	assert_int_equal(dir_make(networks, 0755), 0);
	assert_int_equal(file_write(AT_FDCWD, path, table, strlen(table), 0644, 0), 0);
	up = fork();
	if (up == 0)
		upstream();
	usleep(50000);
	pid = container(in_container, &go);
	if (dns_start(loop, pid, ids, upstreams, &dns, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(write(go, "g", 1), 1);
	assert_int_equal(run_until(loop, pid), 0);
	close(go);
	kill(up, SIGKILL);
	waitpid(up, NULL, 0);
}

static void relay_server(void)
{
	int tcp = bound(SOCK_STREAM, "127.0.0.1", 7000), udp = bound(SOCK_DGRAM, "127.0.0.1", 7001);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			char m[2048];
			struct sockaddr_in from;
			socklen_t len = sizeof(from);
			ssize_t n = recvfrom(udp, m, sizeof(m), 0, (struct sockaddr *)&from, &len);
			sendto(udp, m, (size_t)n, 0, (struct sockaddr *)&from, len);
		}
	}
	/* Reads all there is, then says how much: that needs the half-close. */
	for (;;) {
		cleanup(fd_close) int fd = accept(tcp, NULL, NULL);
		char data[65536], text[32];
		size_t total = 0;
		ssize_t n;
		usleep(100000); /* for the back-pressure */
		while ((n = read(fd, data, sizeof(data))) > 0)
			total += (size_t)n;
		n = snprintf(text, sizeof(text), "%zu", total);
		CHECK(write(fd, text, (size_t)n) == n);
	}
}

static void relay_client(void)
{
	struct sockaddr_in tcp = address_of("127.0.0.1", 8000), udp = address_of("127.0.0.1", 8001);
	cleanup(free) char *data = xcalloc(1, 20 << 20);
	struct timeval limit = { .tv_sec = 8 };
	char text[64] = { 0 };
	int fd;

	for (int round = 0; round < 2; round++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&tcp, sizeof(tcp)) == 0);
		CHECK(fd_write_all(fd, data, 20 << 20) == 0);
		CHECK(shutdown(fd, SHUT_WR) == 0);
		CHECK(fd_read_full(fd, text, sizeof(text)) == 8);
		CHECK(strcmp(text, "20971520") == 0);
		close(fd);
	}
	for (int i = 0; i < 3; i++) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		CHECK(connect(fd, (struct sockaddr *)&udp, sizeof(udp)) == 0);
		CHECK(send(fd, "ping", 4, 0) == 4);
		CHECK(recv(fd, text, sizeof(text), 0) == 4);
		close(fd);
	}
	/* Nobody there: the connection ends. */
	tcp.sin_port = htons(8002);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(fd, (struct sockaddr *)&tcp, sizeof(tcp)) == 0);
	CHECK(recv(fd, text, sizeof(text), 0) <= 0);
	_exit(0);
}

static void relays_ports(void **state)
{
	cleanup(loop_free) struct loop *loop = loop_new();
	cleanup(port_proxy_free) struct port_proxy *proxy = NULL;
	static const int ports[] = { 7000, 7001, 7999 };
	int fds[3];
	pid_t server, client;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		skip_because("a network namespace needs root");
	loopback_up();
	fds[0] = bound(SOCK_STREAM, "0.0.0.0", 8000);
	fds[1] = bound(SOCK_DGRAM, "0.0.0.0", 8001);
	fds[2] = bound(SOCK_STREAM, "0.0.0.0", 8002);
	server = fork();
	if (server == 0)
		relay_server();
	usleep(50000);
	assert_int_equal(port_proxy_start(loop, fds, 3, "127.0.0.1", ports, &proxy, NULL), 0);
	client = fork();
	if (client == 0)
		relay_client();
	assert_int_equal(run_until(loop, client), 0);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void reads_upstreams(void **state)
{
	struct dns_upstreams u = { 0 };
	char *good[] = { (char *)"9.9.9.9", (char *)"fe80::1%lo", (char *)"::1#5353", NULL };
	char *bad[] = { (char *)"example.org", NULL };
	char *none[] = { NULL };

	assert_int_equal(dns_upstreams_set(&u, good, NULL), 0);
	assert_int_equal(u.n, 3);
	assert_int_equal(((struct sockaddr_in6 *)&u.items[2].address)->sin6_port, htons(5353));
	assert_int_equal(dns_upstreams_set(&u, bad, NULL), -EINVAL);
	assert_int_equal(u.n, 3);
	assert_int_equal(dns_upstreams_set(&u, none, NULL), 0);
	assert_int_equal(u.n, 0);
}

static int prepare(void **state)
{
	return mkdtemp(dir) ? paths_init(dir, NULL, NULL) : -1;
}

static int finish(void **state)
{
	return dir_remove(-1, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_from_the_table),
		cmocka_unit_test(answers_backwards),
		cmocka_unit_test(survives_bad_messages),
		cmocka_unit_test(truncates),
		cmocka_unit_test(knows_responses),
		cmocka_unit_test(reads_upstreams),
		cmocka_unit_test(serves_a_container),
		cmocka_unit_test(relays_ports),
	};

	return cmocka_run_group_tests(tests, prepare, finish);
}
