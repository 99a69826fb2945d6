#pragma once
/* Dockerfile instructions that change nothing but an image's configuration. */
#include "image/config.h"

/* CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR, in any
 * case, in shell or exec form. On failure the configuration may be half changed. -EINVAL. */
int image_change(struct image_config *config, const char *instruction, struct err *err);
