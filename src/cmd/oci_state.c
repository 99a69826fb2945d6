/* `holm oci state, list, ps`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "cmd/oci.h"
#include "cmd/verbs.h"
#include "engine/engine.h"

static const char *const formats[] = { "table", "json", NULL };

static int state_run(struct cmd_call *call)
{
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	cleanup(json_free) json_t *j = c ? oci_state(c) : NULL;
	cleanup(free) char *text = NULL;

	if (!c)
		return oci_fail(&err, 1);
	text = json_text(j, 2);
	printf("%s\n", text);
	return 0;
}

/* list */

struct list_options {
	const char *format;
	bool quiet;
};

static const struct cmd_option list_rows[] = {
	OPTION_WITH(struct list_options, format, OPT_STR, 'f', "format", "FORMAT",
		"how to show them", .choices = formats),
	OPTION(struct list_options, quiet, OPT_FLAG, 'q', "quiet", NULL,
		"display only container IDs"),
	OPTION_END,
};

#define COLUMNS 6
static const char *const titles[COLUMNS] = { "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER" };
static const char *const members[COLUMNS] = { "id", "pid", "status", "bundle", "created", "owner" };

static char *cell(const json_t *row, int column)
{
	const json_t *v = json_object_get(row, members[column]);

	return json_is_integer(v) ? xasprintf("%lld", (long long)json_integer_value(v))
				  : xstrdup(json_string_value(v) ? json_string_value(v) : "");
}

static void print_table(const json_t *rows)
{
	size_t width[COLUMNS], i;
	const json_t *row;

	for (int c = 0; c < COLUMNS; c++) {
		width[c] = strlen(titles[c]);
		json_array_foreach ((json_t *)rows, i, row) {
			cleanup(free) char *text = cell(row, c);
			size_t n = strlen(text);
			width[c] = n > width[c] ? n : width[c];
		}
		/* As runc's, whose columns are 12 wide at least. */
		width[c] = width[c] + 3 < 12 ? 12 : width[c] + 3;
	}
	for (int c = 0; c < COLUMNS; c++)
		printf("%-*s", c + 1 < COLUMNS ? (int)width[c] : 0, titles[c]);
	putchar('\n');
	json_array_foreach ((json_t *)rows, i, row) {
		for (int c = 0; c < COLUMNS; c++) {
			cleanup(free) char *text = cell(row, c);
			printf("%-*s", c + 1 < COLUMNS ? (int)width[c] : 0, text);
		}
		putchar('\n');
	}
}

static json_t *collect(struct err *err)
{
	cleanup(strv_free) char **names = NULL;
	json_t *rows;

	if (oci_list(oci_options()->root, &names, err) < 0)
		return NULL;
	rows = json_array();
	strv_foreach (name, names) {
		struct err why = { 0 };
		cleanup(oci_container_free) struct oci_container *c = oci_find(*name, &why);
		if (!c) {
			fprintf(stderr, "load container %s: %s\n", *name, why.text);
			continue;
		}
		cleanup(free) char *owner = oci_owner(c);
		json_t *row = oci_state(c);
		json_object_set_new(row, "owner", json_string(owner));
		json_array_append_new(rows, row);
	}
	return rows;
}

static int list_run(struct cmd_call *call)
{
	const struct list_options *o = call->options;
	struct err err = { 0 };
	cleanup(json_free) json_t *rows = collect(&err);
	size_t i;
	json_t *row;

	if (!rows)
		return oci_fail(&err, 1);
	if (o->quiet) {
		json_array_foreach (rows, i, row)
			printf("%s\n", json_string_value(json_object_get(row, "id")));
	} else if (o->format && strcmp(o->format, "json") == 0) {
		cleanup(free) char *text = json_text(rows, 0);
		/* What a Go program writes for none. */
		printf("%s\n", json_array_size(rows) ? text : "null");
	} else {
		print_table(rows);
	}
	return 0;
}

/* ps */

struct ps_options {
	const char *format;
};

static const struct cmd_option ps_rows[] = {
	OPTION_WITH(struct ps_options, format, OPT_STR, 'f', "format", "FORMAT", "how to show them",
		.choices = formats),
	OPTION_END,
};

static int run_ps(char *const *args, struct buf *out, struct err *err)
{
	cleanup(strv_free) char **argv = NULL;
	int p[2], r, status;
	pid_t pid;

	strv_add(&argv, "ps");
	strv_add_all(&argv, args);
	if (!args[0])
		strv_add(&argv, "-ef");
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDOUT_FILENO);
		dup2(p[1], STDERR_FILENO);
		execvp("ps", argv);
		_exit(127);
	}
	fd_close(p[1]);
	r = pid < 0 ? -errno : fd_read_to_end(p[0], 64u << 20, out);
	fd_close(p[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_code(err, r, "run ps");
	if (status)
		return err_set(err, EIO, "exit status %d: %.200s", WEXITSTATUS(status),
			out->data ? out->data : "");
	return 0;
}

static int pid_column(char *title)
{
	char *save = NULL;
	int i = 0;

	for (char *w = strtok_r(title, " ", &save); w; w = strtok_r(NULL, " ", &save), i++)
		if (strcmp(w, "PID") == 0)
			return i;
	return -1;
}

static bool is_listed(const char *line, int column, const pid_t *pids, int n)
{
	long pid;

	for (; column > 0; column--) {
		line += strspn(line, " ");
		line += strcspn(line, " ");
	}
	pid = strtol(line, NULL, 10);
	for (int i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static int ps_table(char *const *args, const pid_t *pids, int n, struct err *err)
{
	cleanup(buf_free) struct buf out = { 0 };
	char *save = NULL, *line;
	int r = run_ps(args, &out, err), column;

	if (r < 0)
		return r;
	line = strtok_r(out.data ? out.data : (char *)"", "\n", &save);
	cleanup(free) char *title = xstrdup(line ? line : "");
	column = pid_column(title);
	if (column < 0)
		return err_set(err, EINVAL, "couldn't find PID field in ps output");
	printf("%s\n", line);
	while ((line = strtok_r(NULL, "\n", &save)))
		if (is_listed(line, column, pids, n))
			printf("%s\n", line);
	return 0;
}

static int ps_run(struct cmd_call *call)
{
	const struct ps_options *o = call->options;
	struct err err = { 0 };
	cleanup(oci_container_free) struct oci_container *c = oci_find(call->args[0], &err);
	cleanup(free) pid_t *pids = NULL;
	int n = c ? engine_container.pids(&c->run, &pids, &err) : -1;

	if (n < 0)
		return oci_fail(&err, 1);
	if (!o->format || strcmp(o->format, "json") != 0)
		return ps_table(call->args + 1, pids, n, &err) < 0 ? oci_fail(&err, 1) : 0;
	printf("[");
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", (int)pids[i]);
	printf("]\n");
	return 0;
}

const struct cmd cmd_oci_state = {
	.name = "oci state",
	.group = "OCI runtime",
	.args = "<container-id>",
	.summary = "output the state of a container",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = state_run,
};

const struct cmd cmd_oci_list = {
	.name = "oci list",
	.group = "OCI runtime",
	.args = "",
	.summary = "list containers started with the given root",
	.options = list_rows,
	.options_size = sizeof(struct list_options),
	.flags = CMD_NO_STORE | CMD_IN_NOUN,
	.run = list_run,
};

const struct cmd cmd_oci_ps = {
	.name = "oci ps",
	.group = "OCI runtime",
	.args = "<container-id> [ps options]",
	.summary = "display the processes running inside a container",
	.options = ps_rows,
	.options_size = sizeof(struct ps_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_NO_STORE | CMD_IN_NOUN | CMD_OPTIONS_FIRST,
	.run = ps_run,
};
