/* `holm oci exec`. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"

#define STATUS_FAILED 255 /* runc's, so that it is told from the process's own */

struct exec_options {
	const char *console_socket, *cwd, *user, *process, *pid_file, *process_label, *apparmor;
	const char *pidfd_socket;
	char **env, **gids, **caps, **cgroups;
	bool tty, detach, no_new_privs, ignore_paused, has_tty, has_no_new_privs;
	int64_t preserve_fds;
};

static const struct cmd_option exec_rows[] = {
	OPTION_WITH(struct exec_options, console_socket, OPT_STR, 0, "console-socket", "PATH",
		"path to an AF_UNIX socket which will receive the master end of the console's "
		"pseudoterminal",
		.complete = COMPLETE_FILE),
	OPTION(struct exec_options, cwd, OPT_STR, 0, "cwd", "DIR",
		"current working directory in the container"),
	OPTION(struct exec_options, env, OPT_STRV, 'e', "env", "NAME=VALUE",
		"set environment variables"),
	OPTION_WITH(struct exec_options, tty, OPT_FLAG, 't', "tty", NULL, "allocate a pseudo-TTY",
		OPTION_GIVEN(struct exec_options, has_tty)),
	OPTION(struct exec_options, user, OPT_STR, 'u', "user", "UID[:GID]", "user and group"),
	OPTION(struct exec_options, gids, OPT_STRV, 'g', "additional-gids", "GID",
		"additional gids"),
	OPTION_WITH(struct exec_options, process, OPT_STR, 'p', "process", "FILE",
		"path to the process.json", .complete = COMPLETE_FILE),
	OPTION(struct exec_options, detach, OPT_FLAG, 'd', "detach", NULL,
		"detach from the container's process"),
	OPTION_WITH(struct exec_options, pidfd_socket, OPT_STR, 0, "pidfd-socket", "PATH",
		"path to an AF_UNIX socket which will receive a descriptor of the process",
		.complete = COMPLETE_FILE),
	OPTION_WITH(struct exec_options, pid_file, OPT_STR, 0, "pid-file", "FILE",
		"specify the file to write the process id to", .complete = COMPLETE_FILE),
	OPTION(struct exec_options, process_label, OPT_STR, 0, "process-label", "LABEL",
		"set the SELinux label for the process"),
	OPTION(struct exec_options, apparmor, OPT_STR, 0, "apparmor", "PROFILE",
		"set the apparmor profile for the process"),
	OPTION_WITH(struct exec_options, no_new_privs, OPT_FLAG, 0, "no-new-privs", NULL,
		"set the no new privileges value for the process",
		OPTION_GIVEN(struct exec_options, has_no_new_privs)),
	OPTION(struct exec_options, caps, OPT_STRV, 'c', "cap", "CAP",
		"add a capability to the bounding set for the process"),
	OPTION(struct exec_options, preserve_fds, OPT_INT, 0, "preserve-fds", "N",
		"pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"),
	OPTION(struct exec_options, cgroups, OPT_STRV, 0, "cgroup", "[CONTROLLER:]CGROUP",
		"run the process in an (existing) sub-cgroup(s)"),
	OPTION(struct exec_options, ignore_paused, OPT_FLAG, 0, "ignore-paused", NULL,
		"allow exec in a paused container"),
	OPTION_END,
};

static int read_process(const char *path, struct bundle_process **ret, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(json_free) json_t *j = NULL;
	int r;

	if (fd < 0)
		return err_errno(err, "open %s", path);
	/* It may be a pipe. */
	r = fd_read_to_end(fd, JSON_MAX_BYTES, &text);
	if (r < 0)
		return err_code(err, r, "read %s", path);
	j = json_parse(text.data ? text.data : "", text.len, path, err);
	return j ? bundle_process_parse(j, ret, err) : -EINVAL;
}

static void add_capabilities(char *const *caps, struct bundle_process *p)
{
	if (!caps)
		return;
	if (!p->capabilities)
		p->capabilities = xnew(struct bundle_capabilities);
	strv_add_all(&p->capabilities->bounding, caps);
	strv_add_all(&p->capabilities->effective, caps);
	strv_add_all(&p->capabilities->permitted, caps);
	/* Ambient capabilities must be inheritable; without that they are none. */
	if (p->capabilities->inheritable)
		strv_add_all(&p->capabilities->ambient, caps);
}

static int set_user(const char *user, char *const *gids, struct bundle_user *u, struct err *err)
{
	uint64_t id;

	if (user && *user) {
		cleanup(strv_free) char **parts = strv_split(user, ':');
		if (parts[1]) {
			if (parse_u64(parts[1], UINT32_MAX, &id) < 0)
				return err_set(
					err, EINVAL, "bad gid: \"%s\" is no number", parts[1]);
			u->gid = (uint32_t)id;
		}
		if (parse_u64(parts[0], UINT32_MAX, &id) < 0)
			return err_set(err, EINVAL, "bad uid: \"%s\" is no number", parts[0]);
		u->uid = (uint32_t)id;
	}
	strv_foreach (g, gids) {
		struct u32v *v = &u->additional_gids;
		if (parse_u64(*g, UINT32_MAX, &id) < 0)
			return err_set(
				err, EINVAL, "additional-gids must be a positive number %s", *g);
		v->v = xrealloc_array(v->v, v->n + 1, sizeof(*v->v));
		v->v[v->n++] = (uint32_t)id;
	}
	return 0;
}

/* The bundle's process, changed by the options. */
static int make_process(
	const struct exec_options *o, char *const *args, struct bundle_process *p, struct err *err)
{
	strv_free(p->args);
	p->args = strv_copy(args);
	if (o->cwd && *o->cwd)
		str_replace(&p->cwd, o->cwd);
	if (p->cwd[0] != '/')
		return err_set(err, EINVAL, "Cwd must be an absolute path");
	if (o->apparmor && *o->apparmor)
		str_replace(&p->apparmor_profile, o->apparmor);
	if (o->process_label && *o->process_label)
		str_replace(&p->selinux_label, o->process_label);
	add_capabilities(o->caps, p);
	strv_foreach (e, o->env)
		strv_env_set(&p->env, *e);
	p->terminal = o->has_tty && o->tty;
	if (o->has_no_new_privs)
		p->no_new_privileges = o->no_new_privs;
	return set_user(o->user, o->gids, &p->user, err);
}

static int check_state(const struct oci_container *c, const struct exec_options *o, struct err *err)
{
	switch (oci_status(c)) {
	case RUN_STOPPED:
		return err_set(err, EINVAL, "cannot exec in a stopped container");
	case RUN_PAUSED:
		return o->ignore_paused
			       ? 0
			       : err_set(err, EBUSY,
					 "cannot exec in a paused container (use --ignore-paused to override)");
	default:
		return 0;
	}
}

static int start(struct cmd_call *call, struct oci_container *c, struct oci_exec *exec,
	struct bundle_process **own, pid_t *ret_pid, struct err *err)
{
	const struct exec_options *o = call->options;
	bool from_file = o->process && *o->process;
	int r = check_state(c, o, err);

	if (r == 0 && !from_file && call->n_args < 2)
		r = err_set(err, EINVAL, "process args cannot be empty");
	if (r == 0)
		r = oci_config(c, err);
	if (r == 0 && from_file)
		r = read_process(o->process, own, err);
	else if (r == 0)
		r = make_process(o, call->args + 1, c->bundle->process, err);
	/* A file says what it wants, but for the terminal. */
	if (r == 0 && from_file && o->has_tty)
		(*own)->terminal = o->tty;
	if (r == 0)
		r = oci_parse_cgroups(o->cgroups, &exec->cgroups, err);
	if (r < 0)
		return r;
	exec->process = from_file ? *own : c->bundle->process;
	return oci_exec(c, exec, ret_pid, err);
}

static int failed(struct err *err)
{
	err_wrap(err, "exec failed");
	return oci_fail(err, STATUS_FAILED);
}

static int exec_run(struct cmd_call *call)
{
	const struct exec_options *o = call->options;
	cleanup(oci_container_free) struct oci_container *c = NULL;
	cleanup(bundle_process_free) struct bundle_process *own = NULL;
	cleanup(fd_close) int console = -1, socket = -1, pidfd_socket = -1, pidfd = -1;
	struct err err = { 0 };
	struct oci_exec exec = { .how = { .console_socket = -1,
					 .ret_console = o->detach ? NULL : &console,
					 .keep_fds = (int)o->preserve_fds,
					 .pid_file = o->pid_file } };
	sigset_t all;
	pid_t pid = 0;

	c = oci_find(call->args[0], &err);
	if (c && o->console_socket && *o->console_socket) {
		socket = oci_console_connect(o->console_socket, &err);
		if (socket < 0)
			return failed(&err);
	}
	if (c && o->pidfd_socket && *o->pidfd_socket) {
		pidfd_socket = oci_console_connect(o->pidfd_socket, &err);
		if (pidfd_socket < 0)
			return failed(&err);
		exec.how.pidfd_socket = pidfd_socket;
	}
	if (o->preserve_fds < 0 || o->preserve_fds > 65536)
		err_set(&err, EINVAL, "--preserve-fds: not in 0..65536");
	if (err.code)
		return failed(&err);
	exec.how.console_socket = socket;
	if (!o->detach) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
	}
	pidfd = start(call, c, &exec, &own, &pid, &err);
	strv_free(exec.cgroups);
	if (pidfd < 0)
		return failed(&err);
	return o->detach ? 0 : oci_follow(pid, pidfd, console);
}

const struct cmd cmd_oci_exec = {
	.name = "oci exec",
	.group = "OCI runtime",
	.args = "<container-id> <command> [command options] || -p process.json <container-id>",
	.summary = "execute new process inside the container",
	.description = "The exit status is that of the process; 255 when it could not be executed.",
	.options = exec_rows,
	.options_size = sizeof(struct exec_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_NO_STORE | CMD_IN_NOUN | CMD_OPTIONS_FIRST,
	.run = exec_run,
};
