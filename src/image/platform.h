#pragma once
/* Platforms as images name them: linux/amd64, linux/arm/v7 (Go's names; image-spec image-index.md). */
#include "base/err.h"

struct platform {
	char os[32], architecture[32], variant[16];
};

void platform_host(struct platform *ret);
/* "linux/arm64", "linux/arm/v7", "arm64". -EINVAL. */
int platform_parse(const char *text, struct platform *ret, struct err *err);
/* Debian's name of an architecture ("armhf") as a platform; -ENOENT for one that images do not know. */
int platform_of_debian(const char *architecture, struct platform *ret);
