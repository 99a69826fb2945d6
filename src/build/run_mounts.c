/* RUN --mount=type=bind|cache|tmpfs|secret|ssh (Dockerfile reference). */
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
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "build/internal.h"
#include "instance/config.h"
#include "instance/tree.h"

#define MAX_SECRET (512u << 10)

struct mount {
	char *type, *target, *source, *from, *id, *sharing, *env;
	bool read_only, read_write, required;
	uint64_t uid, gid;
	bool has_mode;
	int64_t mode, size;
};

static void mount_clear(struct mount *m)
{
	free(m->type);
	free(m->target);
	free(m->source);
	free(m->from);
	free(m->id);
	free(m->sharing);
	free(m->env);
}
DEFINE_CLEANUP_OBJECT(mount_clear, struct mount);

static int parse_flag(const char *value, bool *ret)
{
	if (value)
		return parse_bool(value, ret);
	*ret = true;
	return 0;
}

static int parse_item(struct mount *m, const char *name, const char *value, struct err *err)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = { { "type", &m->type }, { "target", &m->target }, { "dst", &m->target },
		{ "destination", &m->target }, { "source", &m->source }, { "src", &m->source },
		{ "from", &m->from }, { "id", &m->id }, { "sharing", &m->sharing },
		{ "env", &m->env } };
	bool on = true;
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].name, name) != 0 || !value)
			continue;
		str_replace(texts[i].to, value);
		return 0;
	}
	if (strcmp(name, "ro") == 0 || strcmp(name, "readonly") == 0) {
		r = parse_flag(value, &on);
		m->read_only = on;
		m->read_write = !on;
	} else if (strcmp(name, "rw") == 0 || strcmp(name, "readwrite") == 0) {
		r = parse_flag(value, &on);
		m->read_write = on;
		m->read_only = !on;
	} else if (strcmp(name, "required") == 0) {
		r = parse_flag(value, &m->required);
	} else if (value && strcmp(name, "uid") == 0) {
		r = parse_u64(value, UINT32_MAX - 1, &m->uid);
	} else if (value && strcmp(name, "gid") == 0) {
		r = parse_u64(value, UINT32_MAX - 1, &m->gid);
	} else if (value && strcmp(name, "mode") == 0) {
		r = parse_mode(value, &m->mode);
		m->has_mode = true;
	} else if (value && strcmp(name, "size") == 0) {
		r = parse_size(value, &m->size);
	}
	return r < 0 ? err_set(err, EINVAL, "--mount: '%s%s%s' is not understood", name,
			       value ? "=" : "", value ? value : "")
		     : 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int complete(struct step *p, struct mount *m, struct err *err)
{
	const char *dir = p->stage->config.config.working_dir;
	bool secret, ssh;

	if (!m->type)
		m->type = xstrdup("bind");
	secret = strcmp(m->type, "secret") == 0;
	ssh = strcmp(m->type, "ssh") == 0;
	if (!secret && !ssh && strcmp(m->type, "bind") != 0 && strcmp(m->type, "cache") != 0 &&
		strcmp(m->type, "tmpfs") != 0)
		return err_set(err, EINVAL,
			"--mount: type '%s': expected bind, cache, tmpfs, secret or ssh", m->type);
	if (secret && !m->id)
		m->id = xstrdup(m->source ? m->source : m->target ? last_part(m->target) : "");
	if (secret && !*m->id)
		return err_set(err, EINVAL, "--mount: a secret needs an id");
	if (secret && !m->target && !m->env)
		m->target = xasprintf("/run/secrets/%s", last_part(m->id));
	if (ssh && !m->id)
		m->id = xstrdup("default");
	if (ssh && !m->target)
		m->target = xstrdup("/run/buildkit/ssh_agent.0");
	if (!m->target && !m->env)
		return err_set(err, EINVAL, "--mount: target is missing");
	if (m->target && *m->target != '/') {
		char *path = xasprintf("%s/%s", dir ? dir : "", m->target);
		free(m->target);
		m->target = path;
	}
	if (strcmp(m->type, "cache") == 0 && !m->id)
		m->id = xstrdup(m->target);
	return 0;
}

static int parse(struct step *p, const char *flag, struct mount *m, struct err *err)
{
	cleanup(free) char *text = NULL;
	cleanup(strv_free) char **parts = NULL;
	int r = stage_expand(p->stage, flag, &text, err);

	if (r < 0)
		return r;
	parts = strv_split(text, ',');
	strv_foreach (part, parts) {
		char *sign = strchr(*part, '=');
		if (sign)
			*sign = '\0';
		r = parse_item(m, *part, sign ? sign + 1 : NULL, err);
		if (r < 0)
			return r;
	}
	return complete(p, m, err);
}

/* Files of a context by what they are; those of stages and images by where they come from. */
static int bind_key(struct step *p, const struct mount *m, struct err *err)
{
	cleanup(origin_clear) struct origin o = ORIGIN_NONE;
	cleanup(files_clear) struct file_set set = { .root = -1 };
	const struct digest_store store = { p->stage->build->db, &p->stage->build->mutex };
	int r = origin_open(p->stage, m->from, &o, err);

	if (r < 0)
		return r;
	key_text(&p->key, o.key);
	if (o.key[0])
		return 0;
	const struct file_options how = { .ignore = o.ignore };
	set.root = o.root;
	r = files_add(&set, m->source ? m->source : ".", &how, err);
	return r < 0 ? r : files_digest(&set, /* owner= */ false, &store, &p->key, err);
}

int run_mounts_key(struct step *p, struct err *err)
{
	strv_foreach (flag, p->s->flags) {
		cleanup(mount_clear) struct mount m = { 0 };
		int r;
		if (strncmp(*flag, "--mount=", 8) != 0)
			continue;
		key_text(&p->key, *flag);
		r = parse(p, *flag + 8, &m, err);
		if (r == 0 && strcmp(m.type, "bind") == 0)
			r = bind_key(p, &m, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct instance_mount *add(
	struct instance_config *c, const char *type, const char *source, const struct mount *m)
{
	struct instance_mount *to = record_list_add(&c->mounts, sizeof(*to));

	*to = (struct instance_mount){
		.type = xstrdup(type), .source = xstrdup_null(source), .target = xstrdup(m->target)
	};
	return to;
}

/* What is written to it is nobody's: into a copy. */
static int writable_copy(int from, const char *dir, size_t n, char **ret, struct err *err)
{
	static const struct tree_copy how = { .keep_owner = true, .replace = true };
	cleanup(fd_close) int to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(free) char *name = xasprintf("bind%zu", n);
	int r;

	if (to < 0)
		return err_errno(err, "open '%s'", dir);
	r = tree_copy(from, to, name, &how, err);
	if (r == 0)
		*ret = xasprintf("%s/%s", dir, name);
	return r;
}

static int make_bind(struct step *p, const struct mount *m, const char *dir,
	struct instance_config *c, struct run_mounts *all, struct err *err)
{
	struct origin o = ORIGIN_NONE;
	cleanup(free) char *path = NULL;
	int fd, r = origin_open(p->stage, m->from, &o, err);

	if (r < 0)
		return r;
	all->origins = xrealloc_array(all->origins, all->n_origins + 2, sizeof(o));
	all->origins[all->n_origins++] = o;
	fd = open_in_root(o.root, m->source && *m->source ? m->source : ".", O_PATH, 0);
	if (fd < 0)
		return err_code(err, fd, "--mount: '%s'", m->source ? m->source : ".");
	all->origins[all->n_origins++] = (struct origin){ .root = fd, .owned = true };
	if (m->read_write) {
		r = writable_copy(fd, dir, all->n_origins, &path, err);
		if (r < 0)
			return r;
	} else {
		path = xasprintf("/proc/self/fd/%d", fd);
	}
	add(c, "bind", path, m)->read_only = !m->read_write;
	return 0;
}

static int make_cache(
	const struct mount *m, struct instance_config *c, struct run_mounts *all, struct err *err)
{
	char digest[DIGEST_LEN + 1];
	cleanup(free) char *path = NULL;
	bool locked = m->sharing && strcmp(m->sharing, "shared") != 0;
	int fd;

	if (m->sharing && strcmp(m->sharing, "shared") != 0 && strcmp(m->sharing, "locked") != 0 &&
		strcmp(m->sharing, "private") != 0)
		return err_set(err, EINVAL,
			"--mount: sharing=%s: expected shared, private or locked", m->sharing);
	if (m->from || m->source)
		return err_set(
			err, ENOTSUP, "--mount: a cache that begins with files (from, source)");
	hash_of(m->id, strlen(m->id), digest);
	path = xasprintf("%s/build-cache/%.32s", paths_root(), digest_hex(digest));
	if (access(path, F_OK) < 0) {
		int r = dir_make(path, 0700);
		if (r < 0)
			return err_code(err, r, "make '%s'", path);
		if (chmod(path, m->has_mode ? (mode_t)m->mode : 0755) < 0 ||
			((m->uid || m->gid) && chown(path, (uid_t)m->uid, (gid_t)m->gid) < 0))
			return err_errno(err, "give '%s' its owner and mode", path);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open '%s'", path);
	all->locks = xrealloc_array(all->locks, all->n_locks + 1, sizeof(int));
	all->locks[all->n_locks++] = fd;
	/* Shared also keeps it from being pruned. */
	while (flock(fd, locked ? LOCK_EX : LOCK_SH) < 0 && errno == EINTR)
		;
	add(c, "bind", path, m)->read_only = m->read_only;
	return 0;
}

/* id=ID[,src=FILE|,env=NAME] of the command line. 1, or 0 when there is no such secret. */
static int read_secret(const struct build *b, const char *id, struct buf *out, struct err *err)
{
	strv_foreach (secret, b->config->secrets) {
		cleanup(strv_free) char **parts = strv_split(*secret, ',');
		const char *name = strv_env_get(parts, "id"), *env = strv_env_get(parts, "env");
		const char *file = strv_env_get(parts, "src");
		int r;
		if (!name || strcmp(name, id) != 0)
			continue;
		if (!file)
			file = strv_env_get(parts, "source");
		buf_adds(out, "");
		if (!file && getenv(env ? env : id)) {
			buf_adds(out, getenv(env ? env : id));
			return 1;
		}
		if (env && !file)
			return err_set(err, ENOENT, "secret '%s': $%s is not set", id, env);
		r = file_read(AT_FDCWD, file ? file : id, MAX_SECRET, out);
		return r < 0 ? err_code(err, r, "secret '%s': read '%s'", id, file ? file : id) : 1;
	}
	return 0;
}

/* In RUN, which is in memory, and only while the step runs. */
static int make_secret(struct step *p, const struct mount *m, const char *run_dir,
	struct instance_config *c, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(free) char *path = NULL;
	int r = read_secret(p->stage->build, m->id, &text, err);

	if (r < 0)
		return r;
	if (r == 0)
		return m->required
			       ? err_set(err, ENOENT,
					 "secret '%s' is required: give it by --secret id=%s,src=FILE",
					 m->id, m->id)
			       : 0;
	if (m->env)
		strv_addf(&c->env, "%s=%s", m->env, text.data);
	if (!m->target) {
		r = 0;
	} else {
		path = xasprintf("%s/secret%zu", run_dir, c->mounts.n);
		r = file_write(AT_FDCWD, path, text.data, text.len,
			m->has_mode ? (mode_t)m->mode : 0400, 0);
		if (r == 0 && (m->uid || m->gid) && chown(path, (uid_t)m->uid, (gid_t)m->gid) < 0)
			r = -errno;
		if (r == 0)
			add(c, "bind", path, m)->read_only = true;
	}
	explicit_bzero(text.data, text.len);
	return r < 0 ? err_code(err, r, "secret '%s'", m->id) : 0;
}

static int make_ssh(
	struct step *p, const struct mount *m, struct instance_config *c, struct err *err)
{
	const char *socket = NULL;

	strv_foreach (ssh, p->stage->build->config->ssh) {
		size_t len = strcspn(*ssh, "=");
		if (strlen(m->id) != len || strncmp(*ssh, m->id, len) != 0)
			continue;
		socket = (*ssh)[len] ? *ssh + len + 1 : getenv("SSH_AUTH_SOCK");
		if (!socket || !*socket)
			return err_set(err, ENOENT, "--ssh %s: SSH_AUTH_SOCK is not set", *ssh);
	}
	if (!socket)
		return m->required ? err_set(err, ENOENT,
					     "an SSH agent is required: give it by --ssh %s", m->id)
				   : 0;
	add(c, "bind", socket, m);
	strv_addf(&c->env, "SSH_AUTH_SOCK=%s", m->target);
	return 0;
}

int run_mounts_make(struct step *p, const char *dir, struct instance_config *c,
	struct run_mounts *all, struct err *err)
{
	struct build *b = p->stage->build;
	cleanup(free) char *run_dir = xasprintf("%s/%s", b->run_dir, c->id);

	strv_foreach (flag, p->s->flags) {
		cleanup(mount_clear) struct mount m = { 0 };
		int r;
		if (strncmp(*flag, "--mount=", 8) != 0)
			continue;
		r = parse(p, *flag + 8, &m, err);
		if (r < 0)
			return r;
		if (strcmp(m.type, "bind") == 0)
			r = make_bind(p, &m, dir, c, all, err);
		else if (strcmp(m.type, "cache") == 0)
			r = make_cache(&m, c, all, err);
		else if (strcmp(m.type, "tmpfs") == 0)
			add(c, "tmpfs", NULL, &m)->tmpfs_size = m.size;
		else if (strcmp(m.type, "secret") == 0)
			r = make_secret(p, &m, run_dir, c, err);
		else
			r = make_ssh(p, &m, c, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void run_mounts_clear(struct run_mounts *m)
{
	for (size_t i = 0; i < m->n_origins; i++)
		origin_clear(&m->origins[i]);
	for (size_t i = 0; i < m->n_locks; i++)
		fd_close(m->locks[i]);
	free(m->origins);
	free(m->locks);
	*m = (struct run_mounts){ 0 };
}
