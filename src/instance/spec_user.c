/*
 * Users and groups of an instance, from its own /etc/passwd and /etc/group (passwd(5), group(5)), as
 * Docker resolves them: names must exist, numbers need not. The files are read through the layers
 * from the top, without mounting anything; each is opened inside its layer's root.
 */
#include "instance/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "rootless/rootless.h"

#define FILE_LIMIT (4u << 20)

/* 1 found, 0 not here, -ENOENT: a whiteout says that it is nowhere below either. */
static int read_in_layer(const char *layer, const char *path, struct buf *out)
{
	cleanup(fd_close) int root = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int fd = root < 0 ? -1 : open_in_root(root, path, O_PATH, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
		return -ENOENT;
	if (!S_ISREG(st.st_mode))
		return 0;
	fd_close(fd);
	fd = open_in_root(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0 || fd_read_to_end(fd, FILE_LIMIT, out) < 0)
		return 0;
	return 1;
}

static void read_layered(
	const struct image *image, const char *upper, const char *path, struct buf *out)
{
	int r = upper ? read_in_layer(upper, path, out) : 0;

	for (size_t n = strv_len(image->layer_dirs); r == 0 && n-- > 0;)
		r = read_in_layer(image->layer_dirs[n], path, out);
	buf_addc(out, '\n'); /* the last line may lack one; also: never NULL */
}

/* Splits the next line of *text at colons, in place. Returns the count of fields, -1 at the end. */
static int next_line(char **text, char *fields[], int max)
{
	char *line;
	int n = 0;

	do {
		line = strsep(text, "\n");
		if (!line)
			return -1;
	} while (!*line);
	while (n < max && line)
		fields[n++] = strsep(&line, ":");
	return n;
}

struct user_entry {
	char *name; /* into the file's text */
	char *home;
	uint32_t uid, gid;
	bool found;
};

static bool is_number(const char *s, uint32_t *value)
{
	uint64_t v;

	if (parse_u64(s, UINT32_MAX - 1, &v) < 0)
		return false;
	*value = (uint32_t)v;
	return true;
}

static void find_user(char *text, const char *user, struct user_entry *ret)
{
	uint32_t number = 0, uid, gid;
	bool numeric = is_number(user, &number);
	char *f[7];
	int n;

	while ((n = next_line(&text, f, 7)) >= 0) {
		if (n < 4 || !is_number(f[2], &uid) || !is_number(f[3], &gid))
			continue;
		if (strcmp(f[0], user) != 0 && !(numeric && uid == number))
			continue;
		*ret = (struct user_entry){ f[0], n > 5 ? f[5] : NULL, uid, gid, true };
		return;
	}
}

static bool find_group(char *text, const char *group, uint32_t *ret)
{
	char *f[4];
	int n;

	while ((n = next_line(&text, f, 4)) >= 0)
		if (n >= 3 && strcmp(f[0], group) == 0 && is_number(f[2], ret))
			return true;
	return false;
}

static void add_gid(struct u32v *gids, uint32_t gid)
{
	for (size_t i = 0; i < gids->n; i++)
		if (gids->v[i] == gid)
			return;
	gids->v = xrealloc_array(gids->v, gids->n + 1, sizeof(*gids->v));
	gids->v[gids->n++] = gid;
}

static void add_memberships(char *text, const char *user, struct u32v *gids)
{
	char *f[4], *member;
	uint32_t gid;
	int n;

	while ((n = next_line(&text, f, 4)) >= 0) {
		if (n < 4 || !is_number(f[2], &gid) || gids->n >= 1024)
			continue;
		while ((member = strsep(&f[3], ",")))
			if (strcmp(member, user) == 0)
				add_gid(gids, gid);
	}
}

static int resolve_group(const char *groups, const char *name, uint32_t *ret, struct err *err)
{
	cleanup(free) char *text = xstrdup(groups);

	if (is_number(name, ret) || find_group(text, name, ret))
		return 0;
	return err_set(err, ENOENT,
		"unable to find group %s: no matching entry in the image's /etc/group", name);
}

static int add_groups(
	const char *groups, char *const *group_add, struct u32v *gids, struct err *err)
{
	strv_foreach (g, group_add) {
		uint32_t gid;
		int r = resolve_group(groups, *g, &gid, err);
		if (r < 0)
			return r;
		add_gid(gids, gid);
	}
	return 0;
}

static int check_ids(uint32_t uid, uint32_t gid, struct err *err)
{
	cleanup(free) char *command = NULL;
	uint32_t last = rootless() ? rootless_last_id() : UINT32_MAX;

	if (uid <= last && gid <= last)
		return 0;
	command = rootless_ids_command(rootless_user());
	return err_set(err, EINVAL,
		"user %u:%u: your containers have no ids above %u; for more: %s", uid, gid, last,
		command);
}

int spec_user(const struct image *image, const char *upper, const char *user,
	char *const *group_add, struct bundle_user *ret, char **ret_home, struct err *err)
{
	cleanup(buf_free) struct buf passwd = { 0 }, groups = { 0 };
	cleanup(strv_free) char **parts = strv_split(user && *user ? user : "0", ':');
	struct user_entry entry = { 0 };
	struct u32v gids = { 0 };
	uint32_t uid, gid;
	int r = 0;

	if (strv_len(parts) > 2 || !*parts[0])
		return err_set(err, EINVAL, "user '%s': expected USER or USER:GROUP", user);
	read_layered(image, upper, "etc/passwd", &passwd);
	read_layered(image, upper, "etc/group", &groups);
	find_user(passwd.data, parts[0], &entry);
	if (entry.found)
		uid = entry.uid;
	else if (!is_number(parts[0], &uid))
		return err_set(err, ENOENT,
			"unable to find user %s: no matching entry in the image's /etc/passwd",
			parts[0]);
	gid = entry.found ? entry.gid : 0;
	if (parts[1])
		r = resolve_group(groups.data, parts[1], &gid, err);
	if (r == 0) {
		/* Else a set-group-id program could shed it, and with it what the group is denied by a
		 * file's mode (CVE-2022-2995). */
		add_gid(&gids, gid);
		r = add_groups(groups.data, group_add, &gids, err);
	}
	if (r < 0) {
		free(gids.v);
		return r;
	}
	/* Docker: supplementary groups of a user only when no group was named. */
	if (entry.found && !parts[1])
		add_memberships(groups.data, entry.name, &gids);
	/* Where there is one id no groups can be set (user_namespaces(7), "deny"). */
	if (rootless_single_id())
		gids.n = 0;
	r = check_ids(uid, gid, err);
	if (r < 0) {
		free(gids.v);
		return r;
	}
	ret->uid = uid;
	ret->gid = gid;
	ret->additional_gids = gids;
	if (ret_home)
		*ret_home = entry.home && *entry.home ? xstrdup(entry.home) : NULL;
	return 0;
}
