#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/ident.h"
#include "base/loop.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/db.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/parse.h"
#include "base/record.h"
#include "base/strv.h"

static void sizes(void **state)
{
	int64_t v = 0;

	assert_int_equal(parse_size("512m", &v), 0);
	assert_int_equal(v, 512 << 20);
	assert_int_equal(parse_size("1.5GiB", &v), 0);
	assert_int_equal(v, 1610612736);
	assert_int_equal(parse_size("12x", &v), -EINVAL);
	assert_int_equal(parse_size("", &v), -EINVAL);
	assert_int_equal(parse_size("-1", &v), -EINVAL);
	assert_int_equal(v, 1610612736);
}

static void modes(void **state)
{
	int64_t v = 0;

	assert_int_equal(parse_mode("01755", &v), 0);
	assert_int_equal(v, 01755);
	assert_int_equal(parse_mode("", &v), -EINVAL);
	assert_int_equal(parse_mode("+7", &v), -EINVAL);
	assert_int_equal(parse_mode("8", &v), -EINVAL);
	assert_int_equal(parse_mode("10000", &v), -ERANGE);
	assert_int_equal(v, 01755);
}

static void durations(void **state)
{
	int64_t v = 0;

	assert_int_equal(parse_duration("1h30m", &v), 0);
	assert_int_equal(v, 5400 * INT64_C(1000000000));
	assert_int_equal(parse_duration("1.5s", &v), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(parse_duration("10", &v), -EINVAL);
	assert_int_equal(parse_duration("s", &v), -EINVAL);
}

static void digests(void **state)
{
	char d[DIGEST_LEN + 1];

	hash_of("abc", 3, d);
	assert_string_equal(
		d, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_true(digest_valid(d));
	assert_false(digest_valid("sha256:../../etc"));
}

struct point {
	char *name;
	int64_t x;
	uint64_t *limit;
	char **labels;
	char **tags;
	bool on;
};

static const struct record_field point_fields[] = {
	RECORD_F(struct point, name, "name", RECORD_STR, RECORD_REQUIRED),
	RECORD(struct point, x, "x", RECORD_I64),
	RECORD(struct point, limit, "limit", RECORD_U64P),
	RECORD(struct point, labels, "labels", RECORD_MAP),
	RECORD(struct point, tags, "tags", RECORD_SET),
	RECORD(struct point, on, "on", RECORD_BOOL),
	RECORD_END,
};

static int parse_point(const char *text, struct point *p, struct err *err)
{
	cleanup(json_free) json_t *j = json_parse(text, strlen(text), "test", err);

	return j ? record_parse(point_fields, j, p, err) : -EINVAL;
}

static void records(void **state)
{
	struct point p = { 0 };
	struct err err = { 0 };

	assert_int_equal(
		parse_point("{\"name\":\"a\",\"x\":-3,\"limit\":0,\"labels\":{\"k\":\"v\"},"
			    "\"on\":true,\"other\":[]}",
			&p, &err),
		0);
	assert_int_equal(p.x, -3);
	assert_non_null(p.limit);
	assert_string_equal(map_get(p.labels, "k"), "v");
	cleanup(json_free) json_t *j = record_dump(point_fields, &p);
	cleanup(free) char *text = json_text(j, 0);
	assert_string_equal(
		text, "{\"name\":\"a\",\"x\":-3,\"limit\":0,\"labels\":{\"k\":\"v\"},\"on\":true}");
	record_clear(point_fields, &p);
	assert_int_equal(parse_point("{\"name\":\"a\",\"x\":\"1\"}", &p, &err), -EINVAL);
	assert_string_equal(err.text, "x: expected an integer, not a string");
	assert_null(p.name);
	assert_int_equal(parse_point("{}", &p, &err), -EINVAL);
	assert_string_equal(err.text, "name: missing");
	/* What must be there is found in the case that Go programs accept. */
	assert_int_equal(parse_point("{\"NAME\":\"b\",\"X\":1}", &p, &err), 0);
	assert_string_equal(p.name, "b");
	assert_int_equal(p.x, 0);
	record_clear(point_fields, &p);
}

static void sets(void **state)
{
	struct point p = { 0 };
	struct err err = { 0 };

	assert_int_equal(
		parse_point("{\"name\":\"a\",\"tags\":{\"80/tcp\":{},\"53\":null}}", &p, &err), 0);
	assert_string_equal(p.tags[0], "80/tcp");
	assert_string_equal(p.tags[1], "53");
	assert_null(p.tags[2]);
	cleanup(json_free) json_t *j = record_dump(point_fields, &p);
	cleanup(free) char *text = json_text(j, 0);
	assert_string_equal(text, "{\"name\":\"a\",\"tags\":{\"80/tcp\":{},\"53\":{}}}");
	record_clear(point_fields, &p);
	assert_int_equal(parse_point("{\"name\":\"a\",\"tags\":{\"x\":1}}", &p, &err), -EINVAL);
	assert_string_equal(err.text, "tags: expected an object of empty objects, not an integer");
	assert_int_equal(parse_point("{\"name\":\"a\",\"tags\":[\"x\"]}", &p, &err), -EINVAL);
}

static void strings_of_any_bytes_come_back(void **state)
{
	static const char *const texts[] = { "plain", "caf\303\251", "caf\351", "\377\200x",
		"\364\217\234\200", "\355\240\200", "" };

	for (size_t n = 0; n < ARRAY_SIZE(texts); n++) {
		struct point p = { .name = xstrdup(texts[n]) }, q = { 0 };
		cleanup(json_free) json_t *j = record_dump(point_fields, &p);
		cleanup(free) char *text = json_text(j, 0);
		assert_int_equal(parse_point(text, &q, NULL), 0);
		assert_string_equal(q.name, texts[n]);
		record_clear(point_fields, &p);
		record_clear(point_fields, &q);
	}
	cleanup(json_free) json_t *shown = json_shown("a\351b");
	assert_string_equal(json_string_value(shown), "a\357\277\275b");
}

static void maps(void **state)
{
	cleanup(strv_free) char **m = NULL;

	for (int n = 0; n < 50; n++) {
		cleanup(free) char *key = xasprintf("k%d", n);
		map_set(&m, key, "v");
	}
	map_set(&m, "k0", NULL);
	map_set(&m, "k49", NULL);
	map_set(&m, "k7", "seven");
	map_set(&m, "none", NULL);
	assert_int_equal(strv_len(m), 96);
	assert_null(map_get(m, "k0"));
	assert_null(map_get(m, "k49"));
	assert_string_equal(map_get(m, "k7"), "seven");
	assert_string_equal(map_get(m, "k48"), "v");
}

static void string_lists(void **state)
{
	cleanup(strv_free) char **v = strv_split("a,b,,c", ',');
	cleanup(free) char *joined = NULL;

	assert_int_equal(strv_len(v), 4);
	for (int i = 0; i < 100; i++)
		strv_addf(&v, "%d", i);
	assert_string_equal(v[103], "99");
	assert_null(v[104]);
	strv_env_set(&v, "A=1");
	strv_env_set(&v, "A=2");
	assert_string_equal(strv_env_get(v, "A"), "2");
	assert_null(strv_env_get(v, "AB"));
	strv_env_set(&v, "A");
	assert_null(strv_env_get(v, "A"));
	assert_int_equal(strv_len(v), 104);
	strv_env_set(&v, "NOT_THERE");
	assert_int_equal(strv_len(v), 104);
	joined = strv_join(v, " ");
	assert_non_null(strstr(joined, "a b  c 0"));
}

/* Deeper than descriptors reach: an image can make such a tree. */
static void deep_trees_go(void **state)
{
	char top[] = "/tmp/test-base-XXXXXX";
	struct rlimit old, few = { .rlim_cur = 256 };
	int fd, r;

	assert_non_null(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 300; i++) {
		int next;
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		if (i == 0) /* a name that the removal would take for its own */
			assert_int_equal(mkdirat(fd, ".deep.0", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd_close(fd);
		fd = next;
	}
	fd_close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = dir_remove(AT_FDCWD, top);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(r, 0);
	assert_int_equal(access(top, F_OK), -1);
}

static void errors_are_one_harmless_line(void **state)
{
	struct err err = { 0 };

	assert_int_equal(err_set(&err, ENOENT, "no '%s'", "a\nb\033[2J"), -ENOENT);
	assert_string_equal(err.text, "no 'a?b?[2J'");
	assert_int_equal(err_wrap(&err, "layer %d", 3), -ENOENT);
	assert_string_equal(err.text, "layer 3: no 'a?b?[2J'");
}

static void signals(void **state)
{
	assert_int_equal(signal_parse("SIGKILL"), 9);
	assert_int_equal(signal_parse("term"), 15);
	assert_int_equal(signal_parse("9"), 9);
	assert_int_equal(signal_parse("RTMIN+1"), 35);
	assert_int_equal(signal_parse("0"), -EINVAL);
	assert_int_equal(signal_parse("SIGNOT"), -EINVAL);
	assert_string_equal(signal_name(15), "SIGTERM");
}

static void suggestions(void **state)
{
	assert_int_equal(str_distance("stpo", "stop"), 2);
	assert_int_equal(str_distance("run", "run"), 0);
	assert_int_equal(str_distance("", "abc"), 3);
}

static void times_with_zones_and_limits(void **state)
{
	int64_t ns = -1;

	assert_int_equal(time_parse("1970-01-01T02:00:00+02:00", &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(time_parse("1969-12-31T22:00:00.5-02:00", &ns), 0);
	assert_int_equal(ns, 500000000);
	assert_int_equal(time_parse("0281-12-31T23:59:05Z", &ns), -ERANGE);
	assert_int_equal(time_parse("9999-12-31", &ns), -ERANGE);
	assert_int_equal(time_parse("99999999999999999999", &ns), -ERANGE);
	assert_int_equal(ns, 500000000);
}

/* What the C library says of the same second, from leap years and ends of months on. */
static void times_are_the_calendar_s(void **state)
{
	static const int64_t at[] = { 0, 1, 68169599, 68169600, 68255999, 68256000, 94694399,
		94694400, 951782399, 951868800, 1709164799, 1709251199, 1735689599, 4107542399,
		4107542400, 9223372035 };
	char text[TIME_LEN], want[TIME_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(at) + 2000; i++) {
		time_t s = i < ARRAY_SIZE(at) ? at[i] : (time_t)(i * 4600033);
		struct tm tm;
		gmtime_r(&s, &tm);
		assert_int_equal(strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm), 20);
		assert_int_equal(time_format_seconds(s, text), 20);
		assert_string_equal(text, want);
	}
	time_format(INT64_C(1709251199123456789), text);
	assert_string_equal(text, "2024-02-29T23:59:59.123456789Z");
	time_format(0, text);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
}

static int64_t rows(struct db *db)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "SELECT COUNT(*) FROM t");

	assert_int_equal(db_step(&q, NULL), 1);
	return db_get_int(&q, 0);
}

static void add_rows(struct db *db, int n)
{
	while (n--)
		assert_int_equal(
			db_exec(db, "INSERT INTO t VALUES (hex(zeroblob(2500)))", NULL), 0);
}

static off_t log_size(const char *dir)
{
	cleanup(free) char *path = xasprintf("%s/x.db-wal", dir);
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* A log that has grown goes into the database; one that others still read stays, and nobody waits. */
static void database_settles(void **state)
{
	char dir[] = "/tmp/holm-base-db-XXXXXX";
	cleanup(free) char *path = NULL;
	struct db *db = NULL, *reader = NULL;
	struct err err = { 0 };

	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/x.db", dir);
	assert_int_equal(db_open(path, &db, &err), 0);
	assert_int_equal(db_exec(db, "CREATE TABLE t (x)", &err), 0);
	add_rows(db, 5);
	db_settle(db);
	assert_true(log_size(dir) > 0); /* not for so little */
	add_rows(db, 100);
	db_settle(db);
	assert_int_equal(log_size(dir), 0);
	assert_int_equal(rows(db), 105);

	assert_int_equal(db_open(path, &reader, &err), 0);
	assert_int_equal(db_exec(reader, "BEGIN", &err), 0);
	assert_int_equal(rows(reader), 105);
	add_rows(db, 100);
	db_settle(db);
	assert_true(log_size(dir) > 0);
	assert_int_equal(rows(reader), 105);
	assert_int_equal(db_exec(reader, "COMMIT", &err), 0);
	assert_int_equal(rows(reader), 205);
	db_close(reader);
	db_close(db);
	assert_int_equal(db_open(path, &db, &err), 0);
	assert_int_equal(rows(db), 205);
	db_close(db);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

struct rest {
	struct loop *loop;
	int rests, fired;
};

static void on_rest(void *data)
{
	struct rest *r = data;

	r->rests++;
}

static void on_first(void *data)
{
	struct rest *r = data;

	r->fired++;
	assert_int_equal(r->rests, 1); /* once, however long nothing happened */
}

static void on_second(void *data)
{
	struct rest *r = data;

	assert_int_equal(r->rests, 1); /* there was no time for one */
	r->fired++;
}

static void on_last(void *data)
{
	struct rest *r = data;

	assert_int_equal(r->rests, 2);
	assert_int_equal(r->fired, 2);
	loop_stop(r->loop, 7);
}

static void loops_tell_when_they_rest(void **state)
{
	cleanup(loop_free) struct loop *loop = loop_new();
	struct rest r = { .loop = loop };

	loop_set_rest(loop, 20000000, on_rest, &r);
	loop_add_timer(loop, 150000000, on_first, &r);
	loop_add_timer(loop, 151000000, on_second, &r);
	loop_add_timer(loop, 300000000, on_last, &r);
	assert_int_equal(loop_run(loop), 7);
}

/* What is in use survives, heap and stack alike. */
static void trimming_takes_only_what_is_free(void **state)
{
	char *kept[256], here[8192];

	memset(here, 'h', sizeof(here));
	for (int i = 0; i < 256; i++) {
		kept[i] = memset(xcalloc(1, 4096), 'k', 4096);
		free(memset(xcalloc(1, 20000), 'f', 20000));
	}
	memory_trim();
	for (int i = 0; i < 256; i++) {
		assert_true(kept[i][0] == 'k' && kept[i][4095] == 'k');
		free(kept[i]);
	}
	for (size_t i = 0; i < sizeof(here); i++)
		assert_int_equal(here[i], 'h');
}

static char *contents(int dir, const char *name)
{
	struct buf b = { 0 };

	assert_int_equal(file_read(dir, name, 100, &b), 0);
	buf_add(&b, "", 1);
	return b.data;
}

/* Who has the old one open keeps it; there is always one; and nothing else is left. */
static void files_are_replaced_whole(void **state)
{
	static const unsigned kinds[] = { 0, FILE_LAZY, FILE_SYNC };
	char path[] = "/tmp/holm-base.XXXXXX";
	int dir;

	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t n = 0; n < 3; n++) {
		char old[4] = "";
		assert_int_equal(file_write(dir, "f", "one", 3, 0600, kinds[n]), 0);
		int fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(file_write(dir, "f", "two!", 4, 0600, kinds[n]), 0);
		assert_int_equal(read(fd, old, 3), 3);
		close(fd);
		assert_string_equal(old, "one");
		char *now = contents(dir, "f");
		assert_string_equal(now, "two!");
		free(now);
		assert_int_equal(file_write(dir, "f", "x", 1, 0600, FILE_NO_REPLACE), -EEXIST);
		assert_int_equal(unlinkat(dir, "f", 0), 0);
	}
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void percents_are_decoded(void **state)
{
	static const char text[] = "a%20b%5b%zz%4%";
	cleanup(buf_free) struct buf out = { 0 };

	percent_decode(text, sizeof(text) - 1, &out);
	assert_string_equal(out.data, "a b[%zz%4%");
	percent_decode("%41", 2, &out); /* no further than it was told */
	assert_string_equal(out.data, "a b[%zz%4%%4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(modes),
		cmocka_unit_test(durations),
		cmocka_unit_test(digests),
		cmocka_unit_test(records),
		cmocka_unit_test(sets),
		cmocka_unit_test(strings_of_any_bytes_come_back),
		cmocka_unit_test(maps),
		cmocka_unit_test(string_lists),
		cmocka_unit_test(deep_trees_go),
		cmocka_unit_test(errors_are_one_harmless_line),
		cmocka_unit_test(signals),
		cmocka_unit_test(loops_tell_when_they_rest),
		cmocka_unit_test(trimming_takes_only_what_is_free),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(percents_are_decoded),
		cmocka_unit_test(times_with_zones_and_limits),
		cmocka_unit_test(times_are_the_calendar_s),
		cmocka_unit_test(database_settles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
