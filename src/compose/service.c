/* A service's members as what `run` is asked: so that both mean, check and refuse the same. */
#include "compose/compose.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "compose/interpolate.h"
#include "compose/document.h"
#include "image/image.h"
#include "instance/run_options.h"

/* Texts that the options borrow. */
struct asked {
	struct run_options o;
	char **kept;
};

static const char *keep(struct asked *a, char *text)
{
	/* In an array of owned strings whose growth moves no string. */
	strv_add(&a->kept, text);
	free(text);
	return a->kept[strv_len(a->kept) - 1];
}

/* The lists that are filled in here, and the members that have one as it is. */
static const struct {
	size_t offset;
	const char *member;
} lists[] = {
#define ASKED(list, member) \
	{ \
		offsetof(struct run_options, list), member \
	}
	ASKED(add_host, "extra_hosts"),
	ASKED(annotation, "annotations"),
	ASKED(cap_add, "cap_add"),
	ASKED(cap_drop, "cap_drop"),
	ASKED(device_rules, "device_cgroup_rules"),
	ASKED(devices, "devices"),
	ASKED(dns, "dns"),
	ASKED(dns_options, "dns_opt"),
	ASKED(dns_search, "dns_search"),
	ASKED(env, NULL),
	ASKED(expose, "expose"),
	ASKED(group_add, "group_add"),
	ASKED(label, "labels"),
	ASKED(log_opt, "logging.options"),
	ASKED(mounts, NULL),
	ASKED(networks, NULL),
	ASKED(publish, NULL),
	ASKED(security_opt, "security_opt"),
	ASKED(sysctls, "sysctls"),
	ASKED(tmpfs, "tmpfs"),
	ASKED(ulimits, NULL),
#undef ASKED
};

static char ***list_of(struct asked *a, size_t i)
{
	return (char ***)((char *)&a->o + lists[i].offset);
}

static void asked_clear(struct asked *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(*list_of(a, i));
	strv_free(a->kept);
}
DEFINE_CLEANUP_OBJECT(asked_clear, struct asked);

static int64_t ns_of(const struct node *s, const char *path)
{
	const char *text = node_text(s, path);
	int64_t ns = 0;

	if (text)
		parse_duration(text, &ns);
	return ns;
}

static void ask_lists(const struct node *s, struct asked *a)
{
	const struct node *ulimits = node_get(s, "ulimits");

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (lists[i].member)
			*list_of(a, i) = node_strv(node_at(s, lists[i].member));
	for (size_t i = 0; ulimits && i < ulimits->n; i++)
		strv_addf(&a->o.ulimits, "%s=%s:%s", ulimits->keys[i],
			node_text(ulimits->items[i], "soft") ?: "-1",
			node_text(ulimits->items[i], "hard") ?: "-1");
}

int compose_environment(
	const struct compose_project *p, const char *service, char ***ret, struct err *err)
{
	const struct node *s = compose_service(p, service), *files = node_get(s, "env_file");
	cleanup(strv_free) char **env = NULL;
	cleanup(strv_free) char **own = node_strv(node_get(s, "environment"));
	struct variables v = { .env = p->env };
	int r = 0;

	for (size_t i = 0; r == 0 && files && i < files->n; i++) {
		cleanup(buf_free) struct buf text = { 0 };
		const char *path = node_text(files->items[i], "path");
		r = file_read(AT_FDCWD, path, YAML_MAX_BYTES, &text);
		if (r == -ENOENT && !node_bool(files->items[i], "required")) {
			r = 0;
			continue;
		}
		r = r < 0 ? node_err(files->items[i], err, -r, NULL, "env_file '%s': %s", path,
				    strerror(-r))
			  : dotenv_parse(&v, text.data ? text.data : "", text.len, path,
				    node_text(files->items[i], "format") != NULL, &env, err);
	}
	strv_free(v.missing);
	strv_foreach (item, own) {
		const char *value = strchr(*item, '=') ? NULL : strv_env_get(p->env, *item);
		cleanup(free) char *full = value ? xasprintf("%s=%s", *item, value) : NULL;
		/* A name alone takes the project's value, and is left out without one. */
		if (full || strchr(*item, '='))
			strv_env_set(&env, full ? full : *item);
	}
	if (r == 0)
		*ret = take(env);
	return r;
}

static void ask_ports(const struct node *s, struct asked *a)
{
	const struct node *ports = node_get(s, "ports");

	for (size_t i = 0; ports && i < ports->n; i++) {
		const struct node *port = ports->items[i];
		const char *ip = node_text(port, "host_ip"), *out = node_text(port, "published");
		bool six = ip && strchr(ip, ':');
		strv_addf(&a->o.publish, "%s%s%s%s%s%s%s/%s", six ? "[" : "", ip ?: "",
			six ? "]" : "", ip ? ":" : "", out ?: "", out || ip ? ":" : "",
			node_text(port, "target") ?: "", node_text(port, "protocol") ?: "tcp");
	}
}

/* One value of a list with commas, quoted as --mount reads it. */
static void add_pair(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_addf(b, "%s\"%s=", b->len ? "," : "", key);
	for (; *value; value++)
		buf_addf(b, *value == '"' ? "\"\"" : "%c", *value);
	buf_addc(b, '"');
}

static void ask_mounts(const struct compose_project *p, const struct node *s, struct asked *a)
{
	const struct node *volumes = node_get(s, "volumes");

	for (size_t i = 0; volumes && i < volumes->n; i++) {
		const struct node *v = volumes->items[i];
		const char *type = node_text(v, "type") ?: "volume",
			   *source = node_text(v, "source");
		cleanup(buf_free) struct buf text = { 0 };
		cleanup(free) char *name = source && strcmp(type, "volume") == 0
						   ? compose_resource_name(p, "volumes", source)
						   : xstrdup_null(source);
		add_pair(&text, "type", type);
		add_pair(&text, "source", name);
		add_pair(&text, "target", node_text(v, "target"));
		add_pair(&text, "readonly", node_text(v, "read_only"));
		add_pair(&text, "bind-propagation", node_text(v, "bind.propagation"));
		add_pair(&text, "bind-recursive", node_text(v, "bind.recursive"));
		add_pair(&text, "bind-create-src", node_text(v, "bind.create_host_path"));
		add_pair(&text, "volume-nocopy", node_text(v, "volume.nocopy"));
		add_pair(&text, "tmpfs-size", node_text(v, "tmpfs.size"));
		add_pair(&text, "tmpfs-mode", node_text(v, "tmpfs.mode"));
		strv_add(&a->o.mounts, text.data);
	}
}

/* Configurations and secrets, which are files of the host. */
static int ask_files(const struct compose_project *p, const struct node *s, const char *section,
	struct asked *a, struct err *err)
{
	const struct node *grants = node_get(s, section);
	bool secret = strcmp(section, "secrets") == 0;

	for (size_t i = 0; grants && i < grants->n; i++) {
		const struct node *g = grants->items[i];
		const char *source = node_text(g, "source") ?: "", *target = node_text(g, "target");
		const struct node *def = node_get(node_get(p->root, section), source);
		cleanup(buf_free) struct buf text = { 0 };
		cleanup(free) char *at = target && *target == '/'
						 ? xstrdup(target)
						 : xasprintf("%s/%s", secret ? "/run/secrets" : "",
							   target ?: source);
		if (!node_text(def, "file"))
			return node_err(def, err, ENOTSUP, source,
				"not supported: of %s those with a 'file' alone", section);
		add_pair(&text, "type", "bind");
		add_pair(&text, "source", node_text(def, "file"));
		add_pair(&text, "target", at);
		add_pair(&text, "readonly", "true");
		strv_add(&a->o.mounts, text.data);
	}
	return 0;
}

int compose_shared(struct db *db, const struct compose_project *p, const char *mode, char **ret,
	struct err *err)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	int r;

	if (strncmp(mode, "service:", 8) != 0) {
		*ret = xstrdup(mode);
		return 0;
	}
	r = compose_containers(db, p, mode + 8, false, &list, err);
	if (r == 0 && !list.n)
		r = err_set(err, ENOENT,
			"'%s': that service has no container: let this one depend on it", mode);
	if (r == 0)
		*ret = xasprintf("container:%s", list.items[0]->config.id);
	return r;
}

static int ask_networks(struct db *db, const struct compose_project *p, const char *service,
	int64_t number, struct asked *a, struct err *err)
{
	const struct node *s = compose_service(p, service), *networks = node_get(s, "networks");
	const char *mode = node_text(s, "network_mode");
	char *shared = NULL;

	if (mode) {
		int r = compose_shared(db, p, mode, &shared, err);
		if (r == 0)
			strv_add(&a->o.networks, shared);
		free(shared);
		return r;
	}
	for (size_t i = 0; i < (networks ? networks->n : 1); i++) {
		const struct node *n = networks ? networks->items[i] : NULL;
		cleanup(free) char *name = compose_resource_name(
			p, "networks", networks ? networks->keys[i] : "default");
		cleanup(strv_free) char **aliases = node_strv(node_get(n, "aliases"));
		struct buf text = { 0 };
		buf_addf(&text, "name=%s", name);
		/* One of `compose run` does not serve what the service does. */
		if (number)
			buf_addf(&text, ",alias=%s", service);
		strv_foreach (alias, aliases)
			buf_addf(&text, ",alias=%s", *alias);
		if (node_text(n, "ipv4_address"))
			buf_addf(&text, ",ip=%s", node_text(n, "ipv4_address"));
		if (node_text(n, "ipv6_address"))
			buf_addf(&text, ",ip6=%s", node_text(n, "ipv6_address"));
		if (node_text(n, "mac_address"))
			buf_addf(&text, ",mac-address=%s", node_text(n, "mac_address"));
		strv_add(&a->o.networks, text.data);
		buf_free(&text);
	}
	return 0;
}

static void ask_limits(const struct node *s, struct asked *a)
{
	struct limit_options *l = &a->o.limits;
	const char *cpus = node_text(s, "deploy.resources.limits.cpus") ?: node_text(s, "cpus");
	int64_t pids = node_int(s, "deploy.resources.limits.pids", node_int(s, "pids_limit", 0));

	l->memory = node_int(s, "deploy.resources.limits.memory", 0) ?: node_int(s, "mem_limit", 0);
	l->memory_reservation = node_int(s, "deploy.resources.reservations.memory", 0)
					?: node_int(s, "mem_reservation", 0);
	l->memory_swap = node_text(s, "memswap_limit");
	if (cpus)
		l->cpus_given = parse_double(cpus, &l->cpus) == 0;
	l->cpu_shares = node_int(s, "cpu_shares", 0);
	l->cpu_period = ns_of(s, "cpu_period") / 1000 ?: node_int(s, "cpu_period", 0);
	l->cpu_quota = ns_of(s, "cpu_quota") / 1000 ?: node_int(s, "cpu_quota", 0);
	l->cpuset_cpus = node_text(s, "cpuset");
	l->pids = pids;
	l->pids_given = pids != 0;
	a->o.shm_size = node_int(s, "shm_size", 0);
	a->o.shm_size_given = a->o.shm_size != 0;
	a->o.oom_kill_disable = node_bool(s, "oom_kill_disable");
	a->o.oom_score_adj = node_int(s, "oom_score_adj", 0);
	a->o.memory_swappiness_given = node_text(s, "mem_swappiness") != NULL;
	a->o.memory_swappiness = node_int(s, "mem_swappiness", 0);
}

static void ask_restart(const struct node *s, struct asked *a)
{
	const char *policy = node_text(s, "restart");
	const char *condition = node_text(s, "deploy.restart_policy.condition");

	if (!policy && node_at(s, "deploy.restart_policy")) {
		int64_t times = node_int(s, "deploy.restart_policy.max_attempts", 0);
		bool any = !condition || strcmp(condition, "any") == 0;
		if (any && times)
			node_warn(node_at(s, "deploy.restart_policy.max_attempts"),
				"deploy.restart_policy.max_attempts",
				"holm does nothing about it unless the condition is on-failure");
		if (any)
			policy = "always";
		else if (strcmp(condition, "on-failure") == 0)
			policy = keep(a, xasprintf("on-failure:%lld", (long long)times));
	}
	a->o.restart = policy;
}

static int ask_plain(struct db *db, const struct compose_project *p, const struct node *s,
	struct asked *a, struct err *err)
{
	struct run_options *o = &a->o;
	char *pid = NULL, *ipc = NULL;
	int r = 0;

	o->hostname = node_text(s, "hostname");
	o->domainname = node_text(s, "domainname");
	o->user = node_text(s, "user");
	o->workdir = node_text(s, "working_dir");
	o->isolation = node_text(s, "isolation");
	o->runtime = node_text(s, "runtime");
	o->platform = node_text(s, "platform");
	o->interactive = node_bool(s, "stdin_open");
	o->tty = node_bool(s, "tty");
	o->init = node_bool(s, "init");
	o->privileged = node_bool(s, "privileged");
	o->read_only = node_bool(s, "read_only");
	o->stop_signal = node_text(s, "stop_signal");
	o->stop_timeout_given = node_text(s, "stop_grace_period") != NULL;
	o->stop_timeout = ns_of(s, "stop_grace_period") / 1000000000;
	o->no_healthcheck = node_bool(s, "healthcheck.disable");
	o->userns = node_text(s, "userns_mode");
	o->uts = node_text(s, "uts");
	o->cgroupns = node_text(s, "cgroup");
	o->cgroup_parent = node_text(s, "cgroup_parent");
	o->log_driver = node_text(s, "logging.driver");
	o->mac_address = node_text(s, "mac_address");
	if (node_text(s, "pid"))
		r = compose_shared(db, p, node_text(s, "pid"), &pid, err);
	if (r == 0 && node_text(s, "ipc"))
		r = compose_shared(db, p, node_text(s, "ipc"), &ipc, err);
	if (pid)
		o->pid = keep(a, pid);
	if (ipc)
		o->ipc = keep(a, ipc);
	return r;
}

static void set_health(const struct node *s, struct instance_config *c)
{
	const struct node *h = node_get(s, "healthcheck");

	if (!h || c->health)
		return;
	c->health = xnew(struct image_health);
	c->health->test = node_strv(node_get(h, "test"));
	c->health->interval = ns_of(h, "interval");
	c->health->timeout = ns_of(h, "timeout");
	c->health->start_period = ns_of(h, "start_period");
	c->health->start_interval = ns_of(h, "start_interval");
	c->health->retries = node_int(h, "retries", 0);
}

static int set_labels(const struct compose_project *p, const char *service, int64_t number,
	const char *image_id, struct instance_config *c, struct err *err)
{
	cleanup(free) char *files = strv_join(p->files, ",");
	char hash[65], text[24];
	const struct {
		const char *name, *value;
	} labels[] = { { "project", p->name }, { "service", service }, { "container-number", text },
		{ "config-hash", hash }, { "oneoff", number ? "False" : "True" },
		{ "image", image_id }, { "project.working_dir", p->dir },
		{ "project.config_files", files } };
	int r = compose_hash(p, service, hash, err);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%lld", (long long)(number ?: 1));
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		cleanup(free) char *name = xasprintf(COMPOSE_LABEL "%s", labels[i].name);
		map_set(&c->labels, name, labels[i].value);
	}
	return 0;
}

static int find_image(struct db *db, const struct compose_project *p, const char *service,
	const struct node *s, char **ret_name, struct image **ret, struct err *err)
{
	cleanup(free) char *name = compose_image(p, service);
	int r = image_find(db, name, ret, err);

	if (r == 0)
		*ret_name = take(name);
	else if (node_get(s, "build"))
		node_err(s, err, ENOENT, service,
			"no image '%s' yet: 'holm compose build %s' makes it", name, service);
	return r;
}

int compose_configure(struct db *db, const struct compose_project *p, const char *service,
	int64_t number, struct instance_config *c, struct err *err)
{
	const struct node *s = compose_service(p, service);
	cleanup(asked_clear) struct asked a = { 0 };
	cleanup(image_free) struct image *image = NULL;
	cleanup(free) char *name = NULL;
	char *args[] = { NULL, NULL };
	int r = find_image(db, p, service, s, &name, &image, err);

	if (r < 0)
		return r;
	args[0] = name;
	a.o.name = keep(&a, compose_container_name(p, service, number));
	ask_lists(s, &a);
	ask_ports(s, &a);
	ask_mounts(p, s, &a);
	ask_limits(s, &a);
	ask_restart(s, &a);
	r = ask_plain(db, p, s, &a, err);
	if (r == 0)
		r = compose_environment(p, service, &a.o.env, err);
	if (r == 0)
		r = ask_files(p, s, "configs", &a, err);
	if (r == 0)
		r = ask_files(p, s, "secrets", &a, err);
	if (r == 0)
		r = ask_networks(db, p, service, number, &a, err);
	if (r == 0) {
		struct err why = { 0 };
		r = run_options_resolve(db, &a.o, args, c, &why);
		if (r == 0)
			r = run_resolve_others(db, c, &why);
		if (r < 0)
			return node_err(s, err, why.code, service, "%s", why.text);
	}
	if (r < 0)
		return r;
	c->entrypoint = node_strv(node_get(s, "entrypoint"));
	c->cmd = node_strv(node_get(s, "command"));
	set_health(s, c);
	return set_labels(p, service, number, image->id, c, err);
}
