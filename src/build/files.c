#include "build/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "image/layer.h"
#include "image/layer_cache.h"

#define MAX_DEPTH 400
#define MAX_ENTRIES (8u << 20)

void files_clear(struct file_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->items[i].from);
		free(set->items[i].to);
	}
	free(set->items);
	set->items = NULL;
	set->n = 0;
}

int files_open(const struct file_set *set, const struct file_entry *e, int flags)
{
	return open_in_root(
		set->root, *e->from ? e->from : ".", flags | (e->top ? 0 : O_NOFOLLOW), 0);
}

static char *join(const char *dir, const char *name)
{
	return !*dir ? xstrdup(name) : !*name ? xstrdup(dir) : xasprintf("%s/%s", dir, name);
}

static struct file_entry *add(
	struct file_set *set, const char *from, const char *to, const struct stat *st)
{
	if (!(set->n & (set->n - 1)))
		set->items =
			xrealloc_array(set->items, set->n ? 2 * set->n : 1, sizeof(*set->items));
	set->items[set->n] = (struct file_entry){ xstrdup(from), xstrdup(to), *st, false };
	return &set->items[set->n++];
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a directory in the root. */
static int list(int root, const char *path, char ***ret)
{
	int fd = open_in_root(root, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char **names = NULL;
	size_t n = 0, cap = 0;

	if (!d) {
		fd_close(fd);
		return fd < 0 ? fd : -errno;
	}
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (n + 1 >= cap) {
			cap = cap ? 2 * cap : 16;
			names = xrealloc_array(names, cap, sizeof(char *));
		}
		names[n++] = xstrdup(e->d_name);
		names[n] = NULL;
	}
	closedir(d);
	if (n)
		qsort(names, n, sizeof(char *), by_name);
	*ret = names;
	return 0;
}

/* lstat() in the root. */
static int look(int root, const char *path, struct stat *st)
{
	cleanup(fd_close) int fd = open_in_root(root, *path ? path : ".", O_PATH | O_NOFOLLOW, 0);

	return fd < 0 ? fd : fstat(fd, st) < 0 ? -errno : 0;
}

struct walk {
	struct file_set *set;
	const struct file_options *how;
	struct err *err;
	int depth;
};

/* `from` with links in its middle resolved is where it is; `named` is what patterns see. `inner`: below what was
 * named, for --exclude. */
static int walk(struct walk *w, const char *from, const char *named, const char *to,
	const char *inner, const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode), ignored, excluded;
	cleanup(strv_free) char **names = NULL;
	int r;

	ignored = w->how->ignore && *named && ignore_match(w->how->ignore, named);
	excluded = w->how->exclude && *inner && ignore_match(w->how->exclude, inner);
	if (S_ISSOCK(st->st_mode) || (!dir && (ignored || excluded)) ||
		(excluded && !w->how->exclude->any_negated) ||
		(ignored && !w->how->ignore->any_negated))
		return 0;
	if (w->set->n >= MAX_ENTRIES)
		return err_set(w->err, EFBIG, "more than %u files", MAX_ENTRIES);
	size_t before = w->set->n;
	add(w->set, from, to, st);
	if (!dir)
		return 0;
	if (++w->depth > MAX_DEPTH)
		return err_set(w->err, ELOOP, "'%s' is more than %d deep", named, MAX_DEPTH);
	r = list(w->set->root, from, &names);
	if (r < 0)
		return err_code(w->err, r, "read '%s'", named);
	strv_foreach (name, names) {
		cleanup(free) char *child = join(from, *name), *child_named = join(named, *name),
				   *child_to = join(to, *name), *child_inner = join(inner, *name);
		struct stat child_st;
		r = look(w->set->root, child, &child_st);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return err_code(w->err, r, "look at '%s'", child_named);
		r = walk(w, child, child_named, child_to, child_inner, &child_st);
		if (r < 0)
			return r;
	}
	w->depth--;
	/* Nothing in it was wanted after all. */
	if ((ignored || excluded) && w->set->n == before + 1) {
		free(w->set->items[before].from);
		free(w->set->items[before].to);
		w->set->n--;
	}
	return 0;
}

/* "./a/./b" keeps b: what is before a "/./" in it does not. */
static const char *pivot(const char *pattern, char *kept)
{
	const char *p = strstr(pattern, "/./");

	if (!p || p == pattern)
		p = pattern;
	tar_clean_name(p, kept);
	return kept;
}

static int add_parents(struct walk *w, const char *path, const char *kept)
{
	size_t offset = strlen(path) - strlen(kept);

	for (const char *p = kept; (p = strchr(p, '/')); p++) {
		cleanup(free) char *to = xstrndup(kept, (size_t)(p - kept)),
				   *from = xstrndup(path, offset + (size_t)(p - kept));
		bool known = false;
		struct stat st;
		for (size_t i = 0; !known && i < w->set->n; i++)
			known = strcmp(w->set->items[i].to, to) == 0;
		if (!known && look(w->set->root, from, &st) == 0 && S_ISDIR(st.st_mode))
			add(w->set, from, to, &st)->top = true;
	}
	return 0;
}

/* One path that a pattern has led to. Links named themselves are followed. */
static int add_path(struct walk *w, const char *path, const char *pattern, bool *ret_any)
{
	cleanup(fd_close) int fd = open_in_root(w->set->root, *path ? path : ".", O_PATH, 0);
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char kept[PATH_MAX];
	struct stat st;
	size_t before = w->set->n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (w->how->ignore && !S_ISDIR(st.st_mode) && ignore_match(w->how->ignore, path))
		return 0;
	if (w->how->parents) {
		size_t len = strlen(pivot(pattern, kept)), have = strlen(path);
		const char *tail = path;
		/* As many parts as the pattern has behind its pivot. */
		size_t parts = len ? 1 : 0, i;
		for (i = 0; i < len; i++)
			parts += kept[i] == '/';
		for (i = have; i > 0; i--)
			if (path[i - 1] == '/' && --parts == 0)
				break;
		tail = path + i;
		add_parents(w, path, tail);
		r = walk(w, path, path, tail, base, &st);
	} else if (S_ISDIR(st.st_mode)) {
		r = walk(w, path, path, "", "", &st);
		if (w->set->n > before)
			w->set->items[before].top = true;
		else
			return r;
	} else {
		r = walk(w, path, path, base, base, &st);
		if (r == 0 && w->set->n > before)
			w->set->items[before].top = true;
	}
	w->set->below |= S_ISDIR(st.st_mode) || w->how->parents;
	*ret_any |= w->set->n > before;
	return r;
}

static bool has_wildcard(const char *s)
{
	return s[strcspn(s, "*?[\\")] != '\0';
}

/* Part by part, so that only directories that may lead there are read. */
static int glob(
	struct walk *w, const char *dir, const char *rest, const char *pattern, bool *ret_any)
{
	size_t len = strcspn(rest, "/");
	cleanup(free) char *part = xstrndup(rest, len);
	cleanup(strv_free) char **names = NULL;
	const char *next = rest + len + (rest[len] == '/');
	int r = 0;

	if (!*part)
		return add_path(w, dir, pattern, ret_any);
	if (!has_wildcard(part)) {
		cleanup(free) char *path = join(dir, part);
		return *next ? glob(w, path, next, pattern, ret_any)
			     : add_path(w, path, pattern, ret_any);
	}
	if (strcmp(part, "**") == 0) /* no directory at all */
		r = glob(w, dir, next, pattern, ret_any);
	if (r < 0 || list(w->set->root, dir, &names) < 0)
		return r;
	strv_foreach (name, names) {
		cleanup(free) char *path = join(dir, *name);
		struct stat st;
		if (r < 0 || !pattern_match(part, *name, false))
			continue;
		if (strcmp(part, "**") == 0) {
			if (look(w->set->root, path, &st) == 0 && S_ISDIR(st.st_mode))
				r = glob(w, path, rest, pattern, ret_any);
		} else {
			r = *next ? glob(w, path, next, pattern, ret_any)
				  : add_path(w, path, pattern, ret_any);
		}
	}
	return r;
}

int files_add(
	struct file_set *set, const char *pattern, const struct file_options *how, struct err *err)
{
	struct walk w = { .set = set, .how = how, .err = err };
	char clean[PATH_MAX];
	bool any = false;
	size_t before = set->n;
	int r = tar_clean_name(pattern, clean);

	/* Docker: what leads out ends at the root. */
	while (r == -EPERM && (pattern = strchr(pattern, '/')))
		r = tar_clean_name(++pattern, clean);
	if (r < 0)
		return err_code(err, r, "'%s'", pattern ? pattern : "..");
	r = glob(&w, "", clean, pattern, &any);
	if (r < 0)
		return r;
	if (!any && !(set->n == before && !*clean))
		return err_set(err, ENOENT, "'%s' is not there%s", pattern,
			how->ignore && how->ignore->n ? " (or .dockerignore leaves it out)" : "");
	return 0;
}

static void hash_number(struct hash *h, uint64_t v)
{
	hash_add(h, &v, sizeof(v));
}

static void hash_text(struct hash *h, const char *s)
{
	hash_number(h, strlen(s));
	hash_add(h, s, strlen(s));
}

static int digest_contents(int fd, struct hash *h)
{
	char data[65536];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		hash_add(h, data, (size_t)n);
	}
	return 0;
}

static int file_digest(const struct file_set *set, const struct file_entry *e,
	const struct digest_store *store, char digest[DIGEST_LEN + 1], struct err *err)
{
	cleanup(fd_close) int fd = -1;
	struct hash h;
	struct stat st;
	int r;

	pthread_mutex_lock(store->mutex);
	r = file_digest_find(store->db, &e->st, digest, err);
	pthread_mutex_unlock(store->mutex);
	if (r)
		return r < 0 ? r : 0;
	fd = files_open(set, e, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return err_code(err, fd, "open '%s'", e->from);
	hash_init(&h);
	r = fstat(fd, &st) < 0 ? -errno : digest_contents(fd, &h);
	if (r < 0)
		return err_code(err, r, "read '%s'", e->from);
	hash_end(&h, digest);
	pthread_mutex_lock(store->mutex);
	r = file_digest_add(store->db, &st, digest, err);
	pthread_mutex_unlock(store->mutex);
	return r;
}

/* Those that the copy keeps. */
static void hash_xattrs(struct hash *h, const struct file_set *set, const struct file_entry *e)
{
	cleanup(fd_close) int fd = files_open(set, e, O_PATH);
	char self[64], names[4096], value[4096];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = fd < 0 ? -1 : listxattr(self, names, sizeof(names));
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len = getxattr(self, p, value, sizeof(value));
		if (len < 0 || strncmp(p, "trusted.overlay.", 16) == 0 ||
			strncmp(p, "user.overlay.", 13) == 0)
			continue;
		hash_text(h, p);
		hash_number(h, (uint64_t)len);
		hash_add(h, value, (size_t)len);
	}
}

static int digest_entry(const struct file_set *set, const struct file_entry *e, bool owner,
	const struct digest_store *store, struct hash *h, struct err *err)
{
	char text[DIGEST_LEN + 1], target[PATH_MAX];
	int r = 0;

	hash_text(h, e->to);
	hash_number(h, e->st.st_mode);
	hash_number(h, e->top);
	if (owner) {
		hash_number(h, e->st.st_uid);
		hash_number(h, e->st.st_gid);
	}
	if (S_ISREG(e->st.st_mode)) {
		r = file_digest(set, e, store, text, err);
		if (r == 0)
			hash_text(h, text);
	} else if (S_ISLNK(e->st.st_mode)) {
		cleanup(fd_close) int fd = files_open(set, e, O_PATH);
		ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
		if (n < 0)
			return err_errno(err, "read the link '%s'", e->from);
		target[n] = '\0';
		hash_text(h, target);
	} else if (!S_ISDIR(e->st.st_mode)) {
		hash_number(h, e->st.st_rdev);
	}
	if (r == 0 && !S_ISLNK(e->st.st_mode))
		hash_xattrs(h, set, e);
	return r;
}

int files_digest(const struct file_set *set, bool owner, const struct digest_store *store,
	struct hash *h, struct err *err)
{
	int r = 0;

	hash_number(h, set->n);
	hash_number(h, set->below);
	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = digest_entry(set, &set->items[i], owner, store, h, err);
	return r;
}
