#include "image/unpacker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/parse.h"

/* The last message: how it went. */
struct ending {
	uint32_t kind; /* 0 */
	struct err err;
};

#define ALL (~UINT64_C(0))

/*
 * Files below the root. Not there, nor in those that every jail has: processes, programs, sockets, signals to
 * others, mounts, namespaces, tracing. Nor what fcntl(2) else does: it could have others sent signals.
 */
static const struct jail_call calls[] = {
	{ SYS_openat },
	{ SYS_openat2 },
	{ SYS_newfstatat },
	{ SYS_statx },
	{ SYS_utimensat },
	{ SYS_fchmod },
	{ SYS_fchown },
	{ SYS_fchownat },
	{ SYS_fchmodat },
	{ SYS_mkdirat },
	{ SYS_symlinkat },
	{ SYS_linkat },
	{ SYS_mknodat },
	{ SYS_unlinkat },
	{ SYS_getdents64 },
	{ SYS_faccessat },
	{ SYS_faccessat2 },
	{ SYS_fchdir },
	{ SYS_fsetxattr },
	{ SYS_lsetxattr },
	{ SYS_pread64 },
	{ SYS_fcntl, 2, ALL, F_SETFD },
	{ SYS_sendmsg },
	{ SYS_recvmsg },
	{ SYS_eventfd2 },
	{ SYS_geteuid },
	{ SYS_getegid },
	JAIL_CALLS_END,
};

int unpacker_tell(int sock, const void *message, size_t len, int fd)
{
	return fd_send(sock, message, len, &fd, fd >= 0 ? 1 : 0);
}

/* 0 to 2 lead nowhere, *fds[0] becomes 3, and so on; all others are closed. */
static int keep_only(int *const *fds, size_t n, struct err *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Out of the way first: what one becomes, another may be. */
	for (size_t i = 0; i < n; i++) {
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, (int)n + 4);
		if (*fds[i] < 0)
			return err_errno(err, "keep a descriptor");
	}
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || (null != fd && dup2(null, fd) < 0))
			return err_errno(err, "open '/dev/null'");
	for (size_t i = 0; i < n; i++) {
		*fds[i] = dup3(*fds[i], (int)i + 3, O_CLOEXEC);
		if (*fds[i] < 0)
			return err_errno(err, "keep a descriptor");
	}
	syscall(SYS_close_range, (unsigned)n + 3, ~0u, 0);
	return 0;
}

static int work(const struct unpacker *u, int root, int *sock, pid_t parent, struct err *err)
{
	int *fds[2 + ARRAY_SIZE(u->fds)] = { &root, sock };
	struct jail jail = { .calls = calls,
		.capabilities = u->capabilities,
		.shared = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };
	size_t n = 2;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(u->fds); i++)
		if (u->fds[i] && *u->fds[i] >= 0)
			fds[n++] = u->fds[i];
	r = keep_only(fds, n, err);
	if (r == 0 && u->prepare)
		r = u->prepare(u->data, err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_errno(err, "set a signal for the caller's death");
	if (getppid() != parent)
		_exit(1);
	jail.root = root;
	r = jail_enter(&jail, err);
	if (r < 0)
		return r;
	/* What was opened outside would be a way back. */
	fd_close(root);
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_errno(err, "open the root");
	return u->work(u->data, root, *sock, err);
}

static _Noreturn void become_unpacker(const struct unpacker *u, int root, int sock, pid_t parent)
{
	struct ending end = { 0 };
	sigset_t none;

	/* A program that waits for signals in its loop would have us do so, too. */
	for (int signo = 1; signo < 32; signo++)
		signal(signo, signo == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0); /* modes come out as they are said */
	work(u, root, &sock, parent, &end.err);
	_exit(unpacker_tell(sock, &end, sizeof(end), -1) < 0);
}

static int ended(pid_t pid, const char *what, struct err *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return err_set(err, EIO, "%s: the process that read it died: %s", what,
			signal_name(WTERMSIG(status)));
	return err_set(err, EIO, "%s: the process that read it ended too early", what);
}

/* 1 and how it went, once that is told; 0 after any other message. */
static int hear(
	const struct unpacker *u, int sock, char *message, struct ending *ret, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	ssize_t n = fd_recv(sock, message, UNPACKER_MESSAGE_MAX, &fd, 1);

	if (n < 0)
		return err_code(err, (int)n, "read what the unpacker tells");
	if (n == 0)
		return -EPIPE;
	if (n >= (ssize_t)sizeof(uint32_t) && memcmp(message, "\0\0\0", 4) != 0)
		return u->receive(u->data, sock, message, (size_t)n, take_fd(fd), err);
	if (n != sizeof(*ret))
		return err_set(err, EBADMSG, "the unpacker tells nonsense");
	memcpy(ret, message, sizeof(*ret));
	return 1;
}

static int follow(const struct unpacker *u, int sock, pid_t pid, const char *what, struct err *err)
{
	cleanup(free) char *message = xcalloc(1, UNPACKER_MESSAGE_MAX);
	struct ending end = { 0 };
	int r;

	do
		r = hear(u, sock, message, &end, err);
	while (r == 0);
	if (r == -EPIPE)
		return ended(pid, what, err);
	if (r < 0)
		kill(pid, SIGKILL);
	ended(pid, what, NULL);
	if (r < 0 || end.err.code == 0)
		return r < 0 ? r : 0;
	end.err.text[sizeof(end.err.text) - 1] = '\0';
	if (end.err.code < 0 || end.err.code > 4095)
		end.err.code = EIO;
	if (err)
		*err = end.err;
	return -end.err.code;
}

int unpacker_run(const struct unpacker *u, int root, const char *what, struct err *err)
{
	pid_t parent = getpid(), pid;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	pid = fork();
	if (pid == 0)
		become_unpacker(u, root, pair[1], parent);
	fd_close(pair[1]);
	r = pid < 0 ? err_errno(err, "%s: start a process", what)
		    : follow(u, pair[0], pid, what, err);
	fd_close(pair[0]);
	return r;
}
