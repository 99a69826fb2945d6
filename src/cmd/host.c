/* The checks of host.h. Each states its result by ok(), limited() or missing(). */
#include "cmd/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/paths.h"
#include "container/cgroup.h"
#include "rootless/rootless.h"

#define LOW_SPACE (1ull << 30)

static void say(struct host_check *c, enum host_status status, const char *mend, const char *fmt,
	...) printf_like(4, 5);

static void say(
	struct host_check *c, enum host_status status, const char *mend, const char *fmt, ...)
{
	va_list ap;

	c->status = status;
	snprintf(c->mend, sizeof(c->mend), "%s", mend);
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
}

/* Runs fn in a child, which may change its namespaces; fn's result (0 or -errno). */
static int in_child(int (*fn)(void *data), void *data)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(-fn(data) & 0xff);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static void check_user(struct host_check *c)
{
	if (rootless())
		say(c, HOST_OK, "", "user %u, root of a user namespace", rootless_user());
	else if (geteuid() == 0)
		say(c, HOST_OK, "", "root");
	else
		/* What is against it was said when the user namespace could not be entered. */
		say(c, HOST_MISSING, "sudo holm doctor", "user %u, without a user namespace",
			geteuid());
}

static void check_kernel(struct host_check *c)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	/* 5.12 brought mount_setattr, the youngest system call without which nothing works, and 5.13
	 * overlay's attributes in user namespaces. */
	unsigned least = rootless() ? 13 : 12;
	if (sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
		(major > 5 || (major == 5 && minor >= least)))
		say(c, HOST_OK, "", "%s", u.release);
	else
		say(c, HOST_MISSING, "apt-get install linux-image-amd64",
			"%s: 5.%u or later is needed", u.release, least);
}

static void check_namespaces(struct host_check *c)
{
	static const char *const kinds[] = { "pid", "net", "mnt", "ipc", "uts", "cgroup" };
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (access(path, F_OK) == 0)
			continue;
		say(c, HOST_MISSING, "apt-get install linux-image-amd64",
			"the kernel has no %s namespaces", kinds[i]);
		return;
	}
	say(c, HOST_OK, "", "pid net mnt ipc uts cgroup");
}

static int new_user_namespace(void *data)
{
	return unshare(CLONE_NEWUSER) < 0 ? -errno : 0;
}

static void check_user_namespaces(struct host_check *c)
{
	uint64_t max = 1;
	int r = in_child(new_user_namespace, NULL);

	file_get_u64(AT_FDCWD, "/proc/sys/user/max_user_namespaces", &max);
	if (r == 0)
		say(c, HOST_OK, "", "up to %llu", (unsigned long long)max);
	else if (max == 0)
		say(c, HOST_LIMITED, "sysctl -w user.max_user_namespaces=28633", "switched off");
	else
		say(c, HOST_LIMITED, "sysctl -w kernel.unprivileged_userns_clone=1", "%s",
			strerror(-r));
}

static int try_overlay(void *data)
{
	char options[4 * 64];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (chdir(data) < 0)
		return -errno;
	if (mkdir("l", 0700) < 0 || mkdir("u", 0700) < 0 || mkdir("w", 0700) < 0 ||
		mkdir("m", 0700) < 0)
		return -errno;
	snprintf(options, sizeof(options), "%slowerdir=l,upperdir=u,workdir=w",
		rootless() ? "userxattr," : "");
	return mount("overlay", "m", "overlay", 0, options) < 0 ? -errno : 0;
}

static void check_overlay(struct host_check *c)
{
	cleanup(free) char *dir =
		xasprintf("%s/doctor.XXXXXX", paths_root() ? paths_root() : "/tmp");
	int r;

	if (!paths_root()) {
		say(c, HOST_MISSING, "holm --root DIR doctor",
			"there is no directory for the store");
		return;
	}
	if (!mkdtemp(dir)) {
		say(c, HOST_MISSING, "", "write in '%.80s': %s", paths_root(), strerror(errno));
		return;
	}
	r = in_child(try_overlay, dir);
	dir_remove(AT_FDCWD, dir);
	if (r == 0)
		say(c, HOST_OK, "", "on %s", host_file_system(paths_root()));
	else if (r == -ENODEV)
		say(c, HOST_MISSING, "modprobe overlay", "the kernel does not know overlay");
	else if (r == -EINVAL)
		say(c, HOST_MISSING, "holm --root DIR, on ext4, xfs or btrfs",
			"%s cannot hold an overlay's upper directory",
			host_file_system(paths_root()));
	else
		say(c, HOST_MISSING, geteuid() == 0 ? "" : "sudo holm doctor", "mount: %s",
			strerror(-r));
}

static void check_space(struct host_check *c)
{
	struct statvfs v;
	uint64_t free_bytes;

	if (!paths_root() || statvfs(paths_root(), &v) < 0) {
		say(c, HOST_LIMITED, "", "unknown");
		return;
	}
	free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	if (free_bytes < LOW_SPACE)
		say(c, HOST_LIMITED, "holm system prune -a", "only %s free at %.80s",
			format_size(free_bytes), paths_root());
	else
		say(c, HOST_OK, "", "%s free at %.100s", format_size(free_bytes), paths_root());
}

static bool listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ',' || p[-1] == ' ') && strchr(", ", p[len]))
			return true;
	return false;
}

static void check_cgroups(struct host_check *c)
{
	static const char *const modes[] = { [CGROUP_NONE] = "none",
		[CGROUP_V1] = "v1",
		[CGROUP_HYBRID] = "hybrid",
		[CGROUP_V2] = "v2" };
	static const char *const wanted[] = { "memory", "cpu", "cpuset", "pids" };
	enum cgroup_mode mode = cgroup_mode();
	const char *have = cgroup_controllers();

	if (mode == CGROUP_NONE && rootless()) {
		say(c, HOST_LIMITED,
			access("/run/systemd/system", F_OK) == 0 &&
					access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0
				? "systemd-run --user --scope -p Delegate=yes holm run ..."
				: "",
			"none is delegated to you: no limits, no statistics, no pause");
		return;
	}
	if (mode == CGROUP_NONE) {
		say(c, HOST_MISSING, "mount -t cgroup2 cgroup2 /sys/fs/cgroup", "not mounted");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (have && listed(have, wanted[i]))
			continue;
		say(c, HOST_LIMITED,
			rootless()
				? "sudo systemctl edit user@.service (Delegate=cpu cpuset io memory pids)"
			: i == 0
				? "add cgroup_enable=memory to GRUB_CMDLINE_LINUX in /etc/default/grub; update-grub; reboot"
				: "",
			"%s, without %s: its limits cannot be set", modes[mode], wanted[i]);
		return;
	}
	say(c, HOST_OK, "", "%s: %.120s", modes[mode], have);
}

static void check_seccomp(struct host_check *c)
{
	unsigned action = SECCOMP_RET_ERRNO;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		say(c, HOST_OK, "", "filters");
	else
		say(c, HOST_MISSING, "apt-get install linux-image-amd64",
			"the kernel has no system call filters");
}

/* One netlink request with an acknowledgement asked for: 0 or -errno. */
static int netlink_ask(int protocol, const void *request, size_t len)
{
	cleanup(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	union {
		struct nlmsghdr h;
		char space[4096];
	} answer;
	const struct nlmsgerr *e = NLMSG_DATA(&answer.h);

	if (fd < 0 || send(fd, request, len, 0) < 0)
		return -errno;
	if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.h))
		return -EIO;
	return answer.h.nlmsg_type == NLMSG_ERROR ? e->error : 0;
}

/* data: "bridge" or "veth". */
static int try_link(void *data)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
		struct rtattr info, kind;
		char name[8];
	} m = {
		.h = { .nlmsg_len = sizeof(m),
			.nlmsg_type = RTM_NEWLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK },
		.info = { .rta_type = IFLA_LINKINFO, .rta_len = RTA_LENGTH(RTA_LENGTH(8)) },
		.kind = { .rta_type = IFLA_INFO_KIND, .rta_len = RTA_LENGTH(8) },
	};

	snprintf(m.name, sizeof(m.name), "%s", (const char *)data);
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return netlink_ask(NETLINK_ROUTE, &m, sizeof(m));
}

static void check_links(struct host_check *c)
{
	static const char *const kinds[] = { "bridge", "veth" };
	char command[32];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r = in_child(try_link, (void *)kinds[i]);
		if (r == 0)
			continue;
		snprintf(command, sizeof(command), "modprobe %s", kinds[i]);
		say(c, HOST_LIMITED, r == -EPERM ? "sudo holm doctor" : command,
			"%s: %s: only --network none and host work", kinds[i], strerror(-r));
		return;
	}
	say(c, HOST_OK, "", "bridge veth");
}

static int try_nftables(void *data)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
	} m = {
		.h = { .nlmsg_len = sizeof(m),
			.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.g = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return netlink_ask(NETLINK_NETFILTER, &m, sizeof(m));
}

static void check_nftables(struct host_check *c)
{
	int r = in_child(try_nftables, NULL);

	if (r == 0)
		say(c, HOST_OK, "", "in the kernel");
	else
		say(c, HOST_LIMITED, r == -EPERM ? "sudo holm doctor" : "modprobe nf_tables",
			"%s: no NAT and no published ports", strerror(-r));
}

static void check_forwarding(struct host_check *c)
{
	uint64_t on = 0;

	file_get_u64(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", &on);
	if (on)
		say(c, HOST_OK, "", "on");
	else if (access("/proc/sys/net/ipv4/ip_forward", W_OK) == 0)
		say(c, HOST_OK, "", "off, switched on with the first network");
	else
		say(c, HOST_LIMITED, "sysctl -w net.ipv4.ip_forward=1",
			"off: containers do not reach other machines");
}

static void check_resource(struct host_check *c)
{
	/* Not by libcap, which asks the kernel things each time that the program starts. */
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };

	if (rootless()) {
		say(c, HOST_LIMITED, "",
			"an ordinary user's: --ulimit and --oom-score-adj are clamped");
		return;
	}
	if (syscall(SYS_capget, &header, caps) == 0 &&
		caps[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE))
		say(c, HOST_OK, "", "can be raised");
	else
		say(c, HOST_LIMITED, "",
			"no CAP_SYS_RESOURCE: --ulimit and --oom-score-adj are clamped");
}

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	cleanup(free) char *copy = xstrdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *state = NULL;

	for (char *dir = strtok_r(copy, ":", &state); dir; dir = strtok_r(NULL, ":", &state)) {
		cleanup(free) char *file = xasprintf("%s/%s", dir, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static void check_program(struct host_check *c, const char *program, const char *package)
{
	char command[64];

	snprintf(command, sizeof(command), "apt-get install %s", package);
	if (in_path(program))
		say(c, HOST_OK, "", "%s", program);
	else
		say(c, HOST_LIMITED, command, "%s is not installed", program);
}

static void check_bootstrap(struct host_check *c)
{
	check_program(c, "mmdebstrap", "mmdebstrap");
}

static void check_programs_of_ids(struct host_check *c)
{
	if (in_path("newuidmap") && !in_path("newgidmap"))
		check_program(c, "newgidmap", "uidmap");
	else
		check_program(c, "newuidmap", "uidmap");
}

static void check_ids(struct host_check *c)
{
	cleanup(free) char *command = rootless_ids_command(rootless_user());
	unsigned long long n = rootless_ids(rootless_user());

	if (!rootless())
		say(c, HOST_OK, "", "root has all");
	else if (!n)
		say(c, HOST_LIMITED, command,
			"none for you in /etc/subuid and /etc/subgid: all files of images are yours");
	else if (rootless_single_id())
		say(c, HOST_LIMITED, "stop all containers and start them again",
			"%llu, which are not in use: %.100s", n, rootless_single_why());
	else
		say(c, HOST_OK, "", "%llu in /etc/subuid and /etc/subgid", n);
}

static void check_user_network(struct host_check *c)
{
	const char *mend = "", *missing = rootless_network_missing(&mend);

	if (!rootless())
		check_program(c, "pasta", "passt");
	else if (missing)
		say(c, HOST_LIMITED, mend, "%s: containers reach only each other", missing);
	else
		say(c, HOST_OK, "", "pasta");
}

const char *host_file_system(const char *path)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = { { 0xef53, "ext4" }, { 0x58465342, "xfs" }, { 0x9123683e, "btrfs" },
		{ 0x01021994, "tmpfs" }, { 0x794c7630, "overlay" }, { 0x6969, "nfs" },
		{ 0x2fc12fc1, "zfs" }, { 0xf2f52010, "f2fs" } };
	struct statfs s;

	if (statfs(path, &s) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if ((unsigned long)s.f_type == known[i].magic)
				return known[i].name;
	return "unknown";
}

static const struct {
	const char *name, *what;
	void (*fn)(struct host_check *c);
} checks[] = {
	{ "privileges", "making namespaces and mounts", check_user },
	{ "kernel", "system calls", check_kernel },
	{ "namespaces", "fencing off processes", check_namespaces },
	{ "overlay", "root file systems", check_overlay },
	{ "seccomp", "the default profile", check_seccomp },
	{ "cgroups", "limits and statistics", check_cgroups },
	{ "links", "networks", check_links },
	{ "nftables", "NAT and published ports", check_nftables },
	{ "forwarding", "reaching other machines", check_forwarding },
	{ "user namespaces", "--userns", check_user_namespaces },
	{ "rlimits", "--ulimit above the host's", check_resource },
	{ "space", "images and volumes", check_space },
	{ "mmdebstrap", "holm image bootstrap", check_bootstrap },
	{ "newuidmap", "ordinary users", check_programs_of_ids },
	{ "ids", "ordinary users", check_ids },
	{ "pasta", "ordinary users' networks", check_user_network },
};

size_t host_check_all(struct host_check **ret)
{
	struct host_check *all = xcalloc(ARRAY_SIZE(checks), sizeof(*all));

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		all[i].name = checks[i].name;
		all[i].what = checks[i].what;
		checks[i].fn(&all[i]);
	}
	*ret = all;
	return ARRAY_SIZE(checks);
}
