#pragma once
/*
 * An instance's log in Docker's json-file form: {"log":"text\n","stream":"stdout","time":"RFC 3339"},
 * a line each, partial lines without the newline. ROOT/instances/ID/log.json is the newest file,
 * log.json.1 the one before. Options: max-size (default 20m; -1 or 0: no bound) and max-file (default
 * 5, the newest among them): bounded from the start, since a log that fills the disk stops
 * everything else.
 */
#include "base/err.h"
#include "instance/instance.h"

struct log_writer;
/* Driver and options of a config: known, with values in range. For instance_create(). */
int log_options_check(const struct instance_config *c, struct err *err);
/* dir: the instance's. driver "none": a writer that drops. */
int log_writer_open(
	const struct instance_config *c, const char *dir, struct log_writer **ret, struct err *err);
/* stream: 1 or 2. Splits at newlines; long lines at 16 KiB. A full disk drops lines with one warning. */
void log_write(struct log_writer *w, int stream, const void *data, size_t len);
/* What is left of unfinished lines. */
void log_flush(struct log_writer *w);
/* Gives buffers back until they are needed again. */
void log_rest(struct log_writer *w);
void log_writer_free(struct log_writer *w);
DEFINE_CLEANUP(log_writer_free, struct log_writer *);

struct log_read {
	int64_t tail;         /* lines; -1: all */
	int64_t since, until; /* ns; 0: no bound */
	bool follow;          /* until the instance stops */
	bool want_stdout, want_stderr;
};
/* fn gets each entry; non-zero ends. Rotated files first. */
int log_read(const struct instance *i, const struct log_read *how,
	int (*fn)(void *data, int stream, int64_t time, const char *text, size_t len), void *data,
	struct err *err);
