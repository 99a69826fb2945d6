/* What the verbs about images share: Docker's forms of an image's facts. */
#include "cmd/image_rows.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cmd/output.h"
#include "image/reference.h"
#include "instance/event.h"

char *image_size_text(uint64_t bytes)
{
	return xstrdup(format_size_decimal(bytes));
}

char *image_time_text(int64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char text[64];
	struct tm tm;

	if (!localtime_r(&seconds, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &tm))
		return xstrdup("");
	return xstrdup(text);
}

char *image_age_text(int64_t ns)
{
	int64_t age = time_now() - ns;

	return ns ? xasprintf("%s ago", format_duration_rough(age < 0 ? 0 : age)) : xstrdup("N/A");
}

void image_name_parts(const char *name, char **ret_repository, char **ret_tag)
{
	struct reference ref;
	cleanup(free) char *familiar = NULL;
	char *colon;

	if (reference_parse(name, &ref, NULL) < 0) {
		*ret_repository = xstrdup(name);
		*ret_tag = xstrdup("<none>");
		return;
	}
	familiar = reference_familiar(&ref);
	colon = strrchr(familiar, ':');
	if (colon && !strchr(colon, '/'))
		*colon = '\0';
	*ret_repository = xstrdup(familiar);
	*ret_tag = xstrdup(ref.tag[0] ? ref.tag : "<none>");
}

static json_t *repo_tags(const struct image *image)
{
	json_t *tags = json_array();

	strv_foreach (name, image->names) {
		cleanup(free) char *repository = NULL, *tag = NULL;
		image_name_parts(*name, &repository, &tag);
		json_array_append_new(tags, json_sprintf("%s:%s", repository, tag));
	}
	return tags;
}

static json_t *repo_digests(const struct image *image)
{
	cleanup(strv_free) char **seen = NULL;
	json_t *digests = json_array();

	strv_foreach (name, image->names) {
		cleanup(free) char *repository = NULL, *tag = NULL;
		image_name_parts(*name, &repository, &tag);
		if (strv_contains(seen, repository))
			continue;
		strv_add(&seen, repository);
		json_array_append_new(digests, json_sprintf("%s@%s", repository, image->manifest));
	}
	return digests;
}

static json_t *root_fs(const struct image *image)
{
	json_t *layers = json_array();

	strv_foreach (diff_id, image->diff_ids)
		json_array_append_new(layers, json_string(*diff_id));
	return json_pack("{s:s, s:o}", "Type", "layers", "Layers", layers);
}

static json_t *graph_driver(const struct image *image)
{
	json_t *dirs = json_array();

	strv_foreach (dir, image->layer_dirs)
		json_array_append_new(dirs, json_string(*dir));
	return json_pack("{s:s, s:{s:o}}", "Name", "overlay", "Data", "LayerDirs", dirs);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* What scripts ask for is there, whatever the image says. */
static json_t *process_config(json_t *given)
{
	json_t *all = json_pack(
		"{s:s, s:s, s:s, s:[], s:[], s:[], s:{}, s:{}, s:{}, s:s, s:[], s:s, s:b, s:b, s:b}",
		"Hostname", "", "Domainname", "", "User", "", "Env", "Cmd", "Entrypoint",
		"ExposedPorts", "Volumes", "Labels", "WorkingDir", "", "OnBuild", "StopSignal", "",
		"Tty", 0, "OpenStdin", 0, "StdinOnce", 0);
	const char *key;
	json_t *value;

	json_object_foreach (given, key, value)
		if (!json_is_null(value))
			json_object_set(all, key, value);
	return all;
}

json_t *image_inspect_json(const struct image *image)
{
	cleanup(free) char *text = image_config_text(&image->config);
	cleanup(json_free) json_t *all = json_parse(text, strlen(text), "configuration", NULL);
	const struct image_history *last = NULL;
	json_t *j;
	char created[TIME_LEN];

	if (image->config.history.n)
		last = image->config.history.items[image->config.history.n - 1];
	time_format(image->created, created);
	j = json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "Id", image->id,
		"RepoTags", repo_tags(image), "RepoDigests", repo_digests(image), "Parent", "",
		"Comment", last ? or_empty(last->comment) : "", "Created", created, "Author",
		or_empty(image->config.author), "Config",
		process_config(json_object_get(all, "config")), "Architecture",
		or_empty(image->config.architecture), "Os", or_empty(image->config.os));
	if (image->config.variant)
		json_object_set_new(j, "Variant", json_string(image->config.variant));
	json_object_set_new(j, "Size", json_integer(image->size));
	json_object_set_new(j, "GraphDriver", graph_driver(image));
	json_object_set_new(j, "RootFS", root_fs(image));
	json_object_set_new(j, "Descriptor",
		json_pack("{s:s, s:s}", "mediaType", "application/vnd.oci.image.manifest.v1+json",
			"digest", image->manifest));
	return j;
}

void image_event(const char *action, const char *id, const char *name)
{
	char *const attributes[] = { (char *)"name", (char *)name, NULL };

	event_emit("image", action, id, attributes);
}

void image_progress(void *data, const char *what, uint64_t done)
{
	if (done)
		progress_show("%s: %s %s", (const char *)data, what, format_size(done));
	else
		progress_show("%s: %s", (const char *)data, what);
}

void print_lines(char *const *lines)
{
	strv_foreach (line, lines)
		puts(*line);
}

void image_print_kept(uint64_t n)
{
	if (n)
		printf("%llu image%s kept, which tags can be reverted to: 'holm gc --expire now' lets them go\n",
			(unsigned long long)n, n == 1 ? " is" : "s are");
}

void image_removed(char *const *report)
{
	strv_foreach (line, report) {
		const char *rest = strchr(*line, ' ') + 1;
		image_event(strncmp(*line, "Untagged", 8) == 0 ? "untag" : "delete", rest, rest);
	}
}
