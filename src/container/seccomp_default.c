/*
 * The default system-call profile: what Docker's allows (moby/profiles, seccomp/default.json of
 * 2026-05), but for sockets of families that are dead, so that an image that runs there runs here. Everything else fails with EPERM. What would
 * give more than a capability already gives is allowed to its holders; user namespaces and the like
 * (clone's flags) only to CAP_SYS_ADMIN's.
 */
#include "container/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/strv.h"

/* Names the kernel or libseccomp do not know are skipped, so all architectures share one list. */
static const char always[] =
	"_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget "
	"capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres "
	"clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
	"clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
	"epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
	"epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat "
	"faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat "
	"fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
	"flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync "
	"ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
	"futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents "
	"getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 "
	"getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid "
	"getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt "
	"gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch "
	"inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents "
	"io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set "
	"ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown "
	"lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr "
	"lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier "
	"memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall "
	"mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive "
	"mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal "
	"msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at "
	"nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe "
	"pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 "
	"preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev "
	"pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg "
	"recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat "
	"renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending "
	"rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	"rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max "
	"sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
	"sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
	"sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield "
	"seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile "
	"sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address "
	"setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 "
	"setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
	"setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr "
	"setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
	"sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 "
	"statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill "
	"time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
	"timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
	"timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask "
	"uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork "
	"vmsplice wait4 waitid waitpid write writev";

#if defined(__x86_64__) || defined(__i386__)
static const char of_arch[] = "arch_prctl modify_ldt";
#elif defined(__aarch64__) || defined(__arm__)
static const char of_arch[] =
	"arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";
#elif defined(__powerpc64__)
static const char of_arch[] = "swapcontext sync_file_range2";
#elif defined(__s390__)
static const char of_arch[] = "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr";
#elif defined(__riscv)
static const char of_arch[] = "riscv_flush_icache";
#else
static const char of_arch[] = "";
#endif

/* Before Linux 4.8 a tracer could change a system call after the filter had seen it. */
static const char tracing[] = "process_vm_readv process_vm_writev ptrace";

static const struct {
	const char *cap, *names;
} with_cap[] = {
	{ "CAP_BPF", "bpf" },
	{ "CAP_DAC_READ_SEARCH", "open_by_handle_at" },
	{ "CAP_PERFMON", "perf_event_open" },
	{ "CAP_SYSLOG", "syslog" },
	{ "CAP_SYS_ADMIN",
		"bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
		"lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
		"open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
		"syslog umount umount2 unshare" },
	{ "CAP_SYS_BOOT", "reboot" },
	{ "CAP_SYS_CHROOT", "chroot" },
	{ "CAP_SYS_MODULE", "delete_module finit_module init_module" },
	{ "CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
	{ "CAP_SYS_PACCT", "acct" },
	{ "CAP_SYS_PTRACE",
		"kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace" },
	{ "CAP_SYS_RAWIO", "ioperm iopl" },
	{ "CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime" },
	{ "CAP_SYS_TTY_CONFIG", "vhangup" },
};

static const char *const architectures[] = {
#if defined(__x86_64__)
	"SCMP_ARCH_X86_64",
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X32",
#elif defined(__aarch64__)
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_ARM",
#elif defined(__s390x__)
	"SCMP_ARCH_S390X",
	"SCMP_ARCH_S390",
#endif
	NULL,
};

/*
 * Neither AF_ALG, the kernel's ciphers, nor AF_VSOCK, the way to the host of a virtual machine; nor those that
 * nobody has used for long, whose modules the kernel would load on demand: DECnet, Econet, ATM's switched
 * circuits, IrDA, WANPIPE, ISDN, CAIF.
 */
static const uint8_t families[] = { AF_UNSPEC, AF_UNIX, AF_INET, AF_AX25, AF_IPX, AF_APPLETALK,
	AF_NETROM, AF_BRIDGE, AF_ATMPVC, AF_X25, AF_INET6, AF_ROSE, AF_NETBEUI, AF_SECURITY, AF_KEY,
	AF_NETLINK, AF_PACKET, AF_ASH, AF_RDS, AF_SNA, AF_PPPOX, AF_LLC, AF_IB, AF_MPLS, AF_CAN,
	AF_TIPC, AF_BLUETOOTH, AF_IUCV, AF_RXRPC, AF_PHONET, AF_IEEE802154, AF_NFC, AF_KCM,
	AF_QIPCRTR, AF_SMC, AF_XDP, AF_MCTP };

/* All namespaces of clone's flags: NEWTIME shares its bit with the exit signal's mask. */
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#if defined(__s390__)
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

static struct bundle_seccomp_rule *add(
	struct bundle_seccomp *p, const char *names, const char *action)
{
	struct bundle_seccomp_rule *rule = bundle_add(&p->syscalls, struct bundle_seccomp_rule);

	rule->names = strv_split(names, ' ');
	rule->action = xstrdup(action);
	return rule;
}

static void allow(struct bundle_seccomp *p, const char *names)
{
	if (*names)
		add(p, names, "SCMP_ACT_ALLOW");
}

static void allow_if(
	struct bundle_seccomp *p, const char *name, uint32_t arg, const char *op, uint64_t value)
{
	struct bundle_seccomp_rule *rule = add(p, name, "SCMP_ACT_ALLOW");
	struct bundle_seccomp_arg *a = bundle_add(&rule->args, struct bundle_seccomp_arg);

	a->index = arg;
	a->value = value;
	a->op = xstrdup(op);
}

static bool kernel_at_least(int major, int minor)
{
	struct utsname u;
	int have_major = 0, have_minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &have_major, &have_minor) != 2)
		return false;
	return have_major > major || (have_major == major && have_minor >= minor);
}

static void add_clone(struct bundle_seccomp *p)
{
	struct bundle_seccomp_rule *clone3;

	allow_if(p, "clone", CLONE_FLAGS_ARG, "SCMP_CMP_MASKED_EQ", NAMESPACES);
	/* Its flags lie in memory, where no filter can look; libc falls back to clone on ENOSYS. */
	clone3 = add(p, "clone3", "SCMP_ACT_ERRNO");
	clone3->errno_ret = xnew(int64_t);
	*clone3->errno_ret = ENOSYS;
}

void seccomp_default(const struct bundle_capabilities *caps, struct bundle_seccomp *ret)
{
	static const uint64_t personalities[] = { PER_LINUX, PER_LINUX32, UNAME26,
		PER_LINUX32 | UNAME26, 0xffffffff };
	char *const *held = caps ? caps->bounding : NULL;

	*ret = (struct bundle_seccomp){ .default_action = xstrdup("SCMP_ACT_ERRNO") };
	ret->default_errno_ret = xnew(int64_t);
	*ret->default_errno_ret = EPERM;
	for (const char *const *a = architectures; *a; a++)
		strv_add(&ret->architectures, *a);
	allow(ret, always);
	allow(ret, of_arch);
	if (kernel_at_least(4, 8))
		allow(ret, tracing);
	/* One by one: the kernel looks at the lower half of the argument and a filter at the whole, so
	 * that "all above AF_VSOCK" would have AF_ALG in it, with a bit set in the upper half. */
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		allow_if(ret, "socket", 0, "SCMP_CMP_EQ", families[i]);
	for (size_t i = 0; i < ARRAY_SIZE(personalities); i++)
		allow_if(ret, "personality", 0, "SCMP_CMP_EQ", personalities[i]);
	for (size_t i = 0; i < ARRAY_SIZE(with_cap); i++)
		if (strv_contains(held, with_cap[i].cap))
			allow(ret, with_cap[i].names);
	if (!strv_contains(held, "CAP_SYS_ADMIN"))
		add_clone(ret);
}
