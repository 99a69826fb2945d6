#pragma once
/* What `ps` says of an instance, shared with others that list them. The callers free. */
#include "instance/instance.h"

/* "Up 3 minutes (healthy)", "Exited (0) 2 hours ago". */
char *ps_status(const struct instance *i);
/* "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp", neighbouring ports as ranges. */
char *ps_ports(const struct instance *i);
/* Names of its networks, comma-separated. */
char *ps_networks(const struct instance *i);
/* Sources of its mounts, comma-separated; volumes by name. *ret_volumes: how many are volumes. */
char *ps_mounts(const struct instance *i, bool truncate, size_t *ret_volumes);
/* With Docker's member names. `size` also measures what it wrote, which takes time. */
json_t *ps_row(struct db *db, const struct instance *i, bool truncate, bool size);
/* "3 minutes ago". */
char *ps_ago(int64_t when);
