/* Hostile and ordinary layers, made block by block, unpacked into a directory of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/layer.h"
#include "image/tar.h"

static char top[64];  /* of the test */
static char root[80]; /* top/root */
static int top_fd = -1;

static int setup(void **state)
{
	strcpy(top, "/tmp/test-layer-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(root, sizeof(root), "%s/root", top);
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return mkdir(root, 0700);
}

static int teardown(void **state)
{
	top_fd = fd_close(top_fd);
	return dir_remove(AT_FDCWD, top);
}

/* Archives, made with holm's own headers. */

static void add(struct buf *b, enum tar_type type, const char *name, const char *link_or_data)
{
	bool is_link = type == TAR_SYMLINK || type == TAR_HARDLINK;
	size_t len = type == TAR_FILE && link_or_data ? strlen(link_or_data) : 0;
	struct tar_entry e = { .type = type,
		.name = (char *)name,
		.link = (char *)(is_link ? link_or_data : ""),
		.mode = type == TAR_DIR ? 0755 : 0644,
		.size = (int64_t)len,
		.mtime = 1700000000 * INT64_C(1000000000) };

	assert_int_equal(tar_entry_format(&e, b, NULL), 0);
	buf_add(b, link_or_data, len);
	memset(buf_reserve(b, TAR_BLOCK), 0, TAR_BLOCK);
	b->len += -len % TAR_BLOCK;
}

static void end(struct buf *b)
{
	memset(buf_reserve(b, 1024), 0, 1024);
	b->len += 1024;
}

static int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("layer", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int unpack_with(const struct buf *b, const struct layer_options *options,
	struct layer_result *ret, struct err *err)
{
	cleanup(fd_close) int fd = memory_file(b->data, b->len);

	*err = (struct err){ 0 };
	return layer_unpack(fd, -1, root, options, ret, err);
}

static int unpack(const struct buf *b, struct err *err)
{
	struct layer_result result;

	return unpack_with(b, NULL, &result, err);
}

static void expect_ok(const struct buf *b)
{
	struct err err;

	if (unpack(b, &err) < 0)
		fail_msg("%s", err.text);
}

static struct stat look(const char *path)
{
	struct stat st = { 0 };
	char full[4200];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	lstat(full, &st);
	return st;
}

static bool contains(const char *path, const char *text)
{
	cleanup(buf_free) struct buf b = { 0 };
	char full[4200];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return file_read(AT_FDCWD, full, 1 << 20, &b) == 0 &&
	       strcmp(b.data ? b.data : "", text) == 0;
}

static bool is_whiteout(const char *path)
{
	struct stat st = look(path);

	return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static bool is_opaque(const char *path)
{
	char full[4200], v[8];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return lgetxattr(full, "trusted.overlay.opaque", v, sizeof(v)) == 1 && v[0] == 'y';
}

/* Nothing was made next to the root. */
static void expect_nothing_outside(void)
{
	struct stat st;

	assert_int_equal(stat(top, &st), 0);
	assert_int_equal(st.st_nlink, 3); /* ".", "..", root */
	assert_int_equal(faccessat(top_fd, "evil", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(access("/tmp/holm-evil", F_OK), -1);
}

/* One entry that must be refused, with this error. */
static void refuse(
	enum tar_type type, const char *name, const char *link_or_data, const char *error)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct err err;

	add(&b, type, name, link_or_data);
	end(&b);
	assert_true(unpack(&b, &err) < 0);
	assert_string_equal(err.text, error);
	expect_nothing_outside();
}

static void names_that_climb(void **state)
{
	refuse(TAR_FILE, "../evil", "x", "layer: entry '../evil' leads out of the root");
	refuse(TAR_FILE, "../../etc/passwd", "x",
		"layer: entry '../../etc/passwd' leads out of the root");
	refuse(TAR_FILE, "a/../../evil", "x", "layer: entry 'a/../../evil' leads out of the root");
	refuse(TAR_FILE, "/../evil", "x", "layer: entry '/../evil' leads out of the root");
	refuse(TAR_DIR, "..", NULL, "layer: entry '../' leads out of the root");
	refuse(TAR_SYMLINK, "../evil", "x", "layer: entry '../evil' leads out of the root");
	refuse(TAR_HARDLINK, "evil", "../../etc/passwd",
		"layer: entry 'evil': its target '../../etc/passwd' leads out of the root");
	refuse(TAR_FILE, ".wh...", NULL, "layer: entry '.wh...' leads out of the root");
	refuse(TAR_FILE, "a/.wh..", NULL, "layer: entry 'a/.wh..' is a whiteout of nothing");
	refuse(TAR_FILE, ".wh.", NULL, "layer: entry '.wh.' is a whiteout of nothing");
	refuse(TAR_FILE, "../.wh.root", NULL, "layer: entry '../.wh.root' leads out of the root");
	refuse(TAR_FILE, ".wh.x/y", "x", "layer: entry '.wh.x/y' lies below a whiteout");
	refuse(TAR_FILE, "./", "x", "layer: entry './' would replace the root");
}

static void absolute_names_stay_inside(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };

	add(&b, TAR_FILE, "/tmp/holm-evil", "inside");
	add(&b, TAR_FILE, "./x/./y//z", "z");
	end(&b);
	expect_ok(&b);
	expect_nothing_outside();
	assert_true(contains("tmp/holm-evil", "inside"));
	assert_true(contains("x/y/z", "z"));
}

static void links_are_followed_inside_only(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };

	add(&b, TAR_DIR, "usr/lib", NULL);
	add(&b, TAR_SYMLINK, "lib", "usr/lib");
	add(&b, TAR_FILE, "lib/x", "x");
	add(&b, TAR_SYMLINK, "up", "../../../../../..");
	add(&b, TAR_FILE, "up/evil", "root");
	add(&b, TAR_SYMLINK, "abs", "/tmp");
	add(&b, TAR_DIR, "tmp", NULL);
	add(&b, TAR_FILE, "abs/holm-evil", "inside");
	add(&b, TAR_HARDLINK, "hard", "up/evil");
	add(&b, TAR_FILE, "up/.wh.gone", NULL);
	end(&b);
	expect_ok(&b);
	expect_nothing_outside();
	assert_true(contains("usr/lib/x", "x"));
	assert_true(contains("evil", "root"));
	assert_true(contains("tmp/holm-evil", "inside"));
	assert_int_equal(look("evil").st_nlink, 2);
	assert_true(is_whiteout("gone"));
}

static void hard_links_do_not_follow(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct err err;

	add(&b, TAR_SYMLINK, "s", "/etc/passwd");
	add(&b, TAR_HARDLINK, "h", "s");
	end(&b);
	expect_ok(&b);
	assert_true(S_ISLNK(look("h").st_mode));
	b.len = 0;
	add(&b, TAR_HARDLINK, "i", "s/x");
	end(&b);
	assert_true(unpack(&b, &err) < 0);
	b.len = 0;
	add(&b, TAR_HARDLINK, "k", "absent");
	end(&b);
	assert_int_equal(unpack(&b, &err), -ENOENT);
	assert_string_equal(
		err.text, "layer: entry 'k': link to 'absent': No such file or directory");
}

static void through_a_file(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct err err;

	add(&b, TAR_FILE, "f", "x");
	add(&b, TAR_FILE, "f/y", "y");
	end(&b);
	assert_int_equal(unpack(&b, &err), -ENOTDIR);
	assert_string_equal(err.text, "layer: entry 'f/y': 'f' is not a directory");
	b.len = 0;
	add(&b, TAR_SYMLINK, "s", "/absent");
	add(&b, TAR_FILE, "s/y", "y");
	end(&b);
	assert_int_equal(unpack(&b, &err), -ENOTDIR);
	assert_string_equal(
		err.text, "layer: entry 's/y': 's' is a link that leads to no directory");
	expect_nothing_outside();
}

static void later_replaces_earlier(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };

	add(&b, TAR_FILE, "a", "one");
	add(&b, TAR_FILE, "a", "two");
	add(&b, TAR_DIR, "d", NULL);
	add(&b, TAR_FILE, "d/x", "x");
	add(&b, TAR_SYMLINK, "d", "a"); /* while d is the kept parent */
	add(&b, TAR_FILE, "e", "e");
	add(&b, TAR_DIR, "e", NULL);
	add(&b, TAR_FILE, "e/y", "y");
	add(&b, TAR_SYMLINK, "l", "a");
	add(&b, TAR_FILE, "l", "not through the link");
	add(&b, TAR_HARDLINK, "a", "a"); /* itself */
	end(&b);
	expect_ok(&b);
	assert_true(contains("a", "two"));
	assert_true(S_ISLNK(look("d").st_mode));
	assert_true(contains("e/y", "y"));
	assert_true(S_ISREG(look("l").st_mode));
}

static void whiteouts(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };

	add(&b, TAR_FILE, "etc/.wh.motd", NULL);
	add(&b, TAR_FILE, "opt/.wh..wh..opq", NULL);
	add(&b, TAR_FILE, "opt/new", "new");
	add(&b, TAR_FILE, ".wh.var", NULL); /* then made anew: opaque */
	add(&b, TAR_DIR, "var", NULL);
	add(&b, TAR_DIR, "srv", NULL); /* the other order */
	add(&b, TAR_FILE, ".wh.srv", NULL);
	add(&b, TAR_FILE, ".wh.run", NULL); /* then made in passing */
	add(&b, TAR_FILE, "run/x", "x");
	add(&b, TAR_FILE, "keep", "k");
	add(&b, TAR_FILE, ".wh.keep", NULL);
	add(&b, TAR_FILE, ".wh.f", NULL);
	add(&b, TAR_FILE, "f", "f");
	add(&b, TAR_DIR, ".wh..wh.plnk", NULL);
	add(&b, TAR_FILE, ".wh..wh.plnk/1", NULL);
	end(&b);
	expect_ok(&b);
	assert_true(is_whiteout("etc/motd"));
	assert_true(is_opaque("opt"));
	assert_true(contains("opt/new", "new"));
	assert_true(is_opaque("var"));
	assert_true(is_opaque("srv"));
	assert_true(is_opaque("run"));
	assert_true(contains("run/x", "x"));
	assert_true(contains("keep", "k"));
	assert_true(contains("f", "f"));
	assert_false(is_opaque("etc"));
	assert_int_equal(look(".wh..wh.plnk").st_mode, 0);
}

/* Everything an entry can carry, through a pack and an unpack. */
static struct tar_entry rich_entry(struct tar_xattr xattrs[2])
{
	xattrs[0] = (struct tar_xattr){
		.name = (char *)"trusted.overlay.redirect", .value = (char *)"/etc", .len = 4
	};
	xattrs[1] = (struct tar_xattr){
		.name = (char *)"user.note", .value = (char *)"a\0b", .len = 3
	};
	return (struct tar_entry){ .type = TAR_FILE,
		.name = (char *)"suid",
		.link = (char *)"",
		.mode = 06755,
		.uid = 3000000,
		.gid = 7,
		.mtime = INT64_C(-1500000000),
		.xattrs = xattrs,
		.n_xattrs = 2 };
}

static void attributes(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct tar_xattr xattrs[2];
	struct tar_entry e = rich_entry(xattrs);
	char path[100], v[8];
	struct stat st;

	assert_int_equal(tar_entry_format(&e, &b, NULL), 0);
	e = (struct tar_entry){
		.type = TAR_DIR, .name = (char *)"d", .mode = 02770, .gid = 9, .mtime = 123456789
	};
	assert_int_equal(tar_entry_format(&e, &b, NULL), 0);
	add(&b, TAR_FILE, "d/f", "x");
	e = (struct tar_entry){
		.type = TAR_CHAR, .name = (char *)"null", .mode = 0666, .major = 1, .minor = 3
	};
	assert_int_equal(tar_entry_format(&e, &b, NULL), 0);
	add(&b, TAR_FIFO, "p", NULL);
	end(&b);
	expect_ok(&b);

	st = look("suid");
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(st.st_uid, 3000000);
	assert_int_equal(st.st_gid, 7);
	assert_int_equal(st.st_mtim.tv_sec, -2);
	assert_int_equal(st.st_mtim.tv_nsec, 500000000);
	snprintf(path, sizeof(path), "%s/suid", root);
	assert_int_equal(getxattr(path, "user.note", v, sizeof(v)), 3);
	assert_memory_equal(v, "a\0b", 3);
	assert_int_equal(getxattr(path, "trusted.overlay.redirect", v, sizeof(v)), -1);
	st = look("d");
	assert_int_equal(st.st_mode, S_IFDIR | 02770);
	assert_int_equal(st.st_mtim.tv_sec, 0);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(look("d/f").st_gid, 0); /* not what the set-group-id directory gives */
	assert_int_equal(look("null").st_mode, S_IFCHR | 0666);
	assert_int_equal(look("null").st_rdev, 0x103);
	assert_true(S_ISFIFO(look("p").st_mode));
	assert_int_equal(look("").st_mode, S_IFDIR | 0755);
}

static void limits(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct layer_options bytes = { .limits.bytes = 4096 }, entries = { .limits.entries = 2 };
	struct layer_result result;
	struct err err;

	for (int i = 0; i < 3; i++)
		add(&b, TAR_FILE, (char[]){ (char)('a' + i), 0 }, NULL);
	memset(buf_reserve(&b, 65536), 0, 65536); /* zeros without end count, too */
	b.len += 65536;
	assert_int_equal(unpack_with(&b, &bytes, &result, &err), -EFBIG);
	assert_non_null(strstr(err.text, "layer: larger than the limit of"));
	assert_int_equal(unpack_with(&b, &entries, &result, &err), -EFBIG);
	assert_string_equal(err.text, "layer: more than the limit of 2 entries");
}

static void set_checksum(struct tar_block *b)
{
	unsigned sum = 0;

	memset(b->checksum, ' ', 8);
	for (size_t i = 0; i < sizeof(*b); i++)
		sum += ((unsigned char *)b)[i];
	snprintf(b->checksum, 8, "%06o", sum);
}

static void damage(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct tar_block *block;
	struct err err;

	add(&b, TAR_FILE, "file", "some data");
	block = (struct tar_block *)b.data;
	b.len = 700;
	b.len = 515; /* in the data */
	assert_int_equal(unpack(&b, &err), -EUCLEAN);
	assert_string_equal(err.text, "layer: ends in the middle of entry 'file'");
	b.len = 100;
	assert_int_equal(unpack(&b, &err), -EUCLEAN);
	b.len = 1024;
	block->name[0] = 'g';
	assert_int_equal(unpack(&b, &err), -EUCLEAN);
	assert_string_equal(err.text, "layer: not a tar archive");
	memcpy(block->size, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	set_checksum(block);
	assert_int_equal(unpack(&b, &err), -EINVAL);
	assert_string_equal(err.text, "layer: entry 'gile': its size is no number that fits");
	memcpy(block->size, "00000000011", 12);
	block->type = 'Z';
	set_checksum(block);
	assert_int_equal(unpack(&b, &err), -EINVAL);
	assert_string_equal(err.text, "layer: entry 'gile' is of an unknown type (0x5a)");
	block->type = 'S';
	set_checksum(block);
	assert_int_equal(unpack(&b, &err), -EOPNOTSUPP);
	b.len = 0;
	expect_ok(&b); /* an empty archive is one without an entry */
}

static void pax_damage(void **state)
{
	static const char *const records[] = { "9 path=x\n", "7 path=x\n", "99999999999 path=x\n",
		"path=x\n", "12 path=a\0b\n", "10 size=-\n", "12 size=1x3\n",
		"30 size=99999999999999999999999\n", "18 uid=4294967295\n", "12 mtime=x.\n",
		"25 LIBARCHIVE.xattr.a=!\n", "4 =\n" };

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		cleanup(tar_pax_clear) struct tar_pax pax = { 0 };
		size_t len = i == 4 ? 12 : strlen(records[i]);
		struct err err = { 0 };
		if (i == 0) {
			assert_int_equal(tar_pax_parse(&pax, records[i], len, &err), 0);
			assert_string_equal(pax.path, "x");
		} else if (tar_pax_parse(&pax, records[i], len, &err) >= 0) {
			fail_msg("'%s' is accepted", records[i]);
		}
	}
}

static void numbers(void **state)
{
	int64_t v = 0;

	assert_int_equal(tar_number("0000644", 8, &v), 0);
	assert_int_equal(v, 0644);
	assert_int_equal(tar_number("  644 \0", 8, &v), 0);
	assert_int_equal(v, 0644);
	assert_int_equal(tar_number("\0\0\0\0\0\0\0", 8, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(tar_number("\x80\0\0\0\0\x20\0\0", 8, &v), 0);
	assert_int_equal(v, 0x200000);
	assert_int_equal(tar_number("\xff\xff\xff\xff\xff\xff\xff\xfe", 8, &v), 0);
	assert_int_equal(v, -2);
	assert_int_equal(tar_number("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, &v), -ERANGE);
	assert_int_equal(tar_number("0000648", 8, &v), -EINVAL);
}

static void clean_names(void **state)
{
	static const char *const rows[][2] = { { "a/b", "a/b" }, { "./a//b/.", "a/b" }, { "/", "" },
		{ ".", "" }, { "a/..", "" }, { "a/../b", "b" }, { "a/b/../../c/", "c" },
		{ "...", "..." }, { "a/..b", "a/..b" } };
	char out[PATH_MAX], *big = xcalloc(1, 5000);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(tar_clean_name(rows[i][0], out), 0);
		assert_string_equal(out, rows[i][1]);
	}
	assert_int_equal(tar_clean_name("a/../..", out), -EPERM);
	memset(big, 'a', 4999);
	assert_int_equal(tar_clean_name(big, out), -ENAMETOOLONG);
	free(big);
}

/* A tree with all kinds, packed twice, unpacked and packed again: always the same bytes. */
static void make_tree(void)
{
	cleanup(buf_free) struct buf b = { 0 };
	cleanup(free) char *big = xcalloc(1, 3000001);
	char name[300] = "long/";
	struct tar_xattr xattrs[2];
	struct tar_entry e = rich_entry(xattrs);

	memset(big, 'q', 3000000);
	memset(name + 5, 'n', 200);
	add(&b, TAR_DIR, "d", NULL);
	add(&b, TAR_FILE, "d/big", big);
	add(&b, TAR_HARDLINK, "link", "d/big");
	add(&b, TAR_SYMLINK, "sym", "d/big");
	add(&b, TAR_FILE, name, "long");
	add(&b, TAR_FILE, "\xc3\xa4", "umlaut");
	add(&b, TAR_FILE, "gone/.wh.x", NULL);
	add(&b, TAR_FILE, "opaque/.wh..wh..opq", NULL);
	assert_int_equal(tar_entry_format(&e, &b, NULL), 0);
	add(&b, TAR_FIFO, "pipe", NULL);
	end(&b);
	expect_ok(&b);
}

static void pack_root(int out, enum layer_compression kind, struct layer_result *ret)
{
	cleanup(fd_close) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err;

	if (layer_pack(fd, out, kind, ret, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
}

static void packs_again(enum layer_compression kind)
{
	cleanup(fd_close) int one = memory_file("", 0), two = memory_file("", 0),
			      tee = memory_file("", 0);
	struct layer_result packed, again, unpacked;
	struct stat st;
	struct err err = { 0 };

	make_tree();
	pack_root(one, kind, &packed);
	assert_int_equal(dir_remove(AT_FDCWD, root), 0);
	assert_int_equal(mkdir(root, 0700), 0);
	if (layer_unpack(one, tee, root, NULL, &unpacked, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(unpacked.compression, kind);
	assert_string_equal(unpacked.digest, packed.digest);
	assert_string_equal(unpacked.diff_id, packed.diff_id);
	assert_int_equal(unpacked.compressed_size, packed.compressed_size);
	assert_int_equal(unpacked.size, packed.size);
	assert_int_equal(fstat(tee, &st), 0);
	assert_int_equal(st.st_size, packed.compressed_size);
	assert_true(is_whiteout("gone/x"));
	assert_true(is_opaque("opaque"));
	assert_int_equal(look("link").st_nlink, 2);
	pack_root(two, kind, &again);
	assert_string_equal(again.digest, packed.digest);
}

static void pack_plain(void **state)
{
	packs_again(LAYER_PLAIN);
}

static void pack_gzip(void **state)
{
	packs_again(LAYER_GZIP);
}

static void pack_zstd(void **state)
{
	packs_again(LAYER_ZSTD);
}

static void damaged_compression(void **state)
{
	for (int kind = LAYER_GZIP; kind <= LAYER_ZSTD; kind++) {
		cleanup(fd_close) int fd = memory_file("", 0);
		struct layer_result result;
		struct stat st;
		struct err err = { 0 };
		char byte;
		if (kind == LAYER_GZIP)
			make_tree();
		pack_root(fd, (enum layer_compression)kind, &result);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(ftruncate(fd, st.st_size - 3), 0);
		assert_int_equal(layer_unpack(fd, -1, root, NULL, &result, &err), -EUCLEAN);
		assert_non_null(strstr(err.text, "ends too early"));
		assert_int_equal(ftruncate(fd, st.st_size / 2), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(layer_unpack(fd, -1, root, NULL, &result, &err), -EUCLEAN);
		/* A byte changed is found by the checksum at the latest. */
		pack_root(fd, (enum layer_compression)kind, &result);
		assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
		assert_true(layer_unpack(fd, -1, root, NULL, &result, &err) < 0);
		assert_int_equal(strncmp(err.text, "layer: ", 7), 0);
	}
}

static void gzip_members_and_garbage(void **state)
{
	cleanup(fd_close) int fd = memory_file("", 0);
	cleanup(buf_free) struct buf once = { 0 };
	struct layer_result result;
	struct err err = { 0 };

	make_tree();
	pack_root(fd, LAYER_GZIP, &result);
	assert_int_equal(fd_read_to_end(fd, 1 << 24, &once), 0);
	assert_int_equal(
		fd_write_all(fd, once.data, once.len), 0); /* a second member: after the end */
	assert_int_equal(fd_write_all(fd, "\0\0\0\0", 4), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (layer_unpack(fd, -1, root, NULL, &result, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lseek(fd, 0, SEEK_END) - 4, 2 * (off_t)once.len);
	assert_int_equal(fd_write_all(fd, "garbage", 7), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(layer_unpack(fd, -1, root, NULL, &result, &err), -EUCLEAN);
	assert_string_equal(err.text, "layer: damaged gzip stream: garbage after its end");
}

static void copies(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	cleanup(fd_close) int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tar_extract_options options = {
		.into = "/work",
		.rename_from = "src",
		.rename_to = "dst",
		.no_overwrite_dir_nondir = true,
		.set_owner = true,
		.uid = 11,
		.gid = 12,
	};
	struct err err = { 0 };

	assert_int_equal(symlinkat("/../../real", rootfd, "work"), 0);
	assert_int_equal(mkdirat(rootfd, "real", 0755), 0);
	add(&b, TAR_DIR, "src", NULL);
	add(&b, TAR_FILE, "src/.wh.not", "a name like any other");
	add(&b, TAR_HARDLINK, "src/h", "src/.wh.not");
	end(&b);
	for (int i = 0; i < 2; i++) {
		cleanup(fd_close) int fd = memory_file(b.data, b.len);
		cleanup(tar_reader_close) struct tar_reader *reader = NULL;
		assert_int_equal(tar_reader_open(fd, "archive", NULL, &reader, &err), 0);
		if (tar_extract(rootfd, reader, &options, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_true(contains("real/dst/h", "a name like any other"));
	assert_int_equal(look("real/dst/h").st_uid, 11);
	assert_int_equal(look("real/dst").st_gid, 12);
	b.len = 0;
	add(&b, TAR_FILE, "src", "over a directory");
	end(&b);
	cleanup(fd_close) int fd = memory_file(b.data, b.len);
	cleanup(tar_reader_close) struct tar_reader *reader = NULL;
	assert_int_equal(tar_reader_open(fd, "archive", NULL, &reader, &err), 0);
	assert_int_equal(tar_extract(rootfd, reader, &options, &err), -EEXIST);
	assert_string_equal(
		err.text, "archive: cannot overwrite directory 'src' with a non-directory");
}

static void reads_entries(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct err err = { 0 };
	const struct tar_entry *e;
	char data[16] = "";

	add(&b, TAR_FILE, "manifest.json", "[]");
	add(&b, TAR_FILE, "skipped", "skipped data");
	add(&b, TAR_FILE, "last", "last");
	end(&b);
	cleanup(fd_close) int fd = memory_file(b.data, b.len);
	cleanup(tar_reader_close) struct tar_reader *reader = NULL;
	assert_int_equal(tar_reader_open(fd, "archive", NULL, &reader, &err), 0);
	assert_int_equal(tar_next(reader, &e, &err), 1);
	assert_string_equal(e->name, "manifest.json");
	assert_int_equal(e->size, 2);
	assert_int_equal(tar_read(reader, data, sizeof(data), &err), 2);
	assert_string_equal(data, "[]");
	assert_int_equal(tar_read(reader, data, sizeof(data), &err), 0);
	assert_int_equal(tar_next(reader, &e, &err), 1);
	assert_int_equal(tar_next(reader, &e, &err), 1);
	assert_int_equal(tar_read(reader, data, 2, &err), 2);
	assert_int_equal(tar_read(reader, data + 2, 8, &err), 2);
	assert_memory_equal(data, "last", 4);
	assert_int_equal(tar_next(reader, &e, &err), 0);
	assert_int_equal(tar_next(reader, &e, &err), 0);
	assert_int_equal(tar_drain(reader, &err), 0);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(clean_names),
		cmocka_unit_test(pax_damage),
		cmocka_unit_test(reads_entries),
		IN_DIR(names_that_climb),
		IN_DIR(absolute_names_stay_inside),
		IN_DIR(links_are_followed_inside_only),
		IN_DIR(hard_links_do_not_follow),
		IN_DIR(through_a_file),
		IN_DIR(later_replaces_earlier),
		IN_DIR(whiteouts),
		IN_DIR(attributes),
		IN_DIR(limits),
		IN_DIR(damage),
		IN_DIR(pack_plain),
		IN_DIR(pack_gzip),
		IN_DIR(pack_zstd),
		IN_DIR(damaged_compression),
		IN_DIR(gzip_members_and_garbage),
		IN_DIR(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
