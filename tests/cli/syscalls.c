/*
 * What a seccomp filter makes of system calls, without executing one: reads "ABI NUMBER ARG0" lines, prints
 * each with " allow", " ERRNO" (a number) or " kill" behind. ABI is x86_64, i386 (int 0x80) or x32.
 *
 * A second filter upon the container's answers SECCOMP_RET_TRACE to everything. The kernel takes the
 * strictest of all filters' answers: what the first one refuses is refused, and what it allows stops at a
 * tracer, which skips the call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CALLS 8192
#define REACHED (-4000) /* no errno */
#define KILLED (-4001)
#define X32_BIT 0x40000000L

struct call {
	char abi[8];
	long nr;
	unsigned long arg;
	volatile long result;
};

static struct shared {
	struct call calls[MAX_CALLS];
	volatile int n, at;
} * shared;

static long call_64(long nr, unsigned long arg)
{
	register long r10 __asm__("r10") = -1;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = -1;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(arg), "S"(-1L), "d"(-1L), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static long call_32(long nr, unsigned long arg)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(arg), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* From here on every system call is stopped, so no library function is called. */
static void try_all(void)
{
	for (; shared->at < shared->n; shared->at++) {
		struct call *c = &shared->calls[shared->at];
		if (c->abi[0] == 'i')
			c->result = call_32(c->nr, c->arg);
		else
			c->result = call_64(c->nr | (c->abi[1] == '3' ? X32_BIT : 0), c->arg);
	}
	call_64(SYS_exit_group, 0);
}

static void child(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE) };
	struct sock_fprog program = { 1, code };

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("syscalls: child");
		_exit(1);
	}
	try_all();
}

/* Skips the call, unless it is the last one. */
static int on_stop(pid_t pid)
{
	struct user_regs_struct regs;

	if (shared->at >= shared->n)
		return 0;
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		return -1;
	regs.orig_rax = (unsigned long)-1;
	regs.rax = (unsigned long)REACHED;
	return (int)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

/* One child's life: to the end, or to a call that kills it. */
static int trace(void)
{
	int status, signo;
	pid_t pid = fork();

	if (pid == 0)
		child();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
		ptrace(PTRACE_SETOPTIONS, pid, NULL,
			(void *)(PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL)) < 0)
		return -1;
	for (signo = 0;; signo = WSTOPSIG(status)) {
		if (ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signo) < 0 ||
			waitpid(pid, &status, 0) != pid)
			return -1;
		if (WIFSIGNALED(status)) {
			shared->calls[shared->at++].result = KILLED;
			return 0;
		}
		if (WIFEXITED(status))
			return shared->at < shared->n ? -1 : 0;
		if (status >> 8 != (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
			continue;
		if (on_stop(pid) < 0)
			return -1;
		status = 0;
	}
}

int main(void)
{
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	while (shared->n < MAX_CALLS) {
		struct call *c = &shared->calls[shared->n];
		if (scanf("%7s %ld %lu", c->abi, &c->nr, &c->arg) != 3)
			break;
		shared->n++;
	}
	while (shared->at < shared->n)
		if (trace() < 0) {
			perror("syscalls");
			return 1;
		}
	for (int i = 0; i < shared->n; i++) {
		const struct call *c = &shared->calls[i];
		printf("%s %ld %lu ", c->abi, c->nr, c->arg);
		if (c->result == REACHED)
			puts("allow");
		else if (c->result == KILLED)
			puts("kill");
		else
			printf("%ld\n", -c->result);
	}
	return 0;
}
