#pragma once
/* What image-spec's descriptor.md, image-index.md and manifest.md, and docker save, put into JSON. */
#include <stdint.h>

#include "base/record.h"

struct oci_platform {
	char *architecture, *os, *variant;
};

struct oci_descriptor {
	char *media_type, *digest;
	int64_t size;
	char **annotations; /* map */
	struct oci_platform *platform;
};

struct oci_index {
	struct record_list manifests; /* struct oci_descriptor */
};

struct oci_manifest {
	struct oci_descriptor config;
	struct record_list layers; /* struct oci_descriptor */
};

/* One entry of docker save's manifest.json. */
struct docker_manifest {
	char *config; /* a member's name */
	char **repo_tags;
	char **layers; /* members' names, bottom first */
};

#define OCI_MAX_MANIFESTS 1000
#define OCI_MAX_LAYERS 512

/* Digests are checked, members limited. -EINVAL says where it is wrong; `what` heads it. */
int oci_index_parse(json_t *j, const char *what, struct oci_index *ret, struct err *err);
int oci_manifest_parse(json_t *j, const char *what, struct oci_manifest *ret, struct err *err);
int docker_manifest_parse(
	json_t *j, const char *what, struct docker_manifest *ret, struct err *err);
void oci_index_clear(struct oci_index *index);
void oci_manifest_clear(struct oci_manifest *manifest);
void docker_manifest_clear(struct docker_manifest *manifest);
DEFINE_CLEANUP_OBJECT(oci_index_clear, struct oci_index);
DEFINE_CLEANUP_OBJECT(oci_manifest_clear, struct oci_manifest);
DEFINE_CLEANUP_OBJECT(docker_manifest_clear, struct docker_manifest);

bool oci_is_index(const struct oci_descriptor *d);
/* Of an index, the manifest for this host, else the first that is for some machine at all; or NULL. */
const struct oci_descriptor *oci_index_choose(const struct oci_index *index);
/* Whether it is one that nothing runs: an attestation. */
bool oci_is_attestation(const struct oci_descriptor *d);
bool oci_is_host(const struct oci_descriptor *d);
