/*
 * Base images without a registry: mmdebstrap makes the root file system, its tar is imported as it
 * comes. It works below the session's tmp directory and inherits the session's lock, so that an
 * interruption leaves nothing that the next command does not remove. What this host's apt needs to
 * reach its mirrors (proxies, clocks) is there while packages are fetched and not in the image.
 */
#include "image/image.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"
#include "image/import.h"
#include "image/platform.h"
#include "image/reference.h"
#include "image/suite.h"

#define PROGRAM "mmdebstrap"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_APT_CONF (1u << 20)

/* While packages are installed: the host's ways to its mirrors, and no fsync for each file of a tree
 * that is thrown away when it is not finished. */
static const char before_hook[] =
	"cp \"$HOLM_APT_CONF\" \"$1/etc/apt/apt.conf.d/99holm-host\" && mkdir -p \"$1/etc/dpkg/dpkg.cfg.d\" && "
	"echo force-unsafe-io > \"$1/etc/dpkg/dpkg.cfg.d/99holm-host\"";
/* Names that a container's own files are mounted over exist, empty: nothing is to be made then. */
static const char after_hook[] =
	"cd \"$1/etc\" && rm -f apt/apt.conf.d/99holm-host dpkg/dpkg.cfg.d/99holm-host && "
	"for f in resolv.conf hostname hosts; do rm -f $f && : > $f || exit 1; done";

struct job {
	const struct image_bootstrap *what;
	const struct store_session *session;
	struct suite suite;
	struct platform platform;
	char *tmp; /* the session's, absolute */
	char **args, **env;
	pid_t pid;    /* 0: it has ended */
	bool failed;  /* by its own fault */
	int log_pipe; /* mmdebstrap's standard error */
	FILE *log;
	char first_error[256], last_line[256];
	image_progress_fn *fn;
	void *data;
	pthread_mutex_t mutex; /* fn is called by two threads */
};

static void close_file(FILE *f)
{
	if (f)
		fclose(f);
}

static void job_clear(struct job *job)
{
	free(job->tmp);
	strv_free(job->args);
	strv_free(job->env);
	fd_close(job->log_pipe);
	close_file(job->log);
	pthread_mutex_destroy(&job->mutex);
}
DEFINE_CLEANUP_OBJECT(job_clear, struct job);

static void tell(void *data, const char *what, uint64_t done)
{
	struct job *job = data;

	pthread_mutex_lock(&job->mutex);
	if (job->fn)
		job->fn(job->data, what, done);
	pthread_mutex_unlock(&job->mutex);
}

/* The program in PATH; the caller frees. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	cleanup(strv_free) char **dirs = strv_split(path && *path ? path : DEFAULT_PATH, ':');

	strv_foreach (dir, dirs) {
		cleanup(free) char *file = xasprintf("%s/%s", **dir ? *dir : ".", name);
		if (access(file, X_OK) == 0)
			return take(file);
	}
	return NULL;
}

static int find_suite(struct job *job, struct err *err)
{
	struct reference ref;
	int r;

	if (job->what->suite)
		return suite_of_name(job->what->suite, &job->suite, err);
	r = reference_parse(job->what->name, &ref, err);
	return r < 0 ? r : suite_of_tag(ref.path, ref.tag, &job->suite, err);
}

static int find_platform(struct job *job, struct err *err)
{
	const char *name = job->what->architecture;

	if (!name)
		platform_host(&job->platform);
	else if (platform_of_debian(name, &job->platform) < 0)
		return err_set(err, EINVAL,
			"'%s' is no architecture of Debian: expected amd64, arm64, armhf, ...",
			name);
	return 0;
}

/* mmdebstrap takes a distribution's keys from where their packages put them. */
static int check_keys(const struct job *job, struct err *err)
{
	const char *distribution = job->suite.distribution;
	cleanup(free) char *file = NULL;

	if (!distribution || job->what->keyring || job->what->mirrors)
		return 0;
	file = xasprintf("/usr/share/keyrings/%s-archive-keyring.gpg", distribution);
	if (access(file, R_OK) == 0)
		return 0;
	return err_set(err, ENOENT,
		"the keys that sign %s's packages are not here: 'apt-get install %s-archive-keyring', or --keyring FILE",
		distribution, distribution);
}

static int packages_valid(const char *list)
{
	for (const char *p = list; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("+-.:,_/=~", *p))
			return 0;
	return *list && *list != '-';
}

static int add_packages(struct job *job, struct err *err)
{
	cleanup(free) char *list = NULL;

	strv_foreach (names, job->what->packages)
		if (!packages_valid(*names))
			return err_set(err, EINVAL,
				"'%s' is no list of packages: expected NAME[,NAME...]", *names);
	if (!job->what->packages)
		return 0;
	list = strv_join(job->what->packages, ",");
	strv_addf(&job->args, "--include=%s", list);
	return 0;
}

static int add_sources(struct job *job, struct err *err)
{
	cleanup(strv_free) char **lines = NULL;
	int r;

	strv_foreach (mirror, job->what->mirrors) {
		if (!strstr(*mirror, "://") || strchr(*mirror, '\n'))
			return err_set(err, EINVAL,
				"--mirror '%s': expected a URL such as http://deb.debian.org/debian, or a line \"deb URL SUITE main\"",
				*mirror);
		strv_add(&job->args, *mirror);
	}
	if (job->what->mirrors)
		return 0;
	r = suite_sources(&job->suite, job->what->architecture, &lines, err);
	if (r == 0)
		strv_add_all(&job->args, lines);
	return r;
}

static int make_args(struct job *job, struct err *err)
{
	const char *variant = job->what->variant ? job->what->variant : "minbase";
	cleanup(free) char *program = find_program(PROGRAM);
	int r;

	if (!program)
		return err_set(err, ENOENT,
			"mmdebstrap, which makes base images, is not installed: "
			"'apt-get install mmdebstrap'");
	if (!variant[0] || variant[strspn(variant, "abcdefghijklmnopqrstuvwxyz-")])
		return err_set(err, EINVAL,
			"'%s' is no variant: expected minbase, apt, essential, buildd, ...",
			variant);
	strv_add(&job->args, program);
	strv_addf(&job->args, "--variant=%s", variant);
	/* As root: own namespaces, which go with the last process, however it ends. */
	if (geteuid() == 0)
		strv_add(&job->args, "--mode=unshare");
	strv_add(&job->args, "--format=tar");
	if (job->what->architecture)
		strv_addf(&job->args, "--architectures=%s", job->what->architecture);
	if (job->what->keyring)
		strv_addf(&job->args, "--keyring=%s", job->what->keyring);
	strv_addf(&job->args, "--setup-hook=%s", before_hook);
	strv_addf(&job->args, "--customize-hook=%s", after_hook);
	r = add_packages(job, err);
	if (r < 0)
		return r;
	strv_add(&job->args, "--");
	strv_add(&job->args, job->suite.name);
	strv_add(&job->args, "-");
	return add_sources(job, err);
}

static bool wanted_by_apt(const char *line)
{
	static const char *const prefixes[] = { "Acquire::Check-", "Acquire::Retries",
		"Acquire::ForceIPv" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return strncmp(line, "Acquire::", 9) == 0 && strstr(line, "::Proxy");
}

/* This host's apt configuration, of which only what it takes to reach a mirror is kept. A host
 * without apt-config has none. */
static int write_apt_conf(struct job *job, struct err *err)
{
	FILE *dump = popen("apt-config dump Acquire 2>/dev/null", "re");
	cleanup(free) char *line = NULL;
	cleanup(buf_free) struct buf conf = { 0 };
	size_t size = 0;
	int r;

	buf_adds(&conf, "");
	while (dump && getline(&line, &size, dump) > 0)
		if (wanted_by_apt(line) && conf.len < MAX_APT_CONF)
			buf_adds(&conf, line);
	if (dump)
		pclose(dump);
	r = file_write(
		job->session->tmp, "apt.conf", conf.data ? conf.data : "", conf.len, 0644, 0);
	return r < 0 ? err_code(err, r, "write '%s/apt.conf'", job->tmp) : 0;
}

static void make_env(struct job *job)
{
	cleanup(free) char *conf = xasprintf("HOLM_APT_CONF=%s/apt.conf", job->tmp);
	cleanup(free) char *tmp = xasprintf("TMPDIR=%s", job->tmp);

	strv_add_all(&job->env, environ);
	strv_env_set(&job->env, conf);
	strv_env_set(&job->env, tmp);
	strv_env_set(&job->env, "LC_ALL=C.UTF-8");
	if (!getenv("PATH"))
		strv_env_set(&job->env, "PATH=" DEFAULT_PATH);
}

/* mmdebstrap itself. The session's lock goes along: the session's directory stays until all is over. */
static void __attribute__((noreturn)) become_mmdebstrap(const struct job *job, int out, int errors)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	umask(022);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(errors, 2) >= 0 &&
		dup(job->session->lock) >= 0)
		execve(job->args[0], job->args, job->env);
	dprintf(errors, "E: run %s: %s\n", job->args[0], strerror(errno));
	_exit(127);
}

/* Until this one ends, taking in what was left to us in the meantime; 0 when it did well. Daemons
 * that it leaves behind, as gpg does, are not waited for. */
static int reap_until(pid_t pid)
{
	int status;
	pid_t ended;

	do
		ended = waitpid(-1, &status, 0);
	while (ended != pid && (ended > 0 || errno == EINTR));
	return ended == pid && status == 0 ? 0 : 1;
}

static void die_with_parent(int signo, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, signo);
	if (parent && getppid() != parent)
		_exit(1);
}

/*
 * In the child: root puts a pid namespace around mmdebstrap, whose first process dies with us; so
 * nothing of what it started outlives us, however we end. Others get by with asking it to stop.
 */
static void __attribute__((noreturn))
run_child(const struct job *job, int out, int errors, pid_t parent)
{
	bool fenced = geteuid() == 0 && unshare(CLONE_NEWPID) == 0;
	pid_t pid;

	die_with_parent(fenced ? SIGKILL : SIGTERM, parent);
	if (!fenced)
		become_mmdebstrap(job, out, errors);
	pid = fork();
	if (pid == 0) {
		/* Its parent, outside of the namespace, reads as 0. Should it be gone already, the next line
		 * on standard error ends mmdebstrap: nobody has the other end. */
		die_with_parent(SIGKILL, 0);
		pid = fork();
		if (pid == 0)
			become_mmdebstrap(job, out, errors);
		close(out);
		close(errors);
		_exit(pid < 0 ? 1 : reap_until(pid));
	}
	close(out);
	close(errors);
	_exit(pid < 0 ? 1 : reap_until(pid));
}

static int start(struct job *job, int *ret_tar, struct err *err)
{
	cleanup(fd_close) int tar = -1, out = -1, errors = -1;
	pid_t parent = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	tar = ends[0];
	out = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	job->log_pipe = ends[0];
	errors = ends[1];
	job->pid = fork();
	if (job->pid < 0)
		return err_errno(err, "start " PROGRAM);
	if (job->pid == 0) {
		close(tar);
		close(job->log_pipe);
		run_child(job, out, errors, parent);
	}
	*ret_tar = take_fd(tar);
	return 0;
}

static void note_line(struct job *job, char *line)
{
	line[strcspn(line, "\r\n")] = '\0';
	if (!line[strspn(line, " \t")])
		return;
	snprintf(job->last_line, sizeof(job->last_line), "%s", line);
	/* The first error is the cause, the others follow from it. */
	if (strncmp(line, "E: ", 3) == 0 && !job->first_error[0])
		snprintf(job->first_error, sizeof(job->first_error), "%s", line + 3);
	if (strncmp(line, "I: ", 3) == 0)
		tell(job, line + 3, 0);
}

static void *log_thread(void *data)
{
	struct job *job = data;
	FILE *f = fdopen(job->log_pipe, "re");
	cleanup(free) char *line = NULL;
	size_t size = 0;

	if (!f)
		return NULL;
	job->log_pipe = -1;
	while (getline(&line, &size, f) > 0) {
		fputs(line, job->log);
		note_line(job, line);
	}
	fclose(f);
	return NULL;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* import_stream() asks at the end of the tar. */
static int finished(void *data, struct err *err)
{
	struct job *job = data;
	job->failed = wait_for(job->pid) != 0;
	job->pid = 0;
	return job->failed ? err_set(err, EIO, "mmdebstrap failed") : 0;
}

/* The log outlives the session when it has something to tell. */
static int explain(struct job *job, struct err *err)
{
	cleanup(free) char *log = xasprintf("%s/bootstrap.log", paths_root());
	const char *said = job->first_error[0] ? job->first_error : job->last_line;

	fflush(job->log);
	if (!said[0] || renameat(job->session->tmp, "log", job->session->root, "bootstrap.log") < 0)
		return err_set(err, EIO, "mmdebstrap could not make '%s': %s", job->what->name,
			said[0] ? said : "it ended without a word");
	return err_set(err, EIO, "mmdebstrap could not make '%s': %s (all it said is in '%s')",
		job->what->name, said, log);
}

/* Whether mmdebstrap closed its end: then a tar that is none is its fault, else the failure is ours. */
static bool at_end(int tar)
{
	struct pollfd p = { .fd = tar, .events = POLLIN };
	char byte;

	return poll(&p, 1, 0) > 0 && read(tar, &byte, 1) == 0;
}

static int run(struct db *db, struct job *job, char id[DIGEST_LEN + 1], struct err *err)
{
	static const char *const changes[] = { "ENV PATH=" DEFAULT_PATH, "CMD [\"bash\"]", NULL };
	cleanup(free) char *platform =
		xasprintf("%s/%s%s%s", job->platform.os, job->platform.architecture,
			job->platform.variant[0] ? "/" : "", job->platform.variant);
	cleanup(free) char *message = xasprintf("mmdebstrap %s", job->suite.name);
	const struct image_import import = { .name = job->what->name,
		.changes = (char *const *)changes,
		.message = message,
		.platform = platform,
		.why = "made from packages" };
	cleanup(fd_close) int tar = -1;
	pthread_t thread;
	int r = start(job, &tar, err);

	if (r < 0)
		return r;
	r = pthread_create(&thread, NULL, log_thread, job);
	if (r) {
		kill(job->pid, SIGKILL);
		wait_for(job->pid);
		return err_code(err, -r, "start a thread");
	}
	r = import_stream(db, job->session, tar, &import, tell, job, finished, job, id, err);
	if (job->pid) {
		job->failed = at_end(tar);
		tar = fd_close(tar);
		if (!job->failed)
			kill(job->pid, SIGKILL);
		wait_for(job->pid);
	}
	pthread_join(thread, NULL);
	return job->failed ? explain(job, err) : r;
}

int image_bootstrap(struct db *db, const struct image_bootstrap *what, image_progress_fn *fn,
	void *data, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(job_clear) struct job job = { .what = what,
		.session = &session,
		.log_pipe = -1,
		.fn = fn,
		.data = data,
		.mutex = PTHREAD_MUTEX_INITIALIZER };
	int log, r = find_suite(&job, err);

	if (r == 0)
		r = find_platform(&job, err);
	if (r == 0)
		r = check_keys(&job, err);
	if (r == 0)
		r = make_args(&job, err);
	if (r == 0)
		r = store_begin(&session, err);
	if (r < 0)
		return r;
	job.tmp = store_tmp_path(&session);
	make_env(&job);
	r = write_apt_conf(&job, err);
	if (r < 0)
		return r;
	log = openat(session.tmp, "log", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	job.log = log < 0 ? NULL : fdopen(log, "w");
	if (!job.log)
		return err_errno(err, "make '%s/log'", job.tmp);
	return run(db, &job, id, err);
}
