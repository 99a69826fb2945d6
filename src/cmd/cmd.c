/* From the command line to a verb: global options, the table, dispatch, exit statuses. */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/paths.h"
#include "cmd/compose.h"
#include "cmd/oci.h"
#include "cmd/table.h"
#include "rootless/rootless.h"

#define STATUS_USAGE 125 /* Docker's, for wrong options of any verb */

static const struct cmd *const *the_table;
static struct global_options global;

static const struct cmd_option global_rows[] = {
	OPTION(struct global_options, root, OPT_STR, 0, "root", "DIR",
		"keep images, instances and volumes here (default: $HOLM_ROOT, else /var/lib/holm; without root ~/.local/share/holm)"),
	OPTION(struct global_options, run, OPT_STR, 0, "run", "DIR",
		"keep sockets and other things of this boot here (default: $HOLM_RUN, else /run/holm; without root $XDG_RUNTIME_DIR/holm)"),
	OPTION(struct global_options, debug, OPT_FLAG, 0, "debug", NULL,
		"say on standard error what is being done (HOLM_DEBUG=topic,... picks topics)"),
	OPTION(struct global_options, version, OPT_FLAG, 'v', "version", NULL,
		"print the version and exit"),
	OPTION_END
};

const struct cmd cmd_global = {
	.name = "holm",
	.args = "COMMAND",
	.summary = "one image, any depth of isolation",
	.options = global_rows,
	.options_size = sizeof(struct global_options),
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST,
};

const struct cmd *const *cmd_table(void)
{
	return the_table;
}

int cmd_paths(struct err *err)
{
	return paths_root() ? 0 : paths_init(global.root, global.run, err);
}

int cmd_fail(const struct err *err, int status)
{
	fflush(stdout);
	fprintf(stderr, "holm: %s\n", err->text);
	return status;
}

int cmd_usage(const struct cmd_call *call, const char *fmt, ...)
{
	const char *name = call->cmd->name;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "holm %s: %s (see 'holm %s --help')\n", name, text, name);
	/* Those whose other statuses are what they ran. */
	return !strcmp(name, "run") || !strcmp(name, "create") || !strcmp(name, "exec") ||
			       !strcmp(name, "machine run")
		       ? STATUS_USAGE
		       : 1;
}

static int check_args(const struct cmd_call *call)
{
	const struct cmd *cmd = call->cmd;
	const char *args = cmd->args && *cmd->args ? cmd->args : NULL;
	const char *s = cmd->min_args == 1 ? "" : "s";

	if (call->n_args < cmd->min_args) {
		fprintf(stderr, "holm %s: needs %s%zu argument%s: holm %s%s %s\n", cmd->name,
			cmd->max_args > cmd->min_args ? "at least " : "", cmd->min_args, s,
			cmd->name, cmd->options ? " [OPTIONS]" : "", args ? args : "");
		return 1;
	}
	if (call->n_args <= cmd->max_args)
		return 0;
	if (cmd->max_args == 0)
		fprintf(stderr, "holm %s: takes no arguments, but got '%s'\n", cmd->name,
			call->args[0]);
	else
		fprintf(stderr, "holm %s: '%s' is one too many: holm %s%s %s\n", cmd->name,
			call->args[cmd->max_args], cmd->name, cmd->options ? " [OPTIONS]" : "",
			args ? args : "");
	return 1;
}

static int enter_store(const struct cmd *cmd, struct err *err)
{
	int r = cmd_paths(err);

	return r < 0 ? r : rootless_enter(!(cmd->flags & CMD_LATE_NETWORK), err);
}

static int run_verb(const struct cmd *cmd, char **argv)
{
	void *options = xcalloc(1, cmd->options_size ? cmd->options_size : 1);
	struct cmd_call call = { .cmd = cmd, .options = options, .args = argv };
	struct err err = { 0 };
	int r = options_parse(cmd, argv, options, &call.n_args, &err);

	if (r < 0) {
		fprintf(stderr, "holm %s: %s\n", cmd->name, err.text);
		r = STATUS_USAGE;
	} else if (r > 0) {
		help_verb(stdout, cmd);
		r = 0;
	} else {
		r = check_args(&call);
		if (r == 0 && !(cmd->flags & CMD_NO_STORE) && enter_store(cmd, &err) < 0)
			r = cmd_fail(&err, 1);
		else if (r == 0)
			r = cmd->run(&call);
	}
	cmd_db_close();
	options_free(cmd, options);
	return r;
}

/* What docker's users type and this version has not: a name like it would be a wrong suggestion. */
static const struct {
	const char *verb, *why;
} absent[] = {
	{ "search", "registries have no search of their own: look at their web pages" },
	{ "buildx", "'holm build' does what it is used for" },
	{ "manifest", "'holm image inspect' shows an image of the store" },
	{ "trust", "signatures are not checked yet" },
	{ "plugin", "there are none; volumes and networks are built in" },
	{ "context", "holm works on this host's containers; '--root' picks another store" },
	{ "checkpoint", "'holm pause' freezes a container in memory" },
	{ "swarm", "holm runs containers of one host" },
	{ "node", "holm runs containers of one host" },
	{ "service", "holm runs containers of one host" },
	{ "stack", "holm runs containers of one host" },
	{ "secret", "'holm run -v FILE:PATH:ro' gives a container a file" },
	{ "config", "'holm run -v FILE:PATH:ro' gives a container a file" },
};

/* "image pull" is meant as "pull". */
static const char *absent_why(const char *typed)
{
	static const char *const nouns[] = { "image ", "container ", "system " };

	for (size_t i = 0; i < ARRAY_SIZE(nouns); i++)
		if (strncmp(typed, nouns[i], strlen(nouns[i])) == 0) {
			typed += strlen(nouns[i]);
			break;
		}
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (strcmp(typed, absent[i].verb) == 0)
			return absent[i].why;
	return NULL;
}

static int unknown_command(const char *typed)
{
	const char *why = absent_why(typed);
	char name[NAME_MAX_LEN];

	if (why)
		fprintf(stderr, "holm: '%s' is not in this version: %s\n", typed, why);
	else if (suggest_command(typed, name))
		fprintf(stderr, "holm: unknown command '%s': did you mean '%s'?\n", typed, name);
	else
		fprintf(stderr, "holm: unknown command '%s' (see 'holm --help')\n", typed);
	return 1;
}

/* words[0] is there, and is neither a verb nor the beginning of one. */
static int noun_or_unknown(char **words)
{
	char both[2 * NAME_MAX_LEN];

	if (!table_has_noun(words[0]))
		return unknown_command(words[0]);
	if (!words[1] || !strcmp(words[1], "--help") || !strcmp(words[1], "-h")) {
		help_noun(stdout, words[0]);
		return 0;
	}
	snprintf(both, sizeof(both), "%s %s", words[0], words[1]);
	return unknown_command(both);
}

/* `holm help`, `holm help run`, `holm help network create`. */
static int help_command(char **words)
{
	char name[NAME_MAX_LEN];
	const struct cmd *cmd;
	size_t used;

	if (!words[0] || words[0][0] == '-') {
		help_program(stdout);
		return 0;
	}
	cmd = table_find(words, &used, name);
	if (!cmd)
		return noun_or_unknown((char *[]){ words[0], words[1], NULL });
	help_verb(stdout, cmd);
	return 0;
}

static int dispatch(char **words)
{
	char name[NAME_MAX_LEN];
	const struct cmd *cmd;
	size_t used;

	if (!strcmp(words[0], "oci"))
		return oci_main("holm oci", words);
	if (!strcmp(words[0], "compose")) {
		int status;
		words = compose_words(words, &status);
		if (!words)
			return status;
	}
	if (!strcmp(words[0], "help"))
		return help_command(words + 1);
	cmd = table_find(words, &used, name);
	return cmd ? run_verb(cmd, words + used - 1) : noun_or_unknown(words);
}

/* A descriptor of ours must never become 0, 1 or 2: what is written there is for a person. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "holm: write to standard output: %s\n", strerror(errno));
	return status ? status : 1;
}

int cmd_main(const struct cmd *const *table, int argc, char **argv)
{
	struct err err = { 0 };
	size_t n_args;
	int r;

	the_table = table;
	/* Modes in the store are what they are said to be: the caller's mask would hide files from the
	 * users of containers. What is written for the caller alone is 0600. */
	umask(022);
	open_standard_fds();
	if (argc < 1)
		return 1;
	if (oci_is_name(argv[0])) {
		const char *slash = strrchr(argv[0], '/');
		return finish(oci_main(slash ? slash + 1 : argv[0], argv));
	}
	r = options_parse(&cmd_global, argv, &global, &n_args, &err);
	if (r < 0) {
		fprintf(stderr, "holm: %s\n", err.text);
		return STATUS_USAGE;
	}
	if (global.debug)
		setenv("HOLM_DEBUG", "all", /* overwrite= */ 0);
	if (global.version && r == 0) {
		printf("holm version %s\n", HOLM_VERSION);
		return finish(0);
	}
	if (r > 0 || n_args == 0) {
		help_program(stdout);
		return finish(0);
	}
	return finish(dispatch(argv));
}
