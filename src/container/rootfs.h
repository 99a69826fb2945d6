#pragma once
/*
 * The container's root: an overlay of holm.layers, or root.path bound to itself; masked and read-only
 * paths; and the change to it.
 */
#include "bundle/bundle.h"

/* In the parent: the root as a detached mount, or -1 (with 0 returned) when the child shall mount the
 * overlay itself. In a user namespace the layers appear with its ids (idmapped mounts, Linux 5.19). */
int root_prepare(const struct bundle *b, int bundle_dir, int *ret_tree, struct err *err);
/* In the child: cuts the propagation to the host, puts the root in place and opens it. */
int root_attach(const struct bundle *b, int bundle_dir, int tree, struct err *err);
/* In the child, after all mounts: linux.maskedPaths, linux.readonlyPaths, root.readonly. */
int root_restrict(const struct bundle *b, int root, struct err *err);
enum root_change {
	ROOT_PIVOT,
	ROOT_CHROOT, /* the mount namespace is somebody else's too, whose root must stay */
	ROOT_MOVE, /* on the initial ramdisk, which cannot be pivoted away: the host's tree stays below */
};
/* In the child: it becomes "/", and the host's tree is gone. */
int root_enter(const struct bundle *b, int root, enum root_change how, struct err *err);
