/* base/jail: what a process can do once it is in one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/jail.h"

#define OTHER_USER 0x70000001u
#define KILLED (256 + SIGSYS)

/* What `try` returns in a process in this jail; 256 + the signal that ended it. */
static int in_jail(const struct jail *jail, int (*try)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err;

		if (jail_enter(jail, &err) < 0) {
			dprintf(2, "%s\n", err.text);
			_exit(255);
		}
		_exit(try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static const struct jail plain = { .root = -1, .id = OTHER_USER };

static int try_memory_and_time(void)
{
	char *big = malloc(64u << 20);
	struct timespec t;

	memset(big, 1, 64u << 20);
	free(big);
	return clock_gettime(CLOCK_MONOTONIC, &t) + usleep(1000);
}

static void *set(void *data)
{
	*(int *)data = 7;
	return NULL;
}

static int try_thread(void)
{
	pthread_t thread;
	int value = 0;

	if (pthread_create(&thread, NULL, set, &value) != 0)
		return 1;
	pthread_join(thread, NULL);
	return value;
}

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int try_execve(void)
{
	return execl("/bin/true", "true", NULL);
}

static int try_fork(void)
{
	return fork() < 0;
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int try_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

/* The 32-bit system calls' numbers mean other things. */
static int try_other_abi(void)
{
	return (int)syscall(0x40000000 + SYS_getpid);
}

static void ordinary_things_go_on(void **state)
{
	assert_int_equal(in_jail(&plain, try_memory_and_time), 0);
	assert_int_equal(in_jail(&plain, try_thread), 7);
	assert_int_equal(in_jail(&plain, try_open), EACCES);
}

static void the_rest_ends_it(void **state)
{
	int (*const tries[])(void) = { try_socket, try_execve, try_fork, try_kill, try_ptrace,
		try_code, try_code_later, try_other_abi };

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		assert_int_equal(in_jail(&plain, tries[i]), KILLED);
}

/* With the calls that look, to see that there is nothing to be seen. */
static const struct jail_call looking[] = { { SYS_openat }, { SYS_open }, { SYS_socket },
	{ SYS_connect }, { SYS_getuid }, { SYS_capget },
	{ SYS_prctl, 1, ~UINT64_C(0), PR_CAPBSET_READ },
	{ SYS_prctl, 1, ~UINT64_C(0), PR_GET_DUMPABLE }, { SYS_mkdir }, { SYS_mkdirat },
	{ SYS_getdents64 }, { SYS_newfstatat }, { SYS_getrlimit }, { SYS_prlimit64 },
	JAIL_CALLS_END };
static const struct jail seeing = { .calls = looking, .root = -1, .id = OTHER_USER };

static int try_files(void)
{
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != ENOENT)
		return 1;
	if (open("/proc/self/status", O_RDONLY) >= 0 || open("../../../etc", O_RDONLY) >= 0)
		return 2;
	if (mkdir("/x", 0755) == 0 || open("/x", O_CREAT | O_WRONLY, 0644) >= 0)
		return 3;
	return 0;
}

/* Nobody listens there, but a network would say so at once. */
static int try_network(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	       errno != ENETUNREACH;
}

static int try_privileges(void)
{
	struct rlimit core;
	uint32_t header[2] = { 0x20080522, 0 }, data[6] = { 0 };

	if (syscall(SYS_capget, header, data) < 0 || data[0] || data[1] || data[3] || data[4])
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 3;
	return getuid() == 0 ? 4 : 0;
}

static int try_bounding(void)
{
	for (int i = 0; i < 40; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			return 1;
	return 0;
}

static void nothing_is_in_reach(void **state)
{
	assert_int_equal(in_jail(&seeing, try_files), 0);
	assert_int_equal(in_jail(&seeing, try_network), 0);
	assert_int_equal(in_jail(&seeing, try_privileges), 0);
	if (geteuid() == 0)
		assert_int_equal(in_jail(&seeing, try_bounding), 0);
}

static int try_directory(void)
{
	return open("/file", O_RDONLY) < 0 || open("/../../etc/passwd", O_RDONLY) >= 0 ||
	       open("/proc/self/status", O_RDONLY) >= 0;
}

static void a_directory_as_the_root(void **state)
{
	char dir[] = "/tmp/test-jail.XXXXXX";
	struct jail jail = { .calls = looking };

	assert_non_null(mkdtemp(dir));
	jail.root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(jail.root >= 0);
	close(openat(jail.root, "file", O_CREAT | O_WRONLY, 0644));
	assert_int_equal(in_jail(&jail, try_directory), 0);
	unlinkat(jail.root, "file", 0);
	close(jail.root);
	rmdir(dir);
}

static const struct jail_call arguments[] = { { SYS_fcntl, 2, ~UINT64_C(0), F_SETFL },
	{ SYS_ioctl, 2, 0xff00, 0xae00 }, { SYS_socket, 1, ~UINT64_C(0), AF_UNIX },
	{ SYS_socket, .error = EAFNOSUPPORT }, JAIL_CALLS_END };

static int try_arguments(void)
{
	if (fcntl(0, F_SETFL, 0) < 0 && errno != EBADF)
		return 1;
	/* Allowed ones reach the descriptor, which is none. */
	if (ioctl(-1, 0xae01) == 0 || errno != EBADF)
		return 2;
	if (ioctl(-1, 0x5401) == 0 || errno != ENOTTY)
		return 3;
	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return 4;
	/* All 64 bits count. */
	if (syscall(SYS_socket, (UINT64_C(1) << 32) | AF_UNIX, SOCK_STREAM, 0) >= 0 ||
		errno != EAFNOSUPPORT)
		return 5;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : 6;
}

static void arguments_count(void **state)
{
	const struct jail jail = { .calls = arguments, .root = -1, .id = OTHER_USER };

	assert_int_equal(in_jail(&jail, try_arguments), 0);
}

static void *sleep_long(void *data)
{
	pause();
	return data;
}

static void threads_are_refused(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct err err;
		pthread_t thread;

		pthread_create(&thread, NULL, sleep_long, NULL);
		_exit(jail_enter(&plain, &err) == -EBUSY ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_things_go_on),
		cmocka_unit_test(the_rest_ends_it),
		cmocka_unit_test(nothing_is_in_reach),
		cmocka_unit_test(a_directory_as_the_root),
		cmocka_unit_test(arguments_count),
		cmocka_unit_test(threads_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
