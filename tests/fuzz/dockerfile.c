/* Dockerfiles, the variables in them, and patterns of .dockerignore. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "build/dockerfile.h"
#include "build/expand.h"
#include "build/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expand_all(const struct dockerfile_step *s, char escape)
{
	static char *vars[] = { (char *)"x=aXbXc", (char *)"c=", (char *)"y=/a/b.c", NULL };
	const char *at = s->text;

	for (;;) {
		cleanup(free) char *word = dockerfile_word(&at, escape), *value = NULL;
		if (!word)
			break;
		expand_word(word, vars, escape, &value, NULL);
	}
	for (size_t i = 0; i < s->n_heredocs; i++) {
		cleanup(free) char *value = NULL;
		expand_text(s->heredocs[i].text, vars, &value, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(dockerfile_clear) struct dockerfile d = { 0 };
	cleanup(ignore_clear) struct ignore ignore = { 0 };
	cleanup(free) char *text = NULL;
	struct err err = { 0 };

	if (len > 16384)
		return 0;
	if (dockerfile_parse("Dockerfile", (const char *)data, len, &d, &err) == 0)
		for (size_t i = 0; i < d.n; i++) {
			/* What a step is named after is what it says. */
			if (!d.steps[i].text || d.steps[i].line < 1)
				abort();
			expand_all(&d.steps[i], d.escape);
		}
	text = xstrndup((const char *)data, len < 256 ? len : 256);
	ignore_parse(text, &ignore);
	ignore_match(&ignore, "a/bc/d.log");
	ignore_match(&ignore, text);
	return 0;
}
