#pragma once
/*
 * Images from Dockerfiles: what `build` and `compose build` ask for. Everything that the Dockerfile, the context
 * and the base image say is foreign.
 *
 * A build runs the stages that its target needs, independent ones side by side. Each step's layer is looked for by
 * a key of all that goes into it before it is made (step.c). What was made gets its place in the store soon after, and
 * when its stage ends, well or not; the image's rows come last.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/db.h"
#include "base/hash.h"

struct build_config {
	const char *context;    /* a directory, or "-": a tar on standard input */
	const char *dockerfile; /* a path on this host; "-": standard input; NULL: the context's */
	const char *text;       /* the Dockerfile itself, instead */
	char **tags;            /* names for the image, as people write them */
	char **args;            /* NAME=VALUE; NAME alone takes this process's own value */
	char **labels;          /* map */
	char **contexts;      /* map: more contexts by name: a directory, or docker-image://NAME */
	char **secrets;       /* id=ID[,src=FILE|,env=NAME] */
	char **ssh;           /* ID[=SOCKET] */
	char **add_hosts;     /* NAME:IP */
	const char *target;   /* a stage's name or number; NULL: the last */
	const char *platform; /* NULL: this host's */
	const char *network;  /* "default", "none", "host"; NULL: default */
	char **outputs;       /* type=local,dest=DIR | type=tar,dest=FILE | ... ; NULL: the image */
	int64_t shm_size;     /* bytes; 0: 64 MiB */
	int64_t memory;       /* bytes for each RUN; 0: no limit */
	bool no_cache, pull;
	/* Fetches an image that the store has not, or a newer one with `pull`; or NULL: it must be there. */
	int (*fetch)(void *data, struct db *db, const char *name, struct err *err);
	void *fetch_data;
};

enum build_event_kind {
	BUILD_PLAN,   /* once, before the rest: `count` steps */
	BUILD_START,  /* of step `step`, counted from 1 */
	BUILD_OUTPUT, /* a line of its program's, in `text` */
	BUILD_DONE,   /* in `ns`; `cached`, or not */
	BUILD_FAILED,
};

struct build_event {
	enum build_event_kind kind;
	unsigned step, count;
	const char *stage; /* its name, or its number as text */
	const char *text;  /* START: the instruction; OUTPUT: a line without its end */
	bool cached;
	int64_t ns;
};

/* Told of all that happens, one call at a time, from any thread. */
typedef void build_watch_fn(void *data, const struct build_event *event);

/* Returns when it is done. The image's id, or "" when other outputs were asked for. Errors name the Dockerfile's line.
 * *stop (may be NULL), once true, ends it with -EINTR: for signal handlers. */
int build_run(struct db *db, const struct build_config *config, const volatile bool *stop,
	build_watch_fn *watch, void *data, char id[DIGEST_LEN + 1], struct err *err);

/* What builds keep for the next; all that was last used before a time (ns). */
struct build_pruned {
	uint64_t entries, bytes;
};
int build_prune(struct db *db, int64_t before, struct build_pruned *ret, struct err *err);
struct layer_cache_usage;
int build_usage(struct db *db, struct layer_cache_usage *ret, struct err *err);
