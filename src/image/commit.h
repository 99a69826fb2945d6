#pragma once
/*
 * Images made from directories: what a build and `commit` add to an image. A maker holds one session of the store:
 * layers are packed below its tmp directory, and stay there, to be stacked by whoever goes on, until
 * image_maker_keep() gives them their names, synced. What is not kept goes with the maker.
 */
#include "image/image.h"

struct stat;

/* A layer that an image can be made of. */
struct made_layer {
	char diff_id[DIGEST_LEN + 1]; /* "" for none */
	char blob[DIGEST_LEN + 1];
	char media_type[96]; /* of the blob */
	int64_t blob_size;
	int64_t size; /* of its files */
	size_t made;  /* which one of its maker's, from 1; 0: the store had it */
};

struct image_maker;
int image_maker_open(struct image_maker **ret, struct err *err);
void image_maker_close(struct image_maker *m);
DEFINE_CLEANUP(image_maker_close, struct image_maker *);
/* "ROOT/tmp/NAME": for temporary files, which go with the maker. */
const char *image_maker_path(const struct image_maker *m);

struct layer_source {
	const int64_t *clamp; /* times after this one (ns) become it; or NULL */
	int lower; /* what the layer lies upon, as one tree; or -1. Not needed where nothing was hidden. */
};
/*
 * The directory `name` in the maker's tmp, an overlay's upper directory that nobody has mounted any more, becomes a
 * layer. Any thread. 0 and ret->diff_id "" when there is nothing in it.
 */
int image_maker_layer(struct image_maker *m, const char *name, const struct layer_source *source,
	struct made_layer *ret, struct err *err);
/* A copy of an upper directory that stays whose it is. `leave_out` (may be NULL) says yes to paths ("etc/hosts")
 * that are not for the image. */
int image_maker_layer_copy(struct image_maker *m, int upper,
	bool (*leave_out)(void *data, const char *path, const struct stat *st), void *data,
	struct made_layer *ret, struct err *err);
/* Where such a layer is for now: an absolute path for overlay. The caller frees. */
char *image_maker_layer_dir(struct image_maker *m, const struct made_layer *layer);
/* Gives layers their names in the store, where they lie from now on: whoever has their paths uses them no more. */
int image_maker_keep(
	struct image_maker *m, const struct made_layer *layers, size_t n, struct err *err);

/* The layers of an image; the caller frees. */
int image_made_layers(struct db *db, const struct image *image, struct made_layer **ret,
	size_t *ret_n, struct err *err);
/* A new image: its configuration's diff ids are filled in. All layers are kept. names: as people write them. `why`
 * goes into the names' log: "built". */
int image_maker_image(struct db *db, struct image_config *config, const struct made_layer *layers,
	size_t n, char *const *names, const char *why, char id[DIGEST_LEN + 1], struct err *err);

/* `commit`: the base's configuration with changes, and one more layer. */
struct image_commit {
	const char *author, *message, *name; /* NULL: none */
	char *const *changes;                /* Dockerfile instructions */
	const char *created_by;              /* for the history: the command that ran */
};
int image_commit(struct db *db, struct image_maker *m, const struct image *base,
	const struct made_layer *layer, const struct image_commit *what, char id[DIGEST_LEN + 1],
	struct err *err);
/* 1 and SOURCE_DATE_EPOCH in ns, as `given` or (NULL) as the environment has it; 0 when there is none. */
int image_epoch(const char *given, int64_t *ret, struct err *err);
