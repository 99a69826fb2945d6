#pragma once
/* SHA-256, and digests in OCI's form "sha256:" + 64 hex digits (image-spec, descriptor.md). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

#define DIGEST_LEN 71

struct hash {
	struct sha256_ctx ctx;
};

void hash_init(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_end(struct hash *h, char digest[DIGEST_LEN + 1]);
void hash_of(const void *data, size_t len, char digest[DIGEST_LEN + 1]);
/* Only sha256, only lower case: whatever passes is safe as a file name after the colon. */
bool digest_valid(const char *digest);
static inline const char *digest_hex(const char *digest)
{
	return digest + 7;
}
