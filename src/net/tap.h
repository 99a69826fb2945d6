#pragma once
/* A machine's link on a network's bridge. */
#include "bundle/bundle.h"

/* Makes the tap device of an endpoint, as a port of its bridge: its MTU, and the descriptor, the caller's, with which the
 * device goes. The guest's own addresses are its business. No database. */
int tap_attach(const struct bundle_endpoint *ep, int *ret_fd, struct err *err);
