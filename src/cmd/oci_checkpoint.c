/* `holm oci checkpoint, restore`. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"

struct checkpoint_options {
	const char *image_path, *work_path, *parent_path, *page_server, *cgroups_mode;
	const char *lsm_profile, *lsm_mount_context;
	char **empty_ns;
	bool leave_running, tcp_established, ext_unix_sk, shell_job, lazy_pages, file_locks,
		pre_dump;
	bool auto_dedup;
	int64_t status_fd;
	const char *bundle, *console_socket, *pid_file; /* restore */
	bool detach, no_subreaper, no_pivot;
};

#define COMMON_OPTIONS \
	OPTION(struct checkpoint_options, image_path, OPT_STR, 0, "image-path", "DIR", \
		"directory of the image (checkpoint)"), \
		OPTION(struct checkpoint_options, work_path, OPT_STR, 0, "work-path", "DIR", \
			"directory of criu's work files and logs"), \
		OPTION(struct checkpoint_options, tcp_established, OPT_FLAG, 0, "tcp-established", \
			NULL, "allow open tcp connections"), \
		OPTION(struct checkpoint_options, ext_unix_sk, OPT_FLAG, 0, "ext-unix-sk", NULL, \
			"allow external unix sockets"), \
		OPTION(struct checkpoint_options, shell_job, OPT_FLAG, 0, "shell-job", NULL, \
			"allow shell jobs"), \
		OPTION(struct checkpoint_options, lazy_pages, OPT_FLAG, 0, "lazy-pages", NULL, \
			"fetch memory when it is used: not supported here"), \
		OPTION(struct checkpoint_options, file_locks, OPT_FLAG, 0, "file-locks", NULL, \
			"handle file locks, for safety"), \
		OPTION(struct checkpoint_options, cgroups_mode, OPT_STR, 0, "manage-cgroups-mode", \
			"MODE", "cgroups mode: soft (default), full, strict or ignore"), \
		OPTION(struct checkpoint_options, empty_ns, OPT_STRV, 0, "empty-ns", "NAMESPACE", \
			"create a namespace, but don't restore its properties"), \
		OPTION(struct checkpoint_options, auto_dedup, OPT_FLAG, 0, "auto-dedup", NULL, \
			"enable auto deduplication of memory images")

static const struct cmd_option checkpoint_rows[] = { COMMON_OPTIONS,
	OPTION(struct checkpoint_options, parent_path, OPT_STR, 0, "parent-path", "DIR",
		"image of an earlier --pre-dump, relative to the image"),
	OPTION(struct checkpoint_options, leave_running, OPT_FLAG, 0, "leave-running", NULL,
		"leave the process running after checkpointing"),
	OPTION(struct checkpoint_options, status_fd, OPT_INT, 0, "status-fd", "FD",
		"told when lazy pages are ready: not supported here"),
	OPTION(struct checkpoint_options, page_server, OPT_STR, 0, "page-server", "ADDRESS:PORT",
		"page server that takes the memory"),
	OPTION(struct checkpoint_options, pre_dump, OPT_FLAG, 0, "pre-dump", NULL,
		"dump memory only, leave the container running"),
	OPTION_END };

static const struct cmd_option restore_rows[] = { COMMON_OPTIONS,
	OPTION(struct checkpoint_options, bundle, OPT_STR, 'b', "bundle", "DIR",
		"path to the root of the bundle directory"),
	OPTION(struct checkpoint_options, console_socket, OPT_STR, 0, "console-socket", "PATH",
		"socket for the terminal: containers with one are not restored here"),
	OPTION(struct checkpoint_options, detach, OPT_FLAG, 'd', "detach", NULL,
		"detach from the container's process"),
	OPTION(struct checkpoint_options, pid_file, OPT_STR, 0, "pid-file", "FILE",
		"specify the file to write the process id to"),
	OPTION(struct checkpoint_options, no_subreaper, OPT_FLAG, 0, "no-subreaper", NULL,
		"do not reap processes that the container leaves"),
	OPTION(struct checkpoint_options, no_pivot, OPT_FLAG, 0, "no-pivot", NULL,
		"accepted for compatibility"),
	OPTION(struct checkpoint_options, lsm_profile, OPT_STR, 0, "lsm-profile", "TYPE:NAME",
		"accepted for compatibility"),
	OPTION(struct checkpoint_options, lsm_mount_context, OPT_STR, 0, "lsm-mount-context",
		"CONTEXT", "accepted for compatibility"),
	OPTION_END };

static char *absolute(const char *path, const char *otherwise)
{
	char cwd[PATH_MAX];

	if (path && *path == '/')
		return xstrdup(path);
	return xasprintf(
		"%s/%s", getcwd(cwd, sizeof(cwd)) ? cwd : "", path && *path ? path : otherwise);
}

/* criu finds it from the image, whose copies keep working elsewhere. */
static int check_parent(const char *image, const char *parent, struct err *err)
{
	cleanup(free) char *path = NULL;
	struct stat st;

	if (!parent || !*parent)
		return 0;
	if (*parent == '/')
		return err_set(err, EINVAL, "--parent-path must be relative to --image-path");
	path = xasprintf("%s/%s", image, parent);
	if (stat(path, &st) < 0)
		return err_errno(err, "invalid --parent-path '%s'", parent);
	return S_ISDIR(st.st_mode) ? 0
				   : err_set(err, ENOTDIR,
					     "invalid --parent-path: '%s' is no directory", parent);
}

static int take_options(const struct checkpoint_options *o, struct oci_checkpoint *ret,
	char **image, char **work, struct err *err)
{
	const char *criu = oci_options()->criu;

	if (o->lazy_pages)
		return err_set(err, ENOTSUP, "--lazy-pages is not supported");
	*image = absolute(o->image_path, "checkpoint");
	*work = o->work_path && *o->work_path ? absolute(o->work_path, "") : xstrdup(*image);
	*ret = (struct oci_checkpoint){ .criu = criu && *criu ? criu : "criu",
		.image_path = *image,
		.work_path = *work,
		.parent_path = o->parent_path && *o->parent_path ? o->parent_path : NULL,
		.page_server = o->page_server && *o->page_server ? o->page_server : NULL,
		.cgroups_mode = o->cgroups_mode && *o->cgroups_mode ? o->cgroups_mode : NULL,
		.empty_ns = o->empty_ns,
		.leave_running = o->leave_running,
		.pre_dump = o->pre_dump,
		.tcp_established = o->tcp_established,
		.ext_unix_sk = o->ext_unix_sk,
		.shell_job = o->shell_job,
		.file_locks = o->file_locks,
		.auto_dedup = o->auto_dedup };
	return check_parent(*image, ret->parent_path, err);
}

static int checkpoint_run(struct cmd_call *call)
{
	cleanup(free) char *image = NULL, *work = NULL;
	struct oci_checkpoint how;
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	int r = c ? take_options(call->options, &how, &image, &work, &err) : -1;

	if (r == 0)
		r = oci_checkpoint(c, &how, &err);
	return r < 0 ? oci_fail(&err, 1) : 0;
}

static int restore(const struct cmd_call *call, struct oci_container **ret, struct err *err)
{
	const struct checkpoint_options *o = call->options;
	cleanup(free) char *image = NULL, *work = NULL, *pid_file = NULL;
	struct oci_checkpoint how;
	struct oci_create args = { .root = oci_options()->root,
		.id = call->args[0],
		.process = { .console_socket = -1 } };
	int r = take_options(o, &how, &image, &work, err);

	if (r < 0)
		return r;
	if (o->pid_file && *o->pid_file)
		args.process.pid_file = pid_file = absolute(o->pid_file, "");
	if (o->bundle && *o->bundle && chdir(o->bundle) < 0)
		return err_errno(err, "chdir %s", o->bundle);
	return oci_restore(&args, &how, ret, err);
}

static int restore_run(struct cmd_call *call)
{
	const struct checkpoint_options *o = call->options;
	cleanup(oci_container_free) struct oci_container *c = NULL;
	cleanup(fd_close) int pidfd = -1;
	struct err err = { 0 };
	sigset_t all;
	int status;

	sigfillset(&all);
	if (!o->detach)
		sigprocmask(SIG_BLOCK, &all, NULL);
	if (restore(call, &c, &err) < 0)
		return oci_fail(&err, 1);
	if (o->detach)
		return 0;
	pidfd = run_pidfd(&c->run);
	status = oci_follow((pid_t)c->run.pid, pidfd, -1);
	if (oci_destroy(c, &err) < 0)
		oci_fail(&err, status);
	return status;
}

const struct cmd cmd_oci_checkpoint = {
	.name = "oci checkpoint",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "checkpoint a running container",
	.description = "Through criu(8), where that works: 'criu check' says so.",
	.options = checkpoint_rows,
	.options_size = sizeof(struct checkpoint_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = checkpoint_run,
};

const struct cmd cmd_oci_restore = {
	.name = "oci restore",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "restore a container from a previous checkpoint",
	.description = "Through criu(8), where that works: 'criu check' says so.",
	.options = restore_rows,
	.options_size = sizeof(struct checkpoint_options),
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = restore_run,
};
