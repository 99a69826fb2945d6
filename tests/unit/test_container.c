/* Containers: their processes, from creation to destruction. */
#include "box.h"

/* ---- the tests */

static void test_runs(void **state)
{
	expect(*state, "echo out; echo $$; hostname; pwd; id -u; echo $A $HOME; cat /full/file",
		"out\n1\nboxed\n/\n0\nb /root\nhere");
}

static void test_status(void **state)
{
	free(output_of(*state, "exit 7", 7));
}

static void test_isolation(void **state)
{
	/* One process, one link, no tree of the host's, nothing open but the standard descriptors. */
	expect(*state,
		"ls /proc > /tmp/p; grep -c '^[0-9]' /tmp/p; ls /sys/class/net;"
		"ls /proc/1/fd; grep -vc ':/$' /proc/1/cgroup;"
		"cut -d' ' -f1 /proc/mounts | grep -c /dev/vda;"
		"ls -a / | tr '\\n' ' '",
		"2\nlo\n0\n1\n2\n0\n0\n. .. bin dev etc full proc sys tmp ");
}

static void test_dev(void **state)
{
	expect(*state,
		"cd /dev; ls | tr '\\n' ' '; echo; stat -c '%n %F %t:%T %a' null tty ptmx;"
		"echo x > null; head -c 4 zero | wc -c; readlink fd; readlink ptmx",
		"fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n"
		"null character special file 1:3 666\ntty character special file 5:0 666\n"
		"ptmx symbolic link 0:0 777\n4\n/proc/self/fd\npts/ptmx\n");
}

static void test_masked(void **state)
{
	expect(*state,
		"wc -c < /proc/version; ls /proc/irq | wc -l; ls /sys/firmware | wc -l;"
		"touch /sys/firmware/x 2>/dev/null || echo ro;"
		"echo x 2>/dev/null > /proc/sys/kernel/domainname || echo ro;"
		"echo 1 2>/dev/null > /sys/fs/cgroup/x || echo ro",
		"0\n0\n0\nro\nro\nro\n");
}

static void test_rights(void **state)
{
	expect(*state, "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | tr '\\t' ' '; id -G",
		"CapInh: 0000000000000000\nCapPrm: 00000000080000e1\nCapEff: 00000000080000e1\n"
		"CapBnd: 00000000080000e1\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n0\n");
}

static void test_user(void **state)
{
	struct box *b = *state;

	set(b, "process/user", "{'uid':1000,'gid':1001,'umask':23,'additionalGids':[5,6]}");
	set(b, "process/noNewPrivileges", "true");
	set(b, "process/capabilities/ambient", "['CAP_KILL']");
	set(b, "process/capabilities/inheritable", "['CAP_KILL']");
	set(b, "process/cwd", "'/made/here'");
	expect(b,
		"id -u; id -G; umask; pwd; echo $HOME; echo x >/dev/stderr;"
		"grep -E '^(Cap|NoNew)' /proc/self/status | tr '\\t' ' '",
		"1000\n1001 5 6\n0027\n/made/here\n/home/bob\nx\n"
		"CapInh: 0000000000000020\nCapPrm: 0000000000000020\nCapEff: 0000000000000020\n"
		"CapBnd: 00000000080000e1\nCapAmb: 0000000000000020\nNoNewPrivs: 1\n");
}

static void test_no_program(void **state)
{
	struct box *b = *state;

	set(b, "process/args", "['nothing']");
	expect_no_create(b, ENOENT, "exec 'nothing': No such file or directory");
}

static void test_bad_program(void **state)
{
	struct box *b = *state;

	set(b, "process/args", "['/etc/passwd']");
	expect_no_create(b, EACCES, "exec '/etc/passwd': Permission denied");
}

/* ---- rights */

static void test_seccomp_last(void **state)
{
	struct box *b = *state;

	/* Nothing that setting up takes is allowed but the last two calls. */
	set(b, "linux/seccomp",
		"{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['setuid','setgid','setgroups',"
		"'setresuid','setresgid','prctl','mount','chdir'],'action':'SCMP_ACT_ERRNO',"
		"'errnoRet':111}]}");
	set(b, "process/user", "{'uid':1000,'gid':1000}");
	expect(b, "id -u; cd / 2>/dev/null || echo refused", "1000\nrefused\n");
}

static void test_capabilities(void **state)
{
	cleanup(strv_free) char **names = strv_split("CAP_CHOWN,CAP_NONSENSE,CAP_SYS_CHROOT", ',');
	struct bundle_capabilities c = { .bounding = names };
	struct capability_sets sets;

	(void)state;
	capabilities_parse(&c, &sets);
	assert_int_equal(sets.bounding, 1 << 0 | 1 << 18);
	assert_int_equal(sets.effective, 0);
}

/* The kernel looks up an interpreter in the process that executes it: that must not be holm. */
static void test_own_program_is_hidden(void **state)
{
	struct box *b = *state;
	cleanup(free) char *path = at(b, "layer/bin/evil");
	static const char text[] = "#!/proc/self/exe\n";

	assert_int_equal(file_write(AT_FDCWD, path, text, sizeof(text) - 1, 0755, 0), 0);
	set(b, "process/args", "['/bin/evil','one','two']");
	box_start(b);
	/* The init program was executed with arguments that mean nothing to it. */
	assert_int_equal(box_wait(b), 126);
}

static void test_cwd_outside(void **state)
{
	struct box *b = *state;

	for (int fd = 3; fd < 12; fd++) {
		cleanup(free) char *cwd = xasprintf("'/proc/self/fd/%d/'", fd);
		set(b, "process/cwd", cwd);
		assert_true(box_create(b) < 0 || container_start(&b->state, -1, &b->err) < 0);
		if (b->state.pid) {
			assert_int_equal(container_destroy(&b->state, &b->err), 0);
			waitpid((pid_t)b->state.pid, NULL, 0);
			record_clear(run_state_fields, &b->state);
		}
	}
}

/* ---- the terminal */

static char *read_console(struct box *b)
{
	struct buf out = { 0 };
	ssize_t n;

	/* EIO is its end. */
	while ((n = read(b->console, buf_reserve(&out, 4096), 4096)) > 0)
		out.len += (size_t)n;
	return buf_detach(&out);
}

static void test_terminal(void **state)
{
	struct box *b = *state;

	set(b, "process/terminal", "true");
	set(b, "process/consoleSize", "{'height':33,'width':77}");
	script(b, "stty size; tty; stat -c %F /dev/console; echo out > /dev/tty; head -n 1");
	box_start(b);
	assert_int_equal(write(b->console, "typed\n", 6), 6);
	cleanup(free) char *out = read_console(b);
	assert_int_equal(box_wait(b), 0);
	/* What is typed is echoed when it is, early or late. */
	for (const char *const *s = (const char *const[]){ "33 77", "/dev/pts/0",
		     "character special file", "out", "typed", NULL };
		*s; s++)
		assert_non_null(strstr(out, *s));
}

/* The program is the terminal's foreground, also behind init. */
static void test_terminal_with_init(void **state)
{
	struct box *b = *state;

	set(b, "process/terminal", "true");
	set(b, "holm/init", "true");
	script(b, "head -n 1 | tr e E; sleep 100");
	box_start(b);
	assert_int_equal(write(b->console, "typed\n", 6), 6);
	for (char line[64] = ""; !strstr(line, "typEd");) {
		ssize_t n = read(b->console, line, sizeof(line) - 1);
		assert_true(n > 0);
		line[n] = '\0';
	}
	assert_int_equal(write(b->console, "\003", 1), 1);
	assert_int_equal(box_wait(b), 128 + SIGINT);
}

/* ---- init */

static void test_init(void **state)
{
	struct box *b = *state;

	set(b, "holm/init", "true");
	expect(b,
		"echo $$; cut -d' ' -f2 /proc/1/stat; readlink /proc/1/exe;"
		"sh -c 'sleep 0.1 & exec true'; for i in 1 2 3 4 5 6 7 8 9; do"
		" set -- /proc/[0-9]*; [ $# -gt 2 ] || break; sleep 0.1; done; echo $#",
		"2\n(holm-init)\n/memfd:holm-init (deleted)\n2\n");
}

static void test_init_forwards(void **state)
{
	struct box *b = *state;
	char line[8] = "";

	set(b, "holm/init", "true");
	script(b, "trap 'echo got; exit 9' TERM; echo set; while :; do sleep 0.05; done");
	box_start(b);
	assert_int_equal(read(b->out, line, 4), 4);
	assert_int_equal(container_kill(&b->state, SIGTERM, false, &b->err), 0);
	assert_int_equal(read(b->out, line, 4), 4);
	assert_string_equal(line, "got\n");
	assert_int_equal(box_wait(b), 9);
}

static void test_init_without_program(void **state)
{
	struct box *b = *state;

	set(b, "holm/init", "true");
	set(b, "process/args", "['/bin/nothing']");
	expect_no_create(b, ENOENT, "exec '/bin/nothing': No such file or directory");
}

static void test_init_signal_status(void **state)
{
	struct box *b = *state;

	set(b, "holm/init", "true");
	free(output_of(b, "kill -9 $$", 128 + 9));
}

/* ---- life and death */

static void test_kill_all(void **state)
{
	struct box *b = *state;
	char line[8] = "";

	script(b, "sleep 100 & sleep 100 & echo up; wait");
	box_start(b);
	assert_int_equal(read(b->out, line, 3), 3);
	assert_true(run_alive(&b->state));
	assert_int_equal(container_kill(&b->state, SIGKILL, true, &b->err), 0);
	assert_int_equal(box_wait(b), 128 + SIGKILL);
	assert_int_equal(container_kill(&b->state, SIGKILL, false, &b->err), 0);
	assert_int_equal(container_kill(&b->state, SIGKILL, true, &b->err), 0);
}

static void test_destroy_unstarted(void **state)
{
	struct box *b = *state;

	assert_int_equal(box_create(b), 0); /* the teardown destroys it */
	assert_true(run_alive(&b->state));
}

static void test_start_once(void **state)
{
	struct box *b = *state;

	script(b, "sleep 100");
	box_start(b);
	assert_int_equal(container_start(&b->state, -1, &b->err), -EINVAL);
	assert_non_null(strstr(b->err.text, "was started before"));
}

/* The creator dies without a word: so does what it made. */
static void test_dies_with_parent(void **state)
{
	struct box *b = *state;
	int64_t pid = 0;
	int pipefd[2];

	set(b, "process/user", "{'uid':1000,'gid':1000}");
	script(b, "sleep 100");
	assert_int_equal(pipe(pipefd), 0);
	pid_t creator = fork();
	if (creator == 0) {
		box_start(b);
		_exit(write(pipefd[1], &b->state.pid, sizeof(pid)) != sizeof(pid));
	}
	assert_int_equal(read(pipefd[0], &pid, sizeof(pid)), sizeof(pid));
	cleanup(fd_close) int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	assert_true(fd < 0 || poll(&p, 1, 5000) == 1);
	waitpid(creator, NULL, 0);
	close(pipefd[0]);
	close(pipefd[1]);
	cleanup(free) char *group = xasprintf("/holm-oci-%s", b->dir + 5);
	assert_int_equal(cgroup_remove(group, &b->err), 0);
}

/* ---- hooks */

/* Each notes its name and what the state says of the container. */
static void add_hook(struct box *b, const char *name, const char *log)
{
	cleanup(free) char *command =
		xasprintf("echo %s $(tr -d '\" ' | tr , '\\n' | grep status) >> %s", name, log);
	json_t *hooks = json_object_get(b->config, "hooks");

	json_object_set_new(hooks, name,
		json_pack("[{s:s, s:[s,s,s], s:[s]}]", "path", "/bin/sh", "args", "sh", "-c",
			command, "env", "PATH=/bin:/usr/bin"));
}

static void test_hooks(void **state)
{
	struct box *b = *state;
	cleanup(free) char *log = at(b, "log"), *inner = at(b, "upper/log");
	cleanup(buf_free) struct buf text = { 0 };

	json_object_set_new(b->config, "hooks", json_object());
	add_hook(b, "prestart", log);
	add_hook(b, "createRuntime", log);
	add_hook(b, "createContainer", log);
	add_hook(b, "startContainer", "/log");
	add_hook(b, "poststart", log);
	add_hook(b, "poststop", log);
	script(b, "exec sleep 100");
	box_start(b);
	assert_int_equal(container_destroy(&b->state, &b->err), 0);
	assert_int_equal(container_destroy(&b->state, &b->err), 0);
	assert_int_equal(file_read(AT_FDCWD, log, 4096, &text), 0);
	assert_int_equal(file_read(AT_FDCWD, inner, 4096, &text), 0);
	assert_string_equal(text.data, "prestart status:creating\ncreateRuntime status:creating\n"
				       "createContainer status:creating\npoststart status:running\n"
				       "poststop status:stopped\nstartContainer status:created\n");
}

static void test_hook_fails(void **state)
{
	struct box *b = *state;

	set(b, "hooks/createRuntime", "[{'path':'/bin/sh','args':['sh','-c','exit 3']}]");
	expect_no_start(b, EIO,
		"error running hook: error running createRuntime hook #0: '/bin/sh' ended with status 3");
}

static void test_hook_times_out(void **state)
{
	struct box *b = *state;

	set(b, "hooks/createContainer",
		"[{'path':'/bin/sh','args':['sh','-c','exec sleep 20'],'timeout':1}]");
	expect_no_start(b, ETIMEDOUT,
		"error running hook: error running createContainer hook #0: '/bin/sh' did not end within 1 s");
}

/* ---- exec */

struct execed {
	pid_t pid;
	int out, console;
};

static int box_exec(struct box *b, const char *process, struct execed *ret)
{
	cleanup(json_free) json_t *j = text_json(process);
	cleanup(bundle_process_free) struct bundle_process *p = NULL;
	struct run_exec args = { .stdio = { -1, -1, -1 }, .ret_console = &ret->console };
	int pipefd[2], fd;

	*ret = (struct execed){ .out = -1, .console = -1 };
	assert_int_equal(bundle_process_parse(j, &p, &b->err), 0);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	args.process = p;
	args.stdio[1] = args.stdio[2] = pipefd[1];
	fd = container_exec(&b->state, b->bundle, &args, &ret->pid, &b->err);
	close(pipefd[1]);
	ret->out = pipefd[0];
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void expect_exec(struct box *b, const char *process, int status, const char *wanted)
{
	cleanup(buf_free) struct buf out = { 0 };
	struct execed e;
	int got;

	if (box_exec(b, process, &e) < 0)
		fail_msg("%s", b->err.text);
	assert_int_equal(fd_read_to_end(e.out, 1 << 20, &out), 0);
	assert_int_equal(waitpid(e.pid, &got, 0), e.pid);
	close(e.out);
	assert_string_equal(out.data ? out.data : "", wanted);
	assert_int_equal(WIFEXITED(got) ? WEXITSTATUS(got) : 128 + WTERMSIG(got), status);
}

static void test_exec(void **state)
{
	struct box *b = *state;
	struct execed e;

	script(b, "exec sleep 100");
	box_start(b);
	expect_exec(b,
		"{'cwd':'/etc','args':['sh','-c','pwd; hostname; id -u; echo $A; ls /sys/class/net;"
		"cat /proc/1/comm; grep -vc :/$ /proc/self/cgroup; exit 5'],'env':['A=c'],"
		"'user':{'uid':1000,'gid':1000},'rlimits':[{'type':'RLIMIT_CORE','soft':0,'hard':0}]}",
		5, "/etc\nboxed\n1000\nc\nlo\nsleep\n0\n");
	assert_int_equal(box_exec(b, "{'cwd':'/','args':['nothing'],'user':{'uid':0,'gid':0}}", &e),
		-ENOENT);
	assert_string_equal(b->err.text, "exec 'nothing': No such file or directory");
	close(e.out);
	expect_exec(b,
		"{'cwd':'/','args':['grep','-E','^(CapEff|Seccomp:)','/proc/self/status'],"
		"'user':{'uid':0,'gid':0},'capabilities':{'bounding':['CAP_CHOWN'],"
		"'permitted':['CAP_CHOWN'],'effective':['CAP_CHOWN']}}",
		0, "CapEff:\t0000000000000001\nSeccomp:\t2\n");
	assert_int_equal(container_kill(&b->state, SIGKILL, false, &b->err), 0);
	box_wait(b);
	assert_int_equal(
		box_exec(b, "{'cwd':'/','args':['true'],'user':{'uid':0,'gid':0}}", &e), -ESRCH);
	close(e.out);
}

static void test_exec_terminal(void **state)
{
	struct box *b = *state;
	struct execed e;

	script(b, "exec sleep 100");
	box_start(b);
	assert_int_equal(
		box_exec(b,
			"{'terminal':true,'consoleSize':{'height':10,'width':20},'cwd':'/',"
			"'args':['sh','-c','stty size; tty'],'user':{'uid':1000,'gid':0}}",
			&e),
		0);
	fd_close(b->console);
	b->console = e.console;
	cleanup(free) char *out = read_console(b);
	assert_string_equal(out, "10 20\r\n/dev/pts/0\r\n");
	waitpid(e.pid, NULL, 0);
	close(e.out);
}

static void test_exec_user_namespace(void **state)
{
	struct box *b = *state;

	add(b, "linux/namespaces", "{'type':'user'}");
	set(b, "linux/uidMappings", mappings);
	set(b, "linux/gidMappings", mappings);
	script(b, "exec sleep 100");
	box_start(b);
	expect_exec(b,
		"{'cwd':'/','args':['sh','-c','id -u; echo x > /by-exec; stat -c %u /by-exec'],"
		"'user':{'uid':7,'gid':0}}",
		1,
		"7\nsh: can't create /by-exec: Permission denied\n"
		"stat: can't stat '/by-exec': No such file or directory\n");
	expect_exec(b,
		"{'cwd':'/','args':['sh','-c','echo x > /by-exec; stat -c %u /by-exec'],"
		"'user':{'uid':0,'gid':0}}",
		0, "0\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		TEST(runs),
		TEST(status),
		TEST(isolation),
		TEST(dev),
		TEST(masked),
		TEST(rights),
		TEST(user),
		TEST(no_program),
		TEST(bad_program),
		TEST(seccomp_last),
		TEST(capabilities),
		TEST(own_program_is_hidden),
		TEST(cwd_outside),
		TEST(terminal),
		TEST(terminal_with_init),
		TEST(init),
		TEST(init_forwards),
		TEST(init_without_program),
		TEST(init_signal_status),
		TEST(kill_all),
		TEST(destroy_unstarted),
		TEST(start_once),
		TEST(dies_with_parent),
		TEST(hooks),
		TEST(hook_fails),
		TEST(hook_times_out),
		TEST(exec),
		TEST(exec_terminal),
		TEST(exec_user_namespace),
	};

	return box_main(tests, ARRAY_SIZE(tests));
}
