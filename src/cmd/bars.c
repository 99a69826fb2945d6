#include "cmd/bars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/parse.h"

#define QUIET_FOR 500000000 /* ns: what is done by then needs no lines */
#define EVERY 100000000     /* ns */
#define WIDTH 30
#define MAX_LINES 40

struct bar {
	char id[13];
	enum transfer_phase phase;
	uint64_t done, total;
	int64_t told; /* JSON: when */
};

const char *const bars_modes[] = { "auto", "plain", "json", NULL };

enum bars_mode bars_mode(const char *progress, bool quiet)
{
	if (progress && strcmp(progress, "json") == 0)
		return BARS_JSON;
	if (!quiet && (!progress || strcmp(progress, "auto") == 0) && isatty(STDERR_FILENO))
		return BARS_TERMINAL;
	return BARS_NONE;
}

static const char *phase_text(const struct bars *b, enum transfer_phase phase)
{
	switch (phase) {
	case TRANSFER_MOVING:
		return b->moving;
	case TRANSFER_MOUNTED:
		return "mounted";
	case TRANSFER_EXISTS:
		return "exists";
	case TRANSFER_DONE:
		return "done";
	default:
		return "waiting";
	}
}

static void tell_json(const struct bars *b, const char *digest, struct bar *bar)
{
	cleanup(json_free) json_t *j = json_pack("{s:s, s:s, s:I, s:I}", "layer", digest, "status",
		phase_text(b, bar->phase), "done", (json_int_t)bar->done, "total",
		(json_int_t)bar->total);
	cleanup(free) char *text = json_text(j, 0);

	puts(text);
	fflush(stdout);
	bar->told = time_monotonic();
}

static size_t terminal_lines(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2
		       ? (size_t)(size.ws_row - 1)
		       : MAX_LINES;
}

static void show_bar(const struct bars *b, const struct bar *bar)
{
	int full = bar->total ? (int)(WIDTH * bar->done / bar->total) : 0;

	if (bar->phase != TRANSFER_MOVING) {
		fprintf(stderr, "%s  %s\033[K\n", bar->id, phase_text(b, bar->phase));
		return;
	}
	fprintf(stderr, "%s  %s [%.*s%*s] %s", bar->id, b->moving, full,
		"==============================", WIDTH - full, "", format_size(bar->done));
	fprintf(stderr, "/%s\033[K\n", format_size(bar->total));
}

static void show(struct bars *b)
{
	size_t max = terminal_lines(), n = b->n < max ? b->n : max;

	if (b->shown)
		fprintf(stderr, "\033[%zuA", b->shown);
	for (size_t i = 0; i < n; i++)
		show_bar(b, &b->items[i]);
	b->shown = n;
	fflush(stderr);
}

void bars_update(void *data, size_t layer, const char *digest, enum transfer_phase phase,
	uint64_t done, uint64_t total)
{
	struct bars *b = data;
	struct bar *bar;
	int64_t now = time_monotonic();
	bool changed;

	if (b->mode == BARS_NONE)
		return;
	if (!b->first)
		b->first = now;
	while (b->n <= layer) {
		b->items = xrealloc_array(b->items, b->n + 1, sizeof(*b->items));
		b->items[b->n++] = (struct bar){ .id = "" };
	}
	bar = &b->items[layer];
	changed = !bar->id[0] || bar->phase != phase;
	snprintf(bar->id, sizeof(bar->id), "%s", digest_hex(digest));
	bar->phase = phase;
	bar->done = phase == TRANSFER_DONE ? total : done;
	bar->total = total;
	if (b->mode == BARS_JSON && (changed || now - bar->told >= EVERY))
		tell_json(b, digest, bar);
	if (b->mode != BARS_TERMINAL || now - b->first < QUIET_FOR || now - b->last < EVERY)
		return;
	b->last = now;
	show(b);
}

void bars_clear(struct bars *b)
{
	if (b->shown)
		fprintf(stderr, "\033[%zuA\033[J", b->shown);
	free(b->items);
	b->items = NULL;
	b->n = b->shown = 0;
}
