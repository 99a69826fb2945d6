/*
 * See oci.h: checkpoint and restore, through the program criu (criu(8)), which knows how to; here is what it
 * has to be told of a container. Mounts whose sources are outside (binds, masked files) are "external" to
 * it, named by where they are; standard descriptors that are pipes are inherited by whoever restores.
 */
#include "oci/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "oci/oci_internal.h"

#define DESCRIPTORS "descriptors.json"

/* Its exit status; what it says on standard error, in `said`. */
static int run_criu(char *const *argv, struct buf *said, struct err *err)
{
	int p[2], status = 0, r;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(p[1], STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(errno == ENOENT ? 127 : 126);
	}
	fd_close(p[1]);
	r = pid < 0 ? -errno : fd_read_to_end(p[0], 1u << 20, said);
	fd_close(p[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_code(err, r, "run '%s'", argv[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first line that says "Error": the later ones are its consequences. */
static char *first_error(const char *text)
{
	const char *at = text ? strstr(text, "Error") : NULL;

	return at ? xstrndup(at, strcspn(at, "\n")) : xstrdup("it gives no reason");
}

/* Whether criu works here at all; else why not, in one line. */
static int check(const char *criu, struct err *err)
{
	char *argv[] = { (char *)criu, (char *)"check", NULL };
	cleanup(buf_free) struct buf said = { 0 };
	int r = run_criu(argv, &said, err);
	cleanup(free) char *why = NULL;

	if (r <= 0)
		return r;
	if (r == 127)
		return err_set(err, ENOENT,
			"there is no '%s', which checkpoint and restore need: apt-get install criu, or --criu PATH",
			criu);
	why = first_error(said.data);
	return err_set(err, ENOTSUP, "criu does not work on this kernel: %s", why);
}

static bool is_external(const struct bundle_mount *m)
{
	return (m->type && strcmp(m->type, "bind") == 0) || strv_contains(m->options, "bind") ||
	       strv_contains(m->options, "rbind");
}

/* For a dump, mnt[PLACE]:PLACE; for restoring, mnt[PLACE]:SOURCE. */
static void add_mounts(char ***argv, const struct oci_container *c, bool restore)
{
	const struct bundle *b = c->bundle;

	for (size_t i = 0; i < b->mounts.n; i++) {
		const struct bundle_mount *m = b->mounts.items[i];
		if (!is_external(m))
			continue;
		strv_add(argv, "--external");
		strv_addf(argv, "mnt[%s]:%s", m->destination, restore ? m->source : m->destination);
	}
	strv_foreach (path, b->linux_.masked_paths) {
		cleanup(free) char *inside =
			xasprintf("/proc/%lld/root%s", (long long)c->run.pid, *path);
		struct stat st;
		/* Directories are covered with a file system of their own. */
		if (restore || stat(inside, &st) < 0 || S_ISDIR(st.st_mode))
			continue;
		strv_add(argv, "--external");
		strv_addf(argv, "mnt[%s]:%s", *path, *path);
	}
}

static void add_common(char ***argv, const struct oci_checkpoint *o, const char *log)
{
	strv_add(argv, "-v4");
	strv_addf(argv, "--images-dir=%s", o->image_path);
	strv_addf(argv, "--work-dir=%s", o->work_path);
	strv_addf(argv, "--log-file=%s", log);
	strv_addf(argv, "--manage-cgroups=%s", o->cgroups_mode ? o->cgroups_mode : "soft");
	if (o->tcp_established)
		strv_add(argv, "--tcp-established");
	if (o->ext_unix_sk)
		strv_add(argv, "--ext-unix-sk");
	if (o->shell_job)
		strv_add(argv, "--shell-job");
	if (o->file_locks)
		strv_add(argv, "--file-locks");
	if (o->auto_dedup)
		strv_add(argv, "--auto-dedup");
	strv_foreach (ns, o->empty_ns)
		strv_addf(argv, "--empty-ns=%s", *ns);
}

static int failed(
	const char *what, const char *log, const struct oci_checkpoint *o, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/%s", o->work_path, log);
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *why = NULL;

	file_read(AT_FDCWD, path, 64u << 20, &text);
	why = first_error(text.data);
	return err_set(err, EIO, "criu failed to %s: %s (all of it is in %s)", what, why, path);
}

/* Where the standard descriptors led, so that restoring can put the caller's in their place. */
static int save_descriptors(const struct oci_container *c, const char *dir, struct err *err)
{
	cleanup(json_free) json_t *list = json_array();
	cleanup(free) char *path = xasprintf("%s/" DESCRIPTORS, dir);

	for (int fd = 0; fd < 3; fd++) {
		char link[64], target[PATH_MAX];
		ssize_t n;
		snprintf(link, sizeof(link), "/proc/%lld/fd/%d", (long long)c->run.pid, fd);
		n = readlink(link, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		json_array_append_new(list, json_shown(target));
	}
	return json_write(AT_FDCWD, path, list, 0, err);
}

static int make_directories(const struct oci_checkpoint *o, struct err *err)
{
	int r = dir_make(o->image_path, 0700);

	if (r == 0)
		r = dir_make(o->work_path, 0700);
	return r < 0 ? err_code(err, r, "make '%s'", o->image_path) : 0;
}

int oci_checkpoint(struct oci_container *c, const struct oci_checkpoint *o, struct err *err)
{
	cleanup(strv_free) char **argv = NULL;
	cleanup(buf_free) struct buf said = { 0 };
	enum run_status status = oci_status(c);
	int r;

	if (status == RUN_STOPPED || status == RUN_CREATED)
		return err_set(err, EINVAL, "Container cannot be checkpointed in %s state",
			oci_status_name(status));
	r = check(o->criu, err);
	if (r == 0)
		r = oci_config(c, err);
	if (r == 0)
		r = make_directories(o, err);
	if (r == 0)
		r = save_descriptors(c, o->image_path, err);
	if (r < 0)
		return r;
	strv_add(&argv, o->criu);
	strv_add(&argv, o->pre_dump ? "pre-dump" : "dump");
	strv_addf(&argv, "--tree=%lld", (long long)c->run.pid);
	add_common(&argv, o, "dump.log");
	add_mounts(&argv, c, /* restore= */ false);
	if (o->leave_running)
		strv_add(&argv, "--leave-running");
	if (o->parent_path) {
		strv_addf(&argv, "--prev-images-dir=%s", o->parent_path);
		strv_add(&argv, "--track-mem");
	}
	if (o->page_server) {
		cleanup(strv_free) char **parts = strv_split(o->page_server, ':');
		strv_add(&argv, "--page-server");
		strv_addf(&argv, "--address=%s", parts[0]);
		strv_addf(&argv, "--port=%s", parts[1] ? parts[1] : "0");
	}
	r = run_criu(argv, &said, err);
	if (r != 0)
		return r < 0 ? r : failed("dump", "dump.log", o, err);
	/* The processes are in the image now, and what is left is taken down. */
	return o->leave_running || o->pre_dump ? 0 : oci_destroy(c, err);
}

static void inherit_descriptors(char ***argv, const char *dir)
{
	cleanup(free) char *path = xasprintf("%s/" DESCRIPTORS, dir);
	cleanup(json_free) json_t *list = json_read(AT_FDCWD, path, NULL);

	for (size_t fd = 0; fd < 3 && fd < json_array_size(list); fd++) {
		const char *target = json_string_value(json_array_get(list, fd));
		if (!target || strncmp(target, "pipe:", 5) != 0)
			continue;
		strv_add(argv, "--inherit-fd");
		strv_addf(argv, "fd[%zu]:%s", fd, target);
	}
}

static int read_pid(const char *path, int64_t *ret)
{
	char line[32];
	int r = file_get_line(AT_FDCWD, path, line, sizeof(line));

	return r < 0 ? r : parse_i64(line, 1, INT32_MAX, ret);
}

int oci_restore(const struct oci_create *args, const struct oci_checkpoint *o,
	struct oci_container **ret, struct err *err)
{
	cleanup(oci_container_free) struct oci_container *c = NULL;
	cleanup(strv_free) char **argv = NULL;
	cleanup(buf_free) struct buf said = { 0 }, config = { 0 };
	cleanup(free) char *pid_file = NULL;
	int r = check(o->criu, err);

	if (r == 0)
		r = oci_prepare(args, &c, &config, err);
	if (r < 0)
		return r;
	pid_file = xasprintf("%s/restored.pid", c->dir);
	strv_add(&argv, o->criu);
	strv_add(&argv, "restore");
	strv_addf(&argv, "--root=%s", c->rootfs);
	strv_add(&argv, "--restore-detached");
	strv_add(&argv, "--restore-sibling");
	strv_addf(&argv, "--pidfile=%s", pid_file);
	add_common(&argv, o, "restore.log");
	add_mounts(&argv, c, /* restore= */ true);
	inherit_descriptors(&argv, o->image_path);
	r = run_criu(argv, &said, err);
	if (r > 0)
		r = failed("restore", "restore.log", o, err);
	if (r == 0)
		r = read_pid(pid_file, &c->run.pid);
	if (r == 0)
		r = run_pid_start((pid_t)c->run.pid, &c->run.pid_start);
	if (r == 0) {
		c->run.run_dir = xstrdup(c->dir);
		c->run.cgroup = xstrdup_null(c->bundle->linux_.cgroups_path);
		c->created = time_now();
		r = oci_save(c, &config, err);
	}
	if (r == 0)
		r = oci_hand_over(&args->process, -1, (pid_t)c->run.pid, err);
	if (r < 0) {
		if (c->run.pid > 0)
			engine_container.destroy(&c->run, NULL);
		dir_remove(AT_FDCWD, c->dir);
		return r;
	}
	*ret = take(c);
	return 0;
}
