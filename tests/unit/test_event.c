#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/record.h"
#include "instance/event.h"

static char dir[] = "/tmp/holm-test-event-XXXXXX";

struct seen {
	int n, stop_at;
	char last[64];
};

static int see(void *data, json_t *event)
{
	struct seen *s = data;

	snprintf(s->last, sizeof(s->last), "%s %s",
		json_string_value(json_object_get(event, "Action")),
		json_string_value(json_object_get(json_object_get(event, "Actor"), "ID")));
	return ++s->n == s->stop_at;
}

static void emits_and_reads_back(void **state)
{
	char *attributes[] = { (char *)"name", (char *)"web", NULL };
	struct seen s = { 0 };
	int64_t before = time_now();

	event_emit("container", "create", "c1", attributes);
	event_emit("container", "start", "c1", attributes);
	assert_int_equal(event_follow(before, time_now(), see, &s, NULL), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.last, "start c1");
	s = (struct seen){ 0 };
	assert_int_equal(event_follow(0, time_now(), see, &s, NULL), 0);
	assert_int_equal(s.n, 0);
}

static void follows_through_rotation(void **state)
{
	cleanup(free) char *big = xcalloc(1, 100001);
	char *attributes[] = { (char *)"big", big, NULL };
	struct seen s = { .stop_at = 150 };
	int64_t before = time_now();
	cleanup(free) char *old = xasprintf("%s/events.1", paths_run());
	struct stat st;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		memset(big, 'x', 100000);
		for (int i = 0; i < 150; i++) {
			char id[16];
			snprintf(id, sizeof(id), "n%d", i);
			event_emit("image", "pull", id, attributes);
		}
		_exit(0);
	}
	assert_int_equal(event_follow(before, time_now() + INT64_C(60000000000), see, &s, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(s.n, 150);
	assert_string_equal(s.last, "pull n149");
	assert_int_equal(stat(old, &st), 0);
	/* The past is read from both files. */
	s = (struct seen){ 0 };
	assert_int_equal(event_follow(before, time_now(), see, &s, NULL), 0);
	assert_int_equal(s.n, 150);
	assert_string_equal(s.last, "pull n149");
}

static int prepare(void **state)
{
	return mkdtemp(dir) ? paths_init(dir, NULL, NULL) : -1;
}

static int finish(void **state)
{
	return dir_remove(-1, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emits_and_reads_back),
		cmocka_unit_test(follows_through_rotation),
	};

	return cmocka_run_group_tests(tests, prepare, finish);
}
