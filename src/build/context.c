/* Where files come from: directories, a tar on standard input, other stages and images. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "build/internal.h"
#include "image/layer.h"
#include "instance/root.h"
#include "rootless/rootless.h"

#define MAX_DOCKERFILE (4u << 20)
#define IMAGE_CONTEXT "docker-image://"

struct layer_options context_unpacking(void)
{
	return (struct layer_options){ .plain = true,
		.unprivileged = geteuid() != 0 || rootless(),
		.one_owner = geteuid() != 0 || rootless_single_id() };
}

/* Standard input is a tar, or, as `build - < Dockerfile`, the Dockerfile of an empty context. */
static int unpack_stdin(struct build *b, const char *dir, struct err *err)
{
	const struct layer_options options = context_unpacking();
	cleanup(free) char *spool = xasprintf("%s/stdin", image_maker_path(b->maker));
	cleanup(fd_close) int fd = open(spool, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cleanup(free) char *file = xasprintf("%s/Dockerfile", dir);
	struct layer_result result;
	uint8_t start[512] = { 0 };
	int64_t n;

	if (fd < 0)
		return err_errno(err, "make '%s'", spool);
	n = fd_copy(STDIN_FILENO, fd, INT64_MAX);
	if (n < 0)
		return err_code(err, (int)n, "read the context from standard input");
	if (pread(fd, start, sizeof(start), 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, "read the context");
	if (archive_kind(start, sizeof(start)) == ARCHIVE_NONE)
		return rename(spool, file) < 0 ? err_errno(err, "make '%s'", file) : 0;
	return layer_unpack(fd, -1, dir, &options, &result, err);
}

static int open_context(struct build *b, const char *where, int *ret, struct err *err)
{
	cleanup(free) char *dir = NULL;
	int fd;

	if (strcmp(where, "-") == 0) {
		int r;
		dir = xasprintf("%s/context", image_maker_path(b->maker));
		if (mkdir(dir, 0755) < 0)
			return err_errno(err, "make '%s'", dir);
		r = unpack_stdin(b, dir, err);
		if (r < 0)
			return err_wrap(err, "the context from standard input");
		where = dir;
	}
	if (strstr(where, "://") || strncmp(where, "git@", 4) == 0)
		return err_set(err, ENOTSUP,
			"context '%s': only directories and a tar on standard input (-) are supported: fetch it first",
			where);
	fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "context '%s'", where);
	*ret = fd;
	return 0;
}

/* Dockerfile.dockerignore beside the Dockerfile, else .dockerignore in the context. */
static int read_ignore(const struct build *b, struct context *c, struct err *err)
{
	const char *file = b->config->dockerfile;
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(fd_close) int fd = -1;
	int r = 0;

	if (!*c->name && file && strcmp(file, "-") != 0) {
		cleanup(free) char *own = xasprintf("%s.dockerignore", file);
		fd = open(own, O_RDONLY | O_CLOEXEC);
	} else if (!*c->name) {
		fd = open_in_root(c->fd, "Dockerfile.dockerignore", O_RDONLY, 0);
	}
	if (fd < 0)
		fd = open_in_root(c->fd, ".dockerignore", O_RDONLY, 0);
	if (fd >= 0)
		r = fd_read_to_end(fd, MAX_DOCKERFILE, &text);
	if (r < 0)
		return err_code(err, r, "read .dockerignore");
	if (text.data)
		ignore_parse(text.data, &c->ignore);
	return 0;
}

static struct context *find(struct build *b, const char *name)
{
	for (size_t i = 0; i < b->n_contexts; i++)
		if (strcmp(b->contexts[i].name, name) == 0)
			return &b->contexts[i];
	return NULL;
}

/* All are listed before threads start, so that what is found stays where it is. */
static void list(struct build *b)
{
	const struct build_config *c = b->config;

	b->contexts = xcalloc(strv_len(c->contexts) / 2 + 1, sizeof(*b->contexts));
	b->contexts[b->n_contexts++] = (struct context){ .name = xstrdup(""), .fd = -1 };
	map_foreach (kv, c->contexts)
		b->contexts[b->n_contexts++] = (struct context){ .name = xstrdup(kv[0]), .fd = -1 };
}

int context_open(struct build *b, const char *name, struct context **ret, struct err *err)
{
	struct context *c;
	int r = 0;

	pthread_mutex_lock(&b->mutex);
	if (!b->contexts)
		list(b);
	c = find(b, name);
	if (!c)
		r = err_set(err, ENOENT, "no context '%s'", name);
	if (r == 0 && c->fd < 0) {
		const char *where = *name ? map_get(b->config->contexts, name) : b->config->context;
		r = open_context(b, where ? where : ".", &c->fd, err);
		if (r == 0)
			r = read_ignore(b, c, err);
	}
	pthread_mutex_unlock(&b->mutex);
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}

void contexts_clear(struct build *b)
{
	for (size_t i = 0; i < b->n_contexts; i++) {
		free(b->contexts[i].name);
		fd_close(b->contexts[i].fd);
		ignore_clear(&b->contexts[i].ignore);
	}
	free(b->contexts);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_dockerfile(struct build *b, char **ret_name, struct err *err)
{
	static const char *const names[] = { "Dockerfile", "Containerfile" };
	const char *given = b->config->dockerfile;
	struct context *c;
	int fd = -1, r;

	if (given && strcmp(given, "-") == 0) {
		*ret_name = xstrdup("-");
		return dup(STDIN_FILENO);
	}
	if (given) {
		fd = open(given, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			*ret_name = xstrdup(base_name(given));
		if (fd >= 0 || errno != ENOENT)
			return fd < 0 ? err_errno(err, "open '%s'", given) : fd;
	}
	r = context_open(b, "", &c, err);
	if (r < 0)
		return r;
	for (size_t i = 0; fd < 0 && i < ARRAY_SIZE(names); i++) {
		fd = open_in_root(c->fd, given ? given : names[i], O_RDONLY, 0);
		if (fd >= 0)
			*ret_name = xstrdup(base_name(given ? given : names[i]));
	}
	if (fd == -ENOENT)
		return err_set(err, ENOENT, "there is no %s in '%s': name it by -f",
			given ? given : "Dockerfile", b->config->context);
	return fd < 0 ? err_code(err, fd, "open the Dockerfile") : fd;
}

int context_dockerfile(struct build *b, struct buf *text, char **ret_name, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	int r;

	if (b->config->text) {
		buf_adds(text, b->config->text);
		*ret_name = xstrdup("Dockerfile");
		return 0;
	}
	if (b->config->dockerfile && strcmp(b->config->dockerfile, "-") == 0 &&
		strcmp(b->config->context, "-") == 0)
		return err_set(err, EINVAL,
			"the Dockerfile and the context cannot both come from standard input");
	fd = open_dockerfile(b, ret_name, err);
	if (fd < 0)
		return fd;
	buf_adds(text, "");
	r = fd_read_to_end(fd, MAX_DOCKERFILE, text);
	return r < 0 ? err_code(err, r, "read %s", *ret_name) : 0;
}

void origin_clear(struct origin *o)
{
	if (o->owned)
		fd_close(o->root);
	*o = ORIGIN_NONE;
}

static int image_origin(struct stage *stage, const char *name, struct origin *ret, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	struct build *b = stage->build;
	int r, fd;

	pthread_mutex_lock(&b->mutex);
	r = image_find(b->db, name, &image, err);
	if (r == -ENOENT && b->config->fetch) {
		r = b->config->fetch(b->config->fetch_data, b->db, name, err);
		if (r == 0)
			r = image_find(b->db, name, &image, err);
	}
	pthread_mutex_unlock(&b->mutex);
	if (r < 0)
		return r;
	fd = root_mount(image->layer_dirs, NULL, NULL, err);
	if (fd < 0)
		return fd;
	*ret = (struct origin){ .root = fd, .owned = true, .keep_owner = true };
	memcpy(ret->key, image->id, sizeof(ret->key));
	return 0;
}

int origin_open(struct stage *stage, const char *from, struct origin *ret, struct err *err)
{
	struct build *b = stage->build;
	ssize_t i = from ? stage_find(b, from, stage->index) : -1;
	const char *where = from ? map_get(b->config->contexts, from) : "";
	struct context *c;
	int r;

	if (from && !where && i >= 0) {
		int fd;
		if (!b->stages[i].done)
			return err_set(
				err, EINVAL, "stage '%s' is not built before this one", from);
		fd = stage_root(&b->stages[i], err);
		if (fd < 0)
			return fd;
		*ret = (struct origin){ .root = fd, .owned = true, .keep_owner = true };
		memcpy(ret->key, b->stages[i].key, sizeof(ret->key));
		return 0;
	}
	if (!where)
		return image_origin(stage, from, ret, err);
	if (strncmp(where, IMAGE_CONTEXT, strlen(IMAGE_CONTEXT)) == 0)
		return image_origin(stage, where + strlen(IMAGE_CONTEXT), ret, err);
	r = context_open(b, from ? from : "", &c, err);
	if (r < 0)
		return r;
	*ret = (struct origin){ .root = c->fd, .ignore = &c->ignore };
	return 0;
}
