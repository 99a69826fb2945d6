/*
 * Instructions of `import --change`, `commit --change` and Dockerfiles: Docker's Dockerfile reference, those that only touch the
 * configuration. Variables are not expanded: there is no build here that could have set any.
 */
#include "image/change.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"

#define MAX_INSTRUCTION (64u << 10)

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* One word of `s` with its quotes resolved; NULL at the end, or -EINVAL by *r for an open quote. */
static char *next_word(const char **s, int *r)
{
	cleanup(buf_free) struct buf word = { 0 };
	const char *p = skip_blanks(*s);
	char quote = 0;

	if (!*p)
		return NULL;
	for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
		else if (*p == '\\' && quote != '\'' && p[1] && (!quote || strchr("\"\\$", p[1])))
			buf_addc(&word, *++p);
		else
			buf_addc(&word, *p);
	}
	if (quote) {
		*r = -EINVAL;
		return NULL;
	}
	*s = p;
	return buf_detach(&word);
}

static int split_words(const char *s, char ***ret, struct err *err)
{
	cleanup(strv_free) char **words = NULL;
	int r = 0;

	for (;;) {
		cleanup(free) char *word = next_word(&s, &r);
		if (!word)
			break;
		strv_add(&words, word);
	}
	if (r < 0)
		return err_set(err, EINVAL, "a quote is not closed");
	*ret = take(words);
	return 0;
}

/* Exec form: a JSON array of strings. 1, or 0 when it is not one (then it is shell form). */
static int parse_exec(const char *text, char ***ret)
{
	cleanup(json_free) json_t *j =
		text[0] == '[' ? json_parse(text, strlen(text), "exec form", NULL) : NULL;
	cleanup(strv_free) char **words = NULL;
	json_t *item;
	size_t i;

	if (!json_is_array(j))
		return 0;
	json_array_foreach (j, i, item) {
		if (!json_is_string(item))
			return 0;
		strv_add(&words, json_string_value(item));
	}
	*ret = take(words);
	return 1;
}

static void replace(char ***dst, char **words)
{
	strv_free(*dst);
	*dst = words;
}

static void command_words(const struct image_process *p, const char *text, char ***ret)
{
	char **words = NULL;

	if (!parse_exec(text, &words)) {
		if (p->shell) {
			strv_add_all(&words, p->shell);
		} else {
			strv_add(&words, "/bin/sh");
			strv_add(&words, "-c");
		}
		strv_add(&words, text);
	}
	replace(ret, words);
}

static int change_cmd(struct image_process *p, const char *text, struct err *err)
{
	command_words(p, text, &p->cmd);
	return 0;
}

static int change_entrypoint(struct image_process *p, const char *text, struct err *err)
{
	command_words(p, text, &p->entrypoint);
	return 0;
}

typedef void pair_fn(struct image_process *p, const char *key, const char *value);

/* KEY=VALUE ..., or the old form of one pair without the sign. */
static int change_pairs(struct image_process *p, const char *text, pair_fn *fn, struct err *err)
{
	cleanup(strv_free) char **words = NULL;
	int r = split_words(text, &words, err);

	if (r < 0)
		return r;
	if (words && !strchr(words[0], '=')) {
		size_t len = strcspn(text, " \t");
		cleanup(free) char *key = xstrndup(text, len);
		const char *value = skip_blanks(text + len);
		if (!*value)
			return err_set(err, EINVAL, "'%s' needs a value: %s=VALUE", key, key);
		fn(p, key, value);
		return 0;
	}
	strv_foreach (word, words) {
		char *sign = strchr(*word, '=');
		if (!sign || sign == *word)
			return err_set(err, EINVAL, "expected NAME=VALUE, not '%s'", *word);
		*sign = '\0';
		fn(p, *word, sign + 1);
	}
	return 0;
}

static void set_env(struct image_process *p, const char *key, const char *value)
{
	cleanup(free) char *assignment = xasprintf("%s=%s", key, value);

	strv_env_set(&p->env, assignment);
}

static void set_label(struct image_process *p, const char *key, const char *value)
{
	map_set(&p->labels, key, value);
}

static int change_env(struct image_process *p, const char *text, struct err *err)
{
	return change_pairs(p, text, set_env, err);
}

static int change_label(struct image_process *p, const char *text, struct err *err)
{
	return change_pairs(p, text, set_label, err);
}

static int add_unique(char ***list, char *const *words)
{
	strv_foreach (word, words)
		if (!strv_contains(*list, *word))
			strv_add(list, *word);
	return 0;
}

/* "80", "80/udp", "8000-8010/tcp" */
static int expose_one(struct image_process *p, const char *word, struct err *err)
{
	cleanup(free) char *ports = xstrdup(word);
	char *slash = strchr(ports, '/'), *dash;
	const char *protocol = "tcp";
	uint64_t first, last;

	if (slash) {
		*slash++ = '\0';
		for (char *c = slash; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		protocol = slash;
	}
	dash = strchr(ports, '-');
	if (dash)
		*dash++ = '\0';
	if (parse_u64(ports, 65535, &first) < 0 || first == 0 ||
		parse_u64(dash ? dash : ports, 65535, &last) < 0 || last < first)
		return err_set(
			err, EINVAL, "'%s' is no port: expected PORT[-PORT][/PROTOCOL]", word);
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
		strcmp(protocol, "sctp") != 0)
		return err_set(
			err, EINVAL, "'%s': unknown protocol, expected tcp, udp or sctp", word);
	for (uint64_t port = first; port <= last; port++) {
		cleanup(free) char *one = xasprintf("%u/%s", (unsigned)port, protocol);
		if (!strv_contains(p->exposed, one))
			strv_add(&p->exposed, one);
	}
	return 0;
}

static int change_expose(struct image_process *p, const char *text, struct err *err)
{
	cleanup(strv_free) char **words = NULL;
	int r = split_words(text, &words, err);

	strv_foreach (word, words)
		if (r == 0)
			r = expose_one(p, *word, err);
	return r;
}

static int change_volume(struct image_process *p, const char *text, struct err *err)
{
	cleanup(strv_free) char **words = NULL;

	if (!parse_exec(text, &words)) {
		int r = split_words(text, &words, err);
		if (r < 0)
			return r;
	}
	return add_unique(&p->volumes, words);
}

static int change_shell(struct image_process *p, const char *text, struct err *err)
{
	char **words = NULL;

	if (!parse_exec(text, &words) || !words) {
		strv_free(words);
		return err_set(err, EINVAL, "expected a JSON array, such as [\"/bin/sh\", \"-c\"]");
	}
	replace(&p->shell, words);
	return 0;
}

static int change_user(struct image_process *p, const char *text, struct err *err)
{
	str_replace(&p->user, text);
	return 0;
}

static int change_stop_signal(struct image_process *p, const char *text, struct err *err)
{
	if (text[strcspn(text, " \t")])
		return err_set(err, EINVAL, "expected one signal, not '%s'", text);
	str_replace(&p->stop_signal, text);
	return 0;
}

static int change_workdir(struct image_process *p, const char *text, struct err *err)
{
	const char *base = p->working_dir ? p->working_dir : "/";
	const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
	char *path = text[0] == '/' ? xstrdup(text) : xasprintf("%s%s%s", base, slash, text);

	free(p->working_dir);
	p->working_dir = path;
	return 0;
}

static int change_on_build(struct image_process *p, const char *text, struct err *err)
{
	strv_add(&p->on_build, text);
	return 0;
}

static int health_flag(struct image_health *h, const char *word, struct err *err)
{
	const struct {
		const char *name;
		int64_t *ns;
	} durations[] = { { "--interval=", &h->interval }, { "--timeout=", &h->timeout },
		{ "--start-period=", &h->start_period },
		{ "--start-interval=", &h->start_interval } };
	const char *value = strchr(word, '=');

	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		if (strncmp(word, durations[i].name, strlen(durations[i].name)) != 0)
			continue;
		if (parse_duration(value + 1, durations[i].ns) < 0 || *durations[i].ns < 0)
			return err_set(err, EINVAL, "'%s': expected a duration such as 30s", word);
		return 0;
	}
	if (strncmp(word, "--retries=", 10) == 0) {
		if (parse_i64(word + 10, 0, INT32_MAX, &h->retries) < 0)
			return err_set(err, EINVAL, "'%s': expected a number", word);
		return 0;
	}
	return err_set(err, EINVAL, "unknown option '%s'", word);
}

static int parse_health(struct image_health *h, const char *text, struct err *err)
{
	const char *p = text;
	int r = 0;

	while (strncmp(p, "--", 2) == 0) {
		cleanup(free) char *word = next_word(&p, &r);
		r = word ? health_flag(h, word, err)
			 : err_set(err, EINVAL, "a quote is not closed");
		if (r < 0)
			return r;
		p = skip_blanks(p);
	}
	if (strcasecmp(p, "NONE") == 0) {
		strv_add(&h->test, "NONE");
		return 0;
	}
	if (strncasecmp(p, "CMD", 3) != 0 || (p[3] != ' ' && p[3] != '\t' && p[3] != '['))
		return err_set(err, EINVAL, "expected [OPTIONS] CMD command, or NONE");
	p = skip_blanks(p + 3);
	if (!*p)
		return err_set(err, EINVAL, "CMD needs a command");
	strv_free(h->test);
	h->test = NULL;
	if (*p == '[') {
		cleanup(strv_free) char **words = NULL;
		if (parse_exec(p, &words)) {
			strv_add(&h->test, "CMD");
			strv_add_all(&h->test, words);
			return 0;
		}
	}
	strv_add(&h->test, "CMD-SHELL");
	strv_add(&h->test, p);
	return 0;
}

static int change_healthcheck(struct image_process *p, const char *text, struct err *err)
{
	struct image_health health = { 0 };
	int r = parse_health(&health, text, err);

	if (r < 0) {
		strv_free(health.test);
		return r;
	}
	if (!p->health)
		p->health = xnew(struct image_health);
	strv_free(p->health->test);
	*p->health = health;
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct image_process *p, const char *text, struct err *err);
} instructions[] = {
	{ "CMD", change_cmd },
	{ "ENTRYPOINT", change_entrypoint },
	{ "ENV", change_env },
	{ "EXPOSE", change_expose },
	{ "HEALTHCHECK", change_healthcheck },
	{ "LABEL", change_label },
	{ "ONBUILD", change_on_build },
	{ "SHELL", change_shell },
	{ "STOPSIGNAL", change_stop_signal },
	{ "USER", change_user },
	{ "VOLUME", change_volume },
	{ "WORKDIR", change_workdir },
};

int image_change(struct image_config *config, const char *instruction, struct err *err)
{
	const char *word = skip_blanks(instruction);
	size_t len = strcspn(word, " \t[");
	cleanup(free) char *text = NULL;

	if (strlen(instruction) > MAX_INSTRUCTION)
		return err_set(
			err, EINVAL, "an instruction is longer than %u KiB", MAX_INSTRUCTION >> 10);
	text = xstrdup(skip_blanks(word + len));
	for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (strlen(instructions[i].name) != len ||
			strncasecmp(instructions[i].name, word, len) != 0)
			continue;
		if (!*text)
			return err_set(err, EINVAL, "'%s': %s needs an argument", instruction,
				instructions[i].name);
		if (instructions[i].fn(&config->config, text, err) < 0)
			return err_wrap(err, "'%s'", instruction);
		return 0;
	}
	return err_set(err, EINVAL,
		"'%s': unknown instruction; known: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR",
		instruction);
}
