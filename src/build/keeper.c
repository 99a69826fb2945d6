#include "build/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "engine/engine.h"

static int save_state(const char *dir, const struct run_state *state)
{
	cleanup(free) char *path = xasprintf("%s/state.json", dir);
	cleanup(json_free) json_t *j = record_dump(run_state_fields, state);

	return json_write(AT_FDCWD, path, j, 0, NULL);
}

/* Until the program ends; or the build does. */
static void wait_for_end(const struct engine *engine, const struct run_state *state, int control,
	struct keeper_result *result)
{
	cleanup(fd_close) int pidfd = run_pidfd(state);
	struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
		{ .fd = control, .events = POLLIN } };
	struct run_stats stats = { 0 };

	while (pidfd >= 0 && !(fds[0].revents & POLLIN)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents) {
			engine->kill(state, SIGKILL, /* all= */ true, NULL);
			fds[1].fd = -1;
		}
	}
	while (waitpid((pid_t)state->pid, &result->status, 0) < 0 && errno == EINTR)
		;
	if (result->status && engine->stats && engine->stats(state, &stats, NULL) == 0)
		result->oom = stats.oom_kills > 0;
}

static int run(
	const char *dir, int control, int output, struct keeper_result *result, struct err *err)
{
	const struct engine *engine = engine_find("container");
	cleanup(fd_close) int made = -1, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup(free) char *path = xasprintf("%s/" KEEPER_BUNDLE, dir);
	cleanup(bundle_free) struct bundle *bundle = NULL;
	struct run_state state = { 0 };
	int r = bundle_read(AT_FDCWD, path, &bundle, err);

	if (r < 0)
		return r;
	const struct run_create args = { .id = bundle->holm.id,
		.bundle = bundle,
		.bundle_dir = AT_FDCWD,
		.run_dir = dir,
		.ret_start = &made,
		.stdio = { null, output, output } };
	r = engine->create(&args, &state, err);
	if (r < 0)
		return r;
	save_state(dir, &state);
	r = engine->start(&state, made, err);
	if (r == 0)
		wait_for_end(engine, &state, control, result);
	engine->destroy(&state, NULL);
	record_clear(run_state_fields, &state);
	return r;
}

int keeper_main(const char *dir, int control, int output)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	struct keeper_result result = { 0 };

	for (size_t n = 0; n < ARRAY_SIZE(ignored); n++)
		signal(ignored[n], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	fcntl(control, F_SETFD, FD_CLOEXEC);
	fcntl(output, F_SETFD, FD_CLOEXEC);
	run(dir, control, output, &result, &result.err);
	fd_close(output);
	return fd_send(control, &result, sizeof(result), NULL, 0) < 0;
}
