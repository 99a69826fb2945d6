/* See jail.h. */
#include "base/jail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

#define ALL (~UINT64_C(0))

/* What any program needs, and what libraries try and can go on without. */
static const struct jail_call common[] = {
	{ SYS_read },
	{ SYS_write },
	{ SYS_futex },
	{ SYS_poll },
	{ SYS_ppoll },
	{ SYS_readv },
	{ SYS_writev },
	{ SYS_clock_gettime },
	{ SYS_clock_nanosleep },
	{ SYS_nanosleep },
	{ SYS_gettimeofday },
	{ SYS_restart_syscall },
	{ SYS_rt_sigreturn },
	{ SYS_rt_sigprocmask },
	{ SYS_rt_sigaction },
	{ SYS_sigaltstack },
	{ SYS_mmap, 3, PROT_EXEC, 0 },
	{ SYS_mprotect, 3, PROT_EXEC, 0 },
	{ SYS_mremap },
	{ SYS_munmap },
	{ SYS_madvise },
	{ SYS_brk },
	{ SYS_clone, 1, CLONE_THREAD, CLONE_THREAD },
	{ SYS_rseq },
	{ SYS_set_robust_list },
	{ SYS_sched_yield },
	{ SYS_sched_getaffinity },
	{ SYS_getpid },
	{ SYS_gettid },
	{ SYS_getrandom },
	{ SYS_lseek },
	{ SYS_fstat },
	{ SYS_close },
	{ SYS_fcntl, 2, ALL, F_GETFL },
	{ SYS_exit },
	{ SYS_exit_group },
	{ SYS_clone3, .error = ENOSYS }, /* its flags lie in memory; clone() is tried next */
	{ SYS_ioctl, .error = ENOTTY },
	/* The allocator asks for the kernel's policy of overcommitment. */
	{ SYS_open, .error = EACCES },
	{ SYS_openat, .error = EACCES },
	{ SYS_newfstatat, .error = EACCES },
	{ SYS_readlink, .error = EACCES },
	{ SYS_prctl, .error = EPERM },
	{ SYS_prlimit64, .error = EPERM },
	JAIL_CALLS_END,
};

static int write_own(const char *path, const char *text)
{
	return file_put(AT_FDCWD, path, text);
}

/* 1, or 0 where there are none to be had. Root takes no new user namespace: who it is is changed instead. */
static int leave_namespaces(bool root, const struct jail *jail, struct err *err)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare((NAMESPACES & ~jail->shared) | (root ? 0 : CLONE_NEWUSER)) < 0) {
		if (!root && jail->root < 0 &&
			(errno == EPERM || errno == ENOSPC || errno == EINVAL))
			return 0;
		return err_errno(err, "jail: leave the namespaces");
	}
	if (!root) {
		write_own("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		write_own("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		write_own("/proc/self/gid_map", map);
	}
	return 1;
}

static int fs_set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* A file system with nothing in it and room for nothing. */
static int empty_tree(void)
{
	cleanup(fd_close) int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fs_set(fs, "mode", "0555") < 0 || fs_set(fs, "nr_inodes", "1") < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* A copy of what is mounted there. Mounts inside cannot be left out by who did not make them. */
static int own_tree(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NOEXEC };
	cleanup(fd_close) int tree = (int)syscall(
		SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	/* Linux 5.12; one without it says no to devices by Landlock alone. */
	if (tree >= 0 &&
		syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			sizeof(attr)) < 0 &&
		errno != ENOSYS)
		return -1;
	return take_fd(tree);
}

/* Landlock's sixth ABI (include/uapi/linux/landlock.h), which headers may not have yet. */
struct ruleset {
	uint64_t fs, net, scoped;
};
struct beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));
#define RULE_PATH_BENEATH 1
#define FS_ALL_2 0x3fffu   /* by ABI: from the second one on files are linked across directories */
#define FS_ALL_3 0x7fffu   /* with truncation */
#define FS_ALL_5 0xffffu   /* with ioctl() on devices */
#define FS_ALLOWED 0x7ffeu /* all but programs and that */
#define NET_ALL 3u
#define SCOPED_ALL 3u

/* What the root has already said is said once more, by another part of the kernel, if that is there. */
static int lock_in(struct err *err)
{
	long abi = syscall(
		SYS_landlock_create_ruleset, NULL, 0, /* LANDLOCK_CREATE_RULESET_VERSION */ 1);
	struct ruleset set = { .fs = abi >= 5 ? FS_ALL_5 : abi >= 3 ? FS_ALL_3 : FS_ALL_2 };
	size_t size = abi >= 6 ? sizeof(set) : abi >= 4 ? 16 : 8;
	struct beneath rule = { .allowed = FS_ALLOWED & set.fs };
	cleanup(fd_close) int root = -1, rules = -1;

	if (abi < 2)
		return 0;
	set.net = abi >= 4 ? NET_ALL : 0;
	set.scoped = abi >= 6 ? SCOPED_ALL : 0;
	root = rule.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rules = (int)syscall(SYS_landlock_create_ruleset, &set, size, 0);
	if (root < 0 || rules < 0 ||
		syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &rule, 0) < 0 ||
		syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return err_errno(err, "jail: restrict by Landlock");
	return 0;
}

/* own: the root is to be the working directory. */
static int change_root(bool own, struct err *err)
{
	cleanup(fd_close) int tree = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(err, "jail: cut the mounts off from the host's");
	tree = own ? own_tree() : empty_tree();
	if (tree < 0 ||
		syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(err, "jail: make its root");
	if (fchdir(tree) < 0)
		return err_errno(err, "jail: enter its root");
	/* The old root comes to lie upon the new one, and goes. The kernel's first file system (an initial RAM disk that
	 * the host runs in) cannot be left so. */
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return err_errno(err, "jail: let the old root go");
	} else if (errno != EINVAL) {
		return err_errno(err, "jail: change the root");
	}
	if (chroot(".") < 0 || chdir("/") < 0)
		return err_errno(err, "jail: change the root");
	return own ? lock_in(err) : 0;
}

static int change_user(uint32_t id, struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_errno(err, "jail: become user %u", id);
	return 0;
}

static int drop_capabilities(uint64_t keep, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(keep >> 32 * i);
	if (syscall(SYS_capset, &header, data) < 0)
		return err_errno(err, "jail: drop capabilities");
	return 0;
}

/* The bounding set is for execve(), which is not allowed either: this is a second lock on that door. */
static void drop_bounding(uint64_t keep)
{
	for (unsigned i = 0; i < 64; i++)
		if (!(keep & UINT64_C(1) << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return; /* past the kernel's last, or not ours to drop */
}

/* A filter's program as it is written. */
struct program {
	struct sock_filter code[1024];
	size_t len;
};

static void put(struct program *p, struct sock_filter instruction)
{
	assert(p->len < ARRAY_SIZE(p->code));
	p->code[p->len++] = instruction;
}

static void load(struct program *p, size_t offset)
{
	put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void result(struct program *p, uint32_t value)
{
	put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* The accumulator has to be this, or the rest of an entry, `skip` instructions, does not count. */
static void demand(struct program *p, uint32_t value, size_t skip)
{
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)skip));
}

static void put_calls(struct program *p, const struct jail_call *calls)
{
	for (const struct jail_call *c = calls; c && c->number >= 0; c++) {
		size_t arg = offsetof(struct seccomp_data, args) + 8 * (c->arg - 1);

		load(p, offsetof(struct seccomp_data, nr));
		demand(p, (uint32_t)c->number, c->arg ? 7 : 1);
		for (size_t half = 0; c->arg && half < 2; half++) {
			load(p, arg + 4 * half);
			put(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K,
				       (uint32_t)(c->mask >> 32 * half)));
			demand(p, (uint32_t)(c->value >> 32 * half), half ? 1 : 4);
		}
		result(p, c->error ? SECCOMP_RET_ERRNO | (uint32_t)c->error : SECCOMP_RET_ALLOW);
	}
}

static int filter_calls(const struct jail *jail, struct err *err)
{
	struct program p = { .len = 0 };
	struct sock_fprog program = { .filter = p.code };

	load(&p, offsetof(struct seccomp_data, arch));
	put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	result(&p, SECCOMP_RET_KILL_PROCESS);
	put_calls(&p, jail->calls);
	put_calls(&p, common);
	result(&p, SECCOMP_RET_KILL_PROCESS);
	program.len = (unsigned short)p.len;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_errno(err, "jail: filter system calls");
	return 0;
}

/* Threads that were there before would stay outside. */
static int check_alone(struct err *err)
{
	struct stat st;

	if (stat("/proc/self/task", &st) == 0 && st.st_nlink > 3)
		return err_set(
			err, EBUSY, "jail: the process has %d threads", (int)st.st_nlink - 2);
	return 0;
}

int jail_enter(const struct jail *jail, struct err *err)
{
	struct rlimit none = { 0, 0 };
	bool root = geteuid() == 0;
	int r = check_alone(err);

	if (r < 0)
		return r;
	/* A descriptor is of the namespace that it was opened in; the working directory moves along. */
	if (jail->root >= 0 && fchdir(jail->root) < 0)
		return err_errno(err, "jail: enter its root");
	r = leave_namespaces(root, jail, err);
	if (r > 0)
		r = change_root(jail->root >= 0, err);
	if (r < 0)
		return r;
	setrlimit(RLIMIT_CORE, &none);
	drop_bounding(jail->capabilities);
	if (root && jail->id)
		r = change_user(jail->id, err);
	if (r == 0)
		r = drop_capabilities(root ? jail->capabilities : 0, err);
	/* Nobody of the same user looks into it. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_errno(err, "jail: close its memory to others");
	return r < 0 ? r : filter_calls(jail, err);
}
