/* The table of engines, the fake one, and what the container's adds to container/: links and groups. */
#include "box.h"

#include "engine/engine.h"

static void test_table(void **state)
{
	(void)state;
	assert_ptr_equal(engine_find("container"), &engine_container);
	assert_ptr_equal(engine_find("fake"), &engine_fake);
	assert_null(engine_find("none"));
	for (const struct engine *const *e = engines; *e; e++)
		assert_true((*e)->available && (*e)->create && (*e)->start && (*e)->kill &&
			    (*e)->exec && (*e)->destroy);
}

static int create(const struct engine *engine, struct box *b)
{
	cleanup(free) char *run_dir = at(b, "run");
	struct run_create args = { .id = b->dir + 5,
		.bundle_dir = AT_FDCWD,
		.run_dir = run_dir,
		.stdio = { -1, -1, -1 } };
	int pipefd[2], r;

	assert_int_equal(bundle_parse(b->config, &b->bundle, &b->err), 0);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	args.bundle = b->bundle;
	args.stdio[1] = args.stdio[2] = pipefd[1];
	r = engine->create(&args, &b->state, &b->err);
	close(pipefd[1]);
	b->out = pipefd[0];
	return r;
}

static void start(const struct engine *engine, struct box *b)
{
	if (create(engine, b) < 0 || engine->start(&b->state, -1, &b->err) < 0)
		fail_msg("%s", b->err.text);
}

static void expect_line(int fd, const char *wanted)
{
	char line[64] = "";

	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	assert_string_equal(line, wanted);
}

static void test_fake(void **state)
{
	struct box *b = *state;
	struct run_exec exec = { .stdio = { -1, -1, -1 } };
	pid_t pid;

	script(b, "echo up; exec sleep 100");
	start(&engine_fake, b);
	expect_line(b->out, "up\n");
	assert_int_equal(engine_fake.start(&b->state, -1, &b->err), -EINVAL);
	exec.process = b->bundle->process;
	int fd = engine_fake.exec(&b->state, b->bundle, &exec, &pid, &b->err);
	assert_true(fd >= 0);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(engine_fake.pause(&b->state, true, &b->err), 0);
	assert_int_equal(engine_fake.pause(&b->state, false, &b->err), 0);
	assert_int_equal(engine_fake.kill(&b->state, SIGTERM, false, &b->err), 0);
	assert_int_equal(box_wait(b), 128 + SIGTERM);
	assert_int_equal(engine_fake.kill(&b->state, SIGTERM, false, &b->err), 0);
	assert_int_equal(engine_fake.destroy(&b->state, &b->err), 0);
}

static void test_fake_without_program(void **state)
{
	struct box *b = *state;

	set(b, "process/args", "['/absent/program']");
	assert_int_equal(create(&engine_fake, b), 0);
	assert_int_equal(engine_fake.start(&b->state, -1, &b->err), -ENOENT);
	assert_int_equal(box_wait(b), 127);
	assert_int_equal(engine_fake.destroy(&b->state, &b->err), 0);
}

static void test_container(void **state)
{
	struct box *b = *state;
	const struct engine *e = &engine_container;
	struct run_stats stats = { 0 };
	cleanup(free) pid_t *pids = NULL;

	script(b, "up=$(ip link show lo | grep -o 'LOOPBACK,UP'); echo $up; exec sleep 100");
	start(e, b);
	expect_line(b->out, "LOOPBACK,UP\n");
	assert_int_equal(e->pids(&b->state, &pids, &b->err), 1);
	assert_int_equal(pids[0], b->state.pid);
	assert_int_equal(e->pause(&b->state, true, &b->err), 0);
	assert_int_equal(e->stats(&b->state, &stats, &b->err), 0);
	assert_true(stats.pids == 1 && stats.memory_bytes > 0);
	/* Paused as it is, the teardown takes it away. */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		TEST(table),
		TEST(fake),
		TEST(fake_without_program),
		TEST(container),
	};

	return box_main(tests, ARRAY_SIZE(tests));
}
