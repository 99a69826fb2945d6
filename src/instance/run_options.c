/*
 * What `run` and `create` are asked, into a configuration: the parts that have no file of their own,
 * which are the process, its environment and labels, restart and health, logging.
 */
#include "instance/run_options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "instance/instance.h"

char *path_absolute(const char *path)
{
	cleanup(free) char *cwd = path[0] == '/' ? xstrdup("") : getcwd(NULL, 0);
	cleanup(free) char *joined = NULL;
	cleanup(strv_free) char **parts = NULL;
	struct buf clean = { 0 };

	/* Removed, or out of reach: "(unreachable)/...". */
	if (!cwd || (*cwd && *cwd != '/'))
		return NULL;
	joined = xasprintf("%s/%s", cwd, path);
	parts = strv_split(joined, '/');
	strv_foreach (part, parts) {
		if (!**part || strcmp(*part, ".") == 0)
			continue;
		if (strcmp(*part, "..") != 0) {
			buf_addf(&clean, "/%s", *part);
			continue;
		}
		while (clean.len && clean.data[clean.len - 1] != '/')
			clean.len--;
		clean.len -= clean.len > 0;
	}
	if (!clean.len)
		buf_addc(&clean, '/');
	else
		clean.data[clean.len] = '\0';
	return buf_detach(&clean);
}

static const struct {
	const char *name; /* NULL for numbers between */
	int number;
} signal_names[] = { { "SIGHUP", SIGHUP }, { "SIGINT", SIGINT }, { "SIGQUIT", SIGQUIT },
	{ "SIGILL", SIGILL }, { "SIGTRAP", SIGTRAP }, { "SIGABRT", SIGABRT }, { "SIGIOT", SIGIOT },
	{ "SIGBUS", SIGBUS }, { "SIGFPE", SIGFPE }, { "SIGKILL", SIGKILL }, { "SIGUSR1", SIGUSR1 },
	{ "SIGSEGV", SIGSEGV }, { "SIGUSR2", SIGUSR2 }, { "SIGPIPE", SIGPIPE },
	{ "SIGALRM", SIGALRM }, { "SIGTERM", SIGTERM }, { "SIGSTKFLT", SIGSTKFLT },
	{ "SIGCHLD", SIGCHLD }, { "SIGCONT", SIGCONT }, { "SIGSTOP", SIGSTOP },
	{ "SIGTSTP", SIGTSTP }, { "SIGTTIN", SIGTTIN }, { "SIGTTOU", SIGTTOU },
	{ "SIGURG", SIGURG }, { "SIGXCPU", SIGXCPU }, { "SIGXFSZ", SIGXFSZ },
	{ "SIGVTALRM", SIGVTALRM }, { "SIGPROF", SIGPROF }, { "SIGWINCH", SIGWINCH },
	{ "SIGIO", SIGIO }, { "SIGPOLL", SIGPOLL }, { "SIGPWR", SIGPWR }, { "SIGSYS", SIGSYS } };

/* SIGRTMIN+3, SIGRTMAX-1, and any number without a name of its own. */
static int realtime_parse(const char *text, const char **ret_name)
{
	static char name[16];
	int64_t n;

	if (strncasecmp(text, "RTMIN", 5) == 0 && (!text[5] || text[5] == '+')) {
		n = 0;
		if (text[5] && parse_i64(text + 6, 0, 30, &n) < 0)
			return -EINVAL;
		n += 34;
	} else if (strncasecmp(text, "RTMAX", 5) == 0 && (!text[5] || text[5] == '-')) {
		n = 0;
		if (text[5] && parse_i64(text + 6, 0, 30, &n) < 0)
			return -EINVAL;
		n = 64 - n;
	} else if (parse_i64(text, 1, 64, &n) < 0) {
		return -EINVAL;
	}
	/* 34 is where the C library begins; it keeps two for itself, inside as outside. */
	if (n >= 34)
		snprintf(name, sizeof(name), "SIGRTMIN+%d", (int)n - 34);
	else
		snprintf(name, sizeof(name), "%d", (int)n);
	*ret_name = name;
	return (int)n;
}

int signal_option(const char *text, const char **ret_name, struct err *err)
{
	const char *bare = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text, *name = NULL;
	int64_t number = 0;
	int found;

	parse_i64(text, 1, 64, &number);
	for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++) {
		if (strcasecmp(signal_names[i].name + 3, bare) != 0 &&
			signal_names[i].number != number)
			continue;
		if (ret_name)
			*ret_name = signal_names[i].name;
		return signal_names[i].number;
	}
	found = realtime_parse(bare, &name);
	if (found < 0)
		return err_set(err, EINVAL, "'%s' is not a signal (like TERM, SIGINT or 9)", text);
	if (ret_name)
		*ret_name = name;
	return found;
}

int pairs_parse(const char *option, char *const *items, char ***map, struct err *err)
{
	strv_foreach (item, items) {
		size_t len = strcspn(*item, "=");
		cleanup(free) char *key = xstrndup(*item, len);
		if (!len)
			return err_set(
				err, EINVAL, "%s: '%s' has no name before the =", option, *item);
		map_set(map, key, (*item)[len] ? *item + len + 1 : "");
	}
	return 0;
}

#define FILE_MAX_SIZE (4u << 20)

/* The lines of a file of variables or labels that count, each NAME or NAME=VALUE. */
static int read_lines(const char *option, const char *path, char ***ret, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	cleanup(strv_free) char **lines = NULL;
	int r = file_read(AT_FDCWD, path, FILE_MAX_SIZE, &text), number = 0;

	if (r < 0)
		return err_code(err, r, "%s: read '%s'", option, path);
	if (text.len && memchr(text.data, '\0', text.len))
		return err_set(err, EINVAL, "%s: '%s' is not a text file", option, path);
	if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		buf_consume(&text, 3);
	lines = strv_split(text.data ? text.data : "", '\n');
	strv_foreach (line, lines) {
		char *start = *line + strspn(*line, " \t"), *cr = strchr(start, '\r');
		size_t name_len;
		number++;
		if (cr && !cr[1])
			*cr = '\0';
		if (!*start || *start == '#')
			continue;
		name_len = strcspn(start, "=");
		if (!name_len)
			return err_set(err, EINVAL,
				"%s: '%s' line %d: no name before the =", option, path, number);
		if (strcspn(start, " \t") < name_len)
			return err_set(err, EINVAL, "%s: '%s' line %d: white space in a name",
				option, path, number);
		strv_add(ret, start);
	}
	return 0;
}

int env_resolve(char *const *files, char *const *items, char ***ret, struct err *err)
{
	strv_foreach (file, files) {
		cleanup(strv_free) char **lines = NULL;
		int r = read_lines("--env-file", *file, &lines, err);
		if (r < 0)
			return r;
		strv_foreach (line, lines) {
			const char *value = getenv(*line);
			if (strchr(*line, '='))
				strv_env_set(ret, *line);
			else if (value)
				strv_addf(ret, "%s=%s", *line, value);
		}
	}
	strv_foreach (item, items) {
		const char *value = getenv(*item);
		cleanup(free) char *full = value ? xasprintf("%s=%s", *item, value) : NULL;
		if (!**item || **item == '=')
			return err_set(err, EINVAL, "--env: '%s' has no name before the =", *item);
		if (strchr(*item, '='))
			strv_env_set(ret, *item);
		else if (full)
			strv_env_set(ret, full);
		else
			strv_add(ret, *item);
	}
	return 0;
}

static int resolve_labels(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = 0;

	strv_foreach (file, o->label_file) {
		cleanup(strv_free) char **lines = NULL;
		r = read_lines("--label-file", *file, &lines, err);
		if (r == 0)
			r = pairs_parse("--label-file", lines, &c->labels, err);
		if (r < 0)
			return r;
	}
	r = pairs_parse("--label", o->label, &c->labels, err);
	return r < 0 ? r : pairs_parse("--annotation", o->annotation, &c->annotations, err);
}

int restart_parse(const char *text, struct instance_restart *ret, struct err *err)
{
	static const char *const policies[] = { "no", "always", "unless-stopped", "on-failure",
		"on-unhealthy" };
	size_t len = strcspn(text, ":");
	int64_t times = 0;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (strlen(policies[i]) != len || strncmp(policies[i], text, len) != 0)
			continue;
		if (text[len] && strcmp(policies[i], "on-failure") != 0)
			return err_set(err, EINVAL,
				"--restart: '%s': a number of times goes with on-failure alone",
				text);
		if (text[len] && parse_i64(text + len + 1, 0, INT_MAX, &times) < 0)
			return err_set(err, EINVAL,
				"--restart: '%s': '%s' is not a number of times", text,
				text + len + 1);
		str_replace(&ret->policy, policies[i]);
		ret->max_retries = times;
		ret->on_unhealthy = strcmp(policies[i], "on-unhealthy") == 0;
		return 0;
	}
	return err_set(err, EINVAL,
		"--restart: '%s' is not one of no, always, unless-stopped, on-failure[:TIMES], "
		"on-unhealthy",
		text);
}

static int resolve_restart(const struct run_options *o, struct instance_config *c, struct err *err)
{
	const char *policy = o->restart                ? o->restart
			     : o->restart_on_unhealthy ? "on-unhealthy"
						       : "no";
	int r = restart_parse(policy, &c->restart, err);

	if (r < 0)
		return r;
	if (o->restart_on_unhealthy && strcmp(c->restart.policy, "no") == 0)
		return err_set(
			err, EINVAL, "--restart-on-unhealthy and --restart=no exclude each other");
	c->restart.on_unhealthy |= o->restart_on_unhealthy;
	if (o->rm && strcmp(c->restart.policy, "no") != 0)
		return err_set(err, EINVAL, "--rm and --restart=%s exclude each other", policy);
	if (c->restart.on_unhealthy && o->no_healthcheck)
		return err_set(err, EINVAL,
			"restart when unhealthy needs a health check: drop --no-healthcheck");
	return 0;
}

int run_health(const struct run_options *o, struct instance_config *c, struct err *err)
{
	const struct {
		const char *name;
		int64_t ns;
	} times[] = { { "interval", o->health_interval }, { "timeout", o->health_timeout },
		{ "start-period", o->health_start_period },
		{ "start-interval", o->health_start_interval } };
	bool any = o->health_cmd || o->health_retries;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		any |= times[i].ns != 0;
		if (times[i].ns && times[i].ns < 1000000)
			return err_set(err, EINVAL, "--health-%s: %s is below the least, 1ms",
				times[i].name, format_duration(times[i].ns));
	}
	if (o->health_retries < 0)
		return err_set(err, EINVAL, "--health-retries: a number below 0");
	if (any && o->no_healthcheck)
		return err_set(err, EINVAL, "--no-healthcheck and --health-... exclude each other");
	if (!any && !o->no_healthcheck)
		return 0;
	c->health = xnew(struct image_health);
	if (o->no_healthcheck) {
		strv_add(&c->health->test, "NONE");
		return 0;
	}
	if (o->health_cmd && *o->health_cmd) {
		strv_add(&c->health->test, "CMD-SHELL");
		strv_add(&c->health->test, o->health_cmd);
	}
	c->health->interval = o->health_interval;
	c->health->timeout = o->health_timeout;
	c->health->start_period = o->health_start_period;
	c->health->start_interval = o->health_start_interval;
	c->health->retries = o->health_retries;
	return 0;
}

static int check_hostname(const char *option, const char *name, struct err *err)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return err_set(err, EINVAL, "%s: '%s' is not a host name", option, name);
	if (len == 0 || len > 64 || name[0] == '-' || name[0] == '.' || name[len - 1] == '-')
		return err_set(err, EINVAL,
			"%s: '%s' is not a host name (1 to 64 letters, digits, dots and inner hyphens)",
			option, name);
	return 0;
}

static int resolve_names(const struct run_options *o, struct instance_config *c, struct err *err)
{
	int r = 0;

	if (o->name && (!name_valid(o->name) || !o->name[1]))
		return err_set(err, EINVAL,
			"--name: '%s' is not a name (2 to 128 of a-z A-Z 0-9 _ . -, beginning with a "
			"letter or digit)",
			o->name);
	if (o->hostname)
		r = check_hostname("--hostname", o->hostname, err);
	if (r == 0 && o->domainname)
		r = check_hostname("--domainname", o->domainname, err);
	if (r < 0)
		return r;
	if (o->workdir && o->workdir[0] != '/')
		return err_set(err, EINVAL, "--workdir: '%s' is not an absolute path", o->workdir);
	strv_foreach (group, o->group_add)
		if (!**group)
			return err_set(err, EINVAL, "--group-add: an empty name");
	c->name = xstrdup_null(o->name);
	c->hostname = xstrdup_null(o->hostname);
	c->domainname = xstrdup_null(o->domainname);
	c->working_dir = o->workdir ? path_absolute(o->workdir) : NULL;
	c->user = xstrdup_null(o->user);
	c->group_add = strv_copy(o->group_add);
	return 0;
}

static int check_depth(const char *option, const char *depth, struct err *err)
{
	if (!depth || !*depth || strcmp(depth, "container") == 0 || strcmp(depth, "default") == 0)
		return 0;
	if (strcmp(depth, "vm") == 0 || strcmp(depth, "emulated") == 0)
		return err_set(err, ENOTSUP,
			"%s: '%s' is not in this version, which runs containers alone", option,
			depth);
	return err_set(
		err, EINVAL, "%s: '%s' is not one of container, vm, emulated", option, depth);
}

static const char *host_architecture(void)
{
	static struct utsname u;

	uname(&u);
	if (strcmp(u.machine, "x86_64") == 0)
		return "amd64";
	return strcmp(u.machine, "aarch64") == 0 ? "arm64" : u.machine;
}

static int check_platform(const char *platform, struct err *err)
{
	const char *arch = host_architecture(), *p = platform;
	size_t len = strlen(arch);

	if (!platform || strcmp(platform, "linux") == 0)
		return 0;
	if (strncmp(p, "linux/", 6) == 0)
		p += 6;
	if (strncmp(p, arch, len) == 0 && (!p[len] || p[len] == '/'))
		return 0;
	return err_set(err, ENOTSUP, "--platform: '%s' does not run here: this host is linux/%s",
		platform, arch);
}

static int resolve_log(const struct run_options *o, struct instance_config *c, struct err *err)
{
	bool none = o->log_driver && strcmp(o->log_driver, "none") == 0;
	int64_t v;

	c->log_driver = xstrdup(o->log_driver ? o->log_driver : "json-file");
	strv_foreach (opt, o->log_opt) {
		const char *value = strchr(*opt, '=');
		if (value && strncmp(*opt, "max-size=", 9) == 0) {
			if (parse_size(value + 1, &v) < 0 || v <= 0)
				return err_set(err, EINVAL,
					"--log-opt: max-size '%s' is not a size", value + 1);
		} else if (value && strncmp(*opt, "max-file=", 9) == 0) {
			if (parse_i64(value + 1, 1, 1000, &v) < 0)
				return err_set(err, EINVAL,
					"--log-opt: max-file '%s' is not a number from 1 to 1000",
					value + 1);
		} else {
			return err_set(err, EINVAL,
				"--log-opt: '%s' is neither max-size=SIZE nor max-file=NUMBER",
				*opt);
		}
		if (none)
			return err_set(err, EINVAL, "--log-opt: the driver none takes no options");
	}
	if (pairs_parse("--log-opt", o->log_opt, &c->log_options, err) < 0)
		return -EINVAL;
	if (map_get(c->log_options, "max-file") && !map_get(c->log_options, "max-size"))
		return err_set(err, EINVAL, "--log-opt: max-file needs max-size");
	return 0;
}

static int resolve_stop(const struct run_options *o, struct instance_config *c, struct err *err)
{
	const char *name;
	int r;

	if (o->stop_signal) {
		r = signal_option(o->stop_signal, &name, err);
		if (r < 0)
			return err_wrap(err, "--stop-signal");
		c->stop_signal = xstrdup(name);
	}
	if (o->stop_timeout < -1 || o->stop_timeout > INT_MAX)
		return err_set(err, EINVAL, "--stop-timeout: %lld is not a number of seconds",
			(long long)o->stop_timeout);
	c->stop_timeout = o->stop_timeout_given ? o->stop_timeout : 10;
	return 0;
}

static int resolve_process(
	const struct run_options *o, char *const *args, struct instance_config *c, struct err *err)
{
	c->isolation = xstrdup("container");
	c->image = xstrdup(args[0]);
	c->cmd = strv_copy((char **)args + 1);
	if (o->entrypoint)
		strv_add(&c->entrypoint, o->entrypoint);
	c->tty = o->tty;
	c->open_stdin = o->interactive;
	c->init = o->init;
	c->privileged = o->privileged;
	c->read_only = o->read_only;
	c->auto_remove = o->rm;
	return env_resolve(o->env_file, o->env, &c->env, err);
}

int run_options_resolve(struct db *db, const struct run_options *o, char *const *args,
	struct instance_config *c, struct err *err)
{
	static int (*const parts[])(const struct run_options *, struct instance_config *,
		struct err *) = { resolve_names, resolve_labels, resolve_restart, resolve_log,
		resolve_stop, run_health, run_limits, run_security, run_networks };
	int r = check_depth("--isolation", o->isolation, err);

	if (r == 0)
		r = check_depth("--runtime", o->runtime, err);
	if (r == 0)
		r = check_platform(o->platform, err);
	if (r == 0)
		r = resolve_process(o, args, c, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = parts[i](o, c, err);
	return r < 0 ? r : run_mounts(db, o, c, err);
}

static int check_shareable(const struct instance *other, struct err *err)
{
	const char *mode = other->config.ipc_mode ?: "";

	if (strcmp(mode, "private") != 0 && strcmp(mode, "none") != 0)
		return 0;
	return err_set(err, EINVAL,
		"its IPC namespace is %s: make '%s' with --ipc shareable to share it", mode,
		other->config.name);
}

int run_resolve_others(struct db *db, struct instance_config *c, struct err *err)
{
	char **modes[] = { &c->network_mode, &c->pid_mode, &c->ipc_mode };

	for (size_t n = 0; n < ARRAY_SIZE(modes); n++) {
		cleanup(instance_free) struct instance *other = NULL;
		char **mode = modes[n];
		int r;
		if (!*mode || strncmp(*mode, "container:", 10) != 0)
			continue;
		r = instance_find(db, *mode + 10, &other, err);
		if (r == 0 && mode == &c->ipc_mode)
			r = check_shareable(other, err);
		if (r < 0)
			return err_wrap(err, "cannot join '%s'", *mode);
		free(*mode);
		*mode = xasprintf("container:%s", other->config.id);
	}
	return 0;
}
