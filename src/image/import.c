/*
 * A root filesystem's tar as an image of one layer. The configuration is what --change says, the
 * platform and one line of history; the image's time is now, or SOURCE_DATE_EPOCH.
 */
#include "image/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ident.h"
#include "base/strv.h"
#include "image/change.h"
#include "image/commit.h"
#include "image/content.h"
#include "image/platform.h"
#include "image/rows.h"

/* All that can be wrong about the request is found before the tar is read. */
static int make_config(
	const struct image_import *what, struct image_config *config, struct err *err)
{
	struct image_history *history;
	struct platform platform;
	int r;

	platform_host(&platform);
	config->created = time_now();
	r = image_epoch(NULL, &config->created, err);
	if (r >= 0 && what->platform)
		r = platform_parse(what->platform, &platform, err);
	if (r < 0)
		return r;
	strv_foreach (change, what->changes)
		if (image_change(config, *change, err) < 0)
			return err_wrap(err, "--change");
	config->architecture = xstrdup(platform.architecture);
	config->os = xstrdup(platform.os);
	if (platform.variant[0])
		config->variant = xstrdup(platform.variant);
	history = record_list_add(&config->history, sizeof(*history));
	history->created = config->created;
	history->comment = xstrdup(what->message ? what->message : "Imported from -");
	return 0;
}

static int keep(struct db *db, const struct store_session *session, struct content *content,
	struct image_new *image, struct err *err)
{
	int r = store_sync(session, err);

	if (r == 0)
		r = content_keep(content, err);
	if (r < 0)
		return r;
	image->layers = xcalloc(1, sizeof(*image->layers));
	image->n_layers = 1;
	image->layers[0] = content->layer;
	content->layer.media_type = NULL;
	return image_add(db, image, err);
}

int import_stream(struct db *db, const struct store_session *session, int fd,
	const struct image_import *what, image_progress_fn *fn, void *data,
	int (*finished)(void *data, struct err *err), void *finished_data, char id[DIGEST_LEN + 1],
	struct err *err)
{
	const struct layer_options options = {
		.progress = fn, .progress_data = data, .what = "importing"
	};
	cleanup(content_clear) struct content content = CONTENT_NONE;
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(image_new_clear) struct image_new image = { 0 };
	cleanup(free) char *name = NULL;
	int r = what->name ? normal_name(what->name, &name, err) : 0;

	if (r == 0)
		r = make_config(what, &config, err);
	if (r == 0)
		r = content_take_stream(session, fd, &options, &content, err);
	if (r == 0 && finished)
		r = finished(finished_data, err);
	if (r < 0)
		return r;
	strv_add(&config.diff_ids, content.layer.diff_id);
	image.config = image_config_text(&config);
	image.why = what->why ? what->why : "imported";
	if (name)
		strv_add(&image.names, name);
	r = keep(db, session, &content, &image, err);
	if (r < 0)
		return r;
	memcpy(id, image.id, sizeof(image.id));
	return 0;
}

int image_import(struct db *db, int fd, const struct image_import *what, image_progress_fn *fn,
	void *data, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(store_end) struct store_session session = STORE_SESSION_NONE;
	int r = store_begin(&session, err);

	if (r < 0)
		return r;
	return import_stream(db, &session, fd, what, fn, data, NULL, NULL, id, err);
}

int image_export_tree(int rootfd, uint32_t base, int fd, struct err *err)
{
	/* The directory's children, without what is mounted below it, and no overlay's own marks:
	 * through a mounted overlay there are none. */
	const struct tar_tree_options options = { .one_file_system = true, .base = base };
	cleanup(tar_writer_close) struct tar_writer *writer = NULL;
	int r = tar_writer_open(fd, LAYER_PLAIN, &writer, err);

	if (r == 0)
		r = tar_write_tree(writer, rootfd, ".", &options, err);
	return r < 0 ? r : tar_writer_finish(writer, NULL, err);
}
