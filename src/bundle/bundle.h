#pragma once
/*
 * A bundle: all that an engine gets to make an instance run, resolved, with nothing left to look up.
 * It is the OCI runtime-spec 1.3 configuration as structs of the same names, plus `holm`, a member
 * of our own for what the specification leaves to others (layers to stack, networks to join).
 * Field meanings are the specification's (config.md, config-linux.md).
 *
 * bundle.c holds the record tables; bundle_read() accepts any conforming config.json, limits sizes,
 * checks types and values, and says where it is wrong.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/record.h"

struct bundle_user {
	uint32_t uid, gid;
	int64_t *umask; /* NULL: the engine's 0022 */
	struct u32v additional_gids;
	char *username;
};

struct bundle_rlimit {
	char *type; /* RLIMIT_NOFILE */
	uint64_t soft, hard;
};

struct bundle_capabilities {
	char **bounding, **effective, **inheritable, **permitted, **ambient;
};

struct bundle_console_size {
	uint32_t height, width;
};

struct bundle_scheduler {
	char *policy;
	int64_t nice, priority;
	char **flags;
	uint64_t runtime, deadline, period;
};

struct bundle_io_priority {
	char *class;
	int64_t priority;
};

struct bundle_affinity {
	char *initial, *final; /* lists like 0-3,7 */
};

struct bundle_process {
	bool terminal;
	struct bundle_console_size *console_size;
	struct bundle_user user;
	char **args, **env;
	char *cwd;
	struct bundle_capabilities *capabilities; /* NULL: none are changed */
	struct record_list rlimits;               /* struct bundle_rlimit */
	bool no_new_privileges;
	char *apparmor_profile, *selinux_label;
	int64_t *oom_score_adj;
	struct bundle_scheduler *scheduler;
	struct bundle_io_priority *io_priority;
	struct bundle_affinity *exec_affinity; /* of processes that are executed later */
};

struct bundle_id_map {
	uint32_t container_id, host_id, size;
};

struct bundle_mount {
	char *destination, *type, *source;
	char **options;
	struct record_list uid_mappings, gid_mappings; /* struct bundle_id_map */
	char *source_namespace; /* ours: a mount namespace in which a bind's source is meant, or NULL */
};

struct bundle_hook {
	char *path;
	char **args, **env;
	int64_t *timeout; /* seconds */
};

struct bundle_hooks {
	/* struct bundle_hook */
	struct record_list prestart, create_runtime, create_container, start_container, poststart,
		poststop;
};

struct bundle_namespace {
	char *type; /* pid network mount ipc uts user cgroup time */
	char *path; /* to join, or NULL for a new one */
};

struct bundle_device {
	char *type; /* c b u p */
	char *path;
	int64_t major, minor;
	int64_t *file_mode;
	uint64_t *uid, *gid;
};

struct bundle_device_rule {
	bool allow;
	char *type;             /* a c b; NULL is a */
	int64_t *major, *minor; /* NULL or -1: any */
	char *access;           /* "rwm" */
};

struct bundle_memory {
	int64_t *limit, *reservation, *swap, *kernel, *kernel_tcp; /* bytes, -1 unlimited */
	uint64_t *swappiness;
	bool *disable_oom_killer, *use_hierarchy, *check_before_update;
};

struct bundle_cpu {
	uint64_t *shares;
	int64_t *quota; /* us a period */
	uint64_t *burst, *period, *realtime_period;
	int64_t *realtime_runtime;
	char *cpus, *mems;
	int64_t *idle;
};

struct bundle_throttle { /* also weights, with `rate` the weight */
	int64_t major, minor;
	uint64_t rate;
};

struct bundle_weight_device {
	int64_t major, minor;
	uint64_t *weight, *leaf_weight;
};

struct bundle_block_io {
	uint64_t *weight, *leaf_weight;
	struct record_list weight_device; /* struct bundle_weight_device */
	struct record_list read_bps, write_bps, read_iops, write_iops; /* struct bundle_throttle */
};

struct bundle_hugepage {
	char *page_size;
	uint64_t limit;
};

struct bundle_pids {
	int64_t *limit; /* -1: unlimited; 0 is taken as 1 */
};

struct bundle_resources {
	struct record_list devices; /* struct bundle_device_rule */
	struct bundle_memory memory;
	struct bundle_cpu cpu;
	struct bundle_pids pids;
	struct bundle_block_io block_io;
	struct record_list hugepage_limits; /* struct bundle_hugepage */
	json_t *network;                    /* classID, priorities: cgroup v1 only */
	json_t *rdma;                       /* device -> hcaHandles, hcaObjects */
	char **unified;                     /* map: cgroup v2 file -> value */
};

struct bundle_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	char *op;
};

struct bundle_seccomp_rule {
	char **names;
	char *action;
	int64_t *errno_ret;
	struct record_list args; /* struct bundle_seccomp_arg */
};

struct bundle_seccomp {
	char *default_action;
	int64_t *default_errno_ret;
	char **architectures, **flags;
	bool no_flags; /* asked for in so many words: an empty list */
	char *listener_path, *listener_metadata;
	struct record_list syscalls; /* struct bundle_seccomp_rule */
};

struct bundle_time_offset {
	int64_t secs;
	uint64_t nanosecs;
};

struct bundle_memory_policy {
	char *mode, *nodes;
	char **flags;
};

struct bundle_linux {
	struct record_list uid_mappings, gid_mappings; /* struct bundle_id_map */
	char **sysctl;                                 /* map */
	struct bundle_resources *resources;            /* or NULL */
	char *cgroups_path;
	struct record_list namespaces;  /* struct bundle_namespace */
	struct record_list devices;     /* struct bundle_device */
	struct bundle_seccomp *seccomp; /* or NULL: no filter */
	char *rootfs_propagation;
	char **masked_paths, **readonly_paths;
	char *mount_label;
	struct bundle_memory_policy *memory_policy; /* or NULL */
	json_t *intel_rdt, *personality, *time_offsets;
	json_t *net_devices; /* name on the host -> {"name": in the container, or the same} */
};

/* One address on one network. The supervisor has reserved it; the engine makes the link. */
struct bundle_endpoint {
	char *network;   /* id */
	char *bridge;    /* host's bridge */
	char *host_link; /* name of our end, at most 15 bytes, derived from the endpoint's id */
	char *link;      /* name inside: "eth0" */
	char *mac;       /* "02:42:..." */
	char *address4, *gateway4; /* "10.210.0.2/16", "10.210.0.1"; NULL: none */
	char *address6, *gateway6;
	int64_t mtu;     /* 0: the bridge's */
	bool is_default; /* its gateways become the default routes */
	bool internal;   /* no default route at all */
};

/* What the specification does not have. Absent in bundles of other makers. */
struct bundle_holm {
	char *id;           /* instance */
	char **layers;      /* bottom first: lower directories of the root's overlay; else NULL */
	char *upper, *work; /* the overlay's writable directories */
	struct record_list endpoints; /* struct bundle_endpoint */
	bool init;                    /* run our own reaping init as PID 1 (--init) */
	char *seccomp_profile;        /* "default", "unconfined"; `linux.seccomp` wins */
	bool privileged;
	bool ephemeral; /* upper is thrown away at the end: nothing in it need reach the disk */
};

struct bundle {
	char *oci_version;
	char *root_path; /* absolute, or relative to the bundle's directory; with holm.layers: mount point */
	bool root_readonly;
	struct bundle_process *process; /* NULL only for bundles that are never started */
	char *hostname, *domainname;
	struct record_list mounts; /* struct bundle_mount */
	struct bundle_hooks hooks;
	char **annotations;         /* map */
	struct bundle_linux linux_; /* "linux" is a macro of the compiler's */
	struct bundle_holm holm;
};

int bundle_parse(json_t *j, struct bundle **ret, struct err *err);
/* DIR/config.json of an OCI bundle. */
int bundle_read(int dirfd, const char *path, struct bundle **ret, struct err *err);
int bundle_write(const struct bundle *b, int dirfd, const char *path, struct err *err);
json_t *bundle_dump(const struct bundle *b);
void bundle_free(struct bundle *b);
DEFINE_CLEANUP(bundle_free, struct bundle *);

/* A process document alone: `exec --process FILE`, and the exec seam. */
int bundle_process_parse(json_t *j, struct bundle_process **ret, struct err *err);
json_t *bundle_process_dump(const struct bundle_process *p);
void bundle_process_free(struct bundle_process *p);
DEFINE_CLEANUP(bundle_process_free, struct bundle_process *);

/* linux.resources alone: `update`. */
int bundle_resources_parse(json_t *j, struct bundle_resources **ret, struct err *err);
void bundle_resources_free(struct bundle_resources *r);
DEFINE_CLEANUP(bundle_resources_free, struct bundle_resources *);

/* Typed items for the lists above: b->mounts and so on. */
#define bundle_add(list, type) ((type *)record_list_add(list, sizeof(type)))
extern const struct record_field bundle_endpoint_fields[];
extern const struct record_field bundle_resources_fields[];
extern const struct record_field bundle_seccomp_fields[];
