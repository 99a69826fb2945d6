/*
 * The holder: greets members, does in the host's network what they ask for, and ends when there are none.
 *
 * It is a plain process of the user's, in no namespace of the space: so what it may do in the host's
 * network is what the user may. Only the user's own processes are answered (SO_PEERCRED), and those of
 * containers do not find the socket, whose directory is in no container.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/alloc.h"
#include "base/fd.h"

#define LINGER_NS INT64_C(1500000000) /* a series of short commands would make a space each */

struct member {
	struct holder *holder;
	struct member *next;
	int fd;
	pid_t pid;
	struct loop_source *source;
};

struct holder {
	struct loop *loop;
	int dir, listener;
	struct space space;
	struct member *members;
	struct loop_source *linger;
	struct pasta *pasta;
	struct request *request; /* with room for what follows it */
};

/* ---- what members ask for */

static void answer(struct member *m, int code, const char *text, int fd)
{
	struct answer a = { .code = code };

	snprintf(a.text, sizeof(a.text), "%s", text);
	fd_send(m->fd, &a, sizeof(a), &fd, fd >= 0);
	fd_close(fd);
}

/* Here we are in the host's network, and in no space. */
static void do_socket(struct member *m, const struct rootless_socket *what)
{
	int fd = rootless_socket(what);

	answer(m, fd < 0 ? -fd : 0, "", fd);
}

static void network_done(void *data, const struct err *err)
{
	struct member *m = data;

	answer(m, err->code, err->text, -1);
}

static void do_spawn(
	struct member *m, const struct request *q, size_t len, const int fds[SPAWN_FDS])
{
	struct err err = { 0 };

	spawn_in_space(m->holder->space.fds, q, (const char *)(q + 1), len, fds, &err);
	answer(m, err.code, err.text, -1);
}

static void do_request(
	struct member *m, const struct request *q, size_t len, const int fds[SPAWN_FDS])
{
	switch (q->kind) {
	case REQUEST_SOCKET:
		do_socket(m, &q->socket);
		break;
	case REQUEST_NETWORK:
		pasta_want(m->holder->pasta, m->pid, network_done, m);
		break;
	case REQUEST_SPAWN:
		do_spawn(m, q, len - sizeof(*q), fds);
		break;
	default:
		answer(m, EBADMSG, "unknown request", -1);
	}
}

/* ---- members */

static void on_linger(void *data)
{
	struct holder *h = data;

	h->linger = NULL;
	loop_stop(h->loop, 0);
}

static void look_for_end(struct holder *h)
{
	if (!h->members && !h->linger)
		h->linger = loop_add_timer(h->loop, LINGER_NS, on_linger, h);
}

static void member_free(struct member *m)
{
	struct holder *h = m->holder;

	for (struct member **at = &h->members; *at; at = &(*at)->next)
		if (*at == m) {
			*at = m->next;
			break;
		}
	pasta_forget(h->pasta, m);
	loop_remove(m->source);
	fd_close(m->fd);
	free(m);
	look_for_end(h);
}

static void on_member(void *data, uint32_t events)
{
	struct member *m = data;
	struct request *q = m->holder->request;
	int fds[SPAWN_FDS];
	ssize_t n = fd_recv(m->fd, q, sizeof(*q) + SPAWN_MAX, fds, SPAWN_FDS);

	(void)events;
	if (n >= (ssize_t)sizeof(*q))
		do_request(m, q, (size_t)n, fds);
	for (size_t i = 0; i < SPAWN_FDS; i++)
		fd_close(fds[i]);
	if (n < (ssize_t)sizeof(*q) && n != -EAGAIN)
		member_free(m);
}

/* The process at the other end when it is of our user, else 0. */
static pid_t peer_of_ours(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != geteuid())
		return 0;
	return cred.pid;
}

static int greet(const struct holder *h, int fd)
{
	struct hello hello = { .version = SPACE_VERSION,
		.single = h->space.single,
		.user_namespace = namespace_inode(h->space.fds[SPACE_USER]),
		.uid = geteuid() };

	memcpy(hello.why, h->space.why, sizeof(hello.why));
	return fd_send(fd, &hello, sizeof(hello), h->space.fds, SPACE_NAMESPACES);
}

static void on_listener(void *data, uint32_t events)
{
	struct holder *h = data;
	cleanup(fd_close) int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	pid_t pid = fd < 0 ? 0 : peer_of_ours(fd);
	struct member *m;

	(void)events;
	if (!pid || greet(h, fd) < 0)
		return;
	m = xnew(struct member);
	*m = (struct member){ .holder = h, .next = h->members, .fd = take_fd(fd), .pid = pid };
	h->members = m;
	m->source = loop_add_fd(h->loop, m->fd, EPOLLIN, on_member, m);
	loop_remove(h->linger);
	h->linger = NULL;
	if (!m->source)
		member_free(m);
}

/* ---- life */

static void on_signal(void *data, int signo)
{
	struct holder *h = data;
	pid_t pid;

	if (signo != SIGCHLD) {
		loop_stop(h->loop, 0);
		return;
	}
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		pasta_ended(h->pasta, pid);
}

/* Nothing of who started us stays with us: no terminal, no directory, no descriptor. */
static void detach(int *dir, int *report, struct space *space)
{
	int *kept[2 + SPACE_NAMESPACES] = { dir, report };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), at = 3;

	for (int i = 0; i < SPACE_NAMESPACES; i++)
		kept[2 + i] = &space->fds[i];
	setsid();
	umask(0022);
	if (chdir("/") < 0 || null < 0)
		return;
	for (int i = 0; i <= STDERR_FILENO; i++)
		dup2(null, i);
	/* Above all targets first, so that none covers another. */
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		*kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, 100);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		*kept[i] = dup3(*kept[i], at++, O_CLOEXEC);
	close_range((unsigned)at, ~0u, 0);
}

static int set_up(struct holder *h, struct err *err)
{
	sigset_t signals;

	/* Whoever had this name is dead: our starter holds the lock. */
	unlinkat(h->dir, SPACE_SOCKET, 0);
	h->listener = space_socket(h->dir, /* listening= */ true);
	if (h->listener < 0)
		return err_code(err, h->listener, "make the socket '" SPACE_SOCKET "'");
	h->loop = loop_new();
	if (!h->loop || !loop_add_fd(h->loop, h->listener, EPOLLIN, on_listener, h))
		return err_errno(err, "make an event loop");
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	loop_add_signals(h->loop, &signals, on_signal, h);
	h->pasta = pasta_new(h->loop, h->dir);
	look_for_end(h);
	return 0;
}

static void tell_starter(int fd, const struct err *err)
{
	struct answer a = { .code = err->code };

	snprintf(a.text, sizeof(a.text), "%.*s", (int)sizeof(a.text) - 1, err->text);
	fd_write_all(fd, &a, sizeof(a));
	fd_close(fd);
}

_Noreturn void holder_main(int dir, int report, struct space *space)
{
	struct holder h = { .dir = dir, .listener = -1 };
	struct err err = { 0 };

	prctl(PR_SET_NAME, "holm-space");
	signal(SIGPIPE, SIG_IGN);
	detach(&h.dir, &report, space);
	h.space = *space;
	h.request = xcalloc(1, sizeof(struct request) + SPAWN_MAX);
	set_up(&h, &err);
	tell_starter(report, &err);
	if (err.code)
		_exit(1);
	loop_run(h.loop);
	pasta_free(h.pasta);
	/* Who comes from now on finds nobody listening and makes a new space, under a lock that we cannot
	 * wait for: the name stays, and goes with the next holder or the directory. */
	_exit(0);
}
