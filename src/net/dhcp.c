#include "net/dhcp.h"

#include <string.h>

#define HEADER 240u /* with the magic cookie */
#define REQUEST 1u
#define REPLY 2u
#define LEASE_SECONDS 86400u

/* Offsets of fields. */
enum {
	OP = 0,
	HTYPE = 1,
	HLEN = 2,
	XID = 4,
	FLAGS = 10,
	CIADDR = 12,
	YIADDR = 16,
	SIADDR = 20,
	CHADDR = 28,
	COOKIE = 236
};

enum { DISCOVER = 1, OFFER = 2, WANT = 3, ACK = 5, NAK = 6, INFORM = 8 };

enum option {
	MASK = 1,
	ROUTER = 3,
	DNS = 6,
	HOSTNAME = 12,
	MTU = 26,
	REQUESTED = 50,
	TIME = 51,
	TYPE = 53,
	SERVER = 54,
	END = 255
};

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

/* The value of an option that has so many bytes, or NULL. */
static const uint8_t *find(const uint8_t *msg, size_t len, enum option which, size_t size)
{
	size_t at = HEADER;

	while (at + 1 < len && msg[at] != END) {
		size_t n = msg[at + 1];

		if (msg[at] == 0) {
			at++;
			continue;
		}
		if (at + 2 + n > len)
			return NULL;
		if (msg[at] == which)
			return n == size ? msg + at + 2 : NULL;
		at += 2 + n;
	}
	return NULL;
}

static uint8_t *add(uint8_t *p, enum option which, const void *data, size_t n)
{
	*p++ = (uint8_t)which;
	*p++ = (uint8_t)n;
	memcpy(p, data, n);
	return p + n;
}

static uint8_t *add_number(uint8_t *p, enum option which, uint32_t value, size_t n)
{
	uint8_t bytes[4];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(value >> 8 * (n - 1 - i));
	return add(p, which, bytes, n);
}

static uint8_t *add_lease(uint8_t *p, const struct net_lease *l)
{
	static const uint8_t none[4];
	size_t n = l->hostname ? strlen(l->hostname) : 0;

	p = add_number(p, MASK, l->bits ? UINT32_MAX << (32 - l->bits) : 0, 4);
	if (l->has_route)
		p = add(p, ROUTER, l->gateway, 4);
	if (memcmp(l->gateway, none, 4) != 0)
		p = add(p, DNS, l->gateway, 4);
	if (l->mtu)
		p = add_number(p, MTU, l->mtu, 2);
	return n > 0 && n < 64 ? add(p, HOSTNAME, l->hostname, n) : p;
}

/* What to answer with; 0: nothing. */
static uint8_t decide(const struct net_lease *l, const uint8_t *msg, size_t len)
{
	static const uint8_t none[4];
	const uint8_t *type = find(msg, len, TYPE, 1), *server = find(msg, len, SERVER, 4),
		      *wanted = find(msg, len, REQUESTED, 4);

	if (!type)
		return 0;
	switch (*type) {
	case DISCOVER:
		return OFFER;
	case INFORM:
		return ACK;
	case WANT:
		/* Somebody else's offer was taken. */
		if (server && memcmp(server, l->gateway, 4) != 0)
			return 0;
		if (!wanted && memcmp(msg + CIADDR, none, 4) != 0)
			wanted = msg + CIADDR;
		return wanted && memcmp(wanted, l->address, 4) == 0 ? ACK : NAK;
	default:
		return 0;
	}
}

size_t dhcp_answer(
	const struct net_lease *l, const uint8_t *msg, size_t len, uint8_t out[DHCP_REPLY_MAX])
{
	uint8_t *p = out + HEADER, answer;
	const uint8_t *type;

	if (len < HEADER || msg[OP] != REQUEST || msg[HTYPE] != 1 || msg[HLEN] != 6 ||
		memcmp(msg + COOKIE, cookie, 4) != 0)
		return 0;
	answer = decide(l, msg, len);
	if (answer == 0)
		return 0;
	type = find(msg, len, TYPE, 1);
	memset(out, 0, DHCP_REPLY_MAX);
	memcpy(out, msg, 3);
	out[OP] = REPLY;
	memcpy(out + XID, msg + XID, 4);
	memcpy(out + FLAGS, msg + FLAGS, 2);
	memcpy(out + CHADDR, msg + CHADDR, 16);
	memcpy(out + COOKIE, cookie, 4);
	p = add(p, TYPE, &answer, 1);
	p = add(p, SERVER, l->gateway, 4);
	if (answer != NAK) {
		if (*type == INFORM)
			memcpy(out + CIADDR, msg + CIADDR, 4);
		else
			memcpy(out + YIADDR, l->address, 4);
		memcpy(out + SIADDR, l->gateway, 4);
		if (*type != INFORM)
			p = add_number(p, TIME, LEASE_SECONDS, 4);
		p = add_lease(p, l);
	}
	*p++ = END;
	return (size_t)(p - out);
}
