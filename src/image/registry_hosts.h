#pragma once
/* What is configured about registries' hosts; see registry_hosts.c. Only src/image includes this. */
#include <stdbool.h>

#include "image/http.h"

/* The hosts to ask for a repository of `domain`, in order: mirrors of docker.io, then itself. */
int registry_hosts(const char *domain, char ***ret, struct err *err);
/* Whether HTTP, and certificates that nobody vouches for, are good enough. */
int registry_is_insecure(const char *host, bool *ret, struct err *err);
/* Those of a host, added to tls. */
int registry_certificates(const char *host, struct http_tls *tls, struct err *err);
