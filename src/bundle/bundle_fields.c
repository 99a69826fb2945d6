/*
 * The bundle's records: which member of OCI runtime-spec 1.3's config.json goes to which member of
 * struct bundle. Order as in the specification (config.md, config-linux.md). Members that the
 * specification requires and whose zero means something are always written.
 */
#include "bundle/bundle_fields.h"

#define LIST(type_, member_, name_, item_) \
	RECORD_SUB(type_, member_, name_, RECORD_LIST, item_##_fields, struct item_)
#define ONE(type_, member_, name_, sub_) \
	RECORD_SUB(type_, member_, name_, RECORD_ONE, sub_##_fields, struct sub_)
#define PTR(type_, member_, name_, sub_) \
	RECORD_SUB(type_, member_, name_, RECORD_PTR, sub_##_fields, struct sub_)
#define FLAT(name_, fields_) RECORD_FLAT(name_, fields_, 0)

#define T struct bundle_user
static const struct record_field bundle_user_fields[] = {
	RECORD_F(T, uid, "uid", RECORD_U32, RECORD_ALWAYS),
	RECORD_F(T, gid, "gid", RECORD_U32, RECORD_ALWAYS),
	RECORD(T, umask, "umask", RECORD_I64P),
	RECORD(T, additional_gids, "additionalGids", RECORD_U32V),
	RECORD(T, username, "username", RECORD_STR),
	RECORD_END,
};
#undef T

#define T struct bundle_rlimit
static const struct record_field bundle_rlimit_fields[] = {
	RECORD_F(T, type, "type", RECORD_STR, RECORD_REQUIRED),
	RECORD_F(T, soft, "soft", RECORD_U64, RECORD_ALWAYS),
	RECORD_F(T, hard, "hard", RECORD_U64, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_capabilities
static const struct record_field bundle_capabilities_fields[] = {
	RECORD(T, bounding, "bounding", RECORD_STRV),
	RECORD(T, effective, "effective", RECORD_STRV),
	RECORD(T, inheritable, "inheritable", RECORD_STRV),
	RECORD(T, permitted, "permitted", RECORD_STRV),
	RECORD(T, ambient, "ambient", RECORD_STRV),
	RECORD_END,
};
#undef T

#define T struct bundle_console_size
static const struct record_field bundle_console_size_fields[] = {
	RECORD_F(T, height, "height", RECORD_U32, RECORD_ALWAYS),
	RECORD_F(T, width, "width", RECORD_U32, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_scheduler
static const struct record_field bundle_scheduler_fields[] = {
	RECORD_F(T, policy, "policy", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, nice, "nice", RECORD_I64),
	RECORD(T, priority, "priority", RECORD_I64),
	RECORD(T, flags, "flags", RECORD_STRV),
	RECORD(T, runtime, "runtime", RECORD_U64),
	RECORD(T, deadline, "deadline", RECORD_U64),
	RECORD(T, period, "period", RECORD_U64),
	RECORD_END,
};
#undef T

#define T struct bundle_io_priority
static const struct record_field bundle_io_priority_fields[] = {
	RECORD_F(T, class, "class", RECORD_STR, RECORD_REQUIRED),
	RECORD_F(T, priority, "priority", RECORD_I64, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_affinity
static const struct record_field bundle_affinity_fields[] = {
	RECORD(T, initial, "initial", RECORD_STR),
	RECORD(T, final, "final", RECORD_STR),
	RECORD_END,
};
#undef T

#define T struct bundle_process
const struct record_field bundle_process_fields[] = {
	RECORD(T, terminal, "terminal", RECORD_BOOL),
	PTR(T, console_size, "consoleSize", bundle_console_size),
	ONE(T, user, "user", bundle_user),
	RECORD_F(T, args, "args", RECORD_STRV, RECORD_REQUIRED),
	RECORD(T, env, "env", RECORD_STRV),
	RECORD_F(T, cwd, "cwd", RECORD_STR, RECORD_REQUIRED),
	PTR(T, capabilities, "capabilities", bundle_capabilities),
	LIST(T, rlimits, "rlimits", bundle_rlimit),
	RECORD(T, no_new_privileges, "noNewPrivileges", RECORD_BOOL),
	RECORD(T, apparmor_profile, "apparmorProfile", RECORD_STR),
	RECORD(T, selinux_label, "selinuxLabel", RECORD_STR),
	RECORD(T, oom_score_adj, "oomScoreAdj", RECORD_I64P),
	PTR(T, scheduler, "scheduler", bundle_scheduler),
	PTR(T, io_priority, "ioPriority", bundle_io_priority),
	PTR(T, exec_affinity, "execCPUAffinity", bundle_affinity),
	RECORD_END,
};
#undef T

#define T struct bundle_id_map
static const struct record_field bundle_id_map_fields[] = {
	RECORD_F(T, container_id, "containerID", RECORD_U32, RECORD_ALWAYS),
	RECORD_F(T, host_id, "hostID", RECORD_U32, RECORD_ALWAYS),
	RECORD_F(T, size, "size", RECORD_U32, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_mount
static const struct record_field bundle_mount_fields[] = {
	RECORD_F(T, destination, "destination", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, type, "type", RECORD_STR),
	RECORD(T, source, "source", RECORD_STR),
	RECORD(T, options, "options", RECORD_STRV),
	LIST(T, uid_mappings, "uidMappings", bundle_id_map),
	LIST(T, gid_mappings, "gidMappings", bundle_id_map),
	RECORD(T, source_namespace, "holmSourceNamespace", RECORD_STR),
	RECORD_END,
};
#undef T

#define T struct bundle_hook
static const struct record_field bundle_hook_fields[] = {
	RECORD_F(T, path, "path", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, args, "args", RECORD_STRV),
	RECORD(T, env, "env", RECORD_STRV),
	RECORD(T, timeout, "timeout", RECORD_I64P),
	RECORD_END,
};
#undef T

#define T struct bundle_hooks
static const struct record_field bundle_hooks_fields[] = {
	LIST(T, prestart, "prestart", bundle_hook),
	LIST(T, create_runtime, "createRuntime", bundle_hook),
	LIST(T, create_container, "createContainer", bundle_hook),
	LIST(T, start_container, "startContainer", bundle_hook),
	LIST(T, poststart, "poststart", bundle_hook),
	LIST(T, poststop, "poststop", bundle_hook),
	RECORD_END,
};
#undef T

#define T struct bundle_namespace
static const struct record_field bundle_namespace_fields[] = {
	RECORD_F(T, type, "type", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, path, "path", RECORD_STR),
	RECORD_END,
};
#undef T

#define T struct bundle_device
static const struct record_field bundle_device_fields[] = {
	RECORD_F(T, type, "type", RECORD_STR, RECORD_REQUIRED),
	RECORD_F(T, path, "path", RECORD_STR, RECORD_REQUIRED),
	RECORD_F(T, major, "major", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(T, minor, "minor", RECORD_I64, RECORD_ALWAYS),
	RECORD(T, file_mode, "fileMode", RECORD_I64P),
	RECORD(T, uid, "uid", RECORD_U64P),
	RECORD(T, gid, "gid", RECORD_U64P),
	RECORD_END,
};
#undef T

#define T struct bundle_device_rule
static const struct record_field bundle_device_rule_fields[] = {
	RECORD_F(T, allow, "allow", RECORD_BOOL, RECORD_ALWAYS),
	RECORD(T, type, "type", RECORD_STR),
	RECORD(T, major, "major", RECORD_I64P),
	RECORD(T, minor, "minor", RECORD_I64P),
	RECORD(T, access, "access", RECORD_STR),
	RECORD_END,
};
#undef T

#define T struct bundle_memory
static const struct record_field bundle_memory_fields[] = {
	RECORD(T, limit, "limit", RECORD_I64P),
	RECORD(T, reservation, "reservation", RECORD_I64P),
	RECORD(T, swap, "swap", RECORD_I64P),
	RECORD(T, kernel, "kernel", RECORD_I64P),
	RECORD(T, kernel_tcp, "kernelTCP", RECORD_I64P),
	RECORD(T, swappiness, "swappiness", RECORD_U64P),
	RECORD(T, disable_oom_killer, "disableOOMKiller", RECORD_BOOLP),
	RECORD(T, use_hierarchy, "useHierarchy", RECORD_BOOLP),
	RECORD(T, check_before_update, "checkBeforeUpdate", RECORD_BOOLP),
	RECORD_END,
};
#undef T

#define T struct bundle_cpu
static const struct record_field bundle_cpu_fields[] = {
	RECORD(T, shares, "shares", RECORD_U64P),
	RECORD(T, quota, "quota", RECORD_I64P),
	RECORD(T, burst, "burst", RECORD_U64P),
	RECORD(T, period, "period", RECORD_U64P),
	RECORD(T, realtime_runtime, "realtimeRuntime", RECORD_I64P),
	RECORD(T, realtime_period, "realtimePeriod", RECORD_U64P),
	RECORD(T, cpus, "cpus", RECORD_STR),
	RECORD(T, mems, "mems", RECORD_STR),
	RECORD(T, idle, "idle", RECORD_I64P),
	RECORD_END,
};
#undef T

#define T struct bundle_throttle
static const struct record_field bundle_throttle_fields[] = {
	RECORD_F(T, major, "major", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(T, minor, "minor", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(T, rate, "rate", RECORD_U64, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_weight_device
static const struct record_field bundle_weight_device_fields[] = {
	RECORD_F(T, major, "major", RECORD_I64, RECORD_ALWAYS),
	RECORD_F(T, minor, "minor", RECORD_I64, RECORD_ALWAYS),
	RECORD(T, weight, "weight", RECORD_U64P),
	RECORD(T, leaf_weight, "leafWeight", RECORD_U64P),
	RECORD_END,
};
#undef T

#define T struct bundle_block_io
static const struct record_field bundle_block_io_fields[] = {
	RECORD(T, weight, "weight", RECORD_U64P),
	RECORD(T, leaf_weight, "leafWeight", RECORD_U64P),
	LIST(T, weight_device, "weightDevice", bundle_weight_device),
	LIST(T, read_bps, "throttleReadBpsDevice", bundle_throttle),
	LIST(T, write_bps, "throttleWriteBpsDevice", bundle_throttle),
	LIST(T, read_iops, "throttleReadIOPSDevice", bundle_throttle),
	LIST(T, write_iops, "throttleWriteIOPSDevice", bundle_throttle),
	RECORD_END,
};
#undef T

#define T struct bundle_hugepage
static const struct record_field bundle_hugepage_fields[] = {
	RECORD_F(T, page_size, "pageSize", RECORD_STR, RECORD_REQUIRED),
	RECORD_F(T, limit, "limit", RECORD_U64, RECORD_ALWAYS),
	RECORD_END,
};
#undef T

#define T struct bundle_pids
static const struct record_field bundle_pids_fields[] = {
	RECORD(T, limit, "limit", RECORD_I64P),
	RECORD_END,
};
#undef T

#define T struct bundle_resources
const struct record_field bundle_resources_fields[] = {
	LIST(T, devices, "devices", bundle_device_rule),
	ONE(T, memory, "memory", bundle_memory),
	ONE(T, cpu, "cpu", bundle_cpu),
	ONE(T, pids, "pids", bundle_pids),
	ONE(T, block_io, "blockIO", bundle_block_io),
	LIST(T, hugepage_limits, "hugepageLimits", bundle_hugepage),
	RECORD(T, network, "network", RECORD_JSON),
	RECORD(T, rdma, "rdma", RECORD_JSON),
	RECORD(T, unified, "unified", RECORD_MAP),
	RECORD_END,
};
#undef T

#define T struct bundle_seccomp_arg
static const struct record_field bundle_seccomp_arg_fields[] = {
	RECORD_F(T, index, "index", RECORD_U32, RECORD_ALWAYS),
	RECORD_F(T, value, "value", RECORD_U64, RECORD_ALWAYS),
	RECORD(T, value_two, "valueTwo", RECORD_U64),
	RECORD_F(T, op, "op", RECORD_STR, RECORD_REQUIRED),
	RECORD_END,
};
#undef T

#define T struct bundle_seccomp_rule
static const struct record_field bundle_seccomp_rule_fields[] = {
	RECORD_F(T, names, "names", RECORD_STRV, RECORD_REQUIRED),
	RECORD_F(T, action, "action", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, errno_ret, "errnoRet", RECORD_I64P),
	LIST(T, args, "args", bundle_seccomp_arg),
	RECORD_END,
};
#undef T

#define T struct bundle_seccomp
const struct record_field bundle_seccomp_fields[] = {
	RECORD_F(T, default_action, "defaultAction", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, default_errno_ret, "defaultErrnoRet", RECORD_I64P),
	RECORD(T, architectures, "architectures", RECORD_STRV),
	RECORD(T, flags, "flags", RECORD_STRV),
	RECORD(T, no_flags, "holmNoFlags", RECORD_BOOL),
	RECORD(T, listener_path, "listenerPath", RECORD_STR),
	RECORD(T, listener_metadata, "listenerMetadata", RECORD_STR),
	LIST(T, syscalls, "syscalls", bundle_seccomp_rule),
	RECORD_END,
};
#undef T

#define T struct bundle_memory_policy
static const struct record_field bundle_memory_policy_fields[] = {
	RECORD(T, mode, "mode", RECORD_STR),
	RECORD(T, nodes, "nodes", RECORD_STR),
	RECORD(T, flags, "flags", RECORD_STRV),
	RECORD_END,
};
#undef T

#define T struct bundle_linux
static const struct record_field bundle_linux_fields[] = {
	LIST(T, uid_mappings, "uidMappings", bundle_id_map),
	LIST(T, gid_mappings, "gidMappings", bundle_id_map),
	RECORD(T, sysctl, "sysctl", RECORD_MAP),
	PTR(T, resources, "resources", bundle_resources),
	RECORD(T, cgroups_path, "cgroupsPath", RECORD_STR),
	LIST(T, namespaces, "namespaces", bundle_namespace),
	LIST(T, devices, "devices", bundle_device),
	PTR(T, seccomp, "seccomp", bundle_seccomp),
	RECORD(T, rootfs_propagation, "rootfsPropagation", RECORD_STR),
	RECORD(T, masked_paths, "maskedPaths", RECORD_STRV),
	RECORD(T, readonly_paths, "readonlyPaths", RECORD_STRV),
	RECORD(T, mount_label, "mountLabel", RECORD_STR),
	PTR(T, memory_policy, "memoryPolicy", bundle_memory_policy),
	RECORD(T, intel_rdt, "intelRdt", RECORD_JSON),
	RECORD(T, personality, "personality", RECORD_JSON),
	RECORD(T, time_offsets, "timeOffsets", RECORD_JSON),
	RECORD(T, net_devices, "netDevices", RECORD_JSON),
	RECORD_END,
};
#undef T

#define T struct bundle_endpoint
const struct record_field bundle_endpoint_fields[] = {
	RECORD_F(T, network, "network", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, bridge, "bridge", RECORD_STR),
	RECORD(T, host_link, "hostLink", RECORD_STR),
	RECORD(T, link, "link", RECORD_STR),
	RECORD(T, mac, "mac", RECORD_STR),
	RECORD(T, address4, "address4", RECORD_STR),
	RECORD(T, gateway4, "gateway4", RECORD_STR),
	RECORD(T, address6, "address6", RECORD_STR),
	RECORD(T, gateway6, "gateway6", RECORD_STR),
	RECORD(T, mtu, "mtu", RECORD_I64),
	RECORD(T, is_default, "isDefault", RECORD_BOOL),
	RECORD(T, internal, "internal", RECORD_BOOL),
	RECORD_END,
};
#undef T

#define T struct bundle_holm
static const struct record_field bundle_holm_fields[] = {
	RECORD(T, id, "id", RECORD_STR),
	RECORD(T, layers, "layers", RECORD_STRV),
	RECORD(T, upper, "upper", RECORD_STR),
	RECORD(T, work, "work", RECORD_STR),
	LIST(T, endpoints, "endpoints", bundle_endpoint),
	RECORD(T, init, "init", RECORD_BOOL),
	RECORD(T, seccomp_profile, "seccompProfile", RECORD_STR),
	RECORD(T, privileged, "privileged", RECORD_BOOL),
	RECORD(T, ephemeral, "ephemeral", RECORD_BOOL),
	RECORD_END,
};
#undef T

#define T struct bundle
static const struct record_field root_fields[] = {
	RECORD_F(T, root_path, "path", RECORD_STR, RECORD_REQUIRED),
	RECORD(T, root_readonly, "readonly", RECORD_BOOL),
	RECORD_END,
};

const struct record_field bundle_fields[] = {
	RECORD_F(T, oci_version, "ociVersion", RECORD_STR, RECORD_REQUIRED),
	FLAT("root", root_fields),
	PTR(T, process, "process", bundle_process),
	RECORD(T, hostname, "hostname", RECORD_STR),
	RECORD(T, domainname, "domainname", RECORD_STR),
	LIST(T, mounts, "mounts", bundle_mount),
	ONE(T, hooks, "hooks", bundle_hooks),
	RECORD(T, annotations, "annotations", RECORD_MAP),
	ONE(T, linux_, "linux", bundle_linux),
	ONE(T, holm, "holm", bundle_holm),
	RECORD_END,
};
#undef T
