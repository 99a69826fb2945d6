/*
 * Control groups: the layout from mountinfo, v2's files on plain directories, the device program by
 * interpreting it, and the whole on this host's own hierarchies where we may.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "container/cgroup_internal.h"
#include "skip.h"

static char root[] = "/tmp/holm-test-XXXXXX";

static struct bundle *resources(const char *text)
{
	cleanup(json_free) json_t *r = json_parse(text, strlen(text), "resources", NULL);
	cleanup(json_free) json_t *j = json_pack("{s:s,s:{s:s},s:{s:O}}", "ociVersion", "1.2.0",
		"root", "path", "r", "linux", "resources", r);
	struct bundle *b = NULL;
	struct err err = { 0 };

	if (bundle_parse(j, &b, &err) < 0)
		print_message("%s\n", err.text);
	assert_non_null(b);
	return b;
}

/* Layouts */

static void layout_hybrid(void **state)
{
	char text[] =
		"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup "
		"rw,cpu,cpuacct\n"
		"33 31 0:30 /docker/ab /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n"
		"34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"35 31 0:30 / /elsewhere rw - cgroup cgroup rw,memory\n"
		"36 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
	struct cgroup_layout l = { 0 };

	cgroup_layout_parse(text, &l);
	assert_int_equal(l.mode, CGROUP_V1);
	assert_int_equal(l.n, 4);
	assert_string_equal(l.list[2].name, "systemd");
	assert_int_equal(l.controllers[2], 0);
	assert_string_equal(l.list[0].name, "cpu,cpuacct");
	assert_string_equal(l.list[0].controllers, "cpu,cpuacct");
	assert_string_equal(l.list[1].mount, "/sys/fs/cgroup/mem ory");
	assert_int_equal(cgroup_find(&l, CG_CPUACCT), 0);
	assert_int_equal(cgroup_find(&l, CG_MEMORY), 1);
	assert_int_equal(cgroup_find(&l, CG_DEVICES), -1);
	for (size_t i = 0; i < l.n; i++) {
		free((char *)l.list[i].name);
		free((char *)l.list[i].mount);
		free((char *)l.list[i].controllers);
	}
}

static void paths(void **state)
{
	static const char *const cases[][2] = {
		{ "/a//b/./c/", "/a/b/c" },
		{ "/a..b", "/a..b" },
		{ "/../a", NULL },
		{ "a/../b", NULL },
		{ "/", NULL },
		{ "", NULL },
	};
	cleanup(free) char *relative = NULL, *expect = xasprintf("/holm%s/x", paths_suffix());

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup(free) char *p = NULL;
		assert_int_equal(cgroup_path(cases[i][0], &p, NULL), cases[i][1] ? 0 : -EINVAL);
		if (cases[i][1])
			assert_string_equal(p, cases[i][1]);
	}
	assert_int_equal(cgroup_path("x", &relative, NULL), 0);
	assert_string_equal(relative, expect);
}

static void conversions(void **state)
{
	assert_int_equal(cgroup_weight_of_shares(2), 1);
	assert_int_equal(cgroup_weight_of_shares(1024), 100);
	assert_int_equal(cgroup_weight_of_shares(262144), 10000);
	assert_int_equal(cgroup_weight_of_shares(512), 59);
	assert_int_equal(cgroup_io_weight(10), 1);
	assert_int_equal(cgroup_io_weight(1000), 10000);
	assert_int_equal(cgroup_io_weight(500), 4950);
}

/* v2 on plain directories */

static struct cgroup_layout fake_layout(void)
{
	struct cgroup_layout l = { .mode = CGROUP_V2, .n = 1, .open_flags = O_CREAT | O_TRUNC };

	l.list[0] = (struct cgroup_hierarchy){ .name = "", .mount = root };
	l.controllers[0] =
		CG_V2_ALWAYS | cgroup_controllers_of("cpuset cpu io memory hugetlb pids rdma misc");
	return l;
}

static void expect_file(const char *group, const char *file, const char *text)
{
	cleanup(free) char *path = xasprintf("%s%s/%s", root, group, file);
	cleanup(buf_free) struct buf b = { 0 };

	if (file_read(AT_FDCWD, path, 4096, &b) < 0)
		fail_msg("%s is missing", path);
	assert_string_equal(b.data ?: "", text);
}

static void put_file(const char *group, const char *file, const char *text)
{
	cleanup(free) char *path = xasprintf("%s%s/%s", root, group, file);

	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, 0), 0);
}

static void remove_fake(const char *path)
{
	cleanup(free) char *name = xasprintf("%s%s", root, path);

	assert_int_equal(dir_remove(AT_FDCWD, name), 0);
}

static void v2_files(void **state)
{
	struct cgroup_layout l = fake_layout();
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	cleanup(bundle_free) struct bundle *b = resources(
		"{\"memory\":{\"limit\":536870912,\"swap\":805306368,\"reservation\":268435456,"
		"\"disableOOMKiller\":false},"
		"\"cpu\":{\"shares\":1024,\"quota\":50000,\"period\":100000,\"burst\":1000,\"idle\":1,"
		"\"cpus\":\"0-1\",\"mems\":\"0\"},\"pids\":{\"limit\":77},"
		"\"blockIO\":{\"weight\":500,"
		"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":99}]},"
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}],"
		"\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":5}},"
		"\"unified\":{\"memory.high\":\"400000000\",\"cgroup.max.depth\":\"5\"}}");
	int r;

	cgroup_layout_override(&l);
	r = cgroup_create("/top/one", b->linux_.resources, 0, &path, &fd, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_string_equal(path, "/top/one");
	assert_true(fd >= 0);
	expect_file("", "cgroup.subtree_control", "+memory +cpu +cpuset +pids +io +hugetlb +rdma");
	expect_file(
		"/top", "cgroup.subtree_control", "+memory +cpu +cpuset +pids +io +hugetlb +rdma");
	expect_file("/top/one", "memory.max", "536870912");
	expect_file("/top/one", "memory.swap.max", "268435456");
	expect_file("/top/one", "memory.low", "268435456");
	expect_file("/top/one", "cpu.weight", "100");
	expect_file("/top/one", "cpu.max", "50000 100000");
	expect_file("/top/one", "cpu.max.burst", "1000");
	expect_file("/top/one", "cpu.idle", "1");
	expect_file("/top/one", "cpuset.cpus", "0-1");
	expect_file("/top/one", "pids.max", "77");
	expect_file("/top/one", "io.max", "8:0 wiops=99");
	expect_file("/top/one", "hugetlb.2MB.max", "4194304");
	expect_file("/top/one", "hugetlb.2MB.rsvd.max", "4194304");
	expect_file("/top/one", "rdma.max", "mlx5_1 hca_handle=3 hca_object=5");
	expect_file("/top/one", "memory.high", "400000000");
	expect_file("/top/one", "cgroup.max.depth", "5");
	remove_fake("/top");
	cgroup_layout_override(NULL);
}

/* v1: a hierarchy of its own for what was asked for, none for the rest. */
static void v1_files(void **state)
{
	struct cgroup_layout l = { .mode = CGROUP_V1, .open_flags = O_CREAT | O_TRUNC };
	static const char *const names[] = { "memory", "cpu,cpuacct", "cpuset", "pids", "blkio",
		"devices", "freezer", "hugetlb", "net_cls" };
	static const unsigned bits[] = { CG_BIT(CG_MEMORY), CG_BIT(CG_CPU) | CG_BIT(CG_CPUACCT),
		CG_BIT(CG_CPUSET), CG_BIT(CG_PIDS), CG_BIT(CG_BLKIO), CG_BIT(CG_DEVICES),
		CG_BIT(CG_FREEZER), CG_BIT(CG_HUGETLB), CG_BIT(CG_NET_CLS) };
	char mounts[ARRAY_SIZE(names)][64];
	struct err err = { 0 };
	cleanup(free) char *path = NULL, *hugetlb = xasprintf("%s/hugetlb/one", root);
	cleanup(fd_close) int fd = -1;
	cleanup(bundle_free) struct bundle *b = resources(
		"{\"memory\":{\"limit\":1000,\"swap\":-1,\"swappiness\":7,\"disableOOMKiller\":true},"
		"\"cpu\":{\"shares\":512,\"quota\":-1,\"period\":5000,\"mems\":\"0\"},"
		"\"blockIO\":{\"weight\":500,"
		"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":16,\"rate\":99}]},"
		"\"network\":{\"classID\":1048577},"
		"\"devices\":[{\"allow\":false},{\"allow\":true,\"major\":1,\"minor\":3,"
		"\"access\":\"rw\"}]}");

	for (l.n = 0; l.n < ARRAY_SIZE(names); l.n++) {
		snprintf(mounts[l.n], sizeof(mounts[l.n]), "%s/%s", root, names[l.n]);
		assert_int_equal(mkdir(mounts[l.n], 0755), 0);
		l.list[l.n] = (struct cgroup_hierarchy){ names[l.n], mounts[l.n], names[l.n] };
		l.controllers[l.n] = bits[l.n];
	}
	put_file("/cpuset", "cpuset.cpus", "0-3\n");
	put_file("/cpuset", "cpuset.mems", "0-1\n");
	cgroup_layout_override(&l);
	assert_int_equal(cgroup_create("/one", b->linux_.resources, 0, &path, &fd, &err), 0);
	assert_int_equal(fd, -1);
	expect_file("/memory/one", "memory.limit_in_bytes", "1000");
	expect_file("/memory/one", "memory.memsw.limit_in_bytes", "-1");
	expect_file("/memory/one", "memory.swappiness", "7");
	expect_file("/memory/one", "memory.oom_control", "1");
	expect_file("/cpu,cpuacct/one", "cpu.shares", "512");
	expect_file("/cpu,cpuacct/one", "cpu.cfs_quota_us", "-1");
	expect_file("/cpu,cpuacct/one", "cpu.cfs_period_us", "5000");
	expect_file("/cpuset/one", "cpuset.cpus", "0-3");
	expect_file("/cpuset/one", "cpuset.mems", "0");
	expect_file("/blkio/one", "blkio.bfq.weight", "500");
	expect_file("/blkio/one", "blkio.throttle.read_bps_device", "8:16 99");
	expect_file("/net_cls/one", "net_cls.classid", "1048577");
	expect_file("/devices/one", "devices.deny", "a");
	expect_file("/devices/one", "devices.allow", "b 1:3 rwc 1:3 rw");
	assert_int_not_equal(access(hugetlb, F_OK), 0);
	cgroup_layout_override(NULL);
	for (size_t h = 0; h < l.n; h++)
		assert_int_equal(dir_remove(AT_FDCWD, mounts[h]), 0);
}

static void v2_update(void **state)
{
	struct cgroup_layout l = fake_layout();
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	cleanup(bundle_free) struct bundle *swap = resources("{\"memory\":{\"swap\":300}}");
	cleanup(bundle_free) struct bundle *all = resources(
		"{\"memory\":{\"limit\":-1},\"cpu\":{\"period\":20000},\"pids\":{\"limit\":-1}}");
	cleanup(bundle_free) struct bundle *low =
		resources("{\"memory\":{\"limit\":50,\"checkBeforeUpdate\":true}}");
	cleanup(bundle_free) struct bundle *swappiness =
		resources("{\"memory\":{\"swappiness\":5}}");
	cleanup(bundle_free) struct bundle *inverse =
		resources("{\"memory\":{\"limit\":9,\"swap\":5}}");

	cgroup_layout_override(&l);
	assert_int_equal(cgroup_update("/none", swap->linux_.resources, &err), -ENOENT);
	assert_int_equal(cgroup_create("/one", NULL, 0, &path, &fd, &err), 0);
	put_file("/one", "memory.max", "100\n");
	assert_int_equal(cgroup_update(path, swap->linux_.resources, &err), 0);
	expect_file("/one", "memory.swap.max", "200");
	put_file("/one", "cpu.max", "7000 100000\n");
	assert_int_equal(cgroup_update(path, all->linux_.resources, &err), 0);
	expect_file("/one", "cpu.max", "7000 20000");
	expect_file("/one", "memory.max", "max");
	expect_file("/one", "memory.swap.max", "max");
	expect_file("/one", "pids.max", "max");
	put_file("/one", "memory.current", "60\n");
	assert_int_equal(cgroup_update(path, low->linux_.resources, &err), -EBUSY);
	assert_string_equal(err.text, "memory limit 50B: 60B are in use");
	assert_int_equal(cgroup_update(path, swappiness->linux_.resources, &err), -ENOTSUP);
	assert_string_equal(err.text,
		"memory swappiness 5: the memory controller of cgroup v2 has no such limit");
	assert_int_equal(cgroup_update(path, inverse->linux_.resources, &err), -EINVAL);
	remove_fake("/one");
	cgroup_layout_override(NULL);
}

static void v2_stats(void **state)
{
	struct cgroup_layout l = fake_layout();
	struct run_stats s = { 0 };
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	cleanup(free) pid_t *pids = NULL;

	cgroup_layout_override(&l);
	assert_int_equal(cgroup_create("/one", NULL, 0, &path, &fd, &err), 0);
	put_file("/one", "memory.current", "1000\n");
	put_file("/one", "memory.max", "max\n");
	put_file("/one", "memory.stat",
		"anon 300\nfile 600\nworkingset_inactive_file 1\ninactive_file 400\n");
	put_file("/one", "memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 3\n");
	put_file("/one", "cpu.stat",
		"usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\n"
		"nr_periods 9\nnr_throttled 8\nthrottled_usec 7\n");
	put_file("/one", "pids.current", "12\n");
	put_file("/one", "pids.max", "max\n");
	put_file("/one", "io.stat",
		"8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n"
		"8:16 rbytes=5 wbytes=5 rios=1 wios=1\n");
	put_file("/one", "cgroup.procs", "10\n20\n");
	assert_int_equal(cgroup_stats(path, &s, &err), 0);
	assert_int_equal(s.memory_bytes, 600);
	assert_int_equal(s.memory_rss_bytes, 300);
	assert_true(s.memory_limit_bytes > 1 << 20);
	assert_int_equal(s.memory_failcnt, 4);
	assert_int_equal(s.oom_kills, 3);
	assert_int_equal(cgroup_oom_kills(path), 3);
	assert_int_equal(s.cpu_ns, 5000000);
	assert_int_equal(s.cpu_throttled_ns, 7000);
	assert_int_equal(s.pids, 12);
	assert_int_equal(s.pids_limit, 0);
	assert_int_equal(s.block_read_bytes, 15);
	assert_int_equal(s.block_write_ops, 3);
	put_file("/one", "cgroup.events", "populated 1\nfrozen 1\n");
	assert_int_equal(cgroup_freeze(path, true, &err), 0);
	expect_file("/one", "cgroup.freeze", "1");
	assert_int_equal(cgroup_kill(path, SIGKILL, &err), 0);
	expect_file("/one", "cgroup.kill", "1");
	assert_int_equal(mkdirat(fd, "sub", 0755), 0);
	put_file("/one/sub", "cgroup.procs", "30\n");
	assert_int_equal(cgroup_pids(path, &pids, &err), 3);
	assert_int_equal(pids[2], 30);
	remove_fake("/one");
	assert_int_equal(cgroup_stats(path, &s, &err), -ENOENT);
	cgroup_layout_override(NULL);
}

static void missing_controllers(void **state)
{
	struct cgroup_layout l = fake_layout(), none = { 0 };
	struct err err = { 0 };
	char *path = NULL;
	int fd = -1;
	cleanup(bundle_free) struct bundle *b = resources("{\"memory\":{\"limit\":1048576}}");
	cleanup(free) char *left = xasprintf("%s/one", root);

	l.controllers[0] &= ~CG_BIT(CG_MEMORY);
	cgroup_layout_override(&l);
	assert_int_equal(cgroup_create("/one", b->linux_.resources, 0, &path, &fd, &err), -ENOTSUP);
	assert_string_equal(err.text, "memory limit 1.00MiB: this host has no memory controller");
	assert_null(path);
	assert_int_equal(fd, -1);
	remove_fake("/one");
	cgroup_layout_override(&none);
	assert_int_equal(cgroup_create("/one", NULL, 0, &path, &fd, &err), -ENOTSUP);
	assert_int_not_equal(access(left, F_OK), 0);
	cgroup_layout_override(NULL);
}

/* The device program. The few instructions that it is made of, as the kernel runs them. */
static bool run_program(const struct bpf_insn *p, size_t n, const uint32_t ctx[3])
{
	uint64_t reg[11] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = p + pc;
		bool jump = false;
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			reg[i->dst_reg] = ctx[i->off / 4];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			reg[i->dst_reg] = (uint64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			reg[i->dst_reg] = reg[i->src_reg];
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			reg[i->dst_reg] >>= i->imm;
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			reg[i->dst_reg] &= (uint64_t)i->imm;
			break;
		case BPF_JMP | BPF_JA:
			jump = true;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			jump = reg[i->dst_reg] != (uint64_t)i->imm;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			jump = reg[i->dst_reg] & (uint64_t)i->imm;
			break;
		case BPF_JMP | BPF_EXIT:
			return reg[0];
		default:
			fail_msg("instruction %02x", i->code);
		}
		pc += jump ? (size_t)i->off : 0;
	}
	fail_msg("no exit");
	return false;
}

static bool may(
	const struct cgroup_devices *d, char type, uint32_t major, uint32_t minor, unsigned access)
{
	size_t n;
	cleanup(free) struct bpf_insn *p = cgroup_devices_program(d, &n);
	const uint32_t ctx[3] = { access << 16 | (type == 'b' ? 1u : 2u), major, minor };

	return run_program(p, n, ctx);
}

enum { M = BPF_DEVCG_ACC_MKNOD, R = BPF_DEVCG_ACC_READ, W = BPF_DEVCG_ACC_WRITE };

static void device_rules(void **state)
{
	cleanup(bundle_free) struct bundle *b = resources(
		"{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		"{\"allow\":true,\"type\":\"c\",\"access\":\"m\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"r\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"w\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":136,\"minor\":-1},"
		"{\"allow\":true,\"type\":\"a\",\"major\":10,\"minor\":200,\"access\":\"rwm\"},"
		"{\"allow\":true,\"type\":\"b\",\"major\":8,\"minor\":1,\"access\":\"rw\"},"
		"{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":1,\"access\":\"w\"}]}");
	cleanup(bundle_free) struct bundle *open = resources(
		"{\"devices\":[{\"allow\":false,\"type\":\"c\",\"major\":5,\"access\":\"w\"}]}");
	cleanup(cgroup_devices_free) struct cgroup_devices d = { 0 }, e = { 0 };

	cgroup_devices_fold(&b->linux_.resources->devices, &d);
	assert_false(d.allow);
	assert_true(may(&d, 'c', 1, 3, R | W));
	assert_false(may(&d, 'c', 1, 3, R | W | M));
	assert_true(may(&d, 'c', 9, 9, M));
	assert_false(may(&d, 'b', 9, 9, M));
	assert_false(may(&d, 'c', 1, 5, R));
	assert_true(may(&d, 'c', 136, 77, R | W | M));
	assert_true(may(&d, 'b', 10, 200, R | W | M));
	assert_true(may(&d, 'c', 10, 200, R | W | M));
	assert_true(may(&d, 'b', 8, 1, R));
	assert_false(may(&d, 'b', 8, 1, R | W));
	cgroup_devices_fold(&open->linux_.resources->devices, &e);
	assert_true(e.allow);
	assert_true(may(&e, 'c', 5, 1, R | M));
	assert_false(may(&e, 'c', 5, 1, R | W));
	assert_true(may(&e, 'b', 5, 1, W));
}

/* On the host itself */

static bool host_usable(void)
{
	if (geteuid() != 0 || cgroup_mode() == CGROUP_NONE)
		return false;
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	return cgroup_create("usable", NULL, 0, &path, &fd, NULL) == 0 &&
	       cgroup_remove(path, NULL) == 0;
}

struct child {
	pid_t pid;
	int to, from;
};

/* A process in the group that runs what it is told: 'f' forks a sleeper, 'm' takes 64 MiB, 'q' ends,
 * 'n' opens /dev/null and /dev/zero. Answers one byte each. */
static void child_main(int in, int out)
{
	char c, answer;

	while (read(in, &c, 1) == 1 && c != 'q') {
		answer = 'y';
		if (c == 'f' && fork() == 0)
			for (;;)
				pause();
		if (c == 'm')
			memset(malloc(64 << 20), 1, 64 << 20);
		if (c == 'n')
			answer = (char)('0' + (open("/dev/null", O_RDWR) >= 0) +
					2 * (open("/dev/zero", O_RDONLY) >= 0));
		if (write(out, &answer, 1) != 1)
			break;
	}
	_exit(0);
}

static struct child start(const char *path, bool self)
{
	int to[2], from[2];
	struct child c;

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	c.pid = fork();
	if (c.pid == 0) {
		close(to[1]);
		/* As the first process of a container, which may have its user namespace by now. */
		if (self && unshare(CLONE_NEWUSER) < 0)
			errno = 0;
		if (self && cgroup_join(path, 0, NULL) < 0)
			_exit(1);
		if (write(from[1], "y", 1) == 1)
			child_main(to[0], from[1]);
		_exit(1);
	}
	close(to[0]);
	close(from[1]);
	c.to = to[1];
	c.from = from[0];
	char answer = 0;
	assert_int_equal(read(c.from, &answer, 1), 1);
	if (!self)
		assert_int_equal(cgroup_join(path, c.pid, NULL), 0);
	return c;
}

static char tell(const struct child *c, char what)
{
	char answer = 0;

	assert_int_equal(write(c->to, &what, 1), 1);
	return read(c->from, &answer, 1) == 1 ? answer : 0;
}

static int stop(struct child *c)
{
	int status = -1;

	close(c->to);
	close(c->from);
	waitpid(c->pid, &status, 0);
	return status;
}

static void assert_gone(const char *path)
{
	size_t n;
	const struct cgroup_hierarchy *list = cgroup_hierarchies(&n);
	cleanup(free) char *parent = xasprintf("/holm%s", paths_suffix());

	for (size_t h = 0; h < n; h++) {
		cleanup(free) char *a = xasprintf("%s%s", list[h].mount, path);
		cleanup(free) char *b = xasprintf("%s%s", list[h].mount, parent);
		assert_int_not_equal(access(a, F_OK), 0);
		assert_int_not_equal(access(b, F_OK), 0);
	}
}

static void host_life(void **state)
{
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	cleanup(free) pid_t *pids = NULL;
	struct run_stats s = { 0 };
	struct child c;

	if (!host_usable())
		skip_because("needs root and control groups that can be written to");
	assert_int_equal(cgroup_create("life", NULL, 0, &path, &fd, &err), 0);
	c = start(path, cgroup_mode() != CGROUP_V2);
	assert_int_equal(tell(&c, 'f'), 'y');
	assert_int_equal(cgroup_pids(path, &pids, &err), 2);
	assert_true(pids[0] == c.pid || pids[1] == c.pid);
	/* Counted, on v1: nobody has asked for the pids controller. */
	assert_int_equal(cgroup_stats(path, &s, &err), 0);
	assert_int_equal(s.pids, 2);
	assert_true(s.cpu_ns > 0);
	/* v1's freezer comes with the first who freezes, and all processes go into it. */
	assert_false(cgroup_is_frozen(path));
	assert_int_equal(cgroup_freeze(path, false, &err), 0);
	assert_int_equal(cgroup_join(path, 1 << 30, &err), -ESRCH);

	assert_int_equal(cgroup_freeze(path, true, &err), 0);
	assert_int_equal(write(c.to, "x", 1), 1);
	usleep(20000);
	int got = fd_set_nonblock(c.from, true);
	char answer;
	assert_int_equal(got, 0);
	assert_int_equal(read(c.from, &answer, 1), -1);
	assert_int_equal(fd_set_nonblock(c.from, false), 0);
	assert_int_equal(cgroup_freeze(path, false, &err), 0);
	assert_int_equal(read(c.from, &answer, 1), 1);

	/* A paused group is killed too. */
	assert_int_equal(cgroup_freeze(path, true, &err), 0);
	assert_int_equal(cgroup_kill(path, SIGKILL, &err), 0);
	assert_int_equal(WTERMSIG(stop(&c)), SIGKILL);
	assert_int_equal(cgroup_remove(path, &err), 0);
	assert_int_equal(cgroup_remove(path, &err), 0);
	assert_gone(path);
	/* Who freezes what has just been removed makes nothing. */
	assert_true(cgroup_freeze(path, true, &err) < 0);
	assert_gone(path);
}

/* Removing kills what is left and takes the container's own subgroups along. */
static void host_remove_busy(void **state)
{
	struct err err = { 0 };
	cleanup(free) char *path = NULL, *again = NULL;
	cleanup(fd_close) int fd = -1, fd2 = -1;
	struct child c;
	size_t n;

	if (!host_usable())
		skip_because("needs root and control groups that can be written to");
	assert_int_equal(cgroup_create("busy", NULL, 0, &path, &fd, &err), 0);
	c = start(path, false);
	assert_int_equal(cgroup_create("busy", NULL, 0, &again, &fd2, &err), -EBUSY);
	const struct cgroup_hierarchy *list = cgroup_hierarchies(&n);
	for (size_t h = 0; h < n; h++) {
		cleanup(free) char *sub = xasprintf("%s%s/a/b", list[h].mount, path);
		cleanup(free) char *group = xasprintf("%s%s", list[h].mount, path);
		if (access(group, F_OK) == 0)
			assert_int_equal(dir_make(sub, 0755), 0);
	}
	assert_int_equal(cgroup_remove(path, &err), 0);
	assert_int_equal(WTERMSIG(stop(&c)), SIGKILL);
	assert_gone(path);
}

static void host_limits(void **state)
{
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	struct run_stats s = { 0 };
	struct child c;
	cleanup(bundle_free) struct bundle *b = resources(
		"{\"memory\":{\"limit\":33554432,\"swap\":33554432},\"pids\":{\"limit\":5},"
		"\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"rw\"}]}");
	cleanup(bundle_free) struct bundle *more = resources(
		"{\"memory\":{\"limit\":268435456,\"swap\":268435456},"
		"\"cpu\":{\"quota\":50000,\"period\":100000,\"cpus\":\"0\",\"shares\":512},"
		"\"pids\":{\"limit\":9}}");

	if (!host_usable())
		skip_because("needs root and control groups that can be written to");
	int r = cgroup_create("limits", b->linux_.resources, 0, &path, &fd, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	c = start(path, false);
	assert_int_equal(tell(&c, 'n'), '1');
	assert_int_equal(cgroup_stats(path, &s, &err), 0);
	assert_int_equal(s.memory_limit_bytes, 33554432);
	assert_int_equal(s.pids_limit, 5);
	assert_int_equal(tell(&c, 'm'), 0);
	assert_int_equal(WTERMSIG(stop(&c)), SIGKILL);
	assert_int_equal(cgroup_oom_kills(path), 1);

	c = start(path, false);
	r = cgroup_update(path, more->linux_.resources, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(tell(&c, 'm'), 'y');
	/* The controllers that the limits brought along hold the process too. */
	cpu_set_t cpus;
	assert_int_equal(sched_getaffinity(c.pid, sizeof(cpus), &cpus), 0);
	assert_int_equal(CPU_COUNT(&cpus), 1);
	assert_int_equal(cgroup_stats(path, &s, &err), 0);
	assert_int_equal(s.memory_limit_bytes, 268435456);
	assert_int_equal(s.pids_limit, 9);
	stop(&c);
	assert_int_equal(cgroup_remove(path, &err), 0);
	assert_gone(path);
}

/* v2's device program in the kernel, on hybrid hosts too, whose v2 half is as good for this. */
static void host_device_program(void **state)
{
	const struct cgroup_layout *host = cgroup_layout();
	struct cgroup_layout l = { .mode = CGROUP_V2, .n = 1 };
	struct err err = { 0 };
	cleanup(free) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	struct child c;
	cleanup(bundle_free) struct bundle *first = resources(
		"{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":5,\"access\":\"rwm\"}]}");
	cleanup(bundle_free) struct bundle *second = resources(
		"{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
		"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"rwm\"}]}");

	for (size_t h = 0; h < host->n; h++)
		if (cgroup_is_v2(host, h)) {
			l.list[0] = host->list[h];
			l.controllers[0] = CG_V2_ALWAYS;
		}
	if (!host_usable() || !l.list[0].mount)
		skip_because("needs root and a cgroup v2 hierarchy");
	cgroup_layout_override(&l);
	int r = cgroup_create("program", first->linux_.resources, 0, &path, &fd, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	c = start(path, false);
	assert_int_equal(tell(&c, 'n'), '2');
	assert_int_equal(cgroup_update(path, second->linux_.resources, &err), 0);
	assert_int_equal(tell(&c, 'n'), '1');
	assert_int_equal(cgroup_freeze(path, true, &err), 0);
	assert_int_equal(cgroup_kill(path, SIGKILL, &err), 0);
	assert_int_equal(WTERMSIG(stop(&c)), SIGKILL);
	assert_int_equal(cgroup_remove(path, &err), 0);
	assert_gone(path);
	cgroup_layout_override(NULL);
}

static int set_up(void **state)
{
	char run[64];

	if (!mkdtemp(root))
		return -1;
	snprintf(run, sizeof(run), "%s/.holm", root);
	return paths_init(run, NULL, NULL);
}

static int tear_down(void **state)
{
	return dir_remove(AT_FDCWD, root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_hybrid),
		cmocka_unit_test(paths),
		cmocka_unit_test(conversions),
		cmocka_unit_test(v2_files),
		cmocka_unit_test(v1_files),
		cmocka_unit_test(v2_update),
		cmocka_unit_test(v2_stats),
		cmocka_unit_test(missing_controllers),
		cmocka_unit_test(device_rules),
		cmocka_unit_test(host_life),
		cmocka_unit_test(host_remove_busy),
		cmocka_unit_test(host_limits),
		cmocka_unit_test(host_device_program),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
