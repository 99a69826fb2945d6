#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

int address_parse(const char *text, struct address *ret)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(a.family, text, a.byte) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

void address_format(const struct address *a, char text[ADDRESS_TEXT])
{
	inet_ntop(a->family, a->byte, text, ADDRESS_TEXT);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

unsigned address_width(int family)
{
	return family == AF_INET ? 32 : 128;
}

static void mask(struct address *a, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		if (i * 8 >= bits)
			a->byte[i] = 0;
		else if (bits - i * 8 < 8)
			a->byte[i] &= (uint8_t)(0xff << (8 - (bits - i * 8)));
	}
}

struct cidr cidr_of(const struct address *a, unsigned bits)
{
	struct cidr c = { .base = *a, .bits = bits };

	mask(&c.base, bits);
	return c;
}

int cidr_parse(const char *text, struct cidr *ret, struct err *err)
{
	const char *slash = strchr(text, '/');
	char address[ADDRESS_TEXT], meant[ADDRESS_TEXT];
	struct address given;
	struct cidr c;
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return err_set(
			err, EINVAL, "'%s' is not a subnet: write it like 10.9.0.0/24", text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (address_parse(address, &given) < 0 ||
		parse_u64(slash + 1, address_width(given.family), &bits) < 0)
		return err_set(
			err, EINVAL, "'%s' is not a subnet: write it like 10.9.0.0/24", text);
	c = cidr_of(&given, (unsigned)bits);
	if (!address_equal(&c.base, &given)) {
		cidr_format(&c, meant);
		return err_set(err, EINVAL, "'%s' has bits set after its prefix: did you mean %s?",
			text, meant);
	}
	*ret = c;
	return 0;
}

void cidr_format(const struct cidr *c, char text[ADDRESS_TEXT])
{
	size_t len;

	address_format(&c->base, text);
	len = strlen(text);
	snprintf(text + len, ADDRESS_TEXT - len, "/%u", c->bits);
}

bool cidr_contains(const struct cidr *c, const struct address *a)
{
	struct address masked = *a;

	mask(&masked, c->bits);
	return address_equal(&masked, &c->base);
}

bool cidr_overlaps(const struct cidr *a, const struct cidr *b)
{
	return a->bits <= b->bits ? cidr_contains(a, &b->base) : cidr_contains(b, &a->base);
}

/* The low 64 bits (32 in IPv4). */
static uint64_t low_bits(const struct address *a)
{
	unsigned end = address_width(a->family) / 8;
	uint64_t v = 0;

	for (unsigned i = end > 8 ? end - 8 : 0; i < end; i++)
		v = v << 8 | a->byte[i];
	return v;
}

uint64_t cidr_last(const struct cidr *c)
{
	unsigned host = address_width(c->base.family) - c->bits;

	return host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
}

int cidr_place(const struct cidr *c, const struct address *a, uint64_t *ret)
{
	struct address back;
	uint64_t place;

	if (!cidr_contains(c, a))
		return -ERANGE;
	place = low_bits(a) & cidr_last(c);
	cidr_at(c, place, &back);
	if (!address_equal(&back, a))
		return -ERANGE;
	*ret = place;
	return 0;
}

void cidr_at(const struct cidr *c, uint64_t place, struct address *ret)
{
	unsigned end = address_width(c->base.family) / 8;

	*ret = c->base;
	place &= cidr_last(c);
	for (unsigned i = 0; i < 8 && i < end; i++, place >>= 8)
		ret->byte[end - 1 - i] |= (uint8_t)place;
}

int mac_parse(const char *text, uint8_t mac[6])
{
	unsigned v[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		    &end) != 6 ||
		end != 17 || text[17] || v[0] & 1)
		return -EINVAL;
	if (!(v[0] | v[1] | v[2] | v[3] | v[4] | v[5]))
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	return 0;
}
