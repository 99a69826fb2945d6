/* From files to a project: where they are, their variables, their merge, its name, its services in order. */
#include "compose/compose.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "compose/interpolate.h"
#include "compose/model.h"
#include "compose/document.h"
#include "instance/run_options.h"

extern char **environ;

void compose_free(struct compose_project *p)
{
	node_free(p->root);
	free(p->name);
	free(p->dir);
	strv_free(p->files);
	strv_free(p->env);
	strv_free(p->profiles);
	strv_free(p->services);
	*p = (struct compose_project){ 0 };
}

static int add_file(const char *path, char ***files, struct err *err)
{
	char *full;

	if (strcmp(path, "-") == 0) {
		strv_add(files, path);
		return 0;
	}
	full = path_absolute(path);
	if (!full)
		return err_set(err, ENOENT, "the current directory is gone");
	strv_add(files, full);
	free(full);
	return 0;
}

/* Upwards from the current directory, as docker compose; with its override file. */
static int find_files(char ***files, struct err *err)
{
	static const char *const names[] = { "compose.yaml", "compose.yml", "docker-compose.yml",
		"docker-compose.yaml" };
	static const char *const overrides[] = { "compose.override.yaml", "compose.override.yml",
		"docker-compose.override.yml", "docker-compose.override.yaml" };
	cleanup(free) char *dir = path_absolute(".");

	while (dir) {
		char *slash = strrchr(dir, '/');
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			cleanup(free) char *path = xasprintf("%s/%s", dir, names[i]);
			if (access(path, F_OK) < 0)
				continue;
			strv_add(files, path);
			for (size_t k = 0; k < ARRAY_SIZE(overrides); k++) {
				cleanup(free) char *over = xasprintf("%s/%s", dir, overrides[k]);
				if (access(over, F_OK) < 0)
					continue;
				strv_add(files, over);
				break;
			}
			return 0;
		}
		if (!slash || !dir[1])
			break;
		slash[slash == dir] = '\0';
	}
	return err_set(err, ENOENT,
		"no compose.yaml here or in a directory above: give the file by --file");
}

static int choose_files(const struct compose_options *o, struct compose_project *p, struct err *err)
{
	const char *listed = getenv("COMPOSE_FILE"), *sep = getenv("COMPOSE_PATH_SEPARATOR");
	cleanup(strv_free) char **more = NULL;

	if (!o->files && listed && *listed)
		more = strv_split(listed, sep && *sep ? *sep : ':');
	strv_foreach (file, o->files ? o->files : more) {
		int r = add_file(*file, &p->files, err);
		if (r < 0)
			return r;
	}
	return p->files ? 0 : find_files(&p->files, err);
}

static int choose_dir(const struct compose_options *o, struct compose_project *p, struct err *err)
{
	bool from_file = !o->project_directory && strcmp(p->files[0], "-") != 0;

	p->dir = from_file ? xstrdup(p->files[0]) : path_absolute(o->project_directory ?: ".");
	if (!p->dir)
		return err_set(err, ENOENT, "the current directory is gone");
	if (from_file)
		strrchr(p->dir, '/')[strrchr(p->dir, '/') == p->dir] = '\0';
	return 0;
}

static int read_env(
	const char *path, bool required, struct variables *v, char ***env, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, path, YAML_MAX_BYTES, &text);

	if (r == -ENOENT && !required)
		return 0;
	if (r < 0)
		return err_code(err, r, "read '%s'", path);
	return dotenv_parse(v, text.data ? text.data : "", text.len, path, false, env, err);
}

static int load_env(const struct compose_options *o, struct compose_project *p, struct err *err)
{
	cleanup(free) char *usual = xasprintf("%s/.env", p->dir);
	struct variables v = { .env = environ };
	int r = 0;

	if (!o->env_files)
		r = read_env(usual, false, &v, &p->env, err);
	for (char **f = o->env_files; r == 0 && f && *f; f++)
		r = read_env(*f, true, &v, &p->env, err);
	strv_free(v.missing);
	strv_foreach (e, environ)
		if (strchr(*e, '='))
			strv_env_set(&p->env, *e);
	return r;
}

static int load_file(
	struct compose_project *p, const char *file, struct variables *v, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(node_free) struct node *docs = NULL;
	bool in = strcmp(file, "-") == 0;
	int r = in ? fd_read_to_end(STDIN_FILENO, YAML_MAX_BYTES, &text)
		   : file_read(AT_FDCWD, file, YAML_MAX_BYTES, &text);

	if (r < 0)
		return err_code(err, r, "read '%s'", file);
	docs = yaml_parse(text.data ? text.data : "", text.len, file, err);
	if (!docs)
		return -EINVAL;
	while (docs->n) {
		struct node *doc = node_copy(docs->items[0]);
		node_remove(docs, 0);
		r = interpolate_node(v, doc, err);
		if (r == 0)
			r = model_normalize(doc, p->dir, err);
		if (r < 0) {
			node_free(doc);
			return r;
		}
		model_merge(p->root, doc);
	}
	return 0;
}

/* Lower case letters, digits, - and _, beginning with a letter or digit: others are left out. */
static char *clean_name(const char *text)
{
	struct buf b = { 0 };

	for (; *text; text++) {
		char c = (char)tolower((unsigned char)*text);
		if (isalnum((unsigned char)c) || (b.len && (c == '-' || c == '_')))
			buf_addc(&b, c);
	}
	return buf_detach(&b);
}

static int choose_name(const struct compose_options *o, struct compose_project *p, struct err *err)
{
	const char *given = o->project_name ?: strv_env_get(p->env, "COMPOSE_PROJECT_NAME");
	const char *from = given && *given ? given : node_text(p->root, "name");

	p->name = clean_name(from ?: strrchr(p->dir, '/') + 1);
	if (from && strcmp(p->name, from) != 0)
		return err_set(err, EINVAL,
			"'%s' is not a project's name: only a-z, 0-9, - and _, beginning with a letter or digit",
			from);
	if (!*p->name)
		return err_set(err, EINVAL, "no name for the project: give one by --project-name");
	return 0;
}

int compose_load(const struct compose_options *o, struct compose_project *ret, struct err *err)
{
	cleanup(compose_free) struct compose_project p = { .root = node_new(NODE_MAP, NULL) };
	struct variables v = { 0 };
	const char *profiles;
	int r = choose_files(o, &p, err);

	if (r == 0)
		r = choose_dir(o, &p, err);
	if (r == 0)
		r = load_env(o, &p, err);
	v.env = p.env;
	for (char **f = p.files; r == 0 && *f; f++)
		r = load_file(&p, *f, &v, err);
	strv_foreach (name, v.missing)
		log_warn("the variable %s is not set: it is taken as empty", *name);
	strv_free(v.missing);
	if (r == 0)
		r = choose_name(o, &p, err);
	if (r == 0)
		model_imply(p.root);
	if (r == 0)
		r = model_check(p.root, err);
	if (r < 0)
		return r;
	profiles = strv_env_get(p.env, "COMPOSE_PROFILES");
	if (profiles && *profiles)
		p.profiles = strv_split(profiles, ',');
	strv_add_all(&p.profiles, o->profiles);
	*ret = p;
	p = (struct compose_project){ 0 };
	return 0;
}

const struct node *compose_service(const struct compose_project *p, const char *name)
{
	return node_get(node_get(p->root, "services"), name);
}

int64_t compose_scale(const struct node *service)
{
	return node_int(service, "scale", node_int(service, "deploy.replicas", 1));
}

int compose_set_scale(struct compose_project *p, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	cleanup(free) char *name = equals ? xstrndup(text, (size_t)(equals - text)) : NULL;
	struct node *s = name ? node_get(node_get(p->root, "services"), name) : NULL;
	struct node *deploy = node_get(s, "deploy");
	int64_t number;

	if (!equals || parse_i64(equals + 1, 0, MODEL_MAX_SCALE, &number) < 0)
		return err_set(err, EINVAL, "--scale: '%s' is not SERVICE=NUMBER, of at most %d",
			text, MODEL_MAX_SCALE);
	if (!s)
		return err_set(err, ENOENT, "--scale: no such service: %s", name);
	node_set_string(s, "scale", equals + 1, NULL);
	if (deploy)
		node_set(deploy, "replicas", NULL);
	return model_check_scale(s, "--scale", err);
}

char *compose_resource_name(const struct compose_project *p, const char *section, const char *name)
{
	const struct node *n = node_get(node_get(p->root, section), name);
	const char *own = node_text(n, "name");

	if (own)
		return xstrdup(own);
	return node_bool(n, "external") ? xstrdup(name) : xasprintf("%s_%s", p->name, name);
}

char *compose_image(const struct compose_project *p, const char *service)
{
	const char *given = node_text(compose_service(p, service), "image");

	return given ? xstrdup(given) : xasprintf("%s-%s", p->name, service);
}

char *compose_container_name(const struct compose_project *p, const char *service, int64_t number)
{
	const char *given = node_text(compose_service(p, service), "container_name");

	return given ? xstrdup(given)
		     : xasprintf("%s-%s-%lld", p->name, service, (long long)number);
}

int compose_hash(
	const struct compose_project *p, const char *service, char digest[65], struct err *err)
{
	static const char *const apart[] = { "depends_on", "profiles", "scale", "build",
		"pull_policy", "env_file" };
	cleanup(json_free) json_t *j = node_json(compose_service(p, service));
	cleanup(strv_free) char **env = NULL;
	cleanup(free) char *text = NULL; /* json_dumps()' is free()'s */
	char full[DIGEST_LEN + 1];
	int r = compose_environment(p, service, &env, err);

	if (r < 0)
		return r;
	if (env)
		json_object_set_new(j, "environment", json_array());
	strv_foreach (item, env)
		json_array_append_new(json_object_get(j, "environment"), json_from_bytes(*item));
	for (size_t i = 0; i < ARRAY_SIZE(apart); i++)
		json_object_del(j, apart[i]);
	json_object_del(json_object_get(j, "deploy"), "replicas");
	text = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT);
	hash_of(text, strlen(text), full);
	memcpy(digest, digest_hex(full), 65);
	return 0;
}

static bool profile_on(const struct compose_project *p, const struct node *service)
{
	cleanup(strv_free) char **profiles = node_strv(node_get(service, "profiles"));

	strv_foreach (profile, profiles)
		if (strv_contains(p->profiles, *profile) || strv_contains(p->profiles, "*"))
			return true;
	return !profiles;
}

/* Depth first; `path` is where we came from. */
static int visit(struct compose_project *p, const char *name, bool dependencies, char ***path,
	struct err *err)
{
	const struct node *service = compose_service(p, name);
	const struct node *depends = node_get(service, "depends_on");
	char **longer = NULL;
	int r = 0;

	if (strv_contains(p->services, name))
		return 0;
	if (strv_contains(*path, name)) {
		cleanup(free) char *text = strv_join(*path, " -> ");
		return node_err(service, err, EINVAL, NULL,
			"services depend on each other in a circle: %s -> %s", text, name);
	}
	longer = strv_copy(*path);
	strv_add(&longer, name);
	for (size_t i = 0; r == 0 && dependencies && depends && i < depends->n; i++)
		r = visit(p, depends->keys[i], dependencies, &longer, err);
	strv_free(longer);
	if (r == 0)
		strv_add(&p->services, name);
	return r;
}

int compose_select(
	struct compose_project *p, char *const *names, bool dependencies, struct err *err)
{
	const struct node *all = node_get(p->root, "services");
	cleanup(strv_free) char **path = NULL;
	int r = 0;

	strv_free(take(p->services));
	for (char *const *name = names; r == 0 && name && *name; name++)
		r = compose_service(p, *name) ? visit(p, *name, dependencies, &path, err)
					      : err_set(err, ENOENT, "no such service: %s", *name);
	for (size_t i = 0; r == 0 && !(names && *names) && i < all->n; i++)
		if (profile_on(p, all->items[i]))
			r = visit(p, all->keys[i], dependencies, &path, err);
	if (r == 0 && !p->services)
		r = err_set(err, ENOENT, "no service is selected: give one, or a --profile");
	return r;
}
