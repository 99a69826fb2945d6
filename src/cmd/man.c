/* `holm man DIR`: manual pages from the command table, in man(7). For packagers: hidden. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fd.h"
#include "cmd/table.h"

/* Text as roff: backslashes, dashes, and a control character at a line's start. */
static void add_text(struct buf *b, const char *s)
{
	bool at_start = !b->len || b->data[b->len - 1] == '\n';

	for (; *s; s++) {
		if (at_start && (*s == '.' || *s == '\''))
			buf_adds(b, "\\&");
		if (*s == '\\')
			buf_adds(b, "\\e");
		else if (*s == '-')
			buf_adds(b, "\\-");
		else
			buf_addc(b, *s);
		at_start = *s == '\n';
	}
}

static void add_line(struct buf *b, const char *macro, const char *text)
{
	buf_adds(b, macro);
	add_text(b, text);
	buf_addc(b, '\n');
}

/* The page's name of a verb: "holm-network-create". */
static char *page_name(const char *verb)
{
	char *name = xasprintf("holm-%s", verb);

	for (char *p = name; *p; p++)
		if (*p == ' ')
			*p = '-';
	return name;
}

static void add_head(struct buf *b, const char *page, const char *summary)
{
	cleanup(free) char *title = xstrdup(page);

	for (char *p = title; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	buf_addf(b, ".TH \"%s\" 1 \"\" \"holm %s\" \"User Commands\"\n.SH NAME\n", title,
		HOLM_VERSION);
	add_text(b, page);
	buf_adds(b, " \\- ");
	add_text(b, summary);
	buf_addc(b, '\n');
}

static void add_options(struct buf *b, const struct cmd_option *options)
{
	if (!options || !options->name)
		return;
	buf_adds(b, ".SH OPTIONS\n");
	for (const struct cmd_option *o = options; o->name; o++) {
		buf_adds(b, ".TP\n\\fB");
		if (o->letter)
			buf_addf(b, "\\-%c\\fR, \\fB", o->letter);
		buf_adds(b, "\\-\\-");
		add_text(b, o->name);
		buf_adds(b, "\\fR");
		if (o->metavar) {
			buf_adds(b, " \\fI");
			add_text(b, o->metavar);
			buf_adds(b, "\\fR");
		}
		buf_addc(b, '\n');
		add_text(b, o->help);
		for (const char *const *c = o->choices; c && *c; c++) {
			buf_adds(b, c == o->choices ? ": " : ", ");
			add_text(b, *c);
		}
		buf_addf(b, "%s\n", o->type == OPT_STRV ? " (may be repeated)" : "");
	}
}

static void add_paragraphs(struct buf *b, const char *text)
{
	cleanup(free) char *copy = xstrdup(text);
	char *state = NULL;

	buf_adds(b, ".SH DESCRIPTION\n");
	for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		if (line != copy)
			buf_adds(b, ".PP\n");
		add_line(b, "", line);
	}
}

static char *verb_page(const struct cmd *cmd, const char *page)
{
	struct buf b = { 0 };
	char name_buf[NAME_MAX_LEN];
	const char *name;

	add_head(&b, page, cmd->summary);
	buf_adds(&b, ".SH SYNOPSIS\n");
	for (size_t i = 0; (name = table_name(cmd, i, name_buf)); i++) {
		buf_adds(&b, i ? ".br\n\\fBholm " : "\\fBholm ");
		add_text(&b, name);
		buf_addf(&b, "\\fR%s", cmd->options ? " [\\fIOPTIONS\\fR]" : "");
		if (cmd->args && *cmd->args) {
			buf_addc(&b, ' ');
			add_text(&b, cmd->args);
		}
		buf_addc(&b, '\n');
	}
	if (cmd->description)
		add_paragraphs(&b, cmd->description);
	add_options(&b, cmd->options);
	if (cmd->examples) {
		buf_adds(&b, ".SH EXAMPLES\n.nf\n");
		add_line(&b, "", cmd->examples);
		buf_adds(&b, ".fi\n");
	}
	buf_adds(&b, ".SH SEE ALSO\n.BR holm (1)\n");
	return buf_detach(&b);
}

static char *program_page(void)
{
	struct buf b = { 0 };

	add_head(&b, "holm", "one image, any depth of isolation");
	buf_adds(&b, ".SH SYNOPSIS\n\\fBholm\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n");
	add_options(&b, cmd_global.options);
	buf_adds(&b, ".SH COMMANDS\n");
	for (const struct cmd *const *c = cmd_table(); *c; c++) {
		cleanup(free) char *page = NULL;
		if ((*c)->flags & CMD_HIDDEN)
			continue;
		page = page_name((*c)->name);
		buf_adds(&b, ".TP\n\\fB");
		add_text(&b, page);
		buf_adds(&b, "\\fR(1)\n");
		add_line(&b, "", (*c)->summary);
	}
	buf_adds(&b,
		".SH EXIT STATUS\n"
		"0 on success, 1 on failure, 125 for a wrong option.\n"
		"\\fBrun\\fR and \\fBexec\\fR end with the status of the program that they ran: "
		"126 when it cannot be executed, 127 when it is not there, 125 when holm failed, "
		"128 and the number of the signal that ended it.\n"
		".SH ENVIRONMENT\n"
		".TP\n\\fBHOLM_ROOT\\fR, \\fBHOLM_RUN\\fR\nas \\-\\-root and \\-\\-run\n"
		".TP\n\\fBHOLM_DEBUG\\fR\ntopics to say more about, comma\\-separated, or all\n");
	return buf_detach(&b);
}

static int write_page(int dirfd, const char *page, const char *text, struct err *err)
{
	cleanup(free) char *file = xasprintf("%s.1", page);
	int r = file_write(dirfd, file, text, strlen(text), 0644, 0);

	return r < 0 ? err_code(err, r, "write '%s'", file) : 0;
}

static int write_pages(const char *dir, struct err *err)
{
	cleanup(fd_close) int dirfd = -1;
	cleanup(free) char *main_text = program_page();
	int r = dir_make(dir, 0755);

	if (r < 0)
		return err_code(err, r, "make directory '%s'", dir);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_errno(err, "open '%s'", dir);
	r = write_page(dirfd, "holm", main_text, err);
	for (const struct cmd *const *c = cmd_table(); *c && r == 0; c++) {
		cleanup(free) char *page = NULL, *text = NULL;
		if ((*c)->flags & CMD_HIDDEN)
			continue;
		page = page_name((*c)->name);
		text = verb_page(*c, page);
		r = write_page(dirfd, page, text, err);
	}
	return r;
}

static int run(struct cmd_call *call)
{
	struct err err = { 0 };

	return write_pages(call->args[0], &err) < 0 ? cmd_fail(&err, 1) : 0;
}

const struct cmd cmd_man = {
	.name = "man",
	.group = "System",
	.args = "DIRECTORY",
	.summary = "Write the manual pages",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_HIDDEN,
	.complete = COMPLETE_FILE,
	.run = run,
};
