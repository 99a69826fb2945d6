/*
 * The ids of an ordinary user's space: 0 is the user, 1 and up what /etc/subuid and /etc/subgid give
 * (subuid(5)), written by the set-user-ID programs newuidmap and newgidmap.
 */
#include "rootless/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"

#define FILE_MAX_BYTES (4u << 20)
#define MAX_RANGES 100 /* the kernel takes 340 lines */
#define MAX_ERROR 400

struct range {
	uint32_t start, count;
};

static char *user_name(uid_t uid)
{
	struct passwd *p = getpwuid(uid);

	return p && p->pw_name ? xstrdup(p->pw_name) : NULL;
}

/* NAME:START:COUNT, or the user's number for the name. */
static bool parse_line(char *line, const char *name, const char *number, struct range *ret)
{
	char *who = strsep(&line, ":"), *start = strsep(&line, ":"), *count = line;
	uint64_t s, n;

	if (!start || !count || ((!name || strcmp(who, name) != 0) && strcmp(who, number) != 0))
		return false;
	if (parse_u64(start, UINT32_MAX - 1, &s) < 0 || parse_u64(count, UINT32_MAX - 1, &n) < 0 ||
		!n || s + n > UINT32_MAX - 1)
		return false;
	*ret = (struct range){ (uint32_t)s, (uint32_t)n };
	return true;
}

static size_t read_ranges(const char *file, uid_t uid, struct range ret[MAX_RANGES])
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *name = user_name(uid);
	char number[16], *rest, *line;
	size_t n = 0;

	snprintf(number, sizeof(number), "%u", uid);
	if (file_read(AT_FDCWD, file, FILE_MAX_BYTES, &text) < 0 || !text.data)
		return 0;
	rest = text.data;
	while (n < MAX_RANGES && (line = strsep(&rest, "\n")))
		n += parse_line(line, name, number, &ret[n]);
	return n;
}

static uint64_t count_ids(const char *file, uid_t uid)
{
	struct range ranges[MAX_RANGES];
	size_t n = read_ranges(file, uid, ranges);
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ranges[i].count;
	return sum;
}

uint64_t rootless_ids(uid_t uid)
{
	uint64_t uids = count_ids("/etc/subuid", uid), gids = count_ids("/etc/subgid", uid);

	return uids < gids ? uids : gids;
}

/* Beyond every range that the file gives anybody. */
static uint64_t free_start(const char *file)
{
	cleanup(buf_free) struct buf text = { 0 };
	uint64_t end = 100000, s, n;
	char *rest, *line;

	if (file_read(AT_FDCWD, file, FILE_MAX_BYTES, &text) < 0 || !text.data)
		return end;
	rest = text.data;
	while ((line = strsep(&rest, "\n"))) {
		strsep(&line, ":");
		const char *start = strsep(&line, ":");
		if (start && line && parse_u64(start, UINT32_MAX, &s) == 0 &&
			parse_u64(line, UINT32_MAX, &n) == 0 && s + n > end)
			end = s + n;
	}
	return end;
}

char *rootless_ids_command(uid_t uid)
{
	cleanup(free) char *name = user_name(uid);
	uint64_t u = free_start("/etc/subuid"), g = free_start("/etc/subgid");
	unsigned long long start = u > g ? u : g;

	return xasprintf("sudo usermod --add-subuids %llu-%llu --add-subgids %llu-%llu %s", start,
		start + 65535, start, start + 65535, name ? name : "USER");
}

/* ---- writing */

bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	cleanup(free) char *copy = xstrdup(path ? path : "/usr/bin:/bin");
	char *state = NULL;

	for (char *dir = strtok_r(copy, ":", &state); dir; dir = strtok_r(NULL, ":", &state)) {
		cleanup(free) char *file = xasprintf("%s/%s", dir, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static _Noreturn void become(const char *program, char *const *argv, int errors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(errors, 2) == 2)
		execvp(program, argv);
	if (errno == ENOENT)
		dprintf(errors, "not installed");
	else
		dprintf(errors, "%s", strerror(errno));
	_exit(127);
}

/* The program's own words for what went wrong. */
static int run(const char *program, char *const *argv, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	int ends[2], status = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid = fork();
	if (pid == 0)
		become(program, argv, ends[1]);
	fd_close(ends[1]);
	if (pid > 0)
		fd_read_to_end(ends[0], 4096, &text);
	fd_close(ends[0]);
	if (pid < 0)
		return err_errno(err, "make a process");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return 0;
	if (text.data)
		text.data[strcspn(text.data, "\n")] = '\0';
	return err_set(err, EPERM, "%s: %.*s", program, MAX_ERROR,
		text.data && *text.data ? text.data : "it failed without a word");
}

/* same: every id keeps its number; else the user is 0 and the others follow. */
static int map_with(
	const char *program, const char *file, pid_t pid, uint32_t own, bool same, struct err *err)
{
	struct range ranges[MAX_RANGES];
	size_t n = read_ranges(file, geteuid(), ranges);
	cleanup(strv_free) char **argv = NULL;
	uint64_t next = 1;

	if (!n)
		return err_set(err, ENOENT, "%s has no range for this user", file);
	strv_add(&argv, program);
	strv_addf(&argv, "%d", (int)pid);
	strv_addf(&argv, "%u", same ? own : 0);
	strv_addf(&argv, "%u", own);
	strv_add(&argv, "1");
	for (size_t i = 0; i < n && next + ranges[i].count < UINT32_MAX; i++) {
		strv_addf(&argv, "%llu", same ? ranges[i].start : (unsigned long long)next);
		strv_addf(&argv, "%u", ranges[i].start);
		strv_addf(&argv, "%u", ranges[i].count);
		next += ranges[i].count;
	}
	return run(program, argv, err);
}

static int map_all(pid_t pid, bool same, struct err *err)
{
	int r = map_with("newuidmap", "/etc/subuid", pid, geteuid(), same, err);

	return r < 0 ? r : map_with("newgidmap", "/etc/subgid", pid, getegid(), same, err);
}

int ids_map(pid_t pid, struct err *err)
{
	return map_all(pid, /* same= */ false, err);
}

static int put(pid_t pid, const char *file, const char *text, struct err *err)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = file_put(AT_FDCWD, path, text);
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

static int map_one(pid_t pid, bool same, struct err *err)
{
	char text[48];
	int r;

	snprintf(text, sizeof(text), "%u %u 1\n", same ? geteuid() : 0, geteuid());
	r = put(pid, "uid_map", text, err);
	/* user_namespaces(7): else a group's "not for members" could be got around. */
	if (r == 0)
		r = put(pid, "setgroups", "deny", err);
	snprintf(text, sizeof(text), "%u %u 1\n", same ? getegid() : 0, getegid());
	return r < 0 ? r : put(pid, "gid_map", text, err);
}

int ids_map_single(pid_t pid, struct err *err)
{
	return map_one(pid, /* same= */ false, err);
}

int ids_map_same(pid_t pid, struct err *err)
{
	/* A map is written once: what comes of trying cannot be taken back. */
	if (rootless_ids(geteuid()) && in_path("newuidmap") && in_path("newgidmap"))
		return map_all(pid, /* same= */ true, err);
	return map_one(pid, /* same= */ true, err);
}
