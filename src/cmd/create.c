/* `holm create`, which is also the first half of `holm run`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "cmd/pull.h"
#include "cmd/run_options.h"
#include "image/image.h"
#include "image/platform.h"
#include "instance/instance.h"

/* Made before the instance, so that one that cannot be written stops everything. */
static int open_cidfile(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd >= 0)
		return fd;
	if (errno == EEXIST)
		return err_set(err, EEXIST,
			"--cidfile: '%s' is there already: remove it if its container is gone",
			path);
	return err_errno(err, "--cidfile: make '%s'", path);
}

/* The image is there, but for another platform than the one that was asked for. */
static bool is_for_another(const struct image *image, const char *platform)
{
	struct platform p;

	return platform && platform_parse(platform, &p, NULL) == 0 &&
	       (strcmp(p.os, image->config.os) != 0 ||
		       strcmp(p.architecture, image->config.architecture) != 0);
}

static bool is_id(const char *name)
{
	return strncmp(name, "sha256:", 7) == 0;
}

/* --pull: an image that is not here, or whether it is or not. */
static int get_image(struct db *db, const struct run_options *o, const char *name, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	bool always = o->pull && strcmp(o->pull, "always") == 0;
	bool never = o->pull && strcmp(o->pull, "never") == 0;
	struct err missing = { 0 }, why = { 0 };
	int r = always ? -ENOENT : image_find(db, name, &image, &missing);

	if (r == 0 && is_for_another(image, o->platform))
		r = err_set(&missing, ENOENT, "'%s' is here for %s/%s only", name, image->config.os,
			image->config.architecture);
	/* What is wrong otherwise, instance_create() says. */
	if (r != -ENOENT || (!always && (never || is_id(name))))
		return 0;
	if (!always && !o->quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "Unable to find image '%s' locally\n", name);
	r = pull_image(db, name, o->platform, o->quiet, &why);
	if (r == 0)
		return 0;
	return always ? err_set(err, -r, "%s", why.text)
		      : err_set(err, -r, "%s; %s", missing.text, why.text);
}

int run_create(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	struct db *db = cmd_db(err);
	int r = db ? run_options_resolve(db, o, args, c, err) : -EIO;

	if (r < 0)
		return r;
	if (o->cidfile) {
		fd = open_cidfile(o->cidfile, err);
		if (fd < 0)
			return fd;
	}
	r = run_resolve_others(db, c, err);
	if (r == 0)
		r = get_image(db, o, c->image, err);
	if (r == 0)
		r = instance_create(db, c, err);
	if (r == 0 && fd >= 0 && fd_write_all(fd, c->id, strlen(c->id)) < 0)
		r = err_errno(err, "--cidfile: write '%s'", o->cidfile);
	if (r < 0 && fd >= 0)
		unlink(o->cidfile);
	return r;
}

static int run(struct cmd_call *call)
{
	cleanup(instance_config_clear) struct instance_config c = { 0 };
	struct err err = { 0 };

	if (run_create(call->options, call->args, &c, &err) < 0)
		return cmd_fail(&err, 125);
	puts(c.id);
	return 0;
}

const struct cmd cmd_create = {
	.name = "create",
	.alias = "container create",
	.group = "Instances",
	.args = "IMAGE [COMMAND] [ARG...]",
	.summary = "Create a container without starting it",
	.description =
		"The options are those of `holm run`, but for what concerns the terminal. The id is "
		"printed; `holm start` starts the container.",
	.examples = "holm create --name web -p 8080:80 debian:12 sleep infinity\nholm start web",
	.options = run_option_rows + RUN_ONLY,
	.options_size = sizeof(struct run_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
