/* `holm version`: the program's and the store's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/paths.h"
#include "cmd/cmd.h"
#include "cmd/output.h"

struct version_options {
	const char *format;
};

static const struct cmd_option options[] = { OPTION(struct version_options, format, OPT_STR, 'f',
						     "format", "FORMAT",
						     "table, json, or a template"),
	OPTION_END };

/* Which version of its tables each module of the store has; an empty object without a store. */
static json_t *store_versions(void)
{
	cleanup(db_close) struct db *db = NULL;
	cleanup(free) char *path = NULL;
	json_t *versions = json_object();

	if (cmd_paths(NULL) < 0)
		return versions;
	path = xasprintf("%s/holm.db", paths_root());
	if (access(path, R_OK) < 0 || db_open(path, &db, NULL) < 0)
		return versions;
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT module, version FROM module_version ORDER BY module");
	while (db_step(&q, NULL) > 0)
		json_object_set_new(versions, db_get_text(&q, 0), json_integer(db_get_int(&q, 1)));
	return versions;
}

static const char *go_arch(const char *machine)
{
	return !strcmp(machine, "x86_64")    ? "amd64"
	       : !strcmp(machine, "aarch64") ? "arm64"
					     : machine;
}

static int run(struct cmd_call *call)
{
	const struct version_options *o = call->options;
	cleanup(json_free) json_t *store = store_versions();
	cleanup(json_free) json_t *all = NULL;
	struct err err = { 0 };
	struct utsname u;
	const char *module;
	json_t *version;

	if (uname(&u) < 0)
		return 1;
	/* No daemon: client and server are the same program, and scripts ask for either. */
	all = json_pack("{s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}, s:O}", "Client",
		"Version", HOLM_VERSION, "Os", "linux", "Arch", go_arch(u.machine), "KernelVersion",
		u.release, "Server", "Version", HOLM_VERSION, "Os", "linux", "Arch",
		go_arch(u.machine), "KernelVersion", u.release, "Store", store);
	if (!output_is_table(o->format))
		return output_object(all, o->format, &err) < 0 ? cmd_fail(&err, 1) : 0;
	printf("Version:  %s\nOS/Arch:  linux/%s\nKernel:   %s\nStore:    %s", HOLM_VERSION,
		go_arch(u.machine), u.release, paths_root() ? paths_root() : "none");
	json_object_foreach (store, module, version)
		printf(", %s %lld", module, (long long)json_integer_value(version));
	putchar('\n');
	return 0;
}

const struct cmd cmd_version = {
	.name = "version",
	.group = "System",
	.args = "",
	.summary = "Show the version of the program and of its store",
	.examples = "holm version --format '{{.Client.Version}}'",
	.options = options,
	.options_size = sizeof(struct version_options),
	.flags = CMD_NO_STORE,
	.run = run,
};
