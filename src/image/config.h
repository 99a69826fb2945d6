#pragma once
/* An image's configuration: OCI image-spec config.md, with Docker's additions (Healthcheck, Shell, OnBuild). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/record.h"

struct image_health {
	char **test; /* "NONE" | "CMD", args... | "CMD-SHELL", command */
	int64_t interval, timeout, start_period, start_interval; /* ns; 0: default */
	int64_t retries;
};

struct image_process {
	char *user;     /* "uid[:gid]" or names of the image's own /etc/passwd */
	char **exposed; /* "80/tcp" */
	char **env;     /* NAME=VALUE */
	char **entrypoint;
	char **cmd;
	char **volumes; /* paths */
	char *working_dir;
	char **labels; /* map */
	char *stop_signal;
	struct image_health *health; /* or NULL */
	char **shell;
	char **on_build;
};

struct image_history {
	int64_t created;
	char *created_by, *author, *comment;
	bool empty_layer;
};

struct image_config {
	char *architecture, *os, *variant, *author;
	int64_t created;
	struct image_process config;
	char **diff_ids;
	struct record_list history; /* struct image_history */
};

/* Foreign text: limits, strict types, errors that name the member. Diff ids are checked digests. */
int image_config_parse(const char *text, size_t len, struct image_config *ret, struct err *err);
/* The canonical JSON that goes into a blob; the caller frees. */
char *image_config_text(const struct image_config *config);
void image_config_clear(struct image_config *config);
DEFINE_CLEANUP_OBJECT(image_config_clear, struct image_config);
