#pragma once
/* What `build` says while it works: on a terminal finished steps and, below them, those that run; else lines. */
#include "build/build.h"

struct build_progress;
/* mode: "auto", "tty", "plain", "quiet", "json" (on standard output; the rest on standard error). */
struct build_progress *build_progress_new(const char *mode);
/* A build_watch_fn. */
void build_progress_event(void *data, const struct build_event *event);
/* The end; when it failed, the last lines of the step that did, where they were not shown. */
void build_progress_free(struct build_progress *p, bool failed);
