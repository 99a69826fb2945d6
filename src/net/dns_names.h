#pragma once
/* Inside the resolver: looking up. */
#include "net/dns_message.h"

/* Addresses of a name (in lower case), in order of the file; false when the name is not known. *ret
 * is good until the next change. */
struct dns_name {
	char *name;
	struct dns_address address;
};
bool dns_names_find(const struct dns_names *names, const char *name, const struct dns_name **ret,
	size_t *ret_n);
/* A name of an address, or NULL. */
const char *dns_names_reverse(const struct dns_names *names, const struct dns_address *address);
/* A number that goes up, for taking turns. */
unsigned dns_names_turn(struct dns_names *names);
