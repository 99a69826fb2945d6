#include "cmd/ps_row.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/image.h"

char *ps_ago(int64_t when)
{
	return xasprintf("%s ago", format_duration_rough(time_now() - when));
}

static const char *health_note(const char *health)
{
	if (!health)
		return "";
	if (strcmp(health, "starting") == 0)
		return " (health: starting)";
	return strcmp(health, "healthy") == 0 ? " (healthy)" : " (unhealthy)";
}

char *ps_status(const struct instance *i)
{
	const struct instance_state *s = &i->state;
	const char *finished = format_duration_rough(time_now() - s->finished);

	if (strcmp(s->status, "running") == 0)
		return xasprintf("Up %s%s", format_duration_rough(time_now() - s->started),
			health_note(s->health));
	if (strcmp(s->status, "paused") == 0)
		return xasprintf("Up %s (Paused)", format_duration_rough(time_now() - s->started));
	if (strcmp(s->status, "restarting") == 0)
		return xasprintf("Restarting (%" PRId64 ") %s ago", s->exit_code, finished);
	if (strcmp(s->status, "exited") == 0)
		return xasprintf("Exited (%" PRId64 ") %s ago", s->exit_code, finished);
	return xstrdup(strcmp(s->status, "dead") == 0 ? "Dead" : "Created");
}

static int compare_ports(const void *a, const void *b)
{
	const struct port *x = *(struct port *const *)a, *y = *(struct port *const *)b;
	int r = strcmp(x->host_ip ? x->host_ip : "", y->host_ip ? y->host_ip : "");

	if (!r)
		r = strcmp(x->protocol, y->protocol);
	if (!r)
		r = (x->port > y->port) - (x->port < y->port);
	return r ? r : (x->host_port > y->host_port) - (x->host_port < y->host_port);
}

/* Whether b continues the range that a ends. */
static bool continues(const struct port *a, const struct port *b)
{
	return strcmp(a->host_ip ? a->host_ip : "", b->host_ip ? b->host_ip : "") == 0 &&
	       strcmp(a->protocol, b->protocol) == 0 && b->port == a->port + 1 &&
	       b->host_port == a->host_port + 1;
}

static void add_published(
	char ***parts, const char *address, const struct port *first, const struct port *last)
{
	cleanup(free) char *host =
		xasprintf("%" PRId64 "-%" PRId64, first->host_port, last->host_port);
	cleanup(free) char *inside = xasprintf("%" PRId64 "-%" PRId64, first->port, last->port);
	bool six = strchr(address, ':');

	if (first == last) {
		*strchr(host, '-') = '\0';
		*strchr(inside, '-') = '\0';
	}
	strv_addf(parts, "%s%s%s:%s->%s/%s", six ? "[" : "", address, six ? "]" : "", host, inside,
		first->protocol);
}

static bool is_published(const struct instance *i, const char *exposed)
{
	for (size_t n = 0; n < i->state.ports.n; n++) {
		const struct port *p = i->state.ports.items[n];
		cleanup(free) char *text = xasprintf("%" PRId64 "/%s", p->port, p->protocol);
		if (strcmp(text, exposed) == 0)
			return true;
	}
	return false;
}

char *ps_ports(const struct instance *i)
{
	cleanup(strv_free) char **parts = NULL;
	cleanup(free) struct port **sorted = xcalloc(i->state.ports.n + 1, sizeof(*sorted));
	size_t n = i->state.ports.n, end;

	if (!instance_running(i))
		return xstrdup("");
	if (n)
		memcpy(sorted, i->state.ports.items, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_ports);
	for (size_t begin = 0; begin < n; begin = end) {
		const char *ip = sorted[begin]->host_ip;
		for (end = begin + 1; end < n && continues(sorted[end - 1], sorted[end]); end++)
			;
		add_published(&parts, ip && *ip ? ip : "0.0.0.0", sorted[begin], sorted[end - 1]);
		if (!ip || !*ip)
			add_published(&parts, "::", sorted[begin], sorted[end - 1]);
	}
	strv_foreach (e, i->config.exposed)
		if (!is_published(i, *e))
			strv_add(&parts, *e);
	return strv_join(parts, ", ");
}

char *ps_networks(const struct instance *i)
{
	cleanup(strv_free) char **names = NULL;

	for (size_t n = 0; n < i->config.networks.n; n++)
		strv_add(&names, ((struct instance_network *)i->config.networks.items[n])->network);
	if (!names && i->config.network_mode &&
		strncmp(i->config.network_mode, "container:", 10) != 0)
		strv_add(&names, i->config.network_mode);
	return strv_join(names, ",");
}

char *ps_mounts(const struct instance *i, bool truncate, size_t *ret_volumes)
{
	cleanup(strv_free) char **names = NULL;

	*ret_volumes = 0;
	for (size_t n = 0; n < i->config.mounts.n; n++) {
		const struct instance_mount *m = i->config.mounts.items[n];
		*ret_volumes += strcmp(m->type, "volume") == 0;
		if (!m->source || !*m->source)
			continue;
		if (truncate && strlen(m->source) > 15)
			strv_addf(&names, "%.14s…", m->source);
		else
			strv_add(&names, m->source);
	}
	return strv_join(names, ",");
}

/* Control characters would be the terminal's to obey. */
static void blank_controls(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
}

/* "bash -c 'while tr…", in quotes of its own. */
static char *command_text(const struct instance_config *c, bool truncate)
{
	cleanup(strv_free) char **words = strv_copy(c->entrypoint);
	cleanup(free) char *text = NULL;

	strv_add_all(&words, c->cmd);
	text = strv_join(words, " ");
	blank_controls(text);
	if (!truncate || strlen(text) <= 20)
		return xasprintf("\"%s\"", text);
	/* Not in the middle of a character. */
	size_t len = 19;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return xasprintf("\"%.*s…\"", (int)len, text);
}

static char *created_text(int64_t when)
{
	time_t seconds = (time_t)(when / 1000000000);
	char text[64];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &tm);
	return xstrdup(text);
}

static char *labels_text(char *const *labels)
{
	cleanup(strv_free) char **parts = NULL;
	char *text;

	map_foreach (kv, labels)
		strv_addf(&parts, "%s=%s", kv[0], kv[1]);
	text = strv_join(parts, ",");
	blank_controls(text);
	return text;
}

static char *size_text(struct db *db, const struct instance *i)
{
	cleanup(free) char *upper = xasprintf("%s/upper", i->dir);
	cleanup(image_free) struct image *image = NULL;
	uint64_t written = 0, whole;

	dir_usage(AT_FDCWD, upper, &written);
	whole = written;
	if (image_find(db, i->config.image_id, &image, NULL) == 0)
		whole += (uint64_t)image->size;
	return xasprintf(
		"%s (virtual %s)", format_size_decimal(written), format_size_decimal(whole));
}

/* Takes the text over. */
static void set(json_t *row, const char *key, char *text)
{
	json_t *value = json_string(text);

	json_object_set_new(row, key, value ? value : json_string("?"));
	free(text);
}

json_t *ps_row(struct db *db, const struct instance *i, bool truncate, bool size)
{
	const struct instance_config *c = &i->config;
	json_t *row = json_object();
	size_t volumes;

	set(row, "ID", xstrndup(c->id, truncate ? ID_SHORT : ID_LEN));
	set(row, "Image", xstrdup(c->image));
	set(row, "Command", command_text(c, truncate));
	set(row, "CreatedAt", created_text(c->created));
	set(row, "RunningFor", ps_ago(c->created));
	set(row, "State", xstrdup(i->state.status));
	set(row, "Status", ps_status(i));
	set(row, "Ports", ps_ports(i));
	set(row, "Names", xstrdup(c->name));
	set(row, "Labels", labels_text(c->labels));
	set(row, "Networks", ps_networks(i));
	set(row, "Mounts", ps_mounts(i, truncate, &volumes));
	set(row, "LocalVolumes", xasprintf("%zu", volumes));
	if (size)
		set(row, "Size", size_text(db, i));
	return row;
}
