/*
 * Networks on the host: up, and swept away when nobody is on them. Under the lock of RUN/networks, and
 * in an order that leaves nothing unfound when its doer dies: what the files say first, then the rules
 * made of them, the bridge last; and down the same way.
 */
#include "net/net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/strv.h"
#include "net/bridge.h"
#include "net/nft.h"
#include "rootless/rootless.h"

static int write_state(int dir, const struct network *n, struct err *err)
{
	const char *masquerade =
		map_get(n->options, "com.docker.network.bridge.enable_ip_masquerade");
	struct nft_network state = { .bridge = n->bridge,
		.subnet4 = n->subnet4,
		.subnet6 = n->subnet6,
		.internal = n->internal,
		.masquerade = !masquerade || strcmp(masquerade, "false") != 0 };

	return nft_network_write(dir, n->id, &state, err);
}

static bool has_state(int dir, const char *id)
{
	cleanup(free) char *name = xasprintf("%s.up", id);

	return faccessat(dir, name, F_OK, 0) == 0;
}

static void forget_state(int dir, const char *id)
{
	cleanup(free) char *name = xasprintf("%s.up", id);

	unlinkat(dir, name, 0);
}

/* An ordinary user's networks lead out through pasta; without it they are good for each other. */
static void lead_out(const struct network *n)
{
	struct err why = { 0 };

	if (!n->internal && rootless_network(&why) < 0)
		log_warn_once(
			"containers reach only each other and published ports, not the outside: %s",
			why.text);
}

int network_up(struct db *db, const char *network, struct err *err)
{
	cleanup(network_free) struct network *n = NULL;
	cleanup(netlink_done) struct netlink nl = { 0 };
	cleanup(fd_close) int dir = -1, lock = -1;
	int r = network_find(db, network, &n, err);

	if (r < 0 || strcmp(n->driver, "bridge") != 0)
		return r;
	lead_out(n);
	dir = networks_dir(err);
	if (dir < 0)
		return dir;
	lock = networks_lock(dir, err);
	if (lock < 0)
		return lock;
	r = netlink_open(&nl, NETLINK_ROUTE, err);
	if (r == 0)
		r = bridge_check(&nl, n, err);
	/* Another program's "flush ruleset" takes our rules along; a sweep that found nobody on it, but a new member
	 * before it came to the bridge, takes those of the network. */
	if (r < 0 || (r > 0 && has_state(dir, n->id) && nft_table_exists()))
		return r < 0 ? r : 0;
	log_debug("net", "network '%s' goes up%s", n->name, r ? ": its rules were gone" : "");
	if (r > 0) {
		r = write_state(dir, n, err);
		return r < 0 ? r : nft_sync(dir, NULL, err);
	}
	r = write_state(dir, n, err);
	if (r == 0)
		r = nft_sync(dir, NULL, err);
	if (r == 0)
		r = bridge_make(&nl, n, err);
	if (r < 0) {
		forget_state(dir, n->id);
		nft_sync(dir, NULL, NULL);
	}
	return r;
}

/* Sweeping. */

static bool exists(struct db *db, const char *sql, const char *id)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);

	db_text(&q, 1, id);
	/* What cannot be asked is taken to be in use. */
	return db_step(&q, NULL) != 0;
}

static bool has_members(struct db *db, const char *network_id)
{
	return exists(db, "SELECT 1 FROM endpoint WHERE network = ?", network_id);
}

static bool on_a_network(struct db *db, const char *instance)
{
	return exists(db, "SELECT 1 FROM endpoint WHERE instance = ?", instance);
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		fd_close(fd);
	return d;
}

static bool is_idle(int dir, const char *file, int64_t idle_ns)
{
	struct stat st;
	int64_t age;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	age = time_now() - (st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec);
	return age < 0 || age >= idle_ns; /* the clock was set back: no reason to wait */
}

/* Files are called ID.up and ID.names. */
static bool network_of(const char *file, char id[ID_LEN + 1])
{
	if (strlen(file) <= ID_LEN || file[ID_LEN] != '.')
		return false;
	memcpy(id, file, ID_LEN);
	id[ID_LEN] = '\0';
	return true;
}

/* Removes the files of networks without members; the count. */
static size_t sweep_networks(struct db *db, int dir, int64_t idle_ns)
{
	cleanup(close_dir) DIR *d = open_dir(dir, ".");
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d))) {
		char id[ID_LEN + 1];
		if (!network_of(e->d_name, id))
			continue;
		if (!has_members(db, id) && is_idle(dir, e->d_name, idle_ns) &&
			unlinkat(dir, e->d_name, 0) == 0)
			n++;
	}
	return n;
}

static size_t sweep_ports(struct db *db, int dir)
{
	cleanup(close_dir) DIR *d = open_dir(dir, "ports");
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] != '.' && !on_a_network(db, e->d_name) &&
			unlinkat(dirfd(d), e->d_name, 0) == 0)
			n++;
	}
	return n;
}

static bool nothing_is_up(int dir)
{
	cleanup(close_dir) DIR *d = open_dir(dir, ".");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		const char *suffix = strrchr(e->d_name, '.');
		if (suffix && suffix != e->d_name && strcmp(suffix, ".up") == 0)
			return false;
	}
	return true;
}

struct keeper {
	struct db *db;
	int dir;
};

static bool keep_bridge(void *data, const char *network_id)
{
	const struct keeper *keeper = data;

	return has_state(keeper->dir, network_id) || has_members(keeper->db, network_id);
}

/* Looks without the lock, for everybody who has ended asks, and next to none of them was the last one. */
static bool all_in_use(struct db *db, struct netlink *nl, int dir, int64_t idle_ns)
{
	cleanup(close_dir) DIR *d = open_dir(dir, ".");
	cleanup(strv_free) char **unwanted = NULL;
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d))) {
		char id[ID_LEN + 1];
		if (!network_of(e->d_name, id))
			continue;
		n++;
		if (!has_members(db, id) && is_idle(dir, e->d_name, idle_ns))
			return false;
	}
	return n &&
	       bridge_unwanted(nl, keep_bridge, &(struct keeper){ db, dir }, &unwanted, NULL) ==
		       0 &&
	       !unwanted;
}

int network_sweep_idle(struct db *db, int64_t idle_ns, struct err *err)
{
	cleanup(netlink_done) struct netlink nl = { 0 };
	cleanup(fd_close) int dir = networks_dir(err), lock = -1;
	cleanup(db_rollback) struct db_txn txn = { 0 };
	size_t gone;
	int r;

	if (dir < 0)
		return dir;
	r = netlink_open(&nl, NETLINK_ROUTE, err);
	if (r < 0 || all_in_use(db, &nl, dir, idle_ns))
		return r;
	lock = networks_lock(dir, err);
	if (lock < 0)
		return lock;
	/* Who becomes a member writes the file of names before its row can be seen. */
	r = db_begin(db, &txn, err);
	if (r < 0)
		return r;
	gone = sweep_networks(db, dir, idle_ns) + sweep_ports(db, dir);
	db_rollback(&txn);
	if (gone || nothing_is_up(dir))
		r = nft_sync(dir, NULL, err);
	if (r < 0)
		return r;
	return bridge_sweep(&nl, keep_bridge, &(struct keeper){ db, dir }, err);
}

int network_sweep(struct db *db, struct err *err)
{
	return network_sweep_idle(db, 0, err);
}
