/* System-call filters: what the default profile lets through, and what profiles of users mean. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"
#include "bundle/bundle.h"
#include "container/seccomp.h"

static char root[] = "/tmp/holm-test-XXXXXX";

struct call {
	long nr, a, b;
	int expect; /* errno; 0: anything but EPERM and ENOSYS */
};

/* In a child with the filter: the index of the first call that does otherwise, plus 1; 0: none. */
static int try_calls(const struct seccomp_filter *f, const struct call *calls, size_t n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* cmocka's would carry on with the next test */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_apply(f) != 0)
			_exit(200);
		for (size_t i = 0; i < n; i++) {
			long r = syscall(calls[i].nr, calls[i].a, calls[i].b, 0, 0, 0, 0);
			int e = r < 0 ? errno : 0;
			bool right =
				calls[i].expect ? e == calls[i].expect : e != EPERM && e != ENOSYS;
			if (!right) {
				dprintf(2, "call %ld: errno %d\n", calls[i].nr, e);
				_exit((int)i + 1);
			}
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void prepare_default(char **caps, struct seccomp_filter *f)
{
	struct bundle_capabilities c = { .bounding = caps };
	struct bundle_seccomp p;
	struct err err = { 0 };

	seccomp_default(&c, &p);
	assert_int_equal(seccomp_prepare(&p, f, &err), 0);
	record_clear(bundle_seccomp_fields, &p);
}

static void default_without_caps(void **state)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	/* Of Linux 6.6: ENOENT, or ENOSYS with the filter and without. */
	const int of_fchmodat2 = syscall(452, AT_FDCWD, "/none", 0, 0) < 0 ? errno : 0;
	const struct call calls[] = {
		{ SYS_getpid },
		{ SYS_openat, AT_FDCWD, (long)"/" },
		{ SYS_openat2, AT_FDCWD, (long)"/", EINVAL },
		{ SYS_unshare, CLONE_NEWUSER, 0, EPERM },
		{ SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, EPERM },
		{ SYS_clone3, 0, 0, ENOSYS },
		{ SYS_mount, 0, 0, EPERM },
		{ SYS_bpf, 0, 0, EPERM },
		{ SYS_perf_event_open, 0, 0, EPERM },
		{ SYS_init_module, 0, 0, EPERM },
		{ SYS_reboot, 0, 0, EPERM },
		{ SYS_kexec_load, 0, 0, EPERM },
		{ SYS_chroot, (long)"/", 0, EPERM },
		{ SYS_io_uring_setup, 0, 0, EPERM },
		{ SYS_userfaultfd, 0, 0, EPERM },
		{ SYS_socket, AF_UNIX, SOCK_STREAM },
		{ SYS_socket, AF_INET, SOCK_STREAM },
		{ SYS_socket, 38 /* AF_ALG */, SOCK_SEQPACKET, EPERM },
		{ SYS_socket, AF_VSOCK, SOCK_STREAM, EPERM },
		{ SYS_personality, 0xffffffff, 0 },
		{ SYS_personality, ADDR_NO_RANDOMIZE, 0, EPERM },
		{ SYS_ptrace, PTRACE_TRACEME, 0 },
		/* Unknown to libseccomp 2.5.4. */
		{ 452, AT_FDCWD, (long)"/none", of_fchmodat2 },
		{ 600, 0, 0, ENOSYS }, /* of the future */
		{ 4000, 0, 0, ENOSYS },
	};

	prepare_default(NULL, &f);
	assert_int_equal(try_calls(&f, calls, ARRAY_SIZE(calls)), 0);
}

static void default_with_caps(void **state)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	cleanup(strv_free) char **caps =
		strv_split("CAP_SYS_ADMIN,CAP_SYS_CHROOT,CAP_SYS_TIME", ',');
	const struct call calls[] = {
		{ SYS_unshare, CLONE_FS, 0 },
		{ SYS_chroot, (long)"/none", 0, ENOENT },
		{ SYS_clone3, 0, 0, EINVAL },
		{ SYS_mount, 0, (long)"/none", ENOENT },
		{ SYS_init_module, 0, 0, EPERM },
		{ SYS_ioperm, 0, 0, EPERM },
	};

	prepare_default(caps, &f);
	assert_int_equal(try_calls(&f, calls, ARRAY_SIZE(calls)), 0);
}

static void parse_profile(const char *text, struct bundle_seccomp *p)
{
	struct err err = { 0 };
	cleanup(json_free) json_t *j = json_parse(text, strlen(text), "profile", &err);

	assert_non_null(j);
	*p = (struct bundle_seccomp){ 0 };
	assert_int_equal(record_parse(bundle_seccomp_fields, j, p, &err), 0);
}

static void try_profile(const char *text, const struct call *calls, size_t n, int expect)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	struct bundle_seccomp p;
	struct err err = { 0 };
	int r;

	parse_profile(text, &p);
	r = seccomp_prepare(&p, &f, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(try_calls(&f, calls, n), expect);
	record_clear(bundle_seccomp_fields, &p);
}

static void actions(void **state)
{
	const struct call errnos[] = {
		{ SYS_getcwd, 0, 0, 33 }, { SYS_getppid, 0, 0, EPERM },
		{ SYS_setpriority, 7, 0, 44 }, { SYS_setpriority, 8, 0, 44 },
		{ SYS_setpriority, 9, 0, EINVAL }, { SYS_close, -1, 0, EBADF },
		{ 460, 0, 0, 55 }, /* lsm_set_self_attr, by our table */
	};
	const struct call one[] = { { SYS_getppid, 0, 0, EPERM } };

	try_profile(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\","
		"\"SCMP_ARCH_X86\"],\"syscalls\":["
		"{\"names\":[\"getcwd\",\"not_a_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":33},"
		"{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_ERRNO\"},"
		"{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"setpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":44,\"args\":["
		"{\"index\":0,\"value\":7,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"close\"],\"action\":\"SCMP_ACT_LOG\"}]}",
		errnos, ARRAY_SIZE(errnos) - 1, 0);
	try_profile(
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"lsm_set_self_attr\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":55},"
		"{\"names\":[\"exit_group\",\"sigaltstack\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"}]}",
		errnos + ARRAY_SIZE(errnos) - 1, 1, 0);
	try_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		    "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]}",
		one, 1, -SIGSYS);
	try_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
		    "\"syscalls\":[{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_TRAP\"}]}",
		one, 1, -SIGSYS);
}

static void listener(void **state)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	struct bundle_seccomp p;
	int status;
	pid_t pid;

	parse_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		      "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
		&p);
	assert_int_equal(seccomp_prepare(&p, &f, NULL), 0);
	assert_true(f.has_listener);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		int fd = seccomp_apply(&f);
		_exit(fd > 2 && fcntl(fd, F_GETFD) >= 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	record_clear(bundle_seccomp_fields, &p);
}

static void expect_error(const char *text, const char *message)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	struct bundle_seccomp p;
	struct err err = { 0 };

	parse_profile(text, &p);
	assert_true(seccomp_prepare(&p, &f, &err) < 0);
	assert_string_equal(err.text, message);
	assert_null(f.code);
	record_clear(bundle_seccomp_fields, &p);
}

static void errors(void **state)
{
	expect_error("{\"defaultAction\":\"ALLOW\"}", "seccomp: unknown action 'ALLOW'");
	expect_error("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
		"seccomp: unknown architecture 'SCMP_ARCH_VAX'");
	expect_error("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}",
		"seccomp: unknown flag 'X'");
	expect_error(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		"\"action\":\"SCMP_ACT_TRAP\",\"args\":[{\"index\":9,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"seccomp: rule for 'read': no argument 9");
}

static char *cache_file(void)
{
	cleanup(free) char *command = xasprintf("ls %s/seccomp/*.bpf", paths_run());
	FILE *p = popen(command, "r");
	char line[512] = "";

	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
}

/* A second start reads the file; a damaged one is noticed and mended. */
static void cache(void **state)
{
	cleanup(seccomp_filter_free) struct seccomp_filter first = { 0 }, again = { 0 };
	cleanup(free) char *dir = xasprintf("%s/seccomp", paths_run()), *path = NULL;
	struct stat before, after;
	int fd;

	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
	prepare_default(NULL, &first);
	path = cache_file();
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	prepare_default(NULL, &again);
	assert_int_equal(again.len, first.len);
	assert_memory_equal(again.code, first.code, first.len * sizeof(*first.code));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);

	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\0\0\0\0\0\0\0\0", 8, 64), 8);
	close(fd);
	seccomp_filter_free(&again);
	prepare_default(NULL, &again);
	assert_memory_equal(again.code, first.code, first.len * sizeof(*first.code));
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);

	assert_int_equal(chmod(path, 0666), 0);
	seccomp_filter_free(&again);
	prepare_default(NULL, &again);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mode & 0777, 0600);
}

static int set_up(void **state)
{
	return mkdtemp(root) && paths_init(root, NULL, NULL) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	return dir_remove(AT_FDCWD, root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_without_caps),
		cmocka_unit_test(default_with_caps),
		cmocka_unit_test(actions),
		cmocka_unit_test(listener),
		cmocka_unit_test(errors),
		cmocka_unit_test(cache),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
