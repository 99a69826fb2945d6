/* See oci.h: record tables, limits, and the choice of a platform. */
#include "image/oci.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "image/platform.h"

static const struct record_field platform_fields[] = {
	RECORD(struct oci_platform, architecture, "architecture", RECORD_STR),
	RECORD(struct oci_platform, os, "os", RECORD_STR),
	RECORD(struct oci_platform, variant, "variant", RECORD_STR),
	RECORD_END,
};

static const struct record_field descriptor_fields[] = {
	RECORD(struct oci_descriptor, media_type, "mediaType", RECORD_STR),
	RECORD_F(struct oci_descriptor, digest, "digest", RECORD_STR, RECORD_REQUIRED),
	RECORD(struct oci_descriptor, size, "size", RECORD_I64),
	RECORD(struct oci_descriptor, annotations, "annotations", RECORD_MAP),
	RECORD_SUB(struct oci_descriptor, platform, "platform", RECORD_PTR, platform_fields,
		struct oci_platform),
	RECORD_END,
};

static const struct record_field index_fields[] = {
	RECORD_SUB(struct oci_index, manifests, "manifests", RECORD_LIST, descriptor_fields,
		struct oci_descriptor),
	RECORD_END,
};

static const struct record_field manifest_fields[] = {
	{ .name = "config",
		.type = RECORD_ONE,
		.flags = RECORD_REQUIRED,
		.offset = offsetof(struct oci_manifest, config),
		.sub = descriptor_fields,
		.sub_size = sizeof(struct oci_descriptor) },
	RECORD_SUB(struct oci_manifest, layers, "layers", RECORD_LIST, descriptor_fields,
		struct oci_descriptor),
	RECORD_END,
};

static const struct record_field docker_fields[] = {
	RECORD_F(struct docker_manifest, config, "Config", RECORD_STR, RECORD_REQUIRED),
	RECORD(struct docker_manifest, repo_tags, "RepoTags", RECORD_STRV),
	RECORD(struct docker_manifest, layers, "Layers", RECORD_STRV),
	RECORD_END,
};

static int check_list(const struct record_list *list, size_t max, const char *what, struct err *err)
{
	if (list->n > max)
		return err_set(err, EFBIG, "%s: more than %zu entries", what, max);
	for (size_t i = 0; i < list->n; i++) {
		const struct oci_descriptor *d = list->items[i];
		if (!digest_valid(d->digest))
			return err_set(
				err, EINVAL, "%s: '%.100s' is no sha256 digest", what, d->digest);
	}
	return 0;
}

int oci_index_parse(json_t *j, const char *what, struct oci_index *ret, struct err *err)
{
	cleanup(oci_index_clear) struct oci_index index = { 0 };
	int r = record_parse(index_fields, j, &index, err);

	if (r < 0)
		return err_wrap(err, "%s", what);
	r = check_list(&index.manifests, OCI_MAX_MANIFESTS, what, err);
	if (r < 0)
		return r;
	*ret = index;
	index = (struct oci_index){ 0 };
	return 0;
}

int oci_manifest_parse(json_t *j, const char *what, struct oci_manifest *ret, struct err *err)
{
	cleanup(oci_manifest_clear) struct oci_manifest manifest = { 0 };
	int r = record_parse(manifest_fields, j, &manifest, err);

	if (r < 0)
		return err_wrap(err, "%s", what);
	if (!digest_valid(manifest.config.digest))
		return err_set(err, EINVAL, "%s: '%.100s' is no sha256 digest", what,
			manifest.config.digest);
	r = check_list(&manifest.layers, OCI_MAX_LAYERS, what, err);
	if (r < 0)
		return r;
	*ret = manifest;
	manifest = (struct oci_manifest){ 0 };
	return 0;
}

int docker_manifest_parse(json_t *j, const char *what, struct docker_manifest *ret, struct err *err)
{
	struct docker_manifest manifest = { 0 };

	if (record_parse(docker_fields, j, &manifest, err) < 0)
		return err_wrap(err, "%s", what);
	*ret = manifest;
	return 0;
}

void oci_index_clear(struct oci_index *index)
{
	record_clear(index_fields, index);
}

void oci_manifest_clear(struct oci_manifest *manifest)
{
	record_clear(manifest_fields, manifest);
}

void docker_manifest_clear(struct docker_manifest *manifest)
{
	record_clear(docker_fields, manifest);
}

bool oci_is_index(const struct oci_descriptor *d)
{
	return d->media_type &&
	       (strcmp(d->media_type, "application/vnd.oci.image.index.v1+json") == 0 ||
		       strcmp(d->media_type,
			       "application/vnd.docker.distribution.manifest.list.v2+json") == 0);
}

bool oci_is_attestation(const struct oci_descriptor *d)
{
	return (d->platform && d->platform->os && strcmp(d->platform->os, "unknown") == 0) ||
	       map_get(d->annotations, "vnd.docker.reference.type");
}

bool oci_is_host(const struct oci_descriptor *d)
{
	struct platform host;

	if (!d->platform || !d->platform->os || !d->platform->architecture)
		return false;
	platform_host(&host);
	return strcmp(d->platform->os, host.os) == 0 &&
	       strcmp(d->platform->architecture, host.architecture) == 0;
}

const struct oci_descriptor *oci_index_choose(const struct oci_index *index)
{
	const struct oci_descriptor *first = NULL;

	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = index->manifests.items[i];
		if (oci_is_host(d))
			return d;
		if (!first && !oci_is_attestation(d))
			first = d;
	}
	return first;
}
