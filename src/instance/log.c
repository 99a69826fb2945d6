/*
 * Writing an instance's log. The supervisor calls log_write() from its event loop with whatever a
 * stream gave: whole lines are encoded at once and leave in one write(2); what follows the last
 * newline waits for the rest of its line, up to LINE_MAX_BYTES.
 *
 * Invariants: the file consists of whole lines (a write that was cut short is cut off again), and no
 * line crosses a rotation. Readers may have any of the files open at any time (log_read.c).
 */
#include "instance/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/log.h"
#include "base/parse.h"

#define LINE_MAX_BYTES (16u << 10)
#define DEFAULT_SIZE (20 << 20)
#define DEFAULT_FILES 5
#define MAX_FILES 1000

struct log_writer {
	int dirfd, fd;          /* both -1 for driver "none" */
	int64_t size, max_size; /* bytes; max_size 0: no bound */
	int64_t max_files;
	bool failed;           /* the last write was dropped; said once until one succeeds */
	struct buf partial[2]; /* unfinished lines of stdout, stderr */
	struct buf out;        /* encoded, not yet written */
};

struct options {
	int64_t max_size, max_files;
};

static int parse_options(const struct instance_config *c, struct options *ret, struct err *err)
{
	struct options o = { DEFAULT_SIZE, DEFAULT_FILES };
	const char *driver = c->log_driver ? c->log_driver : "json-file";

	if (strcmp(driver, "none") != 0 && strcmp(driver, "json-file") != 0)
		return err_set(
			err, EINVAL, "log driver '%s' is not known: json-file, none", driver);
	map_foreach (kv, c->log_options) {
		if (strcmp(kv[0], "max-size") == 0) {
			if (strcmp(kv[1], "-1") == 0)
				o.max_size = 0;
			else if (parse_size(kv[1], &o.max_size) < 0)
				return err_set(err, EINVAL,
					"log option max-size: '%s' is not a size such as 10m",
					kv[1]);
		} else if (strcmp(kv[0], "max-file") == 0) {
			if (parse_i64(kv[1], 1, MAX_FILES, &o.max_files) < 0)
				return err_set(err, EINVAL,
					"log option max-file: '%s' is not a number from 1 to %d",
					kv[1], MAX_FILES);
		} else {
			return err_set(err, EINVAL,
				"log option '%s' is not known: max-size, max-file", kv[0]);
		}
	}
	*ret = o;
	return 0;
}

int log_options_check(const struct instance_config *c, struct err *err)
{
	struct options o;

	return parse_options(c, &o, err);
}

/* Opens log.json at its end. A line left half-written by a crash is ended here. */
static int open_file(struct log_writer *w)
{
	cleanup(fd_close) int fd = openat(
		w->dirfd, "log.json", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	struct stat st;
	char last;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
		write(fd, "\n", 1) == 1)
		st.st_size++;
	w->size = st.st_size;
	fd_close(w->fd);
	w->fd = take_fd(fd);
	return 0;
}

int log_writer_open(
	const struct instance_config *c, const char *dir, struct log_writer **ret, struct err *err)
{
	cleanup(log_writer_free) struct log_writer *w = xnew(struct log_writer);
	struct options o;
	int r;

	w->fd = w->dirfd = -1;
	r = parse_options(c, &o, err);
	if (r < 0)
		return r;
	w->max_size = o.max_size;
	w->max_files = o.max_files;
	if (!c->log_driver || strcmp(c->log_driver, "none") != 0) {
		w->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (w->dirfd < 0)
			return err_errno(err, "open '%s'", dir);
		r = open_file(w);
		if (r < 0)
			return err_code(err, r, "open log '%s/log.json'", dir);
	}
	*ret = take(w);
	return 0;
}

static void rotate(struct log_writer *w)
{
	char from[32], to[32];

	for (int64_t n = w->max_files - 1; n > 0; n--) {
		snprintf(to, sizeof(to), "log.json.%d", (int)n);
		snprintf(from, sizeof(from), n > 1 ? "log.json.%d" : "log.json", (int)n - 1);
		if (renameat(w->dirfd, from, w->dirfd, to) < 0 && errno != ENOENT)
			log_warn_once("rotate log '%s': %s", from, strerror(errno));
	}
	/* Not truncated: a reader that has it open goes on to its end. */
	if (w->max_files == 1)
		unlinkat(w->dirfd, "log.json", 0);
	if (open_file(w) < 0)
		log_warn_once("rotate log 'log.json': %s", strerror(errno));
}

/* After a write that failed: keeps the whole lines of it that are in the file, cuts off the rest. */
static void cut_back(struct log_writer *w)
{
	const char *end = NULL;
	struct stat st;

	/* Smaller than it should be: someone else has emptied it. */
	if (fstat(w->fd, &st) < 0 || st.st_size <= w->size)
		return;
	if (st.st_size - w->size <= (int64_t)w->out.len)
		end = memrchr(w->out.data, '\n', (size_t)(st.st_size - w->size));
	if (end)
		w->size += end + 1 - w->out.data;
	if (ftruncate(w->fd, w->size) < 0)
		log_warn_once("cut a log line that was not written whole: %s", strerror(errno));
}

/* Sends what is encoded. Lines that the disk has no room for are dropped. */
static void drain(struct log_writer *w)
{
	int r;

	if (!w->out.len)
		return;
	r = fd_write_all(w->fd, w->out.data, w->out.len);
	if (r == 0) {
		w->size += (int64_t)w->out.len;
	} else {
		if (!w->failed)
			log_warn("log lines are dropped: %s", strerror(-r));
		cut_back(w);
	}
	w->failed = r < 0;
	w->out.len = 0;
}

/* The length of the well-formed UTF-8 character at s (Unicode, table 3-7), or 0. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (n > len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* One control character, quote or backslash. No printf: a container may write nothing but these. */
static char *put_escaped(char *to, unsigned char c)
{
	static const char special[] = "\"\\\n\r\t", letters[] = "\"\\nrt",
			  hex[] = "0123456789abcdef";
	const char *at = c ? strchr(special, c) : NULL;

	*to++ = '\\';
	if (at) {
		*to++ = letters[at - special];
		return to;
	}
	memcpy(to, "u00", 4);
	to[3] = hex[c >> 4];
	to[4] = hex[c & 15];
	return to + 5;
}

static void add_json_text(struct buf *b, const unsigned char *s, size_t len)
{
	char *start = buf_reserve(b, 6 * len), *to = start; /* "\u0000" is the longest for a byte */
	size_t n;

	for (; len; s += n, len -= n) {
		for (n = 0; n < len && plain(s[n]); n++)
			;
		if (!n && *s >= 0x80)
			n = utf8_length(s, len);
		if (n) {
			memcpy(to, s, n);
			to += n;
			continue;
		}
		n = 1;
		if (*s >= 0x80)
			to = stpcpy(to, "\\ufffd");
		else
			to = put_escaped(to, *s);
	}
	b->len += (size_t)(to - start);
	b->data[b->len] = '\0';
}

static void add_line(
	struct log_writer *w, int stream, const void *text, size_t len, const char *time)
{
	size_t before = w->out.len;

	buf_adds(&w->out, "{\"log\":\"");
	add_json_text(&w->out, text, len);
	buf_addf(&w->out, "\",\"stream\":\"%s\",\"time\":\"%s\"}\n",
		stream == 2 ? "stderr" : "stdout", time);
	if (w->max_size && w->size + (int64_t)w->out.len > w->max_size &&
		w->size + (int64_t)before > 0) {
		cleanup(buf_free) struct buf line = { 0 };
		buf_add(&line, w->out.data + before, w->out.len - before);
		w->out.len = before;
		drain(w);
		rotate(w);
		buf_add(&w->out, line.data, line.len);
	}
}

/* Where a line of more than LINE_MAX_BYTES is split: not inside a character. */
static size_t split_point(const unsigned char *s, size_t len)
{
	size_t back = 0;

	if (len <= LINE_MAX_BYTES)
		return len;
	while (back < 4 && (s[LINE_MAX_BYTES - back] & 0xc0) == 0x80)
		back++;
	return LINE_MAX_BYTES - (back < 4 ? back : 0);
}

/* Encodes the whole lines at the front of text, and the rest in pieces while it is too long. Returns
 * how much was used. */
static size_t add_lines(
	struct log_writer *w, int stream, const unsigned char *s, size_t len, const char *time)
{
	size_t used = 0;

	while (used < len) {
		const unsigned char *end = memchr(s + used, '\n', len - used);
		size_t n = end ? (size_t)(end - s) + 1 - used : len - used;
		if (n > LINE_MAX_BYTES)
			n = split_point(s + used, n);
		else if (!end)
			break;
		add_line(w, stream, s + used, n, time);
		used += n;
	}
	return used;
}

void log_write(struct log_writer *w, int stream, const void *data, size_t len)
{
	struct buf *partial = &w->partial[stream == 2];
	char time[TIME_LEN];
	size_t used;

	if (w->fd < 0 || !len)
		return;
	time_format(time_now(), time);
	if (partial->len) {
		buf_add(partial, data, len);
		buf_consume(partial,
			add_lines(w, stream, (unsigned char *)partial->data, partial->len, time));
	} else {
		used = add_lines(w, stream, data, len, time);
		buf_add(partial, (const char *)data + used, len - used);
	}
	drain(w);
}

void log_flush(struct log_writer *w)
{
	char time[TIME_LEN];

	if (w->fd < 0)
		return;
	time_format(time_now(), time);
	for (int i = 0; i < 2; i++) {
		if (w->partial[i].len)
			add_line(w, i + 1, w->partial[i].data, w->partial[i].len, time);
		w->partial[i].len = 0;
	}
	drain(w);
}

void log_rest(struct log_writer *w)
{
	for (int i = 0; i < 2; i++)
		if (!w->partial[i].len)
			buf_free(&w->partial[i]);
	buf_free(&w->out); /* what could not be written was dropped: it is empty */
}

void log_writer_free(struct log_writer *w)
{
	if (!w)
		return;
	log_flush(w);
	buf_free(&w->partial[0]);
	buf_free(&w->partial[1]);
	buf_free(&w->out);
	fd_close(w->fd);
	fd_close(w->dirfd);
	free(w);
}
