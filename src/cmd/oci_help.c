/* Help in the form that users of runc, and programs that look at it, know. */
#include <string.h>

#include "cmd/oci.h"
#include "cmd/table.h"
#include "cmd/verbs.h"

#define LEFT 30

static void print_options(const struct cmd_option *options, const char *heading)
{
	char form[128];

	if (!options || !options->name)
		return;
	printf("\n%s:\n", heading);
	for (const struct cmd_option *o = options; o->name; o++) {
		help_option_form(o, form, sizeof(form));
		printf("   %-*s %s\n", LEFT, form, o->help);
	}
}

static void help_of_program(void)
{
	printf("NAME:\n   %s - Open Container Initiative runtime\n\nUSAGE:\n"
	       "   %s [global options] command [command options] [arguments...]\n\nCOMMANDS:\n",
		oci_program(), oci_program());
	for (const struct cmd *const *c = cmd_table(); *c; c++)
		if (strncmp((*c)->name, "oci ", 4) == 0)
			printf("   %-*s %s\n", LEFT, (*c)->name + 4, (*c)->summary);
	print_options(cmd_oci.options, "GLOBAL OPTIONS");
}

void oci_help(const struct cmd *cmd)
{
	/* As part of holm, in its form. */
	if (strchr(oci_program(), ' ')) {
		help_verb(stdout, cmd ? cmd : &cmd_oci);
		return;
	}
	if (!cmd) {
		help_of_program();
		return;
	}
	printf("NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s%s%s%s\n", oci_program(), cmd->name + 4,
		cmd->summary, oci_program(), cmd->name + 4,
		cmd->options ? " [command options]" : "", cmd->args && *cmd->args ? " " : "",
		cmd->args ? cmd->args : "");
	if (cmd->description)
		printf("\nDESCRIPTION:\n   %s\n", cmd->description);
	print_options(cmd->options, "OPTIONS");
}
