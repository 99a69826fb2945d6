/*
 * Sockets in another network namespace, and the host's list of resolvers (resolv.conf(5)).
 */
#include "net/dns_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX_BYTES (64u << 10)

static int loopback_up(int sock)
{
	struct ifreq ifr = { .ifr_name = "lo" };

	if (ioctl(sock, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	if (ifr.ifr_flags & IFF_UP)
		return 0;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int open_bound(int type)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(DNS_PORT),
		.sin_addr.s_addr = inet_addr(DNS_ADDRESS) };
	cleanup(fd_close) int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;
	int r;

	if (fd < 0)
		return -errno;
	r = loopback_up(fd);
	if (r < 0)
		return r;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, 16) < 0)
		return -errno;
	return take_fd(fd);
}

int dns_listen(pid_t netns_pid, int *ret_udp, int *ret_tcp, struct err *err)
{
	char path[64];
	cleanup(fd_close) int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cleanup(fd_close) int other = -1;
	int udp, tcp;

	if (own < 0)
		return err_errno(err, "open the network namespace");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)netns_pid);
	other = open(path, O_RDONLY | O_CLOEXEC);
	if (other < 0)
		return err_errno(err, "open '%s'", path);
	if (setns(other, CLONE_NEWNET) < 0)
		return err_errno(err, "enter '%s'", path);
	udp = open_bound(SOCK_DGRAM);
	tcp = udp < 0 ? udp : open_bound(SOCK_STREAM);
	if (setns(own, CLONE_NEWNET) < 0) {
		fd_close(udp);
		fd_close(tcp);
		return err_errno(err, "return to the host's network namespace");
	}
	if (tcp < 0) {
		fd_close(udp);
		return err_code(err, tcp, "listen on %s:%d in '%s'", DNS_ADDRESS, DNS_PORT, path);
	}
	*ret_udp = udp;
	*ret_tcp = tcp;
	return 0;
}

/* Address, with %SCOPE for link-local ones and #PORT where it is not 53. */
static int parse_upstream(const char *text, struct dns_upstream *ret)
{
	struct dns_upstream u = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&u.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&u.address;
	char address[INET6_ADDRSTRLEN + IF_NAMESIZE + 8];
	char *port_text, *scope;
	uint64_t port = DNS_PORT;

	if (snprintf(address, sizeof(address), "%s", text) >= (int)sizeof(address))
		return -EINVAL;
	port_text = strchr(address, '#');
	if (port_text) {
		*port_text++ = '\0';
		if (parse_u64(port_text, 65535, &port) < 0 || !port)
			return -EINVAL;
	}
	scope = strchr(address, '%');
	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		u.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		v6->sin6_scope_id = scope ? if_nametoindex(scope) : 0;
		u.len = sizeof(*v6);
	} else {
		return -EINVAL;
	}
	*ret = u;
	return 0;
}

int dns_upstreams_set(struct dns_upstreams *u, char *const *addresses, struct err *err)
{
	struct dns_upstreams fresh = { .from_host = !addresses };

	for (; addresses && *addresses && fresh.n < DNS_MAX_UPSTREAMS; addresses++)
		if (parse_upstream(*addresses, &fresh.items[fresh.n++]) < 0)
			return err_set(
				err, EINVAL, "'%s' is no address of a name server", *addresses);
	*u = fresh;
	dns_upstreams_refresh(u);
	return 0;
}

static void read_host(struct dns_upstreams *u)
{
	cleanup(buf_free) struct buf text = { 0 };
	char *save = NULL;

	u->n = 0;
	if (file_read(AT_FDCWD, RESOLV_CONF, RESOLV_CONF_MAX_BYTES, &text) < 0 || !text.len)
		return;
	for (char *line = strtok_r(text.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char word[16], value[128];
		if (u->n < DNS_MAX_UPSTREAMS && sscanf(line, "%15s %127s", word, value) == 2 &&
			strcmp(word, "nameserver") == 0 &&
			parse_upstream(value, &u->items[u->n]) == 0)
			u->n++;
	}
}

void dns_upstreams_refresh(struct dns_upstreams *u)
{
	struct stat st = { 0 };

	if (!u->from_host)
		return;
	if (stat(RESOLV_CONF, &st) == 0 && u->ino == st.st_ino &&
		u->changed.tv_sec == st.st_mtim.tv_sec && u->changed.tv_nsec == st.st_mtim.tv_nsec)
		return;
	u->ino = st.st_ino;
	u->changed = st.st_mtim;
	read_host(u);
}

void dns_upstreams_clear(struct dns_upstreams *u)
{
	*u = (struct dns_upstreams){ 0 };
}
