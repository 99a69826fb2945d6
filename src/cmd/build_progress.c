#include "cmd/build_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/strv.h"
#include "instance/stream.h"

#define TAIL 20
#define EVERY 100000000 /* ns between two pictures */
#define SECOND 1e9

enum mode { PLAIN, TTY, QUIET, JSON };

struct running {
	unsigned step;
	char *text;
	char *tail[TAIL]; /* a ring: the last is at (lines - 1) % TAIL */
	unsigned lines;
	int64_t begun;
	bool failed;
};

struct build_progress {
	enum mode mode;
	unsigned count;
	struct running **running;
	size_t n;
	unsigned shown; /* lines of those that run */
	int64_t drawn;
};

struct build_progress *build_progress_new(const char *mode)
{
	static const char *const names[] = { "plain", "tty", "quiet", "json" };
	struct build_progress *p = xnew(struct build_progress);

	p->mode = isatty(STDERR_FILENO) ? TTY : PLAIN;
	for (size_t i = 0; mode && i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], mode) == 0)
			p->mode = (enum mode)i;
	return p;
}

static void running_free(struct running *r)
{
	for (size_t i = 0; i < TAIL; i++)
		free(r->tail[i]);
	free(r->text);
	free(r);
}

static struct running *find(struct build_progress *p, unsigned step)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->running[i]->step == step)
			return p->running[i];
	return NULL;
}

static struct running *add(struct build_progress *p, const struct build_event *e)
{
	struct running *r = find(p, e->step);

	if (!r) {
		r = xnew(struct running);
		p->running = xrealloc_array(p->running, p->n + 1, sizeof(struct running *));
		p->running[p->n++] = r;
	}
	r->step = e->step;
	r->begun = time_monotonic();
	str_replace(&r->text, e->text);
	return r;
}

static void drop(struct build_progress *p, struct running *r)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->running[i] == r)
			memmove(&p->running[i], &p->running[i + 1],
				(--p->n - i) * sizeof(struct running *));
	running_free(r);
}

/* One line of the terminal's, without what would move its cursor. */
static void put_line(const char *text, int width)
{
	int n = 0;

	for (const char *c = text; *c && n < width; c++) {
		unsigned char byte = (unsigned char)*c;
		fputc(byte < 0x20 || byte == 0x7f ? ' ' : byte, stderr);
		n += (byte & 0xc0) != 0x80;
	}
	fputs("\033[K\n", stderr);
}

static void erase(struct build_progress *p)
{
	if (p->shown)
		fprintf(stderr, "\033[%uA\033[J", p->shown);
	p->shown = 0;
}

static void draw(struct build_progress *p)
{
	uint16_t rows = 24, columns = 80;
	int64_t now = time_monotonic();

	terminal_size(&rows, &columns);
	if (columns < 20)
		columns = 80;
	erase(p);
	for (size_t i = 0; i < p->n; i++) {
		const struct running *r = p->running[i];
		cleanup(free) char *line = xasprintf(" -> [%u/%u] %5.1fs %s", r->step, p->count,
			(double)(now - r->begun) / SECOND, r->text);
		put_line(line, columns - 1);
		p->shown++;
		if (r->lines) {
			cleanup(free) char *last =
				xasprintf("      %s", r->tail[(r->lines - 1) % TAIL]);
			put_line(last, columns - 1);
			p->shown++;
		}
	}
	p->drawn = now;
	fflush(stderr);
}

static void finished_line(
	const struct build_progress *p, const struct running *r, const struct build_event *e)
{
	cleanup(free) char *line = NULL;
	const char *how = e->kind == BUILD_FAILED ? "FAILED" : e->cached ? "CACHED" : "DONE";

	if (p->mode == PLAIN) {
		fprintf(stderr, "#%u %s %.1fs\n", e->step, how, (double)e->ns / SECOND);
		return;
	}
	line = xasprintf(" => [%u/%u] %s %s", e->step, p->count,
		e->kind == BUILD_DONE && !e->cached ? "" : how, r->text);
	fprintf(stderr, "%-68.68s %6.1fs\033[K\n", line, (double)e->ns / SECOND);
}

static void tell_json(const struct build_event *e)
{
	static const char *const kinds[] = { "plan", "start", "output", "done", "failed" };
	cleanup(json_free) json_t *j = json_pack("{s:s}", "event", kinds[e->kind]);
	cleanup(free) char *line = NULL;

	if (e->kind == BUILD_PLAN) {
		json_object_set_new(j, "steps", json_integer(e->count));
	} else {
		json_object_set_new(j, "step", json_integer(e->step));
		json_object_set_new(j, "stage", json_shown(e->stage));
	}
	if (e->text)
		json_object_set_new(j, "text", json_shown(e->text));
	if (e->kind == BUILD_DONE || e->kind == BUILD_FAILED) {
		json_object_set_new(j, "cached", json_boolean(e->cached));
		json_object_set_new(j, "seconds", json_real((double)e->ns / SECOND));
	}
	line = json_text(j, 0);
	puts(line);
	fflush(stdout);
}

static void output(struct build_progress *p, struct running *r, const struct build_event *e)
{
	if (p->mode == PLAIN)
		fprintf(stderr, "#%u %s\n", e->step, e->text);
	if (r)
		str_replace(&r->tail[r->lines++ % TAIL], e->text);
}

void build_progress_event(void *data, const struct build_event *e)
{
	struct build_progress *p = data;
	struct running *r = find(p, e->step);

	if (p->mode == JSON)
		tell_json(e);
	switch (e->kind) {
	case BUILD_PLAN:
		p->count = e->count;
		return;
	case BUILD_START:
		add(p, e);
		if (p->mode == PLAIN)
			fprintf(stderr, "#%u [%u/%u] %s\n", e->step, e->step, p->count, e->text);
		break;
	case BUILD_OUTPUT:
		output(p, r, e);
		break;
	default:
		if (!r)
			break;
		if (p->mode == TTY)
			erase(p);
		if (p->mode == TTY || p->mode == PLAIN)
			finished_line(p, r, e);
		r->failed = e->kind == BUILD_FAILED;
		if (!r->failed)
			drop(p, r);
	}
	if (p->mode == TTY && (e->kind != BUILD_OUTPUT || time_monotonic() - p->drawn > EVERY))
		draw(p);
}

void build_progress_free(struct build_progress *p, bool failed)
{
	if (p->mode == TTY)
		erase(p);
	for (size_t i = 0; i < p->n; i++) {
		const struct running *r = p->running[i];
		unsigned from = r->lines > TAIL ? r->lines - TAIL : 0;
		if (failed && r->failed && (p->mode == TTY || p->mode == QUIET))
			for (unsigned k = from; k < r->lines; k++)
				fprintf(stderr, "      %s\n", r->tail[k % TAIL]);
	}
	while (p->n)
		drop(p, p->running[0]);
	free(p->running);
	free(p);
}
