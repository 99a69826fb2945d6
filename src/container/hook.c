/* See hook.h. */
#include "container/hook.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"

#define FILE_NAME "hooks.json"

static json_t *state_json(const struct hook_state *s, const char *status, pid_t pid)
{
	json_t *annotations = json_object(), *j;

	map_foreach (kv, s->annotations)
		json_object_set_new(annotations, kv[0], json_string(kv[1]));
	j = json_pack("{s:s, s:s, s:s, s:s, s:o}", "ociVersion", s->oci_version, "id", s->id,
		"status", status, "bundle", s->bundle, "annotations", annotations);
	if (j && pid)
		json_object_set_new(j, "pid", json_integer(pid));
	return j;
}

static int open_input(const struct hook_state *s, const char *status, pid_t pid)
{
	cleanup(json_free) json_t *j = state_json(s, status, pid);
	cleanup(fd_close) int fd = memfd_create("state", MFD_CLOEXEC);
	cleanup(free) char *text = NULL;
	int r;

	if (!j)
		return -EILSEQ;
	if (fd < 0)
		return -errno;
	text = json_text(j, 0);
	r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : take_fd(fd);
}

static _Noreturn void become_hook(
	const struct bundle_hook *h, char *const *env, int input, int errors)
{
	static char *const empty[] = { NULL };
	char *self[] = { h->path, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	dup2(input, STDIN_FILENO);
	if (errors >= 0)
		dup2(errors, STDERR_FILENO);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	execve(h->path, h->args ? h->args : self, h->env ? h->env : env ? env : empty);
	_exit(errno == ENOENT ? 127 : 126);
}

static int wait_for_hook(const struct bundle_hook *h, pid_t pid, struct err *err)
{
	cleanup(fd_close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int64_t end = h->timeout ? time_monotonic() + *h->timeout * INT64_C(1000000000) : 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	bool late = false;
	int status, n;

	while (h->timeout && fd >= 0) {
		int64_t left = (end - time_monotonic()) / 1000000;
		n = poll(&p, 1, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
		if (n == 1)
			break;
		if (n < 0 ? errno != EINTR : left <= 0) {
			late = true;
			kill(pid, SIGKILL);
			break;
		}
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, "wait for '%s'", h->path);
	if (late)
		return err_set(err, ETIMEDOUT, "'%s' did not end within %lld s", h->path,
			(long long)*h->timeout);
	if (WIFSIGNALED(status)) {
		cleanup(free) char *name = xstrdup(strsignal(WTERMSIG(status)));
		name[0] = (char)tolower((unsigned char)name[0]);
		return err_set(err, EIO, "'%s' was killed: signal: %s", h->path, name);
	}
	if (WEXITSTATUS(status))
		return err_set(err, EIO, "'%s' ended with status %d", h->path, WEXITSTATUS(status));
	return 0;
}

/* What the hook said: with the reason why it failed, else where it would have gone. */
static void show_errors(int fd, struct err *err)
{
	char text[256];
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return;
	if (!err) {
		if (lseek(fd, 0, SEEK_SET) == 0)
			fd_copy(fd, STDERR_FILENO, 1 << 20);
		return;
	}
	while (n > 0 && text[n - 1] == '\n')
		n--;
	struct err old = *err;
	err_set(err, old.code, "%s, stderr: %.*s", old.text, (int)n, text);
}

static int run_hook(const struct bundle_hook *h, const struct hook_state *state, const char *status,
	pid_t pid, struct err *err)
{
	cleanup(fd_close) int input = open_input(state, status, pid);
	/* A file, not a pipe: what a hook leaves running may keep it open. */
	cleanup(fd_close) int errors = memfd_create("errors", MFD_CLOEXEC);
	pid_t child;
	int r;

	if (input < 0)
		return err_code(err, input, "write the state for '%s'", h->path);
	child = fork();
	if (child == 0)
		become_hook(h, state->env, input, errors);
	if (child < 0)
		return err_errno(err, "make a process");
	r = wait_for_hook(h, child, err);
	show_errors(errors, r < 0 ? err : NULL);
	return r;
}

int hooks_run(const struct record_list *hooks, const char *name, const struct hook_state *state,
	const char *status, pid_t pid, struct err *err)
{
	for (size_t i = 0; i < hooks->n; i++)
		if (run_hook(hooks->items[i], state, status, pid, err) < 0)
			return err_wrap(
				err, "error running hook: error running %s hook #%zu", name, i);
	return 0;
}

/* ---- kept for later */

int hooks_keep(const struct bundle *b, const struct hook_state *state, int run_dir, struct err *err)
{
	cleanup(json_free) json_t *j = NULL;

	if (!b->hooks.poststart.n && !b->hooks.poststop.n)
		return 0;
	j = json_pack("{s:s, s:s, s:o}", "id", state->id, "bundle", state->bundle, "config",
		bundle_dump(b));
	if (!j)
		return err_set(err, EILSEQ, "hooks: the bundle is not UTF-8");
	return json_write(run_dir, FILE_NAME, j, 0, err);
}

struct kept {
	json_t *json;
	struct bundle *bundle;
	struct hook_state state;
};

static void kept_free(struct kept *k)
{
	json_free(k->json);
	bundle_free(k->bundle);
}
DEFINE_CLEANUP_OBJECT(kept_free, struct kept);

/* 1: there are some; 0: none. */
static int load(int run_dir, struct kept *ret, struct err *err)
{
	struct kept k = { 0 };
	struct err why;
	int r;

	k.json = json_read(run_dir, FILE_NAME, &why);
	if (!k.json)
		return why.code == ENOENT ? 0 : err_set(err, why.code, "%s", why.text);
	r = bundle_parse(json_object_get(k.json, "config"), &k.bundle, &why);
	if (r < 0) {
		kept_free(&k);
		return err_set(err, why.code, "%s", why.text);
	}
	k.state = (struct hook_state){ .oci_version = k.bundle->oci_version,
		.id = json_string_value(json_object_get(k.json, "id")),
		.bundle = json_string_value(json_object_get(k.json, "bundle")),
		.annotations = k.bundle->annotations };
	*ret = k;
	return 1;
}

int hooks_run_poststart(int run_dir, pid_t pid, struct err *err)
{
	cleanup(kept_free) struct kept k = { 0 };
	int r = load(run_dir, &k, err);

	if (r <= 0)
		return r;
	return hooks_run(&k.bundle->hooks.poststart, "poststart", &k.state, "running", pid, err);
}

void hooks_run_poststop(int run_dir)
{
	cleanup(kept_free) struct kept k = { 0 };
	const struct record_list *hooks;
	struct err err;
	int r = load(run_dir, &k, &err);

	if (r < 0)
		log_warn("%s", err.text);
	/* Before they run: what fails or is interrupted is not done twice. */
	if (r != 0)
		unlinkat(run_dir, FILE_NAME, 0);
	hooks = r > 0 ? &k.bundle->hooks.poststop : NULL;
	for (size_t i = 0; hooks && i < hooks->n; i++)
		if (run_hook(hooks->items[i], &k.state, "stopped", 0, &err) < 0)
			log_warn("hooks.poststop[%zu]: %s", i, err.text);
}
