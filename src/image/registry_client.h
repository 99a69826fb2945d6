#pragma once
/*
 * One repository of one registry: OCI distribution-spec 1.1, with the tokens of the distribution project
 * (docs/spec/auth/token.md). Only src/image includes this.
 *
 * HTTPS, but for hosts on loopback and those in "insecure-registries", where HTTP does when HTTPS fails.
 * Who one is is told to the host that was asked for and to the token server that it names, never to where it
 * redirects. 429 and 5xx are tried again a few times.
 */
#include <pthread.h>
#include <stdbool.h>

#include "image/credentials.h"
#include "image/http.h"
#include "image/reference.h"

struct registry;

#define REGISTRY_PUSH 1u
/* Connects, finds out how, and who we are there. host: as references name it, or a mirror's. */
int registry_open(
	const char *host, const char *path, unsigned flags, struct registry **ret, struct err *err);
void registry_close(struct registry *r);
DEFINE_CLEANUP(registry_close, struct registry *);
/* For `login`: whether these credentials are good. */
int registry_check(const char *host, const struct credentials *c, struct err *err);
const char *registry_host(const struct registry *r);

/* A request to "/v2/PATH/" + rest, or to a whole URL. Any thread, with its own http. Statuses beyond 399 are
 * errors: -ENOENT 404, -EACCES 401 and 403, -EBUSY 429, -EREMOTEIO the rest. */
int registry_request(struct registry *r, struct http *h, const char *rest,
	const struct http_request *request, struct http_response *ret, struct err *err);
/* The scope of another repository, too: for mounting blobs of it. */
void registry_also(struct registry *r, const char *path);

/* A manifest or an index by tag or digest: its bytes, checked when by digest. */
int registry_manifest(struct registry *r, struct http *h, const char *reference,
	struct buf *ret_text, char digest[DIGEST_LEN + 1], char **ret_media_type, struct err *err);
/* A small blob, checked. */
int registry_blob_text(struct registry *r, struct http *h, const char *digest, int64_t size,
	struct buf *ret_text, struct err *err);

/* Whatever is at a URL, into fd from its position on; -EFBIG beyond max. */
int registry_fetch_url(const char *url, int fd, int64_t max, struct err *err);
