#include "base/hash.h"

#include <stdio.h>
#include <string.h>

void hash_init(struct hash *h)
{
	sha256_init(&h->ctx);
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	sha256_update(&h->ctx, len, data);
}

void hash_end(struct hash *h, char digest[DIGEST_LEN + 1])
{
	uint8_t sum[SHA256_DIGEST_SIZE];

	sha256_digest(&h->ctx, sizeof(sum), sum);
	memcpy(digest, "sha256:", 8);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(digest + 7 + 2 * i, 3, "%02x", sum[i]);
}

void hash_of(const void *data, size_t len, char digest[DIGEST_LEN + 1])
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, data, len);
	hash_end(&h, digest);
}

bool digest_valid(const char *digest)
{
	return strlen(digest) == DIGEST_LEN && strncmp(digest, "sha256:", 7) == 0 &&
	       strspn(digest + 7, "0123456789abcdef") == 64;
}
