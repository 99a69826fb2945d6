#pragma once
/*
 * Variables in a Dockerfile's words, as BuildKit has them: $x ${x} ${x:-y} ${x-y} ${x:+y} ${x+y} ${x:?y} ${x?y}
 * ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}, quotes, and the escape character.
 */
#include "base/err.h"

/* vars: NAME=VALUE. Quotes are taken away. The caller frees. */
int expand_word(const char *word, char *const *vars, char escape, char **ret, struct err *err);
/* The same where quotes are text: heredocs. */
int expand_text(const char *text, char *const *vars, char **ret, struct err *err);
