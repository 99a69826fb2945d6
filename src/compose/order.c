#include "compose/order.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define AT_ONCE 32 /* most of them wait for a supervisor */

enum state { WAITING, RUNNING, DONE };

struct item {
	enum state state;
	size_t missing; /* items that are to be done before */
	bool left_out;
	pid_t pid;
	int result; /* the read end of its pipe */
};

struct result {
	int value;
	struct err err;
};

struct run {
	const struct order *o;
	const struct compose_store *store;
	const struct compose_report *report;
	struct item *items;
	size_t running;
	struct result first; /* failure */
	sigset_t before;     /* the caller's mask */
	int signals;         /* a signalfd */
	int signo;           /* what has told us to end, or 0 */
};

static bool before(const struct run *r, size_t first, size_t second)
{
	return first != second && r->o->before && r->o->before(r->o->data, first, second);
}

static void tell(const struct run *r, size_t i, const char *did)
{
	cleanup(free) char *name = r->o->name(r->o->data, i);

	compose_tell(r->report, did, "%s", name);
}

/* Those that were to come after it, and those after them. */
static void leave_out(struct run *r, size_t failed)
{
	for (size_t i = 0; i < r->o->n; i++) {
		if (r->items[i].state != WAITING || r->items[i].left_out || !before(r, failed, i))
			continue;
		r->items[i].left_out = true;
		tell(r, i, "Left out, since what it depends on has failed");
		leave_out(r, i);
	}
}

static void finish(struct run *r, size_t i, const struct result *result)
{
	r->items[i].state = DONE;
	if (result->value < 0 && !r->signo) {
		if (r->first.value < 0) {
			cleanup(free) char *did = xasprintf("Failed: %s", result->err.text);
			tell(r, i, did);
		} else {
			r->first = *result;
		}
		leave_out(r, i);
	}
	for (size_t k = 0; k < r->o->n; k++)
		if (before(r, i, k))
			r->items[k].missing--;
}

static void do_one(const struct run *r, size_t i, struct result *result)
{
	struct db *db = r->store->open(&result->err);

	result->value = db ? r->o->work(r->o->data, i, db, &result->err) : -EIO;
}

/* Its process does not outlive us. */
static void start(struct run *r, size_t i)
{
	struct item *item = &r->items[i];
	struct result result = { 0 };
	pid_t us = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		result.value = err_errno(&result.err, "make a pipe");
		finish(r, i, &result);
		return;
	}
	item->pid = fork();
	if (item->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != us)
			_exit(1);
		sigprocmask(SIG_SETMASK, &r->before, NULL);
		do_one(r, i, &result);
		fd_write_all(fds[1], &result, sizeof(result));
		r->store->close();
		_exit(0);
	}
	close(fds[1]);
	if (item->pid < 0) {
		result.value = err_errno(&result.err, "start a process");
		close(fds[0]);
		finish(r, i, &result);
		return;
	}
	item->result = fds[0];
	item->state = RUNNING;
	r->running++;
}

static void collect(struct run *r, size_t i)
{
	struct item *item = &r->items[i];
	struct result result = { 0 };

	if (fd_read_full(item->result, &result, sizeof(result)) != (ssize_t)sizeof(result)) {
		cleanup(free) char *name = r->o->name(r->o->data, i);
		result.value = err_set(
			&result.err, ECHILD, "%s: the process that was at it was killed", name);
	}
	close(item->result);
	while (waitpid(item->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->running--;
	finish(r, i, &result);
}

/* Those whose default is to end us are kept back: what is half done in the processes is to be done first. */
static void hold_signals(struct run *r)
{
	static const int all[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, NULL, &r->before);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!sigismember(&r->before, all[i]) && sigaction(all[i], NULL, &action) == 0 &&
			action.sa_handler == SIG_DFL)
			sigaddset(&set, all[i]);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signals >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

static void on_signal(struct run *r)
{
	struct signalfd_siginfo info;

	if (fd_read_full(r->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	r->signo = (int)info.ssi_signo;
	for (size_t i = 0; i < r->o->n; i++)
		if (r->items[i].state == RUNNING)
			kill(r->items[i].pid, SIGTERM);
}

/* One or more of those that run have an end, or a signal came. */
static void wait_some(struct run *r)
{
	size_t n = 0, room = r->running + 1;
	cleanup(free) struct pollfd *fds = xcalloc(room, sizeof(*fds));
	cleanup(free) size_t *index = xcalloc(room, sizeof(*index));

	for (size_t i = 0; i < r->o->n; i++)
		if (r->items[i].state == RUNNING) {
			index[n] = i;
			fds[n++] = (struct pollfd){ .fd = r->items[i].result, .events = POLLIN };
		}
	fds[n] = (struct pollfd){ .fd = r->signals, .events = POLLIN };
	if (poll(fds, n + 1, -1) <= 0)
		return;
	if (fds[n].revents)
		on_signal(r);
	for (size_t k = 0; k < n; k++)
		if (fds[k].revents)
			collect(r, index[k]);
}

static void run_all(struct run *r)
{
	hold_signals(r);
	fflush(stdout);
	for (size_t i = 0; i < r->o->n; i++)
		for (size_t k = 0; k < r->o->n; k++)
			r->items[i].missing += before(r, k, i);
	for (;;) {
		for (size_t i = 0; i < r->o->n && r->running < AT_ONCE && !r->signo; i++)
			if (r->items[i].state == WAITING && !r->items[i].left_out &&
				!r->items[i].missing)
				start(r, i);
		if (!r->running)
			break;
		wait_some(r);
	}
	fd_close(r->signals);
	sigprocmask(SIG_SETMASK, &r->before, NULL);
	if (r->signo)
		raise(r->signo);
}

int order_run(const struct order *o, const struct compose_store *store,
	const struct compose_report *report, struct err *err)
{
	struct run r = { o, store, report, .items = xcalloc(o->n + 1, sizeof(*r.items)) };

	if (o->n == 1) {
		do_one(&r, 0, &r.first);
	} else {
		store->close();
		run_all(&r);
	}
	free(r.items);
	if (r.first.value < 0 && err)
		*err = r.first.err;
	return r.first.value;
}
