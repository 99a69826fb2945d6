#pragma once
/* IP addresses and subnets of both families. Pure functions. */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define ADDRESS_TEXT 52 /* any address, with a prefix length */

struct address {
	int family;       /* AF_INET, AF_INET6 */
	uint8_t byte[16]; /* network order; IPv4 in the first 4 */
};

struct cidr {
	struct address base; /* host bits are zero */
	unsigned bits;
};

/* -EINVAL for anything but an address. */
int address_parse(const char *text, struct address *ret);
void address_format(const struct address *a, char text[ADDRESS_TEXT]);
bool address_equal(const struct address *a, const struct address *b);
unsigned address_width(int family); /* 32, 128 */

/* "10.210.0.0/16"; host bits in it are an error that names the subnet meant. */
int cidr_parse(const char *text, struct cidr *ret, struct err *err);
/* The subnet of that length in which an address lies. */
struct cidr cidr_of(const struct address *a, unsigned bits);
void cidr_format(const struct cidr *c, char text[ADDRESS_TEXT]);
bool cidr_contains(const struct cidr *c, const struct address *a);
bool cidr_overlaps(const struct cidr *a, const struct cidr *b);

/* An address as its place in the subnet and back. Places have 64 bits: in a larger subnet the rest is
 * out of reach, -ERANGE. */
int cidr_place(const struct cidr *c, const struct address *a, uint64_t *ret);
void cidr_at(const struct cidr *c, uint64_t place, struct address *ret);
/* The last place: the broadcast address in IPv4. */
uint64_t cidr_last(const struct cidr *c);

/* "02:42:ac:11:00:02" to 6 bytes; refuses multicast and zero. */
int mac_parse(const char *text, uint8_t mac[6]);
