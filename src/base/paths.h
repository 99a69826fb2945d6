#pragma once
/*
 * Where holm keeps things.
 *
 * root: what survives a reboot (images, instances, volumes, the database). --root, HOLM_ROOT, else
 * /var/lib/holm, for ordinary users $XDG_DATA_HOME/holm.
 * run: sockets and what ends with the boot. --run, HOLM_RUN, else ROOT/run when a root was chosen,
 * else /run/holm, for ordinary users $XDG_RUNTIME_DIR/holm, else /run/user/UID/holm, else
 * /tmp/holm-run-UID, which is theirs alone or not used (rootless.h).
 *
 * Set once at start by paths_init(), which makes both directories (0711 root: 0700 for users).
 */
#include "base/err.h"

int paths_init(const char *root, const char *run, struct err *err); /* NULL: from the environment */
const char *paths_root(void);
const char *paths_run(void);
/* "" for the standard root, else "-" and 8 hex digits made from the root's path: keeps the names of
 * kernel objects (bridges, nftables tables, cgroups) of several roots apart. */
const char *paths_suffix(void);
