#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strv.h"

static int log_fd = STDERR_FILENO;

void log_to(int fd)
{
	log_fd = fd;
}

static void say(const char *kind, const char *fmt, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "holm: %s: ", kind);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);

	if (m < 0)
		return;
	n = n + m < (int)sizeof(line) - 2 ? n + m : (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(log_fd, line, (size_t)n) < 0)
		return; /* nowhere left to say it */
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning", fmt, ap);
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
	say(topic, fmt, ap);
	va_end(ap);
}
