/* `holm login` and `holm logout`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "image/registry.h"

#define SECRET_MAX 8192u

struct login_options {
	const char *user, *password;
	bool password_stdin;
};

static const struct cmd_option options[] = {
	OPTION(struct login_options, password, OPT_STR, 'p', "password", "PASSWORD",
		"the password; others can see it in the list of processes"),
	OPTION(struct login_options, password_stdin, OPT_FLAG, 0, "password-stdin", NULL,
		"read the password from standard input"),
	OPTION(struct login_options, user, OPT_STR, 'u', "username", "NAME", "the name"), OPTION_END
};

static const char *host_of(struct cmd_call *call)
{
	const char *host = call->n_args ? call->args[0] : "docker.io";

	if (strncmp(host, "https://", 8) == 0)
		host += 8;
	return strcmp(host, "index.docker.io/v1/") == 0 || strcmp(host, "registry-1.docker.io") == 0
		       ? "docker.io"
		       : host;
}

/* A line of the terminal, seen or not. */
static int ask(const char *question, bool seen, struct buf *ret, struct err *err)
{
	struct termios was, quiet;
	char c;

	if (!isatty(STDIN_FILENO))
		return err_set(err, ENOTTY,
			"there is no terminal to ask: use -u NAME and --password-stdin");
	fputs(question, stderr);
	tcgetattr(STDIN_FILENO, &was);
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	if (!seen)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n' && ret->len < SECRET_MAX)
		buf_addc(ret, c);
	if (!seen) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		fputc('\n', stderr);
	}
	return ret->len ? 0 : err_set(err, EINVAL, "nothing was entered");
}

static int read_password(const struct login_options *o, struct buf *ret, struct err *err)
{
	int r;

	if (o->password) {
		buf_adds(ret, o->password);
		return 0;
	}
	if (!o->password_stdin)
		return ask("Password: ", false, ret, err);
	r = fd_read_to_end(STDIN_FILENO, SECRET_MAX, ret);
	if (r < 0)
		return err_code(err, r, "read the password");
	while (ret->len && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
		ret->data[--ret->len] = '\0';
	return ret->len ? 0 : err_set(err, EINVAL, "the password on standard input is empty");
}

static int read_user(
	const struct login_options *o, const char *host, struct buf *ret, struct err *err)
{
	cleanup(free) char *kept = o->user ? NULL : image_login_user(host);

	if (!o->user && !kept)
		return ask("Username: ", true, ret, err);
	buf_adds(ret, o->user ? o->user : kept);
	return ret->len && !strchr(ret->data, ':')
		       ? 0
		       : err_set(err, EINVAL, "'%s' is no user's name", ret->data);
}

static int run_login(struct cmd_call *call)
{
	const struct login_options *o = call->options;
	const char *host = host_of(call);
	cleanup(buf_free) struct buf user = { 0 }, password = { 0 };
	struct err err = { 0 };
	bool plain = false;
	int r;

	if (o->password && o->password_stdin)
		return cmd_usage(call, "--password and --password-stdin exclude each other");
	if (o->password_stdin && !o->user)
		return cmd_usage(call, "--password-stdin needs --username");
	r = read_user(o, host, &user, &err);
	if (r == 0)
		r = read_password(o, &password, &err);
	if (r == 0)
		r = image_login(host, user.data, password.data, &plain, &err);
	if (password.len)
		explicit_bzero(password.data, password.len);
	if (r < 0)
		return cmd_fail(&err, 1);
	if (plain)
		log_warn(
			"the password is in Docker's config.json, where whoever can read that file can read it; \"credsStore\" there names a safer place");
	puts("Login Succeeded");
	return 0;
}

const struct cmd cmd_login = {
	.name = "login",
	.group = "Images",
	.args = "[HOST[:PORT]]",
	.summary = "Say who you are to a registry",
	.description =
		"Checks the name and the password with the registry (docker.io unless one is named) and keeps "
		"them where Docker does: by the credential helper that $DOCKER_CONFIG/config.json or "
		"~/.docker/config.json names, else in that file.",
	.examples =
		"holm login registry.example\nholm login -u me --password-stdin localhost:5000 < file",
	.options = options,
	.options_size = sizeof(struct login_options),
	.max_args = 1,
	.flags = CMD_NO_STORE,
	.run = run_login,
};

static int run_logout(struct cmd_call *call)
{
	const char *host = host_of(call);
	struct err err = { 0 };
	int r = image_logout(host, &err);

	if (r < 0)
		return cmd_fail(&err, 1);
	if (r > 0)
		printf("Removing login credentials for %s\n", host);
	else
		printf("Not logged in to %s\n", host);
	return 0;
}

const struct cmd cmd_logout = {
	.name = "logout",
	.group = "Images",
	.args = "[HOST[:PORT]]",
	.summary = "Forget who you are to a registry",
	.max_args = 1,
	.flags = CMD_NO_STORE,
	.run = run_logout,
};
