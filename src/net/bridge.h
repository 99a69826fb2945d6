#pragma once
/* A network's bridge on the host. Whoever calls holds the lock of nft.h. */
#include "net/net.h"
#include "net/netlink.h"

#define BRIDGE_ALIAS_TEXT 96

/* The mark by which our links are known: "holm<paths_suffix()>:" and the network's id. */
void bridge_alias(const char *network_id, char text[BRIDGE_ALIAS_TEXT]);

/* 1 when it is complete, 0 when it must be made; -EEXIST for a link of that name that is not ours. */
int bridge_check(struct netlink *nl, const struct network *n, struct err *err);
/* Makes it, with addresses and the host's forwarding. On failure nothing is left. */
int bridge_make(struct netlink *nl, const struct network *n, struct err *err);

/* The names of all bridges of ours for whose network `keep` says no: added to *ret, the caller's. No lock is
 * needed for that. */
int bridge_unwanted(struct netlink *nl, bool (*keep)(void *data, const char *network_id),
	void *data, char ***ret, struct err *err);
/* Deletes them. */
int bridge_sweep(struct netlink *nl, bool (*keep)(void *data, const char *network_id), void *data,
	struct err *err);
