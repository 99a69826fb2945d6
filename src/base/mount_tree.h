#pragma once
/*
 * Mounts as descriptors: copies of what is mounted somewhere, changed while they are nowhere, and attached
 * upon a descriptor (open_tree(2), mount_setattr(2), move_mount(2)). Leaf functions: 0 (or a useful number)
 * or -errno.
 */
#include <stdbool.h>
#include <stdint.h>

/* A detached copy of the mount that shows `path`, or of dirfd itself for "". The caller's. */
int tree_open(int dirfd, const char *path, bool recursive);
/* Options (MOUNT_ATTR_*) and propagation (MS_*, 0: as it is) of an open mount. */
int tree_set(int tree, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive);
int tree_attach(int tree, int dest);
/*
 * O_PATH of what a foreign path leads to inside the root directory; made where it is missing, 0755 or 0644,
 * also behind links that lead to nothing.
 */
int mount_point_open(int root, const char *path, bool is_dir);
