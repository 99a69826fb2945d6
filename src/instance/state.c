#include "instance/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "base/strv.h"
#include "instance/event.h"

const struct record_field instance_health_result_fields[] = {
	RECORD(struct instance_health_result, start, "Start", RECORD_TIME),
	RECORD(struct instance_health_result, end, "End", RECORD_TIME),
	RECORD_F(struct instance_health_result, exit_code, "ExitCode", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(struct instance_health_result, output, "Output", RECORD_STR, RECORD_ALWAYS),
	RECORD_END,
};

const struct record_field instance_state_fields[] = {
	RECORD_F(struct instance_state, status, "status", RECORD_STR, RECORD_REQUIRED),
	RECORD(struct instance_state, exit_code, "exitCode", RECORD_I64),
	RECORD(struct instance_state, oom_killed, "oomKilled", RECORD_BOOL),
	RECORD(struct instance_state, error, "error", RECORD_STR),
	RECORD(struct instance_state, started, "started", RECORD_TIME),
	RECORD(struct instance_state, finished, "finished", RECORD_TIME),
	RECORD(struct instance_state, restart_count, "restartCount", RECORD_I64),
	RECORD(struct instance_state, stopped_by_user, "stoppedByUser", RECORD_BOOL),
	RECORD(struct instance_state, health, "health", RECORD_STR),
	RECORD(struct instance_state, health_streak, "healthStreak", RECORD_I64),
	RECORD_SUB(struct instance_state, health_log, "healthLog", RECORD_LIST,
		instance_health_result_fields, struct instance_health_result),
	RECORD(struct instance_state, supervisor_pid, "supervisorPid", RECORD_I64),
	RECORD(struct instance_state, boot_id, "bootId", RECORD_STR),
	RECORD_SUB(
		struct instance_state, run, "run", RECORD_ONE, run_state_fields, struct run_state),
	RECORD_SUB(struct instance_state, endpoints, "endpoints", RECORD_LIST,
		bundle_endpoint_fields, struct bundle_endpoint),
	RECORD_SUB(struct instance_state, ports, "ports", RECORD_LIST, port_fields, struct port),
	RECORD_END,
};

struct instance *instance_new(struct instance_config *config)
{
	struct instance *i = xnew(struct instance);

	i->config = *config;
	*config = (struct instance_config){ 0 };
	i->dir = xasprintf("%s/instances/%s", paths_root(), i->config.id);
	i->run_dir = xasprintf("%s/instances/%s", paths_run(), i->config.id);
	i->state.status = xstrdup("created");
	return i;
}

void instance_free(struct instance *i)
{
	if (!i)
		return;
	instance_config_clear(&i->config);
	record_clear(instance_state_fields, &i->state);
	free(i->dir);
	free(i->run_dir);
	free(i);
}

bool instance_running(const struct instance *i)
{
	return strcmp(i->state.status, "running") == 0 || strcmp(i->state.status, "paused") == 0;
}

bool instance_active(const struct instance *i)
{
	return instance_running(i) || strcmp(i->state.status, "restarting") == 0;
}

static int read_record(const char *dir, const char *name, const struct record_field *fields,
	void *obj, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/%s", dir, name);
	cleanup(json_free) json_t *j = json_read(AT_FDCWD, path, err);
	struct err cause = { 0 };

	if (!j && access(path, F_OK) == 0)
		return err_set(err, EUCLEAN,
			"'%s' is damaged (not JSON): remove the container with 'holm rm -f' and create it again",
			path);
	if (!j)
		return -ENOENT;
	if (record_parse(fields, j, obj, &cause) < 0)
		return err_set(err, EUCLEAN,
			"'%s' is damaged (%s): remove the container with 'holm rm -f' and create it again",
			path, cause.text);
	return 0;
}

int instance_load(const char *id, struct instance **ret, struct err *err)
{
	struct instance_config config = { 0 };
	cleanup(free) char *dir = xasprintf("%s/instances/%s", paths_root(), id);
	cleanup(instance_free) struct instance *i = NULL;
	int r = read_record(dir, "config.json", instance_config_fields, &config, err);

	if (r < 0)
		return r;
	if (!config.id || strcmp(config.id, id) != 0) {
		instance_config_clear(&config);
		return err_set(err, EUCLEAN, "'%s/config.json' is damaged (wrong id)", dir);
	}
	i = instance_new(&config);
	r = instance_reload_state(i, err);
	if (r < 0)
		return r;
	*ret = take(i);
	return 0;
}

int instance_just_removed(const struct instance *i, struct err *err)
{
	return err_set(
		err, ENOENT, "no such container: %s (it was removed just now)", i->config.name);
}

/* The host went down soon after it was written, while the instance was being started or ran. */
static bool is_empty(const char *dir, const char *name)
{
	cleanup(free) char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

int instance_reload_state(struct instance *i, struct err *err)
{
	struct instance_state fresh = { 0 };
	int r;

	if (is_empty(i->dir, "state.json")) {
		cleanup(json_free) json_t *j = json_pack("{s:s}", "status", "running");
		r = record_parse(instance_state_fields, j, &fresh, err); /* and nobody owns it */
	} else {
		r = read_record(i->dir, "state.json", instance_state_fields, &fresh, err);
	}
	if (r < 0)
		return r == -ENOENT ? instance_just_removed(i, err) : r;
	record_clear(instance_state_fields, &i->state);
	i->state = fresh;
	return 0;
}

static int save(const struct instance *i, const char *name, const struct record_field *fields,
	const void *obj, unsigned flags, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/%s", i->dir, name);
	cleanup(json_free) json_t *j = record_dump(fields, obj);
	int r = json_write(AT_FDCWD, path, j, flags, err);

	return r == -ENOENT && access(i->dir, F_OK) < 0 ? instance_just_removed(i, err) : r;
}

int instance_save_config(const struct instance *i, struct err *err)
{
	return save(i, "config.json", instance_config_fields, &i->config, 0, err);
}

int instance_save_state(const struct instance *i, struct err *err)
{
	/* How it ended is to outlast the host's end, too. */
	bool ended = strcmp(i->state.status, "exited") == 0;

	return save(i, "state.json", instance_state_fields, &i->state, ended ? 0 : FILE_LAZY, err);
}

/* The file may be unlinked between our open and our flock: then it is no lock any more. */
static bool is_current(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static struct {
	int fd;
	char id[ID_LEN + 1];
} kept = { .fd = -1 };

void instance_lock_keep(const struct instance *i, int lock_fd)
{
	kept.fd = lock_fd;
	memcpy(kept.id, i->config.id, sizeof(kept.id));
}

bool instance_lock_kept(const struct instance *i)
{
	return kept.fd >= 0 && strcmp(kept.id, i->config.id) == 0;
}

int instance_lock(const struct instance *i, bool wait, struct err *err)
{
	cleanup(free) char *path = xasprintf("%s/lock", i->run_dir);

	if (instance_lock_kept(i))
		return take_fd(kept.fd);

	for (;;) {
		cleanup(fd_close) int fd = -1;
		int r = dir_make(i->run_dir, 0711);
		if (r < 0)
			return err_code(err, r, "make directory '%s'", i->run_dir);
		fd = lock_file(AT_FDCWD, path, wait);
		if (fd == -ENOENT)
			continue; /* removed in between */
		if (fd < 0)
			return err_code(err, fd, "lock '%s'", path);
		if (is_current(fd, path))
			return take_fd(fd);
	}
}

void instance_unlock_remove(const struct instance *i, int lock_fd)
{
	/* The lock is let go last: until then nobody else makes anything here. */
	dir_remove(AT_FDCWD, i->run_dir);
	fd_close(lock_fd);
}

int instance_lock_dir(const struct instance *i, struct err *err)
{
	cleanup(fd_close) int fd = open(i->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(err, "lock '%s'", i->dir);
	if (fd < 0 && errno != ENOENT)
		return err_errno(err, "open '%s'", i->dir);
	return fd >= 0 && is_current(fd, i->dir) ? take_fd(fd) : instance_just_removed(i, err);
}

int instance_lock_config(struct instance *i, struct err *err)
{
	cleanup(instance_free) struct instance *fresh = NULL;
	cleanup(fd_close) int fd = instance_lock_dir(i, err);
	struct instance old = *i;
	int r;

	if (fd < 0)
		return fd;
	r = instance_load(i->config.id, &fresh, err);
	if (r < 0)
		return r == -ENOENT ? instance_just_removed(i, err) : r;
	*i = *fresh;
	*fresh = old;
	return take_fd(fd);
}

void instance_event(
	const struct instance *i, const char *action, const char *key, const char *value)
{
	cleanup(strv_free) char **attributes = NULL;

	map_foreach (kv, i->config.labels) {
		strv_add(&attributes, kv[0]);
		strv_add(&attributes, kv[1]);
	}
	strv_add(&attributes, "image");
	strv_add(&attributes, i->config.image);
	strv_add(&attributes, "name");
	strv_add(&attributes, i->config.name);
	if (key) {
		strv_add(&attributes, key);
		strv_add(&attributes, value);
	}
	event_emit("container", action, i->config.id, attributes);
}

void instance_network_event(const struct instance *i, const char *action, const char *network)
{
	cleanup(strv_free) char **attributes = NULL;

	strv_add(&attributes, "container");
	strv_add(&attributes, i->config.id);
	strv_add(&attributes, "type");
	strv_add(&attributes, "bridge");
	event_emit("network", action, network, attributes);
}
