/*
 * The program that every process of a container starts as, from a sealed memory file, before it becomes
 * the user's program. It stands on its own, without a C library, in a few KiB.
 *
 *	holm-init MODE FD PATH ARG0 [ARG...]
 *
 * MODE "exec": executes PATH at once. Its only purpose is that /proc/self/exe is this file and not
 * the host's holm at the moment when a hostile image makes the kernel look there for a program or
 * an interpreter ("#!/proc/self/exe", CVE-2019-5736).
 * MODE "init": stays as PID 1: runs PATH as its child, in the foreground of the terminal if there is
 * one, hands on signals, reaps whatever is left to it, and ends with the child's status (128+n after a
 * signal).
 *
 * FD is a socket to whoever started the container: it is closed when PATH was executed, and gets a
 * struct report when it could not be.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/wait.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "container/report.h"

#if defined(__x86_64__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#elif defined(__aarch64__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl start\n");
#else
#error "holm-init: system calls of this architecture are not written yet"
#endif

#define SIGNALS 64
#define BIT(sig) (1ull << ((sig)-1))

/* The compiler may call these for assignments of structs. */
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *p, int c, size_t n)
{
	for (volatile char *s = p; n--; s++)
		*s = (char)c;
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	volatile char *t = to;

	for (const char *f = from; n--;)
		*t++ = *f++;
	return to;
}

static _Noreturn void leave(int status)
{
	for (;;)
		call(__NR_exit_group, status, 0, 0, 0, 0);
}

/* The kernel's form of struct sigaction; no handler is ever set, so no restorer is needed. */
struct disposition {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void set_signal(int signo, void (*handler)(int))
{
	struct disposition d = { .handler = handler };

	call(__NR_rt_sigaction, signo, (long)&d, 0, sizeof(d.mask), 0);
}

static void set_mask(uint64_t mask)
{
	call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0);
}

static size_t append(char *to, size_t at, size_t size, const char *s)
{
	while (*s && at + 1 < size)
		to[at++] = *s++;
	return at;
}

static _Noreturn void run(const char *path, char **argv, char **envp, int fd)
{
	static struct report r;
	size_t n = 0;
	int code;

	code = (int)-call(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
	r.type = REPORT_EXEC;
	r.err.code = code;
	n = append(r.err.text, n, sizeof(r.err.text), "exec '");
	n = append(r.err.text, n, sizeof(r.err.text) - 1, argv[0]);
	append(r.err.text, n, sizeof(r.err.text), "'");
	call(__NR_write, fd, (long)&r, sizeof(r), 0, 0);
	leave(code == ENOENT ? 127 : 126);
}

static long spawn(const char *path, char **argv, char **envp, int fd)
{
	long pid = call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	int pgrp;

	if (pid != 0)
		return pid;
	/* Its own group in the foreground, so that the terminal's signals reach it and not us as well.
	 * Both fail without a terminal, which is fine. */
	call(__NR_setpgid, 0, 0, 0, 0, 0);
	pgrp = (int)call(__NR_getpid, 0, 0, 0, 0, 0);
	call(__NR_ioctl, 0, TIOCSPGRP, (long)&pgrp, 0, 0); /* SIGTTOU is still blocked */
	set_mask(0);
	run(path, argv, envp, fd);
}

/* Returns the exit status once the main child is dead. */
static int reap(long child)
{
	int status;
	long pid;

	for (;;) {
		pid = call(__NR_wait4, -1, (long)&status, WNOHANG, 0, 0);
		if (pid == -EINTR)
			continue;
		if (pid <= 0)
			return -1;
		if (pid == child)
			return (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
	}
}

static _Noreturn void supervise(long child)
{
	uint64_t all = ~0ull;
	siginfo_t info;

	for (;;) {
		long signo = call(__NR_rt_sigtimedwait, (long)&all, (long)&info, 0, sizeof(all), 0);
		if (signo == SIGCHLD) {
			int status = reap(child);
			if (status >= 0)
				leave(status);
		} else if (signo > 0) {
			call(__NR_kill, child, signo, 0, 0, 0);
		}
	}
}

static int number(const char *s)
{
	int n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (*s++ - '0');
	return n;
}

_Noreturn void start(long *stack);

/* The initial stack of the psABI: argc, argv[], NULL, envp[], NULL. */
_Noreturn void start(long *stack)
{
	long argc = stack[0], child;
	char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
	int fd;

	if (argc < 5)
		leave(126);
	fd = number(argv[2]);
	call(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0);
	if (argv[1][0] != 'i')
		run(argv[3], argv + 4, envp, fd);
	/* Of a descriptor's execution the kernel makes a number or a file's name. */
	call(__NR_prctl, PR_SET_NAME, (long)"holm-init", 0, 0, 0);
	set_mask(~0ull);
	set_signal(SIGCHLD, SIG_DFL);
	child = spawn(argv[3], argv + 4, envp, fd);
	call(__NR_close, fd, 0, 0, 0, 0);
	if (child < 0)
		leave(126);
	supervise(child);
}
