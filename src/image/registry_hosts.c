/*
 * What is configured about registries: "registry-mirrors" and "insecure-registries", as in Docker's daemon.json, in
 * /etc/holm/config.json, for ordinary users also in ~/.config/holm/config.json; certificates where Docker has them,
 * /etc/docker/certs.d/HOST/{*.crt,*.cert,*.key}.
 */
#include "image/registry_hosts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"

#define CERTIFICATE_MAX (1u << 20)

static int read_list(
	json_t *config, const char *path, const char *member, char ***ret, struct err *err)
{
	json_t *list = json_object_get(config, member), *item;
	size_t i;

	if (list && !json_is_array(list))
		return err_set(err, EINVAL, "%s: %s: expected a list of strings", path, member);
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return err_set(
				err, EINVAL, "%s: %s: expected a list of strings", path, member);
		strv_add(ret, json_string_value(item));
	}
	return 0;
}

static int read_file(const char *path, const char *member, char ***ret, struct err *err)
{
	cleanup(json_free) json_t *config = NULL;

	if (access(path, F_OK) < 0)
		return 0;
	config = json_read(AT_FDCWD, path, err);
	return config ? read_list(config, path, member, ret, err) : -EINVAL;
}

static int configured(const char *member, char ***ret, struct err *err)
{
	const char *own = getenv("HOLM_CONFIG"), *dir = getenv("XDG_CONFIG_HOME"),
		   *home = getenv("HOME");
	cleanup(free) char *path = NULL;
	int r;

	if (own && *own)
		return read_file(own, member, ret, err);
	r = read_file("/etc/holm/config.json", member, ret, err);
	if (r < 0 || !home || geteuid() == 0)
		return r;
	path = dir && *dir ? xasprintf("%s/holm/config.json", dir)
			   : xasprintf("%s/.config/holm/config.json", home);
	return read_file(path, member, ret, err);
}

/* "http://mirror:5000/" and "mirror:5000" are the same host. */
static char *host_of(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	return xstrndup(host, strcspn(host, "/"));
}

int registry_hosts(const char *domain, char ***ret, struct err *err)
{
	cleanup(strv_free) char **urls = NULL;
	int r = strcmp(domain, "docker.io") == 0 ? configured("registry-mirrors", &urls, err) : 0;

	if (r < 0)
		return r;
	strv_foreach (url, urls) {
		cleanup(free) char *host = host_of(*url);
		strv_add(ret, host);
	}
	strv_add(ret, domain);
	return 0;
}

/* Without the port. */
static char *name_of(const char *host)
{
	size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	return xstrndup(host, len);
}

static bool in_network(const char *name, const char *cidr)
{
	cleanup(free) char *network = xstrndup(cidr, strcspn(cidr, "/"));
	struct in_addr is, of;
	uint64_t bits;

	if (!strchr(cidr, '/') || parse_u64(strchr(cidr, '/') + 1, 32, &bits) < 0 ||
		inet_pton(AF_INET, network, &of) != 1 || inet_pton(AF_INET, name, &is) != 1)
		return false;
	return bits == 0 || (ntohl(is.s_addr ^ of.s_addr) >> (32 - bits)) == 0;
}

int registry_is_insecure(const char *host, bool *ret, struct err *err)
{
	cleanup(strv_free) char **list = NULL, **mirrors = NULL;
	cleanup(free) char *name = name_of(host);
	int r = configured("insecure-registries", &list, err);

	if (r == 0)
		r = configured("registry-mirrors", &mirrors, err);
	if (r < 0)
		return r;
	*ret = strcmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
	       in_network(name, "127.0.0.0/8");
	strv_foreach (entry, list) {
		cleanup(free) char *of = strchr(*entry, '/') && !strstr(*entry, "://")
						 ? xstrdup(*entry)
						 : host_of(*entry);
		if (strcmp(of, host) == 0 || strcmp(of, name) == 0 || in_network(name, of))
			*ret = true;
	}
	/* Who writes "http://" before a mirror means it. */
	strv_foreach (url, mirrors) {
		cleanup(free) char *of = host_of(*url);
		*ret |= strncmp(*url, "http://", 7) == 0 && strcmp(of, host) == 0;
	}
	return 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int registry_certificates(const char *host, struct http_tls *tls, struct err *err)
{
	cleanup(free) char *dir = xasprintf("/etc/docker/certs.d/%s", host);
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, NULL, by_name), r = 0;

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		cleanup(free) char *path = xasprintf("%s/%s", dir, name);
		if (r == 0 && ends_with(name, ".crt")) {
			r = file_read(AT_FDCWD, path, CERTIFICATE_MAX, &tls->ca);
			if (r < 0)
				r = err_code(err, r, "read '%s'", path);
			buf_addc(&tls->ca, '\n');
		} else if (ends_with(name, ".cert") && !tls->cert) {
			tls->cert = take(path);
		} else if (ends_with(name, ".key") && !tls->key) {
			tls->key = take(path);
		}
		free(entries[i]);
	}
	free(entries);
	return r < 0 ? r : 0;
}
