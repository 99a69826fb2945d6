/*
 * The rules, and the library that speaks to the kernel about them. libnftables is loaded when rules
 * must change and unloaded afterwards: loading costs more than attaching an instance to a network,
 * and its memory is not for a supervisor to keep.
 *
 * All bridges share the chains; what differs is in sets, so that a network coming or going changes
 * elements alone. nft(8); the hooks' order is in "priority" there.
 */
#include "net/nft.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "net/netlink.h"

#define STATE_MAX (1u << 20) /* bytes of one file in RUN/networks */

int networks_dir(struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/networks", paths_run());
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		cleanup(free) char *ports = xasprintf("%s/ports", path);
		int r = dir_make(ports, 0711);
		if (r < 0)
			return err_code(err, r, "make directory '%s'", ports);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? err_errno(err, "open directory '%s'", path) : fd;
}

int networks_lock(int dir, struct err *err)
{
	int fd = lock_file(dir, "lock", /* wait= */ true);

	return fd < 0 ? err_code(err, fd, "lock '%s/networks/lock'", paths_run()) : fd;
}

int nft_network_write(int dir, const char *id, const struct nft_network *n, struct err *err)
{
	cleanup(free) char *name = xasprintf("%s.up", id);
	cleanup(free) char *text = xasprintf("%s %s %s %s %s\n", n->bridge,
		n->subnet4 ? n->subnet4 : "-", n->subnet6 ? n->subnet6 : "-",
		n->internal ? "internal" : "-", n->masquerade ? "masquerade" : "-");
	int r = file_write(dir, name, text, strlen(text), 0600, 0);

	return r < 0 ? err_code(err, r, "write '%s/networks/%s'", paths_run(), name) : 0;
}

/* The library. */

struct nft {
	void *library;
	struct nft_ctx *ctx;
	__typeof__(nft_ctx_free) *ctx_free;
	__typeof__(nft_run_cmd_from_buffer) *run;
	__typeof__(nft_ctx_get_error_buffer) *get_error;
};

static void nft_done(struct nft *nft)
{
	if (nft->ctx)
		nft->ctx_free(nft->ctx);
	if (nft->library)
		dlclose(nft->library);
}
DEFINE_CLEANUP_OBJECT(nft_done, struct nft);

static int nft_load(struct nft *nft, struct err *err)
{
	__typeof__(nft_ctx_new) *ctx_new;
	__typeof__(nft_ctx_buffer_error) *buffer_error;
	__typeof__(nft_ctx_buffer_output) *buffer_output;

	nft->library = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!nft->library)
		return err_set(err, ENOPKG,
			"the network's rules need libnftables: install it (apt install libnftables1), or use --network none or host");
	*(void **)&ctx_new = dlsym(nft->library, "nft_ctx_new");
	*(void **)&buffer_error = dlsym(nft->library, "nft_ctx_buffer_error");
	*(void **)&buffer_output = dlsym(nft->library, "nft_ctx_buffer_output");
	*(void **)&nft->ctx_free = dlsym(nft->library, "nft_ctx_free");
	*(void **)&nft->run = dlsym(nft->library, "nft_run_cmd_from_buffer");
	*(void **)&nft->get_error = dlsym(nft->library, "nft_ctx_get_error_buffer");
	if (!ctx_new || !buffer_error || !buffer_output || !nft->ctx_free || !nft->run ||
		!nft->get_error)
		return err_set(err, ENOPKG, "libnftables.so.1 is not the library that is meant");
	nft->ctx = ctx_new(NFT_CTX_DEFAULT);
	if (!nft->ctx || buffer_error(nft->ctx) || buffer_output(nft->ctx))
		return err_set(err, ENOMEM, "start libnftables");
	return 0;
}

static int nft_run(const char *script, struct err *err)
{
	cleanup(nft_done) struct nft nft = { 0 };
	int r = nft_load(&nft, err);

	if (r < 0)
		return r;
	if (nft.run(nft.ctx, script) != 0) {
		const char *text = nft.get_error(nft.ctx);
		return err_set(err, EIO, "change the network's rules (nftables): %.*s",
			(int)strcspn(text ? text : "", "\n"), text ? text : "");
	}
	return 0;
}

static const char *table_name(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "holm%s", paths_suffix());
	return name;
}

bool nft_table_exists(void)
{
	cleanup(netlink_done) struct netlink nl = { 0 };
	struct netlink_batch batch = { .len = 0 };
	struct nfgenmsg *msg;
	struct nlmsghdr *h;

	if (netlink_open(&nl, NETLINK_NETFILTER, NULL) < 0)
		return false;
	h = netlink_add(&batch, "find table", NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0,
		sizeof(*msg), &msg);
	msg->nfgen_family = NFPROTO_INET;
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table_name());
	netlink_end(&batch, h);
	return netlink_send(&nl, &batch, table_name(), NULL) == 0;
}

/* What the files say. */

struct port_element {
	char *key;     /* "MAP KEY" */
	char *element; /* "MAP KEY : VALUE" */
	uint64_t since;
};

struct state {
	struct buf elements; /* "add element inet T SET { X }" a line */
	struct port_element *ports;
	size_t n_networks, n_ports;
};

static void state_done(struct state *s)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		free(s->ports[i].key);
		free(s->ports[i].element);
	}
	free(s->ports);
	buf_free(&s->elements);
}
DEFINE_CLEANUP_OBJECT(state_done, struct state);

static void add_element(struct buf *b, const char *set, const char *element)
{
	buf_addf(b, "add element inet %s %s { %s }\n", table_name(), set, element);
}

static void state_add_network(struct state *s, char *const *word)
{
	cleanup(free) char *bridge = xasprintf("\"%s\"", word[0]);
	cleanup(free) char *pair = xasprintf("\"%s\" . \"%s\"", word[0], word[0]);
	bool masquerade = strcmp(word[4], "masquerade") == 0;

	s->n_networks++;
	add_element(&s->elements, "bridges", bridge);
	add_element(&s->elements, "own", pair);
	if (strcmp(word[3], "internal") == 0)
		add_element(&s->elements, "internal", bridge);
	else if (masquerade && strcmp(word[1], "-") != 0)
		add_element(&s->elements, "nat4", word[1]);
	if (strcmp(word[3], "internal") != 0 && masquerade && strcmp(word[2], "-") != 0)
		add_element(&s->elements, "nat6", word[2]);
}

static void state_add_ports(struct state *s, const char *text)
{
	cleanup(strv_free) char **lines = strv_split(text, '\n');
	uint64_t since = 0;

	strv_foreach (line, lines) {
		const char *colon = strstr(*line, " : ");
		if (strncmp(*line, NFT_SINCE, strlen(NFT_SINCE)) == 0)
			parse_u64(*line + strlen(NFT_SINCE), UINT64_MAX, &since);
		if (!colon)
			continue;
		s->ports = xrealloc_array(s->ports, s->n_ports + 1, sizeof(*s->ports));
		s->ports[s->n_ports++] = (struct port_element){
			.key = xstrndup(*line, (size_t)(colon - *line)),
			.element = xstrdup(*line),
			.since = since,
		};
	}
}

static int compare_ports(const void *a, const void *b)
{
	const struct port_element *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	if (r)
		return r;
	return x->since > y->since ? -1 : x->since < y->since;
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

/* Each file below: fn gets its name and text. */
static int for_each_file(int at, const char *below,
	void (*fn)(void *data, const char *name, const char *text), void *data)
{
	int fd = openat(at, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		fd_close(fd);
		return errno == ENOENT ? 0 : -errno;
	}
	while ((e = readdir(d))) {
		cleanup(buf_free) struct buf text = { 0 };
		if (e->d_name[0] != '.' && e->d_type == DT_REG &&
			file_read(dirfd(d), e->d_name, STATE_MAX, &text) == 0 && text.len)
			fn(data, e->d_name, text.data);
	}
	return 0;
}

struct state_reader {
	struct state *state;
	const char *except;
};

static void read_network(void *data, const char *name, const char *text)
{
	struct state_reader *reader = data;
	const char *suffix = strrchr(name, '.');
	cleanup(free) char *line = xstrndup(text, strcspn(text, "\n"));
	cleanup(strv_free) char **word = strv_split(line, ' ');

	if (suffix && strcmp(suffix, ".up") == 0 && strv_len(word) == 5)
		state_add_network(reader->state, word);
}

static void read_ports(void *data, const char *name, const char *text)
{
	struct state_reader *reader = data;

	if ((!reader->except || strcmp(name, reader->except) != 0) && !strstr(name, ".tmp."))
		state_add_ports(reader->state, text);
}

static int state_read(int dir, const char *except, struct state *s)
{
	struct state_reader reader = { .state = s, .except = except };
	int r = for_each_file(dir, ".", read_network, &reader);

	if (r == 0)
		r = for_each_file(dir, "ports", read_ports, &reader);
	if (r < 0)
		return r;
	if (s->n_ports)
		qsort(s->ports, s->n_ports, sizeof(*s->ports), compare_ports);
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct port_element *p = &s->ports[i];
		/* Of two that claim a port the older one is dead: the port's socket was free. */
		if (i && strcmp(p->key, p[-1].key) == 0)
			continue;
		const char *space = strchr(p->element, ' ');
		cleanup(free) char *map = xstrndup(p->element, (size_t)(space - p->element));
		add_element(&s->elements, map, space + 1);
	}
	return 0;
}

/* The rules; %s of each line is the table's name. */

static const char *const table_objects[] = {
	"add table inet %s",
	"add set inet %s bridges { type ifname; }",
	"add set inet %s internal { type ifname; }",
	"add set inet %s own { type ifname . ifname; }",
	"add set inet %s nat4 { type ipv4_addr; flags interval; }",
	"add set inet %s nat6 { type ipv6_addr; flags interval; }",
	"add map inet %s any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }",
	"add map inet %s any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }",
	"add map inet %s addr4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
	"add map inet %s addr6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }",
	"add chain inet %s publish",
	"add chain inet %s guard { type filter hook prerouting priority -300; policy accept; }",
	"add chain inet %s prerouting { type nat hook prerouting priority -100; policy accept; }",
	"add chain inet %s output { type nat hook output priority -100; policy accept; }",
	"add chain inet %s postrouting { type nat hook postrouting priority 100; policy accept; }",
	"add chain inet %s forward { type filter hook forward priority 0; policy accept; }",
	"flush set inet %s bridges",
	"flush set inet %s internal",
	"flush set inet %s own",
	"flush set inet %s nat4",
	"flush set inet %s nat6",
	"flush map inet %s any4",
	"flush map inet %s any6",
	"flush map inet %s addr4",
	"flush map inet %s addr6",
	"flush table inet %s",

	/* route_localnet, which lets the host's loopback connections out to a bridge, would also let
	 * an instance reach what listens on the host's 127.0.0.1. */
	"add rule inet %s guard iifname @bridges ip daddr 127.0.0.0/8 drop",

	"add rule inet %s publish meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @addr4",
	"add rule inet %s publish meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4",
	/* IPv6 has no route_localnet: ::1 cannot leave the host. */
	"add rule inet %s publish ip6 daddr != ::1 dnat ip6 to ip6 daddr . meta l4proto . th dport map @addr6",
	"add rule inet %s publish ip6 daddr != ::1 dnat ip6 to meta l4proto . th dport map @any6",
	"add rule inet %s prerouting fib daddr type local jump publish",
	"add rule inet %s output fib daddr type local jump publish",

	"add rule inet %s postrouting oifname != @bridges ip saddr @nat4 masquerade",
	"add rule inet %s postrouting oifname != @bridges ip6 saddr @nat6 masquerade",
	/* An instance at a published port of its own network: the answer must come back through us. */
	"add rule inet %s postrouting oifname @bridges ct status dnat ip saddr @nat4 masquerade",
	"add rule inet %s postrouting oifname @bridges ct status dnat ip6 saddr @nat6 masquerade",
	"add rule inet %s postrouting oifname @bridges ip saddr 127.0.0.0/8 masquerade",

	"add rule inet %s forward iifname != @bridges oifname != @bridges accept",
	"add rule inet %s forward ct state established,related accept",
	/* Seen here only with br_netfilter, or when a port of the same network is published. */
	"add rule inet %s forward iifname . oifname @own accept",
	"add rule inet %s forward iifname @internal drop",
	"add rule inet %s forward oifname @internal drop",
	"add rule inet %s forward oifname @bridges ct status dnat accept",
	"add rule inet %s forward oifname @bridges drop",
};

static void render(struct buf *script, const struct state *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(table_objects); i++) {
		const char *line = table_objects[i], *name = strstr(line, "%s");
		buf_add(script, line, (size_t)(name - line));
		buf_adds(script, table_name());
		buf_adds(script, name + 2);
		buf_addc(script, '\n');
	}
	if (s->elements.len)
		buf_add(script, s->elements.data, s->elements.len);
}

/* "add" first makes it succeed also without a table. */
static void render_removal(struct buf *script)
{
	buf_addf(script, "add table inet %s\ndelete table inet %s\n", table_name(), table_name());
}

int nft_sync(int dir, const char *except, struct err *err)
{
	cleanup(state_done) struct state s = { 0 };
	cleanup(buf_free) struct buf script = { 0 }, again = { 0 };
	int r = state_read(dir, except, &s);

	if (r < 0)
		return err_code(err, r, "read '%s/networks'", paths_run());
	if (!s.n_networks && !s.n_ports) {
		if (!nft_table_exists())
			return 0;
		render_removal(&script);
		return nft_run(script.data, err);
	}
	render(&script, &s);
	r = nft_run(script.data, NULL);
	if (r == 0 || r == -ENOPKG)
		return r < 0 ? nft_run(script.data, err) : 0;
	/* A table of another version of holm, with other types, cannot be changed, only replaced. */
	render_removal(&again);
	render(&again, &s);
	return nft_run(again.data, err);
}

/* One element alone, while the rest of the table is as the files say. */
static void render_ports(struct buf *script, char *const *elements, bool add)
{
	strv_foreach (e, elements) {
		const char *space = strchr(*e, ' '), *colon = strstr(*e, " : ");
		if (!space || !colon)
			continue;
		cleanup(free) char *map = xstrndup(*e, (size_t)(space - *e));
		add_element(script, map, space + 1);
		/* Deleting what is not there fails; after adding, it is there. */
		if (!add)
			buf_addf(script, "delete element inet %s %s { %.*s }\n", table_name(), map,
				(int)(colon - space - 1), space + 1);
	}
}

int nft_ports_add(int dir, char *const *elements, struct err *err)
{
	cleanup(buf_free) struct buf script = { 0 };

	if (nft_table_exists()) {
		render_ports(&script, elements, /* add= */ true);
		if (!script.len || nft_run(script.data, NULL) == 0)
			return 0;
	}
	return nft_sync(dir, NULL, err);
}

int nft_ports_remove(int dir, const char *instance, char *const *elements, struct err *err)
{
	cleanup(buf_free) struct buf script = { 0 };

	if (!nft_table_exists())
		return 0;
	render_ports(&script, elements, /* add= */ false);
	if (!script.len || nft_run(script.data, NULL) == 0)
		return 0;
	return nft_sync(dir, instance, err);
}
