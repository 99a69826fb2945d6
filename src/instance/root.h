#pragma once
/* Root file systems that are not mounted anywhere: instances', and those of builds. */
#include "image/image.h"
#include "instance/instance.h"

/* The layers (bottom first) as one tree; with upper and work directories writable. The caller's. */
int root_mount(char *const *layers, const char *upper, const char *work, struct err *err);
/* The same to be written to, for what needs not be on the disk when it is unmounted, and is mounted once only. */
int root_mount_ephemeral(char *const *layers, const char *upper, const char *work, struct err *err);
