/* --output: what comes out of a build, other than an image with a name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "build/internal.h"
#include "instance/tree.h"

struct output {
	char *type, *dest, *name;
};

static void output_clear(struct output *o)
{
	free(o->type);
	free(o->dest);
	free(o->name);
}
DEFINE_CLEANUP_OBJECT(output_clear, struct output);

/* type=T,dest=PATH,name=N; a path alone is a directory, "-" a tar on standard output. */
static int parse(const char *text, struct output *ret, struct err *err)
{
	static const char *const types[] = { "local", "tar", "oci", "docker", "image",
		"cacheonly" };
	cleanup(strv_free) char **parts = strv_split(text, ',');
	const char *type = strv_env_get(parts, "type"), *dest = strv_env_get(parts, "dest");
	bool known = false;

	if (!strchr(text, '=')) {
		ret->type = xstrdup(strcmp(text, "-") == 0 ? "tar" : "local");
		ret->dest = xstrdup(text);
		return 0;
	}
	for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
		known |= strcmp(types[i], type) == 0;
	if (!known)
		return err_set(err, EINVAL,
			"--output '%s': expected type=local, tar, oci, docker, image or cacheonly",
			text);
	ret->type = xstrdup(type);
	ret->dest = xstrdup_null(dest ? dest : strv_env_get(parts, "destination"));
	ret->name = xstrdup_null(strv_env_get(parts, "name"));
	if (strcmp(type, "local") == 0 && !ret->dest)
		return err_set(err, EINVAL, "--output '%s': dest=DIRECTORY is missing", text);
	if (!ret->dest && strcmp(type, "image") != 0 && strcmp(type, "cacheonly") != 0 &&
		strcmp(type, "docker") != 0)
		ret->dest = xstrdup("-");
	return 0;
}

static bool is_file(const struct output *o)
{
	return strcmp(o->type, "tar") == 0 || strcmp(o->type, "oci") == 0 ||
	       (strcmp(o->type, "docker") == 0 && o->dest);
}

int export_check(const struct build *b, struct err *err)
{
	strv_foreach (text, b->config->outputs) {
		cleanup(output_clear) struct output o = { 0 };
		int r = parse(*text, &o, err);
		if (r < 0)
			return r;
		if (is_file(&o) && strcmp(o.dest, "-") == 0 && isatty(STDOUT_FILENO))
			return err_set(err, EINVAL,
				"--output: not writing an archive to a terminal: redirect it");
	}
	return 0;
}

bool export_wants_image(const struct build *b)
{
	bool wants = !b->config->outputs;

	strv_foreach (text, b->config->outputs) {
		cleanup(output_clear) struct output o = { 0 };
		if (parse(*text, &o, NULL) == 0)
			wants |= strcmp(o.type, "local") != 0 && strcmp(o.type, "tar") != 0 &&
				 strcmp(o.type, "cacheonly") != 0;
	}
	return wants;
}

static int to_directory(const struct stage *stage, const char *dest, struct err *err)
{
	const struct tree_copy how = { .keep_owner = geteuid() == 0, .replace = true };
	cleanup(fd_close) int root = stage_root(stage, err), to = -1;
	int r;

	if (root < 0)
		return root;
	r = dir_make(dest, 0755);
	if (r < 0)
		return err_code(err, r, "make '%s'", dest);
	to = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_errno(err, "open '%s'", dest);
	return tree_copy_contents(root, to, /* self= */ false, &how, err);
}

static int write_file(struct build *b, const struct stage *stage, const struct output *o,
	const char *id, int fd, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	cleanup(fd_close) int root = -1;

	if (strcmp(o->type, "tar") == 0) {
		root = stage_root(stage, err);
		return root < 0 ? root : image_export_tree(root, 0, fd, err);
	}
	strv_add(&names, b->config->tags ? b->config->tags[0] : o->name ? o->name : id);
	return image_save(b->db, names, fd, err);
}

static int to_file(struct build *b, const struct stage *stage, const struct output *o,
	const char *id, struct err *err)
{
	cleanup(free) char *part = NULL;
	cleanup(fd_close) int fd = -1;
	int r;

	if (strcmp(o->dest, "-") == 0)
		return write_file(b, stage, o, id, STDOUT_FILENO, err);
	part = xasprintf("%s.part", o->dest);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, "open '%s'", part);
	r = write_file(b, stage, o, id, fd, err);
	if (r == 0 && rename(part, o->dest) < 0)
		r = err_errno(err, "make '%s'", o->dest);
	if (r < 0)
		unlink(part);
	return r;
}

int export_all(struct build *b, const struct stage *stage, const char *id, struct err *err)
{
	int r = 0;

	strv_foreach (text, b->config->outputs) {
		cleanup(output_clear) struct output o = { 0 };
		if (r == 0)
			r = parse(*text, &o, err);
		if (r == 0 && strcmp(o.type, "local") == 0)
			r = to_directory(stage, o.dest, err);
		else if (r == 0 && is_file(&o))
			r = to_file(b, stage, &o, id, err);
		else if (r == 0 && strcmp(o.type, "image") == 0 && o.name)
			r = image_tag(b->db, id, o.name, err);
		if (r < 0)
			return err_wrap(err, "--output");
	}
	return 0;
}
