/*
 * `holm top`: an instance's processes, read from /proc (proc(5)), so that no ps is needed anywhere.
 * Columns are those of `ps -ef`; `-o LIST` chooses others and `aux` is known, as ps has them.
 * Ids are the host's, so that they can be given to the host's tools.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/strv.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "cmd/output.h"
#include "cmd/verbs.h"
#include "instance/instance.h"

struct process {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	char state, comm[64];
	long long ppid, pgrp, session, tty, nice, threads, rss_pages, priority;
	unsigned long long utime, stime, start, vsize; /* clock ticks; bytes */
	char *args;
};

static double uptime(void)
{
	char line[64];

	return file_get_line(-1, "/proc/uptime", line, sizeof(line)) < 0 ? 0 : strtod(line, NULL);
}

/* /proc/PID/stat: the name in parentheses may hold anything, hence from the last one. */
static int parse_stat(const char *text, struct process *p)
{
	const char *begin = strchr(text, '('), *end = strrchr(text, ')');

	if (!begin || !end || end < begin)
		return -EINVAL;
	snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(end - begin - 1), begin + 1);
	if (sscanf(end + 1,
		    " %c %lld %lld %lld %lld %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %lld %lld "
		    "%lld %*d %llu %llu %lld",
		    &p->state, &p->ppid, &p->pgrp, &p->session, &p->tty, &p->utime, &p->stime,
		    &p->priority, &p->nice, &p->threads, &p->start, &p->vsize, &p->rss_pages) != 13)
		return -EINVAL;
	return 0;
}

/* Arguments with spaces between, or [name] where there are none (zombies). Control characters would
 * be the terminal's to obey. */
static char *read_args(int dir, const struct process *p)
{
	cleanup(buf_free) struct buf b = { 0 };

	file_read(dir, "cmdline", 1 << 20, &b);
	while (b.len && !b.data[b.len - 1])
		b.len--;
	if (!b.len)
		return xasprintf("[%s]", p->comm);
	for (size_t n = 0; n < b.len; n++)
		if ((unsigned char)b.data[n] < ' ' || b.data[n] == 127)
			b.data[n] = ' ';
	return xstrndup(b.data, b.len);
}

static int read_process(pid_t pid, struct process *p)
{
	char path[32];
	cleanup(fd_close) int dir = -1;
	cleanup(buf_free) struct buf text = { 0 };
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0 || file_read(dir, "stat", 4096, &text) < 0 ||
		parse_stat(text.data, p) < 0)
		return -ESRCH;
	p->pid = pid;
	p->uid = st.st_uid;
	p->gid = st.st_gid;
	p->args = read_args(dir, p);
	return 0;
}

static double cpu_seconds(const struct process *p)
{
	return (double)(p->utime + p->stime) / (double)sysconf(_SC_CLK_TCK);
}

static double age_seconds(const struct process *p)
{
	double age = uptime() - (double)p->start / (double)sysconf(_SC_CLK_TCK);

	return age > 0 ? age : 0;
}

static char *f_uid(const struct process *p)
{
	return xasprintf("%u", p->uid);
}

static char *f_user(const struct process *p)
{
	struct passwd *pw = getpwuid(p->uid);

	return pw ? xstrdup(pw->pw_name) : f_uid(p);
}

static char *f_gid(const struct process *p)
{
	return xasprintf("%u", p->gid);
}

static char *f_group(const struct process *p)
{
	struct group *gr = getgrgid(p->gid);

	return gr ? xstrdup(gr->gr_name) : f_gid(p);
}

static char *f_pid(const struct process *p)
{
	return xasprintf("%d", (int)p->pid);
}

static char *f_ppid(const struct process *p)
{
	return xasprintf("%lld", p->ppid);
}

static char *f_pgid(const struct process *p)
{
	return xasprintf("%lld", p->pgrp);
}

static char *f_sid(const struct process *p)
{
	return xasprintf("%lld", p->session);
}

static char *f_c(const struct process *p)
{
	double age = age_seconds(p);

	return xasprintf("%d", age > 0 ? (int)(100 * cpu_seconds(p) / age) : 0);
}

static char *f_pcpu(const struct process *p)
{
	double age = age_seconds(p);

	return xasprintf("%.1f", age > 0 ? 100 * cpu_seconds(p) / age : 0);
}

static char *f_pmem(const struct process *p)
{
	return xasprintf("%.1f", 100.0 * (double)p->rss_pages / (double)sysconf(_SC_PHYS_PAGES));
}

static char *f_vsz(const struct process *p)
{
	return xasprintf("%llu", p->vsize / 1024);
}

static char *f_rss(const struct process *p)
{
	return xasprintf("%lld", p->rss_pages * sysconf(_SC_PAGESIZE) / 1024);
}

static char *f_nlwp(const struct process *p)
{
	return xasprintf("%lld", p->threads);
}

static char *f_nice(const struct process *p)
{
	return xasprintf("%lld", p->nice);
}

static char *f_pri(const struct process *p)
{
	return xasprintf("%lld", 39 - p->priority);
}

static char *f_state(const struct process *p)
{
	return xasprintf("%c", p->state);
}

/* tty_nr's bits: proc(5). */
static char *f_tty(const struct process *p)
{
	unsigned major = (unsigned)(p->tty >> 8) & 0xfff;
	unsigned minor = (unsigned)(p->tty & 0xff) | ((unsigned)(p->tty >> 12) & 0xfff00);

	if (!p->tty)
		return xstrdup("?");
	if (major >= 136 && major <= 143)
		return xasprintf("pts/%u", (major - 136) * 256 + minor);
	return major == 4 ? xasprintf("tty%u", minor) : xasprintf("%u:%u", major, minor);
}

/* The time of day today, else the date. */
static char *f_stime(const struct process *p)
{
	time_t now = time(NULL), start = now - (time_t)age_seconds(p);
	struct tm a, b;
	char text[16];

	localtime_r(&now, &a);
	localtime_r(&start, &b);
	strftime(text, sizeof(text),
		a.tm_yday == b.tm_yday && a.tm_year == b.tm_year ? "%H:%M" : "%b%d", &b);
	return xstrdup(text);
}

static char *clock_text(long long s)
{
	if (s >= 86400)
		return xasprintf(
			"%lld-%02lld:%02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
	return xasprintf("%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

static char *f_time(const struct process *p)
{
	return clock_text((long long)cpu_seconds(p));
}

static char *f_etime(const struct process *p)
{
	return clock_text((long long)age_seconds(p));
}

static char *f_comm(const struct process *p)
{
	return xstrdup(p->comm);
}

static char *f_args(const struct process *p)
{
	return xstrdup(p->args);
}

static const struct column {
	const char *name, *title; /* as ps -o knows them */
	char *(*get)(const struct process *p);
} known[] = { { "uid", "UID", f_uid }, { "user", "USER", f_user }, { "euser", "EUSER", f_user },
	{ "uname", "USER", f_user }, { "gid", "GID", f_gid }, { "group", "GROUP", f_group },
	{ "pid", "PID", f_pid }, { "ppid", "PPID", f_ppid }, { "pgid", "PGID", f_pgid },
	{ "pgrp", "PGRP", f_pgid }, { "sid", "SID", f_sid }, { "sess", "SESS", f_sid },
	{ "c", "C", f_c }, { "pcpu", "%CPU", f_pcpu }, { "%cpu", "%CPU", f_pcpu },
	{ "pmem", "%MEM", f_pmem }, { "%mem", "%MEM", f_pmem }, { "vsz", "VSZ", f_vsz },
	{ "rss", "RSS", f_rss }, { "nlwp", "NLWP", f_nlwp }, { "ni", "NI", f_nice },
	{ "nice", "NI", f_nice }, { "pri", "PRI", f_pri }, { "s", "S", f_state },
	{ "stat", "STAT", f_state }, { "state", "S", f_state }, { "tty", "TTY", f_tty },
	{ "tt", "TT", f_tty }, { "tname", "TTY", f_tty }, { "stime", "STIME", f_stime },
	{ "start", "START", f_stime }, { "start_time", "START", f_stime },
	{ "time", "TIME", f_time }, { "cputime", "TIME", f_time }, { "etime", "ELAPSED", f_etime },
	{ "comm", "COMMAND", f_comm }, { "ucmd", "CMD", f_comm }, { "args", "COMMAND", f_args },
	{ "command", "COMMAND", f_args }, { "cmd", "CMD", f_args } };

/* Their first column shows names although its title is UID. */
static const struct column full_uid = { "uid", "UID", f_user };

#define MAX_COLUMNS 32

struct layout {
	struct column columns[MAX_COLUMNS];
	size_t n;
};

static int add_columns(const char *list, struct layout *l, struct err *err)
{
	cleanup(strv_free) char **names = strv_split(list, ',');

	strv_foreach (name, names) {
		char *title = strchr(*name, '=');
		size_t k;
		if (title)
			*title = '\0';
		for (k = 0; k < ARRAY_SIZE(known) && strcmp(known[k].name, *name) != 0; k++)
			;
		if (k == ARRAY_SIZE(known))
			return err_set(err, EINVAL,
				"-o: unknown column '%s' (like pid, ppid, user, args)", *name);
		if (l->n == MAX_COLUMNS)
			return err_set(err, EINVAL, "-o: more than %d columns", MAX_COLUMNS);
		l->columns[l->n++] = known[k];
	}
	return 0;
}

/* The options of ps that are known: -e -f -ef, aux, -o LIST. */
static int parse_layout(char *const *args, struct layout *l, struct err *err)
{
	bool bsd = false;

	for (; *args; args++) {
		const char *a = *args;
		int r = 0;
		if (strncmp(a, "-o", 2) == 0 || strcmp(a, "o") == 0) {
			const char *list = a[0] == '-' && a[2] ? a + 2 : *++args;
			r = list ? add_columns(list, l, err)
				 : err_set(err, EINVAL, "-o: needs a list of columns");
			if (!list)
				return r;
		} else if (a[0] == '-' ? strspn(a + 1, "efAa") != strlen(a + 1)
				       : strspn(a, "auxw") != strlen(a)) {
			r = err_set(err, EINVAL,
				"'%s' is not an option of ps that is known here: -ef, "
				"aux, -o LIST",
				a);
		} else {
			bsd = a[0] != '-';
		}
		if (r < 0)
			return r;
	}
	if (l->n)
		return 0;
	if (bsd)
		return add_columns(
			"user,pid,pcpu,pmem,vsz,rss,tty,stat,start,time,command", l, err);
	l->columns[l->n++] = full_uid;
	return add_columns("pid,ppid,c,stime,tty,time,cmd", l, err);
}

static json_t *make_row(const struct process *p, const struct layout *l)
{
	json_t *row = json_object();

	for (size_t n = 0; n < l->n; n++) {
		cleanup(free) char *text = l->columns[n].get(p);
		json_t *value = json_string(text); /* NULL unless it is UTF-8 */
		json_object_set_new(row, l->columns[n].title, value ? value : json_string("?"));
	}
	return row;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static int show(struct instance *i, const struct layout *l, struct err *err)
{
	struct output_column columns[MAX_COLUMNS + 1] = { 0 };
	cleanup(json_free) json_t *rows = json_array();
	cleanup(free) pid_t *pids = NULL;
	int n = instance_pids(i, &pids, err);

	if (n < 0)
		return n;
	if (n)
		qsort(pids, (size_t)n, sizeof(*pids), compare_pids);
	for (int k = 0; k < n; k++) {
		struct process p = { 0 };
		/* It may have ended meanwhile. */
		if (read_process(pids[k], &p) < 0)
			continue;
		json_array_append_new(rows, make_row(&p, l));
		free(p.args);
	}
	for (size_t k = 0; k < l->n; k++)
		columns[k] =
			(struct output_column){ l->columns[k].title, l->columns[k].title, false };
	return output_rows(columns, rows, NULL, "PID", /* quiet= */ false, err);
}

static int run(struct cmd_call *call)
{
	cleanup(instance_free) struct instance *i = NULL;
	struct layout layout = { 0 };
	struct err err = { 0 };
	struct db *db;

	if (parse_layout(call->args + 1, &layout, &err) < 0)
		return cmd_usage(call, "%s", err.text);
	db = cmd_db(&err);
	if (!db || instance_find(db, call->args[0], &i, &err) < 0 || show(i, &layout, &err) < 0)
		return cmd_fail(&err, 1);
	return 0;
}

const struct cmd cmd_top = {
	.name = "top",
	.alias = "container top",
	.group = "Instances",
	.args = "CONTAINER [PS-OPTION...]",
	.summary = "Show the processes of a container",
	.description =
		"With the host's process ids. Of ps's options -ef (the default), aux and -o LIST are "
		"known.",
	.examples = "holm top web\nholm top web -o pid,user,rss,args",
	.min_args = 1,
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST,
	.complete = COMPLETE_RUNNING,
	.complete_more = COMPLETE_NONE,
	.run = run,
};

static int run_compose(struct cmd_call *call)
{
	cleanup(instance_list_free) struct instance_list list = { 0 };
	cleanup(compose_free) struct compose_project p = { 0 };
	struct layout layout = { 0 };
	struct err err = { 0 };
	bool more = false;

	parse_layout((char *[]){ NULL }, &layout, NULL);
	if (compose_project(call->args, false, &p, &err) < 0 ||
		compose_chosen(&p, /* one_off= */ true, &list, &err) < 0)
		return cmd_fail(&err, 1);
	for (size_t i = 0; i < list.n; i++) {
		if (!instance_running(list.items[i]))
			continue;
		printf("%s%s\n", more ? "\n" : "", list.items[i]->config.name);
		more = true;
		if (show(list.items[i], &layout, &err) < 0)
			return cmd_fail(&err, 1);
	}
	return 0;
}

const struct cmd cmd_compose_top = {
	.name = "compose top",
	.group = "Compose",
	.args = "[SERVICE...]",
	.summary = "Show the processes of the project's containers",
	.max_args = SIZE_MAX,
	.run = run_compose,
};
