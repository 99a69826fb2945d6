/* --help at every level, from the table. */
#include "cmd/table.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/strv.h"

#define WIDTH 100
#define MAX_LEFT 26 /* wider left columns put their text on a line of its own */

void help_option_form(const struct cmd_option *o, char *text, size_t size)
{
	int n = 0;

	if (o->letter)
		n = snprintf(text, size, "-%c, ", o->letter);
	snprintf(text + n, size - (size_t)n, "--%s%s%s", o->name, o->metavar ? " " : "",
		o->metavar ? o->metavar : "");
}

/* text from column `indent` on, broken at spaces; the cursor is at `column`. */
static void wrap(FILE *out, const char *text, size_t column, size_t indent)
{
	while (*text) {
		size_t len = strcspn(text, " ");
		if (column > indent && column + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, len, out);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void two_columns(FILE *out, const char *left, const char *right, size_t width)
{
	size_t len = strlen(left);

	fprintf(out, "  %s", left);
	if (len > width)
		fprintf(out, "\n%*s", (int)width + 4, "");
	else
		fprintf(out, "%*s", (int)(width - len) + 2, "");
	wrap(out, right, width + 4, width + 4);
}

static void widen(size_t *width, const char *left)
{
	size_t len = strlen(left);

	if (len > *width && len <= MAX_LEFT)
		*width = len;
}

static char *option_text(const struct cmd_option *o)
{
	struct buf b = { 0 };

	buf_adds(&b, o->help ? o->help : "");
	for (const char *const *c = o->choices; c && *c; c++)
		buf_addf(&b, "%s%s", c == o->choices ? " (" : ", ", *c);
	if (o->choices)
		buf_addc(&b, ')');
	if (o->type == OPT_STRV)
		buf_adds(&b, " (may be repeated)");
	return buf_detach(&b);
}

static void print_options(FILE *out, const char *heading, const struct cmd_option *options)
{
	char form[128];
	size_t width = 0;

	if (!options || !options->name)
		return;
	fprintf(out, "\n%s:\n", heading);
	for (const struct cmd_option *o = options; o->name; o++) {
		help_option_form(o, form + (o->letter ? 0 : 4), sizeof(form) - 4);
		memset(form, ' ', o->letter ? 0 : 4);
		widen(&width, form);
	}
	for (const struct cmd_option *o = options; o->name; o++) {
		cleanup(free) char *text = option_text(o);
		/* Long forms line up below each other, with a letter or without. */
		help_option_form(o, form + (o->letter ? 0 : 4), sizeof(form) - 4);
		memset(form, ' ', o->letter ? 0 : 4);
		two_columns(out, form, text, width);
	}
}

static void print_group(FILE *out, const char *group)
{
	size_t width = 0;

	for (const struct cmd *const *c = cmd_table(); *c; c++)
		widen(&width, (*c)->flags & (CMD_HIDDEN | CMD_IN_NOUN) ? "" : (*c)->name);
	fprintf(out, "\n%s:\n", group);
	for (const struct cmd *const *c = cmd_table(); *c; c++)
		if (!((*c)->flags & (CMD_HIDDEN | CMD_IN_NOUN)) && strcmp((*c)->group, group) == 0)
			two_columns(out, (*c)->name, (*c)->summary, width);
}

void help_program(FILE *out)
{
	cleanup(strv_free) char **groups = NULL;

	fputs("Usage: holm [OPTIONS] COMMAND\n\nOne image, any depth of isolation.\n", out);
	for (const struct cmd *const *c = cmd_table(); *c; c++)
		if (!((*c)->flags & CMD_HIDDEN) && !strv_contains(groups, (*c)->group))
			strv_add(&groups, (*c)->group);
	strv_foreach (group, groups)
		print_group(out, *group);
	print_options(out, "Options", cmd_global.options);
	fputs("\nMore about a command: holm COMMAND --help\n", out);
}

void help_noun(FILE *out, const char *noun)
{
	size_t len = strlen(noun), width = 0;
	char buf[NAME_MAX_LEN];
	const char *name;

	fprintf(out, "Usage: holm %s COMMAND\n\nCommands:\n", noun);
	for (int pass = 0; pass < 2; pass++) {
		for (const struct cmd *const *c = cmd_table(); *c; c++) {
			if ((*c)->flags & CMD_HIDDEN)
				continue;
			for (size_t i = 0; (name = table_name(*c, i, buf)); i++) {
				if (strncmp(name, noun, len) != 0 || name[len] != ' ')
					continue;
				if (pass == 0)
					widen(&width, name + len + 1);
				else
					two_columns(out, name + len + 1, (*c)->summary, width);
			}
		}
	}
	fprintf(out, "\nMore about a command: holm %s COMMAND --help\n", noun);
}

static void print_aliases(FILE *out, const struct cmd *cmd)
{
	char buf[NAME_MAX_LEN];
	const char *name;

	if (!cmd->alias)
		return;
	fprintf(out, "\nAlso: holm %s", cmd->name);
	for (size_t i = 1; (name = table_name(cmd, i, buf)); i++)
		fprintf(out, ", holm %s", name);
	fputc('\n', out);
}

static void print_indented(FILE *out, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		fprintf(out, "  %.*s\n", (int)len, lines);
		lines += len;
		lines += *lines == '\n';
	}
}

void help_verb(FILE *out, const struct cmd *cmd)
{
	const char *p = cmd->description;

	fprintf(out, "Usage: holm %s%s%s%s\n\n%s.\n", cmd->name, cmd->options ? " [OPTIONS]" : "",
		cmd->args && *cmd->args ? " " : "", cmd->args ? cmd->args : "", cmd->summary);
	while (p && *p) {
		cleanup(free) char *line = xstrndup(p, strcspn(p, "\n"));
		fputs(p == cmd->description ? "\n" : "", out);
		wrap(out, line, 0, 0);
		p += strlen(line);
		p += *p == '\n';
	}
	print_aliases(out, cmd);
	print_options(out, "Options", cmd->options);
	if (cmd->examples) {
		fputs("\nExamples:\n", out);
		print_indented(out, cmd->examples);
	}
}
