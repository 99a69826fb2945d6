#pragma once
/*
 * Who one is to registries, where Docker keeps it: "auths", "credHelpers" and "credsStore" of
 * $DOCKER_CONFIG/config.json or ~/.docker/config.json, and docker-credential-NAME programs. Members that are
 * not ours stay as they are.
 */
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"

struct credentials {
	char *user, *password; /* or NULL */
	char *identity_token;  /* instead of them, or NULL */
};
void credentials_clear(struct credentials *c);
DEFINE_CLEANUP_OBJECT(credentials_clear, struct credentials);

/* For a registry's host ("docker.io", "localhost:5000"). Zeroed when there are none. */
int credentials_get(const char *host, struct credentials *ret, struct err *err);
/* *ret_plain: they are in a file, in a form that whoever reads it can read. */
int credentials_put(
	const char *host, const struct credentials *c, bool *ret_plain, struct err *err);
/* 1 when there were some. */
int credentials_forget(const char *host, struct err *err);
/* Base64 of RFC 4648; the caller frees. */
char *credentials_basic(const struct credentials *c);
