#pragma once
/* What tests of networks share: a store of their own, and short ways to make networks and addresses in it. Included once
 * a test. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "net/net.h"

static char root_path[64];
static struct db *db;
static struct err error;

#define assert_ok(expression) \
	do { \
		struct err *e_ = &error; \
		error = (struct err){ 0 }; \
		if ((expression) < 0) \
			fail_msg("%s: %s", #expression, e_->text); \
	} while (0)
#define assert_fails(expression, code_, part) \
	do { \
		error = (struct err){ 0 }; \
		assert_int_equal((expression), -(code_)); \
		if (!strstr(error.text, part)) \
			fail_msg("'%s' does not say '%s'", error.text, part); \
	} while (0)

__attribute__((unused)) static void ports_free(struct record_list *l)
{
	while (l->n)
		record_list_remove(l, l->n - 1, port_fields);
	free(l->items);
	l->items = NULL;
}

__attribute__((unused)) static void endpoint_free(struct bundle_endpoint *ep)
{
	free(ep->network);
	free(ep->bridge);
	free(ep->host_link);
	free(ep->link);
	free(ep->mac);
	free(ep->address4);
	free(ep->gateway4);
	free(ep->address6);
	free(ep->gateway6);
	memset(ep, 0, sizeof(*ep));
}

__attribute__((unused)) static struct network *make_network(
	const char *name, const char *subnet4, const char *subnet6)
{
	struct network *n = xnew(struct network);

	n->name = xstrdup(name);
	n->subnet4 = xstrdup_null(subnet4);
	n->subnet6 = xstrdup_null(subnet6);
	return n;
}

__attribute__((unused)) static void create(
	const char *name, const char *subnet4, const char *subnet6, bool internal)
{
	cleanup(network_free) struct network *n = make_network(name, subnet4, subnet6);

	n->internal = internal;
	assert_ok(network_create(db, n, &error));
}

__attribute__((unused)) static void reserve(const char *network, const char *instance,
	const char *address4, struct bundle_endpoint *ret)
{
	struct endpoint_request req = { .network = network,
		.instance = instance,
		.name = instance,
		.address4 = address4,
		.link = "eth0",
		.is_default = true };

	assert_ok(network_reserve(db, &req, ret, &error));
}

/* 0, or -1 with a line. */
static int store_setup(void)
{
	cleanup(free) char *path = NULL;

	snprintf(root_path, sizeof(root_path), "/tmp/holm-test-net.XXXXXX");
	if (!mkdtemp(root_path) || paths_init(root_path, NULL, &error) < 0)
		return -1;
	path = xasprintf("%s/holm.db", root_path);
	if (db_open(path, &db, &error) < 0 || net_init(db, &error) < 0) {
		print_message("%s\n", error.text);
		return -1;
	}
	return 0;
}

static int store_teardown(void)
{
	db_close(db);
	return dir_remove(AT_FDCWD, root_path);
}
