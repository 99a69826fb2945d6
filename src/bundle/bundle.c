/*
 * Reader and writer of OCI runtime-spec 1.3 config.json. bundle_fields.c says which member goes
 * where, bundle_check.c which values make sense; whatever bundle_parse() returns has passed both.
 */
#include "bundle/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bundle/bundle_check.h"
#include "bundle/bundle_fields.h"

/* An empty list is a list as well, where its absence stands for something else. */
static void note_empty_lists(const json_t *j, struct bundle *b)
{
	const json_t *seccomp = json_object_get(json_object_get(j, "linux"), "seccomp");
	const json_t *flags = json_object_get(seccomp, "flags");

	if (b->linux_.seccomp && json_is_array(flags) && json_array_size(flags) == 0)
		b->linux_.seccomp->no_flags = true;
}

int bundle_parse(json_t *j, struct bundle **ret, struct err *err)
{
	cleanup(bundle_free) struct bundle *b = xnew(struct bundle);
	int r = record_parse(bundle_fields, j, b, err);

	if (r == 0 && !b->root_path)
		r = err_set(err, EINVAL, "root: missing");
	if (r == 0)
		r = bundle_check(b, err);
	if (r < 0)
		return r;
	note_empty_lists(j, b);
	*ret = take(b);
	return 0;
}

int bundle_read(int dirfd, const char *path, struct bundle **ret, struct err *err)
{
	struct err local = { 0 };
	cleanup(json_free) json_t *j = json_read(dirfd, path, &local);
	int r;

	if (!j) {
		if (err)
			*err = local;
		return -local.code;
	}
	r = bundle_parse(j, ret, err);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

int bundle_write(const struct bundle *b, int dirfd, const char *path, struct err *err)
{
	cleanup(json_free) json_t *j = bundle_dump(b);

	return json_write(dirfd, path, j, 0, err);
}

json_t *bundle_dump(const struct bundle *b)
{
	json_t *j = record_dump(bundle_fields, b);

	if (!b->oci_version)
		json_object_set_new(j, "ociVersion", json_string("1.2.0"));
	return j;
}

void bundle_free(struct bundle *b)
{
	if (b)
		record_clear(bundle_fields, b);
	free(b);
}

int bundle_process_parse(json_t *j, struct bundle_process **ret, struct err *err)
{
	cleanup(bundle_process_free) struct bundle_process *p = xnew(struct bundle_process);
	int r = record_parse(bundle_process_fields, j, p, err);

	if (r == 0)
		r = bundle_check_process(p, "", err);
	if (r < 0)
		return r;
	*ret = take(p);
	return 0;
}

json_t *bundle_process_dump(const struct bundle_process *p)
{
	return record_dump(bundle_process_fields, p);
}

void bundle_process_free(struct bundle_process *p)
{
	if (p)
		record_clear(bundle_process_fields, p);
	free(p);
}

int bundle_resources_parse(json_t *j, struct bundle_resources **ret, struct err *err)
{
	cleanup(bundle_resources_free) struct bundle_resources *res = xnew(struct bundle_resources);
	int r = record_parse(bundle_resources_fields, j, res, err);

	if (r == 0)
		r = bundle_check_resources(res, "", err);
	if (r < 0)
		return r;
	*ret = take(res);
	return 0;
}

void bundle_resources_free(struct bundle_resources *r)
{
	if (r)
		record_clear(bundle_resources_fields, r);
	free(r);
}
