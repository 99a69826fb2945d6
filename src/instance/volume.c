/*
 * Volumes (volume.h). ROOT/volumes/NAME/_data holds the files, a row says that it is a volume, a row
 * of volume_use that an instance needs it.
 *
 * Directories are made before their row is committed and removed after theirs is gone, both under
 * the database's write lock: a directory without a row is what a crash left, and worth nothing.
 */
#include "instance/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/reserve.h"
#include "base/strv.h"
#include "instance/tree.h"

const struct record_field volume_fields[] = {
	RECORD_F(struct volume, created, "CreatedAt", RECORD_TIME, RECORD_ALWAYS),
	RECORD_F(struct volume, driver, "Driver", RECORD_STR, RECORD_ALWAYS),
	RECORD(struct volume, labels, "Labels", RECORD_MAP),
	RECORD(struct volume, mountpoint, "Mountpoint", RECORD_STR),
	RECORD_F(struct volume, name, "Name", RECORD_STR, RECORD_ALWAYS),
	RECORD(struct volume, options, "Options", RECORD_MAP),
	RECORD(struct volume, anonymous, "Anonymous", RECORD_BOOL),
	RECORD_END,
};

static const char *const steps[] = {
	"CREATE TABLE volume (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE volume_use (volume TEXT NOT NULL REFERENCES volume(name), instance TEXT NOT NULL,"
	" PRIMARY KEY (instance, volume)) WITHOUT ROWID;"
	"CREATE INDEX volume_use_by_volume ON volume_use (volume)",
	NULL,
};

int volume_init(struct db *db, struct err *err)
{
	return db_migrate(db, "volume", steps, err);
}

void volume_free(struct volume *v)
{
	if (!v)
		return;
	record_clear(volume_fields, v);
	free(v);
}

static char *volume_dir(const char *name)
{
	return xasprintf("%s/volumes/%s", paths_root(), name);
}

/* The record of a row. The mount point is not stored: the store may have moved. */
static int load(const char *text, struct volume *v, struct err *err)
{
	cleanup(json_free) json_t *j = json_parse(text, strlen(text), "volume", err);
	int r = j ? record_parse(volume_fields, j, v, err) : -EINVAL;

	if (r == 0) {
		free(v->mountpoint);
		v->mountpoint = xasprintf("%s/volumes/%s/_data", paths_root(), v->name);
	}
	return r;
}

static int find(struct db *db, const char *name, struct volume **ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT record FROM volume WHERE name = ?");
	cleanup(volume_free) struct volume *v = xnew(struct volume);
	int r;

	db_text(&q, 1, name);
	r = db_step(&q, err);
	if (r <= 0)
		return r;
	r = load(db_get_text(&q, 0), v, err);
	if (r < 0)
		return r;
	*ret = take(v);
	return 1;
}

static int missing(const char *name, struct err *err)
{
	return err_set(err, ENOENT, "no such volume: %s", name);
}

int volume_find(struct db *db, const char *name, struct volume **ret, struct err *err)
{
	int r = find(db, name, ret, err);

	return r > 0 ? 0 : r < 0 ? r : missing(name, err);
}

static int check(struct volume *v, struct err *err)
{
	static const char *const known[] = { "type", "device", "o", NULL };

	if (strcmp(v->driver, "local") != 0)
		return err_set(err, EINVAL, "volume driver '%s' is not known: local", v->driver);
	if (!name_valid(v->name) || !v->name[1])
		return err_set(err, EINVAL,
			"'%s' is no name for a volume: two or more of [a-zA-Z0-9_.-], beginning with a letter or digit (for a host directory give an absolute path)",
			v->name);
	map_foreach (kv, v->options) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], kv[0]) != 0)
			i++;
		if (!known[i])
			return err_set(err, EINVAL,
				"volume option '%s' is not known: type, device, o", kv[0]);
	}
	if (v->options && !map_get(v->options, "device"))
		return err_set(err, EINVAL, "volume '%s': options need device=", v->name);
	return 0;
}

static bool same_map(char *const *a, char *const *b)
{
	map_foreach (kv, a) {
		const char *other = map_get(b, kv[0]);
		if (!other || strcmp(other, kv[1]) != 0)
			return false;
	}
	return strv_len(a) == strv_len(b);
}

/* Modes whatever the umask: users of a container must get through. */
static int make_directory(const char *name)
{
	cleanup(free) char *volumes = xasprintf("%s/volumes", paths_root());
	cleanup(free) char *dir = volume_dir(name);
	cleanup(free) char *data = xasprintf("%s/_data", dir);
	int r = dir_make(volumes, 0711);

	if (r == 0)
		r = dir_remove(AT_FDCWD, dir);
	if (r < 0)
		return r;
	if (mkdir(dir, 0711) < 0 || chmod(dir, 0711) < 0 || mkdir(data, 0755) < 0 ||
		chmod(data, 0755) < 0)
		return -errno;
	return 0;
}

static int insert(struct db *db, const struct volume *v, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "INSERT INTO volume VALUES (?, ?)");
	cleanup(json_free) json_t *j = record_dump(volume_fields, v);
	cleanup(free) char *text = json_text(j, 0);

	db_text(&q, 1, v->name);
	db_text(&q, 2, text);
	return db_run(&q, err);
}

/* The one that is there, when it is what was asked for. 1 then, 0 when there is none. */
static int adopt(struct db *db, struct volume *v, struct err *err)
{
	cleanup(volume_free) struct volume *old = NULL;
	struct volume swap;
	int r = find(db, v->name, &old, err);

	if (r <= 0)
		return r;
	if (strcmp(old->driver, v->driver) != 0 ||
		(v->options && !same_map(old->options, v->options)))
		return err_set(err, EEXIST, "volume '%s' exists with other options", v->name);
	swap = *v;
	*v = *old;
	*old = swap;
	return 1;
}

int volume_create(struct db *db, struct volume *v, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	char id[ID_LEN + 1];
	int r;

	if (!v->driver || !v->driver[0])
		str_replace(&v->driver, "local");
	if (!v->name || !v->name[0]) {
		id_random(id);
		str_replace(&v->name, id);
		v->anonymous = true;
	}
	r = check(v, err);
	if (r == 0)
		r = db_begin(db, &txn, err);
	if (r == 0)
		r = adopt(db, v, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = make_directory(v->name);
	if (r < 0)
		return err_code(err, r, "make volume '%s' in '%s/volumes'", v->name, paths_root());
	v->created = time_now();
	free(v->mountpoint);
	v->mountpoint = NULL;
	r = insert(db, v, err);
	v->mountpoint = xasprintf("%s/volumes/%s/_data", paths_root(), v->name);
	return r < 0 ? r : db_commit(&txn, err);
}

int volume_list(struct db *db, struct record_list *ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT record FROM volume ORDER BY name");
	struct record_list list = { 0 };
	int r;

	while ((r = db_step(&q, err)) > 0) {
		r = load(db_get_text(&q, 0), record_list_add(&list, sizeof(struct volume)), err);
		if (r < 0)
			break;
	}
	if (r < 0) {
		while (list.n)
			record_list_remove(&list, list.n - 1, volume_fields);
		free(list.items);
		return r;
	}
	*ret = list;
	return 0;
}

int volume_users(struct db *db, const char *name, char ***ret, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(
		db, "SELECT instance FROM volume_use WHERE volume = ? ORDER BY instance");
	cleanup(strv_free) char **users = NULL;
	int r;

	db_text(&q, 1, name);
	while ((r = db_step(&q, err)) > 0)
		strv_add(&users, db_get_text(&q, 0));
	if (r == 0)
		*ret = take(users);
	return r;
}

static int delete_row(struct db *db, const char *name, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "DELETE FROM volume WHERE name = ?");
	int r;

	db_text(&q, 1, name);
	r = db_run(&q, err);
	return r < 0 ? r : db_changes(db) ? 1 : 0;
}

/* Away from its name, to where what nobody removes is swept (image/store.c). */
static char *set_aside(const char *dir)
{
	char id[ID_LEN + 1];
	cleanup(free) char *gone = NULL;

	id_random(id);
	gone = xasprintf("%s/tmp/gone-v-%.16s", paths_root(), id);
	return rename(dir, gone) < 0 ? NULL : take(gone);
}

int volume_remove(struct db *db, const char *name, bool force, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(strv_free) char **users = NULL;
	cleanup(free) char *dir = volume_dir(name), *in_use_by = NULL, *gone = NULL;
	int r;

	reserve_spend();
	r = db_begin(db, &txn, err);
	if (r == 0)
		r = volume_users(db, name, &users, err);
	if (r < 0)
		return r;
	in_use_by = strv_join(users, ", ");
	if (users)
		return err_set(err, EBUSY, "remove %s: volume is in use - [%s]", name, in_use_by);
	r = delete_row(db, name, err);
	if (r == 0)
		return force ? 0 : missing(name, err);
	if (r < 0)
		return r;
	/* Before the commit: the next one of this name is made in a directory of its own. */
	gone = set_aside(dir);
	r = db_commit(&txn, err);
	if (r < 0) {
		if (gone)
			rename(gone, dir);
		return r;
	}
	r = dir_remove(AT_FDCWD, gone ? gone : dir);
	if (gone && r == -ENOENT) /* swept meanwhile */
		r = 0;
	return r < 0 ? err_code(err, r, "remove '%s'", dir) : 0;
}

static bool is_known(struct db *db, const char *name)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db, "SELECT 1 FROM volume WHERE name = ?");

	db_text(&q, 1, name);
	return db_step(&q, NULL) != 0; /* also when the database cannot say */
}

int volume_sweep(struct db *db, struct err *err)
{
	cleanup(db_rollback) struct db_txn txn = { 0 };
	cleanup(free) char *path = xasprintf("%s/volumes", paths_root());
	struct dirent *e;
	int r = db_begin(db, &txn, err);
	DIR *d;

	if (r < 0)
		return r;
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : err_errno(err, "open '%s'", path);
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.' && !is_known(db, e->d_name))
			r = dir_remove(dirfd(d), e->d_name);
	closedir(d);
	return r < 0 ? err_code(err, r, "clean '%s'", path) : db_commit(&txn, err);
}

int volume_hold(struct db *db, const char *name, const char *instance, struct err *err)
{
	cleanup(db_done) struct db_stmt q = db_prepare(db,
		"INSERT OR IGNORE INTO volume_use (volume, instance) SELECT name, ? FROM volume WHERE name = ?");
	int r;

	db_text(&q, 1, instance);
	db_text(&q, 2, name);
	r = db_run(&q, err);
	if (r == 0 && db_changes(db) == 0 && !is_known(db, name))
		return missing(name, err);
	return r;
}

int volume_release(struct db *db, const char *instance, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "DELETE FROM volume_use WHERE instance = ?");

	db_text(&q, 1, instance);
	return db_run(&q, err);
}

static bool is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool empty = d != NULL;
	struct dirent *e;

	if (!d) {
		fd_close(fd);
		return false;
	}
	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(d);
	return empty;
}

/* With the volume's lock held. "filling" is there while a copy is under way: after a crash the next
 * one goes on, adding what is missing. */
static int fill(int volume, int data, int from, struct err *err)
{
	const struct tree_copy how = { .keep_owner = true };
	bool again = faccessat(volume, "filling", F_OK, 0) == 0;
	int r;

	if (!again && !is_empty(data))
		return 0;
	r = file_write(volume, "filling", "", 0, 0600, 0);
	if (r < 0)
		return err_code(err, r, "fill volume");
	r = tree_copy_contents(from, data, /* self= */ true, &how, err);
	if (r == 0 && unlinkat(volume, "filling", 0) < 0)
		r = err_errno(err, "fill volume");
	return r;
}

int volume_fill(const struct volume *v, int rootfd, const char *path, struct err *err)
{
	cleanup(free) char *dir = volume_dir(v->name);
	cleanup(fd_close) int from = -1, volume = -1, data = -1;
	int r;

	/* What such a volume mounts is not ours to fill. */
	if (map_get(v->options, "device"))
		return 0;
	from = open_in_root(rootfd, path, O_PATH | O_DIRECTORY, 0);
	if (from == -ENOENT || from == -ENOTDIR)
		return 0;
	if (from < 0)
		return err_code(err, from, "open '%s' of the image", path);
	volume = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	data = open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (volume < 0 || data < 0)
		return err_errno(err, "open '%s'", v->mountpoint);
	if (flock(volume, LOCK_EX) < 0)
		return err_errno(err, "lock '%s'", dir);
	r = fill(volume, data, from, err);
	return r < 0 ? err_wrap(err, "volume '%s'", v->name) : 0;
}
