/*
 * The record tables of an instance's configuration: config.json is exactly these members. A name
 * here is a file format: it may be added to, not changed.
 */
#include "instance/config.h"

#include <stdlib.h>

#include "bundle/bundle.h"

#define C(member, name, kind) RECORD(struct instance_config, member, name, kind)
#define C_SUB(member, name, kind, sub, type) \
	RECORD_SUB(struct instance_config, member, name, kind, sub, type)

static const struct record_field mount_fields[] = {
	RECORD(struct instance_mount, type, "type", RECORD_STR),
	RECORD(struct instance_mount, source, "source", RECORD_STR),
	RECORD(struct instance_mount, target, "target", RECORD_STR),
	RECORD(struct instance_mount, read_only, "readOnly", RECORD_BOOL),
	RECORD(struct instance_mount, no_copy, "noCopy", RECORD_BOOL),
	RECORD(struct instance_mount, propagation, "propagation", RECORD_STR),
	RECORD(struct instance_mount, non_recursive, "nonRecursive", RECORD_BOOL),
	RECORD(struct instance_mount, writable_below, "writableBelow", RECORD_BOOL),
	RECORD(struct instance_mount, create_source, "createSource", RECORD_BOOL),
	RECORD(struct instance_mount, tmpfs_size, "tmpfsSize", RECORD_I64),
	RECORD(struct instance_mount, tmpfs_mode, "tmpfsMode", RECORD_I64),
	RECORD(struct instance_mount, tmpfs_options, "tmpfsOptions", RECORD_STRV),
	RECORD_END,
};

const struct record_field instance_network_fields[] = {
	RECORD(struct instance_network, network, "network", RECORD_STR),
	RECORD(struct instance_network, aliases, "aliases", RECORD_STRV),
	RECORD(struct instance_network, address4, "address4", RECORD_STR),
	RECORD(struct instance_network, address6, "address6", RECORD_STR),
	RECORD(struct instance_network, mac, "mac", RECORD_STR),
	RECORD_END,
};

static const struct record_field device_fields[] = {
	RECORD(struct instance_device, host_path, "hostPath", RECORD_STR),
	RECORD(struct instance_device, path, "path", RECORD_STR),
	RECORD(struct instance_device, permissions, "permissions", RECORD_STR),
	RECORD_END,
};

static const struct record_field throttle_fields[] = {
	RECORD(struct instance_throttle, path, "path", RECORD_STR),
	RECORD(struct instance_throttle, rate, "rate", RECORD_U64),
	RECORD_END,
};

/* Signed, since RLIM_INFINITY is beyond JSON's integers: here it is -1, as people write it. */
static const struct record_field rlimit_fields[] = {
	RECORD(struct bundle_rlimit, type, "type", RECORD_STR),
	RECORD(struct bundle_rlimit, soft, "soft", RECORD_I64),
	RECORD(struct bundle_rlimit, hard, "hard", RECORD_I64),
	RECORD_END,
};

#define L(member, name, kind) RECORD(struct instance_limits, member, name, kind)
#define L_THROTTLES(member, name) \
	RECORD_SUB(struct instance_limits, member, name, RECORD_LIST, throttle_fields, \
		struct instance_throttle)

static const struct record_field limits_fields[] = {
	L(memory, "memory", RECORD_I64),
	L(memory_reservation, "memoryReservation", RECORD_I64),
	L(memory_swap, "memorySwap", RECORD_I64),
	L(memory_swappiness, "memorySwappiness", RECORD_I64),
	L(oom_kill_disable, "oomKillDisable", RECORD_BOOL),
	L(oom_score_adj, "oomScoreAdj", RECORD_I64),
	L(cpus, "cpus", RECORD_DBL),
	L(cpu_shares, "cpuShares", RECORD_I64),
	L(cpu_period, "cpuPeriod", RECORD_I64),
	L(cpu_quota, "cpuQuota", RECORD_I64),
	L(cpuset_cpus, "cpusetCpus", RECORD_STR),
	L(cpuset_mems, "cpusetMems", RECORD_STR),
	L(pids, "pids", RECORD_I64),
	L(blkio_weight, "blkioWeight", RECORD_I64),
	L_THROTTLES(read_bps, "readBps"),
	L_THROTTLES(write_bps, "writeBps"),
	L_THROTTLES(read_iops, "readIops"),
	L_THROTTLES(write_iops, "writeIops"),
	L_THROTTLES(weight_devices, "weightDevices"),
	L(device_rules, "deviceRules", RECORD_STRV),
	L(shm_size, "shmSize", RECORD_I64),
	RECORD_END,
};

static const struct record_field health_fields[] = {
	RECORD(struct image_health, test, "test", RECORD_STRV),
	RECORD(struct image_health, interval, "interval", RECORD_I64),
	RECORD(struct image_health, timeout, "timeout", RECORD_I64),
	RECORD(struct image_health, start_period, "startPeriod", RECORD_I64),
	RECORD(struct image_health, start_interval, "startInterval", RECORD_I64),
	RECORD(struct image_health, retries, "retries", RECORD_I64),
	RECORD_END,
};

static const struct record_field restart_fields[] = {
	RECORD(struct instance_restart, policy, "policy", RECORD_STR),
	RECORD(struct instance_restart, max_retries, "maxRetries", RECORD_I64),
	RECORD(struct instance_restart, on_unhealthy, "onUnhealthy", RECORD_BOOL),
	RECORD_END,
};

const struct record_field instance_config_fields[] = {
	C(id, "id", RECORD_STR),
	C(name, "name", RECORD_STR),
	C(isolation, "isolation", RECORD_STR),
	C(created, "created", RECORD_TIME),
	C(image, "image", RECORD_STR),
	C(image_id, "imageId", RECORD_STR),
	C(entrypoint, "entrypoint", RECORD_STRV),
	C(cmd, "cmd", RECORD_STRV),
	C(env, "env", RECORD_STRV),
	C(working_dir, "workingDir", RECORD_STR),
	C(user, "user", RECORD_STR),
	C(hostname, "hostname", RECORD_STR),
	C(domainname, "domainname", RECORD_STR),
	C(group_add, "groupAdd", RECORD_STRV),
	C(tty, "tty", RECORD_BOOL),
	C(open_stdin, "openStdin", RECORD_BOOL),
	C(init, "init", RECORD_BOOL),
	C(privileged, "privileged", RECORD_BOOL),
	C(read_only, "readOnly", RECORD_BOOL),
	C(stop_signal, "stopSignal", RECORD_STR),
	C(stop_timeout, "stopTimeout", RECORD_I64),
	C(auto_remove, "autoRemove", RECORD_BOOL),
	C(run, "run", RECORD_BOOL),
	C(cap_add, "capAdd", RECORD_STRV),
	C(cap_drop, "capDrop", RECORD_STRV),
	C(security_opt, "securityOpt", RECORD_STRV),
	C(userns, "userns", RECORD_STR),
	C(pid_mode, "pidMode", RECORD_STR),
	C(ipc_mode, "ipcMode", RECORD_STR),
	C(uts_mode, "utsMode", RECORD_STR),
	C(cgroupns_mode, "cgroupnsMode", RECORD_STR),
	C(sysctls, "sysctls", RECORD_MAP),
	C_SUB(ulimits, "ulimits", RECORD_LIST, rlimit_fields, struct bundle_rlimit),
	C_SUB(devices, "devices", RECORD_LIST, device_fields, struct instance_device),
	C_SUB(limits, "limits", RECORD_ONE, limits_fields, struct instance_limits),
	C(cgroup_parent, "cgroupParent", RECORD_STR),
	C_SUB(mounts, "mounts", RECORD_LIST, mount_fields, struct instance_mount),
	C(anonymous_volumes, "anonymousVolumes", RECORD_STRV),
	C(network_mode, "networkMode", RECORD_STR),
	C_SUB(networks, "networks", RECORD_LIST, instance_network_fields, struct instance_network),
	C_SUB(ports, "ports", RECORD_LIST, port_fields, struct port),
	C(exposed, "exposed", RECORD_STRV),
	C(publish_all, "publishAll", RECORD_BOOL),
	C(dns, "dns", RECORD_STRV),
	C(dns_search, "dnsSearch", RECORD_STRV),
	C(dns_options, "dnsOptions", RECORD_STRV),
	C(extra_hosts, "extraHosts", RECORD_STRV),
	C(labels, "labels", RECORD_MAP),
	C(annotations, "annotations", RECORD_MAP),
	C_SUB(health, "health", RECORD_PTR, health_fields, struct image_health),
	C_SUB(restart, "restart", RECORD_ONE, restart_fields, struct instance_restart),
	C(log_driver, "logDriver", RECORD_STR),
	C(log_options, "logOptions", RECORD_MAP),
	RECORD_END,
};

void instance_config_clear(struct instance_config *c)
{
	record_clear(instance_config_fields, c);
}

uint32_t instance_userns_base(const struct instance_config *c)
{
	/* No number at all is "host". */
	return c->userns ? (uint32_t)strtoul(c->userns, NULL, 10) : 0;
}
