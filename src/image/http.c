#include "image/http.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "rootless/rootless.h"

#define CONNECT_TIMEOUT 20L /* s */
#define IDLE_TIMEOUT 60u    /* s */
#define HEADERS_MAX (64u << 10)

/* Twenty libraries come with it, which no other command has to pay for. */
static struct {
	pthread_once_t once;
	void *library;
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_easy_init) *init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_perform) *perform;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_reset) *reset;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
} curl = { .once = PTHREAD_ONCE_INIT };

static void load(void)
{
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return;
	*(void **)&curl.global_init = dlsym(library, "curl_global_init");
	*(void **)&curl.init = dlsym(library, "curl_easy_init");
	*(void **)&curl.setopt = dlsym(library, "curl_easy_setopt");
	*(void **)&curl.perform = dlsym(library, "curl_easy_perform");
	*(void **)&curl.getinfo = dlsym(library, "curl_easy_getinfo");
	*(void **)&curl.reset = dlsym(library, "curl_easy_reset");
	*(void **)&curl.easy_cleanup = dlsym(library, "curl_easy_cleanup");
	*(void **)&curl.slist_append = dlsym(library, "curl_slist_append");
	*(void **)&curl.slist_free_all = dlsym(library, "curl_slist_free_all");
	if (curl.global_init && curl.init && curl.setopt && curl.perform && curl.getinfo &&
		curl.reset && curl.easy_cleanup && curl.slist_append && curl.slist_free_all &&
		curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		curl.library = library;
}

struct http {
	CURL *easy;
	long timeout; /* s */
	char error[CURL_ERROR_SIZE];
	/* Of the request under way. */
	const struct http_request *request;
	struct http_response *response;
	int64_t sent;
	int failure; /* of the sink */
	struct err *err;
};

int http_open(struct http **ret, struct err *err)
{
	cleanup(http_close) struct http *h = xnew(struct http);
	const char *timeout = getenv("HOLM_HTTP_TIMEOUT");
	uint64_t seconds = IDLE_TIMEOUT;
	struct err why = { 0 };

	pthread_once(&curl.once, load);
	if (!curl.library)
		return err_set(err, ENOPKG,
			"registries need libcurl (libcurl.so.4): apt-get install libcurl4");
	/* Names are asked for from the space, whose way out this is. */
	if (rootless_network(&why) < 0)
		log_warn("%s", why.text);
	if (timeout && (parse_u64(timeout, 3600, &seconds) < 0 || seconds == 0))
		return err_set(err, EINVAL, "HOLM_HTTP_TIMEOUT: '%s': expected seconds", timeout);
	h->timeout = (long)seconds;
	h->easy = curl.init();
	if (!h->easy)
		return err_set(err, ENOMEM, "libcurl does not start");
	*ret = take(h);
	return 0;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	if (h->easy)
		curl.easy_cleanup(h->easy);
	free(h);
}

void http_tls_clear(struct http_tls *tls)
{
	buf_free(&tls->ca);
	free(tls->cert);
	free(tls->key);
}

void http_response_clear(struct http_response *response)
{
	buf_free(&response->body);
	buf_free(&response->headers);
	*response = (struct http_response){ 0 };
}

char *http_header(const struct http_response *response, const char *name)
{
	const char *line = response->headers.data;
	size_t len = strlen(name);

	for (; line && *line; line = strchr(line, '\n') + 1) {
		const char *value = line + len + 1, *end = strchr(line, '\n');
		if (!end)
			return NULL;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		while (*value == ' ' || *value == '\t')
			value++;
		while (end > value && (end[-1] == '\r' || end[-1] == ' '))
			end--;
		return xstrndup(value, (size_t)(end - value));
	}
	return NULL;
}

static int refuse(struct http *h, int code, const char *why)
{
	h->failure = err_set(h->err, code, "%s", why);
	return 0;
}

static size_t take_header(char *line, size_t size, size_t n, void *data)
{
	struct http *h = data;
	size_t len = size * n;

	/* A response of its own comes before the real one, for 100 Continue. */
	if (len >= 5 && strncmp(line, "HTTP/", 5) == 0)
		h->response->headers.len = 0;
	if (h->response->headers.len + len > HEADERS_MAX)
		return (size_t)refuse(h, EFBIG, "the server's headers are too long");
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\0')
			return (size_t)refuse(h, EPROTO, "the server's headers are no text");
	buf_add(&h->response->headers, line, len);
	return len;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *data)
{
	struct http *h = data;
	size_t len = size * n;
	long status = 0;
	int r;

	curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->response->status = status;
	if (h->request->sink && (status == 200 || status == 206)) {
		r = h->request->sink(h->request->data, h->response, bytes, len, h->err);
		if (r < 0)
			h->failure = r;
		return r < 0 ? 0 : len;
	}
	if (h->response->body.len + len > HTTP_BODY_MAX)
		return (size_t)refuse(h, EFBIG, "the server's answer is too long");
	buf_add(&h->response->body, bytes, len);
	return len;
}

static size_t give_body(char *to, size_t size, size_t n, void *data)
{
	struct http *h = data;
	const struct http_request *q = h->request;
	int64_t left = (q->body_fd < 0 ? (int64_t)q->body_len : q->body_size) - h->sent;
	size_t len = size * n;
	ssize_t got;

	if ((int64_t)len > left)
		len = (size_t)left;
	if (q->body_fd < 0) {
		if (len)
			memcpy(to, (const char *)q->body + h->sent, len);
		got = (ssize_t)len;
	} else {
		got = pread(q->body_fd, to, len, h->sent);
	}
	if (got < 0 || (len && got == 0))
		return CURL_READFUNC_ABORT;
	h->sent += got;
	if (q->sent)
		q->sent(q->data, h->sent);
	return (size_t)got;
}

static int seek_body(void *data, curl_off_t offset, int origin)
{
	struct http *h = data;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_FAIL;
	h->sent = offset;
	return CURL_SEEKFUNC_OK;
}

static bool is_loopback(const char *url)
{
	const char *host = strstr(url, "://");

	if (!host)
		return false;
	host += 3;
	return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
	       (strncmp(host, "localhost", 9) == 0 && strchr(":/", host[9]));
}

static void set_tls(struct http *h, const struct http_tls *tls)
{
	struct curl_blob ca = { .flags = CURL_BLOB_COPY };

	if (!tls)
		return;
	if (tls->ca.len) {
		/* The system's directory of certificates counts besides. */
		ca.data = tls->ca.data;
		ca.len = tls->ca.len;
		curl.setopt(h->easy, CURLOPT_CAINFO_BLOB, &ca);
	}
	if (tls->cert)
		curl.setopt(h->easy, CURLOPT_SSLCERT, tls->cert);
	if (tls->key)
		curl.setopt(h->easy, CURLOPT_SSLKEY, tls->key);
	if (tls->no_verification) {
		curl.setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl.setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_body(struct http *h)
{
	const struct http_request *q = h->request;
	int64_t size = q->body_fd < 0 ? (int64_t)q->body_len : q->body_size;

	if (strcmp(q->method, "HEAD") == 0) {
		curl.setopt(h->easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(q->method, "GET") != 0) {
		curl.setopt(h->easy, CURLOPT_UPLOAD, 1L);
		curl.setopt(h->easy, CURLOPT_CUSTOMREQUEST, q->method);
		curl.setopt(h->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
		curl.setopt(h->easy, CURLOPT_READFUNCTION, give_body);
		curl.setopt(h->easy, CURLOPT_READDATA, h);
		curl.setopt(h->easy, CURLOPT_SEEKFUNCTION, seek_body);
		curl.setopt(h->easy, CURLOPT_SEEKDATA, h);
	}
}

/* In the host's network, also an ordinary user's: a registry may be at the host's loopback. */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	const struct rootless_socket what = { .family = address->family,
		.type = address->socktype };
	int fd = rootless_socket(&what);

	(void)data;
	(void)purpose;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void set_all(struct http *h, struct curl_slist *headers)
{
	CURL *e = h->easy;

	curl.reset(e);
	curl.setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl.setopt(e, CURLOPT_URL, h->request->url);
	curl.setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl.setopt(e, CURLOPT_ERRORBUFFER, h->error);
	curl.setopt(e, CURLOPT_HTTPHEADER, headers);
	curl.setopt(e, CURLOPT_USERAGENT, "holm/" HOLM_VERSION);
	curl.setopt(e, CURLOPT_CONNECTTIMEOUT,
		h->timeout < CONNECT_TIMEOUT ? h->timeout : CONNECT_TIMEOUT);
	curl.setopt(e, CURLOPT_LOW_SPEED_LIMIT, HTTP_SLOW);
	curl.setopt(e, CURLOPT_LOW_SPEED_TIME, h->timeout);
	curl.setopt(e, CURLOPT_BUFFERSIZE, 256L << 10);
	curl.setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl.setopt(e, CURLOPT_HEADERFUNCTION, take_header);
	curl.setopt(e, CURLOPT_HEADERDATA, h);
	curl.setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl.setopt(e, CURLOPT_WRITEDATA, h);
	if (is_loopback(h->request->url))
		curl.setopt(e, CURLOPT_PROXY, "");
	set_tls(h, h->request->tls);
	set_body(h);
}

static int failed(struct http *h, CURLcode code, struct err *err)
{
	const char *why = h->error[0] ? h->error : "the transfer failed";
	int as;

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
		as = ECONNREFUSED;
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		as = EPROTO;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		as = ETIMEDOUT;
		break;
	default:
		as = ECONNRESET;
	}
	return err_set(err, as, "%s", why);
}

int http_perform(struct http *h, const struct http_request *request, struct http_response *ret,
	struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	struct curl_slist *headers = NULL;
	CURLcode code;

	strv_foreach (line, request->headers)
		headers = curl.slist_append(headers, *line);
	/* Some servers do not know it, and it costs a round trip. */
	headers = curl.slist_append(headers, "Expect:");
	h->request = request;
	h->response = &response;
	h->err = err;
	h->sent = 0;
	h->failure = 0;
	h->error[0] = '\0';
	set_all(h, headers);
	code = curl.perform(h->easy);
	curl.slist_free_all(headers);
	if (h->failure < 0)
		return h->failure;
	if (code != CURLE_OK)
		return failed(h, code, err);
	curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &response.status);
	*ret = response;
	response = (struct http_response){ 0 };
	return 0;
}
