/*
 * --net of the machine verbs: from text to network cards with a backend each.
 *
 * On a network of holm's a machine is a member as a container is, under an id of its own. Whoever runs it holds the lock on
 * RUN/machines/ID meanwhile; found with the lock free, its owner is dead, and the next machine gives its place back.
 */
#include "cmd/machine_net.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "net/address.h"
#include "net/backend.h"

enum kind { USER, BRIDGE };

struct card {
	enum kind kind;
	uint8_t mac[6];
	char **ports; /* USER: what passt forwards */
};

struct machine_nets {
	struct card *cards;
	struct machine_nic *nics;
	unsigned n;
};

static void random_mac(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		memset(mac, 0x5a, 6);
	/* One of those that nobody is given. */
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static int parse_option(struct card *c, const char *option, struct err *err)
{
	if (strncmp(option, "mac=", 4) == 0) {
		if (mac_parse(option + 4, c->mac) < 0)
			return err_set(err, EINVAL,
				"--net: '%s' is not a card's address, as 52:54:00:12:34:56",
				option + 4);
		return 0;
	}
	if (strncmp(option, "port=", 5) == 0 && c->kind == USER) {
		strv_add(&c->ports, option + 5);
		return 0;
	}
	return err_set(err, EINVAL, "--net: '%s' is no option of %s", option,
		c->kind == USER ? "user: those are mac=ADDRESS and port=HOST:GUEST[/udp]"
				: "bridge: those are mac=ADDRESS and ip=ADDRESS");
}

static int parse_card(struct card *c, const char *spec, struct err *err)
{
	cleanup(strv_free) char **words = strv_split(spec, ',');
	int r = 0;

	random_mac(c->mac);
	if (strcmp(words[0], "user") == 0)
		c->kind = USER;
	else
		return err_set(
			err, EINVAL, "--net: '%s' is none of user, bridge and none", words[0]);
	for (char **w = words + 1; *w && r == 0; w++)
		r = parse_option(c, *w, err);
	return r;
}

int machine_nets_parse(
	char *const *specs, const char *name, struct machine_nets **ret, struct err *err)
{
	cleanup(machine_nets_free) struct machine_nets *nets = xnew(struct machine_nets);

	(void)name;
	nets->cards = xcalloc(strv_len(specs) + 1, sizeof(*nets->cards));
	nets->nics = xcalloc(strv_len(specs) + 1, sizeof(*nets->nics));
	strv_foreach (spec, specs) {
		int r = strcmp(*spec, "none") == 0
				? 0
				: parse_card(&nets->cards[nets->n++], *spec, err);

		if (r < 0)
			return r;
	}
	*ret = take(nets);
	return 0;
}

static int open_card(struct card *c, struct net_backend **ret, struct err *err)
{
	return net_backend_user(c->ports, ret, err);
}

int machine_nets_open(
	struct machine_nets *nets, struct machine_nic **ret, unsigned *ret_n, struct err *err)
{
	for (unsigned i = 0; i < nets->n; i++) {
		int r;

		net_backend_free(take(nets->nics[i].backend));
		r = open_card(&nets->cards[i], &nets->nics[i].backend, err);

		if (r < 0)
			return r;
		memcpy(nets->nics[i].mac, nets->cards[i].mac, sizeof(nets->nics[i].mac));
	}
	*ret = nets->nics;
	*ret_n = nets->n;
	return 0;
}

void machine_nets_free(struct machine_nets *nets)
{
	if (!nets)
		return;
	for (unsigned i = 0; i < nets->n; i++) {
		net_backend_free(nets->nics[i].backend);
		strv_free(nets->cards[i].ports);
	}
	free(nets->cards);
	free(nets->nics);
	free(nets);
}
