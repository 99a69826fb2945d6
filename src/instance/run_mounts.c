/*
 * -v, --mount, --tmpfs and --volumes-from into struct instance_mount, by Docker's rules: a source with
 * a slash in front, or a dot, is a directory of the host; any other is a volume's name. A later mount
 * over the same target is an error, except that those of --volumes-from give way.
 */
#include "instance/run_options.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "instance/instance.h"

static const char *const propagations[] = { "rprivate", "private", "rshared", "shared", "rslave",
	"slave", NULL };

static bool one_of(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

static struct instance_mount *find_target(struct record_list *mounts, const char *target)
{
	for (size_t i = 0; i < mounts->n; i++) {
		struct instance_mount *m = mounts->items[i];
		if (strcmp(m->target, target) == 0)
			return m;
	}
	return NULL;
}

/* Checks what all kinds share and makes the item. `option` and `text` name it in errors. */
static int add_mount(const char *option, const char *text, const char *target,
	struct record_list *mounts, struct instance_mount **ret, struct err *err)
{
	cleanup(free) char *clean = NULL;

	if (target[0] != '/')
		return err_set(err, EINVAL, "%s: '%s': the target '%s' is not an absolute path",
			option, text, target);
	clean = path_absolute(target);
	if (strcmp(clean, "/") == 0)
		return err_set(err, EINVAL, "%s: '%s': the target cannot be /", option, text);
	if (find_target(mounts, clean))
		return err_set(err, EEXIST, "%s: '%s': something is mounted at %s already", option,
			text, clean);
	*ret = record_list_add(mounts, sizeof(**ret));
	(*ret)->target = take(clean);
	return 0;
}

/* Fills in a bind's or volume's source. */
static int set_source(const char *option, const char *text, const char *source,
	struct instance_mount *m, struct err *err)
{
	if (source[0] == '/' || source[0] == '.') {
		m->type = xstrdup("bind");
		m->source = path_absolute(source);
		if (!m->source)
			return err_set(err, ENOENT,
				"%s: '%s': the current directory is gone: change to another, or write an absolute path",
				option, text);
		return 0;
	}
	if (*source && !name_valid(source))
		return err_set(err, EINVAL,
			"%s: '%s': '%s' is no volume's name (a-z A-Z 0-9 _ . -); a directory is given "
			"as /... or ./...",
			option, text, source);
	m->type = xstrdup("volume");
	m->source = xstrdup(source);
	return 0;
}

/* One word after the second colon of -v. `seen` keeps a kind from being given twice. */
static int apply_mode(const char *text, const char *mode, struct instance_mount *m, unsigned *seen,
	struct err *err)
{
	enum { ACCESS = 1, LABEL = 2, PROPAGATION = 4, COPY = 8, CONSISTENCY = 16 };
	static const char
		*const access[] = { "ro", "rw", NULL },
		       *const label[] = { "z", "Z", NULL }, *const copy[] = { "nocopy", NULL },
		       *const consistency[] = { "consistent", "cached", "delegated", NULL };
	bool bind = strcmp(m->type, "bind") == 0;
	unsigned kind = one_of(mode, access)         ? ACCESS
			: one_of(mode, label)        ? LABEL
			: one_of(mode, propagations) ? PROPAGATION
			: one_of(mode, copy)         ? COPY
			: one_of(mode, consistency)  ? CONSISTENCY
						     : 0;

	if (!kind)
		return err_set(err, EINVAL,
			"--volume: '%s': '%s' is not an option (ro, rw, z, Z, nocopy, rprivate, rshared, "
			"rslave, ...)",
			text, mode);
	if (*seen & kind)
		return err_set(err, EINVAL, "--volume: '%s': '%s' contradicts an option before it",
			text, mode);
	if ((kind == PROPAGATION && !bind) || (kind == COPY && bind))
		return err_set(err, EINVAL, "--volume: '%s': '%s' goes with a %s alone", text, mode,
			bind ? "volume" : "directory of the host");
	*seen |= kind;
	if (kind == ACCESS)
		m->read_only = strcmp(mode, "ro") == 0;
	else if (kind == PROPAGATION)
		m->propagation = xstrdup(mode);
	else if (kind == COPY)
		m->no_copy = true;
	return 0;
}

static int add_volume(const char *text, struct record_list *mounts, struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(text, ':');
	size_t n = strv_len(parts);
	const char *source = n > 1 ? parts[0] : "", *target = n > 1 ? parts[1] : parts[0];
	struct instance_mount *m;
	unsigned seen = 0;
	int r;

	if (n > 3 || !*target || (n > 1 && !*source))
		return err_set(err, EINVAL, "--volume: '%s' is not [SOURCE:]PATH[:OPTIONS]", text);
	r = add_mount("--volume", text, target, mounts, &m, err);
	if (r == 0)
		r = set_source("--volume", text, source, m, err);
	if (r < 0)
		return r;
	m->create_source = strcmp(m->type, "bind") == 0;
	if (n == 3) {
		cleanup(strv_free) char **modes = strv_split(parts[2], ',');
		for (char **mode = modes; r == 0 && *mode; mode++)
			r = apply_mode(text, *mode, m, &seen, err);
	}
	return r;
}

static int apply_tmpfs_option(
	const char *text, const char *option, struct instance_mount *m, struct err *err)
{
	static const char *const plain[] = { "rw", "exec", "noexec", "suid", "nosuid", "dev",
		"nodev", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
		"strictatime", "nostrictatime", "sync", "async", NULL };
	static const char *const numbers[] = { "uid=", "gid=", "nr_inodes=", "nr_blocks=", NULL };
	int64_t v;

	if (strncmp(option, "size=", 5) == 0) {
		/* A percentage of the memory is the kernel's to work out. */
		if (option[strlen(option) - 1] == '%') {
			strv_add(&m->tmpfs_options, option);
			return 0;
		}
		if (parse_size(option + 5, &m->tmpfs_size) == 0 && m->tmpfs_size >= 0)
			return 0;
	} else if (strncmp(option, "mode=", 5) == 0) {
		if (parse_mode(option + 5, &m->tmpfs_mode) == 0)
			return 0;
	} else if (strcmp(option, "ro") == 0) {
		m->read_only = true;
		return 0;
	} else if (one_of(option, plain)) {
		strv_add(&m->tmpfs_options, option);
		return 0;
	}
	for (const char *const *p = numbers; *p; p++)
		if (strncmp(option, *p, strlen(*p)) == 0 &&
			parse_size(option + strlen(*p), &v) == 0) {
			strv_add(&m->tmpfs_options, option);
			return 0;
		}
	return err_set(err, EINVAL, "--tmpfs: '%s': '%s' is not an option of tmpfs", text, option);
}

static int add_tmpfs(const char *text, struct record_list *mounts, struct err *err)
{
	cleanup(free) char *target = xstrndup(text, strcspn(text, ":"));
	const char *rest = text + strlen(target);
	cleanup(strv_free) char **options = *rest && rest[1] ? strv_split(rest + 1, ',') : NULL;
	struct instance_mount *m;
	int r = add_mount("--tmpfs", text, target, mounts, &m, err);

	if (r < 0)
		return r;
	m->type = xstrdup("tmpfs");
	for (char **option = options; r == 0 && option && *option; option++)
		r = apply_tmpfs_option(text, *option, m, err);
	return r;
}

/* One line of comma-separated values; a value in double quotes may hold commas (RFC 4180). */
static char **split_csv(const char *text)
{
	cleanup(buf_free) struct buf value = { 0 };
	char **values = NULL;
	bool quoted = false;

	for (const char *p = text;; p++) {
		if (*p == '"' && quoted && p[1] == '"') {
			buf_addc(&value, '"');
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!*p || (*p == ',' && !quoted)) {
			strv_add(&values, value.data ? value.data : "");
			value.len = 0;
			if (value.data)
				value.data[0] = '\0';
			if (!*p)
				return values;
		} else {
			buf_addc(&value, *p);
		}
	}
}

struct mount_spec {
	const char *text;
	const char *type, *source, *target;
	struct instance_mount m;
};

enum mount_key {
	KEY_TYPE,
	KEY_SOURCE,
	KEY_TARGET,
	KEY_READ_ONLY,
	KEY_CONSISTENCY,
	KEY_PROPAGATION,
	KEY_NON_RECURSIVE,
	KEY_RECURSIVE,
	KEY_CREATE_SOURCE,
	KEY_NO_COPY,
	KEY_DRIVER,
	KEY_SIZE,
	KEY_MODE
};

static const struct mount_key_row {
	const char *name;
	enum mount_key key;
	bool flag;        /* the value may be left out */
	const char *type; /* the only type it goes with, or NULL */
} mount_keys[] = {
	{ "type", KEY_TYPE, false, NULL },
	{ "source", KEY_SOURCE, false, NULL },
	{ "src", KEY_SOURCE, false, NULL },
	{ "target", KEY_TARGET, false, NULL },
	{ "destination", KEY_TARGET, false, NULL },
	{ "dst", KEY_TARGET, false, NULL },
	{ "readonly", KEY_READ_ONLY, true, NULL },
	{ "ro", KEY_READ_ONLY, true, NULL },
	{ "consistency", KEY_CONSISTENCY, false, NULL },
	{ "bind-propagation", KEY_PROPAGATION, false, "bind" },
	{ "bind-nonrecursive", KEY_NON_RECURSIVE, true, "bind" },
	{ "bind-recursive", KEY_RECURSIVE, false, "bind" },
	{ "bind-create-src", KEY_CREATE_SOURCE, true, "bind" },
	{ "volume-nocopy", KEY_NO_COPY, true, "volume" },
	{ "volume-driver", KEY_DRIVER, false, "volume" },
	{ "tmpfs-size", KEY_SIZE, false, "tmpfs" },
	{ "tmpfs-mode", KEY_MODE, false, "tmpfs" },
};

static const struct mount_key_row *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++)
		if (strcmp(mount_keys[i].name, name) == 0)
			return &mount_keys[i];
	return NULL;
}

/* The value of a key into the spec; false when it makes no sense. */
static bool apply_key(struct mount_spec *s, enum mount_key key, const char *value)
{
	static const char *const types[] = { "bind", "volume", "tmpfs", NULL };

	switch (key) {
	case KEY_TYPE:
		s->type = value;
		return one_of(value, types);
	case KEY_SOURCE:
		s->source = value;
		return *value;
	case KEY_TARGET:
		s->target = value;
		return *value;
	case KEY_READ_ONLY:
		return parse_bool(value, &s->m.read_only) == 0;
	case KEY_CONSISTENCY:
		return true;
	case KEY_PROPAGATION:
		str_replace(&s->m.propagation, value);
		return one_of(value, propagations);
	case KEY_NON_RECURSIVE:
		return parse_bool(value, &s->m.non_recursive) == 0;
	case KEY_RECURSIVE:
		s->m.non_recursive = strcmp(value, "disabled") == 0;
		s->m.writable_below = strcmp(value, "writable") == 0;
		return s->m.non_recursive || s->m.writable_below || strcmp(value, "enabled") == 0 ||
		       strcmp(value, "readonly") == 0;
	case KEY_CREATE_SOURCE:
		return parse_bool(value, &s->m.create_source) == 0;
	case KEY_NO_COPY:
		return parse_bool(value, &s->m.no_copy) == 0;
	case KEY_DRIVER:
		return strcmp(value, "local") == 0;
	case KEY_SIZE:
		return parse_size(value, &s->m.tmpfs_size) == 0 && s->m.tmpfs_size > 0;
	case KEY_MODE:
		return parse_mode(value, &s->m.tmpfs_mode) == 0;
	}
	return false;
}

/* All keys of one --mount. The first round finds the type, which others depend on. */
static int apply_keys(struct mount_spec *s, char **pairs, bool only_type, struct err *err)
{
	strv_foreach (pair, pairs) {
		cleanup(free) char *name = xstrndup(*pair, strcspn(*pair, "="));
		const char *value = (*pair)[strlen(name)] ? *pair + strlen(name) + 1 : NULL;
		const struct mount_key_row *row = find_key(name);
		if (!row && (strcmp(name, "volume-opt") == 0 || strcmp(name, "volume-label") == 0))
			return err_set(err, ENOTSUP,
				"--mount: '%s': %s belongs to 'holm volume create', whose volume can then "
				"be mounted",
				s->text, name);
		if (!row)
			return err_set(
				err, EINVAL, "--mount: '%s': unknown key '%s'", s->text, name);
		if ((row->key == KEY_TYPE) != only_type)
			continue;
		if (!value && !row->flag)
			return err_set(
				err, EINVAL, "--mount: '%s': '%s' needs a value", s->text, name);
		if (row->type && strcmp(row->type, s->type) != 0)
			return err_set(err, EINVAL, "--mount: '%s': '%s' goes with type=%s alone",
				s->text, name, row->type);
		if (!apply_key(s, row->key, value ? value : "true"))
			return err_set(err, EINVAL, "--mount: '%s': '%s' is not a value of '%s'",
				s->text, value ? value : "", name);
	}
	return 0;
}

static int check_spec(const struct mount_spec *s, struct err *err)
{
	bool bind = strcmp(s->type, "bind") == 0;

	if (!s->target)
		return err_set(err, EINVAL, "--mount: '%s': no target=PATH", s->text);
	if (bind && !s->source)
		return err_set(err, EINVAL, "--mount: '%s': type=bind needs source=PATH", s->text);
	if (bind && s->source[0] != '/' && s->source[0] != '.')
		return err_set(err, EINVAL,
			"--mount: '%s': the source '%s' is not an absolute path", s->text,
			s->source);
	if (bind && !s->m.create_source && access(s->source, F_OK) < 0)
		return err_errno(err, "--mount: '%s': the source '%s'", s->text, s->source);
	if (strcmp(s->type, "tmpfs") == 0 && s->source)
		return err_set(err, EINVAL, "--mount: '%s': type=tmpfs has no source", s->text);
	if (strcmp(s->type, "volume") == 0 && s->source && !name_valid(s->source))
		return err_set(
			err, EINVAL, "--mount: '%s': '%s' is no volume's name", s->text, s->source);
	return 0;
}

static int add_spec(const char *text, struct record_list *mounts, struct err *err)
{
	cleanup(strv_free) char **pairs = split_csv(text);
	struct mount_spec s = { .text = text, .type = "volume" };
	struct instance_mount *m;
	int r = apply_keys(&s, pairs, true, err);

	if (r == 0)
		r = apply_keys(&s, pairs, false, err);
	if (r == 0)
		r = check_spec(&s, err);
	if (r == 0)
		r = add_mount("--mount", text, s.target, mounts, &m, err);
	if (r < 0) {
		free(s.m.propagation);
		return r;
	}
	s.m.target = m->target;
	*m = s.m;
	if (strcmp(s.type, "tmpfs") == 0)
		m->type = xstrdup("tmpfs");
	else
		r = set_source("--mount", text, s.source ? s.source : "", m, err);
	return r;
}

/* What another instance has mounted, tmpfs aside, where nothing of our own is. */
static int add_from(struct db *db, const char *text, struct record_list *mounts, struct err *err)
{
	cleanup(free) char *name = xstrndup(text, strcspn(text, ":"));
	const char *mode = text[strlen(name)] ? text + strlen(name) + 1 : "";
	cleanup(instance_free) struct instance *from = NULL;

	if (*mode && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
		return err_set(
			err, EINVAL, "--volumes-from: '%s': '%s' is neither ro nor rw", text, mode);
	if (instance_find(db, name, &from, err) < 0)
		return err_wrap(err, "--volumes-from");
	for (size_t i = 0; i < from->config.mounts.n; i++) {
		const struct instance_mount *old = from->config.mounts.items[i];
		struct instance_mount *m;
		if (strcmp(old->type, "tmpfs") == 0 || find_target(mounts, old->target))
			continue;
		m = record_list_add(mounts, sizeof(*m));
		m->type = xstrdup(old->type);
		m->source = xstrdup_null(old->source);
		m->target = xstrdup(old->target);
		m->propagation = xstrdup_null(old->propagation);
		m->read_only = old->read_only || strcmp(mode, "ro") == 0;
		m->no_copy = true;
		m->non_recursive = old->non_recursive;
		m->writable_below = old->writable_below;
	}
	return 0;
}

int run_mounts(
	struct db *db, const struct run_options *o, struct instance_config *c, struct err *err)
{
	const struct {
		char **items;
		int (*add)(const char *text, struct record_list *mounts, struct err *err);
	} kinds[] = { { o->volumes, add_volume }, { o->mounts, add_spec },
		{ o->tmpfs, add_tmpfs } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		strv_foreach (item, kinds[i].items) {
			int r = kinds[i].add(*item, &c->mounts, err);
			if (r < 0)
				return r;
		}
	}
	strv_foreach (item, o->volumes_from) {
		int r = add_from(db, *item, &c->mounts, err);
		if (r < 0)
			return r;
	}
	return 0;
}
