#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"
#include "build/expand.h"
#include "build/internal.h"

int stages_error(const struct build *b, const struct dockerfile_step *s, struct err *err)
{
	return err_wrap(err, "%s:%d: %.100s", b->file.name, s->line, s->source);
}

const char *build_arg(const struct build *b, const char *name)
{
	size_t len = strlen(name);
	const char *value = NULL;

	strv_foreach (a, b->config->args) {
		if (strncmp(*a, name, len) != 0 || ((*a)[len] != '=' && (*a)[len] != '\0'))
			continue;
		value = (*a)[len] ? *a + len + 1 : getenv(name);
	}
	return value;
}

bool arg_is_predefined(const char *name)
{
	static const char *const names[] = { "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
		"ALL_PROXY" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* BUILDPLATFORM and so on are there before FROM, and in a stage once ARG names them. */
static void platform_args(struct build *b)
{
	static const char *const prefixes[] = { "TARGET", "BUILD" };
	struct platform host;

	platform_host(&host);
	for (size_t i = 0; i < 2; i++) {
		const struct platform *p = i ? &host : &b->platform;
		const char *slash = p->variant[0] ? "/" : "";
		strv_addf(&b->global_args, "%sPLATFORM=%s/%s%s%s", prefixes[i], p->os,
			p->architecture, slash, p->variant);
		strv_addf(&b->global_args, "%sOS=%s", prefixes[i], p->os);
		strv_addf(&b->global_args, "%sARCH=%s", prefixes[i], p->architecture);
		strv_addf(&b->global_args, "%sVARIANT=%s", prefixes[i], p->variant);
	}
}

int arg_declare(
	struct build *b, struct stage *stage, const char *text, char escape, struct err *err)
{
	char ***args = stage ? &stage->args : &b->global_args;

	for (;;) {
		cleanup(free) char *word = dockerfile_word(&text, escape), *value = NULL,
				   *line = NULL;
		const char *given;
		char *sign;
		if (!word)
			return 0;
		sign = strchr(word, '=');
		if (sign)
			*sign = '\0';
		given = build_arg(b, word);
		if (!given && sign) {
			cleanup(strv_free) char **vars =
				stage ? stage_vars(stage) : strv_copy(b->global_args);
			int r = expand_word(sign + 1, vars, b->file.escape, &value, err);
			if (r < 0)
				return r;
			given = value;
		}
		if (!given)
			given = strv_env_get(b->global_args, word);
		if (!given)
			continue;
		line = xasprintf("%s=%s", word, given);
		strv_env_set(args, line);
	}
}

ssize_t stage_find(const struct build *b, const char *name, size_t before)
{
	uint64_t number;

	for (size_t i = before; i-- > 0;)
		if (strcasecmp(b->stages[i].name, name) == 0)
			return (ssize_t)i;
	return parse_u64(name, UINT32_MAX, &number) == 0 && number < before ? (ssize_t)number : -1;
}

static int expand_from(const struct build *b, const char *word, char **ret, struct err *err)
{
	int r = expand_word(word, b->global_args, b->file.escape, ret, err);

	if (r == 0 && !**ret)
		return err_set(err, EINVAL,
			"'%s' is empty: give its ARG before FROM a value, or --build-arg", word);
	return r;
}

/* FROM [--platform=P] IMAGE [AS NAME] */
static int from(struct build *b, struct stage *stage, struct err *err)
{
	const struct dockerfile_step *s = stage->steps;
	const char *p = s->text, *platform = dockerfile_flag(s, "platform");
	cleanup(free) char *base = dockerfile_word(&p, b->file.escape),
			   *as = dockerfile_word(&p, b->file.escape),
			   *name = dockerfile_word(&p, b->file.escape),
			   *more = dockerfile_word(&p, b->file.escape);
	int r;

	if (more || (as && (strcasecmp(as, "AS") != 0 || !name)))
		return err_set(err, EINVAL, "expected FROM IMAGE [AS NAME]");
	if (name &&
		(!((*name | 32) >= 'a' && (*name | 32) <= 'z') ||
			name[strspn(name,
				"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")]))
		return err_set(err, EINVAL,
			"'%s' is no name for a stage: letters, digits, - _ and ., a letter first",
			name);
	if (name && stage_find(b, name, stage->index) >= 0)
		return err_set(err, EINVAL, "there is a stage '%s' already", name);
	stage->name = name ? xstrdup(name) : xasprintf("%zu", stage->index);
	r = expand_from(b, base, &stage->base_name, err);
	if (r == 0 && platform)
		r = expand_from(b, platform, &stage->platform, err);
	if (r < 0)
		return r;
	/* Only by name: "FROM 0" is an image. */
	stage->base = -1;
	for (size_t i = stage->index; stage->base < 0 && i-- > 0;)
		if (strcasecmp(b->stages[i].name, stage->base_name) == 0 && b->stages[i].steps)
			stage->base = (ssize_t)i;
	stage->needs = xcalloc(b->n_stages, sizeof(bool));
	if (stage->base >= 0)
		stage->needs[stage->base] = true;
	return 0;
}

static int need(struct build *b, struct stage *stage, const char *from, struct err *err)
{
	ssize_t i = stage_find(b, from, stage->index);

	/* What is needed must be known before anything runs. */
	if (strchr(from, '$'))
		return err_set(err, EINVAL,
			"from=%s: variables do not count here: give it a name by FROM %s AS NAME, with its ARG before the first FROM",
			from, from);
	if (i >= 0)
		stage->needs[i] = true;
	return 0;
}

/* COPY --from=STAGE, RUN --mount=...,from=STAGE. */
static int step_needs(
	struct build *b, struct stage *stage, const struct dockerfile_step *s, struct err *err)
{
	int r = 0;

	strv_foreach (flag, s->flags) {
		cleanup(strv_free) char **parts = NULL;
		if (strncmp(*flag, "--from=", 7) == 0)
			r = need(b, stage, *flag + 7, err);
		if (strncmp(*flag, "--mount=", 8) == 0)
			parts = strv_split(*flag + 8, ',');
		strv_foreach (part, parts)
			if (r == 0 && strncmp(*part, "from=", 5) == 0)
				r = need(b, stage, *part + 5, err);
		if (r < 0)
			return stages_error(b, s, err);
	}
	return 0;
}

static void mark_needed(struct build *b, size_t i)
{
	struct stage *stage = &b->stages[i];

	if (stage->needed)
		return;
	stage->needed = true;
	for (size_t k = 0; k < i; k++)
		if (stage->needs[k])
			mark_needed(b, k);
}

static int find_target(struct build *b, struct err *err)
{
	const char *name = b->config->target;
	ssize_t i = name && *name ? stage_find(b, name, b->n_stages) : (ssize_t)b->n_stages - 1;

	if (i < 0) {
		cleanup(strv_free) char **names = NULL;
		for (size_t k = 0; k < b->n_stages; k++)
			strv_add(&names, b->stages[k].name);
		cleanup(free) char *all = strv_join(names, ", ");
		return err_set(
			err, EINVAL, "%s has no stage '%s': it has %s", b->file.name, name, all);
	}
	b->target = (size_t)i;
	mark_needed(b, b->target);
	for (size_t k = 0; k < b->n_stages; k++) {
		if (!b->stages[k].needed)
			continue;
		b->stages[k].first_number = b->n_steps + 1;
		b->n_steps += (unsigned)b->stages[k].n_steps;
	}
	return 0;
}

static int split(struct build *b, struct err *err)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; i < b->file.n; i++)
		b->n_stages += strcmp(b->file.steps[i].keyword, "FROM") == 0;
	if (!b->n_stages)
		return err_set(err, EINVAL,
			"%s: there is no FROM: it names the image to begin with", b->file.name);
	b->stages = xcalloc(b->n_stages, sizeof(*b->stages));
	for (; r == 0 && strcmp(b->file.steps[at].keyword, "FROM") != 0; at++) {
		const struct dockerfile_step *s = &b->file.steps[at];
		if (strcmp(s->keyword, "ARG") != 0)
			return err_set(err, EINVAL,
				"%s:%d: only ARG may stand before FROM (%.100s)", b->file.name,
				s->line, s->source);
		r = arg_declare(b, NULL, s->text, b->file.escape, err);
		if (r < 0)
			return stages_error(b, s, err);
	}
	for (size_t n = 0; r == 0 && at < b->file.n; n++) {
		struct stage *stage = &b->stages[n];
		stage->build = b;
		stage->index = n;
		stage->steps = &b->file.steps[at++];
		stage->n_steps = 1;
		for (; at < b->file.n && strcmp(b->file.steps[at].keyword, "FROM") != 0; at++)
			stage->n_steps++;
		r = from(b, stage, err);
		if (r < 0)
			return stages_error(b, stage->steps, err);
		for (size_t i = 1; r == 0 && i < stage->n_steps; i++)
			r = step_needs(b, stage, &stage->steps[i], err);
	}
	return r;
}

int stages_make(struct build *b, struct err *err)
{
	int r;

	platform_args(b);
	r = split(b, err);
	return r < 0 ? r : find_target(b, err);
}

void stages_clear(struct build *b)
{
	for (size_t i = 0; i < b->n_stages; i++) {
		struct stage *stage = &b->stages[i];
		free(stage->name);
		free(stage->base_name);
		free(stage->platform);
		free(stage->needs);
		free(stage->layers);
		free(stage->made);
		strv_free(stage->args);
		image_config_clear(&stage->config);
	}
	free(b->stages);
	strv_free(b->global_args);
}
