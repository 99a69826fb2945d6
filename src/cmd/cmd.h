#pragma once
/*
 * The command table's rows. Everything that a person sees of a verb comes from its row: parsing,
 * --help, completion, man page, suggestions. One file a verb (or a noun's verbs), each defining
 * `const struct cmd cmd_NAME`; src/main.c lists them.
 *
 * Options are parsed into a zeroed struct of the verb's own, described by its option rows:
 *
 *	struct stop_options { int64_t time; bool all; char **filter; };
 *	static const struct cmd_option stop_option_rows[] = {
 *		OPTION(struct stop_options, time, OPT_INT, 't', "time", "SECONDS", "wait this long"),
 *		OPTION_END
 *	};
 *
 * Docker's rules: -it, -p8080:80, --flag=value, --flag value, --bool=false; `--` ends options; with
 * CMD_OPTIONS_FIRST nothing after the first argument is an option. Exit statuses too: 125 for a wrong
 * option anywhere, 1 for an unknown command or a wrong number of arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/db.h"
#include "base/err.h"

enum opt_type {
	OPT_FLAG,     /* bool */
	OPT_STR,      /* const char *, NULL when absent; points into argv */
	OPT_STRV,     /* char **, owned: may be repeated */
	OPT_INT,      /* int64_t */
	OPT_SIZE,     /* int64_t, bytes: 512m */
	OPT_DURATION, /* int64_t, ns: 30s */
	OPT_DOUBLE,   /* double */
};

enum complete {
	COMPLETE_NONE,
	COMPLETE_INSTANCE,
	COMPLETE_RUNNING,
	COMPLETE_IMAGE,
	COMPLETE_NETWORK,
	COMPLETE_VOLUME,
	COMPLETE_FILE
};

/* Small: what has pointers is each process' own from its start on. */
struct cmd_option {
	const char *name;           /* long form without dashes; never NULL */
	const char *metavar;        /* NULL exactly for OPT_FLAG */
	const char *help;           /* one line, lower case, no full stop */
	const char *const *choices; /* NULL-terminated, or NULL: any */
	uint16_t offset;
	/* Whether it was given, as bool, when that differs from zero: offset + 1, or 0 for none. */
	uint16_t given_offset;
	char letter; /* or 0 */
	enum opt_type type : 8;
	enum complete complete : 8;
	bool minus_one; /* OPT_SIZE: -1 is allowed and means unlimited */
};

#define OPTION(type_, member_, kind_, letter_, name_, metavar_, help_) \
	{ \
		.name = name_, .letter = letter_, .metavar = metavar_, .help = help_, \
		.type = kind_, .offset = offsetof(type_, member_) \
	}
/* With more designated members: OPTION_WITH(..., .choices = x). */
#define OPTION_WITH(type_, member_, kind_, letter_, name_, metavar_, help_, ...) \
	{ \
		.name = name_, .letter = letter_, .metavar = metavar_, .help = help_, \
		.type = kind_, .offset = offsetof(type_, member_), __VA_ARGS__ \
	}
#define OPTION_GIVEN(type_, member_) .given_offset = offsetof(type_, member_) + 1
#define OPTION_END \
	{ \
		.name = NULL \
	}

#define CMD_OPTIONS_FIRST 1u /* nothing after the first argument is an option */
#define CMD_HIDDEN 2u        /* not in help, completion, man */
#define CMD_NO_STORE 4u      /* needs no directories (help, version, completion) */
#define CMD_LATE_NETWORK 8u  /* joins an ordinary user's network itself (rootless_join_network()) */
#define CMD_IN_NOUN 16u      /* listed in the help of its noun only */

struct cmd_call {
	const struct cmd *cmd;
	void *options; /* the verb's struct */
	char **args;   /* NULL-terminated, borrowed */
	size_t n_args;
};

struct cmd {
	const char *name; /* "run", "network create" */
	const char *
		alias; /* "container ls, container list": other full names of the same row, or NULL */
	const char *group;       /* heading in help: "Instances", "Images", "Networks", ... */
	const char *args;        /* "IMAGE [COMMAND] [ARG...]", or "" */
	const char *summary;     /* one line, no full stop */
	const char *description; /* paragraphs for --help and man, or NULL */
	const char *examples;    /* lines "holm ..." for --help and man, or NULL */
	const struct cmd_option *options; /* or NULL */
	size_t options_size;
	size_t min_args, max_args; /* max 0 with min 0: none; SIZE_MAX: any number */
	unsigned flags;
	enum complete complete;      /* of the arguments */
	enum complete complete_more; /* of those after the first, where that differs */
	/* The exit status. Errors are printed by cmd_fail(). */
	int (*run)(struct cmd_call *call);
};

/* Parses, dispatches, frees the options; the process's exit status. `table` ends with NULL. */
int cmd_main(const struct cmd *const *table, int argc, char **argv);
/* The table that cmd_main() was given, for completion, man pages and help. */
const struct cmd *const *cmd_table(void);

/* Prints "holm: text" and returns status (1 in most verbs; 125 where Docker says so). */
int cmd_fail(const struct err *err, int status);
/* The same for wrong usage, as "holm VERB: text (see 'holm VERB --help')"; returns 125 for run, create
 * and exec as Docker, else 1. */
int cmd_usage(const struct cmd_call *call, const char *fmt, ...) printf_like(2, 3);

/* Sets the paths from the global options; cmd_main() has done so unless CMD_NO_STORE. */
int cmd_paths(struct err *err);

/* The store's database, opened at first use with every module's tables in place; NULL on failure.
 * One a process; closed at exit. */
struct db *cmd_db(struct err *err);

/*
 * What a verb does for one argument. Negative: a failure, which is printed; the others go on. Positive: err is
 * printed, but is no failure.
 */
typedef int cmd_each_fn(struct cmd_call *call, struct db *db, const char *name, struct err *err);

/* Runs fn for each argument; prints the argument after success when echo. 0, or 1 when any failed. */
int cmd_each(struct cmd_call *call, bool echo, cmd_each_fn *fn);
/* The same for verbs that wait most of the time: several arguments at a time, in processes of their own. fn
 * prints nothing itself, so that what is printed, and in which order, is as with cmd_each(). */
int cmd_each_at_once(struct cmd_call *call, bool echo, cmd_each_fn *fn);
