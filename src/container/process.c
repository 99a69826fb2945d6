/* See process.h. */
#include "container/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CAP_BIT(cap) (1ull << (cap))

void process_detach(const struct process_setup *s)
{
	sigset_t none;

	/* Whatever the caller's libraries left open; ours are marked already. */
	close_range(3 + (unsigned)s->keep_fds, ~0u, CLOSE_RANGE_CLOEXEC);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (s->parent >= 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
}

/* ---- identity */

static int set_security_labels(const struct bundle_process *p, struct err *err)
{
	const char *apparmor = p->apparmor_profile, *selinux = p->selinux_label;
	cleanup(free) char *text = NULL;
	cleanup(fd_close) int fd = -1;
	struct statfs fs;

	if ((!apparmor || !*apparmor) && (!selinux || !*selinux))
		return 0;
	if (apparmor && *apparmor) {
		text = xasprintf("exec %s", apparmor);
		fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	} else {
		text = xstrdup(selinux);
	}
	if (fd < 0)
		fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "process: open '/proc/self/attr/exec'");
	/* A file put there by the image would swallow the label (CVE-2019-16884). */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EPERM, "process: '/proc' of the container is no procfs");
	int r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_code(err, r, "process: set the label '%s'", text) : 0;
}

static int cannot_become(const char *what, uint32_t id, struct err *err)
{
	if (errno == EINVAL)
		return err_set(
			err, EINVAL, "process.user: the user namespace has no %s %u", what, id);
	return err_errno(err, "process.user: become %s %u", what, id);
}

static int set_groups(const struct bundle_user *u, struct err *err)
{
	const struct u32v *g = &u->additional_gids;
	bool none = g->n == 0 || (g->n == 1 && g->v[0] == u->gid);

	/* EPERM: a user namespace where setgroups is denied has none to drop. */
	if (setgroups(g->n, g->v) < 0 && !(none && errno == EPERM))
		return err_errno(err, "process.user: set the additional groups%s",
			errno == EINVAL ? ", which the user namespace lacks" : "");
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return cannot_become("group", u->gid, err);
	return 0;
}

/* Changing ids takes the signal away again (prctl(2), PR_SET_PDEATHSIG), so it is set once more, and
 * the parent looked for: it may have died in between. */
static void die_with_parent(int parent)
{
	struct pollfd p = { .fd = parent, .events = POLLIN };

	if (parent < 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&p, 1, 0) == 1)
		_exit(128 + SIGKILL);
}

static int become_user(const struct process_setup *s, struct err *err)
{
	const struct bundle_user *u = &s->process->user;
	int r;

	if (s->has_caps) {
		r = capabilities_limit(&s->caps);
		if (r < 0)
			return err_code(err, r, "process.capabilities: limit the bounding set");
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			return err_errno(err, "process.capabilities: keep them");
	}
	r = set_groups(u, err);
	if (r < 0)
		return r;
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return cannot_become("user", u->uid, err);
	/* Not readable by others until execve, after the change of ids as before. */
	prctl(PR_SET_DUMPABLE, 0);
	die_with_parent(s->parent);
	return 0;
}

/* ---- working directory, program */

static int check_cwd(const char *cwd, struct err *err)
{
	char path[PATH_MAX];

	/* A way out that was left open somewhere would show as "(unreachable)/..." or as nothing
	 * (CVE-2024-21626). */
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0 || path[0] != '/')
		return err_set(err, EPERM, "process.cwd: '%s' is outside the container", cwd);
	return 0;
}

static bool may_run(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return false;
	}
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

static char *find_program(const char *name, char *const *env, int *ret_code)
{
	const char *path = strv_env_get(env, "PATH");
	cleanup(strv_free) char **dirs = NULL;
	int code = ENOENT;

	if (strchr(name, '/')) {
		if (may_run(name))
			return xstrdup(name);
		*ret_code = errno;
		return NULL;
	}
	dirs = strv_split(path && *path ? path : DEFAULT_PATH, ':');
	strv_foreach (d, dirs) {
		char *file = xasprintf("%s/%s", **d ? *d : ".", name);
		if (may_run(file))
			return file;
		if (errno == EACCES)
			code = EACCES;
		free(file);
	}
	*ret_code = code;
	return NULL;
}

/* The field of a line of passwd(5), which the image may have written as it likes. */
static char *home_of_line(char *line, uint32_t uid)
{
	char *field[7] = { line };
	char want[16];

	for (int i = 1; i < 7; i++) {
		char *colon = strchr(field[i - 1], ':');
		if (!colon)
			return NULL;
		*colon = '\0';
		field[i] = colon + 1;
	}
	snprintf(want, sizeof(want), "%u", uid);
	return strcmp(field[2], want) == 0 && field[5][0] == '/' ? field[5] : NULL;
}

/* $HOME where the bundle says nothing, as all runtimes do it. */
static char *home_of(uint32_t uid)
{
	cleanup(fd_close) int fd =
		open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup(buf_free) struct buf text = { 0 };
	struct stat st;
	char *line, *next;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		fd_read_to_end(fd, 1 << 20, &text) < 0 || !text.data)
		return xstrdup("/");
	for (line = text.data; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *home = home_of_line(line, uid);
		if (home)
			return xstrdup(home);
	}
	return xstrdup("/");
}

static char **make_env(const struct bundle_process *p)
{
	char **env = NULL;
	const char *home;

	/* Of a name that is given twice the last value counts. */
	strv_foreach (e, p->env) {
		if (strchr(*e, '='))
			strv_env_set(&env, *e);
		else
			strv_add(&env, *e);
	}
	home = strv_env_get(env, "HOME");
	if (!home || !*home) {
		cleanup(free) char *dir = home_of(p->user.uid);
		cleanup(free) char *line = xasprintf("HOME=%s", dir);
		strv_env_set(&env, line);
	}
	return env;
}

static int find(struct process_setup *s, struct err *err)
{
	const char *name = s->process->args[0];
	int code = 0;

	if (s->program)
		return 0;
	if (!s->env)
		s->env = make_env(s->process);
	s->program = find_program(name, s->env, &code);
	return s->program ? 0 : err_code(err, -code, "exec '%s'", name);
}

/* For the kernel's checks of paths alone, and without root's rights over them. Groups are the user's to see as
 * well; where they cannot be set, process_run() will say so. */
static void see_as(uid_t uid, gid_t gid, size_t n, const gid_t *groups)
{
	if (setgroups(n, groups) < 0)
		log_debug("container", "groups stay: %s", strerror(errno));
	/* The right to change them goes with the user. */
	setfsgid(gid);
	setfsuid(uid);
}

int process_find(struct process_setup *s, struct err *err)
{
	const struct bundle_user *u = &s->process->user;
	const char *cwd = s->process->cwd;
	int r, n = u->uid ? getgroups(0, NULL) : 0;
	cleanup(free) gid_t *own = xcalloc((size_t)(n > 0 ? n : 0) + 1, sizeof(*own));
	bool entered = chdir(cwd) == 0;

	if (u->uid) {
		n = n > 0 ? getgroups(n, own) : 0;
		see_as(u->uid, u->gid, u->additional_gids.n, u->additional_gids.v);
	}
	/* Where nobody can go, process_run() says that. */
	r = entered || chdir(cwd) == 0 ? find(s, err) : 0;
	if (u->uid) {
		setfsuid(geteuid());
		see_as(geteuid(), getegid(), n > 0 ? (size_t)n : 0, own);
		die_with_parent(s->parent);
	}
	if (chdir("/") < 0)
		return err_errno(err, "enter the root");
	return r;
}

/* ---- the end */

static int send_listener(const struct process_setup *s, int fd, struct err *err)
{
	int r = fd_send(s->listener, s->listener_state, strlen(s->listener_state), &fd, 1);

	fd_close(fd);
	return r < 0 ? err_code(err, r, "linux.seccomp.listenerPath: send the descriptor") : 0;
}

static int apply_filter(const struct process_setup *s, struct err *err)
{
	int fd = seccomp_apply(&s->filter);

	if (fd < 0)
		return err_code(err, fd, "seccomp: set the filter");
	return s->filter.has_listener && s->listener >= 0 ? send_listener(s, fd, err) : 0;
}

/*
 * Setting a filter takes no_new_privs or CAP_SYS_ADMIN, which is therefore the last to go; so a
 * filter needs to allow no more of us than capset and execveat.
 */
static int restrict_rights(const struct process_setup *s, struct err *err)
{
	bool no_new_privs = s->process->no_new_privileges;
	bool borrow = s->has_caps && s->has_filter && !no_new_privs;
	int r = 0;

	if (s->has_caps) {
		r = capabilities_set(&s->caps, borrow ? CAP_BIT(CAP_SYS_ADMIN) : 0);
		if (r == 0)
			r = capabilities_raise_ambient(&s->caps);
		if (r < 0)
			return err_code(err, r, "process.capabilities: set them");
	}
	if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, "process.noNewPrivileges");
	if (!s->has_filter)
		return 0;
	r = apply_filter(s, err);
	if (r < 0)
		return r;
	r = borrow ? capabilities_set(&s->caps, 0) : 0;
	return r < 0 ? err_code(err, r, "process.capabilities: set them") : 0;
}

static char **init_arguments(const struct process_setup *s, const char *program, int conn)
{
	char **argv = NULL;

	strv_add(&argv, "holm-init");
	strv_add(&argv, s->reaper ? "init" : "exec");
	strv_addf(&argv, "%d", conn);
	strv_add(&argv, program);
	strv_add_all(&argv, s->process->args);
	return argv;
}

int process_run(struct process_setup *s, int conn, struct err *err)
{
	const struct bundle_process *p = s->process;
	const char *label = p->selinux_label;
	bool direct = label && *label && !s->reaper;
	cleanup(strv_free) char **argv = NULL;
	bool entered;
	int r;

	if (s->personality >= 0 && personality((unsigned long)s->personality) < 0)
		return err_errno(err, "linux.personality");
	r = s->memory.is_set ? memory_policy_set(&s->memory) : 0;
	if (r < 0)
		return err_code(err, r, "linux.memoryPolicy: set_mempolicy");
	umask(p->user.umask ? (mode_t)*p->user.umask : 0022);
	r = set_security_labels(p, err);
	if (r < 0)
		return r;
	/* As root and, where that is not enough (NFS), as the user. */
	entered = chdir(p->cwd) == 0;
	r = become_user(s, err);
	if (r < 0)
		return r;
	if (!entered && chdir(p->cwd) < 0)
		return err_errno(err, "process.cwd: enter '%s'", p->cwd);
	r = check_cwd(p->cwd, err);
	if (r < 0)
		return r;
	r = find(s, err);
	if (r < 0)
		return r;
	argv = init_arguments(s, s->program, conn);
	/* Marked only now: the init program marks it again before it executes the user's. */
	if (!direct && fcntl(conn, F_SETFD, 0) < 0)
		return err_errno(err, "hand on a descriptor");
	r = process_limit_files(p);
	if (r < 0)
		return err_code(err, r, "process.rlimits: set RLIMIT_NOFILE");
	r = restrict_rights(s, err);
	if (r == 0 && s->last)
		r = s->last(s->data, s->env, err);
	if (r < 0)
		return r;
	/* An SELinux label is taken on at the first execve, and only entry points that its policy
	 * knows will do: the policy is what protects the host's files then. */
	if (direct)
		execve(s->program, p->args, s->env);
	else
		syscall(SYS_execveat, s->init, "", argv, s->env, AT_EMPTY_PATH);
	return err_errno(err, "exec '%s'", p->args[0]);
}
