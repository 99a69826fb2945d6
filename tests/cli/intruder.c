/*
 * intruder PID WORD: has a process call what WORD names, as hostile code in it would, and prints
 * "WORD: ok", "WORD: ERRNO", or "WORD: killed by SIGNAL". The process's main thread must be waiting in a system call,
 * whose instruction is executed again with other registers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

/* The path of an open is what lies on the stack then. */
#define STACK 0xffffffffffffffffull

static const struct attempt {
	const char *word;
	unsigned long long number, args[6];
} attempts[] = {
	{ "getpid", SYS_getpid, { 0 } },
	{ "open", SYS_openat, { (unsigned long long)AT_FDCWD, STACK, O_RDONLY } },
	{ "exec", SYS_execve, { STACK, 0, 0 } },
	{ "execveat", SYS_execveat, { (unsigned long long)AT_FDCWD, STACK, 0, 0, 0 } },
	{ "socket", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "unix-socket", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "kill-init", SYS_kill, { 1, 0 } },
	{ "signal-init", SYS_tgkill, { 1, 1, 0 } },
	{ "fork", SYS_clone, { SIGCHLD } },
	{ "user-namespace", SYS_unshare, { CLONE_NEWUSER } },
	{ "mount", SYS_mount, { STACK, STACK, 0, MS_BIND, 0 } },
	{ "code", SYS_mmap,
		{ 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1ull, 0 } },
	{ "ptrace", SYS_ptrace, { PTRACE_ATTACH, 1, 0, 0 } },
	{ "setuid", SYS_setuid, { 0 } },
	{ "bpf", SYS_bpf, { 0, 0, 0 } },
	{ "io-uring", SYS_io_uring_setup, { 1, STACK } },
	{ "type-at-terminal", SYS_ioctl, { 0, 0x5412 /* TIOCSTI */, STACK } },
};

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int wait_for(pid_t pid, int *status)
{
	return waitpid(pid, status, __WALL) == pid ? 0 : -1;
}

static int try(pid_t pid, const struct attempt *a)
{
	struct user_regs_struct before, r;
	unsigned long long args[6];
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
		ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || wait_for(pid, &status) < 0)
		return fail("stop it");
	if (ptrace(PTRACE_GETREGS, pid, 0, &before) < 0)
		return fail("read its registers");
	if (before.orig_rax == ~0ull) {
		fprintf(stderr, "it waits in no system call\n");
		return 1;
	}
	r = before;
	for (int i = 0; i < 6; i++)
		args[i] = a->args[i] == STACK ? r.rsp - 256 : a->args[i];
	if (ptrace(PTRACE_POKEDATA, pid, r.rsp - 256, 0x637465002f /* "/" */) < 0)
		return fail("write to its stack");
	r.rip -= 2; /* at the instruction again */
	r.rax = a->number;
	r.orig_rax = ~0ull; /* nothing to restart */
	r.rdi = args[0], r.rsi = args[1], r.rdx = args[2];
	r.r10 = args[3], r.r8 = args[4], r.r9 = args[5];
	if (ptrace(PTRACE_SETREGS, pid, 0, &r) < 0)
		return fail("set its registers");
	/* To the call's begin and its end, which one that is refused has, too; and after that to the begin of the call
	 * that it was in, as if nothing had been, unless a signal is what it gets. */
	for (int stops = 0; stops < 3; stops++) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0 || wait_for(pid, &status) < 0)
			return fail("let it run");
		if (WIFSIGNALED(status)) {
			printf("%s: killed by SIG%s\n", a->word, sigabbrev_np(WTERMSIG(status)));
			return 0;
		}
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			fprintf(stderr, "stopped by %x\n", status);
			return 1;
		}
		if (stops != 1)
			continue;
		if (ptrace(PTRACE_GETREGS, pid, 0, &r) < 0)
			return fail("read its registers");
		before.rip -= 2;
		before.rax = before.orig_rax;
		before.orig_rax = ~0ull;
		ptrace(PTRACE_SETREGS, pid, 0, &before);
	}
	printf("%s: %s\n", a->word, (long long)r.rax < 0 ? strerrorname_np((int)-r.rax) : "ok");
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return 0;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(attempts) / sizeof(*attempts); i++)
		if (strcmp(argv[2], attempts[i].word) == 0)
			return try(atoi(argv[1]), &attempts[i]);
	fprintf(stderr, "usage: intruder PID WORD\n");
	return 2;
}
