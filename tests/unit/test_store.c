/* The store: images made from small tars, named, held, removed, saved and loaded; and damaged ones. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"
#include "image/change.h"
#include "image/image.h"
#include "image/layer.h"
#include "image/registry.h"
#include "image/rows.h"
#include "image/store.h"
#include "image/tag_log.h"
#include "image/suite.h"

static char top[64]; /* the store's root of the test */
static struct db *db;

static int setup(void **state)
{
	cleanup(free) char *path = NULL;

	strcpy(top, "/tmp/test-store-XXXXXX");
	if (!mkdtemp(top) || paths_init(top, NULL, NULL) < 0)
		return -1;
	path = xasprintf("%s/holm.db", top);
	return db_open(path, &db, NULL) < 0 || image_init(db, NULL) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	db_close(take(db));
	return dir_remove(AT_FDCWD, top);
}

static int memory_file(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void rewind_file(int fd)
{
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

/* A tar with one file, plain or compressed, ready to be read. */
static int tar_of(const char *name, const char *text, enum layer_compression compression,
	struct layer_result *result)
{
	cleanup(tar_writer_close) struct tar_writer *w = NULL;
	int fd = memory_file();

	assert_int_equal(tar_writer_open(fd, compression, &w, NULL), 0);
	assert_int_equal(tar_write_file(w, name, text, strlen(text), 0, NULL), 0);
	assert_int_equal(tar_writer_finish(w, result, NULL), 0);
	rewind_file(fd);
	return fd;
}

static void import_image(const char *name, const char *text, char id[DIGEST_LEN + 1])
{
	cleanup(fd_close) int fd = tar_of("file", text, LAYER_PLAIN, NULL);
	const struct image_import what = { .name = name };
	struct err err = { 0 };

	if (image_import(db, fd, &what, NULL, NULL, id, &err) < 0)
		fail_msg("import: %s", err.text);
}

/* Entries of a directory below the root. */
static int count(const char *dir)
{
	cleanup(free) char *command = xasprintf("ls -A '%s/%s' 2>/dev/null | wc -l", top, dir);
	FILE *f = popen(command, "re");
	int n = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	pclose(f);
	return n;
}

static struct image *find(const char *name)
{
	struct image *image = NULL;
	struct err err = { 0 };

	if (image_find(db, name, &image, &err) < 0)
		fail_msg("find '%s': %s", name, err.text);
	return image;
}

static void not_found(const char *name, int code, const char *text)
{
	struct image *image = NULL;
	struct err err = { 0 };

	assert_int_equal(image_find(db, name, &image, &err), -code);
	if (!strstr(err.text, text))
		fail_msg("'%s' does not say '%s'", err.text, text);
}

static void test_import_and_find(void **state)
{
	char id[DIGEST_LEN + 1];

	import_image("debian:12", "one", id);
	cleanup(image_free) struct image *image = find("debian:12");
	assert_string_equal(image->id, id);
	assert_string_equal(image->names[0], "docker.io/library/debian:12");
	assert_int_equal(image->size, 3);
	assert_true(image->created > 0);
	assert_int_equal(strv_len(image->layer_dirs), 1);
	cleanup(free) char *file = xasprintf("%s/file", image->layer_dirs[0]);
	cleanup(buf_free) struct buf text = { 0 };
	assert_int_equal(file_read(AT_FDCWD, file, 100, &text), 0);
	assert_string_equal(text.data, "one");
	assert_int_equal(count("tmp"), 0);
	assert_int_equal(count("blobs/sha256"), 1);

	static const char *const same[] = { "docker.io/library/debian:12", "library/debian:12" };
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		image_free(find(same[i]));
	image_free(find(id));
	image_free(find(digest_hex(id)));
	cleanup(free) char *prefix = xasprintf("%.12s", digest_hex(id));
	image_free(find(prefix));
	cleanup(free) char *long_prefix = xasprintf("%.20s", id);
	image_free(find(long_prefix));
	cleanup(free) char *by_digest = xasprintf("debian@%s", image->manifest);
	image_free(find(by_digest));
	cleanup(free) char *other = xasprintf("ubuntu@%s", image->manifest);
	not_found(other, ENOENT, "no such image: ubuntu@sha256:");

	not_found("debain:12", ENOENT, "no such image: debain:12; did you mean debian:12");
	not_found("debian", ENOENT, "holm image bootstrap debian:12");
	not_found("Debian:12", EINVAL, "lowercase");
	not_found("", EINVAL, "");
}

static void test_ambiguous_prefix(void **state)
{
	char id[DIGEST_LEN + 1];
	unsigned seen[256] = { 0 };

	/* By the 17th two of them share their first digit. */
	for (int i = 0; i < 17; i++) {
		char text[16], first[2] = "";
		snprintf(text, sizeof(text), "%d", i);
		import_image(NULL, text, id);
		first[0] = digest_hex(id)[0];
		if (++seen[(unsigned char)first[0]] == 2) {
			not_found(first, EINVAL, "several images");
			return;
		}
		image_free(find(first));
	}
	fail();
}

static void test_tag(void **state)
{
	char one[DIGEST_LEN + 1], two[DIGEST_LEN + 1];
	struct err err = { 0 };

	import_image("a:1", "one", one);
	import_image("b:1", "two", two);
	assert_int_equal(image_tag(db, "a:1", "host:5000/x/y", &err), 0);
	cleanup(image_free) struct image *image = find("host:5000/x/y:latest");
	assert_string_equal(image->id, one);
	assert_int_equal(strv_len(image->names), 2);
	/* A name moves; the image that had it stays, without one. */
	assert_int_equal(image_tag(db, "b:1", "a:1", &err), 0);
	cleanup(image_free) struct image *moved = find("a:1");
	assert_string_equal(moved->id, two);
	assert_int_equal(image_tag(db, "b:1", "x@sha256:0", &err), -EINVAL);
	assert_int_equal(image_tag(db, "nothere", "c:1", &err), -ENOENT);
}

static void test_tag_log(void **state)
{
	cleanup(tag_log_clear) struct tag_log log = { 0 };
	cleanup(strv_free) char **report = NULL;
	char one[DIGEST_LEN + 1], two[DIGEST_LEN + 1];
	struct err err = { 0 };
	uint64_t freed;

	import_image("a:1", "one", one);
	import_image("b:1", "two", two);
	for (int i = 0; i < TAG_LOG_ENTRIES + 5; i++)
		assert_int_equal(image_tag(db, i % 2 ? "b:1" : "a:1", "c:1", &err), 0);
	assert_int_equal(tag_log_read(db, "c:1", &log, &err), 0);
	assert_int_equal(log.n, TAG_LOG_ENTRIES);
	assert_int_equal(log.items[log.n - 1].n, TAG_LOG_ENTRIES - 1);
	/* It points to `one`, and has pointed to `two`: a fortnight after it left that, nothing keeps it. */
	assert_string_equal(log.items[0].image, one);
	assert_int_equal(image_remove(db, "b:1", false, &report, &err), 0);
	assert_int_equal(
		db_exec(db, "UPDATE tag_log SET until = until - 13*86400*1000000000", &err), 0);
	assert_int_equal(image_prune_matching(db, false, NULL, NULL, &report, &freed, &err), 0);
	image_free(find(two));
	assert_int_equal(
		db_exec(db, "UPDATE tag_log SET until = until - 86400*1000000000", &err), 0);
	assert_int_equal(image_prune_matching(db, false, NULL, NULL, &report, &freed, &err), 0);
	not_found(two, ENOENT, "no such image");
	image_free(find("c:1"));
}

static void test_hold(void **state)
{
	cleanup(strv_free) char **owners = NULL, **report = NULL;
	char id[DIGEST_LEN + 1];
	struct err err = { 0 };
	uint64_t freed;

	import_image("a:1", "one", id);
	assert_int_equal(image_hold(db, id, "instance1", &err), 0);
	assert_int_equal(image_hold(db, id, "instance1", &err), 0);
	assert_int_equal(image_holders(db, id, &owners, &err), 0);
	assert_int_equal(strv_len(owners), 1);
	assert_int_equal(image_remove(db, "a:1", false, &report, &err), -EBUSY);
	assert_non_null(strstr(err.text, "image is being used by container instance1"));
	assert_null(report);
	image_free(find("a:1"));
	/* By force the name goes, and nothing of what the instance stands on. */
	assert_int_equal(image_remove(db, "a:1", true, &report, &err), 0);
	assert_int_equal(strv_len(report), 1);
	assert_string_equal(report[0], "Untagged: a:1");
	image_free(find(id));
	assert_int_equal(image_remove(db, id, true, &report, &err), -EBUSY);
	assert_int_equal(image_prune_matching(db, true, NULL, NULL, &report, &freed, &err), 0);
	image_free(find(id));
	assert_int_equal(image_release(db, "instance1", &err), 0);
	assert_int_equal(image_prune_matching(db, false, NULL, NULL, &report, &freed, &err), 0);
	assert_true(freed > 0);
	not_found(id, ENOENT, "no such image");
	assert_int_equal(count("layers"), 0);
	assert_int_equal(image_hold(db, id, "instance2", &err), -ENOENT);
}

static void test_remove(void **state)
{
	cleanup(strv_free) char **report = NULL;
	char id[DIGEST_LEN + 1];
	struct err err = { 0 };

	import_image("a:1", "one", id);
	assert_int_equal(image_tag(db, "a:1", "b:1", &err), 0);
	assert_int_equal(image_remove(db, id, false, &report, &err), -EBUSY);
	assert_non_null(strstr(err.text, "several names (a:1, b:1)"));
	assert_int_equal(image_remove(db, "a:1", false, &report, &err), 0);
	assert_int_equal(strv_len(report), 1);
	assert_int_equal(count("layers"), 1);
	assert_int_equal(image_remove(db, "b:1", false, &report, &err), 0);
	assert_int_equal(strv_len(report), 3);
	assert_string_equal(report[1], "Untagged: b:1");
	assert_int_equal(strncmp(report[2], "Deleted: sha256:", 16), 0);
	assert_int_equal(count("layers"), 0);
	assert_int_equal(count("blobs/sha256"), 0);
	assert_int_equal(image_remove(db, "b:1", true, &report, &err), -ENOENT);
}

/* Content that is being added, by whomever, is not collected; what was left by the dead is. */
static void test_collect(void **state)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	cleanup(blob_abort) struct blob_writer w = BLOB_WRITER_NONE;
	char id[DIGEST_LEN + 1], digest[DIGEST_LEN + 1];
	struct err err = { 0 };

	import_image("a:1", "one", id);
	assert_int_equal(store_begin(&session, &err), 0);
	assert_int_equal(blob_create(&session, &w, &err), 0);
	assert_int_equal(blob_write(&w, "x", 1, &err), 0);
	assert_int_equal(blob_finish(&w, digest, &err), 0);
	assert_false(store_has_blob(digest));
	assert_int_equal(blob_keep(&w, digest, &err), 0);
	assert_true(store_has_blob(digest));
	assert_int_equal(store_collect(db, false, NULL, &err), 1);
	assert_true(store_has_blob(digest));
	/* As kill -9 leaves it: the lock gone, the directory there. */
	session.lock = fd_close(session.lock);
	assert_int_equal(count("tmp"), 1);
	assert_int_equal(store_collect(db, false, NULL, &err), 0);
	assert_false(store_has_blob(digest));
	assert_int_equal(count("tmp"), 0);
	assert_int_equal(count("blobs/sha256"), 1);
	image_free(find("a:1"));
}

static void test_damaged(void **state)
{
	cleanup(strv_free) char **report = NULL;
	cleanup(fd_close) int out = memory_file();
	char id[DIGEST_LEN + 1], again[DIGEST_LEN + 1];
	struct err err = { 0 };
	char *names[] = { (char *)"a:1", NULL };

	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	import_image("a:1", "one", id);
	cleanup(image_free) struct image *image = find("a:1");
	assert_int_equal(dir_remove(AT_FDCWD, image->layer_dirs[0]), 0);
	not_found("a:1", EUCLEAN, "the store is damaged: image 'a:1' lacks its layer sha256:");
	/* The same image again mends it. */
	import_image("a:1", "one", again);
	assert_string_equal(again, id);
	image_free(find("a:1"));
	cleanup(free) char *command =
		xasprintf("for f in %s/blobs/sha256/*; do echo x > $f; done", top);
	assert_int_equal(system(command), 0);
	assert_int_equal(image_save(db, names, out, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "the store is damaged: blob sha256:"));
	assert_int_equal(db_exec(db, "UPDATE image SET config = '{'", &err), 0);
	not_found("a:1", EUCLEAN, "the store is damaged: the configuration");
	cleanup(image_list_free) struct image_list list = { 0 };
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
	assert_int_equal(image_list(db, &list, &err), 0);
	assert_int_equal(list.n, 0);
	assert_int_equal(image_remove(db, "a:1", false, &report, &err), 0);
	assert_int_equal(count("blobs/sha256"), 0);
}

static void load_ok(int fd, const char *line)
{
	cleanup(strv_free) char **report = NULL;
	struct err err = { 0 };

	rewind_file(fd);
	if (image_load(db, fd, &report, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.text);
	if (!strv_contains(report, line)) {
		cleanup(free) char *all = strv_join(report, " | ");
		fail_msg("'%s' lacks '%s'", all, line);
	}
}

static void load_fails(int fd, const char *text)
{
	cleanup(strv_free) char **report = NULL;
	cleanup(image_list_free) struct image_list before = { 0 }, after = { 0 };
	int layers = count("layers"), blobs = count("blobs/sha256");
	struct err err = { 0 };

	rewind_file(fd);
	assert_int_equal(image_list(db, &before, &err), 0);
	assert_true(image_load(db, fd, &report, NULL, NULL, &err) < 0);
	if (!strstr(err.text, text))
		fail_msg("'%s' does not say '%s'", err.text, text);
	assert_null(report);
	assert_int_equal(image_list(db, &after, &err), 0);
	assert_int_equal(after.n, before.n);
	assert_int_equal(count("layers"), layers);
	assert_int_equal(count("blobs/sha256"), blobs);
	assert_int_equal(count("tmp"), 0);
}

static void test_save_and_load(void **state)
{
	cleanup(strv_free) char **report = NULL;
	cleanup(fd_close) int fd = memory_file(), again = memory_file();
	char one[DIGEST_LEN + 1], two[DIGEST_LEN + 1];
	struct err err = { 0 };
	char *names[] = { (char *)"a:1", (char *)"b:2", (char *)"a:also", NULL };

	import_image("a:1", "one", one);
	import_image("b:2", "two", two);
	assert_int_equal(image_tag(db, "a:1", "a:also", &err), 0);
	assert_int_equal(image_save(db, names, fd, &err), 0);
	assert_int_equal(image_save(db, names, again, &err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), lseek(again, 0, SEEK_CUR));
	for (size_t i = 0; names[i]; i++)
		assert_int_equal(image_remove(db, names[i], false, &report, &err), 0);
	assert_int_equal(count("layers"), 0);
	load_ok(fd, "Loaded image: a:also");
	cleanup(image_free) struct image *image = find("a:1");
	assert_string_equal(image->id, one);
	assert_int_equal(strv_len(image->names), 2);
	cleanup(image_free) struct image *other = find("b:2");
	assert_string_equal(other->id, two);
	/* What is there already is taken as it is. */
	load_ok(fd, "Loaded image: b:2");
	assert_int_equal(count("layers"), 2);
	assert_int_equal(count("blobs/sha256"), 2);
}

/* An archive of docker save's or an OCI layout, part by part. */
struct parts {
	struct tar_writer *writer;
	int fd;
};

static struct parts parts_begin(void)
{
	struct parts p = { .fd = memory_file() };

	assert_int_equal(tar_writer_open(p.fd, LAYER_PLAIN, &p.writer, NULL), 0);
	return p;
}

static void add_text(struct parts *p, const char *name, const char *text)
{
	assert_int_equal(tar_write_file(p->writer, name, text, strlen(text), 0, NULL), 0);
}

static void add_file(struct parts *p, const char *name, int fd)
{
	cleanup(buf_free) struct buf b = { 0 };

	rewind_file(fd);
	assert_int_equal(fd_read_to_end(fd, 1 << 20, &b), 0);
	assert_int_equal(tar_write_file(p->writer, name, b.data, b.len, 0, NULL), 0);
}

static void add_link(struct parts *p, const char *name, const char *target)
{
	const struct tar_entry e = {
		.type = TAR_SYMLINK, .name = (char *)name, .link = (char *)target, .mode = 0777
	};

	assert_int_equal(tar_write_entry(p->writer, &e, NULL), 0);
}

static int parts_end(struct parts *p)
{
	assert_int_equal(tar_writer_finish(p->writer, NULL, NULL), 0);
	tar_writer_close(p->writer);
	return p->fd;
}

static char *config_of(const char *diff_id, const char *more)
{
	return xasprintf(
		"{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"x\"]},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"%s%s%s]}}",
		diff_id, more ? ",\"" : "", more ? more : "", more ? "\"" : "");
}

static void test_load_docker(void **state)
{
	struct layer_result layer;
	cleanup(fd_close) int tar = tar_of("etc/x", "hello", LAYER_PLAIN, &layer);
	cleanup(free) char *config = config_of(layer.diff_id, layer.diff_id);
	struct parts p = parts_begin();

	/* The old form: a directory a layer, a repeated one as a link. */
	add_text(&p, "c.json", config);
	add_file(&p, "aaa/layer.tar", tar);
	add_link(&p, "bbb/layer.tar", "../aaa/layer.tar");
	add_text(&p, "manifest.json",
		"[{\"Config\":\"c.json\",\"RepoTags\":[\"old:1\",\"old:2\"],"
		"\"Layers\":[\"aaa/layer.tar\",\"bbb/layer.tar\"]}]");
	cleanup(fd_close) int fd = parts_end(&p);
	load_ok(fd, "Loaded image: old:2");
	cleanup(image_free) struct image *image = find("old:1");
	assert_int_equal(strv_len(image->layer_dirs), 2);
	assert_string_equal(image->config.config.cmd[0], "x");
	assert_int_equal(image->size, 10);
	assert_int_equal(count("layers"), 1);
}

static void test_load_docker_damaged(void **state)
{
	struct layer_result layer;
	cleanup(fd_close) int tar = tar_of("x", "hello", LAYER_PLAIN, &layer);
	cleanup(fd_close) int wrong = tar_of("x", "HELLO", LAYER_PLAIN, NULL);
	cleanup(free) char *config = config_of(layer.diff_id, NULL);
	cleanup(free) char *expected =
		xasprintf("layer 'l.tar': expected %s, got sha256:", layer.diff_id);
	static const char good[] =
		"[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"l.tar\"]}]";
	const struct {
		const char *manifest, *text;
		bool wrong;
	} cases[] = {
		{ good, expected, true },
		{ "[{\"Config\":\"no.json\",\"Layers\":[\"l.tar\"]}]",
			"lacks the configuration 'no.json'", false },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"../../etc/passwd\"]}]", "lacks layer 1",
			false },
		{ "[{\"Config\":\"c.json\",\"Layers\":[]}]", "names 1 layers, its manifest 0",
			false },
		{ "[{\"Config\":\"c.json\",\"RepoTags\":[\"A B\"],\"Layers\":[\"l.tar\"]}]",
			"a name in the archive", false },
		{ "[{\"Config\":7}]", "Config: expected a string", false },
		{ "[]", "no image", false },
		{ "{}", "expected an array", false },
		{ "[", "not JSON", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parts p = parts_begin();
		add_text(&p, "c.json", config);
		add_file(&p, "l.tar", cases[i].wrong ? wrong : tar);
		add_text(&p, "manifest.json", cases[i].manifest);
		cleanup(fd_close) int fd = parts_end(&p);
		load_fails(fd, cases[i].text);
	}
	load_fails(tar, "neither index.json nor manifest.json");
}

static void add_blob(struct parts *p, const char *digest, int fd)
{
	cleanup(free) char *name = xasprintf("blobs/sha256/%s", digest_hex(digest));

	add_file(p, name, fd);
}

static void add_text_blob(struct parts *p, const char *text, char digest[DIGEST_LEN + 1])
{
	cleanup(free) char *name = NULL;

	hash_of(text, strlen(text), digest);
	name = xasprintf("blobs/sha256/%s", digest_hex(digest));
	add_text(p, name, text);
}

/* An OCI layout of one image whose layer's bytes are `content`. */
static int oci_archive(
	const struct layer_result *layer, int content, char manifest_digest[DIGEST_LEN + 1])
{
	cleanup(free) char *config = config_of(layer->diff_id, NULL), *manifest = NULL,
			   *index = NULL;
	char id[DIGEST_LEN + 1];
	struct parts p = parts_begin();

	add_text_blob(&p, config, id);
	add_blob(&p, layer->digest, content);
	manifest = xasprintf(
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"c\",\"digest\":\"%s\",\"size\":%zu},"
		"\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%lld}]}",
		id, strlen(config), layer_media_type(layer->compression), layer->digest,
		(long long)layer->compressed_size);
	add_text_blob(&p, manifest, manifest_digest);
	index = xasprintf(
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
		"\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
		"\"annotations\":{\"org.opencontainers.image.ref.name\":\"quay.io/x/y:3\"}}]}",
		manifest_digest, strlen(manifest));
	add_text(&p, "index.json", index);
	add_text(&p, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	return parts_end(&p);
}

static void test_load_oci(void **state)
{
	static const enum layer_compression kinds[] = { LAYER_GZIP, LAYER_ZSTD, LAYER_PLAIN };
	cleanup(strv_free) char **report = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct layer_result layer;
		char manifest[DIGEST_LEN + 1];
		cleanup(fd_close) int tar = tar_of("x", "hello", kinds[i], &layer);
		cleanup(fd_close) int fd = oci_archive(&layer, tar, manifest);
		load_ok(fd, "Loaded image: quay.io/x/y:3");
		cleanup(image_free) struct image *image = find("quay.io/x/y:3");
		/* Compressed layers are kept as they came, and so is the manifest. */
		assert_int_equal(strcmp(image->manifest, manifest) == 0, kinds[i] != LAYER_PLAIN);
		assert_int_equal(store_has_blob(layer.digest), kinds[i] != LAYER_PLAIN);
		assert_int_equal(image_remove(db, "quay.io/x/y:3", false, &report, NULL), 0);
	}
}

static void test_load_oci_damaged(void **state)
{
	struct layer_result layer, other;
	char manifest[DIGEST_LEN + 1];
	cleanup(fd_close) int tar = tar_of("x", "hello", LAYER_GZIP, &layer);
	cleanup(fd_close) int wrong = tar_of("x", "HELLO", LAYER_GZIP, &other);
	cleanup(fd_close) int fd = oci_archive(&layer, wrong, manifest);
	cleanup(free) char *text = xasprintf("expected %s, got %s", layer.digest, other.digest);

	load_fails(fd, text);
	struct layer_result lie = layer;
	memcpy(lie.diff_id, other.diff_id, sizeof(lie.diff_id));
	cleanup(fd_close) int lying = oci_archive(&lie, tar, manifest);
	cleanup(free) char *lie_text =
		xasprintf("expected %s, got %s", other.diff_id, layer.diff_id);
	load_fails(lying, lie_text);
}

static int change(struct image_config *config, const char *instruction, struct err *err)
{
	return image_change(config, instruction, err);
}

static void test_changes(void **state)
{
	static const char *const good[] = { "CMD [\"a\", \"b c\"]", "entrypoint run it now",
		"ENV A=1 B=\"two words\" C='x y' D=a\\ b", "ENV OLD the old form",
		"EXPOSE 80 53/UDP 8000-8002", "LABEL k=v \"quoted key\"=\"v\"", "USER 1000:1000",
		"WORKDIR /srv", "WORKDIR app", "VOLUME [\"/data\"]", "VOLUME /data /more",
		"STOPSIGNAL SIGQUIT", "ONBUILD RUN make",
		"HEALTHCHECK --interval=5s --retries=3 CMD curl -f http://localhost/" };
	static const char *const bad[] = { "", "FOO x", "CMD", "ENV =x", "ENV A", "ENV A=\"x",
		"EXPOSE 0", "EXPOSE 80/xyz", "EXPOSE 9-8", "EXPOSE 70000", "SHELL sh",
		"STOPSIGNAL a b", "HEALTHCHECK x", "HEALTHCHECK --interval=x CMD y",
		"HEALTHCHECK --foo=1 CMD y", "HEALTHCHECK CMD", "FROM x" };
	cleanup(image_config_clear) struct image_config c = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (change(&c, good[i], &err) < 0)
			fail_msg("%s", err.text);
	assert_string_equal(c.config.cmd[1], "b c");
	assert_string_equal(c.config.entrypoint[2], "run it now");
	assert_string_equal(strv_env_get(c.config.env, "B"), "two words");
	assert_string_equal(strv_env_get(c.config.env, "C"), "x y");
	assert_string_equal(strv_env_get(c.config.env, "D"), "a b");
	assert_string_equal(strv_env_get(c.config.env, "OLD"), "the old form");
	assert_int_equal(strv_len(c.config.exposed), 5);
	assert_true(strv_contains(c.config.exposed, "53/udp"));
	assert_string_equal(map_get(c.config.labels, "quoted key"), "v");
	assert_string_equal(c.config.working_dir, "/srv/app");
	assert_int_equal(strv_len(c.config.volumes), 2);
	assert_int_equal(c.config.health->interval, 5000000000);
	assert_string_equal(c.config.health->test[0], "CMD-SHELL");
	assert_int_equal(change(&c, "HEALTHCHECK NONE", &err), 0);
	assert_string_equal(c.config.health->test[0], "NONE");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (change(&c, bad[i], &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

static void write_at_top(const char *name, const char *text)
{
	cleanup(free) char *path = xasprintf("%s/%s", top, name);

	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0644, 0), 0);
}

static void sources(const char *suite_name, const char *expected)
{
	cleanup(strv_free) char **lines = NULL;
	cleanup(free) char *all = NULL;
	struct suite suite;
	struct err err = { 0 };

	assert_int_equal(suite_of_name(suite_name, &suite, &err), 0);
	assert_int_equal(suite_sources_from(top, &suite, "amd64", &lines, &err), 0);
	all = strv_join(lines, "\n");
	assert_string_equal(all, expected);
}

static void test_sources(void **state)
{
	cleanup(free) char *dir = xasprintf("%s/sources.list.d", top);

	sources("bookworm", "deb http://deb.debian.org/debian bookworm main\n"
			    "deb http://deb.debian.org/debian bookworm-updates main\n"
			    "deb http://deb.debian.org/debian-security bookworm-security main");
	sources("sid", "deb http://deb.debian.org/debian sid main");
	assert_int_equal(mkdir(dir, 0755), 0);
	write_at_top("sources.list",
		"# a comment\n"
		"deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian/ bookworm main contrib # more\n"
		"deb-src http://m.example/debian bookworm main\n"
		"deb http://other.example/linux/debian bookworm stable\n");
	write_at_top("sources.list.d/s.sources",
		"Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\n"
		"Components: main\nSigned-By:\n /k2.gpg\n\n"
		"Types: deb\nEnabled: no\nURIs: http://no.example/debian\nSuites: bookworm\nComponents: main\n");
	sources("bookworm",
		"deb [signed-by=/k.gpg] http://m.example/debian bookworm main\n"
		"deb [signed-by=/k2.gpg] http://m.example/debian-security bookworm-security main");
	/* Another suite of the same distribution: from the same mirror. */
	sources("trixie", "deb http://m.example/debian trixie main\n"
			  "deb http://m.example/debian trixie-updates main\n"
			  "deb http://m.example/debian-security trixie-security main");
	sources("noble", "deb http://archive.ubuntu.com/ubuntu noble main universe\n"
			 "deb http://archive.ubuntu.com/ubuntu noble-updates main universe\n"
			 "deb http://security.ubuntu.com/ubuntu noble-security main universe");
}

static void test_suites(void **state)
{
	static const struct {
		const char *image, *tag, *suite;
	} cases[] = {
		{ "library/debian", "12", "bookworm" },
		{ "debian", "12.5", "bookworm" },
		{ "debian", "bookworm-slim", "bookworm" },
		{ "debian", "latest", "stable" },
		{ "library/ubuntu", "24.04", "noble" },
		{ "debian", "120", NULL },
		{ "library/alpine", "3", NULL },
		{ "library/ubuntu", "latest", NULL },
	};
	struct suite suite;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = suite_of_tag(cases[i].image, cases[i].tag, &suite, &err);
		assert_int_equal(r, cases[i].suite ? 0 : -EINVAL);
		if (r == 0)
			assert_string_equal(suite.name, cases[i].suite);
		else
			assert_non_null(strstr(err.text, "--suite"));
	}
	assert_int_equal(suite_of_name("--evil", &suite, &err), -EINVAL);
	assert_int_equal(suite_of_name("a b", &suite, &err), -EINVAL);
}

/* A server's one answer: ten bytes, whose number it does not say. */
static pid_t answer_once(unsigned *ret_port)
{
	static const char text[] =
		"HTTP/1.0 200 OK\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n"
		"0123456789";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	assert_int_equal(bind(s, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	pid = fork();
	if (pid == 0) {
		char request[4096];
		int c = accept(s, NULL, NULL);
		_exit(read(c, request, sizeof(request)) <= 0 ||
			fd_write_all(c, text, sizeof(text) - 1) < 0);
	}
	assert_true(pid > 0);
	close(s);
	return pid;
}

static int fetch(int64_t max, struct stat *st)
{
	cleanup(fd_close) int fd = memfd_create("fetched", MFD_CLOEXEC);
	unsigned port;
	pid_t pid = answer_once(&port);
	cleanup(free) char *url = xasprintf("http://127.0.0.1:%u/file", port);
	int r = image_fetch_url(url, fd, max, NULL, NULL);

	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(fstat(fd, st), 0);
	return r;
}

static void test_fetch_has_a_limit(void **state)
{
	struct stat st;

	assert_int_equal(fetch(10, &st), 0);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mtime, 1000000000);
	assert_int_equal(fetch(9, &st), -EFBIG);
	assert_in_range(st.st_size, 0, 9);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_import_and_find),
		STORE_TEST(test_ambiguous_prefix),
		STORE_TEST(test_tag),
		STORE_TEST(test_tag_log),
		STORE_TEST(test_hold),
		STORE_TEST(test_remove),
		STORE_TEST(test_collect),
		STORE_TEST(test_damaged),
		STORE_TEST(test_save_and_load),
		STORE_TEST(test_load_docker),
		STORE_TEST(test_load_docker_damaged),
		STORE_TEST(test_load_oci),
		STORE_TEST(test_load_oci_damaged),
		cmocka_unit_test(test_changes),
		STORE_TEST(test_sources),
		cmocka_unit_test(test_suites),
		cmocka_unit_test(test_fetch_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
