#pragma once
/*
 * What was asked of an instance: `run`'s flags resolved against the image, as one record. Written to
 * ROOT/instances/ID/config.json at creation; `update`, `rename`, `network connect` rewrite it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/record.h"
#include "image/config.h"
#include "net/net.h"

struct instance_mount {
	char *type; /* "bind", "volume", "tmpfs" */
	char *source; /* bind: absolute host path; volume: its name ("" = anonymous, named at creation) */
	char *target; /* absolute */
	bool read_only, no_copy;
	char *propagation;   /* bind: rprivate (default), private, rshared, shared, rslave, slave */
	bool writable_below; /* read-only for itself, not for what is mounted in the source */
	bool non_recursive,
		create_source; /* -v makes a missing source directory, --mount does not */
	int64_t tmpfs_size, tmpfs_mode;
	char **tmpfs_options;
};

struct instance_network {
	char *network; /* name or id as given */
	char **aliases;
	char *address4, *address6, *mac;
};

struct instance_device { /* --device */
	char *host_path, *path, *permissions;
};

struct instance_throttle {
	char *path;
	uint64_t rate;
};

struct instance_limits {
	int64_t memory, memory_reservation, memory_swap; /* bytes; 0: none; swap -1: unlimited */
	int64_t memory_swappiness;                       /* -1: unset */
	bool oom_kill_disable;
	int64_t oom_score_adj;
	double cpus; /* --cpus; 0: none */
	int64_t cpu_shares, cpu_period, cpu_quota;
	char *cpuset_cpus, *cpuset_mems;
	int64_t pids; /* 0 or -1: unlimited */
	int64_t blkio_weight;
	struct record_list read_bps, write_bps, read_iops,
		write_iops;                /* struct instance_throttle */
	struct record_list weight_devices; /* struct instance_throttle, `rate` the weight */
	char **device_rules;               /* --device-cgroup-rule "c 1:3 mr" */
	int64_t shm_size;                  /* bytes; 0: 64 MiB */
};

struct instance_restart {
	char *policy;        /* "no", "always", "unless-stopped", "on-failure", "on-unhealthy" */
	int64_t max_retries; /* on-failure: 0 is no limit */
	bool on_unhealthy;   /* also restart when the health check fails: any policy but "no" */
};

struct instance_config {
	char *id, *name;
	char *isolation; /* "container" */
	int64_t created;
	char *image;    /* as given */
	char *image_id; /* digest; holds the image */

	/* Process, resolved against the image. */
	char **entrypoint, **cmd, **env;
	char *working_dir, *user, *hostname, *domainname;
	char **group_add;
	bool tty, open_stdin, init, privileged, read_only;
	char *stop_signal;    /* "SIGTERM" */
	int64_t stop_timeout; /* s; -1: for ever */
	bool auto_remove;
	bool run; /* created to be started at once: with auto_remove, not worth keeping else */

	/* Isolation. */
	char **cap_add, **cap_drop, **security_opt;
	char *userns; /* "", "host", or the host's id of root; "auto" until it is created */
	char *pid_mode, *ipc_mode, *uts_mode,
		*cgroupns_mode;     /* "", "host", "private", "container:ID" */
	char **sysctls;             /* map */
	struct record_list ulimits; /* struct bundle_rlimit: type "RLIMIT_NOFILE" */
	struct record_list devices; /* struct instance_device */
	struct instance_limits limits;
	char *cgroup_parent;

	/* Files. */
	struct record_list mounts; /* struct instance_mount */
	char **anonymous_volumes;  /* names made for this instance: removed by rm -v and --rm */

	/* Network. */
	char *network_mode; /* "bridge" (the default network), "none", "host", "container:ID", a name */
	struct record_list networks; /* struct instance_network, primary first */
	struct record_list ports;    /* struct port, as asked */
	char **exposed;              /* "80/tcp" */
	bool publish_all;
	char **dns, **dns_search, **dns_options, **extra_hosts; /* "name:ip" */

	char **labels, **annotations; /* maps */
	struct image_health *health;  /* or NULL */
	struct instance_restart restart;
	char *log_driver;   /* "json-file", "none" */
	char **log_options; /* map: max-size, max-file */
};
/* Seconds that stop waits before it kills. */
static inline int64_t instance_stop_timeout(const struct instance_config *c)
{
	return c->stop_timeout < 0 ? INT32_MAX : c->stop_timeout;
}
extern const struct record_field instance_config_fields[], instance_network_fields[];
void instance_config_clear(struct instance_config *c);
DEFINE_CLEANUP_OBJECT(instance_config_clear, struct instance_config);
/* The host's id for root inside, of a created instance; 0 without a user namespace (image/shift.h). */
uint32_t instance_userns_base(const struct instance_config *c);
