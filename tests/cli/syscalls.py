#!/usr/bin/env python3
"""What the default system-call profile must make of every system call, written down apart from the program.

syscalls.py ask
    the calls to try, for syscalls.c: every number of the three ABIs of x86-64, and arguments that matter
syscalls.py check FILE [CAP...]
    compares syscalls.c's answers with what is expected of a container that holds these capabilities
    beside Docker's fourteen; "CAP=none" for one with none at all. Prints what differs.

The tables list what is refused: whatever else the kernel's headers name is expected to be allowed, so a call
that is new in them makes this fail until somebody has decided.
"""
import re
import sys

INCLUDE = "/usr/include/x86_64-linux-gnu/asm/unistd_%s.h"
X32_BIT = 0x40000000
EPERM, ENOSYS = 1, 38

# Numbers of Linux 6.2 to 6.18, the same everywhere, which the headers may be too old to name.
NEWER = {n: name for n, name in enumerate((
    "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount "
    "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat "
    "removexattrat open_tree_attr file_getattr file_setattr").split(), 451)}
# Breakpoints of the kernel's own, which it lets past every filter.
UNFILTERED = {("x86_64", 335), ("x86_64", 336)}

# To nobody, whatever the capabilities.
REFUSED = set((
    # keys and credentials of the kernel, which know no namespaces
    "add_key keyctl request_key "
    # the kernel itself
    "kexec_load kexec_file_load swapon swapoff nfsservctl bdflush pivot_root _sysctl sysfs ustat uselib "
    "create_module get_kernel_syms query_module "
    # where most holes of the kernel were
    "io_uring_setup io_uring_enter io_uring_register userfaultfd "
    # memory of other nodes
    "move_pages migrate_pages "
    # numbers without a call
    "afs_syscall getpmsg putpmsg security tuxcall vserver break ftime gtty lock mpx prof profil stty "
    "ulimit idle vm86 vm86old epoll_ctl_old_none "
    # old forms that i386's C libraries left long ago
    "oldfstat oldlstat oldolduname oldstat olduname readdir nice sgetmask sigaction signal "
    "sigpending sigsuspend ssetmask "
    # newer than the profile
    "open_tree_attr file_getattr file_setattr").split())

# Only with one of the capabilities.
WITH = {}
for cap, names in {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
                 "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
                 "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
                 "umount umount2 unshare",
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}.items():
    for name in names.split():
        WITH.setdefault(name, set()).add(cap)

DOCKERS = set("CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
              "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP".split())

NAMESPACES = 0x7e020000  # CLONE_NEW*
PERSONALITIES = {0, 8, 0x20000, 0x20008, 0xffffffff}
# DECnet, Econet, ATM's SVC, IrDA, WANPIPE, ISDN, CAIF: dead; 19 and 20 lie side by side;
# ALG: the kernel's ciphers, VSOCK: the way to the host of a virtual machine; and there are none above 45.
FAMILIES = set(range(46)) - {12, 19, 20, 23, 25, 34, 37, 38, 40}
HIGH = 1 << 32  # the kernel looks at the lower half only


def table(abi):
    names = {}
    with open(INCLUDE % {"x86_64": "64", "i386": "32", "x32": "x32"}[abi]) as f:
        for line in f:
            m = re.match(r"#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)", line)
            if m:
                names[int(m[2])] = m[1]
    for n, name in NEWER.items():
        names.setdefault(n, name)
    return names


def questions():
    for abi in ("x86_64", "i386", "x32"):
        numbers = {name: n for n, name in table(abi).items()}
        for n in list(range(620)) + [1000, 4000, 0x3fffffff]:
            if (abi, n) not in UNFILTERED:
                yield abi, n, 0
        high = [0] if abi == "i386" else [0, HIGH, HIGH << 31]
        for h in high:
            for bit in range(32):
                yield abi, numbers["clone"], h | 1 << bit
            for value in sorted(PERSONALITIES) + [1, 4, 0x40000, 0x400000, 0x7fffffff, 0xfffffffe]:
                yield abi, numbers["personality"], h | value
            for family in list(range(64)) + [0x7fffffff, 0xffffffff]:
                yield abi, numbers["socket"], h | family


def expected(abi, names, caps, n, arg):
    """All answers that will do."""
    name = names.get(n)
    admin = "SYS_ADMIN" in caps
    if abi == "x32":
        arg &= HIGH - 1
    if name == "clone" and not admin:
        return {EPERM if arg & NAMESPACES else "allow"}
    if name == "personality":
        return {"allow" if arg in PERSONALITIES else EPERM}
    if name == "socket":
        return {"allow" if arg in FAMILIES else EPERM}
    if name == "clone3" and not admin:
        return {ENOSYS}
    if name and name not in REFUSED and (name not in WITH or WITH[name] & caps):
        # x32 has what libseccomp knows of it.
        return {"allow"} | ({EPERM} if abi == "x32" and n > 450 else set())
    # Programs probe for new calls, and fall back on ENOSYS only. Which are new depends on libseccomp.
    if n < 450 or abi == "x32":
        return {EPERM}
    return {ENOSYS, EPERM} if name else {ENOSYS}


def main(argv):
    if argv[0] == "ask":
        for q in questions():
            print(*q)
        return 0
    caps = set() if "CAP=none" in argv else DOCKERS | set(argv[2:])
    tables = {abi: table(abi) for abi in ("x86_64", "i386", "x32")}
    wrong = seen = 0
    with open(argv[1]) as f:
        for line in f:
            abi, n, arg, got = line.split()
            n, arg, seen = int(n), int(arg), seen + 1
            want = expected(abi, tables[abi], caps, n, arg)
            if got not in map(str, want):
                wrong += 1
                print("%s %d %s(%#x): %s, not %s" % (
                    abi, n, tables[abi].get(n, "?"), arg, got, " or ".join(map(str, want))))
    print("%d calls, %d wrong" % (seen, wrong))
    return 1 if wrong or seen != len(list(questions())) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
