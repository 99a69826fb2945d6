/* The process that reads archives, made to misbehave: what it can reach, and what its lies do to its caller. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "image/unpacker.h"
#include "skip.h"

#define ALL_OF_UNPACKING \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | \
		1ull << CAP_MKNOD | 1ull << CAP_SETFCAP)

static char top[64]; /* with a secret beside the root */
static int root = -1, top_fd = -1;

static int setup(void **state)
{
	strcpy(top, "/tmp/test-unpacker-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(top_fd, "root", 0755) < 0 ||
		file_write(top_fd, "secret", "secret", 6, 0600, 0) < 0)
		return -1;
	root = openat(top_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0;
}

static int teardown(void **state)
{
	root = fd_close(root);
	top_fd = fd_close(top_fd);
	return dir_remove(AT_FDCWD, top);
}

/* What each attempt got hold of, as text; the errors of those that failed are not looked at. */
struct report {
	uint32_t kind;
	char text[1000];
};

struct subject {
	int (*attempt)(int root, char *text); /* in the process; writes what it got hold of */
	struct report report;
	int extra;
};

static int work(void *data, int in_root, int sock, struct err *err)
{
	struct subject *s = data;
	struct report report = { .kind = 1 };
	int r = s->attempt(in_root, report.text);

	unpacker_tell(sock, &report, sizeof(report), -1);
	return r < 0 ? err_code(err, r, "attempt") : 0;
}

static int receive(void *data, int sock, const void *message, size_t len, int fd, struct err *err)
{
	struct subject *s = data;

	fd_close(fd);
	assert_int_equal(len, sizeof(s->report));
	memcpy(&s->report, message, len);
	return 0;
}

static int try(struct subject *s, struct err *err)
{
	const struct unpacker u = { .work = work,
		.receive = receive,
		.data = s,
		.fds = { &s->extra },
		.capabilities = ALL_OF_UNPACKING };

	return unpacker_run(&u, root, "archive", err);
}

/* In a jail of root, what is attempted yields this text, and the secret is as it was. */
static void yields(int (*attempt)(int root, char *text), const char *expected)
{
	struct subject s = { .attempt = attempt, .extra = -1 };
	struct err err = { 0 };
	int r = try(&s, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	assert_string_equal(s.report.text, expected);
	assert_int_equal(faccessat(top_fd, "secret", F_OK, 0), 0);
}

static void got(char *text, const char *what)
{
	snprintf(text + strlen(text), 1000 - strlen(text), "%s;", what);
}

static int look_around(int in_root, char *text)
{
	static const char *const paths[] = { "/etc/passwd", "/proc/self/status", "../secret",
		"../../../../../../etc/passwd", "/dev/null", "out/secret", "/out/secret" };

	if (mkdirat(in_root, "deep", 0755) < 0 ||
		symlinkat("/../../../../../../../../..", in_root, "up") < 0 ||
		symlinkat(top, in_root, "out") < 0 ||
		symlinkat("/proc/self/root", in_root, "magic") < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (open(paths[i], O_RDONLY) >= 0)
			got(text, paths[i]);
		if (openat(in_root, paths[i], O_RDONLY) >= 0)
			got(text, paths[i]);
	}
	if (openat(in_root, "up/etc/passwd", O_RDONLY) >= 0 ||
		openat(in_root, "magic/etc/passwd", O_RDONLY) >= 0)
		got(text, "through a link");
	/* It is not that nothing can be opened. */
	if (openat(in_root, "deep", O_RDONLY | O_DIRECTORY) >= 0 &&
		openat(in_root, "new", O_WRONLY | O_CREAT, 0644) >= 0)
		got(text, "inside");
	return 0;
}

static void nothing_outside_is_found(void **state)
{
	yields(look_around, "inside;");
	assert_int_equal(faccessat(root, "new", F_OK, 0), 0);
}

static int use_devices(int in_root, char *text)
{
	if (mknodat(in_root, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
		got(text, "made");
	if (openat(in_root, "null", O_RDWR) >= 0)
		got(text, "opened");
	return 0;
}

static void devices_are_made_and_not_opened(void **state)
{
	if (geteuid() != 0)
		skip_because("an ordinary user makes no devices");
	yields(use_devices, "made;");
}

static int count_descriptors(int in_root, char *text)
{
	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;
		if (fstat(fd, &st) < 0)
			continue;
		snprintf(text + strlen(text), 100, "%s",
			S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) ? "null;"
			: S_ISSOCK(st.st_mode)                             ? "socket;"
			: S_ISDIR(st.st_mode)                              ? "directory;"
									   : "other;");
	}
	return 0;
}

static void descriptors_are_its_own(void **state)
{
	int kept[2];

	/* Two that its caller has, and does not hand over. */
	assert_int_equal(pipe2(kept, O_CLOEXEC), 0);
	yields(count_descriptors, "null;null;null;directory;socket;");
	close(kept[0]);
	close(kept[1]);
}

static int call(int in_root, char *text, long number, long a, long b, long c)
{
	if (syscall(number, a, b, c) >= 0)
		got(text, "it worked");
	return 0;
}
#define CALL(name, number, a, b, c) \
	static int name(int in_root, char *text) \
	{ \
		return call(in_root, text, number, (long)(a), (long)(b), (long)(c)); \
	}
CALL(call_socket, SYS_socket, AF_INET, SOCK_STREAM, 0)
CALL(call_unix_socket, SYS_socket, AF_UNIX, SOCK_STREAM, 0)
CALL(call_execve, SYS_execve, "/busybox", NULL, NULL)
CALL(call_fork, SYS_fork, 0, 0, 0)
CALL(call_clone, SYS_clone, SIGCHLD, 0, 0)
CALL(call_kill, SYS_kill, getppid(), SIGTERM, 0)
CALL(call_tgkill, SYS_tgkill, getppid(), getppid(), SIGTERM)
CALL(call_ptrace, SYS_ptrace, PTRACE_ATTACH, getppid(), 0)
CALL(call_mount, SYS_mount, "none", "/", "tmpfs")
CALL(call_unshare, SYS_unshare, 0x10000000, 0, 0)
CALL(call_setns, SYS_setns, 0, 0, 0)
CALL(call_chroot, SYS_chroot, "/", 0, 0)
CALL(call_handle, SYS_open_by_handle_at, AT_FDCWD, "", O_RDONLY)
CALL(call_setuid, SYS_setuid, 0, 0, 0)
CALL(call_bpf, SYS_bpf, 0, 0, 0)
CALL(call_io_uring, SYS_io_uring_setup, 1, "", 0)
CALL(call_traceme, SYS_ptrace, PTRACE_TRACEME, 0, 0)
CALL(call_owner, SYS_fcntl, 4, F_SETOWN, getppid())
CALL(call_executable, SYS_mmap, 0, 4096, 7)
CALL(call_memfd, SYS_memfd_create, "x", 0, 0)
CALL(call_process_vm, SYS_process_vm_readv, getppid(), 0, 0)
CALL(call_rename, SYS_renameat2, AT_FDCWD, "a", AT_FDCWD)

static void calls_that_unpack_nothing_end_it(void **state)
{
	static int (*const attempts[])(int in_root, char *text) = { call_socket, call_unix_socket,
		call_execve, call_fork, call_clone, call_kill, call_tgkill, call_ptrace, call_mount,
		call_unshare, call_setns, call_chroot, call_handle, call_setuid, call_bpf,
		call_io_uring, call_traceme, call_owner, call_executable, call_memfd,
		call_process_vm, call_rename };

	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		struct subject s = { .attempt = attempts[i], .extra = -1 };
		struct err err = { 0 };
		int r = try(&s, &err);
		if (r != -EIO ||
			strcmp(err.text, "archive: the process that read it died: SIGSYS") != 0)
			fail_msg("attempt %zu: %d, %s, %s", i, r, err.text, s.report.text);
	}
}

static int use_capabilities(int in_root, char *text)
{
	/* A file of another owner is changed, an attribute
	 * that takes CAP_SYS_ADMIN is not. */
	if (mkdirat(in_root, "d", 0755) == 0 && fchownat(in_root, "d", 7, 8, 0) == 0 &&
		fchmodat(in_root, "d", 0700, 0) == 0)
		got(text, "owner");
	if (lsetxattr("d", "trusted.x", "y", 1, 0) == 0)
		got(text, "trusted");
	return 0;
}

static void it_has_the_capabilities_of_unpacking_alone(void **state)
{
	if (geteuid() != 0)
		skip_because("an ordinary user has no capabilities");
	yields(use_capabilities, "owner;");
}

static int end_with_an_error(int in_root, char *text)
{
	return -EAGAIN;
}

static void failures_are_told(void **state)
{
	struct subject s = { .attempt = end_with_an_error, .extra = -1 };
	struct err err = { 0 };

	assert_int_equal(try(&s, &err), -EAGAIN);
	assert_string_equal(err.text, "attempt: Resource temporarily unavailable");
}

static int leave(int in_root, char *text)
{
	_exit(0);
}

static void an_early_end_is_a_failure(void **state)
{
	struct subject s = { .attempt = leave, .extra = -1 };
	struct err err = { 0 };

	assert_int_equal(try(&s, &err), -EIO);
	assert_string_equal(err.text, "archive: the process that read it ended too early");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_outside_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_are_made_and_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_are_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_that_unpack_nothing_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			it_has_the_capabilities_of_unpacking_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(an_early_end_is_a_failure, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
