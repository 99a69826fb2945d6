/*
 * Command lines into a verb's options, by its rows. The forms are those of Docker's command line:
 * -it, -p8080:80, -p 8080:80, -e=X, --flag=value, --flag value, --bool=false; `--` ends options.
 */
#include "cmd/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/parse.h"
#include "base/strv.h"

struct parser {
	const struct cmd *cmd;
	char **next; /* the word after the current one */
	char *options;
	bool help;
	struct err *err;
};

static int bad(struct parser *p, const char *shown, const char *text, const char *what)
{
	return err_set(p->err, EINVAL, "%s: '%s' is not %s", shown, text, what);
}

static int bad_duration(struct parser *p, const char *shown, const char *text)
{
	uint64_t number;

	if (parse_u64(text, UINT64_MAX, &number) == 0)
		return err_set(p->err, EINVAL,
			"%s: missing unit in duration '%s': write %ss for seconds", shown, text,
			text);
	return bad(p, shown, text, "a duration (like 30s or 1m30s)");
}

static int check_choice(
	struct parser *p, const struct cmd_option *o, const char *shown, const char *text)
{
	cleanup(buf_free) struct buf list = { 0 };
	const char *near;

	for (const char *const *c = o->choices; *c; c++) {
		if (strcmp(*c, text) == 0)
			return 0;
		buf_addf(&list, "%s%s", list.len ? ", " : "", *c);
	}
	near = suggest_choice(o->choices, text);
	if (near)
		return err_set(p->err, EINVAL, "%s: '%s' is not one of %s: did you mean '%s'?",
			shown, text, list.data, near);
	return err_set(p->err, EINVAL, "%s: '%s' is not one of %s", shown, text, list.data);
}

static int parse_bytes(const struct cmd_option *o, const char *text, int64_t *ret)
{
	if (o->minus_one && strcmp(text, "-1") == 0) {
		*ret = -1;
		return 0;
	}
	return parse_size(text, ret);
}

static int set_value(
	struct parser *p, const struct cmd_option *o, const char *shown, const char *text)
{
	void *field = p->options + o->offset;

	if (o->choices && check_choice(p, o, shown, text) < 0)
		return -EINVAL;
	switch (o->type) {
	case OPT_FLAG:
		if (parse_bool(text, field) < 0)
			return bad(p, shown, text, "true or false");
		break;
	case OPT_STR:
		*(const char **)field = text;
		break;
	case OPT_STRV:
		strv_add(field, text);
		break;
	case OPT_INT:
		if (parse_i64(text, INT64_MIN, INT64_MAX, field) < 0)
			return bad(p, shown, text, "a whole number");
		break;
	case OPT_SIZE:
		if (parse_bytes(o, text, field) < 0)
			return bad(p, shown, text, "a size (like 512m or 2g)");
		break;
	case OPT_DURATION:
		if (parse_duration(text, field) < 0)
			return bad_duration(p, shown, text);
		break;
	case OPT_DOUBLE:
		if (parse_double(text, field) < 0)
			return bad(p, shown, text, "a number (like 1.5)");
		break;
	}
	if (o->given_offset)
		*(bool *)(p->options + o->given_offset - 1) = true;
	return 0;
}

static int missing_value(struct parser *p, const struct cmd_option *o, const char *shown)
{
	return err_set(p->err, EINVAL, "%s: needs a value (%s)", shown, o->metavar);
}

static int parse_long(struct parser *p, char *word)
{
	size_t len = strcspn(word + 2, "=");
	const char *value = word[2 + len] ? word + 2 + len + 1 : NULL;
	cleanup(free) char *shown = xstrndup(word, len + 2);
	const struct cmd_option *o = option_by_name(p->cmd->options, word + 2, len);
	const char *near;

	if (!o && strcmp(shown, "--help") == 0) {
		if (parse_bool(value ? value : "true", &p->help) < 0)
			return bad(p, shown, value, "true or false");
		return 0;
	}
	if (!o) {
		near = suggest_option(p->cmd, shown + 2);
		if (near)
			return err_set(p->err, EINVAL, "unknown option '%s': did you mean '--%s'?",
				shown, near);
		return err_set(p->err, EINVAL, "unknown option '%s'", shown);
	}
	if (!value && o->type == OPT_FLAG)
		value = "true";
	else if (!value && *p->next)
		value = *p->next++;
	if (!value)
		return missing_value(p, o, shown);
	return set_value(p, o, shown, value);
}

static int parse_letters(struct parser *p, char *word)
{
	for (char *c = word + 1; *c; c++) {
		char shown[3] = { '-', *c, '\0' };
		const struct cmd_option *o = option_by_letter(p->cmd->options, *c);
		const char *value = c[1] == '=' ? c + 2 : c + 1;
		int r;
		if (!o && *c == 'h') {
			p->help = true;
			continue;
		}
		if (!o && c == word + 1)
			return err_set(p->err, EINVAL, "unknown option '%s'", shown);
		if (!o)
			return err_set(p->err, EINVAL, "unknown option '%s' in '%s'", shown, word);
		if (o->type == OPT_FLAG && c[1] != '=') {
			r = set_value(p, o, shown, "true");
			if (r < 0)
				return r;
			continue;
		}
		if (!c[1])
			value = *p->next ? *p->next++ : NULL;
		return value ? set_value(p, o, shown, value) : missing_value(p, o, shown);
	}
	return 0;
}

int options_parse(
	const struct cmd *cmd, char **argv, void *options, size_t *ret_n_args, struct err *err)
{
	struct parser p = { .cmd = cmd, .next = argv + 1, .options = options, .err = err };
	bool over = false;
	size_t n = 0;

	while (*p.next) {
		char *word = *p.next++;
		int r = 0;
		/* The arguments gather at the front, always behind what is still to be read. */
		if (over || word[0] != '-' || !word[1]) {
			argv[n++] = word;
			over = over || (cmd->flags & CMD_OPTIONS_FIRST);
		} else if (strcmp(word, "--") == 0) {
			over = true;
		} else {
			r = word[1] == '-' ? parse_long(&p, word) : parse_letters(&p, word);
		}
		if (r < 0)
			return r;
		if (p.help)
			return 1;
	}
	argv[n] = NULL;
	*ret_n_args = n;
	return 0;
}

void options_free(const struct cmd *cmd, void *options)
{
	for (const struct cmd_option *o = cmd->options; o && o->name; o++)
		if (o->type == OPT_STRV)
			strv_free(*(char ***)((char *)options + o->offset));
	free(options);
}
