/*
 * Image archives come from pipes, compressed, with their parts in any order: each file in them is
 * written to the session's tmp as it passes. A layer that is compressed becomes a blob by renaming,
 * so nothing is written twice. Names in the archive only ever serve to look members up.
 */
#include "image/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "image/layer.h"

#define MAX_MEMBERS 20000
#define MAX_LINKS 8

static int by_name(const void *a, const void *b)
{
	const struct archive_member *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void member_clear(struct archive_member *m)
{
	free(m->name);
	free(m->link);
}

void archive_clear(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++)
		member_clear(&a->members[i]);
	free(a->members);
	*a = (struct archive){ 0 };
}

/* A symbolic link counts from its own directory, a hard link from the root. -EPERM: it leads out. */
static char *link_target(const char *name, const struct tar_entry *e)
{
	const char *slash = strrchr(name, '/');
	char clean[PATH_MAX];
	cleanup(free) char *path = NULL;

	if (e->type == TAR_SYMLINK && e->link[0] != '/' && slash)
		path = xasprintf("%.*s/%s", (int)(slash - name), name, e->link);
	else
		path = xstrdup(e->link);
	return tar_clean_name(path, clean) < 0 ? NULL : xstrdup(clean);
}

static int spool(
	struct archive *a, struct tar_reader *reader, struct archive_member *m, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	int64_t n;

	snprintf(m->file, sizeof(m->file), "member-%zu", a->n);
	fd = openat(a->session->tmp, m->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(
			err, "make '%s/tmp/%s/%s'", paths_root(), a->session->name, m->file);
	n = tar_read_to_fd(reader, fd, err);
	if (n < 0)
		return (int)n;
	m->size = n;
	return 0;
}

static int add_member(
	struct archive *a, struct tar_reader *reader, const struct tar_entry *e, struct err *err)
{
	struct archive_member m = { 0 };
	char name[PATH_MAX];
	int r;

	if (tar_clean_name(e->name, name) < 0)
		return err_set(err, EINVAL,
			"the archive has a member that leads out of it: '%.200s'", e->name);
	if (a->n == MAX_MEMBERS)
		return err_set(err, EFBIG, "the archive has more than %d members", MAX_MEMBERS);
	if (e->type == TAR_FILE) {
		r = spool(a, reader, &m, err);
		if (r < 0)
			return r;
	} else {
		m.link = link_target(name, e);
		if (!m.link)
			return 0;
	}
	m.name = xstrdup(name);
	a->members = xrealloc_array(a->members, a->n + 1, sizeof(*a->members));
	a->members[a->n++] = m;
	return 0;
}

static int sort_members(struct archive *a, struct err *err)
{
	if (a->n)
		qsort(a->members, a->n, sizeof(*a->members), by_name);
	for (size_t i = 1; i < a->n; i++)
		if (strcmp(a->members[i - 1].name, a->members[i].name) == 0)
			return err_set(err, EINVAL, "the archive has two members named '%.200s'",
				a->members[i].name);
	return 0;
}

int archive_read(const struct store_session *s, int fd, image_progress_fn *fn, void *data,
	struct archive *ret, struct err *err)
{
	cleanup(archive_clear) struct archive a = { .session = s };
	cleanup(tar_reader_close) struct tar_reader *reader = NULL;
	const struct tar_entry *e;
	uint64_t done = 0;
	int r = tar_reader_open(fd, "archive", NULL, &reader, err);

	if (r < 0)
		return r;
	while ((r = tar_next(reader, &e, err)) > 0) {
		if (e->type != TAR_FILE && e->type != TAR_SYMLINK && e->type != TAR_HARDLINK)
			continue;
		r = add_member(&a, reader, e, err);
		if (r < 0)
			return r;
		if (a.n)
			done += (uint64_t)a.members[a.n - 1].size;
		if (fn)
			fn(data, "reading the archive", done);
	}
	if (r < 0)
		return r;
	r = sort_members(&a, err);
	if (r < 0)
		return r;
	*ret = a;
	a = (struct archive){ 0 };
	return 0;
}

const struct archive_member *archive_find(const struct archive *a, const char *name)
{
	char clean[PATH_MAX];
	struct archive_member key = { .name = clean };

	if (!a->n || tar_clean_name(name, clean) < 0)
		return NULL;
	for (int hops = 0; hops < MAX_LINKS; hops++) {
		const struct archive_member *m =
			bsearch(&key, a->members, a->n, sizeof(*a->members), by_name);
		if (!m || !m->link)
			return m;
		key.name = m->link;
	}
	return NULL;
}

const struct archive_member *archive_blob(const struct archive *a, const char *digest)
{
	cleanup(free) char *name = xasprintf("blobs/sha256/%s", digest_hex(digest));

	return archive_find(a, name);
}

int archive_text(
	const struct archive *a, const struct archive_member *m, struct buf *out, struct err *err)
{
	int r = file_read(a->session->tmp, m->file, JSON_MAX_BYTES, out);

	if (r == -EFBIG)
		return err_set(err, EFBIG, "the archive's '%s' is larger than %u MiB", m->name,
			JSON_MAX_BYTES >> 20);
	return r < 0 ? err_code(err, r, "read the archive's '%s'", m->name) : 0;
}

int archive_blob_text(const struct archive *a, const char *digest, struct buf *out, struct err *err)
{
	const struct archive_member *m = archive_blob(a, digest);
	char got[DIGEST_LEN + 1];
	int r;

	if (!m)
		return err_set(err, ENOENT, "the archive lacks blob %s", digest);
	r = archive_text(a, m, out, err);
	if (r < 0)
		return r;
	hash_of(out->data ? out->data : "", out->len, got);
	if (strcmp(got, digest) != 0)
		return err_set(err, EBADMSG, "the archive is damaged: '%s': expected %s, got %s",
			m->name, digest, got);
	return 0;
}

json_t *archive_json(const struct archive *a, const char *name, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	const struct archive_member *m = archive_find(a, name);

	if (!m) {
		err_set(err, ENOENT, "the archive lacks '%s'", name);
		return NULL;
	}
	if (archive_text(a, m, &text, err) < 0)
		return NULL;
	return json_parse(text.data ? text.data : "", text.len, name, err);
}
