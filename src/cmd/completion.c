/*
 * `holm completion SHELL` prints a small script which asks the hidden verb `__complete` what may
 * come next; that walks the command table. `__complete -- WORD...` completes the last word: one
 * candidate a line, "WORD<tab>DESCRIPTION", and ":file" where the shell should offer files. It is
 * silent about everything that goes wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/paths.h"
#include "base/strv.h"
#include "cmd/table.h"
#include "image/image.h"
#include "image/reference.h"
#include "instance/instance.h"
#include "instance/volume.h"
#include "net/net.h"
#include "rootless/rootless.h"

struct completion {
	const char *current; /* the word being typed */
	const char *prefix;  /* printed in front of candidates: "--network=" */
};

static void offer(const struct completion *c, const char *word, const char *description)
{
	if (strncmp(word, c->current, strlen(c->current)) == 0)
		printf("%s%s\t%s\n", c->prefix, word, description);
}

static void offer_instances(const struct completion *c, struct db *db, bool running)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };

	if (instance_list(db, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		if (!running || instance_running(list.items[i]))
			offer(c, list.items[i]->config.name, list.items[i]->config.image);
}

static void offer_images(const struct completion *c, struct db *db)
{
	cleanup(image_list_free) struct image_list list = { 0 };

	if (image_list(db, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		strv_foreach (name, list.items[i]->names) {
			cleanup(free) char *familiar = NULL;
			struct reference ref;
			if (reference_parse(*name, &ref, NULL) < 0)
				continue;
			familiar = reference_familiar(&ref);
			offer(c, familiar, format_size_decimal((uint64_t)list.items[i]->size));
		}
	}
}

static void offer_networks(const struct completion *c, struct db *db)
{
	struct record_list list = { 0 };

	if (network_list(db, &list, NULL) < 0)
		return;
	while (list.n > 0) {
		const struct network *n = list.items[0];
		offer(c, n->name, n->driver);
		record_list_remove(&list, 0, network_fields);
	}
	free(list.items);
}

static void offer_volumes(const struct completion *c, struct db *db)
{
	struct record_list list = { 0 };

	if (volume_list(db, &list, NULL) < 0)
		return;
	while (list.n > 0) {
		const struct volume *v = list.items[0];
		offer(c, v->name, v->driver);
		record_list_remove(&list, 0, volume_fields);
	}
	free(list.items);
}

static void offer_names(const struct completion *c, enum complete kind)
{
	cleanup(free) char *path = NULL;
	struct db *db;

	if (kind == COMPLETE_NONE || cmd_paths(NULL) < 0 || rootless_enter(true, NULL) < 0)
		return;
	path = xasprintf("%s/holm.db", paths_root());
	if (access(path, R_OK) < 0 || !(db = cmd_db(NULL)))
		return;
	if (kind == COMPLETE_INSTANCE || kind == COMPLETE_RUNNING)
		offer_instances(c, db, kind == COMPLETE_RUNNING);
	else if (kind == COMPLETE_IMAGE)
		offer_images(c, db);
	else if (kind == COMPLETE_NETWORK)
		offer_networks(c, db);
	else if (kind == COMPLETE_VOLUME)
		offer_volumes(c, db);
}

static void offer_kind(const struct completion *c, enum complete kind)
{
	if (kind == COMPLETE_FILE)
		puts(":file");
	else
		offer_names(c, kind);
}

static void offer_value(const struct completion *c, const struct cmd_option *o)
{
	for (const char *const *choice = o->choices; choice && *choice; choice++)
		offer(c, *choice, o->help);
	if (!o->choices)
		offer_kind(c, o->complete);
}

static void offer_options(const struct completion *c, const struct cmd *cmd)
{
	char form[64];

	for (const struct cmd_option *o = cmd->options; o && o->name; o++) {
		snprintf(form, sizeof(form), "--%s", o->name);
		offer(c, form, o->help);
	}
	offer(c, "--help", "say how it is used");
}

/* The first words of all names, each once. */
static void offer_verbs(const struct completion *c)
{
	cleanup(strv_free) char **seen = NULL;
	char buf[NAME_MAX_LEN];
	const char *name;

	for (const struct cmd *const *row = cmd_table(); *row; row++) {
		if ((*row)->flags & CMD_HIDDEN)
			continue;
		for (size_t i = 0; (name = table_name(*row, i, buf)); i++) {
			cleanup(free) char *word = xstrndup(name, strcspn(name, " "));
			if (strv_contains(seen, word))
				continue;
			strv_add(&seen, word);
			offer(c, word, strchr(name, ' ') ? (*row)->group : (*row)->summary);
		}
	}
	offer(c, "help", "say how a command is used");
}

static void offer_noun_verbs(const struct completion *c, const char *noun)
{
	size_t len = strlen(noun);
	char buf[NAME_MAX_LEN];
	const char *name;

	for (const struct cmd *const *row = cmd_table(); *row; row++)
		for (size_t i = 0; (name = table_name(*row, i, buf)); i++)
			if (!((*row)->flags & CMD_HIDDEN) && !strncmp(name, noun, len) &&
				name[len] == ' ')
				offer(c, name + len + 1, (*row)->summary);
}

/* The option whose value is still to come after this word, or NULL. */
static const struct cmd_option *awaits_value(const struct cmd *cmd, const char *word)
{
	const struct cmd_option *o;

	if (strchr(word, '='))
		return NULL;
	if (word[1] == '-') {
		o = option_by_name(cmd->options, word + 2, strlen(word + 2));
		return o && o->type != OPT_FLAG ? o : NULL;
	}
	for (const char *p = word + 1; *p; p++) {
		o = option_by_letter(cmd->options, *p);
		if (!o || o->type != OPT_FLAG)
			return o && !p[1] ? o : NULL;
	}
	return NULL;
}

/* words: those between the verb and the current one. */
static void complete_verb(struct completion *c, const struct cmd *cmd, char *const *words)
{
	const struct cmd_option *o = NULL;
	const char *equals = strchr(c->current, '=');
	size_t n_args = 0;
	bool over = false;

	for (; *words; words++) {
		if (o) {
			o = NULL;
		} else if (!over && !strcmp(*words, "--")) {
			over = true;
		} else if (!over && (*words)[0] == '-' && (*words)[1]) {
			o = awaits_value(cmd, *words);
		} else {
			n_args++;
			over = over || (cmd->flags & CMD_OPTIONS_FIRST);
		}
	}
	if (o) {
		offer_value(c, o);
	} else if (!over && c->current[0] == '-' && equals) {
		cleanup(free) char *prefix =
			xstrndup(c->current, (size_t)(equals - c->current) + 1);
		if (c->current[1] == '-')
			o = option_by_name(cmd->options, prefix + 2, strlen(prefix) - 3);
		c->prefix = prefix;
		c->current = equals + 1;
		if (o)
			offer_value(c, o);
		c->prefix = "";
	} else if (!over && c->current[0] == '-') {
		offer_options(c, cmd);
	} else if (n_args < cmd->max_args) {
		offer_kind(c, n_args && cmd->complete_more                 ? cmd->complete_more
			      : n_args && (cmd->flags & CMD_OPTIONS_FIRST) ? COMPLETE_NONE
									   : cmd->complete);
	}
}

/* Behind the global options, of which --root and --run say where to look for names. */
static char **skip_global(char **words)
{
	while (*words && (*words)[0] == '-') {
		const struct cmd_option *o = awaits_value(&cmd_global, *words);
		if (o && words[1])
			setenv(!strcmp(o->name, "root") ? "HOLM_ROOT" : "HOLM_RUN", words[1], 1);
		words += o && words[1] ? 2 : 1;
	}
	return words;
}

static int complete(struct cmd_call *call)
{
	struct completion c = { .prefix = "" };
	char **words = call->args;
	char name[NAME_MAX_LEN];
	const struct cmd *cmd;
	size_t used;

	if (call->n_args == 0)
		return 0;
	c.current = words[call->n_args - 1];
	words[call->n_args - 1] = NULL;
	words = skip_global(words);
	if (*words && !strcmp(*words, "help"))
		words++;
	cmd = *words ? table_find(words, &used, name) : NULL;
	if (cmd)
		complete_verb(&c, cmd, words + used);
	else if (*words && !words[1])
		offer_noun_verbs(&c, *words);
	else if (!*words && c.current[0] == '-')
		offer_options(&c, &cmd_global);
	else if (!*words)
		offer_verbs(&c);
	return 0;
}

const struct cmd cmd_complete = {
	.name = "__complete",
	.group = "System",
	.args = "WORD...",
	.summary = "Complete a command line",
	.max_args = SIZE_MAX,
	.flags = CMD_NO_STORE | CMD_HIDDEN | CMD_OPTIONS_FIRST,
	.run = complete,
};

/* The shell breaks words at ':' and '=' and replaces only what is behind the last of them. */
static const char bash_script[] =
	"# Completion of holm for bash. Load it with: source <(holm completion bash)\n"
	"_holm()\n"
	"{\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} breaks= kept= word\n"
	"\tlocal -a words\n"
	"\tread -ra words <<< \"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"\t[[ $COMP_WORDBREAKS == *:* ]] && breaks+=:\n"
	"\t[[ $COMP_WORDBREAKS == *=* ]] && breaks+==\n"
	"\t[[ $breaks ]] && kept=${words[-1]%\"${words[-1]##*[$breaks]}\"}\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS=$'\\t' read -r word _; do\n"
	"\t\tif [[ $word == :file ]]; then\n"
	"\t\t\tcompopt -o default 2> /dev/null\n"
	"\t\telse\n"
	"\t\t\tCOMPREPLY+=(\"${word#\"$kept\"}\")\n"
	"\t\tfi\n"
	"\tdone < <(\"${words[0]/#\\~/$HOME}\" __complete -- \"${words[@]:1}\" 2> /dev/null)\n"
	"}\n"
	"complete -F _holm holm\n";

static const char zsh_script[] =
	"#compdef holm\n"
	"# Completion of holm for zsh. Load it with: source <(holm completion zsh)\n"
	"_holm()\n"
	"{\n"
	"\tlocal -a candidates\n"
	"\tlocal line word files\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tif [[ $line == :file ]]; then\n"
	"\t\t\tfiles=1\n"
	"\t\telse\n"
	"\t\t\tword=${line%%$'\\t'*}\n"
	"\t\t\tcandidates+=(\"${word//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\t\tfi\n"
	"\tdone < <(${~words[1]} __complete -- \"${(@)words[2,CURRENT]}\" 2> /dev/null)\n"
	"\t(( ${#candidates} )) && _describe -V holm candidates\n"
	"\t[[ -n $files ]] && _files\n"
	"}\n"
	"if [[ ${funcstack[1]} == _holm ]]; then\n"
	"\t_holm \"$@\"\n"
	"else\n"
	"\tcompdef _holm holm\n"
	"fi\n";

static const char fish_script[] =
	"# Completion of holm for fish. Load it with: holm completion fish | source\n"
	"function __holm_complete\n"
	"\tset -l words (commandline -opc) (commandline -ct)\n"
	"\tfor line in ($words[1] __complete -- $words[2..-1] 2> /dev/null)\n"
	"\t\tif test \"$line\" = :file\n"
	"\t\t\t__fish_complete_path (commandline -ct)\n"
	"\t\telse\n"
	"\t\t\techo $line\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c holm -f -a '(__holm_complete)'\n";

static int print_script(struct cmd_call *call)
{
	const char *shell = call->args[0];

	if (!strcmp(shell, "bash"))
		fputs(bash_script, stdout);
	else if (!strcmp(shell, "zsh"))
		fputs(zsh_script, stdout);
	else if (!strcmp(shell, "fish"))
		fputs(fish_script, stdout);
	else
		return cmd_usage(call, "'%s' is not one of bash, zsh, fish", shell);
	return 0;
}

const struct cmd cmd_completion = {
	.name = "completion",
	.group = "System",
	.args = "bash|zsh|fish",
	.summary = "Print a script that completes command lines in a shell",
	.examples = "source <(holm completion bash)\n"
		    "holm completion fish > ~/.config/fish/completions/holm.fish",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE,
	.run = print_script,
};
