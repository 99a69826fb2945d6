#include "instance/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/paths.h"
#include "base/strv.h"
#include "image/shift.h"
#include "rootless/rootless.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void process_env(const struct instance_config *c, const char *home, struct bundle_process *p)
{
	cleanup(free) char *home_line = xasprintf("HOME=%s", home ? home : "/");

	strv_add(&p->env, DEFAULT_PATH);
	if (c->hostname) {
		cleanup(free) char *line = xasprintf("HOSTNAME=%s", c->hostname);
		strv_env_set(&p->env, line);
	}
	if (c->tty)
		strv_env_set(&p->env, "TERM=xterm");
	strv_foreach (e, c->env)
		strv_env_set(&p->env, *e);
	if (!strv_env_get(p->env, "HOME"))
		strv_add(&p->env, home_line);
}

static int process_capabilities(
	const struct instance_config *c, bool root, struct bundle_process *p, struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	struct bundle_capabilities *caps;
	int r = spec_capabilities(c, &names, err);

	if (r < 0)
		return r;
	caps = p->capabilities = xnew(struct bundle_capabilities);
	caps->bounding = strv_copy(names);
	/* Docker: an ordinary user starts without any, but may gain those bounding allows by setuid. */
	caps->effective = root ? strv_copy(names) : NULL;
	caps->permitted = root ? strv_copy(names) : NULL;
	return 0;
}

int spec_process(
	const struct instance *i, const struct image *image, struct bundle *b, struct err *err)
{
	const struct instance_config *c = &i->config;
	cleanup(free) char *home = NULL, *upper = xasprintf("%s/upper", i->dir);
	struct bundle_process *p = b->process = xnew(struct bundle_process);
	int r;

	p->terminal = c->tty;
	p->cwd = xstrdup(c->working_dir && *c->working_dir ? c->working_dir : "/");
	strv_add_all(&p->args, c->entrypoint);
	strv_add_all(&p->args, c->cmd);
	if (!p->args)
		return err_set(err, EINVAL,
			"no command: the image '%s' has none, so one must be given", c->image);
	r = spec_user(image, upper, c->user, c->group_add, &p->user, &home, err);
	if (r < 0)
		return r;
	process_env(c, home, p);
	for (size_t n = 0; n < c->ulimits.n; n++) {
		const struct bundle_rlimit *from = c->ulimits.items[n];
		struct bundle_rlimit *to = bundle_add(&p->rlimits, struct bundle_rlimit);
		*to = (struct bundle_rlimit){ xstrdup(from->type), from->soft, from->hard };
	}
	if (c->limits.oom_score_adj)
		p->oom_score_adj = new_i64(c->limits.oom_score_adj);
	return process_capabilities(c, p->user.uid == 0, p, err);
}

static void add_namespace(struct bundle *b, const char *type, char *path)
{
	struct bundle_namespace *ns = bundle_add(&b->linux_.namespaces, struct bundle_namespace);

	ns->type = xstrdup(type);
	ns->path = path;
}

/* "" or "private": a new one; "host": none; "container:NAME": that one's. */
static int namespace_of(struct db *db, struct bundle *b, const char *type, const char *file,
	const char *mode, struct err *err)
{
	cleanup(instance_free) struct instance *other = NULL;
	int r;

	if (mode && strcmp(mode, "host") == 0)
		return 0;
	if (!mode || strncmp(mode, "container:", 10) != 0) {
		add_namespace(b, type, NULL);
		return 0;
	}
	r = instance_find(db, mode + 10, &other, err);
	if (r < 0)
		return r;
	if (!instance_running(other))
		return err_set(err, EINVAL,
			"cannot join the %s namespace of '%s': it is not running", type, mode + 10);
	add_namespace(
		b, type, xasprintf("/proc/%lld/ns/%s", (long long)other->state.run.pid, file));
	return 0;
}

static void user_namespace(const struct instance *i, struct bundle *b)
{
	uint32_t base = instance_userns_base(&i->config);
	struct bundle_id_map *m;

	if (!base)
		return;
	add_namespace(b, "user", NULL);
	for (int k = 0; k < 2; k++) {
		m = bundle_add(k ? &b->linux_.gid_mappings : &b->linux_.uid_mappings,
			struct bundle_id_map);
		*m = (struct bundle_id_map){ 0, base, SHIFT_IDS };
	}
}

int spec_namespaces(struct db *db, const struct instance *i, struct bundle *b, struct err *err)
{
	const struct instance_config *c = &i->config;
	const char *net = c->network_mode;
	int r;

	add_namespace(b, "mount", NULL);
	user_namespace(i, b);
	r = namespace_of(db, b, "pid", "pid", c->pid_mode, err);
	if (r == 0)
		r = namespace_of(db, b, "ipc", "ipc", c->ipc_mode, err);
	if (r == 0)
		r = namespace_of(db, b, "uts", "uts",
			net && strncmp(net, "container:", 10) == 0 ? net : c->uts_mode, err);
	if (r == 0)
		r = namespace_of(db, b, "cgroup", "cgroup",
			c->privileged && !c->cgroupns_mode ? "host" : c->cgroupns_mode, err);
	return r < 0 ? r : namespace_of(db, b, "network", "net", net, err);
}

/* Docker's: in a network of one's own low ports and ping need no privilege. */
static void default_sysctls(const struct instance_config *c, struct bundle *b)
{
	const char *net = c->network_mode;

	if (net && (strcmp(net, "host") == 0 || strncmp(net, "container:", 10) == 0))
		return;
	map_set(&b->linux_.sysctl, "net.ipv4.ip_unprivileged_port_start", "0");
	/* Group ids beyond a user namespace's range cannot be written. */
	if (!c->userns || !*c->userns || strcmp(c->userns, "host") == 0) {
		cleanup(free) char *range =
			xasprintf("0 %u", rootless() ? rootless_last_id() : INT32_MAX);
		map_set(&b->linux_.sysctl, "net.ipv4.ping_group_range", range);
	}
}

static void copy_endpoints(const struct instance *i, struct bundle *b)
{
	for (size_t n = 0; n < i->state.endpoints.n; n++) {
		cleanup(json_free) json_t *j =
			record_dump(bundle_endpoint_fields, i->state.endpoints.items[n]);
		record_parse(bundle_endpoint_fields, j,
			bundle_add(&b->holm.endpoints, struct bundle_endpoint), NULL);
	}
}

static void root_filesystem(const struct instance *i, const struct image *image, struct bundle *b)
{
	b->root_path = xasprintf("%s/rootfs", i->run_dir);
	b->root_readonly = i->config.read_only;
	b->holm.id = xstrdup(i->config.id);
	strv_add_all(&b->holm.layers, image->layer_dirs);
	b->holm.upper = xasprintf("%s/upper", i->dir);
	b->holm.work = xasprintf("%s/work", i->dir);
	b->holm.init = i->config.init;
	b->holm.ephemeral = i->config.auto_remove;
}

int spec_build(struct db *db, const struct instance *i, const struct image *image,
	struct bundle **ret, struct err *err)
{
	cleanup(bundle_free) struct bundle *b = xnew(struct bundle);
	const struct instance_config *c = &i->config;
	int r;

	b->oci_version = xstrdup("1.2.0");
	root_filesystem(i, image, b);
	if (!c->uts_mode || strcmp(c->uts_mode, "host") != 0) {
		b->hostname = xstrdup_null(c->hostname);
		b->domainname = xstrdup_null(c->domainname);
	}
	b->linux_.resources = xnew(struct bundle_resources);
	b->linux_.cgroups_path = xasprintf("/%s/%s",
		c->cgroup_parent && *c->cgroup_parent
			? c->cgroup_parent + (*c->cgroup_parent == '/')
			: "holm",
		c->id);
	if (!c->cgroup_parent || !*c->cgroup_parent) {
		free(b->linux_.cgroups_path);
		b->linux_.cgroups_path = xasprintf("/holm%s/%s", paths_suffix(), c->id);
	}
	map_foreach (kv, c->annotations)
		map_set(&b->annotations, kv[0], kv[1]);
	default_sysctls(c, b);
	map_foreach (kv, c->sysctls)
		map_set(&b->linux_.sysctl, kv[0], kv[1]);
	copy_endpoints(i, b);
	r = spec_process(i, image, b, err);
	if (r == 0)
		r = spec_namespaces(db, i, b, err);
	if (r == 0)
		r = spec_security(c, b, err);
	if (r == 0)
		r = spec_resources(c, b->linux_.resources, err);
	if (r == 0)
		r = spec_devices(c, b, err);
	if (r == 0)
		r = spec_mounts(db, i, b, err);
	if (r == 0)
		r = spec_network_files(i, err);
	if (r < 0)
		return r;
	*ret = take(b);
	return 0;
}

int spec_exec(const struct instance *i, const struct image *image, const struct bundle *b,
	const struct instance_exec *what, struct bundle_process **ret, struct err *err)
{
	cleanup(bundle_process_free) struct bundle_process *p = xnew(struct bundle_process);
	cleanup(free) char *home = NULL, *upper = xasprintf("%s/upper", i->dir);
	struct instance_config privileged = { .privileged = true };
	const char *user = what->user ? what->user : i->config.user;
	int r = spec_user(image, upper, user, i->config.group_add, &p->user, &home, err);

	if (r < 0)
		return r;
	p->terminal = what->tty;
	p->args = strv_copy(what->args);
	p->cwd = xstrdup(what->working_dir ? what->working_dir : b->process->cwd);
	strv_foreach (e, b->process->env)
		if (strncmp(*e, "HOME=", 5) != 0 || !what->user)
			strv_add(&p->env, *e);
	if (what->tty && !strv_env_get(p->env, "TERM"))
		strv_add(&p->env, "TERM=xterm");
	strv_foreach (e, what->env)
		strv_env_set(&p->env, *e);
	if (!strv_env_get(p->env, "HOME"))
		strv_addf(&p->env, "HOME=%s", home ? home : "/");
	if (what->tty && what->rows) {
		p->console_size = xnew(struct bundle_console_size);
		*p->console_size = (struct bundle_console_size){ what->rows, what->columns };
	}
	p->no_new_privileges = b->process->no_new_privileges;
	r = process_capabilities(
		what->privileged ? &privileged : &i->config, p->user.uid == 0, p, err);
	if (r < 0)
		return r;
	*ret = take(p);
	return 0;
}
