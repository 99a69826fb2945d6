/* See oci.h: making and starting containers. */
#include "oci/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "engine/engine.h"
#include "oci/notify.h"
#include "oci/oci_internal.h"
#include "rootless/rootless.h"

int oci_check_fds(int n, struct err *err)
{
	for (int fd = 3; fd < 3 + n; fd++) {
		int flags = fcntl(fd, F_GETFD);
		/* Ours are never handed on. */
		if (flags < 0 || flags & FD_CLOEXEC)
			return err_set(err, EBADF,
				"unable to stat preserved-fd %d (of %d): stat /proc/self/fd/%d: no such file or directory",
				fd - 3, n, fd);
	}
	return 0;
}

int oci_check_console(const struct oci_process *how, bool terminal, struct err *err)
{
	bool socket = how->console_socket >= 0, attached = how->ret_console;

	if (terminal && !socket && !attached)
		return err_set(err, EINVAL,
			"cannot allocate tty if runc will detach without setting console socket");
	if (socket && (attached || !terminal))
		return err_set(err, EINVAL,
			"cannot use console socket if runc will not detach or allocate tty");
	return 0;
}

/* DIR/.NAME, then DIR/NAME: whoever waits for the file finds it complete. */
static int write_pid(const char *path, pid_t pid, struct err *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid);
	int r = file_write(AT_FDCWD, path, text, (size_t)n, 0644, 0);

	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

int oci_hand_over(const struct oci_process *how, int console, pid_t pid, struct err *err)
{
	static const char name[] = "/dev/ptmx";
	int r = 0;

	/* The name of the file is what the receiver shows of it. */
	if (console >= 0 && how->console_socket >= 0)
		r = fd_send(how->console_socket, name, sizeof(name) - 1, &console, 1);
	if (r < 0)
		return err_code(err, r, "send the terminal to the console socket");
	if (how->pidfd_socket > 0) {
		cleanup(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		r = pidfd < 0 ? -errno : fd_send(how->pidfd_socket, "pidfd", 5, &pidfd, 1);
	}
	if (r < 0)
		return err_code(err, r, "send the process to the pidfd socket");
	return how->pid_file ? write_pid(how->pid_file, pid, err) : 0;
}

/* Then it is its interpreter that is missing. */
static bool is_there(const struct oci_container *c, const char *program)
{
	cleanup(free) char *path = xasprintf("/proc/%lld/root", (long long)c->run.pid);
	cleanup(fd_close) int root = -1, fd = -1;

	/* At its creation the program is looked for itself. */
	if (!c->run.pid)
		return false;
	root = open(run_alive(&c->run) ? path : c->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = root < 0 ? -1 : open_in_root(root, program, O_PATH, 0);
	return fd >= 0;
}

int oci_exec_error(const struct oci_container *c, struct err *err)
{
	struct err e = *err;
	char *name, *end;

	if (strncmp(e.text, "exec '", 6) != 0)
		return err_wrap(err, "unable to start container process");
	name = e.text + 6;
	end = strstr(name, "': ");
	if (end)
		*end = '\0';
	if (e.code == ENOENT && !strchr(name, '/'))
		return err_set(err, e.code,
			"unable to start container process: exec: \"%s\": executable file not found in $PATH",
			name);
	if (e.code == ENOENT && is_there(c, name))
		return err_set(err, e.code,
			"unable to start container process: exec %s: no such file or directory",
			name);
	if (e.code == ENOENT)
		return err_set(err, e.code,
			"unable to start container process: exec: \"%s\": stat %s: no such file or directory",
			name, name);
	if (e.code == EACCES)
		return err_set(err, e.code,
			"unable to start container process: exec: \"%s\": permission denied", name);
	return err_set(err, e.code, "unable to start container process: exec: \"%s\": %s", name,
		strerror(e.code));
}

static void add_rule(struct bundle_resources *r, bool allow, const char *type, int64_t major,
	int64_t minor, const char *access)
{
	struct bundle_device_rule *rule = bundle_add(&r->devices, struct bundle_device_rule);

	rule->allow = allow;
	rule->type = xstrdup(type);
	rule->major = xnew(int64_t);
	rule->minor = xnew(int64_t);
	*rule->major = major;
	*rule->minor = minor;
	rule->access = xstrdup(access);
}

/* The devices that every container has (runtime-spec config-linux.md, "Default Devices") may be used, whatever
 * the bundle forbids; and nodes may be made, for that alone opens nothing. */
static void allow_default_devices(struct bundle *b)
{
	static const int64_t devices[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 },
		{ 5, 0 }, { 5, 2 }, { 136, -1 } };
	struct bundle_resources *r = b->linux_.resources;

	if (!r)
		r = b->linux_.resources = xnew(struct bundle_resources);
	if (!r->devices.n)
		add_rule(r, false, "a", -1, -1, "rwm");
	add_rule(r, true, "c", -1, -1, "m");
	add_rule(r, true, "b", -1, -1, "m");
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		add_rule(r, true, "c", devices[i][0], devices[i][1], "rwm");
}

static int read_bundle(struct buf *text, struct bundle **ret, struct err *err)
{
	cleanup(json_free) json_t *j = NULL;
	int r = file_read(AT_FDCWD, OCI_CONFIG, JSON_MAX_BYTES, text);

	if (r == -ENOENT)
		return err_set(err, ENOENT, "JSON specification file " OCI_CONFIG " not found");
	if (r < 0)
		return err_code(err, r, "open '" OCI_CONFIG "'");
	j = json_parse(text->data ? text->data : "", text->len, OCI_CONFIG, err);
	if (!j)
		return -EINVAL;
	r = bundle_parse(j, ret, err);
	if (r < 0)
		return err_wrap(err, OCI_CONFIG);
	allow_default_devices(*ret);
	return 0;
}

static int make_directory(const struct oci_create *args, char **ret, struct err *err)
{
	cleanup(free) char *dir = xasprintf("%s/%s", args->root, args->id);
	int r = 0;

	if (mkdir(dir, 0711) < 0) {
		if (errno == EEXIST)
			return err_set(err, EEXIST, "container with given ID already exists");
		r = errno == ENOENT ? dir_make(args->root, 0700) : -errno;
		if (r == 0 && mkdir(dir, 0711) < 0)
			r = -errno;
	}
	if (r < 0)
		return err_code(err, r, "make '%s'", dir);
	*ret = take(dir);
	return 0;
}

static char *absolute(const char *dir, const char *path)
{
	return *path == '/' ? xstrdup(path) : xasprintf("%s/%s", dir, path);
}

int oci_save(const struct oci_container *c, const struct buf *config, struct err *err)
{
	cleanup(json_free) json_t *j = record_dump(oci_container_fields, c);
	cleanup(free) char *path = xasprintf("%s/" OCI_STATE, c->dir);
	cleanup(free) char *state = json_text(j, 0);
	cleanup(buf_free) struct buf text = { 0 };
	int r;

	/* As it was written: the members that we do not know are kept, and it need not be made anew. */
	buf_addf(&text, "%.*s,\"config\":", (int)strlen(state) - 1, state);
	buf_add(&text, config->data, config->len);
	buf_adds(&text, "}\n");
	if (text.len > JSON_MAX_BYTES)
		return err_set(err, EFBIG, OCI_CONFIG " is too large");
	r = file_write(AT_FDCWD, path, text.data, text.len, 0600, 0);
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

static int creation_failed(const struct oci_container *c, struct err *err)
{
	return strncmp(err->text, "exec '", 6) == 0
		       ? oci_exec_error(c, err)
		       : err_wrap(err,
				 "unable to start container process: error during container init");
}

static int create(const struct oci_create *args, struct oci_container *c, const struct buf *config,
	struct err *err)
{
	cleanup(fd_close) int console = -1, made = -1;
	struct run_create run = { .id = args->id,
		.bundle = c->bundle,
		.bundle_dir = AT_FDCWD,
		.run_dir = c->dir,
		.stdio = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
		.ret_console = &console,
		.plain_lines = args->process.ret_console,
		.keep_fds = args->process.keep_fds,
		.no_pivot = args->no_pivot,
		.no_new_keyring = args->no_new_keyring,
		.share_cgroup = true,
		.ret_start = args->start ? &made : NULL };
	int r = engine_container.create(&run, &c->run, err);

	if (r < 0)
		return creation_failed(c, err);
	c->created = time_now();
	r = oci_save(c, config, err);
	if (r == 0)
		r = oci_hand_over(&args->process, console, (pid_t)c->run.pid, err);
	if (r < 0) {
		engine_container.destroy(&c->run, NULL);
		return r;
	}
	if (args->process.ret_console)
		*args->process.ret_console = take_fd(console);
	c->fresh = args->start;
	c->start = take_fd(made);
	return 0;
}

/* An ordinary user has none without a user namespace; with one, over what is in it. */
static int take_rights(const struct bundle *b, struct err *err)
{
	bool own = false;

	if (geteuid() == 0)
		return 0;
	for (size_t i = 0; i < b->linux_.namespaces.n; i++) {
		const struct bundle_namespace *n = b->linux_.namespaces.items[i];
		own |= strcmp(n->type, "user") == 0;
	}
	if (!own)
		return err_set(err, EPERM,
			"rootless container requires user namespaces ('holm oci spec --rootless' makes such a "
			"configuration)");
	return rootless_take_rights(err);
}

int oci_prepare(const struct oci_create *args, struct oci_container **ret, struct buf *config,
	struct err *err)
{
	cleanup(oci_container_free) struct oci_container *c = xnew(struct oci_container);
	char path[PATH_MAX];
	int r = oci_id_check(args->id, err);

	if (r == 0)
		r = oci_check_fds(args->process.keep_fds, err);
	if (r == 0)
		r = read_bundle(config, &c->bundle, err);
	if (r == 0 && !c->bundle->process)
		r = err_set(err, EINVAL, "process property must not be empty");
	if (r == 0)
		r = oci_check_console(&args->process, c->bundle->process->terminal, err);
	if (r == 0 && !getcwd(path, sizeof(path)))
		r = err_errno(err, "find the bundle's path");
	if (r < 0)
		return r;
	c->id = xstrdup(args->id);
	c->bundle_path = xstrdup(path);
	c->rootfs = absolute(path, c->bundle->root_path);
	r = take_rights(c->bundle, err);
	if (r == 0)
		r = make_directory(args, &c->dir, err);
	if (r < 0)
		return r;
	r = oci_notify_prepare(c, err);
	if (r < 0) {
		dir_remove(AT_FDCWD, c->dir);
		return r;
	}
	*ret = take(c);
	return 0;
}

int oci_create(const struct oci_create *args, struct oci_container **ret, struct err *err)
{
	cleanup(oci_container_free) struct oci_container *c = NULL;
	cleanup(buf_free) struct buf config = { 0 };
	int r = oci_prepare(args, &c, &config, err);

	if (r < 0)
		return r;
	r = create(args, c, &config, err);
	if (r < 0) {
		dir_remove(AT_FDCWD, c->dir);
		return r;
	}
	*ret = take(c);
	return 0;
}

int oci_start(struct oci_container *c, struct err *err)
{
	cleanup(fd_close) int made = c->fresh ? take_fd(c->start) : -1;

	/* Asking the kernel costs as much as all the rest of it. */
	switch (c->fresh ? RUN_CREATED : oci_status(c)) {
	case RUN_STOPPED:
		return err_set(err, EINVAL, "cannot start a container that has stopped");
	case RUN_RUNNING:
		return err_set(err, EINVAL, "cannot start an already running container");
	case RUN_PAUSED:
		return err_set(err, EINVAL, "cannot start a container in the paused state");
	case RUN_CREATED:
		break;
	}
	c->fresh = false;
	if (engine_container.start(&c->run, made, err) == 0)
		return 0;
	/* A hook after the start may have been what failed. */
	engine_container.kill(&c->run, SIGKILL, false, NULL);
	return strncmp(err->text, "error running hook", 18) == 0 ? -err->code
								 : oci_exec_error(c, err);
}
