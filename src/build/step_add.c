/* What ADD has beyond COPY: files at URLs, and archives. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "build/internal.h"
#include "image/layer.h"
#include "image/registry.h"

#define MAX_FETCHED ((int64_t)8 << 30)

static bool is_http(const char *s)
{
	return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

bool add_is_url(const char *s)
{
	return is_http(s) || strncmp(s, "git@", 4) == 0 || strncmp(s, "git://", 6) == 0 ||
	       strncmp(s, "ssh://", 6) == 0;
}

int add_url_name(const char *url, char **ret, struct err *err)
{
	cleanup(buf_free) struct buf path = { 0 };
	size_t len = strcspn(url, "?#");
	const char *name;

	if (!is_http(url) || strncmp(url + len - 4, ".git", 4) == 0)
		return err_set(err, ENOTSUP,
			"'%.200s': ADD of git repositories is not supported: fetch it first", url);
	url = strstr(url, "://") + 3;
	percent_decode(url, strcspn(url, "?#"), &path);
	name = path.len ? strrchr(path.data, '/') : NULL;
	name = name ? name + 1 : "";
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		strlen(name) > NAME_MAX || strlen(path.data) != path.len)
		return err_set(err, EINVAL, "'%.200s' does not end with a file's name", url);
	*ret = xstrdup(name);
	return 0;
}

int add_fetch(const char *url, const char *path, const char *checksum, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, "make '%s'", path);
	return image_fetch_url(url, fd, MAX_FETCHED, checksum, err);
}

/* Copies what was unpacked to `dir`. */
static int copy_unpacked(
	const char *dir, int root, const char *into, const struct file_copy *how, struct err *err)
{
	static const struct file_options plain;
	cleanup(files_clear) struct file_set set = { 0 };
	cleanup(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(err, "open '%s'", dir);
	set.root = fd;
	r = files_add(&set, ".", &plain, err);
	return r < 0 ? r : files_copy(&set, root, into, how, err);
}

/* 1, or 0 when it is no archive. */
static int unpack(
	const struct file_set *set, const struct file_entry *e, const char *dir, struct err *err)
{
	const struct layer_options options = context_unpacking();
	cleanup(fd_close) int fd = files_open(set, e, O_RDONLY);
	struct layer_result result = { 0 };
	uint8_t start[512];
	ssize_t n = fd < 0 ? fd : pread(fd, start, sizeof(start), 0);
	enum archive_kind kind;
	struct err why = { 0 };
	int r;

	if (n < 0)
		return err_code(err, fd < 0 ? fd : -errno, "read '%s'", e->to);
	kind = archive_kind(start, (size_t)n);
	if (kind == ARCHIVE_NONE)
		return 0;
	if (kind == ARCHIVE_OTHER)
		return err_set(err, ENOTSUP,
			"'%s' is compressed by xz or bzip2, which ADD cannot unpack here: use gzip or zstd",
			e->to);
	if (mkdir(dir, 0755) < 0)
		return err_errno(err, "make '%s'", dir);
	r = layer_unpack(fd, -1, dir, &options, &result, &why);
	/* What is compressed need not be a tar. */
	if (r < 0 && kind == ARCHIVE_COMPRESSED && rmdir(dir) == 0)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r < 0 ? err_wrap(err, "'%s'", e->to) : 1;
}

int add_unpack(struct build *b, struct file_set *set, size_t i, int root, const char *into,
	const struct file_copy *how, struct err *err)
{
	struct file_entry *e = &set->items[i];
	cleanup(free) char *name = build_name(b, "a"),
			   *dir = xasprintf("%s/%s", image_maker_path(b->maker), name);
	int r = unpack(set, e, dir, err);

	if (r <= 0)
		return r;
	r = copy_unpacked(dir, root, into, how, err);
	if (r < 0)
		return r;
	free(e->from);
	free(e->to);
	memmove(e, e + 1, (set->n - i - 1) * sizeof(*e));
	set->n--;
	return 1;
}
