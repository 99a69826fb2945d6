/* Containers: what a bundle asks for around their processes. */
#include "box.h"
#include "skip.h"

/* ---- mounts */

static char *make_source(const struct box *b, const char *name)
{
	char *path = at(b, name);

	assert_int_equal(mkdir(path, 0755), 0);
	cleanup(free) char *file = xasprintf("%s/file", path);
	assert_int_equal(file_write(AT_FDCWD, file, "theirs", 6, 0644, 0), 0);
	return path;
}

static void test_binds(void **state)
{
	struct box *b = *state;
	cleanup(free) char *dir = make_source(b, "source");
	cleanup(free) char *rw = xasprintf("{'destination':'/rw','type':'bind','source':'%s',"
					   "'options':['rbind','rw']}",
		dir);
	cleanup(free) char *ro = xasprintf("{'destination':'/new/ro','source':'%s',"
					   "'options':['bind','ro','noexec']}",
		dir);
	cleanup(free) char *file = xasprintf("{'destination':'/etc/new','source':'%s/file',"
					     "'options':['bind']}",
		dir);

	add(b, "mounts", rw);
	add(b, "mounts", ro);
	add(b, "mounts", file);
	expect(b,
		"cat /rw/file /new/ro/file /etc/new; echo; echo ours > /rw/file; cat /etc/new;"
		"touch /new/ro/x 2>/dev/null || echo ro; grep -o ' /new/ro .* ro,noexec' /proc/mounts"
		" | cut -d' ' -f2",
		"theirstheirstheirs\nours\nro\n/new/ro\n");
}

static void test_tmpfs_copy_up(void **state)
{
	struct box *b = *state;

	add(b, "mounts",
		"{'destination':'/full','type':'tmpfs','options':['tmpcopyup','ro','nosuid','mode=0700']}");
	expect(b,
		"cat /full/file; stat -c ' %a' /full/file; touch /full/x 2>/dev/null || echo ro;"
		"grep -c ' /full tmpfs' /proc/mounts",
		"here 604\nro\n1\n");
}

static void test_readonly_root(void **state)
{
	struct box *b = *state;

	set(b, "root/readonly", "true");
	expect(b, "touch /x 2>/dev/null || echo ro; touch /dev/shm/x && echo rw", "ro\nrw\n");
}

/* Links of the image stay inside, dangling or not. */
static void test_links_stay_inside(void **state)
{
	struct box *b = *state;
	cleanup(free) char *dir = make_source(b, "source");
	cleanup(free) char *out = xasprintf("%s/layer/out", b->dir);
	cleanup(free) char *conf = xasprintf("%s/layer/etc/conf", b->dir);
	cleanup(free) char *victim = xasprintf("%s/victim", b->dir);
	cleanup(free) char *up = xasprintf("../../../../../../../..%s", b->dir);
	cleanup(free) char *bind =
		xasprintf("{'destination':'/out/victim','source':'%s','options':['bind']}", dir);
	cleanup(free) char *file =
		xasprintf("{'destination':'/etc/conf','source':'%s/file','options':['bind']}", dir);

	assert_int_equal(symlink(up, out), 0);
	assert_int_equal(symlink("../absent/conf", conf), 0);
	add(b, "mounts", bind);
	add(b, "mounts", file);
	expect(b, "cat /absent/conf /out/victim/file", "theirstheirs");
	assert_int_equal(access(victim, F_OK), -1);
}

static void test_proc_stays_whole(void **state)
{
	struct box *b = *state;
	cleanup(free) char *dir = make_source(b, "source");
	cleanup(free) char *bind =
		xasprintf("{'destination':'/proc/sys','source':'%s','options':['bind']}", dir);

	add(b, "mounts", bind);
	expect_no_start(b, EPERM, "to rootfs at \"/proc/sys\": mounts inside /proc are refused");
}

static void test_proc_is_no_link(void **state)
{
	struct box *b = *state;
	cleanup(free) char *proc = at(b, "layer/proc");

	assert_int_equal(rmdir(proc), 0);
	assert_int_equal(symlink("tmp", proc), 0);
	expect_no_start(b, ENOTDIR, "to rootfs at \"/proc\"");
}

static void test_bad_mounts(void **state)
{
	struct box *b = *state;

	add(b, "mounts", "{'destination':'/x','type':'nofs','source':'x'}");
	expect_no_start(b, ENODEV, "to rootfs at \"/x\": this kernel has no file system 'nofs'");
	json_array_clear(json_object_get(b->config, "mounts"));
	add(b, "mounts", "{'destination':'/x','source':'/absent/thing','options':['bind']}");
	expect_no_start(b, ENOENT,
		"error mounting \"/absent/thing\" to rootfs at \"/x\": source '/absent/thing': No such file or directory");
	json_array_clear(json_object_get(b->config, "mounts"));
	add(b, "mounts", "{'destination':'/x','type':'tmpfs','options':['size=much']}");
	expect_no_start(b, EINVAL, "to rootfs at \"/x\": mount tmpfs with options size=much");
}

static void test_many_layers(void **state)
{
	struct box *b = *state;
	json_t *layers = json_object_get(json_object_get(b->config, "holm"), "layers");

	for (int i = 0; i < 60; i++) {
		cleanup(free) char *dir = xasprintf(
			"%s/a-directory-with-a-name-that-needs-space,and:even\\more-of-it-%02d",
			b->dir, i);
		assert_int_equal(mkdir(dir, 0755), 0);
		json_array_append_new(layers, json_string(dir));
	}
	expect(b, "echo yes > /file; cat /file", "yes\n");
	cleanup(free) char *file = at(b, "upper/file");
	assert_int_equal(access(file, F_OK), 0);
}

static void test_plain_root(void **state)
{
	struct box *b = *state;
	json_t *holm = json_object_get(b->config, "holm");
	cleanup(free) char *layer = at(b, "layer");

	json_object_del(holm, "layers");
	json_object_del(holm, "upper");
	json_object_del(holm, "work");
	json_object_set_new(json_object_get(b->config, "root"), "path", json_string(layer));
	expect(b, "cat /full/file; echo yes > /file; ls / | grep -c .", "here8\n");
}

static void test_missing_layer(void **state)
{
	struct box *b = *state;

	add(b, "holm/layers", "'/absent/layer'");
	expect_no_start(b, ENOENT, "layer '/absent/layer': No such file or directory");
}

static void test_mount_options(void **state)
{
	cleanup(strv_free) char **options =
		strv_split("rbind,ro,nosuid,suid,noatime,rro,size=1m,rslave,mode=1777", ',');
	cleanup(mount_options_free) struct mount_options o = { 0 };
	uint64_t set, clear;
	struct err err;

	(void)state;
	assert_int_equal(mount_options_parse(options, &o, &err), 0);
	assert_true(o.bind && o.recursive && !o.copy_up);
	assert_int_equal(o.flags, MS_RDONLY | MS_NOATIME);
	assert_int_equal(o.cleared, MS_NOSUID);
	assert_int_equal(o.set, MOUNT_ATTR_RDONLY);
	mount_options_attributes(o.flags, &set, &clear);
	assert_int_equal(set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME);
	assert_int_equal(clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME |
					MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR__ATIME);
	/* How the source deals with access times is left alone where nothing is said of it. */
	mount_options_attributes(MS_NODEV, &set, &clear);
	assert_int_equal(set, MOUNT_ATTR_NODEV);
	assert_int_equal(clear & (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME), 0);
	assert_int_equal(o.below_set, MOUNT_ATTR_RDONLY);
	assert_int_equal(o.propagation, MS_SLAVE | MS_REC);
	assert_string_equal(o.data.data, "size=1m,mode=1777");
}

/* ---- what else a bundle says */

static void test_devices(void **state)
{
	struct box *b = *state;

	set(b, "linux/devices",
		"[{'type':'c','path':'/dev/sub/mine','major':1,'minor':3,'fileMode':384,'uid':7,'gid':8},"
		"{'type':'p','path':'/dev/pipe'}]");
	expect(b, "stat -c '%n %F %a %u:%g' /dev/sub/mine /dev/pipe",
		"/dev/sub/mine character special file 600 7:8\n/dev/pipe fifo 666 0:0\n");
}

static void test_sysctls(void **state)
{
	struct box *b = *state;

	set(b, "linux/sysctl",
		"{'net.ipv4.ip_unprivileged_port_start':'81','kernel.msgmax':'4321'}");
	expect(b, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax",
		"81\n4321\n");
}

static void test_sysctls_of_the_host(void **state)
{
	struct box *b = *state;

	set(b, "linux/sysctl", "{'vm.swappiness':'1'}");
	expect_no_start(b, EINVAL, "linux.sysctl: 'vm.swappiness' would change the host's");
}

static void test_limits(void **state)
{
	struct box *b = *state;

	set(b, "process/rlimits",
		"[{'type':'RLIMIT_NOFILE','soft':3,'hard':22},"
		"{'type':'RLIMIT_CORE','soft':0,'hard':0}]");
	set(b, "process/oomScoreAdj", "321");
	set(b, "process/scheduler", "{'policy':'SCHED_BATCH','nice':5}");
	expect(b,
		"ulimit -Sn; ulimit -Hn; ulimit -Sn 20; ulimit -c; cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat",
		"3\n22\n0\n321\n5\n");
}

static bool may_raise_limits(void)
{
	struct rlimit l, more;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	more = (struct rlimit){ .rlim_cur = l.rlim_cur, .rlim_max = l.rlim_max + 1 };
	return setrlimit(RLIMIT_NOFILE, &more) == 0;
}

/* More than this host may give is clamped, with a warning on standard error. */
static void test_limits_clamped(void **state)
{
	struct box *b = *state;
	struct rlimit l;

	if (may_raise_limits())
		skip_because("this host gives as many descriptors as one asks for");
	set(b, "process/rlimits", "[{'type':'RLIMIT_NOFILE','soft':9999999,'hard':9999999}]");
	set(b, "process/oomScoreAdj", "-1000");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	cleanup(free) char *wanted = xasprintf("%llu\n", (unsigned long long)l.rlim_max);
	expect(b, "ulimit -Hn", wanted);
}

static void test_time(void **state)
{
	struct box *b = *state;

	add(b, "linux/namespaces", "{'type':'time'}");
	set(b, "linux/timeOffsets", "{'boottime':{'secs':100000000,'nanosecs':0}}");
	expect(b, "test $(cut -d. -f1 /proc/uptime) -gt 100000000 && echo later", "later\n");
}

static void test_personality(void **state)
{
	struct box *b = *state;

	set(b, "linux/personality", "{'domain':'LINUX32'}");
	expect(b, "cat /proc/self/personality", "00000008\n");
}

/* ---- namespaces */

static void test_needs_mount_namespace(void **state)
{
	struct box *b = *state;

	set(b, "linux/namespaces", "[{'type':'pid'}]");
	expect_no_start(b, EINVAL, "needs a mount namespace");
}

static void test_shares_the_hosts(void **state)
{
	struct box *b = *state;
	char host[64], *wanted;
	ssize_t n = readlink("/proc/self/ns/net", host, sizeof(host) - 1);

	assert_true(n > 0);
	host[n] = '\0';
	set(b, "linux/namespaces", "[{'type':'mount'}]");
	json_object_del(b->config, "hostname");
	wanted = xasprintf("%s\n", host);
	expect(b, "readlink /proc/self/ns/net", wanted);
	free(wanted);
}

static void test_joins(void **state)
{
	struct box *b = *state;
	void *other_state;
	cleanup(free) char *text = NULL;

	box_setup(&other_state);
	struct box *other = other_state;
	script(other, "exec sleep 100");
	box_start(other);
	text = xasprintf(
		"[{'type':'mount'},{'type':'cgroup'},{'type':'uts','path':'/proc/%d/ns/uts'},"
		"{'type':'ipc','path':'/proc/%d/ns/ipc'},"
		"{'type':'pid','path':'/proc/%d/ns/pid'},"
		"{'type':'network','path':'/proc/%d/ns/net'}]",
		(int)other->state.pid, (int)other->state.pid, (int)other->state.pid,
		(int)other->state.pid);
	set(b, "linux/namespaces", text);
	json_object_del(b->config, "hostname");
	expect(b, "hostname; tr '\\0' ' ' < /proc/1/cmdline; ls /sys/class/net",
		"boxed\nsleep 100 lo\n");
	/* The caller's own children are born where they always were. */
	pid_t pid = fork();
	if (pid == 0)
		_exit(getpid() == 1 || getppid() == 0);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	box_teardown(&other_state);
}

static void test_user_namespace(void **state)
{
	struct box *b = *state;
	struct stat st;

	add(b, "linux/namespaces", "{'type':'user'}");
	set(b, "linux/uidMappings", mappings);
	set(b, "linux/gidMappings", mappings);
	expect(b,
		"id -u; cut -c1-40 /proc/self/uid_map | tr -s ' '; stat -c %u /bin/sh /dev/null;"
		"echo x > /mine; chown 5:6 /mine; stat -c %u:%g /mine; echo y > /full/file;"
		"echo z > /dev/null && grep -c . /proc/mounts > /tmp/x; ls /sys/class/net",
		"0\n 0 200000 65536\n0\n65534\n5:6\nlo\n");
	/* On disk the image's ids stay what they were. */
	cleanup(free) char *mine = at(b, "upper/mine"), *full = at(b, "upper/full/file");
	assert_int_equal(stat(mine, &st), 0);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_gid, 6);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_user_namespace_and_join(void **state)
{
	struct box *b = *state;
	void *other_state;

	box_setup(&other_state);
	struct box *other = other_state;
	script(other, "exec sleep 100");
	box_start(other);
	cleanup(free) char *text = xasprintf(
		"[{'type':'mount'},{'type':'user'},{'type':'pid'},{'type':'uts'},{'type':'ipc'},"
		"{'type':'network','path':'/proc/%d/ns/net'}]",
		(int)other->state.pid);
	set(b, "linux/namespaces", text);
	set(b, "linux/uidMappings", mappings);
	set(b, "linux/gidMappings", mappings);
	expect(b, "id -u; echo $$; grep -c : /proc/net/dev", "0\n1\n1\n");
	box_teardown(&other_state);
}

static void test_idmapped_bind(void **state)
{
	struct box *b = *state;
	cleanup(free) char *dir = make_source(b, "source");
	cleanup(free) char *bind =
		xasprintf("{'destination':'/mapped','source':'%s','options':['bind','idmap'],"
			  "'uidMappings':[{'containerID':0,'hostID':3000,'size':10}],"
			  "'gidMappings':[{'containerID':0,'hostID':4000,'size':10}]}",
			dir);

	add(b, "mounts", bind);
	expect(b, "stat -c %u:%g /mapped/file", "3000:4000\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		TEST(binds),
		TEST(tmpfs_copy_up),
		TEST(readonly_root),
		TEST(links_stay_inside),
		TEST(proc_stays_whole),
		TEST(proc_is_no_link),
		TEST(bad_mounts),
		TEST(many_layers),
		TEST(plain_root),
		TEST(missing_layer),
		TEST(mount_options),
		TEST(devices),
		TEST(sysctls),
		TEST(sysctls_of_the_host),
		TEST(limits),
		TEST(limits_clamped),
		TEST(time),
		TEST(personality),
		TEST(needs_mount_namespace),
		TEST(shares_the_hosts),
		TEST(joins),
		TEST(user_namespace),
		TEST(user_namespace_and_join),
		TEST(idmapped_bind),
	};

	return box_main(tests, ARRAY_SIZE(tests));
}
