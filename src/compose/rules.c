/* What a Compose file may say, and the short forms of it. */
#include "compose/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"

int rule_bad(const struct model *m, const struct node *n, struct err *err, const char *text)
{
	return node_err(n, err, EINVAL, m->path, "%s", text);
}

/* A scalar into { member: scalar }. */
static void wrap(struct node *n, const char *member)
{
	cleanup(free) char *text = xstrdup(n->text);

	node_become(n, NODE_MAP);
	node_set_string(n, member, text, n);
}

static int to_context(struct model *m, struct node *n, struct err *err)
{
	(void)m;
	(void)err;
	if (node_scalar(n))
		wrap(n, "context");
	return 0;
}

static int to_test(struct model *m, struct node *n, struct err *err)
{
	(void)m;
	(void)err;
	if (node_scalar(n)) {
		cleanup(free) char *text = xstrdup(n->text);
		node_become(n, NODE_LIST);
		node_add(n, node_string("CMD-SHELL", n));
		node_add(n, node_string(text, n));
	}
	return 0;
}

/* A list of names into a map of them; each is { } or, where it is depends_on, the default condition. */
static int names_to_map(struct model *m, struct node *n, bool depends, struct err *err)
{
	cleanup(strv_free) char **names = NULL;

	if (n->kind == NODE_LIST) {
		for (size_t i = 0; i < n->n; i++)
			if (n->items[i]->kind != NODE_STRING)
				return rule_bad(m, n->items[i], err, "expected a name");
		names = node_strv(n);
		node_become(n, NODE_MAP);
		strv_foreach (name, names)
			node_set(n, *name, node_new(NODE_MAP, n));
	}
	for (size_t i = 0; depends && n->kind == NODE_MAP && i < n->n; i++) {
		struct node *item = n->items[i];
		if (item->kind != NODE_MAP)
			continue;
		if (!node_get(item, "condition"))
			node_set_string(item, "condition", "service_started", item);
		if (!node_get(item, "required"))
			node_set_string(item, "required", "true", item);
	}
	return 0;
}

static int to_networks(struct model *m, struct node *n, struct err *err)
{
	return names_to_map(m, n, false, err);
}

static int to_depends(struct model *m, struct node *n, struct err *err)
{
	return names_to_map(m, n, true, err);
}

static int to_sources(struct model *m, struct node *n, struct err *err)
{
	(void)m;
	(void)err;
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++)
		if (node_scalar(n->items[i]))
			wrap(n->items[i], "source");
	return 0;
}

static int to_env_files(struct model *m, struct node *n, struct err *err)
{
	(void)m;
	(void)err;
	if (node_scalar(n)) {
		struct node *one = node_string(n->text, n);
		node_become(n, NODE_LIST);
		node_add(n, one);
	}
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++) {
		struct node *item = n->items[i];
		if (node_scalar(item))
			wrap(item, "path");
		if (item->kind == NODE_MAP && !node_get(item, "required"))
			node_set_string(item, "required", "true", item);
	}
	return 0;
}

static int to_ulimits(struct model *m, struct node *n, struct err *err)
{
	(void)m;
	(void)err;
	for (size_t i = 0; n->kind == NODE_MAP && i < n->n; i++) {
		struct node *item = n->items[i];
		if (node_scalar(item)) {
			cleanup(free) char *text = xstrdup(item->text);
			wrap(item, "soft");
			node_set_string(item, "hard", text, item);
		}
	}
	return 0;
}

/* [[IP:]PUBLISHED:]TARGET[/PROTOCOL], where IPv6 stands in brackets. */
static int short_port(struct model *m, struct node *n, struct err *err)
{
	cleanup(free) char *text = xstrdup(n->text);
	char *protocol = strrchr(text, '/'), *target, *published = NULL, *ip = NULL;

	if (protocol)
		*protocol++ = '\0';
	target = strrchr(text, ':');
	if (target) {
		*target++ = '\0';
		published = strrchr(text, ':');
		if (published && published > text) {
			*published++ = '\0';
			ip = text;
		} else {
			published = text;
		}
	} else {
		target = text;
	}
	if (!*target || strspn(target, "0123456789-") != strlen(target))
		return rule_bad(m, n, err, "not a port ([[IP:]PUBLISHED:]TARGET[/PROTOCOL])");
	node_become(n, NODE_MAP);
	node_set_string(n, "mode", "ingress", n);
	if (ip && *ip) {
		size_t len = strlen(ip);
		if (*ip == '[' && ip[len - 1] == ']') {
			ip[len - 1] = '\0';
			ip++;
		}
		node_set_string(n, "host_ip", ip, n);
	}
	node_set_string(n, "target", target, n);
	if (published && *published)
		node_set_string(n, "published", published, n);
	node_set_string(n, "protocol", protocol && *protocol ? protocol : "tcp", n);
	return 0;
}

static int to_ports(struct model *m, struct node *n, struct err *err)
{
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++) {
		struct node *item = n->items[i];
		if (node_scalar(item) && short_port(m, item, err) < 0)
			return -EINVAL;
		if (item->kind == NODE_MAP && !node_get(item, "protocol"))
			node_set_string(item, "protocol", "tcp", item);
	}
	return 0;
}

/* [SOURCE:]TARGET[:MODE,...] */
static int short_volume(struct model *m, struct node *n, struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(n->text, ':'), **modes = NULL;
	size_t count = strv_len(parts);
	const char *source = count > 1 ? parts[0] : "";
	bool bind = *source && strchr("/.~", *source);

	if (count > 3 || !*parts[count > 1] || (count > 1 && !*source))
		return rule_bad(m, n, err, "not a volume ([SOURCE:]TARGET[:MODE])");
	if (count == 3)
		modes = strv_split(parts[2], ',');
	node_become(n, NODE_MAP);
	node_set_string(n, "type", bind ? "bind" : "volume", n);
	if (*source)
		node_set_string(n, "source", source, n);
	node_set_string(n, "target", parts[count > 1], n);
	if (bind) {
		struct node *options = node_new(NODE_MAP, n);
		node_set_string(options, "create_host_path", "true", n);
		node_set(n, "bind", options);
	}
	strv_foreach (mode, modes) {
		if (strcmp(*mode, "ro") == 0) {
			node_set_string(n, "read_only", "true", n);
		} else if (strcmp(*mode, "nocopy") == 0 && !bind) {
			struct node *options = node_new(NODE_MAP, n);
			node_set_string(options, "nocopy", "true", n);
			node_set(n, "volume", options);
		} else if (bind && (strstr(*mode, "shared") || strstr(*mode, "slave") ||
					   strstr(*mode, "private"))) {
			node_set_string(node_get(n, "bind"), "propagation", *mode, n);
		} else if (strcmp(*mode, "z") == 0 || strcmp(*mode, "Z") == 0) {
			node_warn(n, m->path, "'z' and 'Z': holm does nothing about it");
		} else if (strcmp(*mode, "rw") != 0 && strcmp(*mode, "cached") != 0 &&
			   strcmp(*mode, "delegated") != 0 && strcmp(*mode, "consistent") != 0) {
			return node_err(n, err, EINVAL, m->path, "'%s' is not a mode", *mode);
		}
	}
	return 0;
}

/* path_absolute() is instance's, for the working directory. */
char *rule_absolute(const struct model *m, const char *path)
{
	const char *home = getenv("HOME");

	if (*path == '/')
		return xstrdup(path);
	if (*path == '~' && (!path[1] || path[1] == '/') && home)
		return xasprintf("%s%s", home, path + 1);
	while (path[0] == '.' && path[1] == '/')
		for (path += 2; *path == '/';)
			path++;
	return *path && strcmp(path, ".") != 0 ? xasprintf("%s/%s", m->dir, path) : xstrdup(m->dir);
}

static int to_volumes(struct model *m, struct node *n, struct err *err)
{
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++) {
		struct node *item = n->items[i];
		const char *source;
		if (node_scalar(item) && short_volume(m, item, err) < 0)
			return -EINVAL;
		source = node_text(item, "source");
		if (source && strcmp(node_text(item, "type") ?: "", "bind") == 0) {
			cleanup(free) char *full = rule_absolute(m, source);
			node_set_string(item, "source", full, item);
		}
	}
	return 0;
}

/* A list NAME:ADDRESS or NAME=ADDRESS, or a map. */
static int to_hosts(struct model *m, struct node *n, struct err *err)
{
	cleanup(strv_free) char **hosts = NULL;

	if (n->kind != NODE_MAP)
		return 0;
	for (size_t i = 0; i < n->n; i++) {
		if (!node_scalar(n->items[i]))
			return rule_bad(m, n->items[i], err, "expected an address");
		strv_addf(&hosts, "%s=%s", n->keys[i], n->items[i]->text);
	}
	node_become(n, NODE_LIST);
	strv_foreach (host, hosts)
		node_add(n, node_string(*host, n));
	return 0;
}

static int to_ipv4(struct model *m, struct node *n, struct err *err)
{
	bool on = true;

	if (node_scalar(n) && parse_bool(n->text, &on) == 0 && !on)
		return rule_bad(m, n, err, "not supported: every network has IPv4");
	return 0;
}

static const struct rule build_rules[] = { { "context", STR, PATH }, { "dockerfile", STR },
	{ "dockerfile_inline", STR }, { "args", PAIRS }, { "target", STR },
	{ "cache_from", LIST, IDLE }, { "cache_to", LIST, IDLE }, { "labels", PAIRS },
	{ "no_cache", BOOL }, { "pull", BOOL }, { "platforms", LIST, IDLE }, { "secrets", ANY },
	{ "ssh", ANY, IDLE }, { "tags", LIST }, { "network", STR }, { "shm_size", SIZE },
	{ "extra_hosts", LIST, UNIQUE, NULL, NULL, to_hosts }, { "additional_contexts", PAIRS },
	{ "privileged", BOOL, IDLE }, { "ulimits", ANY, IDLE }, { NULL } };

static const struct rule depends_rules[] = {
	{ "condition", STR, 0, NULL,
		"service_started|service_healthy|service_completed_successfully" },
	{ "required", BOOL }, { "restart", BOOL }, { NULL }
};

static const char no_devices[] = "devices are given by the service's own 'devices'";
static const struct rule limit_rules[] = { { "cpus", NUMBER }, { "memory", SIZE }, { "pids", INT },
	{ "devices", REFUSED, 0, NULL, no_devices }, { "generic_resources", ANY, IDLE }, { NULL } };
static const struct rule reservation_rules[] = { { "cpus", NUMBER, IDLE }, { "memory", SIZE },
	{ "pids", INT, IDLE }, { "devices", REFUSED, 0, NULL, no_devices },
	{ "generic_resources", ANY, IDLE }, { NULL } };
static const struct rule resource_rules[] = { { "limits", OBJECT, 0, limit_rules },
	{ "reservations", OBJECT, 0, reservation_rules }, { NULL } };
static const struct rule policy_rules[] = { { "condition", STR, 0, NULL, "none|on-failure|any" },
	{ "delay", DURATION, IDLE }, { "max_attempts", INT }, { "window", DURATION, IDLE },
	{ NULL } };
static const struct rule deploy_rules[] = { { "mode", STR, 0, NULL, "replicated|global" },
	{ "replicas", INT }, { "resources", OBJECT, 0, resource_rules },
	{ "restart_policy", OBJECT, 0, policy_rules }, { "labels", PAIRS, IDLE },
	{ "placement", ANY, IDLE }, { "update_config", ANY, IDLE },
	{ "rollback_config", ANY, IDLE }, { "endpoint_mode", ANY, IDLE }, { NULL } };

static const struct rule health_rules[] = { { "test", LIST, WHOLE, NULL, NULL, to_test },
	{ "interval", DURATION }, { "timeout", DURATION }, { "start_period", DURATION },
	{ "start_interval", DURATION }, { "retries", INT }, { "disable", BOOL }, { NULL } };

static const struct rule logging_rules[] = { { "driver", STR }, { "options", PAIRS }, { NULL } };

static const struct rule attachment_rules[] = { { "aliases", LIST, UNIQUE },
	{ "ipv4_address", STR }, { "ipv6_address", STR }, { "mac_address", STR },
	{ "priority", NUMBER, IDLE },
	{ "link_local_ips", REFUSED, 0, NULL, "holm gives one address a family" },
	{ "driver_opts", ANY, IDLE }, { NULL } };

static const struct rule port_rules[] = { { "name", STR }, { "mode", STR }, { "host_ip", STR },
	{ "target", SCALAR }, { "published", SCALAR }, { "protocol", STR, 0, NULL, "tcp|udp" },
	{ "app_protocol", STR }, { NULL } };

static const struct rule bind_rules[] = { { "propagation", STR }, { "create_host_path", BOOL },
	{ "recursive", STR, 0, NULL, "enabled|disabled|writable|readonly" },
	{ "selinux", STR, IDLE }, { NULL } };
static const struct rule volume_option_rules[] = { { "nocopy", BOOL }, { "labels", PAIRS, IDLE },
	{ "subpath", REFUSED, 0, NULL, "a part of a volume cannot be mounted yet" }, { NULL } };
static const struct rule tmpfs_rules[] = { { "size", SIZE }, { "mode", SCALAR }, { NULL } };
static const struct rule mount_rules[] = { { "type", STR, 0, NULL, "bind|volume|tmpfs" },
	{ "source", STR }, { "target", STR }, { "read_only", BOOL }, { "consistency", STR },
	{ "bind", OBJECT, 0, bind_rules }, { "volume", OBJECT, 0, volume_option_rules },
	{ "tmpfs", OBJECT, 0, tmpfs_rules }, { NULL } };

static const struct rule grant_rules[] = { { "source", STR }, { "target", STR },
	{ "uid", SCALAR, IDLE }, { "gid", SCALAR, IDLE }, { "mode", SCALAR, IDLE }, { NULL } };
static const struct rule env_file_rules[] = { { "path", STR, PATH }, { "required", BOOL },
	{ "format", STR, 0, NULL, "raw" }, { NULL } };
static const struct rule ulimit_rules[] = { { "soft", INT }, { "hard", INT }, { NULL } };

static const char no_swarm[] = "it belongs to hosts that holm does not run on";

static const struct rule service_rules[] = { { "annotations", PAIRS }, { "attach", BOOL },
	{ "build", OBJECT, 0, build_rules, NULL, to_context },
	{ "blkio_config", REFUSED, 0, NULL, "it is not in this version" },
	{ "cap_add", LIST, UNIQUE }, { "cap_drop", LIST, UNIQUE },
	{ "cgroup", STR, 0, NULL, "host|private" }, { "cgroup_parent", STR },
	{ "command", WORDS, WHOLE },
	{ "configs", OBJECTS, UNIQUE, grant_rules, "source,target", to_sources },
	{ "container_name", STR }, { "cpu_count", REFUSED, 0, NULL, no_swarm },
	{ "cpu_percent", REFUSED, 0, NULL, no_swarm }, { "cpu_period", DURATION },
	{ "cpu_quota", DURATION }, { "cpu_shares", INT }, { "cpus", NUMBER }, { "cpuset", STR },
	{ "credential_spec", REFUSED, 0, NULL, no_swarm },
	{ "depends_on", EACH, 0, depends_rules, NULL, to_depends },
	{ "deploy", OBJECT, 0, deploy_rules }, { "develop", ANY, IDLE },
	{ "device_cgroup_rules", LIST, UNIQUE }, { "devices", LIST, UNIQUE }, { "dns", STRINGS },
	{ "dns_opt", LIST, UNIQUE }, { "dns_search", STRINGS }, { "domainname", STR },
	{ "entrypoint", WORDS, WHOLE },
	{ "env_file", OBJECTS, 0, env_file_rules, NULL, to_env_files }, { "environment", PAIRS },
	{ "expose", LIST, UNIQUE },
	{ "extends", REFUSED, 0, NULL, "it is not in this version: use YAML's anchors and '<<'" },
	{ "external_links", REFUSED, 0, NULL, "put both on one network" },
	{ "extra_hosts", LIST, UNIQUE, NULL, NULL, to_hosts },
	{ "gpus", REFUSED, 0, NULL, "graphics processors are not passed on yet" },
	{ "group_add", LIST, UNIQUE }, { "healthcheck", OBJECT, 0, health_rules },
	{ "hostname", STR }, { "image", STR }, { "init", BOOL }, { "ipc", STR },
	{ "isolation", STR }, { "labels", PAIRS },
	{ "links", REFUSED, 0, NULL, "services of one network find each other by name" },
	{ "logging", OBJECT, 0, logging_rules }, { "mac_address", STR }, { "mem_limit", SIZE },
	{ "mem_reservation", SIZE }, { "mem_swappiness", INT }, { "memswap_limit", SIZE },
	{ "network_mode", STR },
	{ "networks", EACH, NULLABLE, attachment_rules, NULL, to_networks },
	{ "oom_kill_disable", BOOL }, { "oom_score_adj", INT }, { "pid", STR },
	{ "pids_limit", INT }, { "platform", STR },
	{ "ports", OBJECTS, UNIQUE, port_rules, "host_ip,target,published,protocol", to_ports },
	{ "post_start", REFUSED, 0, NULL, "it is not in this version" },
	{ "pre_stop", REFUSED, 0, NULL, "it is not in this version" }, { "privileged", BOOL },
	{ "profiles", LIST, UNIQUE },
	{ "provider", REFUSED, 0, NULL, "holm runs no other program's services" },
	{ "pull_policy", STR, 0, NULL, "always|never|missing|if_not_present|build" },
	{ "read_only", BOOL }, { "restart", STR }, { "runtime", STR }, { "scale", INT },
	{ "secrets", OBJECTS, UNIQUE, grant_rules, "source,target", to_sources },
	{ "security_opt", LIST, UNIQUE }, { "shm_size", SIZE }, { "stdin_open", BOOL },
	{ "stop_grace_period", DURATION }, { "stop_signal", STR },
	{ "storage_opt", REFUSED, 0, NULL, "layers have no size of their own" },
	{ "sysctls", PAIRS }, { "tmpfs", STRINGS, UNIQUE }, { "tty", BOOL },
	{ "ulimits", EACH, 0, ulimit_rules, NULL, to_ulimits }, { "user", STR },
	{ "userns_mode", STR }, { "uts", STR },
	{ "volumes", OBJECTS, UNIQUE, mount_rules, "target", to_volumes },
	{ "volumes_from", REFUSED, 0, NULL, "give both the same volumes" }, { "working_dir", STR },
	{ NULL } };

static const struct rule pool_rules[] = { { "subnet", STR }, { "gateway", STR },
	{ "ip_range", STR }, { "aux_addresses", PAIRS }, { NULL } };
static const struct rule ipam_rules[] = { { "driver", STR, 0, NULL, "default" },
	{ "config", OBJECTS, WHOLE, pool_rules }, { "options", ANY, IDLE }, { NULL } };
static const struct rule network_rules[] = { { "name", STR }, { "driver", STR },
	{ "driver_opts", PAIRS }, { "attachable", BOOL }, { "enable_ipv6", BOOL },
	{ "enable_ipv4", BOOL, 0, NULL, NULL, to_ipv4 }, { "external", BOOL }, { "internal", BOOL },
	{ "labels", PAIRS }, { "ipam", OBJECT, 0, ipam_rules }, { NULL } };
static const struct rule volume_rules[] = { { "name", STR }, { "driver", STR },
	{ "driver_opts", PAIRS }, { "external", BOOL }, { "labels", PAIRS }, { NULL } };
static const struct rule file_rules[] = { { "name", STR }, { "file", STR, PATH },
	{ "environment", STR }, { "content", STR }, { "external", BOOL }, { "labels", PAIRS, IDLE },
	{ "driver", REFUSED, 0, NULL, no_swarm }, { "template_driver", REFUSED, 0, NULL, no_swarm },
	{ NULL } };

static const struct rule root_rules[] = { { "version", SCALAR }, { "name", STR },
	{ "services", EACH, 0, service_rules }, { "networks", EACH, NULLABLE, network_rules },
	{ "volumes", EACH, NULLABLE, volume_rules }, { "configs", EACH, 0, file_rules },
	{ "secrets", EACH, 0, file_rules },
	{ "include", REFUSED, 0, NULL, "it is not in this version: give the files by -f" },
	{ "models", REFUSED, 0, NULL, "holm runs no models" }, { NULL } };

const struct rule root_rule = { "", OBJECT, 0, root_rules };
