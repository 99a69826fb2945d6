#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/ident.h"
#include "base/strv.h"

static int log_fd = STDERR_FILENO;
static enum log_form form;

void log_to(int fd)
{
	log_fd = fd;
}

void log_as(enum log_form how)
{
	form = how;
}

/* Inside double quotes, by JSON's rules, of which Go's are a part. */
static void add_quoted(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addf(b, "\\%c", *s);
		else if (*s == '\n')
			buf_adds(b, "\\n");
		else if ((unsigned char)*s < ' ')
			buf_addf(b, "\\u%04x", (unsigned char)*s);
		else
			buf_addc(b, *s);
	}
}

static void add_record(struct buf *b, const char *level, const char *text)
{
	char when[TIME_LEN];

	time_format_seconds(time_now() / 1000000000, when);
	if (form == LOG_JSON)
		buf_addf(b, "{\"level\":\"%s\",\"msg\":\"", level);
	else
		buf_addf(b, "time=\"%s\" level=%s msg=\"", when, level);
	add_quoted(b, text);
	if (form == LOG_JSON)
		buf_addf(b, "\",\"time\":\"%s\"}", when);
	else
		buf_addc(b, '"');
}

static void say(const char *kind, const char *level, const char *fmt, va_list ap)
{
	cleanup(buf_free) struct buf line = { 0 };
	char text[1024];

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	if (form == LOG_PLAIN)
		buf_addf(&line, "holm: %s: %s", kind, text);
	else
		add_record(&line, level, text);
	buf_addc(&line, '\n');
	if (write(log_fd, line.data, line.len) < 0)
		return; /* nowhere left to say it */
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("error", "error", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning", "warning", fmt, ap);
	va_end(ap);
}

void log_warn_once(const char *fmt, ...)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static char **said;
	char text[512];
	bool is_new;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&mutex);
	is_new = !strv_contains(said, text);
	if (is_new)
		strv_add(&said, text);
	pthread_mutex_unlock(&mutex);
	if (is_new)
		log_warn("%s", text);
}

void log_debug(const char *topic, const char *fmt, ...)
{
	const char *topics = getenv("HOLM_DEBUG");
	size_t len = strlen(topic);
	va_list ap;

	if (!topics)
		return;
	if (strcmp(topics, "all") != 0) {
		const char *p = strstr(topics, topic);
		if (!p || (p != topics && p[-1] != ',') || (p[len] && p[len] != ','))
			return;
	}
	va_start(ap, fmt);
	say(topic, "debug", fmt, ap);
	va_end(ap);
}
