#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "instance/log.h"
#include "skip.h"

static char base[] = "/tmp/holm-test-log-XXXXXX";
static struct instance inst;
static const struct log_read everything = { .tail = -1, .want_stdout = true, .want_stderr = true };

static int fresh(void **state)
{
	dir_remove(AT_FDCWD, base);
	strcpy(base + strlen(base) - 6, "XXXXXX");
	inst = (struct instance){ .dir = base };
	inst.config.name = (char *)"web";
	return mkdtemp(base) ? 0 : -1;
}

static int clean(void **state)
{
	return dir_remove(AT_FDCWD, base);
}

static struct log_writer *writer(const char *size, const char *files)
{
	char *options[] = { (char *)"max-size", (char *)size, (char *)"max-file", (char *)files,
		NULL };
	struct instance_config c = { .log_options = size ? options : NULL };
	struct log_writer *w = NULL;

	assert_int_equal(log_writer_open(&c, base, &w, NULL), 0);
	return w;
}

static int collect(void *data, int stream, int64_t time, const char *text, size_t len)
{
	struct buf *b = data;

	buf_addf(b, "%d:", stream);
	buf_add(b, text, len);
	return 0;
}

static void expect(const struct log_read *how, const char *text)
{
	cleanup(buf_free) struct buf b = { 0 };

	buf_adds(&b, "");
	assert_int_equal(log_read(&inst, how, collect, &b, NULL), 0);
	assert_string_equal(b.data, text);
}

static void lines_and_streams(void **state)
{
	cleanup(log_writer_free) struct log_writer *w = writer(NULL, NULL);
	struct log_read only_err = everything;

	log_write(w, 1, "one\ntw", 6);
	log_write(w, 2, "bad\n", 4);
	log_write(w, 1, "o\npart", 6);
	expect(&everything, "1:one\n2:bad\n1:two\n");
	log_flush(w);
	expect(&everything, "1:one\n2:bad\n1:two\n1:part");
	only_err.want_stdout = false;
	expect(&only_err, "2:bad\n");
}

static void any_bytes(void **state)
{
	cleanup(log_writer_free) struct log_writer *w = writer(NULL, NULL);
	cleanup(buf_free) struct buf b = { 0 };

	log_write(w, 1, "\"\\\t\r\x1b[0m é € 😀\n", 21);
	expect(&everything, "1:\"\\\t\r\x1b[0m é € 😀\n");
	/* Overlong, surrogate, beyond Unicode, lone continuation, cut short. */
	log_write(w, 1, "\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\x80|\xe2\x82\n", 17);
	assert_int_equal(log_read(&inst, &everything, collect, &b, NULL), 0);
#define R "\xef\xbf\xbd"
	assert_string_equal(
		strchr(b.data, '\n') + 1, "1:" R R "|" R R R "|" R R R R "|" R "|" R R "\n");
	log_write(w, 1, "nul\0here\n", 9);
	b.len = 0;
	assert_int_equal(log_read(&inst, &everything, collect, &b, NULL), 0);
	assert_memory_equal(b.data + b.len - 9, "nul\0here\n", 9);
}

static void long_lines_are_split(void **state)
{
	cleanup(log_writer_free) struct log_writer *w = writer(NULL, NULL);
	cleanup(free) char *text = xcalloc(1, 40001);
	cleanup(buf_free) struct buf b = { 0 };

	for (int i = 0; i < 20000; i++)
		memcpy(text + 2 * i, "é", 2);
	text[0] = text[1] = 'x';
	for (int i = 0; i < 40000; i += 7777)
		log_write(w, 2, text + i, i + 7777 < 40000 ? 7777 : 40000 - (size_t)i);
	log_write(w, 2, "\n", 1);
	assert_int_equal(log_read(&inst, &everything, collect, &b, NULL), 0);
	assert_memory_equal(b.data, "2:xx", 4);
	assert_memory_equal(b.data + 2 + 16384, "2:é", 4);
	assert_int_equal(b.len, 40001 + 3 * 2);
}

static void tail_and_times(void **state)
{
	cleanup(log_writer_free) struct log_writer *w = writer("100k", "3");
	struct log_read how = everything;
	char line[64];
	int64_t middle = 0;

	for (int i = 0; i < 4000; i++) {
		if (i == 3990)
			middle = time_now();
		log_write(w, 1, line, (size_t)snprintf(line, sizeof(line), "%d\n", i));
	}
	how.tail = 3;
	expect(&how, "1:3997\n1:3998\n1:3999\n");
	how.tail = 0;
	expect(&how, "");
	how.tail = -1;
	how.since = middle;
	expect(&how,
		"1:3990\n1:3991\n1:3992\n1:3993\n1:3994\n1:3995\n1:3996\n1:3997\n1:3998\n1:3999\n");
	how.since = 0;
	how.until = middle;
	how.tail = 2;
	expect(&how, "1:3988\n1:3989\n");
}

static int count_lines(void *data, int stream, int64_t time, const char *text, size_t len)
{
	int *n = data;

	(*n)++;
	return 0;
}

static void rotation_bounds_the_files(void **state)
{
	cleanup(log_writer_free) struct log_writer *w = writer("4k", "3");
	cleanup(free) char *second = xasprintf("%s/log.json.2", base);
	cleanup(free) char *third = xasprintf("%s/log.json.3", base);
	struct log_read how = everything;
	uint64_t bytes;
	int n = 0;

	for (int i = 0; i < 500; i++)
		log_write(w, 1, "0123456789\n", 11);
	assert_int_equal(access(second, F_OK), 0);
	assert_int_equal(access(third, F_OK), -1);
	assert_int_equal(dir_usage(AT_FDCWD, base, &bytes), 0);
	assert_in_range(bytes, 1, 3 * 4096);
	assert_int_equal(log_read(&inst, &how, count_lines, &n, NULL), 0);
	assert_in_range(n, 90, 500);
	how.tail = 80; /* over the border of two files */
	n = 0;
	assert_int_equal(log_read(&inst, &how, count_lines, &n, NULL), 0);
	assert_int_equal(n, 80);
}

static void write_state(const char *status)
{
	cleanup(free) char *text = xasprintf("{\"status\":\"%s\"}", status);
	cleanup(free) char *path = xasprintf("%s/state.json", base);

	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, 0), 0);
}

static void follows_until_the_end(void **state)
{
	struct log_read how = everything;
	cleanup(buf_free) struct buf b = { 0 };
	int status;
	pid_t pid;

	write_state("running");
	how.follow = true;
	how.tail = 0;
	pid = fork();
	if (pid == 0) {
		struct log_writer *w = writer("2k", "4");
		for (int i = 0; i < 60; i++) {
			usleep(3000);
			log_write(w, 1, "0123456789\n", 11);
		}
		log_write(w, 1, "last", 4);
		log_writer_free(w);
		write_state("exited");
		_exit(0);
	}
	inst.state.supervisor_pid = pid;
	assert_int_equal(log_read(&inst, &how, collect, &b, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(b.len, 60 * 13 + 6);
	assert_memory_equal(b.data + b.len - 6, "1:last", 6);
}

static void ends_when_the_supervisor_is_killed(void **state)
{
	struct log_read how = everything;
	int n = 0, status;
	pid_t pid;

	write_state("running");
	how.follow = true;
	pid = fork();
	if (pid == 0) {
		struct log_writer *w = writer(NULL, NULL);
		log_write(w, 1, "x\ny\n", 4);
		usleep(50000);
		_exit(0);
	}
	inst.state.supervisor_pid = pid;
	assert_int_equal(log_read(&inst, &how, count_lines, &n, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(n, 2);
}

static void full_disk_keeps_lines_whole(void **state)
{
	struct log_writer *w;
	cleanup(fd_close) int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
	cleanup(free) char *path = xasprintf("%s/log.json", base);
	char line[3000];
	int n = 0;

	if (geteuid() != 0 || mount("holm", base, "tmpfs", 0, "size=256k") < 0)
		skip_because("a small file system needs root");
	log_to(quiet);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	w = writer(NULL, NULL);
	for (int i = 0; i < 200; i++)
		log_write(w, 1, line, sizeof(line));
	assert_int_equal(log_read(&inst, &everything, count_lines, &n, NULL), 0);
	assert_in_range(n, 1, 90);
	assert_int_equal(truncate(path, 0), 0);
	log_write(w, 1, "again\n", 6);
	expect(&everything, "1:again\n");
	log_writer_free(w);
	log_to(2);
	umount2(base, MNT_DETACH);
}

static void refuses_wrong_options(void **state)
{
	char *unknown[] = { (char *)"colour", (char *)"red", NULL };
	char *size[] = { (char *)"max-size", (char *)"big", NULL };
	char *files[] = { (char *)"max-file", (char *)"0", NULL };
	struct instance_config c = { .log_options = unknown };
	struct err err = { 0 };

	assert_int_equal(log_options_check(&c, &err), -EINVAL);
	c.log_options = size;
	assert_int_equal(log_options_check(&c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "big"));
	c.log_options = files;
	assert_int_equal(log_options_check(&c, &err), -EINVAL);
	c = (struct instance_config){ .log_driver = (char *)"syslog" };
	assert_int_equal(log_options_check(&c, &err), -EINVAL);
	c.log_driver = (char *)"none";
	assert_int_equal(log_options_check(&c, &err), 0);
	inst.config.log_driver = c.log_driver;
	assert_int_equal(log_read(&inst, &everything, count_lines, NULL, &err), -ENOTSUP);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_and_streams),
		TEST(any_bytes),
		TEST(long_lines_are_split),
		TEST(tail_and_times),
		TEST(rotation_bounds_the_files),
		TEST(follows_until_the_end),
		TEST(ends_when_the_supervisor_is_killed),
		TEST(full_disk_keeps_lines_whole),
		TEST(refuses_wrong_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
