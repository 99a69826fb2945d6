/*
 * Members of networks: the place of one running instance, and the names by which the others find it.
 * The names file is written inside the transaction that changes the rows, so that its last state is
 * theirs.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "net/address.h"
#include "net/ipam.h"
#include "net/nft.h"
#include "net/record.h"

#define MAX_ALIASES 64

const struct record_field network_member_fields[] = {
	RECORD(struct network_member, instance, "instance", RECORD_STR),
	RECORD(struct network_member, name, "name", RECORD_STR),
	RECORD(struct network_member, mac, "mac", RECORD_STR),
	RECORD(struct network_member, endpoint, "endpoint", RECORD_STR),
	RECORD(struct network_member, address4, "address4", RECORD_STR),
	RECORD(struct network_member, address6, "address6", RECORD_STR),
	RECORD(struct network_member, names, "names", RECORD_STRV),
	RECORD_END,
};

/* A row of `endpoint`. */
struct member {
	char id[ID_LEN + 1];
	char mac[18];
	bool has4, has6;
	uint64_t place4, place6;
};

static void format_place(
	const char *subnet, uint64_t place, bool with_prefix, char text[ADDRESS_TEXT])
{
	struct cidr c;
	struct address a;
	size_t len;

	text[0] = '\0';
	if (!subnet || cidr_parse(subnet, &c, NULL) < 0)
		return;
	cidr_at(&c, place, &a);
	address_format(&a, text);
	len = strlen(text);
	if (with_prefix)
		snprintf(text + len, ADDRESS_TEXT - len, "/%u", c.bits);
}

static int read_member(struct db *db, const char *network, const char *instance, struct member *ret,
	struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT id, mac, address4, address6 FROM endpoint WHERE network = ? AND instance = ?");
	int r;

	db_text(&q, 1, network);
	db_text(&q, 2, instance);
	r = db_step(&q, err);
	if (r <= 0)
		return r;
	*ret = (struct member){ .has4 = !db_is_null(&q, 2),
		.has6 = !db_is_null(&q, 3),
		.place4 = (uint64_t)db_get_int(&q, 2),
		.place6 = (uint64_t)db_get_int(&q, 3) };
	snprintf(ret->id, sizeof(ret->id), "%s", db_get_text(&q, 0));
	snprintf(ret->mac, sizeof(ret->mac), "%s", db_get_text(&q, 1));
	return 1;
}

/* Names. */

static bool alias_valid(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 253)
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	}
	return true;
}

static void add_name(char ***names, const char *name)
{
	cleanup(free) char *lower = xstrdup(name);

	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (!strv_contains(*names, lower))
		strv_add(names, lower);
}

static int collect_names(const struct endpoint_request *req, char ***ret, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	cleanup(free) char *id = xstrndup(req->instance, ID_SHORT);

	if (strv_len(req->aliases) > MAX_ALIASES)
		return err_set(err, E2BIG, "more than %d network aliases", MAX_ALIASES);
	add_name(&names, req->name);
	add_name(&names, id);
	if (req->hostname && alias_valid(req->hostname))
		add_name(&names, req->hostname);
	strv_foreach (alias, req->aliases) {
		if (!alias_valid(*alias))
			return err_set(err, EINVAL,
				"network alias '%s': letters, digits, '-', '_' and '.' are possible",
				*alias);
		add_name(&names, *alias);
	}
	*ret = take(names);
	return 0;
}

/* As NAME and as NAME.NETWORK (Docker). */
static void add_lines(struct buf *out, const char *names, const char *network, const char *address,
	const char *instance)
{
	cleanup(strv_free) char **v = address[0] ? strv_split(names, '\n') : NULL;

	strv_foreach (name, v)
		buf_addf(out, "%s\t%s\t%s\n%s.%s\t%s\t%s\n", *name, address, instance, *name,
			network, address, instance);
}

/* RUN/networks/ID.names, removed when there is nothing to say. */
static int write_names(struct db *db, const struct network *n, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT names, instance, address4, address6 FROM endpoint WHERE network = ? ORDER BY instance");
	cleanup(fd_close) int dir = -1;
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *file = xasprintf("%s.names", n->id);
	char address[ADDRESS_TEXT];
	int r;

	if (n->builtin)
		return 0;
	db_text(&q, 1, n->id);
	while ((r = db_step(&q, err)) > 0) {
		const char *subnets[] = { n->subnet4, n->subnet6 };
		for (int i = 0; i < 2; i++) {
			if (db_is_null(&q, 2 + i))
				continue;
			format_place(subnets[i], (uint64_t)db_get_int(&q, 2 + i), false, address);
			add_lines(&text, db_get_text(&q, 0), n->name, address, db_get_text(&q, 1));
		}
	}
	if (r < 0)
		return r;
	dir = networks_dir(err);
	if (dir < 0)
		return dir;
	if (!text.len) {
		unlinkat(dir, file, 0);
		return 0;
	}
	r = file_write(dir, file, text.data, text.len, 0644, 0);
	return r < 0 ? err_code(err, r, "write '%s/networks/%s'", paths_run(), file) : 0;
}

/* Reserving. */

static int pick_mac(const struct endpoint_request *req, const struct address *a4, struct member *m,
	struct err *err)
{
	uint8_t mac[6] = { 0x02, 0x42 };

	if (req->mac && mac_parse(req->mac, mac) < 0)
		return err_set(err, EINVAL,
			"'%s' is not a MAC address of one station: write it like 02:42:0a:d2:00:02",
			req->mac);
	if (!req->mac && m->has4)
		memcpy(mac + 2, a4->byte, 4);
	else if (!req->mac && getrandom(mac + 2, 4, 0) != 4)
		return err_errno(err, "get random bytes");
	snprintf(m->mac, sizeof(m->mac), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	return 0;
}

static int insert_member(struct db *db, const struct network *n, const struct endpoint_request *req,
	char *const *names, const struct member *m, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT INTO endpoint (id, network, instance, name, names, mac, address4, address6)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
	cleanup(free) char *joined = strv_join(names, "\n");

	db_text(&q, 1, m->id);
	db_text(&q, 2, n->id);
	db_text(&q, 3, req->instance);
	db_text(&q, 4, req->name);
	db_text(&q, 5, joined);
	db_text(&q, 6, m->mac);
	if (m->has4)
		db_int(&q, 7, (int64_t)m->place4);
	if (m->has6)
		db_int(&q, 8, (int64_t)m->place6);
	return db_run(&q, err);
}

/* Only for those chosen by people: ours are made of the address. */
static int check_mac(struct db *db, const struct network *n, const char *mac, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT name FROM endpoint WHERE network = ? AND mac = ?");
	int r;

	db_text(&q, 1, n->id);
	db_text(&q, 2, mac);
	r = db_step(&q, err);
	if (r > 0)
		return err_set(err, EADDRINUSE, "MAC address %s is in use by '%s' on network '%s'",
			mac, db_get_text(&q, 0), n->name);
	return r;
}

static int make_member(struct db *db, const struct network *n, const struct endpoint_request *req,
	struct member *m, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	struct address a4 = { 0 }, a6 = { 0 };
	int r = collect_names(req, &names, err);

	*m = (struct member){ .has4 = n->subnet4 != NULL, .has6 = n->subnet6 != NULL };
	if (r == 0 && req->address6 && !m->has6)
		r = err_set(err, EINVAL,
			"address %s: network '%s' has no IPv6: create it with --ipv6",
			req->address6, n->name);
	if (r == 0 && m->has4)
		r = ipam_pick(db, n, AF_INET, req->address4, &a4, &m->place4, err);
	if (r == 0 && m->has6)
		r = ipam_pick(db, n, AF_INET6, req->address6, &a6, &m->place6, err);
	if (r == 0)
		r = pick_mac(req, &a4, m, err);
	if (r == 0 && req->mac)
		r = check_mac(db, n, m->mac, err);
	if (r < 0)
		return r;
	id_random(m->id);
	r = insert_member(db, n, req, names, m, err);
	return r < 0 ? r : write_names(db, n, err);
}

static bool has_members(struct db *db, const char *network)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT 1 FROM endpoint WHERE network = ? LIMIT 1");

	db_text(&q, 1, network);
	return db_step(&q, NULL) != 0;
}

/* The built-in network was given its subnet before anybody looked at the host, which may also have
 * moved to other surroundings since. Looked at anew before it comes up. */
static int settle_builtin(struct db *db, struct network *n, struct err *err)
{
	cleanup(free) char *up = xasprintf("%s/networks/%s.up", paths_run(), n->id);
	int r;

	if (!n->builtin || has_members(db, n->id) || access(up, F_OK) == 0)
		return 0;
	r = ipam_move_if_taken(db, n, err);
	if (r <= 0)
		return r;
	return network_store(db, n, err);
}

static void fill_endpoint(const struct network *n, const struct endpoint_request *req,
	const struct member *m, struct bundle_endpoint *ret)
{
	char text[ADDRESS_TEXT];

	*ret = (struct bundle_endpoint){
		.network = xstrdup(n->id),
		.bridge = xstrdup(n->bridge),
		.host_link = xasprintf("veth%.11s", m->id),
		.link = xstrdup(req->link ? req->link : "eth0"),
		.mac = xstrdup(m->mac),
		.mtu = n->mtu,
		.is_default = req->is_default,
		.internal = n->internal,
	};
	if (m->has4) {
		format_place(n->subnet4, m->place4, /* with_prefix= */ true, text);
		ret->address4 = xstrdup(text);
		ret->gateway4 = xstrdup_null(n->gateway4);
	}
	if (m->has6) {
		format_place(n->subnet6, m->place6, /* with_prefix= */ true, text);
		ret->address6 = xstrdup(text);
		ret->gateway6 = xstrdup_null(n->gateway6);
	}
}

int network_reserve(struct db *db, const struct endpoint_request *req, struct bundle_endpoint *ret,
	struct err *err)
{
	cleanup(network_free) struct network *n = NULL;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	struct member m;
	int r = db_begin(db, &txn, err);

	if (r < 0)
		return r;
	r = network_find(db, req->network, &n, err);
	if (r < 0)
		return r;
	if (strcmp(n->driver, "bridge") != 0)
		return err_set(err, EINVAL, "network '%s' has no addresses to give", n->name);
	r = read_member(db, n->id, req->instance, &m, err);
	if (r == 0)
		r = settle_builtin(db, n, err);
	else if (r > 0)
		goto known;
	if (r == 0)
		r = make_member(db, n, req, &m, err);
	if (r < 0)
		return r;
known:
	r = db_commit(&txn, err);
	if (r < 0)
		return r;
	fill_endpoint(n, req, &m, ret);
	return 0;
}

/* Releasing. */

static int delete_member(struct db *db, const char *network, const char *instance, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "DELETE FROM endpoint WHERE network = ? AND instance = ?");

	db_text(&q, 1, network);
	db_text(&q, 2, instance);
	return db_run(&q, err);
}

static int networks_of(struct db *db, const char *instance, char ***ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT network FROM endpoint WHERE instance = ?");
	int r;

	db_text(&q, 1, instance);
	while ((r = db_step(&q, err)) > 0)
		strv_add(ret, db_get_text(&q, 0));
	return r;
}

/* network_sweep() goes by the time of this file. */
static void touch_state(const char *network)
{
	cleanup(free) char *up = xasprintf("%s/networks/%s.up", paths_run(), network);

	utimensat(AT_FDCWD, up, NULL, 0);
}

int network_release(struct db *db, const char *instance, const char *network, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(network_free) struct network *only = NULL;
	cleanup(strv_free) char **ids = NULL;
	int r = 0;

	if (network) {
		r = network_find(db, network, &only, err);
		if (r < 0)
			return r;
	}
	r = networks_of(db, instance, &ids, err);
	if (r < 0 || !ids)
		return r;
	reserve_spend();
	r = db_begin(db, &txn, err);
	strv_foreach (id, ids) {
		cleanup(network_free) struct network *n = NULL;
		if (r < 0 || (only && strcmp(only->id, *id) != 0))
			continue;
		r = network_find(db, *id, &n, err);
		if (r == 0)
			r = delete_member(db, *id, instance, err);
		touch_state(*id);
		if (r == 0)
			r = write_names(db, n, err);
	}
	return r < 0 ? r : db_commit(&txn, err);
}

static int rename_on(struct db *db, const struct network *n, const char *instance, const char *old,
	const char *name, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT names FROM endpoint WHERE network = ? AND instance = ?");
	cleanup(db_done) struct db_stmt u = db_prepare(
		db, "UPDATE endpoint SET name = ?, names = ? WHERE network = ? AND instance = ?");
	cleanup(strv_free) char **had = NULL, **names = NULL;
	cleanup(free) char *joined = NULL;
	int r;

	db_text(&q, 1, n->id);
	db_text(&q, 2, instance);
	r = db_step(&q, err);
	if (r <= 0)
		return r;
	had = strv_split(db_get_text(&q, 0), '\n');
	db_done(&q);
	add_name(&names, name);
	strv_foreach (h, had)
		if (**h && strcasecmp(*h, old) != 0)
			add_name(&names, *h);
	joined = strv_join(names, "\n");
	db_text(&u, 1, name);
	db_text(&u, 2, joined);
	db_text(&u, 3, n->id);
	db_text(&u, 4, instance);
	r = db_run(&u, err);
	return r < 0 ? r : write_names(db, n, err);
}

int network_rename_member(
	struct db *db, const char *instance, const char *old, const char *name, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(strv_free) char **ids = NULL;
	int r = networks_of(db, instance, &ids, err);

	if (r < 0 || !ids)
		return r;
	r = db_begin(db, &txn, err);
	strv_foreach (id, ids) {
		cleanup(network_free) struct network *n = NULL;
		if (r == 0)
			r = network_find(db, *id, &n, err);
		if (r == 0)
			r = rename_on(db, n, instance, old, name, err);
	}
	return r < 0 ? r : db_commit(&txn, err);
}

static void fill_member(const struct network *n, struct db_stmt *q, struct network_member *m)
{
	char text[ADDRESS_TEXT];

	m->instance = xstrdup(db_get_text(q, 0));
	m->name = xstrdup(db_get_text(q, 1));
	m->names = strv_split(db_get_text(q, 2), '\n');
	m->mac = xstrdup(db_get_text(q, 3));
	m->endpoint = xstrdup(db_get_text(q, 4));
	if (!db_is_null(q, 5)) {
		format_place(n->subnet4, (uint64_t)db_get_int(q, 5), true, text);
		m->address4 = xstrdup(text);
	}
	if (!db_is_null(q, 6)) {
		format_place(n->subnet6, (uint64_t)db_get_int(q, 6), true, text);
		m->address6 = xstrdup(text);
	}
}

int network_members(struct db *db, const char *network, struct record_list *ret, struct err *err)
{
	cleanup(network_free) struct network *n = NULL;
	int r = network_find(db, network, &n, err);

	if (r < 0)
		return r;
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"SELECT instance, name, names, mac, id, address4, address6 FROM endpoint"
		" WHERE network = ? ORDER BY name");
	db_text(&q, 1, n->id);
	while ((r = db_step(&q, err)) > 0)
		fill_member(n, &q, record_list_add(ret, sizeof(struct network_member)));
	return r;
}
