#pragma once
/*
 * HTTP requests by libcurl, which is loaded with the first one. Redirects are left to the caller: what a
 * request may take elsewhere depends on what it carries. RFC 9110.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/* One thread's; keeps its connections for further requests. */
struct http;
int http_open(struct http **ret, struct err *err);
void http_close(struct http *h);
DEFINE_CLEANUP(http_close, struct http *);

struct http_tls {
	struct buf ca;        /* certificates (PEM) that count besides the system's */
	char *cert, *key;     /* files: the client's own; or NULL */
	bool no_verification; /* of a host that was configured so */
};
void http_tls_clear(struct http_tls *tls);

#define HTTP_BODY_MAX (8u << 20)
#define HTTP_SLOW 1024L /* bytes/s */

struct http_response {
	long status;
	struct buf body;    /* what the sink did not take */
	struct buf headers; /* lines, of this response */
};

struct http_request {
	const char *method; /* "GET", "HEAD", "POST", "PUT" */
	const char *url;
	char *const *headers; /* "Name: value" */
	const struct http_tls *tls;
	const void *body; /* or a file's first body_size bytes, sent again should the server ask */
	size_t body_len;
	int body_fd; /* or -1 */
	int64_t body_size;
	void (*sent)(void *data, int64_t bytes); /* of body_fd; or NULL */
	/* Gets the body of a 200 or 206 in pieces, with the status and headers that came before; -errno, with err, ends
	 * the transfer. NULL: it is kept, up to HTTP_BODY_MAX. */
	int (*sink)(void *data, const struct http_response *response, const void *bytes, size_t len,
		struct err *err);
	void *data;
};
#define HTTP_REQUEST(method_, url_) \
	{ \
		.method = method_, .url = url_, .body_fd = -1 \
	}

void http_response_clear(struct http_response *response);
DEFINE_CLEANUP_OBJECT(http_response_clear, struct http_response);
/* A header's value, or NULL. The caller frees. */
char *http_header(const struct http_response *response, const char *name);

/*
 * Any status is a success. -ECONNREFUSED: no connection; -EPROTO: one that does not speak TLS, or not with a
 * certificate that is trusted; -ETIMEDOUT: less than HTTP_SLOW came for a minute (HOLM_HTTP_TIMEOUT seconds);
 * -ECONNRESET: broken off; what the sink returned.
 */
int http_perform(struct http *h, const struct http_request *request, struct http_response *ret,
	struct err *err);
