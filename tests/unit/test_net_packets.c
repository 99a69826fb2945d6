/*
 * Networks by real packets: bridges, links, rules and ports. The "host" is a network namespace made here, and so are the
 * instances and the world outside; all of it needs root.
 */
#include "net_store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ident.h"
#include "base/strv.h"
#include "net/address.h"
#include "net/netlink.h"
#include "net/nft.h"
#include "skip.h"

#define WAIT_MS 20000 /* for what must come */
#define NEVER_MS 150  /* for what must not */

static const char *no_host; /* why packets cannot be tried, or NULL */

/* A process with a network namespace of its own. */
static pid_t spawn_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_namespace(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int enter(pid_t pid)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;

	if (pid) {
		there = netlink_netns(pid, NULL);
		assert_true(there >= 0);
		assert_int_equal(setns(there, CLONE_NEWNET), 0);
		close(there);
	}
	return here;
}

static void leave(int here)
{
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
}

/* A command in a namespace; 0 is the host's. */
static void command_in(pid_t pid, const char *command)
{
	int here = enter(pid), status = system(command);

	leave(here);
	if (status)
		fail_msg("%s: status %d", command, status);
}

static struct sockaddr_in6 address_of(const char *text, int port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	char mapped[64];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	assert_int_equal(inet_pton(AF_INET6, mapped, &in6.sin6_addr), 1);
	return in6;
}

static int socket_in(pid_t pid, int type)
{
	int here = enter(pid), off = 0, on = 1;
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	leave(here);
	assert_true(fd >= 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static int serve(pid_t pid, int type, int port)
{
	struct sockaddr_in6 any = address_of("::", port);
	int fd = socket_in(pid, type);

	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static char peer[64]; /* who arrived at the server, "10.210.0.2" */

static void set_peer(const struct sockaddr_in6 *from)
{
	char text[64];

	inet_ntop(AF_INET6, &from->sin6_addr, text, sizeof(text));
	snprintf(peer, sizeof(peer), "%s", strncmp(text, "::ffff:", 7) ? text : text + 7);
}

/* Whether a connection from there to the address arrives at the server, and a byte at each end. */
static bool reaches(pid_t from, const char *to, int port, int server, int ms)
{
	cleanup(fd_close) int client = socket_in(from, SOCK_STREAM), accepted = -1;
	struct sockaddr_in6 a = address_of(to, port), who;
	socklen_t len = sizeof(who);
	char byte;

	if (connect(client, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
		return false;
	if (!readable(server, ms))
		return false;
	accepted = accept4(server, (struct sockaddr *)&who, &len, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	set_peer(&who);
	return write(accepted, "x", 1) == 1 && readable(client, ms) && read(client, &byte, 1) == 1;
}

static bool reaches_udp(int client, const char *to, int port, int server, int ms)
{
	struct sockaddr_in6 a = address_of(to, port), who;
	socklen_t len = sizeof(who);
	char byte;

	if (sendto(client, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) != 1 ||
		!readable(server, ms))
		return false;
	assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&who, &len), 1);
	set_peer(&who);
	return sendto(server, "y", 1, 0, (struct sockaddr *)&who, len) == 1 &&
	       readable(client, ms) && read(client, &byte, 1) == 1;
}

/* Output of a command on the "host", trimmed. */
static const char *output_of(const char *command)
{
	static char text[4096];
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	pclose(f);
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return text;
}

static pid_t outside;

/* The host has 198.51.100.1 and fd51::1 towards the world outside, 198.51.100.2 and fd51::2. */
static void make_world(void)
{
	char command[256];

	outside = spawn_namespace();
	command_in(0, "ip link set lo up");
	snprintf(command, sizeof(command),
		"ip link add out0 type veth peer name in0 netns %d && ip addr add 198.51.100.1/24 dev out0"
		" && ip addr add fd51::1/64 dev out0 nodad && ip link set out0 up",
		(int)outside);
	command_in(0, command);
	command_in(outside,
		"ip link set lo up && ip addr add 198.51.100.2/24 dev in0 && ip addr add fd51::2/64 dev in0 nodad"
		" && ip link set in0 up && ip route add 10.0.0.0/8 via 198.51.100.1");
}

struct instance {
	char id[16];
	pid_t pid;
	struct bundle_endpoint ep;
	char *ip4, *ip6; /* without the prefix */
};

static void join(struct instance *i, const char *id, const char *network)
{
	snprintf(i->id, sizeof(i->id), "%s", id);
	i->pid = spawn_namespace();
	reserve(network, id, NULL, &i->ep);
	assert_ok(network_up(db, network, &error));
	assert_ok(link_loopback_up(i->pid, &error));
	assert_ok(link_attach(&i->ep, i->pid, &error));
	i->ip4 = xstrndup(i->ep.address4, strcspn(i->ep.address4, "/"));
	i->ip6 = i->ep.address6 ? xstrndup(i->ep.address6, strcspn(i->ep.address6, "/")) : NULL;
}

static void part(struct instance *i)
{
	assert_ok(port_unpublish(i->id, &error));
	assert_ok(network_release(db, i->id, NULL, &error));
	end_namespace(i->pid);
	endpoint_free(&i->ep);
	free(i->ip4);
	free(i->ip6);
}

static void expect_clean(void)
{
	assert_ok(network_sweep(db, &error));
	assert_string_equal(output_of("nft list ruleset"), "");
	assert_string_equal(output_of("ip -o link show type bridge"), "");
}

static void skip_without_host(void)
{
	if (no_host)
		skip_because(no_host);
}

static void test_outwards(void **state)
{
	struct instance a, b;
	int server;

	skip_without_host();
	server = serve(outside, SOCK_STREAM, 80);
	join(&a, "out-a", "bridge");
	join(&b, "out-b", "bridge");
	assert_true(reaches(a.pid, "198.51.100.2", 80, server, WAIT_MS));
	assert_string_equal(peer, "198.51.100.1");
	assert_false(reaches(outside, a.ip4, 80, server, NEVER_MS));
	close(server);
	server = serve(b.pid, SOCK_STREAM, 80);
	assert_true(reaches(a.pid, b.ip4, 80, server, WAIT_MS));
	assert_string_equal(peer, a.ip4);
	assert_true(reaches(0, b.ip4, 80, server, WAIT_MS));
	assert_false(reaches(outside, b.ip4, 80, server, NEVER_MS));
	close(server);
	part(&a);
	part(&b);
	expect_clean();
}

static void publish(
	struct instance *i, const char *spec, struct record_list *ports, int **fds, size_t *n)
{
	assert_ok(port_parse(spec, ports, &error));
	assert_ok(port_publish(i->id, ports, &i->ep, fds, n, &error));
}

static void unreserve(int *fds, size_t n, struct record_list *ports)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
	ports_free(ports);
}

/* What listens on the host's loopback is not for instances, though route_localnet is on and the
 * instance sends by its gateway what ought to stay at home. */
static void test_loopback_guarded(void **state)
{
	struct instance a;
	int server;

	skip_without_host();
	join(&a, "guard-a", "bridge");
	command_in(a.pid,
		"echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet && ip addr flush dev lo"
		" && ip route add 127.0.0.0/8 via 10.210.0.1");
	server = serve(0, SOCK_STREAM, 80);
	assert_true(reaches(a.pid, "10.210.0.1", 80, server, WAIT_MS));
	assert_false(reaches(a.pid, "127.0.0.1", 80, server, NEVER_MS));
	/* That it was the rule: */
	command_in(0, "nft flush ruleset");
	assert_true(reaches(a.pid, "127.0.0.1", 80, server, WAIT_MS));
	close(server);
	part(&a);
	expect_clean();
}

/* A supervisor that died leaves rows, ports and bridge; what is left is found by the next sweep. */
static void test_crashed(void **state)
{
	struct record_list ports = { 0 };
	struct instance a;
	int *fds;
	size_t n;

	skip_without_host();
	join(&a, "crash-a", "bridge");
	publish(&a, "8080:80", &ports, &fds, &n);
	unreserve(fds, n, &ports);
	end_namespace(a.pid);
	assert_ok(network_sweep(db, &error));
	assert_true(nft_table_exists()); /* nobody said yet that it is gone */
	assert_ok(network_release(db, a.id, NULL, &error));
	expect_clean();
	assert_ok(port_unpublish(a.id, &error));
	a.pid = spawn_namespace();
	part(&a);
	expect_clean();
}

static void test_publish(void **state)
{
	struct record_list any = { 0 }, one = { 0 }, again = { 0 }, free_port = { 0 };
	int *any_fds, *one_fds, *free_fds, *again_fds, server;
	size_t n_any, n_one, n_free, n_again;
	cleanup(free) char *path = NULL;
	struct instance a, b;

	skip_without_host();
	create("other", "10.94.0.0/24", NULL, /* internal= */ false);
	join(&a, "pub-a", "bridge");
	join(&b, "pub-b", "other");
	server = serve(a.pid, SOCK_STREAM, 80);
	publish(&a, "8080:80", &any, &any_fds, &n_any);
	assert_int_equal(n_any, 1);
	assert_true(reaches(outside, "198.51.100.1", 8080, server, WAIT_MS));
	assert_string_equal(peer, "198.51.100.2");
	assert_true(reaches(0, "127.0.0.1", 8080, server, WAIT_MS));
	assert_true(reaches(0, "198.51.100.1", 8080, server, WAIT_MS));
	assert_true(reaches(a.pid, "198.51.100.1", 8080, server, WAIT_MS));
	assert_true(reaches(b.pid, "198.51.100.1", 8080, server, WAIT_MS));
	assert_false(reaches(b.pid, a.ip4, 80, server, NEVER_MS)); /* isolation */

	publish(&a, "127.0.0.1:8081:80", &one, &one_fds, &n_one);
	assert_true(reaches(0, "127.0.0.1", 8081, server, WAIT_MS));
	assert_false(reaches(outside, "198.51.100.1", 8081, server, NEVER_MS));

	publish(&a, "80", &free_port, &free_fds, &n_free);
	assert_true(((struct port *)free_port.items[0])->host_port > 0);
	assert_true(reaches(outside, "198.51.100.1",
		(int)((struct port *)free_port.items[0])->host_port, server, WAIT_MS));

	assert_ok(port_parse("8080:81", &again, &error));
	assert_fails(port_publish(b.id, &again, &b.ep, &again_fds, &n_again, &error), EADDRINUSE,
		"port 8080/tcp is already in use on 0.0.0.0");
	ports_free(&again);
	assert_ok(port_parse("8080-8082:81", &again, &error));
	assert_ok(port_publish(b.id, &again, &b.ep, &again_fds, &n_again, &error));
	assert_int_equal(((struct port *)again.items[0])->host_port, 8082);
	unreserve(again_fds, n_again, &again);

	/* A dead instance's element gives way to who got the socket, whatever the file's time says. */
	unreserve(any_fds, n_any, &any);
	path = xasprintf("%s/networks/ports/%s", paths_run(), a.id);
	assert_int_equal(
		utimensat(AT_FDCWD, path,
			(struct timespec[2]){ { .tv_sec = INT32_MAX }, { .tv_sec = INT32_MAX } },
			0),
		0);
	publish(&b, "8080:80", &any, &any_fds, &n_any);
	close(server);
	server = serve(b.pid, SOCK_STREAM, 80);
	assert_true(reaches(outside, "198.51.100.1", 8080, server, WAIT_MS));
	assert_ok(port_unpublish(a.id, &error));
	assert_true(reaches(outside, "198.51.100.1", 8080, server, WAIT_MS));
	assert_ok(port_unpublish(b.id, &error));
	assert_false(reaches(outside, "198.51.100.1", 8080, server, NEVER_MS));
	close(server);
	unreserve(any_fds, n_any, &any);
	unreserve(one_fds, n_one, &one);
	unreserve(free_fds, n_free, &free_port);
	part(&a);
	part(&b);
	assert_ok(network_remove(db, "other", &error));
	expect_clean();
}

static void test_publish_udp(void **state)
{
	struct record_list ports = { 0 };
	int *fds, server, client, local;
	size_t n;
	struct instance a;

	skip_without_host();
	join(&a, "udp-a", "bridge");
	server = serve(a.pid, SOCK_DGRAM, 53);
	client = socket_in(outside, SOCK_DGRAM);
	/* The flow begins before the port is published. */
	assert_false(reaches_udp(client, "198.51.100.1", 5353, server, NEVER_MS));
	publish(&a, "5353:53/udp", &ports, &fds, &n);
	assert_true(reaches_udp(client, "198.51.100.1", 5353, server, WAIT_MS));
	local = socket_in(0, SOCK_DGRAM);
	assert_true(reaches_udp(local, "127.0.0.1", 5353, server, WAIT_MS));
	close(local);
	assert_ok(port_unpublish(a.id, &error));
	assert_false(reaches_udp(client, "198.51.100.1", 5353, server, NEVER_MS));
	close(client);
	close(server);
	unreserve(fds, n, &ports);
	part(&a);
	expect_clean();
}

static void test_internal(void **state)
{
	struct record_list ports = { 0 };
	struct instance a, b, c;
	int server, *fds;
	size_t n;

	skip_without_host();
	create("inner", "10.93.0.0/24", NULL, /* internal= */ true);
	join(&a, "int-a", "inner");
	join(&b, "int-b", "inner");
	join(&c, "int-c", "bridge");
	assert_string_equal(output_of("ip route show default"), "");
	server = serve(outside, SOCK_STREAM, 80);
	/* Not even when it makes itself a route. */
	command_in(a.pid, "ip route add default via 10.93.0.1");
	assert_false(reaches(a.pid, "198.51.100.2", 80, server, NEVER_MS));
	close(server);
	server = serve(b.pid, SOCK_STREAM, 80);
	assert_true(reaches(a.pid, b.ip4, 80, server, WAIT_MS));
	assert_true(reaches(0, b.ip4, 80, server, WAIT_MS));
	assert_false(reaches(c.pid, b.ip4, 80, server, NEVER_MS));
	publish(&b, "8080:80", &ports, &fds, &n);
	assert_int_equal(n, 0);
	close(server);
	unreserve(fds, n, &ports);
	part(&a);
	part(&b);
	part(&c);
	assert_ok(network_remove(db, "inner", &error));
	expect_clean();
}

static void test_ipv6(void **state)
{
	struct record_list ports = { 0 };
	struct instance a, b;
	int server, *fds;
	size_t n;

	skip_without_host();
	create("six", NULL, "fd92::/64", /* internal= */ false);
	join(&a, "six-a", "six");
	join(&b, "six-b", "six");
	assert_string_equal(a.ip6, "fd92::2");
	server = serve(outside, SOCK_STREAM, 80);
	assert_true(reaches(a.pid, "fd51::2", 80, server, WAIT_MS));
	assert_string_equal(peer, "fd51::1");
	close(server);
	server = serve(b.pid, SOCK_STREAM, 80);
	assert_true(reaches(a.pid, b.ip6, 80, server, WAIT_MS));
	publish(&b, "8080:80", &ports, &fds, &n);
	assert_true(reaches(outside, "fd51::1", 8080, server, WAIT_MS));
	assert_true(reaches(outside, "198.51.100.1", 8080, server, WAIT_MS));
	assert_true(reaches(0, "fd51::1", 8080, server, WAIT_MS));
	close(server);
	unreserve(fds, n, &ports);
	part(&a);
	part(&b);
	assert_ok(network_remove(db, "six", &error));
	expect_clean();
}

static void test_idle(void **state)
{
	struct instance a;
	cleanup(free) char *bridge = NULL;
	cleanup(free) char *command = NULL;

	skip_without_host();
	join(&a, "idle-a", "bridge");
	bridge = xstrdup(a.ep.bridge);
	assert_ok(network_sweep(db, &error));
	command = xasprintf("ip -o link show %s | wc -l", bridge);
	assert_string_equal(output_of(command), "1");
	/* Another program's rules are none of our business; ours come back. */
	command_in(0, "nft flush ruleset");
	assert_ok(network_up(db, "bridge", &error));
	assert_true(nft_table_exists());
	part(&a);
	assert_ok(network_sweep_idle(db, INT64_C(60000000000), &error));
	assert_string_equal(output_of(command), "1");
	expect_clean();
}

/* The host uses the default subnet itself: the next one is taken. */
static void test_moved(void **state)
{
	struct instance a;

	skip_without_host();
	command_in(0, "ip route add 10.210.7.0/24 via 198.51.100.2");
	join(&a, "moved-a", "bridge");
	assert_int_equal(strncmp(a.ip4, "10.211.0.", 9), 0);
	part(&a);
	command_in(0, "ip route del 10.210.7.0/24");
	expect_clean();
}

static void test_foreign_bridge(void **state)
{
	cleanup(network_free) struct network *n = make_network("foreign", NULL, NULL);
	struct bundle_endpoint ep;

	skip_without_host();
	map_set(&n->options, "com.docker.network.bridge.name", "mybr0");
	assert_ok(network_create(db, n, &error));
	command_in(0, "ip link add mybr0 type bridge");
	reserve("foreign", "f", NULL, &ep);
	assert_fails(network_up(db, "foreign", &error), EEXIST, "mybr0");
	endpoint_free(&ep);
	assert_ok(network_release(db, "f", NULL, &error));
	assert_ok(network_remove(db, "foreign", &error));
	assert_string_equal(output_of("ip -o link show type bridge | wc -l"), "1");
	command_in(0, "ip link del mybr0");
	expect_clean();
}

static void test_stats(void **state)
{
	uint64_t v[8];
	struct instance a;
	int server;

	skip_without_host();
	join(&a, "stats-a", "bridge");
	server = serve(a.pid, SOCK_STREAM, 80);
	assert_true(reaches(0, a.ip4, 80, server, WAIT_MS));
	assert_int_equal(
		link_stats(a.pid, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]), 0);
	assert_true(v[0] > 0 && v[1] > 0 && v[2] > 0 && v[3] > 0);
	assert_ok(link_detach(&a.ep, a.pid, &error));
	assert_ok(link_detach(&a.ep, a.pid, &error));
	close(server);
	part(&a);
	expect_clean();
}

static void test_attach_fails(void **state)
{
	struct bundle_endpoint ep;
	pid_t pid;

	skip_without_host();
	reserve("bridge", "fail", NULL, &ep);
	pid = spawn_namespace();
	assert_fails(link_attach(&ep, pid, &error), ENODEV, "find the network's bridge");
	assert_ok(network_up(db, "bridge", &error));
	str_replace(&ep.gateway4, "192.0.2.1");
	assert_true(link_attach(&ep, pid, &error) < 0);
	assert_non_null(strstr(error.text, "default route"));
	assert_string_equal(output_of("ip -o link show type veth | grep -v out0"), "");
	end_namespace(pid);
	assert_true(link_attach(&ep, pid, &error) == -ESRCH);
	endpoint_free(&ep);
	assert_ok(network_release(db, "fail", NULL, &error));
	expect_clean();
}

/* An instance that is started again has the link's name of before, which the kernel may not have come to
 * take down yet. */
static void test_attach_again(void **state)
{
	struct bundle_endpoint ep;
	pid_t before, now;

	skip_without_host();
	reserve("bridge", "again", NULL, &ep);
	assert_ok(network_up(db, "bridge", &error));
	before = spawn_namespace();
	now = spawn_namespace();
	assert_ok(link_attach(&ep, before, &error));
	assert_ok(link_attach(&ep, now, &error));
	assert_ok(link_detach(&ep, now, &error));
	end_namespace(before);
	end_namespace(now);
	endpoint_free(&ep);
	assert_ok(network_release(db, "again", NULL, &error));
	expect_clean();
}

/* What a run pays. Printed, not judged: machines differ. */
static void test_cost(void **state)
{
	int64_t start, took[5] = { 0 };
	struct bundle_endpoint ep;
	char id[16];
	pid_t pid;

	skip_without_host();
	reserve("bridge", "first", NULL, &ep);
	endpoint_free(&ep);
	start = time_monotonic();
	assert_ok(network_up(db, "bridge", &error));
	took[4] = time_monotonic() - start;
	for (int i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "cost-%d", i);
		pid = spawn_namespace();
		start = time_monotonic();
		reserve("bridge", id, NULL, &ep);
		took[0] += time_monotonic() - start;
		start = time_monotonic();
		assert_ok(network_up(db, "bridge", &error));
		took[1] += time_monotonic() - start;
		start = time_monotonic();
		assert_ok(link_attach(&ep, pid, &error));
		took[2] += time_monotonic() - start;
		start = time_monotonic();
		assert_ok(network_release(db, id, NULL, &error));
		took[3] += time_monotonic() - start;
		end_namespace(pid);
		endpoint_free(&ep);
	}
	print_message("us: first up %d, reserve %d, up %d, attach %d, release %d\n",
		(int)(took[4] / 1000), (int)(took[0] / 10000), (int)(took[1] / 10000),
		(int)(took[2] / 10000), (int)(took[3] / 10000));
	assert_ok(network_release(db, "first", NULL, &error));
	expect_clean();
}

/* A namespace for the "host", and /proc/sys of it. */
static const char *make_host(void)
{
	if (geteuid() != 0)
		return "packets need root";
	if (system("ip -V >/dev/null 2>&1 && nft --version >/dev/null 2>&1") != 0)
		return "packets need ip and nft (iproute2, nftables)";
	if (unshare(CLONE_NEWNET) < 0)
		return "no network namespace can be made here";
	make_world();
	return NULL;
}

static int setup(void **state)
{
	no_host = make_host();
	return store_setup();
}

static int teardown(void **state)
{
	if (outside)
		end_namespace(outside);
	return store_teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outwards),
		cmocka_unit_test(test_loopback_guarded),
		cmocka_unit_test(test_crashed),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_publish_udp),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_foreign_bridge),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_attach_fails),
		cmocka_unit_test(test_attach_again),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_moved),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
