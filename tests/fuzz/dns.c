/* DNS queries from a container; what is answered must be a response to the query, within the room. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char table[] =
	"web\t10.0.0.2\ti1\nweb\tfd00::2\ti1\nweb\t10.0.0.3\ti2\nb.c\t10.0.0.4\ti3\n";

static void check(const uint8_t *query, size_t len, const uint8_t *out, int n, size_t room)
{
	struct dns_question q;

	if (n > 0 && ((size_t)n > room || (size_t)n < DNS_HEADER))
		abort();
	if (n > (int)DNS_HEADER && dns_parse_query(query, len, &q) == 0 &&
		!dns_is_response(query, len, out, (size_t)n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t rooms[] = { 12, 20, 40, 100, 4096 };
	struct dns_names *names = dns_names_new();
	size_t half = len / 2;

	if (len > 4096)
		len = 4096;
	dns_names_add(names, table, sizeof(table) - 1);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		/* Of exactly that size, for the sanitizer. */
		uint8_t *out = malloc(rooms[i]);
		for (int tcp = 0; tcp < 2; tcp++)
			check(data, len, out, dns_answer(names, data, len, tcp, out, rooms[i]),
				rooms[i]);
		check(data, len, out, dns_refuse(data, len, DNS_SERVFAIL, out, rooms[i]), rooms[i]);
		free(out);
	}
	dns_is_response(data, half, data + half, len > half ? len - half : 0);
	dns_names_add(names, (const char *)data, len);
	dns_names_free(names);
	return 0;
}
