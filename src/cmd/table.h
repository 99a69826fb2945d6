#pragma once
/* The command table as parsing, help, completion, man pages and suggestions share it. cmd/ only. */
#include <stdio.h>

#include "cmd/cmd.h"

#define NAME_MAX_LEN 64 /* of a verb's full name */

/* The i-th full name of a row, 0 being its own and the rest its aliases; NULL after the last. */
const char *table_name(const struct cmd *cmd, size_t i, char name[NAME_MAX_LEN]);

/* The row that the words begin with, the longest name winning; how many words it took and under
 * which name it was found. NULL when there is none. */
const struct cmd *table_find(char *const *words, size_t *ret_used, char name[NAME_MAX_LEN]);

/* Whether a shown row's name is two words and begins with this one: "network". */
bool table_has_noun(const char *noun);

/* The name of a row (an option's long name) near to what was typed, or NULL. */
const char *suggest_command(const char *typed, char name[NAME_MAX_LEN]);
const char *suggest_option(const struct cmd *cmd, const char *typed);
const char *suggest_choice(const char *const *choices, const char *typed);

const struct cmd_option *option_by_name(
	const struct cmd_option *options, const char *name, size_t len);
const struct cmd_option *option_by_letter(const struct cmd_option *options, char letter);

/*
 * Parses argv[1..] into options and leaves the arguments, NULL-terminated, at the front of argv.
 * 1 when --help was asked for, else 0 or -EINVAL with one line that names the option.
 */
int options_parse(
	const struct cmd *cmd, char **argv, void *options, size_t *ret_n_args, struct err *err);
void options_free(const struct cmd *cmd, void *options);

/* The options in front of the verb, as a row without run(). */
extern const struct cmd cmd_global;
struct global_options {
	const char *root, *run;
	bool debug, version;
};

void help_program(FILE *out);
void help_noun(FILE *out, const char *noun);
void help_verb(FILE *out, const struct cmd *cmd);
/* "-p, --publish PORT", as help, man pages and errors show an option. */
void help_option_form(const struct cmd_option *o, char *text, size_t size);

/* Closes what cmd_db() opened. */
void cmd_db_close(void);
