#pragma once
/*
 * Which addresses are free: subnets for networks, and addresses for the members of one. Whoever
 * calls holds a transaction of the database.
 */
#include "base/db.h"
#include "net/address.h"
#include "net/net.h"

/* Fills in subnets, gateways and checks what was given (see network_create()). ipv6 without a subnet
 * gets a unique local one. */
int ipam_network(struct db *db, struct network *n, struct err *err);

/* Gives the built-in network another subnet when the host meanwhile uses its own for something else.
 * Changes n only. Returns 1 when it did. */
int ipam_move_if_taken(struct db *db, struct network *n, struct err *err);

/* An address of the family for a new member: `wanted`, or the next free one after the last given. Its
 * place (address.h) is stored by the caller; it is remembered here as the last one. */
int ipam_pick(struct db *db, const struct network *n, int family, const char *wanted,
	struct address *ret, uint64_t *ret_place, struct err *err);
