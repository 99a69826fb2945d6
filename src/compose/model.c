#include "compose/model.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"

enum rule_type {
	ANY,    /* kept as it is */
	STR,    /* a string */
	SCALAR, /* any scalar, as text */
	BOOL,
	INT,
	NUMBER,
	SIZE, /* bytes */
	DURATION,
	LIST,    /* of scalars, as strings */
	STRINGS, /* a string, or a list of them */
	WORDS,   /* a command: a string is split as a shell does, without its expansions */
	PAIRS,   /* a map of scalars or null, or a list of NAME[=VALUE] */
	OBJECT,  /* of the members in sub */
	EACH,    /* a map of any names to objects of sub */
	OBJECTS, /* a list of objects of sub */
	REFUSED, /* with a reason */
};

#define WHOLE 1u  /* a later file's list replaces */
#define UNIQUE 2u /* items of a list that have the same text, or the same `key` members, replace */
#define PATH 4u   /* relative to the file's directory */
#define NULLABLE 8u /* members of EACH may be null: an empty object */
#define IDLE 16u    /* nothing acts on it, which is said */

struct model {
	const char *dir;
	char path[256]; /* where we are, for errors */
};

struct rule {
	const char *name;
	enum rule_type type;
	unsigned flags;
	const struct rule *sub;
	/* STR: "a|b|c", the choices; REFUSED: why; OBJECTS: "a,b", what makes items the same. */
	const char *text;
	/* Brings a short form into the long one, before the type is checked. */
	int (*convert)(struct model *m, struct node *n, struct err *err);
};

static int bad(const struct model *m, const struct node *n, struct err *err, const char *text)
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
				return bad(m, n->items[i], err, "expected a name");
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
		return bad(m, n, err, "not a port ([[IP:]PUBLISHED:]TARGET[/PROTOCOL])");
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
		return bad(m, n, err, "not a volume ([SOURCE:]TARGET[:MODE])");
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
		} else if (strcmp(*mode, "rw") != 0 && strcmp(*mode, "z") != 0 &&
			   strcmp(*mode, "Z") != 0 && strcmp(*mode, "cached") != 0 &&
			   strcmp(*mode, "delegated") != 0 && strcmp(*mode, "consistent") != 0) {
			return node_err(n, err, EINVAL, m->path, "'%s' is not a mode", *mode);
		}
	}
	return 0;
}

/* path_absolute() is instance's, for the working directory. */
static char *absolute(const struct model *m, const char *path)
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
			cleanup(free) char *full = absolute(m, source);
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
			return bad(m, n->items[i], err, "expected an address");
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
		return bad(m, n, err, "not supported: every network has IPv4");
	return 0;
}

static const struct rule build_rules[] = { { "context", STR, PATH }, { "dockerfile", STR },
	{ "dockerfile_inline", STR }, { "args", PAIRS }, { "target", STR }, { "cache_from", LIST },
	{ "cache_to", LIST, IDLE }, { "labels", PAIRS }, { "no_cache", BOOL }, { "pull", BOOL },
	{ "platforms", LIST, IDLE }, { "secrets", ANY }, { "ssh", ANY, IDLE }, { "tags", LIST },
	{ "network", STR }, { "shm_size", SIZE },
	{ "extra_hosts", LIST, UNIQUE, NULL, NULL, to_hosts }, { "additional_contexts", PAIRS },
	{ "privileged", BOOL, IDLE }, { "ulimits", ANY, IDLE }, { NULL } };

static const struct rule depends_rules[] = {
	{ "condition", STR, 0, NULL,
		"service_started|service_healthy|service_completed_successfully" },
	{ "required", BOOL }, { "restart", BOOL, IDLE }, { NULL }
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
	{ "recursive", STR, 0, NULL, "enabled|disabled|writable|readonly" }, { "selinux", STR },
	{ NULL } };
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

static const struct rule root_rule = { "", OBJECT, 0, root_rules };

static const struct rule *find_rule(const struct rule *rules, const char *name)
{
	for (; rules->name; rules++)
		if (strcmp(rules->name, name) == 0)
			return rules;
	return NULL;
}

static int unknown(const struct model *m, const struct node *n, const char *name,
	const struct rule *rules, struct err *err)
{
	unsigned best = strlen(name) < 4 ? 2 : 3;
	const char *near = NULL;

	for (; rules->name; rules++) {
		unsigned d = str_distance(rules->name, name);
		if (d < best) {
			best = d;
			near = rules->name;
		}
	}
	return near ? node_err(n, err, EINVAL, m->path, "unknown member: did you mean '%s'?", near)
		    : node_err(n, err, EINVAL, m->path, "unknown member");
}

static int normalize(struct model *m, const struct rule *rule, struct node *n, struct err *err);

/* One below, with its name in the path. */
static int below(
	struct model *m, const struct rule *rule, struct node *n, const char *name, struct err *err)
{
	size_t len = strlen(m->path);
	int r;

	snprintf(
		m->path + len, sizeof(m->path) - len, "%s%s", len && *name != '[' ? "." : "", name);
	r = normalize(m, rule, n, err);
	m->path[len] = '\0';
	return r;
}

static int check_object(struct model *m, const struct rule *rules, struct node *n, struct err *err)
{
	if (n->kind != NODE_MAP)
		return bad(m, n, err, "expected a map");
	for (size_t i = 0; i < n->n; i++) {
		const struct rule *rule = find_rule(rules, n->keys[i]);
		size_t len = strlen(m->path);
		int r = 0;
		if (strncmp(n->keys[i], "x-", 2) == 0)
			continue;
		if (!rule) {
			snprintf(m->path + len, sizeof(m->path) - len, "%s%s", len ? "." : "",
				n->keys[i]);
			r = unknown(m, n->items[i], n->keys[i], rules, err);
			m->path[len] = '\0';
		} else {
			r = below(m, rule, n->items[i], n->keys[i], err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_each(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	const struct rule object = { "", OBJECT, 0, rule->sub };

	if (n->kind != NODE_MAP)
		return bad(m, n, err, "expected a map");
	for (size_t i = 0; i < n->n; i++) {
		struct node *item = n->items[i];
		int r;
		if (item->kind == NODE_NULL && (rule->flags & NULLABLE))
			node_become(item, NODE_MAP);
		r = item->kind == NODE_NULL && item->tag != NODE_RESET
			    ? node_err(item, err, EINVAL, n->keys[i], "expected a map")
			    : below(m, &object, item, n->keys[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_items(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	const struct rule object = { "", OBJECT, 0, rule->sub };
	char index[24];

	if (n->kind != NODE_LIST)
		return bad(m, n, err, "expected a list");
	for (size_t i = 0; i < n->n; i++) {
		int r;
		snprintf(index, sizeof(index), "[%zu]", i);
		r = below(m, &object, n->items[i], index, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_list(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == STRINGS && node_scalar(n)) {
		struct node *one = node_string(n->text, n);
		node_become(n, NODE_LIST);
		node_add(n, one);
	}
	if (n->kind != NODE_LIST)
		return bad(m, n, err,
			rule->type == STRINGS ? "expected a string or a list" : "expected a list");
	for (size_t i = 0; i < n->n; i++) {
		if (!node_scalar(n->items[i]))
			return bad(m, n->items[i], err, "expected a list of strings");
		n->items[i]->kind = NODE_STRING;
	}
	return 0;
}

/* Words by white space, with quotes and backslashes as the shell has them. */
static int split_words(const struct model *m, struct node *n, struct err *err)
{
	cleanup(free) char *text = xstrdup(n->text);
	cleanup(buf_free) struct buf word = { 0 };
	bool in = false;
	char quote = 0;

	node_become(n, NODE_LIST);
	for (const char *p = text;; p++) {
		if (!*p || (!quote && isspace((unsigned char)*p))) {
			if (in && !quote)
				node_add(n, node_string(word.data ? word.data : "", n));
			if (!*p)
				break;
			buf_free(&word);
			in = false;
		} else if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? 0 : *p;
			in = true;
		} else {
			if (*p == '\\' && quote != '\'' && p[1] &&
				(!quote || strchr("\"\\$`", p[1])))
				p++;
			buf_addc(&word, *p);
			in = true;
		}
	}
	return quote ? bad(m, n, err, "a quote without an end") : 0;
}

static int check_pairs(struct model *m, struct node *n, struct err *err)
{
	if (n->kind == NODE_LIST) {
		cleanup(node_free) struct node *map = node_new(NODE_MAP, n);
		for (size_t i = 0; i < n->n; i++) {
			const char *text = n->items[i]->text;
			cleanup(free) char *key = text ? xstrndup(text, strcspn(text, "=")) : NULL;
			if (!text || !*key)
				return bad(m, n->items[i], err, "expected NAME=VALUE");
			node_set(map, key,
				text[strlen(key)] ? node_string(text + strlen(key) + 1, n->items[i])
						  : node_new(NODE_NULL, n->items[i]));
		}
		node_replace(n, take(map));
	}
	if (n->kind != NODE_MAP)
		return bad(m, n, err, "expected a map, or a list of NAME=VALUE");
	for (size_t i = 0; i < n->n; i++) {
		if (node_scalar(n->items[i]))
			n->items[i]->kind = NODE_STRING;
		else if (n->items[i]->kind != NODE_NULL)
			return node_err(n->items[i], err, EINVAL, m->path,
				"'%s': expected a string or a number", n->keys[i]);
	}
	return 0;
}

static int check_string(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == STR && n->kind != NODE_STRING)
		return bad(m, n, err, "expected a string");
	n->kind = NODE_STRING;
	if (rule->flags & PATH) {
		bool url = strstr(n->text, "://") != NULL;
		cleanup(free) char *full = url ? xstrdup(n->text) : absolute(m, n->text);
		node_set_text(n, NODE_STRING, full);
	}
	if (rule->text) {
		cleanup(strv_free) char **choices = strv_split(rule->text, '|');
		cleanup(free) char *list = strv_join(choices, ", ");
		if (!strv_contains(choices, n->text))
			return node_err(
				n, err, EINVAL, m->path, "'%s' is not one of %s", n->text, list);
	}
	return 0;
}

static int check_scalar(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	char text[32];
	int64_t i;
	double d;
	bool b;

	if (rule->type == BOOL && parse_bool(n->text, &b) == 0) {
		node_set_text(n, NODE_BOOL, b ? "true" : "false");
	} else if (rule->type == INT && parse_i64(n->text, INT64_MIN, INT64_MAX, &i) == 0) {
		n->kind = NODE_INT;
	} else if (rule->type == NUMBER && parse_double(n->text, &d) == 0) {
		n->kind = NODE_FLOAT;
	} else if (rule->type == SIZE &&
		   (strcmp(n->text, "-1") == 0 || parse_size(n->text, &i) == 0)) {
		snprintf(text, sizeof(text), "%lld",
			strcmp(n->text, "-1") == 0 ? -1LL : (long long)i);
		node_set_text(n, NODE_STRING, text);
	} else if (rule->type == DURATION && parse_duration(n->text, &i) == 0) {
		node_set_text(n, NODE_STRING, format_duration(i));
	} else if (rule->type == DURATION && parse_i64(n->text, 0, INT64_MAX, &i) == 0) {
		n->kind = NODE_STRING; /* cpu_period: microseconds */
	} else {
		return node_err(n, err, EINVAL, m->path, "'%s' is not %s", n->text,
			rule->type == BOOL     ? "true or false"
			: rule->type == INT    ? "a whole number"
			: rule->type == NUMBER ? "a number"
			: rule->type == SIZE   ? "a size, like 512m"
					       : "a duration, like 1m30s");
	}
	return 0;
}

static int check_type(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	if (rule->type == ANY)
		return 0;
	if (rule->convert && rule->convert(m, n, err) < 0)
		return -EINVAL;
	switch (rule->type) {
	case OBJECT:
		return check_object(m, rule->sub, n, err);
	case EACH:
		return check_each(m, rule, n, err);
	case OBJECTS:
		return check_items(m, rule, n, err);
	case PAIRS:
		return check_pairs(m, n, err);
	case WORDS:
		return node_scalar(n) ? split_words(m, n, err) : check_list(m, rule, n, err);
	case LIST:
	case STRINGS:
		return check_list(m, rule, n, err);
	default:
		break;
	}
	if (!node_scalar(n))
		return bad(m, n, err, "expected a single value");
	return rule->type == STR || rule->type == SCALAR ? check_string(m, rule, n, err)
							 : check_scalar(m, rule, n, err);
}

static int normalize(struct model *m, const struct rule *rule, struct node *n, struct err *err)
{
	struct err idle = { 0 };
	int r;

	if (rule->type == REFUSED)
		return node_err(n, err, ENOTSUP, m->path, "not supported: %s", rule->text);
	if (n->kind == NODE_NULL || n->tag == NODE_RESET)
		return 0;
	r = check_type(m, rule, n, err);
	/* What is off already needs nothing that turns it off. */
	if (r == 0 && (rule->flags & IDLE) &&
		(rule->type != BOOL || strcmp(n->text, "true") == 0)) {
		node_err(n, &idle, EINVAL, m->path, "holm does nothing about it");
		log_warn("%s", idle.text);
	}
	return r;
}

int model_normalize(struct node *doc, const char *dir, struct err *err)
{
	struct model m = { .dir = dir };

	return normalize(&m, &root_rule, doc, err);
}

static bool same_item(const struct rule *rule, const struct node *a, const struct node *b)
{
	cleanup(strv_free) char **keys = NULL;

	if (rule->type != OBJECTS)
		return a->text && b->text && strcmp(a->text, b->text) == 0;
	keys = strv_split(rule->text, ',');
	strv_foreach (key, keys)
		if (strcmp(node_text(a, *key) ?: "", node_text(b, *key) ?: "") != 0)
			return false;
	return true;
}

static void merge_lists(const struct rule *rule, struct node *base, struct node *over)
{
	while (over->n) {
		struct node *item = node_copy(over->items[0]);
		node_remove(over, 0);
		for (size_t i = 0; (rule->flags & UNIQUE) && i < base->n; i++)
			if (same_item(rule, base->items[i], item)) {
				node_replace(base->items[i], take(item));
				break;
			}
		if (item)
			node_add(base, item);
	}
}

static void merge(const struct rule *rule, struct node *base, struct node *over);

static void merge_maps(const struct rule *rule, struct node *base, struct node *over)
{
	const struct rule object = { "", OBJECT, 0, rule->sub }, any = { "", ANY };

	for (size_t i = 0; i < over->n; i++) {
		struct node *there = node_get(base, over->keys[i]);
		const struct rule *sub = rule->type == EACH ? &object
					 : rule->type == OBJECT
						 ? find_rule(rule->sub, over->keys[i])
						 : &any;
		if (over->items[i]->tag == NODE_RESET)
			node_set(base, over->keys[i], NULL);
		else if (there)
			merge(sub ? sub : &any, there, node_copy(over->items[i]));
		else
			node_set(base, over->keys[i], node_copy(over->items[i]));
	}
}

/* Takes `over` over. */
static void merge(const struct rule *rule, struct node *base, struct node *over)
{
	bool whole = (rule->flags & WHOLE) || over->tag == NODE_OVERRIDE;

	if (over->kind == NODE_MAP && base->kind == NODE_MAP && !whole)
		merge_maps(rule, base, over);
	else if (over->kind == NODE_LIST && base->kind == NODE_LIST && !whole)
		merge_lists(rule, base, over);
	else {
		if (over->kind != NODE_NULL)
			node_replace(base, take(over));
		base->tag = NODE_MERGE;
	}
	node_free(over);
}

/* What is reset and was not there before: never checked, hence nothing that may stay. */
static void drop_reset(struct node *n)
{
	for (size_t i = n->n; i-- > 0;) {
		if (n->items[i]->tag == NODE_RESET)
			node_remove(n, i);
		else
			drop_reset(n->items[i]);
	}
}

void model_merge(struct node *base, struct node *over)
{
	merge(&root_rule, base, over);
	drop_reset(base);
}

static int check_names(const struct node *root, const struct node *used, const char *section,
	const char *what, struct err *err)
{
	for (size_t i = 0; used && i < used->n; i++) {
		const char *name = used->kind == NODE_MAP ? used->keys[i]
							  : node_text(used->items[i], "source");
		const struct node *all = node_get(root, section);
		if (!name)
			continue;
		if (strcmp(section, "volumes") == 0 &&
			strcmp(node_text(used->items[i], "type") ?: "", "volume") != 0)
			continue;
		if (strcmp(section, "networks") == 0 && strcmp(name, "default") == 0)
			continue;
		if (!node_get(all, name))
			return node_err(used->items[i], err, EINVAL, what,
				"'%s' is not among the file's %s", name, section);
	}
	return 0;
}

int model_check(const struct node *root, struct err *err)
{
	static const char *const sections[] = { "networks", "volumes", "configs", "secrets" };
	const struct node *services = node_get(root, "services");

	if (!services || !services->n)
		return node_err(root, err, EINVAL, NULL, "no services");
	for (size_t i = 0; i < services->n; i++) {
		const struct node *s = services->items[i];
		cleanup(free) char *what = xasprintf("services.%s", services->keys[i]);
		if (!node_get(s, "image") && !node_get(s, "build"))
			return node_err(s, err, EINVAL, what, "neither 'image' nor 'build'");
		if (node_get(s, "network_mode") && node_get(s, "networks"))
			return node_err(s, err, EINVAL, what,
				"'network_mode' and 'networks' exclude each other");
		for (size_t k = 0; k < ARRAY_SIZE(sections); k++)
			if (check_names(root, node_get(s, sections[k]), sections[k], what, err) < 0)
				return -EINVAL;
		if (check_names(root, node_get(s, "depends_on"), "services", what, err) < 0)
			return -EINVAL;
	}
	return 0;
}
