#pragma once
/* Between network.c and member.c: the row of a network. */
#include "net/net.h"

/* Inserts or replaces it, in the caller's transaction. */
int network_store(struct db *db, const struct network *n, struct err *err);
