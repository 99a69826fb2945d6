/* `holm oci`: from runc's command line to the verbs; global options, logging. */
#include "cmd/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "cmd/table.h"
#include "cmd/verbs.h"

static struct oci_options options;
static const char *program = "holm oci";
static int log_fd = -1;

static const char *const log_formats[] = { "text", "json", NULL };

static const struct cmd_option option_rows[] = {
	OPTION(struct oci_options, debug, OPT_FLAG, 0, "debug", NULL, "enable debug logging"),
	OPTION_WITH(struct oci_options, log, OPT_STR, 0, "log", "FILE",
		"set the log file to write logs to (default: standard error)",
		.complete = COMPLETE_FILE),
	OPTION_WITH(struct oci_options, log_format, OPT_STR, 0, "log-format", "FORMAT",
		"set the log format", .choices = log_formats),
	OPTION_WITH(struct oci_options, root, OPT_STR, 0, "root", "DIR",
		"root directory for storage of container state (default: /run/holm-oci, or "
		"$XDG_RUNTIME_DIR/holm-oci)",
		.complete = COMPLETE_FILE),
	OPTION(struct oci_options, criu, OPT_STR, 0, "criu", "PATH",
		"path to the criu program used for checkpoint and restore"),
	OPTION(struct oci_options, systemd_cgroup, OPT_FLAG, 0, "systemd-cgroup", NULL,
		"have systemd make the cgroups; expects cgroupsPath to be slice:prefix:name"),
	OPTION(struct oci_options, rootless, OPT_STR, 0, "rootless", "true|false|auto",
		"ignore cgroup permission errors"),
	OPTION(struct oci_options, version, OPT_FLAG, 'v', "version", NULL, "print the version"),
	OPTION_END,
};

static int run(struct cmd_call *call);

const struct cmd cmd_oci = {
	.name = "oci",
	.group = "OCI runtime",
	.args = "COMMAND",
	.summary = "Run OCI bundles, with runc's command line",
	.description =
		"For containerd, CRI-O, podman and everything else that calls an OCI runtime; they call it as "
		"holm-oci, a link to the same program. Verbs: checkpoint, create, delete, events, exec, "
		"features, kill, list, pause, ps, restore, resume, run, spec, start, state, update.",
	.examples = "holm oci spec\nholm oci run -b /path/to/bundle web\n"
		    "podman --runtime /usr/local/bin/holm-oci run --rm debian:12 true",
	.options = option_rows,
	.options_size = sizeof(struct oci_options),
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST | CMD_NO_STORE,
	.run = run,
};

const struct oci_options *oci_options(void)
{
	return &options;
}

const char *oci_program(void)
{
	return program;
}

bool oci_is_name(const char *argv0)
{
	const char *slash = strrchr(argv0, '/'), *name = slash ? slash + 1 : argv0;

	return strcmp(name, "holm-oci") == 0 || strcmp(name, "runc") == 0;
}

struct oci_container *oci_find(const char *id, struct err *err)
{
	struct oci_container *c = NULL;

	return oci_load(options.root, id, &c, err) < 0 ? NULL : c;
}

int oci_fail(const struct err *err, int status)
{
	fflush(stdout);
	log_error("%s", err->text);
	/* Callers read the file, people the terminal. */
	if (log_fd >= 0)
		fprintf(stderr, "%s\n", err->text);
	return status;
}

static int set_up_log(struct err *err)
{
	const char *format = options.log_format;

	log_as(format && strcmp(format, "json") == 0 ? LOG_JSON : LOG_KEYS);
	if (options.debug)
		setenv("HOLM_DEBUG", "all", /* overwrite= */ 1);
	if (!options.log || !*options.log)
		return 0;
	log_fd = open(options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		return err_errno(err, "open '%s'", options.log);
	log_to(log_fd);
	return 0;
}

static int set_up_root(struct err *err)
{
	static char *root;
	bool chosen = options.root && *options.root;
	char *real;
	int r;

	/* What else lies there may be cleaned up by age: the sticky bit says not to (XDG Base Directory
	 * Specification). */
	if (!chosen) {
		options.root = root = oci_default_root();
		r = geteuid() != 0 ? dir_make(root, 0700) : 0;
		if (r < 0)
			return err_code(err, r, "make '%s'", root);
		if (geteuid() != 0)
			chmod(root, 0700 | S_ISVTX);
		return 0;
	}
	/* Verbs change their working directory. */
	real = realpath(options.root, NULL);
	if (!real && *options.root != '/') {
		char cwd[4096];
		real = getcwd(cwd, sizeof(cwd)) ? xasprintf("%s/%s", cwd, options.root) : NULL;
	}
	if (real)
		options.root = root = real;
	return 0;
}

static void print_version(void)
{
	cleanup(json_free) json_t *features = oci_features();
	json_t *notes = json_object_get(features, "annotations");

	printf("%s version %s\ncommit: v%s\nspec: %s\nlibseccomp: %s\n", program, HOLM_VERSION,
		HOLM_VERSION, json_string_value(json_object_get(features, "ociVersionMax")),
		json_string_value(json_object_get(notes, "io.github.seccomp.libseccomp.version")));
}

static int check_count(const struct cmd *cmd, size_t n)
{
	struct err err;

	if (n >= cmd->min_args && n <= cmd->max_args)
		return 0;
	printf("Incorrect Usage.\n\n");
	oci_help(cmd);
	err_set(&err, EINVAL, "%s: \"%s\" requires %s %zu argument(s)", program, cmd->name + 4,
		cmd->min_args == cmd->max_args ? "exactly"
		: n < cmd->min_args            ? "a minimum of"
					       : "a maximum of",
		n < cmd->min_args ? cmd->min_args : cmd->max_args);
	return oci_fail(&err, 1);
}

static int call_verb(const struct cmd *cmd, char **argv)
{
	void *own = xcalloc(1, cmd->options_size ? cmd->options_size : 1);
	struct cmd_call call = { .cmd = cmd, .options = own, .args = argv };
	struct err err = { 0 };
	int r = options_parse(cmd, argv, own, &call.n_args, &err);

	if (r < 0) {
		err_wrap(&err, "%s: incorrect usage", cmd->name + 4);
		r = oci_fail(&err, 1);
	} else if (r > 0) {
		oci_help(cmd);
		r = 0;
	} else {
		r = check_count(cmd, call.n_args);
		if (r == 0)
			r = cmd->run(&call);
	}
	options_free(cmd, own);
	return r;
}

/* argv: the verb and what follows. */
static int dispatch(char **argv)
{
	char *words[] = { (char *)"oci", argv[0], NULL };
	char name[NAME_MAX_LEN];
	size_t used = 0;
	const struct cmd *cmd = table_find(words, &used, name);
	struct err err;

	if (used == 2)
		return call_verb(cmd, argv);
	if (strcmp(argv[0], "help") == 0) {
		oci_help(NULL);
		return 0;
	}
	err_set(&err, EINVAL, "No help topic for '%s'", argv[0]);
	return oci_fail(&err, 3);
}

int oci_main(const char *shown, char **argv)
{
	struct err err = { 0 };
	size_t n = 0;
	int r;

	program = shown;
	r = options_parse(&cmd_oci, argv, &options, &n, &err);
	if (r < 0) {
		log_as(LOG_KEYS);
		return oci_fail(&err, 1);
	}
	if (options.version && r == 0) {
		print_version();
		return 0;
	}
	if (r > 0 || n == 0) {
		oci_help(NULL);
		return 0;
	}
	if (set_up_log(&err) < 0 || set_up_root(&err) < 0)
		return oci_fail(&err, 1);
	return dispatch(argv);
}

/* Only reached through the table, which has taken the options as its own. */
static int run(struct cmd_call *call)
{
	oci_help(NULL);
	return call->n_args ? 1 : 0;
}
