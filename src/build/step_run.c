/*
 * RUN: the program in a container of its own, by the engine that `run` uses. A process of its own (keeper.h) makes the
 * container, waits for its end and takes it down, also when the build has died: then its socket is closed. What it
 * leaves when it is killed too is found in RUN/builds by the next build.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "build/internal.h"
#include "build/keeper.h"
#include "instance/instance.h"
#include "instance/root.h"
#include "instance/spec.h"
#include "rootless/rootless.h"

#define MAX_LINE 16384u
#define POLL_MS 100

extern char **environ;

struct run {
	struct step *p;
	struct instance i;
	struct image image;
	struct bundle *bundle;
	struct run_mounts mounts;
	char *name; /* of the upper directory, in the maker's tmp */
	bool network;
};

static void run_clear(struct run *r)
{
	struct build *b = r->p->stage->build;

	if (r->network) {
		pthread_mutex_lock(&b->mutex);
		network_release(b->db, r->i.config.id, NULL, NULL);
		pthread_mutex_unlock(&b->mutex);
	}
	run_mounts_clear(&r->mounts);
	bundle_free(r->bundle);
	strv_free(r->image.layer_dirs);
	if (r->i.run_dir)
		dir_remove(AT_FDCWD, r->i.run_dir);
	record_clear(instance_state_fields, &r->i.state);
	instance_config_clear(&r->i.config);
	free(r->i.dir);
	free(r->i.run_dir);
	free(r->name);
}
DEFINE_CLEANUP_OBJECT(run_clear, struct run);

/* The shell sees heredocs as they stand; one that is all there is, is the script itself. */
static char *shell_text(const struct dockerfile_step *s)
{
	cleanup(buf_free) struct buf text = { 0 };

	if (s->n_heredocs == 1 && strncmp(s->text, "<<", 2) == 0 && !strpbrk(s->text, " \t"))
		return xstrdup(s->heredocs[0].text);
	buf_adds(&text, s->text);
	for (size_t i = 0; i < s->n_heredocs; i++)
		buf_addf(&text, "\n%s%s\n", s->heredocs[i].text, s->heredocs[i].name);
	return buf_detach(&text);
}

static void set_command(struct step *p, struct instance_config *c)
{
	char *const *shell = p->stage->config.config.shell;
	cleanup(free) char *text = NULL, *joined = NULL;

	if (p->s->exec && p->s->exec[0]) {
		strv_add_all(&c->cmd, p->s->exec);
		return;
	}
	if (shell) {
		strv_add_all(&c->cmd, shell);
	} else {
		strv_add(&c->cmd, "/bin/sh");
		strv_add(&c->cmd, "-c");
	}
	text = shell_text(p->s);
	strv_add(&c->cmd, text);
	joined = strv_join(c->cmd, " ");
	p->created_by = xasprintf("RUN %s", joined);
}

/* A script with a "#!" is run by that: a file of its own. */
static int set_script(struct run *r, struct err *err)
{
	const struct dockerfile_step *s = r->p->s;
	struct instance_config *c = &r->i.config;
	struct instance_mount *m;
	cleanup(free) char *path = NULL;
	int n;

	if (s->n_heredocs != 1 || strncmp(s->text, "<<", 2) != 0 || strpbrk(s->text, " \t") ||
		strncmp(s->heredocs[0].text, "#!", 2) != 0)
		return 0;
	path = xasprintf("%s/script", r->i.dir);
	n = file_write(AT_FDCWD, path, s->heredocs[0].text, strlen(s->heredocs[0].text), 0755, 0);
	if (n < 0)
		return err_code(err, n, "write '%s'", path);
	m = record_list_add(&c->mounts, sizeof(*m));
	*m = (struct instance_mount){ .type = xstrdup("bind"),
		.source = xstrdup(path),
		.target = xasprintf("/dev/pipes/%s", s->heredocs[0].name),
		.read_only = true };
	strv_free(c->cmd);
	c->cmd = NULL;
	strv_add(&c->cmd, m->target);
	return 0;
}

static int set_network(struct step *p, struct instance_config *c, struct err *err)
{
	const char *flag = dockerfile_flag(p->s, "network");
	const char *mode =
		flag && strcmp(flag, "default") != 0 ? flag : p->stage->build->config->network;

	if (!mode || !*mode || strcmp(mode, "default") == 0)
		mode = "bridge";
	if (flag && strcmp(flag, "default") != 0 && strcmp(flag, "none") != 0 &&
		strcmp(flag, "host") != 0)
		return err_set(err, EINVAL, "--network=%s: expected default, none or host", flag);
	if (strcmp(mode, "host") == 0 && rootless())
		return err_set(err, ENOTSUP,
			"the host's network is out of reach of an ordinary user's build: leave --network out");
	c->network_mode = xstrdup(mode);
	if (strcmp(mode, "none") != 0 && strcmp(mode, "host") != 0) {
		struct instance_network *n = record_list_add(&c->networks, sizeof(*n));
		n->network = xstrdup(mode);
	}
	return 0;
}

static int set_config(struct step *p, struct instance_config *c, struct err *err)
{
	const struct image_process *from = &p->stage->config.config;
	const struct build_config *config = p->stage->build->config;
	const char *security = dockerfile_flag(p->s, "security");

	if (security && strcmp(security, "sandbox") != 0)
		return err_set(err, ENOTSUP,
			"--security=%s: builds run with the rights of an ordinary container only",
			security);
	c->env = stage_vars(p->stage);
	strv_foreach (a, config->args) {
		cleanup(free) char *name = xstrndup(*a, strcspn(*a, "="));
		const char *value = build_arg(p->stage->build, name);
		if (arg_is_predefined(name) && value && !strv_env_get(c->env, name))
			strv_addf(&c->env, "%s=%s", name, value);
	}
	c->isolation = xstrdup("container");
	c->hostname = xstrdup("build");
	c->name = xasprintf("build-%.12s", c->id);
	c->image = xstrdup(p->stage->base_name);
	c->user = xstrdup_null(from->user);
	c->working_dir = xstrdup_null(from->working_dir);
	c->extra_hosts = strv_copy(config->add_hosts);
	c->limits.shm_size = config->shm_size;
	c->limits.memory = config->memory;
	c->limits.memory_swappiness = -1;
	c->stop_signal = xstrdup("SIGTERM");
	c->log_driver = xstrdup("none");
	c->restart.policy = xstrdup("no");
	c->auto_remove = true;
	return set_network(p, c, err);
}

/* All that the program can see, but for what is not to matter: secrets, caches, proxies. */
static void add_key(struct step *p, const struct instance_config *c)
{
	cleanup(strv_free) char **vars = stage_vars(p->stage);
	char **seen = NULL;

	strv_foreach (v, vars) {
		cleanup(free) char *name = xstrndup(*v, strcspn(*v, "="));
		if (!arg_is_predefined(name) || strv_env_get(p->stage->config.config.env, name))
			strv_add(&seen, *v);
	}
	key_strv(&p->key, seen);
	strv_free(seen);
	key_strv(&p->key, c->cmd);
	key_text(&p->key, c->user);
	key_text(&p->key, c->working_dir);
	key_text(&p->key, c->network_mode);
	key_strv(&p->key, c->extra_hosts);
	key_text(&p->key, p->stage->config.architecture);
}

static int make_dirs(struct run *r, struct err *err)
{
	struct build *b = r->p->stage->build;
	static const char *const names[] = { "", "/upper", "/work" };
	cleanup(free) char *rootfs = NULL;

	r->name = build_name(b, "r");
	r->i.dir = xasprintf("%s/%sd", image_maker_path(b->maker), r->name);
	r->i.run_dir = xasprintf("%s/%s", b->run_dir, r->i.config.id);
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		cleanup(free) char *path = xasprintf("%s%s", r->i.dir, names[n]);
		if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
			return err_errno(err, "make '%s'", path);
	}
	rootfs = xasprintf("%s/rootfs", r->i.run_dir);
	if (mkdir(r->i.run_dir, 0711) < 0 || mkdir(rootfs, 0755) < 0)
		return err_errno(err, "make '%s'", rootfs);
	return 0;
}

static int reserve_network(struct run *r, struct err *err)
{
	struct build *b = r->p->stage->build;
	const struct instance_network *net;
	struct bundle_endpoint *ep;
	int n;

	if (!r->i.config.networks.n)
		return 0;
	net = r->i.config.networks.items[0];
	ep = record_list_add(&r->i.state.endpoints, sizeof(*ep));
	const struct endpoint_request request = { .network = net->network,
		.instance = r->i.config.id,
		.name = r->i.config.name,
		.hostname = r->i.config.hostname,
		.link = "eth0",
		.is_default = true };
	r->network = true;
	n = network_reserve(b->db, &request, ep, err);
	return n < 0 ? n : network_up(b->db, net->network, err);
}

static int prepare(struct run *r, struct err *err)
{
	struct build *b = r->p->stage->build;
	cleanup(free) char *path = NULL;
	int n = make_dirs(r, err);

	if (n == 0)
		n = set_script(r, err);
	if (n == 0)
		n = run_mounts_make(r->p, r->i.dir, &r->i.config, &r->mounts, err);
	if (n < 0)
		return n;
	r->image.layer_dirs = stage_layer_dirs(r->p->stage);
	pthread_mutex_lock(&b->mutex);
	n = reserve_network(r, err);
	if (n == 0)
		n = spec_build(b->db, &r->i, &r->image, &r->bundle, err);
	pthread_mutex_unlock(&b->mutex);
	path = xasprintf("%s/" KEEPER_BUNDLE, r->i.run_dir);
	return n < 0 ? n : bundle_write(r->bundle, AT_FDCWD, path, err);
}

static void keep_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

/* What it needs are descriptors: the two, those that the bundle's mounts name, and the lock that says who owns. */
static _Noreturn void become_keeper(const struct run *r, int control, int output)
{
	char control_text[16], output_text[16];
	const char *argv[] = { "holm", "--root", paths_root(), "--run", paths_run(), "build-keeper",
		r->i.run_dir, control_text, output_text, NULL };
	sigset_t none;

	snprintf(control_text, sizeof(control_text), "%d", control);
	snprintf(output_text, sizeof(output_text), "%d", output);
	keep_open(control);
	keep_open(output);
	keep_open(r->p->stage->build->run_lock);
	for (size_t i = 0; i < r->mounts.n_origins; i++)
		keep_open(r->mounts.origins[i].root);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", (char **)argv, environ);
	_exit(127);
}

struct output {
	struct step *p;
	struct buf line;
};

static void tell_line(struct output *o)
{
	struct build_event event = { .kind = BUILD_OUTPUT,
		.step = o->p->number,
		.stage = o->p->stage->name,
		.text = o->line.data ? o->line.data : "" };

	build_tell(o->p->stage->build, &event);
	o->line.len = 0;
	if (o->line.data)
		o->line.data[0] = '\0';
}

/* False at the end. */
static bool read_output(struct output *o, int fd)
{
	char data[8192];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] == '\n' || o->line.len == MAX_LINE)
			tell_line(o);
		if (data[i] != '\n' && data[i] != '\0')
			buf_addc(&o->line, data[i]);
	}
	return n > 0;
}

/* The program's output, then the result. When the build is to end, the container goes with our socket's end. */
static int follow(
	struct run *r, int control, int output, struct keeper_result *result, struct err *err)
{
	cleanup(buf_free) struct buf rest = { 0 };
	struct output o = { .p = r->p };
	struct pollfd fds[] = { { .fd = output, .events = POLLIN },
		{ .fd = control, .events = POLLIN } };
	bool stopped = false;
	int n = 0;

	while (fds[1].fd >= 0) {
		if (poll(fds, 2, POLL_MS) < 0 && errno != EINTR)
			break;
		if (fds[0].revents && !read_output(&o, output))
			fds[0].fd = -1;
		if (fds[1].revents) {
			n = (int)fd_recv(control, result, sizeof(*result), NULL, 0);
			fds[1].fd = -1;
		}
		if (!stopped && build_check(r->p->stage->build, NULL) < 0) {
			stopped = true;
			shutdown(control, SHUT_WR);
		}
	}
	while (fds[0].fd >= 0 && read_output(&o, output))
		;
	if (o.line.len)
		tell_line(&o);
	buf_free(&o.line);
	if (stopped)
		return build_check(r->p->stage->build, err);
	if (n != sizeof(*result))
		return err_set(err, EIO, "the process that ran it died");
	return 0;
}

static int start_and_follow(struct run *r, struct keeper_result *result, struct err *err)
{
	struct build *b = r->p->stage->build;
	int control[2], output[2], n;
	pid_t pid;

	/* Others that fork now would hold on to the ends that are closed below. */
	pthread_mutex_lock(&b->mutex);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
		pipe2(output, O_CLOEXEC) < 0) {
		pthread_mutex_unlock(&b->mutex);
		return err_errno(err, "make a pipe");
	}
	pid = fork();
	if (pid == 0) {
		fd_close(control[0]);
		fd_close(output[0]);
		become_keeper(r, control[1], output[1]);
	}
	n = pid < 0 ? err_errno(err, "start a process") : 0;
	fd_close(control[1]);
	fd_close(output[1]);
	pthread_mutex_unlock(&b->mutex);
	if (n == 0)
		n = follow(r, control[0], output[0], result, err);
	fd_close(control[0]);
	fd_close(output[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n;
}

static int judge(const struct keeper_result *result, struct err *err)
{
	int status = result->status;

	if (result->err.code) {
		if (err)
			*err = result->err;
		return -result->err.code;
	}
	if (result->oom)
		return err_set(
			err, ENOMEM, "the program was ended: it used more memory than it may");
	if (WIFSIGNALED(status))
		return err_set(err, EINTR, "ended by %s", signal_name(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return err_set(err, EPROTO, "exit code %d", WEXITSTATUS(status));
	return 0;
}

/* Removes `path` of upper where it is nothing but the place of a mount, and directories on the way to it. */
static void remove_stub(int upper, int lower, const char *path)
{
	cleanup(free) char *at = xstrdup(path + strspn(path, "/"));
	bool first = true;

	while (*at) {
		cleanup(fd_close) int was = open_in_root(lower, at, O_PATH | O_NOFOLLOW, 0);
		struct stat st, before;
		char *slash;
		if (fstatat(upper, at, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			bool dir = S_ISDIR(st.st_mode);
			bool same = was >= 0 && fstat(was, &before) == 0 && dir &&
				    before.st_mode == st.st_mode && before.st_uid == st.st_uid &&
				    before.st_gid == st.st_gid;
			if ((was >= 0 && !same) || (!dir && (!first || st.st_size)) ||
				unlinkat(upper, at, dir ? AT_REMOVEDIR : 0) < 0)
				return;
		}
		first = false;
		slash = strrchr(at, '/');
		*(slash ? slash : at) = '\0';
	}
}

static int take_layer(struct run *r, struct err *err)
{
	struct build *b = r->p->stage->build;
	cleanup(free) char *from = xasprintf("%s/upper", r->i.dir),
			   *to = xasprintf("%s/%s", image_maker_path(b->maker), r->name);
	cleanup(fd_close) int upper = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			      lower = stage_root(r->p->stage, err);

	if (lower < 0)
		return lower;
	if (upper < 0)
		return err_errno(err, "open '%s'", from);
	for (size_t i = r->bundle->mounts.n; i-- > 0;)
		remove_stub(upper, lower,
			((struct bundle_mount *)r->bundle->mounts.items[i])->destination);
	remove_stub(upper, lower, "/dev/pipes");
	if (rename(from, to) < 0)
		return err_errno(err, "move '%s'", from);
	return step_made(r->p, r->name, lower, err);
}

int step_run(struct step *p, struct err *err)
{
	cleanup(run_clear) struct run r = { .p = p };
	struct keeper_result result = { 0 };
	int n;

	id_random(r.i.config.id = xcalloc(1, ID_LEN + 1));
	set_command(p, &r.i.config);
	n = set_config(p, &r.i.config, err);
	if (n < 0)
		return n;
	add_key(p, &r.i.config);
	n = run_mounts_key(p, err);
	if (n == 0)
		n = step_find(p, err);
	if (n)
		return n < 0 ? n : 0;
	n = prepare(&r, err);
	if (n == 0)
		n = start_and_follow(&r, &result, err);
	if (n == 0)
		n = judge(&result, err);
	return n < 0 ? n : take_layer(&r, err);
}
