#pragma once
/*
 * From what was asked of an instance (config.h) to what an engine gets (bundle.h): everything
 * resolved, nothing left to look up. Docker's defaults for mounts, capabilities, devices, masked paths.
 */
#include "base/alloc.h"
#include "bundle/bundle.h"
#include "image/image.h"
#include "instance/instance.h"

/* Of a running or starting instance: reads its image's files, writes hosts, hostname and resolv.conf
 * into its directory. state.endpoints are those reserved. The caller frees. */
int spec_build(struct db *db, const struct instance *i, const struct image *image,
	struct bundle **ret, struct err *err);

/* Its parts, each filling in its own members. */
int spec_process(
	const struct instance *i, const struct image *image, struct bundle *b, struct err *err);
int spec_namespaces(struct db *db, const struct instance *i, struct bundle *b, struct err *err);
int spec_mounts(struct db *db, const struct instance *i, struct bundle *b, struct err *err);
/* Those that were asked for, in the order in which they are made. The caller frees the array. */
struct instance_mount **mounts_by_depth(const struct instance_config *c);
/* hosts, hostname, resolv.conf. */
int spec_network_files(const struct instance *i, struct err *err);
/* Limits and device rules, also for `update` while running. */
int spec_resources(const struct instance_config *c, struct bundle_resources *r, struct err *err);
int spec_devices(const struct instance_config *c, struct bundle *b, struct err *err);
/* The capability set of a config: Docker's fourteen, --cap-add, --cap-drop, --privileged. -EINVAL
 * for an unknown name. The caller frees. */
int spec_capabilities(const struct instance_config *c, char ***ret, struct err *err);
/* --security-opt seccomp=..., no-new-privileges, ... */
int spec_security(const struct instance_config *c, struct bundle *b, struct err *err);

int spec_seccomp_file(
	const struct instance_config *c, const char *path, struct bundle *b, struct err *err);

/* A user as "name", "uid", "name:group", "uid:gid" against the instance's own /etc/passwd and
 * /etc/group, looked up through its layers. *ret_home: owned by the caller, may be NULL. */
int spec_user(const struct image *image, const char *upper, const char *user,
	char *const *group_add, struct bundle_user *ret, char **ret_home, struct err *err);

/* A process for `exec`, from the instance's own and what was asked. The caller frees. */
struct instance_exec;
int spec_exec(const struct instance *i, const struct image *image, const struct bundle *b,
	const struct instance_exec *what, struct bundle_process **ret, struct err *err);

static inline int64_t *new_i64(int64_t v)
{
	int64_t *p = xnew(int64_t);

	*p = v;
	return p;
}

static inline uint64_t *new_u64(uint64_t v)
{
	uint64_t *p = xnew(uint64_t);

	*p = v;
	return p;
}
