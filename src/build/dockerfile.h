#pragma once
/*
 * Dockerfiles as instructions: lines, escapes, comments, parser directives, heredocs, exec forms and flags.
 * What an instruction means is build.c's and its neighbours'. Docker's Dockerfile reference; the text is foreign:
 * sizes are limited, and errors name the file and the line.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

struct dockerfile_heredoc {
	char *name;  /* "EOF" */
	char *text;  /* its lines, each with its line feed */
	bool expand; /* the name was not quoted: variables are */
};

struct dockerfile_step {
	int line;      /* from 1 */
	char *keyword; /* upper case */
	char **flags;  /* "--from=x", in their order */
	char *text;    /* what follows, continued lines joined; never NULL */
	char **exec;   /* text as a JSON array of strings, or NULL */
	struct dockerfile_heredoc *heredocs;
	size_t n_heredocs;
	char *source; /* the whole instruction in one line, for people */
};

struct dockerfile {
	char *name;  /* for errors: "Dockerfile" */
	char escape; /* '\\' or '`' */
	struct dockerfile_step *steps;
	size_t n;
};

/* -EINVAL: "Dockerfile:3: unknown instruction 'FORM' (FORM debian): did you mean FROM?" */
int dockerfile_parse(
	const char *name, const char *text, size_t len, struct dockerfile *ret, struct err *err);
void dockerfile_clear(struct dockerfile *d);
DEFINE_CLEANUP_OBJECT(dockerfile_clear, struct dockerfile);

/* Blanks separate words, except in quotes and after `escape`, all of which stay. NULL at the end. The caller
 * frees. */
char *dockerfile_word(const char **text, char escape);
/* A JSON array of strings; NULL when it is none. The caller frees. */
char **dockerfile_exec(const char *text);
/* The value of "--NAME=VALUE", "" for "--NAME" alone, NULL when it is not given. */
const char *dockerfile_flag(const struct dockerfile_step *step, const char *name);
