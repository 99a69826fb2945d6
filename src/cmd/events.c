/* `holm events`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/record.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "instance/event.h"

struct events_options {
	char **filters;
	const char *format, *since, *until;
};

static const struct cmd_option events_option_rows[] = {
	OPTION(struct events_options, filters, OPT_STRV, 'f', "filter", "KEY=VALUE",
		"only those with: container, event, image, label, network, type, volume"),
	OPTION(struct events_options, format, OPT_STR, 0, "format", "FORMAT",
		"json, or a template such as '{{.Action}} {{.Actor.ID}}'"),
	OPTION(struct events_options, since, OPT_STR, 0, "since", "TIME",
		"past ones too, from then on"),
	OPTION(struct events_options, until, OPT_STR, 0, "until", "TIME", "end then"),
	OPTION_END,
};

static const char *const known_filters[] = { "container", "event", "image", "label", "network",
	"scope", "type", "volume", NULL };

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

/* "exec_start" is asked for where the action is "exec_start: sh". */
static bool matches_action(char *const *filters, const char *action)
{
	cleanup(free) char *first = xstrndup(action, strcspn(action, ":"));

	return filter_match(filters, "event", action) || filter_match(filters, "event", first);
}

/* Of the values of one key: any is the id's beginning, or the name. */
static bool matches_actor(char *const *filters, const char *key, const char *id, const char *name)
{
	size_t len = strlen(key);
	bool any = false;

	strv_foreach (f, filters) {
		const char *value = *f + len + 1;
		if (strncmp(*f, key, len) != 0 || (*f)[len] != '=')
			continue;
		any = true;
		if (*value && (strncmp(id, value, strlen(value)) == 0 || strcmp(name, value) == 0))
			return true;
	}
	return !any;
}

static bool has_filter(char *const *filters, const char *key)
{
	size_t len = strlen(key);

	strv_foreach (f, filters)
		if (strncmp(*f, key, len) == 0 && (*f)[len] == '=')
			return true;
	return false;
}

static bool matches_labels(char *const *filters, json_t *attributes)
{
	cleanup(strv_free) char **map = NULL;
	const char *key;
	json_t *value;

	if (!has_filter(filters, "label") && !has_filter(filters, "label!"))
		return true;
	json_object_foreach (attributes, key, value)
		map_set(&map, key, json_string_value(value) ?: "");
	return filter_labels(filters, map);
}

static bool passes(char *const *filters, json_t *event)
{
	static const char *const nouns[] = { "container", "network", "volume" };
	json_t *actor = json_object_get(event, "Actor");
	json_t *attributes = json_object_get(actor, "Attributes");
	const char *type = text_of(event, "Type"), *id = text_of(actor, "ID");
	const char *name = text_of(attributes, "name");

	if (!filter_match(filters, "type", type) || !filter_match(filters, "scope", "local") ||
		!matches_action(filters, text_of(event, "Action")) ||
		!matches_labels(filters, attributes))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(nouns); i++) {
		bool same = strcmp(type, nouns[i]) == 0;
		/* A network's events name the container that came or went. */
		const char *other = text_of(attributes, nouns[i]);
		if (has_filter(filters, nouns[i]) &&
			!matches_actor(filters, nouns[i], same ? id : other, same ? name : other))
			return false;
	}
	if (!has_filter(filters, "image"))
		return true;
	if (strcmp(type, "image") == 0)
		return matches_actor(filters, "image", id, name);
	return matches_actor(filters, "image", "", text_of(attributes, "image"));
}

/* Docker's line: local time with nanoseconds, type, action, id, attributes in brackets. */
static void print_line(json_t *event)
{
	int64_t ns = json_integer_value(json_object_get(event, "timeNano"));
	time_t seconds = ns / 1000000000;
	json_t *actor = json_object_get(event, "Actor"), *value;
	json_t *attributes = json_object_get(actor, "Attributes");
	cleanup(strv_free) char **pairs = NULL;
	cleanup(free) char *joined = NULL;
	char day[32], zone[8];
	const char *key;
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	json_object_foreach (attributes, key, value)
		strv_addf(&pairs, "%s=%s", key, json_string_value(value) ?: "");
	joined = pairs ? strv_join(pairs, ", ") : NULL;
	printf("%s.%09d%.3s:%s %s %s %s", day, (int)(ns % 1000000000), zone, zone + 3,
		text_of(event, "Type"), text_of(event, "Action"), text_of(actor, "ID"));
	if (joined)
		printf(" (%s)", joined);
	putchar('\n');
}

struct printer {
	const struct events_options *o;
	struct err *err;
	int r;
};

/* With what the names are in templates, which follow Go's. */
static int print_formatted(json_t *event, const char *format, struct err *err)
{
	cleanup(json_free) json_t *full = json_deep_copy(event);
	json_t *actor = json_object_get(event, "Actor");

	if (strcmp(format, "json") != 0 && strcmp(format, "{{json .}}") != 0) {
		json_object_set(full, "Time", json_object_get(event, "time"));
		json_object_set(full, "TimeNano", json_object_get(event, "timeNano"));
		json_object_set(full, "Scope", json_object_get(event, "scope"));
		json_object_set(full, "ID", json_object_get(actor, "ID"));
		json_object_set(full, "Status", json_object_get(event, "Action"));
	}
	return output_object(full, format, err);
}

static int print(void *data, json_t *event)
{
	struct printer *p = data;

	if (!passes(p->o->filters, event))
		return 0;
	if (p->o->format && *p->o->format)
		p->r = print_formatted(event, p->o->format, p->err);
	else
		print_line(event);
	fflush(stdout);
	return p->r < 0 || ferror(stdout);
}

static int run(struct cmd_call *call)
{
	const struct events_options *o = call->options;
	struct err err = { 0 };
	struct printer printer = { .o = o, .err = &err };
	int64_t since = 0, until = 0;
	int r = filter_check(o->filters, known_filters, &err);

	if (r == 0 && o->since && time_parse(o->since, &since) < 0)
		r = err_set(&err, EINVAL, "--since: '%s' is not a time", o->since);
	if (r == 0 && o->until && time_parse(o->until, &until) < 0)
		r = err_set(&err, EINVAL, "--until: '%s' is not a time", o->until);
	if (r == 0)
		r = event_follow(since, until, print, &printer, &err);
	return r < 0 || printer.r < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_events = {
	.name = "events",
	.alias = "system events",
	.group = "System",
	.args = "",
	.summary = "Show what happens, as it happens",
	.examples = "holm events --since 1h --until 0s\nholm events -f type=container -f event=die",
	.options = events_option_rows,
	.options_size = sizeof(struct events_options),
	.run = run,
};
