/*
 * Reading queries and writing answers (dns_message.h). Offsets are checked against the message's
 * length before every read, answers against the room before every write. Names in questions have
 * no compression (there is nothing before them to point to); names elsewhere are only skipped.
 */
#include "net/dns_message.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_names.h"

#define TTL 5 /* s: members come and go */
#define MAX_ANSWERS 64u

enum { FLAG_QR = 0x8000, FLAG_AA = 0x0400, FLAG_TC = 0x0200, FLAG_RD = 0x0100, FLAG_RA = 0x0080 };
#define OPCODE(flags) ((flags) >> 11 & 15)

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Reads labels at *at into q->name. */
static bool parse_name(const uint8_t *msg, size_t len, size_t *at, struct dns_question *q)
{
	size_t p = *at, out = 0, n;

	q->is_plain = true;
	for (;; p += n) {
		if (p >= len)
			return false;
		n = msg[p++];
		if (n == 0)
			break;
		/* 255 bytes with the length bytes and the last zero. */
		if (n > 63 || n > len - p || out + n + 1 > 254)
			return false;
		if (out)
			q->name[out++] = '.';
		for (size_t i = 0; i < n; i++) {
			unsigned char c = msg[p + i];
			if (!isalnum(c) && c != '-' && c != '_')
				q->is_plain = false;
			q->name[out++] = (char)tolower(c);
		}
	}
	q->name[out] = '\0';
	*at = p;
	return true;
}

int dns_parse_query(const uint8_t *msg, size_t len, struct dns_question *q)
{
	size_t at = DNS_HEADER;
	unsigned flags;

	if (len < DNS_HEADER)
		return -EBADMSG;
	flags = get16(msg + 2);
	if (flags & FLAG_QR)
		return -EBADMSG; /* answering answers makes loops */
	if (OPCODE(flags) != 0)
		return DNS_NOTIMP;
	if (get16(msg + 4) != 1 || !parse_name(msg, len, &at, q) || len - at < 4)
		return DNS_FORMERR;
	q->type = (uint16_t)get16(msg + at);
	q->class = (uint16_t)get16(msg + at + 2);
	q->end = at + 4;
	return 0;
}

static bool skip_name(const uint8_t *msg, size_t len, size_t *at)
{
	for (size_t p = *at; p < len;) {
		uint8_t n = msg[p];
		if (n == 0 || (n & 0xc0) == 0xc0) {
			*at = p + (n ? 2 : 1);
			return *at <= len;
		}
		if (n > 63)
			return false;
		p += n + 1u;
	}
	return false;
}

/* The size of responses that the query's OPT record allows; 0 when there is none. */
static unsigned edns_size(const uint8_t *msg, size_t len, size_t at)
{
	unsigned records = get16(msg + 6) + get16(msg + 8) + get16(msg + 10);

	for (; records; records--) {
		size_t data;
		if (!skip_name(msg, len, &at) || len - at < 10)
			return 0;
		if (get16(msg + at) == DNS_OPT)
			return get16(msg + at + 2) < 512 ? 512 : get16(msg + at + 2);
		data = get16(msg + at + 8);
		if (data > len - at - 10)
			return 0;
		at += 10 + data;
	}
	return 0;
}

struct answer {
	uint8_t *out;
	size_t len, room;
	unsigned count;
	bool is_full;
};

static uint8_t *reserve(struct answer *a, size_t n)
{
	uint8_t *at = a->out + a->len;

	if (a->is_full || n > a->room - a->len) {
		a->is_full = true;
		return NULL;
	}
	a->len += n;
	return at;
}

/* A record for the question's name: owner, type, class, TTL and the room for its data. */
static uint8_t *add_record(struct answer *a, unsigned type, size_t data_len)
{
	uint8_t *p = reserve(a, 12 + data_len);

	if (!p)
		return NULL;
	put16(p, 0xc000 | DNS_HEADER); /* the question's name, by pointer */
	put16(p + 2, type);
	put16(p + 4, 1);
	put16(p + 6, 0);
	put16(p + 8, TTL);
	put16(p + 10, (unsigned)data_len);
	a->count++;
	return p + 12;
}

static void add_address(struct answer *a, const struct dns_address *address)
{
	size_t n = address->is_v6 ? 16 : 4;
	uint8_t *p = add_record(a, address->is_v6 ? DNS_AAAA : DNS_A, n);

	if (p)
		memcpy(p, address->bytes, n);
}

static void add_pointer(struct answer *a, const char *name)
{
	size_t n = strlen(name) + 2;
	uint8_t *p;

	for (const char *label = name; *label;) {
		size_t len = strcspn(label, ".");
		if (len == 0 || len > 63)
			return; /* no name of DNS */
		label += len + (label[len] == '.');
	}
	p = n <= 255 ? add_record(a, DNS_PTR, n) : NULL;
	if (!p)
		return;
	for (const char *label = name; *label;) {
		size_t len = strcspn(label, ".");
		*p++ = (uint8_t)len;
		memcpy(p, label, len);
		p += len;
		label += len + (label[len] == '.');
	}
	*p = 0;
}

/* Header and question. */
static bool begin(struct answer *a, const uint8_t *query, size_t question_end)
{
	uint8_t *p = reserve(a, question_end);

	if (!p)
		return false;
	memcpy(p, query, question_end);
	memset(p + 6, 0, 6);
	return true;
}

static int finish(struct answer *a, enum dns_rcode rcode, bool authoritative, unsigned edns)
{
	unsigned flags = FLAG_QR | FLAG_RA | (get16(a->out + 2) & (FLAG_RD | 0x7800)) | rcode;
	bool truncated = a->is_full;
	uint8_t *p;

	a->is_full = false;
	p = edns ? reserve(a, 11) : NULL;
	if (p) {
		memset(p, 0, 11);
		put16(p + 1, DNS_OPT);
		put16(p + 3, DNS_UDP_MAX);
		put16(a->out + 10, 1);
	}
	put16(a->out + 2, flags | (authoritative ? FLAG_AA : 0) | (truncated ? FLAG_TC : 0));
	put16(a->out + 6, a->count);
	return (int)a->len;
}

int dns_refuse(const uint8_t *query, size_t len, enum dns_rcode rcode, uint8_t *out, size_t room)
{
	struct answer a = { .out = out, .room = room };
	struct dns_question q;

	if (len < DNS_HEADER || room < DNS_HEADER)
		return -EBADMSG;
	if (dns_parse_query(query, len, &q) == 0 && begin(&a, query, q.end))
		return finish(&a, rcode, false, edns_size(query, len, q.end));
	a = (struct answer){ .out = out, .room = room };
	begin(&a, query, DNS_HEADER);
	put16(out + 4, 0);
	return finish(&a, rcode, false, 0);
}

/* "4.3.2.1.in-addr.arpa" (RFC 1035 3.5), and 32 nibbles under ip6.arpa (RFC 3596 2.5). */
static bool parse_reverse(const char *name, struct dns_address *ret)
{
	struct dns_address a = { 0 };
	const char *p = name;
	char *end = NULL;

	if (strlen(name) == 72 && strcmp(name + 63, ".ip6.arpa") == 0) {
		a.is_v6 = true;
		for (int i = 31; i >= 0; i--, p += 2) {
			int digit = isdigit((unsigned char)*p) ? *p - '0' : *p - 'a' + 10;
			if (!isxdigit((unsigned char)*p) || p[1] != '.')
				return false;
			a.bytes[i / 2] |= (uint8_t)(i % 2 ? digit : digit << 4);
		}
		*ret = a;
		return true;
	}
	for (int i = 3; i >= 0; i--) {
		unsigned long v = isdigit((unsigned char)*p) ? strtoul(p, &end, 10) : 256;
		if (v > 255 || *end != '.')
			return false;
		a.bytes[i] = (uint8_t)v;
		p = end + 1;
	}
	*ret = a;
	return strcmp(p, "in-addr.arpa") == 0;
}

static void add_addresses(
	struct answer *a, const struct dns_name *items, size_t n, unsigned type, unsigned turn)
{
	for (size_t i = 0; i < n && a->count < MAX_ANSWERS; i++) {
		const struct dns_address *address = &items[(i + turn) % n].address;
		if (type == DNS_ANY || type == (address->is_v6 ? DNS_AAAA : DNS_A))
			add_address(a, address);
	}
}

int dns_answer(struct dns_names *names, const uint8_t *query, size_t len, bool is_tcp, uint8_t *out,
	size_t room)
{
	struct answer a = { .out = out };
	const struct dns_name *items;
	struct dns_address address;
	struct dns_question q;
	const char *name = NULL;
	unsigned edns;
	size_t n = 0;
	int r = dns_parse_query(query, len, &q);

	if (r)
		return r < 0 ? r : dns_refuse(query, len, (enum dns_rcode)r, out, room);
	/* 1: IN, 255: any */
	if (!q.is_plain || (q.class != 1 && q.class != 255))
		return 0;
	if (q.type == DNS_PTR && parse_reverse(q.name, &address))
		name = dns_names_reverse(names, &address);
	if (!name && !dns_names_find(names, q.name, &items, &n))
		return 0;
	edns = edns_size(query, len, q.end);
	a.room = is_tcp ? room : edns > DNS_UDP_MAX ? DNS_UDP_MAX : edns ? edns : 512;
	a.room = a.room < room ? a.room : room;
	if (a.room < q.end + (edns ? 11 : 0))
		return -EBADMSG;
	/* Room for the OPT record is kept back while answers are added. */
	a.room -= edns ? 11 : 0;
	begin(&a, query, q.end);
	if (name)
		add_pointer(&a, name);
	else
		add_addresses(&a, items, n, q.type, dns_names_turn(names));
	a.room += edns ? 11 : 0;
	return finish(&a, DNS_NOERROR, true, edns);
}

bool dns_is_response(const uint8_t *query, size_t len, const uint8_t *msg, size_t msg_len)
{
	struct dns_question q;

	if (dns_parse_query(query, len, &q) != 0 || msg_len < q.end)
		return false;
	if (memcmp(msg, query, 2) != 0 || !(get16(msg + 2) & FLAG_QR) || get16(msg + 4) != 1)
		return false;
	/* Letters' case may come back changed; length bytes are no letters. */
	for (size_t i = DNS_HEADER; i < q.end; i++)
		if (tolower(msg[i]) != tolower(query[i]))
			return false;
	return true;
}
