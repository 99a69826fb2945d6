/* `holm oci spec, features`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"

struct spec_options {
	const char *bundle;
	bool rootless;
};

static const struct cmd_option spec_rows[] = {
	OPTION_WITH(struct spec_options, bundle, OPT_STR, 'b', "bundle", "DIR",
		"path to the root of the bundle directory", .complete = COMPLETE_FILE),
	OPTION(struct spec_options, rootless, OPT_FLAG, 0, "rootless", NULL,
		"generate a configuration for a rootless container"),
	OPTION_END,
};

static int write_spec(const struct spec_options *o, struct err *err)
{
	cleanup(json_free) json_t *j = oci_spec(o->rootless);
	cleanup(free) char *text = json_text(j, 4);
	int r;

	if (o->bundle && *o->bundle && chdir(o->bundle) < 0)
		return err_errno(err, "chdir %s", o->bundle);
	r = file_write(AT_FDCWD, "config.json", text, strlen(text), 0666, FILE_NO_REPLACE);
	if (r == -EEXIST)
		return err_set(err, EEXIST, "File config.json exists. Remove it first");
	return r < 0 ? err_code(err, r, "write 'config.json'") : 0;
}

static int spec_run(struct cmd_call *call)
{
	struct err err = { 0 };

	return write_spec(call->options, &err) < 0 ? oci_fail(&err, 1) : 0;
}

static int features_run(struct cmd_call *call)
{
	cleanup(json_free) json_t *j = oci_features();
	cleanup(free) char *text = json_text(j, 4);

	(void)call;
	printf("%s\n", text);
	return 0;
}

const struct cmd cmd_oci_spec = {
	.name = "oci spec",
	.group = "OCI runtime",
	.args = "",
	.summary = "create a new specification file",
	.description =
		"Writes a config.json to start from: a shell on a terminal, in all namespaces but the "
		"user's, from the directory rootfs.",
	.options = spec_rows,
	.options_size = sizeof(struct spec_options),
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = spec_run,
};

const struct cmd cmd_oci_features = {
	.name = "oci features",
	.alias = "features",
	.group = "OCI runtime",
	.args = "",
	.summary = "show the enabled features",
	.description =
		"In the form of the OCI runtime specification (features.md): namespaces, capabilities, "
		"mount options, hooks, cgroups and seccomp that a bundle may use.",
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = features_run,
};
