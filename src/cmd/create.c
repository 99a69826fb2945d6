/* `holm create`, which is also the first half of `holm run`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "cmd/run_options.h"
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

static int check_shareable(const struct instance *other, struct err *err)
{
	const char *mode = other->config.ipc_mode ?: "";

	if (strcmp(mode, "private") != 0 && strcmp(mode, "none") != 0)
		return 0;
	return err_set(err, EINVAL,
		"its IPC namespace is %s: make '%s' with --ipc shareable to share it", mode,
		other->config.name);
}

/* Containers whose namespaces are to be shared: there now, though they need to run only at the start, and
 * known by id from now on, whatever names come to be. */
static int resolve_others(struct db *db, struct instance_config *c, struct err *err)
{
	char **modes[] = { &c->network_mode, &c->pid_mode, &c->ipc_mode };

	for (size_t n = 0; n < ARRAY_SIZE(modes); n++) {
		cleanup(instance_free) struct instance *other = NULL;
		char **mode = modes[n];
		int r;
		if (!*mode || strncmp(*mode, "container:", 10) != 0)
			continue;
		r = instance_find(db, *mode + 10, &other, err);
		if (r == 0 && mode == &c->ipc_mode)
			r = check_shareable(other, err);
		if (r < 0)
			return err_wrap(err, "cannot join '%s'", *mode);
		free(*mode);
		*mode = xasprintf("container:%s", other->config.id);
	}
	return 0;
}

static int create(const struct run_options *o, struct instance_config *c, struct err *err)
{
	struct db *db = cmd_db(err);
	int r;

	if (!db)
		return err->code ? -err->code : -EIO;
	r = resolve_others(db, c, err);
	return r < 0 ? r : instance_create(db, c, err);
}

int run_create(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	int r = run_options_resolve(o, args, c, err);

	if (r == 0 && o->pull && strcmp(o->pull, "always") == 0)
		r = err_set(err, ENOTSUP,
			"--pull: 'always' needs a registry, and this version speaks to none: get the image "
			"by 'holm load', 'holm import' or 'holm image bootstrap'");
	if (r < 0)
		return r;
	if (o->cidfile) {
		fd = open_cidfile(o->cidfile, err);
		if (fd < 0)
			return fd;
	}
	r = create(o, c, err);
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
