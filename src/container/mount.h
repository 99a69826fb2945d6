#pragma once
/*
 * The bundle's mounts. Sources of bind mounts are detached copies that the parent opens
 * (open_tree(2)), with the rights and the view of the host; the child attaches them, and mounts new
 * file systems, below the new root by descriptors which openat2(2) confines to it. No link of an
 * image leads outside, neither now nor in a race. Sources that lie below the root are the child's to open, for
 * they may be among what was mounted there before.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mount_tree.h"
#include "bundle/bundle.h"

struct mount_options {
	unsigned long flags, cleared;    /* MS_*: asked for, and asked not to be */
	uint64_t set;                    /* flags as MOUNT_ATTR_*, but for access times */
	uint64_t below_set, below_clear; /* of it and those below */
	unsigned long propagation;       /* MS_SHARED... | MS_REC; 0: nothing was said */
	bool bind, recursive, copy_up, idmap, idmap_below;
	struct buf data; /* what is the file system's own, comma-separated */
};
/* What flags come to as attributes of a bind mount: all that may be in clear, those that are to be in set. Access
 * times are in neither unless the flags say something of them. */
void mount_options_attributes(unsigned long flags, uint64_t *set, uint64_t *clear);
int mount_options_parse(char *const *options, struct mount_options *ret, struct err *err);
/* All that have a meaning of their own here, in order; NULL after the last. */
const char *mount_option_name(size_t i);
void mount_options_free(struct mount_options *o);
DEFINE_CLEANUP_OBJECT(mount_options_free, struct mount_options);

struct mount_item {
	const struct bundle_mount *mount;
	struct mount_options options;
	const char *destination; /* from the container's root */
	const char
		*inside; /* source of a bind mount, from there, if it is to be looked for there */
	int tree;        /* of a bind mount; else -1 */
	int userns;      /* with the ids to map it by; or -1 */
	bool locked;     /* the container is in a user namespace */
	bool is_dir;     /* the source */
};

struct mount_list {
	struct mount_item *items;
	size_t n;
};
/* In the parent. */
int mounts_prepare(const struct bundle *b, int bundle_dir, struct mount_list *ret, struct err *err);
void mount_list_free(struct mount_list *list);
DEFINE_CLEANUP_OBJECT(mount_list_free, struct mount_list);

struct mount_place {
	int root;           /* of the container's tree */
	const char *cgroup; /* path of the group */
	const char *label;  /* SELinux context of new file systems, or NULL */
};
/* In the child. */
int mounts_make(const struct mount_list *list, const struct mount_place *place, struct err *err);
/* In the child, once nothing more is mounted or made in them. */
int mounts_finish(const struct mount_list *list, const struct mount_place *place, struct err *err);
/* The group's hierarchies at `dir`, a fresh tmpfs or (v2) the mount point (mount_cgroup.c). */
int mount_cgroups(
	const struct mount_item *item, const struct mount_place *place, int dest, struct err *err);

/* Leaf functions: 0 or -errno. */
/* mount(2) upon a directory's descriptor, which becomes the working directory. */
int mount_on(int dest, const char *type, const char *source, unsigned long flags, const char *data);
/* Copies what is below one directory into another, both of the container (copy_up.c). */
int copy_up(int from, int to);
