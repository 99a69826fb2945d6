#pragma once
/* Bind mounts (mount.h). */
#include "container/mount.h"

/* In the parent: item->tree with its options, or with item->inside all that the child needs for it. */
int bind_prepare(const struct bundle *b, int bundle_dir, struct mount_item *item, struct err *err);
/* In the child: item->tree of a source that lies below the root and may be among what is mounted there. */
int bind_open_inside(struct mount_item *item, int root, struct err *err);
