#pragma once
/*
 * The packet rules of all networks of this root: one nftables table, inet holm<paths_suffix()>,
 * that is a function of the files in RUN/networks (net.h): nft_sync() renders it from them. Whoever
 * calls holds the lock.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* RUN/networks, made where missing. A directory's descriptor, the caller's. */
int networks_dir(struct err *err);
/* Waits for the lock; it goes with the descriptor returned. */
int networks_lock(int dir, struct err *err);

/* What the rules must know of a network that is up; the contents of ID.up. */
struct nft_network {
	const char *bridge;
	const char *subnet4, *subnet6; /* or NULL */
	bool internal, masquerade;
};
int nft_network_write(int dir, const char *id, const struct nft_network *n, struct err *err);

/* Whether the table is there: one message, no library. */
bool nft_table_exists(void);
/* Makes table, rules and elements what the files say, in one transaction; removes the table when they
 * say nothing. except: an instance whose ports are left out, or NULL. */
int nft_sync(int dir, const char *except, struct err *err);

/* Elements of published ports, each "MAP KEY : VALUE". Falls back to nft_sync(). */
int nft_ports_add(int dir, char *const *elements, struct err *err);
int nft_ports_remove(int dir, const char *instance, char *const *elements, struct err *err);

/* Begins a line of RUN/networks/ports/INSTANCE: when the elements after it were published, in ns of
 * CLOCK_MONOTONIC. File times are too coarse to tell two publishers in a row apart. */
#define NFT_SINCE "since "

/* The maps that `elements` speak of. */
#define NFT_ANY4 "any4"   /* protocol . port */
#define NFT_ADDR4 "addr4" /* address . protocol . port */
#define NFT_ANY6 "any6"
#define NFT_ADDR6 "addr6"
