#pragma once
/* DHCP for one client whose lease is known (RFC 2131, options by RFC 2132). Pure functions; messages are the guest's. */
#include <stddef.h>
#include <stdint.h>

#include "net/backend.h"

#define DHCP_REPLY_MAX 400u

/* Answers a message (after the UDP header): the reply's length, written to out; 0: none is due. */
size_t dhcp_answer(
	const struct net_lease *lease, const uint8_t *msg, size_t len, uint8_t out[DHCP_REPLY_MAX]);
