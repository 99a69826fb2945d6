#pragma once
/* /dev: the devices and links that the runtime-spec promises (config-linux.md, "Default Devices"), and
 * linux.devices. */
#include "bundle/bundle.h"

/* In the child, after the mounts. Nothing but linux.devices when /dev is bound from the host. */
int devices_make(const struct bundle *b, int root, struct err *err);
