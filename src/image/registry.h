#pragma once
/* Images from and to registries. */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/hash.h"

enum transfer_phase {
	TRANSFER_WAITING,
	TRANSFER_MOVING,
	TRANSFER_MOUNTED, /* push: the registry has it in another repository */
	TRANSFER_EXISTS,  /* it is there already */
	TRANSFER_DONE,
};

/* A layer is on its way: `done` of `total` bytes. One call at a time, from any thread. */
typedef void transfer_fn(void *data, size_t layer, const char *digest, enum transfer_phase phase,
	uint64_t done, uint64_t total);

struct image_pull {
	const char *platform;  /* "linux/arm64"; NULL: this host's */
	transfer_fn *progress; /* or NULL */
	void *data;
	/* Takes layers anew that the store has already, whose contents are damaged. */
	bool again;
};

struct image_pulled {
	char id[DIGEST_LEN + 1];
	char digest[DIGEST_LEN + 1]; /* that of what the reference names: a manifest or an index */
	char *name;                  /* "docker.io/library/debian:12", or with "@sha256:..." */
	bool is_new;                 /* the name stands for another image than before */
};
void image_pulled_clear(struct image_pulled *pulled);
DEFINE_CLEANUP_OBJECT(image_pulled_clear, struct image_pulled);

/*
 * Layers come several at a time, and are unpacked while they come. Nothing is seen of the image before all of it is
 * there, and checked. What a broken pull has got of a layer is kept for the next one (ROOT/partial).
 */
int image_pull(struct db *db, const char *reference, const struct image_pull *how,
	struct image_pulled *ret, struct err *err);

struct image_push {
	transfer_fn *progress; /* or NULL */
	void *data;
};
/* A name of the store to the registry that it says. digest: the manifest's. */
int image_push(struct db *db, const char *reference, const struct image_push *how,
	char digest[DIGEST_LEN + 1], struct err *err);

/*
 * What is at a URL, into fd, an empty file, whose time becomes that of Last-Modified, or 1970 when the server says
 * none. checksum: "sha256:..." or NULL. -EFBIG beyond max bytes.
 */
int image_fetch_url(const char *url, int fd, int64_t max, const char *checksum, struct err *err);

/* `login`: checks the name and the password with the registry, and keeps them. *ret_plain: in a file, readable. */
int image_login(
	const char *host, const char *user, const char *password, bool *ret_plain, struct err *err);
/* 1 when something was kept. */
int image_logout(const char *host, struct err *err);
/* The user that is kept for a host, or NULL; the caller frees. */
char *image_login_user(const char *host);
