/*
 * Steps. Those that make files have a key: that of the files below, and all that they themselves take in. What only
 * changes the configuration is not part of it, except by what RUN sees of it. The layer that a key stands for is
 * made once.
 */
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
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "build/expand.h"
#include "build/internal.h"
#include "image/change.h"
#include "image/layer.h"
#include "instance/root.h"
#include "instance/spec.h"

#define MAX_LAYERS 480
/* ns; writing back is too much for every step of some milliseconds. */
#define KEEP_AFTER INT64_C(1000000000)
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void key_text(struct hash *h, const char *text)
{
	uint64_t len = text ? strlen(text) : UINT64_MAX;

	hash_add(h, &len, sizeof(len));
	if (text)
		hash_add(h, text, (size_t)len);
}

void key_strv(struct hash *h, char *const *v)
{
	uint64_t n = strv_len(v);

	hash_add(h, &n, sizeof(n));
	strv_foreach (s, v)
		key_text(h, *s);
}

char **stage_vars(const struct stage *stage)
{
	char **vars = strv_copy(stage->args);

	strv_foreach (e, stage->config.config.env)
		strv_env_set(&vars, *e);
	return vars;
}

int stage_expand(const struct stage *stage, const char *word, char **ret, struct err *err)
{
	cleanup(strv_free) char **vars = stage_vars(stage);

	return expand_word(word, vars, stage->build->file.escape, ret, err);
}

char **stage_layer_dirs(const struct stage *stage)
{
	char **dirs = NULL;

	for (size_t i = 0; i < stage->n_layers; i++) {
		cleanup(free) char *dir =
			image_maker_layer_dir(stage->build->maker, &stage->layers[i]);
		strv_add(&dirs, dir);
	}
	/* An overlay lies upon something. */
	if (!dirs)
		strv_addf(&dirs, "%s/empty", image_maker_path(stage->build->maker));
	return dirs;
}

int stage_root(const struct stage *stage, struct err *err)
{
	cleanup(strv_free) char **dirs = stage_layer_dirs(stage);

	return root_mount(dirs, NULL, NULL, err);
}

int step_overlay(struct step *p, const char *name, int *ret_root, struct err *err)
{
	const char *tmp = image_maker_path(p->stage->build->maker);
	cleanup(strv_free) char **dirs = stage_layer_dirs(p->stage);
	cleanup(free) char *upper = xasprintf("%s/%s", tmp, name),
			   *work = xasprintf("%s/%sw", tmp, name);
	int fd;

	if (mkdir(upper, 0755) < 0 || chmod(upper, 0755) < 0 || mkdir(work, 0755) < 0)
		return err_errno(err, "make '%s'", upper);
	fd = root_mount_ephemeral(dirs, upper, work, err);
	if (fd < 0)
		return fd;
	*ret_root = fd;
	return 0;
}

static int add_layer(struct step *p, const struct made_layer *layer, struct err *err)
{
	struct stage *stage = p->stage;

	memcpy(stage->key, p->digest, sizeof(stage->key));
	p->has_layer = layer->diff_id[0];
	if (!p->has_layer)
		return 0;
	if (stage->n_layers == MAX_LAYERS)
		return err_set(err, E2BIG, "an image has at most %d layers", MAX_LAYERS);
	stage->layers = xrealloc_array(stage->layers, stage->n_layers + 1, sizeof(*layer));
	stage->layers[stage->n_layers++] = *layer;
	return 0;
}

int step_find(struct step *p, struct err *err)
{
	struct build *b = p->stage->build;
	struct layer_cached cached;
	int r;

	hash_end(&p->key, p->digest);
	if (b->config->no_cache)
		return 0;
	pthread_mutex_lock(&b->mutex);
	r = layer_cache_find(b->db, p->digest, &cached, err);
	pthread_mutex_unlock(&b->mutex);
	if (r <= 0)
		return r;
	p->is_cached = true;
	p->created = cached.created;
	if (cached.same_as[0])
		memcpy(p->digest, cached.same_as, sizeof(p->digest));
	r = add_layer(p, &cached.layer, err);
	return r < 0 ? r : 1;
}

void step_remember(struct step *p, const char *key, const struct layer_cached *what)
{
	struct stage *stage = p->stage;
	struct build_cached made = { .what = *what };

	snprintf(made.key, sizeof(made.key), "%s", key);
	stage->made = xrealloc_array(stage->made, stage->n_made + 1, sizeof(made));
	stage->made[stage->n_made++] = made;
}

int step_made(struct step *p, const char *name, int lower, struct err *err)
{
	struct build *b = p->stage->build;
	const struct layer_source source = { .clamp = b->has_epoch ? &b->epoch : NULL,
		.lower = lower };
	struct layer_cached made = { 0 };
	int r = name ? image_maker_layer(b->maker, name, &source, &made.layer, err) : 0;

	if (r < 0)
		return r;
	made.created = p->created = b->has_epoch ? b->epoch : time_now();
	step_remember(p, p->digest, &made);
	return add_layer(p, &made.layer, err);
}

/* Each word expanded. The caller frees. */
static int expand_words(struct step *p, char ***ret, struct err *err)
{
	cleanup(strv_free) char **words = NULL;
	const char *at = p->s->text;

	for (;;) {
		cleanup(free) char *word = dockerfile_word(&at, p->file->escape), *value = NULL;
		int r;
		if (!word)
			break;
		r = stage_expand(p->stage, word, &value, err);
		if (r < 0)
			return r;
		strv_add(&words, value);
	}
	*ret = take(words);
	return 0;
}

static int one_text(struct step *p, char **ret, struct err *err)
{
	int r = stage_expand(p->stage, p->s->text, ret, err);

	if (r == 0 && !**ret)
		return err_set(err, EINVAL, "%s is empty", p->s->text);
	return r;
}

typedef void pair_fn(struct stage *stage, const char *name, const char *value);

/* NAME=VALUE ..., or NAME VALUE as of old. All see the values of before the instruction. */
static int pairs(struct step *p, pair_fn *fn, struct err *err)
{
	cleanup(strv_free) char **vars = stage_vars(p->stage);
	cleanup(strv_free) char **done = NULL;
	const char *at = p->s->text;
	char escape = p->file->escape;
	bool old_form = false;
	int r = 0;

	for (bool first = true;; first = false) {
		cleanup(free) char *word = dockerfile_word(&at, escape), *name = NULL,
				   *value = NULL;
		char *sign;
		if (!word)
			break;
		sign = strchr(word, '=');
		if (!sign && first) {
			old_form = true;
			while (*at == ' ' || *at == '\t')
				at++;
			if (!*at)
				return err_set(
					err, EINVAL, "'%s' needs a value: %s=VALUE", word, word);
		} else if (!sign || sign == word) {
			return err_set(err, EINVAL, "expected NAME=VALUE, not '%s'", word);
		} else {
			*sign = '\0';
		}
		r = expand_word(word, vars, escape, &name, err);
		if (r == 0)
			r = expand_word(old_form ? at : sign + 1, vars, escape, &value, err);
		if (r < 0)
			return r;
		strv_add(&done, name);
		strv_add(&done, value);
		if (old_form)
			break;
	}
	map_foreach (kv, done)
		fn(p->stage, kv[0], kv[1]);
	return 0;
}

static void set_env(struct stage *stage, const char *name, const char *value)
{
	cleanup(free) char *line = xasprintf("%s=%s", name, value);

	strv_env_set(&stage->config.config.env, line);
}

static void set_label(struct stage *stage, const char *name, const char *value)
{
	map_set(&stage->config.config.labels, name, value);
}

static int step_env(struct step *p, struct err *err)
{
	return pairs(p, set_env, err);
}

static int step_label(struct step *p, struct err *err)
{
	return pairs(p, set_label, err);
}

static int step_arg(struct step *p, struct err *err)
{
	return arg_declare(p->stage->build, p->stage, p->s->text, p->file->escape, err);
}

static int step_expose(struct step *p, struct err *err)
{
	cleanup(free) char *text = NULL, *line = NULL;
	int r = one_text(p, &text, err);

	if (r < 0)
		return r;
	line = xasprintf("EXPOSE %s", text);
	return image_change(&p->stage->config, line, err);
}

static int step_volume(struct step *p, struct err *err)
{
	struct image_process *c = &p->stage->config.config;
	cleanup(strv_free) char **words = NULL;
	int r = 0;

	if (!p->s->exec) {
		r = expand_words(p, &words, err);
	} else {
		strv_foreach (e, p->s->exec) {
			cleanup(free) char *value = NULL;
			if (r == 0)
				r = stage_expand(p->stage, *e, &value, err);
			if (r == 0)
				strv_add(&words, value);
		}
	}
	strv_foreach (word, words)
		if (r == 0 && !strv_contains(c->volumes, *word))
			strv_add(&c->volumes, *word);
	return r;
}

static int step_user(struct step *p, struct err *err)
{
	cleanup(free) char *text = NULL;
	int r = one_text(p, &text, err);

	if (r == 0)
		str_replace(&p->stage->config.config.user, text);
	return r;
}

static int step_stop_signal(struct step *p, struct err *err)
{
	cleanup(free) char *text = NULL, *line = NULL;
	int r = one_text(p, &text, err);

	if (r < 0)
		return r;
	line = xasprintf("STOPSIGNAL %s", text);
	return image_change(&p->stage->config, line, err);
}

static int step_maintainer(struct step *p, struct err *err)
{
	str_replace(&p->stage->config.author, p->s->text);
	return 0;
}

/* Those that take their text as it is. */
static int step_plain(struct step *p, struct err *err)
{
	struct image_process *c = &p->stage->config.config;
	cleanup(buf_free) struct buf line = { 0 };
	bool entrypoint = strcmp(p->s->keyword, "ENTRYPOINT") == 0;

	if (!*p->s->text) { /* CMD or ENTRYPOINT alone, or [] below, take it away */
		strv_free(entrypoint ? c->entrypoint : c->cmd);
		*(entrypoint ? &c->entrypoint : &c->cmd) = NULL;
	} else {
		int r;
		buf_addf(&line, "%s %s", p->s->keyword, p->s->text);
		r = image_change(&p->stage->config, line.data, err);
		if (r < 0)
			return r;
	}
	/* A command is for its own entry point (Docker). */
	if (entrypoint && !p->stage->has_cmd) {
		strv_free(c->cmd);
		c->cmd = NULL;
	}
	p->stage->has_cmd |= strcmp(p->s->keyword, "CMD") == 0;
	return 0;
}

static int step_onbuild(struct step *p, struct err *err)
{
	cleanup(dockerfile_clear) struct dockerfile d = { 0 };
	cleanup(buf_free) struct buf text = { 0 };
	int r;

	buf_adds(&text, p->s->text);
	for (size_t i = 0; i < p->s->n_heredocs; i++)
		buf_addf(&text, "\n%s%s", p->s->heredocs[i].text, p->s->heredocs[i].name);
	r = dockerfile_parse("ONBUILD", text.data, text.len, &d, err);
	if (r < 0)
		return r;
	if (d.n != 1 || strcmp(d.steps[0].keyword, "ONBUILD") == 0 ||
		strcmp(d.steps[0].keyword, "FROM") == 0 ||
		strcmp(d.steps[0].keyword, "MAINTAINER") == 0)
		return err_set(err, EINVAL,
			"ONBUILD takes one instruction, not FROM, MAINTAINER or ONBUILD");
	strv_add(&p->stage->config.config.on_build, text.data);
	return 0;
}

int stage_owner(
	const struct stage *stage, const char *user, uid_t *uid, gid_t *gid, struct err *err)
{
	cleanup(strv_free) char **dirs = stage_layer_dirs(stage);
	const struct image image = { .layer_dirs = dirs };
	struct bundle_user found = { 0 };
	uint64_t number;
	int r = spec_user(&image, NULL, user, NULL, &found, NULL, err);

	free(found.additional_gids.v);
	if (r < 0)
		return r;
	*uid = found.uid;
	*gid = found.gid;
	if (user && parse_u64(user, UINT32_MAX - 1, &number) == 0)
		*gid = found.uid;
	return 0;
}

static int make_workdir(struct step *p, const char *name, struct err *err)
{
	struct image_process *c = &p->stage->config.config;
	cleanup(fd_close) int root = -1, lower = -1, dir = -1;
	bool made = false;
	uid_t uid;
	gid_t gid;
	int r = stage_owner(p->stage, c->user, &uid, &gid, err);

	if (r == 0)
		r = step_overlay(p, name, &root, err);
	if (r < 0)
		return r;
	dir = files_make_dir(root, c->working_dir, uid, gid, &made, err);
	if (dir < 0)
		return dir;
	dir = fd_close(dir);
	root = fd_close(root);
	lower = stage_root(p->stage, err);
	return lower < 0 ? lower : step_made(p, made ? name : NULL, lower, err);
}

int step_workdir(struct step *p, struct err *err)
{
	struct image_process *c = &p->stage->config.config;
	cleanup(free) char *text = NULL, *path = NULL, *name = NULL;
	char clean[PATH_MAX];
	int r = one_text(p, &text, err);

	if (r < 0)
		return r;
	path = *text == '/' ? xstrdup(text)
			    : xasprintf("%s/%s", c->working_dir ? c->working_dir : "", text);
	r = tar_clean_name(path, clean);
	if (r < 0)
		return err_code(err, r, "'%s'", path);
	free(c->working_dir);
	c->working_dir = xasprintf("/%s", clean);
	if (!*clean)
		return 0;
	key_text(&p->key, c->working_dir);
	key_text(&p->key, c->user);
	r = step_find(p, err);
	if (r)
		return r < 0 ? r : 0;
	name = build_name(p->stage->build, "w");
	return make_workdir(p, name, err);
}

static const struct {
	const char *keyword;
	int (*run)(struct step *p, struct err *err);
} kinds[] = {
	{ "ADD", step_copy },
	{ "ARG", step_arg },
	{ "CMD", step_plain },
	{ "COPY", step_copy },
	{ "ENTRYPOINT", step_plain },
	{ "ENV", step_env },
	{ "EXPOSE", step_expose },
	{ "HEALTHCHECK", step_plain },
	{ "LABEL", step_label },
	{ "MAINTAINER", step_maintainer },
	{ "ONBUILD", step_onbuild },
	{ "RUN", step_run },
	{ "SHELL", step_plain },
	{ "STOPSIGNAL", step_stop_signal },
	{ "USER", step_user },
	{ "VOLUME", step_volume },
	{ "WORKDIR", step_workdir },
};

static int check_flags(const struct dockerfile_step *s, struct err *err)
{
	static const struct {
		const char *keyword;
		const char *flags;
	} known[] = { { "ADD", " chown chmod link exclude checksum keep-git-dir unpack " },
		{ "COPY", " from chown chmod link parents exclude " }, { "FROM", " platform " },
		{ "RUN", " mount network security " } };

	strv_foreach (flag, s->flags) {
		cleanup(free) char *name =
			xasprintf(" %.*s ", (int)strcspn(*flag + 2, "="), *flag + 2);
		bool ok = false;
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			ok |= strcmp(known[i].keyword, s->keyword) == 0 &&
			      strstr(known[i].flags, name);
		if (!ok)
			return err_set(err, EINVAL, "%s has no option '%s'", s->keyword, *flag);
	}
	return 0;
}

static int dispatch(struct step *p, struct err *err)
{
	int r = check_flags(p->s, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].keyword, p->s->keyword) == 0)
			return kinds[i].run(p, err);
	return r < 0 ? r : err_set(err, EINVAL, "%s is not allowed here", p->s->keyword);
}

static void add_history(struct step *p)
{
	struct image_history *h = record_list_add(&p->stage->config.history, sizeof(*h));

	h->created = p->created; /* 0: the image's, which is known at the end */
	h->created_by = xstrdup(p->created_by ? p->created_by : p->s->source);
	h->empty_layer = !p->has_layer;
}

static int run_step(struct stage *stage, const struct dockerfile *file,
	const struct dockerfile_step *s, unsigned number, struct err *err)
{
	struct step p = { .stage = stage, .s = s, .file = file, .number = number };
	struct build_event event = {
		.kind = BUILD_START, .step = number, .stage = stage->name, .text = s->source
	};
	int64_t begun = time_monotonic();
	int r = build_check(stage->build, err);

	if (r < 0)
		return r;
	build_tell(stage->build, &event);
	hash_init(&p.key);
	key_text(&p.key, stage->key);
	key_text(&p.key, s->keyword);
	if (stage->build->has_epoch)
		hash_add(&p.key, &stage->build->epoch, sizeof(stage->build->epoch));
	r = dispatch(&p, err);
	if (r == 0)
		add_history(&p);
	if (r == 0 && time_monotonic() - stage->kept > KEEP_AFTER)
		r = build_keep(stage, err);
	free(p.created_by);
	event.kind = r < 0 ? BUILD_FAILED : BUILD_DONE;
	event.cached = p.is_cached;
	event.ns = time_monotonic() - begun;
	build_tell(stage->build, &event);
	if (r < 0)
		err_wrap(err, "%s:%d: %.100s", file->name, s->line, s->source);
	return r;
}

static int copy_config(const struct image_config *from, struct image_config *to, struct err *err)
{
	cleanup(free) char *text = image_config_text(from);

	return image_config_parse(text, strlen(text), to, err);
}

static int from_stage(struct stage *stage, const struct stage *base, struct err *err)
{
	int r = copy_config(&base->config, &stage->config, err);

	stage->layers = xcalloc(base->n_layers + 1, sizeof(*stage->layers));
	memcpy(stage->layers, base->layers, base->n_layers * sizeof(*stage->layers));
	stage->n_layers = base->n_layers;
	stage->args = strv_copy(base->args);
	memcpy(stage->key, base->key, sizeof(stage->key));
	return r;
}

static int from_scratch(struct stage *stage, const struct platform *platform)
{
	struct image_config *c = &stage->config;

	c->architecture = xstrdup(platform->architecture);
	c->os = xstrdup(platform->os);
	if (platform->variant[0])
		c->variant = xstrdup(platform->variant);
	strv_add(&c->config.env, DEFAULT_PATH);
	hash_of("scratch", 7, stage->key);
	return 0;
}

static int find_image(struct stage *stage, struct image **ret, struct err *err)
{
	struct build *b = stage->build;
	const struct build_config *c = b->config;
	struct err why = { 0 };
	int r = c->pull ? -ENOENT : image_find(b->db, stage->base_name, ret, &why);

	if (r == -ENOENT && c->fetch) {
		r = c->fetch(c->fetch_data, b->db, stage->base_name, err);
		return r < 0 ? r : image_find(b->db, stage->base_name, ret, err);
	}
	if (r == -ENOENT && c->pull)
		return image_find(b->db, stage->base_name, ret, err);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int from_image(struct stage *stage, const struct platform *platform, struct err *err)
{
	cleanup(image_free) struct image *image = NULL;
	struct build *b = stage->build;
	const char *arch;
	int r;

	pthread_mutex_lock(&b->mutex);
	r = find_image(stage, &image, err);
	if (r == 0)
		r = image_made_layers(b->db, image, &stage->layers, &stage->n_layers, err);
	pthread_mutex_unlock(&b->mutex);
	if (r == 0)
		r = copy_config(&image->config, &stage->config, err);
	if (r < 0)
		return r;
	arch = stage->config.architecture;
	if ((b->config->platform || stage->platform) && strcmp(arch, platform->architecture) != 0)
		return err_set(err, EINVAL, "'%s' is for %s, not for %s", stage->base_name, arch,
			platform->architecture);
	memcpy(stage->key, image->id, sizeof(stage->key));
	return 0;
}

/* What an image wants done to those that are built upon it. */
static int run_triggers(struct stage *stage, char *const *triggers, struct err *err)
{
	int r = 0;

	strv_foreach (text, triggers) {
		cleanup(dockerfile_clear) struct dockerfile d = { 0 };
		cleanup(free) char *name = xasprintf("ONBUILD of %s", stage->base_name);
		if (r == 0)
			r = dockerfile_parse(name, *text, strlen(*text), &d, err);
		for (size_t i = 0; r == 0 && i < d.n; i++)
			r = run_step(stage, &d, &d.steps[i], stage->first_number, err);
	}
	return r;
}

static int run_from(struct stage *stage, struct err *err)
{
	struct build *b = stage->build;
	struct build_event event = { .kind = BUILD_START,
		.step = stage->first_number,
		.stage = stage->name,
		.text = stage->steps->source };
	struct platform platform = b->platform;
	int64_t begun = time_monotonic();
	int r = check_flags(stage->steps, err);

	build_tell(b, &event);
	if (r == 0 && stage->platform)
		r = platform_parse(stage->platform, &platform, err);
	if (r == 0 && stage->base >= 0)
		r = from_stage(stage, &b->stages[stage->base], err);
	else if (r == 0 && strcmp(stage->base_name, "scratch") == 0)
		r = from_scratch(stage, &platform);
	else if (r == 0)
		r = from_image(stage, &platform, err);
	event.kind = r < 0 ? BUILD_FAILED : BUILD_DONE;
	event.cached = r == 0;
	event.ns = time_monotonic() - begun;
	build_tell(b, &event);
	return r < 0 ? stages_error(b, stage->steps, err) : 0;
}

int stage_run(struct stage *stage, struct err *err)
{
	cleanup(strv_free) char **triggers = NULL;
	int r = run_from(stage, err);

	if (r < 0)
		return r;
	stage->kept = time_monotonic();
	triggers = stage->config.config.on_build;
	stage->config.config.on_build = NULL;
	if (stage->base < 0)
		r = run_triggers(stage, triggers, err);
	for (size_t i = 1; r == 0 && i < stage->n_steps; i++)
		r = run_step(stage, &stage->build->file, &stage->steps[i],
			stage->first_number + (unsigned)i, err);
	return r;
}
