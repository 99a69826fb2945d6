/* Networks without packets: addresses and port specifications as pure functions, the records in a store. */
#include "net_store.h"

#include <errno.h>
#include <unistd.h>

#include "base/ident.h"
#include "base/strv.h"
#include "net/address.h"

/* Pure functions. */

static void test_cidr(void **state)
{
	char text[ADDRESS_TEXT];
	struct cidr a, b;
	struct address x;
	uint64_t place;

	assert_ok(cidr_parse("10.210.0.0/16", &a, &error));
	cidr_format(&a, text);
	assert_string_equal(text, "10.210.0.0/16");
	assert_int_equal(cidr_last(&a), 65535);
	cidr_at(&a, 258, &x);
	address_format(&x, text);
	assert_string_equal(text, "10.210.1.2");
	assert_int_equal(cidr_place(&a, &x, &place), 0);
	assert_int_equal(place, 258);
	assert_ok(cidr_parse("10.0.0.0/8", &b, &error));
	assert_true(cidr_overlaps(&a, &b) && cidr_overlaps(&b, &a));
	assert_ok(cidr_parse("10.211.0.0/16", &b, &error));
	assert_false(cidr_overlaps(&a, &b));
	assert_int_equal(cidr_place(&b, &x, &place), -ERANGE);
	assert_ok(cidr_parse("fd00:1:2:3::/64", &a, &error));
	assert_true(cidr_last(&a) == UINT64_MAX);
	cidr_at(&a, 0xffff, &x);
	address_format(&x, text);
	assert_string_equal(text, "fd00:1:2:3::ffff");
	assert_ok(cidr_parse("fd00::/48", &a, &error));
	assert_int_equal(address_parse("fd00:0:0:1::1", &x), 0);
	assert_int_equal(cidr_place(&a, &x, &place), -ERANGE);
	assert_false(cidr_overlaps(&a, &b));
}

static void test_cidr_errors(void **state)
{
	struct cidr c;

	assert_fails(cidr_parse("10.1.2.3/8", &c, &error), EINVAL, "did you mean 10.0.0.0/8?");
	assert_fails(cidr_parse("10.1.2.3", &c, &error), EINVAL, "not a subnet");
	assert_fails(cidr_parse("10.0.0.0/33", &c, &error), EINVAL, "not a subnet");
	assert_fails(cidr_parse("/8", &c, &error), EINVAL, "not a subnet");
	assert_fails(cidr_parse("fd00::/129", &c, &error), EINVAL, "not a subnet");
}

static void test_mac(void **state)
{
	uint8_t mac[6];

	assert_int_equal(mac_parse("02:42:0a:d2:00:02", mac), 0);
	assert_int_equal(mac[5], 2);
	assert_int_equal(mac_parse("01:42:0a:d2:00:02", mac), -EINVAL);
	assert_int_equal(mac_parse("00:00:00:00:00:00", mac), -EINVAL);
	assert_int_equal(mac_parse("02:42:0a:d2:00", mac), -EINVAL);
	assert_int_equal(mac_parse("02:42:0a:d2:00:02:03", mac), -EINVAL);
	assert_int_equal(mac_parse("02:42:0a:d2:0:2", mac), -EINVAL);
}

static void expect_port(const struct record_list *l, size_t i, const char *ip, const char *protocol,
	int host, int host_end, int port)
{
	const struct port *p = l->items[i];

	if (ip)
		assert_string_equal(p->host_ip, ip);
	else
		assert_null(p->host_ip);
	assert_string_equal(p->protocol, protocol);
	assert_int_equal(p->host_port, host);
	assert_int_equal(p->host_port_end, host_end);
	assert_int_equal(p->port, port);
}

static void test_port_parse(void **state)
{
	struct record_list l = { 0 };

	assert_ok(port_parse("8080:80", &l, &error));
	assert_ok(port_parse("80/udp", &l, &error));
	assert_ok(port_parse("127.0.0.1:8080:80/TCP", &l, &error));
	assert_ok(port_parse("127.0.0.1::80", &l, &error));
	assert_ok(port_parse("[0::1]:8080:80", &l, &error));
	assert_ok(port_parse("8000-8010:80", &l, &error));
	assert_ok(port_parse("8000-8001:80-81/udp", &l, &error));
	assert_ok(port_parse(":80", &l, &error));
	assert_int_equal(l.n, 9);
	expect_port(&l, 0, NULL, "tcp", 8080, 0, 80);
	expect_port(&l, 1, NULL, "udp", 0, 0, 80);
	expect_port(&l, 2, "127.0.0.1", "tcp", 8080, 0, 80);
	expect_port(&l, 3, "127.0.0.1", "tcp", 0, 0, 80);
	expect_port(&l, 4, "::1", "tcp", 8080, 0, 80);
	expect_port(&l, 5, NULL, "tcp", 8000, 8010, 80);
	expect_port(&l, 6, NULL, "udp", 8000, 0, 80);
	expect_port(&l, 7, NULL, "udp", 8001, 0, 81);
	expect_port(&l, 8, NULL, "tcp", 0, 0, 80);
	ports_free(&l);
}

static void test_port_parse_errors(void **state)
{
	struct record_list l = { 0 };

	assert_fails(port_parse("80:99999", &l, &error), EINVAL,
		"-p '80:99999': port 99999 is out of range 1-65535");
	assert_fails(port_parse("0", &l, &error), EINVAL, "out of range");
	assert_fails(port_parse("", &l, &error), EINVAL, "port is missing");
	assert_fails(port_parse("http", &l, &error), EINVAL, "'http' is not a port number");
	assert_fails(port_parse("80/icmp", &l, &error), EINVAL, "'icmp'");
	assert_fails(port_parse("1.2.3:80:80", &l, &error), EINVAL, "'1.2.3' is not an IP address");
	assert_fails(port_parse("[::1:80", &l, &error), EINVAL, "write it like");
	assert_fails(port_parse("[::1]:80", &l, &error), EINVAL, "::1::80");
	assert_fails(port_parse("90-80:80", &l, &error), EINVAL, "ends before it begins");
	assert_fails(port_parse("8000-8002:80-81", &l, &error), EINVAL, "differ in length");
	assert_fails(port_parse("80-", &l, &error), EINVAL, "not a port number");
	assert_int_equal(l.n, 0);
}

/* The records. */

static void expect_address(const char *network, const char *instance, const char *address4)
{
	struct bundle_endpoint ep;

	reserve(network, instance, NULL, &ep);
	assert_string_equal(ep.address4, address4);
	endpoint_free(&ep);
}

static void test_builtin(void **state)
{
	cleanup(network_free) struct network *n = NULL, *none = NULL;
	struct bundle_endpoint ep;
	struct endpoint_request req = { .network = "host", .instance = "i", .name = "i" };

	assert_ok(network_find(db, "bridge", &n, &error));
	assert_true(n->builtin && n->bridge);
	assert_int_equal(strlen(n->id), ID_LEN);
	assert_true(n->created > 0);
	assert_ok(network_find(db, "none", &none, &error));
	assert_fails(network_remove(db, "bridge", &error), EPERM, "built in");
	assert_fails(network_find(db, "nosuch", &n, &error), ENOENT, "no such network: nosuch");
	assert_fails(network_reserve(db, &req, &ep, &error), EINVAL, "no addresses");
}

static void test_create(void **state)
{
	cleanup(network_free) struct network *a = make_network("auto", NULL, NULL), *found = NULL;
	cleanup(network_free) struct network *b = make_network("auto", NULL, NULL);
	cleanup(network_free) struct network *c = make_network("over", "10.99.0.0/24", NULL);
	cleanup(network_free) struct network *d = make_network("inside", "10.99.0.128/25", NULL);
	cleanup(json_free) json_t *j = NULL;
	char prefix[9];

	a->ipv6 = true;
	map_set(&a->options, "mtu", "1400");
	map_set(&a->labels, "k", "v");
	assert_ok(network_create(db, a, &error));
	assert_int_equal(strncmp(a->subnet4, "10.2", 4), 0);
	assert_non_null(a->gateway4);
	assert_int_equal(strncmp(a->subnet6, "fd", 2), 0);
	assert_true(strstr(a->subnet6, "::/64") != NULL);
	snprintf(prefix, sizeof(prefix), "%s", a->id);
	assert_ok(network_find(db, prefix, &found, &error));
	assert_string_equal(found->name, "auto");
	assert_int_equal(found->mtu, 1400);
	j = network_inspect(db, found);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "Driver")), "bridge");
	assert_fails(network_create(db, b, &error), EEXIST, "exists already");
	assert_ok(network_create(db, c, &error));
	assert_fails(network_create(db, d, &error), EEXIST, "overlaps with network 'over'");
	assert_ok(network_remove(db, "auto", &error));
	assert_ok(network_remove(db, "over", &error));
}

static void expect_refused(
	void (*change)(struct network *n), const char *subnet4, int code, const char *part)
{
	cleanup(network_free) struct network *n = make_network("refused", subnet4, NULL);

	change(n);
	assert_fails(network_create(db, n, &error), code, part);
}

static void bad_name(struct network *n)
{
	str_replace(&n->name, "a/b");
}

static void bad_driver(struct network *n)
{
	n->driver = xstrdup("macvlan");
}

static void bad_gateway(struct network *n)
{
	n->gateway4 = xstrdup("10.98.1.1");
}

static void bad_range(struct network *n)
{
	n->range4 = xstrdup("10.98.0.0/16");
}

static void bad_option(struct network *n)
{
	map_set(&n->options, "color", "red");
}

static void bad_mtu(struct network *n)
{
	map_set(&n->options, "com.docker.network.driver.mtu", "12");
}

static void bad_bridge(struct network *n)
{
	map_set(&n->options, "com.docker.network.bridge.name", "../../x");
}

static void bad_aux(struct network *n)
{
	map_set(&n->aux, "router", "10.1.1.1");
}

static void test_create_errors(void **state)
{
	expect_refused(bad_name, NULL, EINVAL, "not a network name");
	expect_refused(bad_driver, NULL, ENOTSUP, "'macvlan' is not supported");
	expect_refused(bad_gateway, "10.98.0.0/24", EINVAL, "10.98.1.1 is not in the subnet");
	expect_refused(bad_gateway, NULL, EINVAL, "needs its --subnet");
	expect_refused(bad_range, "10.98.0.0/24", EINVAL, "not in the subnet");
	expect_refused(bad_option, NULL, EINVAL, "unknown network option 'color'");
	expect_refused(bad_mtu, NULL, EINVAL, "mtu '12'");
	expect_refused(bad_bridge, NULL, EINVAL, "bridge name");
	expect_refused(bad_aux, "10.98.0.0/24", EINVAL, "not in the subnet");
}

static void test_ipam(void **state)
{
	cleanup(network_free) struct network *n = make_network("small", "10.97.0.0/29", NULL);
	struct bundle_endpoint ep;
	struct endpoint_request req = { .network = "small", .instance = "x", .name = "x" };

	map_set(&n->aux, "printer", "10.97.0.3");
	assert_ok(network_create(db, n, &error));
	expect_address("small", "a", "10.97.0.2/29");
	expect_address("small", "b", "10.97.0.4/29");
	expect_address("small", "a", "10.97.0.2/29"); /* the same again */
	assert_ok(network_release(db, "a", NULL, &error));
	expect_address("small", "c", "10.97.0.5/29"); /* not the one just given back */
	expect_address("small", "d", "10.97.0.6/29");
	expect_address("small", "e", "10.97.0.2/29"); /* round */
	assert_fails(network_reserve(db, &req, &ep, &error), ENOSPC, "no free address");
	assert_ok(network_release(db, "d", "small", &error));
	req.address4 = "10.97.0.1";
	assert_fails(network_reserve(db, &req, &ep, &error), EADDRINUSE, "is the gateway");
	req.address4 = "10.97.0.3";
	assert_fails(network_reserve(db, &req, &ep, &error), EADDRINUSE, "auxiliary");
	req.address4 = "10.97.0.4";
	assert_fails(network_reserve(db, &req, &ep, &error), EADDRINUSE, "in use by 'b'");
	req.address4 = "10.97.0.7";
	assert_fails(network_reserve(db, &req, &ep, &error), EINVAL, "broadcast");
	req.address4 = "10.97.0.9";
	assert_fails(network_reserve(db, &req, &ep, &error), EINVAL, "not in the subnet");
	req.address4 = "10.97.0.6";
	req.mac = "02:42:0a:61:00:04";
	assert_fails(network_reserve(db, &req, &ep, &error), EADDRINUSE, "MAC address");
	assert_fails(network_remove(db, "small", &error), EBUSY, "in use by");
	assert_ok(network_release(db, "b", NULL, &error));
	assert_ok(network_release(db, "c", NULL, &error));
	assert_ok(network_release(db, "e", NULL, &error));
	assert_ok(network_release(db, "e", NULL, &error));
	assert_ok(network_remove(db, "small", &error));
}

static void test_range(void **state)
{
	cleanup(network_free) struct network *n = make_network("ranged", "10.96.0.0/24", NULL);

	n->range4 = xstrdup("10.96.0.64/30");
	n->gateway4 = xstrdup("10.96.0.65");
	assert_ok(network_create(db, n, &error));
	expect_address("ranged", "a", "10.96.0.64/24");
	expect_address("ranged", "b", "10.96.0.66/24");
	expect_address("ranged", "c", "10.96.0.67/24");
	for (const char *i = "abc"; *i; i++)
		assert_ok(network_release(db, (char[]){ *i, 0 }, NULL, &error));
	assert_ok(network_remove(db, "ranged", &error));
}

static void test_names(void **state)
{
	cleanup(network_free) struct network *n =
		make_network("named", "10.95.0.0/24", "fd95::/64");
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *path = NULL;
	char *aliases[] = { (char *)"DB", (char *)"db", NULL };
	char *bad[] = { (char *)"a\tb", NULL };
	struct bundle_endpoint ep;
	struct endpoint_request req = { .network = "named",
		.instance = "0123456789abcdef",
		.name = "Web",
		.hostname = "not a name",
		.aliases = aliases };

	assert_ok(network_create(db, n, &error));
	assert_ok(network_reserve(db, &req, &ep, &error));
	assert_string_equal(ep.address6, "fd95::2/64");
	assert_string_equal(ep.mac, "02:42:0a:5f:00:02");
	endpoint_free(&ep);
	path = xasprintf("%s/networks/%s.names", paths_run(), n->id);
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &text), 0);
	assert_string_equal(text.data, "web\t10.95.0.2\t0123456789abcdef\n"
				       "web.named\t10.95.0.2\t0123456789abcdef\n"
				       "0123456789ab\t10.95.0.2\t0123456789abcdef\n"
				       "0123456789ab.named\t10.95.0.2\t0123456789abcdef\n"
				       "db\t10.95.0.2\t0123456789abcdef\n"
				       "db.named\t10.95.0.2\t0123456789abcdef\n"
				       "web\tfd95::2\t0123456789abcdef\n"
				       "web.named\tfd95::2\t0123456789abcdef\n"
				       "0123456789ab\tfd95::2\t0123456789abcdef\n"
				       "0123456789ab.named\tfd95::2\t0123456789abcdef\n"
				       "db\tfd95::2\t0123456789abcdef\n"
				       "db.named\tfd95::2\t0123456789abcdef\n");
	req.instance = "other";
	req.aliases = bad;
	assert_fails(network_reserve(db, &req, &ep, &error), EINVAL, "network alias");
	assert_ok(network_release(db, "0123456789abcdef", NULL, &error));
	assert_int_equal(access(path, F_OK), -1);
	assert_ok(network_remove(db, "named", &error));
}

static int setup(void **state)
{
	return store_setup();
}

static int teardown(void **state)
{
	return store_teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_cidr_errors),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_port_parse),
		cmocka_unit_test(test_port_parse_errors),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_create_errors),
		cmocka_unit_test(test_ipam),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
