/*
 * What a hostile process would try, one attempt a word: `probe unshare-user clone3 ...` prints
 * "WORD: ok" or "WORD: ERRNO" for each. Linked statically, for the suites to bind or pack into images.
 *
 *	probe hunt SECONDS  opens /proc/PID/exe of every process that appears, for reading and for writing,
 *	                    and prints what came of it: "seen N", "read DEV:INO PATH", "write DEV:INO PATH"
 *	probe ls DIR, probe cat FILE, probe put FILE TEXT, probe sleep
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int reap(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return (int)pid;
}

static int try_unshare_user(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_clone_user(void)
{
	return reap(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int try_clone3(void)
{
	struct clone_args a = { .exit_signal = SIGCHLD };

	return reap(syscall(SYS_clone3, &a, sizeof(a)));
}

static int try_mount(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int try_remount_sys(void)
{
	return mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL);
}

static int try_umount(void)
{
	return umount2("/proc/sys", MNT_DETACH);
}

static int try_fsopen(void)
{
	return (int)syscall(SYS_fsopen, "tmpfs", 0);
}

static int try_open_tree(void)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
}

static int try_setns(void)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY);

	return setns(fd, 0);
}

static int try_chroot(void)
{
	return chroot("/");
}

static int try_keyctl(void)
{
	return (int)syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1, 0, 0);
}

static int try_add_key(void)
{
	return (int)syscall(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static int try_bpf(void)
{
	union bpf_attr a = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
		.max_entries = 1 };

	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static int try_perf(void)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(a),
		.config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1 };

	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_handle(void)
{
	struct {
		struct file_handle h;
		char bytes[8];
	} h = { .h = { .handle_bytes = 8, .handle_type = 1 }, .bytes = { 2 } };

	return open_by_handle_at(AT_FDCWD, &h.h, O_RDONLY);
}

static int try_userfaultfd(void)
{
	return (int)syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */);
}

static int try_io_uring(void)
{
	char params[120] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int try_module(void)
{
	return (int)syscall(SYS_init_module, "", 0, "");
}

static int try_kexec(void)
{
	return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
}

/* Wrong on purpose: whoever may call it gets EINVAL. */
static int try_reboot(void)
{
	return (int)syscall(SYS_reboot, 1, 2, 3, NULL);
}

static int try_swapon(void)
{
	return swapon("/nonexistent", 0);
}

static int try_settime(void)
{
	return (int)syscall(SYS_settimeofday, NULL, NULL); /* sets nothing */
}

static int try_acct(void)
{
	return acct("/nonexistent/file");
}

static int try_no_aslr(void)
{
	return personality(ADDR_NO_RANDOMIZE);
}

static int try_socket_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_socket_alg(void)
{
	return socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int try_socket_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static int try_socket_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static int try_setuid(void)
{
	return setuid(0);
}

/* i386's keyctl, by the old door into the kernel. */
static int try_keyctl_i386(void)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(288L), "b"(0L), "c"(-3L), "d"(1L), "S"(0L), "D"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	if (r >= 0)
		return 0;
	errno = (int)-r;
	return -1;
#else
	errno = EPERM;
	return -1;
#endif
}

static int try_seccomp_off(void)
{
	return prctl(PR_GET_SECCOMP) == 2 ? (errno = EPERM, -1) : 0;
}

static const struct {
	const char *name;
	int (*try)(void);
} attempts[] = {
	{ "acct", try_acct },
	{ "add-key", try_add_key },
	{ "bpf", try_bpf },
	{ "chroot", try_chroot },
	{ "clone-user", try_clone_user },
	{ "clone3", try_clone3 },
	{ "fsopen", try_fsopen },
	{ "io-uring", try_io_uring },
	{ "kexec", try_kexec },
	{ "keyctl", try_keyctl },
	{ "keyctl-i386", try_keyctl_i386 },
	{ "module", try_module },
	{ "mount", try_mount },
	{ "no-aslr", try_no_aslr },
	{ "open-by-handle", try_handle },
	{ "open-tree", try_open_tree },
	{ "perf", try_perf },
	{ "ptrace", try_ptrace },
	{ "reboot", try_reboot },
	{ "remount-sys", try_remount_sys },
	{ "seccomp-off", try_seccomp_off },
	{ "setns", try_setns },
	{ "settime", try_settime },
	{ "setuid", try_setuid },
	{ "socket-alg", try_socket_alg },
	{ "socket-inet", try_socket_inet },
	{ "socket-packet", try_socket_packet },
	{ "socket-vsock", try_socket_vsock },
	{ "swapon", try_swapon },
	{ "umount", try_umount },
	{ "unshare-user", try_unshare_user },
	{ "userfaultfd", try_userfaultfd },
};

/* In a child, for some attempts change the process for good. */
static int attempt(const char *name)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status;
		pid_t pid;
		if (strcmp(attempts[i].name, name) != 0)
			continue;
		pid = fork();
		if (pid == 0) {
			errno = 0;
			_exit(attempts[i].try() < 0 ? errno : 0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
			printf("%s: died\n", name);
		else
			printf("%s: %s\n", name,
				WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "ok");
		return 0;
	}
	fprintf(stderr, "probe: no attempt '%s'\n", name);
	return 1;
}

/* ---- hunt */

/* By the name that the open file has: that of the process' program may be another one by now. */
static void found(const char *how, int fd)
{
	static char lines[256][256];
	char line[256], self[64], path[160] = "";
	struct stat st;
	size_t i;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0 || readlink(self, path, sizeof(path) - 1) < 0)
		return;
	snprintf(line, sizeof(line), "%s %u:%u:%llu %s", how, major(st.st_dev), minor(st.st_dev),
		(unsigned long long)st.st_ino, path);
	for (i = 0; i < 256 && *lines[i]; i++)
		if (strcmp(lines[i], line) == 0)
			return;
	if (i < 256)
		strcpy(lines[i], line);
	puts(line);
	fflush(stdout);
}

/* Its own first byte, so that a test that fails does no harm. A sealed file can be opened. */
static bool can_write(int fd)
{
	char path[64], byte;
	int in;
	bool read_it;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	in = open(path, O_RDONLY | O_NONBLOCK);
	read_it = in >= 0 && pread(in, &byte, 1, 0) == 1;
	if (in >= 0)
		close(in);
	return read_it && pwrite(fd, &byte, 1, 0) == 1;
}

static void hunt_one(const char *pid)
{
	char exe[64], self[64];
	int fd, again;

	snprintf(exe, sizeof(exe), "/proc/%s/exe", pid);
	fd = open(exe, O_WRONLY | O_NONBLOCK);
	if (fd >= 0) {
		if (can_write(fd))
			found("write", fd);
		close(fd);
	}
	fd = open(exe, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		fd = open(exe, O_PATH);
	if (fd < 0)
		return;
	found("read", fd);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	for (int i = 0; i < 50; i++) {
		again = open(self, O_WRONLY | O_NONBLOCK);
		if (again >= 0) {
			if (can_write(again))
				found("write", again);
			close(again);
			break;
		}
	}
	close(fd);
}

static int hunt(int seconds)
{
	time_t end = time(NULL) + seconds;
	int seen = 0, highest = (int)getpid();
	char own[16];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	puts("hunting");
	fflush(stdout);
	while (time(NULL) < end) {
		DIR *d = opendir("/proc");
		struct dirent *e;
		while (d && (e = readdir(d))) {
			if (e->d_name[0] < '1' || e->d_name[0] > '9' || strcmp(e->d_name, own) == 0)
				continue;
			if (atoi(e->d_name) > highest) {
				highest = atoi(e->d_name);
				seen++;
			}
			hunt_one(e->d_name);
		}
		if (d)
			closedir(d);
	}
	printf("seen %d\n", seen);
	return 0;
}

/* ---- files */

static int list(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d) {
		perror(path);
		return 1;
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			puts(e->d_name);
	closedir(d);
	return 0;
}

static int cat(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	char buf[4096];
	ssize_t n;

	if (fd < 0) {
		perror(path);
		return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 1;
	return n < 0;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int r = 0;

	if (strcmp(verb, "hunt") == 0 && argc == 3)
		return hunt(atoi(argv[2]));
	if (strcmp(verb, "ls") == 0 && argc == 3)
		return list(argv[2]);
	if (strcmp(verb, "cat") == 0 && argc == 3)
		return cat(argv[2]);
	if (strcmp(verb, "put") == 0 && argc == 4)
		return put(argv[2], argv[3]);
	if (strcmp(verb, "sleep") == 0)
		return (int)sleep(1000);
	for (int i = 1; i < argc; i++)
		r |= attempt(argv[i]);
	return r;
}
