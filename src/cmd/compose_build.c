/* `holm compose build`, which `up` does too where an image is missing: `build:` as what `holm build` is asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "build/build.h"
#include "cmd/build_progress.h"
#include "cmd/compose.h"
#include "cmd/pull.h"
#include "cmd/verbs.h"
#include "image/image.h"

struct asked {
	char *dockerfile, *tag;
	char **tags, **args, **labels, **contexts, **hosts, **secrets;
};

static void asked_clear(struct asked *a)
{
	char **lists[] = { a->tags, a->args, a->labels, a->contexts, a->hosts, a->secrets };

	free(a->dockerfile);
	free(a->tag);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(lists[i]);
}
DEFINE_CLEANUP_OBJECT(asked_clear, struct asked);

/* Names of the project's secrets, which are files. */
static int ask_secrets(
	const struct compose_project *p, const struct node *b, struct asked *a, struct err *err)
{
	const struct node *secrets = node_get(b, "secrets");

	for (size_t i = 0; secrets && i < secrets->n; i++) {
		const struct node *item = secrets->items[i];
		const char *source = item->text ?: node_text(item, "source");
		const struct node *def =
			source ? node_get(node_get(p->root, "secrets"), source) : NULL;
		if (!node_text(def, "file"))
			return node_err(item, err, ENOTSUP, "build.secrets",
				"of secrets those with a 'file' alone are supported");
		strv_addf(&a->secrets, "id=%s,src=%s", node_text(item, "target") ?: source,
			node_text(def, "file"));
	}
	return 0;
}

static int ask(const struct compose_project *p, const char *service, struct asked *a,
	struct build_config *c, struct err *err)
{
	const struct node *s = compose_service(p, service), *b = node_get(s, "build");
	cleanup(strv_free) char **hosts = node_strv(node_get(b, "extra_hosts"));
	cleanup(strv_free) char **more = node_strv(node_get(b, "tags"));
	const char *file = node_text(b, "dockerfile");
	int r = ask_secrets(p, b, a, err);

	if (r < 0)
		return r;
	a->tag = compose_image(p, service);
	strv_add(&a->tags, a->tag);
	strv_add_all(&a->tags, more);
	a->args = node_strv(node_get(b, "args"));
	node_to_map(node_get(b, "labels"), &a->labels);
	node_to_map(node_get(b, "additional_contexts"), &a->contexts);
	strv_foreach (host, hosts) {
		size_t len = strcspn(*host, "=:");
		strv_addf(
			&a->hosts, "%.*s:%s", (int)len, *host, (*host)[len] ? *host + len + 1 : "");
	}
	c->context = node_text(b, "context") ?: p->dir;
	if (file)
		a->dockerfile = *file == '/' ? xstrdup(file) : xasprintf("%s/%s", c->context, file);
	*c = (struct build_config){ .context = c->context,
		.dockerfile = a->dockerfile,
		.text = node_text(b, "dockerfile_inline"),
		.tags = a->tags,
		.args = a->args,
		.labels = a->labels,
		.contexts = a->contexts,
		.secrets = a->secrets,
		.add_hosts = a->hosts,
		.target = node_text(b, "target"),
		.platform = node_text(s, "platform"),
		.network = node_text(b, "network"),
		.shm_size = node_int(b, "shm_size", 0),
		.fetch = pull_for_build,
		.fetch_data = (void *)node_text(s, "platform"),
		.no_cache = node_bool(b, "no_cache"),
		.pull = node_bool(b, "pull") };
	return 0;
}

int compose_build(struct db *db, const struct compose_project *p, bool missing_only, bool no_cache,
	struct err *err)
{
	strv_foreach (service, p->services) {
		cleanup(asked_clear) struct asked a = { 0 };
		cleanup(image_free) struct image *there = NULL;
		struct build_progress *progress;
		char id[DIGEST_LEN + 1] = "";
		struct build_config c = { 0 };
		const char *policy;
		int r;
		if (!node_get(compose_service(p, *service), "build"))
			continue;
		r = ask(p, *service, &a, &c, err);
		if (r < 0)
			return r;
		policy = node_text(compose_service(p, *service), "pull_policy") ?: "";
		if (missing_only && strcmp(policy, "build") != 0 &&
			image_find(db, a.tag, &there, NULL) == 0)
			continue;
		c.no_cache |= no_cache;
		progress = build_progress_new(NULL);
		r = build_run(db, &c, NULL, build_progress_event, progress, id, err);
		build_progress_free(progress, r < 0);
		if (r < 0)
			return err_wrap(err, "build %s", *service);
		fprintf(stderr, " Image %s  Built\n", a.tag);
	}
	return 0;
}

static int pull_one(struct db *db, const char *name, const struct node *s, struct err *err)
{
	cleanup(image_free) struct image *there = NULL;
	const char *policy = node_text(s, "pull_policy") ?: "missing";
	struct err missing = { 0 };
	int r;

	if (strcmp(policy, "never") == 0)
		return 0;
	/* Whatever else is wrong with it, comes up when the container is made. */
	if (strcmp(policy, "always") != 0 && image_find(db, name, &there, &missing) != -ENOENT)
		return 0;
	r = pull_image(db, name, node_text(s, "platform"), /* quiet= */ false, err);
	if (r < 0 && missing.code && err) {
		struct err why = *err;
		return err_set(err, -r, "%s; %s", missing.text, why.text);
	}
	if (r == 0)
		fprintf(stderr, " Image %s  Pulled\n", name);
	return r;
}

int compose_pull(struct db *db, const struct compose_project *p, struct err *err)
{
	strv_foreach (service, p->services) {
		const struct node *s = compose_service(p, *service);
		cleanup(free) char *name = compose_image(p, *service);
		int r = node_get(s, "build") ? 0 : pull_one(db, name, s, err);
		if (r < 0)
			return err_wrap(err, "service %s", *service);
	}
	return 0;
}

struct compose_pull_options {
	bool quiet, ignore_failures, include_deps;
	const char *policy;
};

static const char *const pull_policies[] = { "always", "missing", NULL };
static const struct cmd_option pull_rows[] = {
	OPTION(struct compose_pull_options, ignore_failures, OPT_FLAG, 0, "ignore-pull-failures",
		NULL, "go on when an image cannot be pulled"),
	OPTION(struct compose_pull_options, include_deps, OPT_FLAG, 0, "include-deps", NULL,
		"also of the services that those named depend on"),
	OPTION_WITH(struct compose_pull_options, policy, OPT_STR, 0, "policy", "WHEN",
		"always (the default) or missing", .choices = pull_policies),
	OPTION(struct compose_pull_options, quiet, OPT_FLAG, 'q', "quiet", NULL,
		"show no progress"),
	OPTION_END,
};

/* 1 when the service has nothing to be pulled. */
static int pull_service(struct db *db, const struct compose_project *p, const char *service,
	const struct compose_pull_options *o, char ***done, struct err *err)
{
	const struct node *s = compose_service(p, service);
	cleanup(free) char *name = compose_image(p, service);
	cleanup(image_free) struct image *there = NULL;
	int r;

	if (node_get(s, "build") || strcmp(node_text(s, "pull_policy") ?: "", "never") == 0 ||
		strv_contains(*done, name))
		return 1;
	strv_add(done, name);
	if (o->policy && strcmp(o->policy, "missing") == 0 &&
		image_find(db, name, &there, NULL) == 0)
		return 1;
	r = pull_image(db, name, node_text(s, "platform"), o->quiet, err);
	if (r == 0 && !o->quiet)
		fprintf(stderr, " Image %s  Pulled\n", name);
	return r < 0 ? err_wrap(err, "service %s", service) : 0;
}

static int run_pull(struct cmd_call *call)
{
	const struct compose_pull_options *o = call->options;
	cleanup(compose_free) struct compose_project p = { 0 };
	cleanup(strv_free) char **done = NULL;
	struct err err = { 0 };
	struct db *db;

	if (compose_project(call->args, call->n_args == 0 || o->include_deps, &p, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	if (!db)
		return cmd_fail(&err, 1);
	strv_foreach (service, p.services) {
		int r = pull_service(db, &p, *service, o, &done, &err);
		if (r < 0 && cmd_fail(&err, 1) && !o->ignore_failures)
			return 1;
	}
	return 0;
}

const struct cmd cmd_compose_pull = {
	.name = "compose pull",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Pull the images of services from their registries",
	.description = "Services with `build` are built, never pulled.",
	.options = pull_rows,
	.options_size = sizeof(struct compose_pull_options),
	.max_args = SIZE_MAX,
	.run = run_pull,
};

struct compose_build_options {
	bool no_cache;
};

static const struct cmd_option build_rows[] = {
	OPTION(struct compose_build_options, no_cache, OPT_FLAG, 0, "no-cache", NULL,
		"run every step again"),
	OPTION_END,
};

static int run(struct cmd_call *call)
{
	const struct compose_build_options *o = call->options;
	cleanup(compose_free) struct compose_project p = { 0 };
	struct err err = { 0 };
	struct db *db;

	if (compose_project(call->args, /* dependencies= */ call->n_args == 0, &p, &err) < 0)
		return cmd_fail(&err, 1);
	db = cmd_db(&err);
	return db && compose_build(db, &p, false, o->no_cache, &err) == 0 ? 0 : cmd_fail(&err, 1);
}

const struct cmd cmd_compose_build = {
	.name = "compose build",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Build the images of services from their Dockerfiles",
	.options = build_rows,
	.options_size = sizeof(struct compose_build_options),
	.max_args = SIZE_MAX,
	.run = run,
};
