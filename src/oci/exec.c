/* See oci.h: further processes. */
#include "oci/oci.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "oci/oci_internal.h"
#include "rootless/rootless.h"

int oci_parse_cgroups(char *const *args, char ***ret, struct err *err)
{
	cleanup(strv_free) char **map = NULL;

	strv_foreach (a, args) {
		cleanup(strv_free) char **parts = strv_split(*a, ':'), **controllers = NULL;
		size_t n = strv_len(parts);
		if (n > 2)
			return err_set(err, EINVAL, "invalid --cgroup argument: %s", *a);
		if (n == 1 && strv_len(args) != 1)
			return err_set(err, EINVAL,
				"invalid --cgroup argument: %s (missing <controller>: prefix)", *a);
		controllers = strv_split(n == 1 ? "" : parts[0], ',');
		strv_foreach (c, controllers)
			map_set(&map, *c, parts[n - 1]);
	}
	*ret = take(map);
	return 0;
}

int oci_exec(struct oci_container *c, const struct oci_exec *args, pid_t *ret_pid, struct err *err)
{
	cleanup(fd_close) int console = -1, pidfd = -1;
	struct run_exec exec = { .process = args->process,
		.stdio = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
		.ret_console = &console,
		/* As runc's: whoever reads our output gets the lines as they were written. */
		.plain_lines = args->how.ret_console,
		.keep_fds = args->how.keep_fds,
		.cgroups = args->cgroups };
	pid_t pid;
	int r = oci_config(c, err);

	if (r == 0)
		r = oci_check_fds(args->how.keep_fds, err);
	if (r == 0)
		r = oci_check_console(&args->how, args->process->terminal, err);
	if (r == 0)
		r = rootless_share_rights((pid_t)c->run.pid, err);
	if (r < 0)
		return r;
	pidfd = engine_container.exec(&c->run, c->bundle, &exec, &pid, err);
	if (pidfd < 0)
		return oci_exec_error(c, err);
	r = oci_hand_over(&args->how, console, pid, err);
	if (r < 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		return r;
	}
	if (args->how.ret_console)
		*args->how.ret_console = take_fd(console);
	*ret_pid = pid;
	return take_fd(pidfd);
}
