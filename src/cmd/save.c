/* `holm save`: images into one archive that docker, podman and skopeo read. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cmd/cmd.h"
#include "cmd/image_rows.h"

struct save_options {
	const char *output;
};

static const struct cmd_option options[] = {
	OPTION_WITH(struct save_options, output, OPT_STR, 'o', "output", "FILE",
		"write to this file instead of standard output", .complete = COMPLETE_FILE),
	OPTION_END
};

/* Where files without names cannot be: one that is left over when this is killed. */
static int save_by_rename(struct db *db, char *const *names, const char *path, struct err *err)
{
	cleanup(free) char *tmp = xasprintf("%s.tmp.%d", path, (int)getpid());
	cleanup(fd_close) int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_errno(err, "make '%s'", tmp);
	r = image_save(db, names, fd, err);
	if (r == 0 && rename(tmp, path) < 0)
		r = err_errno(err, "write '%s'", path);
	if (r < 0)
		unlink(tmp);
	return r;
}

/* Gives the file its name, in place of what has it. */
static int name_file(int fd, const char *path, struct err *err)
{
	cleanup(free) char *own = xasprintf("/proc/self/fd/%d", fd);
	cleanup(free) char *tmp = xasprintf("%s.tmp.%d", path, (int)getpid());

	if (linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST)
		return err_errno(err, "write '%s'", path);
	/* A link replaces nothing. */
	if (linkat(AT_FDCWD, own, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) < 0)
		return err_errno(err, "write '%s'", tmp);
	if (rename(tmp, path) < 0) {
		int r = err_errno(err, "write '%s'", path);
		unlink(tmp);
		return r;
	}
	return 0;
}

/* A file appears whole or not at all, and nothing is left of one that was interrupted. */
static int save_to_file(struct db *db, char *const *names, const char *path, struct err *err)
{
	cleanup(free) char *copy = xstrdup(path);
	const char *dir = dirname(copy);
	cleanup(fd_close) int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return save_by_rename(db, names, path, err);
	if (fd < 0)
		return err_errno(err, "make a file in '%s'", dir);
	r = image_save(db, names, fd, err);
	return r < 0 ? r : name_file(fd, path, err);
}

static int save_to_special(struct db *db, char *const *names, const char *path, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open '%s'", path) : image_save(db, names, fd, err);
}

static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int run(struct cmd_call *call)
{
	const struct save_options *o = call->options;
	struct err err = { 0 };
	struct db *db;
	int r;

	if (!o->output && isatty(STDOUT_FILENO))
		return cmd_usage(
			call, "standard output is a terminal: use -o FILE, or redirect it");
	db = cmd_db(&err);
	if (!db)
		return cmd_fail(&err, 1);
	if (!o->output)
		r = image_save(db, call->args, STDOUT_FILENO, &err);
	else if (is_special(o->output))
		r = save_to_special(db, call->args, o->output, &err);
	else
		r = save_to_file(db, call->args, o->output, &err);
	if (r < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < call->n_args; i++)
		image_event("save", call->args[i], call->args[i]);
	return 0;
}

const struct cmd cmd_save = {
	.name = "save",
	.alias = "image save",
	.group = "Images",
	.args = "IMAGE...",
	.summary = "Save images into an archive",
	.description =
		"The archive is one of docker load, podman load and holm load, and an OCI layout in a tar "
		"at the same time. An image given by its id is saved without a name.",
	.examples =
		"holm save -o debian.tar debian:12\nholm save debian:12 | zstd > debian.tar.zst",
	.options = options,
	.options_size = sizeof(struct save_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
