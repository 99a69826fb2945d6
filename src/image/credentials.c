#include "image/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nettle/base64.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"

#define SECRET_MAX 65536u
#define DOCKER_HUB_KEY "https://index.docker.io/v1/"

void credentials_clear(struct credentials *c)
{
	free(c->user);
	free(c->password);
	free(c->identity_token);
	*c = (struct credentials){ 0 };
}

static const char *key_of(const char *host)
{
	return strcmp(host, "docker.io") == 0 ? DOCKER_HUB_KEY : host;
}

/* The directory; the caller frees. */
static char *config_dir(void)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	const struct passwd *pw = home && *home ? NULL : getpwuid(getuid());

	if (dir && *dir)
		return xstrdup(dir);
	return xasprintf("%s/.docker", pw ? pw->pw_dir : home && *home ? home : "/root");
}

/* An empty object when there is no file. */
static json_t *read_config(char **ret_path, struct err *err)
{
	cleanup(free) char *dir = config_dir();
	cleanup(free) char *path = xasprintf("%s/config.json", dir);
	json_t *j;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		j = json_object();
	else
		j = json_read(AT_FDCWD, path, err);
	if (j && !json_is_object(j)) {
		json_decref(j);
		err_set(err, EINVAL, "'%s' is no JSON object", path);
		return NULL;
	}
	if (j && ret_path)
		*ret_path = take(path);
	return j;
}

static int write_config(const char *path, json_t *j, struct err *err)
{
	cleanup(free) char *text = json_text(j, 8);
	cleanup(free) char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	int r = dir_make(dir, 0700);

	if (r == 0)
		r = file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_SYNC);
	return r < 0 ? err_code(err, r, "write '%s'", path) : 0;
}

char *credentials_basic(const struct credentials *c)
{
	cleanup(free) char *plain = xasprintf("%s:%s", c->user, c->password ? c->password : "");
	size_t len = strlen(plain);
	char *text = xcalloc(1, BASE64_ENCODE_RAW_LENGTH(len) + 1);

	base64_encode_raw(text, len, (const uint8_t *)plain);
	return text;
}

static int parse_basic(const char *text, struct credentials *ret)
{
	size_t n = strlen(text), size = BASE64_DECODE_LENGTH(n);
	cleanup(free) uint8_t *plain = xcalloc(1, size + 1);
	struct base64_decode_ctx ctx;
	char *colon;

	base64_decode_init(&ctx);
	if (n > SECRET_MAX || !base64_decode_update(&ctx, &size, plain, n, text) ||
		!base64_decode_final(&ctx))
		return -EINVAL;
	plain[size] = '\0';
	colon = strchr((char *)plain, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	ret->user = xstrdup((char *)plain);
	ret->password = xstrdup(colon + 1);
	return 0;
}

/* A name that is also that of a program: nothing of a path. */
static bool helper_valid(const char *name)
{
	return name && *name && strlen(name) < 100 && !strchr(name, '/');
}

static const char *helper_for(json_t *config, const char *key, const char *host)
{
	json_t *helpers = json_object_get(config, "credHelpers");
	const char *name = json_string_value(json_object_get(helpers, host));

	if (!name)
		name = json_string_value(json_object_get(helpers, key));
	if (!name)
		name = json_string_value(json_object_get(config, "credsStore"));
	return helper_valid(name) ? name : NULL;
}

static int spawn_helper(
	const char *program, const char *verb, int in, int out, pid_t *ret, struct err *err)
{
	char *const argv[] = { (char *)program, (char *)verb, NULL };
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	r = posix_spawnp(ret, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r ? err_code(err, -r, "run %s", program) : 0;
}

/* docker-credential-NAME VERB, with `input`; what it prints. */
static int run_helper(
	const char *name, const char *verb, const char *input, struct buf *out, struct err *err)
{
	cleanup(free) char *program = xasprintf("docker-credential-%s", name);
	cleanup(fd_close) int in_read = -1, in_write = -1, out_read = -1, out_write = -1;
	int in[2], from[2], status = 0, r;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	in_read = in[0];
	in_write = in[1];
	if (pipe2(from, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	out_read = from[0];
	out_write = from[1];
	/* It fits in the pipe: nobody waits, nor is killed when the program does not read. */
	r = strlen(input) < 4096 ? fd_write_all(in_write, input, strlen(input)) : -EFBIG;
	if (r < 0)
		return err_code(err, r, "ask %s", program);
	r = spawn_helper(program, verb, in_read, out_write, &pid, err);
	if (r < 0)
		return r;
	in_write = fd_close(in_write);
	out_write = fd_close(out_write);
	r = fd_read_to_end(out_read, SECRET_MAX, out);
	out_read = fd_close(out_read);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_code(err, r, "read what %s prints", program);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, EACCES, "%s %s: %.200s", program, verb,
			out->len ? out->data : "it failed");
	return 0;
}

static int get_from_helper(
	const char *name, const char *key, struct credentials *ret, struct err *err)
{
	cleanup(buf_free) struct buf out = { 0 };
	cleanup(json_free) json_t *j = NULL;
	const char *user, *secret;
	int r = run_helper(name, "get", key, &out, err);

	if (r == -EACCES && out.len && strstr(out.data, "credentials not found"))
		return 0;
	if (r < 0)
		return r;
	j = json_parse(out.data ? out.data : "", out.len, name, err);
	user = json_string_value(json_object_get(j, "Username"));
	secret = json_string_value(json_object_get(j, "Secret"));
	if (!user || !secret)
		return err_set(err, EINVAL, "docker-credential-%s says no name and secret", name);
	if (strcmp(user, "<token>") == 0) {
		ret->identity_token = xstrdup(secret);
	} else {
		ret->user = xstrdup(user);
		ret->password = xstrdup(secret);
	}
	return 0;
}

int credentials_get(const char *host, struct credentials *ret, struct err *err)
{
	cleanup(json_free) json_t *config = read_config(NULL, err);
	const char *key = key_of(host), *helper, *text;
	json_t *auth;

	if (!config)
		return -EINVAL;
	helper = helper_for(config, key, host);
	if (helper)
		return get_from_helper(helper, key, ret, err);
	auth = json_object_get(json_object_get(config, "auths"), key);
	text = json_string_value(json_object_get(auth, "auth"));
	if (text && *text && parse_basic(text, ret) < 0)
		return err_set(err, EINVAL,
			"what is kept for %s in Docker's config.json cannot be read: 'holm login %s' makes it anew",
			host, host);
	text = json_string_value(json_object_get(auth, "identitytoken"));
	if (text && *text)
		ret->identity_token = xstrdup(text);
	return 0;
}

static json_t *object_in(json_t *parent, const char *name)
{
	json_t *j = json_object_get(parent, name);

	if (!json_is_object(j)) {
		j = json_object();
		json_object_set_new(parent, name, j);
	}
	return j;
}

static int put_in_helper(
	const char *name, const char *key, const struct credentials *c, struct err *err)
{
	cleanup(buf_free) struct buf out = { 0 };
	cleanup(json_free) json_t *j = json_pack("{s:s, s:s, s:s}", "ServerURL", key, "Username",
		c->identity_token ? "<token>" : c->user, "Secret",
		c->identity_token ? c->identity_token : c->password);
	cleanup(free) char *text = json_text(j, 0);

	return run_helper(name, "store", text, &out, err);
}

int credentials_put(const char *host, const struct credentials *c, bool *ret_plain, struct err *err)
{
	cleanup(free) char *path = NULL, *basic = NULL;
	cleanup(json_free) json_t *config = read_config(&path, err);
	const char *key = key_of(host), *helper;
	json_t *auth;

	if (!config)
		return -EINVAL;
	helper = helper_for(config, key, host);
	*ret_plain = !helper;
	if (helper)
		return put_in_helper(helper, key, c, err);
	auth = json_object();
	if (c->user) {
		basic = credentials_basic(c);
		json_object_set_new(auth, "auth", json_string(basic));
	}
	if (c->identity_token)
		json_object_set_new(auth, "identitytoken", json_string(c->identity_token));
	json_object_set_new(object_in(config, "auths"), key, auth);
	return write_config(path, config, err);
}

int credentials_forget(const char *host, struct err *err)
{
	cleanup(free) char *path = NULL;
	cleanup(json_free) json_t *config = read_config(&path, err);
	cleanup(buf_free) struct buf out = { 0 };
	const char *key = key_of(host), *helper;
	int r;

	if (!config)
		return -EINVAL;
	helper = helper_for(config, key, host);
	if (helper) {
		r = run_helper(helper, "erase", key, &out, err);
		return r < 0 ? r : 1;
	}
	if (json_object_del(json_object_get(config, "auths"), key) < 0)
		return 0;
	r = write_config(path, config, err);
	return r < 0 ? r : 1;
}
