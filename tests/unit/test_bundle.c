/* The bundle's reader and writer, and the record of a running instance. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "bundle/run.h"

static json_t *full_json(void)
{
	struct err err = { 0 };
	json_t *j = json_read(AT_FDCWD, HOLM_SOURCE "/tests/fuzz/seeds/bundle/full", &err);

	if (!j)
		print_message("%s\n", err.text);
	assert_non_null(j);
	return j;
}

static void members(void **state)
{
	cleanup(json_free) json_t *j = full_json();
	cleanup(bundle_free) struct bundle *b = NULL;
	struct err err = { 0 };

	assert_int_equal(bundle_parse(j, &b, &err), 0);
	const struct bundle_rlimit *core = b->process->rlimits.items[0];
	assert_true(core->hard == UINT64_MAX);
	assert_true(b->process->scheduler->runtime == UINT64_MAX - 1);
	assert_string_equal(b->process->args[2], "echo \"18446744073709551615\"");
	const struct bundle_seccomp_rule *rule = b->linux_.seccomp->syscalls.items[0];
	const struct bundle_seccomp_arg *arg = rule->args.items[0];
	assert_true(arg->value == UINT64_MAX - 3 && arg->value_two == UINT64_C(1) << 63);
	assert_string_equal(b->root_path, "rootfs");
	assert_true(b->root_readonly);
	assert_int_equal(b->process->user.additional_gids.v[1], 4294967294);
	assert_int_equal(*b->linux_.resources->memory.swap, -1);
	assert_string_equal(map_get(b->linux_.sysctl, "net.ipv4.ip_forward"), "1");
	assert_string_equal(
		((struct bundle_endpoint *)b->holm.endpoints.items[0])->host_link, "veth0123");
}

/* Every member of the text is in the structs, and comes back out of them. */
static void round_trip(void **state)
{
	cleanup(json_free) json_t *j = full_json(), *dumped = NULL, *reread = NULL;
	cleanup(bundle_free) struct bundle *b = NULL, *again = NULL;
	cleanup(free) char *text = NULL;
	struct err err = { 0 };

	assert_int_equal(bundle_parse(j, &b, &err), 0);
	dumped = bundle_dump(b);
	assert_true(json_equal(j, dumped));
	text = json_text(dumped, 2);
	assert_non_null(strstr(text, "\"hard\": 18446744073709551615\n"));
	reread = json_parse(text, strlen(text), "again", &err);
	assert_true(json_equal(reread, j));
	assert_int_equal(bundle_parse(reread, &again, &err), 0);
	cleanup(json_free) json_t *last = bundle_dump(again);
	assert_true(json_equal(last, j));
}

static void files(void **state)
{
	char dir[] = "/tmp/holm-test-XXXXXX";
	cleanup(json_free) json_t *j = full_json();
	cleanup(bundle_free) struct bundle *b = NULL, *again = NULL;
	struct err err = { 0 };
	cleanup(fd_close) int fd = -1;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(bundle_parse(j, &b, &err), 0);
	assert_int_equal(bundle_read(fd, "config.json", &again, &err), -ENOENT);
	assert_int_equal(bundle_write(b, fd, "config.json", &err), 0);
	assert_int_equal(bundle_read(fd, "config.json", &again, &err), 0);
	assert_string_equal(again->hostname, "box");
	assert_int_equal(file_write(fd, "bad.json", "{\"ociVersion\":\"2.0.0\"}", 22, 0600, 0), 0);
	cleanup(bundle_free) struct bundle *bad = NULL;
	assert_int_equal(bundle_read(fd, "bad.json", &bad, &err), -EINVAL);
	assert_string_equal(err.text, "bad.json: root: missing");
	assert_null(bad);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

/* The full configuration with the member at `path` (keys and indexes by '/') replaced. */
static void expect_error(const char *path, const char *value, const char *text)
{
	cleanup(json_free) json_t *j = full_json(), *v = NULL;
	cleanup(free) char *copy = xstrdup(path);
	cleanup(bundle_free) struct bundle *b = NULL;
	struct err err = { 0 };
	json_t *at = j;
	char *key = copy, *slash;

	v = json_parse(value, strlen(value), "value", &err);
	assert_non_null(v);
	for (; (slash = strchr(key, '/')); key = slash + 1) {
		*slash = '\0';
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key))
				       : json_object_get(at, key);
		assert_non_null(at);
	}
	if (json_is_array(at))
		json_array_set(at, (size_t)atoi(key), v);
	else
		json_object_set(at, key, v);
	assert_int_equal(bundle_parse(j, &b, &err), -EINVAL);
	assert_string_equal(err.text, text);
	assert_null(b);
}

static void errors(void **state)
{
	static const struct {
		const char *path, *value, *text;
	} cases[] = {
		{ "ociVersion", "null", "ociVersion: missing" },
		{ "ociVersion", "\"2.0\"", "ociVersion: '2.0' is not 1.x" },
		{ "root", "null", "root: missing" },
		{ "process/user/uid", "-1", "process.user.uid: -1 is negative" },
		{ "process/user/uid", "4294967296", "process.user.uid: 4294967296 is too large" },
		{ "process/oomScoreAdj", "18446744073709551615",
			"process.oomScoreAdj: 18446744073709551615 is too large" },
		{ "process/args", "[]", "process.args: empty; the program to run goes here" },
		{ "process/args", "[1]",
			"process.args: expected an array of strings, not an integer" },
		{ "process/cwd", "\"work\"", "process.cwd: 'work' is not absolute" },
		{ "process/rlimits/1/type", "\"RLIMIT_CORE\"",
			"process.rlimits[1].type: RLIMIT_CORE is given twice" },
		{ "process/rlimits/1/type", "\"NOFILE\"",
			"process.rlimits[1].type: unknown limit 'NOFILE'" },
		{ "process/rlimits/1/hard", "-1", "process.rlimits[1].hard: -1 is negative" },
		{ "process/rlimits/1/hard", "1",
			"process.rlimits[1]: RLIMIT_NOFILE: soft limit above the hard" },
		{ "mounts/1", "3", "mounts[1]: expected an object" },
		{ "mounts/1/destination", "null", "mounts[1].destination: missing" },
		{ "mounts/1/gidMappings", "[]",
			"mounts[1]: uidMappings and gidMappings go together" },
		{ "mounts/1/gidMappings/0/size", "0", "mounts[1].gidMappings[0].size: 0" },
		{ "hooks/poststop/0/path", "\"f\"", "hooks.poststop[0].path: 'f' is not absolute" },
		{ "linux/uidMappings/0/size", "4294967295",
			"linux.uidMappings[0].size: 4294967295 ids from 0 to 100000 go past the last" },
		{ "linux/namespaces/3/type", "\"foo\"",
			"linux.namespaces[3].type: unknown namespace 'foo'" },
		{ "linux/namespaces/3/type", "\"pid\"",
			"linux.namespaces[3].type: 'pid' is given twice" },
		{ "linux/namespaces", "[]",
			"linux.uidMappings: there is no user namespace to map" },
		{ "linux/devices/0/type", "\"x\"",
			"linux.devices[0].type: 'x' is none of c, b, u, p" },
		{ "linux/resources/devices/1/access", "\"rx\"",
			"linux.resources.devices[1].access: 'rx' is not made of r, w, m" },
		{ "linux/resources/memory/limit", "-2",
			"linux.resources.memory.limit: -2 is negative (-1 is unlimited)" },
		{ "linux/resources/cpu/cpus", "\"0\\n1\"",
			"linux.resources.cpu.cpus: not a list like 0-3,7" },
		{ "linux/resources/hugepageLimits/0/pageSize", "\"2MB/../x\"",
			"linux.resources.hugepageLimits[0].pageSize: '2MB/../x' is not a size like 2MB" },
		{ "linux/resources/unified", "{\"../memory.max\":\"1\"}",
			"linux.resources.unified: '../memory.max' is no file of a cgroup" },
		{ "linux/cgroupsPath", "\"/a/../../b\"",
			"linux.cgroupsPath: '/a/../../b' leads upwards" },
		{ "linux/sysctl", "{\"../../etc/x\":\"1\"}",
			"linux.sysctl: '../../etc/x' is no name of a setting" },
		{ "linux/seccomp/syscalls/0/args/0/index", "6",
			"linux.seccomp.syscalls[0].args[0].index: 6 is not in 0..5" },
		{ "linux/seccomp/syscalls/0/action", "\"ALLOW\"",
			"linux.seccomp.syscalls[0].action: unknown action 'ALLOW'" },
		{ "linux/seccomp/defaultAction", "\"SCMP_ACT_NOTIFY\"",
			"linux.seccomp.defaultAction: cannot be SCMP_ACT_NOTIFY" },
		{ "linux/rootfsPropagation", "\"none\"",
			"linux.rootfsPropagation: unknown mode 'none'" },
		{ "holm/endpoints/0/hostLink", "\"a/b\"", "holm.endpoints[0]: not a link's name" },
		{ "holm/work", "null", "holm.work: missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_error(cases[i].path, cases[i].value, cases[i].text);
}

static void processes(void **state)
{
	const char *text = "{\"args\":[\"id\"],\"cwd\":\"/\",\"user\":{\"uid\":7,\"gid\":8}}";
	cleanup(json_free) json_t *j = json_parse(text, strlen(text), "process", NULL),
				  *dumped = NULL;
	cleanup(bundle_process_free) struct bundle_process *p = NULL;
	struct err err = { 0 };

	assert_int_equal(bundle_process_parse(j, &p, &err), 0);
	assert_int_equal(p->user.gid, 8);
	dumped = bundle_process_dump(p);
	assert_true(json_equal(j, dumped));
	cleanup(json_free) json_t *bad = json_pack("{s:[s],s:s}", "args", "id", "cwd", "x");
	cleanup(bundle_process_free) struct bundle_process *none = NULL;
	assert_int_equal(bundle_process_parse(bad, &none, &err), -EINVAL);
	assert_string_equal(err.text, "cwd: 'x' is not absolute");
}

/* Numbers beyond int64_t: all of the text that is not one stays as it is. */
static void big_numbers(void **state)
{
	const char *text = "{\"a\":[9223372036854775807,9223372036854775808,18446744073709551615,"
			   "\"18446744073709551615 \\\" 9223372036854775808\",1.5e300],"
			   "\"b\":{\"c\":18446744073709551614}}";
	struct err err = { 0 };
	cleanup(json_free) json_t *j = json_parse(text, strlen(text), "test", &err);
	cleanup(free) char *out = NULL;
	uint64_t v = 0;

	assert_non_null(j);
	assert_true(json_get_u64(json_array_get(json_object_get(j, "a"), 1), &v));
	assert_true(v == UINT64_C(1) << 63);
	out = json_text(j, 0);
	assert_non_null(
		strstr(out, "[9223372036854775807,9223372036854775808,18446744073709551615,"));
	assert_non_null(strstr(out, "\"18446744073709551615 \\\" 9223372036854775808\""));
	assert_non_null(strstr(out, "{\"c\":18446744073709551614}"));
	assert_null(json_parse("18446744073709551616", 20, "test", &err));
	assert_null(json_parse("-9223372036854775809", 20, "test", &err));
	assert_null(json_parse("[018446744073709551615]", 23, "test", &err));
	/* A string that looks like our node is a string. */
	cleanup(json_free) json_t *map = json_pack("{s:s}", "\xef\xb7\x90u64", "1");
	cleanup(free) char *kept = json_text(map, 0);
	assert_string_equal(kept, "{\"\xef\xb7\x90u64\":\"1\"}");
	assert_false(json_get_u64(map, &v));
}

static void running(void **state)
{
	struct run_state s = { 0 };
	int fd, status;
	pid_t pid;

	assert_false(run_alive(&s));
	assert_int_equal(run_pidfd(&s), -ESRCH);
	s.pid = getpid();
	assert_int_equal(run_pid_start(getpid(), &s.pid_start), 0);
	assert_true(run_alive(&s));
	s.pid_start++;
	assert_false(run_alive(&s));
	assert_int_equal(run_pidfd(&s), -ESRCH);

	pid = fork();
	if (pid == 0)
		_exit(3);
	s.pid = pid;
	assert_int_equal(run_pid_start(pid, &s.pid_start), 0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(run_alive(&s));
	fd = run_pidfd(&s);
	assert_true(fd >= 0);
	close(fd);
	waitpid(pid, &status, 0);
	assert_int_equal(run_pidfd(&s), -ESRCH);
	assert_int_equal(run_pid_start(pid, &s.pid_start), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(files),
		cmocka_unit_test(errors),
		cmocka_unit_test(processes),
		cmocka_unit_test(big_numbers),
		cmocka_unit_test(running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
