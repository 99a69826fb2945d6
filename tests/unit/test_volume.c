#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "base/strv.h"
#include "instance/tree.h"
#include "instance/volume.h"

static char dir[] = "/tmp/holm-test-volume-XXXXXX";
static struct db *db;

static void create(const char *name)
{
	struct volume v = { .name = xstrdup_null(name) };
	struct err err = { 0 };

	if (volume_create(db, &v, &err) < 0)
		fail_msg("%s", err.text);
	record_clear(volume_fields, &v);
}

static void creates_once(void **state)
{
	cleanup(volume_free) struct volume *v = NULL;
	struct volume other = { .name = xstrdup("data"), .driver = xstrdup("local") };
	struct stat st;

	umask(077);
	create("data");
	create("data");
	umask(022);
	assert_int_equal(volume_find(db, "data", &v, NULL), 0);
	assert_string_equal(v->driver, "local");
	assert_true(v->created > 0);
	assert_int_equal(stat(v->mountpoint, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	map_set(&other.options, "device", "/x");
	assert_int_equal(volume_create(db, &other, NULL), -EEXIST);
	record_clear(volume_fields, &other);
}

static void refuses(void **state)
{
	static const char *const names[] = { "../x", "/x", "a/b", "-x", "x", "a b" };
	struct volume v = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		str_replace(&v.name, names[i]);
		assert_int_equal(volume_create(db, &v, NULL), -EINVAL);
	}
	str_replace(&v.name, "good");
	str_replace(&v.driver, "nfs");
	assert_int_equal(volume_create(db, &v, NULL), -EINVAL);
	str_replace(&v.driver, NULL);
	map_set(&v.options, "colour", "red");
	assert_int_equal(volume_create(db, &v, NULL), -EINVAL);
	record_clear(volume_fields, &v);
}

static void names_the_nameless(void **state)
{
	struct volume v = { 0 };

	assert_int_equal(volume_create(db, &v, NULL), 0);
	assert_int_equal(strlen(v.name), 64);
	assert_true(v.anonymous);
	assert_int_equal(volume_remove(db, v.name, false, NULL), 0);
	assert_int_equal(access(v.mountpoint, F_OK), -1);
	record_clear(volume_fields, &v);
}

static void is_held(void **state)
{
	cleanup(strv_free) char **users = NULL;
	struct err err = { 0 };

	create("held");
	assert_int_equal(volume_hold(db, "held", "i1", NULL), 0);
	assert_int_equal(volume_hold(db, "held", "i1", NULL), 0);
	assert_int_equal(volume_hold(db, "held", "i2", NULL), 0);
	assert_int_equal(volume_hold(db, "absent", "i2", NULL), -ENOENT);
	assert_int_equal(volume_users(db, "held", &users, NULL), 0);
	assert_int_equal(strv_len(users), 2);
	assert_int_equal(volume_remove(db, "held", true, &err), -EBUSY);
	assert_non_null(strstr(err.text, "i1, i2"));
	assert_int_equal(volume_release(db, "i1", NULL), 0);
	assert_int_equal(volume_release(db, "i2", NULL), 0);
	assert_int_equal(volume_remove(db, "held", false, NULL), 0);
	assert_int_equal(volume_remove(db, "held", false, NULL), -ENOENT);
	assert_int_equal(volume_remove(db, "held", true, NULL), 0);
}

static void sweeps(void **state)
{
	cleanup(free) char *stray = xasprintf("%s/volumes/stray/_data", paths_root());
	struct record_list list = { 0 };

	create("kept");
	assert_int_equal(dir_make(stray, 0755), 0);
	assert_int_equal(volume_sweep(db, NULL), 0);
	assert_int_equal(access(stray, F_OK), -1);
	assert_int_equal(volume_list(db, &list, NULL), 0);
	assert_true(list.n >= 1);
	while (list.n) {
		struct volume *v = list.items[list.n - 1];
		assert_int_equal(access(v->mountpoint, F_OK), 0);
		record_list_remove(&list, list.n - 1, volume_fields);
	}
	free(list.items);
}

static void put(const char *at, const char *name, const char *text)
{
	cleanup(free) char *path = xasprintf("%s/%s", at, name);

	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0640, 0), 0);
}

/* root/data: a file with two names, a link out, a set-id file, a directory, a hole */
static void make_image(const char *root)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000000 } };
	cleanup(free) char *data = xasprintf("%s/data", root);
	cleanup(free) char *sub = xasprintf("%s/sub", data);
	cleanup(fd_close) int fd = -1;

	assert_int_equal(dir_make(sub, 0750), 0);
	fd = open(data, O_RDONLY | O_DIRECTORY);
	put(data, "one", "hello");
	assert_int_equal(linkat(fd, "one", fd, "sub/two", 0), 0);
	assert_int_equal(symlinkat("/etc/shadow", fd, "out"), 0);
	put(data, "tool", "#!");
	assert_int_equal(fchmodat(fd, "tool", 04755, 0), 0);
	assert_int_equal(utimensat(fd, "tool", old, 0), 0);
	put(data, "hole", "");
	assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
	{
		cleanup(fd_close) int hole = openat(fd, "hole", O_RDWR);
		assert_int_equal(ftruncate(hole, 64 << 20), 0);
		assert_int_equal(pwrite(hole, "x", 1, 32 << 20), 1);
		fsetxattr(hole, "user.note", "kept", 4, 0);
	}
	if (geteuid() == 0) {
		assert_int_equal(fchownat(fd, "one", 101, 102, 0), 0);
		assert_int_equal(fchown(fd, 33, 34), 0);
	}
	assert_int_equal(fchmod(fd, 01777), 0);
}

static void check_filled(const char *at)
{
	cleanup(fd_close) int fd = open(at, O_RDONLY | O_DIRECTORY);
	struct stat a, b;
	char text[16] = { 0 };

	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(a.st_mode & 07777, 01777);
	if (geteuid() == 0)
		assert_int_equal(a.st_uid, 33);
	assert_int_equal(fstatat(fd, "one", &a, 0), 0);
	assert_int_equal(fstatat(fd, "sub/two", &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mode & 07777, 0640);
	if (geteuid() == 0)
		assert_int_equal(a.st_gid, 102);
	assert_int_equal(readlinkat(fd, "out", text, sizeof(text) - 1), 11);
	assert_string_equal(text, "/etc/shadow");
	assert_int_equal(fstatat(fd, "tool", &a, 0), 0);
	assert_int_equal(a.st_mode & 07777, 04755);
	assert_int_equal(a.st_mtim.tv_sec, 1000000);
	assert_int_equal(fstatat(fd, "hole", &a, 0), 0);
	assert_int_equal(a.st_size, 64 << 20);
	assert_in_range(a.st_blocks, 0, 2048);
	assert_int_equal(fstatat(fd, "fifo", &a, 0), 0);
	assert_true(S_ISFIFO(a.st_mode));
}

static void fills(void **state)
{
	cleanup(free) char *root = xasprintf("%s/image", dir);
	cleanup(free) char *missing = NULL;
	cleanup(fd_close) int rootfd = -1;
	cleanup(volume_free) struct volume *v = NULL;

	make_image(root);
	rootfd = open(root, O_PATH | O_DIRECTORY);
	assert_int_equal(symlinkat("/data", rootfd, "link"), 0);
	create("full");
	assert_int_equal(volume_find(db, "full", &v, NULL), 0);
	assert_int_equal(volume_fill(v, rootfd, "/absent", NULL), 0);
	assert_int_equal(volume_fill(v, rootfd, "/link", NULL), 0);
	check_filled(v->mountpoint);
	/* A volume with something in it is left alone. */
	missing = xasprintf("%s/one", v->mountpoint);
	assert_int_equal(unlink(missing), 0);
	assert_int_equal(volume_fill(v, rootfd, "/data", NULL), 0);
	assert_int_equal(access(missing, F_OK), -1);
}

static void goes_on_after_a_crash(void **state)
{
	cleanup(free) char *root = xasprintf("%s/image", dir);
	cleanup(free) char *marker = xasprintf("%s/volumes/half", dir);
	cleanup(fd_close) int rootfd = open(root, O_PATH | O_DIRECTORY);
	cleanup(volume_free) struct volume *v = NULL;

	create("half");
	assert_int_equal(volume_find(db, "half", &v, NULL), 0);
	put(marker, "filling", "");
	put(v->mountpoint, "mine", "stays");
	assert_int_equal(volume_fill(v, rootfd, "/data", NULL), 0);
	check_filled(v->mountpoint);
	{
		cleanup(free) char *mine = xasprintf("%s/mine", v->mountpoint);
		cleanup(free) char *filling = xasprintf("%s/filling", marker);
		assert_int_equal(access(mine, F_OK), 0);
		assert_int_equal(access(filling, F_OK), -1);
	}
}

static void copies_replace_or_refuse(void **state)
{
	const struct tree_copy how = { .uid = geteuid(), .gid = getegid(), .replace = true };
	cleanup(free) char *from = xasprintf("%s/from", dir), *to = xasprintf("%s/to", dir);
	cleanup(free) char *to_dir = xasprintf("%s/to/sub", dir);
	cleanup(fd_close) int source = -1, target = -1, file = -1;
	char text[8] = { 0 };
	struct err err = { 0 };

	assert_int_equal(dir_make(from, 0755), 0);
	assert_int_equal(dir_make(to_dir, 0755), 0);
	put(from, "a", "new");
	put(to, "a", "old");
	put(from, "sub", "a file where a directory is");
	source = open(from, O_PATH | O_DIRECTORY);
	target = open(to, O_RDONLY | O_DIRECTORY);
	file = openat(source, "a", O_PATH);
	assert_int_equal(tree_copy(file, target, "a", &how, &err), 0);
	{
		cleanup(fd_close) int fd = openat(target, "a", O_RDONLY);
		assert_int_equal(read(fd, text, 7), 3);
		assert_string_equal(text, "new");
	}
	assert_int_equal(tree_copy_contents(source, target, false, &how, &err), -EISDIR);
	/* A link in the way is replaced, not followed. */
	assert_int_equal(unlinkat(target, "a", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", target, "a"), 0);
	assert_int_equal(tree_copy(file, target, "a", &how, &err), 0);
	assert_int_equal(readlinkat(target, "a", text, sizeof(text)), -1);
}

static int prepare(void **state)
{
	cleanup(free) char *path = NULL;

	if (!mkdtemp(dir) || paths_init(dir, NULL, NULL) < 0)
		return -1;
	path = xasprintf("%s/db", dir);
	return db_open(path, &db, NULL) < 0 ? -1 : volume_init(db, NULL);
}

static int finish(void **state)
{
	db_close(db);
	return dir_remove(-1, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creates_once),
		cmocka_unit_test(refuses),
		cmocka_unit_test(names_the_nameless),
		cmocka_unit_test(is_held),
		cmocka_unit_test(sweeps),
		cmocka_unit_test(fills),
		cmocka_unit_test(goes_on_after_a_crash),
		cmocka_unit_test(copies_replace_or_refuse),
	};

	return cmocka_run_group_tests(tests, prepare, finish);
}
