#pragma once
/* A line for each layer that is on its way, on standard error when that is a terminal, or JSON lines on standard
 * output: {"layer": "sha256:...", "status": "moving", "done": 1, "total": 2}. */
#include "image/registry.h"

enum bars_mode {
	BARS_NONE,
	BARS_TERMINAL,
	BARS_JSON,
};
/* progress: one of bars_modes, or NULL for the first. */
enum bars_mode bars_mode(const char *progress, bool quiet);

struct bars {
	enum bars_mode mode;
	const char *moving; /* "downloading" */
	struct bar *items;
	size_t n;
	size_t shown; /* lines on the terminal */
	int64_t first, last;
};
/* A transfer_fn; data: struct bars. */
void bars_update(void *data, size_t layer, const char *digest, enum transfer_phase phase,
	uint64_t done, uint64_t total);
/* Takes the lines away. */
void bars_clear(struct bars *bars);
DEFINE_CLEANUP_OBJECT(bars_clear, struct bars);
extern const char *const bars_modes[];
