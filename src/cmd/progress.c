/* What is said while something takes long, and questions. */
#include "cmd/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ident.h"

#define QUIET_FOR 1000000000 /* ns: what is done by then needs no line */
#define EVERY 100000000      /* ns between two lines */

static int64_t first, last; /* time_monotonic() */
static bool shown;

void progress_show(const char *fmt, ...)
{
	int64_t now = time_monotonic();
	char text[256];
	va_list ap;

	if (!first)
		first = now;
	if (now - first < QUIET_FOR || now - last < EVERY || !isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	fprintf(stderr, "\r%.78s\033[K", text);
	last = now;
	shown = true;
}

void progress_end(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	first = last = 0;
	shown = false;
}

int output_confirm(bool force, const char *question, struct err *err)
{
	char answer[16];

	if (force)
		return 1;
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return err_set(err, ENOTTY, "there is no answer to read: add --force");
	return answer[0] == 'y' || answer[0] == 'Y';
}
