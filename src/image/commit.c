#include "image/commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/parse.h"
#include "base/strv.h"
#include "image/change.h"
#include "image/content.h"
#include "image/extract.h"
#include "image/store.h"

#define MAX_DEPTH 1000

struct image_maker {
	struct store_session session;
	char *path;
	pthread_mutex_t mutex; /* of what follows */
	struct made {
		struct content content;
		bool kept;
	} * *made;
	size_t n;
};

int image_maker_open(struct image_maker **ret, struct err *err)
{
	struct image_maker *m = xnew(struct image_maker);
	int r;

	m->session = (struct store_session)STORE_SESSION_NONE;
	pthread_mutex_init(&m->mutex, NULL);
	r = store_begin(&m->session, err);
	if (r < 0) {
		image_maker_close(m);
		return r;
	}
	m->path = store_tmp_path(&m->session);
	*ret = m;
	return 0;
}

void image_maker_close(struct image_maker *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		content_clear(&m->made[i]->content);
		free(m->made[i]);
	}
	free(m->made);
	free(m->path);
	store_end(&m->session);
	pthread_mutex_destroy(&m->mutex);
	free(m);
}

const char *image_maker_path(const struct image_maker *m)
{
	return m->path;
}

static void close_dir(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(close_dir, DIR *);

static bool is_overlay_xattr(const char *name, bool *ret_opaque)
{
	const char *rest = strncmp(name, "trusted.overlay.", 16) == 0 ? name + 16
			   : strncmp(name, "user.overlay.", 13) == 0  ? name + 13
								      : NULL;

	*ret_opaque = rest && strcmp(rest, "opaque") == 0;
	return rest;
}

/* Overlay's notes about the file that an upper one came from mean nothing in a layer. A new directory is marked as
 * opaque although there was nothing to hide. */
static void strip_xattrs(int dirfd, const char *name, bool hides)
{
	char path[NAME_MAX + 64], list[4096];
	bool opaque;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	n = llistxattr(path, list, sizeof(list));
	for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1)
		if (is_overlay_xattr(p, &opaque) && !(opaque && hides))
			lremovexattr(path, p);
}

static void clamp_time(int dirfd, const char *name, const struct stat *st, const int64_t *clamp)
{
	struct timespec times[2];

	if (!clamp || st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec <= *clamp)
		return;
	place_times(*clamp, times);
	utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW);
}

/* An upper directory as a layer. `lower` is -1 where there is nothing below. *count gets the entries. */
static int normalize(
	int upper, int lower, const int64_t *clamp, size_t *count, int depth, struct err *err)
{
	int copy = openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_dir) DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	struct stat st;

	if (!d) {
		fd_close(copy);
		return err_errno(err, "read a layer's directory");
	}
	if (depth > MAX_DEPTH)
		return err_set(err, ELOOP, "a directory is more than %d deep", MAX_DEPTH);
	while ((e = readdir(d))) {
		cleanup(fd_close) int up = -1, low = -1;
		int r;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (fstatat(upper, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "look at '%s'", e->d_name);
		++*count;
		if (S_ISDIR(st.st_mode)) {
			const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
			up = openat(upper, e->d_name, flags);
			low = lower < 0 ? -1 : openat(lower, e->d_name, flags);
			r = up < 0 ? err_errno(err, "open '%s'", e->d_name)
				   : normalize(up, low, clamp, count, depth + 1, err);
			if (r < 0)
				return r;
		}
		strip_xattrs(upper, e->d_name, low >= 0);
		clamp_time(upper, e->d_name, &st, clamp);
	}
	return 0;
}

static void describe(const struct image_layer *l, struct made_layer *ret)
{
	*ret = (struct made_layer){ .blob_size = l->blob_size, .size = l->size };
	snprintf(ret->diff_id, sizeof(ret->diff_id), "%s", l->diff_id);
	snprintf(ret->blob, sizeof(ret->blob), "%s", l->blob);
	snprintf(ret->media_type, sizeof(ret->media_type), "%s", l->media_type);
}

static void keep_in_mind(struct image_maker *m, struct content *c, struct made_layer *ret)
{
	describe(&c->layer, ret);
	pthread_mutex_lock(&m->mutex);
	m->made = xrealloc_array(m->made, m->n + 1, sizeof(*m->made));
	m->made[m->n] = xnew(struct made);
	m->made[m->n++]->content = *c;
	ret->made = m->n;
	pthread_mutex_unlock(&m->mutex);
	*c = (struct content)CONTENT_NONE;
}

static int pack(struct content *c, int root, struct err *err)
{
	struct layer_result result = { 0 };
	int r = blob_create(c->session, &c->blob, err);

	if (r == 0)
		r = layer_pack(root, c->blob.fd, LAYER_ZSTD, &result, err);
	if (r < 0)
		return r;
	memcpy(c->layer.diff_id, result.diff_id, sizeof(c->layer.diff_id));
	memcpy(c->layer.blob, result.digest, sizeof(c->layer.blob));
	c->layer.media_type = xstrdup(layer_media_type(LAYER_ZSTD));
	c->layer.blob_size = result.compressed_size;
	c->layer.size = result.size;
	return 0;
}

int image_maker_layer(struct image_maker *m, const char *name, const struct layer_source *source,
	struct made_layer *ret, struct err *err)
{
	cleanup(content_clear) struct content c = { .session = &m->session,
		.blob = BLOB_WRITER_NONE };
	cleanup(fd_close) int root =
		openat(m->session.tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t count = 0;
	int r;

	if (root < 0)
		return err_errno(err, "open '%s/%s'", m->path, name);
	r = normalize(root, source->lower, source->clamp, &count, 0, err);
	if (r < 0)
		return r;
	if (!count) {
		*ret = (struct made_layer){ 0 };
		return 0;
	}
	strip_xattrs(m->session.tmp, name, /* hides= */ false);
	snprintf(c.dir, sizeof(c.dir), "%s", name);
	r = pack(&c, root, err);
	if (r < 0)
		return r;
	keep_in_mind(m, &c, ret);
	return 0;
}

/* A tar on its way from one thread to another. */
struct pipe_job {
	int upper, fd;
	struct tar_tree_options options;
	int r;
	struct err err;
};

static void *pack_thread(void *data)
{
	struct pipe_job *job = data;
	cleanup(tar_writer_close) struct tar_writer *w = NULL;

	job->r = tar_writer_open(job->fd, LAYER_PLAIN, &w, &job->err);
	if (job->r == 0)
		job->r = tar_write_tree(w, job->upper, ".", &job->options, &job->err);
	if (job->r == 0)
		job->r = tar_writer_finish(w, NULL, &job->err);
	job->fd = fd_close(job->fd);
	return NULL;
}

int image_maker_layer_copy(struct image_maker *m, int upper,
	bool (*leave_out)(void *data, const char *path, const struct stat *st), void *data,
	struct made_layer *ret, struct err *err)
{
	cleanup(content_clear) struct content c = CONTENT_NONE;
	struct pipe_job job = { .upper = upper,
		.options = { .whiteouts = true, .leave_out = leave_out, .leave_out_data = data } };
	pthread_t thread;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	job.fd = ends[1];
	r = pthread_create(&thread, NULL, pack_thread, &job);
	if (r) {
		fd_close(ends[0]);
		fd_close(ends[1]);
		return err_code(err, -r, "start a thread");
	}
	r = content_take_stream(&m->session, ends[0], NULL, &c, err);
	fd_close(ends[0]); /* a writer that goes on gets EPIPE */
	pthread_join(thread, NULL);
	if (job.r < 0 && job.err.code != EPIPE) {
		if (err)
			*err = job.err;
		return job.r;
	}
	if (r < 0)
		return r;
	keep_in_mind(m, &c, ret);
	return 0;
}

/* NULL: the store has it. With the mutex. */
static struct made *find_made(struct image_maker *m, const struct made_layer *layer)
{
	struct made *made = layer->made ? m->made[layer->made - 1] : NULL;

	return made && !made->kept ? made : NULL;
}

char *image_maker_layer_dir(struct image_maker *m, const struct made_layer *layer)
{
	struct made *made;
	char *path;

	pthread_mutex_lock(&m->mutex);
	made = find_made(m, layer);
	path = made ? xasprintf("%s/%s", m->path, made->content.dir)
		    : store_layer_path(layer->diff_id);
	pthread_mutex_unlock(&m->mutex);
	return path;
}

int image_maker_keep(
	struct image_maker *m, const struct made_layer *layers, size_t n, struct err *err)
{
	bool any = false;
	int r;

	pthread_mutex_lock(&m->mutex);
	for (size_t i = 0; i < n; i++)
		any |= find_made(m, &layers[i]) != NULL;
	pthread_mutex_unlock(&m->mutex);
	/* Which may take long: others go on. */
	r = any ? store_sync(&m->session, err) : 0;
	pthread_mutex_lock(&m->mutex);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct made *made = find_made(m, &layers[i]);
		r = made ? content_keep(&made->content, err) : 0;
		if (r == 0 && made)
			made->kept = true;
	}
	pthread_mutex_unlock(&m->mutex);
	return r;
}

int image_made_layers(struct db *db, const struct image *image, struct made_layer **ret,
	size_t *ret_n, struct err *err)
{
	cleanup(db_done) struct db_stmt q =
		db_prepare(db, "SELECT diff_id, blob FROM image_layer WHERE image = ? ORDER BY n");
	cleanup(free) struct made_layer *layers = NULL;
	size_t n = 0;
	int r;

	db_text(&q, 1, image->id);
	while ((r = db_step(&q, err)) > 0) {
		struct image_layer one = { 0 };
		r = content_find(db, db_get_text(&q, 0), db_get_text(&q, 1), &one, err);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(err, EUCLEAN,
				"the store is damaged: image %s lacks its layer %s", image->id,
				db_get_text(&q, 0));
		layers = xrealloc_array(layers, n + 1, sizeof(*layers));
		describe(&one, &layers[n++]);
		free(one.media_type);
	}
	if (r < 0)
		return r;
	*ret = take(layers);
	*ret_n = n;
	return 0;
}

int image_maker_image(struct db *db, struct image_config *config, const struct made_layer *layers,
	size_t n, char *const *names, const char *why, char id[DIGEST_LEN + 1], struct err *err)
{
	cleanup(image_new_clear) struct image_new image = { 0 };
	int r = 0;

	image.why = why;
	image.layers = xcalloc(n + 1, sizeof(*image.layers));
	image.n_layers = n;
	strv_free(config->diff_ids);
	config->diff_ids = NULL;
	for (size_t i = 0; i < n; i++) {
		struct image_layer *l = &image.layers[i];
		strv_add(&config->diff_ids, layers[i].diff_id);
		snprintf(l->diff_id, sizeof(l->diff_id), "%s", layers[i].diff_id);
		snprintf(l->blob, sizeof(l->blob), "%s", layers[i].blob);
		l->media_type = xstrdup(layers[i].media_type);
		l->blob_size = layers[i].blob_size;
		l->size = layers[i].size;
	}
	strv_foreach (text, names) {
		cleanup(free) char *name = NULL;
		r = normal_name(*text, &name, err);
		if (r < 0)
			return r;
		strv_add(&image.names, name);
	}
	image.config = image_config_text(config);
	r = image_add(db, &image, err);
	if (r == 0)
		memcpy(id, image.id, sizeof(image.id));
	return r;
}

int image_epoch(const char *given, int64_t *ret, struct err *err)
{
	const char *text = given ? given : getenv("SOURCE_DATE_EPOCH");
	int64_t seconds;

	if (!text || !*text)
		return 0;
	if (parse_i64(text, 0, INT64_MAX / 1000000000, &seconds) < 0)
		return err_set(
			err, EINVAL, "SOURCE_DATE_EPOCH '%s': expected seconds since 1970", text);
	*ret = seconds * 1000000000;
	return 1;
}

int image_commit(struct db *db, struct image_maker *m, const struct image *base,
	const struct made_layer *layer, const struct image_commit *what, char id[DIGEST_LEN + 1],
	struct err *err)
{
	cleanup(image_config_clear) struct image_config config = { 0 };
	cleanup(free) char *text = image_config_text(&base->config);
	cleanup(free) struct made_layer *layers = NULL;
	char *names[] = { (char *)what->name, NULL };
	struct image_history *history;
	int64_t now = time_now();
	size_t n = 0;
	int r = image_epoch(NULL, &now, err);

	if (r >= 0)
		r = image_config_parse(text, strlen(text), &config, err);
	if (r == 0)
		r = image_made_layers(db, base, &layers, &n, err);
	strv_foreach (change, what->changes)
		if (r == 0 && (r = image_change(&config, *change, err)) < 0)
			return err_wrap(err, "--change");
	if (r < 0)
		return r;
	if (layer->diff_id[0]) {
		layers = xrealloc_array(layers, n + 1, sizeof(*layers));
		layers[n++] = *layer;
	}
	if (what->author)
		str_replace(&config.author, what->author);
	history = record_list_add(&config.history, sizeof(*history));
	config.created = history->created = now;
	history->created_by = xstrdup_null(what->created_by);
	history->author = xstrdup_null(what->author);
	history->comment = xstrdup_null(what->message);
	history->empty_layer = !layer->diff_id[0];
	r = image_maker_keep(m, layer, 1, err);
	if (r == 0)
		r = image_maker_image(db, &config, layers, n, names, "committed", id, err);
	return r;
}
