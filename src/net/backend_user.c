/*
 * passt(1), at the other end of a stream socket: each frame comes after its length, four bytes, big-endian. What the socket
 * does not take of a frame at once is kept and goes first next time. passt is started by us, unprivileged as it makes itself,
 * and ends when its socket does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "net/backend.h"

#define SOCKET_BUFFER (1 << 20)
#define INPUT 131072u
#define READY_MS 30000
#define RESOLV_CONF_MAX 65536u

struct user {
	struct net_backend backend;
	pid_t passt, starter; /* who started it ends it */
	uint8_t *rest;        /* of a frame begun */
	size_t rest_at, rest_len;
	uint8_t *input;
	size_t at, n; /* what was read of it, and is not taken yet */
};

/* What is left of the frame before. */
static int send_rest(struct user *u)
{
	while (u->rest_at < u->rest_len) {
		ssize_t n = send(u->backend.fd, u->rest + u->rest_at, u->rest_len - u->rest_at,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EINTR ? -EAGAIN : -errno;
		u->rest_at += (size_t)n;
	}
	u->rest_at = u->rest_len = 0;
	return 0;
}

static void keep_rest(struct user *u, const struct iovec *iov, int n_iov, size_t sent)
{
	for (int i = 0; i < n_iov; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		memcpy(u->rest + u->rest_len, (const char *)iov[i].iov_base + skip,
			iov[i].iov_len - skip);
		u->rest_len += iov[i].iov_len - skip;
		sent -= skip;
	}
}

static int send_frame(
	struct net_backend *b, const struct net_header *header, const struct iovec *iov, int n_iov)
{
	struct user *u = (struct user *)b;
	struct iovec all[NET_PARTS + 1];
	struct msghdr msg = { .msg_iov = all, .msg_iovlen = (size_t)n_iov + 1 };
	uint32_t prefix;
	size_t len = 0;
	ssize_t n;
	int r;

	/* There is nobody who would do the rest of it. */
	if (header->flags || header->gso_type || n_iov > NET_PARTS)
		return -EOPNOTSUPP;
	for (int i = 0; i < n_iov; i++) {
		all[i + 1] = iov[i];
		len += iov[i].iov_len;
	}
	if (len == 0 || len > NET_FRAME_MAX)
		return -EMSGSIZE;
	r = send_rest(u);
	if (r < 0)
		return r;
	prefix = htonl((uint32_t)len);
	all[0] = (struct iovec){ &prefix, sizeof(prefix) };
	n = sendmsg(b->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if ((size_t)n < len + sizeof(prefix))
		keep_rest(u, all, n_iov + 1, (size_t)n);
	return 0;
}

/* Reads more behind what there is. */
static int fill(struct user *u)
{
	ssize_t n;

	memmove(u->input, u->input + u->at, u->n);
	u->at = 0;
	n = recv(u->backend.fd, u->input + u->n, INPUT - u->n, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : -EPIPE;
	u->n += (size_t)n;
	return n == 0 ? -EPIPE : 0;
}

static ssize_t receive(struct net_backend *b, struct net_header *header, void *frame, size_t size)
{
	struct user *u = (struct user *)b;
	uint32_t len = 0;

	for (;;) {
		int r;

		if (u->n >= sizeof(len)) {
			memcpy(&len, u->input + u->at, sizeof(len));
			len = ntohl(len);
			if (len > NET_FRAME_MAX)
				return -EPIPE; /* we are out of step */
			if (u->n >= sizeof(len) + len)
				break;
		}
		r = fill(u);
		if (r < 0)
			return r;
	}
	memset(header, 0, sizeof(*header));
	memcpy(frame, u->input + u->at + sizeof(len), len < size ? len : size);
	u->at += sizeof(len) + len;
	u->n -= sizeof(len) + len;
	return (ssize_t)(len < size ? len : size);
}

static void close_user(struct net_backend *b)
{
	struct user *u = (struct user *)b;

	fd_close(b->fd);
	if (u->passt > 0 && u->starter == getpid()) {
		kill(u->passt, SIGTERM);
		waitpid(u->passt, NULL, 0);
	}
	free(u->rest);
	free(u->input);
	free(u);
}

/* "8080:80" and "8080:80/udp" as passt's -t and -u have them. */
static void add_forwards(char ***argv, char *const *forwards)
{
	strv_foreach (f, (char **)forwards) {
		const char *slash = strchr(*f, '/');
		bool udp = slash && strcmp(slash, "/udp") == 0;
		cleanup(free) char *spec =
			xasprintf("%.*s", (int)(slash ? slash - *f : (long)strlen(*f)), *f);

		strv_add(argv, udp ? "-u" : "-t");
		strv_add(argv, spec);
	}
}

/* The name servers of a resolv.conf(5) that a guest can reach: those that are not on the host's loopback. */
static char **resolvers(const char *path)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(strv_free) char **lines = NULL;
	char **all = NULL, address[64];

	if (file_read(AT_FDCWD, path, RESOLV_CONF_MAX, &text) < 0)
		return NULL;
	buf_add(&text, "", 1);
	lines = strv_split((const char *)text.data, '\n');
	strv_foreach (line, lines)
		if (sscanf(*line, "nameserver %63s", address) == 1 &&
			strncmp(address, "127.", 4) != 0 && strcmp(address, "::1") != 0)
			strv_add(&all, address);
	return all;
}

/* A host whose resolver listens on its loopback keeps a list of those behind it. */
static void add_resolvers(char ***argv)
{
	cleanup(strv_free) char **own = resolvers("/etc/resolv.conf");
	cleanup(strv_free) char **behind =
		own ? NULL : resolvers("/run/systemd/resolve/resolv.conf");

	strv_foreach (address, behind) {
		strv_add(argv, "--dns");
		strv_add(argv, *address);
	}
}

static void execute_passt(char **argv, int sock, int errors, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* It goes with the socket too, but not before it looks at it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* The terminal's ctrl-c is the machine's business. */
	setpgid(0, 0);
	if (getppid() != parent || fcntl(sock, F_SETFD, 0) < 0 || dup2(errors, 2) < 0 ||
		dup2(errors, 1) < 0)
		_exit(125);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* The last line that it wrote which is no news of syslog or of its user. */
static void last_words(int errors, char *text, size_t size)
{
	cleanup(strv_free) char **lines = NULL;
	char all[4096];
	ssize_t n = read(errors, all, sizeof(all) - 1);

	all[n > 0 ? n : 0] = '\0';
	lines = strv_split(all, '\n');
	snprintf(text, size, "it ended without a word");
	strv_foreach (line, lines)
		if (**line && !strstr(*line, "syslog") && !strstr(*line, "Don't run as root"))
			snprintf(text, size, "%s", *line);
}

/* It writes its process id where it is told to once all is set up. */
static int wait_ready(struct user *u, int ready, int errors, struct err *err)
{
	struct pollfd p = { .fd = ready, .events = POLLIN };
	char text[200], pid[16];
	int status = 0, r;

	do
		r = poll(&p, 1, READY_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0 && read(ready, pid, sizeof(pid)) > 0)
		return 0;
	if (r == 0)
		return err_set(err, ETIMEDOUT, "passt, for --net user, does not get ready");
	waitpid(u->passt, &status, 0);
	u->passt = -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT,
			"--net user needs passt, which is not installed (Debian: apt install passt)");
	last_words(errors, text, sizeof(text));
	return err_set(err, EIO, "passt, for --net user, failed: %s", text);
}

static int start_passt(
	struct user *u, int theirs, char *const *forwards, bool host, struct err *err)
{
	cleanup(strv_free) char **argv = NULL;
	int ready[2], errors[2], r;
	pid_t parent = getpid();

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = err_errno(err, "make a pipe");
		fd_close(ready[0]);
		fd_close(ready[1]);
		return r;
	}
	/* It opens the pipe anew, as the user that it becomes. */
	fchmod(ready[1], 0666);
	strv_add(&argv, "passt");
	strv_add(&argv, "--foreground");
	strv_add(&argv, "--quiet");
	strv_addf(&argv, "--fd=%d", theirs);
	strv_addf(&argv, "--pid=/proc/self/fd/%d", ready[1]);
	/* The gateway's address leads to the host's loopback otherwise. */
	if (!host) {
		strv_add(&argv, "--no-map-gw");
		add_resolvers(&argv);
	}
	add_forwards(&argv, forwards);
	u->starter = parent;
	u->passt = fork();
	if (u->passt == 0) {
		fcntl(ready[1], F_SETFD, 0);
		execute_passt(argv, theirs, errors[1], parent);
	}
	r = u->passt < 0 ? err_errno(err, "start passt") : 0;
	fd_close(ready[1]);
	fd_close(errors[1]);
	if (r == 0)
		r = wait_ready(u, ready[0], errors[0], err);
	fd_close(ready[0]);
	fd_close(errors[0]);
	return r;
}

int net_backend_user(char *const *forwards, bool host, struct net_backend **ret, struct err *err)
{
	static const struct net_backend_type type = {
		.name = "user", .send = send_frame, .receive = receive, .close = close_user
	};
	cleanup(net_backend_free) struct net_backend *b = NULL;
	int pair[2], size = SOCKET_BUFFER, r;
	struct user *u;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a pair of sockets");
	u = xnew(struct user);
	b = &u->backend;
	*b = (struct net_backend){ .type = &type, .fd = pair[0], .out = pair[0] };
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	u->rest = xcalloc(1, NET_FRAME_MAX + sizeof(uint32_t));
	u->input = xcalloc(1, INPUT);
	r = start_passt(u, pair[1], forwards, host, err);
	fd_close(pair[1]);
	if (r < 0)
		return r;
	*ret = take(b);
	return 0;
}
