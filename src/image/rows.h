#pragma once
/* What the files of src/image share about rows. Nothing else includes this. */
#include "image/image.h"

/* The id behind what a person wrote, whatever state the image is in: for verbs that mend or remove.
 * *ret_by_id (may be NULL): it was an id, not a name. */
int image_resolve(
	struct db *db, const char *name, bool *ret_by_id, char id[DIGEST_LEN + 1], struct err *err);

/* The stored form of a name for an image: "docker.io/library/debian:12". The caller frees. */
int normal_name(const char *text, char **ret, struct err *err);
/* As people write it; what does not parse is passed through. The caller frees. */
char *familiar_name(const char *name);
/* Points a stored name at an image, moving it from another one. why: for the tag's log, "pulled". In the
 * caller's transaction. */
int name_set(
	struct db *db, const char *name, const char *image_id, const char *why, struct err *err);

/* The image behind a stored name, or NULL; the caller frees. */
char *image_id_of_name(struct db *db, const char *name);
/* A repository's digest, of a manifest or an index, stands for an image from now on: "REPOSITORY@sha256:...". */
struct reference;
int digest_set(struct db *db, const struct reference *ref, const char *digest, const char *image_id,
	bool asked, struct err *err);

/* An image about to get its rows: its layers' content is in the store. */
struct image_layer {
	char diff_id[DIGEST_LEN + 1];
	char blob[DIGEST_LEN + 1];
	char *media_type; /* of the blob */
	int64_t blob_size;
	int64_t size; /* of its files */
};

struct image_new {
	char *config;    /* the exact text whose digest is the id */
	char *manifest;  /* the exact text, or NULL: made from the layers */
	char **names;    /* stored form */
	const char *why; /* for the tags' logs: "loaded"; NULL: "made"; borrowed */
	struct image_layer *layers;
	size_t n_layers;
	char id[DIGEST_LEN + 1]; /* out */
};
void image_new_clear(struct image_new *image);
DEFINE_CLEANUP_OBJECT(image_new_clear, struct image_new);

/* The OCI manifest of such an image; the caller frees. */
char *image_manifest_text(const struct image_new *image);
/* Writes the rows, in one transaction (the caller's, if one is open). */
int image_add(struct db *db, struct image_new *image, struct err *err);
