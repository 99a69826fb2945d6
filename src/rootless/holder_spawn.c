/* Processes in the space that stay in the host's network: see rootless_spawn(). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/alloc.h"
#include "base/fd.h"

/* n strings, each ending within the rest; NULL when they do not. */
static char **split(const char **strings, size_t *len, uint32_t n)
{
	char **list;

	if (n > *len)
		return NULL;
	list = xcalloc(n + 1, sizeof(*list));
	for (uint32_t i = 0; i < n; i++) {
		size_t used = strnlen(*strings, *len) + 1;
		if (used > *len) {
			free(list);
			return NULL;
		}
		list[i] = (char *)*strings;
		*strings += used;
		*len -= used;
	}
	return list;
}

static _Noreturn void become(
	const int space[SPACE_NAMESPACES], char **argv, char **env, const int fds[SPAWN_FDS])
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), high[SPAWN_FDS];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (null < 0 || space_enter(space, /* network= */ false, NULL) < 0)
		_exit(127);
	for (int i = 0; i < SPAWN_FDS; i++)
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	dup2(null, 0);
	dup2(null, 1);
	for (int i = 0; i < SPAWN_FDS; i++)
		if (high[i] >= 0)
			dup2(high[i], i + 2);
	execve("/proc/self/exe", argv, env);
	_exit(127);
}

int spawn_in_space(const int space[SPACE_NAMESPACES], const struct request *q, const char *strings,
	size_t len, const int fds[SPAWN_FDS], struct err *err)
{
	cleanup(free) char **argv = split(&strings, &len, q->spawn.n_argv), **env = NULL;
	pid_t pid;

	if (argv)
		env = split(&strings, &len, q->spawn.n_env);
	if (!argv || !env || !argv[0])
		return err_set(
			err, EBADMSG, "start a process in the host's network: a broken request");
	pid = fork();
	if (pid == 0)
		become(space, argv, env, fds);
	return pid < 0 ? err_errno(err, "start a process in the host's network") : 0;
}
