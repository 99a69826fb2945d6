#include "image/layer.h"

/* Layers: an archive read ahead into overlay's form, and a tree in that form packed again. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/extract.h"

#define PROGRESS_STEP (1 << 20)

const char *layer_media_type(enum layer_compression compression)
{
	switch (compression) {
	case LAYER_GZIP:
		return "application/vnd.oci.image.layer.v1.tar+gzip";
	case LAYER_ZSTD:
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	default:
		return "application/vnd.oci.image.layer.v1.tar";
	}
}

struct watcher {
	const struct layer_options *options;
	int64_t told;
};

static void tell(struct watcher *w, int64_t done)
{
	const struct layer_options *o = w->options;

	if (o->progress)
		o->progress(o->progress_data, o->what ? o->what : "layer", (uint64_t)done);
	w->told = done;
}

static void watch(struct extractor *x)
{
	struct watcher *w = x->progress_data;
	int64_t done = stream_taken(x->reader->stream);

	if (done - w->told >= PROGRESS_STEP)
		tell(w, done);
}

static int unpack(int dirfd, struct tar_reader *reader, const struct layer_options *options,
	struct layer_result *ret, struct err *err)
{
	static const struct tar_extract_options as_packed;
	struct watcher watcher = { .options = options };
	cleanup(extractor_done) struct extractor x;
	int r;

	extractor_init(&x, dirfd, reader, &as_packed);
	x.layer = true;
	x.unprivileged = options->unprivileged;
	x.one_owner = options->one_owner;
	x.progress = options->progress ? watch : NULL;
	x.progress_data = &watcher;
	r = extract_all(&x, err);
	/* What follows the archive counts for the digests. */
	if (r == 0)
		r = tar_drain(reader, err);
	if (r < 0)
		return r;
	stream_result(reader->stream, ret);
	ret->size = x.size;
	ret->entries = reader->entries;
	tell(&watcher, ret->compressed_size);
	return 0;
}

int layer_unpack(int fd, int tee_fd, const char *dir, const struct layer_options *options,
	struct layer_result *ret, struct err *err)
{
	static const struct layer_options defaults;
	cleanup(tar_reader_close) struct tar_reader *reader = NULL;
	cleanup(fd_close) int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct layer_result result = { 0 };
	struct stream *stream = NULL;
	struct err e = { 0 };
	int r;

	if (dirfd < 0)
		return err_errno(err, "open '%s'", dir);
	/* What the image's root is like unless the layer says. */
	if (fchmod(dirfd, 0755) < 0)
		return err_errno(err, "set the mode of '%s'", dir);
	if (!options)
		options = &defaults;
	r = stream_open(fd, tee_fd, /* ahead= */ true, &stream, &e);
	if (r < 0) {
		err_wrap(&e, "layer");
	} else {
		reader = tar_reader_new(stream, "layer", &options->limits);
		r = unpack(dirfd, reader, options, &result, &e);
	}
	if (r < 0) {
		if (err)
			*err = e;
		return r;
	}
	*ret = result;
	return 0;
}

int layer_pack(int rootfd, int out_fd, enum layer_compression compression, struct layer_result *ret,
	struct err *err)
{
	static const struct tar_tree_options options = { .whiteouts = true };
	cleanup(tar_writer_close) struct tar_writer *w = NULL;
	int r = tar_writer_open(out_fd, compression, &w, err);

	if (r == 0)
		r = tar_write_tree(w, rootfd, ".", &options, err);
	if (r == 0)
		r = tar_writer_finish(w, ret, err);
	return r;
}
