#pragma once
/* Inside instance/: root file systems that are not mounted anywhere. */
#include "image/image.h"
#include "instance/instance.h"

/* The layers (bottom first) as one tree; with upper and work directories writable. The caller's. */
int root_mount(char *const *layers, const char *upper, const char *work, struct err *err);
