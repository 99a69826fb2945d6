#pragma once
/* Inside net/: what every port of a bridge needs. */
#include "net/netlink.h"

/* Requests that make the link of that name a good port, and set it up. */
void link_port_add(struct netlink_batch *batch, const char *name, uint32_t mtu);
