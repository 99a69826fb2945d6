#define ERR_C
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct err *err, int code, const char *cause, const char *fmt, va_list ap)
{
	char text[sizeof(err->text)];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (cause && n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", cause);
	/* Names of foreign files are part of it: one line, and nothing that a terminal obeys. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	err->code = code;
	memcpy(err->text, text, sizeof(text));
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		set_text(err, code, NULL, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_errno(struct err *err, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		set_text(err, code, strerror(code), fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_code(struct err *err, int negative_errno, const char *fmt, ...)
{
	int code = negative_errno < 0 ? -negative_errno : EIO;
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		set_text(err, code, strerror(code), fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text)) {
		snprintf(text + n, sizeof(text) - (size_t)n, ": %.*s", (int)(sizeof(err->text) - 1),
			err->text);
		memcpy(err->text, text, sizeof(text));
	}
	return -(err->code ? err->code : EIO);
}
