/*
 * What is known of networks: a row each, the record of it as JSON. The members (member.c) are rows
 * of their own in `endpoint`, where an address is its place in the subnet (address.h), and which are
 * there exactly while an instance runs or is about to.
 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/reserve.h"
#include "net/ipam.h"
#include "net/netlink.h"
#include "net/nft.h"
#include "net/record.h"

#define OPTION_BRIDGE "com.docker.network.bridge."

const struct record_field network_fields[] = {
	RECORD(struct network, id, "id", RECORD_STR),
	RECORD(struct network, name, "name", RECORD_STR),
	RECORD(struct network, driver, "driver", RECORD_STR),
	RECORD(struct network, bridge, "bridge", RECORD_STR),
	RECORD(struct network, subnet4, "subnet4", RECORD_STR),
	RECORD(struct network, gateway4, "gateway4", RECORD_STR),
	RECORD(struct network, range4, "range4", RECORD_STR),
	RECORD(struct network, subnet6, "subnet6", RECORD_STR),
	RECORD(struct network, gateway6, "gateway6", RECORD_STR),
	RECORD(struct network, range6, "range6", RECORD_STR),
	RECORD(struct network, ipv6, "ipv6", RECORD_BOOL),
	RECORD(struct network, internal, "internal", RECORD_BOOL),
	RECORD(struct network, mtu, "mtu", RECORD_I64),
	RECORD(struct network, aux, "aux", RECORD_MAP),
	RECORD(struct network, labels, "labels", RECORD_MAP),
	RECORD(struct network, options, "options", RECORD_MAP),
	RECORD(struct network, created, "created", RECORD_TIME),
	RECORD(struct network, attachable, "attachable", RECORD_BOOL),
	RECORD(struct network, builtin, "builtin", RECORD_BOOL),
	RECORD_END,
};

#define BUILTIN(name, members) \
	"INSERT INTO network (id, name, record) SELECT lower(hex(randomblob(32))), '" name \
	"', '{\"builtin\":true,\"created\":\"' || strftime('%Y-%m-%dT%H:%M:%fZ', 'now') || '\"," members \
	"}';"

static const char *const migrations[] = {
	"CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL,"
	" last4 INT NOT NULL DEFAULT 0, last6 INT NOT NULL DEFAULT 0);"
	/* Few pages: one row of it is written by each start and each end of an instance. */
	"CREATE TABLE endpoint (network TEXT NOT NULL REFERENCES network (id), instance TEXT NOT NULL,"
	" id TEXT NOT NULL, name TEXT NOT NULL, names TEXT NOT NULL, mac TEXT NOT NULL,"
	" address4 INT, address6 INT, PRIMARY KEY (network, instance)) WITHOUT ROWID;"
	"CREATE UNIQUE INDEX endpoint4 ON endpoint (network, address4) WHERE address4 IS NOT NULL;"
	"CREATE UNIQUE INDEX endpoint6 ON endpoint (network, address6) WHERE address6 IS NOT NULL;"
	"CREATE INDEX endpoint_instance ON endpoint (instance);" BUILTIN("bridge",
		"\"driver\":\"bridge\",\"subnet4\":\"10.210.0.0/16\",\"gateway4\":\"10.210.0.1\"")
		BUILTIN("host", "\"driver\":\"host\"") BUILTIN("none", "\"driver\":\"none\""),
	NULL,
};

int net_init(struct db *db, struct err *err)
{
	return db_migrate(db, "net", migrations, err);
}

void network_free(struct network *n)
{
	if (!n)
		return;
	record_clear(network_fields, n);
	free(n);
}

/* From columns id, name, record. */
static int read_row(struct db_stmt *q, struct network *n, struct err *err)
{
	const char *name = db_get_text(q, 1);
	cleanup(json_free) json_t *j = NULL;
	int r;

	j = json_parse(db_get_text(q, 2), strlen(db_get_text(q, 2)), name, err);
	if (!j)
		return err_wrap(err, "network '%s'", name);
	r = record_parse(network_fields, j, n, err);
	if (r < 0)
		return err_wrap(err, "network '%s'", name);
	str_replace(&n->id, db_get_text(q, 0));
	str_replace(&n->name, name);
	if (n->builtin && n->driver && strcmp(n->driver, "bridge") == 0 && !n->bridge)
		n->bridge =
			paths_suffix()[0] ? xasprintf("holm%s", paths_suffix()) : xstrdup("holm0");
	return 0;
}

static int find_by(
	struct db *db, const char *sql, const char *name, struct network **ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	cleanup(network_free) struct network *n = NULL;
	int r;

	db_text(&q, 1, name);
	r = db_step(&q, err);
	if (r <= 0)
		return r;
	n = xnew(struct network);
	r = read_row(&q, n, err);
	if (r < 0)
		return r;
	r = db_step(&q, err);
	if (r > 0)
		return err_set(
			err, EINVAL, "several networks have an id that begins with '%s'", name);
	if (r < 0)
		return r;
	*ret = take(n);
	return 1;
}

int network_find(struct db *db, const char *name, struct network **ret, struct err *err)
{
	static const char *const queries[] = {
		"SELECT id, name, record FROM network WHERE name = ?",
		"SELECT id, name, record FROM network WHERE id = ?",
		"SELECT id, name, record FROM network WHERE substr(id, 1, length(?1)) = ?1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(queries) && name[0]; i++) {
		int r = find_by(db, queries[i], name, ret, err);
		if (r)
			return r < 0 ? r : 0;
	}
	return err_set(err, ENOENT, "no such network: %s", name);
}

int network_list(struct db *db, struct record_list *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT id, name, record FROM network ORDER BY name");
	struct record_list list = { 0 };
	int r;

	while ((r = db_step(&q, err)) > 0) {
		r = read_row(&q, record_list_add(&list, sizeof(struct network)), err);
		if (r < 0)
			break;
	}
	if (r < 0) {
		while (list.n)
			record_list_remove(&list, list.n - 1, network_fields);
		free(list.items);
		return r;
	}
	*ret = list;
	return 0;
}

int network_store(struct db *db, const struct network *n, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "INSERT INTO network (id, name, record) VALUES (?1, ?2, ?3)"
			       " ON CONFLICT (id) DO UPDATE SET record = ?3");
	cleanup(json_free) json_t *j = record_dump(network_fields, n);
	cleanup(free) char *text = NULL;

	/* The built-in one's bridge is named after the root, which may move. */
	if (n->builtin)
		json_object_del(j, "bridge");
	text = json_text(j, 0);
	db_text(&q, 1, n->id);
	db_text(&q, 2, n->name);
	db_text(&q, 3, text);
	return db_run(&q, err);
}

/* Creation. */

static int take_mtu(struct network *n, const char *value, struct err *err)
{
	uint64_t mtu;

	if (parse_u64(value, 65535, &mtu) < 0 || mtu < 68)
		return err_set(
			err, EINVAL, "mtu '%s': a number from 68 to 65535 is possible", value);
	n->mtu = (int64_t)mtu;
	return 0;
}

static int take_option(struct network *n, const char *key, const char *value, struct err *err)
{
	bool on;

	if (strcmp(key, "mtu") == 0 || strcmp(key, "com.docker.network.driver.mtu") == 0)
		return take_mtu(n, value, err);
	if (strcmp(key, OPTION_BRIDGE "name") == 0) {
		str_replace(&n->bridge, value);
		return 0;
	}
	if (strcmp(key, OPTION_BRIDGE "enable_ip_masquerade") == 0) {
		if (parse_bool(value, &on) < 0)
			return err_set(
				err, EINVAL, "option %s: '%s' is not true or false", key, value);
		map_set(&n->options, key, on ? "true" : "false");
		return 0;
	}
	if (strcmp(key, OPTION_BRIDGE "enable_icc") == 0) {
		if (parse_bool(value, &on) == 0 && on)
			return 0;
		return err_set(err, ENOTSUP,
			"option %s=%s is not supported: put the instances on networks of their own",
			key, value);
	}
	return err_set(err, EINVAL,
		"unknown network option '%s': known are mtu, com.docker.network.driver.mtu, " OPTION_BRIDGE
		"name, enable_ip_masquerade and enable_icc",
		key);
}

static int check_bridge_name(struct db *db, const struct network *n, struct err *err)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	struct netlink_link link;
	size_t len = strlen(n->bridge);
	int r;

	if (!len || len >= IFNAMSIZ || n->bridge[0] == '-' || strspn(n->bridge, allowed) != len)
		return err_set(err, EINVAL,
			"bridge name '%s': up to 15 letters, digits, '_' and '-' are possible",
			n->bridge);
	cleanup(netlink_done) struct netlink nl = { 0 };
	r = netlink_open(&nl, NETLINK_ROUTE, err);
	if (r < 0)
		return r;
	if (netlink_link_get(&nl, n->bridge, &link) == 0)
		return err_set(err, EEXIST, "the host has a link named '%s' already", n->bridge);
	cleanup(db_done) struct db_stmt q = db_prepare(
		db, "SELECT name FROM network WHERE json_extract(record, '$.bridge') = ?");
	db_text(&q, 1, n->bridge);
	r = db_step(&q, err);
	if (r > 0)
		return err_set(err, EEXIST, "bridge name '%s' belongs to network '%s'", n->bridge,
			db_get_text(&q, 0));
	return r;
}

static int check_name(struct db *db, const char *name, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "SELECT 1 FROM network WHERE name = ?");
	int r;

	if (!name || !name_valid(name))
		return err_set(err, EINVAL,
			"'%s' is not a network name: letters, digits, '_', '.' and '-' are possible, a letter or digit first",
			name ? name : "");
	db_text(&q, 1, name);
	r = db_step(&q, err);
	return r > 0 ? err_set(err, EEXIST, "network '%s' exists already", name) : r;
}

static int check_driver(struct network *n, struct err *err)
{
	if (!n->driver || !n->driver[0])
		str_replace(&n->driver, "bridge");
	if (strcmp(n->driver, "host") == 0 || strcmp(n->driver, "none") == 0 ||
		strcmp(n->driver, "null") == 0)
		return err_set(
			err, EEXIST, "there is only one network with the driver '%s'", n->driver);
	if (strcmp(n->driver, "bridge") != 0)
		return err_set(err, ENOTSUP, "network driver '%s' is not supported: use bridge",
			n->driver);
	return 0;
}

int network_create(struct db *db, struct network *n, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	char id[ID_LEN + 1];
	int r = check_driver(n, err);

	id_random(id);
	str_replace(&n->id, id);
	n->created = time_now();
	n->builtin = false;
	map_foreach (kv, n->options) {
		if (r == 0)
			r = take_option(n, kv[0], kv[1], err);
	}
	if (r == 0)
		r = db_begin(db, &txn, err);
	if (r == 0)
		r = check_name(db, n->name, err);
	if (r == 0 && !n->bridge)
		n->bridge = xasprintf("hm-%.12s", n->id);
	if (r == 0)
		r = check_bridge_name(db, n, err);
	if (r == 0)
		r = ipam_network(db, n, err);
	if (r == 0 && n->ipv6 && n->mtu && n->mtu < 1280)
		r = err_set(err, EINVAL, "mtu %d: IPv6 needs 1280 or more", (int)n->mtu);
	if (r == 0)
		r = network_store(db, n, err);
	return r < 0 ? r : db_commit(&txn, err);
}

static int check_unused(struct db *db, const struct network *n, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT group_concat(name, ', ') FROM"
		" (SELECT name FROM endpoint WHERE network = ? ORDER BY name LIMIT 10)");
	int r;

	if (n->builtin)
		return err_set(
			err, EPERM, "network '%s' is built in and cannot be removed", n->name);
	db_text(&q, 1, n->id);
	r = db_step(&q, err);
	if (r > 0 && !db_is_null(&q, 0))
		return err_set(err, EBUSY,
			"network '%s' is in use by %s: stop or disconnect (holm network disconnect) first",
			n->name, db_get_text(&q, 0));
	return r < 0 ? r : 0;
}

static int delete_row(struct db *db, const char *id, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "DELETE FROM network WHERE id = ?");

	db_text(&q, 1, id);
	return db_run(&q, err);
}

int network_remove(struct db *db, const char *name, struct err *err)
{
	cleanup(network_free) struct network *n = NULL;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	int r;

	reserve_spend();
	r = db_begin(db, &txn, err);
	if (r == 0)
		r = network_find(db, name, &n, err);
	if (r == 0)
		r = check_unused(db, n, err);
	if (r == 0)
		r = delete_row(db, n->id, err);
	if (r == 0)
		r = db_commit(&txn, err);
	/* Its bridge may be there still, waiting for the sweep after its last member. */
	return r < 0 ? r : network_sweep(db, err);
}

/* Docker's picture of it. */

static json_t *inspect_subnet(const struct network *n, bool is6)
{
	json_t *j = json_object(), *aux = json_object();

	json_object_set_new(j, "Subnet", json_string(is6 ? n->subnet6 : n->subnet4));
	if (is6 ? n->range6 : n->range4)
		json_object_set_new(j, "IPRange", json_string(is6 ? n->range6 : n->range4));
	if (is6 ? n->gateway6 : n->gateway4)
		json_object_set_new(j, "Gateway", json_string(is6 ? n->gateway6 : n->gateway4));
	map_foreach (kv, n->aux) {
		if (is6 == (strchr(kv[1], ':') != NULL))
			json_object_set_new(aux, kv[0], json_string(kv[1]));
	}
	if (json_object_size(aux))
		json_object_set(j, "AuxiliaryAddresses", aux);
	json_decref(aux);
	return j;
}

static json_t *map_json(char *const *map)
{
	json_t *j = json_object();

	map_foreach (kv, map)
		json_object_set_new(j, kv[0], json_string(kv[1]));
	return j;
}

static json_t *inspect_members(struct db *db, const struct network *n)
{
	struct record_list members = { 0 };
	json_t *j = json_object();

	if (network_members(db, n->id, &members, NULL) < 0)
		return j;
	for (size_t i = 0; i < members.n; i++) {
		const struct network_member *m = members.items[i];
		json_object_set_new(j, m->instance,
			json_pack("{s:s, s:s, s:s, s:s, s:s}", "Name", m->name, "EndpointID",
				m->endpoint, "MacAddress", m->mac, "IPv4Address",
				m->address4 ? m->address4 : "", "IPv6Address",
				m->address6 ? m->address6 : ""));
	}
	while (members.n)
		record_list_remove(&members, members.n - 1, network_member_fields);
	free(members.items);
	return j;
}

json_t *network_inspect(struct db *db, const struct network *n)
{
	json_t *config = json_array(), *options = map_json(n->options);
	const char *driver = strcmp(n->driver, "none") == 0 ? "null" : n->driver;
	char created[TIME_LEN];

	time_format(n->created, created);
	if (n->subnet4)
		json_array_append_new(config, inspect_subnet(n, /* is6= */ false));
	if (n->subnet6)
		json_array_append_new(config, inspect_subnet(n, /* is6= */ true));
	if (n->bridge)
		json_object_set_new(options, OPTION_BRIDGE "name", json_string(n->bridge));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:{s:s, s:{}, s:o}, s:b, s:b, s:b, s:{s:s}, s:b, s:o, s:o, s:o}",
		"Name", n->name, "Id", n->id, "Created", created, "Scope", "local", "Driver",
		driver, "EnableIPv4", n->subnet4 != NULL, "EnableIPv6", n->subnet6 != NULL, "IPAM",
		"Driver", "default", "Options", "Config", config, "Internal", n->internal,
		"Attachable", n->attachable, "Ingress", false, "ConfigFrom", "Network", "",
		"ConfigOnly", false, "Containers", inspect_members(db, n), "Options", options,
		"Labels", map_json(n->labels));
}
