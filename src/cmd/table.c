#include "cmd/table.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"

const char *table_name(const struct cmd *cmd, size_t i, char name[NAME_MAX_LEN])
{
	const char *p = cmd->alias;
	size_t len;

	if (i == 0)
		return cmd->name;
	for (; p && i > 1; i--) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return NULL;
	p += strspn(p, " ");
	len = strcspn(p, ",");
	if (len >= NAME_MAX_LEN)
		return NULL;
	memcpy(name, p, len);
	name[len] = '\0';
	return name;
}

/* The number of words that `name` takes when the words begin with it, else 0. */
static size_t match_words(const char *name, char *const *words)
{
	size_t used = 0;

	while (*name) {
		size_t len = strcspn(name, " ");
		if (!words[used] || strlen(words[used]) != len ||
			memcmp(words[used], name, len) != 0)
			return 0;
		used++;
		name += len + (name[len] == ' ');
	}
	return used;
}

const struct cmd *table_find(char *const *words, size_t *ret_used, char name[NAME_MAX_LEN])
{
	const struct cmd *found = NULL;
	char buf[NAME_MAX_LEN];
	const char *candidate;
	size_t best = 0;

	for (const struct cmd *const *c = cmd_table(); *c; c++) {
		for (size_t i = 0; (candidate = table_name(*c, i, buf)); i++) {
			size_t used = match_words(candidate, words);
			if (used <= best)
				continue;
			best = used;
			found = *c;
			snprintf(name, NAME_MAX_LEN, "%s", candidate);
		}
	}
	*ret_used = best;
	return found;
}

bool table_has_noun(const char *noun)
{
	size_t len = strlen(noun);
	char buf[NAME_MAX_LEN];
	const char *name;

	for (const struct cmd *const *c = cmd_table(); *c; c++) {
		if ((*c)->flags & CMD_HIDDEN)
			continue;
		for (size_t i = 0; (name = table_name(*c, i, buf)); i++)
			if (strncmp(name, noun, len) == 0 && name[len] == ' ')
				return true;
	}
	return false;
}

/* Two letters exchanged count 2 in str_distance(), and are what people type most. */
static unsigned tolerance(const char *typed)
{
	size_t len = strlen(typed);

	return len < 3 ? 1 : len < 9 ? 2 : 3;
}

static bool nearer(const char *typed, const char *candidate, unsigned *best)
{
	unsigned d = str_distance(typed, candidate);

	/* Nothing in common is no suggestion, however short the words. */
	if (d >= *best || d >= strlen(candidate))
		return false;
	*best = d;
	return true;
}

const char *suggest_command(const char *typed, char name[NAME_MAX_LEN])
{
	unsigned best = tolerance(typed) + 1;
	const char *found = NULL, *candidate;
	char buf[NAME_MAX_LEN];

	for (const struct cmd *const *c = cmd_table(); *c; c++) {
		if ((*c)->flags & CMD_HIDDEN)
			continue;
		for (size_t i = 0; (candidate = table_name(*c, i, buf)); i++) {
			if (!nearer(typed, candidate, &best))
				continue;
			snprintf(name, NAME_MAX_LEN, "%s", candidate);
			found = name;
		}
	}
	return found;
}

/* The shortest name that begins like this: "mem" is "memory", not "memory-swap". */
static const char *complete_option(const struct cmd *cmd, const char *typed)
{
	const char *found = NULL;
	size_t len = strlen(typed);

	for (const struct cmd_option *o = cmd->options; len > 2 && o && o->name; o++)
		if (strncmp(o->name, typed, len) == 0 &&
			(!found || strlen(o->name) < strlen(found)))
			found = o->name;
	return found;
}

const char *suggest_option(const struct cmd *cmd, const char *typed)
{
	unsigned best = tolerance(typed) + 1;
	const char *found = complete_option(cmd, typed), *near = NULL;

	for (const struct cmd_option *o = cmd->options; !found && o && o->name; o++)
		if (nearer(typed, o->name, &best))
			near = o->name;
	return found ? found : near;
}

const char *suggest_choice(const char *const *choices, const char *typed)
{
	unsigned best = tolerance(typed) + 1;
	const char *found = NULL;

	for (; *choices; choices++)
		if (nearer(typed, *choices, &best))
			found = *choices;
	return found;
}

const struct cmd_option *option_by_name(
	const struct cmd_option *options, const char *name, size_t len)
{
	for (const struct cmd_option *o = options; o && o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

const struct cmd_option *option_by_letter(const struct cmd_option *options, char letter)
{
	for (const struct cmd_option *o = options; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}
