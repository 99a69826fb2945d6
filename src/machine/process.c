/*
 * See process.h. The two sides have a pair of sockets, whose messages are whole or not there. Commands go down; two messages come up: when the machine
 * was made, or why not, and how it ended. A side whose socket ends is gone. What a machine asks for while it runs, the
 * connections of its guest to the host's Unix sockets, goes over a second pair: a port, answered by a descriptor.
 */
#include "machine/process.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/parse.h"
#include "base/thread.h"
#include "net/backend.h"

/* A user who owns nothing, of a range that nobody hands out (systemd.io/UIDS-GIDS), one a process. */
#define FIRST_USER 0x70000000u
#define KVM_IOCTL 0xae00u

struct command {
	enum { RUN, BUTTON, STOP, RESIZE } what;
	uint16_t columns, rows; /* of RESIZE */
};

struct message {
	int result;    /* 0, or -errno and why */
	uint32_t end;  /* enum machine_end */
	uint32_t code; /* a test's exit status */
	char cpu[32];
	struct err why; /* also: why not the best cpu */
};

struct machine_process {
	pid_t pid;
	int socket;
	int requests; /* -1: it may ask for nothing */
	char *vsock_path;
	char cpu[32];
	struct err reason;
};

/* -- the machine's side -- */

struct side {
	int socket, requests;
	struct machine *machine;
};

static void *control_thread(void *data)
{
	struct side *s = data;
	struct command c;

	while (read(s->socket, &c, sizeof(c)) == sizeof(c))
		switch (c.what) {
		case RUN:
			break;
		case BUTTON:
			machine_power_button(s->machine);
			break;
		case STOP:
			machine_stop(s->machine);
			break;
		case RESIZE:
			machine_resize(s->machine, c.columns, c.rows);
			break;
		}
	machine_stop(s->machine);
	return NULL;
}

/* For the device of sockets, which has its lock: one at a time. */
static int ask_to_connect(void *data, uint32_t port)
{
	const struct side *s = data;
	int fd = -1;
	char answer;

	if (fd_write_all(s->requests, &port, sizeof(port)) < 0 ||
		fd_recv(s->requests, &answer, 1, &fd, 1) != 1)
		return -EPIPE;
	return fd < 0 ? -ECONNREFUSED : fd;
}

static int go_to_jail(struct err *err)
{
	const struct jail_call calls[] = {
		{ SYS_ioctl, 2, 0xff00, KVM_IOCTL },
		/* Backends of network cards and sockets' programs, which are connected. */
		{ SYS_sendmsg },
		{ SYS_sendto },
		{ SYS_recvfrom },
		{ SYS_recvmsg },
		{ SYS_accept4 },
		{ SYS_shutdown },
		{ SYS_ioctl, 2, UINT32_MAX, TUNSETOFFLOAD },
		/* Disks: the rings were made before, and can do nothing but what is theirs. */
		{ SYS_io_uring_enter },
		{ SYS_io_uring_register, 2, UINT32_MAX, IORING_UNREGISTER_FILES },
		{ SYS_preadv },
		{ SYS_pwritev },
		{ SYS_pread64 },
		{ SYS_pwrite64 },
		{ SYS_fdatasync },
		{ SYS_fallocate },
		/* A vCPU that is to come out of the guest gets a signal; so does one that calls abort(). */
		{ SYS_tgkill, 1, UINT32_MAX, (uint32_t)getpid() },
		JAIL_CALLS_END,
	};
	/* A user of its own: no two machines share one. */
	const struct jail jail = {
		.calls = calls, .root = -1, .id = FIRST_USER + (uint32_t)getpid()
	};

	return jail_enter(&jail, err);
}

static void say(int socket, const struct message *message)
{
	fd_write_all(socket, message, sizeof(*message));
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What this process inherited is not the machine's, but for what it was made of. */
static void close_others(const struct machine_config *c, const struct side *s)
{
	size_t n = 0;
	cleanup(free) int *keep = xcalloc(8 + (2 + NET_OTHERS) * c->n_nics, sizeof(*keep));
	int next = 0;

	keep[n++] = STDIN_FILENO;
	keep[n++] = STDOUT_FILENO;
	keep[n++] = STDERR_FILENO;
	keep[n++] = c->serial_in;
	keep[n++] = c->serial_out;
	keep[n++] = s->socket;
	keep[n++] = s->requests;
	keep[n++] = c->vsock_cid ? c->vsock.listener : -1;
	for (unsigned i = 0; i < c->n_nics; i++) {
		const struct net_backend *b = c->nics[i].backend;

		keep[n++] = b->fd;
		keep[n++] = b->out;
		for (unsigned k = 0; k < b->n_others; k++)
			keep[n++] = b->others[k];
	}
	qsort(keep, n, sizeof(*keep), compare);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > next)
			close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
		if (keep[i] >= next)
			next = keep[i] + 1;
	}
	close_range((unsigned)next, ~0u, 0);
}

static int run(struct side *s, struct message *m)
{
	enum machine_end end = MACHINE_STOPPED;
	pthread_t control;
	int code = 0, r = thread_start(&control, control_thread, s);

	if (r < 0)
		return err_code(&m->why, r, "start the thread for commands");
	r = machine_run(s->machine, &end, &code, &m->why);
	/* It reads the end of the commands, and stops what has ended. */
	shutdown(s->socket, SHUT_RD);
	pthread_join(control, NULL);
	m->end = end;
	m->code = (uint32_t)code;
	return r;
}

static void machine_main(struct machine_config config, struct side s)
{
	struct message m = { 0 };
	struct command c;
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	close_others(&config, &s);
	config.vsock.connect = ask_to_connect;
	config.vsock.data = &s;
	m.result = machine_new(&config, &s.machine, &m.why);
	if (m.result == 0)
		m.result = go_to_jail(&m.why);
	if (m.result == 0)
		m.result = machine_load(s.machine, &m.why);
	if (m.result == 0) {
		snprintf(m.cpu, sizeof(m.cpu), "%s", machine_cpu_name(s.machine));
		err_set(&m.why, ENOTSUP, "%s", machine_cpu_reason(s.machine));
	}
	say(s.socket, &m);
	if (m.result < 0 || read(s.socket, &c, sizeof(c)) != sizeof(c) || c.what != RUN)
		return;
	m.why = (struct err){ 0 };
	m.result = run(&s, &m);
	/* Its disks are flushed before anybody hears that it has ended. */
	machine_free(s.machine);
	say(s.socket, &m);
}

/* -- the caller's side -- */

/* One line for a terminal, whatever was sent. */
static void clean(char *text, size_t size)
{
	text[size - 1] = 0;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

/* False: it sent none, and is gone. */
static bool hear(struct machine_process *p, struct message *ret)
{
	ssize_t n;

	do
		n = recv(p->socket, ret, sizeof(*ret), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*ret))
		return false;
	clean(ret->cpu, sizeof(ret->cpu));
	clean(ret->why.text, sizeof(ret->why.text));
	if (ret->result < -4095 || ret->result > 0)
		ret->result = -EPROTO;
	if (ret->result < 0)
		ret->why.code = -ret->result;
	if (ret->end > MACHINE_TEST_EXIT)
		ret->end = MACHINE_FATAL;
	return true;
}

static int reap(struct machine_process *p)
{
	int status = 0;

	while (p->pid > 0 && waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	return status;
}

/* After it has gone without a word, or with half of one. */
static int died(struct machine_process *p, struct err *err)
{
	int status;

	kill(p->pid, SIGKILL);
	status = reap(p);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(err, EIO,
			"the machine's process did what its jail does not allow, and was killed");
	if (WIFSIGNALED(status))
		return err_set(err, EIO, "the machine's process was killed by %s",
			signal_name(WTERMSIG(status)));
	return err_set(
		err, EIO, "the machine's process went away with status %d", WEXITSTATUS(status));
}

static int make_sockets(int mine_and_its[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, mine_and_its) < 0)
		return err_errno(err, "make a socket for the machine's process");
	return 0;
}

static int start(struct machine_process *p, const struct machine_config *config, struct err *err)
{
	int sockets[2] = { -1, -1 }, requests[2] = { -1, -1 };
	int r = make_sockets(sockets, err);

	if (r == 0 && config->vsock_cid)
		r = make_sockets(requests, err);
	p->socket = sockets[0];
	p->requests = requests[0];
	if (r == 0 && p->requests >= 0)
		r = fd_set_nonblock(p->requests, true);
	if (r == 0) {
		p->pid = fork();
		if (p->pid == 0) {
			machine_main(*config,
				(struct side){ .socket = sockets[1], .requests = requests[1] });
			_exit(0);
		}
		if (p->pid < 0)
			r = err_errno(err, "start the machine's process");
	}
	fd_close(sockets[1]);
	fd_close(requests[1]);
	return r;
}

/* Its guest's sockets: the machine gets the one that it listens at, and the path is removed with the process. */
static int start_listening(
	struct machine_process *p, struct machine_config *config, struct err *err)
{
	int r;

	config->vsock.listener = -1;
	if (!config->vsock_cid)
		return 0;
	r = vsock_listen(config->vsock_path, &config->vsock.listener, err);
	if (r == 0)
		p->vsock_path = xstrdup(config->vsock_path);
	return r;
}

int machine_process_start(
	const struct machine_config *config, struct machine_process **ret, struct err *err)
{
	cleanup(machine_process_free) struct machine_process *p = xnew(struct machine_process);
	struct machine_config c = *config;
	struct message m;
	int r;

	p->socket = p->requests = -1;
	r = start_listening(p, &c, err);
	if (r == 0)
		r = start(p, &c, err);
	fd_close(c.vsock.listener);
	if (r < 0)
		return r;
	if (!hear(p, &m))
		return died(p, err);
	if (m.result < 0) {
		if (err)
			*err = m.why;
		return m.result;
	}
	memcpy(p->cpu, m.cpu, sizeof(p->cpu));
	p->reason = m.why;
	*ret = take(p);
	return 0;
}

void machine_process_free(struct machine_process *p)
{
	if (!p)
		return;
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	reap(p);
	if (p->vsock_path)
		unlink(p->vsock_path);
	free(p->vsock_path);
	fd_close(p->socket);
	fd_close(p->requests);
	free(p);
}

const char *machine_process_cpu(const struct machine_process *p)
{
	return p->cpu;
}

const char *machine_process_reason(const struct machine_process *p)
{
	return p->reason.text;
}

static void command(struct machine_process *p, struct command c)
{
	/* Who is gone is noticed where its end is waited for. */
	send(p->socket, &c, sizeof(c), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void machine_process_run(struct machine_process *p)
{
	command(p, (struct command){ .what = RUN });
}

void machine_process_power_button(struct machine_process *p)
{
	command(p, (struct command){ .what = BUTTON });
}

void machine_process_stop(struct machine_process *p)
{
	command(p, (struct command){ .what = STOP });
}

void machine_process_resize(struct machine_process *p, uint16_t columns, uint16_t rows)
{
	command(p, (struct command){ .what = RESIZE, .columns = columns, .rows = rows });
}

int machine_process_fd(const struct machine_process *p)
{
	return p->socket;
}

int machine_process_requests_fd(const struct machine_process *p)
{
	return p->requests;
}

bool machine_process_answer(struct machine_process *p)
{
	cleanup(fd_close) int fd = -1;
	uint32_t port = 0;
	ssize_t n = recv(p->requests, &port, sizeof(port), 0);

	if (n != (ssize_t)sizeof(port))
		return n < 0 && errno == EAGAIN;
	fd = vsock_connect(p->vsock_path, port);
	/* One that asks and does not take the answers has had its last. */
	return fd_send(p->requests, "", 1, &fd, fd >= 0) >= 0;
}

int machine_process_end(
	struct machine_process *p, enum machine_end *ret_end, int *ret_code, struct err *err)
{
	struct message m;

	if (!hear(p, &m)) {
		died(p, err);
		*ret_end = MACHINE_FATAL;
		return 0;
	}
	reap(p);
	if (err)
		*err = m.why;
	if (m.result < 0)
		return m.result;
	*ret_end = m.end;
	*ret_code = (int)(m.code & 0xff);
	return 0;
}
