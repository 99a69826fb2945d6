#include "image/config.h"

/*
 * OCI image-spec config.md, and what Docker adds to it: Healthcheck, Shell, OnBuild. Members that
 * only describe how the image was built (container_config, docker_version) are passed over.
 */

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/strv.h"

#define MAX_LAYERS 500   /* what overlay stacks */
#define MAX_ITEMS 4096   /* of any other list */
#define MAX_TEXT 131072u /* MAX_ARG_STRLEN: more cannot be passed to a program */

static const struct record_field health_fields[] = {
	RECORD(struct image_health, test, "Test", RECORD_STRV),
	RECORD(struct image_health, interval, "Interval", RECORD_I64),
	RECORD(struct image_health, timeout, "Timeout", RECORD_I64),
	RECORD(struct image_health, start_period, "StartPeriod", RECORD_I64),
	RECORD(struct image_health, start_interval, "StartInterval", RECORD_I64),
	RECORD(struct image_health, retries, "Retries", RECORD_I64),
	RECORD_END,
};

static const struct record_field process_fields[] = {
	RECORD(struct image_process, user, "User", RECORD_STR),
	RECORD(struct image_process, exposed, "ExposedPorts", RECORD_SET),
	RECORD(struct image_process, env, "Env", RECORD_STRV),
	RECORD(struct image_process, entrypoint, "Entrypoint", RECORD_STRV),
	RECORD(struct image_process, cmd, "Cmd", RECORD_STRV),
	RECORD_SUB(struct image_process, health, "Healthcheck", RECORD_PTR, health_fields,
		struct image_health),
	RECORD(struct image_process, volumes, "Volumes", RECORD_SET),
	RECORD(struct image_process, working_dir, "WorkingDir", RECORD_STR),
	RECORD(struct image_process, on_build, "OnBuild", RECORD_STRV),
	RECORD(struct image_process, labels, "Labels", RECORD_MAP),
	RECORD(struct image_process, stop_signal, "StopSignal", RECORD_STR),
	RECORD(struct image_process, shell, "Shell", RECORD_STRV),
	RECORD_END,
};

static const struct record_field history_fields[] = {
	RECORD(struct image_history, created, "created", RECORD_TIME),
	RECORD(struct image_history, created_by, "created_by", RECORD_STR),
	RECORD(struct image_history, author, "author", RECORD_STR),
	RECORD(struct image_history, comment, "comment", RECORD_STR),
	RECORD(struct image_history, empty_layer, "empty_layer", RECORD_BOOL),
	RECORD_END,
};

/* Members of struct image_config itself: "rootfs" is one object more in JSON than it is here. */
static const struct record_field rootfs_fields[] = {
	RECORD_F(struct image_config, diff_ids, "diff_ids", RECORD_STRV,
		RECORD_REQUIRED | RECORD_ALWAYS),
	RECORD_END,
};

static const struct record_field config_fields[] = {
	RECORD(struct image_config, created, "created", RECORD_TIME),
	RECORD(struct image_config, author, "author", RECORD_STR),
	RECORD_F(struct image_config, architecture, "architecture", RECORD_STR,
		RECORD_REQUIRED | RECORD_ALWAYS),
	RECORD_F(struct image_config, os, "os", RECORD_STR, RECORD_REQUIRED | RECORD_ALWAYS),
	RECORD(struct image_config, variant, "variant", RECORD_STR),
	RECORD_SUB(struct image_config, config, "config", RECORD_ONE, process_fields,
		struct image_process),
	RECORD_FLAT("rootfs", rootfs_fields, RECORD_REQUIRED),
	RECORD_SUB(struct image_config, history, "history", RECORD_LIST, history_fields,
		struct image_history),
	RECORD_END,
};

static int check_text(const char *s, const char *member, struct err *err)
{
	if (s && strlen(s) > MAX_TEXT)
		return err_set(err, EINVAL, "%s: a text of more than %u bytes", member, MAX_TEXT);
	return 0;
}

static int check_list(char *const *v, const char *member, struct err *err)
{
	size_t n = strv_len(v);

	if (n > 2 * MAX_ITEMS) /* maps have two strings an item */
		return err_set(err, E2BIG, "%s: more than %d items", member, MAX_ITEMS);
	for (size_t i = 0; i < n; i++) {
		int r = check_text(v[i], member, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* PORT or PORT-PORT, then perhaps /tcp, /udp or /sctp. */
static bool port_ok(const char *s)
{
	for (int ends = 0; ends < 2; ends++) {
		char *end;
		unsigned long port = isdigit((unsigned char)*s) ? strtoul(s, &end, 10) : 0;
		if (port < 1 || port > 65535)
			return false;
		s = end;
		if (*s != '-')
			break;
		s++;
		if (ends == 1)
			return false;
	}
	return *s == '\0' || strcmp(s, "/tcp") == 0 || strcmp(s, "/udp") == 0 ||
	       strcmp(s, "/sctp") == 0;
}

static int check_process(const struct image_process *p, struct err *err)
{
	const struct {
		const char *member;
		char *const *list;
	} lists[] = {
		{ "config.ExposedPorts", p->exposed },
		{ "config.Env", p->env },
		{ "config.Entrypoint", p->entrypoint },
		{ "config.Cmd", p->cmd },
		{ "config.Volumes", p->volumes },
		{ "config.Labels", p->labels },
		{ "config.Shell", p->shell },
		{ "config.OnBuild", p->on_build },
		{ "config.Healthcheck.Test", p->health ? p->health->test : NULL },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		int r = check_list(lists[i].list, lists[i].member, err);
		if (r < 0)
			return r;
	}
	strv_foreach (port, p->exposed)
		if (!port_ok(*port))
			return err_set(
				err, EINVAL, "config.ExposedPorts: '%.64s' is not a port", *port);
	strv_foreach (env, p->env)
		if (**env == '\0' || **env == '=')
			return err_set(err, EINVAL, "config.Env: '%.64s' has no name", *env);
	if (p->health &&
		(p->health->interval < 0 || p->health->timeout < 0 || p->health->start_period < 0 ||
			p->health->start_interval < 0 || p->health->retries < 0))
		return err_set(err, EINVAL, "config.Healthcheck: a number is negative");
	if (check_text(p->user, "config.User", err) < 0 ||
		check_text(p->working_dir, "config.WorkingDir", err) < 0 ||
		check_text(p->stop_signal, "config.StopSignal", err) < 0)
		return -EINVAL;
	return 0;
}

static int check_diff_ids(char *const *ids, struct err *err)
{
	if (strv_len(ids) > MAX_LAYERS)
		return err_set(err, E2BIG, "rootfs.diff_ids: %zu layers: overlay stacks at most %d",
			strv_len(ids), MAX_LAYERS);
	strv_foreach (id, ids)
		if (!digest_valid(*id))
			return err_set(err, EINVAL,
				"rootfs.diff_ids: '%.80s' is not sha256: and 64 hexadecimal digits",
				*id);
	return 0;
}

static int check(json_t *j, const struct image_config *config, struct err *err)
{
	json_t *type = json_object_get(json_object_get(j, "rootfs"), "type");
	int r;

	if (type && (!json_is_string(type) || strcmp(json_string_value(type), "layers") != 0))
		return err_set(err, EINVAL, "rootfs.type: expected \"layers\"");
	if (config->history.n > MAX_ITEMS)
		return err_set(err, E2BIG, "history: more than %d items", MAX_ITEMS);
	r = check_diff_ids(config->diff_ids, err);
	return r < 0 ? r : check_process(&config->config, err);
}

int image_config_parse(const char *text, size_t len, struct image_config *ret, struct err *err)
{
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(json_free) json_t *j = json_parse(text, len, "the image's config", err);
	struct err e = { 0 };
	int r;

	if (!j)
		return err ? -err->code : -EINVAL;
	r = record_parse(config_fields, j, &config, &e);
	if (r == 0)
		r = check(j, &config, &e);
	if (r < 0) {
		err_wrap(&e, "the image's config");
		if (err)
			*err = e;
		return r;
	}
	*ret = config;
	config = (struct image_config){ 0 };
	return 0;
}

char *image_config_text(const struct image_config *config)
{
	cleanup(json_free) json_t *j = record_dump(config_fields, config);

	json_object_set_new(json_object_get(j, "rootfs"), "type", json_string("layers"));
	return json_text(j, 0);
}

void image_config_clear(struct image_config *config)
{
	record_clear(config_fields, config);
}
