#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"

enum kind { KIND_FD, KIND_TIMER };

struct loop_source {
	struct loop *loop;
	struct loop_source *next;
	enum kind kind;
	bool dead; /* removed; freed between rounds, since an event for it may still be queued */
	int fd;
	int64_t when; /* monotonic ns */
	loop_fd_fn *fd_fn;
	loop_timer_fn *timer_fn;
	void *data;
};

struct loop {
	int epoll;
	int signal_fd;
	loop_signal_fn *signal_fn;
	void *signal_data;
	struct loop_source *sources;
	loop_timer_fn *rest_fn;
	void *rest_data;
	int rest_ms;
	bool stopped, has_dead, rested;
	int value;
};

struct loop *loop_new(void)
{
	struct loop *l = xnew(struct loop);

	l->signal_fd = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->sources) {
		struct loop_source *s = loop->sources;
		loop->sources = s->next;
		free(s);
	}
	fd_close(loop->signal_fd);
	fd_close(loop->epoll);
	free(loop);
}

static struct loop_source *add(struct loop *loop, enum kind kind, void *data)
{
	struct loop_source *s = xnew(struct loop_source);

	*s = (struct loop_source){
		.loop = loop, .kind = kind, .fd = -1, .data = data, .next = loop->sources
	};
	loop->sources = s;
	return s;
}

struct loop_source *loop_add_fd(
	struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *data)
{
	struct loop_source *s = add(loop, KIND_FD, data);
	struct epoll_event ev = { .events = events, .data.ptr = s };

	s->fd = fd;
	s->fd_fn = fn;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		loop->sources = s->next;
		free(s);
		return NULL;
	}
	return s;
}

void loop_set_events(struct loop_source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	if (!source || source->dead)
		return;
	epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &ev);
}

struct loop_source *loop_add_timer(struct loop *loop, int64_t ns, loop_timer_fn *fn, void *data)
{
	struct loop_source *s = add(loop, KIND_TIMER, data);

	s->when = time_monotonic() + ns;
	s->timer_fn = fn;
	return s;
}

void loop_remove(struct loop_source *source)
{
	if (!source || source->dead)
		return;
	if (source->fd >= 0)
		epoll_ctl(source->loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->dead = true;
	source->loop->has_dead = true;
}

void loop_set_rest(struct loop *loop, int64_t ns, loop_timer_fn *fn, void *data)
{
	loop->rest_ms = (int)(ns / 1000000);
	loop->rest_fn = fn;
	loop->rest_data = data;
}

static void on_signal(void *data, uint32_t events)
{
	struct loop *l = data;
	struct signalfd_siginfo info;

	(void)events;
	while (read(l->signal_fd, &info, sizeof(info)) == sizeof(info))
		l->signal_fn(l->signal_data, (int)info.ssi_signo);
}

int loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *data)
{
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	loop->signal_fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return -errno;
	loop->signal_fn = fn;
	loop->signal_data = data;
	return loop_add_fd(loop, loop->signal_fd, EPOLLIN, on_signal, loop) ? 0 : -errno;
}

static int next_timeout(struct loop *loop)
{
	int64_t first = INT64_MAX, now;

	for (struct loop_source *s = loop->sources; s; s = s->next)
		if (s->kind == KIND_TIMER && !s->dead && s->when < first)
			first = s->when;
	if (first == INT64_MAX)
		return -1;
	now = time_monotonic();
	if (first <= now)
		return 0;
	first = (first - now + 999999) / 1000000;
	return first < 3600000 ? (int)first : 3600000;
}

/* The number of them. */
static int fire_timers(struct loop *loop)
{
	int64_t now = time_monotonic();
	int fired = 0;

	for (struct loop_source *s = loop->sources; s && !loop->stopped; s = s->next) {
		if (s->kind != KIND_TIMER || s->dead || s->when > now)
			continue;
		s->dead = true;
		loop->has_dead = true;
		s->timer_fn(s->data);
		fired++;
	}
	return fired;
}

static void sweep(struct loop *loop)
{
	struct loop_source **at = &loop->sources;

	if (!loop->has_dead)
		return;
	loop->has_dead = false;
	while (*at) {
		struct loop_source *s = *at;
		if (!s->dead) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[32];

	loop->stopped = false;
	while (!loop->stopped) {
		int timeout = next_timeout(loop);
		bool rests =
			loop->rest_fn && !loop->rested && (timeout < 0 || timeout > loop->rest_ms);
		int n = epoll_wait(
			loop->epoll, events, ARRAY_SIZE(events), rests ? loop->rest_ms : timeout);
		for (int i = 0; i < n && !loop->stopped; i++) {
			struct loop_source *s = events[i].data.ptr;
			if (!s->dead)
				s->fd_fn(s->data, events[i].events);
		}
		if (fire_timers(loop) || n > 0)
			loop->rested = false;
		sweep(loop);
		if (rests && n == 0) {
			loop->rested = true;
			loop->rest_fn(loop->rest_data);
		}
	}
	return loop->value;
}

void loop_stop(struct loop *loop, int value)
{
	loop->stopped = true;
	loop->value = value;
}
