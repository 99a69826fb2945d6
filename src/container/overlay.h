#pragma once
/* The overlay of holm.layers, with holm.upper and holm.work, at root.path. */
#include "bundle/bundle.h"

/* In the child. Returns a descriptor of its root. */
int overlay_mount(const struct bundle *b, int bundle_dir, struct err *err);
/*
 * In the parent: as a detached mount whose files have the ids of linux.uidMappings, while on disk they
 * keep those of the image. Made in a mount namespace of a short-lived process, since idmapped layers have
 * to be attached somewhere before an overlay takes them.
 */
int overlay_open_mapped(const struct bundle *b, int bundle_dir, struct err *err);
