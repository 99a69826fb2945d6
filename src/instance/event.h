#pragma once
/*
 * What happened, as one JSON line each in RUN/events (appended by whoever did it, rotated at 8 MiB
 * with one older file kept): Docker's event messages {"Type","Action","Actor":{"ID","Attributes"},"time",
 * "timeNano","scope"}.
 */
#include "base/json.h"

/* type: container image network volume. attributes: alternating key and value, NULL-terminated.
 * Never fails the caller: an event that cannot be written is lost. */
void event_emit(const char *type, const char *action, const char *id, char *const *attributes);

/* Past events from since (ns; 0: none of the past), then, until `until` (ns; 0: for ever), new ones
 * as they come (inotify). fn returns non-zero to end. */
int event_follow(int64_t since, int64_t until, int (*fn)(void *data, json_t *event), void *data,
	struct err *err);
