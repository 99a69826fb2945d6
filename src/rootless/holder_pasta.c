/*
 * pasta(1), which connects the space's network with the host's. It writes its pid into a FIFO once all
 * is set up, and it dies with us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"

#define READY_NS INT64_C(5000000000)
#define READY_FIFO SPACE_DIR "/pasta"
#define MAX_WORDS 200

enum state { STATE_NONE, STATE_STARTING, STATE_UP };

struct waiting {
	struct waiting *next;
	void (*done)(void *data, const struct err *err);
	void *data;
};

struct pasta {
	struct loop *loop;
	int dir;
	enum state state;
	pid_t pid;
	int fifo, words; /* while it starts: where readiness and errors come */
	struct loop_source *fifo_source, *timer;
	struct waiting *waiting;
	char text[MAX_WORDS];
};

struct pasta *pasta_new(struct loop *loop, int dir)
{
	struct pasta *p = xnew(struct pasta);

	*p = (struct pasta){ .loop = loop, .dir = dir, .fifo = -1, .words = -1 };
	return p;
}

static void tell_all(struct pasta *p, const struct err *err)
{
	while (p->waiting) {
		struct waiting *w = p->waiting;
		p->waiting = w->next;
		w->done(w->data, err);
		free(w);
	}
}

static void stop_watching(struct pasta *p)
{
	loop_remove(p->fifo_source);
	loop_remove(p->timer);
	p->fifo_source = p->timer = NULL;
	p->fifo = fd_close(p->fifo);
	p->words = fd_close(p->words);
	unlinkat(p->dir, READY_FIFO, 0);
}

/* What it said last, which is why it ended; without the time in front of it. */
static void read_words(struct pasta *p)
{
	char text[2048], *last = text;
	ssize_t n = p->words < 0 ? 0 : read(p->words, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		/* That nobody collects its messages is no reason. */
		if (*line && !strstr(line, "syslog"))
			last = line;
	}
	last += strspn(last, "0123456789.: ");
	snprintf(p->text, sizeof(p->text), "%s", last);
}

static void failed(struct pasta *p, const char *what)
{
	struct err err = { 0 };

	read_words(p);
	err_set(&err, ENOTSUP, "%s%s%s", what, *p->text ? ": " : "", p->text);
	stop_watching(p);
	p->state = STATE_NONE;
	tell_all(p, &err);
}

static void on_fifo(void *data, uint32_t events)
{
	struct pasta *p = data;
	char text[32];

	(void)events;
	if (read(p->fifo, text, sizeof(text)) <= 0)
		return;
	stop_watching(p);
	p->state = STATE_UP;
	tell_all(p, &(struct err){ 0 });
}

static void on_late(void *data)
{
	struct pasta *p = data;

	p->timer = NULL;
	kill(p->pid, SIGKILL);
	failed(p, "pasta does not get ready");
}

void pasta_ended(struct pasta *p, pid_t pid)
{
	if (!p->pid || pid != p->pid)
		return;
	p->pid = 0;
	if (p->state == STATE_STARTING)
		failed(p, "pasta ended");
	p->state = STATE_NONE; /* the next who wants it starts it anew */
}

static _Noreturn void become(pid_t parent, pid_t member, int words)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup(free) char *fifo = xasprintf("%s/" READY_FIFO, paths_run());
	char user[64], network[64];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* Else pasta of 2023 takes the answer "it was ignored" for a failure. */
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Those of a process in the space: from there pasta may not look at us, who are outside. */
	snprintf(user, sizeof(user), "/proc/%d/ns/user", (int)member);
	snprintf(network, sizeof(network), "/proc/%d/ns/net", (int)member);
	dup2(null, 0);
	dup2(null, 1);
	dup2(words, 2);
	/* No port of the host's is taken or reached but by what is published; the gateway is the gateway. */
	execlp("pasta", "pasta", "--foreground", "--quiet", "--config-net", "--no-map-gw", "-t",
		"none", "-u", "none", "-T", "none", "-U", "none", "--pid", fifo, "--userns", user,
		"--netns", network, "--no-netns-quit", (char *)NULL);
	dprintf(2, "%s", strerror(errno));
	_exit(127);
}

static int start(struct pasta *p, pid_t member, struct err *err)
{
	int words[2];
	pid_t self = getpid();

	unlinkat(p->dir, READY_FIFO, 0);
	if (mkfifoat(p->dir, READY_FIFO, 0600) < 0)
		return err_errno(err, "make a FIFO");
	p->fifo = openat(p->dir, READY_FIFO, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (p->fifo < 0 || pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_errno(err, "wait for pasta");
		stop_watching(p);
		return -err->code;
	}
	p->words = words[0];
	p->pid = fork();
	if (p->pid == 0)
		become(self, member, words[1]);
	fd_close(words[1]);
	if (p->pid < 0) {
		p->pid = 0;
		err_errno(err, "start pasta");
		stop_watching(p);
		return -err->code;
	}
	p->state = STATE_STARTING;
	p->fifo_source = loop_add_fd(p->loop, p->fifo, EPOLLIN, on_fifo, p);
	p->timer = loop_add_timer(p->loop, READY_NS, on_late, p);
	return 0;
}

void pasta_want(
	struct pasta *p, pid_t member, void (*done)(void *data, const struct err *err), void *data)
{
	struct err err = { 0 };
	struct waiting *w;

	if (p->state == STATE_UP || (p->state == STATE_NONE && start(p, member, &err) < 0)) {
		done(data, &err);
		return;
	}
	w = xnew(struct waiting);
	*w = (struct waiting){ p->waiting, done, data };
	p->waiting = w;
}

void pasta_forget(struct pasta *p, void *data)
{
	for (struct waiting **at = &p->waiting; *at;) {
		struct waiting *w = *at;
		if (w->data != data) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

void pasta_free(struct pasta *p)
{
	if (!p)
		return;
	stop_watching(p);
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	free(p);
}
