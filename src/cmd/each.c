/*
 * Verbs with many arguments: cmd_each() and cmd_each_at_once() of cmd.h.
 *
 * At once: workers take the next argument's number from shared memory and report each result by one write to a
 * common pipe, small enough to be atomic. They are processes since the database, warnings that are given once
 * and the instance that is held are a process's. The database is opened in them, never before: a connection
 * must not be carried through fork(2).
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/table.h"

#define WORKERS 32 /* most of them wait for a supervisor */

struct result {
	size_t index;
	int value; /* of the verb's function */
	struct err err;
};
_Static_assert(sizeof(struct result) <= PIPE_BUF, "one write must be one result");

/* The exit status so far. */
static int show(const char *name, bool echo, const struct result *result, int status)
{
	if (result->value != 0)
		cmd_fail(&result->err, 1);
	else if (echo)
		puts(name);
	return result->value < 0 ? 1 : status;
}

static void do_one(struct cmd_call *call, cmd_each_fn *fn, struct result *result)
{
	struct db *db = cmd_db(&result->err);

	result->value = db ? fn(call, db, call->args[result->index], &result->err) : -EIO;
}

int cmd_each(struct cmd_call *call, bool echo, cmd_each_fn *fn)
{
	struct err err = { 0 };
	int status = 0;

	if (!cmd_db(&err))
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < call->n_args; i++) {
		struct result result = { .index = i };
		do_one(call, fn, &result);
		status = show(call->args[i], echo, &result, status);
	}
	return status;
}

static _Noreturn void work(struct cmd_call *call, cmd_each_fn *fn, _Atomic size_t *next, int out)
{
	size_t i;

	while ((i = atomic_fetch_add(next, 1)) < call->n_args) {
		struct result result = { .index = i };
		do_one(call, fn, &result);
		if (write(out, &result, sizeof(result)) != (ssize_t)sizeof(result))
			break;
	}
	cmd_db_close();
	_exit(0);
}

/* The number of workers. */
static size_t start_workers(
	struct cmd_call *call, cmd_each_fn *fn, _Atomic size_t *next, const int fds[2])
{
	size_t wanted = call->n_args < WORKERS ? call->n_args : WORKERS, n = 0;

	fflush(stdout);
	for (; n < wanted; n++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			close(fds[0]);
			work(call, fn, next, fds[1]);
		}
	}
	return n;
}

/* Results come in any order, and are shown in the arguments'. */
static int collect(struct cmd_call *call, bool echo, int in)
{
	struct result *results = xcalloc(call->n_args, sizeof(*results)), one;
	bool *here = xcalloc(call->n_args, sizeof(*here));
	size_t shown = 0;
	int status = 0;

	while (fd_read_full(in, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
		results[one.index] = one;
		here[one.index] = true;
		for (; shown < call->n_args && here[shown]; shown++)
			status = show(call->args[shown], echo, &results[shown], status);
		fflush(stdout);
	}
	for (; shown < call->n_args; shown++) {
		if (!here[shown]) {
			results[shown].value = err_set(&results[shown].err, ECHILD,
				"'%s': the process that was at it was killed", call->args[shown]);
		}
		status = show(call->args[shown], echo, &results[shown], status);
	}
	free(results);
	free(here);
	return status;
}

int cmd_each_at_once(struct cmd_call *call, bool echo, cmd_each_fn *fn)
{
	_Atomic size_t *next;
	int fds[2], status;
	size_t n;

	if (call->n_args < 2 || pipe2(fds, O_CLOEXEC) < 0)
		return cmd_each(call, echo, fn);
	next = mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	n = next == MAP_FAILED ? 0 : start_workers(call, fn, next, fds);
	close(fds[1]);
	status = n ? collect(call, echo, fds[0]) : cmd_each(call, echo, fn);
	close(fds[0]);
	for (; n > 0; n--)
		while (wait(NULL) < 0 && errno == EINTR)
			;
	if (next != MAP_FAILED)
		munmap(next, sizeof(*next));
	return status;
}
