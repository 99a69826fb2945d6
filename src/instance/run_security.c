/* What fences an instance off: capabilities, security options, namespaces, sysctls. */
#include "instance/run_options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/shift.h"

/* capabilities(7), in the kernel's order. */
static const char *const capabilities[] = { "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
	"FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE" };

static const char *nearest_capability(const char *name)
{
	const char *best = NULL;
	size_t half = strlen(name) / 2;
	unsigned least = half < 3 ? (unsigned)half + 1 : 4;

	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		unsigned d = str_distance(capabilities[i], name);
		if (d < least) {
			least = d;
			best = capabilities[i];
		}
	}
	return best;
}

static int add_capability(const char *option, const char *text, char ***list, struct err *err)
{
	cleanup(free) char *name = xstrdup(strncasecmp(text, "CAP_", 4) == 0 ? text + 4 : text);
	const char *near;

	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	if (strcmp(name, "ALL") == 0) {
		strv_add(list, "ALL");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (strcmp(capabilities[i], name) == 0) {
			strv_addf(list, "CAP_%s", name);
			return 0;
		}
	near = nearest_capability(name);
	if (near)
		return err_set(err, EINVAL, "%s: '%s' is not a capability: did you mean '%s'?",
			option, text, near);
	return err_set(
		err, EINVAL, "%s: '%s' is not a capability (see capabilities(7))", option, text);
}

/* Read once here to be checked, and by its absolute path at each start. */
static int add_seccomp(const char *value, char ***list, struct err *err)
{
	cleanup(json_free) json_t *profile = NULL;
	cleanup(free) char *path = NULL;

	if (strcmp(value, "unconfined") == 0 || strcmp(value, "builtin") == 0 ||
		strcmp(value, "default") == 0) {
		strv_addf(list, "seccomp=%s", value[0] == 'u' ? value : "builtin");
		return 0;
	}
	path = path_absolute(value);
	if (!path)
		return err_set(err, ENOENT,
			"--security-opt: seccomp profile '%s': the current directory is gone",
			value);
	profile = json_read(AT_FDCWD, path, err);
	if (!profile)
		return err_wrap(err, "--security-opt: seccomp profile");
	if (!json_is_string(json_object_get(profile, "defaultAction")))
		return err_set(err, EINVAL,
			"--security-opt: '%s' is not a seccomp profile: it has no defaultAction",
			value);
	strv_addf(list, "seccomp=%s", path);
	return 0;
}

static int add_security_opt(const char *text, char ***list, struct err *err)
{
	cleanup(free) char *key = xstrndup(text, strcspn(text, "=:"));
	const char *value = text[strlen(key)] ? text + strlen(key) + 1 : NULL;
	bool on = true;

	if (strcmp(key, "no-new-privileges") == 0) {
		if (value && parse_bool(value, &on) < 0)
			return err_set(err, EINVAL,
				"--security-opt: '%s': '%s' is neither true nor false", text,
				value);
		strv_addf(list, "no-new-privileges=%s", on ? "true" : "false");
		return 0;
	}
	if (!value || !*value)
		return err_set(err, EINVAL,
			"--security-opt: '%s' is not one of no-new-privileges, seccomp=..., apparmor=..., "
			"label=..., systempaths=unconfined",
			text);
	if (strcmp(key, "seccomp") == 0)
		return add_seccomp(value, list, err);
	if (strcmp(key, "systempaths") == 0 && strcmp(value, "unconfined") != 0)
		return err_set(
			err, EINVAL, "--security-opt: systempaths: '%s' is not unconfined", value);
	if (strcmp(key, "apparmor") != 0 && strcmp(key, "label") != 0 &&
		strcmp(key, "systempaths") != 0)
		return err_set(err, EINVAL, "--security-opt: unknown option '%s'", key);
	strv_addf(list, "%s=%s", key, value);
	return 0;
}

/* A namespace's mode: one of `plain` (NULL-terminated), or container:NAME where `shared`. */
static int set_mode(const char *option, const char *text, const char *const *plain, bool shared,
	char **ret, struct err *err)
{
	cleanup(buf_free) struct buf list = { 0 };

	if (!text || !*text)
		return 0;
	if (shared && strncmp(text, "container:", 10) == 0) {
		if (!name_valid(text + 10))
			return err_set(err, EINVAL, "%s: '%s' is not a container's name", option,
				text + 10);
		*ret = xstrdup(text);
		return 0;
	}
	for (const char *const *p = plain; *p; p++) {
		if (strcmp(*p, text) == 0) {
			*ret = xstrdup(text);
			return 0;
		}
		buf_addf(&list, "%s%s", list.len ? ", " : "", *p);
	}
	return err_set(err, EINVAL, "%s: '%s' is not one of %s%s", option, text, list.data,
		shared ? ", container:NAME" : "");
}

static int set_userns(const char *text, char **ret, struct err *err)
{
	uint64_t id;

	if (!text || !*text)
		return 0;
	if (strcmp(text, "host") != 0 && strcmp(text, "auto") != 0 &&
		(parse_u64(text, UINT32_MAX - SHIFT_IDS, &id) < 0 || id == 0))
		return err_set(err, EINVAL,
			"--userns: '%s' is not one of host, auto, ID (above 0, the host's id that root "
			"becomes)",
			text);
	*ret = xstrdup(text);
	return 0;
}

static int resolve_namespaces(
	const struct run_options *o, struct instance_config *c, struct err *err)
{
	static const char *const usual[] = { "private", "host", NULL };
	static const char *const ipc[] = { "private", "shareable", "none", "host", NULL };
	int r = set_mode("--pid", o->pid, usual, true, &c->pid_mode, err);

	if (r == 0)
		r = set_mode("--ipc", o->ipc, ipc, true, &c->ipc_mode, err);
	if (r == 0)
		r = set_mode("--uts", o->uts, usual, false, &c->uts_mode, err);
	if (r == 0)
		r = set_mode("--cgroupns", o->cgroupns, usual, false, &c->cgroupns_mode, err);
	if (r == 0)
		r = set_userns(o->userns, &c->userns, err);
	if (r < 0)
		return r;
	if (c->uts_mode && strcmp(c->uts_mode, "host") == 0 && (o->hostname || o->domainname))
		return err_set(err, EINVAL, "--uts host does not go with --%s",
			o->hostname ? "hostname" : "domainname");
	if (c->userns && strcmp(c->userns, "host") != 0 && o->privileged)
		return err_set(err, EINVAL, "--privileged does not go with --userns %s", o->userns);
	return 0;
}

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Only what the kernel keeps apart by namespace: all else would be the host's. */
static int check_sysctl(
	const struct run_options *o, const char *key, const char *network, struct err *err)
{
	static const char *const ipc[] = { "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
		"kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
		"kernel.shm_rmid_forced" };
	bool is_ipc = has_prefix(key, "fs.mqueue.");

	if (strstr(key, "..") || strpbrk(key, " \t\n"))
		return err_set(err, EINVAL, "--sysctl: '%s' is not a parameter's name", key);
	for (size_t i = 0; i < ARRAY_SIZE(ipc); i++)
		is_ipc |= strcmp(ipc[i], key) == 0;
	if (is_ipc && o->ipc && strcmp(o->ipc, "host") == 0)
		return err_set(err, EINVAL, "--sysctl: '%s' does not go with --ipc host", key);
	if (has_prefix(key, "net.") && strcmp(network, "host") == 0)
		return err_set(err, EINVAL, "--sysctl: '%s' does not go with --network host", key);
	if (is_ipc || has_prefix(key, "net.") || strcmp(key, "kernel.domainname") == 0)
		return 0;
	return err_set(err, EINVAL,
		"--sysctl: '%s' is the host's: only net.*, fs.mqueue.*, kernel.msg*, kernel.sem, "
		"kernel.shm* and kernel.domainname are a container's own",
		key);
}

static int resolve_sysctls(const struct run_options *o, struct instance_config *c, struct err *err)
{
	const char *network = o->networks ? o->networks[0] : o->nets ? o->nets[0] : "bridge";

	strv_foreach (item, o->sysctls)
		if (!strchr(*item, '='))
			return err_set(err, EINVAL, "--sysctl: '%s' is not KEY=VALUE", *item);
	if (pairs_parse("--sysctl", o->sysctls, &c->sysctls, err) < 0)
		return -EINVAL;
	map_foreach (kv, c->sysctls) {
		int r = check_sysctl(o, kv[0], network, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int run_security(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = 0;

	for (char **cap = o->cap_add; r == 0 && cap && *cap; cap++)
		r = add_capability("--cap-add", *cap, &c->cap_add, err);
	for (char **cap = o->cap_drop; r == 0 && cap && *cap; cap++)
		r = add_capability("--cap-drop", *cap, &c->cap_drop, err);
	for (char **opt = o->security_opt; r == 0 && opt && *opt; opt++)
		r = add_security_opt(*opt, &c->security_opt, err);
	if (r == 0)
		r = resolve_namespaces(o, c, err);
	if (r == 0)
		r = resolve_sysctls(o, c, err);
	if (r == 0 && o->cgroup_parent && strstr(o->cgroup_parent, ".."))
		r = err_set(err, EINVAL, "--cgroup-parent: '%s' leads out of the hierarchy",
			o->cgroup_parent);
	if (r == 0)
		c->cgroup_parent = xstrdup_null(o->cgroup_parent);
	return r;
}
