/* See oci.h: the state directory, and what works from it alone. */
#include "oci/oci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "oci/oci_internal.h"

#define ID_MAX 1024

const struct record_field oci_container_fields[] = {
	RECORD_F(struct oci_container, id, "id", RECORD_STR, RECORD_REQUIRED),
	RECORD(struct oci_container, bundle_path, "bundle", RECORD_STR),
	RECORD(struct oci_container, rootfs, "rootfs", RECORD_STR),
	RECORD(struct oci_container, created, "created", RECORD_TIME),
	RECORD_SUB(
		struct oci_container, run, "run", RECORD_ONE, run_state_fields, struct run_state),
	RECORD_END,
};

void oci_container_free(struct oci_container *c)
{
	if (!c)
		return;
	record_clear(oci_container_fields, c);
	bundle_free(c->bundle);
	json_decref(c->config);
	free(c->dir);
	if (c->fresh)
		fd_close(c->start);
	free(c);
}

char *oci_default_root(void)
{
	const char *dir = geteuid() == 0 ? NULL : getenv("XDG_RUNTIME_DIR");

	return dir && *dir == '/' ? xasprintf("%s/holm-oci", dir) : xstrdup("/run/holm-oci");
}

int oci_id_check(const char *id, struct err *err)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

	if (!*id)
		return err_set(err, EINVAL, "container id cannot be empty");
	if (id[n] || n > ID_MAX || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return err_set(err, EINVAL, "invalid container ID format: %.64s", id);
	return 0;
}

int oci_load(const char *root, const char *id, struct oci_container **ret, struct err *err)
{
	cleanup(oci_container_free) struct oci_container *c = xnew(struct oci_container);
	cleanup(free) char *path = xasprintf("%s/%s/" OCI_STATE, root, id);
	cleanup(json_free) json_t *j = NULL;
	struct err why = { 0 };
	int r = oci_id_check(id, err);

	if (r < 0)
		return r;
	j = json_read(AT_FDCWD, path, &why);
	if (!j && why.code == ENOENT)
		return err_set(err, ENOENT, "container does not exist");
	if (!j)
		return err_set(err, why.code, "%s", why.text);
	r = record_parse(oci_container_fields, j, c, err);
	if (r < 0)
		return err_wrap(err, "%s", path);
	c->dir = xasprintf("%s/%s", root, id);
	c->config = json_incref(json_object_get(j, "config"));
	*ret = take(c);
	return 0;
}

int oci_config(struct oci_container *c, struct err *err)
{
	if (c->bundle)
		return 0;
	if (bundle_parse(c->config, &c->bundle, err) < 0)
		return err_wrap(err, "%s/" OCI_STATE, c->dir);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int oci_list(const char *root, char ***ret, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	cleanup(free) char *standard = oci_default_root();
	DIR *d = opendir(root);

	/* Nothing was ever made below the default one then; another is a mistake. */
	if (!d && (errno != ENOENT || strcmp(root, standard) != 0))
		return err_errno(err, "open '%s'", root);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.' && e->d_type == DT_DIR)
			strv_add(&names, e->d_name);
	if (d)
		closedir(d);
	if (names)
		qsort(names, strv_len(names), sizeof(*names), compare);
	*ret = take(names);
	return 0;
}

enum run_status oci_status(const struct oci_container *c)
{
	return engine_container.status(&c->run);
}

const char *oci_status_name(enum run_status status)
{
	static const char *const names[] = { [RUN_STOPPED] = "stopped",
		[RUN_CREATED] = "created",
		[RUN_RUNNING] = "running",
		[RUN_PAUSED] = "paused" };

	return names[status];
}

json_t *oci_state(struct oci_container *c)
{
	enum run_status status = oci_status(c);
	char created[TIME_LEN];
	json_t *j, *annotations;

	time_format(c->created, created);
	if (oci_config(c, NULL) < 0)
		log_debug("oci", "container %s has no configuration", c->id);
	j = json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:s}", "ociVersion",
		c->bundle ? c->bundle->oci_version : "", "id", c->id, "pid",
		(json_int_t)(status == RUN_STOPPED ? 0 : c->run.pid), "status",
		oci_status_name(status), "bundle", json_shown(c->bundle_path), "rootfs",
		json_shown(c->rootfs), "created", created);
	if (!c->bundle || !c->bundle->annotations)
		return j;
	annotations = json_object();
	map_foreach (kv, c->bundle->annotations)
		json_object_set_new(annotations, kv[0], json_string(kv[1]));
	json_object_set_new(j, "annotations", annotations);
	return j;
}

char *oci_owner(const struct oci_container *c)
{
	struct stat st;
	struct passwd *user;

	if (stat(c->dir, &st) < 0)
		return xstrdup("");
	user = getpwuid(st.st_uid);
	return user ? xstrdup(user->pw_name) : xasprintf("#%u", st.st_uid);
}

static bool has_own_pids(struct oci_container *c)
{
	const struct record_list *list;

	if (oci_config(c, NULL) < 0)
		return true;
	list = &c->bundle->linux_.namespaces;
	for (size_t i = 0; i < list->n; i++) {
		const struct bundle_namespace *n = list->items[i];
		if (strcmp(n->type, "pid") == 0 && (!n->path || !*n->path))
			return true;
	}
	return false;
}

int oci_kill(struct oci_container *c, int signo, bool all, struct err *err)
{
	/* Without a pid namespace of its own the death of the first process ends nobody else. */
	if (signo == SIGKILL && !has_own_pids(c))
		all = true;
	if (!all && oci_status(c) == RUN_STOPPED)
		return err_set(err, ESRCH, "container not running");
	return engine_container.kill(&c->run, signo, all, err);
}

int oci_pause(struct oci_container *c, bool pause, struct err *err)
{
	enum run_status status = oci_status(c);

	if (pause && status != RUN_RUNNING && status != RUN_CREATED)
		return err_set(err, EINVAL, "container not running or created: %s",
			oci_status_name(status));
	if (!pause && status != RUN_PAUSED)
		return err_set(err, EINVAL, "container not paused");
	return engine_container.pause(&c->run, pause, err);
}

static int remove_directory(const struct oci_container *c, struct err *err)
{
	cleanup(free) char *state = xasprintf("%s/" OCI_STATE, c->dir);
	int r = 0;

	/* Most often that is all there is in it. */
	unlink(state);
	if (rmdir(c->dir) < 0)
		r = dir_remove(AT_FDCWD, c->dir);
	return r < 0 ? err_code(err, r, "remove '%s'", c->dir) : 0;
}

int oci_destroy(struct oci_container *c, struct err *err)
{
	int r = engine_container.destroy(&c->run, err);

	if (r < 0)
		return r;
	return remove_directory(c, err);
}

/* What an interrupted creation left. */
static int forget(const char *root, const char *id, bool force, struct err *err)
{
	cleanup(free) char *dir = xasprintf("%s/%s", root, id);
	int r = dir_remove(AT_FDCWD, dir);

	if (r < 0)
		return err_code(err, r, "remove '%s'", dir);
	return force ? 0 : err_set(err, ENOENT, "container does not exist");
}

int oci_delete(const char *root, const char *id, bool force, struct err *err)
{
	cleanup(oci_container_free) struct oci_container *c = NULL;
	enum run_status status;
	struct err why;
	int r = oci_load(root, id, &c, &why);

	if (r == -ENOENT)
		return forget(root, id, force, err);
	if (r < 0)
		return err_set(err, why.code, "%s", why.text);
	status = oci_status(c);
	if (!force && status != RUN_STOPPED && status != RUN_CREATED)
		return err_set(err, EBUSY, "cannot delete container %s that is not stopped: %s", id,
			oci_status_name(status));
	return oci_destroy(c, err);
}
