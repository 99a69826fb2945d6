#pragma once
/* linux.sysctl. */
#include "container/namespace.h"

/* Only settings of namespaces that the container does not share with the host: else -EINVAL. */
int sysctls_check(const struct bundle *b, const struct namespaces *ns, struct err *err);
/* In the child, while it still has the host's /proc; root: the container's, with its mounts. */
int sysctls_write(const struct bundle *b, int root, struct err *err);
