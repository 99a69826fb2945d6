#pragma once
/*
 * Warnings and debug lines on standard error, "holm: warning: ...". Errors are returned, not logged.
 * Debug topics are switched on by HOLM_DEBUG=topic[,topic] or HOLM_DEBUG=all. Any thread.
 */
#include "base/err.h"

void log_warn(const char *fmt, ...) printf_like(1, 2);
/* The same text is said once per process. */
void log_warn_once(const char *fmt, ...) printf_like(1, 2);
void log_debug(const char *topic, const char *fmt, ...) printf_like(2, 3);
/* Errors that nobody is there to be returned to. */
void log_error(const char *fmt, ...) printf_like(1, 2);
/* Where warnings go from now on: a descriptor that stays the caller's, or -1: nowhere. Standard error at
 * first. */
void log_to(int fd);
/* How they look: for people, or as `time="..." level=warning msg="..."` or a JSON object of the same
 * members, which the callers of OCI runtimes read. */
enum log_form { LOG_PLAIN, LOG_KEYS, LOG_JSON };
void log_as(enum log_form form);
