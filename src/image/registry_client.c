#include "image/registry_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/registry_hosts.h"

#define TRIES 4
#define WAIT_MAX 30u /* s, that a server may ask for */
#define REDIRECTS 8
#define MANIFEST_MAX (4u << 20)
#define TOKEN_MAX 16384u
#define DOCKER_HUB "registry-1.docker.io"

#define ACCEPT \
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

struct registry {
	char *host;   /* as people name it */
	char *origin; /* "https://HOST" */
	char *path;
	bool insecure; /* may be asked without TLS */
	bool push;
	struct http_tls tls;
	struct credentials credentials;
	pthread_mutex_t mutex; /* of what follows */
	char **also;           /* more repositories for the token */
	char *authorization;   /* a header, or NULL */
};

void registry_close(struct registry *r)
{
	if (!r)
		return;
	free(r->host);
	free(r->origin);
	free(r->path);
	http_tls_clear(&r->tls);
	credentials_clear(&r->credentials);
	strv_free(r->also);
	free(r->authorization);
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

const char *registry_host(const struct registry *r)
{
	return r->host;
}

void registry_also(struct registry *r, const char *path)
{
	pthread_mutex_lock(&r->mutex);
	strv_add(&r->also, path);
	free(r->authorization);
	r->authorization = NULL;
	pthread_mutex_unlock(&r->mutex);
}

/* "https://host:port" of a URL, in its length. */
static size_t origin_len(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

/* Whether a URL is the registry's own: nobody else hears who we are, or is trusted as it is. */
static bool is_origin(const struct registry *r, const char *url)
{
	size_t len = strlen(r->origin);

	return len == origin_len(url) && strncmp(url, r->origin, len) == 0;
}

/* The value of a parameter of a challenge, key="value" (RFC 9110, 11.6.1); the caller frees. */
static char *parameter(const char *challenge, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = strchr(challenge, ' '); p;) {
		const char *value;
		p += strspn(p, " ,\t");
		value = strchr(p, '=');
		if (!value)
			return NULL;
		value++;
		if (*value == '"') {
			const char *end = strchr(++value, '"');
			if (!end)
				return NULL;
			if (strncasecmp(p, key, len) == 0 && p[len] == '=')
				return xstrndup(value, (size_t)(end - value));
			p = end + 1;
		} else {
			size_t n = strcspn(value, ", ");
			if (strncasecmp(p, key, len) == 0 && p[len] == '=')
				return xstrndup(value, n);
			p = value + n;
		}
		if (!*p)
			return NULL;
	}
	return NULL;
}

static void add_encoded(struct buf *b, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:",
			    c))
			buf_addc(b, (char)c);
		else
			buf_addf(b, "%%%02X", c);
	}
}

static void add_scopes(const struct registry *r, struct buf *b)
{
	if (!r->path)
		return;
	buf_adds(b, "&scope=");
	add_encoded(b, "repository:");
	add_encoded(b, r->path);
	add_encoded(b, r->push ? ":pull,push" : ":pull");
	strv_foreach (path, r->also) {
		buf_adds(b, "&scope=");
		add_encoded(b, "repository:");
		add_encoded(b, *path);
		add_encoded(b, ":pull");
	}
}

static int parse_token(struct registry *r, const struct http_response *response, struct err *err)
{
	cleanup(json_free) json_t *j = json_parse(response->body.data ? response->body.data : "",
		response->body.len, "the token", err);
	const char *token = json_string_value(json_object_get(j, "token"));

	if (!token)
		token = json_string_value(json_object_get(j, "access_token"));
	if (!token || !*token || strlen(token) > TOKEN_MAX || strpbrk(token, "\r\n"))
		return err_set(err, EPROTO, "the token server of %s gives no token", r->host);
	free(r->authorization);
	r->authorization = xasprintf("Authorization: Bearer %s", token);
	return 0;
}

static int refused(const struct registry *r, struct err *err)
{
	return r->credentials.user || r->credentials.identity_token
		       ? err_set(err, EACCES,
				 "%s does not take the name and password that are kept: 'holm login %s' asks for others",
				 r->host, r->host)
		       : err_set(err, EACCES,
				 "%s wants a name and a password, or has no such repository: 'holm login %s'",
				 r->host, r->host);
}

static int ask_token(struct registry *r, struct http *h, const char *url, const struct buf *form,
	struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(strv_free) char **headers = NULL;
	struct http_request q = HTTP_REQUEST(form ? "POST" : "GET", url);
	int code;

	if (form) {
		q.body = form->data;
		q.body_len = form->len;
		strv_add(&headers, "Content-Type: application/x-www-form-urlencoded");
	} else if (r->credentials.user) {
		cleanup(free) char *basic = credentials_basic(&r->credentials);
		strv_addf(&headers, "Authorization: Basic %s", basic);
	}
	q.headers = headers;
	q.tls = is_origin(r, url) ? &r->tls : NULL;
	code = http_perform(h, &q, &response, err);
	if (code < 0)
		return code;
	if (response.status == 401 || response.status == 403)
		return refused(r, err);
	if (response.status != 200)
		return err_set(err, EREMOTEIO, "the token server of %s answers with status %ld",
			r->host, response.status);
	return parse_token(r, &response, err);
}

static int get_token(struct registry *r, struct http *h, const char *challenge, struct err *err)
{
	cleanup(free) char *realm = parameter(challenge, "realm");
	cleanup(free) char *service = parameter(challenge, "service");
	cleanup(buf_free) struct buf b = { 0 };

	if (!realm || (strncmp(realm, "https://", 8) != 0 &&
			      !(strncmp(r->origin, "http://", 7) == 0 && is_origin(r, realm))))
		return err_set(err, EPROTO,
			"%s names no token server that can be trusted: '%.100s'", r->host,
			realm ? realm : "");
	if (r->credentials.identity_token) {
		buf_adds(&b, "grant_type=refresh_token&client_id=holm&refresh_token=");
		add_encoded(&b, r->credentials.identity_token);
		buf_adds(&b, "&service=");
		add_encoded(&b, service ? service : "");
		add_scopes(r, &b);
		return ask_token(r, h, realm, &b, err);
	}
	buf_addf(&b, "%s%sservice=", realm, strchr(realm, '?') ? "&" : "?");
	add_encoded(&b, service ? service : "");
	add_scopes(r, &b);
	return ask_token(r, h, b.data, NULL, err);
}

/* A registry's own words, in one line: {"errors": [{"code": "...", "message": "..."}]}. */
static char *said(const struct http_response *response)
{
	cleanup(json_free) json_t *j = json_parse(
		response->body.data ? response->body.data : "", response->body.len, "error", NULL);
	json_t *first = json_array_get(json_object_get(j, "errors"), 0);
	const char *message = json_string_value(json_object_get(first, "message"));
	char *text = xasprintf("%s%.150s", message && *message ? ": " : "", message ? message : "");

	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	return text;
}

static int status_error(
	const struct registry *r, const struct http_response *response, struct err *err)
{
	cleanup(free) char *text = said(response);

	switch (response->status) {
	case 401:
		return refused(r, err);
	case 403:
		return err_set(err, EACCES,
			"%s does not allow it%s ('holm login %s' says who you are)", r->host, text,
			r->host);
	case 404:
		return err_set(err, ENOENT, "%s has no such thing%s", r->host, text);
	case 429:
		return err_set(err, EBUSY, "%s has had too many requests%s: try again later",
			r->host, text);
	default:
		return err_set(err, EREMOTEIO, "%s answers with status %ld%s", r->host,
			response->status, text);
	}
}

/* What a 401 asks for becomes our authorization. With the mutex. */
static int authorize(
	struct registry *r, struct http *h, const struct http_response *response, struct err *err)
{
	cleanup(free) char *challenge = http_header(response, "WWW-Authenticate");

	if (challenge && strncasecmp(challenge, "Bearer ", 7) == 0)
		return get_token(r, h, challenge, err);
	if (challenge && strncasecmp(challenge, "Basic ", 6) == 0 && r->credentials.user &&
		!r->authorization) {
		cleanup(free) char *basic = credentials_basic(&r->credentials);
		r->authorization = xasprintf("Authorization: Basic %s", basic);
		return 0;
	}
	return refused(r, err);
}

/* Where a redirect of `url` leads, or NULL for where it may not lead. The caller frees. */
static char *redirected(const struct registry *r, const char *url, const char *to)
{
	if (strncmp(to, "https://", 8) == 0)
		return xstrdup(to);
	if (strncmp(to, "http://", 7) == 0)
		return r->insecure && strncmp(url, "http://", 7) == 0 ? xstrdup(to) : NULL;
	if (to[0] == '/' && to[1] != '/')
		return xasprintf("%.*s%s", (int)origin_len(url), url, to);
	return NULL;
}

/* With or without our authorization. */
static int send_one(struct registry *r, struct http *h, const char *url,
	const struct http_request *request, struct http_response *ret, struct err *err)
{
	cleanup(strv_free) char **headers = strv_copy(request->headers);
	struct http_request q = *request;

	/* Only to where it is meant for, and not to wherever that redirects to. */
	if (is_origin(r, url)) {
		pthread_mutex_lock(&r->mutex);
		if (r->authorization)
			strv_add(&headers, r->authorization);
		pthread_mutex_unlock(&r->mutex);
	}
	q.url = url;
	q.headers = headers;
	q.tls = is_origin(r, url) ? &r->tls : NULL;
	return http_perform(h, &q, ret, err);
}

/* Follows redirects, and answers a 401 once. */
static int send_following(struct registry *r, struct http *h, const char *first,
	const struct http_request *request, struct http_response *ret, struct err *err)
{
	cleanup(free) char *url = xstrdup(first);
	bool authorized = false;

	for (int n = 0; n <= REDIRECTS; n++) {
		cleanup(http_response_clear) struct http_response response = { 0 };
		cleanup(free) char *to = NULL, *next = NULL;
		int code = send_one(r, h, url, request, &response, err);

		if (code < 0)
			return code;
		if (response.status == 401 && !authorized) {
			authorized = true;
			pthread_mutex_lock(&r->mutex);
			code = authorize(r, h, &response, err);
			pthread_mutex_unlock(&r->mutex);
			if (code < 0)
				return code;
			continue;
		}
		if (response.status < 301 || response.status > 308 || response.status == 304) {
			*ret = response;
			response = (struct http_response){ 0 };
			return 0;
		}
		to = http_header(&response, "Location");
		next = to ? redirected(r, url, to) : NULL;
		if (!next)
			return err_set(err, EPROTO, "%s redirects to where it may not: '%.100s'",
				r->host, to ? to : "");
		free(url);
		url = take(next);
	}
	return err_set(err, ELOOP, "%s redirects more than %d times", r->host, REDIRECTS);
}

static void wait_before(const struct http_response *response, int n)
{
	cleanup(free) char *asked = http_header(response, "Retry-After");
	uint64_t seconds = 1u << n;

	if (asked)
		(void)parse_u64(asked, WAIT_MAX, &seconds);
	nanosleep(&(struct timespec){ .tv_sec = (time_t)seconds }, NULL);
}

static bool passes(long status)
{
	return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

int registry_request(struct registry *r, struct http *h, const char *rest,
	const struct http_request *request, struct http_response *ret, struct err *err)
{
	cleanup(free) char *url = strstr(rest, "://") ? xstrdup(rest)
				  : rest[0] == '/'
					  ? xasprintf("%s%s", r->origin, rest)
					  : xasprintf("%s/v2/%s/%s", r->origin, r->path, rest);

	for (int n = 0;; n++) {
		cleanup(http_response_clear) struct http_response response = { 0 };
		int code = send_following(r, h, url, request, &response, err);
		bool again =
			code == 0 ? passes(response.status)
				  : (code == -ECONNRESET || code == -ETIMEDOUT) && !request->sink;

		if (again && n + 1 < TRIES) {
			log_debug("image", "%s: status %ld, once more", url, response.status);
			wait_before(&response, n);
			continue;
		}
		if (code < 0)
			return code;
		if (response.status > 399)
			return status_error(r, &response, err);
		*ret = response;
		response = (struct http_response){ 0 };
		return 0;
	}
}

static int ping(struct registry *r, struct http *h, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *url = xasprintf("%s/v2/", r->origin);
	struct http_request q = HTTP_REQUEST("GET", url);
	int code;

	q.tls = &r->tls;
	code = http_perform(h, &q, &response, err);
	if (code < 0)
		return code;
	if (response.status == 401) {
		pthread_mutex_lock(&r->mutex);
		code = authorize(r, h, &response, err);
		pthread_mutex_unlock(&r->mutex);
		return code;
	}
	if (response.status == 404)
		return err_set(err, EPROTO, "there is no registry at %s", r->host);
	return response.status > 399 ? status_error(r, &response, err) : 0;
}

/* HTTPS; and where that is allowed, HTTP when HTTPS does not work. */
static int connect_to(struct registry *r, struct http *h, struct err *err)
{
	const char *at = strcmp(r->host, "docker.io") == 0 ? DOCKER_HUB : r->host;
	struct err plain = { 0 };
	int code;

	r->origin = xasprintf("https://%s", at);
	code = ping(r, h, err);
	if (code == 0 || !r->insecure ||
		(code != -EPROTO && code != -ECONNREFUSED && code != -ECONNRESET))
		return code < 0 && code != -EACCES ? err_wrap(err, "ask %s", r->host) : code;
	free(r->origin);
	r->origin = xasprintf("http://%s", at);
	code = ping(r, h, &plain);
	if (code < 0 && code != -EACCES)
		err_wrap(&plain, "ask %s", r->host);
	if (code < 0 && err)
		*err = plain;
	return code;
}

static int prepare(const char *host, struct registry *r, struct err *err)
{
	int code = registry_is_insecure(host, &r->insecure, err);

	pthread_mutex_init(&r->mutex, NULL);
	r->host = xstrdup(host);
	if (code == 0)
		code = registry_certificates(host, &r->tls, err);
	/* Who has an authority for it wants no less. */
	r->insecure &= !r->tls.ca.len;
	r->tls.no_verification = r->insecure;
	return code;
}

int registry_open(
	const char *host, const char *path, unsigned flags, struct registry **ret, struct err *err)
{
	cleanup(registry_close) struct registry *r = xnew(struct registry);
	cleanup(http_close) struct http *h = NULL;
	int code = prepare(host, r, err);

	r->path = xstrdup(path);
	r->push = flags & REGISTRY_PUSH;
	if (code == 0)
		code = credentials_get(host, &r->credentials, err);
	if (code == 0)
		code = http_open(&h, err);
	if (code == 0)
		code = connect_to(r, h, err);
	if (code < 0)
		return code;
	*ret = take(r);
	return 0;
}

int registry_check(const char *host, const struct credentials *c, struct err *err)
{
	cleanup(registry_close) struct registry *r = xnew(struct registry);
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(http_close) struct http *h = NULL;
	struct http_request q = HTTP_REQUEST("GET", NULL);
	int code = prepare(host, r, err);

	r->credentials.user = xstrdup(c->user);
	r->credentials.password = xstrdup(c->password);
	if (code == 0)
		code = http_open(&h, err);
	if (code == 0)
		code = connect_to(r, h, err);
	if (code == 0)
		code = registry_request(r, h, "/v2/", &q, &response, err);
	if (code == -EACCES)
		return err_set(err, EACCES, "%s does not take this name and password", host);
	return code;
}

int registry_manifest(struct registry *r, struct http *h, const char *reference,
	struct buf *ret_text, char digest[DIGEST_LEN + 1], char **ret_media_type, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest = xasprintf("manifests/%s", reference);
	char *headers[] = { (char *)ACCEPT, NULL };
	struct http_request q = HTTP_REQUEST("GET", NULL);
	int code;

	q.headers = headers;
	code = registry_request(r, h, rest, &q, &response, err);
	if (code < 0)
		return code;
	if (response.body.len == 0 || response.body.len > MANIFEST_MAX)
		return err_set(err, EPROTO, "%s gives a manifest of %zu bytes", r->host,
			response.body.len);
	hash_of(response.body.data, response.body.len, digest);
	if (digest_valid(reference) && strcmp(reference, digest) != 0)
		return err_set(err, EBADMSG, "%s gives another manifest: expected %s, got %s",
			r->host, reference, digest);
	*ret_media_type = http_header(&response, "Content-Type");
	*ret_text = response.body;
	response.body = (struct buf){ 0 };
	return 0;
}

int registry_blob_text(struct registry *r, struct http *h, const char *digest, int64_t size,
	struct buf *ret_text, struct err *err)
{
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(free) char *rest = xasprintf("blobs/%s", digest);
	struct http_request q = HTTP_REQUEST("GET", NULL);
	char is[DIGEST_LEN + 1];
	int code = registry_request(r, h, rest, &q, &response, err);

	if (code < 0)
		return code;
	hash_of(response.body.data ? response.body.data : "", response.body.len, is);
	if ((int64_t)response.body.len != size || strcmp(is, digest) != 0)
		return err_set(err, EBADMSG, "%s gives another blob: expected %s, got %s", r->host,
			digest, is);
	*ret_text = response.body;
	response.body = (struct buf){ 0 };
	return 0;
}

struct url_sink {
	int fd;
	int64_t done, max;
};

static int write_url(void *data, const struct http_response *response, const void *bytes,
	size_t len, struct err *err)
{
	struct url_sink *s = data;
	int r;

	if ((int64_t)len > s->max - s->done)
		return err_set(err, EFBIG, "it has more than %lld bytes", (long long)s->max);
	r = fd_write_all(s->fd, bytes, len);
	s->done += (int64_t)len;
	return r < 0 ? err_code(err, r, "write") : 0;
}

/* When it was last changed there, in no zone but GMT (RFC 9110, 5.6.7). */
static void set_time(int fd, const struct http_response *response)
{
	cleanup(free) char *text = http_header(response, "Last-Modified");
	struct tm tm = { 0 };
	struct timespec t = { 0 };

	if (text && strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		t.tv_sec = timegm(&tm);
	futimens(fd, (const struct timespec[]){ t, t });
}

/* Unlike a registry, a URL from a Dockerfile may be plain, and may lead from plain to TLS. */
int registry_fetch_url(const char *url, int fd, int64_t max, struct err *err)
{
	cleanup(registry_close) struct registry *r = xnew(struct registry);
	cleanup(http_response_clear) struct http_response response = { 0 };
	cleanup(http_close) struct http *h = NULL;
	struct url_sink sink = { .fd = fd, .max = max };
	struct http_request q = HTTP_REQUEST("GET", NULL);
	const char *host = strstr(url, "://");
	int code;

	pthread_mutex_init(&r->mutex, NULL);
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return err_set(err, EINVAL, "'%s': expected http:// or https://", url);
	r->host = xstrndup(host + 3, strcspn(host + 3, "/?#"));
	r->origin = xstrdup("");
	r->insecure = true;
	q.sink = write_url;
	q.data = &sink;
	code = http_open(&h, err);
	if (code == 0)
		code = registry_request(r, h, url, &q, &response, err);
	if (code < 0)
		err_wrap(err, "get '%.200s'", url);
	else
		set_time(fd, &response);
	return code;
}
