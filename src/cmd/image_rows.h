#pragma once
/* What the verbs about images share. */
#include "base/json.h"
#include "image/image.h"

/* Docker's object of `image inspect`. The caller owns it. */
json_t *image_inspect_json(const struct image *image);
/* Docker's decimal form, three digits: "117MB". The caller frees. */
char *image_size_text(uint64_t bytes);
/* "2025-05-20 00:00:00 +0000 UTC" in local time, and "3 months ago". The caller frees. */
char *image_time_text(int64_t ns);
char *image_age_text(int64_t ns);
/* Splits a stored name into what people see: "debian", "12". Both are the caller's. */
void image_name_parts(const char *name, char **ret_repository, char **ret_tag);
/* The id of a name's image for events and output; the name itself when there is none. */
void image_event(const char *action, const char *id, const char *name);
/* The same for what image_remove() reports. */
void image_removed(char *const *report);
/* An image_progress_fn that shows a line; data is what it is about, such as an image's name. */
void image_progress(void *data, const char *what, uint64_t done);
void print_lines(char *const *lines);
/* After a prune: how many images are kept by tags' logs, and how to let them go; nothing for none. */
void image_print_kept(uint64_t n);
