#pragma once
/*
 * DNS messages (RFC 1035 section 4, EDNS0 by RFC 6891) and the names that are answered here. Nothing
 * in this header does any I/O but dns_names_refresh(); the messages come from containers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define DNS_HEADER 12u
#define DNS_MAX 65535u    /* bytes of a message over TCP */
#define DNS_UDP_MAX 1232u /* that we send by ourselves: fits every path's MTU */

enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };
enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_ANY = 255 };

struct dns_address {
	bool is_v6;
	uint8_t bytes[16];
};

/* The members of some networks: names to addresses, and back. */
struct dns_names;
struct dns_names *dns_names_new(void);
void dns_names_free(struct dns_names *names);
DEFINE_CLEANUP(dns_names_free, struct dns_names *);
/* Files of lines NAME<TAB>ADDRESS<TAB>INSTANCE, read again when one of them has changed. */
void dns_names_set_files(struct dns_names *names, char *const *paths);
void dns_names_refresh(struct dns_names *names);
/* Adds the lines of a text, for tests. */
void dns_names_add(struct dns_names *names, const char *text, size_t len);

struct dns_question {
	char name[256]; /* dotted, in lower case, without the last dot */
	bool is_plain;  /* false: a label has bytes that are in no host name */
	uint16_t type, class;
	size_t end; /* offset behind it in the message */
};
/* The one question of a query. 0, -EBADMSG: drop it, or a positive rcode to answer with. */
int dns_parse_query(const uint8_t *msg, size_t len, struct dns_question *q);

/*
 * Answers a query from the names. Returns the length written to out (at most room bytes, truncated
 * with TC set where more would be needed); 0: not ours, ask upstream; -EBADMSG: drop it.
 */
int dns_answer(struct dns_names *names, const uint8_t *query, size_t len, bool is_tcp, uint8_t *out,
	size_t room);
/* An empty answer with this rcode. The length, or -EBADMSG. */
int dns_refuse(const uint8_t *query, size_t len, enum dns_rcode rcode, uint8_t *out, size_t room);
/* Whether a message is the response to a query that was sent, ids included. */
bool dns_is_response(const uint8_t *query, size_t len, const uint8_t *msg, size_t msg_len);
