/* COPY and ADD. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "build/expand.h"
#include "build/internal.h"
#include "image/layer.h"

struct copy {
	struct step *p;
	bool is_add, link, parents;
	bool unpack, unpack_fetched; /* archives of the origin, and those that URLs give */
	char **sources;              /* patterns in the origin */
	char **urls;
	char **inlined; /* map: a file in inline_dir, what it is called: heredocs, and what URLs give */
	char *destination;
	char *chown, *chmod, *checksum;
	char **excluded; /* patterns, and what they mean: */
	struct ignore exclude;
	struct origin origin;
	char *inline_dir;
	int inline_root;
	struct file_set files, inline_files;
	struct file_copy how;
};

static void copy_clear(struct copy *c)
{
	strv_free(c->sources);
	strv_free(c->urls);
	strv_free(c->inlined);
	free(c->destination);
	free(c->chown);
	free(c->chmod);
	free(c->checksum);
	strv_free(c->excluded);
	free(c->inline_dir);
	ignore_clear(&c->exclude);
	origin_clear(&c->origin);
	files_clear(&c->files);
	files_clear(&c->inline_files);
	fd_close(c->inline_root);
}
DEFINE_CLEANUP_OBJECT(copy_clear, struct copy);

static const struct dockerfile_heredoc *heredoc_of(
	const struct dockerfile_step *s, const char *word)
{
	const char *p = strstr(word, "<<");
	cleanup(buf_free) struct buf name = { 0 };

	for (p = p ? p + 2 : ""; *p; p++)
		if (!strchr("-'\"", *p))
			buf_addc(&name, *p);
	for (size_t i = 0; name.len && i < s->n_heredocs; i++)
		if (strcmp(s->heredocs[i].name, name.data) == 0)
			return &s->heredocs[i];
	return NULL;
}

/* A path for a file that comes from elsewhere, and is called `name` where it goes. */
static int inline_path(struct copy *c, const char *name, char **ret, struct err *err)
{
	struct build *b = c->p->stage->build;
	cleanup(free) char *file = xasprintf("%zu", strv_len(c->inlined) / 2);

	if (!c->inline_dir) {
		cleanup(free) char *dir = build_name(b, "h");
		c->inline_dir = xasprintf("%s/%s", image_maker_path(b->maker), dir);
		if (mkdir(c->inline_dir, 0755) < 0)
			return err_errno(err, "make '%s'", c->inline_dir);
	}
	strv_add(&c->inlined, file);
	strv_add(&c->inlined, name);
	*ret = xasprintf("%s/%s", c->inline_dir, file);
	return 0;
}

static int inline_file(struct copy *c, const struct dockerfile_heredoc *h, struct err *err)
{
	cleanup(free) char *text = NULL, *path = NULL;
	int r;

	if (strchr(h->name, '/') || *h->name == '.')
		return err_set(err, EINVAL, "'%s' is no name for a file", h->name);
	if (h->expand) {
		cleanup(strv_free) char **vars = stage_vars(c->p->stage);
		r = expand_text(h->text, vars, &text, err);
		if (r < 0)
			return r;
	}
	r = inline_path(c, h->name, &path, err);
	if (r < 0)
		return r;
	r = file_write(
		AT_FDCWD, path, text ? text : h->text, strlen(text ? text : h->text), 0644, 0);
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

static int take_word(struct copy *c, const char *word, bool exec, bool last, struct err *err)
{
	const struct dockerfile_heredoc *h = exec || last ? NULL : heredoc_of(c->p->s, word);
	cleanup(free) char *value = NULL;
	int r;

	if (h)
		return inline_file(c, h, err);
	r = stage_expand(c->p->stage, word, &value, err);
	if (r < 0)
		return r;
	if (last)
		c->destination = take(value);
	else
		strv_add(c->is_add && add_is_url(value) ? &c->urls : &c->sources, value);
	return 0;
}

static int read_words(struct copy *c, struct err *err)
{
	const struct dockerfile_step *s = c->p->s;
	cleanup(strv_free) char **words = NULL;
	const char *at = s->text;
	size_t n;
	int r = 0;

	if (s->exec) {
		strv_add_all(&words, s->exec);
	} else {
		for (;;) {
			cleanup(free) char *word = dockerfile_word(&at, c->p->file->escape);
			if (!word)
				break;
			strv_add(&words, word);
		}
	}
	n = strv_len(words);
	if (n < 2)
		return err_set(err, EINVAL, "expected sources and a destination");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = take_word(c, words[i], s->exec, i + 1 == n, err);
	if (r == 0 && c->checksum && (n != 2 || !c->urls))
		return err_set(err, EINVAL, "--checksum is that of one URL");
	return r;
}

/* Absolute; a slash at its end says that it is a directory. */
static int place_destination(struct copy *c, struct err *err)
{
	const char *dir = c->p->stage->config.config.working_dir;
	size_t len = strlen(c->destination);
	bool slash = !len || c->destination[len - 1] == '/' || strcmp(c->destination, ".") == 0 ||
		     (len > 1 && strcmp(c->destination + len - 2, "/.") == 0);
	cleanup(free) char *path = *c->destination == '/'
					   ? xstrdup(c->destination)
					   : xasprintf("%s/%s", dir ? dir : "", c->destination);
	char clean[PATH_MAX];
	int r = tar_clean_name(path, clean);

	if (r < 0)
		return err_code(err, r, "'%s'", c->destination);
	free(c->destination);
	c->destination = xasprintf("%s%s", clean, slash && *clean ? "/" : "");
	return 0;
}

static int expand_flag(struct copy *c, const char *name, char **ret, struct err *err)
{
	const char *value = dockerfile_flag(c->p->s, name);
	int r;

	if (!value)
		return 0;
	r = stage_expand(c->p->stage, value, ret, err);
	return r < 0 ? err_wrap(err, "--%s", name) : 0;
}

/* --NAME, --NAME=true or false; off when it is not there. */
static int read_switch(const struct copy *c, const char *name, bool *ret, struct err *err)
{
	const char *value = dockerfile_flag(c->p->s, name);

	*ret = value;
	if (value && *value && parse_bool(value, ret) < 0)
		return err_set(err, EINVAL, "--%s=%s: expected true or false", name, value);
	return 0;
}

static int read_switches(struct copy *c, struct err *err)
{
	/* Names of users are those of the files below. */
	bool may_link = !c->chown || c->chown[strspn(c->chown, "0123456789:")] == '\0';
	int r = read_switch(c, "unpack", &c->unpack_fetched, err);

	c->unpack = c->is_add && (c->unpack_fetched || !dockerfile_flag(c->p->s, "unpack"));
	if (r == 0)
		r = read_switch(c, "parents", &c->parents, err);
	if (r == 0)
		r = read_switch(c, "link", &c->link, err);
	c->link &= may_link;
	return r;
}

static int read_mode(struct copy *c, struct err *err)
{
	int64_t mode;

	if (parse_mode(c->chmod, &mode) < 0)
		return err_set(
			err, EINVAL, "--chmod '%s': expected an octal mode, such as 755", c->chmod);
	c->how.set_mode = true;
	c->how.mode = (mode_t)mode;
	return 0;
}

static int read_flags(struct copy *c, struct err *err)
{
	int r = expand_flag(c, "chown", &c->chown, err);

	if (r == 0)
		r = expand_flag(c, "chmod", &c->chmod, err);
	if (r == 0 && c->chmod)
		r = read_mode(c, err);
	if (r == 0)
		r = expand_flag(c, "checksum", &c->checksum, err);
	if (r < 0)
		return r;
	if (c->checksum && !digest_valid(c->checksum))
		return err_set(err, EINVAL, "--checksum '%s': expected sha256: and 64 digits",
			c->checksum);
	strv_foreach (flag, c->p->s->flags) {
		cleanup(free) char *pattern = NULL;
		if (strncmp(*flag, "--exclude=", 10) != 0)
			continue;
		r = stage_expand(c->p->stage, *flag + 10, &pattern, err);
		if (r < 0)
			return r;
		ignore_add(&c->exclude, pattern);
		strv_add(&c->excluded, pattern);
	}
	return read_switches(c, err);
}

static int fetch_all(struct copy *c, struct err *err)
{
	int r = 0;

	strv_foreach (url, c->urls) {
		cleanup(free) char *name = NULL, *path = NULL;
		if (r == 0)
			r = add_url_name(*url, &name, err);
		if (r == 0)
			r = inline_path(c, name, &path, err);
		if (r == 0)
			r = add_fetch(*url, path, c->checksum, err);
	}
	return r;
}

static int collect_inlined(struct copy *c, struct err *err)
{
	static const struct file_options plain;
	int r = 0;

	if (!c->inlined)
		return 0;
	c->inline_root = open(c->inline_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->inline_root < 0)
		return err_errno(err, "open '%s'", c->inline_dir);
	c->inline_files.root = c->inline_root;
	map_foreach (kv, c->inlined) {
		if (r == 0)
			r = files_add(&c->inline_files, kv[0], &plain, err);
		if (r == 0)
			str_replace(&c->inline_files.items[c->inline_files.n - 1].to, kv[1]);
	}
	return r;
}

static int collect(struct copy *c, struct err *err)
{
	const struct file_options how = { .ignore = c->origin.ignore,
		.exclude = c->exclude.n ? &c->exclude : NULL,
		.parents = c->parents };
	int r = fetch_all(c, err);

	c->files.root = c->origin.root;
	strv_foreach (source, c->sources)
		if (r == 0)
			r = files_add(&c->files, *source, &how, err);
	if (r == 0)
		r = collect_inlined(c, err);
	if (r == 0 && strv_len(c->sources) + strv_len(c->inlined) / 2 > 1) {
		if (*c->destination && c->destination[strlen(c->destination) - 1] != '/')
			return err_set(err, EINVAL,
				"with several sources the destination is a directory: '%s/'",
				c->destination);
		c->files.below = c->inline_files.below = true;
	}
	return r;
}

static int add_key(struct copy *c, bool contents, struct err *err)
{
	struct step *p = c->p;
	const struct digest_store store = { p->stage->build->db, &p->stage->build->mutex };
	int r = 0;

	key_text(&p->key, c->destination);
	key_text(&p->key, c->chown);
	key_text(&p->key, c->chmod);
	key_text(&p->key, c->unpack ? "unpack" : NULL);
	key_text(&p->key, c->unpack_fetched ? "unpack" : NULL);
	if (!contents) {
		key_text(&p->key, "from");
		key_text(&p->key, c->origin.key);
		key_strv(&p->key, p->s->flags);
		key_strv(&p->key, c->excluded);
		key_strv(&p->key, c->sources);
		key_strv(&p->key, c->urls);
	} else {
		r = files_digest(
			&c->files, c->origin.keep_owner && !c->chown, &store, &p->key, err);
	}
	if (r == 0)
		r = files_digest(&c->inline_files, false, &store, &p->key, err);
	return r;
}

/* 0:0, whoever it was, of contexts; whose it was of stages and images. */
static int resolve_owner(struct copy *c, struct err *err)
{
	int r;

	c->how.keep_owner = c->origin.keep_owner && !c->chown;
	if (!c->chown)
		return 0;
	r = stage_owner(c->p->stage, c->chown, &c->how.uid, &c->how.gid, err);
	return r < 0 ? err_wrap(err, "--chown") : 0;
}

/* Takes archives that were named themselves, not those in a directory, out of the set. */
static int unpack_all(struct copy *c, struct file_set *set, int root, struct err *err)
{
	cleanup(free) char *into = xasprintf("%s/", c->destination);
	struct file_copy how = c->how;

	how.keep_owner = !c->chown;
	for (size_t i = 0; i < set->n;) {
		const struct file_entry *e = &set->items[i];
		int r = S_ISREG(e->st.st_mode) && e->top
				? add_unpack(c->p->stage->build, set, i, root, into, &how, err)
				: 0;
		if (r < 0)
			return r;
		i += r == 0;
	}
	return 0;
}

static int copy_all(struct copy *c, int root, struct err *err)
{
	struct file_copy inline_how = c->how;
	int r = c->unpack ? unpack_all(c, &c->files, root, err) : 0;

	if (r == 0 && c->unpack_fetched)
		r = unpack_all(c, &c->inline_files, root, err);
	if (r == 0 && c->files.n)
		r = files_copy(&c->files, root, c->destination, &c->how, err);
	inline_how.keep_owner = false;
	if (r == 0 && c->inline_files.n)
		r = files_copy(&c->inline_files, root, c->destination, &inline_how, err);
	return r;
}

static int make(struct copy *c, struct err *err)
{
	struct step *p = c->p;
	struct build *b = p->stage->build;
	cleanup(free) char *name = build_name(b, "c");
	cleanup(free) char *path = xasprintf("%s/%s", image_maker_path(b->maker), name);
	cleanup(fd_close) int root = -1, lower = -1;
	int r = resolve_owner(c, err);

	if (r < 0)
		return r;
	if (c->link) {
		if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
			return err_errno(err, "make '%s'", path);
		root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_errno(err, "open '%s'", path);
	} else {
		r = step_overlay(p, name, &root, err);
		if (r < 0)
			return r;
	}
	r = copy_all(c, root, err);
	root = fd_close(root);
	if (r < 0)
		return r;
	if (!c->link) {
		lower = stage_root(p->stage, err);
		if (lower < 0)
			return lower;
	}
	return step_made(p, name, lower, err);
}

/* By what the files come from first, which needs not read them; then by what they are. */
static int find_or_make(struct copy *c, struct err *err)
{
	struct step *p = c->p;
	struct hash begun = p->key;
	char quick[DIGEST_LEN + 1] = "";
	int r;

	if (c->origin.key[0]) {
		r = add_key(c, /* contents= */ false, err);
		if (r == 0)
			r = step_find(p, err);
		if (r)
			return r < 0 ? r : 0;
		memcpy(quick, p->digest, sizeof(quick));
		p->key = begun;
	}
	r = collect(c, err);
	if (r == 0)
		r = add_key(c, /* contents= */ true, err);
	if (r == 0)
		r = step_find(p, err);
	if (r == 0)
		r = make(c, err);
	if (r >= 0 && quick[0]) {
		struct layer_cached same = { .created = p->created };
		memcpy(same.same_as, p->digest, sizeof(same.same_as));
		if (p->has_layer)
			same.layer = p->stage->layers[p->stage->n_layers - 1];
		step_remember(p, quick, &same);
	}
	return r < 0 ? r : 0;
}

int step_copy(struct step *p, struct err *err)
{
	cleanup(copy_clear) struct copy c = { .p = p,
		.is_add = strcmp(p->s->keyword, "ADD") == 0,
		.origin = ORIGIN_NONE,
		.inline_root = -1 };
	char before[DIGEST_LEN + 1];
	int r = read_flags(&c, err);

	if (r == 0)
		r = read_words(&c, err);
	if (r == 0)
		r = place_destination(&c, err);
	if (r == 0)
		r = origin_open(p->stage, dockerfile_flag(p->s, "from"), &c.origin, err);
	if (r < 0)
		return r;
	/* What has the checksum needs not be fetched to be known. */
	if (c.checksum)
		memcpy(c.origin.key, c.checksum, sizeof(c.origin.key));
	memcpy(before, p->stage->key, sizeof(before));
	if (c.link) { /* a layer that is the same upon all others */
		hash_init(&p->key);
		key_text(&p->key, "link");
		if (p->stage->build->has_epoch)
			hash_add(&p->key, &p->stage->build->epoch, sizeof(int64_t));
	}
	r = find_or_make(&c, err);
	if (r == 0 && c.link) {
		struct hash h;
		hash_init(&h);
		key_text(&h, before);
		key_text(&h, p->digest);
		hash_end(&h, p->stage->key);
	}
	return r;
}
