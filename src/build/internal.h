#pragma once
/*
 * Inside build/:
 *	build.c      the whole: what is needed, threads, the end
 *	stages.c     instructions into stages, and what these need of each other
 *	step.c       one step: its key, the cache, what it changes in the configuration
 *	step_copy.c  COPY and ADD; step_add.c what only ADD does
 *	step_run.c   RUN, by the engine; run_mounts.c its --mount
 *	context.c    the context, and others by name
 *	export.c     what comes out, other than an image
 *
 * A stage is one thread's at a time. What several share (the database's connection, the watcher) is behind
 * build.mutex; stages that are done, and have all they made in the store, change no more.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "build/build.h"
#include "build/dockerfile.h"
#include "build/files.h"
#include "image/commit.h"
#include "image/layer.h"
#include "image/layer_cache.h"
#include "image/platform.h"

struct context {
	char *name; /* "" for the build's own */
	int fd;     /* of its root, or -1: not opened yet */
	struct ignore ignore;
};

struct stage {
	struct build *build;
	size_t index;
	char *name;                          /* as given, or its number */
	const struct dockerfile_step *steps; /* FROM first */
	size_t n_steps;
	unsigned first_number; /* of FROM, among all steps that are to be done */
	unsigned triggers;     /* ONBUILD steps of its base, done so far */
	ssize_t base;          /* the stage that it begins with, or -1 */
	char *base_name;       /* else: the image; "scratch" */
	char *platform;        /* --platform, or NULL */
	bool *needs;           /* by index */
	bool needed, started, done;

	/* Its state after the last step. */
	struct image_config config;
	struct made_layer *layers;
	size_t n_layers;
	char **args;              /* NAME=VALUE in scope */
	bool has_cmd;             /* CMD stands in this file */
	char key[DIGEST_LEN + 1]; /* of all that its files come from */

	struct build_cached {
		char key[DIGEST_LEN + 1];
		struct layer_cached what;
	} * made; /* for the cache, once all is kept */
	size_t n_made;
	int64_t kept; /* when, monotonic */
};

struct build {
	const struct build_config *config;
	struct db *db;
	struct image_maker *maker;
	const volatile bool *stop;
	build_watch_fn *watch;
	void *watch_data;

	struct dockerfile file;
	char **global_args; /* before the first FROM */
	struct stage *stages;
	size_t n_stages, target;
	struct platform platform;
	bool has_epoch;
	int64_t epoch; /* ns */
	unsigned n_steps;
	char *run_dir; /* RUN/builds/ID, with our lock */
	int run_lock;

	pthread_mutex_t mutex; /* of the connection, the watcher, and what follows */
	pthread_cond_t changed;
	struct context *contexts;
	size_t n_contexts;
	atomic_uint counter; /* for names */
	bool failed;
	int r;
	struct err err;
};

/* Whether to give up: somebody asked to, or another stage has failed. -EINTR then. */
int build_check(struct build *b, struct err *err);
void build_tell(struct build *b, const struct build_event *event);
/* A fresh name in the maker's tmp. The caller frees. */
char *build_name(struct build *b, const char *what);
/* What the stage has made gets its place in the store, and the cache knows of it. Nobody else has its layers' paths. */
int build_keep(struct stage *stage, struct err *err);

/* stages.c */
int stages_make(struct build *b, struct err *err);
void stages_clear(struct build *b);
/* By name or number, among those before `before`; -1. */
ssize_t stage_find(const struct build *b, const char *name, size_t before);
/* A variable's value from --build-arg, or NULL. */
const char *build_arg(const struct build *b, const char *name);
/* ARG's words: into the stage's, or, before the first FROM (NULL), into all stages' reach. Each word's value sees those
 * of the words before it. */
int arg_declare(
	struct build *b, struct stage *stage, const char *text, char escape, struct err *err);
/* Whether ARG is there without being declared: proxies and the like, which never are part of a key. */
bool arg_is_predefined(const char *name);
int stages_error(const struct build *b, const struct dockerfile_step *s, struct err *err);

/* step.c */
int stage_run(struct stage *stage, struct err *err);
/* What expansion sees: ENV over ARG. The caller frees. */
char **stage_vars(const struct stage *stage);
int stage_expand(const struct stage *stage, const char *word, char **ret, struct err *err);

/* USER's and --chown's words, by the stage's own files: a number alone is the group, too (Docker). */
int stage_owner(
	const struct stage *stage, const char *user, uid_t *uid, gid_t *gid, struct err *err);

/* A step on its way. */
struct step {
	struct stage *stage;
	const struct dockerfile_step *s;
	const struct dockerfile *file;
	unsigned number;
	struct hash key;             /* what goes into it so far; begins with the stage's */
	char digest[DIGEST_LEN + 1]; /* of all of it, once step_find() has looked */
	bool is_cached, has_layer;
	int64_t created;
	char *created_by; /* for the history; NULL: the instruction */
};
void key_text(struct hash *h, const char *text);
void key_strv(struct hash *h, char *const *v);
/*
 * Ends the key and looks in the cache. 1: the layer is in place, the step is done. 0: to be made.
 */
int step_find(struct step *p, struct err *err);
/* For the cache, once what it stands for is kept. */
void step_remember(struct step *p, const char *key, const struct layer_cached *what);
/* The directory `name` in the maker's tmp has what the step made (NULL: nothing): a layer. */
int step_made(struct step *p, const char *name, int lower, struct err *err);
/* The stage's layers as directories, bottom first. The caller frees. */
char **stage_layer_dirs(const struct stage *stage);
/* Its files as one tree to be read. */
int stage_root(const struct stage *stage, struct err *err);
/* Mounts the stage's files with a new directory upon them, tmp/`name`, which is where to write. */
int step_overlay(struct step *p, const char *name, int *ret_root, struct err *err);

int step_copy(struct step *p, struct err *err);
int step_run(struct step *p, struct err *err);
/* WORKDIR's directory, which may have to be made. */
int step_workdir(struct step *p, struct err *err);

/*
 * Where --from leads: files of a stage, an image or a context. `key` gets what stands for them; root is the caller's
 * where `owned`.
 */
struct origin {
	int root;
	bool owned, keep_owner;
	const struct ignore *ignore;
	char key[DIGEST_LEN + 1]; /* "": only the files' contents tell */
};
#define ORIGIN_NONE ((struct origin){ .root = -1 })
int origin_open(struct stage *stage, const char *from, struct origin *ret, struct err *err);
void origin_clear(struct origin *o);
DEFINE_CLEANUP_OBJECT(origin_clear, struct origin);

/* step_add.c */
/* Whether a source of ADD is no file of the context. */
bool add_is_url(const char *source);
/* What it is called: "a b.txt" of http://host/dir/a%20b.txt?x. The caller frees. */
int add_url_name(const char *url, char **ret, struct err *err);
/* Into a new file, which only its owner may read (Docker). checksum: or NULL. */
int add_fetch(const char *url, const char *path, const char *checksum, struct err *err);
/* 1: file `i` was an archive; what it holds is in the root's directory `into`, and it is out of the set. 0: it is none. */
int add_unpack(struct build *b, struct file_set *set, size_t i, int root, const char *into,
	const struct file_copy *how, struct err *err);

/* context.c */
/* How archives are unpacked that are no layers. */
struct layer_options context_unpacking(void);
/* The build's own context, or another one by its name. Its files stay until the build ends. */
int context_open(struct build *b, const char *name, struct context **ret, struct err *err);
/* The Dockerfile's text. */
int context_dockerfile(struct build *b, struct buf *text, char **ret_name, struct err *err);
void contexts_clear(struct build *b);

/* run_mounts.c */
struct instance_config;
struct run_mounts {
	struct origin *origins;
	size_t n_origins;
	int *locks;
	size_t n_locks;
};
/* RUN's --mount flags: the key first, then, when the step is to be made, the mounts themselves. */
int run_mounts_key(struct step *p, struct err *err);
int run_mounts_make(struct step *p, const char *dir, struct instance_config *c,
	struct run_mounts *m, struct err *err);
void run_mounts_clear(struct run_mounts *m);
DEFINE_CLEANUP_OBJECT(run_mounts_clear, struct run_mounts);

/* export.c */
int export_check(const struct build *b, struct err *err);
/* Whether an image with its names is wanted. */
bool export_wants_image(const struct build *b);
int export_all(struct build *b, const struct stage *stage, const char *id, struct err *err);
