/*
 * Directories, locks and collection of the store: see store.h for the layout and for the order in
 * which things are written. A flock belongs to the open file, so a child that inherits the
 * descriptor keeps the session's temporary files safe for as long as it lives.
 */
#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"

#define COLLECT_WAIT_MS 5000
#define PARTIAL_KEEP (24 * 3600) /* s */
#define COLLECT_STEP_MS 20

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static int lock_as(int fd, int how)
{
	int r;

	do
		r = flock(fd, how);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Opens ROOT and makes what is missing below it. tmp may be entered by mmdebstrap's download user. */
static int open_root(int *ret, struct err *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = { { "tmp", 0711 }, { "blobs", 0700 }, { "blobs/sha256", 0700 },
		{ "layers", 0700 } };
	cleanup(fd_close) int root = open(paths_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_errno(err, "open the store '%s'", paths_root());
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(root, dirs[i].name, dirs[i].mode) < 0 && errno != EEXIST)
			return err_errno(err, "make '%s/%s'", paths_root(), dirs[i].name);
	*ret = take_fd(root);
	return 0;
}

static int open_lock(int root, int *ret, struct err *err)
{
	int fd = openat(root, "store.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_errno(err, "open '%s/store.lock'", paths_root());
	*ret = fd;
	return 0;
}

/* With the lock held exclusively nobody has temporary files: all that is there was left behind. */
static void sweep_tmp(int root)
{
	int fd = openat(root, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r;

	if (!d) {
		fd_close(fd);
		return;
	}
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = dir_remove(dirfd(d), e->d_name);
		if (r < 0)
			log_debug("image", "remove tmp/%s: %s", e->d_name, strerror(-r));
	}
}

/* Nobody pulls while the lock is held exclusively. */
static void sweep_partial(int root, bool all)
{
	int fd = openat(root, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	time_t before = time(NULL) - PARTIAL_KEEP;
	struct dirent *e;
	struct stat st;

	if (!d)
		fd_close(fd);
	while (d && (e = readdir(d)))
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
			(all || st.st_mtim.tv_sec < before))
			unlinkat(fd, e->d_name, 0);
}

static int make_tmp(struct store_session *s, struct err *err)
{
	cleanup(free) char *path = NULL;
	char id[ID_LEN + 1];

	id_random(id);
	snprintf(s->name, sizeof(s->name), "%.16s", id);
	path = xasprintf("tmp/%s", s->name);
	/* 0711: apt downloads as a user of its own into what mmdebstrap makes below. */
	if (mkdirat(s->root, path, 0711) < 0)
		return err_errno(err, "make '%s/%s'", paths_root(), path);
	s->tmp = openat(s->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->tmp < 0 ? err_errno(err, "open '%s/%s'", paths_root(), path) : 0;
}

int store_begin(struct store_session *ret, struct err *err)
{
	cleanup(store_end) struct store_session s = STORE_SESSION_NONE;
	int r = open_root(&s.root, err);

	if (r == 0)
		r = open_lock(s.root, &s.lock, err);
	if (r < 0)
		return r;
	if (lock_as(s.lock, LOCK_EX | LOCK_NB) == 0)
		sweep_tmp(s.root);
	r = lock_as(s.lock, LOCK_SH);
	if (r < 0)
		return err_code(err, r, "lock '%s/store.lock'", paths_root());
	r = make_tmp(&s, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct store_session)STORE_SESSION_NONE;
	return 0;
}

void store_end(struct store_session *s)
{
	cleanup(free) char *path = NULL;

	if (s->tmp >= 0) {
		path = xasprintf("tmp/%s", s->name);
		dir_remove(s->root, path);
	}
	fd_close(s->tmp);
	fd_close(s->lock);
	fd_close(s->root);
	*s = (struct store_session)STORE_SESSION_NONE;
}

char *store_tmp_path(const struct store_session *s)
{
	return xasprintf("%s/tmp/%s", paths_root(), s->name);
}

int store_sync(const struct store_session *s, struct err *err)
{
	return syncfs(s->tmp) < 0 ? err_errno(err, "write back '%s'", paths_root()) : 0;
}

bool store_has_layer(const char *diff_id)
{
	cleanup(free) char *path = store_layer_path(diff_id);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static char *blob_path(const char *digest)
{
	return xasprintf("%s/blobs/sha256/%s", paths_root(), digest_hex(digest));
}

bool store_has_blob(const char *digest)
{
	cleanup(free) char *path = blob_path(digest);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *store_layer_path(const char *diff_id)
{
	return xasprintf("%s/layers/%s", paths_root(), digest_hex(diff_id));
}

int store_open_blob(const char *digest, struct err *err)
{
	cleanup(free) char *path = blob_path(digest);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_errno(err, "the store is damaged: blob '%s'", path);
	return fd;
}

int store_keep_layer(
	const struct store_session *s, const char *name, const char *diff_id, struct err *err)
{
	cleanup(free) char *to = xasprintf("layers/%s", digest_hex(diff_id));

	if (renameat2(s->tmp, name, s->root, to, RENAME_NOREPLACE) < 0 && errno != EEXIST)
		return err_errno(err, "keep layer %s", diff_id);
	return 0;
}

int store_replace_layer(
	const struct store_session *s, const char *name, const char *diff_id, struct err *err)
{
	cleanup(free) char *to = xasprintf("layers/%s", digest_hex(diff_id));

	if (renameat2(s->tmp, name, s->root, to, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != ENOENT)
		return err_errno(err, "replace layer %s", diff_id);
	return store_keep_layer(s, name, diff_id, err);
}

/* Whether `hex` is the name of something that a row refers to: "SELECT 1 ... = ?". */
static int is_referred(struct db *db, const char *sql, const char *hex, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, sql);
	char digest[DIGEST_LEN + 1];

	snprintf(digest, sizeof(digest), "sha256:%s", hex);
	db_text(&q, 1, digest);
	return db_step(&q, err);
}

/* Moves what nothing refers to from ROOT/dir to ROOT/tmp, where it may take its time to go. */
static int move_unreferred(
	struct db *db, int root, const char *dir, const char *sql, char ***moved, struct err *err)
{
	int fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r;

	if (!d) {
		fd_close(fd);
		return err_errno(err, "open '%s/%s'", paths_root(), dir);
	}
	while ((e = readdir(d))) {
		char name[NAME_MAX + 16];
		if (e->d_name[0] == '.')
			continue;
		r = is_referred(db, sql, e->d_name, err);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		snprintf(name, sizeof(name), "tmp/gone-%c-%s", dir[0], e->d_name);
		if (renameat(dirfd(d), e->d_name, root, name) < 0)
			return err_errno(err, "remove '%s/%s'", dir, e->d_name);
		strv_add(moved, name);
	}
	return 0;
}

static int lock_alone(int lock, bool wait)
{
	const struct timespec step = { .tv_nsec = COLLECT_STEP_MS * 1000000L };
	int r = lock_as(lock, LOCK_EX | LOCK_NB);

	for (int ms = 0; wait && r == -EWOULDBLOCK && ms < COLLECT_WAIT_MS; ms += COLLECT_STEP_MS) {
		nanosleep(&step, NULL);
		r = lock_as(lock, LOCK_EX | LOCK_NB);
	}
	return r;
}

int store_collect(struct db *db, bool wait, uint64_t *ret_freed, struct err *err)
{
	cleanup(fd_close) int root = -1, lock = -1;
	cleanup(strv_free) char **moved = NULL;
	uint64_t freed = 0, one;
	int r = open_root(&root, err);

	if (r == 0)
		r = open_lock(root, &lock, err);
	if (r < 0)
		return r;
	r = lock_alone(lock, wait);
	if (r == -EWOULDBLOCK)
		return 1;
	if (r < 0)
		return err_code(err, r, "lock '%s/store.lock'", paths_root());
	sweep_tmp(root);
	sweep_partial(root, wait);
	r = move_unreferred(db, root, "blobs/sha256",
		"SELECT 1 FROM image_layer WHERE blob = ?1 UNION ALL"
		" SELECT 1 FROM layer_cache WHERE blob = ?1 LIMIT 1",
		&moved, err);
	if (r == 0)
		r = move_unreferred(db, root, "layers",
			"SELECT 1 FROM image_layer WHERE diff_id = ?1 UNION ALL"
			" SELECT 1 FROM layer_cache WHERE diff_id = ?1 LIMIT 1",
			&moved, err);
	/* From here on what was moved is temporary files like any other. */
	lock_as(lock, LOCK_SH);
	strv_foreach (name, moved) {
		struct stat st;
		if (ret_freed && dir_usage(root, *name, &one) == 0)
			freed += one;
		else if (ret_freed && fstatat(root, *name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			freed += (uint64_t)st.st_blocks * 512;
		dir_remove(root, *name);
	}
	if (r == 0 && ret_freed)
		*ret_freed = freed;
	return r;
}
