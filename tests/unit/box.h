#pragma once
/* For tests of containers: one real container at a time, from a root of one static program, Debian's
 * busybox-static. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"
#include "container/capability.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/mount.h"

#define UNUSED __attribute__((unused))
#define BUSYBOX "/bin/busybox"

/* ---- one container, from its bundle to its end */

struct box {
	char dir[64];
	json_t *config; /* to be changed before box_create() */
	struct bundle *bundle;
	struct run_state state;
	int out; /* what it writes to standard output and error */
	int console;
	struct err err;
};

static const char config_text[] =
	"{'ociVersion':'1.2.0','root':{'path':'/'},'hostname':'boxed',"
	"'process':{'cwd':'/','args':['sh','-c','true'],'env':['PATH=/bin','A=b'],"
	"'user':{'uid':0,'gid':0},'capabilities':{"
	"'bounding':['CAP_CHOWN','CAP_KILL','CAP_SETUID','CAP_SETGID','CAP_MKNOD'],"
	"'permitted':['CAP_CHOWN','CAP_KILL','CAP_SETUID','CAP_SETGID','CAP_MKNOD'],"
	"'effective':['CAP_CHOWN','CAP_KILL','CAP_SETUID','CAP_SETGID','CAP_MKNOD']}},"
	"'mounts':["
	"{'destination':'/proc','type':'proc','source':'proc','options':['nosuid','noexec','nodev']},"
	"{'destination':'/dev','type':'tmpfs','source':'tmpfs',"
	"'options':['nosuid','strictatime','mode=755','size=65536k']},"
	"{'destination':'/dev/pts','type':'devpts','source':'devpts',"
	"'options':['nosuid','noexec','newinstance','ptmxmode=0666','mode=0620','gid=5']},"
	"{'destination':'/sys','type':'sysfs','source':'sysfs',"
	"'options':['nosuid','noexec','nodev','ro']},"
	"{'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup',"
	"'options':['ro','nosuid','noexec','nodev']},"
	"{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue',"
	"'options':['nosuid','noexec','nodev']},"
	"{'destination':'/dev/shm','type':'tmpfs','source':'shm',"
	"'options':['nosuid','noexec','nodev','mode=1777','size=65536k']}],"
	"'linux':{'namespaces':[{'type':'pid'},{'type':'network'},{'type':'ipc'},{'type':'uts'},"
	"{'type':'mount'},{'type':'cgroup'}],"
	"'maskedPaths':['/proc/version','/proc/keys','/proc/irq','/sys/firmware','/proc/absent'],"
	"'readonlyPaths':['/proc/sys','/proc/bus']},"
	"'holm':{'id':'box','seccompProfile':'default'}}";

static UNUSED char *at(const struct box *b, const char *name)
{
	return xasprintf("%s/%s", b->dir, name);
}

static UNUSED json_t *text_json(const char *text)
{
	cleanup(free) char *copy = xstrdup(text);
	json_error_t e;
	json_t *j;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	j = json_loads(copy, JSON_DECODE_ANY, &e);
	if (!j)
		fail_msg("test's own JSON: %s at %d in %s", e.text, e.position, copy);
	return j;
}

/* Sets a member by a path like "process/user"; text with ' for ". */
static UNUSED void set(struct box *b, const char *path, const char *text)
{
	cleanup(strv_free) char **parts = strv_split(path, '/');
	json_t *j = b->config;
	char **p = parts;

	for (; p[1]; p++) {
		if (!json_object_get(j, *p))
			json_object_set_new(j, *p, json_object());
		j = json_object_get(j, *p);
	}
	json_object_set_new(j, *p, text_json(text));
}

static UNUSED void add(struct box *b, const char *path, const char *text)
{
	cleanup(strv_free) char **parts = strv_split(path, '/');
	json_t *j = b->config;

	strv_foreach (p, parts)
		j = json_object_get(j, *p);
	assert_int_equal(json_array_append_new(j, text_json(text)), 0);
}

static UNUSED void script(struct box *b, const char *text)
{
	json_t *args = json_pack("[s,s,s]", "sh", "-c", text);

	json_object_set_new(json_object_get(b->config, "process"), "args", args);
}

static UNUSED void make_layer(const struct box *b)
{
	static const char *const dirs[] = { "layer", "layer/bin", "layer/proc", "layer/sys",
		"layer/dev", "layer/etc", "layer/tmp", "layer/full", "upper", "work", "root",
		"run" };
	static const char *const names[] = { "sh", "cat", "ls", "id", "echo", "sleep", "true",
		"grep", "mount", "stat", "kill", "ps", "hostname", "touch", "mkdir", "readlink",
		"head", "stty", "tty", "dd", "umount", "wc", "awk", "chown", "ln", "chmod", "test",
		"tr", "cut", "mknod", "pwd", "env", "setsid", "date", "ip", "nice" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		cleanup(free) char *path = at(b, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	cleanup(free) char *program = at(b, "layer/bin/busybox");
	cleanup(fd_close) int in = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
	cleanup(fd_close) int out = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd_copy(in, out, INT64_MAX) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cleanup(free) char *link = xasprintf("%s/layer/bin/%s", b->dir, names[i]);
		assert_int_equal(symlink("busybox", link), 0);
	}
	cleanup(free) char *passwd = at(b, "layer/etc/passwd");
	const char text[] = "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n";
	assert_int_equal(file_write(AT_FDCWD, passwd, text, sizeof(text) - 1, 0644, 0), 0);
	cleanup(free) char *full = at(b, "layer/full/file");
	assert_int_equal(file_write(AT_FDCWD, full, "here", 4, 0604, 0), 0);
}

static UNUSED int box_setup(void **state)
{
	struct box *b = xnew(struct box);
	json_t *holm;

	strcpy(b->dir, "/tmp/holm-container-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(chmod(b->dir, 0711), 0);
	b->out = b->console = -1;
	make_layer(b);
	b->config = text_json(config_text);
	holm = json_object_get(b->config, "holm");
	cleanup(free) char *layer = at(b, "layer"), *upper = at(b, "upper"), *work = at(b, "work"),
			   *root = at(b, "root");
	json_object_set_new(holm, "layers", json_pack("[s]", layer));
	json_object_set_new(holm, "upper", json_string(upper));
	json_object_set_new(holm, "work", json_string(work));
	json_object_set_new(json_object_get(b->config, "root"), "path", json_string(root));
	json_object_set_new(holm, "id", json_string(b->dir + 5));
	*state = b;
	return 0;
}

static UNUSED int box_teardown(void **state)
{
	struct box *b = *state;
	struct err err;

	if (b->state.run_dir) {
		assert_int_equal(container_destroy(&b->state, &err), 0);
		assert_int_equal(container_destroy(&b->state, &err), 0); /* again */
		waitpid((pid_t)b->state.pid, NULL, 0);
		cleanup(free) char *start = at(b, "run/start");
		assert_int_equal(access(start, F_OK), -1);
	}
	assert_int_equal(dir_remove(AT_FDCWD, b->dir), 0);
	record_clear(run_state_fields, &b->state);
	json_free(b->config);
	bundle_free(b->bundle);
	fd_close(b->out);
	fd_close(b->console);
	free(b);
	return 0;
}

static UNUSED int box_create(struct box *b)
{
	cleanup(free) char *run_dir = at(b, "run");
	struct run_create args = { .id = b->dir + 5,
		.bundle_dir = AT_FDCWD,
		.run_dir = run_dir,
		.stdio = { -1, -1, -1 },
		.ret_console = &b->console };
	int pipefd[2], r;

	bundle_free(b->bundle);
	b->bundle = NULL;
	r = bundle_parse(b->config, &b->bundle, &b->err);
	if (r < 0)
		return r;
	args.bundle = b->bundle;
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	args.stdio[1] = args.stdio[2] = pipefd[1];
	r = container_create(&args, &b->state, &b->err);
	close(pipefd[1]);
	fd_close(b->out);
	b->out = pipefd[0];
	return r;
}

static UNUSED void box_start(struct box *b)
{
	if (box_create(b) < 0 || container_start(&b->state, -1, &b->err) < 0)
		fail_msg("%s", b->err.text);
}

static UNUSED int box_wait(struct box *b)
{
	int status;

	assert_int_equal(waitpid((pid_t)b->state.pid, &status, 0), b->state.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs a script to its end. The caller frees the output. */
static UNUSED char *output_of(struct box *b, const char *text, int expected_status)
{
	struct buf out = { 0 };
	int status;

	script(b, text);
	box_start(b);
	assert_int_equal(fd_read_to_end(b->out, 1 << 20, &out), 0);
	status = box_wait(b);
	if (status != expected_status)
		fail_msg("'%s' ended with %d: %s", text, status, out.data ? out.data : "");
	return buf_detach(&out);
}

static UNUSED void expect(struct box *b, const char *text, const char *wanted)
{
	cleanup(free) char *out = output_of(b, text, 0);

	assert_string_equal(out, wanted);
}

static UNUSED void expect_no_start(struct box *b, int code, const char *text)
{
	int r = box_create(b);

	if (r == 0)
		r = container_start(&b->state, -1, &b->err);
	if (r != -code || !strstr(b->err.text, text))
		fail_msg("got %d '%s', wanted %d '%s'", r, b->err.text, -code, text);
}

/* And nothing is left to be started. */
static UNUSED void expect_no_create(struct box *b, int code, const char *text)
{
	int r = box_create(b);

	if (r != -code || !strstr(b->err.text, text))
		fail_msg("got %d '%s', wanted %d '%s'", r, b->err.text, -code, text);
	assert_int_equal(b->state.pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static UNUSED const char mappings[] = "[{'containerID':0,'hostID':200000,'size':65536}]";

/* In main(): 77 where these tests cannot run. */
static UNUSED int box_main(const struct CMUnitTest *tests, size_t n)
{
	char root[] = "/tmp/holm-container-root-XXXXXX";
	struct err err = { 0 };
	int failed;

	if (geteuid() != 0 || access(BUSYBOX, X_OK) < 0) {
		printf("SKIP: needs root and busybox-static\n");
		return 77;
	}
	if (!mkdtemp(root) || paths_init(root, NULL, &err) < 0 || container_available(&err) < 0) {
		printf("SKIP: %s\n", err.text);
		return 77;
	}
	failed = _cmocka_run_group_tests("containers", tests, n, NULL, NULL);
	dir_remove(AT_FDCWD, root);
	return failed;
}
