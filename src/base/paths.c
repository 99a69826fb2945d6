#include "base/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hash.h"

#define STANDARD_ROOT "/var/lib/holm"
#define STANDARD_RUN "/run/holm"
#define PATH_LONGEST 400 /* SQLite takes names of 512 bytes, its own endings included */

static char *root_dir, *run_dir;
static char suffix[10];

static char *user_dir(const char *variable, const char *below_home)
{
	const char *dir = getenv(variable);
	const char *home = getenv("HOME");

	if (dir && dir[0] == '/')
		return xasprintf("%s/holm", dir);
	return xasprintf("%s/%s/holm", home && home[0] == '/' ? home : "/tmp", below_home);
}

static bool is_own_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 022);
}

/* What ends with the session or the boot. The variable survives `su`, and then names another user's. */
static char *user_run_dir(void)
{
	cleanup(free) char *standard = xasprintf("/run/user/%u", geteuid());
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (dir && dir[0] == '/' && is_own_dir(dir))
		return xasprintf("%s/holm", dir);
	if (is_own_dir(standard))
		return xasprintf("%s/holm", standard);
	return xasprintf("/tmp/holm-run-%u", geteuid());
}

static const char *first(const char *a, const char *b)
{
	return a && *a ? a : b && *b ? b : NULL;
}

static int check_length(const char *path, struct err *err)
{
	if (strlen(path) <= PATH_LONGEST)
		return 0;
	return err_set(err, ENAMETOOLONG,
		"the path '%.40s...' is too long: it has %zu bytes, and no more than %d leave room for what is kept there",
		path, strlen(path), PATH_LONGEST);
}

static int make_real(const char *path, char **ret, struct err *err)
{
	char real[PATH_MAX];
	int r = check_length(path, err);

	if (r < 0)
		return r;
	r = dir_make(path, geteuid() == 0 ? 0711 : 0700);
	if (r < 0)
		return err_code(err, r, "make directory '%s'", path);
	if (!realpath(path, real))
		return err_errno(err, "resolve '%s'", path);
	r = check_length(real, err);
	if (r < 0)
		return r;
	free(*ret);
	*ret = xstrdup(real);
	return 0;
}

int paths_init(const char *root, const char *run, struct err *err)
{
	cleanup(free) char *root_path = NULL, *run_path = NULL;
	char digest[DIGEST_LEN + 1];
	int r;

	root = first(root, getenv("HOLM_ROOT"));
	run = first(run, getenv("HOLM_RUN"));
	if (run)
		run_path = xstrdup(run);
	else if (root)
		run_path = xasprintf("%s/run", root);
	else
		run_path = geteuid() == 0 ? xstrdup(STANDARD_RUN) : user_run_dir();
	if (root)
		root_path = xstrdup(root);
	else
		root_path = geteuid() == 0 ? xstrdup(STANDARD_ROOT)
					   : user_dir("XDG_DATA_HOME", ".local/share");
	r = make_real(root_path, &root_dir, err);
	if (r == 0)
		r = make_real(run_path, &run_dir, err);
	if (r < 0)
		return r;
	suffix[0] = '\0';
	if (strcmp(root_dir, STANDARD_ROOT) != 0) {
		hash_of(root_dir, strlen(root_dir), digest);
		snprintf(suffix, sizeof(suffix), "-%.8s", digest_hex(digest));
	}
	return 0;
}

const char *paths_root(void)
{
	return root_dir;
}

const char *paths_run(void)
{
	return run_dir;
}

const char *paths_suffix(void)
{
	return suffix;
}
